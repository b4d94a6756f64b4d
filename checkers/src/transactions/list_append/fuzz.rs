//! Differential tests: the checkers of transactions against definitions tried out by brute force.
use super::{ListAppend, analyse, graph_of};
use crate::graph::NONE;
use crate::history::{Completion, History, HistoryBuilder, Invoke, Outcome, Record};
use crate::oracles::cases::{Call, CheckerCases, Long, call};
use crate::random::{Rng, Stats};
use crate::transactions::cycles::{self, Class, Cycles};
use crate::transactions::dependencies::{DependencyGraph, Level};
use crate::transactions::lattice;
use crate::transactions::oracle::{self, Order};
use crate::transactions::simulate::{Isolation, Shape, simulate};
use crate::transactions::txn::{Dialect, Transactions};
use crate::value::Value;
use crate::verdict::certificate::EdgeKind;
use crate::verdict::{Budget, Checker, Validity};
use serde_json::Value::Null;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A right history and a wrong one: a transaction that failed is read.
pub(crate) const APPENDS: (&str, &str) = (
    r#"1 txn null [["append",1,7]] -> ok [["append",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,[7]]]"#,
    r#"1 txn null [["append",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,[7]]]"#,
);

/// Transactions, each of which reads a list and appends to it.
pub(crate) fn lists(n: u64) -> Vec<Call> {
    let append = |at: u64| {
        let (key, known) = (at / 5, (at / 5 * 5..at).collect::<Vec<u64>>());
        let (asked, told) =
            (json!([["r", key, null], ["append", key, at]]), json!([["r", key, known], ["append", key, at]]));
        call(at % 3, "txn", Null, asked, told)
    };
    (0..n).map(append).collect()
}

/// What the tests of all checkers ask of `list-append`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[
        (
            &[],
            "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",2,null]] -> ok [[\"r\",2,[]]]",
        ),
        (
            &[("model", "read-committed")],
            "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,[]]]",
        ),
    ]),
    right_and_wrong: Ok(&[(&[("model", "read-committed")], APPENDS.0, APPENDS.1)]),
    long: Ok(Long::of(lists)),
    comparisons: Ok(&[
        ("list-append", differ),
        ("list-append and rw-register, every model", crate::transactions::decided::fuzz::differ_models),
        ("list-append, simulated databases", differ_simulated),
    ]),
};

/// Judges random histories of at most six transactions by every order of their transactions, and their cycles by
/// following every path. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let history = small(&mut rng);
        stats.histories += 1;
        stats.invalid += u64::from(judged_alike(&history)?);
    }
    Ok(stats)
}

/// Judges simulated databases of known levels: no anomaly that the level forbids. The error describes the first.
pub(crate) fn differ_simulated(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    let levels = [
        (Isolation::None, None),
        (Isolation::ReadCommitted, Some("read-committed")),
        (Isolation::Prefix, Some("prefix")),
        (Isolation::Snapshot, Some("strong-snapshot-isolation")),
        (Isolation::Serializable, Some("serializable")),
        (Isolation::Strict, Some("strict-serializable")),
    ];
    for _ in 0..count {
        let (isolation, model) = *rng.pick(&levels);
        let shape = Shape {
            clients: 2 + rng.below(10),
            keys: 1 + rng.below(8),
            writes_per_key: 2 + rng.below(40),
            mops: 1 + rng.below(5),
            fail_percent: rng.below(10),
            info_percent: rng.below(20),
            final_read: rng.below(2) == 0,
            ..Shape::new(isolation, 20 + rng.below(400))
        };
        let seed = rng.below(1 << 40);
        let history = simulate(seed, shape);
        stats.histories += 1;
        let strict = crate::random::shown(&history, ListAppend::default().check(&history, &Budget::unlimited()));
        stats.invalid += u64::from(strict.validity == Validity::Invalid);
        let told = || format!("seed {seed}, {shape:?}");
        if let Some(finding) = strict.findings.iter().find(|finding| finding.sentences.is_empty()) {
            return Err(format!("{} without a reason: {}", finding.kind, told()));
        }
        if strict.validity == Validity::Invalid && strict.findings.is_empty() {
            return Err(format!("invalid without a finding: {}: {}", strict.summary, told()));
        }
        let Some(model) = model else { continue };
        let verdict = crate::random::shown(&history, ListAppend::new(model)?.check(&history, &Budget::unlimited()));
        if verdict.validity == Validity::Invalid {
            return Err(format!("{}: {}", told(), verdict.summary));
        }
    }
    Ok(stats)
}

