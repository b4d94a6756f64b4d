//! Registers whose last writer wins.
use super::{Object, same_clocks, value_of};
use crate::calls::{Group, part};
use crate::forms::{composite, without_version};
use crate::history::{History, Op, Outcome};
use crate::initial::{Trace, shown};
use crate::value::{Value, ValueRef};
use crate::verdict::Report;
use std::collections::HashMap;

/// What a write writes, and the time that it carries.
fn written<'h>(op: &Op<'h>) -> (ValueRef<'h>, Option<i64>) {
    (part(op.input, "value").unwrap_or(op.input), part(op.input, "timestamp").and_then(ValueRef::as_int))
}

/// Values that were there before anybody wrote them.
pub(super) fn first(history: &History, group: &Group<'_>) -> Vec<Value> {
    let traces = group.ops(history).filter_map(|op| match (history.name(op.function), op.outcome) {
        ("read", Outcome::Ok) => Some(Trace::Seen((), value_of(&op), op.reply)),
        ("read", _) => None,
        _ => Some(Trace::Left((), written(&op).0, op.call)),
    });
    shown(traces).into_iter().map(|(_, value)| value.to_value()).collect()
}

/// How many operations are of another shape: reads of a value that no call wrote, in a form in which no call wrote, such as values with
/// their versions.
pub(super) fn judge<'h>(history: &'h History, object: &Object<'h>, report: &mut Report<'h>) -> usize {
    let mut writes: HashMap<ValueRef<'h>, Vec<Op<'h>>> = HashMap::new();
    for op in &object.updates {
        writes.entry(written(op).0).or_default().push(*op);
    }
    let writers = |value: ValueRef<'h>| writes.get(&value).map_or(&[][..], Vec::as_slice);
    let unknown = |read: &Op<'h>| {
        let value = value_of(read);
        let known = writers(value).first().is_some_and(|write| write.call < read.reply);
        !known && !value.is_nil() && object.begins.as_ref().is_none_or(|begins| value != *begins)
    };
    let pairs = writes.keys().all(|value| without_version("write", *value).is_some());
    let plain = writes.keys().all(|value| !composite(*value));
    let other = |value| if pairs { without_version("write", value).is_none() } else { plain && composite(value) };
    let strange =
        object.reads.iter().filter(|read| !writes.is_empty() && unknown(read) && other(value_of(read))).count();
    if strange > 0 {
        return strange;
    }
    for read in &object.reads {
        let value = value_of(read);
        if unknown(read) {
            report.violation("unexpected-value", || {
                let title = format!("#{} read {value}, which no call had written", read.call);
                let reason = "No write of it that may have taken effect was called before that reply.".to_owned();
                object.violation(title, vec![*read], value.to_value(), reason)
            });
        }
    }
    let stamped = object.updates.iter().all(|op| written(op).1.is_some());
    let acknowledged = object.updates.iter().filter(|op| op.outcome == Outcome::Ok);
    let newest = acknowledged.max_by_key(|op| (written(op).1, std::cmp::Reverse(op.call)));
    for read in &object.finals {
        let (value, Some(write)) = (value_of(read), newest) else { continue };
        let writers = writers(value);
        let older = writers.iter().all(|other| written(other).1 < written(write).1) && !writers.is_empty();
        let first = value.is_nil() || object.begins.as_ref().is_some_and(|begins| value == *begins);
        if (first && writers.is_empty()) || (stamped && older) {
            let everywhere = object.finals.iter().all(|other| value_of(other) == value);
            object.lacking("lost-write", everywhere, report, || {
                let (newer, _) = written(write);
                let title =
                    format!("#{} found {value} at the end, after #{} had written {newer}", read.call, write.call);
                let reason = if older {
                    "The write was acknowledged with a newer timestamp than what is there."
                } else {
                    "The write was acknowledged, and nothing is there."
                };
                let ops = writers.iter().copied().chain([*write, *read]).collect();
                object.quiet(title, ops, newer.to_value(), reason.to_owned())
            });
        }
    }
    same_clocks(object, |one, two| value_of(one) == value_of(two), report);
    let (first, rest) = (object.finals.first(), object.finals.get(1..).unwrap_or_default());
    let differs = |first: &Op<'h>| rest.iter().find(|two| value_of(two) != value_of(first)).copied();
    if let Some((one, two)) = first.and_then(|first| Some((*first, differs(first)?))) {
        object.differ(history, one, two, object.doubtful(), report);
    }
    0
}
