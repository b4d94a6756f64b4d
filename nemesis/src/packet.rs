//! Packet: packets between nodes are lost, late, doubled, damaged, out of order, too large or too many, or a link flaps.
//!
//! Receivers apply it, so that one direction of a link alone can be taken. Packets of the control node are never taken.
mod exactly;
mod loss;

use crate::aim::{Aim, PlannedAim, unknown_node};
use crate::bag::Bag;
use crate::budget::Taken;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::fault::{ClusterView, Link, ResolvedFault, Unresolved, Verification, noted};
use crate::options::{AgentPaths, FaultDefinition, FaultSource, Symbolic, SymbolicFault};
use crate::partition::{dropped, links, no_shared_address, role_ports};
use crate::protocol::{Injection, PacketEffect, PacketMatch, ability};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every packet fault.
pub const FACTS: FaultFacts = FaultFacts {
    name: "packet",
    doc: "Disturbs packets between nodes: loss, every_nth, duplicate, corrupt, rate, mtu, delay, reorder, flap.",
    needs: NodeNeeds::everywhere(&[ability::ROOT, ability::NFT, ability::NFT_TIMEOUT]),
    verified_by: VerifiedBy::Packets,
    leaves: Leaves::OtherNodes,
    // A slow or lossy network need not move the leadership.
    may_move_leader: false,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Devices,
};

/// Options of the packet fault. Of several effects, each fault has one; each comes before any comes again. Without any:
/// `loss`, `duplicate`, `delay` and `reorder`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PacketOptions {
    /// Percent of the packets that are lost, or `{percent, burst}`.
    pub loss: Option<Loss>,
    /// Every n-th packet is lost.
    pub every_nth: Option<u32>,
    /// Percent of the packets that arrive twice.
    pub duplicate: Option<f64>,
    /// Percent of the packets in which one byte is changed. The target gets them as they are where the network card has checked
    /// the checksum, which is stronger than what most networks do.
    pub corrupt: Option<f64>,
    /// Bandwidth in kilobits a second, up to 100000; what is beyond it is lost.
    pub rate: Option<u64>,
    /// Packets larger than this number of bytes (68 to 1400) are lost, and the sender hears nothing of it.
    pub mtu: Option<u32>,
    /// Every packet is late.
    pub delay: Option<Delay>,
    /// Some packets are overtaken by later ones.
    pub reorder: Option<Reorder>,
    /// The link goes down and up.
    pub flap: Option<Flap>,
    /// Which nodes, or several choices to draw from. Left out, and without `link`: a minority.
    pub nodes: Option<Choice<Aim>>,
    /// Packets to these nodes (`in`), from them (`out`), or both.
    pub direction: Direction,
    /// One directed link instead of `nodes`.
    pub link: Option<LinkAim>,
    /// Takes only packets of these port roles of the recipe, such as `peer`: one or a list. Left out: all packets.
    pub ports: Option<Choice<String>>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

/// How many packets are lost.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Loss {
    /// Percent, each packet for itself.
    Percent(f64),
    /// Several packets in a row are lost.
    Bursts(LossBursts),
}

/// Losses that come together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LossBursts {
    /// Percent of the packets that are lost, in the mean.
    pub percent: f64,
    /// Mean number of packets that are lost in a row: at least 2.
    pub burst: u32,
}

/// How late packets are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// In the mean: at most 10s.
    pub mean: Span,
    /// Each packet is late by the mean plus or minus up to this. Packets may then overtake each other.
    #[serde(default)]
    pub jitter: Span,
}

/// How many packets are overtaken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// Percent of the packets that are held back.
    pub percent: f64,
    /// How long they are held back: at most 10s.
    pub by: Span,
}

/// When the link is down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// From one time that it goes down to the next: 50ms to 1s.
    pub period: Span,
    /// How long it is down in each period.
    pub down: Span,
}

/// The direction of packets, seen from the fault's nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// To the nodes.
    In,
    /// From the nodes.
    Out,
    /// To and from them.
    #[default]
    Both,
}

/// A directed link in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkAim {
    /// The name of the node that sends.
    pub from: String,
    /// The name of the node that receives.
    pub to: String,
}

const LONGEST_US: u64 = 10_000_000;
const MTU_MAX: u32 = 1400;
const MTU_MIN: u32 = 68;
const RATE_MAX_KBIT: u64 = 100_000;
const FLAP_MS: std::ops::RangeInclusive<u64> = 50..=1000;

