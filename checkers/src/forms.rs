//! Forms of values: plain ones (numbers, texts, flags), and composite ones (lists, objects). A read that shows composite values
//! of a register to which only plain ones were written shows them in another form, such as with their versions. What it shows
//! was then never written as it stands, and that accuses nobody.
use crate::functions::{Argument, FunctionKind, function_of};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::Initial;
use crate::value::{Kind, Value, ValueRef};
use std::collections::{HashMap, HashSet};

/// Whether the value is a list or an object.
pub(crate) fn composite(value: ValueRef<'_>) -> bool {
    matches!(value.kind(), Kind::List(_) | Kind::Map(_))
}

/// The workloads of registers to which only plain values were written.
#[derive(Debug)]
pub(crate) struct Plain(HashMap<NameId, bool>);

impl Plain {
    /// Of this history, whatever became of the writes.
    pub(crate) fn of(history: &History) -> Plain {
        let mut plain: HashMap<NameId, bool> = HashMap::new();
        for op in history.ops().iter() {
            let function = function_of(history, &op);
            let written = match (function.kind, function.argument) {
                (FunctionKind::Write, Argument::Value | Argument::Suffix) => !composite(op.input),
                (_, Argument::Swap) => {
                    op.input.as_list().is_some_and(|pair| pair.iter().all(|value| !composite(value)))
                }
                _ => continue,
            };
            *plain.entry(op.workload).or_insert(true) &= written;
        }
        Plain(plain)
    }

    /// Why the reply of this operation shows a value in another form than values were written in, where it does.
    pub(crate) fn other_form(&self, history: &History, op: &Op<'_>, initial: &Initial) -> Option<String> {
        let function = history.name(op.function);
        let reads =
            function_of(history, op).kind == FunctionKind::Read && op.outcome == Outcome::Ok && composite(op.output);
        if !reads || !self.0.get(&op.workload).is_some_and(|plain| *plain) {
            return None;
        }
        // Registers may have begun with one.
        let key = op.key.to_value();
        if initial.of(&key).is_some_and(|begins| matches!(begins, Value::List(_) | Value::Map(_))) {
            return None;
        }
        Some(format!(
            "#{} {function} returned {}, but no list and no object was written: if they are values with their \
             versions, [version, value], say --model versioned-register (linearizable) or versions=true (session guarantees)",
            op.call, op.output
        ))
    }
}

/// The workloads whose reads seem to answer `[value, version]`, the wrong way round, with the reason: every first part is a
/// value that was written, and most second parts are none. In `[version, value]` most second parts are.
#[derive(Debug)]
pub(crate) struct Turned(HashMap<NameId, String>);

/// The second part of a list of two.
fn second(value: ValueRef<'_>) -> Option<ValueRef<'_>> {
    value.as_list().filter(|list| list.len() == 2).map(|list| list.at(1))
}

/// What the reads of one workload answer.
#[derive(Default)]
struct Pairs<'h> {
    all: usize,
    first_unwritten: bool,
    second_unwritten: usize,
    /// The first read whose second part nobody wrote.
    example: Option<Op<'h>>,
}

impl Turned {
    /// Of this history, whose registers begin so.
    pub(crate) fn of(history: &History, initial: &Initial) -> Turned {
        let mut written: HashSet<(NameId, ValueRef<'_>)> = HashSet::new();
        for op in history.ops().iter() {
            // Arguments may have versions: `[version, value]`, `[version, [from, to]]`.
            let value = second(op.input).unwrap_or(op.input);
            let function = function_of(history, &op);
            match (function.kind, function.argument) {
                (FunctionKind::Write, Argument::Value) => drop(written.insert((op.workload, value))),
                (_, Argument::Swap) => drop(written.insert((op.workload, second(value).unwrap_or(value)))),
                _ => {}
            }
        }
        let mut workloads: HashMap<NameId, Pairs<'_>> = HashMap::new();
        let begins = |op: &Op<'_>| {
            !initial.is_unsaid() && initial.of(&op.key.to_value()).is_some_and(|begins| op.output == *begins)
        };
        let read = |op: &Op<'_>| op.outcome == Outcome::Ok && function_of(history, op).kind == FunctionKind::Read;
        let reads = history.ops().iter().filter(read);
        for op in reads.filter(|op| !begins(op)) {
            let Some(pair) = op.output.as_list().filter(|list| list.len() == 2) else { continue };
            // A part that is nil says nothing.
            if pair.at(0).is_nil() || pair.at(1).is_nil() {
                continue;
            }
            let pairs = workloads.entry(op.workload).or_default();
            pairs.all += 1;
            pairs.first_unwritten |= !written.contains(&(op.workload, pair.at(0)));
            if !written.contains(&(op.workload, pair.at(1))) {
                pairs.second_unwritten += 1;
                pairs.example.get_or_insert(op);
            }
        }
        let turned = workloads.into_iter().filter_map(|(workload, pairs)| {
            let example = pairs.example.filter(|_| !pairs.first_unwritten && 2 * pairs.second_unwritten > pairs.all)?;
            let why = format!(
                "#{} read returned {}: of most reads the first part was written and the second was not, as if it were \
                 [value, version]; the order is [version, value]",
                example.call, example.output
            );
            Some((workload, why))
        });
        Turned(turned.collect())
    }

    /// Why nothing can be said of the reads of this workload.
    pub(crate) fn why(&self, workload: NameId) -> Option<&str> {
        self.0.get(&workload).map(String::as_str)
    }
}
