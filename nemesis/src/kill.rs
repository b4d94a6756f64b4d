//! Kill: SIGKILL for the target's processes on some nodes; the heal starts them again.
use crate::aim::{Aim, PlannedAim};
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::SymbolicFault;
use crate::protocol::{Injection, ability};
use crate::services::{ServiceFault, ServiceOptions};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// What holds for every kill.
pub const FACTS: FaultFacts = FaultFacts {
    name: "kill",
    doc: "Kills the target's processes on some nodes with SIGKILL and starts them again at the end.",
    needs: NodeNeeds::everywhere(&[ability::ROOT]),
    verified_by: VerifiedBy::State,
    leaves: Leaves::OtherNodes,
    may_move_leader: true,
    ends_processes: true,
    samples_clocks: false,
    colour: ColourFamily::Processes,
};

/// Options of the kill fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KillOptions {
    /// Which nodes, or several choices to draw from.
    pub nodes: Choice<Aim>,
    /// Duration. Left out: `nemesis.for`.
    #[serde(rename = "for")]
    pub lasts: Option<Span>,
}

impl Default for KillOptions {
    fn default() -> KillOptions {
        KillOptions { nodes: Choice::one(Self::AIM), lasts: None }
    }
}

impl ServiceOptions for KillOptions {
    const AIM: Aim = Aim::Minority;

    fn nodes(&self) -> &Choice<Aim> {
        &self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn fault(nodes: PlannedAim) -> SymbolicFault {
        SymbolicFault::Kill(KillFault { nodes })
    }
}

/// One kill with its draws made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillFault {
    /// Which nodes.
    pub nodes: PlannedAim,
}

impl ServiceFault for KillFault {
    const FACTS: FaultFacts = FACTS;

    fn nodes(&self) -> &PlannedAim {
        &self.nodes
    }

    fn nodes_mut(&mut self) -> &mut PlannedAim {
        &mut self.nodes
    }

    fn injection(services: Vec<String>) -> Injection {
        Injection::Kill { services }
    }
}
