//! Inserts guarded by a predicate (Adya's G2): two transactions look for rows of a key in two tables, and each inserts a row into
//! one of them if it found none. At most one may succeed.
//!
//! `insert` has a key and `[a, nil]` or `[nil, b]`: the id goes into the first or the second table. The ids follow from the
//! worker's number. [`Generator::next`] binds the key and the table, which depend on how many inserts all workers have made, so
//! that inserts under one key come at the same time. Never: uses an id twice.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "g2",
    object: "predicate",
    doc: "Inserts guarded by a predicate: two transactions insert under a key if no row is there; judged by g2 (both succeeded).",
    reads: Reads::Anything,
    checkers: &["g2"],
};

/// Most inserts under one key; more would only be refused.
const INSERTS_MAX: u32 = 1_000;

/// Options of the g2 workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "G2WorkloadOptions")]
pub struct G2Options {
    /// How many inserts are tried under each key, in turn into the first and into the second table.
    pub inserts_per_key: u32,
}

impl Default for G2Options {
    fn default() -> G2Options {
        G2Options { inserts_per_key: 2 }
    }
}

impl WorkloadSpec for G2Options {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.inserts_per_key {
            inserts @ (0 | 1) => {
                Some(("inserts_per_key", format!("{inserts} under a key never meet another; at least 2")))
            }
            inserts if inserts > INSERTS_MAX => {
                Some(("inserts_per_key", format!("{inserts} under a key; at most {INSERTS_MAX}")))
            }
            _ => None,
        }
    }
}

/// The workload with these options.
fn build(options: &G2Options) -> Box<dyn Workload> {
    Box::new(Inserts {
        per_key: u64::from(options.inserts_per_key.max(1)),
        made: Arc::new(AtomicU64::new(0)),
        workload: Arc::from(DOC.name),
        insert: Arc::from("insert"),
    })
}

#[derive(Clone)]
struct Inserts {
    per_key: u64,
    /// Inserts of all workers.
    made: Arc<AtomicU64>,
    workload: Arc<str>,
    insert: Arc<str>,
}

impl Workload for Inserts {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.insert.clone()]
    }

    fn generator(&self, _seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        let (id, step) = (i64::from(worker) + 1, i64::from(workers.max(1)));
        Box::new(InsertCalls { inserts: self.clone(), id, step })
    }

    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["g2"]
    }
}

/// The inserts of one worker. Its ids are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct InsertCalls {
    inserts: Inserts,
    id: i64,
    step: i64,
}

impl Generator for InsertCalls {
    fn next(&mut self) -> Next {
        let Inserts { per_key, made, workload, insert } = &self.inserts;
        let made = made.load(Ordering::Relaxed);
        let id = Value::Int(self.id);
        let ids = if (made % per_key).is_multiple_of(2) { [id, Value::Nil] } else { [Value::Nil, id] };
        let key = Value::Int((made / per_key) as i64);
        Next::Call(Call { workload: workload.clone(), f: insert.clone(), key, value: Value::list(ids) })
    }

    fn taken(&mut self) {
        self.inserts.made.fetch_add(1, Ordering::Relaxed);
        self.id += self.step;
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls of workers that take turns, as `key [a, b]`.
    fn calls(options: &G2Options, workers: u32, count: usize) -> Vec<String> {
        let workload = build(options);
        let mut generators: Vec<_> = (0..workers).map(|worker| workload.generator(7, worker, workers)).collect();
        let mut calls = Vec::new();
        for turn in 0..count {
            let generator = &mut generators[turn % workers as usize];
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            generator.taken();
            let Next::Call(call) = next else { panic!("{next:?}") };
            let ids = call
                .value
                .as_list()
                .expect("a pair")
                .iter()
                .map(|id| id.as_int().map_or("-".into(), |id| id.to_string()));
            calls.push(format!("{} {}", call.key, ids.collect::<Vec<String>>().join("/")));
        }
        calls
    }

    #[test]
    fn the_first_choices_are_the_same_in_every_version() {
        let two = calls(&G2Options::default(), 3, 7);
        assert_eq!(two, ["0 1/-", "0 -/2", "1 3/-", "1 -/4", "2 5/-", "2 -/6", "3 7/-"]);
        let three = calls(&G2Options { inserts_per_key: 3 }, 2, 6);
        assert_eq!(three, ["0 1/-", "0 -/2", "0 3/-", "1 4/-", "1 -/5", "1 6/-"]);
    }

    #[test]
    fn workers_that_ask_at_the_same_time_meet_under_one_key_with_ids_of_their_own() {
        let workload = build(&G2Options::default());
        let (mut one, mut other) = (workload.generator(7, 0, 2), workload.generator(7, 1, 2));
        let (Next::Call(first), Next::Call(second)) = (one.next(), other.next()) else { panic!("two calls") };
        assert!(first.key == second.key && first.value != second.value, "{first:?} {second:?}");
    }

    #[test]
    fn a_key_with_a_single_insert_is_a_mistake() {
        for (inserts_per_key, expected) in [(0, true), (1, true), (2, false), (1_000, false), (1_001, true)] {
            assert_eq!(G2Options { inserts_per_key }.mistake().is_some(), expected, "{inserts_per_key}");
        }
    }
}
