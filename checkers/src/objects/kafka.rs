//! `kafka`: logs of messages behave like logs, for senders and for pollers.
//!
//! Functions: `send`, `poll` and `txn`, each with a list of micro-operations: `["send", k, v]`, answered
//! `["send", k, [offset, v]]` (offset nil: unknown), and `["poll"]`, answered `["poll", {k: [[offset, v], ..]}]` (or a list
//! of `[k, [[offset, v], ..]]`). Keys that read alike as text are one log. `assign`, `subscribe`, `seek`, `rebalance` and
//! `crash` change where their process polls. Values are sent once to each log; consumers begin at the log's first offset.
//!
//! **Definite**, from acknowledged operations and refused sends:
//! - `inconsistent-offsets`: two values at one offset. `duplicate`: a value at more offsets than there were sends of it.
//! - `G1a`: a polled value of which every send was refused. `unexpected-message`: one that no call had sent by then.
//! - `lost-write`: an acknowledged value, never polled, whose offset is at most the highest polled one of its log.
//! - `int-poll-skip`, `int-nonmonotonic-poll`: a poll (or a later one of the same operation) passes an offset that holds
//!   an acknowledged or elsewhere polled message, or does not go up. `poll-skip`, `nonmonotonic-poll`: the same between
//!   successive operations of one process.
//! - `G1c`: transactions that polled each other's messages in a circle, where each message was sent by one of them only.
//! - `int-nonmonotonic-send`, `nonmonotonic-send`: offsets of one process' successive sends to one log do not go up. An
//!   offset without a reply is the only one at which polls show the message.
//! - `precommitted-read`: a transaction polled what only it had sent. A violation with `isolation: read-committed`.
//!
//! **Of calls that were not acknowledged** ([`Op::completion_value`](crate::history::Op::completion_value)). Polls show
//! what the log holds, but for messages that the call itself sent and refused ones. Offsets that an info call reports of
//! its sends count once an acknowledged poll shows a message that only this call sent: it has committed as a whole. The
//! next acknowledged poll should begin where aborted ones did; if it skips messages that is evidence and unknown, since
//! rewinding is the client's work.
//!
//! **Not definite.** A process expects nothing after `seek`, `rebalance`, `crash`, a poll without a reply, or in logs that
//! an `assign` or `subscribe` does not name or seeks to the beginning. After `subscribe` its partitions may be taken away at
//! any time: what it misses between two polls is evidence. Where such a process' poll was never answered, or any process
//! seeks, so is every `lost-write`. A call that is not understood makes evidence of what it may explain: findings about
//! logs that it may have sent to, or polled. Acknowledged messages above the highest polled offset are `unseen`: a number,
//! no violation. Cycles through the order of offsets (ww, rw) are not judged: logs do not isolate the sends of a transaction
//! from those of another. Unknown where nothing was acknowledged or nothing polled.
//!
//! After Jepsen's `kafka` workload. The certificate of `lost-write` holds the send and a poll beyond it, those of skips
//! the polls and an operation that has the message between: that no other poll has it is a claim about the history. What rests
//! on calls that were not acknowledged, or on offsets that only polls tell, has no certificate.
mod cycles;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod log;
mod order;
#[cfg(test)]
mod tests;

use crate::calls::{by_key, workloads_where};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::Value;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Severity, Verdict};
use crate::verdict::{Report, Violation};
use log::{Logs, Message, Observation};
use schemars::JsonSchema;
use serde::Deserialize;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "kafka",
    doc: "Logs of messages behave like logs: one value at an offset, nothing lost, polls in order without gaps.",
    cost: "near-linear",
    judges: Judges::calls(&["send", "poll", "txn"], &["assign", "subscribe", "seek", "rebalance", "crash"]),
    options: schema::<Kafka>,
    build: from_options::<Kafka>,
};

/// What polls may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Isolation {
    /// A poll of what its own transaction sent is a violation, too.
    ReadCommitted,
    /// Polls may show what was not committed.
    ReadUncommitted,
}

/// Judges workloads that send and poll. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "KafkaOptions")]
pub(crate) struct Kafka {
    /// What polls may show. Left out: a poll of what its own transaction sent is evidence, and the answer unknown.
    isolation: Option<Isolation>,
}

