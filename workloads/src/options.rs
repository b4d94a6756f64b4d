//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one entry here.
pub use crate::doc::WorkloadDoc;
pub(crate) use crate::doc::keys_mistake;

use crate::bank::BankOptions;
use crate::queue::QueueOptions;
use crate::counter::CounterOptions;
use crate::g2::G2Options;
use crate::monotonic::MonotonicOptions;
use crate::register::RegisterOptions;
use crate::set::SetOptions;
use crate::unique_ids::UniqueIdsOptions;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

/// A workload as a plan writes it: its name with its options, e.g. `register: {keys: 8}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadOptions {
    /// Independent registers: read, write, compare-and-set.
    Register(RegisterOptions),
    /// Queues: enqueue, dequeue, drain at the end.
    Queue(QueueOptions),
    /// A growing set: add unique elements, read everything at the end.
    Set(SetOptions),
    /// Accounts: transfer money between two, read the balances of all at once.
    Bank(BankOptions),
    /// A counter: add numbers, read the sum.
    Counter(CounterOptions),
    /// Unique ids: ask for one after another.
    UniqueIds(UniqueIdsOptions),
    /// Inserts guarded by a predicate: two transactions insert under a key if no row is there.
    G2(G2Options),
    /// Rows with timestamps: add a row, read all rows at the end.
    Monotonic(MonotonicOptions),
}

/// Every workload, for listings.
pub const WORKLOADS: &[WorkloadDoc] = &[
    crate::register::DOC,
    crate::set::DOC,
    crate::bank::DOC,
    crate::counter::DOC,
    crate::unique_ids::DOC,
    crate::g2::DOC,
    crate::monotonic::DOC,
    crate::queue::DOC,
];

impl WorkloadOptions {
    /// The workload with these options.
    pub fn build(&self) -> Box<dyn Workload> {
        match self {
            WorkloadOptions::Register(options) => crate::register::build(options),
            WorkloadOptions::Queue(options) => crate::queue::build(options),
            WorkloadOptions::Set(options) => crate::set::build(options),
            WorkloadOptions::Bank(options) => crate::bank::build(options),
            WorkloadOptions::Counter(options) => crate::counter::build(options),
            WorkloadOptions::UniqueIds(options) => crate::unique_ids::build(options),
            WorkloadOptions::G2(options) => crate::g2::build(options),
            WorkloadOptions::Monotonic(options) => crate::monotonic::build(options),
        }
    }

    /// The reason why no call of the load can contradict a promise, whatever the target does; none if one can.
    pub fn blind(&self) -> Option<&'static str> {
        match self {
            WorkloadOptions::Register(options) => options.blind(),
            // Final reads show the losses of a set, drains those of a queue.
            WorkloadOptions::Queue(_) | WorkloadOptions::Set(_) => None,
            WorkloadOptions::UniqueIds(_) | WorkloadOptions::G2(_) | WorkloadOptions::Monotonic(_) => None,
            WorkloadOptions::Bank(options) => options.blind(),
            WorkloadOptions::Counter(options) => options.blind(),
        }
    }

    /// An option that would silently mean something else, or that is too large: its name and the mistake.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        match self {
            WorkloadOptions::Register(options) => options.mistake(),
            WorkloadOptions::Queue(options) => options.mistake(),
            WorkloadOptions::Set(options) => options.keys.and_then(|keys| keys_mistake("keys", keys)),
            WorkloadOptions::Bank(options) => options.mistake(),
            WorkloadOptions::Counter(options) => options.mistake(),
            WorkloadOptions::UniqueIds(_) | WorkloadOptions::Monotonic(_) => None,
            WorkloadOptions::G2(options) => options.mistake(),
        }
    }

    /// Its entry in listings.
    pub fn doc(&self) -> &'static WorkloadDoc {
        match self {
            WorkloadOptions::Register(_) => &crate::register::DOC,
            WorkloadOptions::Queue(_) => &crate::queue::DOC,
            WorkloadOptions::Set(_) => &crate::set::DOC,
            WorkloadOptions::Bank(_) => &crate::bank::DOC,
            WorkloadOptions::Counter(_) => &crate::counter::DOC,
            WorkloadOptions::UniqueIds(_) => &crate::unique_ids::DOC,
            WorkloadOptions::G2(_) => &crate::g2::DOC,
            WorkloadOptions::Monotonic(_) => &crate::monotonic::DOC,
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
        let all = [
            WorkloadOptions::Register(Default::default()),
            WorkloadOptions::Set(Default::default()),
            WorkloadOptions::Bank(Default::default()),
            WorkloadOptions::Queue(Default::default()),
            WorkloadOptions::Counter(Default::default()),
            WorkloadOptions::UniqueIds(Default::default()),
            WorkloadOptions::G2(Default::default()),
            WorkloadOptions::Monotonic(Default::default()),
        ];
        assert_eq!(all.len(), WORKLOADS.len());
        for options in all {
            assert_eq!((options.mistake(), options.blind()), (None, None), "{}", options.name());
            let workload = options.build();
            assert!(WORKLOADS.iter().any(|doc| *doc.name == *workload.name()));
            for name in workload.functions() {
                assert_ne!(function(&name).kind, FunctionKind::Unknown, "{name}");
                assert_eq!(Part::of(&name) == Part::Reads, &*name == "read", "{name}");
            }
        }
    }
}
