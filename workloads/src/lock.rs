//! Locks: acquire, hold for a number of calls, release. The holder is the process.
//!
//! Never: acquires a lock while the worker holds one, or releases what it does not hold.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::holding::{self, Holding};
use crate::workload::{FinalCall, Generator, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "lock",
    object: "lock",
    doc: "Locks: acquire, hold, release; judged by lock (held by two, released by another).",
    reads: Reads::Anything,
    checkers: &["lock"],
};

/// Options of the lock workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LockWorkload")]
pub struct LockOptions {
    /// How many locks (keys) are in use. Left out: one without a name, for which all workers compete.
    pub keys: Option<u32>,
    /// Most calls that the other workers make while one holds a lock; each hold draws from 0 up to this.
    pub hold: u32,
}

impl Default for LockOptions {
    fn default() -> LockOptions {
        LockOptions { keys: None, hold: holding::HOLD }
    }
}

impl WorkloadSpec for LockOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        self.keys.and_then(|keys| keys_mistake("keys", keys))
    }
}

/// The workload with these options.
fn build(options: &LockOptions) -> Box<dyn Workload> {
    Box::new(Locks(Arc::new(Holding::new(DOC.name, options.keys, options.hold))))
}

struct Locks(Arc<Holding>);

impl Workload for Locks {
    fn name(&self) -> Arc<str> {
        self.0.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.0.functions.names()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        holding::generator(&self.0, seed, worker, workers)
    }

    /// None: the client of a joining worker is closed when it is idle, and the lock would go with it.
    fn part(&self, _: Part, _: u64, _: u32, _: u32) -> Option<Box<dyn Generator>> {
        None
    }

    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn params(&self) -> Value {
        self.0.named_keys("locks").map_or(Value::Nil, |keys| Value::Map([keys].into()))
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["lock"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Call, CallResult};
    use crate::testing::next_call;
    use crate::workload::Next;

    fn said(call: &Call) -> String {
        format!("{} {}", call.f, call.key)
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version_whatever_the_replies() {
        let options = LockOptions { keys: Some(4), hold: 0 };
        for refused in [CallResult::Ok(Value::Bool(false)), CallResult::fail("held"), CallResult::info("timeout")] {
            let mut generator = build(&options).generator(7, 1, 3);
            let mut calls = Vec::new();
            for _ in 0..8 {
                let acquire = next_call(&mut *generator);
                calls.push(said(&acquire));
                generator.observe(&acquire, &refused);
            }
            assert_eq!(calls, GOLDEN, "{refused:?}");
        }
        let mut generator = build(&options).generator(7, 1, 3);
        for key in GOLDEN.map(|line| line.replace("acquire ", "")) {
            for f in ["acquire", "release"] {
                let made = next_call(&mut *generator);
                assert_eq!(said(&made), format!("{f} {key}"));
                generator.observe(&made, &CallResult::Ok(Value::Nil));
            }
        }
    }

    #[test]
    fn a_lock_is_held_until_the_others_made_their_calls() {
        let workload = build(&LockOptions { keys: None, hold: 6 });
        let (mut holder, mut other) = (workload.generator(7, 0, 2), workload.generator(7, 1, 2));
        let (mut waited, mut most) = (0, 0);
        for _ in 0..200 {
            let acquire = next_call(&mut *holder);
            assert_eq!((&*acquire.f, &acquire.key), ("acquire", &Value::Nil));
            holder.observe(&acquire, &CallResult::Ok(Value::Nil));
            let mut calls = 0;
            while holder.next() == Next::Wait {
                let refused = next_call(&mut *other);
                other.observe(&refused, &CallResult::Ok(Value::Bool(false)));
                calls += 1;
            }
            (waited, most) = (waited + calls, most.max(calls));
            let release = next_call(&mut *holder);
            assert_eq!(&*release.f, "release");
            holder.observe(&release, &CallResult::Ok(Value::Nil));
        }
        assert!(most == 6 && waited > 200, "{waited} calls, at most {most}");
    }

    #[test]
    fn no_hold_lasts_for_ever_if_every_worker_holds() {
        let workload = build(&LockOptions { keys: Some(2), hold: 1000 });
        let mut workers: Vec<_> = (0..2).map(|worker| workload.generator(7, worker, 2)).collect();
        for worker in &mut workers {
            let acquire = next_call(&mut **worker);
            worker.observe(&acquire, &CallResult::Ok(Value::Nil));
        }
        assert_eq!(&*next_call(&mut *workers[0]).f, "release");
        let alone = workers.pop();
        drop(workers);
        assert_eq!(&*next_call(&mut *alone.expect("the other")).f, "release");
    }

    #[test]
    fn what_is_known_of_a_hold_follows_from_the_replies() {
        let workload = build(&LockOptions { keys: None, hold: 0 });
        let mut generator = workload.generator(7, 0, 1);
        let mut answered = |expected: &str, answer: CallResult| {
            let made = next_call(&mut *generator);
            assert_eq!(&*made.f, expected, "{answer:?}");
            generator.observe(&made, &answer);
        };
        let done = || CallResult::Ok(Value::Nil);
        answered("acquire", CallResult::Ok(Value::Bool(false)));
        answered("acquire", CallResult::info("timeout"));
        answered("acquire", CallResult::Ok(Value::Int(33)));
        answered("release", CallResult::fail("unavailable"));
        answered("release", CallResult::fail("unavailable"));
        answered("release", CallResult::fail("not-held: the session expired"));
        answered("acquire", done());
        answered("release", CallResult::info("timeout"));
        answered("acquire", done());
        answered("release", CallResult::Ok(Value::Bool(false)));
        answered("acquire", done());
        assert!(Part::ALL.iter().all(|part| workload.part(*part, 7, 0, 1).is_none()));
    }

    const GOLDEN: [&str; 8] =
        ["acquire 0", "acquire 1", "acquire 2", "acquire 1", "acquire 2", "acquire 1", "acquire 2", "acquire 3"];
}
