//! A lock; initially free.
use super::{Model, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["acquire", "release"];

/// A lock: `acquire` needs it free, `release` needs it held, by whomever. A reply of `false` means that nothing was
/// done and says nothing: it may have been refused for any reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutex;

/// What can be done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MutexAct {
    /// It was free and is held from now on.
    Acquire,
    /// It was held and is free from now on.
    Release,
    /// Nothing was done.
    Refused,
}

impl Model for Mutex {
    /// Whether it is held.
    type State = bool;
    type Act = MutexAct;

    fn name(&self) -> &'static str {
        "mutex"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> bool {
        false
    }
    fn act(&self, function: &str, _: &Value, reply: Option<&Value>) -> Result<MutexAct, String> {
        match function {
            "acquire" | "release" if reply == Some(&Value::Bool(false)) => Ok(MutexAct::Refused),
            "acquire" => Ok(MutexAct::Acquire),
            "release" => Ok(MutexAct::Release),
            _ => Err(unknown_function("mutex", FUNCTIONS, function)),
        }
    }
    fn step(&self, held: &bool, act: &MutexAct) -> Option<bool> {
        match act {
            MutexAct::Acquire => (!held).then_some(true),
            MutexAct::Release => held.then_some(false),
            MutexAct::Refused => Some(*held),
        }
    }
    fn observes_only(&self, act: &MutexAct) -> bool {
        *act == MutexAct::Refused
    }
    fn fits_always(&self, act: &MutexAct) -> bool {
        *act == MutexAct::Refused
    }
    fn show(&self, held: &bool) -> String {
        if *held { "held" } else { "free" }.to_owned()
    }
}
