//! A set of values; initially empty.
use super::{GrowingAction, Model, RegisterAction, items, unknown_function};
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const FUNCTIONS: &[&str] = &["add", "remove", "contains", "read"];

/// A set: `add` and `remove` a value, `contains` a value, `read` returns all values as a list.
///
/// The reply of `add` and `remove` may say whether they changed anything (`true`, `false`); any other reply says nothing
/// but that it is done. Without whole reads, every value is a register of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Set;

/// What can be done with a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SetAction {
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
    type Action = SetAction;

    fn name(&self) -> &'static str {
        "set"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        BTreeSet::new()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<SetAction, String> {
        match (function, reply) {
            ("add", _) => Ok(SetAction::Add(input.clone(), flag(input, reply))),
            ("remove", _) => Ok(SetAction::Remove(input.clone(), flag(input, reply))),
            ("contains", None) => Ok(SetAction::Contains(input.clone(), None)),
            ("contains", Some(Value::Bool(flag))) => Ok(SetAction::Contains(input.clone(), Some(*flag))),
            ("contains", Some(other)) => Err(format!("contains returns true or false, not {other}")),
            ("read", None) => Ok(SetAction::Read(None)),
            ("read", Some(Value::Nil)) => Ok(SetAction::Read(Some(Vec::new()))),
            ("read", Some(reply)) => {
                let mut values = reply.as_list().ok_or_else(|| format!("read returns a list, not {reply}"))?.to_vec();
                values.sort();
                Ok(SetAction::Read(Some(values)))
            }
            _ => Err(unknown_function("set", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &Self::State, action: &SetAction) -> Option<Self::State> {
        let fits = |said: &Option<bool>, is: bool| said.is_none_or(|said| said == is);
        match action {
            SetAction::Add(value, changed) => fits(changed, !state.contains(value)).then(|| {
                let mut next = state.clone();
                next.insert(value.clone());
                next
            }),
            SetAction::Remove(value, changed) => fits(changed, state.contains(value)).then(|| {
                let mut next = state.clone();
                next.remove(value);
                next
            }),
            SetAction::Contains(value, seen) => fits(seen, state.contains(value)).then(|| state.clone()),
            SetAction::Read(seen) => seen.as_ref().is_none_or(|seen| state.iter().eq(seen)).then(|| state.clone()),
        }
    }
    fn observes_only(&self, action: &SetAction) -> bool {
        match action {
            SetAction::Contains(..) | SetAction::Read(_) => true,
            SetAction::Add(_, changed) | SetAction::Remove(_, changed) => *changed == Some(false),
        }
    }
    fn cell_action(&self, action: &SetAction) -> Option<(Value, RegisterAction)> {
        let (there, gone) = (Value::Bool(true), Value::Nil);
        let (value, action) = match action {
            SetAction::Read(None) => (&Value::Nil, RegisterAction::Read(None)),
            SetAction::Read(Some(_)) => return None,
            SetAction::Add(value, None) => (value, RegisterAction::Write(there)),
            SetAction::Add(value, Some(true)) => (value, RegisterAction::Cas(gone, there)),
            SetAction::Add(value, Some(false)) => (value, RegisterAction::Read(Some(there))),
            SetAction::Remove(value, None) => (value, RegisterAction::Write(gone)),
            SetAction::Remove(value, Some(true)) => (value, RegisterAction::Cas(there, gone)),
            SetAction::Remove(value, Some(false)) => (value, RegisterAction::Read(Some(gone))),
            SetAction::Contains(value, None) => (value, RegisterAction::Read(None)),
            SetAction::Contains(value, Some(true)) => (value, RegisterAction::Read(Some(there))),
            SetAction::Contains(value, Some(false)) => (value, RegisterAction::Read(Some(gone))),
        };
        Some((value.clone(), action))
    }
    fn growing_action(&self, action: &SetAction) -> Option<GrowingAction> {
        match action {
            SetAction::Add(value, None) => Some(GrowingAction::Add(value.clone())),
            SetAction::Read(Some(values)) => Some(GrowingAction::Read(values.clone())),
            _ => None,
        }
    }
    /// Observations; all actions on a value that no read remaining here saw or could have seen.
    fn removable(&self, actions: &[&SetAction]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> =
            (0..actions.len()).filter(|&at| self.observes_only(actions[at])).map(|at| vec![at]).collect();
        if actions.iter().any(|action| matches!(action, SetAction::Read(Some(_)))) {
            return groups;
        }
        let mut values: BTreeMap<&Value, Vec<usize>> = BTreeMap::new();
        for (at, action) in actions.iter().enumerate() {
            if let SetAction::Add(value, _) | SetAction::Remove(value, _) | SetAction::Contains(value, _) = action {
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
