//! Counters: bounds by what was attempted and acknowledged.
use super::{Object, same_clocks, value_of};
use crate::calls::{Group, largest_before, object as fields};
use crate::history::{History, Op, Outcome};
use crate::value::Value;
use crate::verdict::Report;

/// The updates of a finding, where they are few enough to be shown.
const UPDATES_SHOWN: usize = 64;

fn amount(history: &History, op: &Op<'_>) -> Option<i128> {
    let amount = if op.input.is_nil() { 1 } else { i128::from(op.input.as_int()?) };
    Some(if history.name(op.function) == "decrement" { -amount } else { amount })
}

/// How many operations are of another shape.
pub(super) fn judge<'h>(history: &'h History, object: &Object<'h>, grows: bool, report: &mut Report<'h>) -> usize {
    // Sums of what was attempted down and up to each update, by call.
    let begins = i128::from(object.begins.as_ref().and_then(Value::as_int).unwrap_or(0));
    let (mut sums, mut certain, mut unclear) = (vec![(begins, begins)], (0, 0), 0);
    for op in &object.updates {
        let amount = amount(history, op).filter(|amount| !grows || *amount >= 0);
        unclear += usize::from(amount.is_none());
        let (down, up) = (amount.unwrap_or(0).min(0), amount.unwrap_or(0).max(0));
        let last = sums.last().copied().unwrap_or_default();
        sums.push((last.0 + down, last.1 + up));
        if op.outcome == Outcome::Ok {
            certain = (certain.0 + down, certain.1 + up);
        }
    }
    let all = sums.last().copied().unwrap_or_default();
    let settled = (all.0 + certain.1, all.1 + certain.0);
    if unclear > 0 {
        return unclear;
    }
    let mut values: Vec<(Op<'h>, i64)> = Vec::new();
    for read in &object.reads {
        let Some(value) = value_of(read).as_int() else {
            unclear += usize::from(!value_of(read).is_nil());
            continue;
        };
        values.push((*read, value));
        let (low, high) = sums[object.updates.partition_point(|op| op.call < read.reply)];
        let within = (low..=high).contains(&i128::from(value));
        if within && object.finals.iter().any(|last| last.position == read.position) {
            let settled = (low.max(settled.0), high.min(settled.1));
            last_bounds(object, *read, value, settled, report);
        } else {
            bounds(object, *read, value, (low, high), report);
        }
    }
    let shown = |read: &Op<'h>| value_of(read).as_int();
    same_clocks(object, |one, two| shown(one) == shown(two), report);
    let (first, rest) = (object.finals.first(), object.finals.get(1..).unwrap_or_default());
    if let Some((one, two)) = first.and_then(|first| Some((first, rest.iter().find(|two| shown(two) != shown(first))?)))
    {
        object.differ(history, *one, *two, object.doubtful(), report);
    }
    if grows {
        for reads in object.by_node(history) {
            let shown: Vec<(u32, i64)> = reads.iter().filter_map(|op| Some((op.position, shown(op)?))).collect();
            for (&(position, value), before) in shown.iter().zip(largest_before(history, &shown)) {
                if let Some((larger, other)) = before.filter(|(larger, _)| *larger > value) {
                    let (earlier, read) = (history.ops().at(other as usize), history.ops().at(position as usize));
                    report.violation("shrunk", || {
                        let title = format!("{} went back from {larger} to {value}", history.name(read.node));
                        let reason = "A counter that only grows never shows less on the same replica.".to_owned();
                        object.quiet(title, vec![earlier, read], Value::Nil, reason)
                    });
                }
            }
        }
    }
    unclear
}

/// The least number above 0 that the counter must have begun with, if what it showed was true: neither updates that were
/// acknowledged or are in doubt nor those that were refused explain it otherwise.
pub(super) fn above(history: &History, group: &Group<'_>) -> Option<Value> {
    let (mut up, mut least): (Vec<(u64, i128)>, i128) = (Vec::new(), 0);
    for op in group.ops(history).filter(|op| history.name(op.function) != "read") {
        let last = up.last().map_or(0, |(_, sum)| *sum);
        up.push((op.call, last + amount(history, &op)?.max(0)));
    }
    for op in group.ops(history).filter(|op| history.name(op.function) == "read" && op.outcome == Outcome::Ok) {
        let Some(value) = value_of(&op).as_int() else { continue };
        let before = up.partition_point(|(call, _)| *call < op.reply);
        let most = before.checked_sub(1).map_or(0, |last| up[last].1);
        least = least.max(i128::from(value) - most);
    }
    i64::try_from(least).ok().filter(|least| *least > 0).map(Value::Int)
}

/// A read beyond all that was attempted before its reply.
fn bounds<'h>(object: &Object<'h>, read: Op<'h>, value: i64, (low, high): (i128, i128), report: &mut Report<'h>) {
    if (low..=high).contains(&i128::from(value)) {
        return;
    }
    report.violation("value-out-of-bounds", || {
        let few = object.updates.len() <= UPDATES_SHOWN;
        let mut ops = vec![read];
        ops.extend(object.updates.iter().copied().filter(|op| few && op.call < read.reply));
        let violation = out_of_bounds(object, read, value, (low, high), "attempted before its reply", ops);
        // A certificate is about a counter that began at 0.
        let from_zero = object.begins.as_ref().is_none_or(|begins| *begins == Value::Int(0));
        crate::verdict::Violation { certified: few && from_zero, ..violation }
    });
}

/// A final read that lacks what was acknowledged.
fn last_bounds<'h>(object: &Object<'h>, read: Op<'h>, value: i64, (low, high): (i128, i128), report: &mut Report<'h>) {
    if (low..=high).contains(&i128::from(value)) {
        return;
    }
    let same = |other: &Op<'h>| value_of(other).as_int() == Some(value);
    object.lacking("value-out-of-bounds", object.finals.iter().all(same), report, || {
        let few = object.updates.len() <= UPDATES_SHOWN;
        let mut ops = vec![read];
        ops.extend(object.updates.iter().copied().filter(|op| few && op.call < read.reply));
        let violation = out_of_bounds(object, read, value, (low, high), "acknowledged or attempted", ops);
        crate::verdict::Violation { certified: false, ..violation }
    });
}

fn out_of_bounds<'h>(
    object: &Object<'h>,
    read: Op<'h>,
    value: i64,
    (low, high): (i128, i128),
    by: &str,
    ops: Vec<Op<'h>>,
) -> crate::verdict::Violation<'h> {
    let number = |sum: i128| i64::try_from(sum).map_or_else(|_| Value::text(&sum.to_string()), Value::Int);
    let subject = fields(&[("low", number(low)), ("high", number(high))]);
    let title = format!("#{} read {value}, not between {low} and {high}", read.call);
    object.violation(title, ops, subject, format!("The updates {by} allow {low} to {high}."))
}
