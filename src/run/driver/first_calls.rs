//! [`FirstCalls`]: whether any call of a load is Ok. A load whose every function fails by permanent errors ends early.
use crate::judge::never_ok::NeverOk;
use dsfuzz_workloads::{Call, CallResult};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time after which permanent errors end a load.
const PATIENCE: Duration = Duration::from_secs(5);

/// The calls of a load until the first one is Ok.
#[derive(Default)]
pub(super) struct FirstCalls {
    succeeded: AtomicBool,
    failed: Mutex<NeverOk>,
}

impl FirstCalls {
    fn failed(&self) -> Option<MutexGuard<'_, NeverOk>> {
        let open = !self.succeeded.load(Ordering::Relaxed);
        open.then(|| self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that a call begins.
    pub(super) fn begin(&self, call: &Call) {
        if let Some(mut failed) = self.failed() {
            failed.begin(call);
        }
    }

    /// Counts the end of a call.
    pub(super) fn end(&self, call: &Call, result: &CallResult) {
        if matches!(result, CallResult::Ok(_)) {
            self.succeeded.store(true, Ordering::Relaxed);
        } else if let Some(mut failed) = self.failed() {
            failed.end(call, result);
        }
    }

    /// Why no call can be Ok, this long after the begin of the load; none if one was, or if one may be.
    pub(super) fn permanent_error(&self, since: Duration) -> Option<String> {
        if since < PATIENCE { None } else { self.failed()?.sentence_of_all() }
    }
}
