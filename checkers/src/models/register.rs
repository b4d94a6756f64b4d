//! A register: one value, initially nil if nothing else is said.
use super::{Model, RegisterAct, unknown_function};
use crate::initial::Initial;
use crate::value::Value;

pub(super) const READ_WRITE: &[&str] = &["read", "write"];
pub(super) const READ_WRITE_CAS: &[&str] = &["read", "write", "cas"];

/// A register: `read` and `write`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Register {
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

/// Whether a write's reply says that it wrote something else: what it wrote is then a question.
fn other_value(input: &Value, reply: &Value) -> bool {
    matches!((input, reply), (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_))) && input != reply
}

/// What a read or a write does.
fn read_or_write(known: &[&str], function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
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
        _ => Err(unknown_function("register", known, function)),
    }
}

fn read_write_or_cas(
    known: &[&str],
    function: &str,
    input: &Value,
    reply: Option<&Value>,
) -> Result<RegisterAct, String> {
    if function != "cas" {
        return read_or_write(known, function, input, reply);
    }
    match input.as_list() {
        Some([from, _]) if reply == Some(&Value::Bool(false)) => Ok(RegisterAct::Differs(from.clone())),
        Some([from, to]) => Ok(RegisterAct::Cas(from.clone(), to.clone())),
        _ => Err(format!("cas takes [from, to], not {input}")),
    }
}

/// The two registers differ in their names, their functions, and how a call is parsed.
macro_rules! register {
    ($model:ty, $name:literal, $functions:expr, $act:expr) => {
        impl Model for $model {
            type State = Value;
            type Act = RegisterAct;

            fn name(&self) -> &'static str {
                $name
            }
            fn functions(&self) -> &'static [&'static str] {
                $functions
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
            fn seen(&self, act: &RegisterAct) -> Vec<(Value, Value)> {
                act.seen().map(|value| (Value::Nil, value.clone())).into_iter().collect()
            }
            fn left(&self, act: &RegisterAct) -> Vec<(Value, Option<Value>)> {
                act.left().map(|value| (Value::Nil, Some(value.clone()))).into_iter().collect()
            }
            fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
                $act($functions, function, input, reply)
            }
            fn step(&self, state: &Value, act: &RegisterAct) -> Option<Value> {
                match act {
                    RegisterAct::Read(None) => Some(state.clone()),
                    RegisterAct::Read(Some(value)) => (state == value).then(|| state.clone()),
                    RegisterAct::Write(value) => Some(value.clone()),
                    RegisterAct::Cas(from, to) => (state == from).then(|| to.clone()),
                    RegisterAct::Differs(from) => (state != from).then(|| state.clone()),
                }
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
    };
}

register!(Register, "register", READ_WRITE, read_or_write);
register!(CasRegister, "cas-register", READ_WRITE_CAS, read_write_or_cas);
