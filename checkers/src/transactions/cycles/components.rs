//! Strongly connected components of graphs that are not stored but asked for their successors. Never recursive.
use super::super::graph::{Graph, Level, NONE};
use crate::verdict::certificate::EdgeKind;

/// A graph that is asked for one successor after the other.
pub(super) trait Successors {
    /// Vertices count from 0 to this.
    fn vertices(&self) -> usize;

    /// The next successor after the cursor, which begins at 0 and is moved.
    fn successor(&self, vertex: u32, cursor: &mut u32) -> Option<u32>;
}

/// Which dependencies count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    pub(super) wr: bool,
    pub(super) rw: bool,
}

impl Kinds {
    /// ww.
    pub(super) const WRITES: Kinds = Kinds { wr: false, rw: false };
    /// ww and wr.
    pub(super) const FORWARD: Kinds = Kinds { wr: true, rw: false };
    /// ww, wr and rw.
    pub(super) const ALL: Kinds = Kinds { wr: true, rw: true };

    #[inline]
    pub(super) fn has(self, kind: EdgeKind) -> bool {
        match kind {
            EdgeKind::Wr => self.wr,
            EdgeKind::Rw => self.rw,
            _ => true,
        }
    }
}

/// The graph at a level. For real time there is, beside each transaction, a vertex "this one or a later one is called":
/// it leads to the transaction and to the next such vertex.
#[derive(Clone, Copy)]
pub(super) struct View<'g> {
    pub(super) graph: &'g Graph,
    pub(super) level: Level,
    pub(super) kinds: Kinds,
    /// Where present, only edges within one label count, and none at [`NONE`].
    pub(super) labels: Option<&'g [u32]>,
}

impl View<'_> {
    #[inline]
    pub(super) fn within(&self, from: u32, to: u32) -> bool {
        self.labels.is_none_or(|labels| labels[to as usize] != NONE && labels[from as usize] == labels[to as usize])
    }

    /// The next successor, with whether it is by an rw edge.
    #[inline]
    fn next(&self, vertex: u32, cursor: &mut u32) -> Option<(u32, bool)> {
        let graph = self.graph;
        let (txns, stored) = (graph.txns(), graph.vertices());
        if vertex >= stored {
            let at = vertex - stored;
            while *cursor < 2 {
                *cursor += 1;
                let to = if *cursor == 1 { vertex + 1 } else { at };
                let there = if *cursor == 1 { at + 1 < txns } else { graph.committed(at) };
                if there && self.within(vertex, to) {
                    return Some((to, false));
                }
            }
            return None;
        }
        let edges = graph.degree(vertex);
        while *cursor < edges {
            let (to, kind) = graph.edge(vertex, *cursor);
            *cursor += 1;
            if self.kinds.has(kind) && self.within(vertex, to) {
                return Some((to, kind == EdgeKind::Rw));
            }
        }
        if *cursor > edges || vertex >= txns || !graph.committed(vertex) {
            return None;
        }
        *cursor += 1;
        let to = match self.level {
            Level::Plain => NONE,
            Level::Process => graph.next_in_process(vertex),
            Level::Realtime if graph.first_after(vertex) < txns => stored + graph.first_after(vertex),
            Level::Realtime => NONE,
        };
        (to != NONE && self.within(vertex, to)).then_some((to, false))
    }
}

impl Successors for View<'_> {
    fn vertices(&self) -> usize {
        let starts = if self.level == Level::Realtime { self.graph.txns() } else { 0 };
        (self.graph.vertices() + starts) as usize
    }

    #[inline]
    fn successor(&self, vertex: u32, cursor: &mut u32) -> Option<u32> {
        self.next(vertex, cursor).map(|(to, _)| to)
    }
}

/// The graph in which no rw edge follows another: vertex `2 v + 1` is `v` reached by an rw edge, `2 v` is `v` reached
/// otherwise. A cycle here is a closed walk of the graph without two rw edges in a row; a closed walk that visits a
/// vertex twice can be cut there so that one of its parts has no two in a row either.
pub(super) struct NoAdjacent<'g>(pub(super) View<'g>);

