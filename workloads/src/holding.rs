//! The calls of `lock`, `semaphore` and `lease`: a worker acquires, holds for a while, may renew, and releases.
//!
//! A worker draws the key and how long it holds from its own stream. What it holds is known from replies, and how long it has
//! held from the calls of all workers: both are bound in [`Generator::next`]. Never: acquires while it holds.
use crate::client::{Call, CallResult};
use crate::keys::Keys;
use crate::workload::{Generator, Next};
use dsfuzz_checkers::Value;
use dsfuzz_rng::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Default of the option `hold`.
pub(crate) const HOLD: u32 = 4;

/// How the error of a call begins whose process did not hold what it was about.
const NOT_HELD: &str = "not-held";

/// What all workers of a workload share.
pub(crate) struct Holding {
    pub(crate) workload: Arc<str>,
    /// How many keys are in use; none: one without a name.
    pub(crate) keys: Option<u32>,
    /// Most calls of all workers while one holds.
    pub(crate) hold: u32,
    /// Most renewals of one hold.
    pub(crate) renew: u32,
    /// The argument of acquire and renew.
    pub(crate) argument: Value,
    acquire: Arc<str>,
    renew_name: Arc<str>,
    release: Arc<str>,
    calls: AtomicU64,
    workers: AtomicU64,
    holders: AtomicU64,
}

impl Holding {
    pub(crate) fn new(workload: &str, keys: Option<u32>, hold: u32) -> Holding {
        Holding {
            workload: Arc::from(workload),
            keys,
            hold,
            renew: 0,
            argument: Value::Nil,
            acquire: Arc::from("acquire"),
            renew_name: Arc::from("renew"),
            release: Arc::from("release"),
            calls: AtomicU64::new(0),
            workers: AtomicU64::new(0),
            holders: AtomicU64::new(0),
        }
    }

    /// The functions of a workload whose holds end by a release alone.
    pub(crate) fn functions(&self) -> Vec<Arc<str>> {
        vec![self.acquire.clone(), self.release.clone()]
    }

    /// The functions of a workload whose holds end by themselves unless they are renewed.
    pub(crate) fn functions_with_renewal(&self) -> Vec<Arc<str>> {
        vec![self.acquire.clone(), self.renew_name.clone(), self.release.clone()]
    }

    fn count(&self) -> u64 {
        Keys(self.keys).count()
    }

    fn call(&self, f: &Arc<str>, key: u64, value: Value) -> Call {
        let key = Keys(self.keys).key(key);
        Call { workload: self.workload.clone(), f: f.clone(), key, value }
    }

    /// Entry `name` of the parameters: the keys by number. None if there is one without a name.
    pub(crate) fn named_keys(&self, name: &str) -> Option<(Arc<str>, Value)> {
        let keys = self.keys?;
        Some((Arc::from(name), Value::list((0..i64::from(keys)).map(Value::Int))))
    }
}

/// The generator of one worker.
pub(crate) fn generator(shared: &Arc<Holding>, seed: u64, worker: u32) -> Box<dyn Generator> {
    shared.workers.fetch_add(1, Ordering::Relaxed);
    let rng = Rng::new(seed, "worker", u64::from(worker));
    Box::new(Holder { shared: shared.clone(), rng, choice: None, asked: None, held: None })
}

/// What a worker draws before it acquires.
#[derive(Clone, Copy)]
struct Choice {
    key: u64,
    /// Calls of all workers until the hold is renewed or released.
    hold: u64,
    renewals: u64,
}

/// A hold, as its worker knows it.
struct Held {
    choice: Choice,
    /// The number of calls when it was acquired or renewed last.
    since: u64,
}

struct Holder {
    shared: Arc<Holding>,
    rng: Rng,
    /// The next acquire, until `taken` consumes it.
    choice: Option<Choice>,
    /// The acquire that is not answered.
    asked: Option<Choice>,
    held: Option<Held>,
}

impl Holder {
    fn draw(&mut self) -> Choice {
        Choice {
            key: self.rng.below(self.shared.count()),
            hold: self.rng.below(u64::from(self.shared.hold) + 1),
            renewals: self.rng.below(u64::from(self.shared.renew) + 1),
        }
    }

    fn now(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    fn hold(&mut self, choice: Choice) {
        self.free();
        self.held = Some(Held { choice, since: self.now() });
        self.shared.holders.fetch_add(1, Ordering::Relaxed);
    }

    fn free(&mut self) {
        if self.held.take().is_some() {
            self.shared.holders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the hold has lasted long enough. Nobody is left to count calls if every worker holds.
    fn is_due(&self, held: &Held) -> bool {
        let all_hold = || self.shared.holders.load(Ordering::Relaxed) >= self.shared.workers.load(Ordering::Relaxed);
        self.now().saturating_sub(held.since) >= held.choice.hold || all_hold()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.free();
        self.shared.workers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Generator for Holder {
    fn next(&mut self) -> Next {
        if let Some(held) = &self.held {
            let shared = &self.shared;
            return match () {
                () if !self.is_due(held) => Next::Wait,
                () if held.choice.renewals > 0 => {
                    Next::Call(shared.call(&shared.renew_name, held.choice.key, shared.argument.clone()))
                }
                () => Next::Call(shared.call(&shared.release, held.choice.key, Value::Nil)),
            };
        }
        if self.choice.is_none() {
            self.choice = Some(self.draw());
        }
        let key = self.choice.map_or(0, |choice| choice.key);
        Next::Call(self.shared.call(&self.shared.acquire, key, self.shared.argument.clone()))
    }

    fn taken(&mut self) {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        if self.held.is_none() {
            self.asked = self.choice.take();
        }
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        let asked = self.asked.take();
        let got = matches!(answer, CallResult::Ok(reply) if *reply != Value::Bool(false));
        match (&*call.f, asked, answer) {
            // The process is retired, and its session ends with it.
            (_, _, CallResult::Info(_)) => self.free(),
            ("acquire", Some(choice), _) if got => self.hold(choice),
            ("acquire", ..) => {}
            (_, _, CallResult::Fail(error)) if error.starts_with(NOT_HELD) => self.free(),
            ("release", _, CallResult::Ok(_)) => self.free(),
            ("renew", ..) => {
                let since = self.now();
                if let Some(held) = &mut self.held {
                    // A hold that is not renewed is released.
                    held.choice.renewals = if got { held.choice.renewals.saturating_sub(1) } else { 0 };
                    held.since = since;
                }
            }
            // A refused release is tried again.
            _ => {}
        }
    }
}
