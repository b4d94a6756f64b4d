//! `long-fork`: all reads of one group of keys agree on the order in which its keys were written.
//!
//! Each key is written once, by `write` (key, value) or `txn` with one `["w", key, value]`; reads are `read` or `txn`
//! with all keys of a group as `["r", key, value]`, nil (or the option `initial`) where the key was not written yet. Keys only ever go from nil
//! to written, so any two reads of one group must be comparable by the keys that they saw written: one that saw x
//! without y and one that saw y without x are a long fork, which parallel snapshot isolation allows and snapshot
//! isolation does not. That holds whatever the intervals; only acknowledged reads count, and keys that were read twice
//! in one are passed over. Reads are sorted by how much they saw and compared with their neighbours only: if each
//! includes the one before, all do.
//!
//! Finding: `long-fork`. Unknown: no two reads of one group, no read that saw a part of its group, a key that was
//! written more than once, or more or other than single writes and reads in the workload.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{at, workloads_where};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::{Initial, of_key};
use crate::options::schema;
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::certificate::{Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "long-fork",
    doc: "All reads of a group of keys agree on the order in which its keys were written.",
    cost: "near-linear",
    judges: Judges::calls(&["read", "write", "txn"], &[]),
    options: schema::<LongFork>,
    build: from_options::<LongFork>,
};

/// Judges workloads of single writes and reads of groups. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LongForkOptions")]
pub(crate) struct LongFork {
    /// How many keys a group has. Left out: a group is what one read asks for.
    group_size: Option<u32>,
    initial: Initial,
}

/// One access of a transaction: whether it writes, the key, the value.
type Access<'h> = (bool, ValueRef<'h>, ValueRef<'h>);

fn accesses<'h>(value: ValueRef<'h>) -> Option<Vec<Access<'h>>> {
    let access = |item: ValueRef<'h>| {
        let parts = item.as_list().filter(|parts| parts.len() == 3)?;
        match parts.at(0).as_text()? {
            "r" => Some((false, parts.at(1), parts.at(2))),
            "w" => Some((true, parts.at(1), parts.at(2))),
            _ => None,
        }
    };
    value.as_list()?.iter().map(access).collect()
}

/// An operation, as long forks see it.
enum Operation<'h> {
    Write(ValueRef<'h>, ValueRef<'h>),
    Read(Vec<Access<'h>>),
    Other,
}

fn deed<'h>(history: &History, op: &Op<'h>) -> Operation<'h> {
    let asked = if op.outcome == Outcome::Ok && !op.output.is_nil() { op.output } else { op.input };
    match (history.name(op.function), accesses(asked)) {
        ("write", None) => Operation::Write(op.key, op.input),
        ("write" | "txn", Some(list)) if list.len() == 1 && list[0].0 => Operation::Write(list[0].1, list[0].2),
        ("read" | "txn", Some(list)) if list.iter().all(|access| !access.0) => Operation::Read(list),
        _ => Operation::Other,
    }
}

/// A read of a group: which of the keys, in the group's order, it saw written.
struct Read {
    position: u32,
    seen: Box<[u64]>,
    count: u32,
}

fn includes(large: &Read, small: &Read) -> bool {
    large.seen.iter().zip(&small.seen).all(|(large, small)| small & !large == 0)
}

/// The first place that one saw and the other did not.
fn seen_only_by(one: &Read, other: &Read) -> Option<usize> {
    let word = one.seen.iter().zip(&other.seen).position(|(one, other)| one & !other != 0)?;
    Some(word * 64 + (one.seen[word] & !other.seen[word]).trailing_zeros() as usize)
}

#[derive(Default)]
struct Survey<'h> {
    /// Reads by the sorted keys that they asked for.
    groups: Vec<(Vec<ValueRef<'h>>, Vec<Read>)>,
    /// The first write of each key that may have taken effect, and how many there are.
    writes: HashMap<ValueRef<'h>, (u32, usize)>,
    /// A write of nil or of the initial value, which would take a key back.
    taken_back: bool,
    other: usize,
    not_one_group: usize,
    /// The budget ended before all was seen.
    cut: bool,
}

