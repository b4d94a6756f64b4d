//! `monotonic`: what was inserted later has a later timestamp.
//!
//! Functions: `add` with a value that no other call adds, or with nil where the transaction itself takes the largest value
//! plus one and replies with it, or with its row; `read` with the list of rows as reply, in any order. A row is
//! `[value, timestamp]`, or `{"val": value, "sts": timestamp}` as Jepsen's CockroachDB suite writes it. Timestamps are
//! the database's own: integers, or decimals as text (`"1700000000.0000000001"`).
//!
//! **Definite.** An add that was answered before another was called has no later timestamp than that one: `out-of-order`,
//! `out-of-order-process` where one process made both. Where the transactions chose their values, a larger value has no
//! earlier timestamp than a smaller one either. Adds without an answer count once they are read: they happened after
//! their call. With the option `per_process` only each process' own order is promised, the rest is evidence. *Lost*:
//! acknowledged before the last reads began (those of the settle phase, else the last one), and in none of them.
//! **Not definite**, and not judged: equal timestamps, and the order of adds that overlap where the clients chose the
//! values.
//!
//! Findings: `out-of-order`, `out-of-order-process`, `lost-row`, `duplicate-row` (one value twice in one read),
//! `unexpected-row` (no add of it that may have happened was called by then). Unknown where nothing was acknowledged or
//! read, and where a transaction that chose its value was never answered (its row is then taken for expected).
//! After the `monotonic` test of Jepsen's CockroachDB suite.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod rows;
#[cfg(test)]
mod tests;

use crate::calls::{Elements, Group, objects, part, workloads_with};
use crate::checker::{CheckerDoc, Judges, Reads, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::judgeable;
use crate::options::schema;
use crate::value::{Value, ValueRef};
use crate::verdict::Violation;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::{Budget, Checker, Verdict};
use rows::{Row, Stamp, rows};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};

/// Rows of a read that take as long as one operation.
const PER_STEP: usize = 16;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "monotonic",
    doc: "What was inserted later has a later timestamp, and every acknowledged row is there at the end.",
    cost: "near-linear",
    judges: Judges::calls(&["add"], &["read"]).reading(Reads::Rows),
    options: schema::<Monotonic>,
    build: from_options::<Monotonic>,
};

/// Judges workloads that insert ever larger values. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "MonotonicOptions")]
pub(crate) struct Monotonic {
    /// Only each process' own order is promised.
    per_process: bool,
}

/// An add that may have happened.
#[derive(Clone, Copy)]
struct Add {
    /// Its place among the operations.
    position: u32,
    session: u32,
    call: u64,
    /// Its reply where it was acknowledged; none else.
    acknowledged: Option<u64>,
    /// Whether the transaction chose the value.
    chosen: bool,
}

impl Add {
    fn op<'h>(self, history: &'h History) -> Op<'h> {
        history.ops().at(self.position as usize)
    }
}

/// The adds of one object.
#[derive(Default)]
struct Adds<'h> {
    elements: Elements<'h>,
    /// For each value its add that may have happened.
    tried: Vec<Option<Add>>,
    /// Values of several adds: their rows are not judged.
    ambiguous: HashSet<u32>,
    refused: Vec<(u32, Op<'h>)>,
    /// Adds in doubt whose value is not known.
    nameless: u64,
    /// The first call of such an add.
    nameless_from: u64,
    malformed: Vec<u64>,
}

/// The adds and the successful reads of an object.
fn collect<'h>(history: &'h History, object: &Group<'h>) -> (Adds<'h>, Vec<Op<'h>>) {
    let mut adds = Adds { nameless_from: u64::MAX, ..Adds::default() };
    let mut reads = Vec::new();
    for op in object.ops(history) {
        if history.name(op.function) == "read" {
            match op.output.as_list() {
                Some(_) if op.outcome == Outcome::Ok => reads.push(op),
                None if op.outcome == Outcome::Ok => adds.malformed.push(op.call),
                _ => {}
            }
            continue;
        }
        let chosen = op.input.is_nil();
        // A transaction that chose its value answers with it, or with its row.
        let value = if chosen { part(op.output, "val").unwrap_or(op.output) } else { op.input };
        if value.is_nil() {
            match op.outcome {
                Outcome::Ok => adds.malformed.push(op.call),
                Outcome::Info => {
                    adds.nameless += 1;
                    adds.nameless_from = adds.nameless_from.min(op.call);
                }
                Outcome::Fail => {}
            }
            continue;
        }
        let id = adds.elements.number(value);
        if id as usize == adds.tried.len() {
            adds.tried.push(None);
        }
        match &mut adds.tried[id as usize] {
            _ if op.outcome == Outcome::Fail => adds.refused.push((id, op)),
            Some(_) => {
                adds.malformed.push(op.call);
                adds.ambiguous.insert(id);
            }
            none => {
                let acknowledged = Some(op.reply).filter(|_| op.outcome == Outcome::Ok);
                let (position, session, call) = (op.position, op.session, op.call);
                *none = Some(Add { position, session, call, acknowledged, chosen });
            }
        }
    }
    (adds, reads)
}

