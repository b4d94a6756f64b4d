//! [`Memory`]: the objects of every workload in memory, linearizable behind one lock, with known faults on request.
//!
//! For tests of the whole pipeline, and as the instant client of benchmarks. Faults come at every n-th occasion and are not
//! random, so that a test knows the findings.
mod bank;
mod crdts;
mod decisions;
mod guarded;
mod holders;
mod inserts;
mod logs;
mod numbers;
mod queues;
mod replicas;
mod rows;
mod sets;
mod transactions;
mod watched;

use crate::client::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
use crate::codes::{ABORTED, LOST, MALFORMED, NOT_SUPPORTED, PRECONDITION};
use crate::options::WORKLOADS;
use crate::workload::Workload;
use dsfuzz_checkers::Value;
use replicas::Replicated;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The faults of a store in memory: each number n means every n-th occasion, 0 never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// A violation: acknowledged writes, compare-and-sets, adds, enqueues and acquires without effect; transfers that give the money
    /// to no account.
    pub lost_every: u32,
    /// A violation: reads of the value before the last change.
    pub stale_every: u32,
    /// A violation: changes that take effect and are answered by Fail.
    pub fail_done_every: u32,
    /// A violation of exactly-once: messages that a dequeue delivers and leaves in their queue.
    pub twice_every: u32,
    /// A violation: changes that are made although their condition does not hold.
    pub unchecked_every: u32,
    /// A violation: acquires that are granted although others hold all there is.
    pub shared_every: u32,
    /// A violation: changes that no other node than the client's own ever shows.
    pub unreplicated_every: u32,
    /// No violation: changes that take effect and are answered by Info.
    pub info_done_every: u32,
    /// No violation: changes without effect that are answered by Info.
    pub info_undone_every: u32,
    /// No violation: refused opens.
    pub refuse_every: u32,
}

/// A store in memory; its clients see the same data on every node unless its faults say otherwise.
#[derive(Clone, Default)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
}

#[derive(Default)]
struct Store {
    faults: StoreFaults,
    /// The objects of workloads whose names do not say them, by workload.
    objects: HashMap<Arc<str>, Arc<str>>,
    /// By workload and key.
    registers: HashMap<Arc<str>, HashMap<Value, Register>>,
    /// By workload and key.
    sets: HashMap<Arc<str>, HashMap<Value, sets::Elements>>,
    queues: queues::Queues,
    bank: bank::Bank,
    table: rows::Table,
    counters: HashMap<Value, numbers::Sum>,
    /// The last id that was given out.
    ids: i64,
    /// Keys with a row.
    inserted: HashSet<Value>,
    holders: holders::Holders,
    guarded: guarded::Guarded,
    guarded_refused: u32,
    keys: watched::Keys,
    logs: logs::Logs,
    decisions: decisions::Decisions,
    /// By workload and key.
    transactions: HashMap<(Arc<str>, Value), transactions::Database>,
    /// Workloads whose replies have versions.
    versioned: HashSet<Arc<str>>,
    /// Of the workload `crdt`.
    replicated_type: String,
    replicated: HashMap<Value, crdts::Updates>,
    changes: u32,
    replications: u32,
    unmet: u32,
    reads: u32,
    opens: u32,
}

#[derive(Default)]
struct Register {
    /// Version and value.
    now: Replicated<(i64, Value)>,
    before: (i64, Value),
}

/// Versions of two writes of one node are so far apart.
const VERSION_STEP: i64 = 16;

/// The effect and answer of a change.
enum ChangeEffect {
    Done,
    Lost,
    Fail,
    InfoDone,
    InfoUndone,
}

impl Memory {
    /// A correct store.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A faulty store.
    pub fn faulty(faults: StoreFaults) -> Memory {
        Memory { store: Arc::new(Mutex::new(Store { faults, ..Store::default() })) }
    }

