//! Semaphores: acquire a permit, hold it for a number of calls, release it.
//!
//! Never: acquires while the worker holds a permit, or releases what it does not hold.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::holding::{self, Holding};
use crate::workload::{FinalCall, Generator, Part, Workload, WorkloadSpec};
use dsfuzz_checkers::{Options, Reads, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "semaphore",
    object: "semaphore",
    doc: "Semaphores: acquire a permit, hold, release; judged by semaphore (more holders than permits).",
    reads: Reads::Anything,
    checkers: &["semaphore"],
};

/// Most permits of a semaphore.
const PERMITS_MAX: u32 = 1_000;

/// Default of the option `permits`.
pub(crate) const PERMITS: u32 = 2;

/// Options of the semaphore workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SemaphoreWorkload")]
pub struct SemaphoreOptions {
    /// How many semaphores (keys) are in use. Left out: one without a name, for which all workers compete.
    pub keys: Option<u32>,
    /// How many permits each semaphore has. Use more clients than permits.
    pub permits: u32,
    /// Most calls that the other workers make while one holds a permit; each hold draws from 0 up to this.
    pub hold: u32,
}

impl Default for SemaphoreOptions {
    fn default() -> SemaphoreOptions {
        SemaphoreOptions { keys: None, permits: PERMITS, hold: holding::HOLD }
    }
}

impl WorkloadSpec for SemaphoreOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        build(self)
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.permits {
            0 => Some(("permits", "no permit at all could be acquired; at least 1".to_owned())),
            permits if permits > PERMITS_MAX => Some((
                "permits",
                format!("{permits} permits; at most {PERMITS_MAX}, and fewer than there are clients to ask for them"),
            )),
            _ => self.keys.and_then(|keys| keys_mistake("keys", keys)),
        }
    }
}

/// The workload with these options.
fn build(options: &SemaphoreOptions) -> Box<dyn Workload> {
    let shared = Holding::new(DOC.name, options.keys, options.hold);
    Box::new(Semaphores { shared: Arc::new(shared), permits: Value::Int(i64::from(options.permits)) })
}

struct Semaphores {
    shared: Arc<Holding>,
    permits: Value,
}

impl Workload for Semaphores {
    fn name(&self) -> Arc<str> {
        self.shared.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        self.shared.functions.names()
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        holding::generator(&self.shared, seed, worker, workers)
    }

    /// None: the client of a joining worker is closed when it is idle, and the permit would go with it.
    fn part(&self, _: Part, _: u64, _: u32, _: u32) -> Option<Box<dyn Generator>> {
        None
    }

    fn settle(&self) -> Vec<FinalCall> {
        Vec::new()
    }

    fn params(&self) -> Value {
        let permits = (Arc::from("permits"), self.permits.clone());
        Value::Map(self.shared.named_keys("semaphores").into_iter().chain([permits]).collect())
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["semaphore"]
    }

    fn checker_options(&self, checker: &str) -> Options {
        match checker {
            "semaphore" => Options([("permits".to_owned(), self.permits.clone())].into()),
            _ => Options::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::CallResult;
    use crate::workload::Next;

    #[test]
    fn the_checker_and_the_client_know_how_many_permits_there_are() {
        let workload = build(&SemaphoreOptions { keys: Some(2), permits: 3, hold: 0 });
        assert_eq!(workload.checker_options("semaphore").0.get("permits"), Some(&Value::Int(3)));
        assert_eq!(workload.params().to_string(), "{semaphores: [0, 1], permits: 3}");
    }

    #[test]
    fn a_permit_that_was_got_is_given_back() {
        let workload = build(&SemaphoreOptions { hold: 0, ..SemaphoreOptions::default() });
        let mut generator = workload.generator(7, 0, 1);
        for expected in ["acquire", "release", "acquire", "release"] {
            let Next::Call(call) = generator.next() else { panic!("a call") };
            assert_eq!((&*call.f, &call.value, &call.key), (expected, &Value::Nil, &Value::Nil));
            generator.taken();
            generator.observe(&call, &CallResult::Ok(Value::Nil));
        }
    }

    #[test]
    fn no_permit_and_too_many_are_mistakes() {
        let mistake = |permits| {
            let options = SemaphoreOptions { permits, ..SemaphoreOptions::default() };
            options.mistake().map(|(option, _)| option)
        };
        assert_eq!([0, 1, 1000, 1001].map(mistake), [Some("permits"), None, None, Some("permits")]);
    }
}
