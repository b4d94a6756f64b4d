//! [`Successors`]: a graph in two vectors, its strongly connected components and short cycles within one. Nothing here
//! calls itself: the depth of a graph is the length of a history.
use std::collections::VecDeque;

/// A directed graph over nodes counted from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Successors {
    at: Vec<u32>,
    to: Vec<u32>,
}

impl Successors {
    /// The graph of these edges.
    pub(crate) fn new(nodes: usize, edges: &[(u32, u32)]) -> Successors {
        let mut at = vec![0u32; nodes + 1];
        for &(from, _) in edges {
            at[from as usize + 1] += 1;
        }
        for node in 0..nodes {
            at[node + 1] += at[node];
        }
        let mut next = at.clone();
        let mut to = vec![0; edges.len()];
        for &(from, target) in edges {
            let slot = &mut next[from as usize];
            to[*slot as usize] = target;
            *slot += 1;
        }
        Successors { at, to }
    }

    /// How many nodes.
    pub(crate) fn len(&self) -> usize {
        self.at.len().saturating_sub(1)
    }

    /// Where a node's edges lead.
    pub(crate) fn of(&self, node: u32) -> &[u32] {
        &self.to[self.at[node as usize] as usize..self.at[node as usize + 1] as usize]
    }

    /// The nodes in an order that every edge keeps, otherwise near their numbers; None on a cycle.
    pub(crate) fn order(&self) -> Option<Vec<u32>> {
        let mut waits = vec![0u32; self.len()];
        self.to.iter().for_each(|&to| waits[to as usize] += 1);
        let mut order = Vec::with_capacity(self.len());
        let mut ready = Vec::new();
        for first in 0..self.len() as u32 {
            if waits[first as usize] == 0 {
                ready.push(first);
            }
            while let Some(node) = ready.pop() {
                order.push(node);
                waits[node as usize] = u32::MAX;
                for &next in self.of(node) {
                    waits[next as usize] -= 1;
                    // A later one is met by the outer loop.
                    if waits[next as usize] == 0 && next <= first {
                        ready.push(next);
                    }
                }
            }
        }
        (order.len() == self.len()).then_some(order)
    }

    /// The strongly connected components of more than one node, and nodes with an edge to themselves; each sorted, in
    /// the order of their smallest node.
    ///
    /// Pearce 2016, "A space-efficient algorithm for finding strongly connected components", without recursion.
    pub(crate) fn knots(&self) -> Vec<Vec<u32>> {
        const DONE: u32 = u32::MAX;
        let nodes = self.len();
        // 0: not seen; otherwise the smallest visit number that the node is known to reach.
        let mut low = vec![0u32; nodes];
        let mut calls: Vec<(u32, u32, u32)> = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        let mut visits = 0u32;
        let mut knots = Vec::new();
        for root in 0..nodes as u32 {
            if low[root as usize] != 0 {
                continue;
            }
            visits += 1;
            low[root as usize] = visits;
            calls.push((root, self.at[root as usize], visits));
            while let Some(call) = calls.last_mut() {
                let (node, number) = (call.0, call.2);
                if call.1 < self.at[node as usize + 1] {
                    let next = self.to[call.1 as usize];
                    call.1 += 1;
                    let reached = low[next as usize];
                    if reached == 0 {
                        visits += 1;
                        low[next as usize] = visits;
                        calls.push((next, self.at[next as usize], visits));
                    } else if reached != DONE {
                        low[node as usize] = low[node as usize].min(reached);
                    }
                    continue;
                }
                calls.pop();
                let reached = low[node as usize];
                if reached < number {
                    open.push(node);
                    if let Some(caller) = calls.last() {
                        let caller = caller.0 as usize;
                        low[caller] = low[caller].min(reached);
                    }
                    continue;
                }
                // The node is the first of its component; the others lie on top of the stack with greater numbers.
                let mut knot = vec![node];
                while let Some(&top) = open.last()
                    && low[top as usize] >= number
                {
                    open.pop();
                    knot.push(top);
                }
                for member in &knot {
                    low[*member as usize] = DONE;
                }
                if knot.len() > 1 || self.of(node).contains(&node) {
                    knot.sort_unstable();
                    knots.push(knot);
                }
            }
        }
        knots.sort_unstable_by_key(|knot| knot[0]);
        knots
    }
}