fn survey<'h>(
    history: &'h History,
    workload: crate::history::NameId,
    checker: &LongFork,
    poll: &mut BudgetPoll<'_>,
) -> Survey<'h> {
    let size = checker.group_size.map(|keys| keys as usize);
    let first = |key: ValueRef<'h>, value: ValueRef<'h>| {
        value.is_nil() || of_key(&checker.initial, key).is_some_and(|begins| value == begins)
    };
    let mut survey = Survey::default();
    let mut places: HashMap<Vec<ValueRef<'h>>, usize> = HashMap::new();
    for op in history.ops().iter().filter(|op| op.workload == workload) {
        if poll.over(1) {
            survey.cut = true;
            break;
        }
        let mut list = match deed(history, &op) {
            Operation::Write(..) if op.outcome == Outcome::Fail => continue,
            Operation::Write(key, value) => {
                survey.taken_back |= first(key, value);
                survey.writes.entry(key).or_insert((op.position, 0)).1 += 1;
                continue;
            }
            Operation::Read(_) if op.outcome != Outcome::Ok => continue,
            Operation::Read(list) => list,
            Operation::Other => {
                let silent =
                    op.outcome == Outcome::Fail || op.outcome == Outcome::Info && history.name(op.function) == "read";
                survey.other += usize::from(!silent);
                continue;
            }
        };
        list.sort_by_key(|access| access.1);
        let keys: Vec<ValueRef<'h>> = list.iter().map(|access| access.1).collect();
        if keys.windows(2).any(|pair| pair[0] == pair[1]) || size.is_some_and(|size| size != keys.len()) {
            survey.not_one_group += 1;
            continue;
        }
        let mut seen = vec![0; keys.len().div_ceil(64)].into_boxed_slice();
        for (place, _) in list.iter().enumerate().filter(|(_, access)| !first(access.1, access.2)) {
            seen[place / 64] |= 1_u64 << (place % 64);
        }
        let count = seen.iter().map(|word: &u64| word.count_ones()).sum();
        let place = *places.entry(keys).or_insert_with_key(|keys| {
            survey.groups.push((keys.clone(), Vec::new()));
            survey.groups.len() - 1
        });
        survey.groups[place].1.push(Read { position: op.position, seen, count });
    }
    survey
}

/// Two reads that cannot be ordered. With the writes of both keys it is a cycle.
fn fork<'h>(history: &'h History, survey: &Survey<'h>, keys: &[ValueRef<'h>], one: &Read, two: &Read) -> Violation<'h> {
    let (first, second) = (at(history, one.position), at(history, two.position));
    let (Some(x), Some(y)) = (seen_only_by(one, two), seen_only_by(two, one)) else { return Violation::default() };
    let (x, y) = (keys[x], keys[y]);
    let write = |key: ValueRef<'h>, read: Op<'h>| {
        let (position, count) = *survey.writes.get(&key)?;
        let read = accesses(read.output)?.into_iter().find(|access| access.1 == key)?.2;
        let write = at(history, position);
        let Operation::Write(_, value) = deed(history, &write) else { return None };
        (count == 1 && value == read).then_some((write, value.to_value()))
    };
    let edge = |from: &Op<'_>, to: &Op<'_>, kind, key: ValueRef<'_>, value: &Value| {
        let before = if kind == EdgeKind::Rw { Value::Nil } else { value.clone() };
        Edge { from: from.call, to: to.call, kind, key: key.to_value(), before, after: value.clone() }
    };
    let mut reasons = vec![
        format!("#{} saw {x} written and {y} not yet, so {x} was written first.", first.call),
        format!("#{} saw {y} written and {x} not yet, so {y} was written first.", second.call),
        "Both cannot be: no order of the writes explains these two reads.".to_owned(),
    ];
    let (mut ops, mut cycle) = (vec![first, second], Vec::new());
    if let (Some((write_x, value_x)), Some((write_y, value_y))) = (write(x, first), write(y, second)) {
        ops.extend([write_x, write_y]);
        cycle = vec![
            edge(&first, &write_y, EdgeKind::Rw, y, &value_y),
            edge(&write_y, &second, EdgeKind::Wr, y, &value_y),
            edge(&second, &write_x, EdgeKind::Rw, x, &value_x),
            edge(&write_x, &first, EdgeKind::Wr, x, &value_x),
        ];
    } else {
        reasons.push("The writes themselves are not in this history, or a key was written more than once.".to_owned());
    }
    Violation {
        title: format!("#{} and #{} saw {x} and {y} written in opposite orders", first.call, second.call),
        ops,
        subject: Value::list([x.to_value(), y.to_value()]),
        reasons,
        // A fork is two reads that each miss what the other saw.
        anomaly: (!cycle.is_empty()).then_some("G-nonadjacent-item"),
        cycle,
        ..Violation::default()
    }
}

