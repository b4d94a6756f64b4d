//! Random transactions with predicates, judged by the checker and by every serial order.
use super::ClosedPredicate;
use crate::history::read_jsonl;
use crate::oracles::cases::{CheckerCases, Long, call, rounds};
use crate::random::{Rng, Stats};
use crate::testing::complete;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use serde_json::Value::Null;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What the tests of all checkers ask of `closed-predicate`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(
        &[],
        "1 init null {\"1\":1} -> ok\n 2 txn null [[\"rp\",true,null]] -> ok [[\"rp\",true,{\"1\":1}]]",
    )]),
    right_and_wrong: Ok(&[(
        &[],
        r#"1 init null {"1":1} -> ok
               1 txn null [["w",1,2]] -> ok [["w",1,2]]
               2 txn null [["rp",true,null]] -> ok [["rp",true,{"1":2}]]"#,
        r#"1 init null {"1":1,"2":1} -> ok
               1 txn null [["rp",true,null],["w",1,2]] -> ok [["rp",true,{"1":1,"2":1}],["w",1,2]]
               2 txn null [["rp",true,null],["w",2,2]] -> ok [["rp",true,{"1":1,"2":1}],["w",2,2]]"#,
    )]),
    long: Ok(Long::of(|n| {
        let insert = |at: u64| {
            let (asked, told) = (
                json!([["rp", ["=", at], null], ["insert", at.to_string(), at]]),
                json!([["rp", ["=", at], {}], ["insert", at.to_string(), at]]),
            );
            call(at % 3, "txn", Null, asked, told)
        };
        std::iter::once(call(0, "init", Null, json!({}), Null)).chain(rounds(n, insert)).collect()
    })),
    comparisons: Ok(&[("closed-predicate", differ)]),
};

/// `init`, unless it is null, then transactions one after the other, each by its outcome and reply.
pub(crate) fn judged(init: &Json, txns: &[(&str, Json)]) -> Verdict {
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
        let value = if *outcome == "ok" { mops.clone() } else { Null };
        lines.push(json!({"type": outcome, "process": process, "value": value}));
    }
    let lines: Vec<String> = lines.iter().map(Json::to_string).collect();
    let history = read_jsonl(complete(&lines.join("\n")).as_bytes()).expect("a valid history");
    crate::random::shown(&history, ClosedPredicate.check(&history, &Budget::unlimited()))
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

/// What `init` sets, none where it is not called, and the transactions, each by its outcome and reply.
fn transactions(rng: &mut Rng) -> (State, bool, Vec<(&'static str, Json)>) {
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
                    let predicate =
                        rng.pick(&[json!(true), json!(["mod", 2, 0]), json!(["mod", 2, 1]), json!(["=", 4])]).clone();
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
    (init, bare, txns)
}

/// Judges random histories twice.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let (init, bare, txns) = transactions(&mut rng);
        let left: Vec<&(&str, Json)> = txns.iter().filter(|txn| txn.0 != "fail").collect();
        let expected = serializable(&init, &left);
        stats.histories += 1;
        stats.invalid += u64::from(!expected);
        let verdict = judged(&if bare { Null } else { json!(init) }, &txns);
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
        if !agrees {
            return Err(format!("serializable: {expected}: {verdict:?}\n{init:?}\n{txns:#?}"));
        }
    }
    Ok(stats)
}
