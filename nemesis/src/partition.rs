//! Partition: cuts links between nodes, in the shapes of [`Shape`].
//!
//! Receivers drop packets, so that one direction alone can be cut. They drop those of all peers' addresses and no others: a
//! forgotten address would be a way around the cut.
mod cut;
pub mod shape;

pub use cut::{Cut, CutLinks, CutSide, PlannedCut, PlannedSide};
pub use shape::Shape;

use crate::aim::{Aim, PlannedAim, minority_max};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, Link, ResolvedFault, Unresolved, Verification, noted};
use crate::options::{AgentPaths, FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::order::{NodeOrder, words};
use crate::protocol::{Injection, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The facts of every partition.
pub const FACTS: FaultFacts = FaultFacts {
    name: "partition",
    doc: "Cuts links between nodes: halves, majority, one-way, bridge, ring, isolate-one, isolate-leader, leader-minority.",
    needs: NodeNeeds::everywhere(&[ability::ROOT, ability::NFT, ability::NFT_TIMEOUT]),
    verified_by: VerifiedBy::Links,
    leaves: Leaves::ConnectedNodes,
    may_move_leader: true,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Links,
};

/// Options of the partition fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PartitionOptions {
    /// The shape, or several to draw from.
    pub shape: Choice<Shape>,
    /// Instead of a shape: the sides, such as `[leader, others]`, or links in one direction, such as `{from: n1, to: n2}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for PartitionOptions {
    fn default() -> PartitionOptions {
        let all = Choice::several(Shape::ALL.to_vec());
        PartitionOptions { shape: all.unwrap_or(Choice::one(Shape::Majority)), cut: None, lasts: None }
    }
}

impl FaultDefinition for PartitionOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn named_nodes(&self) -> Vec<String> {
        self.cut.as_ref().map(|cut| crate::aim::named(&cut.aims())).unwrap_or_default()
    }

    fn named_faults(&self) -> Vec<String> {
        self.cut.as_ref().map(|cut| crate::aim::named_faults(&cut.aims())).unwrap_or_default()
    }

    fn silences_all(&self) -> bool {
        // Nodes on every side of a cut still answer clients.
        false
    }

    fn leaderless(&mut self) {
        let shapes = self.shape.items().iter().filter(|shape| !shape.waits_for_leader()).copied().collect();
        if let Some(shapes) = Choice::several(shapes) {
            self.shape = shapes;
        }
    }

    fn agent_paths(&self) -> AgentPaths {
        let one_way = match &self.cut {
            Some(cut) => cut.may_be_one_way(),
            None => self.shape.items().contains(&Shape::OneWay),
        };
        match one_way {
            true => AgentPaths::OneWay,
            false => AgentPaths::BothWays,
        }
    }

    fn leader_words(&self) -> Vec<String> {
        if let Some(cut) = &self.cut {
            let aims = cut.aims().into_iter().filter(Aim::needs_leader);
            return aims.map(|aim| format!("cut: {aim}")).collect();
        }
        // All shapes are the default: a plan without a shape does not ask for a leader.
        if self.shape.items() == Shape::ALL {
            return Vec::new();
        }
        let shapes = self.shape.items().iter().filter(|shape| shape.waits_for_leader());
        shapes.map(|shape| format!("shape: {shape}")).collect()
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        if nodes < 2 {
            return Err(format!("a partition needs at least two nodes, the cluster has {nodes}"));
        }
        if self.cut.is_some() && self.shape.items() != Shape::ALL {
            return Err("a partition with both `shape` and `cut`: leave one of them out".to_owned());
        }
        Ok(Box::new(PartitionSource { shapes: Bag::of(self.shape.items().to_vec()), cut: self.cut.clone(), nodes }))
    }
}

struct PartitionSource {
    shapes: Bag<Shape>,
    cut: Option<Cut>,
    nodes: usize,
}

