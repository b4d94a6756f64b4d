//! A simulated database of a known isolation level under concurrent clients: histories of any length, whose anomalies are
//! known beforehand. For tests, fuzzing and benches; no checker uses it.
use crate::history::{Completion, HISTORY_VERSION, History, HistoryBuilder, Invoke, Record};
use crate::random::Rng;
use crate::value::Value;
use std::sync::Arc;

/// What the simulated database promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Nothing: every operation takes effect at once, failed transactions may leave theirs behind.
    None,
    /// Each operation sees what is committed then; a transaction's writes take effect together.
    ReadCommitted,
    /// All reads see one snapshot; a transaction's writes take effect together, also over those of others.
    Prefix,
    /// All reads see one snapshot; of two concurrent writers of a key the second to commit fails.
    Snapshot,
    /// One at a time, but transactions that only read may see the past.
    Serializable,
    /// One at a time, each between its call and its reply.
    Strict,
}

/// What a simulated history is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The database.
    pub isolation: Isolation,
    /// Transactions that are called, beside the final reads.
    pub txns: u64,
    /// Clients that call at the same time.
    pub clients: u64,
    /// Keys in use at the same time.
    pub keys: u64,
    /// Writes to a key before another takes its place.
    pub writes_per_key: u64,
    /// Operations of a transaction, at most.
    pub mops: u64,
    /// Transactions that fail without reason, in percent.
    pub fail_percent: u64,
    /// Transactions that are never acknowledged, in percent; half of those take effect, some of them late.
    pub info_percent: u64,
    /// Whether a last transaction reads every key.
    pub final_read: bool,
    /// Whether keys are lists (`append`, `r`) or registers (`w`, `r`).
    pub lists: bool,
}

impl Shape {
    /// Ten clients, ten keys of 64 writes, up to four operations, two of a hundred unknown.
    pub fn new(isolation: Isolation, txns: u64) -> Shape {
        Shape {
            isolation,
            txns,
            clients: 10,
            keys: 10,
            writes_per_key: 64,
            mops: 4,
            fail_percent: 1,
            info_percent: 2,
            final_read: false,
            lists: true,
        }
    }
}

#[derive(Clone, Copy)]
struct Mop {
    key: usize,
    /// What it writes; a read otherwise.
    write: Option<i64>,
}

enum State {
    Idle,
    Running {
        at: usize,
        snapshot: u64,
    },
    /// Took effect, or not; the reply is on its way.
    Done(Reply),
}

#[derive(Clone, Copy, PartialEq)]
enum Reply {
    Ok,
    Fail,
    Info,
}

struct Client {
    process: u64,
    state: State,
    mops: Vec<Mop>,
    reads: Vec<Option<Value>>,
}

/// A commit that comes after its client gave up.
struct Late {
    mops: Vec<Mop>,
    snapshot: u64,
}

struct Simulation {
    shape: Shape,
    rng: Rng,
    builder: HistoryBuilder,
    index: u64,
    /// By key: what was written, and when.
    logs: Vec<Vec<(i64, u64)>>,
    clock: u64,
    /// Keys in use, and how many writes each has been given.
    active: Vec<(usize, u64)>,
    late: Vec<Late>,
    next_process: u64,
    names: [Arc<str>; 5],
}

/// Makes a history.
///
/// # Panics
/// If it is longer than a history can be.
pub fn simulate(seed: u64, shape: Shape) -> History {
    let names = ["append", "w", "r", "txn", "lists"].map(Arc::from);
    let mut simulation = Simulation {
        shape,
        rng: Rng::new(seed),
        builder: HistoryBuilder::new(),
        index: 0,
        logs: vec![Vec::new(); shape.keys as usize],
        clock: 0,
        active: (0..shape.keys as usize).map(|key| (key, 0)).collect(),
        late: Vec::new(),
        next_process: shape.clients,
        names,
    };
    simulation.run();
    simulation.builder.finish().expect("simulated records are sound")
}

