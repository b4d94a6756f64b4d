//! Names and files of a run. Judging and drawing read these files only.
mod claim;
mod inputs;
mod readiness;
mod replay;
mod runs;
mod state;
mod theory;

pub use claim::{RunLock, RunProcess};
pub use inputs::{InputFile, Inputs};
pub use readiness::Readiness;
pub use replay::{ReplayFaults, ReplayOf, StoredRun};
pub use runs::{RunRow, become_latest, create, create_beside, find, list, passed_over};
pub use state::RunState;
pub use theory::Theory;

use crate::error::Exit;
use crate::secrets;
use crate::targets::TargetFacts;
use dsfuzz_checkers::{Validity, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Version of this dsfuzz.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision that this dsfuzz was built from, if the build says so (`make` does).
pub const REVISION: &str = match option_env!("DSFUZZ_REVISION") {
    Some(revision) => revision,
    None => "",
};

/// Version of `run.json` and `verdict.json`.
pub const FORMAT_VERSION: u32 = 1;

/// The folder of one run: `results/<plan>/<time>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    /// The folder of the verdict and its report, if it is not the run's own folder.
    answers: Option<PathBuf>,
}

impl RunDir {
    /// The folder of a present or future run.
    pub fn at(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into(), answers: None }
    }

    /// The same run with a separate folder `checks/<name>/` for the answer to another question. The run's own verdict does not
    /// change.
    pub fn beside(&self, name: &str) -> RunDir {
        RunDir { path: self.path.clone(), answers: Some(self.path.join("checks").join(name)) }
    }

    /// The folder of the verdict and its report: the run's own, or one of `checks/`.
    pub fn answers(&self) -> &Path {
        self.answers.as_deref().unwrap_or(&self.path)
    }

    /// The relative link from the folder of the verdict to the run's own.
    pub fn way_back(&self) -> &'static str {
        if self.answers.is_some() { "../../" } else { "" }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the plan, from the folder.
    pub fn plan_name(&self) -> String {
        let folder = self.path.parent().and_then(Path::file_name);
        folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The effective plan, secrets redacted.
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.yaml")
    }

    /// The files that the run was made from: the recipe, and files and programs of the target's.
    pub fn inputs(&self) -> PathBuf {
        self.path.join("inputs")
    }

    /// The faults as they were measured, as a schedule.
    pub fn schedule(&self) -> PathBuf {
        self.path.join("schedule.yaml")
    }

    /// The facts of the run: [`RunInfo`].
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

    /// The verdict: [`RunVerdict`].
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

    /// The verdict for CI.
    pub fn junit(&self) -> PathBuf {
        self.answers().join("junit.xml")
    }

    /// The log of dsfuzz itself.
    pub fn log(&self) -> PathBuf {
        self.path.join("dsfuzz.log")
    }
}

/// `run.json`: the facts of a run. Written at the start and again after each phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// Version of dsfuzz.
    pub dsfuzz: String,
    /// The revision that it was built from; empty if the build did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// The plan's name.
    pub plan: String,
    /// The seed.
    pub seed: u64,
    /// Start, RFC 3339.
    pub started: String,
    /// End, RFC 3339; empty while it runs and after a kill.
    pub ended: String,
    /// The target's name.
    pub target: String,
    /// Versions by node.
    pub target_versions: BTreeMap<String, String>,
    /// The effective options of the target: the recipe's defaults and the plan's values, secrets redacted.
    #[serde(default)]
    pub options: BTreeMap<String, serde_json::Value>,
    /// The mode of the final reads (`each-node`, `any-node`, `leader`, `once`, `until-empty`); empty: `each-node`.
    #[serde(default)]
    pub final_reads: String,
    /// Facts of the target for evidence.
    #[serde(default)]
    pub facts: TargetFacts,
    /// The plan's faults; none in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<PlannedFaults>,
    /// Kinds of faults that were left out, each with the node and the ability that it lacks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, String>,
    /// Greatest delay of a fault behind the timetable; none if no fault began.
    #[serde(default)]
    pub timetable_slip_ms: Option<u64>,
    /// How the clients became ready; none without a load, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Nodes: name and address.
    pub nodes: Vec<NodeInfo>,
    /// A history without a run, judged from its file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    /// Phases with their duration in milliseconds and how they ended, in order.
    pub phases: Vec<PhaseInfo>,
    /// The command that repeats the run, with the seed.
    pub again: String,
    /// The stored files that it was made from; none in runs of earlier versions, and before the load of a run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// The stored run that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayOf>,
    /// The signal that stopped it, if one did.
    pub stopped_by: Option<String>,
    /// Unseen parts of the end, which make a pass unknown: nodes that did not serve again, final reads that never succeeded. One
    /// sentence each.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// The record is judged up to this time only, nanoseconds since its start: later another run held a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_until: Option<u64>,
    /// Failures of the harness itself (not of the target), one sentence each.
    pub harness_failures: Vec<String>,
    /// Exit code; none while it runs.
    pub exit: Option<i32>,
}

/// The faults of a plan, and their fit into its load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFaults {
    /// Their kinds, in the plan's order.
    pub kinds: Vec<String>,
    /// The number of faults in the timetable.
    pub fitted: u64,
    /// Kinds without room in the load, and a load with room, one sentence each.
    pub warnings: Vec<String>,
    /// Which of the plan's faults this run drew; none without a swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<dsfuzz_nemesis::SwarmDraw>,
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
    /// Its duration.
    pub took_ms: u64,
    /// Its problem; empty if all went well.
    pub problem: String,
}

