//! Elements that are put somewhere and found again: sets, queues, ids, writes seen in order.
use super::{Case, Rule, rule};
use crate::certificate::Op;
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("duplicate-id", "Two acknowledged calls received the same id.", duplicate_id),
    rule("duplicated-element", "One read returned the element twice.", duplicated_element),
    rule("unexpected-element", "A read returned the element, which no add can have put there.", unexpected_element),
    rule("stale-element", "A read lacks the element, which was known before the read began.", stale_element),
    rule("lost-element", "No last read has the element, which was known before one of them began.", lost_element),
    rule("unexpected-message", "The element was taken out, and no enqueue can have put it in.", unexpected_message),
    rule(
        "duplicated-message",
        "The element was taken out more often than it can have been put in.",
        duplicated_message,
    ),
    rule("lost-message", "An acknowledged element never came out, not even by a drain.", lost_message),
    rule("causal-reverse", "A read saw the later of two writes without the earlier.", causal_reverse),
];

fn list(op: &Op) -> &[Value] {
    op.reply().and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_read(op: &Op) -> bool {
    op.f == "read" && op.ok() && op.output.is_array()
}

/// How often the operation took the element out.
fn took(op: &Op, element: &Value) -> usize {
    match op.f.as_str() {
        "dequeue" => usize::from(op.reply() == Some(element)),
        "drain" => list(op).iter().filter(|item| *item == element).count(),
        _ => 0,
    }
}

fn duplicate_id(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.ops else { return None };
    let given = |op: &Op| op.f == "generate" && op.reply() == Some(case.subject) && !case.subject.is_null();
    Some(case.one_object() && given(one) && given(two))
}

fn duplicated_element(case: &Case<'_>) -> Option<bool> {
    let [read] = case.ops else { return None };
    Some(is_read(read) && list(read).iter().filter(|item| *item == case.subject).count() > 1)
}

fn unexpected_element(case: &Case<'_>) -> Option<bool> {
    let reads = case.with(&["read"]);
    let [read] = reads[..] else { return None };
    if !case.one_object() || case.ops.iter().any(|op| op.f != "read" && (op.f != "add" || op.input != *case.subject)) {
        return None;
    }
    let put = |op: &&Op| op.f == "add" && op.input == *case.subject && op.call < read.end();
    Some(is_read(read) && list(read).contains(case.subject) && !case.all(read).iter().any(put))
}

/// The earliest index at which the element was known: an add of it was acknowledged, or a read returned it.
fn known(case: &Case<'_>) -> Option<u64> {
    let added = |op: &&Op| op.f == "add" && op.ok() && op.input == *case.subject;
    let seen = |op: &&Op| is_read(op) && list(op).contains(case.subject);
    case.ops.iter().filter(|op| added(op) || seen(op)).map(Op::end).min()
}

fn stale_element(case: &Case<'_>) -> Option<bool> {
    let known = known(case)?;
    let lacks = |op: &Op| is_read(op) && op.call > known && !list(op).contains(case.subject);
    Some(case.one_object() && case.ops.iter().any(lacks))
}

fn lost_element(case: &Case<'_>) -> Option<bool> {
    let known = known(case)?;
    let reads: Vec<&Op> = case.all(case.ops.first()?).into_iter().filter(|op| is_read(op)).collect();
    let settled = reads.iter().any(|op| op.settle);
    let last_call = reads.iter().map(|op| op.call).max()?;
    let is_last = |op: &&&Op| if settled { op.settle } else { op.call == last_call };
    let last: Vec<&&Op> = reads.iter().filter(is_last).collect();
    let first_call = last.iter().map(|op| op.call).min()?;
    let nowhere = !reads.iter().any(|op| op.end() > first_call && list(op).contains(case.subject));
    // One of the reads that the certificate itself shows is among the last, and had to have it.
    let shown = |op: &Op| last.iter().any(|last| last.call == op.call) && op.call > known;
    Some(case.one_object() && nowhere && case.ops.iter().any(shown))
}

fn unexpected_message(case: &Case<'_>) -> Option<bool> {
    let takes = case.with(&["dequeue", "drain"]);
    let [take] = takes[..] else { return None };
    let put = |op: &&Op| op.f == "enqueue" && op.input == *case.subject && op.call < take.end();
    let about = case.ops.iter().all(|op| op.call == take.call || op.f == "enqueue" && op.input == *case.subject);
    Some(case.one_object() && about && took(take, case.subject) > 0 && !case.all(take).iter().any(put))
}

fn duplicated_message(case: &Case<'_>) -> Option<bool> {
    let takes = case.with(&["dequeue", "drain"]);
    let last = takes.iter().map(|op| op.end()).max()?;
    let taken: usize = takes.iter().map(|op| took(op, case.subject)).sum();
    let put = |op: &&&Op| op.f == "enqueue" && op.input == *case.subject && op.call < last;
    let all = case.all(case.ops.first()?);
    let about = case.ops.iter().all(|op| took(op, case.subject) > 0 || op.f == "enqueue" && op.input == *case.subject);
    Some(case.one_object() && about && taken > all.iter().filter(put).count())
}

fn lost_message(case: &Case<'_>) -> Option<bool> {
    let all = case.all(case.ops.first()?);
    let last = case.with(&["drain"]).iter().filter(|op| op.ok()).map(|op| op.call).max()?;
    // A drain in doubt may have taken everything, and a dequeue that names no element any one of them.
    let unknown = |op: &Op| !op.ok() && (op.f == "drain" || op.f == "dequeue" && op.output.is_null());
    if all.iter().any(|op| unknown(op)) {
        return Some(false);
    }
    // One that names the element may have taken it once.
    let named = all.iter().filter(|op| !op.ok() && op.f == "dequeue" && op.output == *case.subject).count();
    let due = |op: &&Op| op.f == "enqueue" && op.ok() && op.input == *case.subject && op.end() < last;
    let due = case.ops.iter().filter(due).count();
    let taken: usize = all.iter().map(|op| took(op, case.subject)).sum();
    Some(case.one_object() && !case.subject.is_null() && taken + named < due)
}

fn causal_reverse(case: &Case<'_>) -> Option<bool> {
    let [one, two] = case.subject.as_array()?.as_slice() else { return None };
    let write = |op: &Op, element: &Value| {
        matches!(op.f.as_str(), "write" | "add" | "insert" | "append") && op.input == *element
    };
    let find = |wanted: &dyn Fn(&Op) -> bool| case.ops.iter().find(|op| wanted(op));
    let (earlier, later, read) = (find(&|op| write(op, one))?, find(&|op| write(op, two))?, find(&is_read)?);
    if case.ops.len() != 3 {
        return Some(false);
    }
    let first = |op: &&Op| write(op, two) && op.call < earlier.end();
    let seen = is_read(read) && list(read).contains(two) && !list(read).contains(one);
    let order = earlier.ok() && write(earlier, one) && write(later, two) && earlier.end() < later.call;
    Some(case.one_object() && order && seen && !case.all(read).iter().any(first))
}
