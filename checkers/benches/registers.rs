//! Registers of every kind that defeats checkers: how long judging takes and how much memory it needs, one process for
//! each row. Figures, not tests. `-- --row NAME` judges one row, `-- --spec ops=10000,conc=30,..` a row of one's own;
//! with `--witness` a valid verdict has to carry an order.
use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Record};
use dsfuzz_checkers::{Budget, Checker, History, Linearizable, Validity, Value};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A row is decided within this time and memory, the history itself not counted.
const AIM: Duration = Duration::from_secs(1);
const AIM_MIB: u64 = 256;
/// No row may take longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What goes wrong near the end, once.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// A read returns what nobody wrote.
    Phantom,
    /// A read returns a value overwritten before it began.
    Stale,
    /// An acknowledged write takes no effect.
    Lost,
}

/// What a generated history is like. Little time to think, so nearly all clients wait for a reply at all times.
#[derive(Clone, Copy, Debug)]
struct Shape {
    ops: u64,
    clients: u64,
    info_percent: u64,
    /// 0: every written value is new.
    values: u64,
    bug: Bug,
    /// Keys that live at a time.
    keys: u64,
    /// More than 0: keys come and go.
    ops_per_key: u64,
    seed: u64,
}

const REGISTER: Shape =
    Shape { ops: 0, clients: 0, info_percent: 0, values: 5, bug: Bug::None, keys: 1, ops_per_key: 0, seed: 7 };

fn rows() -> Vec<(String, Shape)> {
    let mut rows = Vec::new();
    let mut row = |shape: Shape| rows.push((name(&shape), shape));
    for ops in [1_000, 10_000, 100_000] {
        for clients in [5, 10, 30] {
            for info_percent in [0, 2] {
                for bug in [Bug::None, Bug::Phantom] {
                    row(Shape { ops, clients, info_percent, bug, ..REGISTER });
                }
            }
        }
    }
    row(Shape { ops: 1_000_000, clients: 5, ..REGISTER });
    for bug in [Bug::Stale, Bug::Lost] {
        for (ops, clients, info_percent) in [(10_000, 5, 0), (100_000, 5, 0), (100_000, 3, 1)] {
            row(Shape { ops, clients, info_percent, bug, ..REGISTER });
        }
        // Too many values for one to come back soon, too few for zones.
        row(Shape { ops: 100_000, clients: 10, info_percent: 2, values: 1_000, bug, ..REGISTER });
    }
    let unique = Shape { values: 0, clients: 10, info_percent: 2, ..REGISTER };
    for ops in [1_000, 10_000, 100_000, 1_000_000] {
        for bug in [Bug::None, Bug::Stale] {
            row(Shape { ops, bug, ..unique });
        }
    }
    let many = Shape { clients: 10, info_percent: 2, ..REGISTER };
    for bug in [Bug::None, Bug::Stale] {
        row(Shape { ops: 10_000, keys: 10, bug, values: 0, ..many });
        row(Shape { ops: 100_000, keys: 100, bug, values: 0, ..many });
        row(Shape { ops: 1_000_000, keys: 1_000, bug, values: 0, ..many });
    }
    row(Shape { ops: 100_000, keys: 5, ops_per_key: 200, ..many });
    row(Shape { ops: 1_000_000, keys: 5, ops_per_key: 200, ..many });
    row(Shape { ops: 1_000_000, keys: 20, ops_per_key: 1_000, clients: 30, ..many });
    rows
}

fn name(shape: &Shape) -> String {
    let values = if shape.values == 0 { "unique".to_owned() } else { format!("{} values", shape.values) };
    let keys = match (shape.keys, shape.ops_per_key) {
        (1, 0) => String::new(),
        (keys, 0) => format!(", {keys} keys"),
        (_, ops) => format!(", {ops} a key"),
    };
    let bug = format!("{:?}", shape.bug).to_lowercase();
    format!("{:.0e} c{} i{} {values}{keys}, {bug}", shape.ops as f64, shape.clients, shape.info_percent)
}

/// The next number of a fixed stream (xorshift64*, Vigna 2016).
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
    /// From 0 to 1.
    fn part(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 53) as f64
    }
    /// Nanoseconds, exponentially distributed around a millisecond.
    fn latency(&mut self) -> u64 {
        (-(1.0 - self.part()).ln() * 1e6) as u64
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Start(u64),
    Effect(usize),
    End(usize),
}

struct Call {
    process: u64,
    key: u64,
    f: &'static str,
    input: (i64, i64),
    info: bool,
    saw: Option<i64>,
    refused: bool,
    number: u64,
    /// How many values its key had had when it began.
    began: u64,
}

/// What one key holds and held.
#[derive(Default)]
struct Key {
    now: Option<i64>,
    past: VecDeque<i64>,
    versions: u64,
    used: u64,
}

