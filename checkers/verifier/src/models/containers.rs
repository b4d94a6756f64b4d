//! Queues, stacks, bags and sets. The state is the list of what is inside.
use super::{Cell, ContainerAction, Removal, Spec, States, next, unknown};
use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// What is done: nil is the reply of an empty container.
pub(super) fn act(op: &Op) -> ContainerAction {
    match (op.f.as_str(), op.reply()) {
        ("enqueue" | "send" | "push" | "insert", _) => ContainerAction::Put(op.input.clone()),
        (_, None) => ContainerAction::Unknown,
        (_, Some(Value::Null)) => ContainerAction::Nothing,
        (_, Some(value)) => ContainerAction::Take(value.clone()),
    }
}

/// A container in which this place is next to come out.
fn taken(state: &Value, op: &Op, functions: &[&str], next_out: impl Fn(&[Value]) -> Vec<usize>) -> States {
    if !functions.contains(&op.f.as_str()) {
        return Err(unknown(op));
    }
    let items = state.as_array().cloned().unwrap_or_default();
    let without = |at: usize| {
        let mut rest = items.clone();
        rest.remove(at);
        Value::Array(rest)
    };
    match act(op) {
        ContainerAction::Put(value) => next(true, || {
            let mut more = items.clone();
            more.push(value);
            Value::Array(more)
        }),
        ContainerAction::Nothing => next(items.is_empty(), || json!([])),
        ContainerAction::Take(value) => {
            let place = next_out(&items).into_iter().find(|&at| items[at] == value);
            Ok(place.map(without).into_iter().collect())
        }
        ContainerAction::Unknown if items.is_empty() => Ok(vec![json!([])]),
        ContainerAction::Unknown => Ok(next_out(&items).into_iter().map(without).collect()),
    }
}

pub(super) fn fifo(state: &Value, op: &Op, _: bool) -> States {
    taken(state, op, &["enqueue", "send", "dequeue", "receive"], |items| (0..items.len().min(1)).collect())
}

pub(super) fn stack(state: &Value, op: &Op, _: bool) -> States {
    taken(state, op, &["push", "pop"], |items| (items.len().saturating_sub(1)..items.len()).collect())
}

/// In no order; the state is kept sorted, so that equal bags are equal.
pub(super) fn bag(state: &Value, op: &Op, _: bool) -> States {
    let states = taken(state, op, &["enqueue", "send", "dequeue", "receive"], |items| (0..items.len()).collect())?;
    let sorted = |state: Value| {
        let mut items = state.as_array().cloned().unwrap_or_default();
        items.sort_by_key(Value::to_string);
        Value::Array(items)
    };
    let mut states: Vec<Value> = states.into_iter().map(sorted).collect();
    states.sort_by_key(Value::to_string);
    states.dedup();
    Ok(states)
}

/// Numbers by size, texts by their letters, lists entry by entry.
fn compare(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    };
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => one.as_i64().cmp(&other.as_i64()),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other).map(|(one, other)| compare(one, other));
            pairs.into_iter().find(|order| order.is_ne()).unwrap_or(one.len().cmp(&other.len()))
        }
        _ => rank(one).cmp(&rank(other)),
    }
}

pub(super) fn priority(setting: Option<&str>) -> Result<Spec, Refused> {
    let largest = match setting {
        None => false,
        Some("largest") => true,
        Some(other) => return refuse(format!("a priority-queue knows no {other}")),
    };
    let step = move |state: &Value, op: &Op, _: bool| {
        taken(state, op, &["insert", "enqueue", "extract", "dequeue"], |items| {
            let places = 0..items.len();
            let by = |one: &usize, other: &usize| compare(&items[*one], &items[*other]);
            if largest { places.max_by(by) } else { places.min_by(by) }.into_iter().collect()
        })
    };
    Ok(Spec { initial: json!([]), step: Box::new(step), removal: Removal::Container(act) })
}

/// Whether the reply says that something was changed. Some clients answer with the argument.
fn changed(op: &Op) -> Option<bool> {
    op.reply().filter(|_| !op.input.is_boolean()).and_then(Value::as_bool)
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut values: Vec<String> = values.iter().map(Value::to_string).collect();
    values.sort_unstable();
    values
}

pub(super) fn set(state: &Value, op: &Op, _: bool) -> States {
    let items = state.as_array().cloned().unwrap_or_default();
    let there = items.contains(&op.input);
    let without = || items.iter().filter(|item| **item != op.input).cloned().collect::<Vec<Value>>();
    match op.f.as_str() {
        "add" => next(changed(op).is_none_or(|changed| changed != there), || {
            let mut more = without();
            more.push(op.input.clone());
            more.sort_by_key(Value::to_string);
            Value::Array(more)
        }),
        "remove" => next(changed(op).is_none_or(|changed| changed == there), || Value::Array(without())),
        "contains" => match op.reply() {
            None => next(true, || state.clone()),
            Some(Value::Bool(seen)) => next(*seen == there, || state.clone()),
            Some(_) => Err(unknown(op)),
        },
        "read" => match op.reply() {
            None => next(true, || state.clone()),
            Some(Value::Null) => next(items.is_empty(), || state.clone()),
            Some(seen) => {
                let seen = seen.as_array().ok_or_else(|| unknown(op))?;
                next(sorted(seen) == sorted(&items), || state.clone())
            }
        },
        _ => Err(unknown(op)),
    }
}

/// A value of a set as a register: there or not.
pub(super) fn set_cell(op: &Op) -> Option<Cell> {
    let (there, gone) = (Some(Value::Bool(true)), Some(Value::Null));
    let (needs, leaves) = match (op.f.as_str(), changed(op)) {
        ("add", None) => (None, there),
        ("add", Some(true)) => (gone, there),
        ("add", Some(false)) => (there, None),
        ("remove", None) => (None, gone),
        ("remove", Some(true)) => (there, gone),
        ("remove", Some(false)) => (gone, None),
        ("contains", _) => match op.reply() {
            None => (None, None),
            Some(Value::Bool(true)) => (there, None),
            Some(_) => (gone, None),
        },
        ("read", _) if op.reply().is_none() => return Some(Cell { name: Value::Null, needs: None, leaves: None }),
        _ => return None,
    };
    Some(Cell { name: json!([op.input]), needs, leaves })
}

/// Where some operation is a read of the whole set: what changes nothing may go; whole values, where no read is shown; and
/// of sets that only grow, adds of values that no read that is shown has.
pub(super) fn set_spares(all: &[&Op], shown: &[&Op], op: &Op) -> bool {
    let observes = matches!(op.f.as_str(), "contains" | "read") || changed(op) == Some(false);
    let seen = |other: &&Op| {
        other.f == "read" && other.reply().and_then(Value::as_array).is_some_and(|seen| seen.contains(&op.input))
    };
    let touched = |other: &&Op| other.f != "read" && other.input == op.input;
    let reads = shown.iter().any(|op| op.f == "read" && op.ok());
    let grows = all.iter().all(|op| match op.f.as_str() {
        "add" => changed(op).is_none(),
        "contains" => op.reply().is_none(),
        function => function == "read",
    });
    observes || !reads && !shown.iter().any(touched) || grows && !shown.iter().any(seen)
}
