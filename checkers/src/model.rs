//! [`Model`]: a sequential specification. It says what one object does when its calls come one after the other, and
//! nothing about time, processes or faults. A call of data ([`Value`]) is parsed once into the model's own type.
use crate::value::Value;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential specification.
pub trait Model: Send + Sync {
    /// What the object holds. Compared by value.
    type State: Clone + Eq + Hash + Debug;
    /// A call with what is known of its reply.
    type Act: Clone + Debug;

    /// Its name in plans, e.g. `cas-register`.
    fn name(&self) -> &'static str;

    /// The functions that it knows.
    fn functions(&self) -> &'static [&'static str];

    /// The state before every call.
    fn initial(&self) -> Self::State;

    /// Parses a call. The reply is `None` where it is unknown: such an act may be applied with whatever reply the state
    /// gives. The error says what the function expects.
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<Self::Act, String>;

    /// The state after the act, or `None` when it cannot have happened, with this reply, in this state.
    fn step(&self, state: &Self::State, act: &Self::Act) -> Option<Self::State>;

    /// Whether the act leaves every state as it is. Observations are linearised as soon as they fit, and an observation
    /// without a reply says nothing at all.
    fn observes_only(&self, _act: &Self::Act) -> bool {
        false
    }

    /// The act as one of a register, if it is one. An object whose acts all are is decided by the engines for registers.
    fn register_act(&self, _act: &Self::Act) -> Option<RegisterAct> {
        None
    }
}

/// What can be done with a register. Initially it holds [`Value::Nil`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterAct {
    /// It held this value; `None`: the reply is unknown.
    Read(Option<Value>),
    /// It holds this value from now on.
    Write(Value),
    /// It held the first value and holds the second from now on.
    Cas(Value, Value),
    /// It held something other than this value: a compare-and-set that was answered with a mismatch.
    Differs(Value),
}

/// A register: `read` and `write`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// A register with compare-and-set: `read`, `write` and `cas` with `[from, to]`.
///
/// A `cas` that is Ok took effect, unless its reply is `false`: that one saw another value than `from`. (A `cas`
/// recorded as Fail had no effect, for whatever reason, and is left out.)
#[derive(Clone, Copy, Debug, Default)]
pub struct CasRegister;

impl Model for Register {
    type State = Value;
    type Act = RegisterAct;

    fn name(&self) -> &'static str {
        "register"
    }
    fn functions(&self) -> &'static [&'static str] {
        &["read", "write"]
    }
    fn initial(&self) -> Value {
        Value::Nil
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
        match function {
            "read" => Ok(RegisterAct::Read(reply.cloned())),
            "write" => Ok(RegisterAct::Write(input.clone())),
            _ => Err(format!("a register knows read and write, not {function:?}")),
        }
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
}

impl Model for CasRegister {
    type State = Value;
    type Act = RegisterAct;

    fn name(&self) -> &'static str {
        "cas-register"
    }
    fn functions(&self) -> &'static [&'static str] {
        &["read", "write", "cas"]
    }
    fn initial(&self) -> Value {
        Value::Nil
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<RegisterAct, String> {
        if function != "cas" {
            return Register
                .act(function, input, reply)
                .map_err(|_| format!("a register knows read, write and cas, not {function:?}"));
        }
        match input.as_list() {
            Some([from, _]) if reply == Some(&Value::Bool(false)) => Ok(RegisterAct::Differs(from.clone())),
            Some([from, to]) => Ok(RegisterAct::Cas(from.clone(), to.clone())),
            _ => Err(format!("cas takes [from, to], not {input}")),
        }
    }
    fn step(&self, state: &Value, act: &RegisterAct) -> Option<Value> {
        Register.step(state, act)
    }
    fn observes_only(&self, act: &RegisterAct) -> bool {
        Register.observes_only(act)
    }
    fn register_act(&self, act: &RegisterAct) -> Option<RegisterAct> {
        Some(act.clone())
    }
}