impl Simulation {
    fn run(&mut self) {
        let nodes = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        self.push(|index, time| Record::Start { index, time, version: HISTORY_VERSION, nodes, wall: String::new() });
        let client = |process| Client { process, state: State::Idle, mops: Vec::new(), reads: Vec::new() };
        let mut clients: Vec<Client> = (0..self.shape.clients).map(client).collect();
        let mut called = 0;
        loop {
            let idle = clients.iter().all(|client| matches!(client.state, State::Idle));
            if called == self.shape.txns && idle {
                break;
            }
            let at = self.rng.below(self.shape.clients) as usize;
            if matches!(clients[at].state, State::Idle) {
                if called < self.shape.txns {
                    called += 1;
                    self.call(at, &mut clients[at]);
                }
                continue;
            }
            self.step(&mut clients[at]);
            if !self.late.is_empty() && self.rng.below(8) == 0 {
                let at = self.rng.below(self.late.len() as u64) as usize;
                let late = self.late.swap_remove(at);
                self.commit(&late.mops, late.snapshot);
            }
        }
        if self.shape.final_read {
            let mops = (0..self.logs.len()).map(|key| Mop { key, write: None }).collect();
            let mut reader = Client { process: self.next_process, state: State::Idle, mops, reads: Vec::new() };
            self.invoke(0, &reader);
            let clock = self.clock;
            reader.reads = (0..self.logs.len()).map(|key| Some(self.read(key, clock, &[]))).collect();
            self.reply(&reader, Reply::Ok);
        }
    }

    fn push(&mut self, record: impl FnOnce(u64, u64) -> Record) {
        let record = record(self.index, self.index * 1000);
        self.index += 1;
        self.builder.push(record).expect("simulated records are sound");
    }

    fn call(&mut self, worker: usize, client: &mut Client) {
        let count = 1 + self.rng.below(self.shape.mops);
        client.mops.clear();
        for _ in 0..count {
            let slot = self.rng.below(self.shape.keys) as usize;
            let (key, writes) = self.active[slot];
            let write = (self.rng.below(2) == 0).then_some(writes as i64 + 1);
            if write.is_some() {
                self.active[slot].1 += 1;
                if self.active[slot].1 == self.shape.writes_per_key {
                    self.active[slot] = (self.logs.len(), 0);
                    self.logs.push(Vec::new());
                }
            }
            client.mops.push(Mop { key, write });
        }
        client.reads.clear();
        client.state = State::Running { at: 0, snapshot: 0 };
        self.invoke(worker, client);
    }

