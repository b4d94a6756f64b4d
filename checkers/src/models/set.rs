//! A set of values; initially empty.
use super::{GrowingAct, Model, RegisterAct, items, unknown_function};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const FUNCTIONS: &[&str] = &["add", "remove", "contains", "read"];

/// A set: `add` and `remove` a value, `contains` a value, `read` returns all values as a list.
///
/// The reply of `add` and `remove` may say whether they changed anything (`true`, `false`); any other reply says nothing
/// but that it is done. Without whole reads, every value is a register of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Set;

/// What can be done with a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SetAct {
    /// The value is in it from now on; whether it was not before, where the reply says so.
    Add(Value, Option<bool>),
    /// The value is not in it from now on; whether it was before, where the reply says so.
    Remove(Value, Option<bool>),
    /// Whether the value was in it; `None`: the reply is unknown.
    Contains(Value, Option<bool>),
    /// These values were in it, in ascending order; `None`: the reply is unknown.
    Read(Option<Vec<Value>>),
}

fn flag(input: &Value, reply: Option<&Value>) -> Option<bool> {
    match reply {
        // Some clients answer with the argument.
        Some(Value::Bool(flag)) if !matches!(input, Value::Bool(_)) => Some(*flag),
        _ => None,
    }
}

impl Model for Set {
    type State = BTreeSet<Value>;
    type Act = SetAct;

    fn name(&self) -> &'static str {
        "set"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        BTreeSet::new()
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<SetAct, String> {
        match (function, reply) {
            ("add", _) => Ok(SetAct::Add(input.clone(), flag(input, reply))),
            ("remove", _) => Ok(SetAct::Remove(input.clone(), flag(input, reply))),
            ("contains", None) => Ok(SetAct::Contains(input.clone(), None)),
            ("contains", Some(Value::Bool(flag))) => Ok(SetAct::Contains(input.clone(), Some(*flag))),
            ("contains", Some(other)) => Err(format!("contains returns true or false, not {other}")),
            ("read", None) => Ok(SetAct::Read(None)),
            ("read", Some(Value::Nil)) => Ok(SetAct::Read(Some(Vec::new()))),
            ("read", Some(reply)) => {
                let mut values = reply.as_list().ok_or_else(|| format!("read returns a list, not {reply}"))?.to_vec();
                values.sort();
                Ok(SetAct::Read(Some(values)))
            }
            _ => Err(unknown_function("set", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &Self::State, act: &SetAct) -> Option<Self::State> {
        let fits = |said: &Option<bool>, is: bool| said.is_none_or(|said| said == is);
        match act {
            SetAct::Add(value, changed) => fits(changed, !state.contains(value)).then(|| {
                let mut next = state.clone();
                next.insert(value.clone());
                next
            }),
            SetAct::Remove(value, changed) => fits(changed, state.contains(value)).then(|| {
                let mut next = state.clone();
                next.remove(value);
                next
            }),
            SetAct::Contains(value, seen) => fits(seen, state.contains(value)).then(|| state.clone()),
            SetAct::Read(seen) => seen.as_ref().is_none_or(|seen| state.iter().eq(seen)).then(|| state.clone()),
        }
    }
    fn observes_only(&self, act: &SetAct) -> bool {
        match act {
            SetAct::Contains(..) | SetAct::Read(_) => true,
            SetAct::Add(_, changed) | SetAct::Remove(_, changed) => *changed == Some(false),
        }
    }
    fn cell_act(&self, act: &SetAct) -> Option<(Value, RegisterAct)> {
        let (there, gone) = (Value::Bool(true), Value::Nil);
        let (value, act) = match act {
            SetAct::Read(None) => (&Value::Nil, RegisterAct::Read(None)),
            SetAct::Read(Some(_)) => return None,
            SetAct::Add(value, None) => (value, RegisterAct::Write(there)),
            SetAct::Add(value, Some(true)) => (value, RegisterAct::Cas(gone, there)),
            SetAct::Add(value, Some(false)) => (value, RegisterAct::Read(Some(there))),
            SetAct::Remove(value, None) => (value, RegisterAct::Write(gone)),
            SetAct::Remove(value, Some(true)) => (value, RegisterAct::Cas(there, gone)),
            SetAct::Remove(value, Some(false)) => (value, RegisterAct::Read(Some(gone))),
            SetAct::Contains(value, None) => (value, RegisterAct::Read(None)),
            SetAct::Contains(value, Some(true)) => (value, RegisterAct::Read(Some(there))),
            SetAct::Contains(value, Some(false)) => (value, RegisterAct::Read(Some(gone))),
        };
        Some((value.clone(), act))
    }
    fn growing_act(&self, act: &SetAct) -> Option<GrowingAct> {
        match act {
            SetAct::Add(value, None) => Some(GrowingAct::Add(value.clone())),
            SetAct::Read(Some(values)) => Some(GrowingAct::Read(values.clone())),
            _ => None,
        }
    }
    /// Observations; all acts on a value that no read remaining here saw or could have seen.
    fn removable(&self, acts: &[&SetAct]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> =
            (0..acts.len()).filter(|&at| self.observes_only(acts[at])).map(|at| vec![at]).collect();
        if acts.iter().any(|act| matches!(act, SetAct::Read(Some(_)))) {
            return groups;
        }
        let mut values: BTreeMap<&Value, Vec<usize>> = BTreeMap::new();
        for (at, act) in acts.iter().enumerate() {
            if let SetAct::Add(value, _) | SetAct::Remove(value, _) | SetAct::Contains(value, _) = act {
                values.entry(value).or_default().push(at);
            }
        }
        groups.extend(values.into_values());
        groups
    }
    fn state_bytes(&self, state: &Self::State) -> usize {
        40 * state.len() + 64
    }
    fn show(&self, state: &Self::State) -> String {
        items::show(state.iter())
    }
}
