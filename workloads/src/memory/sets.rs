//! Sets in memory that only grow.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use dsfuzz_checkers::Value;
use std::collections::BTreeSet;

/// The elements of a set.
#[derive(Default)]
pub(super) struct Elements {
    now: BTreeSet<Value>,
    last: Value,
}

impl Store {
    pub(super) fn add(&mut self, call: &Call) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let elements = self.elements(call);
            elements.now.insert(call.value.clone());
            elements.last = call.value.clone();
        }
        fate.answer()
    }

    /// All elements. A stale read lacks the last one.
    pub(super) fn read_set(&mut self, call: &Call) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let elements = self.elements(call);
        let shown = elements.now.iter().filter(|element| !stale || **element != elements.last);
        CallResult::Ok(Value::list(shown.cloned()))
    }

    fn elements(&mut self, call: &Call) -> &mut Elements {
        self.sets.entry(call.workload.clone()).or_default().entry(call.key.clone()).or_default()
    }
}
