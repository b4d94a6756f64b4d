//! [`ProcessSelection`]: the processes of a service that an injection takes, and [`PickedProcess`], one that an agent found.
use serde::{Deserialize, Serialize};

/// The processes of a service; all of them if nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessSelection {
    /// The first process alone, or the others alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// A regular expression that the command line matches, its arguments joined by blanks; empty: every command line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// Of those, the one of all services with the most resident memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub largest: bool,
}

impl ProcessSelection {
    /// Whether it takes every process.
    pub fn is_all(&self) -> bool {
        *self == ProcessSelection::default()
    }
}

/// A part of a service's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// The process that the recipe starts (a supervisor); its children go on.
    First,
    /// All processes but the first.
    Children,
}

impl Only {
    /// Its name in plans.
    pub fn name(self) -> &'static str {
        match self {
            Only::First => "first",
            Only::Children => "children",
        }
    }
}

/// A process that an agent picked. Process ids are used again: only id and start together name one process of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PickedProcess {
    /// Its service.
    pub service: String,
    /// Its process id.
    pub pid: u32,
    /// Its start in clock ticks since boot.
    pub start: u64,
    /// Whether it was the first process of its service.
    pub first: bool,
}
