//! [`KeptQuorum`]: drawn faults that overlap leave a quorum of the nodes that vote at the moment, also while a heal takes long.
use dsfuzz_nemesis::{ClusterView, Members, ResolvedFault, beyond_quorum};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The drawn faults that began and were not proven to be healed.
#[derive(Default)]
pub(super) struct KeptQuorum(Mutex<BTreeMap<u64, Arc<ResolvedFault>>>);

impl KeptQuorum {
    /// Counts a fault that is about to begin, unless it would leave no quorum of these voters beside the others.
    pub(super) fn take(&self, id: u64, fault: &ResolvedFault, voters: &[String]) -> Result<(), String> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others: Vec<&ResolvedFault> = taken.values().map(Arc::as_ref).collect();
        match beyond_quorum(fault, &others, voters) {
            Some(why) => Err(why),
            None => {
                taken.insert(id, Arc::new(fault.clone()));
                Ok(())
            }
        }
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

    fn fault(kind: &'static str, nodes: &[&str], cut: &[(&str, &str)]) -> ResolvedFault {
        ResolvedFault {
            what: String::new(),
            kind,
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
            cut: cut.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            injections: Vec::new(),
            verification: Verification::State,
        }
    }

    #[test]
    fn voters_are_counted_and_a_node_that_is_not_healed_is_out() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (five, three) = (names(&["n1", "n2", "n3", "n4", "n5"]), names(&["n1", "n2", "n3"]));
        // Two of five nodes may be lost, and one of three voters.
        let kept = KeptQuorum::default();
        kept.take(1, &fault("kill", &["n1"], &[]), &five).expect("one");
        kept.take(2, &fault("pause", &["n2"], &[]), &five).expect("two of five");
        kept.give_back(2);
        let why = kept.take(2, &fault("pause", &["n2"], &[]), &three).expect_err("two of three voters");
        assert!(why.contains("no quorum of the voters n1 n2 n3"), "{why}");
        // A node without a vote is no loss.
        kept.take(3, &fault("pause", &["n4"], &[]), &three).expect("a learner");
        let isolated = fault("partition", &["n3"], &[("n2", "n3"), ("n3", "n2"), ("n1", "n3"), ("n3", "n1")]);
        assert!(kept.take(4, &isolated, &three).is_err(), "n2 alone is left");
        kept.give_back(1);
        kept.take(4, &isolated, &three).expect("n1 and n2 are left");
        // By its own aim it leaves none, as the plan has it.
        kept.take(5, &fault("kill", &["n1", "n2"], &[]), &three).expect("not asked");
        // What wears clocks takes no node.
        kept.take(6, &fault("clock", &["n1", "n2"], &[]), &three).expect("nodes go on");
    }
}
