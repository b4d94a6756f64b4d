//! Sequential specifications, written a second time and as plainly as possible: one step on JSON.
use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::Value;

/// A sequential specification.
pub(crate) struct Spec {
    /// The state before every call.
    pub(crate) initial: Value,
    /// Whether each key is an object of its own.
    pub(crate) by_key: bool,
    /// The state after the operation, or none where it cannot have had its reply. The flag: a compare-and-set taken for
    /// a write.
    pub(crate) step: fn(&Value, &Op, bool) -> Result<Option<Value>, Refused>,
    /// What a counterexample may leave out.
    pub(crate) removal: Removal,
}

/// What may be left out without explaining anything away.
#[derive(Clone, Copy)]
pub(crate) enum Removal {
    /// Reads, and writes that nobody shown can have found.
    Register,
    /// Whole values. Names the values that an operation is about; none: it may be about any.
    Values(fn(&Op) -> Option<Vec<Value>>),
    /// Operations that change nothing.
    Observations(fn(&Op) -> bool),
}

/// The specification of this name.
pub(crate) fn spec(model: &str) -> Result<Spec, Refused> {
    let removal = Removal::Register;
    Ok(match model {
        "register" | "cas-register" => Spec { initial: Value::Null, by_key: true, step: register, removal },
        _ => return refuse(format!("no model is called {model}")),
    })
}

fn unknown(op: &Op) -> Refused {
    Refused(format!("#{}: the model does not know {} {}", op.call, op.f, op.input))
}

fn register(state: &Value, op: &Op, weakened: bool) -> Result<Option<Value>, Refused> {
    Ok(match op.f.as_str() {
        "read" => op.reply().is_none_or(|seen| seen == state).then(|| state.clone()),
        "write" => Some(op.input.clone()),
        "cas" => {
            let Some([from, to]) = op.input.as_array().map(Vec::as_slice) else { return Err(unknown(op)) };
            match op.reply() {
                Some(Value::Bool(false)) => (state != from).then(|| state.clone()),
                _ if weakened => Some(to.clone()),
                _ => (state == from).then(|| to.clone()),
            }
        }
        _ => return Err(unknown(op)),
    })
}
