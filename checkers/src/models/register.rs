//! A register: one value, initially nil, unless the option `initial` is set.
use super::{Model, RegisterAction, unknown_function};
use crate::initial::Initial;
use crate::value::Value;

pub(super) const READ_WRITE: &[&str] = &["read", "write"];
pub(super) const READ_WRITE_CAS: &[&str] = &["read", "write", "cas"];

/// A register: `read` and `write`.
pub(crate) type Register = RegisterModel<false>;

/// A register with compare-and-set: `read`, `write` and `cas` with `[from, to]`.
///
/// A `cas` that is Ok took effect, unless its reply is `false`: that one saw another value than `from`. (A `cas`
/// recorded as Fail had no effect, for whatever reason, and is left out.)
pub type CasRegister = RegisterModel<true>;

/// A register; `CAS` says whether it knows compare-and-set.
#[derive(Clone, Debug, Default)]
pub struct RegisterModel<const CAS: bool> {
    /// What it holds at first.
    pub initial: Value,
}

/// Whether a write's reply says that it wrote something else: what it wrote is then a question.
fn other_value(input: &Value, reply: &Value) -> bool {
    matches!((input, reply), (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_))) && input != reply
}

/// What a read or a write does.
fn read_or_write(
    known: &[&str],
    function: &str,
    input: &Value,
    reply: Option<&Value>,
) -> Result<RegisterAction, String> {
    match function {
        "read" => Ok(RegisterAction::Read(reply.cloned())),
        "write" if reply.is_some_and(|reply| other_value(input, reply)) => {
            let reply = reply.cloned().unwrap_or_default();
            Err(format!(
                "a write is answered with nothing or with what it wrote, not {input} with {reply} (a value with its \
                 version is one of the model versioned-register)"
            ))
        }
        "write" => Ok(RegisterAction::Write(input.clone())),
        _ => Err(unknown_function("register", known, function)),
    }
}

impl<const CAS: bool> Model for RegisterModel<CAS> {
    type State = Value;
    type Action = RegisterAction;

    fn name(&self) -> &'static str {
        if CAS { "cas-register" } else { "register" }
    }
    fn functions(&self) -> &'static [&'static str] {
        if CAS { READ_WRITE_CAS } else { READ_WRITE }
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
    fn shows_as_written(&self) -> bool {
        true
    }
    fn seen(&self, action: &RegisterAction) -> Vec<(Value, Value)> {
        action.seen().map(|value| (Value::Nil, value.clone())).into_iter().collect()
    }
    fn left(&self, action: &RegisterAction) -> Vec<(Value, Option<Value>)> {
        action.left().map(|value| (Value::Nil, Some(value.clone()))).into_iter().collect()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAction, String> {
        match input.as_list().filter(|_| CAS && function == "cas") {
            Some([from, _]) if reply == Some(&Value::Bool(false)) => Ok(RegisterAction::Differs(from.clone())),
            Some([from, to]) => Ok(RegisterAction::Cas(from.clone(), to.clone())),
            _ if CAS && function == "cas" => Err(format!("cas takes [from, to], not {input}")),
            _ => read_or_write(self.functions(), function, input, reply),
        }
    }
    fn step(&self, state: &Value, action: &RegisterAction) -> Option<Value> {
        match action {
            RegisterAction::Read(None) => Some(state.clone()),
            RegisterAction::Read(Some(value)) => (state == value).then(|| state.clone()),
            RegisterAction::Write(value) => Some(value.clone()),
            RegisterAction::Cas(from, to) => (state == from).then(|| to.clone()),
            RegisterAction::Differs(from) => (state != from).then(|| state.clone()),
        }
    }
    fn observes_only(&self, action: &RegisterAction) -> bool {
        matches!(action, RegisterAction::Read(_) | RegisterAction::Differs(_))
    }
    fn register_action(&self, action: &RegisterAction) -> Option<RegisterAction> {
        Some(action.clone())
    }
    fn show(&self, state: &Value) -> String {
        state.to_string()
    }
}
