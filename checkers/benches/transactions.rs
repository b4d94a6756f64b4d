//! How long transactions take to judge and how much memory beyond the history, by size and kind: one process for each
//! row, so that no row sees another's memory. Figures, not tests. `cargo bench --bench transactions -- ROW CHECKER` runs one row, and of that one
//! checker.
use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, Invoke, Record};
use dsfuzz_checkers::oracles::{Isolation, LoadIsolation, LoadKind, Shape, load, simulate};
use dsfuzz_checkers::{Budget, History, Options, Validity, Value, checker_with};
use std::process::Command;
use std::time::Instant;

/// Rows: a name, the kind of database, and how many transactions.
const ROWS: &[(&str, Kind, u64)] = &[
    ("strict 1e4", Kind::Simulated(Isolation::Strict), 10_000),
    ("strict 1e5", Kind::Simulated(Isolation::Strict), 100_000),
    ("strict 1e6", Kind::Simulated(Isolation::Strict), 1_000_000),
    ("serializable 1e6", Kind::Simulated(Isolation::Serializable), 1_000_000),
    ("snapshot 1e6", Kind::Simulated(Isolation::Snapshot), 1_000_000),
    ("prefix 1e6", Kind::Simulated(Isolation::Prefix), 1_000_000),
    ("read-committed 1e6", Kind::Simulated(Isolation::ReadCommitted), 1_000_000),
    ("none 1e6", Kind::Simulated(Isolation::None), 1_000_000),
    ("ring of ww 1e6", Kind::Ring(Ring::G0), 1_000_000),
    ("ring with one rw 1e6", Kind::Ring(Ring::Single), 1_000_000),
    ("ring with two rw 1e6", Kind::Ring(Ring::Nonadjacent), 1_000_000),
    ("lists, serial 1e6", Kind::Load(LoadKind::Lists, LoadIsolation::Serial), 1_000_000),
    ("lists, snapshot 1e6", Kind::Load(LoadKind::Lists, LoadIsolation::Snapshot), 1_000_000),
    ("registers, serial 1e6", Kind::Load(LoadKind::Registers, LoadIsolation::Serial), 1_000_000),
    ("registers, snapshot 1e6", Kind::Load(LoadKind::Registers, LoadIsolation::Snapshot), 1_000_000),
    ("registers, prefix 1e6", Kind::Load(LoadKind::Registers, LoadIsolation::Prefix), 1_000_000),
    ("registers, serial 1e5", Kind::Load(LoadKind::Registers, LoadIsolation::Serial), 100_000),
    ("registers, snapshot 1e5", Kind::Load(LoadKind::Registers, LoadIsolation::Snapshot), 100_000),
    ("mini, serial 1e5", Kind::Load(LoadKind::Mini, LoadIsolation::Serial), 100_000),
    ("mini, snapshot 1e5", Kind::Load(LoadKind::Mini, LoadIsolation::Snapshot), 100_000),
    ("mini, prefix 1e5", Kind::Load(LoadKind::Mini, LoadIsolation::Prefix), 100_000),
];

#[derive(Clone, Copy)]
enum Kind {
    Simulated(Isolation),
    Ring(Ring),
    Load(LoadKind, LoadIsolation),
}

/// A checker with its options.
type Judge = (&'static str, &'static [(&'static str, &'static str)]);

const LISTS: &[Judge] = &[
    ("list-append", &[("model", "strict-serializable")]),
    ("list-append", &[("model", "snapshot-isolation")]),
    ("read-committed", &[]),
    ("read-atomic", &[]),
    ("causal-transactions", &[]),
];
const WEAK: &[Judge] = &[("read-committed", &[]), ("read-atomic", &[]), ("causal-transactions", &[])];
const INFERRED: &[Judge] =
    &[("rw-register", &[("sequential_keys", "true"), ("linearizable_keys", "true")]), ("rw-register", &[])];
const MINI: &[Judge] = &[
    ("rw-register", &[("sequential_keys", "true"), ("linearizable_keys", "true")]),
    ("rw-register", &[]),
    ("mini-transactions", &[]),
];

impl Kind {
    /// Who judges it.
    fn judges(self, txns: u64) -> &'static [Judge] {
        match self {
            Kind::Simulated(_) | Kind::Ring(_) | Kind::Load(LoadKind::Lists, _) => LISTS,
            Kind::Load(LoadKind::Registers, _) if txns > 100_000 => WEAK,
            Kind::Load(LoadKind::Registers, _) => INFERRED,
            Kind::Load(LoadKind::Mini, _) => MINI,
        }
    }
}

/// One cycle through every transaction.
#[derive(Clone, Copy, PartialEq)]
enum Ring {
    G0,
    Single,
    Nonadjacent,
}

