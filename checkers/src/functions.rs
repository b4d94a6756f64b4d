//! [`Effect`]: what a function does to the object of its call, by its name; for checkers that judge calls of any workload.
//!
//! **A function that nobody knows is a possible write.** Never: passing a call over because its name is not in the table.
//! A list of micro-operations (`[["w", 1, 5], ["r", 2, nil]]`) is a transaction, whatever its function is called.
use crate::history::{History, Op};
use crate::value::{Kind, ValueRef};

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It changes nothing and answers with what the object holds.
    Reads,
    /// It changes nothing and answers with something else: a number of elements, a status.
    Asks,
    /// It changes nothing but what its own client is shown next. Of a queue, the same name may take elements away.
    Follows,
    /// It changes the object, and the order of two of them matters.
    Writes,
    /// It changes the object, and the order of two of them does not matter: neither contradicts the other.
    Commutes,
    /// It takes something that others then cannot have.
    Takes,
    /// A list of micro-operations, each with an effect and a key of its own.
    Transacts,
    /// It may change something: the table does not say what, or does not know the function.
    May,
}

/// The table. Functions that are not here may change anything.
const FUNCTIONS: &[(&str, Effect)] = &[
    ("read", Effect::Reads),
    ("get", Effect::Reads),
    ("contains", Effect::Asks),
    ("count", Effect::Asks),
    ("length", Effect::Asks),
    ("size", Effect::Asks),
    ("leader", Effect::Asks),
    ("holder", Effect::Asks),
    ("status", Effect::Asks),
    ("watch", Effect::Follows),
    ("poll", Effect::Follows),
    ("assign", Effect::Follows),
    ("subscribe", Effect::Follows),
    ("seek", Effect::Follows),
    ("write", Effect::Writes),
    ("cas", Effect::Writes),
    ("put", Effect::Writes),
    ("delete", Effect::Writes),
    ("append", Effect::Writes),
    ("enqueue", Effect::Writes),
    ("add", Effect::Commutes),
    ("inc", Effect::Commutes),
    ("dec", Effect::Commutes),
    ("increment", Effect::Commutes),
    ("decrement", Effect::Commutes),
    ("acquire", Effect::Takes),
    ("txn", Effect::Transacts),
];

/// First words of micro-operations, with what they do to their key.
const PARTS: &[(&str, Effect)] = &[
    ("r", Effect::Reads),
    ("w", Effect::Writes),
    ("append", Effect::Writes),
    ("send", Effect::Writes),
    ("poll", Effect::Follows),
];

fn lookup(table: &[(&str, Effect)], name: &str) -> Effect {
    table.iter().find(|(known, _)| *known == name).map_or(Effect::May, |(_, effect)| *effect)
}

/// Whether this is a list of micro-operations.
fn is_transaction(input: ValueRef<'_>) -> bool {
    let part = |part: ValueRef<'_>| {
        let head = part.as_list().and_then(|part| part.get(0)).and_then(|head| head.as_text());
        head.is_some_and(|head| lookup(PARTS, head) != Effect::May)
    };
    input.as_list().is_some_and(|list| !list.is_empty() && list.iter().all(part))
}

/// What the function of this name does, if its argument is a plain one.
fn of_name(function: &str) -> Effect {
    lookup(FUNCTIONS, function)
}

/// Whether a function of this name changes nothing, whatever the object. `read` is left to each checker: of some objects
/// it takes away what it returns.
pub(crate) fn is_read_only(function: &str) -> bool {
    matches!(of_name(function), Effect::Reads | Effect::Asks) && function != "read"
}

/// What the call does if it takes effect.
pub(crate) fn effect(history: &History, op: &Op<'_>) -> Effect {
    match of_name(history.name(op.function)) {
        Effect::Transacts => Effect::Transacts,
        _ if is_transaction(op.input) => Effect::Transacts,
        // The keys are in the argument, and some of them may be another's.
        Effect::Writes if matches!(op.input.kind(), Kind::Map(_)) => Effect::May,
        effect => effect,
    }
}

/// A micro-operation: what it does, its key, its value.
pub(crate) struct Part<'h> {
    pub(crate) effect: Effect,
    pub(crate) key: ValueRef<'h>,
    pub(crate) value: Option<ValueRef<'h>>,
}

/// The micro-operations of a list of them; None where one cannot be told.
pub(crate) fn parts<'h>(list: ValueRef<'h>) -> Option<Vec<Part<'h>>> {
    let part = |part: ValueRef<'h>| {
        let part = part.as_list()?;
        let effect = lookup(PARTS, part.get(0)?.as_text()?);
        let part = Part { effect, key: part.get(1)?, value: part.get(2) };
        (part.effect != Effect::May).then_some(part)
    };
    list.as_list()?.iter().map(part).collect()
}

/// Whether the call may have changed something, if it took effect.
pub(crate) fn may_change(history: &History, op: &Op<'_>) -> bool {
    match effect(history, op) {
        Effect::Reads | Effect::Asks | Effect::Follows => false,
        Effect::Transacts => {
            let reads = |part: &Part<'_>| matches!(part.effect, Effect::Reads | Effect::Follows);
            !parts(op.input).is_some_and(|parts| parts.iter().all(reads))
        }
        Effect::Writes | Effect::Commutes | Effect::Takes | Effect::May => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_stands_in_the_table_once_and_others_may_do_anything() {
        for table in [FUNCTIONS, PARTS] {
            for (at, (name, _)) in table.iter().enumerate() {
                assert!(table[..at].iter().all(|(other, _)| other != name), "{name}");
            }
        }
        assert_eq!(of_name("swap"), Effect::May);
        assert!(is_read_only("count") && !is_read_only("poll") && !is_read_only("swap"));
    }
}
