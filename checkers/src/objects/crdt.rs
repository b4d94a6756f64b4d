//! `crdt`: after quiescence all replicas are equal, and no replica ever shows what the updates cannot explain.
//!
//! An object for each key. Updates are `add`, `increment`, `decrement` (counters: the amount, default 1), `add` and `remove`
//! (sets: the element) and `write` (registers: the value, or `{"value": v, "timestamp": t}` where the client gives the
//! time by which the last writer wins). `read` replies with a number, a list, or a value; or with `{"value": v, "clock": c}`,
//! where equal clocks mean that the same updates were delivered. A node is a replica; where the history names no nodes, as
//! Maelstrom's do not, final reads are told apart by process.
//!
//! Final reads are the last of the settle phase on each node, called `quiesce` or more after every update had ended
//! and every fault was gone. A replica that lacks something then may still receive it, unless
//! - the option `quiesce` is given: replicas are to be equal from then on,
//! - the run noted that its replicas had converged (the recipe's `converged` probe),
//! - no final read of any replica showed a change for 10 s, and the run did not note that they had not converged, or
//! - every node answered, and no replica has what is missing.
//!
//! Otherwise what follows about final reads is evidence (`replica-lags`), and the answer unknown. Findings, by type:
//! - all: `diverged` (final reads differ where no Info update can be the reason; else `replicas-differ`, evidence),
//!   `same-clock-different-value`;
//! - counters: `value-out-of-bounds`: no read beyond the sum of all attempts called before its reply; final ones within
//!   the acknowledged and the attempted;
//! - sets: `unexpected-element`; `lost-element`: acknowledged, and every attempt to remove it had ended before the add
//!   was called; `resurrected-element`: each add was acknowledged on a node before that node acknowledged a remove;
//! - registers: `unexpected-value`; `lost-write`: nothing there, or an older timestamp than an acknowledged write's;
//! - types that only grow (`g-counter`, `g-set`): `shrunk`, a later read on the same node that shows less.
//!
//! Counters begin at 0 and registers with nil, or with the option `initial` ([`crate::Initial`]); sets begin empty.
//!
//! Unknown: nothing acknowledged, final reads on fewer than two nodes, functions or replies of another
//! shape than the type's, doubt as above, or replicas that may be behind.
pub(crate) mod agree;
mod counter;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod register;
mod sets;

use crate::calls::{Group, at, by_key, part, unknown_functions, workloads_with};
use crate::checker::{CheckerDoc, Judges};
use crate::history::standstill::{STANDSTILL_MS, Shown, converged_at, last_change, not_converged, unchanged};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::{Basis, Beginnings, FromInitial, Initial, WithInitial, of_key};
use crate::objects::final_reads::{Failures, none_of_its_own, unheard};
use crate::options::schema;
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Validity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Options of `crdt`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CrdtOptions {
    /// The replicated type. Left out: what the calls look like.
    #[serde(rename = "type")]
    kind: Option<CrdtType>,
    /// How long after the last update and the last heal replicas are to be equal. Left out: they are to be once they are known
    /// to have converged.
    quiesce: Option<Span>,
    initial: Initial,
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "crdt",
    doc: "After quiescence all replicas are equal, and none ever shows what the updates cannot explain.",
    cost: "near-linear",
    judges: Judges::calls(&["add", "increment", "decrement", "remove", "write"], &["read"]),
    options: schema::<CrdtOptions>,
    build: |given| {
        let CrdtOptions { kind, quiesce, initial } = given.read()?;
        if matches!(kind, Some(CrdtType::GCounter | CrdtType::PnCounter)) {
            initial.integers()?;
        }
        Ok(Box::new(WithInitial::new(Crdt { kind, quiesce_ms: quiesce.map(Span::as_millis) }, initial)))
    },
};

/// What kind of replicated type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum CrdtType {
    /// A counter that only grows.
    GCounter,
    /// A counter that goes up and down.
    PnCounter,
    /// A set that only grows.
    GSet,
    /// A set in which a remove takes away the adds that it observed.
    OrSet,
    /// A register whose last writer wins.
    LwwRegister,
}

impl CrdtType {
    /// What the calls of a workload look like.
    fn guess(history: &History, workload: NameId) -> Option<CrdtType> {
        let (mut list, mut down, mut guess) = (None, false, None);
        for op in history.ops().iter().filter(|op| op.workload == workload) {
            match history.name(op.function) {
                "remove" => return Some(CrdtType::OrSet),
                "write" => return Some(CrdtType::LwwRegister),
                "decrement" => down = true,
                "increment" => guess = Some(CrdtType::GCounter),
                "add" => down |= op.input.as_int().is_some_and(|amount| amount < 0),
                "read" if op.outcome == Outcome::Ok && list.is_none() => {
                    let value = value_of(&op);
                    list = (!value.is_nil()).then(|| value.as_list().is_some());
                }
                _ => {}
            }
        }
        match list {
            Some(true) => Some(CrdtType::GSet),
            _ if down => Some(CrdtType::PnCounter),
            Some(false) => Some(CrdtType::GCounter),
            None => guess,
        }
    }

