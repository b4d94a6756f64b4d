//! [`FaultFacts`]: what holds for every fault of a kind. The file of each kind states its own; planning, runs, evidence and
//! reports ask for them here.
use crate::options::FAULTS;

/// What holds for every fault of a kind. There are no defaults: a kind that leaves one out does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    /// Its name in plans.
    pub name: &'static str,
    /// One sentence for listings.
    pub doc: &'static str,
    /// What a node must be able to do.
    pub needs: NodeNeeds,
    /// How it is verified that it is in force.
    pub verified_by: VerifiedBy,
    /// Which nodes can still serve while it is in force.
    pub leaves: Leaves,
    /// The leader may lose its leadership by a fault of this kind that is aimed at it.
    pub may_move_leader: bool,
    /// Processes of the target end by it.
    pub ends_processes: bool,
    /// The clocks that services see are sampled during a run with it.
    pub samples_clocks: bool,
    /// Its colour in reports.
    pub colour: ColourFamily,
}

/// Abilities of a node (names of [`crate::protocol::ability`]) that a kind of fault needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeNeeds {
    /// On a node that shares its kernel.
    pub shared_kernel: &'static [&'static str],
    /// On a node that owns its kernel.
    pub own_kernel: &'static [&'static str],
}

impl NodeNeeds {
    /// The same needs on every node.
    pub const fn everywhere(abilities: &'static [&'static str]) -> NodeNeeds {
        NodeNeeds { shared_kernel: abilities, own_kernel: abilities }
    }

    /// The needs on a node that owns its kernel, or shares it.
    pub fn on(&self, own_kernel: bool) -> &'static [&'static str] {
        if own_kernel { self.own_kernel } else { self.shared_kernel }
    }
}

/// How a fault is verified: which kind of [`crate::Verification`] it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// Packets between the nodes, on all their addresses.
    Links,
    /// Each agent looks at its own node.
    State,
}

/// Which nodes a fault leaves to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// All of them.
    AllNodes,
    /// Those that it is not aimed at.
    OtherNodes,
    /// Those that still reach each other over links that it does not cut.
    ConnectedNodes,
}

/// The colours of faults in reports, by what they break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourFamily {
    /// Links between nodes.
    Links,
    /// Processes that end.
    Processes,
    /// Processes that stand still.
    Stalls,
    /// Clocks.
    Clocks,
    /// Disks and networks that are slow or lossy.
    Devices,
    /// A kind that this release does not know, in a history from elsewhere.
    Unknown,
}

/// The facts of a kind by its name; none of a kind that this release does not know.
pub fn facts(kind: &str) -> Option<&'static FaultFacts> {
    FAULTS.iter().find(|facts| facts.name == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ability;

    #[test]
    fn needs_are_abilities_that_agents_test() {
        for facts in FAULTS {
            for need in [facts.needs.on(true), facts.needs.on(false)].concat() {
                assert!(ability::ALL.contains(&need), "{}: {need}", facts.name);
            }
        }
    }

    #[test]
    fn kinds_are_found_by_name_and_have_a_colour() {
        for known in FAULTS {
            assert_eq!(facts(known.name), Some(known));
            assert_ne!(known.colour, ColourFamily::Unknown, "{}", known.name);
        }
        assert_eq!(facts("disk-full"), None);
    }
}
