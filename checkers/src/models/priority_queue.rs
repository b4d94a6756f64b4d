//! A priority queue: the smallest value comes out first; initially empty.
use super::{Container, ContainerAct, Model, ModelOptions, QueueOrder, items};
use crate::options::OptionError;
use crate::value::Value;

pub(super) const FUNCTIONS: &[&str] = &["insert", "enqueue", "extract", "dequeue"];
pub(super) const OPTIONS: &[&str] = &["order"];

/// A priority queue: `insert` a value, `extract` returns the smallest one, or nil when there is none. Values are integers or
/// texts; numbers that are no 64-bit integers are refused, because they arrive as texts and would be ordered as such;
/// lists and objects are refused, because nobody knows which of them have equal priority. An `extract` of unknown
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
    type Act = ContainerAct;

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
    fn act(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAct, String> {
        let odd = |value: &&Value| matches!(value, Value::List(_) | Value::Map(_)) || is_number_as_text(value);
        match [Some(input), reply].into_iter().flatten().find(odd) {
            Some(value) if is_number_as_text(value) => {
                Err(format!("{function} orders integers of 64 bits and texts, not the number {value}"))
            }
            Some(value) => Err(format!("{function} deals in integers and texts, not {value}")),
            None => items::act(self.name(), FUNCTIONS, 2, function, input, reply),
        }
    }
    fn step(&self, state: &Self::State, act: &ContainerAct) -> Option<Self::State> {
        let mut next = state.clone();
        match act {
            ContainerAct::Put(value) => {
                let at = next.partition_point(|other| other < value);
                next.insert(at, value.clone());
            }
            ContainerAct::Take(value) => return (self.pop(&mut next).as_ref() == Some(value)).then_some(next),
            ContainerAct::TakeNothing => return next.is_empty().then_some(next),
            ContainerAct::TakeUnknown => drop(self.pop(&mut next)),
        }
        Some(next)
    }
    fn observes_only(&self, act: &ContainerAct) -> bool {
        items::observes_only(act)
    }
    fn container_act(&self, act: &ContainerAct) -> Option<(Container, ContainerAct)> {
        Some((if self.largest_first { Container::Largest } else { Container::Smallest }, act.clone()))
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
