//! A budget that is used up: no checker passes a history that it did not look at to the end, and none panics.
use crate::options::Options;
use crate::registry::{CHECKERS, checker_with};
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Validity};
use crate::{History, judge_one};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// So many rounds make a history that is not trivial.
const ROUNDS: u64 = 140;

/// A call and its reply.
struct Call {
    process: u64,
    f: &'static str,
    key: Json,
    input: Json,
    output: Json,
    outcome: &'static str,
    settle: bool,
}

fn call(process: u64, f: &'static str, key: Json, input: Json, output: Json) -> Call {
    Call { process, f, key, input, output, outcome: "ok", settle: false }
}

/// One call after the other. Each process is on a node of its own.
fn played(calls: &[Call]) -> History {
    let mut lines = String::new();
    let mut push = |line: &Json| {
        lines.push_str(&line.to_string());
        lines.push('\n');
    };
    push(&json!({"type": "start", "nodes": ["n0", "n1", "n2"]}));
    for (at, call) in calls.iter().enumerate() {
        let time = 2 * at as u64 * 1_000_000 + if call.settle { 60_000_000_000 } else { 0 };
        let node = format!("n{}", call.process);
        push(&json!({
            "type": "invoke", "process": call.process, "node": node, "workload": "w", "f": call.f, "key": call.key,
            "value": call.input, "settle": call.settle, "time": time,
        }));
        push(&json!({
            "type": call.outcome, "process": call.process, "value": call.output, "time": time + 1_000_000
        }));
    }
    history(&lines)
}

/// Writes of unique values to some keys and reads of them by the writer and by another, by turns.
fn registers(n: u64, settle: bool) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for at in 0..n {
        calls.push(call(0, "write", json!(at % 7), json!(at), Json::Null));
        calls.extend([0, 1].map(|process| call(process, "read", json!(at % 7), Json::Null, json!(at))));
    }
    for at in (n - 7..n).filter(|_| settle) {
        for node in 0..3 {
            calls.push(Call { settle, ..call(node, "read", json!(at % 7), Json::Null, json!(at)) });
        }
    }
    calls
}

/// Transactions on registers, each of which reads what the one before wrote.
fn updates(n: u64) -> Vec<Call> {
    let update = |at: u64| {
        let (key, before) = (at % 7, if at < 7 { Json::Null } else { json!(at - 7) });
        let (asked, told) = (json!([["r", key, null], ["w", key, at]]), json!([["r", key, before], ["w", key, at]]));
        call(at % 3, "txn", Json::Null, asked, told)
    };
    (0..n).map(update).collect()
}

fn lists(n: u64) -> Vec<Call> {
    let append = |at: u64| {
        let (key, known) = (at / 5, (at / 5 * 5..at).collect::<Vec<u64>>());
        let (asked, told) =
            (json!([["r", key, null], ["append", key, at]]), json!([["r", key, known], ["append", key, at]]));
        call(at % 3, "txn", Json::Null, asked, told)
    };
    (0..n).map(append).collect()
}

/// What everybody asks at the end.
fn finally(mut calls: Vec<Call>, f: &'static str, output: &Json) -> Vec<Call> {
    let finals = (0..3).map(|node| Call { settle: true, ..call(node, f, Json::Null, Json::Null, output.clone()) });
    calls.extend(finals);
    calls
}

fn rounds(n: u64, make: impl Fn(u64) -> Call) -> Vec<Call> {
    (0..n).map(make).collect()
}

/// Two processes by turns take and give back.
fn held(n: u64, granted: impl Fn(u64) -> Json) -> Vec<Call> {
    let pair = |at: u64| {
        let take = call(at % 2, "acquire", Json::Null, Json::Null, granted(at));
        [take, call(at % 2, "release", Json::Null, Json::Null, Json::Null)]
    };
    (0..n).flat_map(pair).collect()
}

/// A history of so many rounds that keeps what this checker promises, and the options with which it is judged; none for the checkers that
/// judge faults and roles.
fn kept(checker: &str, n: u64) -> Option<(Vec<Call>, Options)> {
    let mut options = Options::default();
    if checker == "semaphore" {
        options.0.insert("permits".to_owned(), Value::Int(1));
    }
    if ["split-brain", "liveness", "crashes"].contains(&checker) {
        return None;
    }
    let families = [transactions, elements, granted, messages, protocols];
    let calls = families.iter().find_map(|family| family(checker, n));
    Some((calls.unwrap_or_else(|| registers(n, checker == "eventual-convergence")), options))
}

fn nil() -> Json {
    Json::Null
}

fn numbers(n: u64) -> Json {
    json!((0..n).collect::<Vec<u64>>())
}

