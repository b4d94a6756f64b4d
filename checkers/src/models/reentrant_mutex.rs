//! A lock that its holder can acquire again; initially free.
use super::locking::{LockAction, LockModel, by_owner, owner};
use crate::value::Value;

/// A lock that its holder can acquire again, and has to release as often. The holder is the argument or, where that is
/// nil, the process. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReentrantMutex;

impl LockModel for ReentrantMutex {
    /// The holder, and how many times it holds the lock.
    type State = Option<(Value, u64)>;
    /// The owner.
    type Subject = Value;

    const NAME: &'static str = "reentrant-mutex";

    fn subject(&self, process: u64, _: &str, input: &Value, _: Option<&Value>) -> Result<Value, String> {
        Ok(owner(process, input))
    }
    fn acquire(&self, state: &Self::State, owner: &Value) -> Option<Self::State> {
        match state {
            None => Some(Some((owner.clone(), 1))),
            Some((holder, times)) => (owner == holder).then(|| Some((owner.clone(), times + 1))),
        }
    }
    fn release(&self, state: &Self::State, owner: &Value) -> Option<Self::State> {
        let (holder, times) = state.as_ref()?;
        (owner == holder).then(|| (*times > 1).then(|| (owner.clone(), times - 1)))
    }
    fn removable(&self, actions: &[&LockAction<Value>]) -> Vec<Vec<usize>> {
        by_owner(actions)
    }
    fn show(&self, state: &Self::State) -> String {
        match state {
            None => "free".to_owned(),
            Some((holder, 1)) => format!("held by {holder}"),
            Some((holder, times)) => format!("held by {holder}, {times} times"),
        }
    }
}
