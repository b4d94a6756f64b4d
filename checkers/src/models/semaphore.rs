//! A semaphore: a number of permits; initially all are free.
use super::{Model, ModelOptions, unknown_function};
use crate::options::OptionError;
use crate::value::Value;
use std::num::NonZeroU64;

pub(super) const FUNCTIONS: &[&str] = &["acquire", "release"];
pub(super) const OPTIONS: &[&str] = &["permits"];

/// A semaphore: `acquire` and `release` permits, 1 or as many as the argument says. No more are ever out than there
/// are, and none is released that is not out. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    /// How many permits there are.
    pub permits: u64,
}

/// What can be done with a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SemaphoreAct {
    /// So many permits go out.
    Acquire(u64),
    /// So many permits come back.
    Release(u64),
    /// Nothing was done.
    Refused,
}

impl Semaphore {
    pub(super) fn with_options(options: &ModelOptions) -> Result<Semaphore, OptionError> {
        Ok(Semaphore { permits: options.permits.map_or(1, NonZeroU64::get) })
    }
}

impl Model for Semaphore {
    /// How many permits are out.
    type State = u64;
    type Act = SemaphoreAct;

    fn name(&self) -> &'static str {
        "semaphore"
    }
    fn specification(&self) -> String {
        if self.permits == 1 { self.name().to_owned() } else { format!("{}:{}", self.name(), self.permits) }
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> u64 {
        0
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<SemaphoreAct, String> {
        let count = match input {
            Value::Nil => 1,
            Value::Int(count) if *count >= 0 => *count as u64,
            other => return Err(format!("{function} takes a number of permits, not {other}")),
        };
        match function {
            "acquire" | "release" if reply == Some(&Value::Bool(false)) => Ok(SemaphoreAct::Refused),
            "acquire" => Ok(SemaphoreAct::Acquire(count)),
            "release" => Ok(SemaphoreAct::Release(count)),
            _ => Err(unknown_function("semaphore", FUNCTIONS, function)),
        }
    }
    fn step(&self, out: &u64, act: &SemaphoreAct) -> Option<u64> {
        match act {
            SemaphoreAct::Acquire(count) => out.checked_add(*count).filter(|out| *out <= self.permits),
            SemaphoreAct::Release(count) => out.checked_sub(*count),
            SemaphoreAct::Refused => Some(*out),
        }
    }
    fn observes_only(&self, act: &SemaphoreAct) -> bool {
        *act == SemaphoreAct::Refused
    }
    fn fits_always(&self, act: &SemaphoreAct) -> bool {
        *act == SemaphoreAct::Refused
    }
    fn show(&self, out: &u64) -> String {
        format!("{out} of {} permits out", self.permits)
    }
}
