//! Numbers in memory: counters and the ids that were given out.
use super::{ChangeEffect, Store, every};
use crate::client::CallResult;
use crate::codes::MALFORMED;
use dsfuzz_checkers::Value;

/// A counter.
#[derive(Default)]
pub(super) struct Sum {
    now: i64,
    before: i64,
}

impl Store {
    pub(super) fn read_counter(&mut self, key: &Value) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let shown = self.counters.get(key).map_or(0, |sum| if stale { sum.before } else { sum.now });
        CallResult::Ok(Value::Int(shown))
    }

    pub(super) fn count(&mut self, key: &Value, amount: &Value) -> CallResult {
        let Some(amount) = amount.as_int() else { return MALFORMED.because("a counter adds integers") };
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let sum = self.counters.entry(key.clone()).or_default();
            (sum.before, sum.now) = (sum.now, sum.now + amount);
        }
        fate.answer()
    }

    /// A lost id is given to its client and not kept, so that the next client gets it again.
    pub(super) fn generate(&mut self) -> CallResult {
        let fate = self.fate();
        let id = Value::Int(self.ids + 1);
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.ids += 1;
        }
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(id),
            other => other.answer(),
        }
    }
}
