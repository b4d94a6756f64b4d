//! Pause: stops the target's processes on some nodes without their notice; the heal lets them go on.
use crate::aim::Aim;
use crate::choice::Choice;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, Only};
use crate::services::{CommandPattern, NodePlace, ServiceEffect, ServiceFault, ServiceOptions, TakenProcesses};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// The facts of every pause.
pub const FACTS: FaultFacts = FaultFacts {
    name: "pause",
    doc: "Freezes the target's processes on some nodes and resumes them at the end.",
    needs: NodeNeeds::everywhere(&[]),
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
    /// The recipe's process that is paused. Left out: all processes of the recipe.
    pub process: Option<String>,
    /// The process that the recipe starts (`first`, such as a supervisor), or the others (`children`). Left out: both.
    pub only: Option<Only>,
    /// A regular expression: only processes with such a command line.
    #[serde(rename = "match")]
    pub command: Option<CommandPattern>,
}

impl Default for PauseOptions {
    fn default() -> PauseOptions {
        PauseOptions { nodes: Choice::one(Pausing::AIM), lasts: None, process: None, only: None, command: None }
    }
}

/// What a pause does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pausing {
    /// The processes.
    #[serde(flatten)]
    pub taken: TakenProcesses,
}

/// One pause with its draws made.
pub type PauseFault = ServiceFault<Pausing>;

impl ServiceOptions for PauseOptions {
    type Effect = Pausing;

    fn nodes_mut(&mut self) -> &mut Choice<Aim> {
        &mut self.nodes
    }

    fn lasts(&self) -> Option<Span> {
        self.lasts
    }

    fn effects(self) -> Vec<Pausing> {
        let PauseOptions { process, only, command, .. } = self;
        vec![Pausing { taken: TakenProcesses { process, only, command } }]
    }
}

impl ServiceEffect for Pausing {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn process(&self) -> Option<&str> {
        self.taken.process.as_deref()
    }

    fn describe(&self) -> String {
        self.taken.describe()
    }

    fn injection(&self, services: Vec<String>, _: &NodePlace) -> Injection {
        match self.taken.selection() {
            all if all.is_all() => Injection::Pause { services },
            processes => Injection::PauseProcesses { services, processes, picked: Vec::new() },
        }
    }

    fn symbolic(fault: PauseFault) -> SymbolicFault {
        SymbolicFault::Pause(fault)
    }

    fn options(&self, nodes: Choice<Aim>) -> FaultOptions {
        let TakenProcesses { process, only, command } = self.taken.clone();
        FaultOptions::Pause(PauseOptions { nodes, lasts: None, process, only, command })
    }
}
