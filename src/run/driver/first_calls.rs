//! [`FirstCalls`]: whether any call of a load succeeds. A load whose every function fails by a mistake of its plan ends early.
use crate::judge::never_ok::NeverOk;
use dsfuzz_workloads::{Call, CallResult};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time after which errors that no wait can cure end a load.
const CERTAIN_AFTER: Duration = Duration::from_secs(5);
/// Time after which unknown errors that are all alike end a load: longer than an election.
const ALIKE_AFTER: Duration = Duration::from_secs(20);

/// The calls of a load until the first one succeeds.
#[derive(Default)]
pub(super) struct FirstCalls {
    succeeded: AtomicBool,
    failed: Mutex<NeverOk>,
}

impl FirstCalls {
    /// Counts the end of a call.
    pub(super) fn ended(&self, call: &Call, result: &CallResult) {
        if self.succeeded.load(Ordering::Relaxed) {
            return;
        }
        if matches!(result, CallResult::Ok(_)) {
            self.succeeded.store(true, Ordering::Relaxed);
            return;
        }
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).add(&call.workload, &call.f, result, true);
    }

    /// Why no call will ever succeed, this long after the first one; none if one has, or if one may.
    pub(super) fn hopeless(&self, since: Duration) -> Option<String> {
        if self.succeeded.load(Ordering::Relaxed) || since < CERTAIN_AFTER {
            return None;
        }
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).sentence_of_all(since >= ALIKE_AFTER)
    }
}
