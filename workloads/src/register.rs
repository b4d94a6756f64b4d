//! The workload `register`: its options and its generator. Each key is a register of its own; the functions are `read`, `write` and
//! `cas` (compare-and-set).
//!
//! A worker draws function, slot and written value from its own stream of the seed. [`Generator::next`] binds the two parts that
//! depend on replies and on other workers: the key that the slot stands for now, and the expected value of a compare-and-set.
//! Never: writes a value twice to a key, unless the option `values` is given.
//!
//! The workloads `sessions` and `convergence` are loads of `Registers` too.
//!
//! A new function needs a weight in [`Mix`], a name in `CallNames`, its argument in `next`, its value in `observe`, and its place
//! in `part` (reads or others).
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::names::{CallNames, object};
use crate::slots::Slots;
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Options, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The entry of this workload in listings; `options.rs` collects them.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "register",
    object: "register",
    doc: "Independent registers: read, write and compare-and-set; judged by linearizable and split-brain.",
    reads: Reads::Value,
    checkers: &["linearizable", "split-brain"],
};

/// Options of the register workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterOptions {
    /// How many keys are in use at a time.
    pub keys: u32,
    /// How often each function comes, relative to the others.
    pub mix: Mix,
    /// How many calls a key gets before a fresh key takes its place.
    pub ops_per_key: u32,
    /// How many different values writes draw from. Left out: every written value is unique in its key.
    pub values: Option<u32>,
}

impl Default for RegisterOptions {
    fn default() -> RegisterOptions {
        RegisterOptions { keys: 8, mix: Mix::default(), ops_per_key: 500, values: None }
    }
}

/// Relative weights of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
    /// Compare-and-sets.
    pub cas: u32,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { read: 5, write: 3, cas: 2 }
    }
}

impl WorkloadSpec for RegisterOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn blind(&self) -> Option<&'static str> {
        if self.mix.read == 0 && self.mix.cas == 0 {
            return Some("the mix has writes only, so that no call of the load could contradict another");
        }
        (self.values == Some(1)).then_some("one value only is written, so that no read could be stale")
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        let Mix { read, write, cas } = self.mix;
        let mistake = |option, message: &str| Some((option, message.to_owned()));
        match self {
            _ if read == 0 && write == 0 && cas == 0 => mistake("mix", "every weight is 0: no call would be made"),
            RegisterOptions { ops_per_key: 0, .. } => {
                mistake("ops_per_key", "no key would get a call; at least 1, or a large number for keys that stay")
            }
            RegisterOptions { values: Some(0), .. } => {
                mistake("values", "there would be nothing to write; leave it out for unique values")
            }
            _ => keys_mistake("keys", self.keys),
        }
    }
}

/// The workload with these options.
fn build(options: &RegisterOptions) -> Box<dyn Workload> {
    let RegisterOptions { keys, mix: Mix { read, write, cas }, ops_per_key, values } = *options;
    let registers = Registers::new(&DOC, [read, write, cas], keys, ops_per_key, vec!["linearizable", "split-brain"]);
    Box::new(Registers { values, ..registers })
}

/// A load of registers, whatever workload it is of.
pub(crate) struct Registers {
    doc: &'static WorkloadDoc,
    /// By [`READ`], [`WRITE`] and [`CAS`].
    weights: [u64; 3],
    /// Left out: every written value is unique in its key.
    pub(crate) values: Option<u32>,
    /// After how many calls a worker moves on to the next node; 0: never.
    pub(crate) move_every: u32,
    /// Replies have versions: see [`crate::sessions`].
    pub(crate) versions: bool,
    /// Which nodes the final reads ask; left out: as the plan or the recipe has it.
    pub(crate) finals: Option<FinalReads>,
    checkers: Vec<&'static str>,
    names: CallNames<3>,
    slots: Arc<Slots>,
}

impl Registers {
    /// A load of unique values whose workers stay on their nodes.
    pub(crate) fn new(
        doc: &'static WorkloadDoc,
        weights: [u32; 3],
        keys: u32,
        ops_per_key: u32,
        checkers: Vec<&'static str>,
    ) -> Registers {
        Registers {
            doc,
            weights: weights.map(u64::from),
            values: None,
            move_every: 0,
            versions: false,
            finals: None,
            checkers,
            names: CallNames::new(doc.name, ["read", "write", "cas"]),
            slots: Arc::new(Slots::new(keys, ops_per_key)),
        }
    }
}

/// Positions in [`CallNames::functions`] and in weights.
pub(crate) const READ: usize = 0;
pub(crate) const WRITE: usize = 1;
pub(crate) const CAS: usize = 2;

