//! `kafka`: logs of messages behave like logs, for those who send and for those who poll.
//!
//! Functions: `send`, `poll` and `txn`, each with a list of micro-operations: `["send", k, v]`, answered
//! `["send", k, [offset, v]]` (offset nil: unknown), and `["poll"]`, answered `["poll", {k: [[offset, v], ..]}]` (or a list
//! of `[k, [[offset, v], ..]]`). Keys that read alike as text are one log. `assign`, `subscribe`, `seek`, `rebalance` and
//! `crash` change where their process polls. Values are sent once to each log; consumers begin at the log's first offset.
//!
//! **Definite**, from acknowledged operations and refused sends:
//! - `inconsistent-offsets`: two values at one offset. `duplicate`: a value at more offsets than there were sends of it.
//! - `G1a`: a polled value of which every send was refused. `unexpected-message`: one that nobody had sent by then.
//! - `lost-write`: an acknowledged value, never polled, whose offset is at most the highest polled one of its log.
//! - `int-poll-skip`, `int-nonmonotonic-poll`: a poll (or a later one of the same operation) passes an offset that holds
//!   an acknowledged or elsewhere polled message, or does not go up. `poll-skip`, `nonmonotonic-poll`: the same between
//!   successive operations of one process.
//! - `G1c`: transactions that polled each other's messages in a circle, where each message was sent by one of them only.
//! - `int-nonmonotonic-send`, `nonmonotonic-send`: offsets of one process' successive sends to one log do not go up.
//!
//! **Not definite.** A process expects nothing after `assign`, `subscribe`, `seek`, `rebalance`, `crash`, or a poll that
//! was not acknowledged. After `subscribe` its partitions may be taken away at any time: what it misses between two
//! polls is evidence. Where such a process' poll was never answered, or any process seeks, so is every `lost-write`.
//! Acknowledged messages above the highest polled offset are `unseen`: a number, no violation. Cycles through the order
//! of offsets (ww, rw) are not judged: logs do not isolate the sends of a transaction from those of another. Unknown where
//! nothing was acknowledged or nothing polled.
//!
//! After Jepsen's `kafka` workload. The certificate of `lost-write` holds the send and a poll beyond it, those of skips
//! the polls and an operation that has the message between: that no other poll has it is a claim about the history.
mod cycles;
#[doc(hidden)]
pub mod fuzz;
mod log;
mod order;
#[cfg(test)]
mod tests;

use crate::contract::{Breach, Report, objects};
use crate::history::{History, Op, Outcome};
use crate::pace::Pace;
use crate::registry::{CheckerDoc, WORKLOAD, with_workload};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Verdict};
use crate::wording;
use log::{Logs, Sighting};

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "kafka",
    doc: "Logs of messages behave like logs: one value at an offset, nothing lost, polls in order without gaps.",
    options: &[WORKLOAD],
    build: |options| Ok(Box::new(with_workload!(Kafka::new(), options))),
};

/// Judges workloads that send and poll.
#[derive(Clone, Debug, Default)]
pub struct Kafka {
    workload: Option<String>,
}

impl Kafka {
    /// Judges every workload that has `poll`, `send` or `subscribe`.
    pub fn new() -> Kafka {
        Kafka::default()
    }

    /// Judges this workload only.
    pub fn workload(mut self, name: &str) -> Kafka {
        self.workload = Some(name.to_owned());
        self
    }
}

/// The logs with the report about them.
struct Judge<'a, 'h> {
    history: &'h History,
    logs: &'a Logs<'h>,
    report: &'a mut Report<'h>,
}

