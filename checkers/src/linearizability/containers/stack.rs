//! Stacks, by taking one value after the other away from below.
//!
//! A value whose put and take overlap can be put and taken in one instant: it disturbs no other and is left out. Of the others,
//! consider a stretch in which at all times some value is certainly inside. The stack is never empty there, so one value
//! lies at the bottom throughout: it was put before every put ended and taken after every take began. Any value of
//! which that is possible will do, because the points of all others can be moved between its two without changing their
//! order. Without it the stretch falls apart into smaller ones, where some instant is no longer covered. If no value can be
//! the bottom, no order exists.
use super::cover::Cover;
use super::spans::{Span, Spans};
use super::{ContainerDecision, NEVER, empty};
use crate::history::Op;

/// Decides a stack without takes of unknown outcome.
pub(super) fn decide(spans: &Spans) -> ContainerDecision {
    if let Some(conflict) = empty::conflict(spans) {
        return conflict;
    }
    let mut values: Vec<Span> = spans.values.iter().filter(|span| span.put_to < span.take_from).copied().collect();
    values.sort_unstable_by_key(|span| span.put_to);
    match Bottoms::new(&values).run() {
        Ok(()) => ContainerDecision::Linearizable,
        Err(refutation) => ContainerDecision::Conflict(spans.places(refutation.iter().map(|&at| &values[at]))),
    }
}

struct Bottoms<'a> {
    /// By the end of the put.
    values: &'a [Span],
    /// Ends of puts and calls of takes; between two of them the cover is constant.
    moments: Vec<u64>,
    /// How many values are certainly inside from each moment to the next.
    cover: Cover,
    /// Of the values left: minus the end of the take, once they may be at the bottom of their stretch.
    ready: Cover,
    /// Of the values left: the call of the put, until then.
    waiting: Cover,
    gone: Vec<bool>,
}

const OUT: i64 = i64::MAX / 4;

fn signed(index: u64) -> i64 {
    // Real indices are far below; what is never taken comes after all of them.
    if index >= NEVER { (1 << 60) + i64::from(index == Op::OPEN) } else { index as i64 }
}

impl<'a> Bottoms<'a> {
    fn new(values: &'a [Span]) -> Bottoms<'a> {
        let mut moments: Vec<u64> = values.iter().flat_map(|span| [span.put_to, span.take_from]).collect();
        moments.sort_unstable();
        moments.dedup();
        let mut cover = Cover::new(moments.len());
        let (mut ready, mut waiting) = (Cover::new(values.len()), Cover::new(values.len()));
        for (at, span) in values.iter().enumerate() {
            let (from, to) = (place(&moments, span.put_to), place(&moments, span.take_from));
            cover.add(from, to, 1);
            ready.add(at, at + 1, OUT);
            waiting.add(at, at + 1, signed(span.put_from));
        }
        Bottoms { values, moments, cover, ready, waiting, gone: vec![false; values.len()] }
    }

    /// An error names the values of a stretch that has no bottom.
    fn run(mut self) -> Result<(), Vec<usize>> {
        let all = self.moments.len();
        let mut stretches = Vec::new();
        self.split(0, all.saturating_sub(1), &mut stretches);
        while let Some((from, to)) = stretches.pop() {
            // Values of the stretch: those whose put ends in it.
            let low = self.values.partition_point(|span| span.put_to < self.moments[from]);
            let high = self.values.partition_point(|span| span.put_to < self.moments[to]);
            let (left, right) = (signed(self.moments[from]), signed(self.moments[to]));
            while let Some(at) = self.waiting.first_at_most(low, high, left - 1) {
                self.waiting.add(at, at + 1, OUT);
                self.ready.add(at, at + 1, -OUT - signed(self.values[at].take_to));
            }
            let Some(bottom) = self.ready.first_at_most(low, high, -right - 1) else {
                return Err((low..high).filter(|&at| !self.gone[at]).collect());
            };
            self.ready.add(bottom, bottom + 1, OUT + signed(self.values[bottom].take_to));
            self.gone[bottom] = true;
            let span = self.values[bottom];
            let (first, last) = (place(&self.moments, span.put_to), place(&self.moments, span.take_from));
            self.cover.add(first, last, -1);
            self.split(from, to, &mut stretches);
        }
        Ok(())
    }

    /// The stretches of moments `from..to` in which something is inside all the time.
    fn split(&self, from: usize, to: usize, stretches: &mut Vec<(usize, usize)>) {
        let mut at = from;
        while at < to {
            let Some(begin) = self.first_covered(at, to) else { return };
            let end = self.cover.first_at_most(begin, to, 0).unwrap_or(to);
            stretches.push((begin, end));
            at = end;
        }
    }

    /// The first moment from which on something is inside: there a put of a value that is left ends.
    fn first_covered(&self, from: usize, to: usize) -> Option<usize> {
        if self.cover.first_at_most(from, from + 1, 0).is_none() {
            return Some(from);
        }
        let low = self.values.partition_point(|span| span.put_to < self.moments[from]);
        let high = self.values.partition_point(|span| span.put_to < self.moments[to]);
        let waiting = self.waiting.first_at_most(low, high, OUT - 1);
        let ready = self.ready.first_at_most(low, high, OUT - 1);
        let first = [waiting, ready].into_iter().flatten().min()?;
        Some(place(&self.moments, self.values[first].put_to))
    }
}

fn place(moments: &[u64], index: u64) -> usize {
    moments.partition_point(|&moment| moment < index)
}
