//! A growing set: add unique elements, read everything at the end, and during the load by option. The workload `causal-reverse` is a
//! load of `Sets` too.
//!
//! Never: adds an element twice, or reads a set during the load unless an option says so (the cost of a read grows with the set).
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::names::CallNames;
use crate::slots::Slots;
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "set",
    object: "set",
    doc: "A growing set: add unique elements, read everything at the end, and during the load by option; judged by set (lost, unexpected, recovered, duplicated) and replicas-agree (diverged), with reads during the load by set-full (stale) too.",
    reads: Reads::Elements,
    checkers: &["set", "replicas-agree", "set-full", "split-brain"],
};

/// Options of the set workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetOptions {
    /// How many sets (keys) are in use; adds are spread over them. Left out: one.
    pub keys: Option<u32>,
    /// How often each function comes during the load, relative to the other.
    pub mix: SetMix,
}

/// Relative weights of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetMix {
    /// Adds.
    pub add: u32,
    /// Reads of all elements.
    pub read: u32,
}

impl Default for SetMix {
    fn default() -> SetMix {
        SetMix { add: 1, read: 0 }
    }
}

impl SetMix {
    pub(crate) fn mistake(self) -> Option<(&'static str, String)> {
        (self.add == 0).then(|| ("mix", "without adds there would be nothing to lose; at least 1".to_owned()))
    }
}

impl WorkloadSpec for SetOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        self.mix.mistake().or_else(|| self.keys.and_then(|keys| keys_mistake("keys", keys)))
    }
}

/// The workload with these options.
fn build(options: &SetOptions) -> Box<dyn Workload> {
    let judging: &[&'static str] = match options.mix.read {
        0 => &["set", "replicas-agree", "split-brain"],
        _ => &["set", "replicas-agree", "set-full", "split-brain"],
    };
    Box::new(Sets::new(&DOC, options.mix, SetsInUse::Kept(Keys(options.keys)), judging))
}

/// The sets of a load.
#[derive(Clone)]
pub(crate) enum SetsInUse {
    /// They are the same in the whole run.
    Kept(Keys),
    /// A fresh one takes the place of one that had its calls.
    Rotated(Arc<Slots>),
}

impl SetsInUse {
    fn count(&self) -> u64 {
        match self {
            SetsInUse::Kept(keys) => keys.count(),
            SetsInUse::Rotated(slots) => slots.count(),
        }
    }

    fn key(&self, number: u64) -> Value {
        match self {
            SetsInUse::Kept(keys) => keys.key(number),
            SetsInUse::Rotated(slots) => Value::Int(slots.key(number as usize)),
        }
    }

    fn taken(&self, number: u64) {
        if let SetsInUse::Rotated(slots) = self {
            slots.taken(number as usize);
        }
    }

    /// The keys that final reads ask for.
    fn last(&self) -> Vec<Value> {
        match self {
            SetsInUse::Kept(keys) => (0..keys.count()).map(|number| keys.key(number)).collect(),
            SetsInUse::Rotated(slots) => slots.recent().into_iter().map(Value::Int).collect(),
        }
    }
}

/// A load of sets, whatever workload it is of.
#[derive(Clone)]
pub(crate) struct Sets {
    doc: &'static WorkloadDoc,
    /// By [`ADD`] and [`READ`].
    weights: [u64; 2],
    sets: SetsInUse,
    names: CallNames<2>,
    checkers: &'static [&'static str],
}

/// Positions in [`CallNames::functions`] and in weights.
const ADD: usize = 0;
const READ: usize = 1;

impl Sets {
    pub(crate) fn new(
        doc: &'static WorkloadDoc,
        mix: SetMix,
        sets: SetsInUse,
        checkers: &'static [&'static str],
    ) -> Sets {
        let weights = [mix.add, mix.read].map(u64::from);
        Sets { doc, weights, sets, names: CallNames::new(doc.name, ["add", "read"]), checkers }
    }

    /// The generator of a worker with these weights of adds and reads.
    fn calls(&self, weights: [u64; 2], seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(SetCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            weights,
            sets: self.sets.clone(),
            names: self.names.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
        })
    }
}