    /// Sets the store up for a workload, by the parameters that clients are told.
    pub fn set_up(&self, workload: &dyn Workload) {
        let store = &mut *self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.objects.insert(workload.name(), workload.object());
        if &*workload.name() == crate::bank::DOC.name {
            store.bank = bank::Bank::of(&workload.params());
        }
        if entry(&workload.params(), "versions") == Some(&Value::Bool(true)) {
            store.versioned.insert(workload.name());
        }
        if &*workload.name() == crate::crdt::DOC.name {
            store.replicated_type = entry(&workload.params(), "type").map(Value::to_string).unwrap_or_default();
            store.replicated_type.retain(|c| c != '"');
        }
    }

    /// A client of process 0, without [`Connect`].
    pub fn client(&self) -> Box<dyn Client> {
        self.client_of(0, "n1".into())
    }

    fn client_of(&self, process: u64, node: Arc<str>) -> Box<dyn Client> {
        Box::new(MemoryClient { store: self.store.clone(), process, node })
    }
}

impl Connect for Memory {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async move {
            let refused = {
                let store = &mut *self.store.lock().unwrap_or_else(PoisonError::into_inner);
                every(&mut store.opens, store.faults.refuse_every)
            };
            if refused {
                Err(ConnectError("refused by its faults".to_owned()))
            } else {
                Ok(self.client_of(endpoint.process, endpoint.node))
            }
        })
    }
}

struct MemoryClient {
    store: Arc<Mutex<Store>>,
    process: u64,
    node: Arc<str>,
}

/// A client that goes takes its session along, closed or not.
impl Drop for MemoryClient {
    fn drop(&mut self) {
        let store = &mut *self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.holders.gone(self.process);
        store.guarded.gone(self.process);
        store.logs.gone(self.process);
    }
}

impl Client for MemoryClient {
    fn call<'a>(&'a mut self, call: &'a Call, _terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            let store = &mut *self.store.lock().unwrap_or_else(PoisonError::into_inner);
            store.answer(self.process, &self.node, call).into()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Store {
    fn answer(&mut self, process: u64, node: &Arc<str>, call: &Call) -> CallResult {
        let named = || WORKLOADS.iter().find(|doc| doc.name == &*call.workload).map(|doc| Arc::from(doc.object));
        let object = self.objects.get(&call.workload).cloned().or_else(named).unwrap_or_else(|| call.workload.clone());
        match (&*object, &*call.f) {
            ("guarded" | "election", _) => self.guarded(process, call),
            ("kv", _) => self.watched(call),
            ("log", _) => self.logged(process, call),
            ("commit", _) => self.decided(node, call),
            ("saga", _) => self.told(call),
            ("bank", "read") => self.read_bank(),
            ("bank", "transfer") => self.transfer(&call.value),
            ("counter", "read") => self.read_counter(&call.key),
            ("counter", "add") => self.count(&call.key, &call.value),
            ("ids", "generate") => self.generate(),
            ("predicate", "insert") => self.insert(&call.key),
            ("crdt", "read") => self.read_replica(node, call),
            ("crdt", "add" | "remove" | "write") => self.update(node, call),
            ("rows", "read") => self.read_rows(),
            ("rows", "add") => self.add_row(&call.value),
            ("set", "read") => self.read_set(node, call),
            ("set", "add") => self.add(node, call),
            (_, "acquire") => self.acquire(process, call),
            (_, "renew") => self.renew(process, call),
            (_, "release") => self.release(process, call),
            (_, "enqueue") => self.enqueue(&call.key, &call.value),
            (_, "dequeue") => self.dequeue(&call.key),
            (_, "drain") => self.drain(&call.key),
            (_, "init") => self.begin_with(node, call),
            (_, "txn") => self.transact(node, call),
            (_, "read") => self.read(node, call),
            (_, "write") => self.write(node, call, &call.value),
            (_, "cas") => match call.value.as_list() {
                Some([from, to]) => self.cas(node, call, from, to),
                _ => MALFORMED.because("a compare-and-set needs [from, to]"),
            },
            (_, other) => NOT_SUPPORTED.because(format!("no such function: {other}")),
        }
    }

    fn register(&mut self, call: &Call) -> &mut Register {
        self.registers.entry(call.workload.clone()).or_default().entry(call.key.clone()).or_default()
    }

    fn read(&mut self, node: &Arc<str>, call: &Call) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let versions = self.versioned.contains(&call.workload);
        let register = self.register(call);
        let (version, value) = if stale { &register.before } else { register.now.at(node) };
        CallResult::Ok(match versions {
            true => Value::list([Value::Int(*version), value.clone()]),
            false => value.clone(),
        })
    }

