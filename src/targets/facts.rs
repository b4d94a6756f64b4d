//! [`TargetFacts`]: facts of a target for judging.
use super::Target;
use super::recipe::{self, Exits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Facts of a recipe for evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetFacts {
    /// Some role of the target leads.
    pub leads: bool,
    /// Several nodes lead at once by its design.
    pub several_leaders: bool,
    /// Another node takes over from a lost leader.
    pub failover: bool,
    /// Leadership claims have trustworthy terms.
    pub trusted_terms: bool,
    /// Longest time until the target serves again after it lost nodes.
    pub election_ms: u64,
    /// The exits that are no deaths.
    pub exits: Exits,
}

impl Default for TargetFacts {
    fn default() -> TargetFacts {
        TargetFacts {
            leads: true,
            several_leaders: false,
            failover: true,
            trusted_terms: true,
            election_ms: 5000,
            exits: Exits::default(),
        }
    }
}

impl TargetFacts {
    /// Longest time until the target serves again after it lost nodes.
    pub fn election(&self) -> Duration {
        Duration::from_millis(self.election_ms)
    }
}

impl Target {
    /// The most of this many nodes that a custom fault may take at the same time, by its name; without those that may take all.
    pub fn at_once(&self, nodes: usize) -> BTreeMap<String, usize> {
        let most = self.recipes_faults().map(|fault| (fault.name.clone(), fault.at_once.most(nodes)));
        most.filter(|(_, most)| *most < nodes).collect()
    }

    /// The faults that the plan defines.
    pub fn plans_faults(&self) -> impl Iterator<Item = &recipe::OwnFault> {
        self.plans_faults.iter()
    }
}
