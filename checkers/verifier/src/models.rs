//! Sequential specifications, written a second time and as plainly as possible: one step on JSON.
mod containers;
mod locks;
mod numbers;
mod registers;

use crate::certificate::Op;
use crate::{Refused, refuse};
use serde_json::Value;

/// The states after a step; none where the operation cannot have had its reply; several where it is not known what it did.
pub(crate) type States = Result<Vec<Value>, Refused>;

type Step = dyn Fn(&Value, &Op, bool) -> States;

/// A sequential specification.
pub(crate) struct Spec {
    /// The state before every call.
    pub(crate) initial: Value,
    /// The states after the operation. The flag: a compare-and-set taken for a write.
    pub(crate) step: Box<Step>,
    /// What a counterexample may leave out.
    pub(crate) removal: Removal,
}

/// What may be left out without explaining anything away.
#[derive(Clone, Copy)]
pub(crate) enum Removal {
    /// Reads, and writes that no operation shown can have found.
    Register,
    /// Of several registers in one object: whole registers, and of one register as of any. Where an operation is about
    /// several, what the second says.
    Cells(fn(&Op) -> Option<Cell>, fn(&[&Op], &[&Op], &Op) -> bool),
    /// Whole values. Names the values that an operation is about; none: it may be about any.
    Values(fn(&Op) -> Option<Vec<Value>>),
    /// The same of containers: what may have taken any value may go where every value that is shown was taken out.
    Container(fn(&Op) -> ContainerAction),
    /// Operations without which no less is possible.
    Observations(fn(&Op) -> bool),
}

/// An operation on one register of several: which, what it needs to find there, and what it leaves.
pub(crate) struct Cell {
    pub(crate) name: Value,
    pub(crate) needs: Option<Value>,
    pub(crate) leaves: Option<Value>,
}

/// What is done with a container.
pub(crate) enum ContainerAction {
    Put(Value),
    Take(Value),
    /// It was empty.
    Nothing,
    /// The reply is unknown.
    Unknown,
}

/// The specification of this name; behind a colon, what is set otherwise than by default.
pub(crate) fn spec(model: &str) -> Result<Spec, Refused> {
    let (name, setting) = model.split_once(':').map_or((model, None), |(name, setting)| (name, Some(setting)));
    let plain = |initial: Value, step: fn(&Value, &Op, bool) -> States, removal: Removal| match setting {
        None => Ok(Spec { initial, step: Box::new(step), removal }),
        Some(setting) => refuse(format!("a {name} knows no {setting}")),
    };
    match name {
        "register" | "cas-register" => plain(Value::Null, registers::register, Removal::Register),
        "versioned-register" => registers::versioned_from(setting),
        "multi-register" => plain(
            serde_json::json!({}),
            registers::multi,
            Removal::Cells(registers::multi_cell, |_, _, op| registers::only_reads(op)),
        ),
        "set" => {
            plain(serde_json::json!([]), containers::set, Removal::Cells(containers::set_cell, containers::set_spares))
        }
        "kv" => registers::kv(setting),
        "mutex" => plain(Value::Bool(false), locks::mutex, Removal::Observations(locks::refused)),
        "owner-mutex" => plain(Value::Null, locks::owner, Removal::Values(locks::owners)),
        "reentrant-mutex" => plain(Value::Null, locks::reentrant, Removal::Values(locks::owners)),
        "semaphore" => locks::semaphore(setting),
        "fenced-lock" => plain(locks::free(), locks::fenced, Removal::Observations(locks::refused)),
        "lease" => plain(locks::free(), locks::lease, Removal::Observations(locks::lease_shows)),
        "leader-election" => plain(locks::free(), locks::election, Removal::Observations(locks::election_shows)),
        "fifo-queue" => plain(serde_json::json!([]), containers::fifo, Removal::Container(containers::act)),
        "unordered-queue" => plain(serde_json::json!([]), containers::bag, Removal::Container(containers::act)),
        "stack" => plain(serde_json::json!([]), containers::stack, Removal::Container(containers::act)),
        "priority-queue" => containers::priority(setting),
        "counter" => numbers::counting(setting),
        "log" => plain(serde_json::json!([]), numbers::log, Removal::Observations(|op| op.f != "append")),
        _ => refuse(format!("no model is called {model}")),
    }
}

fn unknown(op: &Op) -> Refused {
    Refused(format!("#{}: the model does not know {} {} -> {}", op.call, op.f, op.input, op.output))
}

/// The one state after the step, if the reply fits.
fn next(fits: bool, state: impl FnOnce() -> Value) -> States {
    Ok(if fits { vec![state()] } else { Vec::new() })
}
