//! [`Summary`]: what the cells of a row say together.
use super::{Cell, Row};
use crate::error::Exit;
use dsfuzz_checkers::Validity;
use serde::Serialize;
use std::collections::BTreeMap;

/// One row with its counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The row's name.
    pub row: String,
    /// Whether it is one of a mistake, which is to be found.
    pub mistake: bool,
    /// The kind of fault that brings the mistake out.
    pub fault: Option<String>,
    /// The row's sentence.
    pub shows: String,
    /// Finished runs.
    pub runs: usize,
    /// Runs in which a checker of the row found it.
    pub found: usize,
    /// Runs by `CHECKER/KIND`, of those checkers.
    pub by: BTreeMap<String, usize>,
    /// The median of the times to the first violation, seconds since the begin of the record.
    pub median_s: Option<f64>,
    /// Kinds of faults that were in force at violations.
    pub faults: Vec<String>,
    /// Operations of the smallest counterexample.
    pub ops: Option<usize>,
    /// Runs that are valid.
    pub valid: usize,
    /// Runs that are unknown.
    pub unknown: usize,
    /// Finished runs without the row's kind of fault.
    pub without_runs: usize,
    /// Those of them that are invalid.
    pub without_invalid: usize,
    /// What is not as expected, a sentence each.
    pub unexpected: Vec<String>,
    /// Why the row is not decided, a sentence each.
    pub undecided: Vec<String>,
}

/// The summary of a row. Cells of other rows are passed over.
pub fn of(row: &Row, cells: &[Cell]) -> Summary {
    let (without, with): (Vec<&Cell>, Vec<&Cell>) =
        cells.iter().filter(|cell| cell.row == row.name).partition(|cell| cell.without_fault);
    let count = |cells: &[&Cell], validity| cells.iter().filter(|cell| cell.validity == validity).count();
    let mut summary = Summary {
        row: row.name.clone(),
        mistake: row.is_mistake(),
        fault: row.fault.clone(),
        shows: row.shows.clone(),
        runs: with.len(),
        found: 0,
        by: BTreeMap::new(),
        median_s: None,
        faults: Vec::new(),
        ops: None,
        valid: count(&with, Validity::Valid),
        unknown: count(&with, Validity::Unknown),
        without_runs: without.len(),
        without_invalid: count(&without, Validity::Invalid),
        unexpected: Vec::new(),
        undecided: Vec::new(),
    };
    count_findings(&mut summary, row, &with);
    judge(&mut summary, row, &with, &without);
    summary
}

fn count_findings(summary: &mut Summary, row: &Row, cells: &[&Cell]) {
    let mut firsts = Vec::new();
    for cell in cells {
        let found: Vec<_> = cell.found_by(&row.found_by).collect();
        summary.found += usize::from(!found.is_empty());
        firsts.extend(found.iter().filter_map(|found| found.first_s).min_by(f64::total_cmp));
        for one in found {
            *summary.by.entry(format!("{}/{}", one.checker, one.kind)).or_default() += 1;
            let new = one.faults.iter().filter(|fault| !summary.faults.contains(fault)).cloned().collect::<Vec<_>>();
            summary.faults.extend(new);
            let ops = Some(one.ops).filter(|ops| *ops > 0);
            summary.ops = summary.ops.into_iter().chain(ops).min();
        }
    }
    summary.faults.sort();
    summary.median_s = median(firsts);
}