impl Workload for Registers {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        self.doc.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        // The final reads need `read`, whatever its weight.
        let needed = |function: &usize| *function == READ || self.weights[*function] > 0;
        [READ, WRITE, CAS].iter().filter(|f| needed(f)).map(|f| self.names.functions[*f].clone()).collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        self.calls(self.weights, seed, worker, workers)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        let [read, write, cas] = self.weights;
        let weights = match part {
            Part::Reads => [read, 0, 0],
            Part::Others => [0, write, cas],
        };
        (weights != [0, 0, 0]).then(|| self.calls(weights, seed, worker, workers))
    }

    fn settle(&self) -> Vec<FinalCall> {
        let read = |key| FinalCall { mode: self.finals, ..self.names.call(READ, Value::Int(key), Value::Nil).into() };
        self.slots.recent().into_iter().map(read).collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        self.checkers.clone()
    }

    fn params(&self) -> Value {
        if self.versions { object([("versions", Value::Bool(true))]) } else { Value::Nil }
    }

    fn checker_options(&self, checker: &str) -> Options {
        // A run of several workloads has checkers of others.
        let versions = self.versions && self.checkers.contains(&checker);
        Options(versions.then(|| ("versions".to_owned(), Value::Bool(true))).into_iter().collect())
    }
}

impl Registers {
    /// The generator of a worker with these weights of the functions.
    fn calls(&self, weights: [u64; 3], seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(RegisterCalls {
            choices: Choices {
                rng: Rng::new(seed, "worker", u64::from(worker)),
                weights,
                slots: self.slots.count(),
                values: self.values,
                fresh: i64::from(worker) + 1,
                step: i64::from(workers.max(1)),
            },
            names: self.names.clone(),
            slots: self.slots.clone(),
            choice: None,
            calls: 0,
            move_every: self.move_every,
        })
    }
}

/// The draws of one worker. They follow from the seed alone; no reply changes them.
struct Choices {
    rng: Rng,
    weights: [u64; 3],
    slots: u64,
    values: Option<u32>,
    /// The next unique value, and its distance to the one after it: workers take turns, so no two write the same value.
    fresh: i64,
    step: i64,
}

#[derive(Clone, Copy)]
struct Choice {
    function: usize,
    slot: usize,
    /// The value to write; unused by reads.
    value: i64,
}

impl Choices {
    fn draw(&mut self) -> Option<Choice> {
        let function = self.rng.weighted(&self.weights)?;
        let slot = self.rng.below(self.slots) as usize;
        let value = match (function, self.values) {
            (READ, _) => 0,
            (_, Some(values)) => self.rng.below(u64::from(values)) as i64 + 1,
            (_, None) => {
                let value = self.fresh;
                self.fresh += self.step;
                value
            }
        };
        Some(Choice { function, slot, value })
    }
}

struct RegisterCalls {
    choices: Choices,
    names: CallNames<3>,
    slots: Arc<Slots>,
    /// The choice that `next` shows until `taken` consumes it.
    choice: Option<Choice>,
    /// Calls of this worker.
    calls: u32,
    move_every: u32,
}

