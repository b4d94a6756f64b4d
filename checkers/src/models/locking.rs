//! What locks share: `acquire` and `release`, and the reply `false`, which says that nothing was done.
use super::{Model, unknown_function};
use crate::value::Value;
use std::fmt::Debug;
use std::hash::Hash;

pub(super) const FUNCTIONS: &[&str] = &["acquire", "release"];

/// What is done with a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockAction<S> {
    /// It is taken.
    Acquire(S),
    /// It is given back.
    Release(S),
    /// Nothing was done, for whatever reason.
    Refused,
}

/// A lock. Initially it is in the default state. Every lock is a [`Model`].
pub trait LockModel: Send + Sync {
    /// What the lock is in.
    type State: Clone + Default + Eq + Hash + Debug;
    /// What an acquisition or a release says beside its function: nothing, an owner, a token, a number of permits.
    type Subject: Clone + Eq + Hash + Debug;

    /// Its name in plans.
    fn name(&self) -> &'static str;

    /// See [`Model::specification`].
    fn specification(&self) -> String {
        self.name().to_owned()
    }

    /// What a call says that was not refused, as far as it is known.
    fn subject(
        &self,
        process: u64,
        function: &str,
        input: &Value,
        reply: Option<&Value>,
    ) -> Result<Self::Subject, String>;

    /// The state after an acquisition, or `None` when it cannot have happened.
    fn acquire(&self, state: &Self::State, subject: &Self::Subject) -> Option<Self::State>;

    /// The state after a release, or `None` when it cannot have happened.
    fn release(&self, state: &Self::State, subject: &Self::Subject) -> Option<Self::State>;

    /// See [`Model::removable`]. By default every refusal is a group.
    fn removable(&self, actions: &[&LockAction<Self::Subject>]) -> Vec<Vec<usize>> {
        let refused = |at: &usize| *actions[*at] == LockAction::Refused;
        (0..actions.len()).filter(refused).map(|at| vec![at]).collect()
    }

    /// The state in words.
    fn show(&self, state: &Self::State) -> String;
}

impl<L: LockModel> Model for L {
    type State = L::State;
    type Action = LockAction<L::Subject>;

    fn name(&self) -> &'static str {
        LockModel::name(self)
    }
    fn specification(&self) -> String {
        LockModel::specification(self)
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> L::State {
        L::State::default()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<Self::Action, String> {
        self.action_by(0, function, input, reply)
    }
    fn action_by(
        &self,
        process: u64,
        function: &str,
        input: &Value,
        reply: Option<&Value>,
    ) -> Result<Self::Action, String> {
        match function {
            "acquire" | "release" if reply == Some(&Value::Bool(false)) => Ok(LockAction::Refused),
            "acquire" => Ok(LockAction::Acquire(self.subject(process, function, input, reply)?)),
            "release" => Ok(LockAction::Release(self.subject(process, function, input, reply)?)),
            _ => Err(unknown_function(LockModel::name(self), FUNCTIONS, function)),
        }
    }
    fn step(&self, state: &L::State, action: &Self::Action) -> Option<L::State> {
        match action {
            LockAction::Acquire(subject) => self.acquire(state, subject),
            LockAction::Release(subject) => self.release(state, subject),
            LockAction::Refused => Some(state.clone()),
        }
    }
    fn observes_only(&self, action: &Self::Action) -> bool {
        *action == LockAction::Refused
    }
    fn fits_always(&self, action: &Self::Action) -> bool {
        *action == LockAction::Refused
    }
    fn removable(&self, actions: &[&Self::Action]) -> Vec<Vec<usize>> {
        LockModel::removable(self, actions)
    }
    fn show(&self, state: &L::State) -> String {
        LockModel::show(self, state)
    }
}

/// Who holds or asks: the argument where one is given, otherwise the process.
pub(super) fn owner(process: u64, input: &Value) -> Value {
    if input.is_nil() { Value::Int(process as i64) } else { input.clone() }
}
