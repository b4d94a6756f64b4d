//! Names and files of a run. Judging and drawing read nothing else.
mod claim;
mod readiness;
mod runs;
mod state;

pub use claim::{RunLock, RunProcess};
pub use readiness::Readiness;
pub use runs::{RunRow, become_latest, create, create_beside, find, list, passed_over};
pub use state::RunState;

use crate::error::Exit;
use crate::secrets;
use crate::targets::TargetFacts;
use dsfuzz_checkers::{Validity, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of `run.json` and `verdict.json`.
pub const FORMAT_VERSION: u32 = 1;

/// The folder of one run: `results/<plan>/<time>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    /// Where the answer and its report go, where that is not the run's own folder.
    answers: Option<PathBuf>,
}

impl RunDir {
    /// A folder that holds, or will hold, a run.
    pub fn at(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into(), answers: None }
    }

    /// The same run, whose answer to another question stands apart in `checks/<name>/`: the run's own stays as it is.
    pub fn beside(&self, name: &str) -> RunDir {
        RunDir { path: self.path.clone(), answers: Some(self.path.join("checks").join(name)) }
    }

    /// The folder of the verdict and its report: the run's own, or one of `checks/`.
    pub fn answers(&self) -> &Path {
        self.answers.as_deref().unwrap_or(&self.path)
    }

    /// The way from the folder of the answer to the run's own, as a relative link.
    pub fn way_back(&self) -> &'static str {
        if self.answers.is_some() { "../../" } else { "" }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the plan, as the folder says it.
    pub fn plan_name(&self) -> String {
        let folder = self.path.parent().and_then(Path::file_name);
        folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The effective plan, secrets redacted.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.yaml")
    }

    /// What ran: [`RunInfo`].
    pub fn info(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The journal: a folder of mapped segments.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// The export of the journal.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }

    /// Logs and files collected from a node.
    pub fn node(&self, node: &str) -> PathBuf {
        self.path.join("nodes").join(node)
    }

    /// The answer: [`RunVerdict`].
    pub fn verdict(&self) -> PathBuf {
        self.answers().join("verdict.json")
    }

    /// The report, one file.
    pub fn report(&self) -> PathBuf {
        self.answers().join("report.html")
    }

    /// The report without scripts.
    pub fn plain_report(&self) -> PathBuf {
        self.answers().join("report")
    }

    /// For CI.
    pub fn junit(&self) -> PathBuf {
        self.answers().join("junit.xml")
    }

    /// Progress and errors of dsfuzz itself.
    pub fn log(&self) -> PathBuf {
        self.path.join("dsfuzz.log")
    }
}

/// `run.json`: what ran. Written at the start and again after each phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// Version of dsfuzz.
    pub dsfuzz: String,
    /// The plan's name.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// Start, RFC 3339.
    pub started: String,
    /// End, RFC 3339; empty while it runs and after a kill.
    pub ended: String,
    /// The target's name and what each node says is its version.
    pub target: String,
    /// Versions by node.
    pub target_versions: BTreeMap<String, String>,
    /// The options of the target that were in force: the recipe's defaults and what the plan gave, secrets redacted.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// Which nodes had to answer the final reads (`each-node`, `any-node`, `leader`, `once`, `until-empty`); empty: each.
    #[serde(default)]
    pub final_reads: String,
    /// What evidence must know of the target.
    #[serde(default)]
    pub facts: TargetFacts,
    /// The faults that the plan asks for; none in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<PlannedFaults>,
    /// How much later than the timetable says a fault began, at the most; none where none began.
    #[serde(default)]
    pub timetable_slip_ms: Option<u64>,
    /// How the clients became ready; none where no load began, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Nodes: name and address.
    pub nodes: Vec<NodeInfo>,
    /// It is no run but a history on its own, judged from its file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    /// Phases with their duration in milliseconds and how they ended, in order.
    pub phases: Vec<PhaseInfo>,
    /// The command that runs it again, with the seed.
    pub again: String,
    /// The signal that stopped it, if one did.
    pub stopped_by: Option<String>,
    /// What of the end could not be seen, so that a pass would prove nothing: nodes that did not serve again, final reads
    /// that never succeeded. One sentence each.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// The record is judged up to this time only, nanoseconds since its start: later another run had a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_until: Option<u64>,
    /// Failures of the harness itself (not of the target), one sentence each.
    pub harness_failures: Vec<String>,
    /// Exit code; none while it runs.
    pub exit: Option<i32>,
}

/// The faults that a plan asks for, and how they fitted into its load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFaults {
    /// Their kinds, in the plan's order.
    pub kinds: Vec<String>,
    /// How many the timetable holds.
    pub fitted: u64,
    /// Which kinds the load has no room for, and which load will do, one sentence each.
    pub warnings: Vec<String>,
}

/// A node in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Kernel release.
    pub kernel: String,
    /// Boot id.
    pub boot_id: String,
}

/// A phase in `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseInfo {
    /// `connect`, `install`, `start`, `load`, `drain`, `heal`, `recover`, `settle`, `collect`, `teardown`, `check`.
    pub name: String,
    /// How long.
    pub took_ms: u64,
    /// Empty where all went well.
    pub problem: String,
}

/// `verdict.json`: the answer in three parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// The whole: invalid if a promise is broken; else unknown if a promise is, or evidence is thin; else valid.
    pub validity: Validity,
    /// One sentence for people.
    pub sentence: String,
    /// The promises: one verdict for each checker and workload.
    pub promises: Vec<Verdict>,
    /// The evidence: numbers against stated thresholds.
    pub evidence: Vec<Evidence>,
    /// What was not asked of the run, and settings that were not reached, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How far the load of each node fell in each fault that began.
    #[serde(default)]
    pub load: Vec<FaultLoad>,
    /// The harness's own health: empty where all went well.
    pub harness: Vec<String>,
    /// Calls that failed or are unknown, by the code of their error, the commonest first.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
    /// Exit code.
    pub exit: i32,
    /// The version of dsfuzz that judged.
    #[serde(default)]
    pub dsfuzz: String,
    /// How it was asked, where it was not the plan's own check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<CheckRequest>,
}

