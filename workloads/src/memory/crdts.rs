//! Replicated data types in memory: every node shows what its updates come to, in the order in which they were made.
use super::{ChangeEffect, Replicated, Store, every};
use crate::client::{Call, CallResult};
use dsfuzz_checkers::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The updates of one object, as each node has them.
pub(super) type Updates = Replicated<Vec<(Arc<str>, Value)>>;

impl Store {
    pub(super) fn update(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let alone = self.alone();
            let update = (call.f.clone(), call.value.clone());
            self.updates(call).change(node, alone, |updates| updates.push(update.clone()));
        }
        fate.answer()
    }

    /// A stale read lacks the last update.
    pub(super) fn read_replica(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let kind = self.replicated_type.clone();
        let updates = self.updates(call).at(node);
        let seen = &updates[..updates.len() - usize::from(stale && !updates.is_empty())];
        CallResult::Ok(shown(&kind, seen))
    }

    fn updates(&mut self, call: &Call) -> &mut Updates {
        self.replicated.entry(call.key.clone()).or_default()
    }
}

fn shown(kind: &str, updates: &[(Arc<str>, Value)]) -> Value {
    match kind {
        "lww-register" => updates.last().map(|(_, value)| value.clone()).unwrap_or_default(),
        "g-counter" | "pn-counter" => Value::Int(updates.iter().filter_map(|(_, amount)| amount.as_int()).sum()),
        _ => {
            let mut elements = BTreeSet::new();
            for (f, element) in updates {
                match &**f {
                    "remove" => elements.remove(element),
                    _ => elements.insert(element.clone()),
                };
            }
            Value::list(elements)
        }
    }
}