    fn updates(self) -> &'static [&'static str] {
        match self {
            CrdtType::GCounter => &["add", "increment"],
            CrdtType::PnCounter => &["add", "increment", "decrement"],
            CrdtType::GSet => &["add"],
            CrdtType::OrSet => &["add", "remove"],
            CrdtType::LwwRegister => &["write"],
        }
    }
}

/// Judges replicated data types.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crdt {
    kind: Option<CrdtType>,
    quiesce_ms: Option<u64>,
}

/// The kind of finding that a replica which may only be behind makes.
const LAGS: &str = "replica-lags";

/// Who answered: the node, or where it is not named, somebody for this process.
fn replica(history: &History, op: &Op<'_>) -> String {
    match messages::placed(history, op) {
        true => history.name(op.node).to_owned(),
        false => format!("process {}", history.client(op.process)),
    }
}

/// What a read says of the object.
fn value_of<'h>(op: &Op<'h>) -> ValueRef<'h> {
    part(op.output, "value").unwrap_or(op.output)
}

/// One object: its updates and what was read.
struct Object<'h> {
    key: ValueRef<'h>,
    /// Updates that may have taken effect, in the order of their calls.
    updates: Vec<Op<'h>>,
    /// Acknowledged reads.
    reads: Vec<Op<'h>>,
    /// The final read of each node, by node; of each process where nodes are not named.
    finals: Vec<Op<'h>>,
    /// From when on a read is final: called after this index, and not before this time.
    since: (u64, u64),
    /// What it began with, where that was said.
    begins: Option<Value>,
    /// When every update had ended and every fault was gone, in nanoseconds.
    quiet: u64,
    /// Whether replicas are known to show what they will go on to show: none of them is only behind.
    converged: bool,
    /// Whether every node answered a final read.
    whole: bool,
}

impl<'h> Object<'h> {
    fn doubtful(&self) -> bool {
        self.updates.iter().any(|op| op.outcome == Outcome::Info)
    }

