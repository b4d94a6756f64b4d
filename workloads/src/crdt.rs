//! Replicated data types: updates on every node, and reads of every node at the end. The type says which updates there are: `add` of
//! numbers (counters), `add` and `remove` of elements (sets), `write` of values (registers).
//!
//! A worker draws everything from its own stream. Elements and written values are unique in the run; a worker removes what it added
//! itself, each element once.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::keys::Keys;
use crate::names::{CallNames, object};
use crate::workload::{FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Options, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "crdt",
    object: "crdt",
    doc: "A replicated data type (a counter, a set or a register) that is updated and read on every node; judged by crdt (replicas that stay different, updates that are lost or come back).",
    reads: Reads::Replica,
    checkers: &["crdt"],
};

/// The largest amount of an addition.
const ADD_MAX: u64 = 5;

/// Options of the crdt workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CrdtWorkloadOptions")] // The checker has its own CrdtOptions.
pub struct CrdtOptions {
    /// The replicated type.
    #[serde(rename = "type")]
    pub kind: ReplicatedType,
    /// How many objects (keys) are in use. Left out: one without a name.
    pub keys: Option<u32>,
    /// How often each function comes, relative to the other.
    pub mix: CrdtMix,
}

/// A replicated data type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicatedType {
    /// A set that only grows.
    #[default]
    GSet,
    /// A set in which a remove takes away the adds that it observed.
    OrSet,
    /// A counter that only grows.
    GCounter,
    /// A counter that goes up and down.
    PnCounter,
    /// A register whose last writer wins.
    LwwRegister,
}

impl ReplicatedType {
    /// Its name in plans, for checkers and in the parameters of clients.
    fn name(self) -> &'static str {
        match self {
            ReplicatedType::GSet => "g-set",
            ReplicatedType::OrSet => "or-set",
            ReplicatedType::GCounter => "g-counter",
            ReplicatedType::PnCounter => "pn-counter",
            ReplicatedType::LwwRegister => "lww-register",
        }
    }

    /// Positions of its updates in [`CallNames::functions`].
    fn updates(self) -> &'static [usize] {
        match self {
            ReplicatedType::OrSet => &[ADD, REMOVE],
            ReplicatedType::LwwRegister => &[WRITE],
            _ => &[ADD],
        }
    }
}

/// Relative weights of updates and reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrdtMix {
    /// Updates, whatever the type has: adds, removes, writes.
    pub update: u32,
    /// Reads.
    pub read: u32,
}

impl Default for CrdtMix {
    fn default() -> CrdtMix {
        CrdtMix { update: 1, read: 1 }
    }
}

impl WorkloadSpec for CrdtOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let names = CallNames::new(DOC.name, ["read", "add", "remove", "write"]);
        Box::new(Replicas { options: self.clone(), names })
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.mix.update {
            0 => Some(("mix", "without updates all replicas stay empty; at least 1".to_owned())),
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// Positions in [`CallNames::functions`].
const READ: usize = 0;
const ADD: usize = 1;
const REMOVE: usize = 2;
const WRITE: usize = 3;

#[derive(Clone)]
struct Replicas {
    options: CrdtOptions,
    names: CallNames<4>,
}

impl Replicas {
    fn calls(&self, mix: CrdtMix, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(ReplicaCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            weights: [mix.update, mix.read].map(u64::from),
            kind: self.options.kind,
            keys: Keys(self.options.keys),
            names: self.names.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            added: Vec::new(),
            choice: None,
        })
    }
}

impl Workload for Replicas {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let needed = self.options.kind.updates().iter().chain([&READ]);
        needed.map(|function| self.names.functions[*function].clone()).collect()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        self.calls(self.options.mix, seed, worker, workers)
    }

    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        let CrdtMix { update, read } = self.options.mix;
        let mix = match part {
            Part::Reads => CrdtMix { update: 0, read },
            Part::Others => CrdtMix { update, read: 0 },
        };
        (mix.update + mix.read > 0).then(|| self.calls(mix, seed, worker, workers))
    }

    fn settle(&self) -> Vec<FinalCall> {
        let keys = Keys(self.options.keys);
        let mode = Some(FinalReads::EachNode);
        let read = |key| FinalCall { mode, ..self.names.call(READ, key, Value::Nil).into() };
        (0..keys.count()).map(|number| read(keys.key(number))).collect()
    }

    fn params(&self) -> Value {
        let keys = Keys(self.options.keys);
        let kind = ("type", Value::text(self.options.kind.name()));
        match self.options.keys {
            None => object([kind]),
            Some(_) => object([("objects", Value::list((0..keys.count()).map(|number| keys.key(number)))), kind]),
        }
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec![DOC.name]
    }

    fn checker_options(&self, checker: &str) -> Options {
        let kind = (checker == DOC.name).then(|| ("type".to_owned(), Value::text(self.options.kind.name())));
        Options(kind.into_iter().collect())
    }
}

/// The calls of one worker. Its elements and values are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct ReplicaCalls {
    rng: Rng,
    /// Of updates and reads.
    weights: [u64; 2],
    kind: ReplicatedType,
    keys: Keys,
    names: CallNames<4>,
    fresh: i64,
    step: i64,
    /// Elements that this worker added and has not removed, with the number of their object.
    added: Vec<(u64, i64)>,
    /// The choice that `next` shows until `taken` consumes it.
    choice: Option<Choice>,
}

#[derive(Clone, Copy)]
struct Choice {
    function: usize,
    /// The number of the object.
    object: u64,
    /// Left out for a read.
    value: Option<i64>,
    /// The position in `added` of what is removed.
    removed: usize,
}

