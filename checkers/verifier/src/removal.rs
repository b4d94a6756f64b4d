//! What a counterexample may leave out of its object's operations: only what cannot have explained the ones that it shows.
use crate::certificate::{Certificate, Op};
use crate::history::History;
use crate::models::{Removal, spec};
use crate::order::Respect;
use crate::{Refused, refuse};
use serde_json::Value;
use std::collections::HashSet;

/// Whether everything that was left out could be left out.
pub(crate) fn allowed(
    certificate: &Certificate,
    model: &str,
    weakened: &[u64],
    respect: Respect,
    history: &History,
) -> Result<(), Refused> {
    let spec = spec(model)?;
    let shown: HashSet<u64> = certificate.ops.iter().map(|op| op.call).collect();
    let objects = certificate.ops.iter().filter(|op| {
        let first =
            certificate.ops.iter().find(|other| other.workload == op.workload && (!spec.by_key || other.key == op.key));
        first.is_some_and(|first| first.call == op.call)
    });
    for first in objects {
        let here = |op: &&Op| op.workload == first.workload && (!spec.by_key || op.key == first.key);
        let mine: Vec<&Op> = certificate.ops.iter().filter(here).collect();
        let hidden: Vec<&Op> = history
            .ops
            .values()
            .filter(|op| op.outcome != crate::Outcome::Fail)
            .filter(here)
            .filter(|op| !shown.contains(&op.call))
            .collect();
        match spec.removal {
            Removal::Register => register(&mine, &hidden, weakened, respect, history)?,
            Removal::Values(values) => whole_values(&mine, &hidden, values)?,
            Removal::Observations(observes) => observations(&mine, &hidden, observes)?,
        }
    }
    Ok(())
}

/// The value that an operation on a register leaves.
fn writes(op: &Op) -> Option<&Value> {
    match op.f.as_str() {
        "write" => Some(&op.input),
        "cas" if op.reply() != Some(&Value::Bool(false)) => op.input.get(1),
        _ => None,
    }
}

/// The value that it needs to find.
fn needs<'a>(op: &'a Op, weakened: &[u64]) -> Option<&'a Value> {
    match op.f.as_str() {
        "read" => op.reply(),
        "cas" if weakened.contains(&op.call) || op.reply() == Some(&Value::Bool(false)) => None,
        "cas" => op.input.get(0),
        _ => None,
    }
}

/// Of a register, observations may be left out, and each write that none of the observations shown can have found: it
/// writes another value, or, where intervals count, began after the observation's end, or another write lay wholly between
/// the two.
fn register(
    shown: &[&Op],
    hidden: &[&Op],
    weakened: &[u64],
    respect: Respect,
    history: &History,
) -> Result<(), Refused> {
    let refused = |op: &&&Op| op.f == "cas" && op.reply() == Some(&Value::Bool(false));
    if let Some(op) = shown.iter().find(refused)
        && let Some(other) = hidden.iter().find(|other| writes(other).is_some())
    {
        return refuse(format!("#{} saw any other value, perhaps that of #{}, which is left out", op.call, other.call));
    }
    for reader in shown {
        let Some(value) = needs(reader, weakened) else { continue };
        for writer in hidden.iter().filter(|other| writes(other) == Some(value)) {
            let overwritten = |between: &&Op| {
                between.ok() && writes(between).is_some() && writer.end() < between.call && between.end() < reader.call
            };
            // A counterexample that shows no write of what was read would mislead.
            let written = shown.iter().any(|other| writes(other) == Some(value));
            let hidden = || written && history.beside(reader).any(|between| overwritten(&between));
            if respect == Respect::Processes || !(writer.call > reader.end() || hidden()) {
                return refuse(format!(
                    "#{} may have found what #{} wrote, which is left out",
                    reader.call, writer.call
                ));
            }
        }
    }
    Ok(())
}

/// Of a container, a value may be left out with everybody who put it in, saw it or took it out. `values` names those of
/// an operation, or says that it may be about any: then it may not be left out.
fn whole_values(shown: &[&Op], hidden: &[&Op], values: fn(&Op) -> Option<Vec<Value>>) -> Result<(), Refused> {
    let mut named: HashSet<String> = HashSet::new();
    for op in shown {
        named.extend(values(op).into_iter().flatten().map(|value| value.to_string()));
    }
    for op in hidden {
        let Some(about) = values(op) else {
            return refuse(format!("#{} may have touched any element, and is left out", op.call));
        };
        if let Some(value) = about.iter().find(|value| named.contains(&value.to_string())) {
            return refuse(format!("#{} touched {value}, and is left out", op.call));
        }
    }
    Ok(())
}

/// Only observations, and what was called after all that is shown had ended.
fn observations(shown: &[&Op], hidden: &[&Op], observes: fn(&Op) -> bool) -> Result<(), Refused> {
    let last = shown.iter().filter(|op| op.ok()).map(|op| op.end()).max().unwrap_or(0);
    match hidden.iter().find(|op| !observes(op) && op.call < last) {
        Some(op) => refuse(format!("#{} may have changed what is seen, and is left out", op.call)),
        None => Ok(()),
    }
}
