//! Several registers; one step may read and write some of them. Initially all are nil, unless the option `initial` is set.
use super::{Model, RegisterAction, unknown_function};
use crate::initial::Initial;
use crate::value::Value;
use std::collections::BTreeMap;

pub(super) const FUNCTIONS: &[&str] = &["txn", "read", "write"];

/// Several registers, as in Knossos: `txn` with `[[f, key, value], ..]`, where f is `read` (`r`) or `write` (`w`), done in
/// this order in one step; its reply is the same with what was read. `write` takes an object of keys (texts) and values;
/// `read` takes a list of keys, and its reply is an object.
#[derive(Clone, Debug, Default)]
pub struct MultiRegister {
    /// What its registers hold at first, by their own keys.
    pub initial: Initial,
}

/// Part of a step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Micro {
    /// The register of this key held this.
    Read(Value, Value),
    /// The register of this key holds this from now on.
    Write(Value, Value),
}

fn micro(op: &Value, reads: bool) -> Result<Option<Micro>, String> {
    let wrong = || format!("txn takes [[f, key, value], ..] with f read or write, not {op}");
    let (f, key, value) = match op.as_list() {
        Some([Value::Text(f), key, value]) => (f, key, value),
        Some([Value::Text(f), key]) => (f, key, &Value::Nil),
        _ => return Err(wrong()),
    };
    match f.trim_start_matches(':') {
        "r" | "read" => Ok(reads.then(|| Micro::Read(key.clone(), value.clone()))),
        "w" | "write" => Ok(Some(Micro::Write(key.clone(), value.clone()))),
        _ => Err(wrong()),
    }
}

impl Model for MultiRegister {
    /// Registers that do not hold what they held at first.
    type State = BTreeMap<Value, Value>;
    type Action = Vec<Micro>;

    fn name(&self) -> &'static str {
        "multi-register"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        BTreeMap::new()
    }
    fn beginning(&self, _: &Value, initial: &Initial) -> Option<MultiRegister> {
        (!initial.is_unsaid()).then(|| MultiRegister { initial: initial.clone() })
    }
    fn begins(&self, register: &Value) -> Value {
        self.initial.of(register).cloned().unwrap_or_default()
    }
    fn seen(&self, action: &Vec<Micro>) -> Vec<(Value, Value)> {
        let own =
            |at: usize, key: &Value| action[..at].iter().any(|op| matches!(op, Micro::Write(own, _) if own == key));
        let seen = |(at, op): (usize, &Micro)| match op {
            Micro::Read(key, value) if !own(at, key) => Some((key.clone(), value.clone())),
            _ => None,
        };
        action.iter().enumerate().filter_map(seen).collect()
    }
    fn left(&self, action: &Vec<Micro>) -> Vec<(Value, Option<Value>)> {
        let left = |op: &Micro| match op {
            Micro::Write(key, value) => Some((key.clone(), Some(value.clone()))),
            Micro::Read(..) => None,
        };
        action.iter().filter_map(left).collect()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<Vec<Micro>, String> {
        match (function, input, reply) {
            ("txn", _, _) => {
                let done = reply.filter(|reply| !reply.is_nil()).unwrap_or(input);
                let ops = done.as_list().ok_or_else(|| format!("txn takes a list, not {done}"))?;
                // What was read is known from a reply only.
                let known = reply.is_some_and(|reply| !reply.is_nil());
                ops.iter().filter_map(|op| micro(op, known).transpose()).collect()
            }
            ("write", Value::Map(entries), _) => {
                Ok(entries.iter().map(|(key, value)| Micro::Write(Value::Text(key.clone()), value.clone())).collect())
            }
            ("write", _, _) => Err(format!("write takes an object of keys and values, not {input}")),
            ("read", _, None) => Ok(Vec::new()),
            ("read", _, Some(Value::Map(entries))) => {
                let seen = |key: &Value| entries.iter().find(|(name, _)| Value::Text(name.clone()) == *key);
                let asked = input.as_list().unwrap_or_default().iter().filter(|key| seen(key).is_none());
                let absent = asked.map(|key| Micro::Read(key.clone(), Value::Nil));
                let there = entries.iter().map(|(key, value)| Micro::Read(Value::Text(key.clone()), value.clone()));
                Ok(there.chain(absent).collect())
            }
            ("read", _, Some(reply)) => Err(format!("read returns an object, not {reply}")),
            _ => Err(unknown_function("multi-register", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &Self::State, action: &Vec<Micro>) -> Option<Self::State> {
        let mut next = state.clone();
        for op in action {
            match op {
                Micro::Read(key, value) => match next.get(key) {
                    Some(held) if held != value => return None,
                    None if self.begins(key) != *value => return None,
                    _ => {}
                },
                Micro::Write(key, value) if self.begins(key) == *value => drop(next.remove(key)),
                Micro::Write(key, value) => drop(next.insert(key.clone(), value.clone())),
            }
        }
        Some(next)
    }
    fn observes_only(&self, action: &Vec<Micro>) -> bool {
        !action.iter().any(|op| matches!(op, Micro::Write(..)))
    }
    fn fits_always(&self, action: &Vec<Micro>) -> bool {
        // What it wrote itself it may well read.
        let told =
            |at: usize, key: &Value| action[..at].iter().any(|op| matches!(op, Micro::Write(other, _) if other == key));
        action.iter().enumerate().all(|(at, op)| match op {
            Micro::Read(key, _) => told(at, key),
            Micro::Write(..) => true,
        })
    }
    fn cell_action(&self, action: &Vec<Micro>) -> Option<(Value, RegisterAction)> {
        match &action[..] {
            [] => Some((Value::Nil, RegisterAction::Read(None))),
            [Micro::Read(key, value)] => Some((key.clone(), RegisterAction::Read(Some(value.clone())))),
            [Micro::Write(key, value)] => Some((key.clone(), RegisterAction::Write(value.clone()))),
            _ => None,
        }
    }
    fn state_bytes(&self, state: &Self::State) -> usize {
        80 * state.len() + 64
    }
    fn show(&self, state: &Self::State) -> String {
        let entries: Vec<String> = state.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", entries.join(", "))
    }
}
