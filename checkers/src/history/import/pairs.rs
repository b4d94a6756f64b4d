//! Whether values without an explanation are keys with their values, as `jepsen.independent` makes them. Read as plain
//! values they would all belong to one object, and its checker would find it broken: so such a history is refused.
//!
//! **Certain** from one call on, wherever it stands: a call with `[k nil]` that was answered with `[k v]` (what it asks
//! carries its key, and so does the answer), and a `txn` whose value is `[k [[..] ..]]`, no list of micro-operations.
//! **By all calls together**: the value of every call is a list of two whose first item can be a key (neither nil nor a
//! list), and one of them means something else if it is plain: a read of `[k nil]`, whatever it was answered; a
//! compare-and-set of `[k [from to]]`; a lock or a count (`acquire`, `inc`, ...) of `[k x]`.
//!
//! Never from writes alone, which keep every promise in either meaning; nor from `[from to]` of a compare-and-set,
//! from micro-operations, or from calls that have a key of their own. It counts nothing but the first such call.
use crate::functions::Argument;
use crate::history::HistoryError;
use crate::value::{ListRef, ValueRef};

/// What a call says about the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidence {
    /// Nothing new.
    Nothing,
    /// Keys, if all other calls have them too. Told once.
    Likely,
    /// Keys.
    Certain,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// A call's value cannot be a key with its value.
    other: bool,
    /// The first call that speaks for keys: line, column, and what it was.
    first: Option<((u64, u64), String)>,
}

impl Pairs {
    /// A call that is no such pair for certain: its key stands elsewhere.
    pub(super) fn keyed(&mut self) {
        self.other = true;
    }

    /// A call with this argument.
    pub(super) fn call(&mut self, argument: Argument, input: ValueRef<'_>) -> Confidence {
        let Some((_, value)) = pair(input).filter(|(key, _)| !key.is_nil() && key.as_list().is_none()) else {
            self.other = true;
            return Confidence::Nothing;
        };
        let likely = match argument {
            Argument::MicroOperations => {
                let mops = value.as_list().filter(|mops| !mops.is_empty());
                return match mops.is_some_and(|mops| mops.iter().all(|mop| mop.as_list().is_some())) {
                    true => Confidence::Certain,
                    false => Confidence::Nothing,
                };
            }
            Argument::Selector | Argument::Nothing | Argument::Other => value.is_nil(),
            Argument::Optional => true,
            Argument::Swap => value.as_list().is_some_and(|list| list.len() == 2),
            Argument::Value | Argument::Suffix | Argument::Element | Argument::Subject | Argument::Objects => false,
        };
        if likely && self.first.is_none() && !self.other { Confidence::Likely } else { Confidence::Nothing }
    }

    /// Keeps a likely sign: what it was, its place not known yet.
    pub(super) fn keep(&mut self, seen: String) {
        self.first = Some(((0, 0), seen));
    }

    /// The place of the sign that was kept last, if it still needs one.
    pub(super) fn place(&mut self) -> Option<&mut (u64, u64)> {
        self.first.as_mut().map(|(place, _)| place).filter(|place| place.0 == 0)
    }

    /// What all calls together say.
    pub(super) fn judged(self) -> Result<(), HistoryError> {
        match self.first {
            Some(((line, column), seen)) if !self.other => {
                let seen = format!("{seen}, and the value of every other call is a list of two as well");
                Err(HistoryError::AmbiguousKeys { line, column, seen })
            }
            _ => Ok(()),
        }
    }
}

/// Whether this answer repeats the key that its call carried.
pub(super) fn echoes(argument: Argument, input: ValueRef<'_>, output: ValueRef<'_>) -> bool {
    let (Some((asked, nothing)), Some((key, value))) = (pair(input), pair(output)) else { return false };
    let selects = matches!(argument, Argument::Selector | Argument::Nothing | Argument::Other);
    // A value with its version asks for both with nils.
    let blank = nothing.as_list().is_some_and(|list| !list.is_empty() && list.iter().all(|item| item.is_nil()));
    let asks = nothing.is_nil() || blank && selects && nothing != value;
    // A value, element or owner may be repeated as it is.
    !asked.is_nil() && asks && asked == key && (selects || !value.is_nil())
}

fn pair(value: ValueRef<'_>) -> Option<(ValueRef<'_>, ValueRef<'_>)> {
    value.as_list().filter(|list| list.len() == 2).map(|list: ListRef<'_>| (list.at(0), list.at(1)))
}