/// The middle one, or the mean of the two in the middle.
fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    let upper = *times.get(times.len() / 2)?;
    let lower = times[(times.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

fn judge(summary: &mut Summary, row: &Row, with: &[&Cell], without: &[&Cell]) {
    let seeds = |cells: Vec<&&Cell>| cells.iter().map(|cell| cell.seed.to_string()).collect::<Vec<_>>().join(", ");
    let invalid = |cell: &&&Cell| cell.validity == Validity::Invalid;
    let reason = |cells: &[&Cell]| {
        cells.iter().find(|cell| cell.validity == Validity::Invalid).map_or("", |cell| &cell.sentence).to_owned()
    };
    if summary.runs > 0 && row.is_mistake() && summary.found == 0 {
        let other = reason(with);
        let other = if other.is_empty() { String::new() } else { format!(" Another checker found: {other}.") };
        let unknown =
            if summary.unknown > 0 { format!(" {} runs are unknown.", summary.unknown) } else { String::new() };
        summary.unexpected.push(format!("no run of {} found it.{other}{unknown}", summary.runs));
    }
    if !row.is_mistake() {
        let alarms: Vec<&&Cell> = with.iter().filter(invalid).collect();
        if !alarms.is_empty() {
            summary.unexpected.push(format!("false alarm with seed {}: {}.", seeds(alarms), reason(with)));
        }
        let unknown: Vec<&&Cell> = with.iter().filter(|cell| cell.validity == Validity::Unknown).collect();
        if let Some(first) = unknown.first() {
            let sentence = first.sentence.clone();
            summary.undecided.push(format!("unknown with seed {}: {sentence}.", seeds(unknown)));
        }
    }
    if summary.without_invalid > 0 {
        let alarms: Vec<&&Cell> = without.iter().filter(invalid).collect();
        summary.unexpected.push(format!("found without its fault with seed {}: {}.", seeds(alarms), reason(without)));
    }
}

/// The exit of the whole: 1 where a row is not as expected, 2 where one is not decided or runs are missing.
pub fn exit(summaries: &[Summary], missing: usize, failed: usize, stopped: Option<i32>) -> Exit {
    if summaries.iter().any(|summary| !summary.unexpected.is_empty()) {
        return Exit::Invalid;
    }
    if let Some(signal) = stopped {
        return Exit::Signal(signal);
    }
    if failed > 0 {
        return Exit::Harness;
    }
    let undecided = missing > 0 || summaries.iter().any(|summary| !summary.undecided.is_empty());
    if undecided { Exit::Unknown } else { Exit::Valid }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cell, row};
    use super::*;

    #[test]
    fn a_mistake_is_counted_by_the_checkers_of_its_row() {
        let row = row("ids/clock-steps-back");
        let cells = [
            cell(&row, 1, Validity::Invalid, &[("unique-ids", Some(4.0), 2)]),
            cell(&row, 2, Validity::Invalid, &[("unique-ids", Some(2.0), 3)]),
            cell(&row, 3, Validity::Invalid, &[("crashes", None, 0)]),
            cell(&row, 4, Validity::Unknown, &[]),
        ];
        let summary = of(&row, &cells);
        assert_eq!((summary.runs, summary.found, summary.unknown), (4, 2, 1));
        assert_eq!((summary.median_s, summary.ops), (Some(3.0), Some(2)));
        assert_eq!(summary.faults, ["clock"]);
        assert!(summary.unexpected.is_empty(), "{summary:?}");
        assert_eq!(exit(&[summary], 0, 0, None), Exit::Valid);
    }

    #[test]
    fn what_is_not_as_expected_is_named() {
        let mistake = row("ids/clock-steps-back");
        let missed = of(&mistake, &[cell(&mistake, 1, Validity::Valid, &[])]);
        assert_eq!(missed.unexpected, ["no run of 1 found it."]);
        let mut without = cell(&mistake, 3, Validity::Invalid, &[("unique-ids", None, 2)]);
        without.without_fault = true;
        let found = of(&mistake, &[without]);
        assert_eq!(found.unexpected, ["found without its fault with seed 3: said."]);
        let none = row("ids/none");
        let alarm = of(&none, &[cell(&none, 2, Validity::Invalid, &[("unique-ids", None, 2)])]);
        assert_eq!(alarm.unexpected, ["false alarm with seed 2: said."]);
        assert_eq!(exit(&[alarm], 0, 1, Some(2)), Exit::Invalid);
    }

    #[test]
    fn thin_evidence_missing_runs_failures_and_signals_have_their_exits() {
        let none = row("ids/none");
        let thin = of(&none, &[cell(&none, 1, Validity::Unknown, &[]), cell(&none, 2, Validity::Valid, &[])]);
        assert_eq!((thin.valid, thin.unknown), (1, 1));
        assert_eq!(exit(&[thin], 0, 0, None), Exit::Unknown);
        assert_eq!(exit(&[], 3, 0, None), Exit::Unknown);
        assert_eq!(exit(&[], 3, 1, None), Exit::Harness);
        assert_eq!(exit(&[], 3, 1, Some(2)), Exit::Signal(2));
    }
}
