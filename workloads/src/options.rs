//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one entry here.
use crate::register::RegisterOptions;
use crate::set::SetOptions;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

/// A workload as a plan writes it: its name with its options, e.g. `register: {keys: 8}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadOptions {
    /// Independent registers: read, write, compare-and-set.
    Register(RegisterOptions),
    /// A growing set: add unique elements, read everything at the end.
    Set(SetOptions),
}

/// What `dsfuzz list` shows of a workload.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
}

/// Every workload, for listings.
pub const WORKLOADS: &[WorkloadDoc] = &[crate::register::DOC, crate::set::DOC];

impl WorkloadOptions {
    /// The workload with these options.
    pub fn build(&self) -> Box<dyn Workload> {
        match self {
            WorkloadOptions::Register(options) => crate::register::build(options),
            WorkloadOptions::Set(options) => crate::set::build(options),
        }
    }

    /// Its name in plans.
    pub fn name(&self) -> &'static str {
        match self {
            WorkloadOptions::Register(_) => crate::register::DOC.name,
            WorkloadOptions::Set(_) => crate::set::DOC.name,
        }
    }
}
