//! [`KeptQuorum`]: drawn faults that overlap leave a quorum of the nodes that vote at the moment, also while a heal takes long.
use dsfuzz_nemesis::{BesideFault, ClusterView, Members, PlannedFault, ResolvedFault, beyond_quorum};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The drawn faults that began and were not proven to be healed.
#[derive(Default)]
pub(super) struct KeptQuorum(Mutex<BTreeMap<u64, BesideFault>>);

impl KeptQuorum {
    /// Counts a fault that is about to begin, unless it would leave no quorum of these voters beside the others, or one of its kind has a
    /// node of it.
    pub(super) fn take(&self, planned: &PlannedFault, fault: &ResolvedFault, voters: &[String]) -> Result<(), String> {
        let own = BesideFault { name: planned.name(), fault: fault.clone(), rolling: planned.fault.rolling() };
        self.take_beside(planned.id, own, voters)
    }

    fn take_beside(&self, id: u64, own: BesideFault, voters: &[String]) -> Result<(), String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others: Vec<&BesideFault> = taken.values().collect();
        let same = |other: &&BesideFault| {
            other.fault.kind == own.fault.kind && other.fault.nodes.iter().any(|node| own.fault.nodes.contains(node))
        };
        if let Some(same) = others.iter().copied().find(same) {
            return Err(format!("fault {} of the same kind is in force on a node of it, or not healed", same.name));
        }
        if let Some(why) = beyond_quorum(&own, &others, voters) {
            return Err(why);
        }
        taken.insert(id, own);
        Ok(())
    }

    /// Nothing is left of the fault.
    pub(super) fn give_back(&self, id: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// The nodes that vote now: all nodes where the target is not asked, or no member has answered.
pub(super) fn voters(view: &ClusterView) -> Vec<String> {
    match &view.members {
        Some(Members { voters, .. }) if !voters.is_empty() => voters.clone(),
        _ => view.names().map(str::to_owned).collect(),
    }
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
        let kept = KeptQuorum::default();
        let take = |id, own, voters: &[String]| kept.take_beside(id, own, voters);
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
        let kept = KeptQuorum::default();
        kept.take_beside(1, fault("kill", &["n1"], &[]), &three).expect("one");
        kept.take_beside(2, all.clone(), &three).expect_err("n1 and another one");
        kept.take_beside(2, rolling(&["n1"]), &three).expect("the same node");
        kept.give_back(1);
        kept.give_back(2);
        kept.take_beside(1, all, &three).expect("alone");
        kept.take_beside(2, fault("kill", &["n1"], &[]), &three).expect_err("n1 beside another one");
        kept.take_beside(2, fault("kill", &["n1"], &[]), &five).expect("two of five");
        kept.give_back(1);
        let why = kept.take_beside(3, fault("kill", &["n1", "n2"], &[]), &five).expect_err("the same kind");
        assert_eq!(why, "fault kill-n1 of the same kind is in force on a node of it, or not healed");
    }
}
