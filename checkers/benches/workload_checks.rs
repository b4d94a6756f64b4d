//! How long the checks of single workloads take, by size: a table from 1e3 to 1e6 operations, sound and with one lie
//! in their second half. Figures, not tests.
use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Record};
use dsfuzz_checkers::oracles::Rng;
use dsfuzz_checkers::{Budget, History, Validity, Value, checker, judge_one};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Clients that call at the same time.
const CLIENTS: usize = 10;

/// A call that a client is about to make.
struct Call {
    f: &'static str,
    key: Value,
    input: Value,
    settle: bool,
}

impl Call {
    fn new(f: &'static str, input: Value) -> Call {
        Call { f, key: Value::Nil, input, settle: false }
    }
}

/// A correct store, but for one lie where it is asked for one. Calls take effect when they are answered.
trait Store {
    /// The next call of a client, `done` of `of` being made.
    fn call(&mut self, rng: &mut Rng, client: usize, done: usize, of: usize) -> Call;
    /// Its answer.
    fn answer(&mut self, rng: &mut Rng, client: usize, call: &Call, lie: bool) -> Value;
    /// Whether an answer of this call can be a lie.
    fn can_lie(&self, f: &str) -> bool;
}

fn history(size: usize, store: &mut dyn Store, lie: bool) -> History {
    let mut rng = Rng::new(7);
    let mut builder = HistoryBuilder::new();
    let nodes = ["n1", "n2", "n3"].map(String::from).to_vec();
    let names: Vec<Arc<str>> = nodes.iter().map(|name| Arc::from(name.as_str())).collect();
    let mut push = |record| builder.push(record).expect("a sound recording");
    push(Record::Start { index: 0, time: 0, version: HISTORY_VERSION, nodes, wall: String::new() });
    let mut open: Vec<Option<Call>> = (0..CLIENTS).map(|_| None).collect();
    let mut processes: Vec<u64> = (0..CLIENTS as u64).collect();
    let (mut index, mut done, mut lied, mut retired) = (1, 0, !lie, CLIENTS as u64);
    while done < size || open.iter().any(Option::is_some) {
        let at = rng.below(CLIENTS as u64) as usize;
        let (time, process) = (index * 100_000, processes[at]);
        let Some(call) = open[at].take() else {
            // The last calls are made when all others have been answered.
            let last = done + 3 >= size && open.iter().any(Option::is_some);
            if done == size || last {
                continue;
            }
            let call = store.call(&mut rng, at, done, size);
            done += 1;
            push(Record::Invoke(Invoke {
                index,
                time,
                worker: at as u32,
                process,
                node: names[at % 3].clone(),
                workload: "w".into(),
                f: call.f.into(),
                key: call.key.clone(),
                value: call.input.clone(),
                settle: call.settle,
            }));
            open[at] = Some(call);
            index += 1;
            continue;
        };
        let now = !lied && done * 2 > size && store.can_lie(call.f);
        lied |= now;
        let value = store.answer(&mut rng, at, &call, now);
        let doubt = matches!(call.f, "add" | "enqueue" | "put" | "send" | "generate") && rng.percent(1);
        let completion = Completion { index, time, process, value, error: None, node: None };
        if doubt {
            processes[at] = retired;
            retired += 1;
            push(Record::Info(Completion { value: Value::Nil, ..completion }));
        } else {
            push(Record::Ok(completion));
        }
        index += 1;
    }
    builder.finish().expect("a sound recording")
}

/// Adds, and a read of everything now and then; the last calls are final reads.
#[derive(Default)]
struct Adds {
    next: i64,
    elements: Vec<Value>,
}

impl Store for Adds {
    fn call(&mut self, _: &mut Rng, _: usize, done: usize, of: usize) -> Call {
        let last = done + 3 >= of;
        if last || (of >= 20 && done % (of / 20) == of / 40) {
            return Call { settle: last, ..Call::new("read", Value::Nil) };
        }
        self.next += 1;
        Call::new("add", Value::Int(self.next))
    }
    fn answer(&mut self, _: &mut Rng, _: usize, call: &Call, lie: bool) -> Value {
        if call.f == "read" {
            return Value::list(self.elements.iter().cloned());
        }
        if !lie {
            self.elements.push(call.input.clone());
        }
        Value::Nil
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "add"
    }
}

