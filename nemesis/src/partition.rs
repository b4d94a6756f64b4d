//! Partition: cuts links between nodes, in the shapes of [`Shape`].
//!
//! Receivers drop packets, so that one direction alone can be cut. They drop those of all peers' addresses and no others: a
//! forgotten address would be a way around the cut.
//!
//! With `ports`, only packets of these port roles are dropped. Such a fault cuts no link: the nodes still reach each other over
//! other ports, so that its `cut` is empty and no checker takes its nodes for separated.
mod cut;
mod emptied;
pub mod shape;

pub(crate) use emptied::EmptySide;

pub use cut::{Cut, CutLinks, CutSide, PlannedCut, PlannedSide};
pub use shape::Shape;

use crate::aim::{Aim, PlannedAim, minority_max};
use crate::bag::Bag;
use crate::budget::Taken;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, Link, NodeView, ResolvedFault, Unresolved, Verification, noted};
use crate::options::{AgentPaths, FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::order::{NodeOrder, words};
use crate::protocol::{CutHow, Injection, PacketEffect, PacketMatch, ability};
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
    /// How packets are cut: `drop` (they vanish) or `reject` (a TCP reset or an ICMP message answers them).
    pub how: CutHow,
    /// Cuts only these port roles of the recipe, such as `peer`: one or a list. Left out: all packets between the nodes.
    pub ports: Option<Choice<String>>,
    /// Also cuts the clients from the nodes of the side that the fault takes (port role `client`).
    pub clients: bool,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for PartitionOptions {
    fn default() -> PartitionOptions {
        let all = Choice::several(Shape::ALL.to_vec());
        let shape = all.unwrap_or(Choice::one(Shape::Majority));
        PartitionOptions { shape, cut: None, how: CutHow::Drop, ports: None, clients: false, lasts: None }
    }
}

impl FaultDefinition for PartitionOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.cut.as_ref().map(Cut::aims).unwrap_or_default()
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        None
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

    fn port_roles(&self) -> Vec<(&'static str, String)> {
        let ports = self.roles().into_iter().map(|role| ("ports", role));
        ports.chain(self.clients.then(|| ("clients", CLIENT_ROLE.to_owned()))).collect()
    }

    fn more_needs(&self) -> Vec<&'static str> {
        self.how.more_needs()
    }

    fn contradictions(&self) -> Vec<String> {
        let sideless = self.shapes().is_empty();
        let sentence = "clients: true needs a shape with a side that the fault takes; bridge and ring have none";
        sideless.then(|| sentence.to_owned()).into_iter().collect()
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
            return Err("both `shape` and `cut`: leave one of them out".to_owned());
        }
        if let Some(mistake) = self.cut.as_ref().and_then(|cut| cut.mistake(nodes)) {
            return Err(mistake);
        }
        let means = CutMeans { how: self.how, ports: self.roles(), clients: self.clients };
        Ok(Box::new(PartitionSource { shapes: Bag::of(self.shapes()), cut: self.cut.clone(), nodes, means }))
    }
}

/// The port role of clients in recipes.
pub(crate) const CLIENT_ROLE: &str = "client";

impl PartitionOptions {
    fn roles(&self) -> Vec<String> {
        self.ports.iter().flat_map(|ports| ports.items().to_vec()).collect()
    }

    /// The shapes to draw from.
    fn shapes(&self) -> Vec<Shape> {
        let fits = |shape: &&Shape| !self.clients || !matches!(shape, Shape::Bridge | Shape::Ring);
        self.shape.items().iter().filter(fits).copied().collect()
    }
}

/// What a partition cuts of its links, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CutMeans {
    /// How packets are cut.
    pub how: CutHow,
    /// The port roles that are cut; none: all packets.
    pub ports: Vec<String>,
    /// Also clients are cut from the side.
    pub clients: bool,
}

impl CutHow {
    /// Abilities of a node for it.
    fn more_needs(self) -> Vec<&'static str> {
        match self {
            CutHow::Drop => Vec::new(),
            CutHow::Reject => vec![ability::NFT_REJECT],
        }
    }
}

impl CutMeans {
    /// In words, as the end of a sentence; empty for a plain cut.
    fn words(&self) -> String {
        let ports = (!self.ports.is_empty()).then(|| format!("only ports {}", self.ports.join(" ")));
        let how = (self.how == CutHow::Reject).then(|| "by reject".to_owned());
        let clients = self.clients.then(|| "and clients".to_owned());
        let words: Vec<String> = [ports, how, clients].into_iter().flatten().collect();
        if words.is_empty() { String::new() } else { format!(", {}", words.join(" ")) }
    }
}

struct PartitionSource {
    shapes: Bag<Shape>,
    cut: Option<Cut>,
    nodes: usize,
    means: CutMeans,
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
                means: self.means.clone(),
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
        SymbolicFault::Partition(PartitionFault { shape, size, deaf, order, cut: None, means: self.means.clone() })
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
    /// What is cut of the links, and how.
    #[serde(default)]
    pub means: CutMeans,
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
    fn takes(&self, view: &ClusterView) -> Result<Taken, Unresolved> {
        let (nodes, cut) = match &self.cut {
            Some(planned) => {
                let bound = planned.bind(view)?;
                (bound.side, bound.links)
            }
            None => {
                let positions = self.order.bind(view)?.positions;
                (positions[..self.size.clamp(1, positions.len())].to_vec(), self.cut(&positions))
            }
        };
        Ok(Taken { nodes: nodes.into_iter().collect(), cut: cut.into_iter().collect() })
    }

