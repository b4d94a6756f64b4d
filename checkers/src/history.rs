//! A history: the calls of one run with their replies, the faults, the role claims and the phases.
//!
//! **The index is the order.** Every record of a run takes its index from one counter: a call before it is sent, a reply
//! after it came. So a recorded interval may be too wide, never too narrow. Times are for display and liveness.
//!
//! [`Record`] is one line of `history.jsonl` (and one frame of the journal); [`History`] is the validated whole, which
//! every checker reads. [`HistoryBuilder`] makes it from records, the readers in `import` from files. A new record, or a new
//! step of a fault, is defined here; `builder.rs` puts it into the history and `export.rs` writes it out again.
mod builder;
mod columns;
mod error;
pub mod export;
mod fault;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod import;
mod recording;
pub mod standstill;
mod steps;

pub use builder::HistoryBuilder;
pub use columns::{Op, Ops};
pub use error::HistoryError;
pub use fault::Fault;
pub use import::jsonl::{read_jsonl, write_record};
pub use import::{Format, ReadOptions, read, read_any};
pub use recording::Recording;

#[cfg(test)]
mod tests;

use crate::functions::table::{Function, function};
use crate::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// Version of the records written by this release (field `version` of [`Record::Start`]).
pub const HISTORY_VERSION: u32 = 1;

/// One record: a line of `history.jsonl`.
///
/// `index` counts from 0 without gaps in the order in which things happened; `time` is nanoseconds on the control
/// node's monotonic clock since the start of the run's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Record {
    /// The first record.
    Start {
        /// Its index, 0.
        index: u64,
        /// Its time, 0.
        time: u64,
        /// [`HISTORY_VERSION`].
        version: u32,
        /// Names of the nodes, in the plan's order.
        nodes: Vec<String>,
        /// Wall-clock time at `time` 0, for matching with the nodes' logs (RFC 3339).
        wall: String,
    },
    /// A client's call, recorded before it is sent.
    Invoke(Invoke),
    /// The call certainly took effect (or the read was answered).
    Ok(Completion),
    /// The call certainly had no effect and never will.
    Fail(Completion),
    /// Unknown: it may take effect at any later moment, or never. The process makes no further call.
    Info(Completion),
    /// One step of a fault.
    Fault(FaultEvent),
    /// What a node said about its role.
    Role(RoleClaim),
    /// One step of a process of the target.
    Process(ProcessEvent),
    /// A phase of the run began.
    Phase {
        /// Its index.
        index: u64,
        /// When.
        time: u64,
        /// Which.
        phase: Phase,
    },
    /// A remark for the report, shown beside the operations.
    Note {
        /// Its index.
        index: u64,
        /// When.
        time: u64,
        /// About which node; empty: about the run.
        #[serde(default)]
        node: String,
        /// What.
        text: String,
    },
    /// The last record of a run that ended in order. A history without it was cut off.
    End {
        /// Its index.
        index: u64,
        /// When.
        time: u64,
    },
}

impl Record {
    /// Its index and time.
    pub fn mark(&self) -> Mark {
        let (index, time) = match self {
            Record::Invoke(call) => (call.index, call.time),
            Record::Ok(reply) | Record::Fail(reply) | Record::Info(reply) => (reply.index, reply.time),
            Record::Fault(event) => (event.index, event.time),
            Record::Role(claim) => (claim.index, claim.time),
            Record::Process(event) => (event.index, event.time),
            Record::Start { index, time, .. }
            | Record::Phase { index, time, .. }
            | Record::Note { index, time, .. }
            | Record::End { index, time } => (*index, *time),
        };
        Mark { index, time }
    }
}

/// A client's call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invoke {
    /// Its index.
    pub index: u64,
    /// When.
    pub time: u64,
    /// The worker, counted from 0; keeps its number for the whole run.
    pub worker: u32,
    /// The process; a worker gets a new one after every Info.
    pub process: u64,
    /// The node its client is bound to.
    pub node: Arc<str>,
    /// The workload's name.
    pub workload: Arc<str>,
    /// The function, e.g. `read`, `write`, `cas`, `add`.
    pub f: Arc<str>,
    /// The key, nil where the workload has none.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// The argument, e.g. the value to write or `[from, to]`.
    #[serde(default)]
    pub value: Value,
    /// True for calls of the settle phase (final reads).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settle: bool,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Its index.
    pub index: u64,
    /// When.
    pub time: u64,
    /// The process whose open call this completes.
    pub process: u64,
    /// The reply (of a read: what was read); nil where there is none. Of Fail and Info: what the client could still report.
    #[serde(default)]
    pub value: Value,
    /// For Fail and Info: why, as a short word and text (`timeout`, `refused: ...`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// The node that answered, where it is not the one that the call was made to: the client followed a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
}

/// A moment: the index for order, the time for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Index of the record.
    pub index: u64,
    /// Nanoseconds since the start.
    pub time: u64,
}

