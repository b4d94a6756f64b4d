//! [`PlannedFault`]: one fault in symbols, with its time; [`ResolvedFault`]: the same for the nodes as they are, as injections
//! of agents and their [`Verification`].
use crate::facts::FaultFacts;
use crate::options::SymbolicFault;
use crate::protocol::Injection;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One entry of a timetable: everything about it but who leads is fixed by the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedFault {
    /// Counted from 0 in the timetable's order.
    pub id: u64,
    /// When it begins, from the begin of the load.
    pub at: Span,
    /// How long it is in force.
    pub lasts: Span,
    /// What.
    pub fault: SymbolicFault,
}

impl PlannedFault {
    /// What holds for its kind.
    pub fn facts(&self) -> &'static FaultFacts {
        self.fault.facts()
    }

    /// The fault's name in plans: `partition`, `kill`, ...
    pub fn kind(&self) -> &'static str {
        self.facts().name
    }

    /// In symbols: `partition isolate-leader: leader | the rest`. `#4` is the fourth node of the plan.
    pub fn describe(&self) -> String {
        self.fault.describe()
    }

    /// Whether it waits for the leader of the moment.
    pub fn aims_at_leader(&self) -> bool {
        self.fault.aims_at_leader()
    }
}

/// A node as a fault sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its address as its peers reach it.
    pub address: IpAddr,
    /// Its other addresses: all by which a peer may hear it.
    pub others: Vec<IpAddr>,
    /// TCP ports of the target, over which a cut may be proven where the agents' datagrams are filtered.
    pub ports: Vec<u16>,
    /// The services that faults are aimed at.
    pub services: Vec<String>,
    /// It owns its kernel, so that its real clock may be stepped.
    pub own_kernel: bool,
}

impl NodeView {
    /// All its addresses, the plan's first, each once.
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

/// The cluster as it is at the moment in which a fault is resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The nodes, in the plan's order.
    pub nodes: Vec<NodeView>,
    /// Who leads, where known.
    pub leader: Option<String>,
    /// Boot id of the control node: a clock step is refused where a node has the same.
    pub control_boot_id: String,
}

impl View {
    /// The nodes' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    pub(crate) fn name(&self, position: usize) -> String {
        self.nodes[position].name.clone()
    }

    pub(crate) fn join(&self, positions: &[usize]) -> String {
        let names: Vec<&str> = positions.iter().map(|position| self.nodes[*position].name.as_str()).collect();
        names.join(" ")
    }
}

/// Why a planned fault fits no node. A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved(pub String);

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unresolved {}

/// A directed link: packets from the first node to the second.
pub type Link = (String, String);

/// A fault that is bound to the nodes as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedFault {
    /// In words, with the nodes' names: `partition isolate-leader: n3 | n1 n2 n4 n5`.
    pub what: String,
    /// The fault's name in plans.
    pub kind: &'static str,
    /// The nodes it is aimed at, in the plan's order.
    pub nodes: Vec<String>,
    /// Directed links it cuts.
    pub cut: Vec<Link>,
    /// What each node's agent does. Undoing the fault's id there is the heal.
    pub injections: Vec<(String, Injection)>,
    /// How it is verified.
    pub verification: Verification,
}

/// How it is verified that a fault is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Datagrams between the agents: these links are silent while those are alive, and the receivers' rules counted.
    Links {
        /// Cut.
        silent: Vec<Link>,
        /// Left alone: silence of the others means something only while these are heard.
        alive: Vec<Link>,
    },
    /// Each agent looks at its own node.
    State,
}

/// Binds a planned fault to the nodes as they are.
pub fn resolve(planned: &PlannedFault, view: &View) -> Result<ResolvedFault, Unresolved> {
    planned.fault.resolve(view)
}

/// The note of a binding, as the end of a sentence.
pub(crate) fn noted(what: String, note: Option<String>) -> String {
    match note {
        Some(note) => format!("{what} ({note})"),
        None => what,
    }
}