/// Two rows of one read in the wrong order: the later timestamp's add was over before the earlier one's was called, or
/// has the smaller value.
struct Inversion<'h> {
    read: Op<'h>,
    earlier: Row<'h>,
    later: Row<'h>,
}

/// Inversions of one sort: a single misplaced row makes one with every other row, so only the first is kept.
#[derive(Default)]
struct Inversions<'h> {
    first: Option<Inversion<'h>>,
    count: u64,
}

/// Row pairs that are in the wrong order: for every row at most one of each sort, with the row before it (by timestamp)
/// that shows it most clearly.
fn inversions<'h>(
    adds: &Adds<'h>,
    read: Op<'h>,
    rows: &mut [Row<'h>],
    latest_of: &mut HashMap<u32, Row<'h>>,
    found: &mut Flaws<'h>,
) {
    rows.sort_by(|one, two| one.stamp.cmp(&two.stamp));
    latest_of.clear();
    let mut latest: Option<Row<'_>> = None;
    let mut largest: Option<Row<'_>> = None;
    // Rows of one timestamp are compared with those before them only.
    for group in rows.chunk_by(|one, two| one.stamp == two.stamp) {
        for &later in group {
            let Some(made) = later.add else { continue };
            let over = |earlier: &&Row<'_>| {
                made.acknowledged.is_some_and(|reply| earlier.add.is_some_and(|earlier| reply < earlier.call))
            };
            let smaller = || {
                let larger = |earlier: &&Row<'_>| adds.elements.value(earlier.id) > adds.elements.value(later.id);
                largest.as_ref().filter(|_| made.chosen).filter(larger)
            };
            let any = latest.as_ref().filter(over);
            // Where none at all shows it, none of its own process does.
            let mine = any.and_then(|_| latest_of.get(&made.session)).filter(over);
            if let Some(&earlier) = mine.or(any).or_else(smaller) {
                let all = if mine.is_some() { &mut found.local } else { &mut found.global };
                all.count += 1;
                all.first.get_or_insert(Inversion { read, earlier, later });
            }
        }
        for &row in group {
            let Some(made) = row.add else { continue };
            let call = |row: &Row<'_>| row.add.map(|made| made.call);
            if latest.as_ref().and_then(call).is_none_or(|call| call < made.call) {
                latest = Some(row);
            }
            if latest_of.get(&made.session).and_then(call).is_none_or(|call| call < made.call) {
                latest_of.insert(made.session, row);
            }
            let value = adds.elements.value(row.id);
            if made.chosen && largest.is_none_or(|largest| adds.elements.value(largest.id) < value) {
                largest = Some(row);
            }
        }
    }
}

/// What is found in one object.
#[derive(Default)]
struct Flaws<'h> {
    /// Of two adds by one process.
    local: Inversions<'h>,
    /// The others.
    global: Inversions<'h>,
    unexpected: Vec<(u32, Op<'h>)>,
    duplicated: Vec<(u32, Op<'h>)>,
    lost: Vec<Op<'h>>,
    late: u64,
}

/// None where the time was up.
fn judge<'h>(
    history: &'h History,
    adds: &mut Adds<'h>,
    reads: &[Op<'h>],
    poll: &mut BudgetPoll<'_>,
) -> Option<Flaws<'h>> {
    let mut found = Flaws::default();
    let (mut told_unexpected, mut told_twice): (Vec<bool>, Vec<bool>) = (Vec::new(), Vec::new());
    let settled = reads.iter().any(|read| read.settle);
    let last =
        |read: &Op<'_>| if settled { read.settle } else { reads.last().is_some_and(|last| last.call == read.call) };
    let (mut first_last, mut in_last): (u64, Vec<bool>) = (u64::MAX, Vec::new());
    let mut malformed_last = false;
    let mut latest_of = HashMap::new();
    for read in reads {
        // A read costs as much as it saw.
        if poll.over(1 + read.output.as_list().map_or(0, |list| list.len()) / PER_STEP) {
            return None;
        }
        let (mut these, malformed) = rows(adds, read);
        if malformed {
            adds.malformed.push(read.call);
        }
        let grown = adds.elements.len();
        told_unexpected.resize(grown, false);
        told_twice.resize(grown, false);
        in_last.resize(grown, false);
        if last(read) {
            first_last = first_last.min(read.call);
            malformed_last |= malformed;
        }
        let mut ids: Vec<u32> = these.iter().map(|row| row.id).collect();
        ids.sort_unstable();
        for pair in ids.windows(2).filter(|pair| pair[0] == pair[1]) {
            if !std::mem::replace(&mut told_twice[pair[0] as usize], true) {
                found.duplicated.push((pair[0], *read));
            }
        }
        for row in &these {
            let at = row.id as usize;
            in_last[at] |= last(read);
            let tried = row.add.is_some_and(|add| add.call < read.reply);
            let nameless = row.add.is_none() && adds.nameless_from < read.reply;
            let ambiguous = adds.ambiguous.contains(&row.id);
            if !tried && !nameless && !ambiguous && !std::mem::replace(&mut told_unexpected[at], true) {
                found.unexpected.push((row.id, *read));
            }
        }
        inversions(adds, *read, &mut these, &mut latest_of, &mut found);
    }
    for (at, add) in adds.tried.iter().enumerate() {
        let Some((add, reply)) = add.and_then(|add| Some((add, add.acknowledged?))) else { continue };
        if in_last.get(at).is_some_and(|there| *there) || adds.ambiguous.contains(&(at as u32)) {
            continue;
        }
        if reply < first_last && first_last != u64::MAX && !malformed_last {
            found.lost.push(add.op(history));
        } else {
            found.late += 1;
        }
    }
    Some(found)
}

