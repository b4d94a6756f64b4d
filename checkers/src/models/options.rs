//! [`ModelOptions`]: what a user sets of a model.
use crate::initial::Initial;
use crate::options::OptionError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// What is set of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelOptions {
    /// What its objects begin with.
    pub initial: Initial,
    /// The permits of a semaphore.
    pub permits: Option<NonZeroU64>,
    /// Which value comes out of a priority queue first.
    pub order: Option<QueueOrder>,
}

/// Which value comes out of a priority queue first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum QueueOrder {
    /// The smallest.
    Smallest,
    /// The largest.
    Largest,
}

impl ModelOptions {
    /// An option of another model is an error: it would be set in vain.
    pub(super) fn only(&self, known: &[&str], model: &str) -> Result<(), OptionError> {
        let set = [
            ("initial", !self.initial.is_unsaid()),
            ("permits", self.permits.is_some()),
            ("order", self.order.is_some()),
        ];
        match set.iter().find(|(name, set)| *set && !known.contains(name)) {
            Some((name, _)) => Err(OptionError::wrong(name, format!("model {model} has no option {name}"))),
            None => Ok(()),
        }
    }
}
