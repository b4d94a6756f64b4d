//! [`PlannedFault`]: one fault in symbols, with its time. [`ResolvedFault`]: the same for the present nodes, as injections of
//! agents and their [`Verification`].
use crate::facts::FaultFacts;
use crate::options::SymbolicFault;
use crate::protocol::{Injection, PacketEffect};
use crate::schedule::Trigger;
pub use crate::view::{BoundFault, ClusterView, Members, NodeView, Unresolved};
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// One entry of a timetable. The seed fixes all of it except the leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedFault {
    /// Its number in the timetable, from 1: the one in the record, in the report and in every message.
    pub id: u64,
    /// Its begin, from the begin of the load, or from its trigger.
    pub at: Span,
    /// Its duration.
    pub lasts: Span,
    /// The fault in symbols.
    pub fault: SymbolicFault,
    /// The entry of the plan's schedule; none of a drawn fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Box<ScheduleEntry>>,
}

/// What only a fault of a schedule has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleEntry {
    /// Its id in the plan.
    pub name: String,
    /// What it waits for, instead of a time of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Trigger>,
    /// The latest time of the load at which its trigger counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless_by: Option<Span>,
    /// Whether evidence asks for it.
    #[serde(default = "crate::schedule::yes", skip_serializing_if = "Clone::clone")]
    pub evidence: bool,
}

impl PlannedFault {
    /// The facts of its kind.
    pub fn facts(&self) -> &'static FaultFacts {
        self.fault.facts()
    }

    /// The fault's name in plans: `partition`, `kill`, ...
    pub fn kind(&self) -> &'static str {
        self.facts().name
    }

    /// What evidence counts it as: its kind, of a custom fault with its name.
    pub fn counted_as(&self) -> String {
        self.fault.counted_as()
    }

    /// In symbols: `partition isolate-leader: leader | others`. `#4` is the fourth node of the plan.
    pub fn describe(&self) -> String {
        self.fault.describe()
    }

    /// Whether it takes the leader of the moment.
    pub fn aims_at_leader(&self) -> bool {
        self.fault.aims_at_leader()
    }

    /// Its id in the plan's schedule; of a drawn fault, `f` and its number.
    pub fn name(&self) -> String {
        self.entry.as_ref().map_or_else(|| format!("f{}", self.id), |entry| entry.name.clone())
    }

    /// What it waits for, instead of a time of the load.
    pub fn trigger(&self) -> Option<&Trigger> {
        self.entry.as_ref()?.when.as_ref()
    }

    /// Whether only the roles of the moment say which nodes it takes, so that it waits for a leader.
    pub fn needs_leader(&self) -> bool {
        self.fault.needs_leader()
    }
}

/// A directed link: packets from the first node to the second.
pub type Link = (String, String);

/// A fault that is bound to the present nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedFault {
    /// In words, with the nodes' names: `partition isolate-leader: n3 | n1 n2 n4 n5`.
    pub what: String,
    /// The fault's name in plans.
    pub kind: &'static str,
    /// The nodes that it takes, in the plan's order.
    pub nodes: Vec<String>,
    /// Directed links it cuts.
    pub cut: Vec<Link>,
    /// The injection of each node's agent. The heal undoes the fault's id there.
    pub injections: Vec<(String, Injection)>,
    /// Its verification.
    pub verification: Verification,
}

/// The verification that a fault is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// By datagrams between the agents: the cut links are silent while the others are alive, and the receivers' rules count.
    Links {
        /// Cut.
        silent: Vec<Link>,
        /// Uncut: silence of the cut links counts only while these are heard.
        alive: Vec<Link>,
    },
    /// By TCP handshakes with the target's own ports: none over a cut link, while the others and the agents' datagrams go through,
    /// and the receivers' rules count.
    Ports {
        /// The cut ports of each node, by role.
        roles: Vec<String>,
        /// Cut.
        silent: Vec<Link>,
        /// Uncut.
        alive: Vec<Link>,
    },
    /// By volleys of datagrams between the agents, measured before the fault and again, and by what the receivers' rules counted.
    Packets {
        /// What happens to packets.
        effect: PacketEffect,
        /// The links on which it happens.
        taken: Vec<Link>,
        /// The others, on which nothing must happen.
        others: Vec<Link>,
    },
    /// Each agent looks at its own node.
    State,
}

impl Verification {
    /// The links on which the fault does something to packets.
    pub fn disturbed(&self) -> &[Link] {
        match self {
            Verification::Links { silent, .. } | Verification::Ports { silent, .. } => silent,
            Verification::Packets { taken, .. } => taken,
            Verification::State => &[],
        }
    }

    /// Every link that it looks at.
    pub fn links(&self) -> Vec<Link> {
        match self {
            Verification::Links { silent, alive } | Verification::Ports { silent, alive, .. } => {
                silent.iter().chain(alive).cloned().collect()
            }
            Verification::Packets { taken, others, .. } => taken.iter().chain(others).cloned().collect(),
            Verification::State => Vec::new(),
        }
    }
}

/// Binds a planned fault to the present nodes.
pub fn resolve(planned: &PlannedFault, view: &ClusterView) -> Result<ResolvedFault, Unresolved> {
    planned.fault.resolve(view)
}

/// The note of a binding, as the end of a sentence.
pub(crate) fn noted(what: String, note: Option<String>) -> String {
    match note {
        Some(note) => format!("{what} ({note})"),
        None => what,
    }
}
