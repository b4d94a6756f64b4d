//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one entry here.
use crate::doc::keys_mistake;
use crate::lease::LeaseOptions;
use crate::lock::LockOptions;
use crate::queue::QueueOptions;
use crate::register::RegisterOptions;
use crate::semaphore::SemaphoreOptions;
use crate::set::SetOptions;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

pub use crate::doc::WorkloadDoc;

/// A workload as a plan writes it: its name with its options, e.g. `register: {keys: 8}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadOptions {
    /// Independent registers: read, write, compare-and-set.
    Register(RegisterOptions),
    /// Leases: acquire for a time, renew, release.
    Lease(LeaseOptions),
    /// Locks: acquire, hold, release.
    Lock(LockOptions),
    /// Queues: enqueue, dequeue, drain at the end.
    Queue(QueueOptions),
    /// Semaphores: acquire a permit, hold, release.
    Semaphore(SemaphoreOptions),
    /// A growing set: add unique elements, read everything at the end.
    Set(SetOptions),
}

/// Every workload, for listings.
pub const WORKLOADS: &[WorkloadDoc] = &[
    crate::lease::DOC,
    crate::lock::DOC,
    crate::queue::DOC,
    crate::register::DOC,
    crate::semaphore::DOC,
    crate::set::DOC,
];

impl WorkloadOptions {
    /// The workload with these options.
    pub fn build(&self) -> Box<dyn Workload> {
        match self {
            WorkloadOptions::Register(options) => crate::register::build(options),
            WorkloadOptions::Lease(options) => crate::lease::build(options),
            WorkloadOptions::Lock(options) => crate::lock::build(options),
            WorkloadOptions::Queue(options) => crate::queue::build(options),
            WorkloadOptions::Semaphore(options) => crate::semaphore::build(options),
            WorkloadOptions::Set(options) => crate::set::build(options),
        }
    }

    /// The reason why no call of the load can contradict a promise, whatever the target does; none if one can.
    pub fn blind(&self) -> Option<&'static str> {
        match self {
            WorkloadOptions::Register(options) => options.blind(),
            // Final reads show the losses of a set, drains those of a queue.
            WorkloadOptions::Queue(_) | WorkloadOptions::Set(_) => None,
            WorkloadOptions::Lease(_) | WorkloadOptions::Lock(_) | WorkloadOptions::Semaphore(_) => None,
        }
    }

    /// An option that would silently mean something else, or that is too large: its name and the mistake.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        match self {
            WorkloadOptions::Register(options) => options.mistake(),
            WorkloadOptions::Lease(options) => options.mistake(),
            WorkloadOptions::Lock(options) => options.mistake(),
            WorkloadOptions::Queue(options) => options.mistake(),
            WorkloadOptions::Semaphore(options) => options.mistake(),
            WorkloadOptions::Set(options) => options.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }

    /// Its entry in listings.
    pub fn doc(&self) -> &'static WorkloadDoc {
        match self {
            WorkloadOptions::Register(_) => &crate::register::DOC,
            WorkloadOptions::Lease(_) => &crate::lease::DOC,
            WorkloadOptions::Lock(_) => &crate::lock::DOC,
            WorkloadOptions::Queue(_) => &crate::queue::DOC,
            WorkloadOptions::Semaphore(_) => &crate::semaphore::DOC,
            WorkloadOptions::Set(_) => &crate::set::DOC,
        }
    }

    /// Its name in plans.
    pub fn name(&self) -> &'static str {
        self.doc().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Part;
    use dsfuzz_checkers::functions::{FunctionKind, function};

    #[test]
    fn the_table_of_functions_knows_what_every_workload_calls() {
        let workloads = [
            WorkloadOptions::Lease(Default::default()),
            WorkloadOptions::Lock(Default::default()),
            WorkloadOptions::Semaphore(Default::default()),
            WorkloadOptions::Queue(Default::default()),
            WorkloadOptions::Register(Default::default()),
            WorkloadOptions::Set(Default::default()),
        ];
        for workload in workloads {
            let workload = workload.build();
            assert!(WORKLOADS.iter().any(|doc| *doc.name == *workload.name()));
            for name in workload.functions() {
                assert_ne!(function(&name).kind, FunctionKind::Unknown, "{name}");
                assert_eq!(Part::of(&name) == Part::Reads, &*name == "read", "{name}");
            }
        }
    }
}
