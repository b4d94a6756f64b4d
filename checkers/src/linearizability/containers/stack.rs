//! Decides stacks: finds a value that can lie at the bottom, removes it, and goes on with the rest.
//!
//! 1. A value whose put and take overlap can be put and taken at one instant. It disturbs no other value and is left out.
//! 2. A *stretch* is an interval in which some value is certainly inside at every instant. The stack is never empty in it, so
//!    one value lies at the bottom throughout: its put was called before any put of the stretch ended, and its take ended
//!    after every take of the stretch was called.
//! 3. If several values can be the bottom, any of them will do: the linearization points of all other values can be moved
//!    between those of its put and its take without changing their order.
//! 4. Without its bottom a stretch falls apart where no other value is certainly inside. Each part is decided in the same way.
//!    A stretch without a possible bottom refutes the history.
//!
//! The caller ([`super::decide`]) chooses this file by the model's container and sees to takes of unknown outcome.
use super::cover::Cover;
use super::spans::{Span, Spans};
use super::{ContainerDecision, NEVER, empty};
use crate::history::Op;

/// Decides a stack; takes of unknown outcome are ignored.
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

/// The search for bottoms. Values are named by their place in `values`, instants by their place in `moments`.
struct Bottoms<'a> {
    /// Sorted by the end of the put.
    values: &'a [Span],
    /// Ends of puts and calls of takes, sorted: between two of them `cover` is constant.
    moments: Vec<u64>,
    /// For each moment, how many of the values left are certainly inside from it to the next one.
    cover: Cover,
    /// For each value whose put was called early enough to be the bottom of its stretch: minus the end of its take, so that
    /// the least is the latest take. [`OUT`] for all others.
    ready: Cover,
    /// For each value that is left and not yet in `ready`: the call of its put. [`OUT`] for all others.
    waiting: Cover,
    /// Which values were removed as bottoms.
    removed: Vec<bool>,
}

/// Larger than every index, with room to add one: a value that is not in `ready` or `waiting`.
const OUT: i64 = i64::MAX / 4;

/// An index as a number that can be negated. Never taken ([`NEVER`], [`Op::OPEN`]) comes after all real indices.
fn signed(index: u64) -> i64 {
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
        Bottoms { values, moments, cover, ready, waiting, removed: vec![false; values.len()] }
    }

    /// Removes bottoms until no stretch is left. The error: the values of a stretch that has no possible bottom.
    fn run(mut self) -> Result<(), Vec<usize>> {
        let all = self.moments.len();
        let mut stretches = Vec::new();
        self.split(0, all.saturating_sub(1), &mut stretches);
        while let Some((from, to)) = stretches.pop() {
            // `low..high` are the values of the stretch: those whose put ends in it.
            let low = self.values.partition_point(|span| span.put_to < self.moments[from]);
            let high = self.values.partition_point(|span| span.put_to < self.moments[to]);
            let (left, right) = (signed(self.moments[from]), signed(self.moments[to]));
            while let Some(at) = self.waiting.first_at_most(low, high, left - 1) {
                self.waiting.add(at, at + 1, OUT);
                self.ready.add(at, at + 1, -OUT - signed(self.values[at].take_to));
            }
            let Some(bottom) = self.ready.first_at_most(low, high, -right - 1) else {
                return Err((low..high).filter(|&at| !self.removed[at]).collect());
            };
            self.ready.add(bottom, bottom + 1, OUT + signed(self.values[bottom].take_to));
            self.removed[bottom] = true;
            let span = self.values[bottom];
            let (first, last) = (place(&self.moments, span.put_to), place(&self.moments, span.take_from));
            self.cover.add(first, last, -1);
            self.split(from, to, &mut stretches);
        }
        Ok(())
    }

    /// Adds the longest stretches within the moments `from..to`.
    fn split(&self, from: usize, to: usize, stretches: &mut Vec<(usize, usize)>) {
        let mut at = from;
        while at < to {
            let Some(begin) = self.first_covered(at, to) else { return };
            let end = self.cover.first_at_most(begin, to, 0).unwrap_or(to);
            stretches.push((begin, end));
            at = end;
        }
    }

    /// The first moment from which on a value is certainly inside: `from`, or where the put of a value that is left ends.
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

/// The place of this index in `moments`.
fn place(moments: &[u64], index: u64) -> usize {
    moments.partition_point(|&moment| moment < index)
}
