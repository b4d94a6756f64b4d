//! [`load`]: long histories of transactions by a simulated store, for measurements and long tests. No checker uses it.
use crate::fuzz::Draw;
use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::value::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How the store runs transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// One after the other.
    Serial,
    /// On a snapshot taken at the call, the first committer of a key wins.
    Snapshot,
    /// On a snapshot taken at the call.
    Prefix,
}

/// What transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `w` and `r`, one to four.
    Registers,
    /// `append` and `r`, one to four.
    Lists,
    /// One or two reads, each perhaps followed by a write of its key.
    Mini,
}

struct Open {
    call: usize,
    acts: Vec<(bool, u64, i64)>,
    reads: Vec<Vec<i64>>,
}

/// Writes per key before the key is given up.
const WRITES_PER_KEY: u32 = 32;

/// So many transactions of ten clients on ten keys at a time. Aborted ones are Fail, so many of a hundred Info.
pub fn load(kind: Kind, isolation: Isolation, info_percent: u64, count: usize, seed: u64) -> History {
    let mut draw = Draw::new(seed);
    let mut builder = HistoryBuilder::new();
    let name: Arc<str> = Arc::from("txn");
    let mut index = 0;
    let mut push = |record: Record| drop(builder.push(record));
    push(Record::Start { index, time: 0, version: 1, nodes: Vec::new(), wall: String::new() });
    let mut active: Vec<u64> = (0..10).collect();
    let mut written: HashMap<u64, u32> = HashMap::new();
    let (mut next_key, mut value, mut done, mut next_process) = (10, 0, 0, 10);
    let mut state: HashMap<u64, Vec<(usize, i64)>> = HashMap::new();
    let mut commits = 0usize;
    let mut clients: Vec<(u64, Option<Open>)> = (0..10).map(|process| (process, None)).collect();
    while done < count || clients.iter().any(|client| client.1.is_some()) {
        let at = draw.below(10) as usize;
        let (process, open) = (clients[at].0, clients[at].1.take());
        index += 1;
        match open {
            None if done >= count => index -= 1,
            None => {
                done += 1;
                let mut acts = Vec::new();
                let mut used = HashSet::new();
                let length = if kind == Kind::Mini { 1 + draw.below(2) } else { 1 + draw.below(4) };
                for _ in 0..length {
                    let slot = (draw.below(1024) + 1).ilog2().min(9) as usize;
                    let key = active[9 - slot];
                    let writes = draw.percent(50);
                    if kind == Kind::Mini {
                        if !used.insert(key) {
                            continue;
                        }
                        acts.push((false, key, 0));
                    }
                    if writes {
                        value += 1;
                        acts.push((true, key, value));
                        let count = written.entry(key).or_default();
                        *count += 1;
                        if *count >= WRITES_PER_KEY
                            && let Some(slot) = active.iter().position(|&one| one == key)
                        {
                            active[slot] = next_key;
                            next_key += 1;
                        }
                    } else if kind != Kind::Mini {
                        acts.push((false, key, 0));
                    }
                }
                let open = Open { call: commits, acts, reads: Vec::new() };
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
            }
            Some(mut open) => {
                let snapshot = if isolation == Isolation::Serial { commits } else { open.call };
                let mut own: Vec<(u64, i64)> = Vec::new();
                for &(writes, key, value) in &open.acts {
                    if writes {
                        own.push((key, value));
                        continue;
                    }
                    let versions = state.get(&key).map_or(&[][..], |versions| &versions[..]);
                    let mut read: Vec<i64> =
                        versions.iter().take_while(|one| one.0 <= snapshot).map(|one| one.1).collect();
                    read.extend(own.iter().filter(|one| one.0 == key).map(|one| one.1));
                    open.reads.push(read);
                }
                let moved = |&(key, _): &(u64, i64)| {
                    state.get(&key).and_then(|versions| versions.last()).is_some_and(|last| last.0 > snapshot)
                };
                let aborts = isolation == Isolation::Snapshot && own.iter().any(moved);
                let info = draw.percent(info_percent);
                if !aborts {
                    commits += 1;
                    own.iter().for_each(|&(key, value)| state.entry(key).or_default().push((commits, value)));
                }
                let (time, error) = (index, None);
                if info {
                    clients[at].0 = next_process;
                    next_process += 1;
                    push(Record::Info(Completion { index, time, process, value: Value::Nil, error, node: None }));
                } else if aborts {
                    push(Record::Fail(Completion { index, time, process, value: Value::Nil, error, node: None }));
                } else {
                    push(Record::Ok(Completion {
                        index,
                        time,
                        process,
                        value: shown(kind, &open, true),
                        error,
                        node: None,
                    }));
                }
            }
        }
    }
    builder.finish().unwrap_or_default()
}

fn shown(kind: Kind, open: &Open, answered: bool) -> Value {
    let mut reads = open.reads.iter();
    Value::list(open.acts.iter().map(|&(writes, key, value)| {
        let name = match (writes, kind) {
            (false, _) => "r",
            (true, Kind::Lists) => "append",
            (true, _) => "w",
        };
        let value = match (writes, if writes { None } else { reads.next() }) {
            (true, _) => Value::Int(value),
            (false, Some(read)) if answered && kind == Kind::Lists => Value::list(read.iter().map(|&one| one.into())),
            (false, Some(read)) if answered => read.last().map_or(Value::Nil, |&one| one.into()),
            _ => Value::Nil,
        };
        Value::list([Value::text(name), Value::Int(key as i64), value])
    }))
}
