//! `unique-ids`: no two acknowledged calls were given the same id.
//!
//! Function: `generate`, with the id (any value but nil) as reply. Only acknowledged calls count: an id that no call
//! received may be given out again. Ids are compared within one key of one workload.
//!
//! Finding: `duplicate-id`, with the first two calls that received it. Unknown where fewer than two ids were received.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Elements, objects, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::{NoOptions, schema};
use crate::value::ValueRef;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::{Budget, Checker, Verdict};
use crate::verdict::{Report, Violation};
use serde_json::json;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "unique-ids",
    doc: "No two acknowledged calls were given the same id.",
    cost: "near-linear",
    judges: Judges::calls(&["generate"], &[]),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(UniqueIds) as _),
};

/// Judges workloads that generate ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UniqueIds;

impl Checker for UniqueIds {
    fn name(&self) -> &str {
        "unique-ids"
    }

    /// Two equal ids are equal in any order.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["generate"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let objects = objects(history, &["generate"], &["generate"]);
        let mut report = Report::about(history, &objects);
        let (mut attempts, mut received, mut duplicated, mut pairs) = (0, 0, 0, 0);
        let mut range: Option<(ValueRef<'_>, ValueRef<'_>)> = None;
        let mut malformed = Vec::new();
        let mut poll = BudgetPoll::new(budget);
        for object in &objects {
            if poll.over(0) {
                break;
            }
            let mut ids = Elements::default();
            // For each id the call that received it first, and how many did.
            let mut first: Vec<(Op<'_>, u32)> = Vec::new();
            let mut here = 0;
            for op in object.ops(history).take_while(|_| !poll.over(1)) {
                attempts += 1;
                if op.outcome != Outcome::Ok {
                    continue;
                }
                if op.output.is_nil() {
                    malformed.push(op.call);
                    continue;
                }
                here += 1;
                let (low, high) = range.unwrap_or((op.output, op.output));
                range = Some((low.min(op.output), high.max(op.output)));
                let at = ids.number(op.output) as usize;
                if at == first.len() {
                    first.push((op, 1));
                    continue;
                }
                first[at].1 += 1;
                if first[at].1 > 2 {
                    continue;
                }
                duplicated += 1;
                let (id, before) = (op.output, first[at].0);
                let title = format!("id {id} was given to #{} and to #{}", before.call, op.call);
                report.record(Violation::new("duplicate-id", title, id.to_value(), vec![before, op]).on(object.key));
            }
            received += here;
            pairs += u64::from(here > 1);
        }
        if pairs == 0 {
            report.unseen("Fewer than two ids were received, so nothing can be said.");
        }
        report.malformed("generate replies with an id", &malformed);
        report.numbers([("attempts", attempts), ("received", received), ("duplicated", duplicated)]);
        if let Some((low, high)) = range {
            report.number("range", json!([low, high]));
        }
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), format!("All {received} ids that were received differ."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::random_history::agrees;
    use crate::testing::history;
    use crate::verdict::Validity;

    fn judge(ids: &[&str]) -> Verdict {
        let call = |id: &&str| format!("0 generate -> ok {id}\n");
        UniqueIds.check(&history(&ids.iter().map(call).collect::<String>()), &Budget::unlimited())
    }

    #[test]
    fn different_ids_are_valid() {
        let verdict = judge(&["1", "\"1\"", "[1]", "-1"]);
        assert_eq!((verdict.validity, &verdict.numbers["received"]), (Validity::Valid, &4.into()));
    }

    #[test]
    fn the_same_id_twice_is_told_with_both_calls() {
        let verdict = judge(&["1", "[1]", "[1]", "[1]"]);
        assert_eq!((verdict.validity, &verdict.numbers["duplicated"]), (Validity::Invalid, &1.into()));
        assert_eq!((verdict.findings.len(), &verdict.findings[0].ops[..]), (1, &[2, 4][..]));
        assert!(verdict.findings[0].certificate.is_some());
    }

    #[test]
    fn one_id_or_no_id_says_nothing() {
        assert_eq!(judge(&["1"]).validity, Validity::Unknown);
        assert_eq!(judge(&["1", "2", "null"]).validity, Validity::Unknown);
    }

    #[test]
    fn agrees_with_the_definition() {
        agrees(fuzz::differ);
    }
}
