//! What kill and pause share: a fault of the target's services on some nodes, one injection on each, which the node's own
//! agent verifies.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::facts::FaultFacts;
use crate::fault::{ResolvedFault, Unresolved, View};
use crate::options::{AgentPaths, Draws, Fault, Symbolic, SymbolicFault};
use crate::protocol::Injection;
use dsfuzz_chance::Chance;
use dsfuzz_span::Span;
use std::marker::PhantomData;

/// Options of a kind of fault that takes the target's services on some nodes.
pub(crate) trait ServiceOptions {
    /// The nodes where the plan says nothing.
    const AIM: Aim;
    /// Which nodes.
    fn nodes(&self) -> &Choice<Aim>;
    /// How long, where the plan says so.
    fn lasts(&self) -> Option<Span>;
    /// One fault on these nodes.
    fn fault(nodes: PlannedAim) -> SymbolicFault;
}

impl<O: ServiceOptions + 'static> Fault for O {
    fn lasts(&self) -> Option<Span> {
        self.lasts()
    }

    fn named_nodes(&self) -> Vec<String> {
        crate::aim::named(self.nodes().items())
    }

    fn silences_all(&self) -> bool {
        self.nodes().items().contains(&Aim::All)
    }

    fn leader_words(&self) -> Vec<String> {
        crate::aim::leader_words(self.nodes().items())
    }

    fn leaderless(&mut self) {}

    fn agent_paths(&self) -> AgentPaths {
        AgentPaths::NotNeeded
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn Draws>, String> {
        Ok(Box::new(ServiceDraws::<O> { aims: Bag::of(self.nodes().items().to_vec()), nodes, options: PhantomData }))
    }
}

struct ServiceDraws<O> {
    aims: Bag<Aim>,
    nodes: usize,
    options: PhantomData<O>,
}

impl<O: ServiceOptions> Draws for ServiceDraws<O> {
    fn draw(&mut self, chance: &mut Chance) -> SymbolicFault {
        let aim = self.aims.draw(chance).unwrap_or(O::AIM);
        O::fault(aim.draw(chance, self.nodes))
    }
}

/// One fault of services with its draws made.
pub(crate) trait ServiceFault {
    /// The facts of its kind.
    const FACTS: FaultFacts;
    /// Which nodes.
    fn nodes(&self) -> &PlannedAim;
    /// Which nodes, to be changed.
    fn nodes_mut(&mut self) -> &mut PlannedAim;
    /// What the agent of each node does to its services.
    fn injection(services: Vec<String>) -> Injection;
}

impl<F: ServiceFault> Symbolic for F {
    fn describe(&self) -> String {
        format!("{} {}", F::FACTS.name, self.nodes().words())
    }

    fn aims_at_leader(&self) -> bool {
        self.nodes().at_leader()
    }

    fn turn_to_leader(&mut self) -> bool {
        self.nodes_mut().turn_to_leader()
    }

    fn resolve(&self, view: &View) -> Result<ResolvedFault, Unresolved> {
        self.nodes().resolve(view, F::FACTS.name, "", |node| F::injection(node.services.clone()))
    }
}
