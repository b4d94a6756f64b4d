//! Several keys: which are judged to the end, which are left once another is broken, and that this never depends on luck.
use super::register_history;
use crate::history::{Format, ReadOptions, read};
use crate::linearizability::keys::{KeyDecision, judge_all, parts};
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history_of;
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

fn judge(model: &str, history: &crate::History) -> Verdict {
    let options = Options([("model".to_owned(), Value::text(model))].into());
    checker_with("linearizable", &options).expect("a model").check(history, &Budget::unlimited())
}

#[test]
fn a_key_that_is_open_when_another_is_refuted_is_left_and_one_that_was_judged_is_not() {
    let history = register_history(1, 400, 4, 4, false);
    let parts = parts(&history, &[history.ops().at(0).workload]);
    assert_eq!(parts.len(), 4);
    // By the place of a key: right at once, hard for ever, broken in the second round, right in the second round.
    let rounds: Vec<AtomicUsize> = parts.iter().map(|_| AtomicUsize::new(0)).collect();
    let place = |key: &Value| parts.iter().position(|part| part.key.to_value() == *key).expect("one of them");
    let judged = judge_all(
        &parts,
        &Budget::unlimited(),
        false,
        |_| String::new(),
        |part, _| {
            let place = place(&part.key.to_value());
            let round = rounds[place].fetch_add(1, Ordering::Relaxed);
            match (place, round) {
                (0, 0) | (3, 1) => KeyDecision::Fine(None),
                (2, 1) => KeyDecision::Bad(7, "why"),
                _ => KeyDecision::Again,
            }
        },
    );
    let asked: Vec<usize> = rounds.iter().map(|round| round.load(Ordering::Relaxed)).collect();
    assert!(matches!(
        judged[..],
        [KeyDecision::Fine(_), KeyDecision::Left, KeyDecision::Bad(7, "why"), KeyDecision::Fine(_)]
    ));
    assert_eq!(asked, [1, 2, 2, 2], "the key that was left is asked no more");
}

#[test]
fn keys_that_were_left_are_told_as_not_looked_at() {
    let mut lines = String::new();
    // A sum that no subset gives, of numbers that are all different: to refute it takes every subset.
    let adds = 26;
    for process in 0..adds {
        let _ = writeln!(lines, "{process} add 1 {} ...", 1u64 << (process + 1));
    }
    let _ = writeln!(lines, "{adds} read 1 ...");
    for (key, wrong) in [(2, 1), (3, -1)] {
        let (adder, reader) = (100 + key, 200 + key);
        let _ =
            writeln!(lines, "{adder} add {key} 1 ...\n{reader} read {key} ...\n{adder} -> ok\n{reader} -> ok {wrong}");
    }
    let _ = writeln!(lines, "{adds} -> ok 12345");
    for process in 0..adds {
        let _ = writeln!(lines, "{process} -> ok");
    }
    let verdict = judge("counter", &history_of("object", &lines));
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    let number = |name: &str| verdict.numbers[name].as_u64();
    assert_eq!((number("left_keys"), number("bad_keys"), number("checked_keys")), (Some(1), Some(1), Some(3)));
    assert!(
        verdict
            .summary
            .starts_with("1 key of 3 not linearizable (1 not looked at further). Nonlinearizable history of key 3: "),
        "{}",
        verdict.summary
    );
    assert_eq!(verdict.findings.len(), 1, "nothing is said of the key that was left");
}

/// Nothing of an answer changes from time to time, whichever thread was faster.
#[test]
fn one_history_of_fifty_clients_has_one_answer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/kv-50-clients-own2.txt.gz");
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let history = read(Format::PorcupineKv, file, &ReadOptions::default()).expect("a history");
    let first = judge("kv", &history);
    assert_eq!(first.validity, Validity::Invalid, "{}", first.summary);
    assert_eq!(first.numbers["left_keys"], 0, "{}", first.summary);
    let bytes = |verdict: &Verdict| serde_json::to_string(verdict).expect("a verdict is JSON");
    assert!((0..3).all(|_| bytes(&first) == bytes(&judge("kv", &history))));
}
