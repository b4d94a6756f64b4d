//! What `closed-predicate` says, and whether every serial order agrees.
use super::ClosedPredicate;
use crate::random::Rng;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// `init`, unless it is null, then transactions one after the other, each by its outcome and reply.
fn judged(init: &Json, txns: &[(&str, Json)]) -> Verdict {
    let mut lines = vec![json!({"type": "start", "nodes": ["n1"]})];
    if !init.is_null() {
        lines.push(json!({"type": "invoke", "process": 0, "f": "init", "value": init}));
        lines.push(json!({"type": "ok", "process": 0}));
    }
    for (process, (outcome, mops)) in (1..).zip(txns) {
        let asked: Vec<Json> = mops
            .as_array()
            .expect("a list")
            .iter()
            .map(|mop| if mop[0] == "r" || mop[0] == "rp" { json!([mop[0], mop[1], null]) } else { mop.clone() })
            .collect();
        lines.push(json!({"type": "invoke", "process": process, "f": "txn", "value": asked}));
        let value = if *outcome == "ok" { mops.clone() } else { Json::Null };
        lines.push(json!({"type": outcome, "process": process, "value": value}));
    }
    let lines: Vec<String> = lines.iter().map(Json::to_string).collect();
    ClosedPredicate.check(&history(&lines.join("\n")), &Budget::unlimited())
}

#[test]
fn inserts_that_miss_each_other_are_an_anomaly() {
    let txns =
        [("ok", json!([["rp", true, {}], ["insert", "x", 1]])), ("ok", json!([["rp", true, {}], ["insert", "y", 1]]))];
    let verdict = judged(&json!({}), &txns);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "G2"));
    assert_eq!(verdict.findings[0].cycle.len(), 2);
    let seen = [txns[0].clone(), ("ok", json!([["rp", true, {"x": 1}], ["insert", "y", 1]]))];
    assert_eq!(judged(&json!({}), &seen).validity, Validity::Valid);
}

#[test]
fn what_cannot_be_missing_is_missed() {
    let verdict =
        judged(&json!({"x": 2}), &[("ok", json!([["rp", ["mod", 2, 0], {}]])), ("ok", json!([["w", "x", 4]]))]);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "predicate-read-miss"));
    let deleted = [("ok", json!([["rp", true, {}]])), ("info", json!([["delete", "x"]]))];
    assert_eq!(judged(&json!({"x": 2}), &deleted).validity, Validity::Valid);
}

#[test]
fn crowded_keys_and_no_predicates_are_unknown() {
    let crowded = [("ok", json!([["w", "x", 1], ["rp", true, {"x": 1}]])), ("ok", json!([["w", "x", 2]]))];
    assert_eq!(judged(&json!({}), &crowded).validity, Validity::Unknown);
    assert_eq!(judged(&json!({}), &[("ok", json!([["w", "x", 1]]))]).validity, Validity::Unknown);
    assert_eq!(judged(&json!({}), &[("ok", json!([["rp", "odd", {}]]))]).validity, Validity::Unknown);
}

#[test]
fn nil_of_a_key_that_init_set_is_a_stale_state() {
    let verdict = judged(&json!({"x": 2}), &[("ok", json!([["r", "x", null], ["rp", true, {"x": 2}]]))]);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "G-single-item"));
    assert_eq!(
        verdict.findings[0].title,
        "G-single-item: #3 read nil of key x: a stale state, from before #1 (init) set it to 2"
    );
    let aborted = [("fail", json!([["delete", "x"]])), ("ok", json!([["r", "x", null], ["rp", true, {"x": 2}]]))];
    assert_eq!(judged(&json!({"x": 2}), &aborted).findings[0].kind, "garbage-read");
}

#[test]
fn without_init_nothing_was_there() {
    let unseen = [
        ("ok", json!([["w", "p", 1], ["rp", "true", {"p": 1}]])),
        ("ok", json!([["w", "q", 2], ["rp", "true", {"q": 2}]])),
    ];
    let verdict = judged(&Json::Null, &unseen);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "G2"));
    // Rows may have been there before: a question.
    let preloaded = [("ok", json!([["rp", true, {"x": 7}], ["w", "p", 1]]))];
    let verdict = judged(&Json::Null, &preloaded);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert_eq!(verdict.summary, "#1 read 7 of key x, which nobody wrote, and no init says what was there at first.");
    let aborted = [("fail", json!([["w", "x", 7]])), ("ok", json!([["rp", true, {"x": 7}], ["w", "p", 1]]))];
    assert_eq!(judged(&Json::Null, &aborted).findings[0].kind, "garbage-read");
}

#[test]
fn what_is_not_understood_is_named() {
    let verdict = judged(&json!({}), &[("ok", json!([["w", "x", 1], ["rp", ["<", 3], {}]]))]);
    assert_eq!(verdict.summary, "#3 is no transaction with predicates: [\"rp\", [\"<\", 3], {}] is not understood.");
}

type State = BTreeMap<String, i64>;

