//! A stack: last in, first out; initially empty.
use super::{Container, ContainerAct, Model, items};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["push", "pop"];

/// A stack: `push` a value, `pop` returns the newest one, or nil when there is none. A `pop` of unknown outcome may have
/// taken the newest value away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stack;

impl Model for Stack {
    type State = Vec<Value>;
    type Act = ContainerAct;

    fn name(&self) -> &'static str {
        "stack"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Default::default()
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAct, String> {
        items::act(self.name(), FUNCTIONS, 1, function, input, reply)
    }
    fn step(&self, state: &Self::State, act: &ContainerAct) -> Option<Self::State> {
        let mut next = state.clone();
        match act {
            ContainerAct::Put(value) => next.push(value.clone()),
            ContainerAct::Take(value) => return (next.pop().as_ref() == Some(value)).then_some(next),
            ContainerAct::TakeNothing => return next.is_empty().then_some(next),
            ContainerAct::TakeUnknown => drop(next.pop()),
        }
        Some(next)
    }
    fn observes_only(&self, act: &ContainerAct) -> bool {
        items::observes_only(act)
    }
    fn container_act(&self, act: &ContainerAct) -> Option<(Container, ContainerAct)> {
        Some((Container::Stack, act.clone()))
    }
    fn removable(&self, acts: &[&ContainerAct]) -> Vec<Vec<usize>> {
        items::removable(acts)
    }
    fn state_bytes(&self, state: &Self::State) -> usize {
        24 * state.len() + 64
    }
    fn show(&self, state: &Self::State) -> String {
        items::show(state.iter())
    }
}
