//! The calls of `lock`, `semaphore`, `lease`, `lock-set` and `election`: a worker acquires, holds for a while, uses what it
//! holds, and releases.
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

/// How errors begin by which a process learns that it no longer holds what the call was about.
const LOST: [&str; 3] = ["not-held", "fenced", "gone"];

/// What is held: how its calls name it, and who it is granted to.
pub(crate) trait Held: Send + Sync {
    /// The argument of an acquire by this candidate. A candidate is one process of one worker.
    fn acquire(&self, _candidate: i64) -> Value {
        Value::Nil
    }

    /// The token of the grant if this reply grants it to the candidate; nil where grants have none.
    fn granted(&self, reply: &Value, _candidate: i64) -> Option<Value> {
        (*reply != Value::Bool(false)).then_some(Value::Nil)
    }

    /// The argument of a use; `fresh` is unique in the run.
    fn usage(&self, _token: &Value, _fresh: i64) -> Value {
        Value::Nil
    }

    /// The argument of a release.
    fn release(&self, _token: &Value) -> Value {
        Value::Nil
    }
}

/// A lock or a permit: the calls have no arguments.
pub(crate) struct Plain;

impl Held for Plain {}

/// The functions that stand for acquire, use and release.
pub(crate) struct HoldFunctions {
    acquire: Arc<str>,
    usage: Option<Arc<str>>,
    release: Arc<str>,
    /// Asked now and then by a worker that holds nothing, in this share of its calls in percent.
    look: Option<(Arc<str>, u32)>,
}

impl HoldFunctions {
    /// `acquire`, `release`, and between them uses of this name.
    pub(crate) fn lock(usage: Option<&str>) -> HoldFunctions {
        HoldFunctions { acquire: "acquire".into(), usage: usage.map(Arc::from), release: "release".into(), look: None }
    }

    /// The functions of an election: `elect`, `write` as the leader, `resign`.
    pub(crate) fn election() -> HoldFunctions {
        let usage = Some(Arc::from("write"));
        HoldFunctions { acquire: "elect".into(), usage, release: "resign".into(), look: None }
    }

    /// The same, and a look at what is held in this share of calls, in percent.
    pub(crate) fn looking(mut self, look: &str, percent: u32) -> HoldFunctions {
        self.look = (percent > 0).then(|| (look.into(), percent));
        self
    }

    /// Their names in the order in which a worker calls them.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let look = self.look.as_ref().map(|(name, _)| name);
        [Some(&self.acquire), self.usage.as_ref(), Some(&self.release), look].into_iter().flatten().cloned().collect()
    }
}

/// What all workers of a workload share.
pub(crate) struct Holding {
    pub(crate) workload: Arc<str>,
    /// How many keys are in use; none: one without a name.
    pub(crate) keys: Option<u32>,
    /// Most calls of all workers while one holds.
    pub(crate) hold: u32,
    /// Least and most uses of one hold.
    pub(crate) uses: (u32, u32),
    pub(crate) functions: HoldFunctions,
    pub(crate) held: Box<dyn Held>,
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
            uses: (0, 0),
            functions: HoldFunctions::lock(None),
            held: Box::new(Plain),
            calls: AtomicU64::new(0),
            workers: AtomicU64::new(0),
            holders: AtomicU64::new(0),
        }
    }

    fn count(&self) -> u64 {
        Keys(self.keys).count()
    }

    /// A call about the object with this number.
    pub(crate) fn call(&self, f: &Arc<str>, key: u64, value: Value) -> Call {
        let key = Keys(self.keys).key(key);
        Call { workload: self.workload.clone(), f: f.clone(), key, value }
    }

    /// A call of this function without an argument for each object.
    pub(crate) fn calls_of_all(&self, f: &Arc<str>) -> Vec<Call> {
        (0..self.count()).map(|key| self.call(f, key, Value::Nil)).collect()
    }

    /// Entry `name` of the parameters: the keys by number. None if there is one without a name.
    pub(crate) fn named_keys(&self, name: &str) -> Option<(Arc<str>, Value)> {
        let keys = self.keys?;
        Some((Arc::from(name), Value::list((0..i64::from(keys)).map(Value::Int))))
    }
}

/// The generator of one worker.
pub(crate) fn generator(shared: &Arc<Holding>, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
    shared.workers.fetch_add(1, Ordering::Relaxed);
    let number = i64::from(worker) + 1;
    Box::new(Holder {
        shared: shared.clone(),
        rng: Rng::new(seed, "worker", u64::from(worker)),
        step: i64::from(workers.max(1)),
        fresh: number,
        candidate: number,
        choice: None,
        asked: None,
        grant: None,
    })
}

