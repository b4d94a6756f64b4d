//! Keys with revisions in memory, and watches of them. A watch is answered at once with all that there is.
use super::{ChangeEffect, Store, every};
use crate::client::{Call, CallResult};
use crate::codes::{MALFORMED, NOT_SUPPORTED};
use dsfuzz_checkers::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The keys and everything that happened to them.
#[derive(Default)]
pub(super) struct Keys {
    now: HashMap<Value, Value>,
    /// The events in the order of their revisions, the first at revision 1.
    events: Vec<(Value, Option<Value>)>,
}

impl Store {
    /// The calls of the workload `watch`.
    pub(super) fn watched(&mut self, call: &Call) -> CallResult {
        match &*call.f {
            "get" => CallResult::Ok(self.keys.now.get(&call.key).cloned().unwrap_or_default()),
            "put" => self.change_key(&call.key, Some(call.value.clone())),
            "delete" if !self.keys.now.contains_key(&call.key) => CallResult::Ok(Value::Nil),
            "delete" => self.change_key(&call.key, None),
            "watch" => self.watch(&call.value),
            other => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    /// A lost change is acknowledged with a revision that the next change gets, too.
    fn change_key(&mut self, key: &Value, value: Option<Value>) -> CallResult {
        let fate = self.fate();
        let revision = self.keys.events.len() as i64 + 1;
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            match value.clone() {
                Some(value) => self.keys.now.insert(key.clone(), value),
                None => self.keys.now.remove(key),
            };
            self.keys.events.push((key.clone(), value));
        }
        match fate {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(Value::Int(revision)),
            other => other.answer(),
        }
    }

    /// A stale watch leaves out the event before the last one.
    fn watch(&mut self, asked: &Value) -> CallResult {
        let Value::Map(entries) = asked else { return MALFORMED.because("a watch needs an object") };
        let entry = |name: &str| entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value);
        let takes = |key: &Value| match (entry("key"), entry("prefix")) {
            (Some(own), _) => own == key,
            (None, Some(Value::Text(prefix))) => matches!(key, Value::Text(key) if key.starts_with(&**prefix)),
            _ => true,
        };
        let next = self.keys.events.len() as i64 + 1;
        let from = entry("revision").and_then(Value::as_int).filter(|from| *from > 0).unwrap_or(next);
        let events = (1..).zip(&self.keys.events).filter(|(revision, (key, _))| *revision >= from && takes(key));
        let mut shown: Vec<Value> =
            events.map(|(revision, (key, value))| event(revision, key, value.as_ref())).collect();
        if shown.len() > 2 && every(&mut self.reads, self.faults.stale_every) {
            shown.remove(shown.len() - 2);
        }
        CallResult::Ok(Value::list(shown))
    }
}

/// A response with one event.
fn event(revision: i64, key: &Value, value: Option<&Value>) -> Value {
    let kind = if value.is_some() { "put" } else { "delete" };
    let mut entries: Vec<(Arc<str>, Value)> = vec![
        ("revision".into(), Value::Int(revision)),
        ("key".into(), key.clone()),
        ("type".into(), Value::text(kind)),
    ];
    entries.extend(value.map(|value| ("value".into(), value.clone())));
    Value::list([Value::Map(entries.into())])
}