impl Key {
    fn put(&mut self, value: i64) {
        self.now = Some(value);
        self.versions += 1;
        self.past.push_back(value);
        if self.past.len() > 128 {
            self.past.pop_front();
        }
    }
}

struct Generator {
    shape: Shape,
    rng: Rng,
    builder: HistoryBuilder,
    index: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Step)>>,
    queued: u64,
    calls: Vec<Option<Call>>,
    free: Vec<usize>,
    keys: HashMap<u64, Key>,
    live: Vec<u64>,
    fresh: i64,
    started: u64,
    broken: bool,
}

impl Generator {
    fn push(&mut self, time: u64, step: Step) {
        self.queued += 1;
        self.queue.push(Reverse((time, self.queued, step)));
    }

    fn record(&mut self, record: Record) {
        self.index += 1;
        self.builder.push(record).expect("a sound recording");
    }

    fn value(&mut self) -> i64 {
        if self.shape.values > 0 {
            return self.rng.below(self.shape.values) as i64;
        }
        self.fresh += 1;
        self.fresh
    }

    fn start(&mut self, time: u64, process: u64) {
        if self.started == self.shape.ops {
            return;
        }
        let place = self.rng.below(self.live.len() as u64) as usize;
        let key = self.live[place];
        let held = self.keys.entry(key).or_default();
        held.used += 1;
        let (now, began, used) = (held.now, held.versions, held.used);
        if self.shape.ops_per_key > 0 && used >= self.shape.ops_per_key {
            self.live[place] = self.live.iter().max().map_or(0, |last| last + 1);
        }
        let (f, input) = match self.rng.below(3) {
            0 => ("read", (0, 0)),
            1 => ("write", (0, self.value())),
            _ if self.shape.values > 0 => ("cas", (self.rng.below(self.shape.values) as i64, self.value())),
            _ => ("cas", (now.unwrap_or(0), self.value())),
        };
        let number = self.started;
        self.started += 1;
        let latency = self.rng.latency();
        let info = f != "read" && self.rng.below(100) < self.shape.info_percent;
        let worker = process % self.shape.clients;
        let call = Call { process, key, f, input, info, saw: None, refused: false, number, began };
        let at = self.free.pop().unwrap_or(self.calls.len());
        if at == self.calls.len() {
            self.calls.push(None);
        }
        self.calls[at] = Some(call);
        let value = match f {
            "read" => Value::Nil,
            "write" => Value::Int(input.1),
            _ => Value::list([Value::Int(input.0), Value::Int(input.1)]),
        };
        self.record(Record::Invoke(Invoke {
            index: self.index,
            time,
            worker: worker as u32,
            process,
            node: "n1".into(),
            workload: "register".into(),
            f: f.into(),
            key: Value::Int(key as i64),
            value,
            settle: false,
        }));
        if !info {
            let part = self.rng.part();
            self.push(time + (latency as f64 * part) as u64, Step::Effect(at));
            self.push(time + latency, Step::End(at));
        } else {
            self.push(time + latency, Step::End(at));
            if self.rng.below(2) == 0 {
                let late = (self.rng.part() * 5e6) as u64;
                self.push(time + late, Step::Effect(at));
            }
        }
    }

    fn effect(&mut self, at: usize) {
        let Some(call) = self.calls.get_mut(at).and_then(Option::as_mut) else { return };
        let held = self.keys.entry(call.key).or_default();
        let due = !self.broken && call.number >= self.shape.ops * 9 / 10;
        match call.f {
            "read" => {
                call.saw = held.now;
                // Values from before the read began, of which none came back since: long ago enough that nobody who
                // overwrote them is still waiting for a reply.
                let since = (held.versions - call.began) as usize + 1;
                let old = held.past.len().saturating_sub(since);
                let first = old.saturating_sub(4 * self.shape.clients as usize);
                let recent: Vec<i64> = held.past.iter().skip(old).copied().collect();
                let stale = held.past.iter().take(old).skip(first).find(|value| !recent.contains(value)).copied();
                match self.shape.bug {
                    Bug::Phantom if due => (call.saw, self.broken) = (Some(-7), true),
                    Bug::Stale if due && stale.is_some() => (call.saw, self.broken) = (stale, true),
                    _ => {}
                }
            }
            "write" if due && self.shape.bug == Bug::Lost && !call.info => self.broken = true,
            "write" => held.put(call.input.1),
            _ if held.now == Some(call.input.0) => held.put(call.input.1),
            _ => call.refused = true,
        }
    }

    fn end(&mut self, time: u64, at: usize) {
        let Some(call) = self.calls[at].as_mut() else { return };
        let (mut process, f) = (call.process, call.f);
        let reply = |value| Completion { index: self.index, time, process, value, error: None, node: None };
        let record = match f {
            _ if call.info => Record::Info(reply(Value::Nil)),
            "read" => Record::Ok(reply(call.saw.map_or(Value::Nil, Value::Int))),
            _ if call.refused => Record::Fail(reply(Value::Nil)),
            _ => Record::Ok(reply(Value::Nil)),
        };
        if call.info {
            // It stays in its place: its effect may still come.
            process += self.shape.clients;
        } else {
            self.calls[at] = None;
            self.free.push(at);
        }
        self.record(record);
        let pause = self.rng.latency() / 10;
        self.push(time + pause, Step::Start(process));
    }
}

