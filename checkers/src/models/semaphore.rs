//! A semaphore: a number of permits; initially all are free.
use super::ModelOptions;
use super::locking::LockModel;
use crate::options::OptionError;
use crate::value::Value;
use std::num::NonZeroU64;

pub(super) const OPTIONS: &[&str] = &["permits"];

/// A semaphore: `acquire` and `release` permits, 1 or as many as the argument says. Never are more out than there
/// are, and only permits that are out are released. A reply of `false` means that nothing was done and says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Semaphore {
    /// How many permits there are.
    pub permits: u64,
}

impl Semaphore {
    pub(super) fn with_options(options: &ModelOptions) -> Result<Semaphore, OptionError> {
        Ok(Semaphore { permits: options.permits.map_or(1, NonZeroU64::get) })
    }
}

impl LockModel for Semaphore {
    /// The permits that are out.
    type State = u64;
    /// A number of permits.
    type Subject = u64;

    fn name(&self) -> &'static str {
        "semaphore"
    }
    fn specification(&self) -> String {
        if self.permits == 1 { self.name().to_owned() } else { format!("{}:{}", self.name(), self.permits) }
    }
    fn subject(&self, _: u64, function: &str, input: &Value, _: Option<&Value>) -> Result<u64, String> {
        match input {
            Value::Nil => Ok(1),
            Value::Int(count) if *count >= 0 => Ok(*count as u64),
            other => Err(format!("{function} takes a number of permits, not {other}")),
        }
    }
    fn acquire(&self, out: &u64, count: &u64) -> Option<u64> {
        out.checked_add(*count).filter(|out| *out <= self.permits)
    }
    fn release(&self, out: &u64, count: &u64) -> Option<u64> {
        out.checked_sub(*count)
    }
    fn show(&self, out: &u64) -> String {
        format!("{out} of {} permits out", self.permits)
    }
}
