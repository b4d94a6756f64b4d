//! Locks, semaphores, leases, elections. A reply of `false` says that nothing was done.
use super::{Removal, Spec, States, next, unknown};
use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::{Value, json};

pub(super) fn refused(op: &Op) -> bool {
    op.reply() == Some(&Value::Bool(false))
}

pub(super) fn mutex(held: &Value, op: &Op, _: bool) -> States {
    match op.f.as_str() {
        "acquire" | "release" if refused(op) => next(true, || held.clone()),
        "acquire" => next(*held == json!(false), || json!(true)),
        "release" => next(*held == json!(true), || json!(false)),
        _ => Err(unknown(op)),
    }
}

/// Who asks: the argument, or else the process.
fn client(op: &Op) -> Value {
    if op.input.is_null() { json!(op.process) } else { op.input.clone() }
}

pub(super) fn owners(op: &Op) -> Option<Vec<Value>> {
    Some(if refused(op) { Vec::new() } else { vec![client(op)] })
}

/// The state: the holder, in a list.
pub(super) fn owner(holder: &Value, op: &Op, _: bool) -> States {
    match op.f.as_str() {
        "acquire" | "release" if refused(op) => next(true, || holder.clone()),
        "acquire" => next(holder.is_null(), || json!([client(op)])),
        "release" => next(*holder == json!([client(op)]), || Value::Null),
        _ => Err(unknown(op)),
    }
}

/// The state: the holder, once for each acquire.
pub(super) fn reentrant(holder: &Value, op: &Op, _: bool) -> States {
    let mut holds = holder.as_array().cloned().unwrap_or_default();
    let mine = holds.iter().all(|holder| *holder == client(op));
    let state = |holds: Vec<Value>| if holds.is_empty() { Value::Null } else { Value::Array(holds) };
    match op.f.as_str() {
        "acquire" | "release" if refused(op) => next(true, || holder.clone()),
        "acquire" => next(mine, || {
            holds.push(client(op));
            state(holds)
        }),
        "release" => next(mine && !holds.is_empty(), || {
            holds.pop();
            state(holds)
        }),
        _ => Err(unknown(op)),
    }
}

/// The state: permits that are out.
pub(super) fn semaphore(setting: Option<&str>) -> Result<Spec, Refused> {
    let Ok(permits) = setting.unwrap_or("1").parse::<u64>() else {
        return refuse("a semaphore has a number of permits");
    };
    let step = move |out: &Value, op: &Op, _: bool| {
        let count = if op.input.is_null() { Some(1) } else { op.input.as_u64() }.ok_or_else(|| unknown(op))?;
        let out = out.as_u64().unwrap_or(0);
        match op.f.as_str() {
            "acquire" | "release" if refused(op) => next(true, || json!(out)),
            "acquire" => next(out.checked_add(count).is_some_and(|out| out <= permits), || json!(out + count)),
            "release" => next(count <= out, || json!(out - count)),
            _ => Err(unknown(op)),
        }
    };
    Ok(Spec { initial: json!(0), step: Box::new(step), removal: Removal::Observations(refused) })
}

/// Of tokens: none is held, none was given.
pub(super) fn free() -> Value {
    json!({"held": null, "last": null, "least": null})
}

/// The token that a value names; none where it names none.
fn token(op: &Op, value: Option<&Value>) -> Result<Option<i64>, Refused> {
    match value {
        None | Some(Value::Null | Value::Bool(true)) => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| unknown(op)),
    }
}

/// The last token is `last`, where it is known, and else `least` or more, if that is known.
fn lower(state: &Value) -> Option<i64> {
    state["last"].as_i64().or(state["least"].as_i64())
}

/// A new token, larger than the last.
fn grant(state: &Value, holder: Value, token: Option<i64>) -> States {
    let before = lower(state);
    match token {
        Some(token) => {
            next(before.is_none_or(|before| token > before), || json!({"held": holder, "last": token, "least": null}))
        }
        None => {
            next(true, || json!({"held": holder, "last": null, "least": before.map(|before| before.saturating_add(1))}))
        }
    }
}

/// The holder shows its token.
fn show(state: &Value, token: Option<i64>, after: impl FnOnce(Value) -> Value) -> States {
    let held = !state["held"].is_null();
    match (token, state["last"].as_i64()) {
        (None, _) => next(held, || after(state.clone())),
        (Some(token), Some(last)) => next(held && token == last, || after(state.clone())),
        (Some(token), None) => next(held && lower(state).is_none_or(|least| token >= least), || {
            after(json!({"held": state["held"], "last": token, "least": null}))
        }),
    }
}

fn released(state: Value) -> Value {
    json!({"held": null, "last": state["last"], "least": state["least"]})
}

pub(super) fn fenced(state: &Value, op: &Op, _: bool) -> States {
    match op.f.as_str() {
        "acquire" | "release" if refused(op) => next(true, || state.clone()),
        "acquire" if !state["held"].is_null() => Ok(Vec::new()),
        "acquire" => grant(state, json!(true), token(op, op.reply())?),
        "release" => show(state, token(op, Some(&op.input))?, released),
        _ => Err(unknown(op)),
    }
}

pub(super) fn lease(state: &Value, op: &Op, _: bool) -> States {
    match op.f.as_str() {
        "acquire" | "renew" | "release" if refused(op) => next(true, || state.clone()),
        "acquire" => grant(state, json!(true), token(op, op.reply())?),
        "renew" | "holder" if op.reply().is_none() => next(true, || state.clone()),
        "renew" => show(state, token(op, Some(&op.input))?, |state| state),
        "release" => show(state, token(op, Some(&op.input))?, released),
        "holder" if op.output.is_null() => next(true, || released(state.clone())),
        "holder" => show(state, token(op, op.reply())?, |state| state),
        _ => Err(unknown(op)),
    }
}

/// What merely shows which grant is in force, or that none is.
pub(super) fn lease_shows(op: &Op) -> bool {
    refused(op) || matches!(op.f.as_str(), "renew" | "holder")
}

pub(super) fn election(state: &Value, op: &Op, _: bool) -> States {
    match op.f.as_str() {
        "campaign" | "resign" if refused(op) => next(true, || state.clone()),
        "campaign" => grant(state, json!([client(op)]), token(op, op.reply())?),
        "resign" => show(state, token(op, Some(&op.input))?, released),
        "leader" => match op.reply() {
            None | Some(Value::Null) => next(true, || state.clone()),
            Some(reply) => {
                let Some([term, leader]) = reply.as_array().map(Vec::as_slice) else { return Err(unknown(op)) };
                let term = token(op, Some(term))?;
                if state["held"] == json!([leader]) { show(state, term, |state| state) } else { Ok(Vec::new()) }
            }
        },
        _ => Err(unknown(op)),
    }
}

pub(super) fn election_shows(op: &Op) -> bool {
    refused(op) || op.f == "leader"
}
