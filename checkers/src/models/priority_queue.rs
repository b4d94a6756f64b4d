//! A priority queue: the smallest value comes out first; initially empty.
use super::{Container, ContainerAction, Model, ModelOptions, QueueOrder, items};
use crate::options::OptionError;
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["insert", "enqueue", "extract", "dequeue"];
pub(super) const OPTIONS: &[&str] = &["order"];

/// A priority queue: `insert` a value, `extract` returns the smallest one, or nil when there is none. Values are integers or
/// texts; numbers that are no 64-bit integers are refused, because they arrive as texts and would be ordered as such;
/// lists and objects are refused, because it is unknown which of them have equal priority. An `extract` of unknown
/// outcome may have taken the smallest value away.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorityQueue {
    /// Whether the largest value comes out first instead.
    pub largest_first: bool,
}

impl PriorityQueue {
    pub(super) fn with_options(options: &ModelOptions) -> Result<PriorityQueue, OptionError> {
        Ok(PriorityQueue { largest_first: options.order == Some(QueueOrder::Largest) })
    }

    /// Takes out what is next.
    fn pop(&self, state: &mut Vec<Value>) -> Option<Value> {
        match (self.largest_first, state.is_empty()) {
            (_, true) => None,
            (true, false) => state.pop(),
            (false, false) => Some(state.remove(0)),
        }
    }
}

/// Whether this is a text that may have been a number.
fn is_number_as_text(value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.parse::<f64>().is_ok()
}

impl Model for PriorityQueue {
    /// In ascending order.
    type State = Vec<Value>;
    type Action = ContainerAction;

    fn name(&self) -> &'static str {
        "priority-queue"
    }
    fn specification(&self) -> String {
        format!("{}{}", self.name(), if self.largest_first { ":largest" } else { "" })
    }
    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }
    fn initial(&self) -> Self::State {
        Vec::new()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAction, String> {
        let odd = |value: &&Value| matches!(value, Value::List(_) | Value::Map(_)) || is_number_as_text(value);
        match [Some(input), reply].into_iter().flatten().find(odd) {
            Some(value) if is_number_as_text(value) => {
                Err(format!("{function} orders integers of 64 bits and texts, not the number {value}"))
            }
            Some(value) => Err(format!("{function} deals in integers and texts, not {value}")),
            None => items::action(self.name(), FUNCTIONS, 2, function, input, reply),
        }
    }
    fn step(&self, state: &Self::State, action: &ContainerAction) -> Option<Self::State> {
        let mut next = state.clone();
        match action {
            ContainerAction::Put(value) => {
                let at = next.partition_point(|other| other < value);
                next.insert(at, value.clone());
            }
            ContainerAction::Take(value) => return (self.pop(&mut next).as_ref() == Some(value)).then_some(next),
            ContainerAction::TakeNothing => return next.is_empty().then_some(next),
            ContainerAction::TakeUnknown => drop(self.pop(&mut next)),
        }
        Some(next)
    }
    fn observes_only(&self, action: &ContainerAction) -> bool {
        items::observes_only(action)
    }
    fn container_action(&self, action: &ContainerAction) -> Option<(Container, ContainerAction)> {
        Some((if self.largest_first { Container::Largest } else { Container::Smallest }, action.clone()))
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
