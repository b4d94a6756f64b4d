//! A stack: last in, first out; initially empty.
use super::{Container, ContainerAction, Model, items};
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["push", "pop"];

/// A stack: `push` a value, `pop` returns the newest one, or nil when there is none. A `pop` of unknown outcome may have
/// taken the newest value away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack;

impl Model for Stack {
    type State = Vec<Value>;
    type Action = ContainerAction;

    fn name(&self) -> &'static str {
        "stack"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Default::default()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAction, String> {
        items::action(self.name(), FUNCTIONS, 1, function, input, reply)
    }
    fn step(&self, state: &Self::State, action: &ContainerAction) -> Option<Self::State> {
        let mut next = state.clone();
        match action {
            ContainerAction::Put(value) => next.push(value.clone()),
            ContainerAction::Take(value) => return (next.pop().as_ref() == Some(value)).then_some(next),
            ContainerAction::TakeNothing => return next.is_empty().then_some(next),
            ContainerAction::TakeUnknown => drop(next.pop()),
        }
        Some(next)
    }
    fn observes_only(&self, action: &ContainerAction) -> bool {
        items::observes_only(action)
    }
    fn container_action(&self, action: &ContainerAction) -> Option<(Container, ContainerAction)> {
        Some((Container::Stack, action.clone()))
    }
    fn removable(&self, actions: &[&ContainerAction]) -> Vec<Vec<usize>> {
        items::removable(actions)
    }
    fn state_bytes(&self, state: &Self::State) -> usize {
        24 * state.len() + 64
    }
    fn show(&self, state: &Self::State) -> String {
        items::show(state.iter())
    }
}