/// A random history of at most six transactions on at most two keys: an execution with snapshots at random moments, and
/// mostly a read or two replaced.
fn small(rng: &mut Rng) -> History {
    let count = 2 + rng.below(5) as usize;
    let keys = 1 + rng.below(2);
    let mut places: Vec<u64> = (0..2 * count as u64).collect();
    let reach = if rng.percent(50) { 4 } else { places.len() };
    for at in 0..places.len() {
        let other = at + rng.below((places.len() - at).min(reach) as u64) as usize;
        places.swap(at, other);
    }
    let mut spans: Vec<(u64, u64)> = (0..count).map(|at| (places[2 * at], places[2 * at + 1])).collect();
    spans.iter_mut().for_each(|span| *span = (span.0.min(span.1), span.0.max(span.1)));
    spans.sort_unstable();
    let mut fresh = [0; 2];
    let mut txns: Vec<Vec<(u64, Option<i64>)>> = Vec::new();
    for _ in 0..count {
        let mops = 1 + rng.below(3);
        let mut mop = |_| {
            let key = rng.below(keys);
            let element = rng.percent(50).then(|| {
                fresh[key as usize] += 1;
                fresh[key as usize]
            });
            (key, element)
        };
        txns.push((0..mops).map(&mut mop).collect());
    }
    let outcomes: Vec<Outcome> = (0..count)
        .map(|_| match rng.below(20) {
            0 => Outcome::Fail,
            1..4 => Outcome::Info,
            _ => Outcome::Ok,
        })
        .collect();
    let mut order: Vec<usize> = (0..count).collect();
    if rng.percent(70) {
        let points: Vec<u64> = spans.iter().map(|span| 8 * span.0 + rng.below(8 * (span.1 - span.0) + 1)).collect();
        order.sort_by_key(|&at| points[at]);
    } else {
        for at in 0..count {
            order.swap(at, at + rng.below((count - at) as u64) as usize);
        }
    }
    let stale = rng.below(3) * 20;
    let mut states: Vec<[Vec<i64>; 2]> = vec![Default::default()];
    let mut reads: Vec<Vec<Vec<i64>>> = vec![Vec::new(); count];
    for &at in &order {
        let last = states.len() - 1;
        let seen = if rng.percent(stale) { rng.below(states.len() as u64) as usize } else { last };
        let (mut view, mut state) = (states[seen].clone(), states[last].clone());
        for (key, element) in &txns[at] {
            match element {
                Some(element) => {
                    view[*key as usize].push(*element);
                    state[*key as usize].push(*element);
                    reads[at].push(Vec::new());
                }
                None => reads[at].push(view[*key as usize].clone()),
            }
        }
        let applied = outcomes[at] == Outcome::Ok || (outcomes[at] == Outcome::Info && rng.percent(50));
        if applied {
            states.push(state);
        }
    }
    let finals = states[states.len() - 1].clone();
    for _ in 0..rng.below(3) {
        let at = rng.below(count as u64) as usize;
        let mop = rng.below(txns[at].len() as u64) as usize;
        let whole = &finals[txns[at][mop].0 as usize];
        reads[at][mop] = whole[..rng.below(whole.len() as u64 + 1) as usize].to_vec();
        match rng.below(12) {
            0 => reads[at][mop].reverse(),
            1 => reads[at][mop].push(1 + rng.below(6) as i64),
            _ => {}
        }
    }
    record(rng, &spans, &txns, &reads, &outcomes)
}

fn record(
    rng: &mut Rng,
    spans: &[(u64, u64)],
    txns: &[Vec<(u64, Option<i64>)>],
    reads: &[Vec<Vec<i64>>],
    outcomes: &[Outcome],
) -> History {
    let mut builder = HistoryBuilder::new();
    // By process: when it is free again.
    let mut processes: Vec<u64> = Vec::new();
    let mut process_of = vec![0; txns.len()];
    for index in 0..2 * txns.len() as u64 {
        let Some(at) = spans.iter().position(|span| span.0 == index || span.1 == index) else { continue };
        let value = |reply: bool| {
            Value::list(txns[at].iter().zip(&reads[at]).map(|((key, element), read)| {
                let name = if element.is_some() { "append" } else { "r" };
                let read = Value::list(read.iter().map(|&element| Value::Int(element)));
                let value = element.map_or(if reply { read } else { Value::Nil }, Value::Int);
                Value::list([Value::text(name), Value::Int(*key as i64), value])
            }))
        };
        let pushed = if spans[at].0 == index {
            let free = processes.iter().position(|&free| free < index).filter(|_| rng.percent(60));
            let process = free.unwrap_or(processes.len());
            processes.resize(processes.len().max(process + 1), 0);
            processes[process] = if outcomes[at] == Outcome::Info { u64::MAX } else { spans[at].1 };
            process_of[at] = process as u64;
            let (node, workload, f) = ("n1".into(), "lists".into(), "txn".into());
            let (worker, process, time, key) = (process as u32, process as u64, index, Value::Nil);
            let (value, settle) = (value(false), false);
            builder.push(Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle }))
        } else {
            let reply = |value: Value| Completion {
                index,
                time: index,
                process: process_of[at],
                value,
                error: None,
                node: None,
            };
            builder.push(match outcomes[at] {
                Outcome::Ok => Record::Ok(reply(value(true))),
                Outcome::Fail => Record::Fail(reply(Value::Nil)),
                Outcome::Info => Record::Info(reply(Value::Nil)),
            })
        };
        pushed.unwrap_or_else(|error| unreachable!("{error}"));
    }
    builder.finish().unwrap_or_else(|error| unreachable!("{error}"))
}

