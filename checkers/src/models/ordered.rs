//! Containers in which one value is next: queue, stack and priority queue; initially empty.
use super::{Container, ContainerAction, Model, ModelOptions, QueueOrder, items};
use crate::options::OptionError;
use crate::value::Value;
use std::collections::VecDeque;

pub(super) const STACK: &[&str] = &["push", "pop"];
pub(super) const PRIORITY_QUEUE: &[&str] = &["insert", "enqueue", "extract", "dequeue"];
pub(super) const PRIORITY_QUEUE_OPTIONS: &[&str] = &["order"];

/// A container in which one value is next. One function puts a value in, another returns the next value, or nil when there is
/// none. A call of unknown outcome that takes may have taken the next value away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderedContainer {
    order: Container,
}

impl OrderedContainer {
    /// A queue: `dequeue` returns the oldest value.
    pub(crate) const FIFO_QUEUE: OrderedContainer = OrderedContainer { order: Container::Queue };
    /// A stack: `pop` returns the newest value.
    pub(crate) const STACK: OrderedContainer = OrderedContainer { order: Container::Stack };
    /// A priority queue: `extract` returns the smallest value. Values are integers or texts; numbers that are no 64-bit integers
    /// are refused, because they arrive as texts and would be ordered as such; lists and objects are refused, because it is
    /// unknown which of them have equal priority.
    pub(crate) const SMALLEST_FIRST: OrderedContainer = OrderedContainer { order: Container::Smallest };
    /// The same, but `extract` returns the largest value.
    pub(crate) const LARGEST_FIRST: OrderedContainer = OrderedContainer { order: Container::Largest };

    pub(super) fn priority_queue(options: &ModelOptions) -> Result<OrderedContainer, OptionError> {
        let largest_first = options.order == Some(QueueOrder::Largest);
        Ok(if largest_first { OrderedContainer::LARGEST_FIRST } else { OrderedContainer::SMALLEST_FIRST })
    }

    /// Whether values stand in ascending order, not in the order in which they were put in.
    fn sorts(self) -> bool {
        matches!(self.order, Container::Smallest | Container::Largest)
    }

    /// Takes the next value out.
    fn take(self, values: &mut VecDeque<Value>) -> Option<Value> {
        match self.order {
            Container::Stack | Container::Largest => values.pop_back(),
            _ => values.pop_front(),
        }
    }
}

/// Whether this is a text that may have been a number.
fn is_number_as_text(value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.parse::<f64>().is_ok()
}

impl Model for OrderedContainer {
    type State = VecDeque<Value>;
    type Action = ContainerAction;

    fn name(&self) -> &'static str {
        match self.order {
            Container::Stack => "stack",
            _ if self.sorts() => "priority-queue",
            _ => "fifo-queue",
        }
    }
    fn specification(&self) -> String {
        format!("{}{}", self.name(), if self.order == Container::Largest { ":largest" } else { "" })
    }
    fn functions(&self) -> &'static [&'static str] {
        match self.order {
            Container::Stack => STACK,
            _ if self.sorts() => PRIORITY_QUEUE,
            _ => items::QUEUE,
        }
    }
    fn initial(&self) -> VecDeque<Value> {
        VecDeque::new()
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<ContainerAction, String> {
        let unordered = |value: &&Value| matches!(value, Value::List(_) | Value::Map(_)) || is_number_as_text(value);
        match [Some(input), reply].into_iter().flatten().find(unordered).filter(|_| self.sorts()) {
            Some(value) if is_number_as_text(value) => {
                Err(format!("{function} orders integers of 64 bits and texts, not the number {value}"))
            }
            Some(value) => Err(format!("{function} deals in integers and texts, not {value}")),
            None => items::action(self, function, input, reply),
        }
    }
    fn step(&self, state: &VecDeque<Value>, action: &ContainerAction) -> Option<VecDeque<Value>> {
        let mut next = state.clone();
        match action {
            ContainerAction::Put(value) => {
                let at = if self.sorts() { next.partition_point(|other| other < value) } else { next.len() };
                next.insert(at, value.clone());
            }
            ContainerAction::Take(value) => return (self.take(&mut next).as_ref() == Some(value)).then_some(next),
            ContainerAction::TakeNothing => return next.is_empty().then_some(next),
            ContainerAction::TakeUnknown => drop(self.take(&mut next)),
        }
        Some(next)
    }
    fn observes_only(&self, action: &ContainerAction) -> bool {
        *action == ContainerAction::TakeNothing
    }
    fn container_action(&self, action: &ContainerAction) -> Option<(Container, ContainerAction)> {
        Some((self.order, action.clone()))
    }
    fn removable(&self, actions: &[&ContainerAction]) -> Vec<Vec<usize>> {
        items::removable(actions)
    }
    fn state_bytes(&self, state: &VecDeque<Value>) -> usize {
        24 * state.len() + 64
    }
    fn show(&self, state: &VecDeque<Value>) -> String {
        items::show(state.iter())
    }
}