/// `verdict.json`: promises, evidence and health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// The whole: invalid if a promise is broken; else unknown if a promise is unknown or evidence is thin; else valid.
    pub validity: Validity,
    /// One sentence for people.
    pub sentence: String,
    /// The promises: one verdict for each checker and workload.
    pub promises: Vec<Verdict>,
    /// The evidence: numbers against stated thresholds.
    pub evidence: Vec<Evidence>,
    /// Checkers that were left out, and settings that were not reached, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The fall of each node's load in each fault that began.
    #[serde(default)]
    pub load: Vec<FaultLoad>,
    /// Figures of theory that the record shows; those without enough data are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub theory: Vec<Theory>,
    /// Failures of the harness; empty if all went well.
    pub harness: Vec<String>,
    /// Fail and Info calls by the code of their error, the most frequent first.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
    /// Exit code.
    pub exit: i32,
    /// The version of dsfuzz that judged.
    #[serde(default)]
    pub dsfuzz: String,
    /// The question, if it was not the plan's own check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<CheckRequest>,
}

impl RunVerdict {
    /// The replacement of a verdict that could not be redacted, without any text of it: a broken promise stays broken, anything
    /// else is a failure of the harness.
    pub fn bare(&self, why: &str) -> RunVerdict {
        let invalid = self.validity == Validity::Invalid;
        let about = if invalid { "a promise is broken; " } else { "" };
        RunVerdict {
            format: self.format,
            validity: if invalid { Validity::Invalid } else { Validity::Unknown },
            sentence: format!("{about}the verdict is not written in full: {why}"),
            promises: Vec::new(),
            evidence: Vec::new(),
            notes: Vec::new(),
            load: Vec::new(),
            theory: Vec::new(),
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
    /// Checkers of the plan that this question left out.
    pub not_asked: Vec<String>,
}

/// Calls with one code of error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The code: the error up to its first colon.
    pub code: String,
    /// `fail` or `info`.
    pub outcome: String,
    /// Whether they were final reads.
    pub final_read: bool,
    /// The number of calls.
    pub count: u64,
    /// Index of the first call.
    pub first: u64,
    /// The whole error of the first call.
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
    /// Its name, with the unit last (`ok_ops`, `proven_partition`).
    pub name: String,
    /// In words.
    pub doc: String,
    /// The measured number.
    pub measured: f64,
    /// The threshold.
    pub at_least: f64,
    /// Whether the number reaches the threshold.
    pub enough: bool,
    /// For a number below its threshold: both numbers, the node, the fault, and the change in the plan that helps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shortfall: String,
}

impl Evidence {
    /// The shortfalls in sentences. Verdicts of earlier versions have numbers only.
    pub fn missing(&self) -> String {
        if !self.shortfall.is_empty() {
            return self.shortfall.clone();
        }
        let number = |value: f64| if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") };
        format!("{}: {} where at least {} is asked", self.doc, number(self.measured), number(self.at_least))
    }
}

impl RunInfo {
    /// Whether the run's swarm left out this kind of fault.
    pub fn did_not_draw(&self, kind: &str) -> bool {
        let swarm = self.planned.as_ref().and_then(|planned| planned.swarm.as_ref());
        swarm.is_some_and(|swarm| swarm.did_not_draw(kind))
    }

    /// Writes `run.json` atomically.
    pub fn save(&self, dir: &RunDir) -> std::io::Result<()> {
        write_whole(&dir.info(), &serde_json::to_vec_pretty(&secrets::redacted(self).map_err(std::io::Error::other)?)?)
    }

    /// Reads `run.json`.
    pub fn load(dir: &RunDir) -> std::io::Result<RunInfo> {
        Ok(serde_json::from_slice(&std::fs::read(dir.info())?)?)
    }
}

impl RunVerdict {
    /// The verdict of a job that ended before anything could be judged.
    pub fn failed(failure: &str, exit: i32) -> RunVerdict {
        RunVerdict {
            notes: Vec::new(),
            load: Vec::new(),
            theory: Vec::new(),
            format: FORMAT_VERSION,
            validity: Validity::Unknown,
            sentence: failure.to_owned(),
            promises: Vec::new(),
            evidence: Vec::new(),
            harness: vec![failure.to_owned()],
            errors: Vec::new(),
            exit,
            dsfuzz: VERSION.into(),
            asked: None,
        }
    }

    /// Reads `verdict.json`.
    pub fn load(dir: &RunDir) -> std::io::Result<RunVerdict> {
        Ok(serde_json::from_slice(&std::fs::read(dir.verdict())?)?)
    }
}

/// Writes a file under another name and renames it, so that no reader ever sees half of it.
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
        let judged = |validity, exit| {
            let verdict = RunVerdict { validity, exit, sentence: "of hunter2".into(), ..whole.clone() };
            let bare = verdict.bare("no reason");
            assert!(!serde_json::to_string(&bare).expect("JSON").contains("hunter2"));
            (bare.validity, bare.exit, bare.promises.len())
        };
        assert_eq!(judged(Validity::Invalid, 1), (Validity::Invalid, 1, 0));
        assert_eq!(judged(Validity::Valid, 0), (Validity::Unknown, 255, 0));
        assert_eq!(judged(Validity::Unknown, 2), (Validity::Unknown, 255, 0));
    }
}
