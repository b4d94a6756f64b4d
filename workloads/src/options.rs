//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one line here.
pub use crate::doc::WorkloadDoc;

use crate::atomic_commit::AtomicCommitOptions;
use crate::bank::BankOptions;
use crate::causal_reverse::CausalReverseOptions;
use crate::closed_predicate::ClosedPredicateOptions;
use crate::convergence::ConvergenceOptions;
use crate::counter::CounterOptions;
use crate::crdt::CrdtOptions;
use crate::declared::DeclaredOptions;
use crate::election::ElectionOptions;
use crate::g2::G2Options;
use crate::lease::LeaseOptions;
use crate::lock::LockOptions;
use crate::lock_set::LockSetOptions;
use crate::log::LogOptions;
use crate::long_fork::LongForkOptions;
use crate::monotonic::MonotonicOptions;
use crate::queue::QueueOptions;
use crate::register::RegisterOptions;
use crate::saga::SagaOptions;
use crate::semaphore::SemaphoreOptions;
use crate::sequential::SequentialOptions;
use crate::sessions::SessionsOptions;
use crate::set::SetOptions;
use crate::transactions::{ListAppendOptions, MiniTransactionsOptions, RwRegisterOptions};
use crate::unique_ids::UniqueIdsOptions;
use crate::watch::WatchOptions;
use crate::workload::{Workload, WorkloadSpec};
use dsfuzz_checkers::Reads;
use serde::{Deserialize, Serialize};

/// Writes [`WorkloadOptions`] and [`WORKLOADS`]: one line for each workload, its sentence in the schema, its variant and its options.
macro_rules! workloads {
    ($($doc:literal $variant:ident($options:ty);)+) => {
        /// A workload as a plan writes it: its name with its options, e.g. `register: {keys: 8}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum WorkloadOptions {
            $(#[doc = $doc] $variant($options),)+
        }

        /// Every workload, for listings.
        pub const WORKLOADS: &[WorkloadDoc] = &[$(<$options as WorkloadSpec>::DOC),+];

        impl WorkloadOptions {
            /// The workload with these options.
            pub fn build(&self) -> Box<dyn Workload> {
                match self { $(WorkloadOptions::$variant(options) => options.build(),)+ }
            }

            /// The reason why no call of the load can contradict a promise, whatever the target does; none if one can.
            pub fn blind(&self) -> Option<&'static str> {
                match self { $(WorkloadOptions::$variant(options) => options.blind(),)+ }
            }

            /// An option that would silently mean something else, or that is too large: its name and the mistake.
            pub fn mistake(&self) -> Option<(&'static str, String)> {
                match self { $(WorkloadOptions::$variant(options) => options.mistake(),)+ }
            }

            /// The object whose functions it calls.
            pub fn object(&self) -> &str {
                match self { $(WorkloadOptions::$variant(options) => WorkloadSpec::object(options),)+ }
            }

            /// What its reads reply with.
            pub fn reads(&self) -> Reads {
                match self { $(WorkloadOptions::$variant(options) => WorkloadSpec::reads(options),)+ }
            }

            /// Its entry in listings.
            pub fn doc(&self) -> &'static WorkloadDoc {
                match self { $(WorkloadOptions::$variant(_) => &<$options as WorkloadSpec>::DOC,)+ }
            }
        }
    };
}

