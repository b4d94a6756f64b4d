//! Kill: SIGKILL for the target's processes on some nodes; the heal starts them again.
use crate::aim::Aim;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::{FaultOptions, SymbolicFault};
use crate::protocol::{Injection, ability};
use crate::services::{ServiceFault, ServiceKind, ServiceOptions};

/// The facts of every kill.
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

/// The kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
pub struct Kill;

/// Options of the kill fault.
pub type KillOptions = ServiceOptions<Kill>;

/// One kill with its draws made.
pub type KillFault = ServiceFault<Kill>;

impl ServiceKind for Kill {
    const FACTS: FaultFacts = FACTS;
    const AIM: Aim = Aim::Minority;

    fn injection(services: Vec<String>) -> Injection {
        Injection::Kill { services }
    }

    fn symbolic(fault: KillFault) -> SymbolicFault {
        SymbolicFault::Kill(fault)
    }

    fn options(options: KillOptions) -> FaultOptions {
        FaultOptions::Kill(options)
    }
}
