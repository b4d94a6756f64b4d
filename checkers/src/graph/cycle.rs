//! Short cycles: of each cyclic component the shortest cycle through some of its nodes, by breadth-first search from each of
//! them (Itai and Rodeh, SIAM J. Computing 7(4), 1978, section 2, which does so from every node).
use super::{BreadthFirst, Components, Digraph, Edge, NONE};

/// From how many nodes of a component a search begins, and how many edges all searches look at once there is a cycle.
const STARTS: usize = 64;
const STEPS: usize = 30_000_000;

/// Searches the components of a graph.
struct Search<'g, L> {
    graph: &'g Digraph<L>,
    /// The component of each node, as [`Components`] numbers them.
    of: &'g [u32],
    breadth_first: BreadthFirst<L>,
    steps: usize,
}

impl<'g, L: Copy> Search<'g, L> {
    fn new(graph: &'g Digraph<L>, components: &'g Components, label: L) -> Search<'g, L> {
        Search { graph, of: &components.of, breadth_first: BreadthFirst::new(graph.len(), label), steps: 0 }
    }

    /// A short cycle in a cyclic component, given by its sorted nodes, if it has fewer than `limit` edges: the shortest one where
    /// the component is small.
    fn component(&mut self, members: &[u32], mut limit: usize) -> Option<Vec<Edge<L>>> {
        let mut best = None;
        for &start in members.iter().step_by((members.len() / STARTS).max(1)) {
            if limit <= 2 || (limit < usize::MAX && self.steps > STEPS) {
                break;
            }
            if let Some(found) = self.through(start, limit) {
                limit = found.len();
                best = Some(found);
            }
        }
        best
    }

    /// The shortest cycle through a node, if it has fewer than `limit` edges.
    fn through(&mut self, start: u32, limit: usize) -> Option<Vec<Edge<L>>> {
        let component = self.of[start as usize];
        self.breadth_first.restart();
        let (_, label) = self.graph.from(start).first()?;
        self.breadth_first.reach(start, NONE, *label, 0);
        while let Some((node, distance)) = self.breadth_first.next() {
            if distance + 1 >= limit {
                return None;
            }
            let edges = self.graph.from(node);
            self.steps += edges.len();
            for &(to, label) in edges.iter().filter(|(to, _)| self.of[*to as usize] == component) {
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
    /// A short cycle: from each component at most one, the smaller ones first, and the shortest of these. Empty where there is
    /// none.
    pub(crate) fn short_cycle(&self) -> Vec<Edge<L>> {
        let components = self.components();
        let mut sorted = components.sorted();
        sorted.sort_by_key(Vec::len);
        let mut best: Vec<Edge<L>> = Vec::new();
        let label = sorted.first().and_then(|members| self.from(members[0]).first()).map(|(_, label)| *label);
        let Some(label) = label else { return best };
        let mut search = Search::new(self, &components, label);
        for members in sorted.iter().take(STARTS) {
            let limit = if best.is_empty() { usize::MAX } else { best.len() };
            if limit <= 2 {
                break;
            }
            best = search.component(members, limit).unwrap_or(best);
        }
        best
    }
}

/// A short cycle of each cyclic component of the graph of these edges, by the components' smallest nodes: places in `edges`, each
/// beginning where the one before ended.
pub(crate) fn cycle_of_each_component(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<usize>> {
    let graph = Digraph::new(nodes, (0u32..).zip(edges).map(|(place, &(from, to))| (from, to, place)));
    let components = graph.components();
    let mut search = Search::new(&graph, &components, 0);
    let cycles = components.sorted().into_iter().filter_map(|members| {
        search.steps = 0;
        search.component(&members, usize::MAX)
    });
    cycles.map(|cycle| cycle.into_iter().map(|(_, _, place)| place as usize).collect()).collect()
}
