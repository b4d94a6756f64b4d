//! A register: one value, initially nil if nothing else is said.
use super::{Model, RegisterAct, unknown_function};
use crate::initial::Initial;
use crate::value::Value;

pub(super) const READ_WRITE: &[&str] = &["read", "write"];
pub(super) const READ_WRITE_CAS: &[&str] = &["read", "write", "cas"];

/// A register: `read` and `write`.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// What it holds at first.
    pub initial: Value,
}

/// A register with compare-and-set: `read`, `write` and `cas` with `[from, to]`.
///
/// A `cas` that is Ok took effect, unless its reply is `false`: that one saw another value than `from`. (A `cas`
/// recorded as Fail had no effect, for whatever reason, and is left out.)
#[derive(Clone, Debug, Default)]
pub struct CasRegister {
    /// What it holds at first.
    pub initial: Value,
}

/// What an act on the one register shows of it.
fn seen(act: &RegisterAct) -> Vec<(Value, Value)> {
    act.seen().map(|value| (Value::Nil, value.clone())).into_iter().collect()
}

/// What an act leaves in the one register.
fn left(act: &RegisterAct) -> Vec<(Value, Option<Value>)> {
    act.left().map(|value| (Value::Nil, Some(value.clone()))).into_iter().collect()
}

fn step(state: &Value, act: &RegisterAct) -> Option<Value> {
    match act {
        RegisterAct::Read(None) => Some(state.clone()),
        RegisterAct::Read(Some(value)) => (state == value).then(|| state.clone()),
        RegisterAct::Write(value) => Some(value.clone()),
        RegisterAct::Cas(from, to) => (state == from).then(|| to.clone()),
        RegisterAct::Differs(from) => (state != from).then(|| state.clone()),
    }
}

/// Whether a write's reply says that it wrote something else: what it wrote is then a question.
fn other_value(input: &Value, reply: &Value) -> bool {
    matches!((input, reply), (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_))) && input != reply
}

impl Model for Register {
    type State = Value;
    type Act = RegisterAct;

    fn name(&self) -> &'static str {
        "register"
    }
    fn functions(&self) -> &'static [&'static str] {
        READ_WRITE
    }
    fn initial(&self) -> Value {
        self.initial.clone()
    }
    fn beginning(&self, key: &Value, initial: &Initial) -> Option<Self> {
        initial.of(key).map(|initial| Self { initial: initial.clone() })
    }
    fn begins(&self, _: &Value) -> Value {
        self.initial.clone()
    }
    fn seen(&self, act: &RegisterAct) -> Vec<(Value, Value)> {
        seen(act)
    }
    fn left(&self, act: &RegisterAct) -> Vec<(Value, Option<Value>)> {
        left(act)
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
        match function {
            "read" => Ok(RegisterAct::Read(reply.cloned())),
            "write" if reply.is_some_and(|reply| other_value(input, reply)) => {
                let reply = reply.cloned().unwrap_or_default();
                Err(format!(
                    "a write is answered with nothing or with what it wrote, not {input} with {reply} (a value with its \
                     version is one of the model versioned-register)"
                ))
            }
            "write" => Ok(RegisterAct::Write(input.clone())),
            _ => Err(unknown_function("register", READ_WRITE, function)),
        }
    }
    fn step(&self, state: &Value, act: &RegisterAct) -> Option<Value> {
        step(state, act)
    }
    fn observes_only(&self, act: &RegisterAct) -> bool {
        matches!(act, RegisterAct::Read(_) | RegisterAct::Differs(_))
    }
    fn register_act(&self, act: &RegisterAct) -> Option<RegisterAct> {
        Some(act.clone())
    }
    fn show(&self, state: &Value) -> String {
        state.to_string()
    }
}

impl Model for CasRegister {
    type State = Value;
    type Act = RegisterAct;

    fn name(&self) -> &'static str {
        "cas-register"
    }
    fn functions(&self) -> &'static [&'static str] {
        READ_WRITE_CAS
    }
    fn initial(&self) -> Value {
        self.initial.clone()
    }
    fn beginning(&self, key: &Value, initial: &Initial) -> Option<Self> {
        initial.of(key).map(|initial| Self { initial: initial.clone() })
    }
    fn begins(&self, _: &Value) -> Value {
        self.initial.clone()
    }
    fn seen(&self, act: &RegisterAct) -> Vec<(Value, Value)> {
        seen(act)
    }
    fn left(&self, act: &RegisterAct) -> Vec<(Value, Option<Value>)> {
        left(act)
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
        if function != "cas" {
            return Register::default()
                .act(function, input, reply)
                .map_err(|_| unknown_function("register", READ_WRITE_CAS, function));
        }
        match input.as_list() {
            Some([from, _]) if reply == Some(&Value::Bool(false)) => Ok(RegisterAct::Differs(from.clone())),
            Some([from, to]) => Ok(RegisterAct::Cas(from.clone(), to.clone())),
            _ => Err(format!("cas takes [from, to], not {input}")),
        }
    }
    fn step(&self, state: &Value, act: &RegisterAct) -> Option<Value> {
        step(state, act)
    }
    fn observes_only(&self, act: &RegisterAct) -> bool {
        matches!(act, RegisterAct::Read(_) | RegisterAct::Differs(_))
    }
    fn register_act(&self, act: &RegisterAct) -> Option<RegisterAct> {
        Some(act.clone())
    }
    fn show(&self, state: &Value) -> String {
        state.to_string()
    }
}
