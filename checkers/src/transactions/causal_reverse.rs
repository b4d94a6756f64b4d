//! `causal-reverse`: whoever sees a write also sees every write that was acknowledged before it was called.
//!
//! Writes are `write`, `add`, `insert` or `append` of one element (input) to a key; reads are `read` with the list of all
//! elements. Nothing is ever removed. Strict serializability promises this, plain serializability does not: a later
//! transaction may be visible without an earlier one of another process (CockroachDB's causal reverse). Only acknowledged
//! reads and first writes count; the later write need not be acknowledged, being seen is enough, but one that was refused
//! proves nothing here. Of an element that is written more than once the earliest call and the earliest reply are taken.
//! For each read the latest call among what it saw bounds a prefix of the acknowledged writes in the order of their
//! replies, and all of that prefix must be there: linear in what was read.
//!
//! Finding: `causal-reverse`. Unknown: another function in the workload, which may remove, or no read saw an element for which an earlier one was due.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Group, at, by_key, unknown_functions, workloads_with};
use crate::checker::{CheckerDoc, Judges, Reads};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::{NoOptions, schema};
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::certificate::{Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use serde_json::json;
use std::collections::HashMap;

/// Elements of a read that take as long as one operation.
const PER_STEP: usize = 16;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "causal-reverse",
    doc: "Whoever sees a write also sees every write that was acknowledged before it was called.",
    cost: "near-linear",
    judges: Judges::calls(&["write", "add", "insert", "append"], &["read"]).reading(Reads::Elements),
    options: schema::<NoOptions>,
    build: |given| given.read().map(|NoOptions {}| Box::new(CausalReverse) as _),
};

/// Judges workloads whose reads list everything that was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CausalReverse;

const WRITES: &[&str] = &["write", "add", "insert", "append"];
const KNOWN: &[&str] = &["write", "add", "insert", "append", "read"];

/// The attempts to write one element.
struct Element {
    /// The attempt that was called first, of those that may have taken effect.
    first: u32,
    /// The attempt that was acknowledged first.
    acknowledged: Option<u32>,
    /// Place among acknowledged elements, in the order of the replies.
    rank: usize,
    /// The last read, by number, that was found to have it.
    in_read: usize,
}

/// What can be asked of one key.
struct Log<'h> {
    elements: Vec<Element>,
    places: HashMap<ValueRef<'h>, usize>,
    /// Acknowledged elements in the order of their replies: reply and place.
    acknowledged: Vec<(u64, usize)>,
}

fn log<'h>(history: &'h History, group: &Group<'h>) -> Log<'h> {
    let mut log = Log { elements: Vec::new(), places: HashMap::new(), acknowledged: Vec::new() };
    for &position in &group.ops {
        let op = at(history, position);
        if op.outcome == Outcome::Fail || !WRITES.contains(&history.name(op.function)) {
            continue;
        }
        let place = *log.places.entry(op.input).or_insert_with(|| {
            log.elements.push(Element { first: position, acknowledged: None, rank: usize::MAX, in_read: 0 });
            log.elements.len() - 1
        });
        let known = &mut log.elements[place].acknowledged;
        let sooner = known.is_none_or(|other| op.reply < at(history, other).reply);
        if op.outcome == Outcome::Ok && sooner {
            *known = Some(position);
        }
    }
    let acknowledged = log.elements.iter().enumerate();
    log.acknowledged =
        acknowledged.filter_map(|(place, one)| Some((at(history, one.acknowledged?).reply, place))).collect();
    log.acknowledged.sort_unstable();
    for (rank, (_, place)) in log.acknowledged.iter().enumerate() {
        log.elements[*place].rank = rank;
    }
    log
}

