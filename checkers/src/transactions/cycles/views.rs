//! The dependency graph as the search for cycles sees it: at a level, by some kinds of edges, within components found before.
//! Nothing is copied: components ask these views for one successor after the other.
use super::super::dependencies::{DependencyGraph, Level};
use crate::graph::{NONE, Successors};
use crate::verdict::certificate::EdgeKind;

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
    pub(super) graph: &'g DependencyGraph,
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
    fn nodes(&self) -> usize {
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
    fn nodes(&self) -> usize {
        2 * self.0.nodes()
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
