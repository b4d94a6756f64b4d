//! Closed predicate: transactions that select rows by a predicate, and insert, change or delete rows that others select. All keys are
//! known, so that a row which a predicate does not show says something too.
//!
//! Rows stand in groups, and the predicate `["=", group]` selects those whose value is the number of their group. A row that `init`
//! set is deleted or gets another value once; every other row is inserted once. A worker draws what a transaction does from its
//! own stream; the row that it changes is bound when it is called. Never: writes a key in two transactions, beside `init`.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::names::CallNames;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "closed-predicate",
    object: "table",
    doc: "Transactions that select rows by a predicate, and insert, change or delete rows that others select; judged by closed-predicate (phantoms, write skew).",
    reads: Reads::Value,
    checkers: &["closed-predicate"],
};

/// Most rows at the beginning: one call sets them all.
const ROWS_MAX: u32 = 10_000;
/// Most rows of a group: a predicate shows them all.
const GROUP_MAX: u32 = 1_000;

/// Options of the closed-predicate workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClosedPredicateOptions {
    /// How many rows there are at the beginning. The first call, `init`, sets them; 0: no such call. Rows that are inserted are new ones.
    pub rows: u32,
    /// How many rows belong together: a predicate selects those of one group. Half of them are there at the beginning, as long as
    /// `rows` lasts.
    pub group_size: u32,
    /// The share of read-only transactions, in percent.
    pub read_only: u32,
}

impl Default for ClosedPredicateOptions {
    fn default() -> ClosedPredicateOptions {
        ClosedPredicateOptions { rows: 200, group_size: 8, read_only: 50 }
    }
}

impl WorkloadSpec for ClosedPredicateOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let begun = if self.rows == 0 { Begun::Yes } else { Begun::No };
        Box::new(Rows {
            options: self.clone(),
            names: CallNames::new(DOC.name, ["init", "txn"]),
            begun: Arc::new(AtomicU8::new(begun as u8)),
            changed: Arc::new(AtomicU64::new(0)),
        })
    }

    fn blind(&self) -> Option<&'static str> {
        (self.read_only == 100)
            .then_some("all transactions are read-only, so that no call of the load could contradict another")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let mistake = |option, message: String| Some((option, message));
        let ClosedPredicateOptions { rows, group_size, read_only } = *self;
        match () {
            () if rows > ROWS_MAX => {
                mistake("rows", format!("{rows} rows; at most {ROWS_MAX}, because one call sets them all"))
            }
            () if group_size < 2 => mistake("group_size", format!("{group_size} in a group cannot meet; at least 2")),
            () if group_size > GROUP_MAX => mistake("group_size", format!("{group_size} rows; at most {GROUP_MAX}")),
            () if read_only > 100 => mistake("read_only", format!("{read_only} percent; at most 100")),
            () => None,
        }
    }
}

/// Whether the first rows are there. No transaction is called before.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Begun {
    No,
    /// Some worker has called `init`, or is about to.
    Asked,
    Yes,
}

const INIT: usize = 0;
const TXN: usize = 1;

#[derive(Clone)]
struct Rows {
    options: ClosedPredicateOptions,
    names: CallNames<2>,
    /// A [`Begun`].
    begun: Arc<AtomicU8>,
    /// Rows that some worker has changed or is about to.
    changed: Arc<AtomicU64>,
}

impl Rows {
    fn size(&self) -> u64 {
        u64::from(self.options.group_size.max(2))
    }

    /// Whether `init` sets the row: the first half of each group, until there are no more.
    fn is_first(&self, key: u64) -> bool {
        let (half, place) = (self.size() / 2, key % self.size());
        place < half && key / self.size() * half + place < u64::from(self.options.rows)
    }

    /// `{key: group}` of all rows at the beginning.
    fn first(&self) -> Value {
        let (size, half) = (self.size(), self.size() / 2);
        let row = |number: u64| {
            let (group, place) = (number / half, number % half);
            (Arc::from((group * size + place).to_string()), Value::Int(group as i64))
        };
        let rows: BTreeMap<Arc<str>, Value> = (0..u64::from(self.options.rows)).map(row).collect();
        Value::Map(rows.into_iter().collect())
    }

