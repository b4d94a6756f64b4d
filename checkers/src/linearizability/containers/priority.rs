//! Priority queues: the value that comes out last of all disturbs no other, and needs an instant at which nothing else is inside.
//!
//! Take the last value in the order away: an order of the rest together with an instant at which the rest is empty, within
//! the value's take and after its put began, is what is needed and what suffices. Such instants can be chosen one by one
//! (see the module above), so each take needs an instant at which no value that comes before its own is certainly inside.
use super::cover::Cover;
use super::spans::{Spans, chain};
use super::{ContainerDecision, empty};

/// Decides a priority queue without takes of unknown outcome. The values are in the order in which they come out.
pub(super) fn decide(spans: &Spans) -> ContainerDecision {
    if let Some(conflict) = empty::conflict(spans) {
        return conflict;
    }
    let moments = spans.moments();
    let place = |index: u64| moments.partition_point(|&moment| moment < index);
    let mut cover = Cover::new(moments.len());
    for (at, span) in spans.values.iter().enumerate() {
        let (from, to) = (place(span.take_from), place(span.take_to));
        // It need not have been taken: at the end of time there is room.
        if let Some(take) = span.take
            && cover.least(from, to) > 0
        {
            let mut places = spans.places(&chain(spans.values[..at].iter(), span.take_from, span.take_to));
            places.extend([span.put, take]);
            return ContainerDecision::Conflict(places);
        }
        cover.add(place(span.put_to), from, 1);
    }
    ContainerDecision::Linearizable
}
