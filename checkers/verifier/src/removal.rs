//! What a counterexample may leave out of its object's operations: only what cannot have explained the ones that it shows.
use crate::certificate::{Certificate, Op, Outcome};
use crate::history::History;
use crate::models::{Cell, ContainerAction, Removal, spec};
use crate::{Refused, refuse};
use serde_json::Value;
use std::collections::HashSet;

/// Whether everything that was called before this index and left out could be left out.
pub(crate) fn allowed(
    certificate: &Certificate,
    model: &str,
    weakened: &[u64],
    until: u64,
    history: &History,
) -> Result<(), Refused> {
    let named: HashSet<u64> = certificate.ops.iter().map(|op| op.call).collect();
    let all: Vec<&Op> = history.beside(&certificate.ops[0]).filter(|op| op.call < until).collect();
    let (shown, hidden): (Vec<&Op>, Vec<&Op>) = all.iter().partition(|op| named.contains(&op.call));
    match spec(model)?.removal {
        Removal::Register => found(&shown, &hidden, &all, &|op| register(op, weakened)),
        Removal::Cells(cell, spares) => {
            if all.iter().all(|op| cell(op).is_some()) {
                return cells(&shown, &hidden, &all, cell);
            }
            unless(&hidden, |op| !spares(&all, &shown, op))
        }
        Removal::Values(values) => whole_values(&shown, &hidden, values),
        Removal::Container(act) => container(&certificate.ops, &shown, &hidden, act)
            .or_else(|why| loosely(&shown, &hidden, until, act).map_err(|_| why)),
        Removal::Observations(observes) => unless(&hidden, |op| !observes(op)),
    }
}

/// Of registers whose operations are in an order by processes alone, all writes of what was read have to be shown.
pub(crate) fn of_sessions(certificate: &Certificate, history: &History) -> Result<(), Refused> {
    for reader in &certificate.ops {
        let Some(value) = register(reader, &[]).needs else { continue };
        let writes = |op: &&Op| register(op, &[]).leaves.as_ref() == Some(&value);
        let hidden = |op: &&Op| !certificate.ops.iter().any(|shown| shown.call == op.call);
        if let Some(op) = history.beside(reader).filter(hidden).find(writes) {
            return refuse(format!("#{} may have found what #{} wrote, which is left out", reader.call, op.call));
        }
        if certificate.ops.iter().any(differs) {
            return refuse("what a refused compare-and-set found is not known");
        }
    }
    Ok(())
}

/// What was left out must not be of this kind.
fn unless(hidden: &[&Op], matters: impl Fn(&Op) -> bool) -> Result<(), Refused> {
    match hidden.iter().find(|op| matters(op)) {
        Some(op) => refuse(format!("#{} may have changed what is seen, and is left out", op.call)),
        None => Ok(()),
    }
}

/// A compare-and-set that was answered with a mismatch.
fn differs(op: &Op) -> bool {
    op.f == "cas" && op.reply() == Some(&Value::Bool(false))
}

fn register(op: &Op, weakened: &[u64]) -> Cell {
    let (needs, leaves) = match op.f.as_str() {
        "read" => (op.reply().cloned(), None),
        "write" => (None, Some(op.input.clone())),
        "cas" if !differs(op) => {
            let needs = op.input.get(0).filter(|_| !weakened.contains(&op.call));
            (needs.cloned(), op.input.get(1).cloned())
        }
        _ => (None, None),
    };
    Cell { name: Value::Null, needs, leaves }
}

/// Of a register, observations may be left out, and each write that none of the observations shown can have found: it
/// writes another value, or it began after the observation's end, or another write lay wholly between the two.
fn found(shown: &[&Op], hidden: &[&Op], all: &[&Op], cell: &dyn Fn(&Op) -> Cell) -> Result<(), Refused> {
    for reader in shown {
        let needs = cell(reader).needs;
        if needs.is_none() && !differs(reader) {
            continue;
        }
        // A counterexample that shows no write of what was read would mislead.
        let written = needs.as_ref().is_none_or(|value| {
            value.is_null() || shown.iter().any(|other| cell(other).leaves.as_ref() == Some(value))
        });
        for writer in hidden {
            let Some(left) = cell(writer).leaves else { continue };
            if needs.as_ref().is_some_and(|value| *value != left) {
                continue;
            }
            let overwritten = |between: &&&Op| {
                let inside = writer.end() < between.call && between.end() < reader.call;
                between.ok() && inside && cell(between).leaves.is_some()
            };
            let gone = written && all.iter().any(|between| overwritten(&between));
            if writer.call < reader.end() && !gone {
                return refuse(format!(
                    "#{} may have found what #{} wrote, which is left out",
                    reader.call, writer.call
                ));
            }
        }
    }
    Ok(())
}

