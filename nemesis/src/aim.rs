//! [`Aim`]: the nodes that a fault takes, as in a plan. [`PlannedAim`]: the same with its draws made.
mod most;
mod same_as;
mod voters;

pub use same_as::{BoundRole, SameAs};

use crate::choice::Choice;
use crate::fault::{ClusterView, NodeView, ResolvedFault, Unresolved, Verification, noted};
use crate::options::Written;
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
    /// Fewer than half of the voters, at least one; how many is drawn.
    Minority,
    /// The smallest majority of the voters.
    Majority,
    /// Every member that votes.
    Voters,
    /// Every member that does not vote.
    Learners,
    /// As many voters as may be lost: one more stops the cluster.
    Spare,
    /// The fewest voters whose loss stops the cluster.
    QuorumLoss,
    /// Every node.
    All,
    /// The leader of the moment.
    Leader,
    /// One node that does not lead.
    Follower,
    /// Every node that does not lead.
    Followers,
    /// The node that led last and does not lead now.
    ExLeader,
    /// The node of this name.
    Node(String),
    /// The nodes of these names, together.
    Nodes(Vec<String>),
    /// The nodes of another fault of the schedule.
    SameAs(SameAs),
    /// The first nodes of these, each node once.
    First(FirstOf),
}

/// The first `first` nodes of those that the aims `of` name, in their order, each node once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstOf {
    /// The number of nodes.
    pub first: usize,
    /// Aims without a draw.
    pub of: Vec<Aim>,
}

/// [`FirstOf::first`] where all nodes of the aims are meant.
const ALL_OF: usize = usize::MAX;