impl Successors for NoAdjacent<'_> {
    fn vertices(&self) -> usize {
        2 * self.0.vertices()
    }

    #[inline]
    fn successor(&self, vertex: u32, cursor: &mut u32) -> Option<u32> {
        let (base, after_rw) = (vertex / 2, vertex % 2 == 1);
        // A tail stands for the transactions behind it: what led to it leads to them.
        let tail = base >= self.0.graph.txns() && base < self.0.graph.vertices();
        loop {
            let (to, rw) = self.0.next(base, cursor)?;
            match (tail, rw, after_rw) {
                (true, _, _) => return Some(2 * to + u32::from(after_rw)),
                (false, false, _) => return Some(2 * to),
                (false, true, false) => return Some(2 * to + 1),
                (false, true, true) => {}
            }
        }
    }
}

/// The components of a graph.
pub(super) struct Components {
    /// Of each vertex reached, its component. Along an edge between two components the number grows. 0: not reached.
    pub(super) of: Vec<u32>,
    /// Vertices of components with more than one, component by component.
    members: Vec<u32>,
    ends: Vec<u32>,
}

impl Components {
    /// Finds those that can be reached from the roots (Pearce, Information Processing Letters 116, 2016: Tarjan's
    /// algorithm with one number for each vertex).
    pub(super) fn find(graph: &impl Successors, roots: impl Iterator<Item = u32>) -> Components {
        let mut of = vec![0u32; graph.vertices()];
        let (mut members, mut ends) = (Vec::new(), Vec::new());
        let (mut index, mut component) = (1u32, u32::MAX - 1);
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut waiting: Vec<u32> = Vec::new();
        let mut own: Vec<u32> = Vec::new();
        for root in roots {
            if of[root as usize] != 0 {
                continue;
            }
            path.push((root, 0));
            own.push(index);
            of[root as usize] = index;
            index += 1;
            while let Some((vertex, cursor)) = path.last_mut() {
                let vertex = *vertex;
                if let Some(next) = graph.successor(vertex, cursor) {
                    match of[next as usize] {
                        0 => {
                            path.push((next, 0));
                            own.push(index);
                            of[next as usize] = index;
                            index += 1;
                        }
                        low => of[vertex as usize] = low.min(of[vertex as usize]),
                    }
                    continue;
                }
                path.pop();
                let (entered, low) = (own.pop().unwrap_or(0), of[vertex as usize]);
                if let Some((above, _)) = path.last() {
                    of[*above as usize] = low.min(of[*above as usize]);
                }
                if low != entered {
                    waiting.push(vertex);
                    continue;
                }
                index -= 1;
                let before = members.len();
                while let Some(&last) = waiting.last().filter(|&&last| of[last as usize] >= low) {
                    waiting.pop();
                    members.push(last);
                    of[last as usize] = component;
                    index -= 1;
                }
                of[vertex as usize] = component;
                component -= 1;
                if members.len() > before {
                    members.push(vertex);
                    ends.push(members.len() as u32);
                }
            }
        }
        Components { of, members, ends }
    }

    /// Whether every component is a single vertex: there is no cycle.
    pub(super) fn acyclic(&self) -> bool {
        self.ends.is_empty()
    }

    /// Components of more than one vertex.
    pub(super) fn cyclic(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.ends.len()).map(|at| {
            let first = if at == 0 { 0 } else { self.ends[at - 1] };
            &self.members[first as usize..self.ends[at] as usize]
        })
    }

    /// For each vertex the number of its cyclic component, [`NONE`] elsewhere.
    pub(super) fn labels(&self) -> Vec<u32> {
        let mut labels = vec![NONE; self.of.len()];
        for (label, members) in self.cyclic().enumerate() {
            members.iter().for_each(|&vertex| labels[vertex as usize] = label as u32);
        }
        labels
    }
}
