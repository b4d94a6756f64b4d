//! Sets that are changed under a lock alone: acquire, read and write back with one more element, release. A lock that two hold at
//! once shows as lost elements.
//!
//! An `add` writes back what its process read after it had acquired, with the element, and without a condition. With `tokens`, an
//! acquire replies with a fencing token, each `write` carries it, and `log` shows what was accepted. Never: adds or writes without
//! a grant.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::holding::{self, Held, HoldFunctions, Holding};
use crate::workload::{FinalCall, Generator, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "lock-set",
    object: "guarded",
    doc: "Sets that are changed under a lock alone, so that a lock that does not exclude loses elements; judged by set-full and lock, or with fencing tokens by fencing.",
    reads: Reads::Elements,
    checkers: &["set-full", "lock", "fencing"],
};

/// Options of the lock-set workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LockSetWorkload")]
pub struct LockSetOptions {
    /// How many locks with a set each (keys) are in use. Left out: one without a name, for which all workers compete.
    pub keys: Option<u32>,
    /// Most calls that the other workers make before a holder adds, and before it releases; each hold draws from 0 up to this.
    pub hold: u32,
    /// Most elements that one hold adds; each draws from 1 up to this.
    pub adds: u32,
    /// How often a worker that holds nothing reads the set, in percent. The reads at the end come in any case.
    pub read: u32,
    /// Grants have fencing tokens, and what is guarded refuses old ones. Then the lock itself may be granted twice.
    pub tokens: bool,
}

impl Default for LockSetOptions {
    fn default() -> LockSetOptions {
        LockSetOptions { keys: None, hold: holding::HOLD, adds: 3, read: 10, tokens: false }
    }
}