const WORDS: &[(&str, Aim)] = &[
    ("one", Aim::One),
    ("minority", Aim::Minority),
    ("majority", Aim::Majority),
    ("voters", Aim::Voters),
    ("learners", Aim::Learners),
    ("spare", Aim::Spare),
    ("quorum-loss", Aim::QuorumLoss),
    ("all", Aim::All),
    ("leader", Aim::Leader),
    ("follower", Aim::Follower),
    ("followers", Aim::Followers),
    ("ex-leader", Aim::ExLeader),
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
    /// Whether it can be every node.
    pub(crate) fn may_be_all(&self) -> bool {
        matches!(self, Aim::All | Aim::Voters)
    }

    /// Makes the draws.
    pub fn draw(&self, rng: &mut Rng, nodes: usize) -> PlannedAim {
        let order = NodeOrder::draw(rng, nodes, *self == Aim::Leader);
        let count = match self {
            Aim::One | Aim::Leader | Aim::Follower | Aim::ExLeader | Aim::Node(_) => 1,
            Aim::Minority => rng.between(1, minority_max(nodes) as u64) as usize,
            Aim::Majority => majority_min(nodes),
            Aim::All | Aim::Voters | Aim::Learners | Aim::Spare | Aim::QuorumLoss => nodes,
            Aim::Followers => nodes.saturating_sub(1),
            Aim::Nodes(names) => names.len(),
            Aim::SameAs(_) => nodes,
            Aim::First(FirstOf { first, .. }) => *first,
        };
        PlannedAim { aim: self.clone(), count, order }
    }

    /// Whether only the roles of the moment say which nodes it takes.
    pub fn needs_leader(&self) -> bool {
        match self {
            Aim::Leader | Aim::Follower | Aim::Followers | Aim::ExLeader => true,
            Aim::First(FirstOf { of, .. }) => of.iter().any(Aim::needs_leader),
            _ => false,
        }
    }

    /// Whether it has nodes only where the target is asked for its members.
    pub fn needs_members(&self) -> bool {
        match self {
            Aim::Learners => true,
            Aim::First(FirstOf { of, .. }) => of.iter().any(Aim::needs_members),
            _ => false,
        }
    }

    /// Whether the seed decides which nodes it takes.
    pub fn is_drawn(&self) -> bool {
        match self {
            Aim::One | Aim::Minority | Aim::Majority | Aim::Follower | Aim::Spare | Aim::QuorumLoss => true,
            Aim::First(FirstOf { of, .. }) => of.iter().any(Aim::is_drawn),
            _ => false,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aim::Node(name) => f.write_str(name),
            Aim::Nodes(names) => f.write_str(&names.join(" ")),
            Aim::SameAs(same) => write!(f, "same as {same}"),
            Aim::First(FirstOf { first, of }) => {
                let names: Vec<String> = of.iter().map(Aim::to_string).collect();
                match *first == ALL_OF {
                    true => f.write_str(&names.join(" and ")),
                    false => write!(f, "first {first} of {}", names.join(" ")),
                }
            }
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
            Aim::Nodes(names) => serializer.collect_map([("nodes", names)]),
            Aim::SameAs(same) => serializer.collect_map([("same_as", same)]),
            Aim::First(first) => first.serialize(serializer),
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
                write!(f, "{}, a node's name, or {{nodes: [names]}}", words().join(", "))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Aim, E> {
                Ok(Aim::from(text))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Aim, A::Error> {
                const KEYS: &[&str] = &["node", "nodes", "same_as", "first", "of"];
                let key = map.next_key::<String>()?;
                if let Some(first) = key.as_deref().filter(|key| ["first", "of"].contains(key)) {
                    return first_of(first == "first", map);
                }
                let aim = match key.as_deref() {
                    Some("same_as") => Aim::SameAs(map.next_value()?),
                    Some("node") => Aim::Node(map.next_value()?),
                    Some("nodes") => together(map.next_value()?).map_err(de::Error::custom)?,
                    Some(other) => return Err(de::Error::unknown_field(other, KEYS)),
                    None => return Err(de::Error::missing_field("node")),
                };
                match map.next_key::<String>()? {
                    None => Ok(aim),
                    Some(other) => Err(de::Error::custom(format!("{other}: a second key beside the nodes"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The rest of a map whose first key is `first` or `of`.
fn first_of<'de, A: de::MapAccess<'de>>(is_number: bool, mut map: A) -> Result<Aim, A::Error> {
    let (mut first, mut of): (Option<usize>, Option<Vec<Aim>>) = (None, None);
    match is_number {
        true => first = Some(map.next_value()?),
        false => of = Some(map.next_value()?),
    }
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "first" => first = Some(map.next_value()?),
            "of" => of = Some(map.next_value()?),
            other => return Err(de::Error::unknown_field(other, &["first", "of"])),
        }
    }
    let first = first.ok_or_else(|| de::Error::missing_field("first"))?;
    let of = of.ok_or_else(|| de::Error::missing_field("of"))?;
    if first == 0 || of.is_empty() {
        return Err(de::Error::custom("first: at least one node of at least one aim"));
    }
    if let Some(drawn) = of.iter().find(|aim| aim.is_drawn() || matches!(aim, Aim::First(_))) {
        return Err(de::Error::custom(format!("of: {drawn} has no order; name nodes, leader, ex-leader or followers")));
    }
    Ok(Aim::First(FirstOf { first, of }))
}

/// The nodes of these names, together.
fn together(names: Vec<String>) -> Result<Aim, String> {
    if names.is_empty() {
        return Err("nodes: an empty list: name at least one".to_owned());
    }
    match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        Some((_, twice)) => Err(format!("nodes: {twice} stands there twice")),
        None => Ok(Aim::Nodes(names)),
    }
}

fn words() -> Vec<&'static str> {
    aim_words().collect()
}

impl JsonSchema for Aim {
    fn schema_name() -> Cow<'static, str> {
        "Aim".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = format!(
            "Which nodes: {}, a node's name, {{node: name}}, several together, {{nodes: [names]}}, the first ones of several, \
             {{first: 2, of: [leader, n1, n2]}}, or those of another fault of the schedule, {{same_as: id}} or \
             {{same_as: id.leader}}. In a schedule a list means all of them.",
            words().join(", ")
        );
        json_schema!({
            "description": description,
            "anyOf": [
                {"enum": words()},
                {"type": "string", "description": "A node's name."},
                {
                    "type": "object",
                    "properties": {"node": {"type": "string"}},
                    "required": ["node"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {"nodes": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true}},
                    "required": ["nodes"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {"same_as": {"type": "string"}},
                    "required": ["same_as"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {"first": {"type": "integer", "minimum": 1}, "of": {"type": "array", "minItems": 1}},
                    "required": ["first", "of"],
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
            Aim::One | Aim::Minority | Aim::Majority => format!("{}: {}", self.aim, self.order.words(self.count)),
            Aim::Spare | Aim::QuorumLoss if self.order.leader_first => format!("{}: leader first", self.aim),
            Aim::Spare | Aim::QuorumLoss => format!("{}: first of {}", self.aim, self.order.words(self.count)),
            aim => aim.to_string(),
        }
    }

    /// Whether it takes the leader.
    pub fn at_leader(&self) -> bool {
        let first = |aim: &Aim| matches!(aim, Aim::First(FirstOf { of, .. }) if of.contains(&Aim::Leader));
        self.order.leader_first || first(&self.aim)
    }

    /// Whether only the roles of the moment say which nodes it takes.
    pub fn needs_leader(&self) -> bool {
        self.at_leader() || self.aim.needs_leader()
    }

    /// Makes the leader one of its nodes, if the plan left the choice open. Returns whether it did.
    pub fn turn_to_leader(&mut self) -> bool {
        let open = matches!(self.aim, Aim::One | Aim::Minority | Aim::Majority | Aim::Spare | Aim::QuorumLoss);
        self.order.leader_first |= open;
        open
    }

    /// The nodes' positions in the view, sorted.
    pub fn bind(&self, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        let mut bound = self.bind_in_order(&self.aim, view)?;
        let count = voters::counted(&self.aim, self.count, &mut bound, view)?;
        bound.positions.truncate(count);
        bound.positions.sort_unstable();
        Ok(bound)
    }

    fn bind_in_order(&self, aim: &Aim, view: &ClusterView) -> Result<BoundOrder, Unresolved> {
        match aim {
            Aim::Node(name) => named_positions(view, std::slice::from_ref(name)),
            Aim::Nodes(names) => named_positions(view, names),
            Aim::SameAs(same) => named_positions(view, &same.names(view)?),
            Aim::ExLeader => former_leader(view),
            Aim::Follower | Aim::Followers => self.order.bind_followers(view),
            Aim::Leader => {
                let order = NodeOrder { leader_first: true, ..self.order.clone() };
                let mut bound = order.bind(view)?;
                bound.positions.truncate(1);
                Ok(bound)
            }
            Aim::Learners => {
                let mut bound = self.order.bind(view)?;
                voters::learners(&mut bound, view)?;
                Ok(bound)
            }
            Aim::One | Aim::Minority | Aim::Majority | Aim::All | Aim::Voters | Aim::Spare | Aim::QuorumLoss => {
                self.order.bind(view)
            }
            Aim::First(FirstOf { of, .. }) => {
                let mut whole = BoundOrder { positions: Vec::new(), note: None };
                for aim in of {
                    let mut bound = self.bind_in_order(aim, view)?;
                    if *aim == Aim::Voters {
                        voters::over_voters(aim, &mut bound, view);
                    }
                    whole.note = whole.note.or(bound.note);
                    for position in bound.positions {
                        if !whole.positions.contains(&position) {
                            whole.positions.push(position);
                        }
                    }
                }
                Ok(whole)
            }
        }
    }

    /// The same aim at these nodes.
    pub(crate) fn bound_to(self, nodes: &[String]) -> PlannedAim {
        let order = NodeOrder { leader_first: false, ..self.order };
        PlannedAim { aim: of_names(nodes), count: nodes.len(), order }
    }

    /// The nodes as a plan writes them; none if no aim without a draw takes them.
    pub(crate) fn written(&self, of: Written<'_>) -> Option<Choice<Aim>> {
        let names = match of {
            Written::Bound(fault) => return Some(Choice::one(of_names(&fault.nodes))),
            Written::Planned(names) => names,
        };
        let in_order = self.order.positions.iter().map(|position| names.get(*position).cloned());
        let in_order: Vec<String> = in_order.collect::<Option<_>>()?;
        let aim = match &self.aim {
            Aim::One | Aim::Minority | Aim::Majority if self.order.leader_first && self.count == 1 => Aim::Leader,
            Aim::One | Aim::Minority | Aim::Majority if self.order.leader_first => {
                let of = std::iter::once(Aim::Leader).chain(in_order.into_iter().map(Aim::Node));
                Aim::First(FirstOf { first: self.count, of: of.collect() })
            }
            Aim::One | Aim::Minority | Aim::Majority => of_names(&in_order[..self.count.min(in_order.len())]),
            // How many it takes is known when it begins.
            Aim::Follower | Aim::Spare | Aim::QuorumLoss => return None,
            aim => aim.clone(),
        };
        Some(Choice::one(aim))
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
            Aim::Node(_) | Aim::Nodes(_) => format!("{kind} {how}{names}"),
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

fn named_positions(view: &ClusterView, names: &[String]) -> Result<BoundOrder, Unresolved> {
    let position = |name: &String| view.names().position(|known| known == name);
    let position =
        |name| position(name).ok_or_else(|| Unresolved(unknown_node(name, &view.names().collect::<Vec<_>>())));
    Ok(BoundOrder { positions: names.iter().map(position).collect::<Result<_, _>>()?, note: None })
}

/// A drawn node cannot stand in for it: no draw makes a node that led before.
fn former_leader(view: &ClusterView) -> Result<BoundOrder, Unresolved> {
    match view.former_leaders.first() {
        Some(name) => named_positions(view, std::slice::from_ref(name)),
        None => Err(Unresolved("ex-leader: no node is known that led before and does not lead now".to_owned())),
    }
}

/// The nodes of these names.
fn of_names(names: &[String]) -> Aim {
    match names {
        [name] => Aim::Node(name.clone()),
        names => Aim::Nodes(names.to_vec()),
    }
}

/// Makes a list of aims one choice: all of them.
pub(crate) fn take_together(nodes: &mut Choice<Aim>) -> Result<(), String> {
    let aims = nodes.items();
    if aims.len() > 1 {
        if let Some(drawn) = aims.iter().find(|aim| aim.is_drawn()) {
            return Err(format!("nodes: a list in a schedule means all of them, and {drawn} is drawn: write it alone"));
        }
        let name = |aim: &Aim| if let Aim::Node(name) = aim { Some(name.clone()) } else { None };
        let names: Option<Vec<String>> = aims.iter().map(name).collect();
        let all = || Ok(Aim::First(FirstOf { first: ALL_OF, of: aims.to_vec() }));
        *nodes = Choice::one(names.map_or_else(all, together)?);
    }
    Ok(())
}

/// The names among these aims.
pub(crate) fn named(aims: &[Aim]) -> Vec<String> {
    let names = |aim: &Aim| match aim {
        Aim::Node(name) => vec![name.clone()],
        Aim::Nodes(names) => names.clone(),
        Aim::First(FirstOf { of, .. }) => named(of),
        _ => Vec::new(),
    };
    aims.iter().flat_map(names).collect()
}

/// The other faults among these aims, as `same_as` names them.
pub(crate) fn named_faults(aims: &[Aim]) -> Vec<String> {
    let ids = |aim: &Aim| match aim {
        Aim::SameAs(same) => vec![same.to_string()],
        Aim::First(FirstOf { of, .. }) => named_faults(of),
        _ => Vec::new(),
    };
    aims.iter().flat_map(ids).collect()
}

/// The plan's words for the leader, and for nodes that only a leader defines, among these aims.
pub(crate) fn leader_words(aims: &[Aim]) -> Vec<String> {
    aims.iter().filter(|aim| aim.needs_leader()).map(|aim| format!("nodes: {aim}")).collect()
}

/// The words for aims, as a plan writes them.
pub(crate) fn aim_words() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|(word, _)| *word)
}

/// The error for a name that no node has.
pub(crate) fn unknown_node(name: &str, names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let known = names.join(", ");
    match aim_words().any(|word| word == name) {
        // Such as `{node: leader}`.
        true => {
            format!("nodes: no node is called {name} ({known}); the aim is written `nodes: {name}`, without `node`")
        }
        false => format!("nodes: {name} is neither a node ({known}) nor one of {}", words().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(leaders: &[&str], former: &[&str]) -> ClusterView {
        let former_leaders = former.iter().map(|name| (*name).to_owned()).collect();
        ClusterView { former_leaders, ..ClusterView::of(5, leaders) }
    }

    fn aim(json: serde_json::Value) -> Aim {
        serde_json::from_value(json).expect("an aim")
    }

    fn bind(aim: &Aim, seed: u64, view: &ClusterView) -> Result<(Vec<usize>, bool), Unresolved> {
        let bound = aim.draw(&mut Rng::new(seed, "aim", 0), 5).bind(view)?;
        Ok((bound.positions, bound.note.is_some()))
    }

    #[test]
    fn followers_are_the_nodes_that_do_not_lead() {
        let mut drawn = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let view = view(&["n2"], &["n4"]);
            assert_eq!(bind(&Aim::Followers, seed, &view), Ok((vec![0, 2, 3, 4], false)));
            let (one, noted) = bind(&Aim::Follower, seed, &view).expect("a follower");
            assert!(one.len() == 1 && one != [1] && !noted, "seed {seed}: {one:?}");
            drawn.insert(one[0]);
            assert_eq!(bind(&Aim::ExLeader, seed, &view), Ok((vec![3], false)));
        }
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 2, 3, 4], "each follower is drawn by some seed");
    }

    #[test]
    fn without_a_leader_a_drawn_node_stands_in_but_none_for_a_former_leader() {
        for seed in 0..50 {
            let (all, noted) = bind(&Aim::Followers, seed, &view(&[], &["n1"])).expect("followers");
            assert_eq!((all.len(), noted), (4, true));
            assert_eq!(
                bind(&Aim::ExLeader, seed, &view(&["n2"], &[])).map_err(|why| why.0.contains("ex-leader")),
                Err(true)
            );
        }
        assert!(bind(&Aim::Follower, 1, &view(&["n1", "n2", "n3", "n4", "n5"], &[])).is_err());
    }

    #[test]
    fn nodes_taken_together_are_bound_in_the_plans_order() {
        let together = aim(json!({"nodes": ["n3", "n1"]}));
        assert_eq!(serde_json::to_value(&together).expect("written"), json!({"nodes": ["n3", "n1"]}));
        assert_eq!(bind(&together, 1, &view(&[], &[])), Ok((vec![0, 2], false)));
        assert_eq!(together.draw(&mut Rng::new(1, "aim", 0), 5).words(), "n3 n1");
        assert!(bind(&aim(json!({"nodes": ["n3", "n9"]})), 1, &view(&[], &[])).is_err());
        assert_eq!(named(&[together, Aim::Node("n4".to_owned())]), ["n3", "n1", "n4"]);
        for wrong in
            [json!({"nodes": []}), json!({"nodes": ["n1", "n1"]}), json!({"node": "n1", "nodes": ["n2"]}), json!({})]
        {
            assert!(serde_json::from_value::<Aim>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
