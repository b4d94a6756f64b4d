//! [`InForce`]: the faults in force now, so that each is judged by its own effect alone: links that another fault cuts and
//! services that another fault holds say nothing about it.
use super::links::OpenPaths;
use dsfuzz_checkers::history::Mark;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::protocol::Injection;
use dsfuzz_nemesis::{ResolvedFault, Verification};
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
    /// Some of their processes stand still, or their processes get less of something.
    Processes,
    /// Something else.
    Other,
}

impl Hold {
    pub(super) fn of(injection: &Injection) -> Hold {
        match injection {
            ends if ends.leaves_dead() => Hold::Dead,
            Injection::Pause { .. } => Hold::Still,
            Injection::PauseProcesses { .. }
            | Injection::LimitCpu { .. }
            | Injection::BurnCpu { .. }
            | Injection::LimitResource { .. } => Hold::Processes,
            other if other.facts().changes_clock => Hold::Clock,
            _ => Hold::Other,
        }
    }
}

impl Hold {
    /// Whether an earlier one has no effect beside it: its processes end, or another clock is in force for them.
    fn takes_away(self, earlier: Hold) -> bool {
        match self {
            Hold::Dead => matches!(earlier, Hold::Still | Hold::Clock | Hold::Processes),
            Hold::Clock => earlier == Hold::Clock,
            Hold::Still | Hold::Processes | Hold::Other => false,
        }
    }
}

/// A fault in force, or about to be.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) name: String,
    pub(super) fault: Arc<ResolvedFault>,
    pub(super) open: Arc<OpenPaths>,
    /// Its place in the order of begins.
    since: u64,
    /// It was verified to be in force.
    proven: bool,
    /// A later fault took its effect away, so that nothing after that is its own.
    overtaken: bool,
    /// Its last proof before that.
    last_proof: Option<Mark>,
    /// Its heal has begun, and may have taken its effect away.
    healing: bool,
}

impl Held {
    /// The links that it cuts, whole or some ports of them; none if it cuts none.
    fn cut_links(&self) -> Option<Vec<Link>> {
        let links = match &self.fault.verification {
            Verification::Links { silent, .. } | Verification::Ports { silent, .. } => silent.clone(),
            Verification::Packets { .. } | Verification::State => Vec::new(),
        };
        (!links.is_empty()).then_some(links)
    }

    /// Whether it cuts of a link all that the other fault cuts of it.
    fn cuts(&self, other: &Held, link: &Link) -> bool {
        let ports = |held: &Held| match &held.fault.verification {
            Verification::Ports { roles, .. } => Some(roles.clone()),
            _ => None,
        };
        let covers = match (ports(self), ports(other)) {
            (None, _) => true,
            (Some(mine), Some(its)) => its.iter().all(|role| mine.contains(role)),
            (Some(_), None) => false,
        };
        covers && self.cut_links().is_some_and(|links| links.contains(link))
    }

