//! [`Shape`]: the links that a partition cuts. Pure: positions in, directed links out.
use crate::aim::majority_min;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The shape of a partition. Every shape but `one-way` cuts both directions of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Two halves; of an odd number the first is one smaller.
    Halves,
    /// A random majority and a random minority (of two nodes: one and one).
    Majority,
    /// A random minority hears nothing from the others, or is not heard by them; the other direction works.
    OneWay,
    /// Two halves that do not see each other, and one node that sees both. Of two nodes: halves.
    Bridge,
    /// Every node sees a majority, and no two nodes the same one. Three nodes: as `bridge`; two: as `halves`.
    Ring,
    /// One random node alone.
    IsolateOne,
    /// The leader alone.
    IsolateLeader,
    /// The leader in a minority of at least two, where there are enough nodes (five); else alone.
    LeaderMinority,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Shape; 8] = [
        Shape::Halves,
        Shape::Majority,
        Shape::OneWay,
        Shape::Bridge,
        Shape::Ring,
        Shape::IsolateOne,
        Shape::IsolateLeader,
        Shape::LeaderMinority,
    ];

    /// Whether it needs a leader.
    pub fn waits_for_leader(self) -> bool {
        matches!(self, Shape::IsolateLeader | Shape::LeaderMinority)
    }

    /// The directed links that it cuts, sorted. The first `size` nodes are the side that it takes.
    pub(crate) fn cut(self, order: &[usize], size: usize, deaf: bool) -> Vec<(usize, usize)> {
        let (side, rest) = order.split_at(size.min(order.len()));
        let mut cut = match self {
            Shape::OneWay if deaf => one_way(rest, side),
            Shape::OneWay => one_way(side, rest),
            Shape::Bridge => bridge(order),
            Shape::Ring => ring(order),
            Shape::Halves | Shape::Majority | Shape::IsolateOne | Shape::IsolateLeader | Shape::LeaderMinority => {
                both_ways(side, rest)
            }
        };
        cut.sort_unstable();
        cut
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shape::Halves => "halves",
            Shape::Majority => "majority",
            Shape::OneWay => "one-way",
            Shape::Bridge => "bridge",
            Shape::Ring => "ring",
            Shape::IsolateOne => "isolate-one",
            Shape::IsolateLeader => "isolate-leader",
            Shape::LeaderMinority => "leader-minority",
        })
    }
}

fn one_way(from: &[usize], to: &[usize]) -> Vec<(usize, usize)> {
    from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to))).collect()
}

fn both_ways(one: &[usize], other: &[usize]) -> Vec<(usize, usize)> {
    let mut cut = one_way(one, other);
    cut.extend(one_way(other, one));
    cut
}

/// The first node sees all others; the halves of the others do not see each other.
fn bridge(order: &[usize]) -> Vec<(usize, usize)> {
    match order {
        [one, other] => both_ways(&[*one], &[*other]),
        [_, rest @ ..] => {
            let (left, right) = rest.split_at(rest.len() / 2);
            both_ways(left, right)
        }
        [] => Vec::new(),
    }
}

/// The nodes sit in a circle and each sees those nearest to it, as many as make a majority: a circulant graph.
///
/// A majority of n nodes besides oneself is n/2 others (rounded down). That number is even: as many to the left as to
/// the right. It is odd and n is even: one more, the node opposite. Both are odd (7, 11, ...): no such graph exists
/// (the degrees would add up to an odd number), and everyone sees one node more than the smallest majority. Of three
/// nodes that would be everybody, so one link alone is cut, which still leaves three different majorities.
fn ring(order: &[usize]) -> Vec<(usize, usize)> {
    let nodes = order.len();
    if nodes <= 3 {
        return bridge(order);
    }
    let others = majority_min(nodes) - 1;
    let opposite = others % 2 == 1 && nodes.is_multiple_of(2);
    let reach = if opposite { others / 2 } else { others.div_ceil(2) };
    let sees = |one: usize, other: usize| {
        let steps = one.abs_diff(other);
        let steps = steps.min(nodes - steps);
        steps <= reach || (opposite && steps == nodes / 2)
    };
    let seats = (0..nodes).flat_map(|one| (0..nodes).map(move |other| (one, other)));
    seats.filter(|(one, other)| !sees(*one, *other)).map(|(one, other)| (order[one], order[other])).collect()
}