impl FaultSource for PartitionSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        if let Some(cut) = &self.cut {
            let cut = Some(Box::new(cut.draw(rng, self.nodes)));
            let order = NodeOrder { positions: (0..self.nodes).collect(), leader_first: false };
            return SymbolicFault::Partition(PartitionFault {
                shape: Shape::Majority,
                size: 1,
                deaf: false,
                order,
                cut,
            });
        }
        let shape = self.shapes.draw(rng).unwrap_or(Shape::Majority);
        let order = NodeOrder::draw(rng, self.nodes, shape.waits_for_leader());
        let most = minority_max(self.nodes);
        let size = match shape {
            Shape::Halves => self.nodes / 2,
            Shape::Majority | Shape::OneWay => rng.between(1, most as u64) as usize,
            Shape::LeaderMinority => rng.between(most.min(2) as u64, most as u64) as usize,
            Shape::Bridge | Shape::IsolateOne | Shape::IsolateLeader => 1,
            Shape::Ring => self.nodes,
        };
        let deaf = shape == Shape::OneWay && rng.below(2) == 0;
        SymbolicFault::Partition(PartitionFault { shape, size, deaf, order, cut: None })
    }
}

/// One partition with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFault {
    /// The shape.
    pub shape: Shape,
    /// The number of nodes on the side that it takes.
    pub size: usize,
    /// In a one-way cut: true if the side hears no other node, false if no other node hears the side.
    pub deaf: bool,
    /// The nodes: the side first. In a bridge the bridge first; in a ring as they sit.
    pub order: NodeOrder,
    /// The cut, instead of the shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Box<PlannedCut>>,
}

impl PartitionFault {
    /// The directed links that its shape cuts, where the nodes stand in this order. Sorted.
    pub fn cut(&self, order: &[usize]) -> Vec<(usize, usize)> {
        self.shape.cut(order, self.size, self.deaf)
    }
}

impl Symbolic for PartitionFault {
    fn describe(&self) -> String {
        if let Some(cut) = &self.cut {
            return format!("partition cut: {}", cut.words());
        }
        let side = self.order.words(self.size);
        let sides = match self.shape {
            Shape::OneWay if self.deaf => format!("{side} deaf to the others"),
            Shape::OneWay => format!("{side} not heard by the others"),
            Shape::Bridge => format!("half | {side} | half"),
            Shape::Ring => format!("round {}", words(&self.order.positions)),
            _ => format!("{side} | others"),
        };
        format!("partition {}: {sides}", self.shape)
    }

    fn aims_at_leader(&self) -> bool {
        self.order.leader_first || self.cut.iter().flat_map(|cut| cut.aims()).any(PlannedAim::at_leader)
    }

    fn needs_leader(&self) -> bool {
        self.order.leader_first || self.cut.iter().flat_map(|cut| cut.aims()).any(PlannedAim::needs_leader)
    }