/// What happened to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultStep {
    /// Planned, symbolically (`leader`), from the seed alone.
    Planned,
    /// The nodes it is aimed at are known (`n3`).
    Resolved,
    /// The first injection was asked for: from here on it may be in force.
    Begun,
    /// Verified to be in force on every node it is aimed at.
    Proven,
    /// It could not be verified to be in force, or an injection failed.
    Unproven,
    /// Verified to be in force once more, just before the heal.
    Reproven,
    /// Could not be verified to be in force any more just before the heal.
    Lapsed,
    /// The heal was asked for.
    HealBegun,
    /// Verified to be gone on every node it was aimed at.
    Healed,
    /// The heal failed or could not be verified.
    Unhealed,
    /// A node undid it by itself, at some time in the interval [`FaultEvent::ended`].
    SelfHealed,
    /// What it waited for has happened.
    Triggered,
    /// What it waited for never happened: it did not come.
    NotTriggered,
    /// A node that it was aimed at was not known, or no time was left: it did not come.
    Missed,
}

/// One step of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultEvent {
    /// Its index.
    pub index: u64,
    /// When.
    pub time: u64,
    /// Which fault, counted from 0 in the plan's order.
    pub fault: u64,
    /// Which kind: `partition`, `kill`, `pause`, `clock`.
    pub kind: Arc<str>,
    /// What happened.
    pub step: FaultStep,
    /// The fault in words: planned symbolically, resolved with its nodes (`partition isolate-leader: n3 | n1 n2 n4
    /// n5`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// Nodes it is aimed at (from `Resolved` on).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Directed links it cuts, as `[from, to]`: packets sent by `from` do not reach `to`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<(String, String)>,
    /// Proofs, errors, measurements: one sentence for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// For `SelfHealed`: the earliest and latest time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(u64, u64)>,
    /// For `Unproven` and `Lapsed`: the cause, where it is one that needs an advice of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<FaultProblem>,
    /// Its id in the plan's schedule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For `Planned`: the fault as an entry of a schedule, in symbols. For `Resolved`: bound to its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Box<serde_json::Value>>,
    /// It damages files of the target, which its heal does not mend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damages: bool,
}

/// The cause for which a fault on processes is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultProblem {
    /// A service had no process before the fault.
    NotRunning,
    /// A killed service has processes again.
    RunsAgain,
}

/// A role claim: what a node said about its role, in a reply to a probe or in a line of its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleClaim {
    /// Index of the reply.
    pub index: u64,
    /// When the reply came.
    pub time: u64,
    /// Index of the probe (of a log line: 0). The claim held at some instant between the two.
    pub sent_index: u64,
    /// When the probe was sent.
    pub sent_time: u64,
    /// The node.
    pub node: Arc<str>,
    /// `leader`, `follower`, `candidate`, or the target's own word; empty when the probe failed.
    pub role: Arc<str>,
    /// Whether this role leads, where its name does not say so (see [`leads_by_name`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<bool>,
    /// The term (epoch, view) it named, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// Whether term and role were read together, so that the pair is trustworthy.
    #[serde(default)]
    pub term_with_role: bool,
    /// Where it came from: `probe` or `log`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub source: Arc<str>,
    /// The node's own words, or the probe's error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What happened to a process of the target. Kills and pauses by the harness are steps of faults, not of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessStep {
    /// From here on the node's processes are watched.
    Watched,
    /// It ended, and was neither stopped nor killed by the harness.
    Ended,
    /// The kernel's out-of-memory killer ended it, or one of its children.
    OutOfMemory,
    /// It left a core file.
    CoreFile,
    /// Lines of its log are alarms.
    LogAlarm,
    /// Lines of its log say that stored data is corrupt.
    LogCorruption,
    /// The node's logs were searched for alarms: `how` begins with their number, `detail` says what was not searched.
    LogsRead,
    /// It was found dead after the last heal, and was started again by the harness.
    Restarted,
    /// After the last heal it did not serve again in the time that the plan gives it.
    DidNotComeBack,
}

impl ProcessStep {
    /// Its name, as records have it.
    pub fn name(self) -> &'static str {
        match self {
            ProcessStep::Watched => "watched",
            ProcessStep::Ended => "ended",
            ProcessStep::OutOfMemory => "out-of-memory",
            ProcessStep::CoreFile => "core-file",
            ProcessStep::LogAlarm => "log-alarm",
            ProcessStep::LogCorruption => "log-corruption",
            ProcessStep::LogsRead => "logs-read",
            ProcessStep::Restarted => "restarted",
            ProcessStep::DidNotComeBack => "did-not-come-back",
        }
    }
}

