//! Forms of values: plain ones (numbers, texts, flags), pairs without a version (`[null, value]`), and other composite ones (lists,
//! objects). A read that shows composite values of a register to which only plain ones were written shows them in another form,
//! such as with their versions, and so does one that shows anything but pairs without a version where such were written. What it
//! shows was then never written as it stands, which is no violation.
use crate::functions::{Argument, FunctionKind, function_of};
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::Initial;
use crate::value::{Kind, Value, ValueRef};
use std::collections::{HashMap, HashSet};

/// Whether the value is a list or an object.
pub(crate) fn composite(value: ValueRef<'_>) -> bool {
    matches!(value.kind(), Kind::List(_) | Kind::Map(_))
}

/// What a write or a compare-and-set is about: of `[null, value]` and `[null, [from, to]]` the value and `[from, to]`, as arguments
/// of a register with versions are. `None` where the argument is no such pair.
pub(crate) fn without_version<'h>(function: &str, input: ValueRef<'h>) -> Option<ValueRef<'h>> {
    let value = second(input).filter(|_| input.as_list().is_some_and(|pair| pair.at(0).is_nil()))?;
    (function != "cas" || second(value).is_some()).then_some(value)
}

/// The workloads of registers in which values were written in one form: plain values, or pairs without a version.
#[derive(Debug, Default)]
pub(crate) struct Forms<'h> {
    workloads: Vec<(NameId, Written)>,
    /// Whether pairs without a version were written anywhere.
    any_pairs: bool,
    /// Whether a read showed a composite value anywhere.
    any_composite_read: bool,
    /// Pairs without a version as they stand, and `[from, to]` of `[null, [from, to]]`, which may be a value.
    pairs: HashSet<(NameId, ValueRef<'h>)>,
}

/// In which form the values of a workload were written.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    plain: bool,
    /// Pairs without a version: see [`without_version`].
    pairs: bool,
    others: bool,
}

