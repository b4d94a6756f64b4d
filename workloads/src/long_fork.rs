//! Long fork: transactions that write one key each, and transactions that read a group of keys. Two reads of a group that each miss
//! what the other saw are a long fork, which parallel snapshot isolation allows and snapshot isolation does not.
//!
//! A worker that wrote a key reads the group of that key next. Otherwise it draws whether it writes, or which of the recent groups it
//! reads; there are as many recent groups as workers. The key of a write is bound when it is called. Never: writes a key twice.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::names::CallNames;
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Options, Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "long-fork",
    object: "transactions",
    doc: "Transactions that write a key each, and others that read a group of keys; judged by long-fork (two reads that each miss what the other saw).",
    reads: Reads::Value,
    checkers: &["long-fork"],
};

/// Most keys of a group, far beyond what targets take.
const GROUP_MAX: u32 = 1_000;

/// Options of the long-fork workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LongForkWorkloadOptions")] // The checker has its own LongForkOptions.
pub struct LongForkOptions {
    /// How many keys a group has, each written by a transaction of its own. A read asks for the whole group.
    pub group_size: u32,
}

impl Default for LongForkOptions {
    fn default() -> LongForkOptions {
        LongForkOptions { group_size: 2 }
    }
}

impl WorkloadSpec for LongForkOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        Box::new(Groups {
            size: u64::from(self.group_size.max(1)),
            names: CallNames::new(DOC.name, ["txn"]),
            written: Arc::new(AtomicU64::new(0)),
        })
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.group_size {
            size @ (0 | 1) => {
                Some(("group_size", format!("{size} in a group cannot be seen in two orders; at least 2")))
            }
            size if size > GROUP_MAX => Some(("group_size", format!("{size} keys; at most {GROUP_MAX}"))),
            _ => None,
        }
    }
}

#[derive(Clone)]
struct Groups {
    size: u64,
    names: CallNames<1>,
    /// Keys that some worker has written or is about to write.
    written: Arc<AtomicU64>,
}

impl Workload for Groups {
    fn name(&self) -> Arc<str> {
        self.names.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.names.functions.to_vec()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(GroupCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            groups: self.clone(),
            recent: u64::from(workers.max(1)),
            names: ["r", "w"].map(Value::text),
            step: None,
            wrote: None,
        })
    }

    /// None: what a read of the load showed is all that is judged.
    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec![DOC.name]
    }

    fn checker_options(&self, checker: &str) -> Options {
        let size = (checker == DOC.name).then(|| ("group_size".to_owned(), Value::Int(self.size as i64)));
        Options(size.into_iter().collect())
    }
}

/// What a worker does next.
#[derive(Clone, Copy)]
enum Step {
    /// The key.
    Write(u64),
    /// The group, and the key at which the read begins.
    Read(u64, u64),
}

struct GroupCalls {
    rng: Rng,
    groups: Groups,
    /// How many of the newest groups are read.
    recent: u64,
    /// Of micro-operations: `r` and `w`.
    names: [Value; 2],
    /// The step that `next` shows until `taken` consumes it.
    step: Option<Step>,
    /// The group of the key that this worker wrote last, until it has read it.
    wrote: Option<u64>,
}

impl GroupCalls {
    fn draw(&mut self) -> Step {
        let (size, written) = (self.groups.size, &self.groups.written);
        let group = match self.wrote {
            Some(group) => group,
            None if self.rng.below(2) == 0 => return Step::Write(written.fetch_add(1, Ordering::Relaxed)),
            None => {
                let newest = written.load(Ordering::Relaxed).saturating_sub(1) / size;
                newest.saturating_sub(self.rng.below(self.recent))
            }
        };
        Step::Read(group, self.rng.below(size))
    }

    fn read(&self, key: u64) -> Value {
        Value::list([self.names[0].clone(), Value::Int(key as i64), Value::Nil])
    }
}

