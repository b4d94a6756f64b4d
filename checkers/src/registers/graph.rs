//! A directed graph of small numbers, sorted topologically, or a short cycle in it. No recursion.
use super::accesses::NONE;

/// Edges by where they begin, each with a label of the caller's.
#[derive(Debug)]
pub(crate) struct Graph {
    starts: Vec<u32>,
    to: Vec<(u32, u32)>,
}

/// Starts from which a cycle is looked for; the shortest one found is taken.
const STARTS: usize = 24;

impl Graph {
    /// Of so many nodes.
    pub(crate) fn new(nodes: usize, edges: &[(u32, u32, u32)]) -> Graph {
        let mut starts = vec![0; nodes + 1];
        for (from, ..) in edges {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut to = vec![(0, 0); edges.len()];
        let mut fill = starts.clone();
        for &(from, target, label) in edges {
            to[fill[from as usize] as usize] = (target, label);
            fill[from as usize] += 1;
        }
        Graph { starts, to }
    }

    fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where edges from this node lead, with their labels.
    pub(crate) fn from(&self, node: u32) -> &[(u32, u32)] {
        &self.to[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }

    /// For each node its rank in a topological order; the error says which nodes are behind or on a cycle.
    pub(crate) fn ranks(&self) -> Result<Vec<u32>, Vec<bool>> {
        let mut before = vec![0u32; self.nodes()];
        self.to.iter().for_each(|(to, _)| before[*to as usize] += 1);
        let mut ready: Vec<u32> = (0..self.nodes() as u32).filter(|&node| before[node as usize] == 0).collect();
        let mut rank = vec![NONE; self.nodes()];
        let mut next = 0;
        while let Some(&node) = ready.get(next) {
            rank[node as usize] = next as u32;
            next += 1;
            for (to, _) in self.from(node) {
                before[*to as usize] -= 1;
                if before[*to as usize] == 0 {
                    ready.push(*to);
                }
            }
        }
        if next == self.nodes() { Ok(rank) } else { Err(rank.iter().map(|&rank| rank == NONE).collect()) }
    }

    /// A short cycle among these nodes: from, to, label. Empty if there is none.
    pub(crate) fn cycle(&self, among: &[bool]) -> Vec<(u32, u32, u32)> {
        let mut among = among.to_vec();
        self.strip(&mut among);
        let left: Vec<u32> = (0..self.nodes() as u32).filter(|&node| among[node as usize]).collect();
        let step = (left.len() / STARTS).max(1);
        let mut best: Vec<(u32, u32, u32)> = Vec::new();
        let mut seen_by = vec![(NONE, NONE, NONE); self.nodes()];
        for (turn, &start) in left.iter().step_by(step).enumerate() {
            let found = self.around(start, &among, turn as u32, &mut seen_by);
            if !found.is_empty() && (best.is_empty() || found.len() < best.len()) {
                best = found;
            }
        }
        // Nodes behind one cycle and before another lie on none: walking forward from one certainly meets a cycle.
        if best.is_empty() {
            best = self.walk(left.first().copied(), &among);
        }
        best
    }

    /// Takes away nodes from which no cycle can be reached.
    fn strip(&self, among: &mut [bool]) {
        let mut after = vec![0u32; self.nodes()];
        let mut back: Vec<(u32, u32, u32)> = Vec::new();
        for from in (0..self.nodes() as u32).filter(|&node| among[node as usize]) {
            for (to, _) in self.from(from).iter().filter(|(to, _)| among[*to as usize]) {
                after[from as usize] += 1;
                back.push((*to, from, 0));
            }
        }
        let back = Graph::new(self.nodes(), &back);
        let mut dead: Vec<u32> =
            (0..self.nodes() as u32).filter(|&node| among[node as usize] && after[node as usize] == 0).collect();
        while let Some(node) = dead.pop() {
            among[node as usize] = false;
            for (from, _) in back.from(node) {
                after[*from as usize] -= 1;
                if after[*from as usize] == 0 {
                    dead.push(*from);
                }
            }
        }
    }

    /// The shortest cycle through this node, by breadth first search.
    fn around(&self, start: u32, among: &[bool], turn: u32, seen_by: &mut [(u32, u32, u32)]) -> Vec<(u32, u32, u32)> {
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(&node) = queue.get(next) {
            next += 1;
            for &(to, label) in self.from(node).iter().filter(|(to, _)| among[*to as usize]) {
                if to == start {
                    let mut path = vec![(node, to, label)];
                    let mut at = node;
                    while at != start {
                        let (_, from, label) = seen_by[at as usize];
                        path.push((from, at, label));
                        at = from;
                    }
                    path.reverse();
                    return path;
                }
                if seen_by[to as usize].0 != turn {
                    seen_by[to as usize] = (turn, node, label);
                    queue.push(to);
                }
            }
        }
        Vec::new()
    }

    fn walk(&self, start: Option<u32>, among: &[bool]) -> Vec<(u32, u32, u32)> {
        let Some(mut at) = start else { return Vec::new() };
        let mut met: Vec<u32> = vec![NONE; self.nodes()];
        let mut path: Vec<(u32, u32, u32)> = Vec::new();
        while met[at as usize] == NONE {
            met[at as usize] = path.len() as u32;
            let Some(&(to, label)) = self.from(at).iter().find(|(to, _)| among[*to as usize]) else { break };
            path.push((at, to, label));
            at = to;
        }
        path.split_off((met[at as usize] as usize).min(path.len()))
    }

    /// A shortest path by edges whose labels are allowed: from, to, label. Empty if there is none.
    pub(crate) fn path(&self, start: u32, end: u32, allowed: impl Fn(u32) -> bool) -> Vec<(u32, u32, u32)> {
        let mut came: Vec<(u32, u32)> = vec![(NONE, 0); self.nodes()];
        let mut queue = vec![start];
        let mut next = 0;
        while let Some(&node) = queue.get(next) {
            next += 1;
            for &(to, label) in self.from(node).iter().filter(|(_, label)| allowed(*label)) {
                if to != start && came[to as usize].0 == NONE {
                    came[to as usize] = (node, label);
                    queue.push(to);
                }
            }
            if came[end as usize].0 != NONE {
                break;
            }
        }
        let mut path = Vec::new();
        let mut at = end;
        while at != start && came[at as usize].0 != NONE {
            let (from, label) = came[at as usize];
            path.push((from, at, label));
            at = from;
        }
        path.reverse();
        path
    }
}