/// How many nodes of a component the search for a short cycle starts from, and how many edges it looks at in all.
const STARTS: usize = 64;
const STEPS: usize = 30_000_000;

/// A short cycle within one strongly connected component, given by its edges: places in `edges`, each beginning where
/// the one before ended. The shortest of those through some nodes; through all of them, where the component is small.
pub(crate) fn short_cycle(edges: &[(u32, u32)]) -> Vec<usize> {
    let mut nodes: Vec<u32> = edges.iter().flat_map(|&(from, to)| [from, to]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let place = |node: u32| nodes.partition_point(|&known| known < node) as u32;
    let local: Vec<(u32, u32)> = edges.iter().map(|&(from, to)| (place(from), place(to))).collect();
    let mut by_start: Vec<u32> = (0..local.len() as u32).collect();
    by_start.sort_by_key(|&edge| local[edge as usize].0);
    let sorted: Vec<(u32, u32)> = by_start.iter().map(|&edge| local[edge as usize]).collect();
    let mut search = Search::new(&sorted, nodes.len());
    let step = (nodes.len() / STARTS).max(1);
    let mut best: Vec<u32> = Vec::new();
    for start in (0..nodes.len()).step_by(step) {
        let limit = if best.is_empty() { usize::MAX } else { best.len() };
        if limit <= 2 || (!best.is_empty() && search.steps > STEPS) {
            break;
        }
        if let Some(found) = search.through(start as u32, limit) {
            best = found;
        }
    }
    best.iter().map(|&edge| by_start[edge as usize] as usize).collect()
}

/// Breadth-first searches over one set of edges, sorted by where they begin.
struct Search<'e> {
    edges: &'e [(u32, u32)],
    at: Vec<u32>,
    /// The edge by which each node was reached, and in which search.
    came: Vec<(u32, u32)>,
    searches: u32,
    steps: usize,
}

impl<'e> Search<'e> {
    fn new(edges: &'e [(u32, u32)], nodes: usize) -> Search<'e> {
        let mut at = vec![0u32; nodes + 1];
        edges.iter().for_each(|edge| at[edge.0 as usize + 1] += 1);
        for node in 0..nodes {
            at[node + 1] += at[node];
        }
        Search { edges, at, came: vec![(0, 0); nodes], searches: 0, steps: 0 }
    }

    /// The shortest cycle through a node, if it has fewer than `limit` edges.
    fn through(&mut self, start: u32, limit: usize) -> Option<Vec<u32>> {
        self.searches += 1;
        let mut queue = VecDeque::from([(start, 0usize)]);
        while let Some((node, depth)) = queue.pop_front() {
            if depth + 1 >= limit {
                return None;
            }
            let (first, end) = (self.at[node as usize], self.at[node as usize + 1]);
            self.steps += (end - first) as usize;
            for edge in first..end {
                let to = self.edges[edge as usize].1;
                if to == start {
                    return Some(self.back(start, edge));
                }
                if self.came[to as usize].1 != self.searches {
                    self.came[to as usize] = (edge, self.searches);
                    queue.push_back((to, depth + 1));
                }
            }
        }
        None
    }

    fn back(&self, start: u32, last: u32) -> Vec<u32> {
        let mut path = vec![last];
        let mut node = self.edges[last as usize].0;
        while node != start {
            let edge = self.came[node as usize].0;
            path.push(edge);
            node = self.edges[edge as usize].0;
        }
        path.reverse();
        path
    }
}