/// Transactions that are all called before any ends: each appends to a chain, and the ends of the chains meet.
fn ring(ring: Ring, txns: u64) -> History {
    let mut builder = HistoryBuilder::new();
    let mut index = 0;
    let mut push = |record: &dyn Fn(u64) -> Record| {
        builder.push(record(index)).expect("a sound record");
        index += 1;
    };
    let (append, read) = (Value::text("append"), Value::text("r"));
    let mop = |name: &Value, key: i64, value: Value| Value::list([name.clone(), Value::Int(key), value]);
    let half = txns as i64 / 2;
    let ops = |at: i64, reply: bool| {
        let last = txns as i64 - 1;
        let nothing = || if reply { Value::list([]) } else { Value::Nil };
        // Key 0 is one chain, key 1 another; keys 2 and 3 join their ends.
        let chain = i64::from(ring == Ring::Nonadjacent && at >= half);
        let mut mops = vec![mop(&append, chain, Value::Int(at))];
        match (ring, at) {
            (Ring::G0, at) if at == 0 || at == last => mops.push(mop(&append, 2, Value::Int(last - at))),
            (Ring::Single, 0) => mops.push(mop(&append, 2, Value::Int(0))),
            (Ring::Single, at) if at == last => mops.push(mop(&read, 2, nothing())),
            (Ring::Nonadjacent, at) if at == 0 || at == half => mops.push(mop(&append, 2 + chain, Value::Int(0))),
            (Ring::Nonadjacent, at) if at == half - 1 || at == last => mops.push(mop(&read, 3 - chain, nothing())),
            _ => {}
        }
        Value::list(mops)
    };
    let whole = |reply: bool| {
        let list = |from: i64, to: i64| Value::list((from..to).map(Value::Int));
        let (first, second) = match ring {
            Ring::Nonadjacent => (list(0, half), list(half, txns as i64)),
            Ring::G0 | Ring::Single => (list(0, txns as i64), list(0, 0)),
        };
        let third = match ring {
            Ring::G0 => Value::list([0, txns as i64 - 1].map(Value::Int)),
            Ring::Single | Ring::Nonadjacent => list(0, 1),
        };
        let fourth = if ring == Ring::Nonadjacent { list(0, 1) } else { list(0, 0) };
        let lists = [first, second, third, fourth].into_iter().enumerate();
        Value::list(lists.map(|(key, list)| mop(&read, key as i64, if reply { list } else { Value::Nil })))
    };
    push(&|index| Record::Start { index, time: 0, version: HISTORY_VERSION, nodes: Vec::new(), wall: String::new() });
    let invoke = |index: u64, process: u64, value: Value| {
        let (node, workload, f) = ("n1".into(), "lists".into(), "txn".into());
        let (worker, time, key, settle) = (process as u32, index, Value::Nil, false);
        Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle })
    };
    let ok = |index: u64, process: u64, value: Value| {
        Record::Ok(Completion { index, time: index, process, value, error: None, node: None })
    };
    for process in 0..txns {
        push(&|index| invoke(index, process, ops(process as i64, false)));
    }
    for process in 0..txns {
        push(&|index| ok(index, process, ops(process as i64, true)));
    }
    push(&|index| invoke(index, txns, whole(false)));
    push(&|index| ok(index, txns, whole(true)));
    builder.finish().expect("a sound recording")
}

/// A line of `/proc/self/status`, in megabytes.
fn memory_mb(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Seconds of processor time so far.
fn processor_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

fn row(name: &str, only: &str) {
    let Some((_, kind, txns)) = ROWS.iter().find(|(known, ..)| *known == name) else {
        println!("no row {name}");
        return;
    };
    let history = match kind {
        Kind::Simulated(isolation) => simulate(7, Shape::new(*isolation, *txns)),
        Kind::Ring(kind) => ring(*kind, *txns),
        Kind::Load(kind, isolation) => load(*kind, *isolation, 1, *txns as usize, 7),
    };
    for (checker, given) in kind.judges(*txns).iter().filter(|(checker, _)| checker.contains(only)) {
        let value = |text: &str| if text == "true" { Value::Bool(true) } else { Value::text(text) };
        let options = Options(given.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect());
        let judge = checker_with(checker, &options).expect("a checker");
        let before = memory_mb("VmRSS");
        // Forgets the peak of what came before.
        let forgotten = std::fs::write("/proc/self/clear_refs", "5").is_ok();
        let (begun, worked) = (Instant::now(), processor_s());
        let verdict = judge.check(&history, &Budget::unlimited());
        let (took, worked) = (begun.elapsed(), processor_s() - worked);
        let peak = if forgotten { memory_mb("VmHWM") } else { 0 };
        let found: Vec<String> = verdict
            .numbers
            .iter()
            .filter_map(|(name, count)| Some(format!("{} {count}", name.strip_suffix("_found")?)))
            .collect();
        let undecided = verdict.numbers.get("undecided_anomalies").map(|names| format!(" UNDECIDED {names}"));
        println!(
            "{name:<23} {:<34} {:<8} {:>6.2} s ({worked:.2} s of processor)  history {:>5} MB (in use {before} MB)  peak {peak:>5} MB  {}{}",
            given.iter().fold((*checker).to_owned(), |text, (name, value)| match *name {
                "model" => format!("{text} {value}"),
                _ => format!("{text} +{}", name.trim_end_matches("_keys")),
            }),
            format!("{:?}", verdict.validity).to_lowercase(),
            took.as_secs_f64(),
            history.bytes() >> 20,
            found.join(", "),
            undecided.unwrap_or_else(|| match verdict.validity {
                Validity::Unknown => format!(" {}", verdict.summary),
                _ => String::new(),
            }),
        );
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [name, only @ ..] = &wanted[..] {
        row(name, only.first().map_or("", String::as_str));
        return;
    }
    for (name, ..) in ROWS {
        let ran = std::env::current_exe().and_then(|program| Command::new(program).arg(name).status());
        if !ran.is_ok_and(|status| status.success()) {
            println!("{name}: FAILED");
        }
    }
}
