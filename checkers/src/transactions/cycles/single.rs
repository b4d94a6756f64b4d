//! Whether a component has a cycle with exactly one rw edge: an rw edge from `u` to `v` where `v` leads to `u` by other
//! edges. Those form no cycle here (that would be G1c), so a topological order exists, and only rw edges that go back in
//! it can be part of such a cycle. They are tried 64 at a time, each over the stretch of the order that it spans.
use super::super::dependencies::{DependencyGraph, Level};
use super::views::{Kinds, View};
use crate::graph::{Components, NONE, Successors};
use crate::verdict::Budget;
use crate::verdict::certificate::EdgeKind;

/// Steps of the search at most, about ten seconds.
const STEPS_MAX: u64 = 4_000_000_000;
/// Steps between two questions for the time.
const STEPS_BETWEEN: u64 = 1 << 22;

/// The answer for each component.
pub(super) struct Single {
    /// By component: an rw edge that closes such a cycle.
    pub(super) hits: Vec<Option<(u32, u32)>>,
    /// Components for which it is not known.
    pub(super) undecided: Vec<u32>,
}

/// An rw edge by the places of its ends, counted from the end of the topological order.
struct Candidate {
    walk: u32,
    from: u32,
    to: u32,
    /// Place of `from`, the lower one.
    low: u32,
    /// Place of `to`.
    high: u32,
}

impl Single {
    /// Decides it for the components of `labels`, which have neither G0 nor G1c; `walks` are the numbers of the
    /// components without adjacent rw edges, two entries for each vertex.
    pub(super) fn decide(
        graph: &DependencyGraph,
        level: Level,
        labels: &[u32],
        walks: &[u32],
        budget: &Budget,
    ) -> Single {
        let view = View { graph, level, kinds: Kinds::FORWARD, labels: Some(labels) };
        let known = |txn: &u32| labels[*txn as usize] != NONE;
        let tails = (graph.txns()..graph.vertices()).filter(known);
        let components = Components::find(&view, tails.chain((0..graph.txns()).rev().filter(known))).of;
        let place = |vertex: u32| place_of(components[vertex as usize]);
        let count = walks.iter().filter(|&&walk| walk != NONE).max().map_or(0, |&walk| walk as usize + 1);
        let mut single = Single { hits: vec![None; count], undecided: Vec::new() };
        let mut candidates = Vec::new();
        for from in (0..graph.txns()).filter(known) {
            let walk = walks[2 * from as usize];
            if walk == NONE {
                continue;
            }
            for (to, _) in graph.edges(from).filter(|(_, kind)| *kind == EdgeKind::Rw) {
                if walks[2 * to as usize + 1] != walk || labels[from as usize] != labels[to as usize] {
                    continue;
                }
                let (low, high) = (place(from), place(to));
                if low < high {
                    candidates.push(Candidate { walk, from, to, low, high });
                }
            }
        }
        // Short stretches first, neighbours together.
        candidates.sort_unstable_by_key(|one| ((one.high - one.low).ilog2(), one.high, one.low));
        let mut at_place = vec![NONE; candidates.iter().map(|one| one.high as usize + 1).max().unwrap_or(0)];
        for vertex in (0..view.nodes() as u32).filter(|&vertex| components[vertex as usize] != 0) {
            if let Some(slot) = at_place.get_mut(place(vertex) as usize) {
                *slot = vertex;
            }
        }
        let mut sweep = Sweep { view, components, at_place, reached: vec![0; view.nodes()], steps: 0, asked: 0 };
        let mut next = 0;
        while next < candidates.len() {
            let mut batch: Vec<&Candidate> = Vec::with_capacity(64);
            while batch.len() < 64 && next < candidates.len() {
                if single.hits[candidates[next].walk as usize].is_none() {
                    batch.push(&candidates[next]);
                }
                next += 1;
            }
            for hit in sweep.run(&batch) {
                single.hits[hit.walk as usize].get_or_insert((hit.from, hit.to));
            }
            if sweep.exhausted(budget) {
                single.undecided = candidates[next..].iter().map(|one| one.walk).collect();
                single.undecided.sort_unstable();
                single.undecided.dedup();
                single.undecided.retain(|&walk| single.hits[walk as usize].is_none());
                break;
            }
        }
        single
    }
}

/// The place of a component, counted from the end of the topological order.
fn place_of(component: u32) -> u32 {
    u32::MAX - 1 - component
}

/// Which vertices each of 64 candidates reaches, one bit for each.
struct Sweep<'g> {
    view: View<'g>,
    components: Vec<u32>,
    at_place: Vec<u32>,
    reached: Vec<u64>,
    steps: u64,
    asked: u64,
}

impl Sweep<'_> {
    /// The candidates of the batch whose end leads to their beginning.
    fn run<'c>(&mut self, batch: &[&'c Candidate]) -> Vec<&'c Candidate> {
        let (Some(high), Some(low)) = (batch.iter().map(|one| one.high).max(), batch.iter().map(|one| one.low).min())
        else {
            return Vec::new();
        };
        for (bit, one) in batch.iter().enumerate() {
            self.reached[one.to as usize] |= 1 << bit;
        }
        let mut ends: Vec<usize> = (0..batch.len()).collect();
        ends.sort_by_key(|&bit| batch[bit].low);
        let mut hits = Vec::new();
        for place in (low..=high).rev() {
            let vertex = self.at_place[place as usize];
            self.steps += 1;
            if vertex == NONE || self.reached[vertex as usize] == 0 {
                while ends.last().is_some_and(|&bit| batch[bit].low == place) {
                    ends.pop();
                }
                continue;
            }
            let reached = std::mem::take(&mut self.reached[vertex as usize]);
            while let Some(&bit) = ends.last().filter(|&&bit| batch[bit].low == place) {
                ends.pop();
                if reached & 1 << bit != 0 {
                    hits.push(batch[bit]);
                }
            }
            let mut cursor = 0;
            while let Some(next) = self.view.successor(vertex, &mut cursor) {
                self.steps += 1;
                // What lies beyond the stretch leads to none of the candidates.
                if place_of(self.components[next as usize]) >= low {
                    self.reached[next as usize] |= reached;
                }
            }
        }
        hits
    }

    fn exhausted(&mut self, budget: &Budget) -> bool {
        if self.steps - self.asked < STEPS_BETWEEN {
            return false;
        }
        self.asked = self.steps;
        self.steps > STEPS_MAX || (budget.expired)()
    }
}
