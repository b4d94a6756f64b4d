//! Short cycles of a graph: [`Digraph::short_cycle`] finds one of the whole graph, [`cycle_of_each_component`] one of each strongly
//! connected component. The checkers of transactions, registers and logs show them as counterexamples.
//!
//! A breadth-first search from a node finds the shortest cycle through that node (Itai and Rodeh, SIAM J. Computing 7(4), 1978,
//! section 2). They search from every node. Here a large component is searched from some of its nodes only, so that the time is
//! bounded. A cyclic component always gives a cycle; it need not be a shortest one.
use super::{BreadthFirst, Components, Digraph, Edge, NONE};

/// A component with fewer than twice as many nodes is searched from each node. In a larger one at least this many searches begin,
/// from nodes at equal distances.
const STARTS: usize = 64;
/// [`Digraph::short_cycle`] searches this many components, the smallest ones.
const MAX_COMPONENTS: usize = 64;
/// Once a cycle is known, no new search begins after this many edges were followed.
const MAX_STEPS: usize = 30_000_000;

/// Searches the components of one graph for cycles, one after the other.
struct Search<'g, L> {
    graph: &'g Digraph<L>,
    /// The component of each node, as [`Components`] numbers them.
    component_of: &'g [u32],
    breadth_first: BreadthFirst<L>,
    /// Edges followed so far.
    steps: usize,
}

impl<'g, L: Copy> Search<'g, L> {
    /// The label, any one of the graph, is what [`BreadthFirst::new`] needs.
    fn new(graph: &'g Digraph<L>, components: &'g Components, label: L) -> Search<'g, L> {
        Search { graph, component_of: &components.of, breadth_first: BreadthFirst::new(graph.len(), label), steps: 0 }
    }

    /// A short cycle with fewer than `limit` edges in the cyclic component of these nodes; none if the searches find none. In
    /// a small component it is a shortest one.
    fn in_component(&mut self, members: &[u32], mut limit: usize) -> Option<Vec<Edge<L>>> {
        let mut best = None;
        for &start in members.iter().step_by((members.len() / STARTS).max(1)) {
            // A cycle of two edges is short enough.
            if limit <= 2 || (limit < usize::MAX && self.steps > MAX_STEPS) {
                break;
            }
            if let Some(found) = self.shortest_through(start, limit) {
                limit = found.len();
                best = Some(found);
            }
        }
        best
    }

    /// The shortest cycle through a node, if it has fewer than `limit` edges.
    fn shortest_through(&mut self, start: u32, limit: usize) -> Option<Vec<Edge<L>>> {
        let component = self.component_of[start as usize];
        self.breadth_first.restart();
        let (_, label) = self.graph.from(start).first()?;
        self.breadth_first.reach(start, NONE, *label, 0);
        while let Some((node, distance)) = self.breadth_first.next() {
            if distance + 1 >= limit {
                return None;
            }
            let edges = self.graph.from(node);
            self.steps += edges.len();
            for &(to, label) in edges.iter().filter(|(to, _)| self.component_of[*to as usize] == component) {
                if to == start {
                    let mut cycle = self.breadth_first.path(node);
                    cycle.push((node, to, label));
                    return Some(cycle);
                }
                self.breadth_first.reach(to, node, label, distance + 1);
            }
        }
        None
    }
}

impl<L: Copy> Digraph<L> {
    /// A short cycle, the best that the searches of the smallest components find; empty if the graph has no cycle.
    pub(crate) fn short_cycle(&self) -> Vec<Edge<L>> {
        let components = self.components();
        let mut sorted = components.sorted();
        sorted.sort_by_key(Vec::len);
        let mut best: Vec<Edge<L>> = Vec::new();
        let label = sorted.first().and_then(|members| self.from(members[0]).first()).map(|(_, label)| *label);
        let Some(label) = label else { return best };
        let mut search = Search::new(self, &components, label);
        for members in sorted.iter().take(MAX_COMPONENTS) {
            let limit = if best.is_empty() { usize::MAX } else { best.len() };
            if limit <= 2 {
                break;
            }
            best = search.in_component(members, limit).unwrap_or(best);
        }
        best
    }
}

/// A short cycle of each cyclic component of the graph with these edges (from, to), in the order of the components' smallest nodes.
/// A cycle is a list of indices into `edges`; each edge begins where the one before ended.
pub(crate) fn cycle_of_each_component(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<usize>> {
    let graph = Digraph::new(nodes, (0u32..).zip(edges).map(|(index, &(from, to))| (from, to, index)));
    let components = graph.components();
    let mut search = Search::new(&graph, &components, 0);
    let cycles = components.sorted().into_iter().filter_map(|members| {
        search.steps = 0;
        search.in_component(&members, usize::MAX)
    });
    cycles.map(|cycle| cycle.into_iter().map(|(_, _, index)| index as usize).collect()).collect()
}
