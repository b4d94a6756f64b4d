//! The shared parts of the faults of the target's services on some nodes. Each node gets one injection, which its own agent
//! verifies.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::FaultFacts;
use crate::fault::{ClusterView, ResolvedFault, Unresolved};
use crate::options::{FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::protocol::ability::NodeSize;
use crate::protocol::{Injection, Only, ProcessSelection};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A kind of fault of services, with its options except for nodes and duration.
pub(crate) trait ServiceEffect: Clone + Serialize + DeserializeOwned + 'static {
    /// The facts of the kind.
    const FACTS: FaultFacts;
    /// The nodes if the plan names none.
    const AIM: Aim;
    /// The process of the recipe that it takes alone; none: all.
    fn process(&self) -> Option<&str>;
    /// The effect in words that stand between the fault's name and its nodes; empty if nothing but defaults is set.
    fn describe(&self) -> String;
    /// Whether its nodes are taken one after the other.
    fn rolling(&self) -> bool {
        false
    }
    /// The mistakes of the options for a fault of this duration, one sentence each.
    fn mistakes(&self, _lasts: Span) -> Vec<String> {
        Vec::new()
    }
    /// The injection on a node with these services, which is the first, second, .. node in the drawn order.
    fn injection(&self, services: Vec<String>, at: &NodePlace) -> Injection;
    /// The fault as one of all kinds.
    fn symbolic(fault: ServiceFault<Self>) -> SymbolicFault;
    /// The options of a plan for it.
    fn options(&self, nodes: Choice<Aim>) -> FaultOptions;
    /// Whether it holds a draw that its options do not name.
    fn is_drawn(&self) -> bool {
        false
    }
    /// Abilities of a node that it needs, beside those of the kind.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }
    /// What a node of this size cannot do for it: the ability that carries the size, and a sentence.
    fn beyond(&self, _: &NodeSize) -> Option<(&'static str, String)> {
        None
    }
    /// Whether the processes that it takes serve nothing.
    fn silences(&self) -> bool {
        true
    }
}

/// The place of a node among the nodes of a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodePlace {
    /// In the plan's order, from 0.
    pub in_plan: usize,
    /// In the drawn order, from 0.
    pub drawn: usize,
    /// The number of nodes.
    pub of: usize,
}

/// The options of a fault of services as a plan has them.
pub(crate) trait ServiceOptions: Clone {
    /// The kind.
    type Effect: ServiceEffect;
    /// The nodes, to be changed.
    fn nodes_mut(&mut self) -> &mut Choice<Aim>;
    /// The duration.
    fn lasts(&self) -> Option<Span>;
    /// What a fault does, or several to draw from; never empty.
    fn effects(self) -> Vec<Self::Effect>;
    /// The mistake of options that contradict each other.
    fn contradiction(&self) -> Option<String> {
        None
    }
}

impl<O: ServiceOptions> FaultDefinition for O {
    fn lasts(&self) -> Option<Span> {
        ServiceOptions::lasts(self)
    }

    fn aims(&self) -> Vec<Aim> {
        ServiceOptions::nodes_mut(&mut self.clone()).items().to_vec()
    }

    fn nodes_mut(&mut self) -> Option<&mut Choice<Aim>> {
        Some(ServiceOptions::nodes_mut(self))
    }

    fn named_process(&self) -> Option<String> {
        self.clone().effects().first()?.process().map(str::to_owned)
    }

    fn mistakes(&self, lasts: Span) -> Vec<String> {
        let of_effects = self.clone().effects().into_iter().flat_map(|effect| effect.mistakes(lasts));
        self.contradiction().into_iter().chain(of_effects).collect()
    }

    fn silences_all(&self) -> bool {
        let silences = self.clone().effects().iter().any(|effect| effect.silences() && !effect.rolling());
        silences && self.aims().iter().any(Aim::may_be_all) && self.named_process().is_none()
    }

    fn more_needs(&self) -> Vec<&'static str> {
        self.clone().effects().iter().flat_map(|effect| effect.needs().to_vec()).collect()
    }

    fn beyond(&self, size: &NodeSize) -> Vec<(&'static str, String)> {
        let effects = self.clone().effects();
        let beyond: Vec<_> = effects.iter().filter_map(|effect| effect.beyond(size)).collect();
        if beyond.len() == effects.len() { beyond } else { Vec::new() }
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        let effects = self.clone().effects();
        let first = effects.first().cloned().ok_or("nothing to draw from")?;
        let effects = Some(effects).filter(|effects| effects.len() > 1).map(Bag::of);
        Ok(Box::new(ServiceSource { aims: Bag::of(self.aims()), nodes, first, effects }))
    }
}

struct ServiceSource<E> {
    aims: Bag<Aim>,
    nodes: usize,
    first: E,
    /// Several, of which each comes before any comes again.
    effects: Option<Bag<E>>,
}

impl<E: ServiceEffect> FaultSource for ServiceSource<E> {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let aim = self.aims.draw(rng).unwrap_or(E::AIM);
        let nodes = aim.draw(rng, self.nodes);
        let effect = self.effects.as_mut().and_then(|effects| effects.draw(rng)).unwrap_or_else(|| self.first.clone());
        E::symbolic(ServiceFault { nodes, effect })
    }
}