#[derive(Default)]
struct Counts {
    value: i64,
}

impl Store for Counts {
    fn call(&mut self, rng: &mut Rng, _: usize, _: usize, _: usize) -> Call {
        match rng.below(3) {
            0 => Call::new("read", Value::Nil),
            _ => Call::new("add", Value::Int(rng.below(9) as i64 - 3)),
        }
    }
    fn answer(&mut self, _: &mut Rng, _: usize, call: &Call, lie: bool) -> Value {
        self.value += call.input.as_int().unwrap_or(0);
        let value = if lie { i64::MAX } else { self.value };
        if call.f == "read" { Value::Int(value) } else { Value::Nil }
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "read"
    }
}

#[derive(Default)]
struct Ids {
    next: i64,
}

impl Store for Ids {
    fn call(&mut self, _: &mut Rng, _: usize, _: usize, _: usize) -> Call {
        Call::new("generate", Value::Nil)
    }
    fn answer(&mut self, _: &mut Rng, _: usize, _: &Call, lie: bool) -> Value {
        self.next += i64::from(!lie);
        Value::Int(self.next)
    }
    fn can_lie(&self, _: &str) -> bool {
        true
    }
}

#[derive(Default)]
struct Messages {
    next: i64,
    queue: std::collections::VecDeque<Value>,
}

impl Store for Messages {
    fn call(&mut self, rng: &mut Rng, _: usize, done: usize, of: usize) -> Call {
        if done + 3 >= of {
            return Call::new("drain", Value::Nil);
        }
        self.next += 1;
        if rng.percent(50) { Call::new("dequeue", Value::Nil) } else { Call::new("enqueue", Value::Int(self.next)) }
    }
    fn answer(&mut self, _: &mut Rng, _: usize, call: &Call, lie: bool) -> Value {
        match call.f {
            "drain" => Value::list(std::mem::take(&mut self.queue)),
            "enqueue" => {
                self.queue.push_back(call.input.clone());
                Value::Nil
            }
            _ if lie => Value::Int(-1),
            _ => self.queue.pop_front().unwrap_or_default(),
        }
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "dequeue"
    }
}

/// Rows with timestamps; a few reads of all of them.
#[derive(Default)]
struct Table {
    adds: Adds,
    clock: i64,
}

impl Store for Table {
    fn call(&mut self, rng: &mut Rng, client: usize, done: usize, of: usize) -> Call {
        self.adds.call(rng, client, done, of)
    }
    fn answer(&mut self, _: &mut Rng, _: usize, call: &Call, lie: bool) -> Value {
        if call.f == "read" {
            return Value::list(self.adds.elements.iter().cloned());
        }
        self.clock += 1;
        let stamp = if lie { 0 } else { self.clock };
        self.adds.elements.push(Value::list([call.input.clone(), Value::Int(stamp)]));
        Value::Nil
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "add"
    }
}

/// A hundred logs; each client polls the next messages of one of them.
#[derive(Default)]
struct Partitions {
    next: i64,
    logs: BTreeMap<i64, Vec<Value>>,
    places: BTreeMap<(usize, i64), usize>,
}

impl Store for Partitions {
    fn call(&mut self, rng: &mut Rng, _: usize, _: usize, _: usize) -> Call {
        if rng.percent(50) {
            return Call::new("poll", Value::list([Value::list([Value::text("poll")])]));
        }
        self.next += 1;
        let log = Value::Int(rng.below(100) as i64);
        Call::new("send", Value::list([Value::list([Value::text("send"), log, Value::Int(self.next)])]))
    }
    fn answer(&mut self, rng: &mut Rng, client: usize, call: &Call, lie: bool) -> Value {
        let asked = call.input.as_list().and_then(|list| list[0].as_list()).unwrap_or_default();
        if let [name, key, value] = asked {
            let log = self.logs.entry(key.as_int().unwrap_or(0)).or_default();
            let offset = Value::Int(if lie { 0 } else { log.len() as i64 });
            log.push(value.clone());
            let answer = Value::list([name.clone(), key.clone(), Value::list([offset, value.clone()])]);
            return Value::list([answer]);
        }
        let key = rng.below(100) as i64;
        let place = self.places.entry((client, key)).or_default();
        let log = self.logs.entry(key).or_default();
        let to = log.len().min(*place + 20);
        let message = |at: usize| Value::list([Value::Int(at as i64), log[at].clone()]);
        let list = Value::list((*place..to).map(message));
        *place = to;
        let map = Value::Map(Arc::from([(Arc::from(key.to_string()), list)]));
        Value::list([Value::list([Value::text("poll"), map])])
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "send"
    }
}