    fn turn_to_leader(&mut self) -> bool {
        if self.cut.is_some() {
            return false;
        }
        // A bridge or a ring leaves the leader its majority, so that no leadership would move.
        let open = matches!(self.shape, Shape::Halves | Shape::Majority | Shape::OneWay | Shape::IsolateOne);
        self.order.leader_first |= open;
        open
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        no_shared_address(view)?;
        let (cut, aimed, what) = match &self.cut {
            Some(planned) => {
                let bound = planned.bind(view)?;
                let what = noted(format!("partition cut: {}", bound.words), bound.note);
                (bound.links, bound.side, what)
            }
            None => {
                let bound = self.order.bind(view)?;
                let mut aimed = bound.positions[..self.size.clamp(1, bound.positions.len())].to_vec();
                aimed.sort_unstable();
                (self.cut(&bound.positions), aimed, noted(self.resolved_words(view, &bound.positions), bound.note))
            }
        };
        if cut.is_empty() {
            return Err(Unresolved("a cut without a link".to_owned()));
        }
        let all: Vec<(usize, usize)> = links(view.nodes.len()).collect();
        let alive: Vec<(usize, usize)> = all.into_iter().filter(|link| !cut.contains(link)).collect();
        let named = |links: &[(usize, usize)]| -> Vec<Link> {
            links.iter().map(|(from, to)| (view.name(*from), view.name(*to))).collect()
        };
        Ok(ResolvedFault {
            what,
            kind: FACTS.name,
            nodes: aimed.iter().map(|position| view.name(*position)).collect(),
            injections: drops(view, &cut),
            verification: Verification::Links { silent: named(&cut), alive: named(&alive) },
            cut: named(&cut),
        })
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        let cut = match (of, &self.cut) {
            (Written::Bound(fault), _) => {
                // The side that it takes comes first.
                let mut names = fault.nodes.clone();
                for name in fault.cut.iter().flat_map(|(from, to)| [from, to]) {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                Cut::of_links(&fault.cut, &names)
            }
            (Written::Planned(names), Some(cut)) => cut.written(names)?,
            (Written::Planned(names), None) if !self.order.leader_first => {
                let name = |position: &usize| names.get(*position).cloned();
                let links = self.cut(&self.order.positions);
                let links: Option<Vec<Link>> = links.iter().map(|(from, to)| Some((name(from)?, name(to)?))).collect();
                let in_order: Option<Vec<String>> = self.order.positions.iter().map(name).collect();
                Cut::of_links(&links?, &in_order?)
            }
            (Written::Planned(_), None) => {
                let alone = self.size == 1 && !matches!(self.shape, Shape::OneWay | Shape::Bridge | Shape::Ring);
                let leader = CutSide::Aims(vec![Aim::Leader]);
                alone.then(|| Cut::Sides(vec![leader, CutSide::Others]))?
            }
        };
        Some(FaultOptions::Partition(PartitionOptions { cut: Some(cut), ..PartitionOptions::default() }))
    }
}

impl PartitionFault {
    fn resolved_words(&self, view: &ClusterView, order: &[usize]) -> String {
        let (side, rest) = order.split_at(self.size.min(order.len()));
        let (side, rest) = (view.join(side), view.join(rest));
        let sides = match self.shape {
            Shape::OneWay if self.deaf => format!("{side} deaf to {rest}"),
            Shape::OneWay => format!("{side} not heard by {rest}"),
            Shape::Bridge if order.len() > 2 => {
                let (left, right) = order[1..].split_at((order.len() - 1) / 2);
                format!("{} | {side} sees both | {}", view.join(left), view.join(right))
            }
            Shape::Ring => format!("round {side}"),
            _ => format!("{side} | {rest}"),
        };
        format!("partition {}: {sides}", self.shape)
    }
}

/// Every directed link between this number of nodes.
fn links(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes).flat_map(move |from| (0..nodes).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// One injection for each node that must not hear another one.
fn drops(view: &ClusterView, cut: &[(usize, usize)]) -> Vec<(String, Injection)> {
    let receivers = 0..view.nodes.len();
    receivers
        .filter_map(|to| {
            let senders: Vec<usize> = cut.iter().filter(|link| link.1 == to).map(|(from, _)| *from).collect();
            let from = dropped(view, to, &senders);
            (!from.is_empty()).then(|| (view.name(to), Injection::Drop { from }))
        })
        .collect()
}

/// The addresses of these senders that the receiver can do without: not its own (every host with containers has the same
/// bridge address), and not those of a node that it must hear. If such an address is a way between them, the proof sees it.
fn dropped(view: &ClusterView, to: usize, senders: &[usize]) -> Vec<IpAddr> {
    let kept = (0..view.nodes.len()).filter(|node| *node == to || !senders.contains(node));
    let spared: Vec<IpAddr> = kept.flat_map(|node| view.nodes[node].addresses()).collect();
    let mut from: Vec<IpAddr> = Vec::new();
    for address in senders.iter().flat_map(|sender| view.nodes[*sender].addresses()) {
        if !address.is_loopback() && !spared.contains(&address) && !from.contains(&address) {
            from.push(address);
        }
    }
    from
}

/// Two nodes behind one address cannot be distinguished by a packet's sender.
fn no_shared_address(view: &ClusterView) -> Result<(), Unresolved> {
    for (position, node) in view.nodes.iter().enumerate() {
        if let Some(twin) = view.nodes[..position].iter().find(|other| other.address == node.address) {
            return Err(Unresolved(format!(
                "{} and {} share the address {}: packets between them cannot be distinguished",
                twin.name, node.name, node.address
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
