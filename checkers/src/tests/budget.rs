//! A budget that is used up: no checker passes a history that it did not look at to the end, and none panics.
use crate::checker::Judges;
use crate::options::Options;
use crate::oracles::cases::{call, registers, rounds};
use crate::oracles::{CASES, Call, CheckerCases, Long, case_options};
use crate::registry::{CHECKERS, checker_with};
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity};
use crate::{History, judge_one};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of rounds that make a history that is not trivial.
const ROUNDS: u64 = 140;

/// The long history of a checker, and the checker with the options for it.
struct Kept {
    calls: Vec<Call>,
    events: [&'static str; 2],
    checker: Box<dyn Checker>,
}

impl Kept {
    fn history(&self) -> History {
        played(&self.calls, self.events)
    }
}

/// The long history of every checker; each has one, or says why there can be none.
fn kept(name: &str, cases: &CheckerCases, rounds: u64) -> Option<Kept> {
    let Long { options, events, calls } = cases.long.ok()?;
    let checker = checker_with(name, &case_options(options)).expect("in the list");
    Some(Kept { calls: calls(rounds), events, checker })
}

/// One call after the other. Each process is on a node of its own.
fn played(calls: &[Call], [before, after]: [&str; 2]) -> History {
    let mut lines = json!({"type": "start", "nodes": ["n0", "n1", "n2"]}).to_string() + "\n" + before;
    let mut push = |line: &Json| {
        lines.push('\n');
        lines.push_str(&line.to_string());
    };
    for (at, call) in calls.iter().enumerate() {
        let time = 2 * (before.lines().count() + at) as u64 * 1_000_000 + if call.settle { 60_000_000_000 } else { 0 };
        let node = format!("n{}", call.process);
        push(&json!({
            "type": "invoke", "process": call.process, "node": node, "workload": "w", "f": call.f, "key": call.key,
            "value": call.value, "settle": call.settle, "time": time,
        }));
        push(&json!({
            "type": call.outcome, "process": call.process, "value": call.reply, "time": time + 1_000_000
        }));
    }
    history(&(lines + "\n" + after))
}

#[test]
fn every_checker_has_a_long_history_that_it_calls_valid() {
    for (name, cases) in CASES {
        let Some(kept) = kept(name, cases, ROUNDS) else { panic!("{name}: long: {:?}", cases.long.err()) };
        let verdict = judge_one(kept.checker.as_ref(), &kept.history(), &Budget::unlimited());
        assert_eq!(verdict.validity, Validity::Valid, "{name}: {}", verdict.summary);
        assert!(kept.calls.len() as u64 >= ROUNDS, "{name}: {} calls of {ROUNDS} rounds", kept.calls.len());
    }
}

#[test]
fn nobody_passes_what_there_was_no_time_for() {
    let over = Budget { expired: Arc::new(|| true), ..Budget::unlimited() };
    let mut passed = Vec::new();
    for (name, cases) in CASES {
        let Some(kept) = kept(name, cases, ROUNDS) else { continue };
        let (history, checker) = (kept.history(), kept.checker);
        let late = judge_one(checker.as_ref(), &history, &over);
        assert_eq!((late.validity, late.findings.len()), (Validity::Unknown, 0), "{name}");
        if checker.check(&history, &over).validity != Validity::Unknown {
            passed.push(*name);
        }
        // The time is up after a few looks: whatever was done by then, it must not be an anomaly.
        for looks in 0..5 {
            let left = AtomicU32::new(looks);
            let short = Arc::new(move || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
            });
            let verdict = checker.check(&history, &Budget { expired: short, ..Budget::unlimited() });
            assert_ne!(verdict.validity, Validity::Invalid, "{name}: {}", verdict.summary);
        }
    }
    // These are near-linear, and ask only where they have to search.
    assert_eq!(passed, SURE, "these pass with no time at all");
}

/// Checkers that decide such histories in one pass without asking.
const SURE: [&str; 5] = ["list-append", "rw-register", "mini-transactions", "crashes", "sequential"];

#[test]
fn no_promise_is_valid_that_an_unknown_function_may_have_broken() {
    let mut strict: Vec<&str> = Vec::new();
    for (doc, (name, cases)) in CHECKERS.iter().zip(CASES) {
        let Some(mut kept) = kept(name, cases, ROUNDS) else { continue };
        for (outcome, expected) in [("ok", Validity::Unknown), ("info", Validity::Unknown), ("fail", Validity::Valid)] {
            let unknown = Call { outcome, ..call(7, "frobnicate", kept.calls[8].key.clone(), Json::Null, Json::Null) };
            kept.calls.insert(9, unknown);
            let verdict = judge_one(kept.checker.as_ref(), &kept.history(), &Budget::unlimited());
            kept.calls.remove(9);
            // Faults, roles and processes are judged, and no object.
            let expected = if doc.judges == Judges::RUNS { Validity::Valid } else { expected };
            if outcome == "fail" && verdict.validity == Validity::Unknown {
                strict.push(name);
                continue;
            }
            assert_eq!(verdict.validity, expected, "{name}, {outcome}: {}", verdict.summary);
            // Some checkers count such calls and do not name them.
            let doubt = ["frobnicate", "1 operation"].iter().any(|words| verdict.summary.contains(words));
            assert!(doubt || expected == Validity::Valid, "{name}: {}", verdict.summary);
        }
    }
    let transactions =
        ["list-append", "rw-register", "mini-transactions", "read-committed", "read-atomic", "causal-transactions"];
    assert_eq!(strict, transactions, "these want to know every function, also of calls that were refused");
}

