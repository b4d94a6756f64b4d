//! [`Cell`]: what one run of the matrix showed, read from the run's folder and kept in a file.
use super::Row;
use crate::run::read_back;
use crate::store::{self, RunDir, RunInfo, RunVerdict};
use dsfuzz_checkers::{Finding, History, Severity, Validity};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// One finished run of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The row's name.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// Whether the row's kind of fault was left out.
    pub without_fault: bool,
    /// The answer.
    pub validity: Validity,
    /// The verdict's sentence.
    pub sentence: String,
    /// The violations, one for each checker and kind.
    pub found: Vec<Found>,
    /// The run's folder.
    pub run: PathBuf,
}

/// Violations of one kind that one checker found in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The checker.
    pub checker: String,
    /// The kind.
    pub kind: String,
    /// When the operations of the first of them had ended, seconds since the begin of the record; none where no operation is named.
    pub first_s: Option<f64>,
    /// Kinds of the faults that were in force meanwhile, each once.
    pub faults: Vec<String>,
    /// Operations of the smallest counterexample; 0 where no operation is named.
    pub ops: usize,
}

impl Cell {
    /// The cell of a finished run. The error says why it does not count: it was stopped, or the harness failed.
    pub fn of(row: &Row, seed: u64, without_fault: bool, dir: &RunDir) -> Result<Cell, String> {
        let said = |error: std::io::Error| format!("{}: {error}", dir.path().display());
        let (info, verdict) = (RunInfo::load(dir).map_err(said)?, RunVerdict::load(dir).map_err(said)?);
        if info.stopped_by.is_some() {
            return Err("it was stopped".to_owned());
        }
        if !verdict.harness.is_empty() {
            return Err(verdict.harness.join("; "));
        }
        let history = read_back(dir).map_err(|error| format!("{error:#}"))?;
        Ok(Cell {
            row: row.name.clone(),
            seed,
            without_fault,
            validity: verdict.validity,
            sentence: verdict.sentence.clone(),
            found: found(&verdict, &history),
            run: dir.path().to_owned(),
        })
    }

    /// The cell in a file; none if there is no whole one.
    pub fn load(path: &Path) -> Option<Cell> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes the file.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        store::write_whole(path, &serde_json::to_vec_pretty(self)?)
    }

    /// The violations by one of these checkers.
    pub fn found_by<'c>(&'c self, checkers: &'c [String]) -> impl Iterator<Item = &'c Found> {
        self.found.iter().filter(|found| checkers.contains(&found.checker))
    }
}

/// The name of a cell's file: what it is of, and a digest of the plan and of the program.
pub fn file_name(row: &Row, seed: u64, without_fault: bool, program: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(row.plan(without_fault).to_string());
    digest.update(row.found_by.join(","));
    digest.update(program);
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{seed}-{digest}.json", row.file_name(without_fault))
}

fn found(verdict: &RunVerdict, history: &History) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for promise in &verdict.promises {
        for finding in promise.findings.iter().filter(|finding| finding.severity == Severity::Violation) {
            let one = one(&promise.checker, finding, history);
            match all.iter_mut().find(|other| other.checker == one.checker && other.kind == one.kind) {
                None => all.push(one),
                Some(other) => {
                    let first = [other.first_s, one.first_s].into_iter().flatten().min_by(f64::total_cmp);
                    if one.ops > 0 && (other.ops == 0 || one.ops < other.ops) {
                        other.ops = one.ops;
                    }
                    other.first_s = first;
                    let new: Vec<String> =
                        one.faults.into_iter().filter(|fault| !other.faults.contains(fault)).collect();
                    other.faults.extend(new);
                }
            }
        }
    }
    all
}

fn one(checker: &str, finding: &Finding, history: &History) -> Found {
    let ends = finding.ops.iter().filter_map(|call| history.op(*call));
    // A call without a reply shows nothing later than its begin.
    let ended = ends.map(|op| if op.reply_time == u64::MAX { op.call_time } else { op.reply_time }).max();
    let mut faults: Vec<String> = Vec::new();
    for fault in history.faults.iter().filter(|fault| finding.faults.contains(&fault.id)) {
        if !faults.contains(&fault.kind) {
            faults.push(fault.kind.clone());
        }
    }
    Found {
        checker: checker.to_owned(),
        kind: finding.kind.clone(),
        first_s: ended.map(|nanos| std::time::Duration::from_nanos(nanos).as_secs_f64()),
        faults,
        ops: finding.ops.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_of_one_plan_one_seed_and_one_program() {
        let rows = super::super::rows().unwrap();
        let row = rows.iter().find(|row| row.name == "ids/clock-steps-back").unwrap();
        let names = [
            file_name(row, 1, false, "a"),
            file_name(row, 1, true, "a"),
            file_name(row, 2, false, "a"),
            file_name(row, 1, false, "b"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{names:?}");
        }
        assert!(names[0].starts_with("ids-clock-steps-back-1-"), "{names:?}");
    }

    #[test]
    fn the_first_violation_is_the_one_whose_operations_ended_first() {
        let record = concat!(
            "{\"type\":\"start\",\"index\":0,\"time\":0,\"version\":1,\"nodes\":[\"n1\"],\"wall\":\"\"}\n",
            "{\"type\":\"invoke\",\"index\":1,\"time\":1000000000,\"worker\":0,\"process\":0,\"node\":\"n1\",",
            "\"workload\":\"unique-ids\",\"f\":\"generate\",\"value\":null}\n",
            "{\"type\":\"ok\",\"index\":2,\"time\":2500000000,\"process\":0,\"value\":7}\n",
            "{\"type\":\"end\",\"index\":3,\"time\":3000000000}\n",
        );
        let history = dsfuzz_checkers::history::read_jsonl(record.as_bytes()).unwrap();
        let finding = Finding { ops: vec![1], ..Finding::new("duplicate-id", Severity::Violation, String::new()) };
        let one = one("unique-ids", &finding, &history);
        assert_eq!((one.first_s, one.ops), (Some(2.5), 1));
    }
}
