//! `availability`: how much worked before, during and after each fault, and how long recovery took.
//!
//! It measures and does not judge: valid, unless nothing was ever acknowledged; a run that asks for nothing else is
//! Unknown. Times come from the control node's clock.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::checker::{CheckerDoc, Judges};
use crate::history::{Fault, History, Op, Outcome, Phase};
use crate::options::{NoOptions, schema};
use crate::run_level::sides::wrote;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Finding, Report, Severity, Validity, Verdict, Violation};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "availability",
    doc: "Measures what worked before, during and after each fault, and how long each node took to recover.",
    cost: "near-linear, for each heal the calls after it",
    judges: Judges::RUNS,
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(Availability) as _),
};

/// Measures availability and recovery.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Availability;

/// What one fault did to the service.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Effect {
    fault: u64,
    kind: String,
    what: String,
    /// Acknowledged operations a second in a stretch of the same length before it (no fault then), if there was one.
    before_per_second: Option<f64>,
    /// While it may have been in force.
    during_per_second: Option<f64>,
    /// After it, until the next one, at most as long as it lasted.
    after_per_second: Option<f64>,
    /// From its heal to the first acknowledged write called on each node after it; `None`: none came before the end.
    recovery_ms: BTreeMap<String, Option<u64>>,
}

const SECOND: u64 = 1_000_000_000;

/// Acknowledged operations by reply time.
struct Replies {
    times: Vec<u64>,
}

impl Replies {
    fn rate(&self, from: u64, to: u64) -> Option<f64> {
        let count = self.times.partition_point(|&time| time < to) - self.times.partition_point(|&time| time < from);
        // Less than a tenth of a second says nothing about a rate.
        (to >= from + SECOND / 10).then(|| (count as f64 * 10.0 / ((to - from) as f64 / SECOND as f64)).round() / 10.0)
    }
}

/// When clients ran: the load phase, or the whole record where it has no phases.
fn load(history: &History) -> (u64, u64) {
    let begin = history.phases.iter().find(|(phase, _)| *phase == Phase::Load).map_or(0, |(_, mark)| mark.time);
    let end = history.phases.iter().find(|(phase, mark)| *phase != Phase::Load && mark.time >= begin);
    (begin, end.map_or(history.end_time, |(_, mark)| mark.time))
}

fn healed_at(fault: &Fault) -> Option<u64> {
    fault.healed.map(|mark| mark.time).or(fault.self_healed.map(|(_, latest)| latest))
}

fn effect(history: &History, fault: &Fault, replies: &Replies, load: (u64, u64)) -> Option<Effect> {
    let (from, to) = fault.possible()?;
    let to = to.min(load.1).max(from);
    let others = || history.faults.iter().filter(|other| other.id != fault.id).filter_map(Fault::possible);
    let quiet_since = others().filter(|(begin, _)| *begin < from).map(|(_, end)| end).max().unwrap_or(0).max(load.0);
    let quiet_until = others().map(|(begin, _)| begin).filter(|begin| *begin >= to).min().unwrap_or(load.1).min(load.1);
    let length = (to - from).max(SECOND);
    let mut recovery_ms = BTreeMap::new();
    if let Some(healed) = healed_at(fault) {
        let first = history.ops().partition_point(|op| op.call_time < healed);
        for node in &history.nodes {
            let recovered = |op: &Op<'_>| !op.settle && history.name(op.node) == node && wrote(history, op);
            let reply = history.ops().skip(first).iter().filter(recovered).map(|op| op.reply_time).min();
            recovery_ms.insert(node.clone(), reply.map(|time| (time - healed) / 1_000_000));
        }
    }
    Some(Effect {
        fault: fault.id,
        kind: fault.kind.clone(),
        what: fault.what.clone(),
        before_per_second: replies.rate(quiet_since.max(from.saturating_sub(length)).min(from), from),
        during_per_second: replies.rate(from, to),
        after_per_second: replies.rate(to, quiet_until.min(to.saturating_add(length)).max(to)),
        recovery_ms,
    })
}

/// The longest stretch of the load without an acknowledged operation.
fn longest_gap(replies: &Replies, load: (u64, u64)) -> (u64, u64) {
    let inside = replies.times.iter().copied().filter(|time| (load.0..=load.1).contains(time));
    let mut longest = (load.0, load.0);
    let mut last = load.0;
    for time in inside.chain([load.1]) {
        if time - last > longest.1 - longest.0 {
            longest = (last, time);
        }
        last = time;
    }
    longest
}

