//! [`Keys`]: the objects of a workload by number, or one without a name.
use dsfuzz_checkers::Value;

/// How many objects are in use; none: one without a name, whose key is nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys(pub(crate) Option<u32>);

impl Keys {
    /// How many there are.
    pub(crate) fn count(self) -> u64 {
        u64::from(self.0.unwrap_or(1).max(1))
    }

    /// The key of the object with this number.
    pub(crate) fn key(self, number: u64) -> Value {
        self.0.map_or(Value::Nil, |_| Value::Int(number as i64))
    }
}