fn disorder<'h>(
    history: &'h History,
    key: ValueRef<'h>,
    inversions: &Inversions<'h>,
    kind: &'static str,
) -> Option<Violation<'h>> {
    let first = inversions.first.as_ref()?;
    let (early, late) = (first.earlier.add?.op(history), first.later.add?.op(history));
    let (low, high) = (&first.earlier.stamp, &first.later.stamp);
    let title = format!(
        "#{} got timestamp {low} and #{} the later {high}, but #{} came first",
        early.call, late.call, late.call
    );
    let why = if late.reply < early.call {
        format!("#{} was answered before #{} was called, so its timestamp must not be later.", late.call, early.call)
    } else {
        format!(
            "#{} took the largest value plus one, so #{} with its smaller value must come first.",
            early.call, late.call
        )
    };
    let violation = Violation::new(kind, title, Value::Nil, vec![early, late, first.read]);
    Some(violation.on(key).times(inversions.count as usize).why(why))
}

impl Checker for Monotonic {
    fn name(&self) -> &str {
        "monotonic"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["add"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let (mut report, objects) =
            judgeable(history, objects(history, &["add"], &["add", "read"]), &["add", "read"], "table");
        let (mut acknowledged, mut judged, mut late, mut nameless, mut recovered) = (0, 0, 0, 0, 0_u64);
        let (mut lost, mut duplicated, mut unexpected, mut global, mut local) = (0, 0, 0, 0, 0);
        let mut malformed = Vec::new();
        let mut poll = BudgetPoll::new(budget);
        for object in &objects {
            if poll.over(object.ops.len()) {
                break;
            }
            let (mut adds, reads) = collect(history, object);
            let Some(found) = judge(history, &mut adds, &reads, &mut poll) else { break };
            let ok = |add: &&Add| add.acknowledged.is_some();
            acknowledged += adds.tried.iter().flatten().filter(ok).count() as u64;
            judged += reads.len() as u64;
            late += found.late;
            nameless += adds.nameless;
            recovered += adds.tried.iter().flatten().filter(|add| !ok(add)).count() as u64;
            malformed.append(&mut adds.malformed);
            local += found.local.count;
            global += found.global.count;
            lost += found.lost.len() as u64;
            duplicated += found.duplicated.len() as u64;
            unexpected += found.unexpected.len() as u64;
            if let Some(violation) = disorder(history, object.key, &found.local, "out-of-order-process") {
                report.record(violation);
            }
            if let Some(violation) = disorder(history, object.key, &found.global, "out-of-order") {
                report.record(if self.per_process { violation.evidence() } else { violation });
            }
            for violation in rows::violations(history, &adds, &reads, &found) {
                report.record(violation.on(object.key));
            }
        }
        if acknowledged == 0 {
            report.unseen("No add was acknowledged, so nothing can be judged.");
        }
        if judged == 0 {
            report.unseen("No read was acknowledged, so nothing can be judged.");
        } else if late > 0 {
            report.unknown(format!("No last read began after {late} adds were acknowledged."));
        }
        if nameless > 0 {
            report
                .unknown(format!("{nameless} adds that chose their value were never answered: any row may be theirs."));
        }
        malformed.sort_unstable();
        report.malformed(
            "adds have a value of their own, a read replies with rows [value, timestamp] or {val, sts}",
            &malformed,
        );
        report.numbers([
            ("acknowledged", acknowledged),
            ("in_doubt", recovered + nameless),
            ("reads", judged),
            ("out_of_order", global),
            ("out_of_order_process", local),
            ("lost", lost),
            ("duplicated", duplicated),
            ("unexpected", unexpected),
        ]);
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), format!("The rows of all {judged} reads are in order."))
    }
}

/// A timestamp as people see it.
impl std::fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.fraction.is_empty() {
            write!(f, "{}", self.whole)
        } else {
            write!(f, "{}.{}", self.whole, self.fraction)
        }
    }
}
