//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one entry here.
pub use crate::doc::WorkloadDoc;
use crate::doc::keys_mistake;

use crate::bank::BankOptions;
use crate::counter::CounterOptions;
use crate::g2::G2Options;
use crate::lease::LeaseOptions;
use crate::lock::LockOptions;
use crate::monotonic::MonotonicOptions;
use crate::queue::QueueOptions;
use crate::register::RegisterOptions;
use crate::semaphore::SemaphoreOptions;
use crate::set::SetOptions;
use crate::transactions::{self, TransactionKind, TransactionOptions};
use crate::unique_ids::UniqueIdsOptions;
use crate::workload::Workload;
use serde::{Deserialize, Serialize};

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
    /// Transactions of appends to lists and reads of them.
    ListAppend(TransactionOptions),
    /// Transactions of writes and reads of registers.
    RwRegister(TransactionOptions),
    /// Transactions on registers, each write after a read of its key.
    MiniTransactions(TransactionOptions),
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
    crate::lease::DOC,
    crate::lock::DOC,
    crate::semaphore::DOC,
    transactions::LIST_APPEND,
    transactions::RW_REGISTER,
    transactions::MINI_TRANSACTIONS,
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
            WorkloadOptions::Bank(options) => crate::bank::build(options),
            WorkloadOptions::Counter(options) => crate::counter::build(options),
            WorkloadOptions::UniqueIds(options) => crate::unique_ids::build(options),
            WorkloadOptions::G2(options) => crate::g2::build(options),
            WorkloadOptions::Monotonic(options) => crate::monotonic::build(options),
            WorkloadOptions::ListAppend(options) => transactions::build(TransactionKind::Append, options),
            WorkloadOptions::RwRegister(options) => transactions::build(TransactionKind::Write, options),
            WorkloadOptions::MiniTransactions(options) => transactions::build(TransactionKind::Mini, options),
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
            WorkloadOptions::Lease(_) | WorkloadOptions::Lock(_) | WorkloadOptions::Semaphore(_) => None,
            WorkloadOptions::ListAppend(options) => options.blind(TransactionKind::Append),
            WorkloadOptions::RwRegister(options) => options.blind(TransactionKind::Write),
            WorkloadOptions::MiniTransactions(options) => options.blind(TransactionKind::Mini),
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
            WorkloadOptions::Bank(options) => options.mistake(),
            WorkloadOptions::Counter(options) => options.mistake(),
            WorkloadOptions::UniqueIds(_) | WorkloadOptions::Monotonic(_) => None,
            WorkloadOptions::G2(options) => options.mistake(),
            WorkloadOptions::ListAppend(options) => options.mistake(TransactionKind::Append),
            WorkloadOptions::RwRegister(options) => options.mistake(TransactionKind::Write),
            WorkloadOptions::MiniTransactions(options) => options.mistake(TransactionKind::Mini),
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
            WorkloadOptions::Bank(_) => &crate::bank::DOC,
            WorkloadOptions::Counter(_) => &crate::counter::DOC,
            WorkloadOptions::UniqueIds(_) => &crate::unique_ids::DOC,
            WorkloadOptions::G2(_) => &crate::g2::DOC,
            WorkloadOptions::Monotonic(_) => &crate::monotonic::DOC,
            WorkloadOptions::ListAppend(_) => &transactions::LIST_APPEND,
            WorkloadOptions::RwRegister(_) => &transactions::RW_REGISTER,
            WorkloadOptions::MiniTransactions(_) => &transactions::MINI_TRANSACTIONS,
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
    use serde_json::json;

    #[test]
    fn the_table_of_functions_knows_what_every_workload_calls() {
        for doc in WORKLOADS {
            let workload: WorkloadOptions =
                serde_json::from_value(json!({ doc.name: {} })).expect("a workload of a plan");
            let workload = workload.build();
            assert_eq!(*doc.name, *workload.name());
            for name in workload.functions() {
                assert_ne!(function(&name).kind, FunctionKind::Unknown, "{name}");
                assert_eq!(Part::of(&name) == Part::Reads, &*name == "read", "{name}");
            }
        }
    }
}