impl ReplicaCalls {
    fn draw(&mut self) -> Option<Choice> {
        let reads = self.rng.weighted(&self.weights)? == 1;
        let object = self.rng.below(self.keys.count());
        let choice = |function, value| Choice { function, object, value, removed: 0 };
        if reads {
            return Some(choice(READ, None));
        }
        Some(match self.kind {
            ReplicatedType::GSet => choice(ADD, Some(self.fresh)),
            ReplicatedType::LwwRegister => choice(WRITE, Some(self.fresh)),
            ReplicatedType::GCounter => choice(ADD, Some(1 + self.rng.below(ADD_MAX) as i64)),
            ReplicatedType::PnCounter => {
                let amount = 1 + self.rng.below(ADD_MAX) as i64;
                choice(ADD, Some(if self.rng.below(2) == 0 { amount } else { -amount }))
            }
            ReplicatedType::OrSet => match (self.rng.below(3), self.added.len() as u64) {
                (0, added @ 1..) => {
                    let removed = self.rng.below(added) as usize;
                    let (object, element) = self.added[removed];
                    Choice { function: REMOVE, object, value: Some(element), removed }
                }
                _ => choice(ADD, Some(self.fresh)),
            },
        })
    }
}

impl Generator for ReplicaCalls {
    fn next(&mut self) -> Next {
        if self.choice.is_none() {
            self.choice = self.draw();
        }
        let Some(Choice { function, object, value, .. }) = self.choice else { return Next::Done };
        Next::Call(self.names.call(function, self.keys.key(object), value.map_or(Value::Nil, Value::Int)))
    }

    fn taken(&mut self) {
        let Some(choice) = self.choice.take() else { return };
        match (choice.function, self.kind, choice.value) {
            (REMOVE, ..) => drop(self.added.swap_remove(choice.removed)),
            (ADD, ReplicatedType::OrSet, Some(element)) => self.added.push((choice.object, element)),
            _ => {}
        }
        self.fresh += if choice.function == READ { 0 } else { self.step };
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;
    use std::collections::HashSet;

    const TYPES: [ReplicatedType; 5] = [
        ReplicatedType::GSet,
        ReplicatedType::OrSet,
        ReplicatedType::GCounter,
        ReplicatedType::PnCounter,
        ReplicatedType::LwwRegister,
    ];

    fn of(kind: ReplicatedType) -> CrdtOptions {
        CrdtOptions { kind, ..CrdtOptions::default() }
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let mut lines = Vec::new();
        for kind in TYPES {
            let mut generator = CrdtOptions { keys: Some(2), ..of(kind) }.build().generator(7, 1, 3);
            let call = |_| next_call(&mut *generator);
            let said = |call: Call| format!("{}{}:{}", &call.f[..1], call.key, call.value);
            lines.push((0..8).map(call).map(said).collect::<Vec<String>>().join(" "));
        }
        assert_eq!(lines.join("\n"), GOLDEN);
    }

    const GOLDEN: &str = "\
a0:2 r0:nil a1:5 r0:nil r0:nil a1:8 r0:nil a0:11\n\
a0:2 a0:5 r0:nil r0:nil a1:8 a0:11 r0:nil r1:nil\n\
a0:3 a0:5 r0:nil r0:nil a1:3 a0:3 r0:nil r1:nil\n\
a0:3 a1:4 r0:nil a1:3 a0:5 r1:nil a1:1 a1:3\n\
w0:2 r0:nil w1:5 r0:nil r0:nil w1:8 r0:nil w0:11";

    #[test]
    fn a_worker_removes_what_it_added_and_each_element_once() {
        let mut generator = CrdtOptions { keys: Some(3), ..of(ReplicatedType::OrSet) }.build().generator(7, 0, 2);
        let (mut added, mut removed) = (HashSet::new(), HashSet::new());
        for _ in 0..600 {
            let Call { f, key, value, .. } = next_call(&mut *generator);
            match &*f {
                "add" => assert!(added.insert((key, value))),
                "remove" => assert!(added.contains(&(key.clone(), value.clone())) && removed.insert((key, value))),
                _ => assert!(value.is_nil()),
            }
        }
        assert!(removed.len() > 50 && added.len() > removed.len(), "{} added, {} removed", added.len(), removed.len());
    }

    #[test]
    fn the_checker_and_the_client_know_the_type_and_every_node_is_read_at_the_end() {
        for kind in TYPES {
            let workload = CrdtOptions { keys: Some(2), ..of(kind) }.build();
            let given = workload.checker_options("crdt");
            assert!(dsfuzz_checkers::checker_with("crdt", &given).is_ok(), "{kind:?}");
            assert_eq!(given.0["type"], Value::text(kind.name()));
            assert_eq!(serde_json::to_value(kind).expect("a name"), kind.name());
            assert_eq!(workload.params().to_string(), format!("{{objects: [0, 1], type: {:?}}}", kind.name()));
            let finals = workload.settle();
            assert!(finals.len() == 2 && finals.iter().all(|read| read.mode == Some(FinalReads::EachNode)));
            let mut generator = workload.generator(7, 0, 1);
            let functions = workload.functions();
            let called: HashSet<Arc<str>> = (0..100).map(|_| next_call(&mut *generator).f).collect();
            assert_eq!(called, functions.into_iter().collect(), "{kind:?}");
        }
    }

    #[test]
    fn a_load_without_updates_is_a_mistake() {
        let mix = |update, read| CrdtOptions { mix: CrdtMix { update, read }, ..CrdtOptions::default() };
        assert_eq!(mix(0, 1).mistake().map(|(option, _)| option), Some("mix"));
        assert_eq!(mix(1, 0).mistake(), None);
        assert!(mix(1, 0).build().part(Part::Reads, 7, 0, 1).is_none());
        assert_eq!(CrdtOptions { keys: Some(0), ..mix(1, 1) }.mistake().map(|(option, _)| option), Some("keys"));
    }
}