/// What one read shows: how many elements were due, and if one of them is missing, the later one that it saw.
fn judge(history: &History, log: &mut Log<'_>, read: &Op<'_>, number: usize) -> (usize, Option<u32>) {
    let mut latest: Option<(u64, u32)> = None;
    let mut ranks: Vec<usize> = Vec::new();
    for element in read.output.as_list().unwrap_or_default().iter() {
        let Some(&place) = log.places.get(&element) else { continue };
        let known = &mut log.elements[place];
        if std::mem::replace(&mut known.in_read, number) == number {
            continue;
        }
        if known.acknowledged.is_some() {
            ranks.push(known.rank);
        }
        latest = latest.max(Some((at(history, known.first).call, known.first)));
    }
    let Some((call, later)) = latest else { return (0, None) };
    let due = log.acknowledged.partition_point(|(reply, _)| *reply < call);
    let missing = ranks.iter().filter(|rank| **rank < due).count() < due;
    (due, missing.then_some(later))
}

/// The first of those that were due and that the read with this number lacks.
fn missing(log: &Log<'_>, due: usize, number: usize) -> Option<u32> {
    let due = log.acknowledged[..due].iter().map(|(_, place)| &log.elements[*place]);
    due.filter(|one| one.in_read != number).find_map(|one| one.acknowledged)
}

fn violation<'h>(history: &'h History, read: Op<'h>, earlier: u32, later: u32) -> Violation<'h> {
    let (earlier, later) = (at(history, earlier), at(history, later));
    let (one, two) = (earlier.input.to_value(), later.input.to_value());
    let depends = |from: &Op<'_>, to: &Op<'_>, kind, value: &Value| {
        let (key, before) = (read.key.to_value(), if kind == EdgeKind::Rw { Value::Nil } else { value.clone() });
        Edge { from: from.call, to: to.call, kind, key, before, after: value.clone() }
    };
    let cycle = vec![
        Edge::realtime(&earlier, &later),
        depends(&later, &read, EdgeKind::Wr, &two),
        depends(&read, &earlier, EdgeKind::Rw, &one),
    ];
    Violation {
        title: format!("#{} saw {two} without {one}, which was there before {two} was written", read.call),
        ops: vec![earlier, later, read],
        key: read.key.to_value(),
        reasons: vec![
            format!("{one} was acknowledged (#{}) before {two} was called (#{}).", earlier.call, later.call),
            format!("#{} saw {two} but not {one}, and nothing is ever removed.", read.call),
        ],
        subject: Value::list([one, two]),
        cycle,
        ..Violation::default()
    }
}

impl Checker for CausalReverse {
    fn name(&self) -> &str {
        "causal-reverse"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, WRITES)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, WRITES);
        let mut report = Report::new(history);
        let (mut reads, mut telling, mut unclear, mut unknown_function) = (0, 0, 0, None);
        let mut poll = BudgetPoll::new(budget);
        for group in by_key(history, &workloads) {
            if let [function, ..] = unknown_functions(history, &group.ops, KNOWN)[..] {
                unknown_function = Some(function);
                continue;
            }
            let mut log = log(history, &group);
            for (number, &position) in group.ops.iter().enumerate() {
                let read = at(history, position);
                // A read costs as much as it saw.
                if poll.over(1 + read.output.as_list().map_or(0, |list| list.len()) / PER_STEP) {
                    break;
                }
                if read.outcome != Outcome::Ok || history.name(read.function) != "read" {
                    continue;
                }
                if read.output.as_list().is_none() && !read.output.is_nil() {
                    unclear += 1;
                    continue;
                }
                reads += 1;
                let (due, found) = judge(history, &mut log, &read, number + 1);
                telling += usize::from(due > 0);
                if let Some(later) = found {
                    report.violation("causal-reverse", || {
                        let earlier = missing(&log, due, number + 1).unwrap_or(later);
                        violation(history, read, earlier, later)
                    });
                }
            }
        }
        let otherwise = if let Some(function) = unknown_function {
            (Validity::Unknown, format!("What {function} does is not known here; it may remove elements."))
        } else if unclear > 0 {
            (Validity::Unknown, format!("{} no lists of elements.", messages::count(unclear, "reply that is")))
        } else if telling == 0 {
            let text = format!(
                "None of {} saw a write before which another was acknowledged.",
                messages::count(reads, "read")
            );
            (Validity::Unknown, text)
        } else {
            let text = format!("All {} that saw later writes saw the earlier ones.", messages::count(telling, "read"));
            (Validity::Valid, text)
        };
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, [("reads", json!(reads)), ("telling_reads", json!(telling))])
    }
}
