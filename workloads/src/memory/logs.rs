//! Logs of messages in memory. A consumer is a process; its client's end loses its place.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use crate::codes::{CRASH, NOT_FOUND, NOT_SUPPORTED};
use dsfuzz_checkers::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most messages of one log in a poll.
const POLLED_MAX: usize = 5;

/// The logs and who polls them.
#[derive(Default)]
pub(super) struct Logs {
    /// By key: what is at each offset; none where a message was lost.
    logs: HashMap<Value, Vec<Option<Value>>>,
    /// By process: the next offset of each log that it is assigned.
    consumers: HashMap<u64, BTreeMap<i64, usize>>,
}

impl Logs {
    /// Forgets the consumer of a process.
    pub(super) fn gone(&mut self, process: u64) {
        self.consumers.remove(&process);
    }
}

impl Store {
    /// The calls of the workload `log`.
    pub(super) fn logged(&mut self, process: u64, call: &Call) -> CallResult {
        match &*call.f {
            "assign" | "subscribe" => self.assign(process, &call.value),
            "send" | "poll" | "txn" => self.send_and_poll(process, call),
            "crash" => CRASH.because("the client ends"),
            other => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    fn assign(&mut self, process: u64, asked: &Value) -> CallResult {
        let entry = |name: &str| match asked {
            Value::Map(entries) => entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value),
            _ => None,
        };
        let keys = entry("keys").unwrap_or(asked).as_list().unwrap_or_default();
        let anew = entry("seek-to-beginning?") == Some(&Value::Bool(true));
        let before = self.logs.consumers.remove(&process).filter(|_| !anew).unwrap_or_default();
        let places = keys.iter().filter_map(Value::as_int).map(|log| (log, before.get(&log).copied().unwrap_or(0)));
        self.logs.consumers.insert(process, places.collect());
        CallResult::Ok(Value::Nil)
    }

    /// Carries out all or nothing. A lost send leaves a hole at its offset; a stale poll leaves out a message.
    fn send_and_poll(&mut self, process: u64, call: &Call) -> CallResult {
        let asked = call.value.as_list().unwrap_or_default();
        let sends = |one: &Value| matches!(one.as_list(), Some([_, _, _]));
        if !asked.iter().all(sends) && !self.logs.consumers.contains_key(&process) {
            return NOT_FOUND.because("no log is assigned");
        }
        let fate = if asked.iter().any(sends) { self.fate() } else { ChangeEffect::Done };
        // What a transaction polls is what was there before it.
        let polled: Vec<Option<Value>> = asked.iter().map(|one| (!sends(one)).then(|| self.poll(process))).collect();
        let mut reply = Vec::new();
        for (one, polled) in asked.iter().zip(polled) {
            reply.push(match (one.as_list(), polled) {
                (Some([name, key, message]), _) => {
                    let log = self.logs.logs.entry(key.clone()).or_default();
                    let offset = Value::Int(log.len() as i64);
                    match fate {
                        ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone => {
                            log.push(Some(message.clone()));
                            if every(&mut self.reads, self.faults.twice_every) {
                                log.push(Some(message.clone()));
                            }
                        }
                        ChangeEffect::Lost => log.push(None),
                        ChangeEffect::InfoUndone => {}
                    }
                    Value::list([name.clone(), key.clone(), Value::list([offset, message.clone()])])
                }
                (_, polled) => Value::list([Value::text("poll"), polled.unwrap_or_default()]),
            });
        }
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(Value::list(reply)),
            other => other.answer(),
        }
    }

    fn poll(&mut self, process: u64) -> Value {
        let Some(places) = self.logs.consumers.get_mut(&process) else { return Value::Map([].into()) };
        let mut shown: Vec<(Arc<str>, Value)> = Vec::new();
        for (log, place) in places {
            let messages = self.logs.logs.get(&Value::Int(*log)).map(Vec::as_slice).unwrap_or_default();
            let mut list = Vec::new();
            for offset in *place..messages.len().min(*place + POLLED_MAX) {
                *place = offset + 1;
                let Some(message) = &messages[offset] else { continue };
                let skipped = offset + 1 < messages.len() && every(&mut self.reads, self.faults.stale_every);
                if !skipped {
                    list.push(Value::list([Value::Int(offset as i64), message.clone()]));
                }
            }
            shown.push((log.to_string().into(), Value::list(list)));
        }
        Value::Map(shown.into())
    }
}