impl Checker for LongFork {
    fn name(&self) -> &str {
        "long-fork"
    }

    /// Two reads that cannot be ordered cannot be ordered either way.
    fn needs_realtime(&self) -> bool {
        false
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_where(history, |op| op.outcome == Outcome::Ok && matches!(deed(history, op), Operation::Read(_)))
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = self.workloads(history);
        let mut report = Report::new(history);
        let (mut reads, mut compared, mut repeated, mut other, mut not_one_group) = (0, 0, 0, 0, 0);
        let (mut early, mut late, mut between) = (0, 0, 0);
        let mut poll = BudgetPoll::new(budget);
        for workload in &workloads {
            let mut survey = survey(history, *workload, self, &mut poll);
            repeated += survey.writes.values().filter(|(_, count)| *count > 1).count();
            other += survey.other + usize::from(survey.taken_back);
            not_one_group += survey.not_one_group;
            for (keys, group) in &mut survey.groups {
                group.sort_by_key(|read| (read.count, read.position));
                reads += group.len();
                compared += group.len().saturating_sub(1);
                early += group.iter().filter(|read| read.count == 0).count();
                let some = |read: &&Read| read.count > 0 && (read.count as usize) < keys.len();
                if group.len() > 1 {
                    between += group.iter().filter(some).count();
                }
                late += group.iter().filter(|read| read.count as usize == keys.len()).count();
            }
            // What was not seen may have been a write that takes a key back.
            if survey.other > 0 || survey.taken_back || survey.cut {
                continue;
            }
            for (keys, group) in &survey.groups {
                for pair in group.windows(2).filter(|pair| !includes(&pair[1], &pair[0])) {
                    report.violation("long-fork", || {
                        let violation = fork(history, &survey, keys, &pair[0], &pair[1]);
                        // A certificate says that nothing was there at first.
                        Violation { certified: self.initial.is_unsaid(), ..violation }
                    });
                }
            }
        }
        let otherwise = if other > 0 {
            let text = format!("{} neither write one key nor read a group.", messages::count(other, "operation"));
            (Validity::Unknown, text)
        } else if compared == 0 {
            (Validity::Unknown, format!("No two of {} asked for the same keys.", messages::count(reads, "read")))
        } else if repeated > 0 {
            let text = format!("{} written more than once, which hides forks.", messages::count(repeated, "key"));
            (Validity::Unknown, text)
        } else if not_one_group > 0 {
            (Validity::Unknown, format!("{} not ask for one group.", messages::count(not_one_group, "read did")))
        } else if between == 0 {
            let text = format!(
                "None of {} saw some keys of its group written and others not, so the order of the writes was never \
                 seen: read more often, while the keys of a group are written.",
                messages::count(reads, "read")
            );
            (Validity::Unknown, text)
        } else {
            (Validity::Valid, format!("All {} are in one order for each group.", messages::count(reads, "read")))
        };
        let numbers = [("reads", json!(reads)), ("early_reads", json!(early)), ("late_reads", json!(late))];
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, numbers)
    }
}
