//! [`load`]: long histories of transactions by a simulated store, for measurements and long tests. No checker uses it.
use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::random::Rng;
use crate::value::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How the store runs transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadIsolation {
    /// One after the other.
    Serial,
    /// On a snapshot taken at the call, the first committer of a key wins.
    Snapshot,
    /// On a snapshot taken at the call.
    Prefix,
}

/// What transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadKind {
    /// `w` and `r`, one to four.
    Registers,
    /// `append` and `r`, one to four.
    Lists,
    /// One or two reads, each perhaps followed by a write of its key.
    Mini,
}

struct Open {
    call: usize,
    mops: Vec<(bool, u64, i64)>,
    reads: Vec<Vec<i64>>,
}

/// Writes per key before the key is given up.
const WRITES_PER_KEY: u32 = 32;

/// The keys that are in use: a key that was written often is replaced by a new one.
struct Keys {
    active: Vec<u64>,
    next: u64,
    written: HashMap<u64, u32>,
    /// The last value that was written.
    value: i64,
}

impl Keys {
    /// Counts a write of this key; its value.
    fn write(&mut self, key: u64) -> i64 {
        self.value += 1;
        let count = self.written.entry(key).or_default();
        *count += 1;
        if *count >= WRITES_PER_KEY
            && let Some(slot) = self.active.iter().position(|&one| one == key)
        {
            self.active[slot] = self.next;
            self.next += 1;
        }
        self.value
    }

    /// What a transaction does: whether it writes, the key, and the value.
    fn mops(&mut self, kind: LoadKind, rng: &mut Rng) -> Vec<(bool, u64, i64)> {
        let mut mops = Vec::new();
        let mut used = HashSet::new();
        let length = if kind == LoadKind::Mini { 1 + rng.below(2) } else { 1 + rng.below(4) };
        for _ in 0..length {
            let slot = (rng.below(1024) + 1).ilog2().min(9) as usize;
            let key = self.active[9 - slot];
            let writes = rng.percent(50);
            if kind == LoadKind::Mini {
                if !used.insert(key) {
                    continue;
                }
                mops.push((false, key, 0));
            }
            if writes {
                mops.push((true, key, self.write(key)));
            } else if kind != LoadKind::Mini {
                mops.push((false, key, 0));
            }
        }
        mops
    }
}

/// The versions of each key with the number of the commit that made them.
#[derive(Default)]
struct Store {
    versions: HashMap<u64, Vec<(usize, i64)>>,
    commits: usize,
}

impl Store {
    /// Runs a transaction to its end; whether it committed.
    fn run(&mut self, open: &mut Open, isolation: LoadIsolation) -> bool {
        let snapshot = if isolation == LoadIsolation::Serial { self.commits } else { open.call };
        let mut own: Vec<(u64, i64)> = Vec::new();
        for &(writes, key, value) in &open.mops {
            if writes {
                own.push((key, value));
                continue;
            }
            let versions = self.versions.get(&key).map_or(&[][..], |versions| &versions[..]);
            let mut read: Vec<i64> = versions.iter().take_while(|one| one.0 <= snapshot).map(|one| one.1).collect();
            read.extend(own.iter().filter(|one| one.0 == key).map(|one| one.1));
            open.reads.push(read);
        }
        let moved = |&(key, _): &(u64, i64)| {
            self.versions.get(&key).and_then(|versions| versions.last()).is_some_and(|last| last.0 > snapshot)
        };
        if isolation == LoadIsolation::Snapshot && own.iter().any(moved) {
            return false;
        }
        self.commits += 1;
        own.iter().for_each(|&(key, value)| self.versions.entry(key).or_default().push((self.commits, value)));
        true
    }
}

/// Transactions of ten clients on ten keys at a time. Aborted ones are Fail; some, in percent, are Info.
pub fn load(kind: LoadKind, isolation: LoadIsolation, info_percent: u64, count: usize, seed: u64) -> History {
    let mut rng = Rng::new(seed);
    let mut builder = HistoryBuilder::new();
    let name: Arc<str> = Arc::from("txn");
    let mut index = 0;
    let mut push = |record: Record| drop(builder.push(record));
    push(Record::Start { index, time: 0, version: 1, nodes: Vec::new(), wall: String::new() });
    let mut keys = Keys { active: (0..10).collect(), next: 10, written: HashMap::new(), value: 0 };
    let (mut store, mut done, mut next_process) = (Store::default(), 0, 10);
    let mut clients: Vec<(u64, Option<Open>)> = (0..10).map(|process| (process, None)).collect();
    while done < count || clients.iter().any(|client| client.1.is_some()) {
        let at = rng.below(10) as usize;
        let (process, open) = (clients[at].0, clients[at].1.take());
        if open.is_none() && done >= count {
            continue;
        }
        index += 1;
        let Some(mut open) = open else {
            done += 1;
            let open = Open { call: store.commits, mops: keys.mops(kind, &mut rng), reads: Vec::new() };
            push(Record::Invoke(Invoke {
                index,
                time: index,
                worker: at as u32,
                process,
                node: name.clone(),
                workload: name.clone(),
                f: name.clone(),
                key: Value::Nil,
                value: shown(kind, &open, false),
                settle: false,
            }));
            clients[at].1 = Some(open);
            continue;
        };
        let committed = store.run(&mut open, isolation);
        let completion = |value: Value| Completion { index, time: index, process, value, error: None, node: None };
        if rng.percent(info_percent) {
            clients[at].0 = next_process;
            next_process += 1;
            push(Record::Info(completion(Value::Nil)));
        } else if committed {
            push(Record::Ok(completion(shown(kind, &open, true))));
        } else {
            push(Record::Fail(completion(Value::Nil)));
        }
    }
    builder.finish().unwrap_or_default()
}

fn shown(kind: LoadKind, open: &Open, answered: bool) -> Value {
    let mut reads = open.reads.iter();
    Value::list(open.mops.iter().map(|&(writes, key, value)| {
        let name = match (writes, kind) {
            (false, _) => "r",
            (true, LoadKind::Lists) => "append",
            (true, _) => "w",
        };
        let value = match (writes, if writes { None } else { reads.next() }) {
            (true, _) => Value::Int(value),
            (false, Some(read)) if answered && kind == LoadKind::Lists => {
                Value::list(read.iter().map(|&one| one.into()))
            }
            (false, Some(read)) if answered => read.last().map_or(Value::Nil, |&one| one.into()),
            _ => Value::Nil,
        };
        Value::list([Value::text(name), Value::Int(key as i64), value])
    }))
}