    /// Acknowledged reads by node, in order of name, where the node is known: a node is a replica.
    fn by_node(&self, history: &'h History) -> Vec<Vec<Op<'h>>> {
        let mut nodes: BTreeMap<&str, Vec<Op<'h>>> = BTreeMap::new();
        for read in self.reads.iter().filter(|read| messages::placed(history, read)) {
            nodes.entry(history.name(read.node)).or_default().push(*read);
        }
        nodes.into_values().collect()
    }

    fn violation(&self, title: String, ops: Vec<Op<'h>>, subject: Value, reason: String) -> Violation<'h> {
        Violation { title, ops, key: self.key.to_value(), subject, reasons: vec![reason], ..Violation::default() }
    }

    /// The same of what is about final reads or replicas: of times, faults and nodes, that is.
    fn quiet(&self, title: String, ops: Vec<Op<'h>>, subject: Value, reason: String) -> Violation<'h> {
        Violation { certified: false, ..self.violation(title, ops, subject, reason) }
    }

    /// Reports a final read that lacks something: a violation where it cannot come any more, else evidence. `nowhere`:
    /// no replica has it.
    fn lacking(
        &self,
        kind: &'static str,
        nowhere: bool,
        report: &mut Report<'h>,
        violation: impl FnOnce() -> Violation<'h>,
    ) {
        if self.converged || (nowhere && self.whole) {
            report.violation(kind, violation);
        } else {
            report.evidence(LAGS, || {
                let mut violation = violation();
                violation
                    .reasons
                    .push("The replicas are not known to have converged, so it may only be behind.".to_owned());
                violation
            });
        }
    }

    /// Two final reads that differ.
    fn differ(&self, history: &'h History, one: Op<'h>, two: Op<'h>, doubt: bool, report: &mut Report<'h>) {
        let tell = || {
            let nodes = (replica(history, &one), replica(history, &two));
            let reason = if doubt {
                "An update that was never acknowledged may have arrived in between."
            } else {
                "Every update had ended before either was read."
            };
            let title = format!("{} and {} show different values at the end", nodes.0, nodes.1);
            self.quiet(title, vec![one, two], Value::Nil, reason.to_owned())
        };
        if doubt {
            report.evidence("replicas-differ", tell);
        } else {
            self.lacking("diverged", false, report, tell);
        }
    }
}

/// A workload with the type of its objects, where that shows.
type Kinds = HashMap<NameId, Option<CrdtType>>;

impl Crdt {
    fn kinds(&self, history: &History) -> (Vec<NameId>, Kinds) {
        let workloads = self.workloads(history);
        let kind = |id: &NameId| (*id, self.kind.or_else(|| CrdtType::guess(history, *id)));
        let kinds = workloads.iter().map(kind).collect();
        (workloads, kinds)
    }

    /// From when on a read of the settle phase is final for every object, unless its updates ended later: nanoseconds.
    fn quiet_since(&self, history: &History) -> Option<u64> {
        let begun = history.faults.iter().filter(|fault| fault.begun.is_some());
        begun
            .map(|fault| fault.possible().map(|(_, end)| end).filter(|end| *end < u64::MAX))
            .try_fold(0, |last, end| Some(end?.max(last)))
    }

    fn object<'h>(&self, history: &'h History, group: &Group<'h>, kind: CrdtType, quiet: Option<u64>) -> Object<'h> {
        let (mut updates, mut reads) = (Vec::new(), Vec::new());
        let (mut ended, mut time) = (0, quiet.unwrap_or(0));
        for op in group.ops.iter().map(|&position| at(history, position)) {
            let function = history.name(op.function);
            if kind.updates().contains(&function) {
                if op.outcome != Outcome::Info {
                    (ended, time) = (ended.max(op.reply), time.max(op.reply_time));
                }
                if op.outcome != Outcome::Fail {
                    updates.push(op);
                }
            } else if function == "read" && op.outcome == Outcome::Ok {
                reads.push(op);
            }
        }
        let since = time.saturating_add(self.quiesce_ms.unwrap_or(0).saturating_mul(1_000_000));
        let mut shown: BTreeMap<String, Vec<(Op<'h>, Vec<ValueRef<'h>>)>> = BTreeMap::new();
        for read in reads.iter().filter(|op| op.settle && op.call > ended && op.call_time >= since && quiet.is_some()) {
            shown.entry(replica(history, read)).or_default().push((*read, held(read)));
        }
        let whole = history.nodes.iter().all(|node| shown.contains_key(node));
        let finals: Vec<Op<'h>> = shown.values().filter_map(|reads| reads.last()).map(|(read, _)| *read).collect();
        let shown: Vec<Shown<'h, Vec<ValueRef<'h>>>> = shown.into_values().map(Shown::new).collect();
        let converged = self.quiesce_ms.is_some() || converged(history, time, &finals, &shown);
        let since = (ended, since);
        Object { key: group.key, updates, reads, finals, since, quiet: time, converged, whole, begins: None }
    }
}

/// What a read says that its replica holds: the elements of a list, each once and in order, or the value.
fn held<'h>(read: &Op<'h>) -> Vec<ValueRef<'h>> {
    let value = value_of(read);
    let Some(list) = value.as_list() else { return vec![value] };
    let mut elements: Vec<ValueRef<'h>> = list.iter().collect();
    elements.sort_unstable();
    elements.dedup();
    elements
}

/// Whether replicas with these final reads had converged: the run noted it after this time and before each of the reads,
/// or they stand still.
fn converged<'h>(history: &History, quiet: u64, finals: &[Op<'h>], shown: &[Shown<'h, Vec<ValueRef<'h>>>]) -> bool {
    let first = finals.iter().map(|read| read.call_time).min().unwrap_or(0);
    if converged_at(history).is_some_and(|at| (quiet..=first).contains(&at)) {
        return true;
    }
    let change = last_change(shown.iter());
    let still = |one: &Shown<'h, Vec<ValueRef<'h>>>| unchanged(one, change) >= STANDSTILL_MS * 1_000_000;
    !shown.is_empty() && not_converged(history).is_none() && shown.iter().all(still)
}

/// Reads with equal clocks have been told of the same updates.
fn same_clocks<'h>(object: &Object<'h>, same: impl Fn(&Op<'h>, &Op<'h>) -> bool, report: &mut Report<'h>) {
    let mut clocks: HashMap<ValueRef<'h>, Op<'h>> = HashMap::new();
    for read in &object.reads {
        let Some(clock) = part(read.output, "clock") else { continue };
        let first = *clocks.entry(clock).or_insert(*read);
        if !same(&first, read) {
            report.violation("same-clock-different-value", || {
                let title = format!("#{} and #{} show different values under one clock", first.call, read.call);
                let reason = format!("Both had received the same updates ({clock}), whatever their order.");
                object.violation(title, vec![first, *read], clock.to_value(), reason)
            });
        }
    }
}

/// Functions that change an object of some type.
const CHANGES: &[&str] = &["add", "increment", "decrement", "remove", "write"];

impl FromInitial for Crdt {
    const CERTIFIES: bool = false;

