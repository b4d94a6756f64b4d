//! Short examples of cycles that are known to exist: an edge that closes a cycle, and the shortest way back from its end
//! to its beginning, by breadth-first search. What bounds it bounds only how short the example is.
use super::super::dependencies::{DependencyGraph, Level};
use super::super::txn::Mix;
use super::{Class, Cycle, CycleEdge};
use crate::graph::{BreadthFirst, NONE};
use crate::verdict::Budget;
use crate::verdict::certificate::EdgeKind;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// Edges that the search for one example visits, once there is one.
const WORK_MAX: u64 = 1_000_000;
/// Closing edges that are tried for one example.
const CLOSERS_MAX: usize = 64;
/// The transactions behind a tail that are tried as the end of a closing edge.
const TAIL_MAX: usize = 8;

/// Searches the components of one level.
pub(super) struct Search<'g> {
    graph: &'g DependencyGraph,
    level: Level,
    /// Components within which all cycles lie.
    labels: &'g [u32],
    budget: &'g Budget,
    /// Over states: a vertex, and whether an rw edge led to it. Empty until it is needed.
    breadth_first: BreadthFirst<EdgeKind>,
    work: u64,
}

/// Which edges a way may take.
struct Way<'a> {
    class: Class,
    /// Transactions of the component, sorted: real time leads to a stretch at their end.
    members: &'a [u32],
    /// Whether the vertex belongs to the component.
    inside: &'a dyn Fn(u32) -> bool,
}