#[test]
fn nothing_is_valid_that_was_never_called() {
    let strange =
        rounds(ROUNDS, |at| call(at % 3, "frobnicate", json!(at), json!({"a": [at]}), json!([at, {"b": null}])));
    for (what, history) in [("nothing", History::default()), ("other functions", played(&strange, ["", ""]))] {
        for doc in CHECKERS {
            let checker = checker_with(doc.name, &Options::default()).expect("in the list");
            let verdict = checker.check(&history, &Budget::unlimited());
            let measured = checker.measures_only() && what != "nothing" && doc.name == "availability";
            let expected = if measured { Validity::Valid } else { Validity::Unknown };
            assert_eq!(
                (verdict.validity, verdict.findings.len()),
                (expected, 0),
                "{}, {what}: {}",
                doc.name,
                verdict.summary
            );
            assert!(!verdict.summary.is_empty(), "{}, {what}", doc.name);
        }
    }
}

/// Adds of a hundred elements, and many reads of them all.
fn read_often(row: impl Fn(u64) -> Json) -> Vec<Call> {
    let mut calls = rounds(100, |at| call(at % 3, "add", Json::Null, json!(at), Json::Null));
    let all: Vec<Json> = (0..100).map(row).collect();
    let read = |at: u64| Call { settle: true, ..call(at % 3, "read", Json::Null, Json::Null, json!(all)) };
    calls.extend((0..3_000).map(read));
    calls
}

#[test]
fn the_budget_is_asked_within_one_key() {
    let within = [
        "bank",
        "causal",
        "causal-reverse",
        "crdt",
        "fencing",
        "lease",
        "lock",
        "long-fork",
        "monotonic",
        "monotonic-reads",
        "monotonic-writes",
        "pram",
        "read-your-writes",
        "semaphore",
        "set-full",
        "writes-follow-reads",
    ];
    for name in within {
        let rounds = if name == "causal-reverse" { 5_000 } else { 2_500 };
        let (_, cases) = CASES.iter().find(|(checker, _)| *checker == name).expect("in the list");
        let Kept { calls, checker, .. } = kept(name, cases, rounds).expect("it judges what clients did");
        let calls = match name {
            "crdt" | "set-full" => read_often(|at| json!(at)),
            "monotonic" => read_often(|at| json!([at, at + 1])),
            _ => calls.into_iter().map(|call| Call { key: single(name, call.key), ..call }).collect(),
        };
        let history = played(&calls, ["", ""]);
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let all = Budget {
            expired: Arc::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
                false
            }),
            ..Budget::unlimited()
        };
        let verdict = checker.check(&history, &all);
        assert_eq!(verdict.validity, Validity::Valid, "{name}: {}", verdict.summary);
        assert!(asked.load(Ordering::Relaxed) > 1, "{name} asks once for a key of {} operations", history.ops().len());
        // The time is up at each of these moments.
        for looks in 0..asked.load(Ordering::Relaxed).min(12) {
            let left = AtomicU32::new(looks);
            let short = Arc::new(move || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
            });
            let verdict = checker.check(&history, &Budget { expired: short, ..Budget::unlimited() });
            assert_eq!(verdict.validity, Validity::Unknown, "{name} after {looks}: {}", verdict.summary);
        }
    }
}

/// All registers are one; long forks and fencing need several keys.
fn single(checker: &str, key: Json) -> Json {
    if matches!(checker, "long-fork" | "fencing") { key } else { Json::Null }
}

#[test]
fn what_does_not_fit_into_the_memory_is_unknown() {
    let history = played(&registers(1_500), ["", ""]);
    for name in ["causal", "pram", "read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads"] {
        let checker = checker_with(name, &Options::default()).expect("in the list");
        let small = Budget { memory_bytes: 4_096, ..Budget::unlimited() };
        let verdict = checker.check(&history, &small);
        assert_eq!(verdict.validity, Validity::Unknown, "{name}: {}", verdict.summary);
        assert!(verdict.summary.contains("does not fit into the memory"), "{name}: {}", verdict.summary);
        let verdict = checker.check(&history, &Budget { memory_bytes: 1 << 20, ..Budget::unlimited() });
        assert_eq!(verdict.validity, Validity::Valid, "{name}: {}", verdict.summary);
    }
}