fn generate(shape: Shape) -> History {
    let mut generator = Generator {
        shape,
        rng: Rng(shape.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        builder: HistoryBuilder::new(),
        index: 0,
        queue: BinaryHeap::new(),
        queued: 0,
        calls: Vec::new(),
        free: Vec::new(),
        keys: HashMap::new(),
        live: (0..shape.keys).collect(),
        fresh: 0,
        started: 0,
        broken: false,
    };
    generator.record(Record::Start {
        index: 0,
        time: 0,
        version: HISTORY_VERSION,
        nodes: vec!["n1".into()],
        wall: String::new(),
    });
    for worker in 0..shape.clients {
        let begin = generator.rng.below(1_000_000);
        generator.push(begin, Step::Start(worker));
    }
    while let Some(Reverse((time, _, step))) = generator.queue.pop() {
        match step {
            Step::Start(process) => generator.start(time, process),
            Step::Effect(at) => generator.effect(at),
            Step::End(at) => generator.end(time, at),
        }
    }
    generator.builder.finish().expect("a sound recording")
}

/// What a line of `/proc/self/status` says, MiB; 0 where there is none.
fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Seconds that the processors worked for this process; 0 where nobody tells.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may contain anything. Ticks are hundredths of a second everywhere.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Judges one row and prints it.
fn judge(name: &str, shape: Shape, witness: bool) {
    let history = generate(shape);
    // From here on the peak is the history and the check.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let worked = processor_seconds();
    let start = Instant::now();
    let deadline = start + LIMIT;
    let budget = Budget {
        expired: Arc::new(move || Instant::now() > deadline),
        memory_bytes: AIM_MIB << 20,
        ..Budget::unlimited()
    };
    let checker = Linearizable::registers();
    let checker = if witness { checker.with_witness() } else { checker };
    let verdict = checker.check(&history, &budget);
    let took = start.elapsed();
    let worked = processor_seconds() - worked;
    let peak = status_mib("VmHWM:");
    let smallest = verdict.findings.first().map_or(String::new(), |finding| format!("{} ops", finding.ops.len()));
    let met = verdict.validity != Validity::Unknown && took < AIM && peak < AIM_MIB;
    println!(
        "{name:<44} {:<8} {:>8.4} {:>6.2} {:>8} {:>8} {:>7}  {}",
        format!("{:?}", verdict.validity),
        took.as_secs_f64(),
        worked,
        peak,
        history.bytes() >> 20,
        smallest,
        if met { "met" } else { "missed" }
    );
    if verdict.validity == Validity::Unknown {
        println!("    {}", verdict.summary);
    }
    if witness && verdict.validity == Validity::Valid {
        println!("    {} certificates", verdict.certificates.len());
    }
}

fn spec(text: &str) -> Shape {
    let mut shape = Shape { ops: 1_000, clients: 10, ..REGISTER };
    for part in text.split(',') {
        let (name, value) = part.split_once('=').expect("name=value");
        let number = || value.parse().expect("a number");
        match name {
            "ops" => shape.ops = number(),
            "conc" => shape.clients = number(),
            "info" => shape.info_percent = number(),
            "values" => shape.values = number(),
            "keys" => shape.keys = number(),
            "per-key" => shape.ops_per_key = number(),
            "seed" => shape.seed = number(),
            "bug" => {
                shape.bug = match value {
                    "phantom" => Bug::Phantom,
                    "stale" => Bug::Stale,
                    "lost" => Bug::Lost,
                    _ => Bug::None,
                }
            }
            _ => panic!("no {name}: there are ops, conc, info, values, keys, per-key, seed, bug"),
        }
    }
    shape
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1));
    let witness = arguments.iter().any(|argument| argument == "--witness");
    if let Some(text) = after("--spec") {
        return judge(text, spec(text), witness);
    }
    let rows = rows();
    if let Some(wanted) = after("--row") {
        return rows.iter().filter(|(name, _)| name == wanted).for_each(|(name, shape)| judge(name, *shape, witness));
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let program = std::env::current_exe().expect("this program's path");
    println!(
        "{:<44} {:<8} {:>8} {:>6} {:>8} {:>8} {:>7}  aim",
        "register history (ops, clients, info %)", "verdict", "check s", "cpu s", "peak MiB", "history", "finding"
    );
    for (name, _) in rows {
        let run = Command::new(&program).args(["--row", &name]).status();
        assert!(run.is_ok_and(|status| status.success()), "{name}: the process failed");
    }
}