impl<'h> Judge<'_, 'h> {
    fn op(&self, position: u32) -> Op<'h> {
        self.history.ops().at(position as usize)
    }

    /// A violation about a log. The subject is the log and what is wrong in it.
    fn broken(&mut self, kind: &'static str, log: u32, subject: Value, title: String, ops: &[u32]) {
        self.said(kind, Severity::Violation, log, subject, title, ops);
    }

    fn said(&mut self, kind: &'static str, severity: Severity, log: u32, subject: Value, title: String, ops: &[u32]) {
        let ops: Vec<Op<'_>> = ops.iter().map(|&at| self.op(at)).collect();
        let key = self.logs.key(log);
        let make = || {
            let subject = Value::list([Value::text(key), subject]);
            let mut breach = Breach::new(kind, title, subject, ops);
            breach.key = Value::text(key);
            breach
        };
        self.report.breach_of(kind, severity, make);
    }

    /// The same where a call that could not be understood may explain it: then it is evidence.
    fn perhaps(&mut self, kind: &'static str, log: u32, subject: Value, title: String, ops: &[u32]) {
        let sure = self.logs.malformed.is_empty();
        self.said(kind, if sure { Severity::Violation } else { Severity::Evidence }, log, subject, title, ops);
    }

    /// Offsets with several values, and values at several offsets.
    fn positions(&mut self) {
        let mut sightings = self.logs.sightings.clone();
        sightings.sort_unstable_by_key(|seen| (seen.log, seen.offset, seen.op, seen.value));
        for group in sightings.chunk_by(|one, two| (one.log, one.offset) == (two.log, two.offset)) {
            let first = group[0];
            if let Some(other) = group.iter().find(|seen| seen.value != first.value) {
                let offset = first.offset;
                let (one, two) = (self.logs.value(first.value), self.logs.value(other.value));
                let title = format!("offset {offset} of log {} holds {one} and {two}", self.logs.key(first.log));
                self.broken("inconsistent-offsets", first.log, offset.into(), title, &[first.op, other.op]);
            }
        }
        sightings.sort_unstable_by_key(|seen| (seen.value, seen.offset, seen.op));
        for group in sightings.chunk_by(|one, two| one.value == two.value) {
            let mut offsets: Vec<Sighting> = group.to_vec();
            offsets.dedup_by_key(|seen| seen.offset);
            let message = &self.logs.messages[group[0].value as usize];
            if offsets.len() > (message.tried as usize).max(1) {
                let value = self.logs.value(group[0].value);
                let shown: Vec<String> = offsets.iter().take(6).map(|seen| seen.offset.to_string()).collect();
                let title = format!("{value} is in log {} at offsets {}", self.logs.key(message.log), shown.join(", "));
                let enough = (message.tried as usize).max(1) + 1;
                let mut ops: Vec<u32> = offsets.iter().take(enough).map(|seen| seen.op).collect();
                ops.extend(message.send);
                self.perhaps("duplicate", message.log, value.to_value(), title, &ops);
            }
        }
    }

    /// Messages that should not have been polled, or should have been.
    fn messages(&mut self) {
        let logs = self.logs;
        let highest = logs.highest();
        let (mut unseen, mut missing) = (0, 0);
        for message in &logs.messages {
            let (log, value, key) = (message.log, message.content, logs.key(message.log));
            if let Some(poll) = message.polled {
                let read = self.op(poll);
                if let (0, Some(send)) = (message.tried, message.refused) {
                    let sent = self.op(send).call;
                    let title =
                        format!("#{} polled {value} from log {key}, the send of which, #{sent}, failed", read.call);
                    self.perhaps("G1a", log, value.to_value(), title, &[send, poll]);
                } else if message.send.is_none_or(|send| self.op(send).call > read.reply) {
                    let title = format!("#{} polled {value} from log {key}, which nobody had sent by then", read.call);
                    let ops: Vec<u32> = message.send.into_iter().chain([poll]).collect();
                    self.perhaps("unexpected-message", log, value.to_value(), title, &ops);
                }
                continue;
            }
            let Some((offset, send)) = message.acknowledged else {
                continue;
            };
            let passed = offset.filter(|offset| highest[log as usize].is_some_and(|highest| *offset <= highest));
            let Some(offset) = passed else {
                unseen += 1;
                continue;
            };
            let sent = self.op(send).call;
            let title = format!(
                "{value}, acknowledged by #{sent} at offset {offset} of log {key}, was never polled, though later ones were"
            );
            let beyond = logs.beyond(log, offset);
            let ops: Vec<u32> = [send].into_iter().chain(beyond).collect();
            if logs.passed == 0 {
                self.perhaps("lost-write", log, value.to_value(), title, &ops);
            } else {
                missing += 1;
                self.said("lost-write", Severity::Evidence, log, value.to_value(), title, &ops);
            }
        }
        self.report.number("unseen", unseen);
        self.report.number("missing", missing);
        if missing > 0 {
            let reasons = wording::count(logs.passed as usize, "seek or unanswered poll in a group");
            self.report.unknown(format!(
                "{missing} acknowledged messages were never polled, but {reasons} may have passed them."
            ));
        }
    }
}

impl Checker for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let objects = objects(history, &["poll", "send", "subscribe"], &log::FUNCTIONS, self.workload.as_deref());
        let mut report = Report::about(history, &objects);
        let mut logs = Logs::default();
        // Keys are in the micro-operations, and a process' order goes through all of them.
        let mut positions: Vec<u32> = objects.iter().flat_map(|object| &object.ops).copied().collect();
        positions.sort_unstable();
        logs.take(history, &positions);
        logs.finish();
        let mut judge = Judge { history, logs: &logs, report: &mut report };
        let mut pace = Pace::each(budget);
        for pass in PASSES {
            if pace.over(1) {
                break;
            }
            pass(&mut judge);
        }
        let (acknowledged, polled) = (logs.acknowledged, logs.polled);
        if acknowledged == 0 {
            report.unknown("No send was acknowledged, so nothing can be said.".to_owned());
        }
        if polled == 0 {
            report.unknown("Nothing was polled, so nothing can be said.".to_owned());
        }
        report.malformed("see the shapes of send, poll and txn", &logs.malformed);
        report.late(&pace, PASSES.len(), "passes over the history");
        report.number("logs", logs.len() as u64);
        report.number("acknowledged", acknowledged);
        report.number("polled", polled);
        for kind in KINDS {
            let name = kind.replace('-', "_");
            let count = report.broken(kind);
            report.number(&name, count);
        }
        let sound = format!(
            "{acknowledged} acknowledged messages of {} and {polled} polled ones agree.",
            wording::count(logs.len(), "log")
        );
        report.verdict(self.name(), sound)
    }
}

/// What is judged, one after the other.
const PASSES: [fn(&mut Judge<'_, '_>); 5] =
    [|judge| judge.positions(), |judge| judge.messages(), order::polls, order::sends, cycles::circles];

/// The kinds of violations.
const KINDS: [&str; 12] = [
    "inconsistent-offsets",
    "duplicate",
    "G1a",
    "unexpected-message",
    "lost-write",
    "int-poll-skip",
    "poll-skip",
    "int-nonmonotonic-poll",
    "nonmonotonic-poll",
    "int-nonmonotonic-send",
    "nonmonotonic-send",
    "G1c",
];

/// Whether an operation certainly happened.
fn happened(op: &Op<'_>) -> bool {
    op.outcome == Outcome::Ok
}