impl<'g> Search<'g> {
    pub(super) fn new(graph: &'g DependencyGraph, level: Level, labels: &'g [u32], budget: &'g Budget) -> Search<'g> {
        let breadth_first = BreadthFirst::new(0, EdgeKind::Ww);
        Search { graph, level, labels, budget, breadth_first, work: 0 }
    }

    /// A cycle of this class in a component of the edges of the class.
    pub(super) fn component(&mut self, vertices: &[u32], components: &[u32], class: Class) -> Option<Cycle> {
        let component = components[vertices[0] as usize];
        let inside = |vertex: u32| components[vertex as usize] == component;
        self.example(vertices.to_vec(), &inside, class, None)
    }

    /// A cycle without two rw edges in a row. `vertices` and `walks` have two entries for each vertex.
    pub(super) fn walk(
        &mut self,
        vertices: &[u32],
        walks: &[u32],
        walk: u32,
        hit: Option<(u32, u32)>,
        class: Class,
    ) -> Option<Cycle> {
        let bases: Vec<u32> = vertices.iter().map(|vertex| vertex / 2).collect();
        let label = bases.first().map(|&base| self.labels[base as usize])?;
        let labels = self.labels;
        let inside = |vertex: u32| {
            let own = walks[2 * vertex as usize] == walk || walks[2 * vertex as usize + 1] == walk;
            own && labels[vertex as usize] == label
        };
        self.example(bases, &inside, class, hit)
    }

    fn example(
        &mut self,
        mut members: Vec<u32>,
        inside: &dyn Fn(u32) -> bool,
        class: Class,
        hit: Option<(u32, u32)>,
    ) -> Option<Cycle> {
        members.retain(|&vertex| vertex < self.graph.txns());
        members.sort_unstable();
        members.dedup();
        self.breadth_first.cover(2 * self.graph.vertices() as usize);
        let closing = match class {
            Class::G0 => EdgeKind::Ww,
            Class::G1c => EdgeKind::Wr,
            Class::GSingle | Class::GNonadjacent | Class::G2 => EdgeKind::Rw,
        };
        let way = Way { class, members: &members, inside };
        let mut closers: Vec<(u32, u32)> = Vec::new();
        for &from in &members {
            let edges = self.graph.edges(from).filter(|(to, kind)| *kind == closing && inside(*to));
            closers.extend(edges.map(|(to, _)| (from, to)));
        }
        // The nearer the ends in time, the shorter the way back.
        closers.sort_unstable_by_key(|&(from, to)| (from.abs_diff(to), from, to));
        closers.truncate(CLOSERS_MAX);
        if let Some(hit) = hit {
            closers.insert(0, hit);
        }
        let mut best: Option<Vec<CycleEdge>> = None;
        self.work = 0;
        for (from, to) in closers {
            let found = self.way(&way, from, to, closing, best.as_ref().map_or(usize::MAX, Vec::len));
            if let Some(found) = found {
                best = Some(found).filter(|found| best.as_ref().is_none_or(|best| found.len() < best.len())).or(best);
            }
            if best.as_ref().is_some_and(|best| best.len() == 2) || (self.work > WORK_MAX && best.is_some()) {
                break;
            }
        }
        let steps = simple(best?, class);
        Some(Cycle { class: class_of(&steps, class), level: level_of(&steps), steps })
    }

    /// The shortest cycle of fewer than `limit` edges that the edge from `from` to `to` closes.
    fn way(&mut self, way: &Way<'_>, from: u32, to: u32, closing: EdgeKind, limit: usize) -> Option<Vec<CycleEdge>> {
        self.breadth_first.restart();
        let after_rw = way.class == Class::GNonadjacent;
        let starts: Vec<u32> = if to >= self.graph.txns() {
            self.graph.edges(to).map(|(to, _)| to).filter(|&to| to != from && (way.inside)(to)).take(TAIL_MAX).collect()
        } else {
            vec![to]
        };
        for start in starts {
            self.breadth_first.reach(2 * start + u32::from(after_rw), NONE, closing, 1);
        }
        // Real time leads to every member from here on; those are met already.
        let mut later = way.members.len();
        while let Some((state, length)) = self.breadth_first.next() {
            if length + 1 >= limit || (self.work > WORK_MAX && limit < usize::MAX) {
                return None;
            }
            if length > 1 && self.work.is_multiple_of(1 << 16) && (self.budget.expired)() && limit < usize::MAX {
                return None;
            }
            let mut reached: Vec<(u32, EdgeKind)> = Vec::new();
            self.followers(way, state, &mut later, &mut |next, kind| reached.push((next, kind)));
            for (next, kind) in reached {
                // Back by an rw edge, before the closing one, is back only in a walk that goes on.
                if next == 2 * from {
                    return Some(self.steps(from, state, kind, closing));
                }
                self.breadth_first.reach(next, state, kind, length + 1);
            }
        }
        None
    }

    /// Passes on the states that follow this one.
    fn followers(&mut self, way: &Way<'_>, state: u32, later: &mut usize, tell: &mut dyn FnMut(u32, EdgeKind)) {
        let graph = self.graph;
        let (vertex, after_rw) = (state / 2, state % 2 == 1);
        let nonadjacent = way.class == Class::GNonadjacent;
        for (to, kind) in graph.edges(vertex) {
            self.work += 1;
            let takes = match (kind, way.class) {
                (EdgeKind::Wr, class) => class != Class::G0,
                (EdgeKind::Rw, Class::GNonadjacent) => !after_rw,
                (EdgeKind::Rw, class) => class == Class::G2,
                _ => true,
            };
            if !takes || !(way.inside)(to) {
                continue;
            }
            let mark = u32::from(nonadjacent && kind == EdgeKind::Rw);
            if to < graph.txns() {
                tell(2 * to + mark, kind);
            } else if self.breadth_first.mark(2 * to + mark, state, kind) {
                for (behind, _) in graph.edges(to).filter(|(behind, _)| (way.inside)(*behind)) {
                    self.work += 1;
                    tell(2 * behind + mark, kind);
                }
            }
        }
        match self.level {
            Level::Plain => {}
            Level::Process => {
                let next = graph.next_in_process(vertex);
                if next != NONE && (way.inside)(next) {
                    tell(2 * next, EdgeKind::Process);
                }
            }
            Level::Realtime => {
                let first = way.members.partition_point(|&member| member < graph.first_after(vertex));
                for &member in way.members.get(first..*later).unwrap_or_default() {
                    self.work += 1;
                    tell(2 * member, EdgeKind::Realtime);
                }
                *later = first.min(*later);
            }
        }
    }

    /// The closing edge, the way to this state, and the last edge back to the beginning.
    fn steps(&self, from: u32, state: u32, last: EdgeKind, closing: EdgeKind) -> Vec<CycleEdge> {
        let path = self.breadth_first.path(state);
        let start = path.first().map_or(state, |(start, ..)| *start);
        let way = path.into_iter().map(|(from, to, kind)| CycleEdge { from: from / 2, to: to / 2, kind });
        let ends =
            (CycleEdge { from, to: start / 2, kind: closing }, CycleEdge { from: state / 2, to: from, kind: last });
        [ends.0].into_iter().chain(way).chain([ends.1]).collect()
    }
}

/// Cuts a closed walk down to a cycle that meets no transaction twice, and that has no two rw edges in a row where the
/// walk has none: of the two parts at a transaction met twice, one keeps that.
fn simple(mut steps: Vec<CycleEdge>, class: Class) -> Vec<CycleEdge> {
    let adjacent = |steps: &[CycleEdge]| {
        let rw = |at: usize| steps[at % steps.len()].kind == EdgeKind::Rw;
        (0..steps.len()).any(|at| rw(at) && rw(at + 1))
    };
    loop {
        let mut met: HashMap<u32, usize, BuildHasherDefault<Mix>> = HashMap::default();
        let twice = steps.iter().enumerate().find_map(|(at, step)| Some((met.insert(step.from, at)?, at)));
        let Some((one, two)) = twice else { return steps };
        let inner: Vec<CycleEdge> = steps[one..two].to_vec();
        let outer: Vec<CycleEdge> = steps[..one].iter().chain(&steps[two..]).copied().collect();
        let sound = |part: &[CycleEdge]| class != Class::GNonadjacent || !adjacent(part);
        steps = if sound(&inner) && (!sound(&outer) || inner.len() <= outer.len()) { inner } else { outer };
    }
}

/// What the cycle is.
fn class_of(steps: &[CycleEdge], sought: Class) -> Class {
    let rw = |at: usize| steps[at % steps.len()].kind == EdgeKind::Rw;
    let count = (0..steps.len()).filter(|&at| rw(at)).count();
    match count {
        0 if steps.iter().all(|step| step.kind != EdgeKind::Wr) => Class::G0,
        0 => Class::G1c,
        1 => Class::GSingle,
        _ if sought != Class::G2 || (0..steps.len()).all(|at| !(rw(at) && rw(at + 1))) => Class::GNonadjacent,
        _ => Class::G2,
    }
}

fn level_of(steps: &[CycleEdge]) -> Level {
    let has = |kind: EdgeKind| steps.iter().any(|step| step.kind == kind);
    match (has(EdgeKind::Realtime), has(EdgeKind::Process)) {
        (true, _) => Level::Realtime,
        (false, true) => Level::Process,
        (false, false) => Level::Plain,
    }
}