    fn invoke(&mut self, worker: usize, client: &Client) {
        let value = self.value(&client.mops, &[]);
        let (workload, f, process) = (self.names[4].clone(), self.names[3].clone(), client.process);
        let (node, key) = (["n1", "n2", "n3"][worker % 3].into(), Value::Nil);
        let worker = if process < self.shape.clients { worker as u32 } else { process as u32 };
        let settle = false;
        self.push(|index, time| {
            Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle })
        });
    }

    fn value(&self, mops: &[Mop], reads: &[Option<Value>]) -> Value {
        let write = if self.shape.lists { &self.names[0] } else { &self.names[1] };
        Value::list(mops.iter().enumerate().map(|(at, mop)| {
            let (name, value) = match mop.write {
                Some(element) => (write, Value::Int(element)),
                None => (&self.names[2], reads.get(at).cloned().flatten().unwrap_or_default()),
            };
            Value::list([Value::Text(name.clone()), Value::Int(mop.key as i64), value])
        }))
    }

    fn reply(&mut self, client: &Client, reply: Reply) {
        let process = client.process;
        let value = if reply == Reply::Ok { self.value(&client.mops, &client.reads) } else { Value::Nil };
        let done = move |index, time| Completion { index, time, process, value, error: None, node: None };
        self.push(|index, time| match reply {
            Reply::Ok => Record::Ok(done(index, time)),
            Reply::Fail => Record::Fail(done(index, time)),
            Reply::Info => Record::Info(done(index, time)),
        });
    }

    fn step(&mut self, client: &mut Client) {
        match client.state {
            State::Idle => {}
            State::Done(reply) => {
                self.reply(client, reply);
                client.state = State::Idle;
                if reply == Reply::Info {
                    client.process = self.next_process;
                    self.next_process += 1;
                }
            }
            State::Running { at, snapshot } => {
                let snapshot = if at == 0 { self.snapshot(&client.mops) } else { snapshot };
                let atomic = matches!(self.shape.isolation, Isolation::Serializable | Isolation::Strict);
                let until = if atomic { client.mops.len() } else { at + 1 };
                for at in at..until.min(client.mops.len()) {
                    self.mop(client, at, snapshot);
                }
                let reply = (atomic || at >= client.mops.len()).then(|| self.end(client, snapshot));
                client.state = reply.map_or(State::Running { at: at + 1, snapshot }, State::Done);
            }
        }
    }

    /// The moment whose commits the transaction sees.
    fn snapshot(&mut self, mops: &[Mop]) -> u64 {
        let reads_only = mops.iter().all(|mop| mop.write.is_none());
        match self.shape.isolation {
            Isolation::Serializable if reads_only => self.clock - self.rng.below(self.clock.min(20) + 1),
            _ => self.clock,
        }
    }

    fn mop(&mut self, client: &mut Client, at: usize, snapshot: u64) {
        let mop = client.mops[at];
        let read = match (mop.write, self.shape.isolation) {
            (Some(element), Isolation::None) => {
                self.clock += 1;
                self.logs[mop.key].push((element, self.clock));
                None
            }
            (Some(_), _) => None,
            (None, Isolation::None) => Some(self.read(mop.key, self.clock, &[])),
            (None, isolation) => {
                let seen = if isolation == Isolation::ReadCommitted { self.clock } else { snapshot };
                Some(self.read(mop.key, seen, &client.mops[..at]))
            }
        };
        client.reads.push(read);
    }

    /// What the key holds at this moment, with the transaction's own writes.
    fn read(&self, key: usize, snapshot: u64, own: &[Mop]) -> Value {
        let log = &self.logs[key];
        let seen = log.partition_point(|(_, commit)| *commit <= snapshot);
        let own = own.iter().filter(|mop| mop.key == key).filter_map(|mop| mop.write);
        let mut all = log[..seen].iter().map(|(element, _)| *element).chain(own).map(Value::Int);
        if self.shape.lists { Value::list(all) } else { all.next_back().unwrap_or_default() }
    }

    fn end(&mut self, client: &Client, snapshot: u64) -> Reply {
        if self.rng.percent(self.shape.fail_percent) {
            return Reply::Fail;
        }
        if self.rng.percent(self.shape.info_percent) {
            if self.rng.below(2) == 0 {
                self.late.push(Late { mops: client.mops.clone(), snapshot });
            }
            return Reply::Info;
        }
        if self.commit(&client.mops, snapshot) { Reply::Ok } else { Reply::Fail }
    }

    fn commit(&mut self, mops: &[Mop], snapshot: u64) -> bool {
        if self.shape.isolation == Isolation::None {
            return true;
        }
        let newer = |key: usize| self.logs[key].last().is_some_and(|(_, commit)| *commit > snapshot);
        let written = mops.iter().filter(|mop| mop.write.is_some());
        if self.shape.isolation == Isolation::Snapshot && written.clone().any(|mop| newer(mop.key)) {
            return false;
        }
        if written.clone().count() > 0 {
            self.clock += 1;
        }
        for mop in written {
            self.logs[mop.key].extend(mop.write.map(|element| (element, self.clock)));
        }
        true
    }
}
