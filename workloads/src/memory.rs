//! [`Memory`]: the objects of every workload in memory, linearizable behind one lock, with known faults on request.
//!
//! For tests of the whole pipeline, and as the instant client of benchmarks. Faults come at every n-th occasion and are not
//! random, so that a test knows the findings.
mod bank;
mod decisions;
mod guarded;
mod holders;
mod inserts;
mod logs;
mod numbers;
mod queues;
mod rows;
mod transactions;
mod watched;

use crate::client::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
use crate::workload::Workload;
use dsfuzz_checkers::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The faults of a store in memory: each number n means every n-th occasion, 0 never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// A violation: acknowledged writes, compare-and-sets, adds, enqueues and acquires without effect; transfers that give the money
    /// to nobody.
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
    /// No violation: changes that take effect and are answered by Info.
    pub info_done_every: u32,
    /// No violation: changes without effect that are answered by Info.
    pub info_undone_every: u32,
    /// No violation: refused opens.
    pub refuse_every: u32,
}

/// A store in memory; all its clients see the same data on every node.
#[derive(Clone, Default)]
pub struct Memory {
    store: Arc<Mutex<Store>>,
}

#[derive(Default)]
struct Store {
    faults: StoreFaults,
    registers: HashMap<Value, Register>,
    sets: HashMap<Value, Elements>,
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
    /// By workload.
    transactions: HashMap<Arc<str>, transactions::Database>,
    changes: u32,
    unmet: u32,
    reads: u32,
    opens: u32,
}

#[derive(Default)]
struct Register {
    now: Value,
    before: Value,
}

#[derive(Default)]
struct Elements {
    now: BTreeSet<Value>,
    last: Value,
}

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
        if &*workload.name() == crate::bank::DOC.name {
            store.bank = bank::Bank::of(&workload.params());
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
        match (&*call.workload, &*call.f) {
            ("lock-set" | "election", _) => self.guarded(process, call),
            ("watch", _) => self.watched(call),
            ("log", _) => self.logged(process, call),
            ("atomic-commit", _) => self.decided(node, call),
            ("saga", _) => self.told(call),
            ("bank", "read") => self.read_bank(),
            ("bank", "transfer") => self.transfer(&call.value),
            ("counter", "read") => self.read_counter(&call.key),
            ("counter", "add") => self.count(&call.key, &call.value),
            ("unique-ids", "generate") => self.generate(),
            ("g2", "insert") => self.insert(&call.key),
            ("monotonic", "read") => self.read_rows(),
            ("monotonic", "add") => self.add_row(&call.value),
            ("set", "read") => self.read_set(&call.key),
            ("set", "add") => self.add(&call.key, &call.value),
            (_, "acquire") => self.acquire(process, call),
            (_, "renew") => self.renew(process, call),
            (_, "release") => self.release(process, call),
            (_, "enqueue") => self.enqueue(&call.key, &call.value),
            (_, "dequeue") => self.dequeue(&call.key),
            (_, "drain") => self.drain(&call.key),
            (_, "txn") => self.transact(call),
            (_, "read") => self.read(&call.key),
            (_, "write") => self.write(&call.key, &call.value),
            (_, "cas") => match call.value.as_list() {
                Some([from, to]) => self.cas(&call.key, from, to),
                _ => CallResult::fail("a compare-and-set needs [from, to]"),
            },
            (_, other) => CallResult::fail(format!("no such function: {other}")),
        }
    }

    fn read(&mut self, key: &Value) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let register = self.registers.get(key);
        let shown = register.map(|register| if stale { &register.before } else { &register.now });
        CallResult::Ok(shown.cloned().unwrap_or_default())
    }

    fn write(&mut self, key: &Value, value: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            self.put(key, value);
        }
        fate.answer()
    }

    fn cas(&mut self, key: &Value, from: &Value, to: &Value) -> CallResult {
        if self.registers.get(key).is_none_or(|register| register.now != *from) {
            return CallResult::fail("mismatch");
        }
        self.write(key, to)
    }

    fn put(&mut self, key: &Value, value: &Value) {
        if let Some(register) = self.registers.get_mut(key) {
            register.before = std::mem::replace(&mut register.now, value.clone());
        } else {
            self.registers.insert(key.clone(), Register { now: value.clone(), before: Value::Nil });
        }
    }

    fn add(&mut self, key: &Value, element: &Value) -> CallResult {
        let fate = self.fate();
        if matches!(fate, ChangeEffect::Done | ChangeEffect::Fail | ChangeEffect::InfoDone) {
            let elements = self.sets.entry(key.clone()).or_default();
            elements.now.insert(element.clone());
            elements.last = element.clone();
        }
        fate.answer()
    }

    fn read_set(&mut self, key: &Value) -> CallResult {
        let stale = every(&mut self.reads, self.faults.stale_every);
        let Some(elements) = self.sets.get(key) else { return CallResult::Ok(Value::list([])) };
        let shown = elements.now.iter().filter(|element| !stale || **element != elements.last);
        CallResult::Ok(Value::list(shown.cloned()))
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
            ChangeEffect::Fail => CallResult::fail("said to have failed"),
            ChangeEffect::InfoDone | ChangeEffect::InfoUndone => CallResult::info("connection lost"),
        }
    }
}

fn every(occasions: &mut u32, period: u32) -> bool {
    *occasions = occasions.wrapping_add(1);
    period != 0 && occasions.is_multiple_of(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    pub(super) fn ask(memory: &Memory, workload: &str, f: &str, value: Value) -> CallResult {
        let call = Call { workload: Arc::from(workload), f: Arc::from(f), key: Value::Int(1), value };
        let mut client = memory.client();
        let mut future = client.call(&call, Terms::load(Duration::from_secs(1)));
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
        assert_eq!((cas(&memory, 2, 3), read(&memory)), (CallResult::fail("mismatch"), ok(1)));
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
}
