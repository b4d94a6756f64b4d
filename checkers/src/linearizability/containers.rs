//! Containers whose values are put once each: queues, stacks, priority queues, bags, and sets that only grow, decided in
//! O(n log n) without a search. Never guesses: where values repeat, or operations of unknown outcome leave what can be
//! decided so, it says that it cannot tell.
//!
//! What all of them share: a value is certainly inside from the end of its put to the call of its take, and an instant at
//! which no value is certainly inside cuts the history in two, each value on one side. Moving the points of an order of one
//! side's values to the cut where they lie beyond it keeps their order, so each side has an order of its own, before
//! and after which the container is empty. Sources: Henzinger, Sezgin and Vafeiadis (CONCUR 2013) for queues; Emmi and
//! Enea (POPL 2018), Lee and Mathur (OOPSLA 2025) for removing one value after the other.
mod cover;
mod empty;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod growing;
mod priority;
mod queue;
mod spans;
mod stack;

pub(crate) use growing::{GrowConflictKind, GrowOp, growing};

use crate::history::Op;
use crate::models::{Container, ContainerAction};
use spans::Spans;

/// One operation on a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ItemOp {
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply; [`Op::OPEN`] for one that may take effect at any later time, or never.
    pub(crate) end: u64,
    /// What it did.
    pub(crate) action: ContainerAction,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ContainerDecision {
    /// Some order explains all replies.
    Linearizable,
    /// None does; these operations, by place, contradict each other or contain a contradiction.
    Conflict(Vec<usize>),
    /// The values repeat, or too much is unknown: only a search can tell.
    CannotTell,
}

/// Decides a container. The operations may be in any order.
pub(crate) fn decide(container: Container, ops: &[ItemOp]) -> ContainerDecision {
    let mut spans = match Spans::new(ops) {
        Ok(spans) => spans,
        Err(judged) => return judged,
    };
    match container {
        Container::Queue => queue::decide(&spans, true),
        Container::Bag => queue::decide(&spans, false),
        Container::Stack => between(&mut spans, stack::decide),
        Container::Smallest => {
            spans.sort(ops, false);
            between(&mut spans, priority::decide)
        }
        Container::Largest => {
            spans.sort(ops, true);
            between(&mut spans, priority::decide)
        }
    }
}

/// Takes of unknown outcome may have taken values that no other take did. If not even all of those values taken as early as
/// possible would do, nothing does; if none of them taken does, that will do. In between only a search can tell.
fn between(spans: &mut Spans, decide: impl Fn(&Spans) -> ContainerDecision) -> ContainerDecision {
    let first = spans.takers.iter().copied().min();
    let Some(first) = first.filter(|_| spans.values.iter().any(|value| value.take.is_none())) else {
        return decide(spans);
    };
    if decide(spans) == ContainerDecision::Linearizable {
        return ContainerDecision::Linearizable;
    }
    for value in spans.values.iter_mut().filter(|value| value.take.is_none()) {
        value.take_from = first.max(value.put_from);
    }
    match decide(spans) {
        ContainerDecision::Conflict(mut places) => {
            places.extend(&spans.taker_places);
            ContainerDecision::Conflict(places)
        }
        _ => ContainerDecision::CannotTell,
    }
}

/// After every index: a value that was never taken leaves then.
const NEVER: u64 = Op::OPEN - 1;
