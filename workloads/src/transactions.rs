//! The workloads `list-append`, `rw-register` and `mini-transactions`: transactions of micro-operations on several keys, as Elle's
//! generators make them. The one function is `txn`; its argument is a list of `["append", key, value]` or `["w", key, value]` and
//! `["r", key, null]`, and its reply is the same list with the reads filled in.
//!
//! A worker draws length, kinds, slots and written values from its own stream of the seed. [`Generator::next`] binds what depends
//! on other workers: the keys that the slots stand for now. Never: writes a value twice to a key.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::slots::Slots;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

mod unread;
use unread::Unread;

/// `list-append` in listings.
pub const LIST_APPEND: WorkloadDoc = WorkloadDoc {
    name: "list-append",
    object: "transactions",
    doc: "Transactions that append to lists and read them, so that each read shows the order of the appends; judged by list-append.",
    reads: Reads::Elements,
    checkers: &["list-append"],
};

/// `rw-register` in listings.
pub const RW_REGISTER: WorkloadDoc = WorkloadDoc {
    name: "rw-register",
    object: "transactions",
    doc: "Transactions that write and read registers, for targets without lists; judged by rw-register.",
    reads: Reads::Value,
    checkers: &["rw-register", "read-committed", "read-atomic", "causal-transactions"],
};

/// `mini-transactions` in listings.
pub const MINI_TRANSACTIONS: WorkloadDoc = WorkloadDoc {
    name: "mini-transactions",
    object: "transactions",
    doc: "Transactions on registers that read each key before they write it, so that isolation is decided exactly; judged by mini-transactions.",
    reads: Reads::Value,
    checkers: &["mini-transactions"],
};

/// Options of the workloads of transactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransactionOptions {
    /// How many keys are in use at a time.
    pub keys: u32,
    /// How many writes (or appends) a key gets before a fresh key takes its place.
    pub writes_per_key: u32,
    /// The least number of micro-operations in a transaction.
    pub min_length: u32,
    /// The greatest number of micro-operations in a transaction.
    pub max_length: u32,
    /// The share of read-only transactions, in percent. Every other transaction writes at least once.
    pub read_only: u32,
    /// How often each key in use comes.
    pub distribution: Distribution,
}

/// How often each key in use comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// All keys equally often.
    Uniform,
    /// The first key twice as often as the second, the second twice as often as the third, and so on.
    Exponential,
}

impl Default for TransactionOptions {
    fn default() -> TransactionOptions {
        TransactionOptions {
            keys: 10,
            writes_per_key: 32,
            min_length: 1,
            max_length: 4,
            read_only: 25,
            distribution: Distribution::Exponential,
        }
    }
}

/// Most micro-operations of a transaction, far beyond what targets take.
const LENGTH_MAX: u32 = 1000;

impl TransactionOptions {
    /// The reason why no call of this load could contradict another; none if one can.
    fn blind(&self, kind: TransactionKind) -> Option<&'static str> {
        let writes_only = self.read_only == 0 && self.max_length == 1 && kind != TransactionKind::Mini;
        match self.read_only {
            100 => Some("all transactions are read-only, so that no call of the load could contradict another"),
            _ if writes_only => {
                Some("every transaction is one write, so that no call of the load could contradict another")
            }
            _ => None,
        }
    }

    /// The first option that would mean something other than it says: its name and the message.
    fn mistake(&self, kind: TransactionKind) -> Option<(&'static str, String)> {
        let mistake = |option, message: String| Some((option, message));
        let TransactionOptions { min_length: min, max_length: max, .. } = *self;
        match self {
            _ if self.writes_per_key == 0 => mistake(
                "writes_per_key",
                "no key would get a write; at least 1, or a large number for keys that stay".to_owned(),
            ),
            _ if min == 0 => mistake("min_length", "a transaction of nothing shows nothing; at least 1".to_owned()),
            _ if max > LENGTH_MAX => mistake("max_length", format!("{max} micro-operations; at most {LENGTH_MAX}")),
            _ if max < min => mistake("max_length", format!("{max} is less than min_length ({min})")),
            _ if max == 1 && kind == TransactionKind::Mini => {
                mistake("max_length", "a write follows a read of its key; at least 2".to_owned())
            }
            _ if self.read_only > 100 => mistake("read_only", format!("{} percent; at most 100", self.read_only)),
            _ => keys_mistake("keys", self.keys),
        }
    }
}

