//! A counter and a log.
use super::{Removal, Spec, States, next, unknown};
use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::{Value, json};

/// By how much the counter grows.
fn amount(op: &Op) -> Result<i64, Refused> {
    let given = || op.input.as_i64().ok_or_else(|| unknown(op));
    let by = || if op.input.is_null() { Ok(1) } else { given() };
    match op.f.as_str() {
        "add" | "add-and-get" => given(),
        "increment" | "inc" => by(),
        "decrement" | "dec" => by()?.checked_neg().ok_or_else(|| unknown(op)),
        "read" | "get" => Ok(0),
        _ => Err(unknown(op)),
    }
}

fn adds_nothing(op: &Op) -> bool {
    amount(op) == Ok(0)
}

/// A counter; behind the colon the number that it begins with.
pub(super) fn counting(setting: Option<&str>) -> Result<Spec, Refused> {
    let initial = match setting.map(str::parse::<i64>) {
        None => 0,
        Some(Ok(initial)) => initial,
        Some(Err(_)) => return refuse("a counter begins with an integer"),
    };
    Ok(Spec { initial: json!(initial), step: Box::new(counter), removal: Removal::Observations(adds_nothing) })
}

fn counter(state: &Value, op: &Op, _: bool) -> States {
    let Some(after) = state.as_i64().unwrap_or(0).checked_add(amount(op)?) else {
        return refuse("the counter is beyond 64 bits");
    };
    let seen = match op.f.as_str() {
        "add-and-get" | "read" | "get" => op.reply(),
        _ => None,
    };
    next(seen.is_none_or(|seen| seen.as_i64() == Some(after)), || json!(after))
}

pub(super) fn log(state: &Value, op: &Op, _: bool) -> States {
    let entries = state.as_array().map_or(&[][..], Vec::as_slice);
    let same = || state.clone();
    let number = |value: &Value| value.as_u64().or(value.as_i64().map(|_| u64::MAX));
    match (op.f.as_str(), op.reply()) {
        ("append", reply) => {
            let offset_given = reply.filter(|offset| !offset.is_null());
            next(offset_given.is_none_or(|offset| number(offset) == Some(entries.len() as u64)), || {
                let mut more = entries.to_vec();
                more.push(op.input.clone());
                Value::Array(more)
            })
        }
        ("read" | "length" | "poll", None) => next(true, same),
        ("read", Some(seen)) => {
            let offset = op.input.as_i64().ok_or_else(|| unknown(op))?;
            let there = usize::try_from(offset).ok().and_then(|offset| entries.get(offset));
            let beyond = offset >= entries.len() as i64;
            next(if seen.is_null() { beyond } else { there == Some(seen) }, same)
        }
        ("length", Some(seen)) => next(number(seen) == Some(entries.len() as u64), same),
        ("poll", Some(seen)) => next(seen.as_array().is_some_and(|seen| seen == entries), same),
        _ => Err(unknown(op)),
    }
}
