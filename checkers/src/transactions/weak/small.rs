//! [`Small`]: random histories of a few transactions for the differential tests, made by stores of many kinds: serial,
//! with stale or private snapshots, or returning anything.
use crate::history::{Completion, History, HistoryBuilder, Invoke, Outcome, Record};
use crate::random::Rng;
use crate::value::Value;
use std::fmt::Write as _;
use std::sync::Arc;

/// A micro-operation with what it did. A register's read has at most one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SmallMop {
    Write(i64, i64),
    Read(i64, Vec<i64>),
}

/// A transaction.
#[derive(Clone, Debug)]
pub(crate) struct SmallTxn {
    pub(crate) session: u64,
    /// When it was called and answered: places in one count of all events.
    pub(crate) call: usize,
    pub(crate) end: usize,
    pub(crate) outcome: Outcome,
    pub(crate) mops: Vec<SmallMop>,
}

/// A history of a few transactions, by call.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub(crate) lists: bool,
    /// By definition, others may append between what a transaction saw of a list and its own elements behind that.
    pub(crate) aside: bool,
    pub(crate) txns: Vec<SmallTxn>,
}

/// What histories are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) lists: bool,
    pub(crate) txns: u64,
    pub(crate) sessions: u64,
    pub(crate) keys: u64,
    pub(crate) mops: u64,
    /// Every write follows a read of its key in the same transaction, and there is at most one of each.
    pub(crate) read_first: bool,
}

impl SmallTxn {
    pub(crate) fn writes(&self, key: i64) -> Vec<i64> {
        let value =
            |mop: &SmallMop| if let SmallMop::Write(at, value) = mop { (*at == key).then_some(*value) } else { None };
        self.mops.iter().filter_map(value).collect()
    }
}

impl Small {
    /// A random history.
    pub(crate) fn draw(rng: &mut Rng, shape: Shape) -> Small {
        let mut small = Small { lists: shape.lists, aside: false, txns: skeleton(rng, shape) };
        fill(rng, &mut small);
        if rng.percent(25) {
            mutate(rng, &mut small);
        }
        small
    }

    /// The same, each transaction in a session of its own.
    pub(crate) fn without_sessions(&self) -> Small {
        let mut alone = self.clone();
        alone.txns.iter_mut().zip(0..).for_each(|(txn, session)| txn.session = session);
        alone
    }

    /// As a recorded history.
    pub(crate) fn history(&self) -> History {
        let mut events: Vec<(usize, usize, bool)> = Vec::new();
        for (at, txn) in self.txns.iter().enumerate() {
            events.push((txn.call, at, true));
            if txn.outcome != Outcome::Info {
                events.push((txn.end, at, false));
            }
        }
        events.sort_unstable();
        let name: Arc<str> = Arc::from("txn");
        let mut builder = HistoryBuilder::new();
        let start = Record::Start { index: 0, time: 0, version: 1, nodes: Vec::new(), wall: String::new() };
        let mut records = vec![start];
        for (_, at, is_call) in events {
            let (txn, index) = (&self.txns[at], records.len() as u64);
            records.push(if is_call {
                Record::Invoke(Invoke {
                    index,
                    time: index,
                    worker: txn.session as u32,
                    process: txn.session,
                    node: name.clone(),
                    workload: name.clone(),
                    f: name.clone(),
                    key: Value::Nil,
                    value: self.mops(txn, false),
                    settle: false,
                })
            } else {
                let ok = txn.outcome == Outcome::Ok;
                let value = if ok { self.mops(txn, true) } else { Value::Nil };
                let completion =
                    Completion { index, time: index, process: txn.session, value, error: None, node: None };
                if ok { Record::Ok(completion) } else { Record::Fail(completion) }
            });
        }
        for record in records {
            // A history that is refused comes out short, which no comparison survives.
            if builder.push(record).is_err() {
                break;
            }
        }
        builder.finish().unwrap_or_default()
    }

    fn mops(&self, txn: &SmallTxn, answered: bool) -> Value {
        Value::list(txn.mops.iter().map(|mop| match mop {
            SmallMop::Write(key, value) => {
                let name = if self.lists { "append" } else { "w" };
                Value::list([Value::text(name), Value::Int(*key), Value::Int(*value)])
            }
            SmallMop::Read(key, read) => {
                let reply = match read.last() {
                    _ if !answered => Value::Nil,
                    _ if self.lists => Value::list(read.iter().map(|&value| Value::Int(value))),
                    Some(value) => Value::Int(*value),
                    None => Value::Nil,
                };
                Value::list([Value::text("r"), Value::Int(*key), reply])
            }
        }))
    }

    /// One line for each transaction.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for txn in &self.txns {
            let _ =
                writeln!(text, "process {} [{}, {}] {:?} {:?}", txn.session, txn.call, txn.end, txn.outcome, txn.mops);
        }
        text
    }
}

