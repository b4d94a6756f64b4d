//! [`FUNCTIONS`]: what each function means, by its name: what a call does to its object ([`FunctionKind`]), what its argument is
//! ([`Argument`]), what its reply is ([`Reply`]), and its verb. Workloads, the client protocol, importers, exporters, checkers and
//! the sentences of findings ask this table.
//!
//! **A function that the table does not know is a possible write** ([`FunctionKind::Unknown`]), and a promise about its object is
//! unknown. Never: passing a call over because its name is not in the table.
//! A list of micro-operations (`[["w", 1, 5], ["r", 2, nil]]`) is a transaction, whatever its function is called.
pub(crate) mod table;
#[cfg(test)]
mod tests;

use crate::history::{History, Op, Outcome};
use crate::value::{Kind, Value, ValueRef};
use table::PARTS;

pub use table::{Argument, FUNCTIONS, Function, FunctionKind, Reply, function};

/// What the call's function means.
pub(crate) fn function_of(history: &History, op: &Op<'_>) -> &'static Function {
    history.function(op.function)
}

/// The kind of a micro-operation by its first word.
fn part_kind(name: &str) -> FunctionKind {
    let name = name.strip_prefix(':').unwrap_or(name);
    PARTS.iter().find(|(known, _)| *known == name).map_or(FunctionKind::Unknown, |(_, kind)| *kind)
}

/// What a micro-operation on a list or a register does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MicroOperation {
    Append,
    Write,
    Read,
}

/// The micro-operation on a list or a register that this is the first word of.
pub(crate) fn micro_operation(name: &str) -> Option<MicroOperation> {
    match name.strip_prefix(':').unwrap_or(name) {
        "append" => Some(MicroOperation::Append),
        "w" | "write" => Some(MicroOperation::Write),
        "r" | "read" => Some(MicroOperation::Read),
        _ => None,
    }
}

/// Whether this is a list of micro-operations on lists or registers, `[name, key, value]` each. Never a value of a key: such a
/// value is an atom.
pub(crate) fn is_micro_operations(value: ValueRef<'_>) -> bool {
    let part = |part: ValueRef<'_>| {
        let Some(part) = part.as_list().filter(|part| part.len() == 3) else { return false };
        part.at(0).as_text().is_some_and(|name| micro_operation(name).is_some())
    };
    value.as_list().is_some_and(|list| !list.is_empty() && list.iter().all(part))
}

/// Whether this is a list of micro-operations of any kind.
fn is_transaction(input: ValueRef<'_>) -> bool {
    let part = |part: ValueRef<'_>| {
        let head = part.as_list().and_then(|part| part.get(0)).and_then(|head| head.as_text());
        head.is_some_and(|head| part_kind(head) != FunctionKind::Unknown)
    };
    input.as_list().is_some_and(|list| !list.is_empty() && list.iter().all(part))
}

/// Whether a function of this name changes nothing, for every object. `read` is left to each checker: of some objects
/// it takes away what it returns.
pub(crate) fn is_read_only(name: &str) -> bool {
    function(name).kind.is_read_only() && name != "read"
}

/// What the call does if it takes effect.
pub(crate) fn kind(history: &History, op: &Op<'_>) -> FunctionKind {
    match function_of(history, op).kind {
        FunctionKind::Transaction => FunctionKind::Transaction,
        _ if is_transaction(op.input) => FunctionKind::Transaction,
        _ if function_of(history, op).argument == Argument::Nothing && !op.input.is_nil() => FunctionKind::Unknown,
        // The keys are in the argument, and some of them may be another's.
        FunctionKind::Write if matches!(op.input.kind(), Kind::Map(_)) => FunctionKind::Change,
        kind => kind,
    }
}

/// The key that stands beside the argument; None where the keys stand in it, or nowhere.
pub(crate) fn key<'h>(history: &History, op: &Op<'h>) -> Option<ValueRef<'h>> {
    let beside = function_of(history, op).argument != Argument::Objects;
    Some(op.key).filter(|key| beside && !key.is_nil())
}

/// A micro-operation: what it does, its key, its value.
pub(crate) struct Part<'h> {
    pub(crate) kind: FunctionKind,
    /// None if it names no key, as `["poll"]`.
    pub(crate) key: Option<ValueRef<'h>>,
    pub(crate) value: Option<ValueRef<'h>>,
}

