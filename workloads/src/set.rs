//! A growing set: add unique elements, read everything at the end.
//!
//! Never: adds an element twice, or reads during the load (the cost of a read grows with the set).
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "set",
    object: "set",
    doc: "A growing set: add unique elements, read everything at the end; judged by set (lost, unexpected, recovered, duplicated) and replicas-agree (diverged).",
    reads: Reads::Elements,
};

/// Options of the set workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetOptions {
    /// How many sets (keys) are in use; adds are spread over them. Left out: one.
    pub keys: Option<u32>,
}

impl WorkloadSpec for SetOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        self.keys.and_then(|keys| keys_mistake("keys", keys))
    }
}

/// The workload with these options.
fn build(options: &SetOptions) -> Box<dyn Workload> {
    Box::new(Sets { keys: options.keys, workload: Arc::from(DOC.name), add: Arc::from("add"), read: Arc::from("read") })
}

#[derive(Clone)]
struct Sets {
    keys: Option<u32>,
    workload: Arc<str>,
    add: Arc<str>,
    read: Arc<str>,
}

impl Sets {
    /// Nil for a single set without a name.
    fn key(&self, number: u64) -> Value {
        Keys(self.keys).key(number)
    }

    fn count(&self) -> u64 {
        Keys(self.keys).count()
    }
}

impl Workload for Sets {
    fn name(&self) -> Arc<str> {
        self.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.add.clone(), self.read.clone()]
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(Adds {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            sets: self.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
        })
    }

    fn settle(&self) -> Vec<FinalCall> {
        let read = |number| Call {
            workload: self.workload.clone(),
            f: self.read.clone(),
            key: self.key(number),
            value: Value::Nil,
        };
        (0..self.count()).map(read).map(FinalCall::from).collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["set", "replicas-agree", "split-brain"]
    }
}

/// The adds of one worker. Its elements are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct Adds {
    rng: Rng,
    sets: Sets,
    fresh: i64,
    step: i64,
    /// The next set.
    choice: Option<u64>,
}

impl Generator for Adds {
    fn next(&mut self) -> Next {
        let count = self.sets.count();
        let set = *self.choice.get_or_insert_with(|| self.rng.below(count));
        let (workload, f) = (self.sets.workload.clone(), self.sets.add.clone());
        Next::Call(Call { workload, f, key: self.sets.key(set), value: Value::Int(self.fresh) })
    }

    fn taken(&mut self) {
        if self.choice.take().is_some() {
            self.fresh += self.step;
        }
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn elements_are_unique_in_the_run_and_asking_consumes_nothing() {
        let workload = build(&SetOptions { keys: Some(3) });
        let mut seen = HashSet::new();
        for worker in 0..4 {
            let mut generator = workload.generator(7, worker, 4);
            for _ in 0..100 {
                let next = generator.next();
                assert_eq!(generator.next(), next);
                generator.taken();
                let Next::Call(call) = next else { panic!("{next:?}") };
                assert!((0..3).contains(&call.key.as_int().expect("an integer")));
                assert!(seen.insert(call.value), "an element was added twice");
            }
        }
        assert_eq!(workload.settle().len(), 3);
    }

    #[test]
    fn one_set_has_no_key() {
        let workload = build(&SetOptions::default());
        let Next::Call(call) = workload.generator(7, 0, 1).next() else { panic!("a call") };
        assert_eq!((call.key, call.value), (Value::Nil, Value::Int(1)));
        assert_eq!(workload.settle().len(), 1);
    }
}
