//! Sets under a lock and offices with a leader, in memory. Grants have growing tokens; what they guard refuses older ones.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use crate::codes::{FENCED, MALFORMED, NOT_HELD, NOT_SUPPORTED};
use dsfuzz_checkers::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// What locks and offices guard, each by key.
#[derive(Default)]
pub(super) struct Guarded {
    /// The last token that was granted.
    tokens: i64,
    sets: HashMap<Value, Vec<Value>>,
    /// What each holder read when it had acquired.
    copies: HashMap<(Value, u64), Vec<Value>>,
    resources: HashMap<Value, Resource>,
    offices: HashMap<Value, Office>,
    /// The last term of each office.
    terms: HashMap<Value, i64>,
}

/// What is written with tokens.
#[derive(Default)]
struct Resource {
    largest: i64,
    /// The writes in their order, each with its token.
    log: Vec<Value>,
}

struct Office {
    leader: Value,
    term: i64,
    process: u64,
}

impl Office {
    fn shown(&self) -> CallResult {
        leads(&self.leader, self.term)
    }
}

impl Guarded {
    /// Frees the offices of a process.
    pub(super) fn gone(&mut self, process: u64) {
        self.offices.retain(|_, office| office.process != process);
    }
}

fn leads(leader: &Value, term: i64) -> CallResult {
    CallResult::Ok(Value::Map([(Arc::from("leader"), leader.clone()), (Arc::from("term"), Value::Int(term))].into()))
}

fn entry(object: &Value, name: &str) -> Option<Value> {
    let Value::Map(entries) = object else { return None };
    entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.clone())
}

impl Store {
    /// The calls of the workloads `lock-set` and `election`.
    pub(super) fn guarded(&mut self, process: u64, call: &Call) -> CallResult {
        let key = &call.key;
        match &*call.f {
            "acquire" => self.acquire_guarded(process, call),
            "release" => self.release(process, call),
            "add" if !self.holds(process, call) => NOT_HELD.because("the process holds nothing"),
            "add" => self.write_back(process, key, &call.value),
            "read" => CallResult::Ok(Value::list(self.guarded.sets.get(key).cloned().unwrap_or_default())),
            "write" => self.write_with_token(key, &call.value),
            "log" => CallResult::Ok(Value::list(
                self.guarded.resources.get(key).map(|resource| resource.log.clone()).unwrap_or_default(),
            )),
            "elect" => self.elect(process, key, &call.value),
            "leader" => self.guarded.offices.get(key).map_or(CallResult::Ok(Value::Nil), Office::shown),
            "resign" => self.resign(process, key),
            other => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    fn acquire_guarded(&mut self, process: u64, call: &Call) -> CallResult {
        match self.acquire(process, call) {
            CallResult::Ok(Value::Nil) => {
                let read = self.guarded.sets.get(&call.key).cloned().unwrap_or_default();
                self.guarded.copies.insert((call.key.clone(), process), read);
                self.guarded.tokens += 1;
                CallResult::Ok(Value::Int(self.guarded.tokens))
            }
            refused => refused,
        }
    }

    /// Writes what the process read under the lock, and one element more.
    fn write_back(&mut self, process: u64, key: &Value, element: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let copy = self.guarded.copies.entry((key.clone(), process)).or_default();
            copy.push(element.clone());
            self.guarded.sets.insert(key.clone(), copy.clone());
        }
        fate.answer()
    }

    fn write_with_token(&mut self, key: &Value, written: &Value) -> CallResult {
        let (Some(Value::Int(token)), Some(value)) = (entry(written, "token"), entry(written, "value")) else {
            return MALFORMED.because("a write needs {token, value}");
        };
        let old = self.guarded.resources.get(key).is_some_and(|resource| token < resource.largest);
        if old && !self.unchecked() {
            return FENCED.because("a newer token was here");
        }
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let resource = self.guarded.resources.entry(key.clone()).or_default();
            resource.largest = resource.largest.max(token);
            resource.log.push(Value::list([Value::Int(token), value]));
        }
        fate.answer()
    }

    /// Who leads, after the candidate tried. A shared office has a second leader in its term; a lost election is not remembered.
    fn elect(&mut self, process: u64, key: &Value, candidate: &Value) -> CallResult {
        if let Some(office) = self.guarded.offices.get(key) {
            let shared = every(&mut self.guarded_refused, self.faults.shared_every);
            return if shared { leads(candidate, office.term) } else { office.shown() };
        }
        let (fate, term) = (self.fate(), self.guarded.terms.get(key).copied().unwrap_or(0) + 1);
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.guarded.terms.insert(key.clone(), term);
            self.guarded.offices.insert(key.clone(), Office { leader: candidate.clone(), term, process });
        }
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => leads(candidate, term),
            other => other.answer(),
        }
    }

    fn resign(&mut self, process: u64, key: &Value) -> CallResult {
        if self.guarded.offices.get(key).is_none_or(|office| office.process != process) {
            return NOT_HELD.because("the process holds nothing");
        }
        let fate = self.fate();
        if !matches!(fate, ChangeEffect::InfoUndone) {
            self.guarded.offices.remove(key);
        }
        fate.answer()
    }
}