/// What the transactions of a workload write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransactionKind {
    /// Appends to lists.
    Append,
    /// Writes of registers.
    Write,
    /// Writes of registers, each after a read of its key.
    Mini,
}

impl TransactionKind {
    fn doc(self) -> &'static WorkloadDoc {
        match self {
            TransactionKind::Append => &LIST_APPEND,
            TransactionKind::Write => &RW_REGISTER,
            TransactionKind::Mini => &MINI_TRANSACTIONS,
        }
    }
}

/// The options of one kind: [`TransactionOptions`], in plans and in their schema too.
macro_rules! options_of {
    ($name:ident, $kind:ident, $entry:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub TransactionOptions);

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                TransactionOptions::schema_name()
            }

            fn schema_id() -> Cow<'static, str> {
                TransactionOptions::schema_id()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                TransactionOptions::json_schema(generator)
            }
        }

        impl WorkloadSpec for $name {
            const DOC: WorkloadDoc = $entry;

            fn build(&self) -> Box<dyn Workload> {
                build(TransactionKind::$kind, &self.0)
            }

            fn blind(&self) -> Option<&'static str> {
                self.0.blind(TransactionKind::$kind)
            }

            fn mistake(&self) -> Option<(&'static str, String)> {
                self.0.mistake(TransactionKind::$kind)
            }
        }
    };
}

options_of!(ListAppendOptions, Append, LIST_APPEND, "Options of `list-append`.");
options_of!(RwRegisterOptions, Write, RW_REGISTER, "Options of `rw-register`.");
options_of!(MiniTransactionsOptions, Mini, MINI_TRANSACTIONS, "Options of `mini-transactions`.");

/// The workload of this kind with these options.
fn build(kind: TransactionKind, options: &TransactionOptions) -> Box<dyn Workload> {
    let write = if kind == TransactionKind::Append { "append" } else { "w" };
    Box::new(Transactions {
        kind,
        options: options.clone(),
        names: Names {
            workload: Arc::from(kind.doc().name),
            txn: Arc::from("txn"),
            write: Value::text(write),
            read: Value::text("r"),
        },
        slots: Arc::new(Slots::new(options.keys, options.writes_per_key)),
        unread: Arc::default(),
    })
}

struct Transactions {
    kind: TransactionKind,
    options: TransactionOptions,
    names: Names,
    slots: Arc<Slots>,
    unread: Arc<Unread>,
}

/// The names that calls carry. Calls share them, so that no call allocates one.
#[derive(Clone)]
struct Names {
    workload: Arc<str>,
    txn: Arc<str>,
    write: Value,
    read: Value,
}

impl Names {
    fn call(&self, micro_operations: impl IntoIterator<Item = Value>) -> Call {
        let value = Value::list(micro_operations);
        Call { workload: self.workload.clone(), f: self.txn.clone(), key: Value::Nil, value }
    }

    /// `["r", key, null]`, or a write of the value.
    fn micro_operation(&self, key: i64, written: Option<i64>) -> Value {
        let (name, value) = match written {
            Some(value) => (&self.write, Value::Int(value)),
            None => (&self.read, Value::Nil),
        };
        Value::list([name.clone(), Value::Int(key), value])
    }
}

impl Workload for Transactions {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        self.kind.doc().object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.names.txn.clone()]
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(TransactionCalls {
            choices: Choices {
                rng: Rng::new(seed, "worker", u64::from(worker)),
                kind: self.kind,
                options: self.options.clone(),
                slots: self.slots.count(),
                fresh: i64::from(worker) + 1,
                step: i64::from(workers.max(1)),
            },
            names: self.names.clone(),
            slots: self.slots.clone(),
            unread: self.unread.clone(),
            choice: None,
        })
    }

    /// A transaction for each recent key that reads it, and for each older one with appends whose order no read has shown: the
    /// last writes of a key are shown by nothing else.
    fn settle(&self) -> Vec<FinalCall> {
        let read = |key| self.names.call([self.names.micro_operation(key, None)]).into();
        let recent = self.slots.recent();
        let older = self.unread.keys().into_iter().filter(|key| !recent.contains(key));
        recent.iter().copied().chain(older).map(read).collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec![self.kind.doc().name]
    }
}

