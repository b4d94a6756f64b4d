//! Kill: SIGKILL for the target's processes on some nodes; the heal starts them again.
use crate::aim::Aim;
use crate::facts::{ColourFamily, FaultFacts, Leaves, NodeNeeds, VerifiedBy};
use crate::options::SymbolicFault;
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
}

/// The reason why a kill is not in force on a node. Its words have one home: agents write them into the record
/// ([`KillProblem::not_running`], [`KillProblem::processes`]), and judges read them back ([`KillProblem::read`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillProblem {
    /// The service had no process before the kill.
    NotRunning,
    /// The service has processes after the kill.
    RunsAgain,
}

impl KillProblem {
    const NOT_RUNNING: &str = "it does not run, so there is nothing to kill";
    const PROCESSES: &str = ": processes [";

    /// The refusal to kill a service without a process.
    pub fn not_running(service: &str) -> String {
        format!("service {service}: {}", Self::NOT_RUNNING)
    }

    /// The processes of a service after the kill. None is left where the kill is in force.
    pub fn processes(service: &str, pids: &[u32]) -> String {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        format!("service {service}{}{}]", Self::PROCESSES, pids.join(", "))
    }

    /// The problem that a detail of a kill in the record states.
    pub fn read(detail: &str) -> Option<KillProblem> {
        let runs =
            || detail.match_indices(Self::PROCESSES).any(|(at, words)| !detail[at + words.len()..].starts_with(']'));
        match detail.contains(Self::NOT_RUNNING) {
            true => Some(KillProblem::NotRunning),
            false => runs().then_some(KillProblem::RunsAgain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_back_as_it_was_written() {
        let on_n1 = |detail: String| KillProblem::read(&format!("not in force on n1: {detail}"));
        assert_eq!(on_n1(KillProblem::not_running("db")), Some(KillProblem::NotRunning));
        assert_eq!(on_n1(KillProblem::processes("db", &[12, 13])), Some(KillProblem::RunsAgain));
        let one_of_two = format!("{}; {}", KillProblem::processes("a", &[]), KillProblem::processes("b", &[7]));
        assert_eq!(on_n1(one_of_two), Some(KillProblem::RunsAgain));
        assert_eq!(on_n1(KillProblem::processes("db", &[])), None);
        assert_eq!(KillProblem::read("n1: connection lost"), None);
    }
}
