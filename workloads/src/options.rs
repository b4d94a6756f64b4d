//! [`WorkloadOptions`]: the one list of workloads. A new workload is one file and one entry here.
use crate::register::RegisterOptions;
use crate::set::SetOptions;
use crate::transactions::{self, TransactionKind, TransactionOptions};
use crate::workload::Workload;
use dsfuzz_checkers::Reads;
use serde::{Deserialize, Serialize};

/// A workload as a plan writes it: its name with its options, e.g. `register: {keys: 8}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadOptions {
    /// Independent registers: read, write, compare-and-set.
    Register(RegisterOptions),
    /// A growing set: add unique elements, read everything at the end.
    Set(SetOptions),
    /// Transactions of appends to lists and reads of them.
    ListAppend(TransactionOptions),
    /// Transactions of writes and reads of registers.
    RwRegister(TransactionOptions),
    /// Transactions on registers, each write after a read of its key.
    MiniTransactions(TransactionOptions),
}

/// Most keys of a workload: each is held in memory and read at the end on every node.
const KEYS_MAX: u32 = 100_000;

/// The mistake in a number of keys.
pub(crate) fn keys_mistake(option: &'static str, keys: u32) -> Option<(&'static str, String)> {
    match keys {
        0 => Some((option, "no key at all would be used; at least 1".to_owned())),
        keys if keys > KEYS_MAX => Some((option, format!("{keys} keys; at most {KEYS_MAX} are held"))),
        _ => None,
    }
}

/// The entry of a workload in `dsfuzz list`.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// What its reads reply with. With its functions this says which checkers can judge it.
    pub reads: Reads,
}

/// Every workload, for listings.
pub const WORKLOADS: &[WorkloadDoc] = &[
    crate::register::DOC,
    crate::set::DOC,
    transactions::LIST_APPEND,
    transactions::RW_REGISTER,
    transactions::MINI_TRANSACTIONS,
];

impl WorkloadOptions {
    /// The workload with these options.
    pub fn build(&self) -> Box<dyn Workload> {
        match self {
            WorkloadOptions::Register(options) => crate::register::build(options),
            WorkloadOptions::Set(options) => crate::set::build(options),
            WorkloadOptions::ListAppend(options) => transactions::build(TransactionKind::Append, options),
            WorkloadOptions::RwRegister(options) => transactions::build(TransactionKind::Write, options),
            WorkloadOptions::MiniTransactions(options) => transactions::build(TransactionKind::Mini, options),
        }
    }

    /// The reason why no call of the load can contradict a promise, whatever the target does; none if one can.
    pub fn blind(&self) -> Option<&'static str> {
        match self {
            WorkloadOptions::Register(options) => options.blind(),
            // Final reads show the losses of a set.
            WorkloadOptions::Set(_) => None,
            WorkloadOptions::ListAppend(options) => options.blind(TransactionKind::Append),
            WorkloadOptions::RwRegister(options) => options.blind(TransactionKind::Write),
            WorkloadOptions::MiniTransactions(options) => options.blind(TransactionKind::Mini),
        }
    }

    /// An option that would silently mean something else, or that is too large: its name and the mistake.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        match self {
            WorkloadOptions::Register(options) => options.mistake(),
            WorkloadOptions::Set(options) => options.keys.and_then(|keys| keys_mistake("keys", keys)),
            WorkloadOptions::ListAppend(options) => options.mistake(TransactionKind::Append),
            WorkloadOptions::RwRegister(options) => options.mistake(TransactionKind::Write),
            WorkloadOptions::MiniTransactions(options) => options.mistake(TransactionKind::Mini),
        }
    }

    /// Its entry in listings.
    pub fn doc(&self) -> &'static WorkloadDoc {
        match self {
            WorkloadOptions::Register(_) => &crate::register::DOC,
            WorkloadOptions::Set(_) => &crate::set::DOC,
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
