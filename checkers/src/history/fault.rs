//! [`Fault`]: what a history says of one fault.
use super::{FaultProblem, Mark};
use serde::{Deserialize, Serialize};

/// One fault, put together from its events.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Its id.
    pub id: u64,
    /// Its kind.
    pub kind: String,
    /// Planned in words (symbolic).
    pub planned: String,
    /// In words, resolved.
    pub what: String,
    /// Nodes it was aimed at.
    pub nodes: Vec<String>,
    /// Directed links it cut, `(from, to)`.
    pub cut: Vec<(String, String)>,
    /// The first injection was asked for: possibly in force from here on.
    pub begun: Option<Mark>,
    /// Verified to be in force: certainly in force from here on.
    pub proven: Option<Mark>,
    /// Verified once more just before the heal: certainly in force until here.
    pub reproven: Option<Mark>,
    /// It could not be verified any more just before the heal: how long it was in force is not known.
    pub lapsed: bool,
    /// The heal was asked for.
    pub heal_begun: Option<Mark>,
    /// Verified to be gone.
    pub healed: Option<Mark>,
    /// A node undid it by itself at some time in this interval; of several nodes, from the first to the last.
    pub self_healed: Option<(u64, u64)>,
    /// Whether the heal failed.
    pub unhealed: bool,
    /// All details of its events, in order.
    pub detail: Vec<String>,
    /// The details of the steps that make it no evidence: unproven, lapsed, not triggered, missed.
    pub reasons: Vec<String>,
    /// The causes for which it was not in force, where its events name them.
    pub problems: Vec<FaultProblem>,
    /// Its id in the plan's schedule; empty for a drawn fault.
    pub name: String,
    /// What it waited for has happened.
    pub triggered: Option<Mark>,
    /// What it waited for never happened.
    pub not_triggered: bool,
    /// A node that it was aimed at was not known, or no time was left.
    pub missed: bool,
    /// It damages files of the target, which its heal does not mend.
    pub damages: bool,
}

impl Fault {
    /// Its name in sentences: its id in the schedule, else its number.
    pub fn label(&self) -> String {
        if self.name.is_empty() { self.id.to_string() } else { self.name.clone() }
    }

    /// When it was certainly in force: from its proof to its last proof before the heal. None if it lapsed or a node may have undone it before.
    pub fn certain(&self) -> Option<(Mark, Mark)> {
        let (from, to) = (self.proven?, self.reproven?);
        let undone_before = self.self_healed.is_some_and(|(earliest, _)| earliest < to.time);
        (from < to && !self.lapsed && !undone_before).then_some((from, to))
    }

    /// Whether it was verified to be gone: by the heal, or by a node's own heal where the heal of the whole fault did not fail.
    pub fn gone(&self) -> bool {
        self.healed.is_some() || (self.self_healed.is_some() && !self.unhealed)
    }

    /// The interval in which it may have been in force, in nanoseconds, without an end (`u64::MAX`) if never healed. None: it never began.
    pub fn possible(&self) -> Option<(u64, u64)> {
        let from = self.begun?.time;
        // Where the heal of the whole fault failed, a node's own heal says nothing about the other nodes.
        let by_itself = self.self_healed.filter(|_| !self.unhealed).map(|(_, latest)| latest);
        let to = self.healed.map(|mark| mark.time).or(by_itself);
        Some((from, to.unwrap_or(u64::MAX)))
    }
}
