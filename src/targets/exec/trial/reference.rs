//! [`Reference`]: what a correct object replies to the same calls, from the store in memory.
use dsfuzz_checkers::functions::{FunctionKind, function};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_workloads::memory::Memory;
use dsfuzz_workloads::objects::OBJECTS;
use dsfuzz_workloads::{Call, CallResult, Terms, Workload};
use std::time::Duration;

/// A correct object after the calls that had an effect.
pub(super) struct Reference<'a> {
    workload: &'a dyn Workload,
    reads: Reads,
    /// Whether the object is one that the store in memory knows; of another one no reply can be foretold.
    known: bool,
    log: Vec<Call>,
}

impl Reference<'_> {
    pub(super) fn new(workload: &dyn Workload, reads: Reads) -> Reference<'_> {
        let known = OBJECTS.iter().any(|object| *object.name == *workload.object());
        Reference { workload, reads, known, log: Vec::new() }
    }

    /// Whether it knows what a correct object replies.
    pub(super) fn known(&self) -> bool {
        self.known
    }

    /// Adds a call that took effect.
    pub(super) fn took_effect(&mut self, call: &Call) {
        self.log.push(call.clone());
    }

    /// The last call that took effect.
    pub(super) fn last(&self) -> Option<&Call> {
        self.log.last()
    }

    /// Calls that show all that was called.
    pub(super) fn probes(&self, object: &str) -> Vec<Call> {
        let mut all: Vec<Call> = Vec::new();
        for probe in self.log.iter().flat_map(|call| probes(object, call)) {
            if !all.contains(&probe) {
                all.push(probe);
            }
        }
        all
    }

    /// The reply to a call that is made now, after `more`.
    pub(super) async fn reply(&self, more: &[Call], call: &Call) -> CallResult {
        let memory = Memory::new();
        memory.set_up(self.workload);
        let mut client = memory.client();
        let terms = Terms::load(Duration::from_secs(5));
        for earlier in self.log.iter().chain(more) {
            client.call(earlier, terms).await;
        }
        client.call(call, terms).await.result
    }

    /// Whether the reply of a client is that of the reference, where replies can be foretold.
    pub(super) fn agrees(&self, call: &Call, expected: &CallResult, found: &CallResult) -> bool {
        !self.known || self.are_alike(call, expected, found)
    }

    /// Whether two replies to a call say the same.
    pub(super) fn are_alike(&self, call: &Call, expected: &CallResult, found: &CallResult) -> bool {
        match (expected, found) {
            (CallResult::Ok(expected), CallResult::Ok(found)) => {
                !self.foretells(call) || self.plain(expected) == self.plain(found)
            }
            // Nothing is there: an error or an empty reply.
            (CallResult::Ok(Value::Nil), CallResult::Fail(_)) => function(&call.f).name == "dequeue",
            (CallResult::Fail(_), CallResult::Fail(_)) => true,
            _ => false,
        }
    }

    /// Whether a reply says what is in the object. Ids, tokens and timestamps are the target's own.
    pub(super) fn foretells(&self, call: &Call) -> bool {
        let function = function(&call.f);
        let says = matches!(function.kind, FunctionKind::Read | FunctionKind::Transaction)
            || matches!(function.name, "dequeue" | "drain");
        says && self.reads != Reads::Rows
    }

    /// Replies that mean the same are equal: a set in any order, a register with its version, an empty list and nothing.
    fn plain(&self, value: &Value) -> Value {
        match (self.reads, value) {
            (Reads::Value, Value::List(parts))
                if parts.len() == 2 && matches!(parts[0], Value::Int(_) | Value::Nil) =>
            {
                parts[1].clone()
            }
            (Reads::Elements, Value::List(elements)) => {
                let mut elements = elements.to_vec();
                elements.sort();
                Value::list(elements)
            }
            (_, Value::List(parts)) if parts.is_empty() => Value::Nil,
            (_, Value::List(parts)) => Value::list(parts.iter().map(|part| self.plain(part))),
            (_, other) => other.clone(),
        }
    }
}

/// Calls that show whether a call had an effect; none if nothing of the object shows it.
pub(super) fn probes(object: &str, call: &Call) -> Vec<Call> {
    let plain = |f: &str, key: &Value| Call { f: f.into(), key: key.clone(), value: Value::Nil, ..call.clone() };
    match object {
        "register" | "set" | "counter" => vec![plain("read", &call.key)],
        "bank" => vec![plain("read", &Value::Nil)],
        "queue" => vec![plain("drain", &call.key)],
        "transactions" => {
            let keys = call.value.as_list().unwrap_or_default().iter().filter_map(|one| one.as_list()?.get(1));
            let read = |key: &Value| Value::list([Value::text("r"), key.clone(), Value::Nil]);
            let mut reads: Vec<Value> = keys.map(read).collect();
            reads.sort();
            reads.dedup();
            vec![Call { value: Value::list(reads), ..call.clone() }]
        }
        _ => Vec::new(),
    }
}