/// What a worker draws before it acquires.
#[derive(Clone, Copy)]
struct Choice {
    key: u64,
    /// Calls of all workers until what is held is used or released.
    hold: u64,
    uses: u64,
    /// It asks who holds, and acquires nothing.
    looks: bool,
}

/// A grant, as its worker knows it.
struct Grant {
    choice: Choice,
    token: Value,
    /// The number of calls when it was acquired or used last.
    since: u64,
}

struct Holder {
    shared: Arc<Holding>,
    rng: Rng,
    /// The next unique value of a use, and its distance to the one after it.
    fresh: i64,
    step: i64,
    /// The number of its present process among all candidates.
    candidate: i64,
    /// The next acquire, until `taken` consumes it.
    choice: Option<Choice>,
    /// The acquire that is not answered.
    asked: Option<Choice>,
    grant: Option<Grant>,
}

impl Holder {
    fn draw(&mut self) -> Choice {
        let (least, most) = self.shared.uses;
        let looks = self.shared.functions.look.as_ref().map_or(0, |(_, percent)| u64::from(*percent));
        Choice {
            key: self.rng.below(self.shared.count()),
            hold: self.rng.below(u64::from(self.shared.hold) + 1),
            uses: self.rng.between(u64::from(least), u64::from(most)),
            looks: looks > 0 && self.rng.below(100) < looks,
        }
    }

    fn now(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    fn hold(&mut self, choice: Choice, token: Value) {
        self.free();
        self.grant = Some(Grant { choice, token, since: self.now() });
        self.shared.holders.fetch_add(1, Ordering::Relaxed);
    }

    fn free(&mut self) {
        if self.grant.take().is_some() {
            self.shared.holders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether the hold has lasted long enough. No worker is left to count calls if every worker holds.
    fn is_due(&self, grant: &Grant) -> bool {
        let all_hold = || self.shared.holders.load(Ordering::Relaxed) >= self.shared.workers.load(Ordering::Relaxed);
        self.now().saturating_sub(grant.since) >= grant.choice.hold || all_hold()
    }

    /// The function of the call that comes after the hold: a use, while there are some left.
    fn usage(&self, grant: &Grant) -> Option<&Arc<str>> {
        self.shared.functions.usage.as_ref().filter(|_| grant.choice.uses > 0)
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
        let shared = self.shared.clone();
        if let Some(grant) = &self.grant {
            let (key, held) = (grant.choice.key, &shared.held);
            return match self.usage(grant) {
                _ if !self.is_due(grant) => Next::Wait,
                Some(f) => Next::Call(shared.call(f, key, held.usage(&grant.token, self.fresh))),
                None => Next::Call(shared.call(&shared.functions.release, key, held.release(&grant.token))),
            };
        }
        let choice = self.choice.unwrap_or_else(|| self.draw());
        self.choice = Some(choice);
        Next::Call(match shared.functions.look.as_ref().filter(|_| choice.looks) {
            Some((look, _)) => shared.call(look, choice.key, Value::Nil),
            None => shared.call(&shared.functions.acquire, choice.key, shared.held.acquire(self.candidate)),
        })
    }

    fn taken(&mut self) {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        match &self.grant {
            Some(grant) if self.usage(grant).is_some() => self.fresh += self.step,
            Some(_) => {}
            None => self.asked = self.choice.take().filter(|choice| !choice.looks),
        }
    }

    fn holds(&self) -> bool {
        self.grant.is_some()
    }

    /// Another process of the worker is another candidate.
    fn replaced(&mut self) {
        self.candidate += self.step;
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        let (asked, shared) = (self.asked.take(), self.shared.clone());
        if let CallResult::Info(_) = answer {
            // The process is retired, and its session ends with it.
            self.free();
            self.candidate += self.step;
            return;
        }
        if let Some(choice) = asked {
            let reply = if let CallResult::Ok(reply) = answer { Some(reply) } else { None };
            if let Some(token) = reply.and_then(|reply| shared.held.granted(reply, self.candidate)) {
                self.hold(choice, token);
            }
            return;
        }
        let released = call.f == shared.functions.release;
        match answer {
            CallResult::Fail(error) if LOST.iter().any(|lost| error.starts_with(lost)) => self.free(),
            CallResult::Ok(_) if released => self.free(),
            // A refused release is tried again.
            _ if released => {}
            _ => {
                let (since, used) =
                    (self.now(), matches!(answer, CallResult::Ok(reply) if *reply != Value::Bool(false)));
                if let Some(grant) = &mut self.grant {
                    // What cannot be used is released.
                    grant.choice.uses = if used { grant.choice.uses.saturating_sub(1) } else { 0 };
                    grant.since = since;
                }
            }
        }
    }
}