/// What is found in a log, and how sure that is.
struct Flaw {
    kind: &'static str,
    severity: Severity,
    log: u32,
    /// Whether the operations alone show it.
    certified: bool,
}

impl Flaw {
    fn new(kind: &'static str, severity: Severity, log: u32) -> Flaw {
        Flaw { kind, severity, log, certified: true }
    }
}

/// The logs with the report about them.
struct Judge<'a, 'h> {
    history: &'h History,
    logs: &'a Logs<'h>,
    report: &'a mut Report<'h>,
    isolation: Option<Isolation>,
    /// Polls that left out what only polls of calls that were not acknowledged had shown.
    gone_on: Vec<u64>,
}

impl<'h> Judge<'_, 'h> {
    fn op(&self, position: u32) -> Op<'h> {
        self.history.ops().at(position as usize)
    }

    fn uncommitted(&self) -> bool {
        self.isolation == Some(Isolation::ReadUncommitted)
    }

    /// Something about a log. The subject is the log and what is wrong in it. No operation that was not acknowledged
    /// certifies what it polled, or where it sent.
    fn found(&mut self, found: Flaw, subject: Value, title: String, ops: &[u32]) {
        let ops: Vec<Op<'_>> = ops.iter().map(|&at| self.op(at)).collect();
        let key = self.logs.key(found.log);
        let make = || {
            let subject = Value::list([Value::text(key), subject]);
            let mut violation = Violation::new(found.kind, title, subject, ops);
            violation.key = Value::text(key);
            violation.certified = found.certified;
            violation
        };
        self.report.violation_of(found.kind, found.severity, make);
    }

    fn record(&mut self, kind: &'static str, severity: Severity, log: u32, subject: Value, title: String, ops: &[u32]) {
        let certified = ops.iter().all(|&at| happened(&self.op(at)));
        self.found(Flaw { certified, ..Flaw::new(kind, severity, log) }, subject, title, ops);
    }

    /// Offsets with several values, and values at several offsets.
    fn positions(&mut self) {
        let mut observations = self.logs.observations.clone();
        observations.sort_unstable_by_key(|seen| (seen.log, seen.offset, !seen.acknowledged, seen.op, seen.value));
        for group in observations.chunk_by(|one, two| (one.log, one.offset) == (two.log, two.offset)) {
            let first = group[0];
            if let Some(other) = group.iter().find(|seen| seen.value != first.value) {
                let offset = first.offset;
                let (one, two) = (self.logs.value(first.value), self.logs.value(other.value));
                let title = format!("offset {offset} of log {} holds {one} and {two}", self.logs.key(first.log));
                let (kind, violation) = ("inconsistent-offsets", Severity::Violation);
                self.record(kind, violation, first.log, offset.into(), title, &[first.op, other.op]);
            }
        }
        observations.sort_unstable_by_key(|seen| (seen.value, seen.offset, !seen.acknowledged, seen.op));
        for group in observations.chunk_by(|one, two| one.value == two.value) {
            let mut offsets: Vec<Observation> = group.to_vec();
            offsets.dedup_by_key(|seen| seen.offset);
            let message = &self.logs.messages[group[0].value as usize];
            if offsets.len() > (message.tried as usize).max(1) {
                let value = self.logs.value(group[0].value);
                let shown: Vec<String> = offsets.iter().take(6).map(|seen| seen.offset.to_string()).collect();
                let title = format!("{value} is in log {} at offsets {}", self.logs.key(message.log), shown.join(", "));
                let enough = (message.tried as usize).max(1) + 1;
                // Alone, without the other sends, operations do not show how often it was sent.
                let certified = message.tried < 2 && offsets.iter().take(enough).all(|seen| seen.acknowledged);
                let shown: Vec<u32> = offsets.iter().take(enough).map(|seen| seen.op).collect();
                let observations: Vec<Observation> =
                    group.iter().filter(|seen| seen.acknowledged || !certified).copied().collect();
                let ops = needed(&observations, shown, message.send, enough);
                let sure = !self.logs.doubts.sent(message.log);
                let found = Flaw { certified, ..Flaw::new("duplicate", severity(sure), message.log) };
                self.found(found, value.to_value(), title, &ops);
            }
        }
    }

    /// Messages that should not have been polled, or should have been.
    fn messages(&mut self) {
        let logs = self.logs;
        let highest = logs.highest();
        let (mut unseen, mut missing) = (0, 0);
        for message in &logs.messages {
            let log = message.log;
            if let Some(poll) = message.polled.or(message.shown) {
                self.polled(message, poll);
                continue;
            }
            let (value, key) = (message.content, logs.key(log));
            let Some((offset, send)) = message.acknowledged else {
                continue;
            };
            let passed = offset.filter(|offset| highest[log as usize].is_some_and(|highest| *offset <= highest));
            let Some(offset) = passed else {
                unseen += 1;
                continue;
            };
            let sent = self.op(send);
            let how = if happened(&sent) { "acknowledged" } else { "committed" };
            let title = format!(
                "{value}, {how} by #{} at offset {offset} of log {key}, was never polled, but later ones were",
                sent.call
            );
            let beyond = logs.beyond(log, offset);
            let ops: Vec<u32> = [send].into_iter().chain(beyond).collect();
            if logs.passed == 0 {
                self.record("lost-write", severity(!logs.doubts.polled(log)), log, value.to_value(), title, &ops);
            } else {
                missing += 1;
                self.record("lost-write", Severity::Evidence, log, value.to_value(), title, &ops);
            }
        }
        self.report.number("unseen", unseen);
        self.report.number("missing", missing);
        if missing > 0 {
            let reasons = messages::count(logs.passed as usize, "seek or unanswered poll in a group");
            self.report.unknown(format!(
                "{missing} acknowledged messages were never polled, but {reasons} may have passed them."
            ));
        }
    }

    /// A message that this call polled first: a call sent it before, and was not refused.
    fn polled(&mut self, message: &Message<'h>, poll: u32) {
        let (log, value, key, read) = (message.log, message.content, self.logs.key(message.log), self.op(poll));
        // Only what was acknowledged promised to show what was committed.
        let sure = happened(&read) && !self.logs.doubts.sent(log);
        if let (0, Some(send)) = (message.tried, message.refused) {
            if self.uncommitted() {
                return;
            }
            let sent = self.op(send).call;
            let title = format!("#{} polled {value} from log {key}, the send of which, #{sent}, failed", read.call);
            let found = Flaw::new("G1a", severity(sure), log);
            self.found(found, value.to_value(), title, &[send, poll]);
        } else if message.send.is_none_or(|send| self.op(send).call > read.reply) {
            let title = format!("#{} polled {value} from log {key}, which no call had sent by then", read.call);
            let ops: Vec<u32> = message.send.into_iter().chain([poll]).collect();
            let found = Flaw::new("unexpected-message", severity(sure), log);
            self.found(found, value.to_value(), title, &ops);
        }
    }

    /// Transactions that polled what they had sent themselves.
    fn precommitted(&mut self) {
        if self.uncommitted() {
            return;
        }
        let demanded = self.isolation == Some(Isolation::ReadCommitted);
        let mut first = None;
        for &(message, op) in &self.logs.precommitted {
            let message = &self.logs.messages[message as usize];
            let (log, value, call) = (message.log, message.content, self.op(op).call);
            let sure = demanded && !self.logs.doubts.sent(log);
            let title =
                format!("#{call} polled {value} from log {}, which it had only just sent itself", self.logs.key(log));
            self.record("precommitted-read", severity(sure), log, value.to_value(), title, &[op]);
            first = first.or(Some(call)).filter(|_| !demanded);
        }
        if let Some(first) = first {
            let count = messages::count(self.logs.precommitted.len(), "message");
            self.report.unknown(format!(
                "Transactions polled {count} of their own before they committed (first #{first}): isolation=read-committed \
                 forbids that, isolation=read-uncommitted allows it."
            ));
        }
    }

    /// Why a history without violations is not valid either.
    fn doubts(&mut self) {
        let (logs, report) = (self.logs, &mut *self.report);
        let (sends, polls) = logs.calls;
        if sends + polls == 0 {
            report.unknown("No call sends or polls, so nothing can be judged.".to_owned());
        } else if logs.acknowledged == 0 {
            let sends = messages::count(sends as usize, "send");
            report.unknown(format!("None of {sends} was acknowledged, so nothing can be judged."));
        }
        if sends + polls > 0 && logs.polled == 0 {
            let polls = messages::count(polls as usize, "poll");
            report.unknown(format!("No acknowledged poll of {polls} showed a message, so nothing can be judged."));
        }
        if let [first, ..] = self.gone_on[..] {
            let count = messages::count(self.gone_on.len(), "poll");
            report.unknown(format!(
                "{count} skipped messages that its process had polled only in aborted calls (first #{first}): after an abort \
                 the client has to rewind."
            ));
        }
        report.malformed("see the shapes of send, poll and txn", &logs.malformed);
    }
}

