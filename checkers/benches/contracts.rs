//! How long the checkers of workload contracts take, by size: a table from 1e3 to 1e6 operations, all valid by
//! construction. Figures, not tests.
mod rng;

use dsfuzz_checkers::Options;
use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Phase, Record};
use dsfuzz_checkers::{Budget, History, Value, checker_with, judge_one};
use rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// Clients that call at the same time.
const CLIENTS: usize = 10;

/// A call: function, key, argument.
type Call = (&'static str, Value, Value);

/// A system under load: what a client calls next, and what it is answered when the call takes effect, None: refused.
trait System {
    fn next(&mut self, rng: &mut Rng, client: usize, number: usize) -> Call;
    fn reply(&mut self, client: usize, call: &Call) -> Option<Value>;
    /// The final reads, one for each of two nodes.
    fn last(&self) -> Vec<Call> {
        Vec::new()
    }
}

fn object(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
}

fn triple(f: &str, key: u64, value: Value) -> Value {
    Value::list([Value::text(f), Value::Int(key as i64), value])
}

/// Ten accounts, one transfer for each read.
struct Bank(Vec<i64>);

impl System for Bank {
    fn next(&mut self, rng: &mut Rng, _: usize, number: usize) -> Call {
        if number.is_multiple_of(2) {
            return ("read", Value::Nil, Value::Nil);
        }
        let end = |rng: &mut Rng| Value::Int(rng.below(10) as i64);
        let (from, to) = (end(rng), end(rng));
        ("transfer", Value::Nil, object(&[("from", from), ("to", to), ("amount", 1.into())]))
    }
    fn reply(&mut self, _: usize, (f, _, input): &Call) -> Option<Value> {
        let Value::Map(entries) = input else {
            let balances =
                self.0.iter().enumerate().map(|(account, sum)| (Arc::from(account.to_string()), Value::Int(*sum)));
            return Some(Value::Map(balances.collect()));
        };
        let account = |at: usize| entries[at].1.as_int().unwrap_or(0) as usize;
        assert_eq!(*f, "transfer");
        if self.0[account(0)] == 0 {
            return None;
        }
        self.0[account(0)] -= 1;
        self.0[account(1)] += 1;
        Some(Value::Nil)
    }
}

/// Groups of three keys, a write for each two reads.
struct Forks(Vec<bool>);

impl System for Forks {
    fn next(&mut self, rng: &mut Rng, _: usize, number: usize) -> Call {
        if number.is_multiple_of(3) {
            self.0.push(false);
            return ("txn", Value::Nil, Value::list([triple("w", number as u64 / 3, 1.into())]));
        }
        let group = (self.0.len() as u64 / 3).saturating_sub(rng.below(4));
        ("read", Value::Nil, Value::list((0..3).map(|place| triple("r", 3 * group + place, Value::Nil))))
    }
    fn reply(&mut self, _: usize, (f, _, input): &Call) -> Option<Value> {
        let key = |item: &Value| item.as_list().and_then(|parts| parts[1].as_int()).unwrap_or(0) as usize;
        let list = input.as_list()?;
        if *f == "txn" {
            self.0[key(&list[0])] = true;
            return Some(input.clone());
        }
        let seen = |at: usize| if self.0.get(at).copied().unwrap_or(false) { Value::Int(1) } else { Value::Nil };
        Some(Value::list(list.iter().map(|item| triple("r", key(item) as u64, seen(key(item))))))
    }
}

/// A key for each hundred operations, half of them reads of all its elements.
struct Logs(BTreeMap<i64, Vec<Value>>);

impl System for Logs {
    fn next(&mut self, _: &mut Rng, _: usize, number: usize) -> Call {
        let key = Value::Int(number as i64 / 100);
        if number.is_multiple_of(2) { ("write", key, Value::Int(number as i64)) } else { ("read", key, Value::Nil) }
    }
    fn reply(&mut self, _: usize, (f, key, input): &Call) -> Option<Value> {
        let log = self.0.entry(key.as_int()?).or_default();
        if *f == "read" {
            return Some(Value::list(log.iter().cloned()));
        }
        log.push(input.clone());
        Some(Value::Nil)
    }
}

/// Locks by key, tokens as replies; holders write with their token. Each client acquires, writes, releases.
struct Locks {
    keys: usize,
    holder: Vec<Option<usize>>,
    permits: usize,
    held: usize,
    token: i64,
    mine: Vec<(usize, usize, i64)>,
}

impl Locks {
    fn new(keys: usize, permits: usize) -> Locks {
        Locks { keys, holder: vec![None; keys], permits, held: 0, token: 0, mine: vec![(0, 0, 0); CLIENTS] }
    }
}

impl System for Locks {
    fn next(&mut self, rng: &mut Rng, client: usize, _: usize) -> Call {
        let (step, key, token) = &mut self.mine[client];
        match *step {
            0 => {
                *key = rng.below(self.keys as u64) as usize;
                ("acquire", Value::Int(*key as i64), Value::Nil)
            }
            1 => ("write", Value::text("guarded"), object(&[("token", (*token).into())])),
            _ => ("release", Value::Int(*key as i64), Value::Nil),
        }
    }
    fn reply(&mut self, client: usize, (f, _, _): &Call) -> Option<Value> {
        let (step, key, token) = &mut self.mine[client];
        match *f {
            "acquire" if self.permits > 1 => {
                if self.held >= self.permits {
                    return None;
                }
                self.held += 1;
            }
            "acquire" if self.holder[*key].is_some() => return None,
            "acquire" => self.holder[*key] = Some(client),
            "release" => {
                self.held = self.held.saturating_sub(1);
                (self.holder[*key], *step) = (None, 0);
                return Some(Value::Nil);
            }
            _ => {
                *step = 2;
                return Some(Value::Nil);
            }
        }
        self.token += 1;
        (*step, *token) = (if self.keys == 1 && self.permits == 1 { 1 } else { 2 }, self.token);
        Some(Value::Int(self.token))
    }
}

/// Three participants, a commit and three questions for each transaction.
struct Commits;

impl System for Commits {
    fn next(&mut self, _: &mut Rng, _: usize, number: usize) -> Call {
        let key = Value::Int(number as i64 / 4);
        match number % 4 {
            0 => ("commit", key, Value::Nil),
            one => ("status", key, Value::text(["a", "b", "c"][one - 1])),
        }
    }
    fn reply(&mut self, _: usize, (_, key, _): &Call) -> Option<Value> {
        Some(Value::text(if key.as_int()? % 3 == 0 { "aborted" } else { "committed" }))
    }
}

/// A start and a log of six events for each saga.
struct Sagas;

impl System for Sagas {
    fn next(&mut self, _: &mut Rng, _: usize, number: usize) -> Call {
        let key = Value::Int(number as i64 / 2);
        let steps = Value::list((0..3).map(Value::Int));
        if number.is_multiple_of(2) { ("start", key, steps) } else { ("log", key, Value::Nil) }
    }
    fn reply(&mut self, _: usize, (f, _, _): &Call) -> Option<Value> {
        if *f == "start" {
            return Some(Value::Nil);
        }
        let event = |word: &str, step: i64| Value::list([Value::text(word), step.into()]);
        let done = [event("step", 0), event("step", 1), event("compensate", 1), event("compensate", 0)];
        Some(Value::list(done.into_iter().chain([Value::text("compensated")])))
    }
}

/// A counter, half of the operations reads; or sets of up to fifty elements, a key for each hundred operations.
struct Replicas {
    sums: BTreeMap<i64, i64>,
    sets: Option<BTreeMap<i64, BTreeSet<i64>>>,
}

impl System for Replicas {
    fn next(&mut self, _: &mut Rng, _: usize, number: usize) -> Call {
        let (key, add) = if self.sets.is_some() { (number as i64 / 100, number as i64) } else { (0, 1) };
        if number.is_multiple_of(2) { ("add", key.into(), add.into()) } else { ("read", key.into(), Value::Nil) }
    }
    fn reply(&mut self, _: usize, (f, key, input): &Call) -> Option<Value> {
        let key = key.as_int()?;
        if let Some(sets) = &mut self.sets {
            let set = sets.entry(key).or_default();
            if *f == "read" {
                return Some(Value::list(set.iter().copied().map(Value::Int)));
            }
            set.insert(input.as_int()?);
            return Some(Value::Nil);
        }
        let sum = self.sums.entry(key).or_default();
        if *f == "read" {
            return Some((*sum).into());
        }
        *sum += input.as_int()?;
        Some(Value::Nil)
    }
    fn last(&self) -> Vec<Call> {
        let keys: Vec<i64> =
            self.sums.keys().copied().chain(self.sets.iter().flat_map(|sets| sets.keys().copied())).collect();
        keys.into_iter().map(|key| ("read", key.into(), Value::Nil)).collect()
    }
}

/// Everybody says the same of each term.
struct Terms;

impl System for Terms {
    fn next(&mut self, _: &mut Rng, _: usize, number: usize) -> Call {
        ("leader", Value::Nil, Value::Int(number as i64 / 50))
    }
    fn reply(&mut self, _: usize, (_, _, input): &Call) -> Option<Value> {
        Some(object(&[("leader", Value::Int(input.as_int()? % 3)), ("term", input.clone())]))
    }
}

/// Clients that call at random; each call takes effect at its reply.
fn built(count: usize, system: &mut dyn System) -> History {
    let mut builder = HistoryBuilder::new();
    let mut rng = Rng(7);
    let mut index = 0;
    let mut push = |record: &dyn Fn(u64, u64) -> Record| {
        builder.push(record(index, index * 100_000)).expect("a sound recording");
        index += 1;
    };
    let nodes: Vec<String> = (1..4).map(|node| format!("n{node}")).collect();
    push(&|index, time| Record::Start {
        index,
        time,
        version: HISTORY_VERSION,
        nodes: nodes.clone(),
        wall: String::new(),
    });
    let call = |client: usize, call: &Call, settle: bool| {
        let (f, key, value) = call.clone();
        let (worker, node) = (client as u32, Arc::from(format!("n{}", 1 + client % 3)));
        move |index, time| {
            let (node, key, value) = (Arc::clone(&node), key.clone(), value.clone());
            let process = u64::from(worker);
            Record::Invoke(Invoke {
                index,
                time,
                worker,
                process,
                node,
                workload: "w".into(),
                f: f.into(),
                key,
                value,
                settle,
            })
        }
    };
    let reply = |client: usize, answer: Option<Value>| {
        move |index, time| {
            let value = answer.clone().unwrap_or_default();
            let completion = Completion { index, time, process: client as u64, value, error: None, node: None };
            if answer.is_some() { Record::Ok(completion) } else { Record::Fail(completion) }
        }
    };
    let mut open: Vec<Option<Call>> = vec![None; CLIENTS];
    let mut called = 0;
    while called < count || open.iter().any(Option::is_some) {
        let client = rng.below(CLIENTS as u64) as usize;
        match open[client].take() {
            Some(one) => push(&reply(client, system.reply(client, &one))),
            None if called < count => {
                let one = system.next(&mut rng, client, called);
                called += 1;
                push(&call(client, &one, one.0 == "log"));
                open[client] = Some(one);
            }
            None => {}
        }
    }
    push(&|index, time| Record::Phase { index, time, phase: Phase::Settle });
    for one in system.last() {
        for client in 0..2 {
            push(&call(client, &one, true));
            push(&reply(client, system.reply(client, &one)));
        }
    }
    builder.finish().expect("a sound recording")
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    type Row = (&'static str, &'static str, &'static [(&'static str, i64)], fn() -> Box<dyn System>);
    let rows: [Row; 13] = [
        ("bank", "10 accounts", &[], || Box::new(Bank(vec![10; 10]))),
        ("long-fork", "groups of 3", &[], || Box::new(Forks(Vec::new()))),
        ("causal-reverse", "50 a key", &[], || Box::new(Logs(BTreeMap::new()))),
        ("lock", "1 key", &[], || Box::new(Locks::new(1, 1))),
        ("lock", "100 keys", &[], || Box::new(Locks::new(100, 1))),
        ("semaphore", "3 permits", &[("permits", 3)], || Box::new(Locks::new(1, 3))),
        ("lease", "1 key, 3 ms", &[("ttl_ms", 3)], || Box::new(Locks::new(1, 1))),
        ("fencing", "1 key", &[], || Box::new(Locks::new(1, 1))),
        ("atomic-commit", "3 participants", &[], || Box::new(Commits)),
        ("saga", "5 events", &[], || Box::new(Sagas)),
        ("crdt", "1 counter", &[], || Box::new(Replicas { sums: BTreeMap::new(), sets: None })),
        ("crdt", "sets, 50 a key", &[], || Box::new(Replicas { sums: BTreeMap::new(), sets: Some(BTreeMap::new()) })),
        ("leadership", "50 a term", &[], || Box::new(Terms)),
    ];
    let sizes = [1_000, 10_000, 100_000, 1_000_000];
    println!("seconds to judge{:>23} {:>11} {:>11} {:>11}", "1e3", "1e4", "1e5", "1e6");
    for (name, shape, options, system) in rows {
        let mut cells = String::new();
        for size in sizes {
            let history = built(size, &mut *system());
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), Value::Int(*value))).collect();
            let checker = checker_with(name, &Options(options)).expect("in the list");
            let start = Instant::now();
            let verdict = judge_one(&*checker, &history, &Budget::unlimited());
            let word = format!("{:?}", verdict.validity);
            cells.push_str(&format!(" {:>7.4} {}", start.elapsed().as_secs_f64(), &word[..3]));
        }
        println!("{name:<15} {shape:<15}{cells}");
    }
}