impl Generator for RegisterCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            self.choice = self.choices.draw();
        }
        let Some(Choice { function, slot, value }) = self.choice else { return Next::Done };
        let argument = match function {
            READ => Value::Nil,
            WRITE => Value::Int(value),
            // [expected, new]
            _ => Value::list([Value::Int(self.slots.seen(slot)), Value::Int(value)]),
        };
        Next::Call(self.names.call(function, Value::Int(self.slots.key(slot)), argument))
    }

    fn taken(&mut self) {
        if let Some(choice) = self.choice.take() {
            self.slots.taken(choice.slot);
            self.calls = self.calls.wrapping_add(1);
        }
    }

    fn moved(&self) -> u32 {
        self.calls.checked_div(self.move_every).unwrap_or(0)
    }

    /// The new process begins a session at its own node.
    fn replaced(&mut self) {
        self.calls = 0;
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        let reply = match answer {
            CallResult::Ok(reply) => reply,
            // A session leaves a node that refuses it, so that not all of them wait there.
            CallResult::Fail(_) => return self.calls = self.calls.next_multiple_of(self.move_every.max(1)),
            // The session is over; the next one begins on the worker's own node.
            CallResult::Info(_) => return self.calls = 0,
        };
        match (&*call.f, call.value.as_list()) {
            ("read", _) => self.slots.saw(&call.key, reply),
            ("write", _) => self.slots.saw(&call.key, &call.value),
            ("cas", Some([_, to])) => self.slots.saw(&call.key, to),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    fn next_call(generator: &mut dyn Generator) -> Call {
        match generator.next() {
            Next::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    /// The choice without its late-bound parts: function, slot, written value.
    fn chosen(call: &Call, keys: i64) -> (Arc<str>, i64, Option<i64>) {
        let slot = call.key.as_int().expect("an integer") % keys;
        let written = call.value.as_list().map_or(&call.value, |pair| &pair[1]);
        (call.f.clone(), slot, written.as_int())
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let workload = build(&RegisterOptions::default());
        let mut lines = String::new();
        for worker in 0..3 {
            let mut generator = workload.generator(7, worker, 3);
            for _ in 0..200 {
                let (f, slot, value) = chosen(&next_call(&mut *generator), 8);
                let value = value.map_or(String::new(), |value| format!("={value}"));
                writeln!(lines, "{worker} {f} {slot}{value}").expect("writing to a string");
                generator.taken();
            }
        }
        assert_eq!(lines, include_str!("../golden/register-seed-7.txt"));
    }

    #[test]
    fn asking_consumes_nothing() {
        let workload = build(&RegisterOptions::default());
        let (mut curious, mut plain) = (workload.generator(1, 0, 2), workload.generator(1, 0, 2));
        for round in 0..100 {
            for _ in 0..round % 4 {
                curious.next();
            }
            assert_eq!(curious.next(), plain.next());
            curious.taken();
            plain.taken();
        }
    }

    #[test]
    fn answers_change_no_choice() {
        let (first, second) = (build(&RegisterOptions::default()), build(&RegisterOptions::default()));
        let (mut observing, mut unobserving) = (first.generator(5, 1, 4), second.generator(5, 1, 4));
        let mut expectations_differ = false;
        for _ in 0..2000 {
            let (call, other) = (next_call(&mut *observing), next_call(&mut *unobserving));
            assert_eq!(chosen(&call, 8), chosen(&other, 8));
            expectations_differ |= call != other;
            observing.taken();
            unobserving.taken();
            observing.observe(&call, &CallResult::Ok(Value::Int(99)));
            unobserving.observe(&other, &CallResult::info("timeout"));
        }
        assert!(expectations_differ, "what a compare-and-set expects is bound to what was seen");
    }

    #[test]
    fn values_are_unique_and_keys_rotate() {
        let options = RegisterOptions { keys: 2, ops_per_key: 10, ..RegisterOptions::default() };
        let workload = build(&options);
        let mut generators: Vec<_> = (0..3).map(|worker| workload.generator(3, worker, 3)).collect();
        let (mut written, mut calls_by_key) = (Vec::new(), std::collections::BTreeMap::new());
        for turn in 0..300 {
            let generator = &mut generators[turn % 3];
            let call = next_call(&mut **generator);
            generator.taken();
            written.extend(chosen(&call, 2).2);
            *calls_by_key.entry(call.key.as_int().expect("an integer")).or_insert(0) += 1;
        }
        let count = written.len();
        written.sort_unstable();
        written.dedup();
        assert_eq!(written.len(), count);
        assert_eq!(calls_by_key.values().filter(|calls| **calls == 10).count(), calls_by_key.len() - 2);
        let newest = *calls_by_key.keys().max().expect("keys");
        assert!(
            workload.settle().iter().any(|FinalCall { call, .. }| call.key == Value::Int(newest) && &*call.f == "read")
        );
    }

    #[test]
    fn a_compare_and_set_expects_what_was_last_seen_in_its_key() {
        let mix = Mix { read: 0, write: 0, cas: 1 };
        let options = RegisterOptions { keys: 1, ops_per_key: 4, values: Some(5), mix };
        let workload = build(&options);
        let (mut generator, mut other) = (workload.generator(3, 0, 2), workload.generator(3, 1, 2));
        let expected = |call: &Call| call.value.as_list().map(|pair| pair[0].clone());
        let call = next_call(&mut *generator);
        assert_eq!(expected(&call), Some(Value::Int(0)));
        generator.taken();
        other
            .observe(&Call { f: Arc::from("read"), value: Value::Nil, ..call.clone() }, &CallResult::Ok(Value::Int(4)));
        for _ in 1..4 {
            let call = next_call(&mut *generator);
            assert_eq!(expected(&call), Some(Value::Int(4)));
            assert!((1..=5).contains(&chosen(&call, 1).2.expect("a value")));
            generator.taken();
        }
        let fresh = next_call(&mut *generator);
        assert_eq!((fresh.key.clone(), expected(&fresh)), (Value::Int(1), Some(Value::Int(0))));
    }

    #[test]
    fn a_mix_of_nothing_is_done() {
        let mix = Mix { read: 0, write: 0, cas: 0 };
        let workload = build(&RegisterOptions { mix, ..RegisterOptions::default() });
        assert_eq!(workload.generator(1, 0, 1).next(), Next::Done);
    }
}