impl Workload for Sets {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        self.doc.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.names.functions.to_vec()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        self.calls(self.weights, seed, worker, workers)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        let [add, read] = self.weights;
        let weights = match part {
            Part::Reads => [0, read],
            Part::Others => [add, 0],
        };
        (weights != [0, 0]).then(|| self.calls(weights, seed, worker, workers))
    }

    fn settle(&self) -> Vec<FinalCall> {
        let read = |key| FinalCall::from(self.names.call(READ, key, Value::Nil));
        self.sets.last().into_iter().map(read).collect()
    }

    fn params(&self) -> Value {
        match &self.sets {
            SetsInUse::Kept(Keys(Some(_))) => crate::names::object([("sets", Value::list(self.sets.last()))]),
            _ => Value::Nil,
        }
    }

    fn checkers(&self) -> Vec<&'static str> {
        self.checkers.to_vec()
    }
}

/// The calls of one worker. Its elements are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct SetCalls {
    rng: Rng,
    weights: [u64; 2],
    sets: SetsInUse,
    names: CallNames<2>,
    fresh: i64,
    step: i64,
    /// The next function and set, until `taken` consumes them.
    choice: Option<(usize, u64)>,
}

impl SetCalls {
    fn draw(&mut self) -> (usize, u64) {
        let function = match self.weights {
            // Nothing is drawn where there is no choice.
            [_, 0] => ADD,
            [0, _] => READ,
            weights => self.rng.weighted(&weights).unwrap_or(ADD),
        };
        (function, self.rng.below(self.sets.count()))
    }
}

impl Generator for SetCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            self.choice = Some(self.draw());
        }
        let Some((function, set)) = self.choice else { return Next::Done };
        let value = if function == ADD { Value::Int(self.fresh) } else { Value::Nil };
        Next::Call(self.names.call(function, self.sets.key(set), value))
    }

    fn taken(&mut self) {
        if let Some((function, set)) = self.choice.take() {
            self.sets.taken(set);
            self.fresh += if function == ADD { self.step } else { 0 };
        }
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;
    use std::collections::HashSet;

    #[test]
    fn elements_are_unique_in_the_run_and_asking_consumes_nothing() {
        let workload = build(&SetOptions { keys: Some(3), ..SetOptions::default() });
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

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let said = |options: &SetOptions| {
            let mut generator = build(options).generator(7, 1, 3);
            let call = |_| next_call(&mut *generator);
            let calls: Vec<String> = (0..10).map(call).map(|call| format!("{}:{}", call.key, call.value)).collect();
            calls.join(" ")
        };
        let adds = SetOptions { keys: Some(4), ..SetOptions::default() };
        assert_eq!(said(&adds), ADDS);
        assert_eq!(said(&SetOptions { mix: SetMix { add: 2, read: 1 }, ..adds }), MIXED);
    }

    const ADDS: &str = "0:2 0:5 2:8 1:11 1:14 3:17 2:20 0:23 3:26 1:29";
    const MIXED: &str = "0:2 1:5 3:8 0:nil 1:nil 2:11 1:14 1:17 0:nil 2:20";

    #[test]
    fn reads_during_the_load_are_a_part_of_it_and_are_judged() {
        let adds = build(&SetOptions::default());
        assert!(adds.part(Part::Reads, 7, 0, 1).is_none() && !adds.checkers().contains(&"set-full"));
        let mixed = build(&SetOptions { mix: SetMix { add: 1, read: 1 }, ..SetOptions::default() });
        assert!(mixed.checkers().contains(&"set-full"));
        for (part, function) in [(Part::Reads, "read"), (Part::Others, "add")] {
            let mut generator = mixed.part(part, 7, 0, 1).expect("a part of the load");
            assert!((0..50).all(|_| &*next_call(&mut *generator).f == function));
        }
        assert!(SetOptions { mix: SetMix { add: 0, read: 1 }, ..SetOptions::default() }.mistake().is_some());
    }
}