    fn name(&self) -> &str {
        "crdt"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, self.kind.map_or(CHANGES, CrdtType::updates))
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        let any = CHANGES;
        let (workloads, kinds) = self.kinds(history);
        let quiet = self.quiet_since(history);
        let mut report = Report::new(history);
        let (mut acknowledged, mut finals, mut few, mut unclear, mut objects) = (0, 0, 0, 0, 0);
        let mut failures = Failures::default();
        let mut not_compared: BTreeSet<&str> = BTreeSet::new();
        let read = history.find_name("read");
        let mut poll = BudgetPoll::new(budget);
        for group in by_key(history, &workloads) {
            if poll.over(group.ops.len()) {
                break;
            }
            let took = |op: &Op<'_>| op.outcome == Outcome::Ok && any.contains(&history.name(op.function));
            acknowledged += group.ops(history).filter(took).count();
            let unanswered = |op: &Op<'_>| op.settle && op.outcome != Outcome::Ok;
            // No read returned anything, so that the type does not show.
            let Some(kind) = kinds.get(&group.workload).copied().flatten() else {
                few += 1;
                group.ops(history).filter(unanswered).for_each(|op| failures.take(history, &op));
                continue;
            };
            let unknown =
                unknown_functions(history, &group.ops, kind.updates()).iter().filter(|name| **name != "read").count();
            objects += 1;
            if unknown > 0 {
                unclear += unknown;
                continue;
            }
            let mut object = self.object(history, &group, kind, quiet);
            object.begins = of_key(initial, group.key);
            finals += object.finals.len();
            few += usize::from(object.finals.len() < 2);
            let asked: Vec<Op<'_>> = group.ops(history).filter(|op| op.settle && Some(op.function) == read).collect();
            let silent = unheard(history, asked.iter(), object.finals.iter().map(|op| op.node));
            let failed = asked.iter().filter(|op| op.outcome != Outcome::Ok);
            let failed = failed.filter(|op| silent.contains(history.name(history.bound_node(op))));
            failed.for_each(|op| failures.take(history, op));
            not_compared.extend(silent);
            unclear += match kind {
                CrdtType::GCounter | CrdtType::PnCounter => {
                    counter::judge(history, &object, kind == CrdtType::GCounter, &mut report)
                }
                CrdtType::GSet | CrdtType::OrSet => {
                    sets::judge(history, &object, kind == CrdtType::GSet, &mut poll, &mut report)
                }
                CrdtType::LwwRegister => register::judge(history, &object, &mut report),
            };
        }
        let (doubt, behind) = (report.count("replicas-differ"), report.count(LAGS));
        let unknown = |text: String| (Validity::Unknown, text);
        let otherwise = if acknowledged == 0 {
            unknown("No update was acknowledged.".to_owned())
        } else if unclear > 0 {
            unknown(format!("{} of another shape than the type's.", messages::count(unclear, "operation")))
        } else if few > 0 {
            unknown(format!(
                "{} without final reads on two nodes, after {acknowledged} acknowledged updates.{}",
                messages::count(few, "object"),
                failures.sentence()
            ))
        } else if behind > 0 {
            unknown(format!(
                "{} of a final read from what was acknowledged or from another replica's, but the replicas are not known \
                 to have converged (the option quiesce says from when on they must be equal).",
                messages::count(behind, "difference")
            ))
        } else if doubt > 0 {
            unknown(format!(
                "{}, perhaps by an update that was never acknowledged.",
                messages::count(doubt, "difference")
            ))
        } else if !not_compared.is_empty() {
            unknown(format!(
                "{}, so the comparison is not whole; the other nodes agree.{}",
                none_of_its_own(&not_compared),
                failures.sentence()
            ))
        } else {
            let (objects, finals) = (messages::count(objects, "object"), messages::count(finals, "final read"));
            let (nodes, placed) = ("on all nodes", history.ops().iter().any(|op| messages::placed(history, &op)));
            let nodes = if placed { nodes } else { "for all processes (nodes are not named)" };
            (Validity::Valid, format!("{objects} equal {nodes} in {finals}, after {acknowledged} updates."))
        };
        let numbers = [("updates", json!(acknowledged)), ("final_reads", json!(finals))];
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, numbers)
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        let (workloads, kinds) = self.kinds(history);
        let of = |group: Group<'_>| -> Vec<(Value, Value, Basis)> {
            let (first, basis) = match kinds.get(&group.workload).copied().flatten() {
                Some(CrdtType::GCounter | CrdtType::PnCounter) => {
                    (counter::above(history, &group).into_iter().collect(), Basis::Counted)
                }
                Some(CrdtType::LwwRegister) => (register::first(history, &group), Basis::Read),
                _ => (Vec::new(), Basis::Read),
            };
            first.into_iter().map(|value| (group.key.to_value(), value, basis)).collect()
        };
        let certain = by_key(history, &workloads).into_iter().flat_map(of).collect();
        Beginnings { certain, ..Beginnings::default() }
    }
}