/// A micro-operation before its key is bound: the slot, and the value to write; none for a read.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Planned {
    slot: usize,
    written: Option<i64>,
}

/// The draws of one worker. They follow from the seed alone; no reply changes them.
struct Choices {
    rng: Rng,
    kind: TransactionKind,
    options: TransactionOptions,
    slots: u64,
    /// The next unique value, and its distance to the one after it: workers take turns, so no two write the same value.
    fresh: i64,
    step: i64,
}

impl Choices {
    fn draw(&mut self) -> Vec<Planned> {
        let read_only = self.rng.below(100) < u64::from(self.options.read_only);
        // A write of a mini-transaction takes two micro-operations.
        let least = if self.kind == TransactionKind::Mini && !read_only { 2 } else { 1 };
        let max = self.options.max_length.max(least);
        let length = self.rng.between(u64::from(self.options.min_length.clamp(least, max)), u64::from(max)) as usize;
        let mut planned: Vec<Planned> = Vec::with_capacity(length);
        while planned.len() < length {
            let slot = self.slot();
            let writes = !read_only && self.rng.below(2) == 1;
            let unread = self.kind == TransactionKind::Mini && planned.iter().all(|before| before.slot != slot);
            let room = planned.len() + 1 < length;
            if unread || !writes {
                planned.push(Planned { slot, written: None });
            }
            if writes && (room || !unread) {
                let written = Some(self.value());
                planned.push(Planned { slot, written });
            }
        }
        if !read_only && planned.iter().all(|planned| planned.written.is_none()) {
            self.write_last(&mut planned);
        }
        planned
    }

    /// Makes the last micro-operation a write; in a mini-transaction, of the key that is read before it.
    fn write_last(&mut self, planned: &mut [Planned]) {
        let read = planned.iter().rev().nth(1).copied();
        let written = Some(self.value());
        if let Some(last) = planned.last_mut() {
            let slot = read.filter(|_| self.kind == TransactionKind::Mini).map_or(last.slot, |read| read.slot);
            *last = Planned { slot, written };
        }
    }

    fn slot(&mut self) -> usize {
        match self.options.distribution {
            Distribution::Uniform => self.rng.below(self.slots) as usize,
            Distribution::Exponential => {
                let (mut slot, last) = (0, self.slots as usize - 1);
                while slot < last && self.rng.below(2) == 1 {
                    slot += 1;
                }
                slot
            }
        }
    }

    fn value(&mut self) -> i64 {
        let value = self.fresh;
        self.fresh += self.step;
        value
    }
}

struct TransactionCalls {
    choices: Choices,
    names: Names,
    slots: Arc<Slots>,
    unread: Arc<Unread>,
    /// The choice that `next` shows until `taken` consumes it.
    choice: Option<Vec<Planned>>,
}

impl Generator for TransactionCalls {
    fn next(&mut self) -> Next {
        let planned = self.choice.get_or_insert_with(|| self.choices.draw());
        // Bound once for each slot, so that a key that another worker replaces meanwhile is one key in the whole transaction.
        let mut keys: Vec<(usize, i64)> = Vec::with_capacity(planned.len());
        let micro_operations: Vec<Value> = planned
            .iter()
            .map(|Planned { slot, written }| {
                let bound = keys.iter().find(|(known, _)| known == slot).map(|(_, key)| *key);
                let key = bound.unwrap_or_else(|| self.slots.key(*slot));
                keys.push((*slot, key));
                self.names.micro_operation(key, *written)
            })
            .collect();
        Next::Call(self.names.call(micro_operations))
    }

    fn taken(&mut self) {
        for planned in self.choice.take().into_iter().flatten().filter(|planned| planned.written.is_some()) {
            self.slots.taken(planned.slot);
        }
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        // Only reads of lists show the order of what was written.
        match answer {
            _ if self.choices.kind != TransactionKind::Append => {}
            CallResult::Ok(reply) => self.unread.note(reply),
            CallResult::Info(_) => self.unread.note(&call.value),
            CallResult::Fail(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
