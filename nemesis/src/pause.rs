//! Pause: stops the target's processes on some nodes without their notice; the heal lets them go on.
use crate::aim::{Aim, PlannedAim};
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::SymbolicFault;
use crate::protocol::{Injection, ability};
use crate::services::{ServiceFault, ServiceOptions};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// What holds for every pause.
pub const FACTS: FaultFacts = FaultFacts {
    name: "pause",
    doc: "Freezes the target's processes on some nodes and resumes them at the end.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: true,
    ends_processes: false,
    samples_clocks: false,
    colour: ColourFamily::Stalls,
};

/// Options of the pause fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PauseOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for PauseOptions {
    fn default() -> PauseOptions {
        PauseOptions { nodes: Choice::one(Self::AIM), lasts: None }
    }
}

impl ServiceOptions for PauseOptions {
    const AIM: Aim = Aim::One;

    fn nodes(&self) -> &Choice<Aim> {
        &self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn fault(nodes: PlannedAim) -> SymbolicFault {
        SymbolicFault::Pause(PauseFault { nodes })
    }
}

/// One pause with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseFault {
    /// Which nodes.
    pub nodes: PlannedAim,
}

impl ServiceFault for PauseFault {
    const FACTS: FaultFacts = FACTS;

    fn nodes(&self) -> &PlannedAim {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut PlannedAim {
        &mut self.nodes
    }

    fn injection(services: Vec<String>) -> Injection {
        Injection::Pause { services }
    }
}