impl RunVerdict {
    /// What may be written of a verdict that could not be redacted: a broken promise stays one, anything else is a failure of
    /// the harness. No text of the verdict itself.
    pub fn bare(&self, why: &str) -> RunVerdict {
        let invalid = self.validity == Validity::Invalid;
        let about = if invalid { "a promise is broken; " } else { "" };
        RunVerdict {
            format: self.format,
            validity: if invalid { Validity::Invalid } else { Validity::Unknown },
            sentence: format!("{about}the verdict is not told whole: {why}"),
            promises: Vec::new(),
            evidence: Vec::new(),
            notes: Vec::new(),
            load: Vec::new(),
            harness: vec![format!("the verdict: {why}")],
            errors: Vec::new(),
            exit: if invalid { self.exit } else { i32::from(Exit::Harness.code()) },
            dsfuzz: self.dsfuzz.clone(),
            asked: None,
        }
    }
}

/// A question that is not the plan's own: other checkers, options or another budget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The arguments of `dsfuzz check` that made it another question.
    pub arguments: Vec<String>,
    /// Checkers that the plan asks and this question did not.
    pub not_asked: Vec<String>,
}

/// Calls that ended with one code of error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The code: what stands before the first colon of the error.
    pub code: String,
    /// `fail` or `info`.
    pub outcome: String,
    /// Whether they were final reads.
    pub final_read: bool,
    /// How many.
    pub count: u64,
    /// Index of the first call.
    pub first: u64,
    /// The whole error of the first.
    pub example: String,
    /// The nodes, sorted.
    pub nodes: Vec<String>,
}

/// The load around one fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultLoad {
    /// The fault's id.
    pub fault: u64,
    /// Each node of the plan.
    pub nodes: Vec<NodeLoad>,
}

/// The load of one node around one fault: before and after are as long as the fault, at most five seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeLoad {
    /// The node.
    pub node: String,
    /// Before the fault began.
    pub before: Rates,
    /// While it may have been in force.
    pub during: Rates,
    /// After its heal.
    pub after: Rates,
}

/// Calls a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Begun.
    pub asked: f64,
    /// Begun, and Ok.
    pub ok: f64,
}

/// One number with its threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What, with the unit last (`ok_ops`, `proven_partition`).
    pub name: String,
    /// In words.
    pub doc: String,
    /// What was measured.
    pub measured: f64,
    /// What is asked at the least.
    pub at_least: f64,
    /// Whether it is enough.
    pub enough: bool,
    /// Of a number that is not enough: what was had and what was asked for, on which node, in which fault, and what to
    /// change in the plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shortfall: String,
}

impl Evidence {
    /// What is missing, in sentences. Verdicts of earlier versions say it in numbers only.
    pub fn missing(&self) -> String {
        if !self.shortfall.is_empty() {
            return self.shortfall.clone();
        }
        let number = |value: f64| if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") };
        format!("{}: {} where at least {} is asked", self.doc, number(self.measured), number(self.at_least))
    }
}

impl RunInfo {
    /// Writes `run.json`: whole or not at all.
    pub fn save(&self, dir: &RunDir) -> std::io::Result<()> {
        write_whole(&dir.info(), &serde_json::to_vec_pretty(&secrets::redacted(self).map_err(std::io::Error::other)?)?)
    }

    /// Reads `run.json`.
    pub fn load(dir: &RunDir) -> std::io::Result<RunInfo> {
        Ok(serde_json::from_slice(&std::fs::read(dir.info())?)?)
    }
}

impl RunVerdict {
    /// The answer of a job that ended before there was anything to judge.
    pub fn failed(failure: &str, exit: i32) -> RunVerdict {
        RunVerdict {
            notes: Vec::new(),
            load: Vec::new(),
            format: FORMAT_VERSION,
            validity: Validity::Unknown,
            sentence: failure.to_owned(),
            promises: Vec::new(),
            evidence: Vec::new(),
            harness: vec![failure.to_owned()],
            errors: Vec::new(),
            exit,
            dsfuzz: env!("CARGO_PKG_VERSION").into(),
            asked: None,
        }
    }

    /// Reads `verdict.json`.
    pub fn load(dir: &RunDir) -> std::io::Result<RunVerdict> {
        Ok(serde_json::from_slice(&std::fs::read(dir.verdict())?)?)
    }
}

/// Writes a file beside its place and moves it there, so that no reader ever sees half of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_cannot_be_redacted_keeps_a_broken_promise_and_nothing_else() {
        let history = dsfuzz_checkers::History::default();
        let rules = crate::judge::Rules::default();
        let whole = crate::judge::judge(&history, &rules, &RunInfo::default());
        let told = |validity, exit| {
            let verdict = RunVerdict { validity, exit, sentence: "of hunter2".into(), ..whole.clone() };
            let bare = verdict.bare("no reason");
            assert!(!serde_json::to_string(&bare).expect("JSON").contains("hunter2"));
            (bare.validity, bare.exit, bare.promises.len())
        };
        assert_eq!(told(Validity::Invalid, 1), (Validity::Invalid, 1, 0));
        assert_eq!(told(Validity::Valid, 0), (Validity::Unknown, 255, 0));
        assert_eq!(told(Validity::Unknown, 2), (Validity::Unknown, 255, 0));
    }
}
