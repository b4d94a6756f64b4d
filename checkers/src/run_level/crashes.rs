//! `crashes`: the target's own death. A process that ends by itself, one that does not come back after a fault,
//! alarms in its log, kills for want of memory and core files are bugs by themselves, whatever the clients saw.
//!
//! An end is explained when the harness asked for it: a planned kill, a stop. Such ends are not in the history. For the others
//! [`ending`] has the rule: a fatal signal is a violation whatever is in force. An exit with a status while a fault that can
//! provoke one by design may have been in force (a clock that jumps, a cut, a pause, a kill of half of the nodes: a server may
//! end rather than serve without its lease), or shortly after it, is evidence, unless the target's recipe says otherwise.
//!
//! Findings: `crashed`, `did-not-come-back`, `log-alarm`, `out-of-memory`, `core-file`; each is a violation, a piece of evidence
//! or left out, by an option of its name. As evidence: `exited-in-fault`; `exited-as-declared`, with a status that the recipe
//! says is in order; `start-failed`, a process that the harness had started again after a fault and that ended with an exit
//! status before long: where others are away, some systems do so and wait to be started once more; `log-corruption`, lines
//! about corrupt data on a node that may have been recovering from a kill: recovery cuts torn ends of files off and says so;
//! `alarm-of-failed-disk`, an alarm on a node whose disk had failed or lost data by a fault. Such a node may also end in any way
//! and stay away: a server that stops before it serves damaged data keeps its promises.
//! Unknown: the processes were not watched.
mod ending;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod torn;

use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, ProcessEvent, ProcessStep};
use crate::options::schema;
use crate::value::Value;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Finding, Report, Severity, Validity, Verdict, Violation};
use ending::Ending;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Its name in plans; every run is judged by it, also where a plan names its checkers.
pub const CRASHES: &str = "crashes";

/// Judges how the target's processes fared. Its fields are the options.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CrashesOptions")]
pub(crate) struct Crashes {
    /// A process ended by itself.
    crashed: Counts,
    /// A process ended with an exit status in a fault that can provoke it; never more than `crashed`. The recipe's `exits:
    /// {in_faults: ..}` says so for a target.
    exits_in_faults: Counts,
    /// Exit statuses with which a process may end by itself at any time, evidence only; the recipe's `exits: {ok: ..}`.
    ok_exits: ExitStatuses,
    /// A process did not serve again after the last heal.
    did_not_come_back: Counts,
    /// Panics, failed assertions, corruption, races in logs.
    log_alarm: Counts,
    /// The kernel killed a process for want of memory.
    out_of_memory: Counts,
    /// A process left a core file.
    core_file: Counts,
}

impl Default for Crashes {
    fn default() -> Crashes {
        Crashes {
            crashed: Counts::Violation,
            exits_in_faults: Counts::Evidence,
            ok_exits: ExitStatuses::default(),
            did_not_come_back: Counts::Violation,
            log_alarm: Counts::Violation,
            out_of_memory: Counts::Violation,
            core_file: Counts::Violation,
        }
    }
}

/// How a kind of finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Counts {
    /// It breaks the promise.
    Violation,
    /// It is told, and breaks no promise.
    Evidence,
    /// It is left out.
    Off,
}

impl Counts {
    fn severity(self) -> Option<Severity> {
        match self {
            Counts::Violation => Some(Severity::Violation),
            Counts::Evidence => Some(Severity::Evidence),
            Counts::Off => None,
        }
    }
}

/// By its name; `true` and `false` stand for `violation` and `off`, which YAML may read so.
impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(true) => Ok(Counts::Violation),
            Value::Bool(false) => Ok(Counts::Off),
            Value::Text(name) if &*name == "violation" => Ok(Counts::Violation),
            Value::Text(name) if &*name == "evidence" => Ok(Counts::Evidence),
            Value::Text(name) if &*name == "off" => Ok(Counts::Off),
            other => Err(Error::custom(format!("violation, evidence or off is expected, not {other}"))),
        }
    }
}

/// Exit statuses: one, or a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct ExitStatuses(BTreeSet<i64>);

