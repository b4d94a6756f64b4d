//! [`FaultFacts`]: the facts of a kind of fault. The file of each kind states them; planning, runs, evidence and reports read
//! them here.
use crate::options::FAULTS;

/// The facts of a kind of fault. There are no defaults: a kind without one of them does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    /// Its name in plans.
    pub name: &'static str,
    /// One sentence for listings.
    pub doc: &'static str,
    /// The abilities that it needs of a node.
    pub needs: NodeNeeds,
    /// Its verification.
    pub verified_by: VerifiedBy,
    /// The nodes that can still serve while it is in force.
    pub leaves: Leaves,
    /// Aimed at the leader, it may take its leadership.
    pub may_move_leader: bool,
    /// It ends processes of the target.
    pub ends_processes: bool,
    /// The services' clocks are sampled during a run with it.
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

    /// The needs on a node that owns its kernel, or that shares it.
    pub fn on(&self, own_kernel: bool) -> &'static [&'static str] {
        if own_kernel { self.own_kernel } else { self.shared_kernel }
    }
}

/// The kind of a fault's [`crate::Verification`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// Packets between the nodes, on all their addresses.
    Links,
    /// Volleys of datagrams between the nodes, and what the rules counted.
    Packets,
    /// Each agent verifies on its own node.
    State,
}

/// The nodes that a fault leaves to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// All nodes.
    AllNodes,
    /// The nodes that it does not take.
    OtherNodes,
    /// The nodes that reach each other over uncut links.
    ConnectedNodes,
}

/// The families of faults by the broken part, each with a colour in reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourFamily {
    /// Links between nodes.
    Links,
    /// Processes that end.
    Processes,
    /// Stopped processes.
    Stalls,
    /// Clocks.
    Clocks,
    /// Slow or lossy disks and networks.
    Devices,
    /// An unknown kind in a history of another program.
    Unknown,
}

/// The facts of a kind by its name, or by what evidence counts a fault as (`own: leave`); none of an unknown kind.
pub fn facts(kind: &str) -> Option<&'static FaultFacts> {
    let kind = kind_of(kind);
    FAULTS.iter().find(|facts| facts.name == kind)
}

/// The kind of fault that evidence counts so: `own` of `own: leave`.
pub fn kind_of(counted_as: &str) -> &str {
    counted_as.split_once(": ").map_or(counted_as, |(kind, _)| kind)
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
        assert_eq!(facts("own: leave"), facts("own"));
    }
}