/// Transactions with their intervals and writes; reads are still empty.
fn skeleton(rng: &mut Rng, shape: Shape) -> Vec<SmallTxn> {
    let count = 1 + rng.below(shape.txns);
    let mut txns: Vec<SmallTxn> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; shape.sessions as usize];
    let mut ids: Vec<u64> = (0..shape.sessions).collect();
    let (mut next_id, mut clock, mut value) = (shape.sessions, 0, 0);
    // Some histories have little concurrency.
    let patience = *rng.pick(&[20, 50, 80]);
    while (txns.len() as u64) < count || open.iter().any(Option::is_some) {
        let at = rng.below(shape.sessions) as usize;
        clock += 1;
        if let Some(txn) = open[at] {
            if rng.percent(patience) {
                continue;
            }
            let txn: &mut SmallTxn = &mut txns[txn];
            txn.end = clock;
            txn.outcome = match rng.below(100) {
                0..80 => Outcome::Ok,
                80..93 => Outcome::Info,
                _ => Outcome::Fail,
            };
            if txn.outcome == Outcome::Info {
                ids[at] = next_id;
                next_id += 1;
            }
            open[at] = None;
        } else if (txns.len() as u64) < count {
            let mops = mops(rng, shape, &mut value);
            open[at] = Some(txns.len());
            txns.push(SmallTxn { session: ids[at], call: clock, end: 0, outcome: Outcome::Info, mops });
        }
    }
    txns
}

fn mops(rng: &mut Rng, shape: Shape, value: &mut i64) -> Vec<SmallMop> {
    let mut mops: Vec<SmallMop> = Vec::new();
    let mut write = |key: i64| {
        *value += 1;
        SmallMop::Write(key, *value)
    };
    if shape.read_first {
        let mut keys: Vec<i64> = (0..shape.keys as i64).collect();
        for _ in 0..1 + rng.below(2) {
            let key = keys.swap_remove(rng.below(keys.len() as u64) as usize);
            mops.push(SmallMop::Read(key, Vec::new()));
            if rng.percent(60) {
                mops.push(write(key));
            }
            if keys.is_empty() {
                break;
            }
        }
        return mops;
    }
    for _ in 0..1 + rng.below(shape.mops) {
        let key = rng.below(shape.keys) as i64;
        mops.push(if rng.percent(50) { write(key) } else { SmallMop::Read(key, Vec::new()) });
    }
    mops
}

/// Which earlier transactions a transaction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    Serial,
    /// A prefix of the order that holds the own session's.
    Prefix,
    /// Any earlier ones, with all they saw.
    Causal,
    /// Any earlier ones.
    Atomic,
    /// As [`Store::Prefix`], drawn for each read anew, growing.
    Committed,
    /// Anything.
    Anything,
}

/// Fills in what is read, as a store drawn by chance would answer.
fn fill(rng: &mut Rng, small: &mut Small) {
    use Store::{Anything, Atomic, Causal, Committed, Prefix, Serial};
    let store = *rng.pick(&[Serial, Prefix, Causal, Atomic, Committed, Anything]);
    let mut order: Vec<usize> = (0..small.txns.len()).collect();
    // Near the order of the calls or the replies.
    if rng.percent(50) {
        order.sort_by_key(|&at| small.txns[at].end);
    }
    let applied: Vec<bool> = small
        .txns
        .iter()
        .map(|txn| match txn.outcome {
            Outcome::Ok => true,
            Outcome::Info => rng.percent(50),
            Outcome::Fail => false,
        })
        .collect();
    let mut saw: Vec<Vec<usize>> = vec![Vec::new(); small.txns.len()];
    for (place, &txn) in order.iter().enumerate() {
        let mut seen: Vec<usize> = match store {
            Serial => order[..place].to_vec(),
            Prefix | Committed => order[..rng.below(place as u64 + 1) as usize].to_vec(),
            _ => order[..place].iter().copied().filter(|_| rng.percent(50)).collect(),
        };
        seen.extend(order[..place].iter().copied().filter(|&one| small.txns[one].session == small.txns[txn].session));
        if store == Causal {
            let past: Vec<usize> = seen.iter().flat_map(|&one| saw[one].clone()).collect();
            seen.extend(past);
        }
        let mut mops = std::mem::take(&mut small.txns[txn].mops);
        for at in 0..mops.len() {
            let (before, rest) = mops.split_at_mut(at);
            let SmallMop::Read(key, read) = &mut rest[0] else { continue };
            if store == Committed {
                seen.extend(order[..rng.below(place as u64 + 1) as usize].iter().copied());
            }
            let visible = |one: &&usize| applied[**one] && seen.contains(one);
            *read = order[..place].iter().filter(visible).flat_map(|&one| small.txns[one].writes(*key)).collect();
            if store == Anything {
                let any = small.txns.iter().flat_map(|one| one.writes(*key)).filter(|_| rng.percent(40));
                *read = any.collect();
            }
            read.extend(before.iter().filter_map(|mop| match mop {
                SmallMop::Write(own, value) if own == key => Some(*value),
                _ => None,
            }));
            if !small.lists {
                read.drain(..read.len().saturating_sub(1));
            }
        }
        small.txns[txn].mops = mops;
        saw[txn] = seen;
    }
}

/// Changes what one read returned.
fn mutate(rng: &mut Rng, small: &mut Small) {
    let at = rng.below(small.txns.len() as u64) as usize;
    let values: Vec<i64> = (1..=small.txns.iter().map(|txn| txn.mops.len() as i64).sum()).collect();
    let keys: Vec<(i64, Vec<i64>)> =
        (0..4).map(|key| (key, small.txns.iter().flat_map(|txn| txn.writes(key)).collect())).collect();
    let lists = small.lists;
    for mop in &mut small.txns[at].mops {
        let SmallMop::Read(key, read) = mop else { continue };
        let known = &keys[*key as usize].1;
        match rng.below(6) {
            0 => drop(read.pop()),
            1 if lists => read.push(*rng.pick(&values)),
            1 => *read = vec![*rng.pick(&values)],
            2 if !known.is_empty() => {
                if !lists {
                    read.clear();
                }
                read.push(*rng.pick(known));
            }
            3 => read.clear(),
            4 => read.reverse(),
            _ => {}
        }
    }
}
