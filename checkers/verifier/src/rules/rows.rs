//! Rows `[value, timestamp]` (or `{"val": value, "sts": timestamp}`) of inserts: their order, and which must be there.
use super::{Case, Rule, rule};
use crate::certificate::{Op, Outcome};
use serde_json::Value;
use std::cmp::Ordering;

pub(super) const RULES: &[Rule] = &[
    rule("out-of-order", "What was certainly inserted later has the earlier timestamp.", |case| disorder(case, false)),
    rule("out-of-order-process", "What one process inserted later has the earlier timestamp.", |case| {
        disorder(case, true)
    }),
    rule("lost-row", "No last read has an acknowledged row, though all began later.", lost),
    rule("duplicate-row", "One read has two rows of one value.", duplicate),
    rule("unexpected-row", "A read has a row that no add can have made by then.", unexpected),
];

fn is_read(op: &Op) -> bool {
    op.f == "read" && op.ok() && op.output.is_array()
}

/// The value of a row.
fn value_of(row: &Value) -> Option<&Value> {
    row.get(0).or_else(|| row.get("val"))
}

/// The timestamps of the value's rows.
fn stamps<'a>(read: &'a Op, value: &Value) -> Vec<&'a Value> {
    let rows = read.output.as_array().map_or(&[][..], Vec::as_slice);
    let of = rows.iter().filter(|row| value_of(row) == Some(value));
    of.filter_map(|row| row.get(1).or_else(|| row.get("sts"))).collect()
}

/// What an add added: its value, or the one that its transaction chose.
fn added(op: &Op) -> Option<&Value> {
    if op.f != "add" {
        return None;
    }
    // A transaction that chose its value answers with it, or with its row.
    let chosen = || op.reply().map(|reply| reply.get("val").unwrap_or(reply)).filter(|value| !value.is_null());
    if op.input.is_null() { chosen() } else { Some(&op.input) }
}

/// Decimals, as numbers or as texts, by size.
fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    let parts = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let whole: i128 = whole.parse().ok()?;
        Some((whole, fraction.trim_end_matches('0').to_owned()))
    };
    Some(parts(one)?.cmp(&parts(other)?))
}

/// All adds of the value, refused ones last: those that may have happened first.
fn adds<'a>(case: &Case<'a>, of: &Op, value: &Value) -> Vec<&'a Op> {
    let same = |op: &&Op| op.key == of.key && added(op) == Some(value);
    let mut adds: Vec<&Op> = case.workload().into_iter().filter(same).collect();
    adds.sort_by_key(|op| (op.outcome == Outcome::Fail, op.call));
    adds
}

fn disorder(case: &Case<'_>, process: bool) -> Option<bool> {
    let [one, two, three] = case.ops else { return None };
    let all = [one, two, three];
    let read = all.into_iter().find(|op| is_read(op))?;
    let made: Vec<&Op> = all.into_iter().filter(|op| op.call != read.call && op.outcome != Outcome::Fail).collect();
    let [first, second] = made[..] else { return None };
    let (one, two) = (added(first)?, added(second)?);
    let sole = |value: &Value| adds(case, read, value).iter().filter(|op| op.outcome != Outcome::Fail).count() == 1;
    let inverted = |early: &Op, late: &Op, low: &Value, high: &Value| {
        let earlier = |one: &&Value| stamps(read, high).iter().any(|other| compare(one, other) == Some(Ordering::Less));
        let over = late.ok() && late.end() < early.call;
        let chosen = early.input.is_null() && late.input.is_null();
        let larger = chosen && low.as_i64().zip(high.as_i64()).is_some_and(|(low, high)| low > high);
        let order = if process { over && early.process == late.process } else { over || larger };
        order && stamps(read, low).iter().any(earlier)
    };
    let order = inverted(first, second, one, two) || inverted(second, first, two, one);
    Some(case.one_object() && case.subject.is_null() && sole(one) && sole(two) && order)
}

fn lost(case: &Case<'_>) -> Option<bool> {
    let add = case.ops.iter().find(|op| op.ok() && added(op) == Some(case.subject))?;
    let reads: Vec<&Op> = case.all(add).into_iter().filter(|op| is_read(op)).collect();
    let settled = reads.iter().any(|op| op.settle);
    let last_call = reads.iter().map(|op| op.call).max()?;
    let last: Vec<&Op> =
        reads.into_iter().filter(|op| if settled { op.settle } else { op.call == last_call }).collect();
    let lacking = last.iter().all(|read| read.call > add.end() && stamps(read, case.subject).is_empty());
    let shown: Vec<&Op> = last.iter().copied().chain([add]).collect();
    Some(case.one_object() && lacking && case.only(&shown))
}

fn duplicate(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    Some(is_read(read) && !case.subject.is_null() && stamps(read, case.subject).len() > 1)
}

fn unexpected(case: &Case<'_>) -> Option<bool> {
    let read = case.ops.iter().find(|op| is_read(op) && !stamps(op, case.subject).is_empty())?;
    let tried = adds(case, read, case.subject);
    let (refused, tried): (Vec<&Op>, Vec<&Op>) = tried.into_iter().partition(|op| op.outcome == Outcome::Fail);
    // An add that chose its value and was never answered may have made any row.
    let unknown = tried.is_empty();
    let nameless = |op: &&Op| unknown && op.f == "add" && op.input.is_null() && !op.ok();
    let possible = |op: &&Op| op.call < read.end() && (added(op) == Some(case.subject) || nameless(op));
    let shown: Vec<&Op> = tried.into_iter().take(1).chain(refused.into_iter().take(2)).chain([read]).collect();
    Some(case.one_object() && !case.all(read).iter().any(possible) && case.only(&shown))
}
