//! A queue: first in, first out; initially empty.
use super::{Container, ContainerAct, Model, items};
use crate::value::Value;
use std::collections::VecDeque;

pub(super) const FUNCTIONS: &[&str] = &["enqueue", "send", "dequeue", "receive"];

/// A queue: `enqueue` a value, `dequeue` returns the oldest one, or nil when there is none. A `dequeue` of unknown outcome may
/// have taken the oldest value away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FifoQueue;

impl Model for FifoQueue {
    type State = VecDeque<Value>;
    type Act = ContainerAct;

    fn name(&self) -> &'static str {
        "fifo-queue"
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Default::default()
    }
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAct, String> {
        items::act(self.name(), FUNCTIONS, 2, function, input, reply)
    }
    fn step(&self, state: &Self::State, act: &ContainerAct) -> Option<Self::State> {
        let mut next = state.clone();
        match act {
            ContainerAct::Put(value) => next.push_back(value.clone()),
            ContainerAct::Take(value) => return (next.pop_front().as_ref() == Some(value)).then_some(next),
            ContainerAct::TakeNothing => return next.is_empty().then_some(next),
            ContainerAct::TakeUnknown => drop(next.pop_front()),
        }
        Some(next)
    }
    fn observes_only(&self, act: &ContainerAct) -> bool {
        items::observes_only(act)
    }
    fn container_act(&self, act: &ContainerAct) -> Option<(Container, ContainerAct)> {
        Some((Container::Queue, act.clone()))
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