    fn write(&mut self, node: &Arc<str>, call: &Call, value: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let alone = self.alone();
            let register = self.register(call);
            register.before = register.now.at(node).clone();
            // Nodes that do not know of each other's writes give different versions, as Lamport's clocks do.
            let own = node.bytes().last().map_or(0, |last| i64::from(last % VERSION_STEP as u8));
            let next = ((register.before.0 / VERSION_STEP + 1) * VERSION_STEP + own, value.clone());
            register.now.change(node, alone, |now| now.clone_from(&next));
            if self.versioned.contains(&call.workload) && matches!(fate, ChangeEffect::Done) {
                return CallResult::Ok(Value::Int(next.0));
            }
        }
        fate.answer()
    }

    fn cas(&mut self, node: &Arc<str>, call: &Call, from: &Value, to: &Value) -> CallResult {
        let found = &self.register(call).now.at(node).1;
        if found != from {
            return PRECONDITION.because(format!("it was {found}"));
        }
        self.write(node, call, to)
    }

    /// Whether a change stays on the node that takes it.
    fn alone(&mut self) -> bool {
        every(&mut self.replications, self.faults.unreplicated_every)
    }

    /// Whether a change is made although its condition does not hold.
    fn unchecked(&mut self) -> bool {
        every(&mut self.unmet, self.faults.unchecked_every)
    }

    fn fate(&mut self) -> ChangeEffect {
        self.changes = self.changes.wrapping_add(1);
        let now = |period: u32| period != 0 && self.changes.is_multiple_of(period);
        let faults = &self.faults;
        match () {
            () if now(faults.lost_every) => ChangeEffect::Lost,
            () if now(faults.fail_done_every) => ChangeEffect::Fail,
            () if now(faults.info_done_every) => ChangeEffect::InfoDone,
            () if now(faults.info_undone_every) => ChangeEffect::InfoUndone,
            () => ChangeEffect::Done,
        }
    }
}

impl ChangeEffect {
    fn answer(self) -> CallResult {
        match self {
            ChangeEffect::Done | ChangeEffect::Lost => CallResult::Ok(Value::Nil),
            ChangeEffect::Fail => ABORTED.because("said to have failed"),
            ChangeEffect::InfoDone | ChangeEffect::InfoUndone => LOST.because("the connection broke"),
        }
    }
}

fn entry<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(entries) = object else { return None };
    entries.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
}

