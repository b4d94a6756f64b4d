//! A queue in no order: a bag of values; initially empty.
use super::{Container, ContainerAction, Model, items};
use crate::value::Value;

/// A queue in no order: `enqueue` a value, `dequeue` returns some value in it, or nil when there is none.
///
/// A `dequeue` of unknown outcome may have taken away any value that was in it then. The state keeps such takers in line
/// with the values, so that which one took what is settled only when it matters: when the queue is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnorderedQueue;

impl Model for UnorderedQueue {
    /// Values, and takers (`None`) of some value before them in the list; values between two takers in ascending order.
    type State = Vec<Option<Value>>;
    type Action = ContainerAction;

    fn name(&self) -> &'static str {
        "unordered-queue"
    }
    fn functions(&self) -> &'static [&'static str] {
        items::QUEUE
    }
    fn initial(&self) -> Self::State {
        Vec::new()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAction, String> {
        items::action(self, function, input, reply)
    }
    fn step(&self, state: &Self::State, action: &ContainerAction) -> Option<Self::State> {
        let mut next = state.clone();
        match action {
            ContainerAction::Put(value) => {
                let run = next.iter().rposition(Option::is_none).map_or(0, |taker| taker + 1);
                let at = run + next[run..].partition_point(|other| other.as_ref() < Some(value));
                next.insert(at, Some(value.clone()));
            }
            ContainerAction::Take(value) => {
                // Of equal ones the newest goes: it has the fewest takers after it that could account for it.
                let at = next.iter().rposition(|other| other.as_ref() == Some(value))?;
                next.remove(at);
                tidy(&mut next);
            }
            ContainerAction::TakeNothing => {
                let mut takers = 0;
                for item in next.iter().rev() {
                    match item {
                        None => takers += 1,
                        Some(_) if takers == 0 => return None,
                        Some(_) => takers -= 1,
                    }
                }
                next.clear();
            }
            ContainerAction::TakeUnknown => {
                next.push(None);
                tidy(&mut next);
            }
        }
        Some(next)
    }
    fn container_action(&self, action: &ContainerAction) -> Option<(Container, ContainerAction)> {
        Some((Container::Bag, action.clone()))
    }
    fn removable(&self, actions: &[&ContainerAction]) -> Vec<Vec<usize>> {
        items::removable(actions)
    }
    fn state_bytes(&self, state: &Self::State) -> usize {
        24 * state.len() + 64
    }
    fn show(&self, state: &Self::State) -> String {
        let takers = state.iter().filter(|item| item.is_none()).count();
        let lost = if takers == 0 { String::new() } else { format!(" (up to {takers} of them taken)") };
        format!("{}{lost}", items::show(state.iter().flatten()))
    }
}

/// Takers that can have taken nothing are gone, and what stood on both sides of them is one run again.
fn tidy(state: &mut Vec<Option<Value>>) {
    let (mut values, mut takers) = (0usize, 0usize);
    state.retain(|item| {
        match item {
            Some(_) => values += 1,
            None if takers == values => return false,
            None => takers += 1,
        }
        true
    });
    for run in state.split_mut(Option::is_none) {
        run.sort();
    }
}
