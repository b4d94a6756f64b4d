//! [`InForce`]: the faults in force now, so that each is judged by its own effect alone: links that another fault cuts and
//! services that another fault holds say nothing about it.
use super::links::OpenPaths;
use dsfuzz_nemesis::ResolvedFault;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::Injection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a fault does to the services that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// They have no process.
    Dead,
    /// Their processes stand still.
    Still,
    /// Their clocks are wrong.
    Clock,
    /// Something else.
    Other,
}

impl Hold {
    pub(super) fn of(injection: &Injection) -> Hold {
        match injection {
            Injection::Kill { .. } | Injection::LosePower { .. } | Injection::DamageDisk { .. } => Hold::Dead,
            Injection::Pause { .. } => Hold::Still,
            other if other.facts().changes_clock => Hold::Clock,
            _ => Hold::Other,
        }
    }
}

impl Hold {
    /// Whether it ends with the processes.
    fn is_of_processes(self) -> bool {
        matches!(self, Hold::Still | Hold::Clock)
    }
}

/// A fault in force, or about to be.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) fault: Arc<ResolvedFault>,
    pub(super) open: Arc<OpenPaths>,
    /// It was verified to be in force.
    proven: bool,
    /// A later fault ended the processes that it held, so that nothing after that is its effect.
    overtaken: bool,
}

impl Held {
    fn holds(&self, node: &str, service: &str) -> Option<Hold> {
        let of = |(on, injection): &&(String, Injection)| {
            on == node && injection.services().is_some_and(|services| services.iter().any(|name| name == service))
        };
        self.fault.injections.iter().find(of).map(|(_, injection)| Hold::of(injection))
    }
}

/// The faults in force by id.
#[derive(Default)]
pub(super) struct InForce(Mutex<InForceState>);

#[derive(Default)]
struct InForceState {
    faults: BTreeMap<u64, Held>,
    changes: u64,
}

impl InForce {
    fn state(&self) -> MutexGuard<'_, InForceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the fault may be in force.
    pub(super) fn enter(&self, id: u64, name: String, fault: Arc<ResolvedFault>, open: Arc<OpenPaths>) {
        let mut state = self.state();
        state.changes += 1;
        state.faults.insert(id, Held { name, fault, open, proven: false, overtaken: false });
    }

    /// From now on it is gone.
    pub(super) fn leave(&self, id: u64) {
        let mut state = self.state();
        state.changes += 1;
        state.faults.remove(&id);
    }

    /// A number that grows with each fault that comes or goes.
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Notes that the fault was verified to be in force.
    pub(super) fn proven(&self, id: u64) {
        if let Some(held) = self.state().faults.get_mut(&id) {
            held.proven = true;
        }
    }

    /// Whether a later fault has ended what this one held.
    pub(super) fn is_overtaken(&self, id: u64) -> bool {
        self.state().faults.get(&id).is_some_and(|held| held.overtaken)
    }

    /// The proven faults whose processes this one is about to end, each once.
    pub(super) fn overtakes(&self, id: u64, fault: &ResolvedFault) -> Vec<(u64, Held)> {
        let kills = fault.injections.iter().filter(|(_, injection)| Hold::of(injection) == Hold::Dead);
        let kills: Vec<(&String, &[String])> =
            kills.filter_map(|(node, injection)| Some((node, injection.services()?))).collect();
        let mut overtaken = Vec::new();
        for (other, held) in self.state().faults.iter_mut().filter(|(other, held)| **other != id && !held.overtaken) {
            let ends = kills.iter().any(|(node, services)| {
                services.iter().any(|service| held.holds(node, service).is_some_and(Hold::is_of_processes))
            });
            if ends {
                held.overtaken = true;
                if held.proven {
                    overtaken.push((*other, held.clone()));
                }
            }
        }
        overtaken
    }

    /// Links that other faults cut or are about to cut.
    pub(super) fn cut_by_others(&self, id: u64) -> BTreeSet<Link> {
        let state = self.state();
        let others = state.faults.iter().filter(|(other, _)| **other != id);
        others.flat_map(|(_, held)| held.fault.cut.iter().cloned()).collect()
    }

    /// Links on which other faults do something to packets, or are about to.
    pub(super) fn disturbed_by_others(&self, id: u64) -> BTreeSet<Link> {
        let state = self.state();
        let others = state.faults.iter().filter(|(other, _)| **other != id);
        others.flat_map(|(_, held)| held.fault.verification.disturbed().to_vec()).collect()
    }

    /// The other faults that do something to packets on one of these links, by name.
    pub(super) fn cutters(&self, id: u64, links: &BTreeSet<Link>) -> Vec<String> {
        let state = self.state();
        let others = state.faults.iter().filter(|(other, _)| **other != id);
        let cuts =
            others.filter(|(_, held)| held.fault.verification.disturbed().iter().any(|link| links.contains(link)));
        cuts.map(|(_, held)| held.name.clone()).collect()
    }

    /// The other faults that hold a service on a node, by name.
    pub(super) fn holders(&self, id: u64, node: &str, service: &str) -> Vec<(String, Hold)> {
        let state = self.state();
        let others = state.faults.iter().filter(|(other, _)| **other != id);
        others.filter_map(|(_, held)| Some((held.name.clone(), held.holds(node, service)?))).collect()
    }

    /// Whether another fault changes a clock on this node.
    pub(super) fn other_clock(&self, id: u64, node: &str) -> bool {
        let state = self.state();
        let mut others = state.faults.iter().filter(|(other, _)| **other != id);
        others.any(|(_, held)| {
            held.fault.injections.iter().any(|(on, injection)| on == node && injection.facts().changes_clock)
        })
    }
}
