//! `membership`: what nodes answer when they are asked who is a member follows who lives.
//!
//! Function: `members`, with the list of the names of all nodes that the asked node takes for alive as reply.
//!
//! Two rules, as for any failure detector (T. D. Chandra and S. Toueg, Unreliable failure detectors for reliable distributed systems,
//! 1996, section 3, strong completeness and eventual strong accuracy, with a time in place of "eventually"):
//!
//! - **Completeness.** A node that certainly was down for `forget` when the call began, and until it ended, is in no reply. A node is down
//!   while a kill that took it is in force.
//! - **Accuracy.** Every other node is in every reply, unless it was disturbed.
//!
//! A call is disturbed, and judged by neither rule, if a fault may have been in force in it or in the `settle` (for the first rule, the
//! `forget`) before it, or if the load had not yet begun by then. A kill does not disturb the first rule. With `slow_links`, faults of packets
//! only delay packets and disturb nothing. Faults of clocks never do: no failure detector needs the time of day. A node of which a
//! process ended by itself is not judged any more.
//!
//! Findings: `ghost-member`, `false-death`. Unknown: no call could be judged for accuracy. Where the record does not name
//! the nodes, they are those that were asked.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use crate::calls::{objects, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{Fault, History, NameId, Op, Outcome, Phase, ProcessStep};
use crate::options::schema;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Severity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "membership",
    doc: "No node takes for a member what is long dead, and each takes for members all that live.",
    cost: "near-linear, for each call the faults and the nodes",
    judges: Judges::calls(&["members"], &[]),
    options: schema::<Membership>,
    build: from_options::<Membership>,
};

/// Twice what failure detectors of common systems need to suspect a node and to remove it.
const PATIENCE_MS: u64 = 10_000;
/// The kind of a fault that ends a node's processes.
const KILL: &str = "kill";

/// Judges failure detectors. Its fields are the options.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "MembershipOptions")]
pub(crate) struct Membership {
    /// How long after its death a node may still be taken for a member.
    forget: Span,
    /// How long after a fault a node that lives may still be taken for dead.
    settle: Span,
    /// Faults of packets only delay them: a node that is slow must not be taken for dead.
    slow_links: bool,
}

impl Default for Membership {
    fn default() -> Membership {
        let patience = Span::millis(PATIENCE_MS);
        Membership { forget: patience, settle: patience, slow_links: false }
    }
}

/// How many replies were judged.
#[derive(Default)]
struct Tally {
    replies: u64,
    accuracy: u64,
    completeness: u64,
}

impl Checker for Membership {
    fn name(&self) -> &str {
        "membership"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["members"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let objects = objects(history, &["members"], &["members"]);
        let mut report = Report::about(history, &objects);
        let mut poll = BudgetPoll::new(budget);
        let (mut tally, mut malformed) = (Tally::default(), Vec::new());
        let nodes = nodes(history);
        for object in &objects {
            for op in object.ops(history).take_while(|_| !poll.over(1)) {
                if op.outcome != Outcome::Ok {
                    continue;
                }
                tally.replies += 1;
                let names = op.output.as_list().map(|list| list.iter().map(|name| name.as_text()).collect());
                let names: Option<Option<BTreeSet<&str>>> = names;
                match names.flatten() {
                    Some(members) => self.reply((history, &nodes), &op, &members, (&mut tally, &mut report)),
                    None => malformed.push(op.call),
                }
            }
        }
        let Tally { replies, accuracy, completeness } = tally;
        if accuracy == 0 {
            let settle = self.settle.as_millis();
            report.unseen(&format!(
                "None of {replies} replies came {settle} ms after all faults, so nothing can be said."
            ));
        }
        report.malformed("members replies with a list of names", &malformed);
        report.numbers([("replies", replies), ("judged_living", accuracy), ("judged_dead", completeness)]);
        report.late(&poll, history.ops().len(), "operations");
        let kept = format!(
            "{accuracy} of {replies} replies name all nodes that live, and {completeness} none that was long dead."
        );
        report.verdict(self.name(), kept)
    }
}

impl Membership {
    /// Judges one reply.
    fn reply<'h>(
        &self,
        (history, nodes): (&'h History, &BTreeSet<&'h str>),
        op: &Op<'h>,
        members: &BTreeSet<&str>,
        (tally, report): (&mut Tally, &mut Report<'h>),
    ) {
        if !self.disturbed(history, op, self.settle, |_| true) {
            tally.accuracy += 1;
            for lives in nodes.difference(members).filter(|node| !ended(history, node, op)) {
                report.violation("false-death", || false_death(history, op, lives, self.settle));
            }
        }
        let forget = nanoseconds(self.forget);
        let dead = history.faults.iter().filter(|fault| fault.kind == KILL);
        let long_dead = dead.filter(|fault| {
            let down = fault.certain();
            down.is_some_and(|(from, to)| op.call_time >= from.time.saturating_add(forget) && op.reply < to.index)
        });
        let mut judged = false;
        for fault in long_dead {
            if self.disturbed(history, op, self.forget, |other| other.kind != KILL) {
                continue;
            }
            judged = true;
            for ghost in fault.nodes.iter().filter(|node| members.contains(node.as_str())) {
                report.violation("ghost-member", || ghost_member(history, op, (ghost, fault)));
            }
        }
        tally.completeness += u64::from(judged);
    }