/// Whether the history is not strictly serialisable; the error describes a difference.
fn judged_alike(history: &History) -> Result<bool, String> {
    let Some(workload) = history.find_name("lists") else { return Ok(false) };
    let txns = Transactions::parse(history, workload, Dialect::Lists).map_err(|malformed| malformed.why)?;
    let small = oracle::transactions(history);
    let budget = Budget::unlimited();
    let analysis = analyse(&txns, &budget, 3);
    let anomalies = analysis.anomalies();
    let ruled = lattice::rule(anomalies.iter().copied()).ruled_out;
    let told = |what: &str| format!("{what}; found {anomalies:?}\n{}", shown(history));
    for (name, order, serial) in [
        ("serializable", Order::Any, true),
        ("strong-session-serializable", Order::Process, true),
        ("strict-serializable", Order::Realtime, true),
        ("snapshot-isolation", Order::Any, false),
        ("strong-session-snapshot-isolation", Order::Process, false),
        ("strong-snapshot-isolation", Order::Realtime, false),
    ] {
        let by_force =
            if serial { oracle::serializable(&small, order) } else { oracle::snapshot_isolated(&small, order) };
        let fast = !ruled.contains(&name);
        if by_force != fast {
            let model = lattice::find(name).filter(|_| !serial && fast);
            let undecided = model.is_some_and(|model| analysis.doubtful(&txns, &budget, model));
            if !undecided {
                return Err(told(&format!("{name} is {by_force} by force")));
            }
        }
    }
    // Paths are many: of the larger histories every fourth will do.
    if txns.len() < 5 || txns.all_mops().len() % 4 == 0 {
        followed(&txns, &budget).map_err(|what| told(&what))?;
    }
    explained(history, &anomalies).map_err(|what| told(&what))?;
    Ok(ruled.contains(&"strict-serializable"))
}

/// Every finding has its reason, and its cycle is one.
fn explained(history: &History, anomalies: &[&str]) -> Result<(), String> {
    let verdict = crate::random::shown(history, ListAppend::default().check(history, &Budget::unlimited()));
    let kinds: BTreeSet<&str> = verdict.findings.iter().map(|finding| finding.kind.as_str()).collect();
    if verdict.findings.len() < 10 && anomalies.iter().any(|anomaly| !kinds.contains(anomaly)) {
        return Err(format!("shown are only {kinds:?}"));
    }
    for finding in &verdict.findings {
        let closed =
            finding.cycle.iter().zip(finding.cycle.iter().cycle().skip(1)).all(|(one, two)| one.to == two.from);
        if !closed || finding.sentences.len() < 2 || finding.certificate.is_none() {
            return Err(format!("{} is not explained", finding.kind));
        }
    }
    Ok(())
}

/// Compares the classes found with those of all cycles.
fn followed(txns: &Transactions<'_>, budget: &Budget) -> Result<(), String> {
    let graph = graph_of(txns);
    let found: Cycles = cycles::find(&graph, 3, budget);
    let fast: Vec<&str> = found.components.keys().map(|(class, level)| class.anomaly(*level)).collect();
    let mut all: BTreeSet<&str> = BTreeSet::new();
    let edges = edges(&graph, txns);
    for start in 0..graph.txns() {
        follow(&edges, start, &mut vec![(start, EdgeKind::Ww)], &mut |kinds| {
            let (class, level) = class_of(kinds);
            all.insert(class.anomaly(level));
        });
    }
    let (one, other) = (lattice::rule(fast.iter().copied()), lattice::rule(all.iter().copied()));
    let beyond: Vec<&&str> = fast.iter().filter(|anomaly| !all.contains(**anomaly)).collect();
    let shown = found.examples.iter().all(|cycle| fast.contains(&cycle.class.anomaly(cycle.level)));
    let missing =
        found.components.keys().any(|of| !found.examples.iter().any(|cycle| (cycle.class, cycle.level) == *of));
    if one == other && beyond.is_empty() && shown && !missing && found.undecided.is_empty() {
        return Ok(());
    }
    Err(format!("cycles {fast:?}, by following every path {all:?}"))
}