    /// Moves from one state to another, if it is the one.
    fn turn(&self, from: Begun, to: Begun) -> bool {
        self.begun.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Workload for Rows {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let first = if self.options.rows == 0 { TXN } else { INIT };
        self.names.functions[first..].to_vec()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(RowCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            rows: self.clone(),
            recent: u64::from(workers.max(1)),
            call: None,
        })
    }

    /// None: what the transactions of the load showed is all that is judged.
    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec![DOC.name]
    }
}

struct RowCalls {
    rng: Rng,
    rows: Rows,
    /// Among how many of the newest groups a transaction chooses.
    recent: u64,
    /// The call that `next` shows until `taken` consumes it.
    call: Option<Call>,
}

impl RowCalls {
    /// `["rp", ["=", group], null]`.
    fn select(group: u64) -> Value {
        let predicate = Value::list([Value::text("="), Value::Int(group as i64)]);
        Value::list([Value::text("rp"), predicate, Value::Nil])
    }

    fn operation(name: &str, key: u64, value: Value) -> Value {
        Value::list([Value::text(name), Value::Int(key as i64), value])
    }

    /// A group among the newest.
    fn recent(&mut self) -> u64 {
        let newest = self.rows.changed.load(Ordering::Relaxed).saturating_sub(1) / self.rows.size();
        newest.saturating_sub(self.rng.below(self.recent))
    }

    fn draw(&mut self) -> Call {
        let read_only = self.rng.below(100) < u64::from(self.rows.options.read_only);
        let (group, size) = (self.recent(), self.rows.size());
        let mut operations = vec![Self::select(group)];
        if self.rng.below(2) == 0 {
            operations.push(Self::operation("r", group * size + self.rng.below(size), Value::Nil));
        }
        if !read_only {
            let deletes = self.rng.below(2) == 0;
            let key = self.rows.changed.fetch_add(1, Ordering::Relaxed);
            operations.push(Self::select(key / size));
            operations.push(match (self.rows.is_first(key), deletes) {
                (false, _) => Self::operation("insert", key, Value::Int((key / size) as i64)),
                (true, true) => Self::operation("delete", key, Value::Nil),
                // A value that is no group's.
                (true, false) => Self::operation("w", key, Value::Int(-1 - key as i64)),
            });
        }
        self.rows.names.call(TXN, Value::Nil, Value::list(operations))
    }
}

impl Generator for RowCalls {
    fn next(&mut self) -> Next {
        if self.call.is_none() {
            self.call = match () {
                () if self.rows.turn(Begun::No, Begun::Asked) => {
                    Some(self.rows.names.call(INIT, Value::Nil, self.rows.first()))
                }
                () if self.rows.begun.load(Ordering::Acquire) == Begun::Yes as u8 => Some(self.draw()),
                () => return Next::Wait,
            };
        }
        self.call.clone().map_or(Next::Done, Next::Call)
    }

