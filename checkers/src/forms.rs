//! Forms of values: plain ones (numbers, texts, flags), and composite ones (lists, objects). A read that shows composite values
//! of a register to which only plain ones were written shows them in another form, such as with their versions. What it shows
//! was then never written as it stands, and that accuses nobody.
use crate::history::{History, NameId, Op, Outcome};
use crate::initial::Initial;
use crate::value::{Kind, Value, ValueRef};
use std::collections::HashMap;

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
            let written = match history.name(op.function) {
                "write" | "put" | "append" => !composite(op.input),
                "cas" => op.input.as_list().is_some_and(|pair| pair.iter().all(|value| !composite(value))),
                _ => continue,
            };
            *plain.entry(op.workload).or_insert(true) &= written;
        }
        Plain(plain)
    }

    /// Why the reply of this operation shows a value in another form than values were written in, where it does.
    pub(crate) fn other_form(&self, history: &History, op: &Op<'_>, initial: &Initial) -> Option<String> {
        let function = history.name(op.function);
        let reads = matches!(function, "read" | "get") && op.outcome == Outcome::Ok && composite(op.output);
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
