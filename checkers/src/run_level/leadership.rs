//! `leadership`: no term has two leaders, whoever says so.
//!
//! Two sources. Role claims of the record: nodes that said that they lead a term, where term and role were read together or
//! come from the node's own log. And operations: `leader` (asked of anyone) or `elect` (called by a candidate) with
//! `{"leader": l, "term": t}` as acknowledged reply, by key, one key for each group that elects. The target must have read
//! both together: a client that puts them together from two answers makes terms with two leaders itself. A term has at most one
//! leader for all time, so intervals do not matter; a reply that names no leader or no term says nothing, and two
//! leaders of different terms at one time are no contradiction. A claim and a reply are not compared with each other: nodes
//! and members may be named differently.
//!
//! Finding: `two-leaders-in-one-term`. Unknown: neither a trustworthy claim nor a reply that names leader and term.
//! Leases by which leaders hold their office are judged by `lease`.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{at, by_key, part, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, Outcome};
use crate::options::{NoOptions, schema};
use crate::run_level::split_brain::leaders;
use crate::value::ValueRef;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use serde_json::json;
use std::collections::HashMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "leadership",
    doc: "No term has two leaders, by what nodes claim and log and by what clients are told.",
    cost: "near-linear",
    judges: Judges::calls(&["elect", "leader"], &["resign", "write", "log"]).and_runs(),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(Leadership) as _),
};

/// Judges which nodes led which term.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leadership;

/// Replies that name a leader and a term, and the contradictions among them.
fn replies<'h>(
    history: &'h History,
    workloads: &[crate::history::NameId],
    poll: &mut BudgetPoll<'_>,
    report: &mut Report<'h>,
) -> usize {
    let mut seen = 0;
    for group in by_key(history, workloads).into_iter().take_while(|group| !poll.over(group.ops.len())) {
        let mut leaders: HashMap<i64, (ValueRef<'h>, u32)> = HashMap::new();
        for &position in &group.ops {
            let op = at(history, position);
            if op.outcome != Outcome::Ok || !matches!(history.name(op.function), "leader" | "elect") {
                continue;
            }
            let leader = part(op.output, "leader").filter(|leader| !leader.is_nil());
            let (Some(leader), Some(term)) = (leader, part(op.output, "term").and_then(ValueRef::as_int)) else {
                continue;
            };
            seen += 1;
            let (known, first) = *leaders.entry(term).or_insert((leader, position));
            if known != leader {
                report.violation("two-leaders-in-one-term", || {
                    let first = at(history, first);
                    Violation {
                        title: format!(
                            "#{} names {known} and #{} names {leader} as leader of term {term}",
                            first.call, op.call
                        ),
                        ops: vec![first, op],
                        key: op.key.to_value(),
                        subject: term.into(),
                        reasons: vec!["A term has at most one leader, at whatever time.".to_owned()],
                        ..Violation::default()
                    }
                });
            }
        }
    }
    seen
}

impl Checker for Leadership {
    fn name(&self) -> &str {
        "leadership"
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["leader", "elect"]);
        let mut report = Report::new(history);
        let mut poll = BudgetPoll::new(budget);
        let replies = replies(history, &workloads, &mut poll, &mut report);
        report.late(&poll, history.ops().len(), "operations");
        let claims = leaders::trusted(history).count();
        let otherwise = if claims + replies == 0 {
            (Validity::Unknown, "No leader was named together with its term.".to_owned())
        } else if claims + replies == 1 {
            let text = "Only once was a leader named together with its term: there is nothing to compare.";
            (Validity::Unknown, text.to_owned())
        } else {
            let (claims, replies) = (messages::count(claims, "trustworthy claim"), replies);
            (Validity::Valid, format!("No term has two leaders in {claims} and {replies} replies to clients."))
        };
        let numbers = [("trusted_leader_claims", json!(claims)), ("replies", json!(replies))];
        leaders::two_in_one_term(history, &mut report);
        report.answer(self.name(), otherwise, numbers)
    }
}
