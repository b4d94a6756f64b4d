//! A lock that knows its holder; initially free.
use super::locking::{LockAction, LockModel, by_owner, owner};
use crate::value::Value;

/// A lock that only its holder can release. The holder is the argument of `acquire` and `release` or, where that is
/// nil, the process. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnerMutex;

impl LockModel for OwnerMutex {
    /// The holder.
    type State = Option<Value>;
    /// The owner.
    type Subject = Value;

    const NAME: &'static str = "owner-mutex";

    fn subject(&self, process: u64, _: &str, input: &Value, _: Option<&Value>) -> Result<Value, String> {
        Ok(owner(process, input))
    }
    fn acquire(&self, holder: &Option<Value>, owner: &Value) -> Option<Option<Value>> {
        holder.is_none().then(|| Some(owner.clone()))
    }
    fn release(&self, holder: &Option<Value>, owner: &Value) -> Option<Option<Value>> {
        (holder.as_ref() == Some(owner)).then_some(None)
    }
    fn removable(&self, actions: &[&LockAction<Value>]) -> Vec<Vec<usize>> {
        by_owner(actions)
    }
    fn show(&self, holder: &Option<Value>) -> String {
        holder.as_ref().map_or("free".to_owned(), |holder| format!("held by {holder}"))
    }
}
