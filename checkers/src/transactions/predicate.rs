//! `g2`: of the inserts under one key, each made only if no row of that key was there, at most one succeeds.
//!
//! The workload is Jepsen's for Adya's G2 (an anti-dependency cycle through predicates): a call of `insert` with a key and
//! `[a, b]`, one of them an id and the other nil, is a transaction that reads two tables for rows of the key, by a
//! predicate, and inserts its id into the first or the second table if both reads are empty; if not, it fails. The key
//! may also stand in the value, `[key, [a, b]]`.
//!
//! Definite: two acknowledged inserts under one key. In a serial order the later would have found the row of the earlier, so
//! that the history is not serializable; whether the two were concurrent does not matter. Fail inserted nothing; Info says
//! nothing. The finding is `G2`: each missed the other's row.
//!
//! Unknown: no insert was acknowledged, or no key was tried twice.
pub(crate) mod closed;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::workloads_with;
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::{NoOptions, schema};
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::certificate::{Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Report, Severity, Validity, Verdict, Violation};
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "g2",
    doc: "Of the inserts under one key, each made only if a predicate found no row there, at most one succeeds.",
    cost: "near-linear",
    judges: Judges::calls(&["insert"], &[]),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(G2) as _),
};

/// Judges workloads of inserts under a predicate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct G2;

/// The inserts under one key.
#[derive(Default)]
struct Inserts<'h> {
    /// All inserts, and those that may have taken effect.
    calls: u64,
    tried: u64,
    ok: Vec<(Op<'h>, ValueRef<'h>)>,
}

/// The key and the id of an insert.
fn insert<'h>(op: &Op<'h>) -> Option<(ValueRef<'h>, ValueRef<'h>)> {
    let pair = op.input.as_list().filter(|pair| pair.len() == 2)?;
    let (key, ids) = match pair.at(1).as_list().filter(|_| op.key.is_nil()) {
        Some(ids) => (pair.at(0), ids),
        None => (op.key, pair),
    };
    let mut ids = ids.iter().filter(|id| !id.is_nil());
    ids.next().filter(|_| ids.next().is_none()).map(|id| (key, id))
}

impl Checker for G2 {
    fn name(&self) -> &str {
        "g2"
    }

    /// Each of two inserts missed the other, whichever came first.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["insert"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let mut keys: BTreeMap<(NameId, ValueRef<'_>), Inserts<'_>> = BTreeMap::new();
        let mut poll = BudgetPoll::new(budget);
        for op in history.ops().iter().filter(|op| history.name(op.function) == "insert").take_while(|_| !poll.over(1))
        {
            let Some((key, id)) = insert(&op) else {
                let why = format!("#{} is no insert of this kind: it takes [id, nil] or [nil, id].", op.call);
                return Verdict::unknown(self.name(), why);
            };
            let inserts = keys.entry((op.workload, key)).or_default();
            inserts.calls += 1;
            inserts.tried += u64::from(op.outcome != Outcome::Fail);
            if op.outcome == Outcome::Ok {
                inserts.ok.push((op, id));
            }
        }
        let mut report = Report::new(history);
        for ((_, key), inserts) in keys.iter().filter(|(_, inserts)| inserts.ok.len() > 1) {
            report.violation("G2", || violation(history, *key, inserts));
        }
        let broken = report.violations();
        let acknowledged = keys.values().filter(|inserts| !inserts.ok.is_empty()).count();
        let contested = keys.values().filter(|inserts| inserts.tried > 1).count();
        let tried_twice = keys.values().any(|inserts| inserts.calls > 1 && !inserts.ok.is_empty());
        let otherwise = if acknowledged == 0 {
            (Validity::Unknown, "No insert was acknowledged.".to_owned())
        } else if !tried_twice {
            (Validity::Unknown, "No key under which an insert succeeded was tried twice.".to_owned())
        } else {
            (Validity::Valid, format!("No two inserts succeeded under any of {}.", messages::count(keys.len(), "key")))
        };
        report.late(&poll, history.ops().len(), "operations");
        report.numbers([
            ("keys", keys.len() as u64),
            ("acknowledged_keys", acknowledged as u64),
            ("contested_keys", contested as u64),
            ("broken_keys", broken),
        ]);
        let contradicted = messages::count(broken as usize, "key");
        report.conclude(self.name(), otherwise, |_| {
            format!("Not serializable: several inserts succeeded under {contradicted}.")
        })
    }
}

fn violation<'h>(history: &'h History, key: ValueRef<'_>, inserts: &Inserts<'h>) -> Violation<'h> {
    let [(one, first), (other, second)] = [inserts.ok[0], inserts.ok[1]];
    let title =
        format!("#{} and #{} both inserted under key {key}, and neither saw the other's row", one.call, other.call);
    let ops = vec![one, other];
    let mut sentences: Vec<String> = ops.iter().map(|op| messages::operation(history, op)).collect();
    for (reader, writer, id) in [(one, other, second), (other, one, first)] {
        sentences.push(format!(
            "#{} comes before #{}: it read no row of key {key}, and so not {id}, which #{} inserted.",
            reader.call, writer.call, writer.call
        ));
    }
    if history.realtime && one.end() < other.call {
        sentences.push(format!("#{} had even ended before #{} was called.", one.call, other.call));
    }
    if inserts.ok.len() > 2 {
        sentences.push(format!("In all {} inserts succeeded under this key.", inserts.ok.len()));
    }
    let edge = |from: &Op<'_>, to: &Op<'_>, id: ValueRef<'_>| Edge {
        from: from.call,
        to: to.call,
        kind: EdgeKind::Rw,
        key: key.to_value(),
        before: Value::Nil,
        after: id.to_value(),
    };
    let cycle = vec![edge(&one, &other, second), edge(&other, &one, first)];
    let violation = Violation::explained(("G2", Severity::Violation), title, sentences, ops);
    Violation { cycle, anomaly: Some("G2"), certified: true, ..violation }.on(key)
}

#[cfg(test)]
mod tests;
