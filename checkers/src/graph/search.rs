//! [`BreadthFirst`]: breadth-first search (Moore 1959; Cormen, Leiserson, Rivest and Stein, *Introduction to Algorithms*, third
//! edition, section 22.2), over graphs stored or computed. The caller says what follows a node.
use super::{Digraph, Edge, NONE};
use std::collections::VecDeque;

/// A search that remembers by which edge it reached each node, and that can begin again without clearing anything.
#[derive(Debug)]
pub(crate) struct BreadthFirst<L> {
    /// By node, the number of the last search that reached it, and the edge by which it did: from where, and its label.
    reached: Vec<(u32, u32, L)>,
    /// The number of this search.
    number: u32,
    /// Nodes whose successors were not asked for yet, with their distance.
    queue: VecDeque<(u32, usize)>,
    /// Stands where no edge was taken yet.
    label: L,
}

impl<L: Copy> BreadthFirst<L> {
    /// Over this many nodes. The label, any one, stands where no edge was taken yet.
    pub(crate) fn new(nodes: usize, label: L) -> BreadthFirst<L> {
        BreadthFirst { reached: vec![(0, NONE, label); nodes], number: 0, queue: VecDeque::new(), label }
    }

    /// Over this many nodes at least.
    pub(crate) fn cover(&mut self, nodes: usize) {
        if self.reached.len() < nodes {
            self.reached.resize(nodes, (0, NONE, self.label));
        }
    }

    /// Begins a new search.
    pub(crate) fn restart(&mut self) {
        self.number += 1;
        self.queue.clear();
    }

    /// Reaches a node by an edge, which stands in [`BreadthFirst::path`], without going on from there. False if it was reached
    /// before.
    #[inline]
    pub(crate) fn mark(&mut self, node: u32, from: u32, label: L) -> bool {
        let reached = &mut self.reached[node as usize];
        let new = reached.0 != self.number;
        if new {
            *reached = (self.number, from, label);
        }
        new
    }

    /// Reaches a node by an edge, at this distance; the beginning of a path is reached from [`NONE`].
    #[inline]
    pub(crate) fn reach(&mut self, node: u32, from: u32, label: L, distance: usize) {
        if self.mark(node, from, label) {
            self.queue.push_back((node, distance));
        }
    }

    /// The next of the nearest nodes reached, with its distance.
    pub(crate) fn next(&mut self) -> Option<(u32, usize)> {
        self.queue.pop_front()
    }

    /// The edges by which this node was reached, from the beginning on.
    pub(crate) fn path(&self, end: u32) -> Vec<Edge<L>> {
        let mut path = Vec::new();
        let mut node = end;
        loop {
            let (_, from, label) = self.reached[node as usize];
            if from == NONE {
                path.reverse();
                return path;
            }
            path.push((from, node, label));
            node = from;
        }
    }
}

impl<L: Copy> Digraph<L> {
    /// A shortest path between two nodes by edges whose labels are allowed; empty if there is none, or if they are one node.
    pub(crate) fn path(&self, start: u32, end: u32, allowed: impl Fn(L) -> bool) -> Vec<Edge<L>> {
        let Some(&(_, label)) = self.from(start).first() else { return Vec::new() };
        let mut search = BreadthFirst::new(self.len(), label);
        search.restart();
        search.reach(start, NONE, label, 0);
        while let Some((node, distance)) = search.next() {
            if node == end {
                return search.path(end);
            }
            for &(to, label) in self.from(node).iter().filter(|(_, label)| allowed(*label)) {
                search.reach(to, node, label, distance + 1);
            }
        }
        Vec::new()
    }
}
