//! Independent registers: read, write, compare-and-set.
use crate::options::WorkloadDoc;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "register",
    doc: "Independent registers: read, write and compare-and-set; judged by linearizable and split-brain.",
};

/// Options of the register workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterOptions {
    /// How many keys are in use at a time.
    pub keys: u32,
    /// How often each function comes, relative to the others.
    pub mix: Mix,
    /// How many calls a key gets before a fresh key takes its place.
    pub ops_per_key: u32,
    /// Written values: left out, every written value is unique in its key; a number draws from that many values.
    pub values: Option<u32>,
}

impl Default for RegisterOptions {
    fn default() -> RegisterOptions {
        RegisterOptions { keys: 8, mix: Mix::default(), ops_per_key: 500, values: None }
    }
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
    /// Compare-and-sets.
    pub cas: u32,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { read: 5, write: 3, cas: 2 }
    }
}

/// The workload with these options.
pub fn build(_options: &RegisterOptions) -> Box<dyn Workload> {
    todo!()
}
