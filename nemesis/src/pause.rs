//! Pause: stops the target's processes on some nodes without their notice; the heal lets them go on.
use crate::aim::{Aim, PlannedAim};
use crate::bag::Bag;
use crate::choice::Choice;
use crate::fault::{ResolvedFault, Unresolved, View};
use crate::options::{Draws, Fault, FaultDoc, Symbolic, SymbolicFault};
use crate::protocol::Injection;
use crate::span::Span;
use dsfuzz_chance::Chance;
use serde::{Deserialize, Serialize};

/// For listings.
pub const DOC: FaultDoc = FaultDoc {
    name: "pause",
    doc: "Stops the target's processes on some nodes without their notice and lets them go on at the end.",
};

/// Options of the pause fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// How long. Left out: what the nemesis says.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for PauseOptions {
    fn default() -> PauseOptions {
        PauseOptions { nodes: Choice::one(Aim::One), lasts: None }
    }
}

impl Fault for PauseOptions {
    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn named_nodes(&self) -> Vec<String> {
        crate::aim::named(self.nodes.items())
    }

    fn aims_at_all(&self) -> bool {
        self.nodes.items().contains(&Aim::All)
    }

    fn leader_words(&self) -> Vec<String> {
        crate::aim::leader_words(self.nodes.items())
    }

    fn draws(&self, nodes: usize) -> Result<Box<dyn Draws>, String> {
        Ok(Box::new(PauseDraws { aims: Bag::of(self.nodes.items().to_vec()), nodes }))
    }
}

struct PauseDraws {
    aims: Bag<Aim>,
    nodes: usize,
}

impl Draws for PauseDraws {
    fn draw(&mut self, chance: &mut Chance) -> SymbolicFault {
        let aim = self.aims.draw(chance).unwrap_or(Aim::One);
        SymbolicFault::Pause(PauseFault { nodes: aim.draw(chance, self.nodes) })
    }
}

/// One pause with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseFault {
    /// Which nodes.
    pub nodes: PlannedAim,
}

impl Symbolic for PauseFault {
    fn describe(&self) -> String {
        format!("pause {}", self.nodes.words())
    }

    fn aims_at_leader(&self) -> bool {
        self.nodes.at_leader()
    }

    fn turn_to_leader(&mut self) -> bool {
        self.nodes.turn_to_leader()
    }

    fn resolve(&self, view: &View) -> Result<ResolvedFault, Unresolved> {
        self.nodes.resolve(view, DOC.name, "", |node| Injection::Pause { services: node.services.clone() })
    }
}
