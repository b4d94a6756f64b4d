//! Locks that know their holder; initially free.
use super::locking::{LockAction, LockModel, owner};
use crate::value::Value;
use std::collections::BTreeMap;

/// A lock that only its holder can release. The holder is the argument of `acquire` and `release` or, where that is
/// nil, the process. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnedMutex {
    /// Whether the holder can acquire it again, and has to release it as often.
    pub reentrant: bool,
}

impl LockModel for OwnedMutex {
    /// The holder, and how many times it holds the lock.
    type State = Option<(Value, u64)>;
    /// The owner.
    type Subject = Value;

    fn name(&self) -> &'static str {
        if self.reentrant { "reentrant-mutex" } else { "owner-mutex" }
    }
    fn subject(&self, process: u64, _: &str, input: &Value, _: Option<&Value>) -> Result<Value, String> {
        Ok(owner(process, input))
    }
    fn acquire(&self, state: &Self::State, owner: &Value) -> Option<Self::State> {
        match state {
            None => Some(Some((owner.clone(), 1))),
            Some((holder, times)) => (self.reentrant && owner == holder).then(|| Some((owner.clone(), times + 1))),
        }
    }
    fn release(&self, state: &Self::State, owner: &Value) -> Option<Self::State> {
        let (holder, times) = state.as_ref()?;
        (owner == holder).then(|| (*times > 1).then(|| (owner.clone(), times - 1)))
    }
    /// Refusals one by one, and all actions of each owner together: between an acquisition and its release only the owner did
    /// anything.
    fn removable(&self, actions: &[&LockAction<Value>]) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut owners: BTreeMap<&Value, Vec<usize>> = BTreeMap::new();
        for (at, action) in actions.iter().enumerate() {
            match action {
                LockAction::Acquire(owner) | LockAction::Release(owner) => owners.entry(owner).or_default().push(at),
                LockAction::Refused => groups.push(vec![at]),
            }
        }
        groups.extend(owners.into_values());
        groups
    }
    fn show(&self, state: &Self::State) -> String {
        match state {
            None => "free".to_owned(),
            Some((holder, 1)) => format!("held by {holder}"),
            Some((holder, times)) => format!("held by {holder}, {times} times"),
        }
    }
}
