//! Transactions over several participants, and sagas, in memory. Some transactions abort and some sagas are compensated by right.
use super::{ChangeEffect, Store};
use crate::client::{Call, CallResult};
use crate::codes::NOT_SUPPORTED;
use dsfuzz_checkers::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One transaction in this number aborts, and one saga in this number is compensated.
const UNDONE_EVERY: i64 = 4;

/// What was decided.
#[derive(Default)]
pub(super) struct Decisions {
    /// By number: whether it committed, and the participant that decided otherwise.
    transactions: BTreeMap<i64, (bool, Option<Value>)>,
    /// The logs of sagas.
    sagas: HashMap<Value, Vec<Value>>,
}

fn word(committed: bool) -> Value {
    Value::text(if committed { "committed" } else { "aborted" })
}

impl Store {
    /// The calls of the workload `atomic-commit`. The participant is the node, or what the argument names.
    pub(super) fn decided(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let participant = if call.value.is_nil() { Value::Text(node.clone()) } else { call.value.clone() };
        match (&*call.f, call.key.as_int()) {
            ("commit", Some(transaction)) => self.commit(transaction, participant),
            ("status", Some(transaction)) => {
                let known = self.decisions.transactions.get(&transaction);
                CallResult::Ok(known.map_or(Value::Nil, |known| says(known, &participant)))
            }
            ("status", None) => {
                let all = self.decisions.transactions.iter();
                CallResult::Ok(Value::Map(
                    all.map(|(id, known)| (id.to_string().into(), says(known, &participant))).collect(),
                ))
            }
            (other, _) => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    /// A lost commit is acknowledged and aborted; an unchecked one is committed by the participant that was asked, and no other.
    fn commit(&mut self, transaction: i64, participant: Value) -> CallResult {
        let fate = self.fate();
        let by_right = transaction % UNDONE_EVERY != 0;
        let mixed = by_right && self.unchecked();
        let committed = match fate {
            ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone => by_right && !mixed,
            ChangeEffect::Lost => false,
            ChangeEffect::InfoUndone => return fate.answer(),
        };
        self.decisions.transactions.insert(transaction, (committed, mixed.then_some(participant)));
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(word(by_right)),
            other => other.answer(),
        }
    }

    /// The calls of the workload `saga`.
    pub(super) fn told(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "start" => self.start(&call.key, &call.value),
            "log" => CallResult::Ok(Value::list(self.decisions.sagas.get(&call.key).cloned().unwrap_or_default())),
            other => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    /// A saga that is compensated fails at its last step. A lost one forgets a compensation, an unchecked one its last step.
    fn start(&mut self, saga: &Value, steps: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::InfoUndone) {
            return fate.answer();
        }
        let mut done: Vec<Value> = steps.as_list().unwrap_or_default().to_vec();
        let compensated = saga.as_int().is_some_and(|number| number % UNDONE_EVERY == 0);
        if compensated || self.unchecked() {
            done.pop();
        }
        let event = |name: &str, step: &Value| Value::list([Value::text(name), step.clone()]);
        let mut log: Vec<Value> = done.iter().map(|step| event("step", step)).collect();
        let lost = matches!(fate, ChangeEffect::Lost);
        if compensated || lost {
            log.extend(done.iter().rev().skip(usize::from(lost)).map(|step| event("compensate", step)));
        }
        let end = Value::text(if compensated || lost { "compensated" } else { "completed" });
        log.push(end);
        self.decisions.sagas.insert(saga.clone(), log);
        fate.answer()
    }
}

fn says((committed, otherwise): &(bool, Option<Value>), participant: &Value) -> Value {
    word(*committed != (otherwise.as_ref() == Some(participant)))
}
