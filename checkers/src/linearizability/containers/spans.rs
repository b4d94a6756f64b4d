//! When each value was put and taken, from the operations of one container.
use super::{ContainerDecision, ItemOp, NEVER};
use crate::history::Op;
use crate::models::ContainerAction;
use crate::value::Value;
use std::collections::HashMap;

/// One value: the interval in which it was put and the one in which it was taken. An instant of each, the first before
/// the second, has to be chosen, so both are cut to where that is possible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) put: usize,
    pub(super) take: Option<usize>,
    pub(super) put_from: u64,
    /// At most the end of the take.
    pub(super) put_to: u64,
    /// At least the call of the put; [`NEVER`] if it was never taken.
    pub(super) take_from: u64,
    /// [`Op::OPEN`] if it was never taken.
    pub(super) take_to: u64,
}

/// A take that found nothing: its place, call and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Empty {
    pub(super) place: usize,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// All values of a container, and everything else about it.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) values: Vec<Span>,
    pub(super) empties: Vec<Empty>,
    /// Calls of takes of unknown outcome.
    pub(super) takers: Vec<u64>,
    pub(super) taker_places: Vec<usize>,
}

impl Spans {
    /// The values. An error is the answer already: values that repeat, are taken twice, before or without being put.
    pub(super) fn new(ops: &[ItemOp]) -> Result<Spans, ContainerDecision> {
        let mut places: HashMap<&Value, usize> = HashMap::new();
        let mut spans = Spans::default();
        for (place, op) in ops.iter().enumerate() {
            if let ContainerAction::Put(value) = &op.action {
                if places.insert(value, spans.values.len()).is_some() {
                    return Err(ContainerDecision::CannotTell);
                }
                spans.values.push(Span {
                    put: place,
                    take: None,
                    put_from: op.call,
                    put_to: op.end,
                    take_from: NEVER,
                    take_to: Op::OPEN,
                });
            }
        }
        for (place, op) in ops.iter().enumerate() {
            match &op.action {
                ContainerAction::Put(_) => {}
                // A reply that never came is not known.
                ContainerAction::Take(_) | ContainerAction::TakeNothing if op.end == Op::OPEN => {
                    return Err(ContainerDecision::CannotTell);
                }
                ContainerAction::TakeNothing => spans.empties.push(Empty { place, from: op.call, to: op.end }),
                ContainerAction::TakeUnknown => {
                    spans.takers.push(op.call);
                    spans.taker_places.push(place);
                }
                ContainerAction::Take(value) => {
                    let Some(span) = places.get(value).map(|&at| &mut spans.values[at]) else {
                        return Err(ContainerDecision::Conflict(vec![place]));
                    };
                    if let Some(first) = span.take {
                        return Err(ContainerDecision::Conflict(vec![span.put, first, place]));
                    }
                    if op.end < span.put_from {
                        return Err(ContainerDecision::Conflict(vec![span.put, place]));
                    }
                    span.take = Some(place);
                    span.put_to = span.put_to.min(op.end);
                    span.take_from = op.call.max(span.put_from);
                    span.take_to = op.end;
                }
            }
        }
        // A put of unknown outcome whose value was never seen need not have happened.
        spans.values.retain(|span| span.put_to != Op::OPEN);
        Ok(spans)
    }

    /// Brings the values into ascending (or descending) order.
    pub(super) fn sort(&mut self, ops: &[ItemOp], descending: bool) {
        let value = |span: &Span| match &ops[span.put].action {
            ContainerAction::Put(value) => Some(value),
            _ => None,
        };
        self.values.sort_by(|one, two| value(one).cmp(&value(two)));
        if descending {
            self.values.reverse();
        }
    }

    /// All indices at which something begins or ends, in ascending order: between two of them nothing changes.
    pub(super) fn moments(&self) -> Vec<u64> {
        let spans = self.values.iter().flat_map(|span| [span.put_from, span.put_to, span.take_from, span.take_to]);
        let empties = self.empties.iter().flat_map(|empty| [empty.from, empty.to]);
        let mut moments: Vec<u64> = spans.chain(empties).chain(self.takers.iter().copied()).collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// The places of the operations of these values.
    pub(super) fn places<'a>(&self, values: impl IntoIterator<Item = &'a Span>) -> Vec<usize> {
        values.into_iter().flat_map(|span| [Some(span.put), span.take]).flatten().collect()
    }
}

/// Values that together are certainly inside all the time from one index to another: as few as a sweep finds.
pub(super) fn chain<'a>(values: impl Iterator<Item = &'a Span>, from: u64, to: u64) -> Vec<Span> {
    let mut sorted: Vec<Span> = values.filter(|span| span.put_to < to && span.take_from > from).copied().collect();
    sorted.sort_unstable_by_key(|span| span.put_to);
    let mut links = Vec::new();
    let (mut at, mut reached) = (0, from);
    while reached < to {
        let mut best: Option<Span> = None;
        while at < sorted.len() && sorted[at].put_to <= reached {
            if best.is_none_or(|best| sorted[at].take_from > best.take_from) {
                best = Some(sorted[at]);
            }
            at += 1;
        }
        match best.filter(|best| best.take_from > reached) {
            Some(best) => {
                reached = best.take_from;
                links.push(best);
            }
            None => break,
        }
    }
    links
}