/// A hundred keys with revisions; watches that each resume where the last one of their key ended.
#[derive(Default)]
struct Revisions {
    revision: i64,
    next: i64,
    changes: BTreeMap<i64, Vec<Value>>,
    places: BTreeMap<i64, i64>,
}

impl Store for Revisions {
    fn call(&mut self, rng: &mut Rng, _: usize, done: usize, of: usize) -> Call {
        let key = rng.below(100) as i64;
        if done + 3 < of && rng.percent(80) {
            self.next += 1;
            return Call { key: Value::Int(key), ..Call::new("put", Value::Int(self.next)) };
        }
        let from = self.places.get(&key).copied().unwrap_or(1);
        let input: [(Arc<str>, Value); 2] = [("key".into(), Value::Int(key)), ("revision".into(), Value::Int(from))];
        Call::new("watch", Value::Map(input.into()))
    }
    fn answer(&mut self, _: &mut Rng, _: usize, call: &Call, lie: bool) -> Value {
        if call.f == "put" {
            self.revision += 1;
            let event: [(Arc<str>, Value); 4] = [
                ("revision".into(), Value::Int(self.revision)),
                ("key".into(), call.key.clone()),
                ("value".into(), call.input.clone()),
                ("type".into(), Value::text("put")),
            ];
            let list = self.changes.entry(call.key.as_int().unwrap_or(0)).or_default();
            if !lie {
                list.push(Value::Map(event.into()));
            }
            return Value::Int(self.revision);
        }
        let Value::Map(input) = &call.input else { return Value::Nil };
        let (key, from) = (input[0].1.as_int().unwrap_or(0), input[1].1.as_int().unwrap_or(1));
        let list = self.changes.entry(key).or_default();
        let revision_of = |event: &Value| match event {
            Value::Map(entries) => entries[0].1.as_int().unwrap_or(0),
            _ => 0,
        };
        let first = list.partition_point(|event| revision_of(event) < from);
        // The next watch resumes behind what this one delivered.
        self.places.insert(key, list.last().map_or(from, |event| from.max(revision_of(event) + 1)));
        Value::list(list[first..].iter().cloned())
    }
    fn can_lie(&self, f: &str) -> bool {
        f == "put"
    }
}

/// Seconds for which this thread was on a processor, where the system tells: other load does not count.
fn on_processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    type Make = fn() -> Box<dyn Store>;
    let rows: [(&str, Make); 9] = [
        ("set", || Box::<Adds>::default()),
        ("set-full", || Box::<Adds>::default()),
        ("queue", || Box::<Messages>::default()),
        ("total-queue", || Box::<Messages>::default()),
        ("counter", || Box::<Counts>::default()),
        ("unique-ids", || Box::<Ids>::default()),
        ("monotonic", || Box::<Table>::default()),
        ("kafka", || Box::<Partitions>::default()),
        ("watch", || Box::<Revisions>::default()),
    ];
    println!("{:<12} {:>8} {:>10} {:>14} {:>10} {:>14}", "checker", "ops", "sound s", "verdict", "lie s", "verdict");
    for (name, make) in rows.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
        for size in [1_000, 10_000, 100_000, 1_000_000] {
            let mut cells = String::new();
            for lie in [false, true] {
                let history = history(size, &mut *make(), lie);
                let checker = checker(name).expect("it is listed");
                let (start, before) = (Instant::now(), on_processor());
                let verdict = judge_one(&*checker, &history, &Budget::unlimited());
                let took = match (before, on_processor()) {
                    (Some(before), Some(after)) => after - before,
                    _ => start.elapsed().as_secs_f64(),
                };
                let word = match verdict.validity {
                    Validity::Valid => "valid",
                    Validity::Unknown => "unknown",
                    Validity::Invalid => "invalid",
                };
                cells.push_str(&format!(" {took:>10.4} {word:>14}"));
            }
            println!("{name:<12} {size:>8}{cells}");
        }
    }
}
