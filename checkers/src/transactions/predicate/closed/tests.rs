//! What `closed-predicate` says, and whether every serial order agrees.
use super::fuzz::{differ, judged};
use crate::testing::count;
use crate::verdict::Validity;
use serde_json::{Value as Json, json};

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
    assert_eq!(verdict.summary, "#1 read 7 of key x, which no call wrote, and no init says what was there at first.");
    let aborted = [("fail", json!([["w", "x", 7]])), ("ok", json!([["rp", true, {"x": 7}], ["w", "p", 1]]))];
    assert_eq!(judged(&Json::Null, &aborted).findings[0].kind, "garbage-read");
}

#[test]
fn what_is_not_understood_is_named() {
    let verdict = judged(&json!({}), &[("ok", json!([["w", "x", 1], ["rp", ["<", 3], {}]]))]);
    assert_eq!(verdict.summary, "#3 is no transaction with predicates: [\"rp\", [\"<\", 3], {}] is not understood.");
}

#[test]
fn every_serial_order_agrees() {
    let count = count(1_000);
    let stats = differ(3, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > count / 20 && stats.invalid < count * 9 / 10, "{stats:?}");
}
