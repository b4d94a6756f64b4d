//! Replicated data types: what no replica may show at any time. What all have to show once everything is quiet rests on
//! times and on faults, and has no certificate.
use super::{Case, Rule, rule};
use crate::certificate::Op;
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("same-clock-different-value", "Two reads under one clock show different values.", same_clock),
    rule("value-out-of-bounds", "A read is beyond the sum of all that was attempted before its reply.", out_of_bounds),
    rule("unexpected-element", "A read shows an element that no call had added by then.", unexpected_element),
    rule("unexpected-value", "A read shows a value that no call had written by then.", unexpected_value),
];

/// What a read shows: its reply, or the `value` in it.
fn value(op: &Op) -> Option<&Value> {
    let reply = op.reply().filter(|_| op.f == "read")?;
    Some(reply.get("value").unwrap_or(reply))
}

/// A value that can be compared: sets in order, each element once.
fn compared(value: &Value) -> Vec<String> {
    let Some(items) = value.as_array() else { return vec![value.to_string()] };
    let mut items: Vec<String> = items.iter().map(Value::to_string).collect();
    items.sort_unstable();
    items.dedup();
    items
}

fn same_clock(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let clock = |op: &Op| op.output.get("clock") == Some(case.subject);
    let differ = compared(value(one)?) != compared(value(two)?);
    Some(case.one_object() && clock(one) && clock(two) && differ)
}

fn amount(op: &Op) -> Option<i128> {
    let amount = if op.input.is_null() { 1 } else { i128::from(op.input.as_i64()?) };
    match op.f.as_str() {
        "add" | "increment" => Some(amount),
        "decrement" => Some(-amount),
        _ => None,
    }
}

fn out_of_bounds(case: &Case<'_>) -> Option<bool> {
    let read = case.ops.iter().find(|op| op.f == "read")?;
    let shown = i128::from(value(read)?.as_i64()?);
    let updates: Vec<&Op> = case.all(read).into_iter().filter(|op| op.f != "read" && op.call < read.end()).collect();
    let amounts: Vec<i128> = updates.iter().map(|op| amount(op)).collect::<Option<_>>()?;
    let low: i128 = amounts.iter().filter(|amount| **amount < 0).sum();
    let high: i128 = amounts.iter().filter(|amount| **amount > 0).sum();
    let claimed = |name: &str| case.subject.get(name).and_then(Value::as_i64).map(i128::from);
    let bounds = claimed("low") == Some(low) && claimed("high") == Some(high) && case.subject.as_object()?.len() == 2;
    let all: Vec<&Op> = updates.into_iter().chain([read]).collect();
    Some(case.one_object() && bounds && !(low..=high).contains(&shown) && case.only(&all))
}

fn unexpected_element(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    let shows = value(read)?.as_array()?.contains(case.subject);
    let added = |op: &&Op| op.f == "add" && op.input == *case.subject && op.call < read.end();
    Some(shows && !case.all(read).iter().any(added))
}

fn unexpected_value(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    let written = |op: &&Op| {
        op.f == "write" && op.input.get("value").unwrap_or(&op.input) == case.subject && op.call < read.end()
    };
    let shows = value(read)? == case.subject && !case.subject.is_null();
    Some(shows && !case.all(read).iter().any(written))
}
