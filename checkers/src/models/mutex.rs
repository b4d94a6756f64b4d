//! A lock; initially free.
use super::locking::LockModel;
use crate::value::Value;

/// A lock: `acquire` needs it free, `release` needs it held, by any process. A reply of `false` means that nothing was
/// done and says nothing: it may have been refused for any reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutex;

impl LockModel for Mutex {
    /// Whether it is held.
    type State = bool;
    type Subject = ();

    fn name(&self) -> &'static str {
        "mutex"
    }
    fn subject(&self, _: u64, _: &str, _: &Value, _: Option<&Value>) -> Result<(), String> {
        Ok(())
    }
    fn acquire(&self, held: &bool, (): &()) -> Option<bool> {
        (!held).then_some(true)
    }
    fn release(&self, held: &bool, (): &()) -> Option<bool> {
        held.then_some(false)
    }
    fn show(&self, held: &bool) -> String {
        if *held { "held" } else { "free" }.to_owned()
    }
}