/// For checkers of transactions and of several keys at once.
fn transactions(checker: &str, n: u64) -> Option<Vec<Call>> {
    Some(match checker {
        "list-append" => lists(n),
        "rw-register" | "mini-transactions" | "read-committed" | "read-atomic" | "causal-transactions" => updates(n),
        "g2" => {
            let insert = |at: u64| Call {
                outcome: if at.is_multiple_of(2) { "ok" } else { "fail" },
                ..call(at % 3, "insert", json!(at / 2), json!([at, null]), nil())
            };
            rounds(n, insert)
        }
        "closed-predicate" => {
            let mut calls = vec![call(0, "init", nil(), json!({}), nil())];
            calls.extend(rounds(n, |at| {
                let (asked, told) =
                    (json!([["rp", ["=", at], null], ["insert", at.to_string(), at]]), ["rp", "insert"]);
                let told = json!([[told[0], ["=", at], {}], [told[1], at.to_string(), at]]);
                call(at % 3, "txn", nil(), asked, told)
            }));
            calls
        }
        "bank" => {
            let pair = |at: u64| {
                let (a, b) = if at.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
                let transfer = call(0, "transfer", nil(), json!({"from": a, "to": b, "amount": 1}), nil());
                [transfer, call(1, "read", nil(), nil(), json!({a: 5, b: 5}))]
            };
            (0..n).flat_map(pair).collect()
        }
        "long-fork" => {
            let group = |at: u64| {
                let write = |key: u64| call(0, "write", json!(key), json!(1), nil());
                let (one, two) = (2 * at, 2 * at + 1);
                let read = |process, seen: Json| {
                    let asked = json!([["r", one, null], ["r", two, null]]);
                    call(process, "txn", nil(), asked, json!([["r", one, 1], ["r", two, seen]]))
                };
                [write(one), read(1, nil()), write(two), read(2, json!(1))]
            };
            (0..n).flat_map(group).collect()
        }
        _ => return None,
    })
}

/// For checkers of what is put somewhere and found there.
fn elements(checker: &str, n: u64) -> Option<Vec<Call>> {
    Some(match checker {
        "set" | "set-full" | "crdt" | "replicas-agree" => {
            finally(rounds(n, |at| call(at % 3, "add", nil(), json!(at), nil())), "read", &numbers(n))
        }
        "queue" => {
            let pair = |at| [call(0, "enqueue", nil(), json!(at), nil()), call(1, "dequeue", nil(), nil(), json!(at))];
            (0..n).flat_map(pair).collect()
        }
        "total-queue" => {
            let mut calls = rounds(n, |at| call(at % 3, "enqueue", nil(), json!(at), nil()));
            calls.push(call(0, "drain", nil(), nil(), numbers(n)));
            calls
        }
        "counter" => {
            let pair = |at: u64| [call(0, "add", nil(), json!(1), nil()), call(1, "read", nil(), nil(), json!(at + 1))];
            (0..n).flat_map(pair).collect()
        }
        "unique-ids" => rounds(n, |at| call(at % 3, "generate", nil(), nil(), json!(at))),
        "monotonic" => {
            let rows: Vec<[u64; 2]> = (0..n).map(|at| [at, at + 1]).collect();
            finally(rounds(n, |at| call(at % 3, "add", nil(), json!(at), nil())), "read", &json!(rows))
        }
        "causal-reverse" => {
            finally(rounds(n, |at| call(at % 3, "write", nil(), json!(at), nil())), "read", &numbers(n))
        }
        _ => return None,
    })
}

/// For checkers of locks.
fn granted(checker: &str, n: u64) -> Option<Vec<Call>> {
    Some(match checker {
        "lock" | "semaphore" => held(n, |_| Json::Null),
        "lease" => held(n, |_| json!({"ttl_ms": 2})),
        "fencing" => held(n, |at| json!(at)),
        _ => return None,
    })
}

/// For checkers of logs and watches.
fn messages(checker: &str, n: u64) -> Option<Vec<Call>> {
    Some(match checker {
        "kafka" => {
            let pair = |at: u64| {
                let send = call(0, "send", nil(), json!([["send", "k", at]]), json!([["send", "k", [at, at]]]));
                [send, call(1, "poll", nil(), json!([["poll"]]), json!([["poll", {"k": [[at, at]]}]]))]
            };
            (0..n).flat_map(pair).collect()
        }
        "watch" => {
            let event = |at: u64| json!({"revision": at + 2, "key": "k", "value": at, "type": "put"});
            let events: Vec<Json> = (0..n).map(event).collect();
            let mut calls = rounds(n, |at| call(0, "put", json!("k"), json!(at), json!(at + 2)));
            calls.push(call(1, "watch", nil(), json!({"key": "k", "revision": 2}), json!(events)));
            calls
        }
        _ => return None,
    })
}

