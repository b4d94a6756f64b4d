//! Queues, and bags, which are queues without an order.
//!
//! A queue whose values are all taken has an order exactly when no value was put before another and taken after it, by
//! their intervals (Henzinger, Sezgin and Vafeiadis, CONCUR 2013): a longer ring of such demands always has a chord. A value
//! that was never taken may have gone to a take of unknown outcome, one each, called before it was needed gone: before the
//! end of the take of some value that was certainly put later, or before an instant at which a take found nothing. That is
//! a matching along a line, and Hall's condition counts: at no time may more be gone than takes of unknown outcome were called.
use super::cover::Cover;
use super::spans::{Span, Spans, chain};
use super::{ContainerDecision, empty};
use crate::history::Op;

/// Decides a queue (`ordered`) or a bag.
pub(super) fn decide(spans: &Spans, ordered: bool) -> ContainerDecision {
    if ordered && let Some(conflict) = overtaken(spans) {
        return conflict;
    }
    let left: Vec<&Span> = spans.values.iter().filter(|span| span.take.is_none()).collect();
    if left.is_empty() || spans.takers.is_empty() {
        if ordered && let Some(conflict) = lost(spans, &left) {
            return conflict;
        }
        return empty::conflict(spans).unwrap_or(ContainerDecision::Linearizable);
    }
    let gone_by: Vec<u64> = if ordered { needed_gone(spans, &left) } else { vec![Op::OPEN; left.len()] };
    Matching::new(spans, left, gone_by).decide()
}

/// A value that was put before another and taken after it.
fn overtaken(spans: &Spans) -> Option<ContainerDecision> {
    let taken: Vec<&Span> = spans.values.iter().filter(|span| span.take.is_some()).collect();
    let mut by_end = taken.clone();
    by_end.sort_unstable_by_key(|span| span.put_to);
    let mut by_call = taken;
    by_call.sort_unstable_by_key(|span| span.put_from);
    let mut latest: Option<&Span> = None;
    let mut at = 0;
    for span in by_call {
        while at < by_end.len() && by_end[at].put_to < span.put_from {
            if latest.is_none_or(|latest| by_end[at].take_from > latest.take_from) {
                latest = Some(by_end[at]);
            }
            at += 1;
        }
        if let Some(older) = latest.filter(|older| span.take_to < older.take_from) {
            return Some(ContainerDecision::Conflict(spans.places([older, span])));
        }
    }
    None
}

/// For each value that was never taken: when it has to be gone at the latest, because a value that was put later is taken then.
fn needed_gone(spans: &Spans, left: &[&Span]) -> Vec<u64> {
    let mut later: Vec<(u64, u64)> =
        spans.values.iter().filter(|span| span.take.is_some()).map(|span| (span.put_from, span.take_to)).collect();
    later.sort_unstable();
    for at in (1..later.len()).rev() {
        later[at - 1].1 = later[at - 1].1.min(later[at].1);
    }
    let gone_by = |span: &&Span| {
        let at = later.partition_point(|(call, _)| *call < span.put_to);
        later.get(at).map_or(Op::OPEN, |(_, end)| *end)
    };
    left.iter().map(gone_by).collect()
}

/// A value that no take can have taken although a later value was taken.
fn lost(spans: &Spans, left: &[&Span]) -> Option<ContainerDecision> {
    let first = left.iter().min_by_key(|span| span.put_to)?;
    let later = spans.values.iter().filter(|span| span.take.is_some() && span.put_from > first.put_to);
    let later = later.min_by_key(|span| span.take_to)?;
    Some(ContainerDecision::Conflict(spans.places([first, later])))
}

struct Matching<'a> {
    spans: &'a Spans,
    left: Vec<&'a Span>,
    gone_by: Vec<u64>,
    moments: Vec<u64>,
    /// After each moment: how many takes of unknown outcome there were, less those that were needed by then.
    room: Cover,
}

impl<'a> Matching<'a> {
    fn new(spans: &'a Spans, left: Vec<&'a Span>, gone_by: Vec<u64>) -> Matching<'a> {
        let moments = spans.moments();
        let mut room = Cover::new(moments.len());
        let place = |index: u64| moments.partition_point(|&moment| moment < index);
        for &call in &spans.takers {
            room.add(place(call), moments.len(), 1);
        }
        // Gone by the end of a take means: in the stretch that ends there.
        for &end in gone_by.iter().filter(|&&end| end != Op::OPEN) {
            room.add(place(end) - 1, moments.len(), -1);
        }
        Matching { spans, left, gone_by, moments, room }
    }

    fn decide(mut self) -> ContainerDecision {
        let count = self.moments.len();
        if self.room.least(0, count) < 0 {
            return self.conflict(None);
        }
        if self.spans.empties.is_empty() {
            return ContainerDecision::Linearizable;
        }
        let possible = self.possible();
        for empty in &self.spans.empties {
            let place = |index: u64| self.moments.partition_point(|&moment| moment < index);
            if !(place(empty.from)..place(empty.to)).any(|at| possible[at]) {
                return self.conflict(Some((empty.place, empty.from, empty.to)));
            }
        }
        ContainerDecision::Linearizable
    }

    /// Whether the container can be empty between each moment and the next: no value that was taken is certainly inside,
    /// and all others put before can be gone, at no cost to what has to be gone later.
    fn possible(&mut self) -> Vec<bool> {
        let count = self.moments.len();
        let place = |index: u64| self.moments.partition_point(|&moment| moment < index);
        let mut inside = vec![0i64; count + 1];
        for span in self.spans.values.iter().filter(|span| span.take.is_some() && span.put_to < span.take_from) {
            inside[place(span.put_to)] += 1;
            inside[place(span.take_from)] -= 1;
        }
        let mut by_end: Vec<usize> = (0..self.left.len()).collect();
        by_end.sort_unstable_by_key(|&at| self.left[at].put_to);
        let mut next = by_end.into_iter().peekable();
        let mut covered = 0;
        let mut possible = Vec::with_capacity(count);
        for (at, &change) in inside.iter().enumerate().take(count) {
            covered += change;
            while let Some(value) = next.next_if(|&value| self.left[value].put_to <= self.moments[at]) {
                let until = if self.gone_by[value] == Op::OPEN { count } else { place(self.gone_by[value]) - 1 };
                self.room.add(0, until, -1);
            }
            possible.push(covered == 0 && self.room.least(at, count) >= 0);
        }
        possible
    }

    /// Everything that matters up to where it goes wrong.
    fn conflict(&self, empty: Option<(usize, u64, u64)>) -> ContainerDecision {
        let mut places: Vec<usize> = self.spans.taker_places.clone();
        let mut values: Vec<Span> = self.left.iter().map(|span| **span).collect();
        match empty {
            Some((place, from, to)) => {
                places.push(place);
                let taken = self.spans.values.iter().filter(|span| span.take.is_some());
                values.extend(chain(taken.clone(), from, to));
                values.extend(taken);
            }
            None => values.extend(self.spans.values.iter().filter(|span| span.take.is_some())),
        }
        places.extend(self.spans.places(&values));
        places.sort_unstable();
        places.dedup();
        ContainerDecision::Conflict(places)
    }
}
