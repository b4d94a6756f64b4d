//! [`ClusterView`]: the cluster at the moment at which a fault is bound to nodes.
use crate::protocol::OwnCommands;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The facts of a node for faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its address for its peers.
    pub address: IpAddr,
    /// Its other addresses that peers may reach.
    pub others: Vec<IpAddr>,
    /// TCP ports of the target, which prove a cut if the agents' datagrams are filtered.
    pub ports: Vec<u16>,
    /// The target's ports by their role.
    pub port_roles: BTreeMap<String, u16>,
    /// The target's services.
    pub services: Vec<String>,
    /// It owns its kernel, so that its real clock may be stepped.
    pub own_kernel: bool,
}

impl NodeView {
    /// Its ports of these roles; an error if it has none of them.
    pub fn ports_of(&self, roles: &[String]) -> Result<Vec<u16>, Unresolved> {
        let ports: Vec<u16> = roles.iter().filter_map(|role| self.port_roles.get(role).copied()).collect();
        match ports.is_empty() {
            true => Err(Unresolved(format!("{} has no port of the role {}", self.name, roles.join(", ")))),
            false => Ok(ports),
        }
    }

    /// All its addresses, each once, the plan's first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> = Vec::new();
        for address in std::iter::once(&self.address).chain(&self.others).map(IpAddr::to_canonical) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }
}

/// The members of the cluster, as the target says, by the names of their nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Those that vote; none if no member has answered yet.
    pub voters: Vec<String>,
    /// Those that do not vote.
    pub learners: Vec<String>,
}

/// The cluster at the moment of a fault's resolution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The nodes, in the plan's order.
    pub nodes: Vec<NodeView>,
    /// The nodes that lead, as far as known: one, or several where the target has shards.
    pub leaders: Vec<String>,
    /// The nodes that led before and do not lead now, the latest first.
    pub former_leaders: Vec<String>,
    /// The members, where the recipe asks for them.
    pub members: Option<Members>,
    /// The commands of the custom faults, by node and name.
    pub own: BTreeMap<String, BTreeMap<String, OwnCommands>>,
    /// Boot id of the control node. A clock step is refused on a node with the same one.
    pub control_boot_id: String,
    /// The faults of the schedule that were bound before, by id.
    pub bound: BTreeMap<String, BoundFault>,
    /// No node stands in for one that is not known.
    pub exact: bool,
}

/// A fault of a schedule at the moment of its binding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundFault {
    /// The nodes that it took.
    pub nodes: Vec<String>,
    /// The nodes that led.
    pub leaders: Vec<String>,
    /// The nodes that had led before.
    pub former_leaders: Vec<String>,
    /// The node of its trigger: the one that took the role, or that logged the line.
    pub trigger: Option<String>,
}

impl ClusterView {
    /// The nodes' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The members, where one of them has answered who votes.
    pub fn known_members(&self) -> Option<&Members> {
        self.members.as_ref().filter(|members| !members.voters.is_empty())
    }

    /// The nodes that vote: all nodes where the target is not asked, or no member has answered.
    pub fn voters(&self) -> Vec<String> {
        self.known_members().map_or_else(|| self.names().map(str::to_owned).collect(), |members| members.voters.clone())
    }

    pub(crate) fn name(&self, position: usize) -> String {
        self.nodes[position].name.clone()
    }

    pub(crate) fn join(&self, positions: &[usize]) -> String {
        let names: Vec<&str> = positions.iter().map(|position| self.nodes[*position].name.as_str()).collect();
        names.join(" ")
    }
}

/// The sentence why a planned fault fits no node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved(pub String);

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unresolved {}

#[cfg(test)]
impl NodeView {
    /// Node `n<number>`, which runs the service `db`.
    pub(crate) fn of(number: usize) -> NodeView {
        NodeView {
            name: format!("n{number}"),
            address: [10, 0, 0, u8::try_from(number).expect("a small number")].into(),
            others: Vec::new(),
            ports: Vec::new(),
            port_roles: BTreeMap::new(),
            services: vec!["db".to_owned()],
            own_kernel: false,
        }
    }
}

#[cfg(test)]
impl ClusterView {
    /// This number of nodes, of which these lead.
    pub(crate) fn of(nodes: usize, leaders: &[&str]) -> ClusterView {
        let leaders = leaders.iter().map(|name| (*name).to_owned()).collect();
        ClusterView { nodes: (1..=nodes).map(NodeView::of).collect(), leaders, ..ClusterView::default() }
    }
}