impl PacketOptions {
    /// The effects to draw from, with a seed of zero; or the first mistake.
    fn effects(&self) -> Result<Vec<PacketEffect>, String> {
        let mut effects = Vec::new();
        match &self.loss {
            Some(Loss::Percent(percent)) => effects.push(PacketEffect::Loss { permille: permille("loss", *percent)? }),
            Some(Loss::Bursts(LossBursts { percent, burst })) => {
                let permille = permille("loss", *percent)?;
                if *burst < 2 || permille > 900 {
                    return Err("loss: a burst has at least 2 packets, and bursts lose at most 90 percent".to_owned());
                }
                effects.push(PacketEffect::Bursts { permille, mean: *burst, seed: 0 });
            }
            None => {}
        }
        if let Some(n) = self.every_nth {
            let few = "every_nth: 2 to 100 packets";
            effects.push(
                (2..=100)
                    .contains(&n)
                    .then_some(PacketEffect::EveryNth { n })
                    .ok_or_else(|| format!("{few}, not {n}"))?,
            );
        }
        if let Some(percent) = self.duplicate {
            effects.push(PacketEffect::Duplicate { permille: permille("duplicate", percent)? });
        }
        if let Some(percent) = self.corrupt {
            effects.push(PacketEffect::Corrupt { permille: permille("corrupt", percent)? });
        }
        if let Some(kbit) = self.rate {
            if !(8..=RATE_MAX_KBIT).contains(&kbit) {
                return Err(format!("rate: 8 to {RATE_MAX_KBIT} kilobits a second, not {kbit}"));
            }
            effects.push(PacketEffect::Rate { bytes_per_second: kbit * 125 });
        }
        if let Some(bytes) = self.mtu {
            if !(MTU_MIN..=MTU_MAX).contains(&bytes) {
                return Err(format!("mtu: {MTU_MIN} to {MTU_MAX} bytes, not {bytes}"));
            }
            effects.push(PacketEffect::TooBig { bytes });
        }
        effects.extend(self.held()?);
        Ok(if effects.is_empty() { default_effects() } else { effects })
    }

    /// The effects of a queue.
    fn held(&self) -> Result<Vec<PacketEffect>, String> {
        let mut effects = Vec::new();
        if let Some(Delay { mean, jitter }) = &self.delay {
            let (mean_us, jitter_us) = (micros("delay", *mean)?, jitter.0.as_micros());
            let jitter_us = u64::try_from(jitter_us).ok().filter(|jitter_us| *jitter_us <= mean_us);
            let jitter_us = jitter_us.ok_or("delay: the jitter is at most the mean")?;
            effects.push(PacketEffect::Delay { mean_us, jitter_us, seed: 0 });
        }
        if let Some(Reorder { percent, by }) = &self.reorder {
            let (permille, by_us) = (permille("reorder", *percent)?, micros("reorder", *by)?);
            if permille > 500 {
                return Err("reorder: at most 50 percent can be held back, else there is none to overtake".to_owned());
            }
            effects.push(PacketEffect::Reorder { permille, by_us, seed: 0 });
        }
        if let Some(Flap { period, down }) = &self.flap {
            let (period_ms, down_ms) = (period.as_millis(), down.as_millis());
            if !FLAP_MS.contains(&period_ms) || down_ms < 20 || down_ms + 20 > period_ms {
                return Err(format!(
                    "flap: a period of {} to {} ms, in which the link is down and up for 20 ms at least",
                    FLAP_MS.start(),
                    FLAP_MS.end()
                ));
            }
            effects.push(PacketEffect::Flap { period_ms, down_ms });
        }
        Ok(effects)
    }

    fn roles(&self) -> Vec<String> {
        self.ports.iter().flat_map(|ports| ports.items().to_vec()).collect()
    }
}

fn default_effects() -> Vec<PacketEffect> {
    vec![
        PacketEffect::Loss { permille: 200 },
        PacketEffect::Duplicate { permille: 100 },
        PacketEffect::Delay { mean_us: 100_000, jitter_us: 20_000, seed: 0 },
        PacketEffect::Reorder { permille: 250, by_us: 20_000, seed: 0 },
    ]
}

fn permille(option: &str, percent: f64) -> Result<u32, String> {
    match (percent * 10.0).round() {
        permille @ 10.0..=1000.0 => Ok(permille as u32),
        _ => Err(format!("{option}: 1 to 100 percent, not {percent}")),
    }
}