/// Of these operations, which show a message at `enough` offsets together with its first send, those without which they
/// would not.
fn needed(group: &[Observation], mut ops: Vec<u32>, send: Option<u32>, enough: usize) -> Vec<u32> {
    ops.extend(send);
    ops.sort_unstable();
    ops.dedup();
    for op in ops.clone() {
        let rest: Vec<u32> = ops.iter().copied().filter(|other| *other != op).collect();
        let mut offsets: Vec<i64> =
            group.iter().filter(|seen| rest.contains(&seen.op)).map(|seen| seen.offset).collect();
        offsets.dedup();
        if Some(op) != send && offsets.len() >= enough {
            ops = rest;
        }
    }
    ops
}

/// A violation, if it is sure.
fn severity(sure: bool) -> Severity {
    if sure { Severity::Violation } else { Severity::Evidence }
}

impl Checker for Kafka {
    fn name(&self) -> &str {
        "kafka"
    }

    /// Sends and polls may all be parts of `txn`.
    fn workloads(&self, history: &History) -> Vec<NameId> {
        let ours = |op: &Op<'_>| match history.name(op.function) {
            "poll" | "send" | "subscribe" | "assign" => true,
            "txn" => log::sends_or_polls(op.input),
            _ => false,
        };
        workloads_where(history, ours)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let mut objects = by_key(history, &self.workloads(history));
        let functions: Vec<NameId> = log::FUNCTIONS.iter().filter_map(|name| history.find_name(name)).collect();
        for object in &mut objects {
            object.ops.retain(|&at| functions.contains(&history.ops().at(at as usize).function));
        }
        let mut report = Report::about(history, &objects);
        let mut logs = Logs::default();
        // Keys are in the micro-operations, and a process' order goes through all of them.
        let mut positions: Vec<u32> = objects.iter().flat_map(|object| &object.ops).copied().collect();
        positions.sort_unstable();
        logs.take(history, &positions);
        logs.finish(self.isolation != Some(Isolation::ReadUncommitted));
        let (isolation, gone_on) = (self.isolation, Vec::new());
        let mut judge = Judge { history, logs: &logs, report: &mut report, isolation, gone_on };
        let mut poll = BudgetPoll::each(budget);
        for pass in PASSES {
            if poll.over(1) {
                break;
            }
            pass(&mut judge);
        }
        judge.doubts();
        report.late(&poll, PASSES.len(), "passes over the history");
        let (acknowledged, polled) = (logs.acknowledged, logs.polled);
        report.numbers([("logs", logs.len() as u64), ("acknowledged", acknowledged), ("polled", polled)]);
        for kind in KINDS {
            let name = kind.replace('-', "_");
            let count = report.broken(kind);
            report.number(&name, count);
        }
        let sound = format!(
            "{} of {} and {polled} polled ones agree.",
            messages::count(acknowledged as usize, "acknowledged message"),
            messages::count(logs.len(), "log")
        );
        report.verdict(self.name(), sound)
    }
}

/// What is judged, one after the other.
const PASSES: [fn(&mut Judge<'_, '_>); 6] = [
    |judge| judge.positions(),
    |judge| judge.messages(),
    |judge| judge.precommitted(),
    order::polls,
    order::sends,
    cycles::circles,
];

/// The kinds of violations.
const KINDS: [&str; 13] = [
    "inconsistent-offsets",
    "duplicate",
    "G1a",
    "unexpected-message",
    "precommitted-read",
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