impl<'de> Deserialize<'de> for ExitStatuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ExitStatuses, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let listed = value.as_list().map_or_else(|| vec![value.clone()], <[Value]>::to_vec);
        let status = |value: &Value| match value.as_int() {
            Some(status @ 0..=255) => Ok(status),
            _ => Err(Error::custom(format!("an exit status from 0 to 255 is expected, not {value}"))),
        };
        listed.iter().map(status).collect::<Result<_, _>>().map(ExitStatuses)
    }
}

impl JsonSchema for ExitStatuses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ExitStatuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let status = json!({"type": "integer", "minimum": 0, "maximum": 255});
        json_schema!({
            "title": "an exit status from 0 to 255, or a list of them",
            "anyOf": [status, {"type": "array", "items": status}]
        })
    }
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: CRASHES,
    doc: "No process of the target ends by itself, fails to come back, writes an alarm into its log, runs out of memory or leaves a core file.",
    cost: "linear in the records of processes",
    judges: Judges::RUNS,
    options: schema::<Crashes>,
    build: from_options::<Crashes>,
};

impl Crashes {
    /// What a record is a finding of, and how it counts.
    fn kind(&self, event: &ProcessEvent, history: &History) -> Option<(&'static str, Severity)> {
        let (kind, counts) = match event.step {
            ProcessStep::Watched | ProcessStep::LogsRead | ProcessStep::Restarted => return None,
            ProcessStep::Ended => {
                let ending = Ending::of(event, history, &self.ok_exits.0);
                let counts = match ending {
                    Ending::Crashed => self.crashed.severity(),
                    Ending::InFault => self
                        .crashed
                        .severity()
                        .zip(self.exits_in_faults.severity())
                        .map(|(crash, exit)| crash.min(exit)),
                    Ending::Declared | Ending::FailedStart | Ending::WithDisk | Ending::Denied => {
                        self.crashed.severity().map(|_| Severity::Evidence)
                    }
                };
                (ending.kind(), counts)
            }
            ProcessStep::OutOfMemory if ending::denied(event, history) => {
                ("out-of-memory", self.out_of_memory.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::OutOfMemory => ("out-of-memory", self.out_of_memory.severity()),
            // The end that left it is evidence too.
            ProcessStep::CoreFile if ending::denied(event, history) || ending::disk_failed(event, history) => {
                ("core-file", self.core_file.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::CoreFile => ("core-file", self.core_file.severity()),
            ProcessStep::LogAlarm | ProcessStep::LogCorruption if ending::disk_failed(event, history) => {
                ("alarm-of-failed-disk", self.log_alarm.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::LogAlarm if ending::denied(event, history) => {
                ("log-alarm", self.log_alarm.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::LogAlarm => ("log-alarm", self.log_alarm.severity()),
            ProcessStep::LogCorruption if torn::may_be_torn(event, history) => {
                ("log-corruption", self.log_alarm.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::LogCorruption => ("log-alarm", self.log_alarm.severity()),
            // What may still be in force may be what keeps it away.
            ProcessStep::DidNotComeBack
                if history.faults.iter().any(ending::may_last) || ending::disk_failed(event, history) =>
            {
                ("did-not-come-back", self.did_not_come_back.severity().map(|_| Severity::Evidence))
            }
            ProcessStep::DidNotComeBack => ("did-not-come-back", self.did_not_come_back.severity()),
        };
        counts.map(|severity| (kind, severity))
    }
}

/// What distinguishes records of one kind: a loop of crashes is one finding.
fn signature(event: &ProcessEvent) -> (&str, &str, String) {
    let mut template = String::new();
    for letter in event.how.chars() {
        match letter.is_ascii_digit() {
            true if template.ends_with('#') => {}
            true => template.push('#'),
            false => template.push(letter),
        }
    }
    let how = match event.step {
        ProcessStep::Ended => event.how.clone(),
        // The count and the end of a process that was in it are of one kill.
        ProcessStep::OutOfMemory => String::new(),
        _ => template,
    };
    (&event.node, &event.process, how)
}

fn title(kind: &str, event: &ProcessEvent, times: u64) -> String {
    let who = match (&*event.process, &*event.node) {
        ("", node) => format!("a process on {node}"),
        (process, node) => format!("{process} on {node}"),
    };
    let how = if event.how.is_empty() { "how is not known" } else { &event.how };
    let first = match (event.step, kind) {
        (ProcessStep::Ended, ending::START_FAILED) => format!("{who} was started again and ended ({how})"),
        (ProcessStep::Ended, ending::IN_FAULT) => format!("{who} ended by itself in a fault ({how})"),
        (ProcessStep::Ended, ending::DECLARED) => format!("{who} ended by itself, as its recipe allows ({how})"),
        (ProcessStep::Ended, _) if how.starts_with("signal 9 ") => {
            format!("{who} was killed by SIGKILL, by whom is not known")
        }
        (ProcessStep::Ended, _) => format!("{who} ended by itself ({how})"),
        (ProcessStep::OutOfMemory, _) => format!("{who} was killed for want of memory"),
        (ProcessStep::CoreFile, _) => format!("{who} left a core file: {how}"),
        (ProcessStep::DidNotComeBack, _) => format!("{who} did not come back: {how}"),
        (ProcessStep::LogCorruption, _) => format!("{who} wrote that data is corrupt: {how}"),
        _ => format!("{who} wrote an alarm: {how}"),
    };
    if times > 1 { format!("{first}, {times} times") } else { first }
}

/// When it happened and what was in force then; the faults that may have been.
fn circumstances(event: &ProcessEvent, history: &History) -> (Vec<String>, Vec<u64>) {
    let mut sentences = Vec::new();
    if let Some(ran) = event.ran_ms {
        sentences.push(format!("It had run for {}.", messages::seconds(ran.saturating_mul(1_000_000))));
    }
    let Some((from, to)) = event.between else {
        sentences.push("When in the run that was is not known.".to_owned());
        return (sentences, Vec::new());
    };
    sentences.push(match messages::seconds(from) == messages::seconds(to) {
        true => format!("It happened at {}.", messages::seconds(from)),
        false => format!("It happened between {} and {}.", messages::seconds(from), messages::seconds(to)),
    });
    let faults = history.faults_within(from, to);
    if faults.is_empty() {
        sentences.push("No fault was in force.".to_owned());
    }
    sentences.extend(faults.iter().map(|fault| format!("In force, or possibly so: {}.", messages::fault(fault))));
    (sentences, faults.iter().map(|fault| fault.id).collect())
}

impl Checker for Crashes {
    fn name(&self) -> &str {
        CRASHES
    }

    fn needs_realtime(&self) -> bool {
        false
    }

    /// A run without a death says nothing of what was promised to clients.
    fn measures_only(&self) -> bool {
        true
    }

    fn judge_workload(&self, history: &History, _budget: &Budget) -> Verdict {
        let groups = self.groups(history);
        let mut report = Report::new(history);
        for group in &groups {
            report.examples_of(group.kind, group.severity, group.times, || group.finding(history));
        }
        let more = groups.iter().filter(|group| group.severity == Severity::Violation).count().saturating_sub(1);
        let watched = nodes_of(history, ProcessStep::Watched);
        let unwatched: Vec<&str> =
            history.nodes.iter().map(String::as_str).filter(|node| !watched.contains(node)).collect();
        let otherwise = match unwatched.as_slice() {
            _ if watched.is_empty() => (Validity::Unknown, "The target's processes were not watched.".to_owned()),
            [] => (Validity::Valid, self.nothing_broken(history, &groups, watched.len())),
            _ => (Validity::Unknown, format!("The target's processes were not watched on {}.", unwatched.join(", "))),
        };
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        groups.iter().for_each(|group| *totals.entry(group.kind).or_default() += group.times);
        totals.iter().for_each(|(kind, times)| report.number(&kind.replace('-', "_"), *times));
        let restarted = history.processes.iter().filter(|event| event.step == ProcessStep::Restarted).count();
        report.number("watched_nodes", watched.len() as u64);
        report.number("restarted", restarted as u64);
        let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
        report.conclude(self.name(), otherwise, |headline| format!("{headline}{more}."))
    }
}

/// The nodes that have a record of this step.
fn nodes_of(history: &History, step: ProcessStep) -> BTreeSet<&str> {
    history.processes.iter().filter(|event| event.step == step).map(|event| &*event.node).collect()
}

/// Records of one kind that say the same.
struct Group<'h> {
    kind: &'static str,
    severity: Severity,
    /// The first of them, or the first with the last lines of a log.
    event: &'h ProcessEvent,
    times: u64,
}

impl Group<'_> {
    fn finding(&self, history: &History) -> Finding {
        let (mut sentences, faults) = circumstances(self.event, history);
        sentences.extend(ending::reason(self.kind).map(str::to_owned));
        if !self.event.detail.is_empty() {
            sentences.push("It said last:".to_owned());
            sentences.extend(self.event.detail.iter().cloned());
        }
        let title = title(self.kind, self.event, self.times);
        let violation = Violation::explained((self.kind, self.severity), title, sentences, Vec::new());
        violation.at(vec![self.event.node.to_string()], faults).finding(history)
    }
}

impl Crashes {
    /// The records that are findings, those that say the same together, in the order of the first of each.
    fn groups<'h>(&self, history: &'h History) -> Vec<Group<'h>> {
        let mut groups: Vec<Group<'h>> = Vec::new();
        for event in &history.processes {
            let Some((kind, severity)) = self.kind(event, history) else { continue };
            let same = |group: &&mut Group<'h>| {
                (group.kind, group.severity, signature(group.event)) == (kind, severity, signature(event))
            };
            match groups.iter_mut().find(same) {
                Some(group) => {
                    group.times += event.times;
                    if group.event.detail.is_empty() && !event.detail.is_empty() {
                        group.event = event;
                    }
                }
                None => groups.push(Group { kind, severity, event, times: event.times }),
            }
        }
        groups
    }

    /// What a valid answer rests on.
    fn nothing_broken(&self, history: &History, groups: &[Group<'_>], nodes: usize) -> String {
        let nodes = messages::count(nodes, "node");
        let ended = history.processes.iter().any(|event| event.step == ProcessStep::Ended);
        let ends = match (self.crashed.severity(), ended) {
            (None, _) => format!("Ends of processes were not judged on {nodes}"),
            (Some(_), false) => format!("No process of the target ended by itself on {nodes}"),
            (Some(_), true) => format!("No end of a process on {nodes} counts as a crash"),
        };
        let alarms = groups.iter().filter(|group| matches!(group.kind, "log-alarm" | "log-corruption")).count();
        let logs = match self.log_alarm.severity() {
            None => "its logs were not judged".to_owned(),
            Some(_) => logs_searched(history, alarms),
        };
        let beside = match groups.len() {
            0 => String::new(),
            count => format!(" ({} beside)", messages::count(count, "piece of evidence")),
        };
        format!("{ends}, and {logs}{beside}.")
    }
}

/// What was looked for in the logs, and which logs were not read.
fn logs_searched(history: &History, alarms: usize) -> String {
    let mut read: BTreeMap<&str, u64> = BTreeMap::new();
    let mut left_out: Vec<String> = Vec::new();
    for event in history.processes.iter().filter(|event| event.step == ProcessStep::LogsRead) {
        // `3 logs`
        let count = event.how.split(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        *read.entry(&event.node).or_default() += count;
        left_out.extend(event.detail.iter().cloned());
    }
    if read.values().all(|count| *count == 0) {
        return "its logs were not read".to_owned();
    }
    let unread = history.nodes.iter().filter(|node| read.get(node.as_str()).is_none_or(|count| *count == 0));
    left_out.extend(unread.map(|node| format!("no log of {node} was read")));
    let found = if alarms == 0 { "no alarm is" } else { "only alarms that are evidence are" };
    match left_out.as_slice() {
        [] => format!("{found} in its logs"),
        _ => format!("{found} in what was read of its logs: {}", left_out.join("; ")),
    }
}

#[cfg(test)]
mod tests;
