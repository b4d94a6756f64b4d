//! Sets in memory that only grow.
use super::{ChangeEffect, Replicated, Store, every};
use crate::client::{Call, CallResult};
use dsfuzz_checkers::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The elements of a set.
#[derive(Default)]
pub(super) struct Elements {
    now: Replicated<BTreeSet<Value>>,
    last: Value,
}

impl Store {
    pub(super) fn add(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let alone = self.alone();
            let elements = self.elements(call);
            elements.now.change(node, alone, |now| {
                now.insert(call.value.clone());
            });
            elements.last = call.value.clone();
        }
        fate.answer()
    }

    /// All elements. A stale read lacks the last one.
    pub(super) fn read_set(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let elements = self.elements(call);
        let shown = elements.now.at(node).iter().filter(|element| !stale || **element != elements.last);
        CallResult::Ok(Value::list(shown.cloned()))
    }

    fn elements(&mut self, call: &Call) -> &mut Elements {
        self.sets.entry(call.workload.clone()).or_default().entry(call.key.clone()).or_default()
    }
}
