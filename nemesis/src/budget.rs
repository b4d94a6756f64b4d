//! [`Budget`]: what drawn faults leave of the cluster while several of them are in force. `losses` holds drawn faults to it.
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What drawn faults leave together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// A majority of nodes that run and hear each other; and over the whole run, a majority whose files no fault damages. A single
    /// fault whose own aim takes more is drawn all the same.
    #[default]
    Quorum,
    /// Whatever the draws give.
    None,
}

/// The nodes of a fault, and the directed links that it cuts, as positions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Taken {
    pub(crate) nodes: BTreeSet<usize>,
    pub(crate) cut: BTreeSet<(usize, usize)>,
}

impl Taken {
    pub(crate) fn of(nodes: Vec<usize>) -> Taken {
        Taken { nodes: nodes.into_iter().collect(), cut: BTreeSet::new() }
    }
}