impl Generator for GroupCalls {
    fn next(&mut self) -> Next {
        let step = match self.step {
            Some(step) => step,
            None => self.draw(),
        };
        self.step = Some(step);
        let size = self.groups.size;
        let value = match step {
            Step::Write(key) => {
                Value::list([Value::list([self.names[1].clone(), Value::Int(key as i64), Value::Int(1)])])
            }
            Step::Read(group, first) => {
                Value::list((0..size).map(|place| self.read(group * size + (first + place) % size)))
            }
        };
        Next::Call(self.groups.names.call(0, Value::Nil, value))
    }

    fn taken(&mut self) {
        self.wrote = match self.step.take() {
            Some(Step::Write(key)) => Some(key / self.groups.size),
            _ => None,
        };
    }

    fn observe(&mut self, _call: &Call, _answer: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::next_call;

    /// A call in short: `w3`, or `r2,3`.
    fn said(call: &Call) -> String {
        let parts = call.value.as_list().expect("micro-operations");
        let part = |at: usize| parts[at].as_list().expect("a micro-operation");
        let keys: Vec<String> = (0..parts.len()).map(|at| part(at)[1].to_string()).collect();
        format!("{}{}", if part(0)[0] == Value::text("w") { "w" } else { "r" }, keys.join(","))
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let workload = LongForkOptions { group_size: 3 }.build();
        let mut generators: Vec<_> = (0..2).map(|worker| workload.generator(7, worker, 2)).collect();
        let calls: Vec<String> = (0..18).map(|turn| said(&next_call(&mut *generators[turn % 2]))).collect();
        assert_eq!(calls.join(" "), GOLDEN);
    }

    const GOLDEN: &str =
        "r0,1,2 w0 r2,0,1 r0,1,2 r1,2,0 r1,2,0 r1,2,0 r0,1,2 r1,2,0 r1,2,0 w1 r0,1,2 r1,2,0 w2 r0,1,2 r1,2,0 w3 r4,5,3";

    #[test]
    fn a_key_is_written_once_and_its_writer_reads_its_group_next() {
        let workload = LongForkOptions::default().build();
        let mut generators: Vec<_> = (0..3).map(|worker| workload.generator(7, worker, 3)).collect();
        let mut written = Vec::new();
        for turn in 0..200 {
            let generator = &mut generators[turn % 3];
            let Some(key) = said(&next_call(&mut **generator)).strip_prefix('w').map(str::to_owned) else { continue };
            let key: i64 = key.parse().expect("a key");
            let (first, second) = (key / 2 * 2, key / 2 * 2 + 1);
            let read = said(&next_call(&mut **generator));
            assert!(read == format!("r{first},{second}") || read == format!("r{second},{first}"), "{key}: {read}");
            written.push(key);
        }
        assert_eq!(written, (0..written.len() as i64).collect::<Vec<i64>>());
        assert!((60..140).contains(&written.len()), "{} of 200 turns write", written.len());
        let given = workload.checker_options("long-fork");
        assert_eq!(given.0["group_size"], Value::Int(2));
        assert!(dsfuzz_checkers::checker_with("long-fork", &given).is_ok());
    }

    #[test]
    fn workers_that_ask_at_the_same_time_write_different_keys() {
        let workload = LongForkOptions::default().build();
        let mut generators: Vec<_> = (0..64).map(|worker| workload.generator(7, worker, 64)).collect();
        let mut asked: Vec<Call> = Vec::new();
        for generator in &mut generators {
            let Next::Call(call) = generator.next() else { panic!("a call") };
            asked.extend((said(&call).starts_with('w')).then_some(call));
        }
        let count = asked.len();
        asked.dedup_by(|one, other| one.value == other.value);
        assert!(count > 16 && asked.len() == count, "{count} writes, {} keys", asked.len());
    }

    #[test]
    fn a_group_of_one_and_one_of_thousands_are_mistakes() {
        let mistake = |group_size| LongForkOptions { group_size }.mistake().map(|(option, _)| option);
        assert_eq!([1, 2, 1000, 1001].map(mistake), [Some("group_size"), None, None, Some("group_size")]);
    }
}