/// The micro-operations of a list of them; None where one is not known, or changes a key that it does not name.
pub(crate) fn parts<'h>(list: ValueRef<'h>) -> Option<Vec<Part<'h>>> {
    let part = |part: ValueRef<'h>| {
        let part = part.as_list()?;
        let kind = part_kind(part.get(0)?.as_text()?);
        let part = Part { kind, key: part.get(1), value: part.get(2) };
        let told = part.key.is_some() || !part.may_change();
        (part.kind != FunctionKind::Unknown && told).then_some(part)
    };
    list.as_list()?.iter().map(part).collect()
}

impl Part<'_> {
    /// Whether it may change its key.
    fn may_change(&self) -> bool {
        !(self.kind.is_read_only() || self.kind == FunctionKind::Follow)
    }
}

/// Whether the call may have changed something, if it took effect.
pub fn may_change(history: &History, op: &Op<'_>) -> bool {
    match kind(history, op) {
        FunctionKind::Read | FunctionKind::Query | FunctionKind::Follow => false,
        FunctionKind::Transaction => parts(op.input).is_none_or(|parts| parts.iter().any(Part::may_change)),
        _ => true,
    }
}

/// The value that the object holds because of the call, if it took effect and its function brings a value.
pub(crate) fn brought<'h>(history: &History, op: &Op<'h>) -> Option<ValueRef<'h>> {
    match function_of(history, op).argument {
        Argument::Value | Argument::Suffix | Argument::Element => Some(op.input),
        // A compare-and-set that was answered with a mismatch wrote nothing.
        Argument::Swap if op.output == Value::Bool(false) => None,
        Argument::Swap => op.input.as_list().filter(|pair| pair.len() == 2).map(|pair| pair.at(1)),
        _ => None,
    }
}

/// What the call did, with its reply: `wrote 5`, `tried to add 3`, `enqueued 5 (reply 7)`.
pub(crate) fn describe(history: &History, op: &Op<'_>) -> String {
    describe_with(history, op, &|value| value.to_string())
}

/// As [`describe`], with values in these words. The grammar is one for all functions: past tense of what was done, or "tried to"
/// and the verb; the argument; the reply, if it says more.
pub(crate) fn describe_with(history: &History, op: &Op<'_>, value: &dyn Fn(ValueRef<'_>) -> String) -> String {
    let function = function_of(history, op);
    let refused = op.output == Value::Bool(false) && !function.kind.is_read_only();
    let done = op.outcome == Outcome::Ok && !refused;
    let (verb, reply) =
        (if done { function.past.to_owned() } else { format!("tried to {}", function.verb) }, op.completion_value);
    let swap = op.input.as_list().filter(|list| list.len() == 2).map(|list| (list.at(0), list.at(1)));
    match (function.kind, function.argument, swap) {
        (_, Argument::Swap, Some((from, _))) if refused => format!("saw another value than {}", value(from)),
        (_, Argument::Swap, Some((from, to))) => format!("{verb} {} by {}", value(from), value(to)),
        // A step of a counter, by one where nothing is said.
        (FunctionKind::CommutativeWrite, Argument::Optional, _) => {
            let amount = if op.input.is_nil() { "1".to_owned() } else { value(op.input) };
            format!("{verb} by {amount}{}", further(op, reply, value))
        }
        (FunctionKind::Transaction, ..) if done && !reply.is_nil() => format!("{verb} {}", value(reply)),
        (FunctionKind::ReadWrite, ..) if done && function.reply == Reply::Value && reply.is_nil() => {
            format!("found nothing to {}", function.verb)
        }
        (FunctionKind::Read | FunctionKind::ReadWrite, ..) if done && function.reply == Reply::Value => {
            let asked = Some(op.input).filter(|input| !input.is_nil() && *input != reply);
            format!("{verb} {}{}", asked.map(|input| value(input) + ": ").unwrap_or_default(), value(reply))
        }
        (kind, ..) => {
            // The name of a function that has no verb.
            let name =
                if kind == FunctionKind::Unknown { format!(" {}", history.name(op.function)) } else { String::new() };
            let argument = if op.input.is_nil() { String::new() } else { format!(" {}", value(op.input)) };
            let answer = match kind.is_read_only() && done {
                true => format!(" (reply {})", value(reply)),
                false => further(op, reply, value),
            };
            format!("{verb}{name}{argument}{answer}")
        }
    }
}

/// The reply of a call, if it says more than that the call was done.
fn further(op: &Op<'_>, reply: ValueRef<'_>, value: &dyn Fn(ValueRef<'_>) -> String) -> String {
    let says = !reply.is_nil() && reply != Value::Bool(true) && reply != op.input;
    if says { format!(" (reply {})", value(reply)) } else { String::new() }
}