    fn taken(&mut self) {
        self.call = None;
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        if &*call.f == "init" {
            // One without an answer may have set the rows: a second one would come after it.
            let to = if matches!(answer, CallResult::Fail(_)) { Begun::No } else { Begun::Yes };
            self.rows.turn(Begun::Asked, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;

    fn begun(options: &ClosedPredicateOptions, workers: u32) -> (Box<dyn Workload>, Vec<Box<dyn Generator>>) {
        let workload = options.build();
        let mut generators: Vec<_> = (0..workers).map(|worker| workload.generator(7, worker, workers)).collect();
        if options.rows > 0 {
            let init = next_call(&mut *generators[0]);
            generators[0].observe(&init, &CallResult::Ok(Value::Nil));
        }
        (workload, generators)
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let options = ClosedPredicateOptions { rows: 2, group_size: 4, ..ClosedPredicateOptions::default() };
        let (_, mut generators) = begun(&options, 2);
        let calls: Vec<String> = (0..8).map(|turn| next_call(&mut *generators[turn % 2]).value.to_string()).collect();
        assert_eq!(calls.join("\n"), GOLDEN);
    }

    const GOLDEN: &str = "\
[[\"rp\", [\"=\", 0], nil], [\"r\", 2, nil], [\"rp\", [\"=\", 0], nil], [\"delete\", 0, nil]]\n\
[[\"rp\", [\"=\", 0], nil]]\n\
[[\"rp\", [\"=\", 0], nil], [\"rp\", [\"=\", 0], nil], [\"w\", 1, -2]]\n\
[[\"rp\", [\"=\", 0], nil]]\n\
[[\"rp\", [\"=\", 0], nil], [\"rp\", [\"=\", 0], nil], [\"insert\", 2, 0]]\n\
[[\"rp\", [\"=\", 0], nil], [\"rp\", [\"=\", 0], nil], [\"insert\", 3, 0]]\n\
[[\"rp\", [\"=\", 0], nil], [\"r\", 1, nil]]\n\
[[\"rp\", [\"=\", 0], nil]]";

    #[test]
    fn the_first_rows_are_set_once_before_any_transaction() {
        let options = ClosedPredicateOptions { rows: 3, group_size: 4, ..ClosedPredicateOptions::default() };
        let workload = options.build();
        assert_eq!(workload.functions().iter().map(|name| &**name).collect::<Vec<_>>(), ["init", "txn"]);
        let mut generators: Vec<_> = (0..2).map(|worker| workload.generator(7, worker, 2)).collect();
        let init = next_call(&mut *generators[0]);
        assert_eq!((&*init.f, init.value.to_string()), ("init", "{0: 0, 1: 0, 4: 1}".to_owned()));
        assert_eq!(generators[1].next(), Next::Wait);
        generators[0].observe(&init, &CallResult::fail("refused"));
        let again = next_call(&mut *generators[1]);
        assert_eq!(again, init, "a refused one is tried again, by whoever comes first");
        assert_eq!(generators[0].next(), Next::Wait);
        generators[1].observe(&again, &CallResult::Ok(Value::Nil));
        assert!(generators.iter_mut().all(|generator| &*next_call(&mut **generator).f == "txn"));
        let none = ClosedPredicateOptions { rows: 0, ..ClosedPredicateOptions::default() }.build();
        assert_eq!(none.functions().iter().map(|name| &**name).collect::<Vec<_>>(), ["txn"]);
        assert_eq!(&*next_call(&mut *none.generator(7, 0, 1)).f, "txn");
    }

    #[test]
    fn each_row_is_changed_once_and_the_first_ones_are_not_inserted() {
        let options = ClosedPredicateOptions { rows: 6, group_size: 4, ..ClosedPredicateOptions::default() };
        let (_, mut generators) = begun(&options, 3);
        let mut changed: Vec<(i64, String)> = Vec::new();
        for turn in 0..300 {
            let call = next_call(&mut *generators[turn % 3]);
            for operation in call.value.as_list().expect("micro-operations") {
                let [name, key, _] = operation.as_list().expect("a micro-operation") else { panic!("{operation}") };
                if !matches!(&*name.to_string(), "\"rp\"" | "\"r\"") {
                    changed.push((key.as_int().expect("a key"), name.to_string().replace('"', "")));
                }
            }
        }
        let keys: Vec<i64> = changed.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, (0..keys.len() as i64).collect::<Vec<i64>>());
        assert!((100..200).contains(&keys.len()), "{} of 300 transactions write", keys.len());
        for (key, name) in changed {
            assert_eq!(name != "insert", [0, 1, 4, 5, 8, 9].contains(&key), "{name} {key}");
        }
    }

    #[test]
    fn mistakes_and_blind_loads_are_named() {
        let default = ClosedPredicateOptions::default;
        for (options, named) in [
            (ClosedPredicateOptions { rows: 10_001, ..default() }, Some("rows")),
            (ClosedPredicateOptions { group_size: 1, ..default() }, Some("group_size")),
            (ClosedPredicateOptions { group_size: 1_001, ..default() }, Some("group_size")),
            (ClosedPredicateOptions { read_only: 101, ..default() }, Some("read_only")),
            (default(), None),
        ] {
            assert_eq!(options.mistake().map(|(option, _)| option), named, "{options:?}");
        }
        assert!(
            ClosedPredicateOptions { read_only: 100, ..default() }.blind().is_some() && default().blind().is_none()
        );
    }
}
