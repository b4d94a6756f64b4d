//! What kill and pause share: a fault of the target's services on some nodes. Each node gets one injection, which its own agent
//! verifies.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::FaultFacts;
use crate::fault::{ClusterView, ResolvedFault, Unresolved};
use crate::options::{AgentPaths, FaultDefinition, FaultOptions, FaultSource, Symbolic, SymbolicFault, Written};
use crate::protocol::Injection;
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;

/// A kind of fault of the target's services. Its name in Rust is the first part of the schema's name of its options.
pub trait ServiceKind: schemars::JsonSchema + Sized + 'static {
    /// The facts of the kind.
    const FACTS: FaultFacts;
    /// The nodes if the plan names none.
    const AIM: Aim;
    /// The injection on each node.
    fn injection(services: Vec<String>) -> Injection;
    /// The fault as one of all kinds.
    fn symbolic(fault: ServiceFault<Self>) -> SymbolicFault;
    /// The options as those of one of all kinds.
    fn options(options: ServiceOptions<Self>) -> FaultOptions;
}

/// Options of a fault of the target's services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, bound = "K: ServiceKind")]
#[schemars(rename = "{K}Options", bound = "K: ServiceKind")]
pub struct ServiceOptions<K> {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K: ServiceKind> Default for ServiceOptions<K> {
    fn default() -> Self {
        ServiceOptions { nodes: Choice::one(K::AIM), lasts: None, kind: PhantomData }
    }
}

impl<K: ServiceKind> FaultDefinition for ServiceOptions<K> {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn named_nodes(&self) -> Vec<String> {
        crate::aim::named(self.nodes.items())
    }

    fn silences_all(&self) -> bool {
        self.nodes.items().contains(&Aim::All)
    }

    fn leader_words(&self) -> Vec<String> {
        crate::aim::leader_words(self.nodes.items())
    }

    fn leaderless(&mut self) {}

    fn named_faults(&self) -> Vec<String> {
        crate::aim::named_faults(self.nodes.items())
    }

    fn together(&mut self) -> Result<(), String> {
        crate::aim::take_together(&mut self.nodes)
    }

    fn agent_paths(&self) -> AgentPaths {
        AgentPaths::NotNeeded
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn FaultSource>, String> {
        Ok(Box::new(ServiceSource::<K> { aims: Bag::of(self.nodes.items().to_vec()), nodes, kind: PhantomData }))
    }
}

struct ServiceSource<K> {
    aims: Bag<Aim>,
    nodes: usize,
    kind: PhantomData<K>,
}

impl<K: ServiceKind> FaultSource for ServiceSource<K> {
    fn draw(&mut self, rng: &mut Rng) -> SymbolicFault {
        let aim = self.aims.draw(rng).unwrap_or(K::AIM);
        K::symbolic(ServiceFault { nodes: aim.draw(rng, self.nodes), kind: PhantomData })
    }
}

/// One fault of services with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ServiceFault<K> {
    /// Which nodes.
    pub nodes: PlannedAim,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K: ServiceKind> Symbolic for ServiceFault<K> {
    fn describe(&self) -> String {
        format!("{} {}", K::FACTS.name, self.nodes.words())
    }

    fn aims_at_leader(&self) -> bool {
        self.nodes.at_leader()
    }

    fn needs_leader(&self) -> bool {
        self.nodes.needs_leader()
    }

    fn turn_to_leader(&mut self) -> bool {
        self.nodes.turn_to_leader()
    }

    fn resolve(&self, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
        self.nodes.resolve(view, K::FACTS.name, "", |node| K::injection(node.services.clone()))
    }

    fn written(&self, of: Written<'_>) -> Option<FaultOptions> {
        let options = ServiceOptions::<K> { nodes: self.nodes.written(of)?, lasts: None, kind: PhantomData };
        Some(K::options(options))
    }
}