fn every(occasions: &mut u32, period: u32) -> bool {
    *occasions = occasions.wrapping_add(1);
    period != 0 && occasions.is_multiple_of(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::CODES;
    use crate::options::WorkloadOptions;
    use crate::workload::Next;
    use serde_json::json;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    pub(super) fn ask(memory: &Memory, workload: &str, f: &str, value: Value) -> CallResult {
        asked(memory, &Call { workload: Arc::from(workload), f: Arc::from(f), key: Value::Int(1), value })
    }

    fn asked(memory: &Memory, call: &Call) -> CallResult {
        let mut client = memory.client();
        let mut future = client.call(call, Terms::load(Duration::from_secs(1)));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => response.result,
            Poll::Pending => panic!("a store in memory answers at once"),
        }
    }

    fn write(memory: &Memory, value: i64) -> CallResult {
        ask(memory, "register", "write", Value::Int(value))
    }

    fn read(memory: &Memory) -> CallResult {
        ask(memory, "register", "read", Value::Nil)
    }

    fn cas(memory: &Memory, from: i64, to: i64) -> CallResult {
        ask(memory, "register", "cas", Value::list([Value::Int(from), Value::Int(to)]))
    }

    fn ok(value: i64) -> CallResult {
        CallResult::Ok(Value::Int(value))
    }

    #[test]
    fn an_honest_store_is_a_register_and_a_set() {
        let memory = Memory::new();
        assert_eq!(read(&memory), CallResult::Ok(Value::Nil));
        assert_eq!((write(&memory, 1), read(&memory)), (CallResult::Ok(Value::Nil), ok(1)));
        assert_eq!((cas(&memory, 2, 3), read(&memory)), (CallResult::fail("precondition: it was 1"), ok(1)));
        assert_eq!((cas(&memory, 1, 3), read(&memory)), (CallResult::Ok(Value::Nil), ok(3)));
        for element in [5, 4, 5] {
            ask(&memory, "set", "add", Value::Int(element));
        }
        let all = Value::list([Value::Int(4), Value::Int(5)]);
        assert_eq!(ask(&memory, "set", "read", Value::Nil), CallResult::Ok(all));
        assert!(matches!(ask(&memory, "register", "increment", Value::Nil), CallResult::Fail(_)));
    }

    #[test]
    fn each_lie_is_the_one_it_is_called() {
        let after = |faults| {
            let memory = Memory::faulty(faults);
            write(&memory, 1);
            (write(&memory, 2), read(&memory))
        };
        assert_eq!(after(StoreFaults { lost_every: 2, ..StoreFaults::default() }), (CallResult::Ok(Value::Nil), ok(1)));
        assert_eq!(
            after(StoreFaults { stale_every: 1, ..StoreFaults::default() }),
            (CallResult::Ok(Value::Nil), ok(1))
        );
        let (answer, seen) = after(StoreFaults { fail_done_every: 2, ..StoreFaults::default() });
        assert!(matches!(answer, CallResult::Fail(_)) && seen == ok(2));
        let (answer, seen) = after(StoreFaults { info_done_every: 2, ..StoreFaults::default() });
        assert!(matches!(answer, CallResult::Info(_)) && seen == ok(2));
        let (answer, seen) = after(StoreFaults { info_undone_every: 2, ..StoreFaults::default() });
        assert!(matches!(answer, CallResult::Info(_)) && seen == ok(1));
    }

    #[test]
    fn every_error_begins_with_a_code_of_the_protocol() {
        let faults = StoreFaults { fail_done_every: 5, info_undone_every: 7, ..StoreFaults::default() };
        let mut codes = HashSet::new();
        for doc in WORKLOADS {
            let options: WorkloadOptions = serde_json::from_value(json!({ doc.name: {} })).expect("defaults");
            let (workload, memory) = (options.build(), Memory::faulty(faults));
            memory.set_up(&*workload);
            let mut generators: Vec<_> = (0..4).map(|worker| workload.generator(1, worker, 4)).collect();
            for turn in 0..400 {
                let generator = &mut generators[turn % 4];
                let Next::Call(call) = generator.next() else { continue };
                generator.taken();
                let result = asked(&memory, &call);
                if let CallResult::Fail(why) | CallResult::Info(why) = &result {
                    let code = why.split(':').next().unwrap_or_default();
                    assert!(CODES.iter().any(|known| known.code == code), "{} {}: {why}", doc.name, call.f);
                    codes.insert(code.to_owned());
                }
                generator.observe(&call, &result);
            }
        }
        for code in ["precondition", "aborted", "lost"] {
            assert!(codes.contains(code), "{codes:?}");
        }
    }
}
