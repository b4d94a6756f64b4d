//! [`TargetFacts`]: what judging must know of a target.
use super::recipe::Exits;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the recipe says of the target that evidence must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetFacts {
    /// Some role of the target leads.
    pub leads: bool,
    /// Claims of leadership can be trusted to name their term.
    pub trusted_terms: bool,
    /// How long it takes at most until the target serves again after it lost nodes.
    pub election_ms: u64,
    /// Which ends of processes by themselves are in order.
    pub exits: Exits,
}

impl Default for TargetFacts {
    fn default() -> TargetFacts {
        TargetFacts { leads: true, trusted_terms: true, election_ms: 5000, exits: Exits::default() }
    }
}

impl TargetFacts {
    /// How long it takes at most until the target serves again after it lost nodes.
    pub fn election(&self) -> Duration {
        Duration::from_millis(self.election_ms)
    }
}
