//! A growing set: add unique elements, read everything at the end.
use crate::options::WorkloadDoc;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "set",
    doc: "A growing set: add unique elements, read everything at the end; judged by set (lost, unexpected, recovered, duplicated).",
};

/// Options of the set workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetOptions {
    /// How many sets (keys) are in use; adds are spread over them. Left out: one.
    pub keys: Option<u32>,
}

/// The workload with these options.
pub fn build(_options: &SetOptions) -> Box<dyn Workload> {
    todo!()
}
