//! Queues in memory: each hands out every message once, in order.
use super::{ChangeEffect, Store, every};
use crate::client::CallResult;
use dsfuzz_checkers::Value;
use std::collections::{HashMap, VecDeque};

/// The messages of each queue.
#[derive(Default)]
pub(super) struct Queues {
    queues: HashMap<Value, VecDeque<Value>>,
    delivered: u32,
}

impl Store {
    pub(super) fn enqueue(&mut self, key: &Value, message: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.queues.queues.entry(key.clone()).or_default().push_back(message.clone());
        }
        fate.answer()
    }

    /// Always answered: a dequeue in doubt may have taken whatever is missing.
    pub(super) fn dequeue(&mut self, key: &Value) -> CallResult {
        let Some(queue) = self.queues.queues.get_mut(key).filter(|queue| !queue.is_empty()) else {
            return CallResult::Ok(Value::Nil);
        };
        let twice = every(&mut self.queues.delivered, self.faults.twice_every);
        let message = if twice { queue.front().cloned() } else { queue.pop_front() };
        CallResult::Ok(message.unwrap_or_default())
    }

    pub(super) fn drain(&mut self, key: &Value) -> CallResult {
        CallResult::Ok(Value::list(self.queues.queues.remove(key).unwrap_or_default()))
    }
}
