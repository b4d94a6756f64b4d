//! [`NodeOrder`]: an order of nodes by position, drawn with the timetable. Only the leader is bound later.
use crate::view::{ClusterView, Unresolved};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};

/// A random order of the nodes' positions, from whose front a fault takes its nodes.
///
/// If it is bound to the leader, the resolution moves the leader of the moment to the front, and the others keep their
/// order. So a seed fixes all but the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOrder {
    /// Positions of the nodes in the plan's order, counted from 0.
    pub positions: Vec<usize>,
    /// The leader of the moment comes first.
    pub leader_first: bool,
}

/// A [`NodeOrder`] with the leader in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundOrder {
    /// Positions in [`ClusterView::nodes`].
    pub positions: Vec<usize>,
    /// The note that no leader was known.
    pub note: Option<String>,
}

impl NodeOrder {
    /// Draws an order of this number of nodes.
    pub fn draw(rng: &mut Rng, nodes: usize, leader_first: bool) -> NodeOrder {
        let mut positions: Vec<usize> = (0..nodes).collect();
        rng.shuffle(&mut positions);
        NodeOrder { positions, leader_first }
    }

    /// Puts the leader in its place; of several leaders, the first one in the drawn order. Without a known leader the drawn node replaces it, and the note says so.
    pub fn bind(&self, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        let mut bound = self.drawn(view)?;
        if !self.leader_first {
            return Ok(bound);
        }
        let leads = |position: &&usize| view.leaders.contains(&view.nodes[**position].name);
        match bound.positions.iter().find(leads).copied() {
            Some(leader) => {
                bound.positions.retain(|position| *position != leader);
                bound.positions.insert(0, leader);
            }
            None if view.exact => return Err(Unresolved("no leader is known".to_owned())),
            None => {
                let stand_in = bound.positions.first().map_or("", |position| view.nodes[*position].name.as_str());
                bound.note = Some(format!("no leader known: {stand_in}, drawn in the plan, stands in for it"));
            }
        }
        Ok(bound)
    }

    /// The nodes that do not lead, in the drawn order. Without a known leader the last drawn node is left out in its place, and
    /// the note says so.
    pub(crate) fn bind_followers(&self, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        let mut bound = self.drawn(view)?;
        if view.leaders.is_empty() && view.exact {
            return Err(Unresolved("no leader is known".to_owned()));
        }
        if view.leaders.is_empty() && bound.positions.len() > 1 {
            let left_out = bound.positions.pop().map(|position| view.name(position)).unwrap_or_default();
            bound.note = Some(format!("no leader known: {left_out}, drawn in the plan, stands in for it"));
        }
        bound.positions.retain(|position| !view.leaders.contains(&view.nodes[*position].name));
        match bound.positions.is_empty() {
            true => Err(Unresolved("follower: every node leads".to_owned())),
            false => Ok(bound),
        }
    }

    fn drawn(&self, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        if self.positions.len() != view.nodes.len() {
            return Err(Unresolved(format!(
                "the timetable was made for {} nodes, the cluster has {}",
                self.positions.len(),
                view.nodes.len()
            )));
        }
        Ok(BoundOrder { positions: self.positions.clone(), note: None })
    }

    /// The first `count` nodes in symbols: `leader`, `leader+1`, `#4 #1` (counted from 1 in the plan's order).
    pub fn words(&self, count: usize) -> String {
        match (self.leader_first, count) {
            (true, 0 | 1) => "leader".to_owned(),
            (true, more) => format!("leader+{}", more - 1),
            (false, count) => words(&self.positions[..count.min(self.positions.len())]),
        }
    }
}

/// Positions as people count them: `#4 #1`.
pub(crate) fn words(positions: &[usize]) -> String {
    let words: Vec<String> = positions.iter().map(|position| format!("#{}", position + 1)).collect();
    words.join(" ")
}