    fn cuts_some_of(&self, other: &Held, links: &[Link]) -> bool {
        links.iter().any(|link| self.cuts(other, link))
    }

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
    /// Faults whose heal was not verified. Their effects may still be there.
    unhealed: BTreeMap<u64, Held>,
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
        let since = state.changes;
        let (proven, overtaken, last_proof, healing) = Default::default();
        state.faults.insert(id, Held { name, fault, open, since, proven, overtaken, last_proof, healing });
    }

    /// The effects of a fault that were in force before it, by earlier faults: they prove nothing about it. One sentence each. A fault
    /// that is being healed leaves the effect to this one.
    pub(super) fn had_before(&self, id: u64) -> Vec<String> {
        self.had(id, false)
    }

    /// The same of earlier faults that are being healed. Once they are gone, what is left is this fault's own effect.
    pub(super) fn has_of_healing(&self, id: u64) -> Vec<String> {
        self.had(id, true)
    }

    fn had(&self, id: u64, healing: bool) -> Vec<String> {
        let state = self.state();
        let Some(own) = state.faults.get(&id) else { return Vec::new() };
        let earlier = state.faults.values().filter(|held| held.since < own.since && held.healing == healing);
        let earlier: Vec<&Held> = earlier.chain(state.unhealed.values().filter(|_| !healing)).collect();
        let mut sentences = Vec::new();
        for (node, injection) in &own.fault.injections {
            let covers =
                |held: &&&Held| held.fault.injections.iter().any(|(on, other)| on == node && other.covers(injection));
            if let Some(held) = earlier.iter().find(covers) {
                let name = &held.name;
                sentences.push(format!(
                    "{node}: fault {name} had this effect before, so that it proves nothing about this one"
                ));
            }
        }
        if let Some(cut) = own.cut_links() {
            let cutters: Vec<&&Held> = earlier.iter().filter(|held| held.cuts_some_of(own, &cut)).collect();
            if cut.iter().all(|link| cutters.iter().any(|held| held.cuts(own, link))) {
                let names: Vec<&str> = cutters.iter().map(|held| held.name.as_str()).collect();
                let by = names.join(", ");
                sentences.push(format!(
                    "every link was cut before, by fault {by}, so that its silence proves nothing about this one"
                ));
            }
        }
        sentences
    }

    /// From now on it is being healed.
    pub(super) fn heals(&self, id: u64) {
        if let Some(held) = self.state().faults.get_mut(&id) {
            held.healing = true;
        }
    }

    /// Whether an agent would refuse this fault because of another one that is being healed.
    pub(super) fn is_excluded_by_healing(&self, fault: &ResolvedFault) -> bool {
        let excludes = |held: &Held| {
            held.fault.injections.iter().any(|(on, other)| {
                fault.injections.iter().any(|(node, injection)| on == node && other.excludes(injection))
            })
        };
        self.state().faults.values().any(|held| held.healing && excludes(held))
    }

    /// From now on it is gone, if its heal was verified.
    pub(super) fn leave(&self, id: u64, healed: bool) {
        let mut state = self.state();
        state.changes += 1;
        let left = state.faults.remove(&id);
        state.unhealed.extend(left.filter(|_| !healed).map(|held| (id, held)));
    }

    /// The faults whose heal was not verified.
    pub(super) fn unhealed(&self) -> BTreeMap<u64, Held> {
        self.state().unhealed.clone()
    }

    /// The faults that are in force, or whose heal was not verified.
    pub(super) fn not_gone(&self) -> Vec<Held> {
        let state = self.state();
        state.faults.values().chain(state.unhealed.values()).cloned().collect()
    }

    /// Nothing is left of a fault whose heal was not verified.
    pub(super) fn is_gone(&self, id: u64) {
        self.state().unhealed.remove(&id);
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

    /// Notes its last proof before a later fault took its effect away.
    pub(super) fn proven_last(&self, id: u64, proof: Mark) {
        if let Some(held) = self.state().faults.get_mut(&id) {
            held.last_proof = Some(proof);
        }
    }

    /// Its last proof before a later fault took its effect away; none if it was not in force then.
    pub(super) fn last_proof(&self, id: u64) -> Option<Mark> {
        self.state().faults.get(&id)?.last_proof
    }

    /// Whether a later fault has taken this one's effect away.
    pub(super) fn is_overtaken(&self, id: u64) -> bool {
        self.state().faults.get(&id).is_some_and(|held| held.overtaken)
    }

    /// The proven faults whose effect this one is about to take away, each once.
    pub(super) fn overtakes(&self, id: u64, fault: &ResolvedFault) -> Vec<(u64, Held)> {
        let of_services = |(node, injection): &'_ (String, Injection)| {
            Some((node.clone(), Hold::of(injection), injection.services()?.to_vec()))
        };
        let takes: Vec<_> = fault.injections.iter().filter_map(of_services).collect();
        let mut overtaken = Vec::new();
        let open = |(other, held): &(&u64, &mut Held)| **other != id && !held.overtaken && !held.healing;
        for (other, held) in self.state().faults.iter_mut().filter(open) {
            let ends = takes.iter().any(|(node, later, services)| {
                let held = |service: &String| held.holds(node, service);
                services.iter().filter_map(held).any(|earlier| later.takes_away(earlier))
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

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::protocol::{ProcessSelection, ResourceLimit};

    fn on_n1(injection: Injection) -> ResolvedFault {
        ResolvedFault {
            what: String::new(),
            kind: "kill",
            nodes: vec!["n1".to_owned()],
            cut: Vec::new(),
            injections: vec![("n1".to_owned(), injection)],
            verification: Verification::State,
        }
    }

    #[test]
    fn a_fault_that_is_being_healed_had_no_effect_before_and_excludes_others() {
        let in_force = InForce::default();
        let cpu = |percent| Arc::new(on_n1(Injection::LimitCpu { services: vec!["db".to_owned()], percent }));
        let enter = |id, name: &str, fault| in_force.enter(id, name.to_owned(), fault, Arc::default());
        enter(1, "first", cpu(20));
        in_force.proven(1);
        enter(2, "second", cpu(50));
        let before = "n1: fault first had this effect before, so that it proves nothing about this one";
        assert_eq!((in_force.had_before(2), in_force.has_of_healing(2)), (vec![before.to_owned()], Vec::new()));
        assert!(!in_force.is_excluded_by_healing(&cpu(50)));
        in_force.heals(1);
        assert_eq!((in_force.had_before(2), in_force.has_of_healing(2)), (Vec::new(), vec![before.to_owned()]));
        assert!(in_force.is_excluded_by_healing(&cpu(50)));
        let kill = on_n1(Injection::Kill { services: vec!["db".to_owned()] });
        assert!(in_force.overtakes(3, &kill).iter().all(|(id, _)| *id != 1), "its evidence has ended");
        in_force.leave(1, true);
        assert_eq!((in_force.had_before(2), in_force.has_of_healing(2)), (Vec::new(), Vec::new()));
        in_force.leave(2, false);
        enter(4, "fourth", cpu(60));
        assert_eq!(in_force.had_before(4), [before.replace("first", "second")], "its effect may be there");
    }

    #[test]
    fn what_holds_processes_is_verified_once_more_before_a_kill() {
        let services = || vec!["db".to_owned()];
        let limit = ResourceLimit::Descriptors(8);
        let processes = ProcessSelection::default();
        let of_processes = [
            Injection::Pause { services: services() },
            Injection::PauseProcesses { services: services(), processes, picked: Vec::new() },
            Injection::FreezeClock { services: services() },
            Injection::LimitCpu { services: services(), percent: 20 },
            Injection::BurnCpu { services: services(), processes: 2 },
            Injection::LimitResource { services: services(), limit, picked: Vec::new(), groups: Vec::new() },
        ];
        for injection in of_processes {
            let in_force = InForce::default();
            let fault = Arc::new(on_n1(injection.clone()));
            in_force.enter(1, "held".to_owned(), fault, Arc::default());
            in_force.proven(1);
            let elsewhere = on_n1(Injection::Kill { services: vec!["other".to_owned()] });
            assert!(in_force.overtakes(2, &elsewhere).is_empty(), "{injection:?}");
            let kill = on_n1(Injection::Kill { services: services() });
            let overtaken: Vec<u64> = in_force.overtakes(2, &kill).iter().map(|(id, _)| *id).collect();
            assert_eq!(overtaken, [1], "{injection:?}");
            assert!(in_force.is_overtaken(1));
        }
    }
}