fn gap_finding(history: &History, (from, to): (u64, u64)) -> Option<Finding> {
    if to - from < SECOND {
        return None;
    }
    let faults: Vec<u64> = history.faults_within(from, to).iter().map(|fault| fault.id).collect();
    let mut sentences = vec![format!(
        "No operation was acknowledged between {} and {}.",
        messages::seconds(from),
        messages::seconds(to)
    )];
    sentences.extend(messages::faults(history, &faults));
    let title = format!("nothing was acknowledged for {}", messages::seconds(to - from));
    let violation = Violation::explained(("longest-gap", Severity::Evidence), title, sentences, Vec::new());
    Some(violation.at(Vec::new(), faults).finding(history))
}

/// Nodes that acknowledged no write after the last heal.
fn stuck_finding(history: &History, effects: &[Effect]) -> Option<Finding> {
    let healed = |effect: &&Effect| !effect.recovery_ms.is_empty();
    let time = |effect: &&Effect| {
        history.faults.iter().find(|fault| fault.id == effect.fault).and_then(healed_at).unwrap_or(0)
    };
    let last = effects.iter().filter(healed).max_by_key(time)?;
    let silent = last.recovery_ms.iter().filter(|(_, recovery)| recovery.is_none());
    let nodes: Vec<String> = silent.map(|(node, _)| node.clone()).collect();
    if nodes.is_empty() {
        return None;
    }
    let title = format!("no write was acknowledged by {} after the last heal", nodes.join(", "));
    let why = format!(
        "Fault {} was the last to heal, at {}; no write called on {} after that was acknowledged before the load ended.",
        last.fault,
        messages::seconds(time(&last)),
        nodes.join(", ")
    );
    let violation = Violation::explained(("not-recovered", Severity::Evidence), title, vec![why], Vec::new());
    Some(violation.at(nodes, vec![last.fault]).finding(history))
}

impl Checker for Availability {
    fn name(&self) -> &str {
        "availability"
    }

    fn measures_only(&self) -> bool {
        true
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let load = load(history);
        let ok = history.ops().iter().filter(|op| op.outcome == Outcome::Ok && !op.settle);
        let mut times: Vec<u64> = ok.map(|op| op.reply_time).collect();
        times.sort_unstable();
        let replies = Replies { times };
        let mut poll = BudgetPoll::each(budget);
        let effects = history.faults.iter().take_while(|_| !poll.over(1));
        let effects: Vec<Effect> = effects.filter_map(|fault| effect(history, fault, &replies, load)).collect();
        let late = poll
            .over(0)
            .then(|| format!("The time was up after {} of {} faults.", effects.len(), history.faults.len()));
        let gap = longest_gap(&replies, load);
        let gap_ms = (gap.1 - gap.0) / 1_000_000;
        let recovery = effects.iter().flat_map(|effect| effect.recovery_ms.values().flatten()).copied().max();
        let seen = replies.times.len();
        let (validity, summary) = if seen == 0 {
            (Validity::Unknown, "No operation was acknowledged during the load.".to_owned())
        } else if let Some(reason) = late {
            (Validity::Unknown, reason)
        } else {
            let recovered = recovery.map(|ms| format!(", slowest recovery {ms} ms")).unwrap_or_default();
            let faults = messages::count(effects.len(), "fault");
            (Validity::Valid, format!("{seen} operations acknowledged; longest gap {gap_ms} ms{recovered}, {faults}."))
        };
        let mut report = Report::new(history);
        if seen > 0 {
            let found = gap_finding(history, gap).into_iter().chain(stuck_finding(history, &effects));
            found.for_each(|finding| report.finding(finding));
        }
        report.numbers([
            ("ok_ops", json!(seen)),
            ("ok_per_second", json!(replies.rate(load.0, load.1))),
            ("longest_gap_ms", json!(gap_ms)),
            ("longest_gap_at_ms", json!(gap.0 / 1_000_000)),
            ("recovery_ms_max", json!(recovery)),
            ("faults", json!(effects)),
        ]);
        report.conclude(self.name(), (validity, summary), |headline| format!("{headline}."))
    }
}