fn micros(option: &str, span: Span) -> Result<u64, String> {
    let micros = u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX);
    match micros {
        1_000..=LONGEST_US => Ok(micros),
        _ => Err(format!("{option}: 1ms to 10s, not {span}")),
    }
}

impl FaultDefinition for PacketOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn aims(&self) -> Vec<Aim> {
        self.nodes.as_ref().map_or_else(|| vec![Aim::Minority], |nodes| nodes.items().to_vec())
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        self.nodes.as_mut()
    }

    fn named_nodes(&self) -> Vec<String> {
        match &self.link {
            Some(LinkAim { from, to }) => vec![from.clone(), to.clone()],
            None => crate::aim::named(&self.aims()),
        }
    }

    fn silences_all(&self) -> bool {
        let hard = |effect: &PacketEffect| match effect {
            PacketEffect::Loss { permille } => *permille >= 500,
            PacketEffect::EveryNth { .. } | PacketEffect::Duplicate { .. } | PacketEffect::Reorder { .. } => false,
            _ => true,
        };
        let all = self.link.is_none() && self.aims().iter().any(|aim| matches!(aim, Aim::All | Aim::Majority));
        all && self.effects().is_ok_and(|effects| effects.iter().any(hard))
    }

    fn agent_paths(&self) -> AgentPaths {
        AgentPaths::OneWay
    }

    fn port_roles(&self) -> Vec<(&'static str, String)> {
        self.roles().into_iter().map(|role| ("ports", role)).collect()
    }

    fn more_needs(&self) -> Vec<&'static str> {
        needs_of(&self.effects().unwrap_or_default())
    }

    fn contradictions(&self) -> Vec<String> {
        let twice = self.link.is_some() && self.nodes.is_some();
        let twice = twice.then(|| "link: and nodes: name one of them".to_owned());
        let alone = self.link.as_ref().filter(|link| link.from == link.to);
        let alone = alone.map(|link| format!("link: from and to are both {}", link.to));
        twice.into_iter().chain(alone).collect()
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        if nodes < 2 {
            return Err(format!("a packet fault needs at least two nodes, the cluster has {nodes}"));
        }
        Ok(Box::new(PacketSource {
            effects: Bag::of(self.effects()?),
            aims: Bag::of(self.aims()),
            link: self.link.clone(),
            direction: self.direction,
            ports: self.roles(),
            nodes,
        }))
    }
}

struct PacketSource {
    effects: Bag<PacketEffect>,
    aims: Bag<Aim>,
    link: Option<LinkAim>,
    direction: Direction,
    ports: Vec<String>,
    nodes: usize,
}

impl FaultSource for PacketSource {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let effect = self.effects.draw(rng).unwrap_or(PacketEffect::Loss { permille: 200 });
        let effect = effect.seeded(rng.between(0, u64::MAX - 1));
        let aim = self.aims.draw(rng).unwrap_or(Aim::Minority);
        SymbolicFault::Packet(PacketFault {
            effect,
            nodes: aim.draw(rng, self.nodes),
            direction: self.direction,
            link: self.link.clone(),
            ports: self.ports.clone(),
        })
    }
}

/// One packet fault with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketFault {
    /// What happens to the packets.
    pub effect: PacketEffect,
    /// The nodes; a link stands instead of them.
    pub nodes: PlannedAim,
    /// The direction, seen from the nodes.
    pub direction: Direction,
    /// One directed link.
    #[serde(default)]
    pub link: Option<LinkAim>,
    /// Port roles; none: all packets.
    #[serde(default)]
    pub ports: Vec<String>,
}

impl PacketFault {
    /// The words behind the nodes.
    fn end(&self) -> String {
        let ports =
            if self.ports.is_empty() { String::new() } else { format!(", only ports {}", self.ports.join(" ")) };
        let direction = match (&self.link, self.direction) {
            (None, Direction::In) => ", to them",
            (None, Direction::Out) => ", from them",
            _ => "",
        };
        format!("{direction}{ports}")
    }

