//! [`CallNames`]: the names that the calls of a workload carry. Calls share them, so that no call allocates one.
use crate::client::Call;
use dsfuzz_checkers::Value;
use std::sync::Arc;

/// A workload and its functions.
#[derive(Clone)]
pub(crate) struct CallNames<const N: usize> {
    pub(crate) workload: Arc<str>,
    pub(crate) functions: [Arc<str>; N],
}

impl<const N: usize> CallNames<N> {
    pub(crate) fn new(workload: &str, functions: [&str; N]) -> CallNames<N> {
        CallNames { workload: Arc::from(workload), functions: functions.map(Arc::from) }
    }

    /// A call of the function at this position.
    pub(crate) fn call(&self, function: usize, key: Value, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: self.functions[function].clone(), key, value }
    }
}

/// An object of these entries.
pub(crate) fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (Arc::from(name), value)).collect())
}
