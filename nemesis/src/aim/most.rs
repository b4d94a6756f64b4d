//! How many nodes an aim takes at the most.
use super::{ALL_OF, Aim, FirstOf, majority_min, minority_max};

impl Aim {
    /// The most nodes that it takes of this many; one where only the run knows.
    pub fn most(&self, nodes: usize) -> usize {
        match self {
            Aim::One | Aim::Leader | Aim::Follower | Aim::ExLeader | Aim::Node(_) => 1,
            Aim::Minority => minority_max(nodes),
            Aim::Majority => majority_min(nodes),
            Aim::All | Aim::Voters => nodes,
            Aim::Spare => nodes - majority_min(nodes),
            Aim::QuorumLoss => nodes - majority_min(nodes) + 1,
            Aim::Followers => nodes.saturating_sub(1),
            Aim::Nodes(names) => names.len(),
            Aim::Learners | Aim::SameAs(_) => 1,
            Aim::First(FirstOf { first, of }) => of.iter().map(|aim| aim.most(nodes)).sum::<usize>().min(*first),
        }
    }

    /// Why it can never take the nodes that it names, on this many nodes.
    pub(crate) fn mistake(&self, nodes: usize) -> Option<String> {
        match self {
            Aim::First(FirstOf { first, of }) if *first != ALL_OF => {
                let mut single: Vec<&Aim> =
                    of.iter().filter(|aim| matches!(aim, Aim::Node(_) | Aim::Leader | Aim::ExLeader)).collect();
                let several: usize = of.iter().filter(|aim| !single.contains(aim)).map(|aim| aim.most(nodes)).sum();
                single.sort_by_key(|aim| aim.to_string());
                single.dedup();
                let most = (single.len() + several).min(nodes);
                (*first > most)
                    .then(|| format!("nodes: first: {first} nodes are asked for, and `of` names {most} at most"))
            }
            _ => None,
        }
    }
}
