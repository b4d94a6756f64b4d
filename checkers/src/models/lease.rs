//! A lease: a lock that may expire at any time; initially free.
use super::fenced_lock::{FencedState, token};
use super::{Model, unknown_function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["acquire", "renew", "release", "holder"];

/// A lease. `acquire` returns the number of the grant, larger than all before; it is always possible, because the one
/// before may have expired. `renew` and `release` take a number: only the latest grant that no `holder` found expired can be
/// renewed or released. `holder` returns the number of the grant in force, or nil, after which that grant has expired
/// for good. A reply of `false` means that nothing was done and says nothing. How long a grant lasts is nothing a
/// sequential specification can say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease;

/// What can be done with a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseAction {
    /// A new grant with this number.
    Acquire(Option<i64>),
    /// The grant with this number was in force.
    Holds(Option<i64>),
    /// It is given back.
    Release(Option<i64>),
    /// None was in force.
    Expired,
    /// Nothing was done.
    Refused,
}

impl Model for Lease {
    type State = FencedState;
    type Action = LeaseAction;

    fn name(&self) -> &'static str {
        "lease"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> FencedState {
        FencedState::default()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<LeaseAction, String> {
        match (function, reply) {
            ("acquire" | "renew" | "release", Some(Value::Bool(false))) => Ok(LeaseAction::Refused),
            ("acquire", _) => Ok(LeaseAction::Acquire(token(function, reply)?)),
            ("renew", None) | ("holder", None) => Ok(LeaseAction::Refused),
            ("renew", _) => Ok(LeaseAction::Holds(token(function, Some(input))?)),
            ("release", _) => Ok(LeaseAction::Release(token(function, Some(input))?)),
            ("holder", Some(Value::Nil)) => Ok(LeaseAction::Expired),
            ("holder", _) => Ok(LeaseAction::Holds(token(function, reply)?)),
            _ => Err(unknown_function("lease", FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &FencedState, action: &LeaseAction) -> Option<FencedState> {
        match action {
            LeaseAction::Acquire(number) => state.grant(*number),
            LeaseAction::Holds(number) => state.show_token(*number),
            LeaseAction::Release(number) => state.show_token(*number).map(FencedState::free),
            LeaseAction::Expired => Some(state.free()),
            LeaseAction::Refused => Some(*state),
        }
    }
    fn observes_only(&self, action: &LeaseAction) -> bool {
        *action == LeaseAction::Refused
    }
    fn fits_always(&self, action: &LeaseAction) -> bool {
        matches!(action, LeaseAction::Acquire(None) | LeaseAction::Expired | LeaseAction::Refused)
    }
    /// What merely shows which grant is in force, or that none is: without it more is possible, never less.
    fn removable(&self, actions: &[&LeaseAction]) -> Vec<Vec<usize>> {
        let shows =
            |at: &usize| matches!(actions[*at], LeaseAction::Refused | LeaseAction::Holds(_) | LeaseAction::Expired);
        (0..actions.len()).filter(shows).map(|at| vec![at]).collect()
    }
    fn show(&self, state: &FencedState) -> String {
        if state.is_held() { state.words("grant") } else { format!("expired; {}", state.words("grant")) }
    }
}