/// Of several registers in one object, each by itself; those of which nothing is shown do not matter.
fn cells(shown: &[&Op], hidden: &[&Op], all: &[&Op], cell: fn(&Op) -> Option<Cell>) -> Result<(), Refused> {
    let known = |op: &Op| cell(op).unwrap_or(Cell { name: Value::Null, needs: None, leaves: None });
    for first in shown {
        let name = known(first).name;
        let of = |ops: &[&Op]| -> Vec<usize> { (0..ops.len()).filter(|&at| known(ops[at]).name == name).collect() };
        let [one, two, three] =
            [shown, hidden, all].map(|ops| of(ops).into_iter().map(|at| ops[at]).collect::<Vec<_>>());
        found(&one, &two, &three, &known)?;
    }
    Ok(())
}

/// A value may be left out with every operation that touched it. `values` names those of an operation, or says that it may be about
/// any: then it may not be left out.
fn whole_values(shown: &[&Op], hidden: &[&Op], values: impl Fn(&Op) -> Option<Vec<Value>>) -> Result<(), Refused> {
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

/// Of a container also replies of an empty one, and, where every value that is shown was taken out by somebody shown, what
/// may have taken any. They may have been taken out later.
fn container(named: &[Op], shown: &[&Op], hidden: &[&Op], act: fn(&Op) -> ContainerAction) -> Result<(), Refused> {
    let count = |wanted: &Value, put: bool| {
        let same = |op: &&Op| match act(op) {
            ContainerAction::Put(value) => put && value == *wanted,
            ContainerAction::Take(value) => !put && value == *wanted,
            ContainerAction::Nothing | ContainerAction::Unknown => false,
        };
        named.iter().filter(same).count()
    };
    let left = shown.iter().any(|op| match act(op) {
        ContainerAction::Put(value) => count(&value, true) > count(&value, false),
        _ => false,
    });
    whole_values(shown, hidden, |op| match act(op) {
        ContainerAction::Put(value) | ContainerAction::Take(value) => Some(vec![value]),
        ContainerAction::Nothing => Some(Vec::new()),
        ContainerAction::Unknown if op.outcome == Outcome::Info && !left => Some(Vec::new()),
        ContainerAction::Unknown => None,
    })
}

/// Whether the values that are shown contradict each other in whatever order a container gives them back: each was taken out
/// more often than it had been put in. Whoever else took them only makes that worse.
fn loosely(shown: &[&Op], hidden: &[&Op], until: u64, act: fn(&Op) -> ContainerAction) -> Result<(), Refused> {
    let mut taken: Vec<(u64, Value)> = Vec::new();
    let mut put: Vec<(u64, Value)> = Vec::new();
    for op in shown {
        match act(op) {
            ContainerAction::Take(value) if op.end() <= until => taken.push((op.end(), value)),
            ContainerAction::Put(value) => put.push((op.call, value)),
            ContainerAction::Take(_) | ContainerAction::Nothing | ContainerAction::Unknown => {}
        }
    }
    let hides =
        |value: &Value| hidden.iter().any(|op| matches!(act(op), ContainerAction::Put(other) if other == *value));
    let count = |list: &[(u64, Value)], value: &Value, before: u64| {
        list.iter().filter(|(index, other)| other == value && *index <= before).count()
    };
    let short = |(end, value): &(u64, Value)| !hides(value) && count(&taken, value, *end) > count(&put, value, *end);
    if taken.iter().any(short) { Ok(()) } else { refuse("the order of the container plays a role") }
}