    fn more_needs(&self) -> Vec<&'static str> {
        self.means.how.more_needs()
    }

    fn describe(&self) -> String {
        if let Some(cut) = &self.cut {
            return format!("partition cut: {}{}", cut.words(), self.means.words());
        }
        let side = self.order.words(self.size);
        let sides = match self.shape {
            Shape::OneWay if self.deaf => format!("{side} deaf to the others"),
            Shape::OneWay => format!("{side} not heard by the others"),
            Shape::Bridge => format!("half | {side} | half"),
            Shape::Ring => format!("round {}", words(&self.order.positions)),
            _ => format!("{side} | others"),
        };
        format!("partition {}: {sides}{}", self.shape, self.means.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        self.cut.iter().flat_map(|cut| cut.aims()).collect()
    }

    fn aims_at_leader(&self) -> bool {
        self.order.leader_first || self.aims().into_iter().any(PlannedAim::at_leader)
    }

    fn needs_leader(&self) -> bool {
        self.order.leader_first || self.aims().into_iter().any(PlannedAim::needs_leader)
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
                let what = noted(format!("partition cut: {}{}", bound.words, self.means.words()), bound.note);
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
        let mut injections = self.means.drops(view, &cut)?;
        if self.means.clients {
            injections.extend(self.means.cut_clients(view, &aimed)?);
        }
        let (silent, alive) = (named(&cut), named(&alive));
        let whole = self.means.ports.is_empty();
        Ok(ResolvedFault {
            what,
            kind: FACTS.name,
            nodes: aimed.iter().map(|position| view.name(*position)).collect(),
            injections,
            cut: if whole { silent.clone() } else { Vec::new() },
            verification: match whole {
                true => Verification::Links { silent, alive },
                false => Verification::Ports { roles: self.means.ports.clone(), silent, alive },
            },
        })
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        let cut = match (of, &self.cut) {
            (Written::Bound(fault), _) => {
                // The side that it takes comes first.
                let mut names = fault.nodes.clone();
                let links = fault.verification.disturbed();
                for name in links.iter().flat_map(|(from, to)| [from, to]) {
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
                Cut::of_links(links, &names)
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
        let CutMeans { how, ports, clients } = self.means.clone();
        let ports = Choice::several(ports);
        Some(FaultOptions::Partition(PartitionOptions {
            cut: Some(cut),
            how,
            ports,
            clients,
            ..PartitionOptions::default()
        }))
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
        format!("partition {}: {sides}{}", self.shape, self.means.words())
    }
}

/// Every directed link between this number of nodes.
pub(crate) fn links(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes).flat_map(move |from| (0..nodes).filter(move |to| *to != from).map(move |to| (from, to)))
}

impl CutMeans {
    /// One injection for each node that must not hear another one.
    fn drops(&self, view: &ClusterView, cut: &[(usize, usize)]) -> Result<Vec<(String, Injection)>, Unresolved> {
        let mut drops = Vec::new();
        for to in 0..view.nodes.len() {
            let senders: Vec<usize> = cut.iter().filter(|link| link.1 == to).map(|(from, _)| *from).collect();
            let from = dropped(view, to, &senders);
            if from.is_empty() {
                continue;
            }
            let injection = if self.how == CutHow::Drop && self.ports.is_empty() {
                Injection::Drop { from }
            } else {
                let packets = PacketMatch::From { senders: from, ports: role_ports(view, &self.ports)? };
                Injection::Packet { packets, effect: PacketEffect::Cut(self.how) }
            };
            drops.push((view.name(to), injection));
        }
        Ok(drops)
    }

    /// The injections that cut clients from these nodes.
    fn cut_clients(&self, view: &ClusterView, side: &[usize]) -> Result<Vec<(String, Injection)>, Unresolved> {
        let nodes: Vec<IpAddr> = view.nodes.iter().flat_map(NodeView::addresses).collect();
        let one = |position: &usize| {
            let node = &view.nodes[*position];
            let ports = node.ports_of(&[CLIENT_ROLE.to_owned()])?;
            let packets = PacketMatch::Clients { nodes: nodes.clone(), to: node.addresses(), ports };
            Ok((node.name.clone(), Injection::Packet { packets, effect: PacketEffect::Cut(self.how) }))
        };
        side.iter().map(one).collect()
    }
}

/// The ports of these roles on any node; none if no role is named.
pub(crate) fn role_ports(view: &ClusterView, roles: &[String]) -> Result<Vec<u16>, Unresolved> {
    let mut ports = Vec::new();
    for node in view.nodes.iter().filter(|_| !roles.is_empty()) {
        ports.extend(node.ports_of(roles)?);
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The addresses of these senders that the receiver can do without: not its own (every host with containers has the same
/// bridge address), and not those of a node that it must hear. If such an address is a way between them, the proof sees it.
pub(crate) fn dropped(view: &ClusterView, to: usize, senders: &[usize]) -> Vec<IpAddr> {
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
pub(crate) fn no_shared_address(view: &ClusterView) -> Result<(), Unresolved> {
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
