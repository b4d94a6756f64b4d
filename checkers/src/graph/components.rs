//! Strongly connected components of graphs that may be computed rather than stored: Tarjan's algorithm (SIAM J. Computing 1(2),
//! 1972) with one number for each node and without recursion (Pearce, Information Processing Letters 116(1), 2016, section 4).
use super::NONE;

/// A graph that is asked for one successor after the other.
pub(crate) trait Successors {
    /// Nodes count from 0 to this.
    fn nodes(&self) -> usize;

    /// The next successor after the cursor, which begins at 0 and is moved.
    fn successor(&self, node: u32, cursor: &mut u32) -> Option<u32>;
}

/// The components of a graph. A component is *cyclic* if it has several nodes, or one with an edge to itself.
#[derive(Debug)]
pub(crate) struct Components {
    /// The component of each node that was reached. Along an edge between two components the number grows. 0: not reached.
    pub(crate) of: Vec<u32>,
    /// Nodes of cyclic components, component by component.
    members: Vec<u32>,
    ends: Vec<u32>,
}

impl Components {
    /// Finds those that can be reached from the roots, in linear time.
    pub(crate) fn find(graph: &impl Successors, roots: impl Iterator<Item = u32>) -> Components {
        let mut of = vec![0u32; graph.nodes()];
        let (mut members, mut ends) = (Vec::new(), Vec::new());
        let (mut index, mut component) = (1u32, u32::MAX - 1);
        // The nodes entered and not left, with their cursors; and the number with which each was entered.
        let mut path: Vec<(u32, u32)> = Vec::new();
        let mut own: Vec<u32> = Vec::new();
        // Nodes that were left, whose component is not known yet; and nodes of the path with an edge to themselves.
        let mut waiting: Vec<u32> = Vec::new();
        let mut loops: Vec<u32> = Vec::new();
        for root in roots {
            if of[root as usize] != 0 {
                continue;
            }
            path.push((root, 0));
            own.push(index);
            of[root as usize] = index;
            index += 1;
            while let Some((node, cursor)) = path.last_mut() {
                let node = *node;
                if let Some(next) = graph.successor(node, cursor) {
                    match of[next as usize] {
                        0 => {
                            path.push((next, 0));
                            own.push(index);
                            of[next as usize] = index;
                            index += 1;
                        }
                        _ if next == node => loops.push(node),
                        low => of[node as usize] = low.min(of[node as usize]),
                    }
                    continue;
                }
                path.pop();
                let (entered, low) = (own.pop().unwrap_or(0), of[node as usize]);
                let mut cyclic = false;
                while loops.pop_if(|last| *last == node).is_some() {
                    cyclic = true;
                }
                if let Some((above, _)) = path.last() {
                    of[*above as usize] = low.min(of[*above as usize]);
                }
                if low != entered {
                    waiting.push(node);
                    continue;
                }
                index -= 1;
                while let Some(last) = waiting.pop_if(|last| of[*last as usize] >= low) {
                    members.push(last);
                    of[last as usize] = component;
                    index -= 1;
                    cyclic = true;
                }
                of[node as usize] = component;
                component -= 1;
                if cyclic {
                    members.push(node);
                    ends.push(members.len() as u32);
                }
            }
        }
        Components { of, members, ends }
    }

    /// Whether no component is cyclic.
    pub(crate) fn acyclic(&self) -> bool {
        self.ends.is_empty()
    }

    /// The cyclic components.
    pub(crate) fn cyclic(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.ends.len()).map(|at| {
            let first = if at == 0 { 0 } else { self.ends[at - 1] };
            &self.members[first as usize..self.ends[at] as usize]
        })
    }

    /// The cyclic components with their nodes sorted, by their smallest node.
    pub(crate) fn sorted(&self) -> Vec<Vec<u32>> {
        let mut sorted: Vec<Vec<u32>> = self.cyclic().map(<[u32]>::to_vec).collect();
        sorted.iter_mut().for_each(|members| members.sort_unstable());
        sorted.sort_unstable_by_key(|members| members[0]);
        sorted
    }

    /// For each node the number of its cyclic component in [`Components::cyclic`], [`NONE`] elsewhere.
    pub(crate) fn labels(&self) -> Vec<u32> {
        let mut labels = vec![NONE; self.of.len()];
        for (label, members) in self.cyclic().enumerate() {
            members.iter().for_each(|&node| labels[node as usize] = label as u32);
        }
        labels
    }
}
