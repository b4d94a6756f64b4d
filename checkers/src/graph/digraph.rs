//! [`Digraph`]: a directed graph stored by where its edges begin.
use super::{Components, Edge, Successors};

/// A directed graph over nodes counted from 0, whose edges have labels of the caller's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digraph<L = ()> {
    /// By node, where its edges begin in `edges`; the last entry is their end.
    starts: Vec<u32>,
    edges: Vec<(u32, L)>,
}

impl Digraph {
    /// The graph of edges without labels.
    pub(crate) fn of_pairs(nodes: usize, pairs: &[(u32, u32)]) -> Digraph {
        Digraph::new(nodes, pairs.iter().map(|&(from, to)| (from, to, ())))
    }
}

impl<L: Copy> Digraph<L> {
    /// The graph of these edges. Of one node they keep their order.
    pub(crate) fn new(nodes: usize, edges: impl Iterator<Item = Edge<L>> + Clone) -> Digraph<L> {
        let mut starts = vec![0u32; nodes + 1];
        for (from, ..) in edges.clone() {
            starts[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let Some((_, to, label)) = edges.clone().next() else { return Digraph { starts, edges: Vec::new() } };
        let mut next = starts.clone();
        let mut stored = vec![(to, label); starts[nodes] as usize];
        for (from, to, label) in edges {
            let slot = &mut next[from as usize];
            stored[*slot as usize] = (to, label);
            *slot += 1;
        }
        Digraph { starts, edges: stored }
    }

    /// How many nodes.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The edges of a node: where they lead, and their labels.
    pub(crate) fn from(&self, node: u32) -> &[(u32, L)] {
        &self.edges[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// The nodes in a topological order (Kahn, CACM 5(11), 1962) that is otherwise near their numbers; `None` on a cycle.
    pub(crate) fn order(&self) -> Option<Vec<u32>> {
        self.order_with_eager(u32::MAX)
    }

    /// The same, where nodes from this number on come as soon as they can.
    pub(crate) fn order_with_eager(&self, eager: u32) -> Option<Vec<u32>> {
        let mut waits = vec![0u32; self.len()];
        self.edges.iter().for_each(|(to, _)| waits[*to as usize] += 1);
        let mut order = Vec::with_capacity(self.len());
        let mut ready = Vec::new();
        for first in 0..self.len() as u32 {
            if waits[first as usize] == 0 {
                ready.push(first);
            }
            while let Some(node) = ready.pop() {
                order.push(node);
                // Never ready again.
                waits[node as usize] = u32::MAX;
                for &(next, _) in self.from(node) {
                    waits[next as usize] -= 1;
                    // The loop over `first` reaches the later ones.
                    if waits[next as usize] == 0 && (next <= first || next >= eager) {
                        ready.push(next);
                    }
                }
            }
        }
        (order.len() == self.len()).then_some(order)
    }

    /// The place of each node in [`Digraph::order`].
    pub(crate) fn ranks(&self) -> Option<Vec<u32>> {
        let mut ranks = vec![0; self.len()];
        for (rank, node) in (0..).zip(self.order()?) {
            ranks[node as usize] = rank;
        }
        Some(ranks)
    }

    /// The strongly connected components.
    pub(crate) fn components(&self) -> Components {
        Components::find(self, 0..self.len() as u32)
    }
}

impl<L: Copy> Successors for Digraph<L> {
    fn nodes(&self) -> usize {
        self.len()
    }

    #[inline]
    fn successor(&self, node: u32, cursor: &mut u32) -> Option<u32> {
        let (to, _) = self.from(node).get(*cursor as usize)?;
        *cursor += 1;
        Some(*to)
    }
}
