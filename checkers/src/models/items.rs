//! What queues, stacks and bags share: their actions, and which of them may be removed together.
use super::{ContainerAction, Model, unknown_function};
use crate::value::Value;
use std::collections::HashMap;

/// The functions of queues: two that put, and two that take.
pub(super) const QUEUE: &[&str] = &["enqueue", "send", "dequeue", "receive"];

/// Parses a call: the first half of the model's functions puts, the second half takes; nil is the reply of an empty container.
pub(super) fn action<M: Model>(
    model: &M,
    function: &str,
    input: &Value,
    reply: Option<&Value>,
) -> Result<ContainerAction, String> {
    let functions = model.functions();
    let puts = functions.len() / 2;
    match functions.iter().position(|known| *known == function) {
        Some(place) if place < puts && input.is_nil() => Err(format!("{function} takes a value, not nil")),
        Some(place) if place < puts => Ok(ContainerAction::Put(input.clone())),
        Some(_) => Ok(match reply {
            None => ContainerAction::TakeUnknown,
            Some(Value::Nil) => ContainerAction::TakeNothing,
            Some(value) => ContainerAction::Take(value.clone()),
        }),
        None => Err(unknown_function(model.name(), functions, function)),
    }
}

/// Groups of: each value with all puts and takes of it; each reply of an empty container; each take of unknown outcome, if no value
/// is left that it could have taken.
///
/// Removing all copies of a value from an order of a container's actions leaves an order of the rest: what was next among
/// all is next among fewer. An action of unknown reply that took the value takes nothing then, because it need not happen.
pub(super) fn removable(actions: &[&ContainerAction]) -> Vec<Vec<usize>> {
    let mut places: HashMap<&Value, usize> = HashMap::new();
    let mut values: Vec<(Vec<usize>, i64)> = Vec::new();
    let mut groups = Vec::new();
    let mut unknown = Vec::new();
    for (at, action) in actions.iter().enumerate() {
        match action {
            ContainerAction::Put(value) | ContainerAction::Take(value) => {
                let place = *places.entry(value).or_insert_with(|| {
                    values.push((Vec::new(), 0));
                    values.len() - 1
                });
                values[place].0.push(at);
                values[place].1 += if matches!(action, ContainerAction::Put(_)) { 1 } else { -1 };
            }
            ContainerAction::TakeNothing => groups.push(vec![at]),
            ContainerAction::TakeUnknown => unknown.push(at),
        }
    }
    if values.iter().all(|(_, left)| *left <= 0) {
        groups.extend(unknown.into_iter().map(|at| vec![at]));
    }
    groups.extend(values.into_iter().map(|(places, _)| places));
    groups
}

pub(super) fn show<'a>(items: impl Iterator<Item = &'a Value>) -> String {
    let items: Vec<String> = items.map(Value::to_string).collect();
    format!("[{}]", items.join(", "))
}
