//! [`Cut`]: the sides or links of a partition by name or role. [`PlannedCut`]: the same with its draws made.
use crate::aim::{Aim, PlannedAim, named};
use crate::fault::{ClusterView, Link, Unresolved};
use crate::options::Written;
use dsfuzz_rng::Rng;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// Sides that do not hear each other, such as `[leader, others]`, or directed links, such as `{from: n1, to: [n2, n3]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nodes of different sides do not hear each other. A node on no side hears all.
    Sides(Vec<CutSide>),
    /// Packets in one direction are dropped.
    Links(Vec<CutLinks>),
}

/// The nodes of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutSide {
    /// All nodes that are on no other side.
    Others,
    /// The nodes of these aims, together.
    Aims(Vec<Aim>),
}

/// Links in one direction, from each node to each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutLinks {
    /// The senders.
    pub from: CutSide,
    /// The receivers, which do not hear them.
    pub to: CutSide,
}

impl Serialize for CutSide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CutSide::Others => serializer.serialize_str("others"),
            CutSide::Aims(aims) => match aims.as_slice() {
                [only] => only.serialize(serializer),
                several => several.serialize(serializer),
            },
        }
    }
}

impl<'de> Deserialize<'de> for CutSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CutSide, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = CutSide;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a side: others, a node, a role such as leader, or a list of these")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<CutSide, E> {
                Ok(if text == "others" { CutSide::Others } else { CutSide::Aims(vec![Aim::from(text)]) })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<CutSide, A::Error> {
                Aim::deserialize(MapAccessDeserializer::new(map)).map(|aim| CutSide::Aims(vec![aim]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<CutSide, A::Error> {
                let mut aims = Vec::new();
                while let Some(aim) = seq.next_element::<Aim>()? {
                    aims.push(aim);
                }
                if aims.is_empty() { Err(de::Error::custom("a side without a node")) } else { Ok(CutSide::Aims(aims)) }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl Serialize for Cut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cut::Sides(sides) => sides.serialize(serializer),
            Cut::Links(links) => match links.as_slice() {
                [only] => only.serialize(serializer),
                several => several.serialize(serializer),
            },
        }
    }
}

/// An item of a list: a side, or links.
enum CutItem {
    Side(CutSide),
    Links(CutLinks),
}

impl<'de> Deserialize<'de> for CutItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CutItem, D::Error> {
        // Which of the two a map is stands in its keys.
        let value = serde_json::Value::deserialize(deserializer)?;
        let links = value.as_object().is_some_and(|map| map.contains_key("from") || map.contains_key("to"));
        match links {
            true => serde_json::from_value(value).map(CutItem::Links),
            false => serde_json::from_value(value).map(CutItem::Side),
        }
        .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Cut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cut, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Cut;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("sides such as [leader, others], or links such as {from: n1, to: n2}")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Cut, A::Error> {
                CutLinks::deserialize(MapAccessDeserializer::new(map)).map(|links| Cut::Links(vec![links]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Cut, A::Error> {
                let (mut sides, mut links) = (Vec::new(), Vec::new());
                while let Some(item) = seq.next_element::<CutItem>()? {
                    match item {
                        CutItem::Side(side) => sides.push(side),
                        CutItem::Links(one) => links.push(one),
                    }
                }
                match (sides.len(), links.is_empty()) {
                    (0, false) => Ok(Cut::Links(links)),
                    (0 | 1, true) => Err(de::Error::custom("a cut has two sides or more, such as [leader, others]")),
                    (_, false) => Err(de::Error::custom("sides and links in one cut: use one of the two")),
                    (_, true) if sides.iter().filter(|side| **side == CutSide::Others).count() > 1 => {
                        Err(de::Error::custom("`others` stands there twice: it means all nodes that no other side has"))
                    }
                    (_, true) => Ok(Cut::Sides(sides)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Cut {
    fn schema_name() -> Cow<'static, str> {
        "Cut".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The cut, instead of a shape: sides that do not hear each other, such as [leader, others] or \
                [[n1, n2], n3], or links in one direction, such as {from: n1, to: [n2, n3]}, or a list of such links. A node \
                on no side hears all.",
            "type": ["array", "object"]
        })
    }
}

impl CutSide {
    fn aims(&self) -> &[Aim] {
        match self {
            CutSide::Others => &[],
            CutSide::Aims(aims) => aims,
        }
    }

    fn draw(&self, rng: &mut Rng, nodes: usize) -> PlannedSide {
        match self {
            CutSide::Others => PlannedSide::Others,
            CutSide::Aims(aims) => PlannedSide::Aims(aims.iter().map(|aim| aim.draw(rng, nodes)).collect()),
        }
    }

    fn of_names(names: &[String]) -> CutSide {
        CutSide::Aims(names.iter().cloned().map(Aim::Node).collect())
    }
}

impl Cut {
    /// Every aim in it.
    pub(super) fn aims(&self) -> Vec<Aim> {
        let sides: Vec<&CutSide> = match self {
            Cut::Sides(sides) => sides.iter().collect(),
            Cut::Links(links) => links.iter().flat_map(|links| [&links.from, &links.to]).collect(),
        };
        sides.into_iter().flat_map(CutSide::aims).cloned().collect()
    }

    /// Why it cannot cut anything on this number of nodes, whichever of them lead.
    pub(super) fn mistake(&self, nodes: usize) -> Option<String> {
        match self {
            Cut::Sides(sides) => sides_mistake(sides, nodes),
            Cut::Links(links) => links.iter().find_map(CutLinks::mistake),
        }
    }

    /// Whether it drops packets in one direction alone.
    pub(super) fn may_be_one_way(&self) -> bool {
        matches!(self, Cut::Links(_))
    }

    pub(super) fn draw(&self, rng: &mut Rng, nodes: usize) -> PlannedCut {
        match self {
            Cut::Sides(sides) => PlannedCut::Sides(sides.iter().map(|side| side.draw(rng, nodes)).collect()),
            Cut::Links(links) => {
                let draw = |links: &CutLinks| (links.from.draw(rng, nodes), links.to.draw(rng, nodes));
                PlannedCut::Links(links.iter().map(draw).collect())
            }
        }
    }

    /// The cut of exactly these links: two sides where it has them, else links by sender. The names give the order.
    pub(super) fn of_links(links: &[Link], names: &[String]) -> Cut {
        let mut heard_by: Vec<(&String, Vec<String>)> = Vec::new();
        for name in names {
            let to = links.iter().filter(|(from, _)| from == name).map(|(_, to)| to.clone());
            let mut to: Vec<String> = to.collect();
            to.sort_unstable();
            if !to.is_empty() {
                heard_by.push((name, to));
            }
        }
        let same =
            |one: &[String], other: &[String]| one.len() == other.len() && one.iter().all(|name| other.contains(name));
        // By its receivers: the senders.
        let mut by_receivers: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (from, to) in heard_by {
            match by_receivers.iter_mut().find(|(receivers, _)| *receivers == to) {
                Some((_, senders)) => senders.push(from.clone()),
                None => by_receivers.push((to, vec![from.clone()])),
            }
        }
        match by_receivers.as_slice() {
            [(receivers, senders), (others, back)] if same(receivers, back) && same(others, senders) => {
                Cut::Sides(vec![CutSide::of_names(senders), CutSide::of_names(receivers)])
            }
            groups => {
                let one = |(to, from): &(Vec<String>, Vec<String>)| CutLinks {
                    from: CutSide::of_names(from),
                    to: CutSide::of_names(to),
                };
                Cut::Links(groups.iter().map(one).collect())
            }
        }
    }
}

/// The mistake of sides that share nodes whichever node leads, or that leave no node to another side.
fn sides_mistake(sides: &[CutSide], nodes: usize) -> Option<String> {
    let names = |side: &CutSide| -> BTreeSet<String> { named(side.aims()).into_iter().collect() };
    for (at, side) in sides.iter().enumerate() {
        if side.aims().contains(&Aim::All) {
            return Some("cut: all: a side with all nodes leaves none to the others".to_owned());
        }
        for earlier in &sides[..at] {
            let (one, other) = (names(earlier), names(side));
            let name = one.intersection(&other).next().cloned();
            let same = |aim: &&Aim| !aim.is_drawn() && earlier.aims().contains(aim);
            let role = side.aims().iter().find(same).map(Aim::to_string);
            let within = earlier.aims().contains(&Aim::Followers) && side.aims().contains(&Aim::Follower);
            let follower = within.then(|| Aim::Follower.to_string());
            if let Some(twice) = name.or(role).or(follower) {
                return Some(format!("cut: {twice} is on two sides: a node is on one side at most"));
            }
        }
    }
    let all: BTreeSet<String> = sides.iter().flat_map(names).collect();
    (sides.contains(&CutSide::Others) && all.len() >= nodes)
        .then(|| format!("cut: others: no node is left, since the other sides name all {nodes}"))
}

impl CutLinks {
    /// The mistake of links that lead from a node to itself.
    fn mistake(&self) -> Option<String> {
        let of = |side: &CutSide| -> Vec<Aim> {
            let aims = side.aims().iter().flat_map(|aim| match aim {
                Aim::Nodes(names) => names.iter().cloned().map(Aim::Node).collect(),
                aim => vec![aim.clone()],
            });
            aims.filter(|aim| matches!(aim, Aim::Node(_) | Aim::Leader | Aim::ExLeader)).collect()
        };
        let to = of(&self.to);
        let both = of(&self.from).into_iter().find(|from| to.contains(from))?;
        Some(format!("cut: {both} stands in from and in to: a link leads from one node to another"))
    }
}

/// A [`Cut`] with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedCut {
    /// Sides.
    Sides(Vec<PlannedSide>),
    /// Links, from the first to the second.
    Links(Vec<(PlannedSide, PlannedSide)>),
}

/// A [`CutSide`] with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedSide {
    /// All nodes that are on no other side.
    Others,
    /// The nodes of these aims.
    Aims(Vec<PlannedAim>),
}

/// A cut that is bound to positions of nodes.
pub(super) struct BoundCut {
    /// Directed links, sorted.
    pub(super) links: Vec<(usize, usize)>,
    /// The nodes that it takes: the first side, or the first senders.
    pub(super) side: Vec<usize>,
    /// With the nodes' names: `n1 | n2 n3`.
    pub(super) words: String,
    /// The notes of the binding.
    pub(super) note: Option<String>,
}

impl PlannedSide {
    fn words(&self) -> String {
        match self {
            PlannedSide::Others => "others".to_owned(),
            PlannedSide::Aims(aims) => aims.iter().map(PlannedAim::words).collect::<Vec<_>>().join(" "),
        }
    }

    fn aims(&self) -> &[PlannedAim] {
        match self {
            PlannedSide::Others => &[],
            PlannedSide::Aims(aims) => aims,
        }
    }

    /// The positions that no earlier side has; none of `others`, which come last.
    fn bind(
        &self,
        view: &ClusterView,
        taken: &[usize],
        note: &mut Option<String>,
    ) -> Result<Option<Vec<usize>>, Unresolved> {
        let PlannedSide::Aims(aims) = self else { return Ok(None) };
        let mut positions = Vec::new();
        for aim in aims {
            let bound = aim.bind(view)?;
            *note = note.take().or(bound.note);
            positions.extend(bound.positions.into_iter().filter(|position| !taken.contains(position)));
        }
        positions.sort_unstable();
        positions.dedup();
        match positions.is_empty() {
            true => {
                let aims: Vec<String> = aims.iter().map(|planned| planned.aim.to_string()).collect();
                Err(Unresolved(format!("{}: an earlier side of the cut has these nodes already", aims.join(" "))))
            }
            false => Ok(Some(positions)),
        }
    }
}

fn not_among(view: &ClusterView, taken: &[usize]) -> Result<Vec<usize>, Unresolved> {
    let rest: Vec<usize> = (0..view.nodes.len()).filter(|position| !taken.contains(position)).collect();
    if rest.is_empty() { Err(Unresolved("others: no node is left".to_owned())) } else { Ok(rest) }
}

impl PlannedCut {
    pub(super) fn words(&self) -> String {
        match self {
            PlannedCut::Sides(sides) => sides.iter().map(PlannedSide::words).collect::<Vec<_>>().join(" | "),
            PlannedCut::Links(links) => {
                let one =
                    |(from, to): &(PlannedSide, PlannedSide)| format!("{} not heard by {}", from.words(), to.words());
                links.iter().map(one).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// As a plan writes it; none if no aim without a draw takes its nodes.
    pub(super) fn written(&self, names: &[String]) -> Option<Cut> {
        let side = |side: &PlannedSide| match side {
            PlannedSide::Others => Some(CutSide::Others),
            PlannedSide::Aims(aims) => {
                let written = aims.iter().map(|aim| Some(aim.written(Written::Planned(names))?.items().to_vec()));
                Some(CutSide::Aims(written.collect::<Option<Vec<_>>>()?.concat()))
            }
        };
        Some(match self {
            PlannedCut::Sides(sides) => Cut::Sides(sides.iter().map(side).collect::<Option<_>>()?),
            PlannedCut::Links(links) => {
                let one = |(from, to): &(PlannedSide, PlannedSide)| Some(CutLinks { from: side(from)?, to: side(to)? });
                Cut::Links(links.iter().map(one).collect::<Option<_>>()?)
            }
        })
    }

    pub(super) fn aims(&self) -> impl Iterator<Item = &PlannedAim> {
        let sides: Vec<&PlannedSide> = match self {
            PlannedCut::Sides(sides) => sides.iter().collect(),
            PlannedCut::Links(links) => links.iter().flat_map(|(from, to)| [from, to]).collect(),
        };
        sides.into_iter().flat_map(PlannedSide::aims)
    }

    pub(super) fn bind(&self, view: &ClusterView) -> Result<BoundCut, Unresolved> {
        let mut note = None;
        let (mut links, mut words, mut side) = (Vec::new(), Vec::new(), Vec::new());
        match self {
            PlannedCut::Sides(sides) => {
                let (mut taken, mut bound) = (Vec::new(), Vec::new());
                for side in sides {
                    let positions = side.bind(view, &taken, &mut note)?;
                    taken.extend(positions.iter().flatten());
                    bound.push(positions);
                }
                let rest = |positions: Option<Vec<usize>>| positions.map_or_else(|| not_among(view, &taken), Ok);
                let bound: Vec<Vec<usize>> = bound.into_iter().map(rest).collect::<Result<_, _>>()?;
                for (at, one) in bound.iter().enumerate() {
                    words.push(view.join(one));
                    let others =
                        bound.iter().enumerate().filter(|(other, _)| *other != at).flat_map(|(_, other)| other);
                    links.extend(others.flat_map(|other| one.iter().map(move |from| (*from, *other))));
                }
                side = bound.into_iter().next().unwrap_or_default();
            }
            PlannedCut::Links(all) => {
                for (from, to) in all {
                    let (mut senders, mut receivers) =
                        (from.bind(view, &[], &mut note)?, to.bind(view, &[], &mut note)?);
                    if senders.is_none() {
                        senders = Some(not_among(view, receivers.as_deref().unwrap_or_default())?);
                    }
                    if receivers.is_none() {
                        receivers = Some(not_among(view, senders.as_deref().unwrap_or_default())?);
                    }
                    let (senders, receivers) = (senders.unwrap_or_default(), receivers.unwrap_or_default());
                    words.push(format!("{} not heard by {}", view.join(&senders), view.join(&receivers)));
                    let pairs = senders.iter().flat_map(|from| receivers.iter().map(move |to| (*from, *to)));
                    links.extend(pairs.filter(|(from, to)| from != to));
                    side.extend(senders);
                }
                side.sort_unstable();
                side.dedup();
            }
        }
        links.sort_unstable();
        links.dedup();
        let between = if matches!(self, PlannedCut::Sides(_)) { " | " } else { ", " };
        Ok(BoundCut { links, side, words: words.join(between), note })
    }
}
