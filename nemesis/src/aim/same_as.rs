//! [`SameAs`]: the nodes that another fault of the schedule took, or that had a role when it was bound.
use crate::fault::{BoundFault, ClusterView, Unresolved};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// The nodes of another fault: `b`, or of a role at the moment of its binding: `b.leader`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct SameAs {
    /// The fault's id.
    pub fault: String,
    /// The role.
    pub role: BoundRole,
}

/// A role of nodes at the moment of a fault's binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundRole {
    /// The nodes that the fault took.
    Nodes,
    /// The nodes that it did not take.
    Others,
    /// The leader.
    Leader,
    /// The node that had led before.
    ExLeader,
    /// The node of its trigger: the one that took the role, or that logged the line.
    Trigger,
}

const ROLES: [(&str, BoundRole); 5] = [
    ("nodes", BoundRole::Nodes),
    ("others", BoundRole::Others),
    ("leader", BoundRole::Leader),
    ("ex-leader", BoundRole::ExLeader),
    ("trigger", BoundRole::Trigger),
];

const ROLE_NAMES: &[&str] = &{
    let (mut names, mut at) = ([""; ROLES.len()], 0);
    while at < names.len() {
        names[at] = ROLES[at].0;
        at += 1;
    }
    names
};

impl SameAs {
    /// From `b` or `b.leader`; or the role that there is not.
    pub(crate) fn parse(text: &str) -> Result<SameAs, &str> {
        let (fault, role) = text.split_once('.').unwrap_or((text, "nodes"));
        let known = ROLES.iter().find(|(name, _)| *name == role).ok_or(role)?;
        Ok(SameAs { fault: fault.to_owned(), role: known.1 })
    }
}

impl<'de> Deserialize<'de> for SameAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SameAs, D::Error> {
        let text = String::deserialize(deserializer)?;
        SameAs::parse(&text).map_err(|role| de::Error::unknown_variant(role, ROLE_NAMES))
    }
}

impl From<SameAs> for String {
    fn from(same: SameAs) -> String {
        same.to_string()
    }
}

impl fmt::Display for SameAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = ROLES.iter().find(|(_, role)| *role == self.role).map_or("", |(name, _)| name);
        match self.role {
            BoundRole::Nodes => f.write_str(&self.fault),
            _ => write!(f, "{}.{role}", self.fault),
        }
    }
}

impl SameAs {
    /// The names of the nodes in this view.
    pub(super) fn names(&self, view: &ClusterView) -> Result<Vec<String>, Unresolved> {
        let unknown = |why: &str| Unresolved(format!("{self}: {why}"));
        let bound: &BoundFault = view.bound.get(&self.fault).ok_or_else(|| unknown("this fault was not bound yet"))?;
        let names = match self.role {
            BoundRole::Nodes => bound.nodes.clone(),
            BoundRole::Others => view.names().map(str::to_owned).filter(|name| !bound.nodes.contains(name)).collect(),
            BoundRole::Leader => bound.leaders.clone(),
            BoundRole::ExLeader => bound.former_leaders.first().cloned().into_iter().collect(),
            BoundRole::Trigger => bound.trigger.clone().into_iter().collect(),
        };
        if names.is_empty() { Err(unknown("no such node was known when it was bound")) } else { Ok(names) }
    }
}