/// For checkers of protocols between nodes.
fn protocols(checker: &str, n: u64) -> Option<Vec<Call>> {
    Some(match checker {
        "atomic-commit" => {
            let pair = |at: u64| {
                let status = |process| call(process, "status", json!(at), nil(), json!("committed"));
                [call(0, "commit", json!(at), nil(), json!("committed")), status(1), status(2)]
            };
            (0..n).flat_map(pair).collect()
        }
        "saga" => {
            let log = json!([["step", "a"], "completed"]);
            let pair = |at: u64| {
                let read = Call { settle: true, ..call(1, "log", json!(at), nil(), log.clone()) };
                [call(0, "start", json!(at), json!(["a"]), nil()), read]
            };
            let (starts, logs): (Vec<Call>, Vec<Call>) = (0..n).flat_map(pair).partition(|call| !call.settle);
            starts.into_iter().chain(logs).collect()
        }
        "leadership" => rounds(n, |at| call(at % 3, "leader", nil(), nil(), json!({"leader": "n1", "term": at}))),
        _ => return None,
    })
}

#[test]
fn nobody_passes_what_there_was_no_time_for() {
    let over = Budget { expired: Arc::new(|| true), ..Budget::unlimited() };
    let mut passed = Vec::new();
    for doc in CHECKERS {
        let Some((calls, options)) = kept(doc.name, ROUNDS) else { continue };
        let (history, checker) = (played(&calls), checker_with(doc.name, &options).expect("in the list"));
        let whole = judge_one(checker.as_ref(), &history, &Budget::unlimited());
        assert_eq!(whole.validity, Validity::Valid, "{}: {}", doc.name, whole.summary);
        let late = judge_one(checker.as_ref(), &history, &over);
        assert_eq!((late.validity, late.findings.len()), (Validity::Unknown, 0), "{}", doc.name);
        if checker.check(&history, &over).validity != Validity::Unknown {
            passed.push(doc.name);
        }
        // The time is up after a few looks: whatever was done by then, it must not be an anomaly.
        for looks in 0..5 {
            let left = AtomicU32::new(looks);
            let short = Arc::new(move || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
            });
            let verdict = checker.check(&history, &Budget { expired: short, ..Budget::unlimited() });
            assert_ne!(verdict.validity, Validity::Invalid, "{}: {}", doc.name, verdict.summary);
        }
    }
    // These are near-linear, and ask only where they have to search.
    assert_eq!(passed, SURE, "these pass with no time at all");
}

/// Checkers that decide such histories in one pass without asking.
const SURE: [&str; 4] = ["list-append", "rw-register", "mini-transactions", "sequential"];

#[test]
fn no_promise_is_valid_that_an_unknown_function_may_have_broken() {
    let mut strict: Vec<&str> = Vec::new();
    for doc in CHECKERS {
        let Some((mut calls, options)) = kept(doc.name, ROUNDS) else { continue };
        let checker = checker_with(doc.name, &options).expect("in the list");
        for (outcome, expected) in [("ok", Validity::Unknown), ("info", Validity::Unknown), ("fail", Validity::Valid)] {
            calls.insert(9, Call { outcome, ..call(7, "frobnicate", calls[8].key.clone(), Json::Null, Json::Null) });
            let verdict = judge_one(checker.as_ref(), &played(&calls), &Budget::unlimited());
            calls.remove(9);
            let expected = if doc.name == "availability" { Validity::Valid } else { expected };
            if outcome == "fail" && verdict.validity == Validity::Unknown {
                strict.push(doc.name);
                continue;
            }
            assert_eq!(verdict.validity, expected, "{}, {outcome}: {}", doc.name, verdict.summary);
            // Some checkers count such calls and do not name them.
            let doubt = ["frobnicate", "1 operation"].iter().any(|words| verdict.summary.contains(words));
            assert!(doubt || expected == Validity::Valid, "{}: {}", doc.name, verdict.summary);
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
    for (what, history) in [("nothing", History::default()), ("other functions", played(&strange))] {
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
        let Some((calls, options)) = kept(name, rounds) else { panic!("{name} judges what clients did") };
        let calls = match name {
            "crdt" | "set-full" => read_often(|at| json!(at)),
            "monotonic" => read_often(|at| json!([at, at + 1])),
            _ => calls.into_iter().map(|call| Call { key: single(name, call.key), ..call }).collect(),
        };
        let (history, checker) = (played(&calls), checker_with(name, &options).expect("in the list"));
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
    let history = played(&registers(1_500, false));
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
