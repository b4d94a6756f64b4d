//! Leases: acquire for a time, renew, release. The holder is the process; the time to live stands in each call.
//!
//! Never: acquires a lease while the worker holds one, or renews or releases what it does not hold.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::holding::{self, Held, HoldFunctions, Holding};
use crate::workload::{FinalCall, Generator, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "lease",
    object: "lease",
    doc: "Leases: acquire for a time, renew, release; judged by lease (held by two before the time was up).",
    reads: Reads::Anything,
    checkers: &["lease"],
};

/// Longest time to live: a day.
const TTL_MAX_MS: u32 = 86_400_000;

/// Options of the lease workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LeaseWorkload")]
pub struct LeaseOptions {
    /// How many leases (keys) are in use. Left out: one without a name, for which all workers compete.
    pub keys: Option<u32>,
    /// How long a grant lasts, in milliseconds.
    pub ttl_ms: u32,
    /// Most renewals of a lease before it is released; each hold draws from 0 up to this.
    pub renew: u32,
    /// Most calls that the other workers make before a lease is renewed or released; each hold draws from 0 up to this.
    pub hold: u32,
}

impl Default for LeaseOptions {
    fn default() -> LeaseOptions {
        LeaseOptions { keys: None, ttl_ms: 5_000, renew: 2, hold: holding::HOLD }
    }
}

impl WorkloadSpec for LeaseOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.ttl_ms {
            0 => Some(("ttl_ms", "a lease would be over before it was granted; at least 1".to_owned())),
            ttl if ttl > TTL_MAX_MS => Some(("ttl_ms", format!("{ttl} ms; at most {TTL_MAX_MS} (a day)"))),
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// The workload with these options.
fn build(options: &LeaseOptions) -> Box<dyn Workload> {
    let mut shared = Holding::new(DOC.name, options.keys, options.hold);
    let argument = Value::Map([(Arc::from("ttl_ms"), Value::Int(i64::from(options.ttl_ms)))].into());
    shared.uses = (0, options.renew);
    shared.functions = HoldFunctions::lock(Some("renew"));
    shared.held = Box::new(Lease { argument: argument.clone() });
    Box::new(Leases { holding: Arc::new(shared), argument })
}

/// A lease: acquires and renewals say how long it lasts.
struct Lease {
    argument: Value,
}

impl Held for Lease {
    fn acquire(&self, _: i64) -> Value {
        self.argument.clone()
    }

    fn usage(&self, _: &Value, _: i64) -> Value {
        self.argument.clone()
    }
}

struct Leases {
    holding: Arc<Holding>,
    /// How long a grant lasts.
    argument: Value,
}

impl Workload for Leases {
    fn name(&self) -> Arc<str> {
        self.holding.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.holding.functions.names()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        holding::generator(&self.holding, seed, worker, workers)
    }

    /// None: the client of a joining worker is closed when it is idle, and the lease could go with it.
    fn part(&self, _: Part, _: u64, _: u32, _: u32) -> Option<Box<dyn Generator>> {
        None
    }

    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn params(&self) -> Value {
        let Value::Map(time) = &self.argument else { return Value::Nil };
        Value::Map(self.holding.named_keys("leases").into_iter().chain(time.iter().cloned()).collect())
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["lease"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::CallResult;
    use crate::workload::Next;

    fn run(answers: impl Fn(&str) -> CallResult) -> Vec<String> {
        let workload = build(&LeaseOptions { ttl_ms: 700, hold: 0, ..LeaseOptions::default() });
        let mut generator = workload.generator(7, 0, 1);
        let mut made = Vec::new();
        for _ in 0..12 {
            let Next::Call(call) = generator.next() else { panic!("a call") };
            let time = if &*call.f == "release" { "nil" } else { "{ttl_ms: 700}" };
            assert_eq!(call.value.to_string(), time);
            made.push(call.f.to_string());
            generator.taken();
            generator.observe(&call, &answers(&call.f));
        }
        made
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        assert_eq!(run(|_| CallResult::Ok(Value::Nil)).join(" "), GOLDEN);
    }

    #[test]
    fn what_is_not_renewed_is_released_and_what_is_lost_is_acquired_anew() {
        let refused =
            |f: &str| if f == "renew" { CallResult::Ok(Value::Bool(false)) } else { CallResult::Ok(Value::Nil) };
        let calls = run(refused).join(" ");
        assert!(calls.contains("acquire renew release acquire") && !calls.contains("renew renew"), "{calls}");
        let lost =
            |f: &str| if f == "acquire" { CallResult::Ok(Value::Nil) } else { CallResult::fail("not-held: expired") };
        let calls = run(lost).join(" ");
        assert!(calls.contains("acquire renew acquire") && !calls.contains("renew release"), "{calls}");
    }

    #[test]
    fn a_time_of_nothing_and_one_without_end_are_mistakes() {
        let mistake = |ttl_ms| LeaseOptions { ttl_ms, ..LeaseOptions::default() }.mistake().map(|(option, _)| option);
        assert_eq!([0, 1, TTL_MAX_MS, TTL_MAX_MS + 1].map(mistake), [Some("ttl_ms"), None, None, Some("ttl_ms")]);
        assert_eq!(build(&LeaseOptions::default()).params().to_string(), "{ttl_ms: 5000}");
    }

    const GOLDEN: &str = "acquire release acquire renew renew release acquire renew release acquire renew release";
}
