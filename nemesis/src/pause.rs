//! Pause: stops the target's processes on some nodes without their notice; the heal lets them go on.
use crate::aim::Aim;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, ability};
use crate::services::{ServiceFault, ServiceKind, ServiceOptions};

/// The facts of every pause.
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

/// The kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
pub struct Pause;

/// Options of the pause fault.
pub type PauseOptions = ServiceOptions<Pause>;

/// One pause with its draws made.
pub type PauseFault = ServiceFault<Pause>;

impl ServiceKind for Pause {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::One;

    fn injection(services: Vec<String>) -> Injection {
        Injection::Pause { services }
    }

    fn symbolic(fault: PauseFault) -> SymbolicFault {
        SymbolicFault::Pause(fault)
    }

    fn options(options: PauseOptions) -> FaultOptions {
        FaultOptions::Pause(options)
    }
}
