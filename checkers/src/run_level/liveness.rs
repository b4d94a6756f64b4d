//! `liveness`: after each heal every node answers again within a stated time.
//!
//! A promise with a threshold, unlike `availability`, which only measures. A heal is judged for a node when its window,
//! from the heal on for `recover`, is quiet: no other fault may have been in force in it, and it ends before the load does.
//! The node must have acknowledged something before (a node that never serves, say a follower, recovers nothing), and
//! clients must have called it in the first half of the window for something that it mostly did before the fault (a lock
//! that is busy is refused rightly). A node that refuses all of those because another leads (`not-leader`, `read-only`) is left
//! out, if some node answers. It recovered when a call that was made after the heal was
//! acknowledged before the window's end. Where requests move to another node after a failover, the option `scope:
//! any-node` asks only that some node answers. Times are the control node's.
//!
//! Findings: `not-recovered`, and as evidence `not-healed` (a fault that was never verified to be gone). Unknown: no
//! heal could be judged; the numbers say how many were, and why not.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{Fault, History, NameId, Outcome, Phase};
use crate::options::schema;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Which nodes must recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Scope {
    /// Every node.
    EachNode,
    /// It is enough that some node answers.
    AnyNode,
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "liveness",
    doc: "After each heal every node answers again within a stated time.",
    cost: "near-linear, for each heal and node the calls in its window",
    judges: Judges::RUNS,
    options: schema::<Liveness>,
    build: from_options::<Liveness>,
};

/// Longer than the failovers of common systems, heals included.
const RECOVER_MS: u64 = 30_000;

/// Judges recovery. Its fields are the options.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LivenessOptions")]
pub(crate) struct Liveness {
    /// How long after a heal a node may take to acknowledge a new call.
    recover: Span,
    /// Which nodes must recover.
    scope: Scope,
}

impl Default for Liveness {
    fn default() -> Liveness {
        Liveness { recover: Span::millis(RECOVER_MS), scope: Scope::EachNode }
    }
}

/// When it was gone, nanoseconds: by proof, or by the nodes' own heals.
fn gone_at(fault: &Fault) -> Option<u64> {
    fault.possible().map(|(_, end)| end).filter(|end| *end < u64::MAX)
}

/// Calls of each function on each node: acknowledged, and all.
type Record = BTreeMap<(NameId, NameId), (u64, u64)>;

/// How a node answered in a window.
struct Service {
    /// In the first half it was called for something that it used to do.
    called: bool,
    /// It refused each of those because another node leads.
    follows: bool,
    /// When it first acknowledged a call made in the window, and that came within it.
    answered: Option<u64>,
}

/// Codes of a node that is well and does not lead.
const FOLLOWS: [&str; 2] = ["not-leader", "read-only"];

fn service(history: &History, nodes: &[NameId], record: &Record, (from, to): (u64, u64)) -> Service {
    let half = from + (to - from) / 2;
    let mut service = Service { called: false, follows: true, answered: None };
    let first = history.ops().partition_point(|op| op.call_time < from);
    let within = history.ops().skip(first).iter().take_while(|op| op.call_time <= to && !op.settle);
    for op in within.filter(|op| nodes.contains(&op.node)) {
        // A lock that is busy or a value that does not match is refused rightly: that says nothing of the node's health.
        let used_to = record.get(&(op.node, op.function)).is_some_and(|(ok, all)| ok * 2 > *all);
        if op.call_time <= half && used_to {
            service.called = true;
            service.follows &=
                op.outcome == Outcome::Fail && op.error.is_some_and(|code| FOLLOWS.contains(&history.name(code)));
        }
        if op.outcome == Outcome::Ok && op.reply_time <= to {
            service.answered = Some(service.answered.map_or(op.reply_time, |time| time.min(op.reply_time)));
        }
    }
    service
}

/// When the load ended: at the first other phase after it, or with the record.
fn load_end(history: &History) -> u64 {
    let begun = history.phases.iter().position(|(phase, _)| *phase == Phase::Load).unwrap_or(0);
    let other = history.phases[begun.min(history.phases.len())..].iter().find(|(phase, _)| *phase != Phase::Load);
    other.map_or(history.end_time, |(_, mark)| mark.time)
}