    /// Whether a fault of those that count may have been in force in the call, or so long before it.
    fn disturbed(&self, history: &History, op: &Op<'_>, before: Span, counts: impl Fn(&Fault) -> bool) -> bool {
        let before = nanoseconds(before);
        let from = op.call_time.saturating_sub(before);
        let disturbs = |fault: &&Fault| match fault.kind.as_str() {
            "clock" => false,
            "packet" => !self.slow_links,
            _ => true,
        };
        let mut faults = history.faults_within(from, op.reply_time).into_iter().filter(disturbs);
        load_begin(history).is_some_and(|begin| op.call_time < begin.saturating_add(before)) || faults.any(counts)
    }
}

fn nanoseconds(span: Span) -> u64 {
    span.as_millis().saturating_mul(1_000_000)
}

/// All nodes; where the record does not name them, those that were asked.
fn nodes(history: &History) -> BTreeSet<&str> {
    match history.nodes.is_empty() {
        true => history.ops().iter().map(|op| history.name(op.node)).collect(),
        false => history.nodes.iter().map(String::as_str).collect(),
    }
}

/// When the load began, where the history says so.
fn load_begin(history: &History) -> Option<u64> {
    history.phases.iter().find(|(phase, _)| *phase == Phase::Load).map(|(_, mark)| mark.time)
}

/// Whether a process of the node had ended by itself before the call was over.
fn ended(history: &History, node: &str, op: &Op<'_>) -> bool {
    let by_itself = [ProcessStep::Ended, ProcessStep::OutOfMemory];
    let mut events = history.processes.iter().filter(|event| event.index < op.reply && &*event.node == node);
    events.any(|event| by_itself.contains(&event.step))
}

fn false_death<'h>(history: &'h History, op: &Op<'h>, lives: &str, settle: Span) -> Violation<'h> {
    let asked = history.name(op.node);
    let quiet = format!(
        "No fault that excuses it may have been in force in the call and in the {} ms before it.",
        settle.as_millis()
    );
    let faults = history.faults_within(op.call_time, op.reply_time).into_iter().map(|fault| fault.id).collect();
    let title = format!("{asked} takes {lives}, which lives, for dead");
    Violation::explained(("false-death", Severity::Violation), title, vec![quiet], vec![*op])
        .at(vec![asked.to_owned(), lives.to_owned()], faults)
}

fn ghost_member<'h>(history: &'h History, op: &Op<'h>, (ghost, fault): (&str, &Fault)) -> Violation<'h> {
    let asked = history.name(op.node);
    let since = fault.proven.map_or(0, |mark| op.call_time.saturating_sub(mark.time)) / 1_000_000;
    let why = format!(
        "{} took it {since} ms before the call, and was in force until after the reply.",
        messages::fault(fault)
    );
    let title = format!("{asked} takes {ghost}, which has been dead for {since} ms, for a member");
    Violation::explained(("ghost-member", Severity::Violation), title, vec![why], vec![*op])
        .at(vec![asked.to_owned(), ghost.to_owned()], vec![fault.id])
}
