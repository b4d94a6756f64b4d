//! [`NodeBudget`]: how many nodes faults may take together, also while a heal takes long. Drawn faults that overlap leave a quorum of the
//! nodes that vote at the moment; a custom fault takes no more nodes at the same time than its recipe allows.
use dsfuzz_nemesis::protocol::Injection;
use dsfuzz_nemesis::{BesideFault, PlannedFault, ResolvedFault, beyond_quorum};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The faults that began and were not proven to be healed.
#[derive(Default)]
pub(super) struct NodeBudget {
    begun: Mutex<BTreeMap<u64, BesideFault>>,
    /// The most nodes that a custom fault may take at the same time, by its name.
    pub(super) at_once: BTreeMap<String, usize>,
}

impl NodeBudget {
    /// Counts a fault that is about to begin, unless it is a custom fault that would take too many nodes beside others of its name. With
    /// `voters`: also unless it would leave no quorum of them beside the others, or one of its kind has a node of it.
    pub(super) fn take(
        &self,
        planned: &PlannedFault,
        fault: &ResolvedFault,
        voters: Option<&[String]>,
    ) -> Result<(), String> {
        let own = BesideFault { name: planned.name(), fault: fault.clone(), rolling: planned.fault.rolling() };
        self.take_beside(planned.id, own, voters)
    }

    fn take_beside(&self, id: u64, own: BesideFault, voters: Option<&[String]>) -> Result<(), String> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let others: Vec<&BesideFault> = begun.values().collect();
        if let Some(why) = self.beyond_at_once(&own, &others) {
            return Err(why);
        }
        if let Some(voters) = voters {
            let same = |other: &&BesideFault| {
                other.fault.kind == own.fault.kind
                    && other.fault.nodes.iter().any(|node| own.fault.nodes.contains(node))
            };
            if let Some(same) = others.iter().copied().find(same) {
                return Err(format!("fault {} of the same kind is in force on a node of it, or not healed", same.name));
            }
            if let Some(why) = beyond_quorum(&own, &others, voters) {
                return Err(why);
            }
        }
        begun.insert(id, own);
        Ok(())
    }

    /// Why a custom fault may not begin beside others of its name.
    fn beyond_at_once(&self, own: &BesideFault, others: &[&BesideFault]) -> Option<String> {
        let name = custom_name(&own.fault)?;
        let most = *self.at_once.get(name)?;
        let same = others.iter().filter(|other| custom_name(&other.fault) == Some(name));
        let same: Vec<&BesideFault> = same.copied().collect();
        let taken: usize = same.iter().map(|other| at_once(other)).sum();
        let names: Vec<&str> = same.iter().map(|other| other.name.as_str()).collect();
        (taken > 0 && taken + at_once(own) > most).then(|| {
            format!(
                "fault {} is in force, or not healed, and {name} takes at most {most} {} at the same time (`at_once` of the recipe)",
                names.join(", "),
                if most == 1 { "node" } else { "nodes" }
            )
        })
    }

    /// Nothing is left of the fault.
    pub(super) fn give_back(&self, id: u64) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// The number of nodes that a fault takes at the same time.
fn at_once(fault: &BesideFault) -> usize {
    if fault.rolling { 1 } else { fault.fault.nodes.len() }
}