/// One step of a process of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessEvent {
    /// Its index.
    pub index: u64,
    /// When it was recorded.
    pub time: u64,
    /// The node.
    pub node: Arc<str>,
    /// The process, by its name in the recipe; empty where it is about all of the node.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub process: Arc<str>,
    /// What happened.
    pub step: ProcessStep,
    /// It happened between these times, nanoseconds; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub between: Option<(u64, u64)>,
    /// In words: `signal 6 (SIGABRT)`, `exit 3`, the alarming line, the core file's path, what was waited for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// For `Ended`: the harness had started it again, not for the first time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// For `Ended`: how long it had run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
    /// How often, where one record stands for several; 0 where an earlier record has counted it.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u64,
    /// The last lines of its log, or what else shows it: one sentence or line for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_once(times: &u64) -> bool {
    *times == 1
}

/// Names of roles that lead, where a recipe does not say otherwise.
const LEADING: [&str; 3] = ["leader", "primary", "master"];

/// Whether a role of this name leads: `leader`, `primary` and `master` do. The one definition for recipes, planners,
/// the role prober and checkers.
pub fn leads_by_name(role: &str) -> bool {
    LEADING.contains(&role)
}

impl RoleClaim {
    /// Whether the node claimed to lead.
    pub fn is_leader(&self) -> bool {
        self.leads.unwrap_or_else(|| leads_by_name(&self.role))
    }
}

/// The phases of a run that have a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Clients run, faults come.
    Load,
    /// No new calls begin; the open ones end.
    Drain,
    /// Everything is healed and recovery is proven.
    Recover,
    /// Final reads.
    Settle,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect.
    Ok,
    /// It certainly did not.
    Fail,
    /// Unknown for ever. Also calls that are open when the record ends.
    Info,
}

/// An interned name of a [`History`]: node, workload, function or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// A validated history.
#[derive(Clone, Debug)]
pub struct History {
    /// Names of the nodes, in the plan's order.
    pub nodes: Vec<String>,
    /// Wall-clock time at time 0 (RFC 3339), empty for a foreign history.
    pub wall: String,
    /// Faults by id.
    pub faults: Vec<Fault>,
    /// Role claims in the order of their replies.
    pub roles: Vec<RoleClaim>,
    /// What happened to the target's own processes, in the order in which it was recorded.
    pub processes: Vec<ProcessEvent>,
    /// The phases and when they began.
    pub phases: Vec<(Phase, Mark)>,
    /// Notes: time, node, text.
    pub notes: Vec<(u64, String, String)>,
    /// What the reader of a foreign history (a file of another program) left out, one sentence each. They are notes, too.
    pub remarks: Vec<String>,
    /// Whether the history has its [`Record::End`]; without it, the run was cut off.
    pub complete: bool,
    /// The last time seen, nanoseconds.
    pub end_time: u64,
    /// Whether the order between calls of different processes means anything. False for histories that say only what
    /// each session did, one transaction after the other: their indices and times are made up, and checkers of real-time order
    /// have nothing to judge.
    pub realtime: bool,
    /// By process: its number in the file, where `import::foreign` gave it a new one because it called again after an info.
    reused: HashMap<u64, u64>,
    columns: columns::Columns,
    names: Vec<Arc<str>>,
    /// By name: what it means where it is a function's.
    functions: Vec<&'static Function>,
    name_ids: HashMap<Arc<str>, NameId>,
}

/// An empty history whose order is real time.
impl Default for History {
    fn default() -> History {
        History {
            nodes: Vec::new(),
            wall: String::new(),
            faults: Vec::new(),
            roles: Vec::new(),
            processes: Vec::new(),
            phases: Vec::new(),
            notes: Vec::new(),
            remarks: Vec::new(),
            complete: false,
            end_time: 0,
            realtime: true,
            reused: HashMap::new(),
            columns: columns::Columns::default(),
            names: Vec::new(),
            functions: Vec::new(),
            name_ids: HashMap::new(),
        }
    }
}

impl History {
    /// The text of an interned name.
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.0 as usize]
    }

    /// What the function of this name means; [`function`].
    pub(crate) fn function(&self, id: NameId) -> &'static Function {
        self.functions[id.0 as usize]
    }

    /// The number that the history's file gives to this process. It differs where a process called again after an info:
    /// from then on it counts as a new process here.
    pub fn client(&self, process: u64) -> u64 {
        self.reused.get(&process).copied().unwrap_or(process)
    }

    /// The id of a name, if it occurs.
    pub fn find_name(&self, name: &str) -> Option<NameId> {
        self.name_ids.get(name).copied()
    }

    /// Interns a name.
    pub(crate) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.name_ids.get(name) {
            return *id;
        }
        let text: Arc<str> = Arc::from(name);
        let id = NameId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(text.clone());
        self.functions.push(function(name));
        self.name_ids.insert(text, id);
        id
    }

    /// Faults that may have been in force at some time within the interval, nanoseconds.
    pub fn faults_within(&self, from: u64, to: u64) -> Vec<&Fault> {
        let overlaps = |fault: &&Fault| fault.possible().is_some_and(|(begin, end)| begin <= to && from <= end);
        self.faults.iter().filter(overlaps).collect()
    }
}