workloads! {
    "Independent registers: read, write, compare-and-set." Register(RegisterOptions);
    "Reads and writes of registers in sessions that stay on a replica or move." Sessions(SessionsOptions);
    "A process writes keys one after the other, others read them in the opposite order." Sequential(SequentialOptions);
    "Registers that are written, and read on every node at the end." Convergence(ConvergenceOptions);
    "A growing set: add unique elements, read everything at the end, and during the load by option." Set(SetOptions);
    "Adds to sets and reads of them at the same time." CausalReverse(CausalReverseOptions);
    "Accounts: transfer money between two, read the balances of all at once." Bank(BankOptions);
    "A counter: add numbers, read the sum." Counter(CounterOptions);
    "A replicated data type that is updated and read on every node." Crdt(CrdtOptions);
    "Unique ids: ask for one after another." UniqueIds(UniqueIdsOptions);
    "Inserts guarded by a predicate: two transactions insert under a key if no row is there." G2(G2Options);
    "Transactions that select rows by a predicate, and change rows that others select." ClosedPredicate(ClosedPredicateOptions);
    "Rows with timestamps: add a row, read all rows at the end." Monotonic(MonotonicOptions);
    "Queues: enqueue, dequeue, drain at the end." Queue(QueueOptions);
    "Leases: acquire for a time, renew, release." Lease(LeaseOptions);
    "Locks: acquire, hold, release." Lock(LockOptions);
    "Semaphores: acquire a permit, hold, release." Semaphore(SemaphoreOptions);
    "Sets that are changed under a lock alone." LockSet(LockSetOptions);
    "Elections: campaign, act as the leader, resign." Election(ElectionOptions);
    "Logs of messages: send, poll, transactions of both." Log(LogOptions);
    "Keys with revisions: put, delete, watch." Watch(WatchOptions);
    "Transactions over several participants: commit, ask for decisions." AtomicCommit(AtomicCommitOptions);
    "Sagas: start, read the log." Saga(SagaOptions);
    "Transactions of appends to lists and reads of them." ListAppend(ListAppendOptions);
    "Transactions of writes and reads of registers." RwRegister(RwRegisterOptions);
    "A workload that the plan itself declares." Declared(DeclaredOptions);
    "Transactions on registers, each write after a read of its key." MiniTransactions(MiniTransactionsOptions);
    "Transactions that write a key each, and others that read a group of keys." LongFork(LongForkOptions);
}

impl WorkloadOptions {
    /// Its name in plans.
    pub fn name(&self) -> &'static str {
        self.doc().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::OBJECTS;
    use crate::workload::{ClientWorkload, Part};
    use dsfuzz_checkers::functions::{FunctionKind, function};
    use serde_json::json;

    fn plain() -> Vec<(&'static WorkloadDoc, Box<dyn Workload>)> {
        let options =
            |doc: &WorkloadDoc| serde_json::from_value(json!({ doc.name: {} })).expect("every workload has defaults");
        WORKLOADS.iter().map(|doc| (doc, WorkloadOptions::build(&options(doc)))).collect()
    }

    #[test]
    fn the_table_of_functions_knows_what_every_workload_calls() {
        for (doc, workload) in plain() {
            assert_eq!(*doc.name, *workload.name());
            for name in workload.functions() {
                assert_ne!(function(&name).kind, FunctionKind::Unknown, "{name}");
                let reads = ["read", "leader", "log", "status"].contains(&&*name);
                assert_eq!(Part::of(&name) == Part::Reads, reads, "{name}");
            }
        }
    }

    #[test]
    fn the_checkers_of_a_workload_are_among_those_that_it_drives() {
        for (doc, workload) in plain() {
            for name in doc.checkers {
                assert!(dsfuzz_checkers::CHECKERS.iter().any(|checker| checker.name == *name), "{}: {name}", doc.name);
            }
            // A declared workload names its checkers itself.
            assert_eq!(workload.checkers().is_empty(), doc.name == "declared", "{}", doc.name);
            for name in workload.checkers() {
                assert!(doc.checkers.contains(&name), "{} is judged by {name}, which it does not drive", doc.name);
            }
        }
    }

    #[test]
    fn every_workload_calls_the_functions_of_its_object_alone() {
        for (doc, workload) in plain() {
            let object = OBJECTS.iter().find(|object| object.name == doc.object).expect("an object of the list");
            let told = ClientWorkload::of(&*workload);
            assert_eq!((&*told.name, &*told.object), (doc.name, object.name));
            for name in told.functions {
                assert!(object.functions.contains(&&*name), "{} calls {name}, which {} lacks", doc.name, doc.object);
            }
        }
        let mut names: Vec<&str> = OBJECTS.iter().map(|object| object.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OBJECTS.len(), "two objects of one name");
    }
}
