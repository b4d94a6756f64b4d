//! Registers, several registers in one object, and a key of a store of texts.
use super::{Cell, Removal, Spec, States, next, unknown};
use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::Value;

pub(super) fn register(state: &Value, op: &Op, weakened: bool) -> States {
    match op.f.as_str() {
        "read" => next(op.reply().is_none_or(|seen| seen == state), || state.clone()),
        "write" => next(true, || op.input.clone()),
        "cas" => {
            let Some([from, to]) = op.input.as_array().map(Vec::as_slice) else { return Err(unknown(op)) };
            match op.reply() {
                Some(Value::Bool(false)) => next(state != from, || state.clone()),
                _ => next(weakened || state == from, || to.clone()),
            }
        }
        _ => Err(unknown(op)),
    }
}

/// A register with its version; behind the colon the pair of version and value that it begins with.
pub(super) fn versioned_from(setting: Option<&str>) -> Result<Spec, Refused> {
    let initial = match setting.map(serde_json::from_str::<Value>) {
        None => serde_json::json!([0, null]),
        Some(Ok(pair)) if pair.as_array().is_some_and(|pair| pair.len() == 2 && pair[0].is_i64()) => pair,
        Some(_) => return refuse("a versioned register begins with a version and a value"),
    };
    Ok(Spec { initial, step: Box::new(versioned), removal: Removal::Observations(shows_version) })
}

/// What the argument says beside its version.
fn argument(op: &Op) -> &Value {
    match op.input.as_array().map(Vec::as_slice) {
        Some([version, value]) if version.is_null() || version.is_i64() => {
            let both = value.as_array().is_some_and(|both| both.len() == 2);
            if op.f == "write" || both { value } else { &op.input }
        }
        _ => &op.input,
    }
}

/// A register with its version; each write makes the next. What is nil in a reply says nothing.
fn versioned(state: &Value, op: &Op, _weakened: bool) -> States {
    let version = state.get(0).and_then(Value::as_i64).unwrap_or(0);
    let (held, known) = (&state[1], op.reply().filter(|reply| reply.is_array()));
    let asked = argument(op);
    let again = op.reply().is_some_and(|reply| reply == asked || *reply == op.input);
    let given = match op.f.as_str() {
        "read" => known.and_then(|reply| reply.get(0)?.as_i64()),
        _ if again => None,
        _ => op.reply().and_then(|reply| reply.as_i64().or_else(|| reply.get(0)?.as_i64())),
    };
    let made = given.is_none_or(|given| given == version + 1);
    match op.f.as_str() {
        "read" => {
            let value = known.and_then(|reply| reply.get(1)).filter(|value| !value.is_null());
            next(given.is_none_or(|given| given == version) && value.is_none_or(|value| value == held), || {
                state.clone()
            })
        }
        "write" => next(made, || serde_json::json!([version + 1, asked])),
        "cas" => {
            let Some([from, to]) = asked.as_array().map(Vec::as_slice) else { return Err(unknown(op)) };
            match op.reply() {
                Some(Value::Bool(false)) => next(held != from, || state.clone()),
                _ => next(made && held == from, || serde_json::json!([version + 1, to])),
            }
        }
        _ => Err(unknown(op)),
    }
}

/// Whether it leaves the register with its version as it was.
pub(super) fn shows_version(op: &Op) -> bool {
    op.f == "read" || op.f == "cas" && op.reply() == Some(&Value::Bool(false))
}

/// Steps on several registers: name, value, and whether it is a write. Reads without a reply say nothing.
fn steps(op: &Op) -> Option<Vec<(String, Value, bool)>> {
    let name = |key: &Value| key.to_string();
    match op.f.as_str() {
        "txn" => {
            let known = op.reply().is_some_and(|reply| !reply.is_null());
            let list = if known { &op.output } else { &op.input };
            let mut steps = Vec::new();
            for step in list.as_array()? {
                let value = step.get(2).cloned().unwrap_or(Value::Null);
                match step.get(0)?.as_str()?.trim_start_matches(':') {
                    "r" | "read" if known => steps.push((name(step.get(1)?), value, false)),
                    "r" | "read" => {}
                    "w" | "write" => steps.push((name(step.get(1)?), value, true)),
                    _ => return None,
                }
            }
            Some(steps)
        }
        "write" => {
            let write = |(key, value): (&String, &Value)| (name(&Value::String(key.clone())), value.clone(), true);
            Some(op.input.as_object()?.iter().map(write).collect())
        }
        "read" => {
            let Some(reply) = op.reply() else { return Some(Vec::new()) };
            let seen = reply.as_object()?;
            let mut steps: Vec<(String, Value, bool)> =
                seen.iter().map(|(key, value)| (name(&Value::String(key.clone())), value.clone(), false)).collect();
            for asked in op.input.as_array().map_or(&[][..], Vec::as_slice) {
                if !asked.as_str().is_some_and(|key| seen.contains_key(key)) {
                    steps.push((name(asked), Value::Null, false));
                }
            }
            Some(steps)
        }
        _ => None,
    }
}

pub(super) fn multi(state: &Value, op: &Op, _: bool) -> States {
    let steps = steps(op).ok_or_else(|| unknown(op))?;
    let mut registers = state.as_object().cloned().unwrap_or_default();
    for (name, value, write) in steps {
        if write {
            registers.insert(name, value);
        } else if registers.get(&name).unwrap_or(&Value::Null) != &value {
            return Ok(Vec::new());
        }
    }
    registers.retain(|_, value| !value.is_null());
    Ok(vec![Value::Object(registers)])
}

pub(super) fn only_reads(op: &Op) -> bool {
    steps(op).is_some_and(|steps| steps.iter().all(|(_, _, write)| !write))
}

pub(super) fn multi_cell(op: &Op) -> Option<Cell> {
    match &steps(op)?[..] {
        [] => Some(Cell { name: Value::Null, needs: None, leaves: None }),
        [(name, value, write)] => {
            let (needs, leaves) = if *write { (None, Some(value.clone())) } else { (Some(value.clone()), None) };
            Some(Cell { name: Value::String(name.clone()), needs, leaves })
        }
        _ => None,
    }
}

/// A key of a store: `get` of nil saw the initial value, and writing nil brings it back.
pub(super) fn kv(setting: Option<&str>) -> Result<Spec, Refused> {
    let initial = match setting.map(serde_json::from_str::<Value>) {
        None => Value::String(String::new()),
        Some(Ok(initial)) => initial,
        Some(Err(_)) => return refuse("a kv begins with a JSON value"),
    };
    let first = initial.clone();
    let step = move |state: &Value, op: &Op, _: bool| {
        let value = |value: &Value| if value.is_null() { first.clone() } else { value.clone() };
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match op.f.as_str() {
            "get" | "read" => next(op.reply().is_none_or(|seen| value(seen) == *state), || state.clone()),
            "put" | "write" => next(true, || value(&op.input)),
            "append" => next(true, || Value::String(text(state) + &text(&op.input))),
            "delete" => next(true, || first.clone()),
            "cas" => match op.input.as_array().map(Vec::as_slice) {
                Some([from, _]) if op.reply() == Some(&Value::Bool(false)) => {
                    next(value(from) != *state, || state.clone())
                }
                Some([from, to]) => next(value(from) == *state, || value(to)),
                _ => Err(unknown(op)),
            },
            _ => Err(unknown(op)),
        }
    };
    let reads =
        |op: &Op| matches!(op.f.as_str(), "get" | "read") || op.f == "cas" && op.reply() == Some(&Value::Bool(false));
    Ok(Spec { initial, step: Box::new(step), removal: Removal::Observations(reads) })
}
