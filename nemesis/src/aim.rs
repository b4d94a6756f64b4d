//! [`Aim`]: the nodes that a fault takes, as in a plan. [`PlannedAim`]: the same with its draws made.
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved, Verification, noted};
use crate::order::{BoundOrder, NodeOrder};
use crate::protocol::Injection;
use dsfuzz_rng::Rng;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;

/// Which nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aim {
    /// One node.
    One,
    /// Fewer than half, at least one; how many is drawn.
    Minority,
    /// The smallest majority.
    Majority,
    /// Every node.
    All,
    /// The leader of the moment.
    Leader,
    /// The node of this name.
    Node(String),
}

const WORDS: &[(&str, Aim)] = &[
    ("one", Aim::One),
    ("minority", Aim::Minority),
    ("majority", Aim::Majority),
    ("all", Aim::All),
    ("leader", Aim::Leader),
];

/// The largest minority of this many nodes, but at least one node: of two, one.
pub fn minority_max(nodes: usize) -> usize {
    (nodes.saturating_sub(1) / 2).max(1)
}

/// The smallest majority of this many nodes.
pub fn majority_min(nodes: usize) -> usize {
    (nodes / 2 + 1).min(nodes)
}

impl Aim {
    /// Makes the draws.
    pub fn draw(&self, rng: &mut Rng, nodes: usize) -> PlannedAim {
        let order = NodeOrder::draw(rng, nodes, *self == Aim::Leader);
        let count = match self {
            Aim::One | Aim::Leader | Aim::Node(_) => 1,
            Aim::Minority => rng.between(1, minority_max(nodes) as u64) as usize,
            Aim::Majority => majority_min(nodes),
            Aim::All => nodes,
        };
        PlannedAim { aim: self.clone(), count, order }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aim::Node(name) => f.write_str(name),
            word => f.write_str(WORDS.iter().find(|(_, aim)| aim == word).map_or("", |(word, _)| word)),
        }
    }
}

impl From<&str> for Aim {
    fn from(text: &str) -> Aim {
        let word = WORDS.iter().find(|(word, _)| *word == text);
        word.map_or_else(|| Aim::Node(text.to_owned()), |(_, aim)| aim.clone())
    }
}

impl Serialize for Aim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // In the form of a map, so that a node named `all` stays a node.
            Aim::Node(name) => serializer.collect_map([("node", name)]),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for Aim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Aim, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Aim;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one, minority, majority, all, leader, or a node's name")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Aim, E> {
                Ok(Aim::from(text))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Aim, A::Error> {
                match map.next_entry::<String, String>()? {
                    Some((key, name)) if key == "node" => match map.next_key::<String>()? {
                        None => Ok(Aim::Node(name)),
                        Some(other) => Err(de::Error::unknown_field(&other, &["node"])),
                    },
                    Some((key, _)) => Err(de::Error::unknown_field(&key, &["node"])),
                    None => Err(de::Error::missing_field("node")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Aim {
    fn schema_name() -> Cow<'static, str> {
        "Aim".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({
            "description": "Which nodes: one, minority, majority, all, leader, a node's name, or {node: name}.",
            "anyOf": [
                {"enum": words},
                {"type": "string", "description": "A node's name."},
                {
                    "type": "object",
                    "properties": {"node": {"type": "string"}},
                    "required": ["node"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// An aim with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAim {
    /// The plan's aim.
    pub aim: Aim,
    /// The number of nodes.
    pub count: usize,
    /// The order of the nodes; the fault takes the first ones.
    pub order: NodeOrder,
}

impl PlannedAim {
    /// In symbols: `minority: #4 #1`, `leader`, `n3`.
    pub fn words(&self) -> String {
        match &self.aim {
            Aim::Leader | Aim::Node(_) | Aim::All => self.aim.to_string(),
            Aim::One | Aim::Minority | Aim::Majority => format!("{}: {}", self.aim, self.order.words(self.count)),
        }
    }

    /// Whether it waits for the leader.
    pub fn at_leader(&self) -> bool {
        self.order.leader_first
    }

    /// Makes the leader one of its nodes, if the plan left the choice open. Returns whether it did.
    pub fn turn_to_leader(&mut self) -> bool {
        let open = matches!(self.aim, Aim::One | Aim::Minority | Aim::Majority);
        self.order.leader_first |= open;
        open
    }

    /// The nodes' positions in the view, sorted.
    pub fn bind(&self, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        if let Aim::Node(name) = &self.aim {
            let position = view.nodes.iter().position(|node| node.name == *name);
            let position = position.ok_or_else(|| Unresolved(unknown_node(name, view.names())))?;
            return Ok(BoundOrder { positions: vec![position], note: None });
        }
        let mut bound = self.order.bind(view)?;
        bound.positions.truncate(self.count);
        bound.positions.sort_unstable();
        Ok(bound)
    }

    /// A fault of one injection on each node's services, which each agent verifies on its own node.
    pub(crate) fn resolve(
        &self,
        view: &ClusterView,
        kind: &'static str,
        how: &str,
        injection: impl Fn(&NodeView) -> Injection,
    ) -> Result<ResolvedFault, Unresolved> {
        let bound = self.bind(view)?;
        let nodes: Vec<&NodeView> = bound.positions.iter().map(|position| &view.nodes[*position]).collect();
        if let Some(bare) = nodes.iter().find(|node| node.services.is_empty()) {
            return Err(Unresolved(format!("{} runs no service of the target: nothing to {kind}", bare.name)));
        }
        let names = view.join(&bound.positions);
        let what = match &self.aim {
            Aim::Node(_) => format!("{kind} {how}{names}"),
            aim => format!("{kind} {how}{aim}: {names}"),
        };
        Ok(ResolvedFault {
            what: noted(what, bound.note),
            kind,
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            cut: Vec::new(),
            injections: nodes.iter().map(|node| (node.name.clone(), injection(node))).collect(),
            verification: Verification::State,
        })
    }
}

/// The names among these aims.
pub(crate) fn named(aims: &[Aim]) -> Vec<String> {
    let name = |aim: &Aim| if let Aim::Node(name) = aim { Some(name.clone()) } else { None };
    aims.iter().filter_map(name).collect()
}

/// The plan's words for the leader among these aims.
pub(crate) fn leader_words(aims: &[Aim]) -> Vec<String> {
    aims.iter().filter(|aim| **aim == Aim::Leader).map(|aim| format!("nodes: {aim}")).collect()
}

/// The error for a name that no node has.
pub(crate) fn unknown_node<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    format!("nodes: {name} is neither a node ({}) nor one of {}", names.join(", "), words.join(", "))
}
