//! One key of a key-value store of texts.
use super::{Model, unknown_function};
use crate::initial::Initial;
use crate::value::Value;
use std::sync::Arc;

pub(super) const FUNCTIONS: &[&str] = &["get", "put", "append", "delete", "cas", "read", "write"];

/// One key of a store, as in Porcupine's kv model: `get` (or `read`), `put` (or `write`), `append` a text, `delete`, and
/// `cas` with `[from, to]`. A key at first holds an empty text, as in Porcupine; `delete` brings that back. A `get` that
/// returns nil saw the initial value. Appending to what is no text makes a text of both.
#[derive(Clone, Debug)]
pub struct Kv {
    /// What a key holds at first.
    pub initial: Value,
}

impl Default for Kv {
    fn default() -> Kv {
        Kv { initial: Value::text("") }
    }
}

/// What can be done with a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvAction {
    /// It held this; `None`: the reply is unknown.
    Get(Option<Value>),
    /// It holds this from now on.
    Put(Value),
    /// This comes after what it held.
    Append(Arc<str>),
    /// It held the first and holds the second from now on.
    Cas(Value, Value),
    /// It held something other than this.
    Differs(Value),
}

impl Kv {
    fn shown(&self, value: &Value) -> Value {
        if value.is_nil() { self.initial.clone() } else { value.clone() }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Nil => String::new(),
        Value::Text(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// Whether appends can make the value of the state.
fn begins(state: &Value, value: &Value) -> bool {
    match (state, value) {
        (Value::Text(state), Value::Text(value)) => value.starts_with(&**state),
        (state, Value::Text(value)) => value.starts_with(&text(state)),
        _ => state == value,
    }
}

impl Model for Kv {
    type State = Value;
    type Action = KvAction;

    fn name(&self) -> &'static str {
        "kv"
    }
    fn specification(&self) -> String {
        match &self.initial {
            Value::Text(text) if text.is_empty() => self.name().to_owned(),
            initial => format!("{}:{}", self.name(), serde_json::to_string(initial).unwrap_or_default()),
        }
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Value {
        self.initial.clone()
    }
    fn beginning(&self, key: &Value, initial: &Initial) -> Option<Kv> {
        initial.of(key).map(|initial| Kv { initial: initial.clone() })
    }
    fn begins(&self, _: &Value) -> Value {
        self.initial.clone()
    }
    fn shows_as_written(&self) -> bool {
        true
    }
    fn seen(&self, action: &KvAction) -> Vec<(Value, Value)> {
        match action {
            KvAction::Get(Some(value)) | KvAction::Cas(value, _) => vec![(Value::Nil, value.clone())],
            _ => Vec::new(),
        }
    }
    fn left(&self, action: &KvAction) -> Vec<(Value, Option<Value>)> {
        match action {
            KvAction::Put(value) | KvAction::Cas(_, value) => vec![(Value::Nil, Some(value.clone()))],
            KvAction::Append(_) => vec![(Value::Nil, None)],
            KvAction::Get(_) | KvAction::Differs(_) => Vec::new(),
        }
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<KvAction, String> {
        match function {
            "get" | "read" => Ok(KvAction::Get(reply.map(|reply| self.shown(reply)))),
            "put" | "write" => Ok(KvAction::Put(self.shown(input))),
            "append" => Ok(KvAction::Append(text(input).into())),
            "delete" => Ok(KvAction::Put(self.initial.clone())),
            "cas" => match input.as_list() {
                Some([from, _]) if reply == Some(&Value::Bool(false)) => Ok(KvAction::Differs(self.shown(from))),
                Some([from, to]) => Ok(KvAction::Cas(self.shown(from), self.shown(to))),
                _ => Err(format!("cas takes [from, to], not {input}")),
            },
            _ => Err(unknown_function("kv", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &Value, action: &KvAction) -> Option<Value> {
        match action {
            KvAction::Get(None) => Some(state.clone()),
            KvAction::Get(Some(value)) => (state == value).then(|| state.clone()),
            KvAction::Put(value) => Some(value.clone()),
            KvAction::Append(more) => Some(Value::text(&(text(state) + more))),
            KvAction::Cas(from, to) => (state == from).then(|| to.clone()),
            KvAction::Differs(from) => (state != from).then(|| state.clone()),
        }
    }
    fn observes_only(&self, action: &KvAction) -> bool {
        matches!(action, KvAction::Get(_) | KvAction::Differs(_))
    }
    fn fits_always(&self, action: &KvAction) -> bool {
        matches!(action, KvAction::Get(None) | KvAction::Put(_) | KvAction::Append(_))
    }
    fn needs_state(&self, action: &KvAction) -> bool {
        matches!(action, KvAction::Get(Some(_)) | KvAction::Cas(..))
    }
    fn may_become(&self, state: &Value, action: &KvAction) -> bool {
        match action {
            KvAction::Get(Some(value)) | KvAction::Cas(value, _) => begins(state, value),
            KvAction::Get(None) | KvAction::Put(_) | KvAction::Append(_) | KvAction::Differs(_) => true,
        }
    }
    fn restarts(&self, action: &KvAction) -> Option<Value> {
        match action {
            KvAction::Put(value) | KvAction::Cas(_, value) => Some(value.clone()),
            KvAction::Get(_) | KvAction::Append(_) | KvAction::Differs(_) => None,
        }
    }
    fn state_bytes(&self, state: &Value) -> usize {
        64 + if let Value::Text(text) = state { text.len() } else { 0 }
    }
    fn show(&self, state: &Value) -> String {
        state.to_string()
    }
}