/// The effects that a plan names, or the default one.
pub(crate) fn named_or_default<E: Default>(named: impl Iterator<Item = E>) -> Vec<E> {
    let named: Vec<E> = named.collect();
    if named.is_empty() { vec![E::default()] } else { named }
}

/// One fault of services with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceFault<E> {
    /// Which nodes.
    pub nodes: PlannedAim,
    /// The other options.
    #[serde(default)]
    pub effect: E,
}

impl<E: ServiceEffect> Symbolic for ServiceFault<E> {
    fn describe(&self) -> String {
        format!("{} {}{}", E::FACTS.name, spaced(&self.effect.describe()), self.nodes.words())
    }

    fn aims(&self) -> Vec<&PlannedAim> {
        vec![&self.nodes]
    }

    fn rolling(&self) -> bool {
        self.effect.rolling()
    }

    fn beyond(&self, size: &NodeSize) -> Vec<(&'static str, String)> {
        self.effect.beyond(size).into_iter().collect()
    }

    fn mistakes(&self, _: &ResolvedFault, lasts: Span) -> Vec<String> {
        self.effect.mistakes(lasts)
    }

    fn turn_to_leader(&mut self) -> bool {
        E::FACTS.may_move_leader && self.nodes.turn_to_leader()
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        let view = &with_process(view, self.effect.process())?;
        let how = spaced(&self.effect.describe());
        let positions = self.nodes.bind(view)?.positions;
        let rank = |position| self.nodes.order.positions.iter().position(|drawn| *drawn == position);
        let mut drawn = positions.clone();
        drawn.sort_by_key(|position| rank(*position));
        let places: BTreeMap<&str, NodePlace> = positions
            .iter()
            .enumerate()
            .map(|(in_plan, position)| {
                let drawn = drawn.iter().position(|other| other == position).unwrap_or(in_plan);
                (view.nodes[*position].name.as_str(), NodePlace { in_plan, drawn, of: positions.len() })
            })
            .collect();
        self.nodes.resolve(view, E::FACTS.name, &how, |node| {
            let alone = NodePlace { in_plan: 0, drawn: 0, of: 1 };
            let place = places.get(node.name.as_str()).copied().unwrap_or(alone);
            self.effect.injection(node.services.clone(), &place)
        })
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        if self.effect.is_drawn() { None } else { Some(self.effect.options(self.nodes.written(of)?)) }
    }
}

fn spaced(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!("{words} ") }
}

/// The view in which every node has this process alone.
fn with_process(view: &ClusterView, process: Option<&str>) -> Result<ClusterView, Unresolved> {
    let mut view = view.clone();
    let Some(process) = process else { return Ok(view) };
    for node in &mut view.nodes {
        node.services.retain(|service| service == process);
    }
    match view.nodes.iter().all(|node| node.services.is_empty()) {
        true => Err(Unresolved(format!("process: no node runs {process}"))),
        false => Ok(view),
    }
}

/// A regular expression for command lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CommandPattern(String);

impl CommandPattern {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for CommandPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CommandPattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(Error::custom("an empty pattern matches every process: leave the key out"));
        }
        match regex_lite::Regex::new(&text) {
            Ok(_) => Ok(CommandPattern(text)),
            Err(error) => Err(Error::custom(format!("not a regular expression: {text}: {error}"))),
        }
    }
}

impl JsonSchema for CommandPattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CommandPattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"title": "a regular expression", "type": "string", "minLength": 1})
    }
}

/// The processes of services that a fault takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TakenProcesses {
    /// The process of the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Its first process, or the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// A pattern of their command lines.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandPattern>,
}

impl TakenProcesses {
    /// In words: `patroni (first)`.
    pub fn describe(&self) -> String {
        let only = self.only.map(|only| only.name().to_owned());
        let command = self.command.as_ref().map(|command| format!("match {}", command.as_str()));
        let narrowed: Vec<String> = only.into_iter().chain(command).collect();
        let narrowed = if narrowed.is_empty() { String::new() } else { format!("({})", narrowed.join(", ")) };
        let words = [self.process.clone().unwrap_or_default(), narrowed];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// For an agent.
    pub fn selection(&self) -> ProcessSelection {
        let command = self.command.as_ref().map(|command| command.as_str().to_owned()).unwrap_or_default();
        ProcessSelection { only: self.only, command, largest: false }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Three draws from a fault as a plan writes it, in words, each once.
    pub(crate) fn drawn(fault: serde_json::Value) -> Vec<String> {
        let options: FaultOptions = serde_json::from_value(fault).expect("options");
        let mut draws = options.draws(3).expect("draws");
        let mut rng = Rng::new(1, options.facts().name, 0);
        let mut words: Vec<String> = (0..3).map(|_| draws.draw(&mut rng).describe()).collect();
        words.sort_unstable();
        words.dedup();
        words
    }
}
