//! Whether a cut leaked: on one side, while it was in force, a client saw a value that was first written meanwhile on the
//! other side. The proof of a cut covers the links that were cut and tried, no others: a second network, a proxy, a store
//! outside the nodes. What was seen on the other side went some way.
//!
//! Never: a leak of a value that was there before the cut, because the option `initial` says so, or because a read returned it
//! before any call wrote it. Nor of a number that was only added: a sum that was read may be equal to it. What was added
//! shows as an element of a list.
use crate::functions::{Argument, FunctionKind, function_of, kind, parts};
use crate::history::{Fault, History, NameId, Op, Outcome};
use crate::initial::Initial;
use crate::run_level::sides::{Side, SideOf};
use crate::value::{Value, ValueRef};
use std::collections::HashMap;

/// A value of an object: workload, key, key within a transaction, value.
type Written<'h> = (NameId, ValueRef<'h>, Option<ValueRef<'h>>, ValueRef<'h>);

/// An observation on one side of what only another side can have written.
pub(super) struct Leak<'h> {
    pub(super) write: Op<'h>,
    pub(super) seen: Op<'h>,
    pub(super) value: Value,
    /// How many operations saw such a value.
    pub(super) count: usize,
}

/// Whether the argument is a value with the one that replaces it.
fn swaps(history: &History, op: &Op<'_>) -> bool {
    function_of(history, op).argument == Argument::Swap
}

/// What the call tries to write.
fn written<'h>(history: &History, op: &Op<'h>) -> Vec<Written<'h>> {
    let object = |value: ValueRef<'h>| vec![(op.workload, op.key, None, value)];
    match kind(history, op) {
        FunctionKind::Write if swaps(history, op) => {
            op.input.as_list().and_then(|pair| pair.get(1)).map(object).unwrap_or_default()
        }
        FunctionKind::Write | FunctionKind::CommutativeWrite => object(op.input),
        FunctionKind::Transaction => {
            let parts = parts(op.input).unwrap_or_default().into_iter();
            let written = parts.filter(|part| part.kind == FunctionKind::Write);
            written.filter_map(|part| Some((op.workload, op.key, part.key, part.value?))).collect()
        }
        _ => Vec::new(),
    }
}

/// Values that the answer shows: what a read returned, alone or as elements (true), and what a compare-and-set found.
fn seen<'h>(history: &History, op: &Op<'h>) -> Vec<(Written<'h>, bool)> {
    if op.outcome != Outcome::Ok {
        return Vec::new();
    }
    let all = |part: Option<ValueRef<'h>>, value: ValueRef<'h>| -> Vec<(Written<'h>, bool)> {
        match value.as_list() {
            Some(list) => list.iter().map(|value| ((op.workload, op.key, part, value), true)).collect(),
            None => vec![((op.workload, op.key, part, value), false)],
        }
    };
    match kind(history, op) {
        FunctionKind::Read => all(None, op.output),
        FunctionKind::Write if swaps(history, op) && op.output != Value::Bool(false) => {
            op.input.as_list().and_then(|pair| pair.get(0)).map(|from| all(None, from)).unwrap_or_default()
        }
        FunctionKind::Transaction => {
            let parts = parts(op.output).unwrap_or_default().into_iter();
            let read = parts.filter(|part| part.kind == FunctionKind::Read);
            read.flat_map(|part| part.value.map(|value| all(part.key, value)).unwrap_or_default()).collect()
        }
        FunctionKind::Write
        | FunctionKind::CommutativeWrite
        | FunctionKind::Acquire
        | FunctionKind::Query
        | FunctionKind::Follow => Vec::new(),
        // The reply of any other function may be what it found.
        FunctionKind::ReadWrite
        | FunctionKind::Change
        | FunctionKind::Release
        | FunctionKind::Renew
        | FunctionKind::Unknown => all(None, op.output),
    }
}

/// The first attempt to write a value, and on which side all attempts were so far.
struct Attempts<'h> {
    first: Op<'h>,
    /// The first call of each side; None: of a node on no side.
    sides: Vec<(Option<usize>, u64)>,
    /// Some attempt was a write, no addition.
    plain: bool,
    /// A read returned it before it was first written: it was there.
    known: bool,
}

/// Whether the object began with this value: nil, or the value that the options name.
fn began(initial: &Initial, (_, key, part, value): &Written<'_>) -> bool {
    let nothing = value.is_nil() || value.as_text() == Some("");
    let named = || initial.of(&part.unwrap_or(*key).to_value()).cloned();
    let holds = |begins: &Value| match begins {
        Value::List(elements) => elements.iter().any(|element| *value == *element) || *value == *begins,
        begins => *value == *begins,
    };
    nothing || !initial.is_unsaid() && named().is_some_and(|begins| holds(&begins))
}

/// The first observation, on one side of this cut, of what was first written on another side meanwhile.
pub(super) fn leak<'h>(history: &'h History, fault: &Fault, sides: &[Side<'h>], initial: &Initial) -> Option<Leak<'h>> {
    let (from, to) = fault.certain()?;
    let side_of = SideOf::new(history, sides);
    let mut attempts: HashMap<Written<'h>, Attempts<'h>> = HashMap::new();
    let before = |op: &Op<'h>| op.call < to.index;
    for op in history.ops().iter().take_while(before).filter(|op| op.outcome != Outcome::Fail) {
        for written in written(history, &op) {
            if written.3.as_bool().is_some() || began(initial, &written) {
                continue;
            }
            let new = || Attempts { first: op, sides: Vec::new(), plain: false, known: false };
            let known = attempts.entry(written).or_insert_with(new);
            known.plain |= kind(history, &op) != FunctionKind::CommutativeWrite;
            let side = side_of.get(op.node);
            if known.sides.iter().all(|(other, _)| *other != side) {
                known.sides.push((side, op.call));
            }
        }
    }
    attempts.retain(|_, attempts| attempts.first.call > from.index);
    if attempts.is_empty() {
        return None;
    }
    // An observation that was over before the first attempt shows that the value was there, also where it began later than
    // one that is judged below.
    for op in history.ops().iter().take_while(before) {
        for (seen, _) in seen(history, &op) {
            if let Some(attempts) = attempts.get_mut(&seen) {
                attempts.known |= op.reply < attempts.first.call;
            }
        }
    }
    let mut leaks: Vec<(Op<'h>, Op<'h>, ValueRef<'h>)> = Vec::new();
    for op in history.ops().iter().take_while(before) {
        let inside = op.call > from.index && op.reply < to.index;
        let side = side_of.get(op.node).filter(|_| inside);
        let mut leaked = None;
        for (seen, element) in seen(history, &op) {
            let Some(attempts) = attempts.get(&seen).filter(|attempts| attempts.plain || element) else { continue };
            let mut tried = attempts.sides.iter().filter(|(_, call)| *call < op.reply).map(|(side, _)| *side);
            let (Some(side), Some(Some(writer)), None) = (side, tried.next(), tried.next()) else { continue };
            if writer != side && !attempts.known {
                leaked = Some((attempts.first, op, seen.3));
            }
        }
        leaks.extend(leaked);
    }
    let count = leaks.len();
    leaks.into_iter().next().map(|(write, seen, value)| Leak { write, seen, value: value.to_value(), count })
}
