//! [`Unread`]: the appended elements that no read has shown. The order of two of them is known to nobody, until a last read of
//! their key shows it.
use dsfuzz_checkers::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Most keys that are kept. Of more, the oldest are left out.
const KEYS_MAX: usize = 4096;

/// Elements by key, shared by all workers.
#[derive(Default)]
pub(super) struct Unread(Mutex<BTreeMap<i64, BTreeSet<i64>>>);

impl Unread {
    /// Takes note of a transaction that took effect, or may have.
    pub(super) fn note(&self, micro_operations: &Value) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for micro_operation in micro_operations.as_list().unwrap_or_default() {
            let Some([name, key, value]) = micro_operation.as_list() else { continue };
            let Some(key) = key.as_int() else { continue };
            let Value::Text(name) = name else { continue };
            match (&**name, value) {
                ("append", Value::Int(element)) => {
                    keys.entry(key).or_default().insert(*element);
                }
                ("r", list) => {
                    let Some(unread) = keys.get_mut(&key) else { continue };
                    for element in list.as_list().unwrap_or_default().iter().filter_map(Value::as_int) {
                        unread.remove(&element);
                    }
                    if unread.is_empty() {
                        keys.remove(&key);
                    }
                }
                _ => {}
            }
        }
        while keys.len() > KEYS_MAX {
            keys.pop_first();
        }
    }

    /// The keys with two elements or more that no read has shown.
    pub(super) fn keys(&self) -> Vec<i64> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter(|(_, elements)| elements.len() > 1).map(|(key, _)| *key).collect()
    }
}