    /// The directed links that it takes, as positions, and the nodes at which it is aimed.
    fn bind(&self, view: &ClusterView) -> Result<BoundLinks, Unresolved> {
        let all = links(view.nodes.len());
        if let Some(LinkAim { from, to }) = &self.link {
            let position = |name: &String| {
                let found = view.nodes.iter().position(|node| node.name == *name);
                found.ok_or_else(|| Unresolved(unknown_node(name, &view.names().collect::<Vec<_>>())))
            };
            let link = (position(from)?, position(to)?);
            return Ok(BoundLinks { aimed: vec![link.1], taken: vec![link], note: None });
        }
        let bound = self.nodes.bind(view)?;
        let is_aimed = |node: &usize| bound.positions.contains(node);
        let taken = all.filter(|(from, to)| match self.direction {
            Direction::In => is_aimed(to),
            Direction::Out => is_aimed(from),
            Direction::Both => is_aimed(from) || is_aimed(to),
        });
        Ok(BoundLinks { taken: taken.collect(), note: bound.note, aimed: bound.positions })
    }
}

struct BoundLinks {
    aimed: Vec<usize>,
    taken: Vec<(usize, usize)>,
    note: Option<String>,
}

/// Abilities of a node that these effects need.
fn needs_of(effects: &[PacketEffect]) -> Vec<&'static str> {
    let mut needs = vec![ability::NFT_PACKET];
    if effects.iter().any(PacketEffect::is_queued) {
        needs.push(ability::NFQUEUE);
    }
    needs
}

impl Symbolic for PacketFault {
    fn takes(&self, view: &ClusterView) -> Result<Taken, Unresolved> {
        let BoundLinks { aimed, taken, .. } = self.bind(view)?;
        Ok(Taken { nodes: aimed.into_iter().collect(), cut: taken.into_iter().collect() })
    }