/// All edges between transactions, those of process and real time spelt out.
fn edges(graph: &DependencyGraph, txns: &Transactions<'_>) -> Vec<(u32, u32, EdgeKind)> {
    let mut edges = Vec::new();
    for from in 0..graph.txns() {
        for (to, kind) in graph.edges(from) {
            if to < graph.txns() {
                edges.push((from, to, kind));
            } else {
                edges.extend(graph.edges(to).filter(|(to, _)| *to != from).map(|(to, _)| (from, to, EdgeKind::Rw)));
            }
        }
        for to in (0..graph.txns()).filter(|&to| graph.committed(from) && graph.committed(to)) {
            let (one, other) = (txns.txn(from), txns.txn(to));
            if one.session == other.session && one.call < other.call {
                edges.push((from, to, EdgeKind::Process));
            }
            if one.end < other.call {
                edges.push((from, to, EdgeKind::Realtime));
            }
        }
    }
    edges
}

/// Told of a path: transactions, each with the kind of the edge that leads to it.
type Tell<'t> = dyn FnMut(&[(u32, EdgeKind)]) + 't;

/// Tells of the edges of every cycle that begins at the lowest of its transactions.
fn follow(edges: &[(u32, u32, EdgeKind)], start: u32, path: &mut Vec<(u32, EdgeKind)>, tell: &mut Tell<'_>) {
    let at = path.last().map_or(NONE, |(at, _)| *at);
    for &(_, to, kind) in edges.iter().filter(|(from, to, _)| *from == at && *to >= start) {
        if to == start {
            path[0].1 = kind;
            tell(path);
        } else if path.iter().all(|(met, _)| *met != to) {
            path.push((to, kind));
            follow(edges, start, path, tell);
            path.pop();
        }
    }
}

/// The class of a cycle by its edges, each kept with the transaction that it leads to.
fn class_of(path: &[(u32, EdgeKind)]) -> (Class, Level) {
    let has = |kind: EdgeKind| path.iter().any(|(_, of)| *of == kind);
    let rw = |at: usize| path[at % path.len()].1 == EdgeKind::Rw;
    let class = match (0..path.len()).filter(|&at| rw(at)).count() {
        0 if has(EdgeKind::Wr) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if (0..path.len()).any(|at| rw(at) && rw(at + 1)) => Class::G2,
        _ => Class::GNonadjacent,
    };
    let level = match (has(EdgeKind::Realtime), has(EdgeKind::Process)) {
        (true, _) => Level::Realtime,
        (false, true) => Level::Process,
        (false, false) => Level::Plain,
    };
    (class, level)
}

/// The whole history, a transaction on each line.
fn shown(history: &History) -> String {
    let mut text = String::new();
    for op in history.ops().iter() {
        let list = if op.outcome == Outcome::Ok { op.output } else { op.input };
        let _ = writeln!(text, "#{}-{} process {} {:?} {list}", op.call, op.reply, op.process, op.outcome);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DSFUZZ_FUZZ` histories, and from `DSFUZZ_SEED`, where they are set.
    fn setting(name: &str, otherwise: u64) -> u64 {
        std::env::var(name).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
    }

    fn count(debug: u64) -> u64 {
        setting("DSFUZZ_FUZZ", debug)
    }

    #[test]
    fn small_histories_are_judged_as_by_every_order() {
        let stats = differ(setting("DSFUZZ_SEED", 1), count(250)).unwrap_or_else(|difference| panic!("{difference}"));
        assert!(stats.invalid > stats.histories / 5 && stats.invalid < stats.histories, "{stats:?}");
    }

    #[test]
    fn simulated_levels_show_no_anomaly_that_they_forbid() {
        let stats = differ_simulated(setting("DSFUZZ_SEED", 1), count(60).min(5_000))
            .unwrap_or_else(|difference| panic!("{difference}"));
        assert!(stats.invalid > stats.histories / 5, "{stats:?}");
    }
}
