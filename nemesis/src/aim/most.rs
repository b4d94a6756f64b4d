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

    /// A number of nodes that it never exceeds.
    fn bound(&self, nodes: usize) -> usize {
        match self {
            Aim::Learners | Aim::SameAs(_) => nodes,
            aim => aim.most(nodes),
        }
    }

    /// Whether it may take this node; no, if it names others.
    pub(crate) fn may_take(&self, node: &str) -> bool {
        match self {
            Aim::Node(name) => name == node,
            Aim::Nodes(names) => names.iter().any(|name| name == node),
            _ => true,
        }
    }

    /// Why it can never take the nodes that it names, on this many nodes.
    pub(crate) fn mistake(&self, nodes: usize) -> Option<String> {
        match self {
            Aim::First(FirstOf { first, of }) if *first != ALL_OF => {
                let mut single: Vec<&Aim> =
                    of.iter().filter(|aim| matches!(aim, Aim::Node(_) | Aim::Leader | Aim::ExLeader)).collect();
                let several: usize = of.iter().filter(|aim| !single.contains(aim)).map(|aim| aim.bound(nodes)).sum();
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn aims_that_only_the_run_knows_may_take_every_node() {
        let mistake = |aim: serde_json::Value| serde_json::from_value::<Aim>(aim).expect("an aim").mistake(3);
        for possible in [
            json!({"first": 2, "of": [{"same_as": "b"}]}),
            json!({"first": 2, "of": [{"same_as": "b.others"}]}),
            json!({"first": 2, "of": ["learners"]}),
            json!({"first": 3, "of": ["learners", "n1"]}),
        ] {
            assert_eq!(mistake(possible.clone()), None, "{possible}");
        }
        let beyond = mistake(json!({"first": 4, "of": ["learners"]})).expect("of three nodes");
        assert_eq!(beyond, "nodes: first: 4 nodes are asked for, and `of` names 3 at most");
        assert!(mistake(json!({"first": 2, "of": ["leader"]})).is_some());
    }
}