impl<'h> Forms<'h> {
    /// Of this history, with writes of every outcome.
    pub(crate) fn of(history: &'h History) -> Forms<'h> {
        let mut forms = Forms::default();
        for op in history.ops().iter() {
            let function = history.name(op.function);
            let meaning = function_of(history, &op);
            let writes = matches!(meaning.argument, Argument::Value | Argument::Suffix | Argument::Swap);
            if !writes || meaning.kind != FunctionKind::Write {
                forms.any_composite_read |= meaning.kind == FunctionKind::Read && composite(op.output);
                continue;
            }
            let at = forms.workloads.iter().position(|(workload, _)| *workload == op.workload).unwrap_or_else(|| {
                forms.workloads.push((op.workload, Written::default()));
                forms.workloads.len() - 1
            });
            let written = &mut forms.workloads[at].1;
            let values = op.input.as_list().filter(|pair| function == "cas" && pair.len() == 2);
            let plain = match values {
                Some(pair) => pair.iter().all(|value| !composite(value)),
                None => function != "cas" && !composite(op.input),
            };
            if without_version(function, op.input).is_some() {
                written.pairs = true;
                forms.any_pairs = true;
                forms.pairs.insert((op.workload, values.map_or(op.input, |pair| pair.at(1))));
            } else {
                written.plain |= plain;
                written.others |= !plain;
            }
        }
        forms
    }

    /// Whether any reply may show a value in another form.
    pub(crate) fn may_differ(&self) -> bool {
        self.any_pairs || self.any_composite_read
    }

    /// Why the reply of this operation shows a value in another form than values were written in, where it does.
    pub(crate) fn other_form(&self, history: &History, op: &Op<'_>, initial: &Initial) -> Option<String> {
        let shown = op.outcome == Outcome::Ok && !op.output.is_nil() && (self.any_pairs || composite(op.output));
        if !shown || function_of(history, op).kind != FunctionKind::Read {
            return None;
        }
        let function = history.name(op.function);
        let (_, written) = self.workloads.iter().find(|(workload, _)| *workload == op.workload)?;
        if written.others {
            return None;
        }
        let other = match (composite(op.output), written.pairs) {
            (true, false) => true,
            (true, true) => without_version("write", op.output).is_none(),
            (false, pairs) => pairs && !written.plain,
        };
        if !other || self.pairs.contains(&(op.workload, op.output)) {
            return None;
        }
        // Registers may have begun with one.
        if initial.of(&op.key.to_value()).is_some_and(|begins| op.output == *begins || !written.pairs && lists(begins))
        {
            return None;
        }
        let form = if written.pairs {
            "values were written without a version, as [null, value]"
        } else {
            "no list and no object was written"
        };
        Some(format!(
            "#{} {function} returned {}, but {form}: if they are values with their versions, [version, value], say --model \
             versioned-register (linearizable) or versions=true (session guarantees)",
            op.call, op.output
        ))
    }
}

fn lists(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

/// The second part of a list of two.
fn second(value: ValueRef<'_>) -> Option<ValueRef<'_>> {
    value.as_list().filter(|list| list.len() == 2).map(|list| list.at(1))
}

/// The workloads whose reads seem to answer `[value, version]`, the wrong way round, with the reason: every first part is a
/// value that was written, most second parts are none, and each is the version of one value. In `[version, value]` most second
/// parts are values that were written.
#[derive(Debug)]
pub(crate) struct Turned(HashMap<NameId, String>);

/// What the reads of one workload answer.
#[derive(Default)]
struct Pairs<'h> {
    all: usize,
    strange: bool,
    second_unwritten: usize,
    /// The first read whose second part was never written.
    example: Option<Op<'h>>,
    /// By key, the value of each version.
    values: HashMap<ValueRef<'h>, HashMap<ValueRef<'h>, ValueRef<'h>>>,
}

impl Turned {
    /// Of this history, whose registers begin so.
    pub(crate) fn of(history: &History, initial: &Initial) -> Turned {
        let mut written: HashSet<(NameId, ValueRef<'_>)> = HashSet::new();
        let mut writes: HashMap<(NameId, ValueRef<'_>), i64> = HashMap::new();
        for op in history.ops().iter() {
            // Arguments may have versions: `[version, value]`, `[version, [from, to]]`.
            let value = second(op.input).unwrap_or(op.input);
            let function = function_of(history, &op);
            match (function.kind, function.argument) {
                (FunctionKind::Write, Argument::Value) => drop(written.insert((op.workload, value))),
                (_, Argument::Swap) => drop(written.insert((op.workload, second(value).unwrap_or(value)))),
                _ => continue,
            }
            *writes.entry((op.workload, op.key)).or_default() += 1;
        }
        let mut workloads: HashMap<NameId, Pairs<'_>> = HashMap::new();
        let begins = |op: &Op<'_>| {
            !initial.is_unsaid() && initial.of(&op.key.to_value()).is_some_and(|begins| op.output == *begins)
        };
        let read = |op: &Op<'_>| op.outcome == Outcome::Ok && function_of(history, op).kind == FunctionKind::Read;
        let reads = history.ops().iter().filter(read);
        for op in reads.filter(|op| !begins(op)) {
            let Some(pair) = op.output.as_list().filter(|list| list.len() == 2) else { continue };
            let (first, second) = (pair.at(0), pair.at(1));
            // A part that is nil says nothing.
            if first.is_nil() && second.is_nil() {
                continue;
            }
            let pairs = workloads.entry(op.workload).or_default();
            pairs.all += 1;
            pairs.strange |= !first.is_nil() && !written.contains(&(op.workload, first));
            if !second.is_nil() && !written.contains(&(op.workload, second)) {
                pairs.second_unwritten += 1;
                pairs.example.get_or_insert(op);
            }
            if !first.is_nil() && !second.is_nil() {
                let value = *pairs.values.entry(op.key).or_default().entry(second).or_insert(first);
                pairs.strange |= value != first || second.as_int().is_none();
            }
        }
        let turned = workloads.into_iter().filter_map(|(workload, pairs)| {
            let example = pairs.example.filter(|_| !pairs.strange && 2 * pairs.second_unwritten > pairs.all)?;
            // One number alone is a version only if that many writes make it.
            let counts = |key: ValueRef<'_>, version: ValueRef<'_>| {
                let most = writes.get(&(workload, key)).copied().unwrap_or(0);
                version.as_int().is_some_and(|version| (1..=most).contains(&version))
            };
            let versions =
                pairs.values.iter().all(|(key, of)| of.len() > 1 || of.keys().all(|version| counts(*key, *version)));
            if !versions {
                return None;
            }
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

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