/// The name of a custom fault.
fn custom_name(fault: &ResolvedFault) -> Option<&str> {
    fault.injections.iter().find_map(|(_, injection)| match injection {
        Injection::Own { name, .. } => Some(name.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::Verification;

    fn fault(kind: &'static str, nodes: &[&str], cut: &[(&str, &str)]) -> BesideFault {
        let fault = ResolvedFault {
            what: String::new(),
            kind,
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            cut: cut.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            injections: Vec::new(),
            verification: Verification::State,
        };
        BesideFault { name: format!("{kind}-{}", nodes.join("-")), fault, rolling: false }
    }

    #[test]
    fn voters_are_counted_and_a_node_that_is_not_healed_is_out() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (five, three) = (names(&["n1", "n2", "n3", "n4", "n5"]), names(&["n1", "n2", "n3"]));
        // Two of five nodes may be lost, and one of three voters.
        let kept = NodeBudget::default();
        let take = |id, own, voters: &[String]| kept.take_beside(id, own, Some(voters));
        take(1, fault("kill", &["n1"], &[]), &five).expect("one");
        take(2, fault("pause", &["n2"], &[]), &five).expect("two of five");
        kept.give_back(2);
        let why = take(2, fault("pause", &["n2"], &[]), &three).expect_err("two of three voters");
        assert!(why.contains("beside fault kill-n1 it would leave no quorum of the voters n1 n2 n3"), "{why}");
        // A node without a vote is no loss.
        take(3, fault("pause", &["n4"], &[]), &three).expect("a learner");
        let isolated = fault("partition", &["n3"], &[("n2", "n3"), ("n3", "n2"), ("n1", "n3"), ("n3", "n1")]);
        assert!(take(4, isolated.clone(), &three).is_err(), "n2 alone is left");
        kept.give_back(1);
        take(4, isolated.clone(), &three).expect("n1 and n2 are left");
        // By its own aim it leaves none, as the plan has it.
        take(5, fault("kill", &["n1", "n2"], &[]), &three).expect("not asked");
        // What wears clocks takes no node.
        take(6, fault("clock", &["n1", "n2"], &[]), &three).expect("nodes go on");
    }

    #[test]
    fn a_rolling_fault_takes_its_nodes_alone_and_two_of_a_kind_take_no_node_together() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (five, three) = (names(&["n1", "n2", "n3", "n4", "n5"]), names(&["n1", "n2", "n3"]));
        let rolling = |nodes: &[&str]| BesideFault { rolling: true, ..fault("restart", nodes, &[]) };
        let all = rolling(&["n1", "n2", "n3"]);
        let kept = NodeBudget::default();
        kept.take_beside(1, fault("kill", &["n1"], &[]), Some(&three)).expect("one");
        kept.take_beside(2, all.clone(), Some(&three)).expect_err("n1 and another one");
        kept.take_beside(2, rolling(&["n1"]), Some(&three)).expect("the same node");
        kept.give_back(1);
        kept.give_back(2);
        kept.take_beside(1, all, Some(&three)).expect("alone");
        kept.take_beside(2, fault("kill", &["n1"], &[]), Some(&three)).expect_err("n1 beside another one");
        kept.take_beside(2, fault("kill", &["n1"], &[]), Some(&five)).expect("two of five");
        kept.give_back(1);
        let why = kept.take_beside(3, fault("kill", &["n1", "n2"], &[]), Some(&five)).expect_err("the same kind");
        assert_eq!(why, "fault kill-n1 of the same kind is in force on a node of it, or not healed");
    }

    #[test]
    fn a_custom_fault_takes_no_more_nodes_beside_others_of_its_name_than_it_can() {
        let own = |name: &str, nodes: &[&str]| {
            let mut fault = fault("own", nodes, &[]);
            let (name, commands) = (name.to_owned(), Box::default());
            let injection = Injection::Own { name, services: Vec::new(), commands };
            fault.fault.injections = nodes.iter().map(|node| ((*node).to_owned(), injection.clone())).collect();
            fault
        };
        let at_once = BTreeMap::from([("leave".to_owned(), 1), ("mixed".to_owned(), 2)]);
        let budget = NodeBudget { at_once, ..NodeBudget::default() };
        let take = |id, fault| budget.take_beside(id, fault, None);
        take(1, own("leave", &["n1"])).expect("the first");
        let why = take(2, own("leave", &["n2"])).expect_err("one node at the same time");
        assert_eq!(
            why,
            "fault own-n1 is in force, or not healed, and leave takes at most 1 node at the same time (`at_once` of the recipe)"
        );
        take(3, own("compact", &["n2"])).expect("another fault, without a limit");
        take(4, fault("kill", &["n1", "n2"], &[])).expect("no custom fault");
        budget.give_back(1);
        take(2, own("leave", &["n2"])).expect("the first is healed");
        // A rolling fault takes one node at a time.
        let rolling = BesideFault { rolling: true, ..own("mixed", &["n1", "n2", "n3"]) };
        take(5, rolling).expect("one after the other");
        take(6, own("mixed", &["n2"])).expect("two");
        take(7, own("mixed", &["n3"])).expect_err("three");
    }
}