impl WorkloadSpec for LockSetOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let usage = if self.tokens { "write" } else { "add" };
        let look = if self.tokens { 0 } else { self.read };
        let mut shared = Holding::new(DOC.name, self.keys, self.hold);
        shared.uses = (1, self.adds);
        shared.functions = HoldFunctions::lock(Some(usage)).looking("read", look);
        shared.held = if self.tokens { Box::new(WithToken) } else { Box::new(Unguarded) };
        let last = Arc::from(if self.tokens { "log" } else { "read" });
        Box::new(LockSets { holding: Arc::new(shared), last, tokens: self.tokens })
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self {
            _ if self.adds == 0 => {
                Some(("adds", "a hold without an element would show nothing; at least 1".to_owned()))
            }
            _ if self.read > 99 => {
                Some(("read", format!("{} percent leave no call to acquire; at most 99", self.read)))
            }
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// A set that believes whoever writes it.
struct Unguarded;

impl Held for Unguarded {
    fn usage(&self, _: &Value, fresh: i64) -> Value {
        Value::Int(fresh)
    }
}

/// A resource that is shown the token of the grant.
struct WithToken;

impl Held for WithToken {
    fn granted(&self, reply: &Value, _: i64) -> Option<Value> {
        reply.as_int().map(Value::Int)
    }

    fn usage(&self, token: &Value, fresh: i64) -> Value {
        token_and_value(token, fresh)
    }
}

/// `{"token": t, "value": v}`: what a holder writes to what it guards.
pub(crate) fn token_and_value(token: &Value, fresh: i64) -> Value {
    Value::Map([(Arc::from("token"), token.clone()), (Arc::from("value"), Value::Int(fresh))].into())
}

struct LockSets {
    holding: Arc<Holding>,
    /// The function of the final reads.
    last: Arc<str>,
    tokens: bool,
}

impl Workload for LockSets {
    fn name(&self) -> Arc<str> {
        self.holding.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        let mut names = self.holding.functions.names();
        if !names.contains(&self.last) {
            names.push(self.last.clone());
        }
        names
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        holding::generator(&self.holding, seed, worker, workers)
    }

    /// None: the client of a joining worker is closed when it is idle, and the lock would go with it.
    fn part(&self, _: Part, _: u64, _: u32, _: u32) -> Option<Box<dyn Generator>> {
        None
    }

    fn settle(&self) -> Vec<FinalCall> {
        self.holding.calls_of_all(&self.last).into_iter().map(FinalCall::from).collect()
    }

    fn params(&self) -> Value {
        let tokens = (Arc::from("tokens"), Value::Bool(self.tokens));
        Value::Map(self.holding.named_keys("locks").into_iter().chain([tokens]).collect())
    }

    fn checkers(&self) -> Vec<&'static str> {
        if self.tokens { vec!["fencing"] } else { vec!["set-full", "lock"] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::CallResult;
    use crate::workload::Next;

    /// The first calls of the second of three workers if everything is answered with this.
    fn calls(options: &LockSetOptions, reply: fn(&str) -> CallResult) -> Vec<String> {
        let mut generator = options.build().generator(7, 1, 3);
        let mut made = Vec::new();
        while made.len() < 12 {
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            let Next::Call(call) = next else { panic!("{next:?}") };
            generator.taken();
            generator.observe(&call, &reply(&call.f));
            made.push(format!("{} {} {}", call.f, call.key, call.value));
        }
        made
    }

    fn options() -> LockSetOptions {
        LockSetOptions { keys: Some(2), hold: 0, ..LockSetOptions::default() }
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        assert_eq!(calls(&options(), |_| CallResult::Ok(Value::Nil)), GOLDEN);
    }

    #[test]
    fn nothing_is_written_without_the_lock() {
        let refused = calls(&options(), |f| match f {
            "acquire" => CallResult::Ok(Value::Bool(false)),
            _ => CallResult::Ok(Value::Nil),
        });
        assert!(refused.iter().all(|call| call.starts_with("acquire") || call.starts_with("read")), "{refused:?}");
        let lost = calls(&options(), |f| match f {
            "add" => CallResult::fail("not-held: the lease has expired"),
            _ => CallResult::Ok(Value::Nil),
        });
        assert!(lost.iter().all(|call| !call.starts_with("release")), "{lost:?}");
        assert!(lost.windows(2).all(|pair| !pair.iter().all(|call| call.starts_with("add"))), "{lost:?}");
    }

    #[test]
    fn writes_carry_the_token_of_their_grant() {
        let with = LockSetOptions { tokens: true, adds: 2, ..options() };
        let made = calls(&with, |f| CallResult::Ok(if f == "acquire" { Value::Int(41) } else { Value::Nil }));
        assert_eq!(made[..3], ["acquire 0 nil", "write 0 {token: 41, value: 2}", "write 0 {token: 41, value: 5}"]);
        assert!(made.iter().filter(|call| call.starts_with("write")).all(|call| call.contains("token: 41")));
        let workload = with.build();
        assert_eq!((workload.checkers(), workload.settle().len()), (vec!["fencing"], 2));
        assert!(workload.settle().iter().all(|last| &*last.call.f == "log"));
        let names: Vec<Arc<str>> = workload.functions();
        assert_eq!(names, ["acquire", "write", "release", "log"].map(Arc::from));
    }

    #[test]
    fn the_end_reads_every_set_even_if_the_load_reads_none() {
        let workload = LockSetOptions { read: 0, ..options() }.build();
        assert_eq!(workload.functions(), ["acquire", "add", "release", "read"].map(Arc::from));
        let keys: Vec<Value> = workload.settle().into_iter().map(|last| last.call.key).collect();
        assert_eq!(keys, [Value::Int(0), Value::Int(1)]);
        assert_eq!(workload.params().to_string(), "{locks: [0, 1], tokens: false}");
    }

    #[test]
    fn holds_without_elements_and_workers_that_only_read_are_mistakes() {
        let option = |options: LockSetOptions| options.mistake().map(|(option, _)| option);
        assert_eq!(option(LockSetOptions { adds: 0, ..options() }), Some("adds"));
        assert_eq!(option(LockSetOptions { read: 100, ..options() }), Some("read"));
        assert_eq!(option(LockSetOptions { keys: Some(0), ..options() }), Some("keys"));
        assert_eq!(option(options()), None);
    }

    const GOLDEN: [&str; 12] = [
        "acquire 0 nil",
        "add 0 2",
        "add 0 5",
        "release 0 nil",
        "read 0 nil",
        "acquire 1 nil",
        "add 1 8",
        "add 1 11",
        "release 1 nil",
        "acquire 1 nil",
        "add 1 14",
        "release 1 nil",
    ];
}
