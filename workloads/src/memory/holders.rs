//! Locks, semaphores and leases in memory. A hold belongs to a process and ends with its release or with its client, as with a
//! server that sees the session end. A lease ends in no other way: a server may always let it last longer.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use crate::codes::NOT_HELD;
use crate::semaphore::PERMITS;
use dsfuzz_checkers::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Who holds what.
#[derive(Default)]
pub(super) struct Holders {
    /// The processes of each workload and key that hold it.
    held: HashMap<(Arc<str>, Value), Vec<u64>>,
    refused: u32,
}

impl Holders {
    /// Frees what the process holds.
    pub(super) fn gone(&mut self, process: u64) {
        for holders in self.held.values_mut() {
            holders.retain(|holder| *holder != process);
        }
    }

    fn of(&mut self, call: &Call) -> &mut Vec<u64> {
        self.held.entry((call.workload.clone(), call.key.clone())).or_default()
    }
}

impl Store {
    /// A semaphore has as many permits as the workload's default. A process gets no second hold.
    pub(super) fn acquire(&mut self, process: u64, call: &Call) -> CallResult {
        let most = if &*call.workload == "semaphore" { PERMITS as usize } else { 1 };
        let holders = self.holders.of(call);
        if holders.contains(&process) {
            return CallResult::Ok(Value::Bool(false));
        }
        if holders.len() >= most {
            let shared = every(&mut self.holders.refused, self.faults.shared_every);
            if !shared {
                return CallResult::Ok(Value::Bool(false));
            }
        }
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.holders.of(call).push(process);
        }
        fate.answer()
    }

    /// Whether the process holds what the call is about.
    pub(super) fn holds(&mut self, process: u64, call: &Call) -> bool {
        self.holders.of(call).contains(&process)
    }

    pub(super) fn renew(&mut self, process: u64, call: &Call) -> CallResult {
        match self.holders.of(call).contains(&process) {
            true => CallResult::Ok(Value::Nil),
            false => NOT_HELD.because("the process holds nothing"),
        }
    }

    /// Never lost: nothing could be acquired any more, and nothing would be wrong.
    pub(super) fn release(&mut self, process: u64, call: &Call) -> CallResult {
        if !self.holders.of(call).contains(&process) {
            return NOT_HELD.because("the process holds nothing");
        }
        let fate = self.fate();
        if !matches!(fate, ChangeEffect::InfoUndone) {
            self.holders.of(call).retain(|holder| *holder != process);
        }
        fate.answer()
    }
}