impl Liveness {
    fn violation<'h>(&self, history: &'h History, fault: &Fault, healed: u64, nodes: &[NameId]) -> Violation<'h> {
        let names: Vec<String> = nodes.iter().map(|node| history.name(*node).to_owned()).collect();
        let all = names.join(", ");
        Violation {
            title: format!(
                "{all} acknowledged nothing within {} ms after fault {} was healed",
                self.recover.as_millis(),
                fault.id
            ),
            reasons: vec![
                format!("{} was gone at {}.", messages::fault(fault), messages::seconds(healed)),
                format!(
                    "{all} had answered before it, was called after the heal, and acknowledged none of those calls until {}.",
                    messages::seconds(healed + self.recover.as_millis() * 1_000_000)
                ),
                "No other fault may have been in force meanwhile.".to_owned(),
            ],
            ..Violation::default()
        }
        .at(names, Vec::new())
    }
}

impl Checker for Liveness {
    fn name(&self) -> &str {
        "liveness"
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let end = load_end(history);
        let mut before = history.ops().iter().filter(|op| !op.settle).peekable();
        let mut record = Record::new();
        let mut faults: Vec<&Fault> = history.faults.iter().filter(|fault| fault.begun.is_some()).collect();
        faults.sort_by_key(|fault| fault.begun);
        let mut report = Report::new(history);
        let (mut judged, mut disturbed, mut uncalled, mut following, mut slowest) =
            (0_usize, 0_usize, 0_usize, 0_usize, 0);
        let mut poll = BudgetPoll::each(budget);
        let all = faults.len();
        for fault in faults.into_iter().take_while(|_| !poll.over(1)) {
            let Some(begun) = fault.begun else { continue };
            while let Some(op) = before.next_if(|op| op.call < begun.index) {
                let (ok, all) = record.entry((op.node, op.function)).or_default();
                (*ok, *all) = (*ok + u64::from(op.outcome == Outcome::Ok), *all + 1);
            }
            let Some(healed) = gone_at(fault) else {
                report.evidence("not-healed", || Violation {
                    title: format!("it was never verified that {} is gone", messages::fault(fault)),
                    circumstances: Some((fault.nodes.clone(), Vec::new())),
                    ..Violation::default()
                });
                continue;
            };
            let until = healed.saturating_add(self.recover.as_millis().saturating_mul(1_000_000));
            if until > end || history.faults_within(healed, until).iter().any(|other| other.id != fault.id) {
                disturbed += 1;
                continue;
            }
            let mut serving: Vec<NameId> =
                record.iter().filter(|(_, (ok, _))| *ok > 0).map(|((node, _), _)| *node).collect();
            serving.dedup();
            serving.sort_by_key(|node| history.name(*node));
            let groups: Vec<&[NameId]> =
                if self.scope == Scope::AnyNode { vec![&serving[..]] } else { serving.chunks(1).collect() };
            let window = (healed, until);
            for nodes in groups {
                let of_group = service(history, nodes, &record, window);
                match of_group.answered {
                    Some(time) => {
                        judged += 1;
                        slowest = slowest.max((time - healed) / 1_000_000);
                    }
                    None if !of_group.called => uncalled += 1,
                    None if of_group.follows && service(history, &serving, &record, window).answered.is_some() => {
                        following += 1;
                    }
                    None => {
                        judged += 1;
                        report.violation("not-recovered", || self.violation(history, fault, healed, nodes));
                    }
                }
            }
        }
        let otherwise = if judged == 0 {
            let text = format!(
                "No recovery could be judged: {} whose {} ms overlap another fault or the end of the load, {} uncalled, {} that \
                 follow another.",
                messages::count(disturbed, "heal"),
                self.recover.as_millis(),
                messages::count(uncalled, "node"),
                following
            );
            (Validity::Unknown, text)
        } else {
            let text = format!(
                "Nodes recovered within {1} ms after each heal ({0} judged), the slowest in {slowest} ms.",
                judged,
                self.recover.as_millis()
            );
            (Validity::Valid, text)
        };
        let numbers = [
            ("judged", json!(judged)),
            ("disturbed", json!(disturbed)),
            ("uncalled", json!(uncalled)),
            ("following", json!(following)),
            ("recovery_ms_max", json!(slowest)),
        ];
        report.late(&poll, all, "faults");
        report.answer(self.name(), otherwise, numbers)
    }
}