    fn more_needs(&self) -> Vec<&'static str> {
        needs_of(std::slice::from_ref(&self.effect))
    }

    fn describe(&self) -> String {
        let place = match &self.link {
            Some(LinkAim { from, to }) => format!("{from} to {to}"),
            None => self.nodes.words(),
        };
        format!("packet {} {place}{}", self.effect.words(), self.end())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        if self.link.is_some() { Vec::new() } else { vec![&self.nodes] }
    }

    fn mistakes(&self, resolved: &ResolvedFault, _: Span) -> Vec<String> {
        let drawn = exactly::options(self).and_then(|options| options.draws(resolved.nodes.len().max(2)).err());
        drawn.into_iter().collect()
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        no_shared_address(view)?;
        let bound = self.bind(view)?;
        let ports = role_ports(view, &self.ports)?;
        let mut injections = Vec::new();
        for to in 0..view.nodes.len() {
            let from: Vec<usize> = bound.taken.iter().filter(|link| link.1 == to).map(|(from, _)| *from).collect();
            let senders = dropped(view, to, &from);
            if !senders.is_empty() {
                let packets = PacketMatch::From { senders, ports: ports.clone() };
                // Else the same packets would meet the same fate on each node.
                let effect = self.effect.clone().of_node(to);
                injections.push((view.name(to), Injection::Packet { packets, effect }));
            }
        }
        let named = |(from, to): (usize, usize)| -> Link { (view.name(from), view.name(to)) };
        let others = links(view.nodes.len()).filter(|link| !bound.taken.contains(link)).map(named).collect();
        let names = view.join(&bound.aimed);
        let place = match (&self.link, &self.nodes.aim) {
            (Some(LinkAim { from, to }), _) => format!("{from} to {to}"),
            (None, Aim::Node(_) | Aim::Nodes(_)) => names,
            (None, aim) => format!("{aim}: {names}"),
        };
        Ok(ResolvedFault {
            what: noted(format!("packet {} {place}{}", self.effect.words(), self.end()), bound.note),
            kind: FACTS.name,
            nodes: bound.aimed.iter().map(|position| view.name(*position)).collect(),
            cut: Vec::new(),
            injections,
            verification: Verification::Packets {
                effect: self.effect.clone(),
                taken: bound.taken.iter().copied().map(named).collect(),
                others,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view() -> ClusterView {
        let mut view = ClusterView::of(3, &["n2"]);
        for node in &mut view.nodes {
            node.ports = vec![2379, 2380];
            node.port_roles = [("client".to_owned(), 2379), ("peer".to_owned(), 2380)].into();
        }
        view
    }

    fn options(json: serde_json::Value) -> PacketOptions {
        serde_json::from_value(json).expect("options")
    }

    fn resolved(json: serde_json::Value, seed: u64) -> ResolvedFault {
        let mut source = options(json).draws(3).expect("three nodes");
        source.draw(&mut Rng::new(seed, "packet", 0)).resolve(&view()).expect("resolved")
    }

    /// The senders whose packets each node takes, and the ports.
    fn taken(fault: &ResolvedFault) -> Vec<(String, Vec<String>, Vec<u16>)> {
        let one = |(node, injection): &(String, Injection)| match injection {
            Injection::Packet { packets: PacketMatch::From { senders, ports }, .. } => {
                let last = |address: &std::net::IpAddr| format!("n{}", &address.to_string()[7..]);
                (node.clone(), senders.iter().map(last).collect(), ports.clone())
            }
            other => panic!("{other:?}"),
        };
        fault.injections.iter().map(one).collect()
    }

    #[test]
    fn each_direction_takes_its_links_and_no_others() {
        let words = |from: &str| from.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let of = |direction: &str| {
            taken(&resolved(json!({"loss": 30, "nodes": "leader", "direction": direction}), 1))
                .into_iter()
                .map(|(node, senders, _)| (node, senders))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("in"), [("n2".to_owned(), words("n1 n3"))]);
        assert_eq!(of("out"), [("n1".to_owned(), words("n2")), ("n3".to_owned(), words("n2"))]);
        assert_eq!(
            of("both"),
            [("n1".to_owned(), words("n2")), ("n2".to_owned(), words("n1 n3")), ("n3".to_owned(), words("n2"))]
        );
    }

    #[test]
    fn a_link_is_directed_and_a_role_has_its_ports() {
        let fault = resolved(
            json!({"delay": {"mean": "50ms", "jitter": "5ms"}, "link": {"from": "n3", "to": "n1"}, "ports": "peer"}),
            4,
        );
        assert_eq!(taken(&fault), [("n1".to_owned(), vec!["n3".to_owned()], vec![2380])]);
        assert_eq!(fault.what, "packet delay 50ms +-5ms n3 to n1, only ports peer");
        let Verification::Packets { taken, others, .. } = &fault.verification else { panic!("{fault:?}") };
        assert_eq!((taken.len(), others.len(), fault.cut.len()), (1, 5, 0));
    }

    #[test]
    fn every_effect_comes_and_a_seed_is_a_seed() {
        let mut source = PacketOptions::default().draws(5).expect("five nodes");
        let mut rng = Rng::new(3, "packet", 0);
        let mut words: Vec<String> = (0..4).map(|_| source.draw(&mut rng).describe()).collect();
        words.sort();
        let begins =
            ["packet delay 100ms +-20ms", "packet duplicate 10 %", "packet loss 20 %", "packet reorder 25 % by 20ms"];
        assert!(words.iter().zip(begins).all(|(words, begin)| words.starts_with(begin)), "{words:?}");
        let delay = json!({"delay": {"mean": "10ms"}});
        assert_eq!(resolved(delay.clone(), 5), resolved(delay.clone(), 5));
        assert_ne!(resolved(delay.clone(), 5).injections[0].1, resolved(delay, 6).injections[0].1);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_option() {
        for (wrong, said) in [
            (json!({"loss": 0}), "loss: 1 to 100 percent, not 0"),
            (json!({"loss": {"percent": 10, "burst": 1}}), "loss: a burst has at least 2 packets"),
            (json!({"every_nth": 1}), "every_nth: 2 to 100 packets, not 1"),
            (json!({"mtu": 1500}), "mtu: 68 to 1400 bytes, not 1500"),
            (json!({"rate": 4}), "rate: 8 to 100000 kilobits a second, not 4"),
            (json!({"delay": {"mean": "0s"}}), "delay: 1ms to 10s, not 0"),
            (json!({"delay": {"mean": "5ms", "jitter": "6ms"}}), "delay: the jitter is at most the mean"),
            (json!({"reorder": {"percent": 60, "by": "5ms"}}), "reorder: at most 50 percent"),
            (json!({"flap": {"period": "2s", "down": "1s"}}), "flap: a period of 50 to 1000 ms"),
            (json!({"loss": 5, "nodes": "all", "link": {"from": "n1", "to": "n2"}}), "link: and nodes: name one"),
            (json!({"loss": 5, "link": {"from": "n1", "to": "n1"}}), "link: from and to are both n1"),
        ] {
            let options = options(wrong.clone());
            let said_now: Vec<String> = options.draws(9).err().into_iter().chain(options.contradictions()).collect();
            let said_now = said_now.join("; ");
            assert!(said_now.starts_with(said), "{wrong}: {said_now}");
        }
        assert!(options(json!({})).contradictions().is_empty());
    }
}