fn matches(predicate: &Json, value: i64) -> bool {
    predicate == &json!(true)
        || (predicate[0] == "=" && predicate[1] == value)
        || (predicate[0] == "mod" && value % 2 == predicate[2].as_i64().expect("a number"))
}

/// Runs a transaction; None where what it read is not what this state shows. Without an answer nothing was read.
fn run(state: &State, answered: bool, mops: &Json) -> Option<State> {
    let mut state = state.clone();
    for mop in mops.as_array()? {
        let key = mop[1].as_str().unwrap_or_default().to_owned();
        match mop[0].as_str()? {
            "insert" | "w" => drop(state.insert(key, mop[2].as_i64()?)),
            "delete" => drop(state.remove(&key)),
            "r" if answered && mop[2] != json!(state.get(&key)) => return None,
            "rp" if answered => {
                let found: State = state
                    .iter()
                    .filter(|one| matches(&mop[1], *one.1))
                    .map(|(key, value)| (key.clone(), *value))
                    .collect();
                if mop[2] != json!(found) {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(state)
}

/// Whether some serial order of the answered and some of the unanswered transactions explains all.
fn serializable(state: &State, left: &[&(&str, Json)]) -> bool {
    left.iter().all(|txn| txn.0 != "ok")
        || (0..left.len()).any(|at| {
            let rest: Vec<&(&str, Json)> =
                left.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, txn)| *txn).collect();
            run(state, left[at].0 == "ok", &left[at].1).is_some_and(|state| serializable(&state, &rest))
        })
}

#[test]
fn every_serial_order_agrees() {
    let mut rng = Rng::new(3);
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let mut invalid = 0;
    for _ in 0..count {
        let mut init = State::new();
        let mut free: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let bare = rng.percent(20);
        for key in &free {
            if !bare && rng.percent(40) {
                init.insert(key.clone(), rng.below(3) as i64);
            }
        }
        let mut txns: Vec<(&str, Json)> = Vec::new();
        let mut states = vec![init.clone()];
        for _ in 0..2 + rng.below(3) {
            // Now and then an old state is read.
            let snapshot =
                if rng.percent(20) { states.last() } else { states.get(rng.below(states.len() as u64) as usize) };
            let mut state = snapshot.cloned().unwrap_or_default();
            let outcome = *rng.pick(&["ok", "ok", "ok", "ok", "info", "fail"]);
            let mut mops = Vec::new();
            let mut newest = states.last().cloned().unwrap_or_default();
            for _ in 0..1 + rng.below(3) {
                let key = free.first().cloned().filter(|_| rng.percent(40));
                match key {
                    Some(key) => {
                        free.remove(0);
                        if state.contains_key(&key) && rng.percent(40) {
                            mops.push(json!(["delete", key]));
                            state.remove(&key);
                            newest.remove(&key);
                        } else {
                            let value = 3 + rng.below(6) as i64;
                            mops.push(json!(["w", key, value]));
                            state.insert(key.clone(), value);
                            newest.insert(key, value);
                        }
                    }
                    None if rng.percent(30) => {
                        let key = *rng.pick(&["a", "b", "c", "d"]);
                        mops.push(json!(["r", key, state.get(key)]));
                    }
                    None => {
                        let predicate = rng
                            .pick(&[json!(true), json!(["mod", 2, 0]), json!(["mod", 2, 1]), json!(["=", 4])])
                            .clone();
                        let mut found: State = state
                            .iter()
                            .filter(|one| matches(&predicate, *one.1))
                            .map(|(key, value)| (key.clone(), *value))
                            .collect();
                        if rng.percent(12) {
                            found.pop_first();
                        }
                        mops.push(json!(["rp", predicate, found]));
                    }
                }
            }
            if outcome == "ok" || (outcome == "info" && rng.percent(50)) {
                states.push(newest);
            }
            txns.push((outcome, Json::Array(mops)));
        }
        let left: Vec<&(&str, Json)> = txns.iter().filter(|txn| txn.0 != "fail").collect();
        let expected = serializable(&init, &left);
        invalid += u64::from(!expected);
        let verdict = judged(&if bare { Json::Null } else { json!(init) }, &txns);
        let agrees = match verdict.validity {
            Validity::Valid => expected,
            Validity::Invalid => !expected,
            Validity::Unknown => {
                let writes = |txn: &&(&str, Json)| {
                    let mops = txn.1.as_array().into_iter().flatten();
                    mops.filter(|mop| !matches!(mop[0].as_str(), Some("r" | "rp"))).count() > 0
                };
                let still = !left.iter().any(writes) && verdict.summary.starts_with("Nothing was written");
                expected && (still || verdict.summary == "No predicate was read.")
            }
        };
        assert!(
            agrees,
            "{expected} {:?} {} {:?}\n{init:?}\n{txns:#?}",
            verdict.validity, verdict.summary, verdict.findings
        );
    }
    assert!(invalid > count / 20 && invalid < count * 9 / 10, "{invalid} of {count}");
}
