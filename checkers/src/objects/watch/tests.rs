//! Stories of watches, and the differential test.
use super::{Watch, fuzz};
use crate::random::random_history::agrees;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};

const CHANGES: &str = r#"
    0 put a 1 -> ok 2
    0 txn null [["put","a",2],["put","b",3]] -> ok 3
    0 delete a -> ok 4
    "#;

/// The changes, seen by a watch with this input and these responses.
fn judge(input: &str, responses: &str) -> Verdict {
    let lines = format!("{CHANGES}1 watch null {input} -> ok {responses}");
    Watch.check(&history(&lines), &Budget::unlimited())
}

fn kind(input: &str, responses: &str) -> String {
    let verdict = judge(input, responses);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert!(verdict.findings[0].certificate.is_some());
    verdict.findings[0].kind.clone()
}

const A1: &str = r#"{"revision":2,"key":"a","value":1,"type":"put"}"#;
const A2: &str = r#"{"revision":3,"key":"a","value":2,"type":"put"}"#;
const B3: &str = r#"{"revision":3,"key":"b","value":3,"type":"put"}"#;
const GONE: &str = r#"{"revision":4,"key":"a","type":"delete"}"#;

#[test]
fn a_whole_watch_is_valid_and_so_is_its_beginning() {
    let verdict =
        judge(r#"{"revision":1}"#, &format!("[{A1},[{A2},{B3}],{{\"revision\":3,\"type\":\"progress\"}},{GONE}]"));
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!((&verdict.numbers["covered"], &verdict.numbers["events"]), (&4.into(), &4.into()));
    assert_eq!(judge(r#"{"prefix":"a","revision":2}"#, &format!("[{A1},{A2}]")).validity, Validity::Valid);
    assert_eq!(judge("null", &format!("[[{A2},{B3}]]")).validity, Validity::Valid);
}

#[test]
fn each_broken_guarantee_has_its_name() {
    assert_eq!(kind("null", &format!("[[{A2},{B3}],{A1}]")), "watch-unordered");
    assert_eq!(kind("null", &format!("[{A1},{A1}]")), "watch-duplicate");
    assert_eq!(kind("null", &format!("[{A2},{B3}]")), "watch-not-atomic");
    assert_eq!(kind("null", &format!("[{A1},{A2},{GONE}]")), "watch-not-atomic");
    assert_eq!(kind(r#"{"key":"a"}"#, &format!("[{A1},{GONE}]")), "watch-not-reliable");
    assert_eq!(kind(r#"{"key":"a","revision":2}"#, &format!("[{A2}]")), "watch-not-resumable");
    assert_eq!(kind(r#"{"key":"a","revision":2}"#, r#"[{"revision":2,"type":"progress"}]"#), "watch-not-bookmarkable");
    let late = format!("[{{\"revision\":2,\"type\":\"progress\"}},{A1}]");
    assert_eq!(kind(r#"{"key":"a"}"#, &late), "watch-not-bookmarkable");
    assert_eq!(kind(r#"{"key":"b"}"#, &format!("[{A1}]")), "watch-filter");
    assert_eq!(kind(r#"{"key":"a","revision":3}"#, &format!("[{A1},{A2}]")), "watch-before-start");
    let other = A1.replace("\"value\":1", "\"value\":2");
    assert_eq!(kind("null", &format!("[{other}]")), "watch-wrong-event");
    let foreign = A1.replace("\"value\":1", "\"value\":9").replace("\"revision\":2", "\"revision\":1");
    assert_eq!(kind("null", &format!("[{foreign},{A1}]")), "watch-unexpected-event");
}

#[test]
fn a_gap_names_the_change_and_the_watch() {
    let verdict = judge(r#"{"key":"a"}"#, &format!("[{A1},{GONE}]"));
    let finding = &verdict.findings[0];
    assert_eq!(finding.ops, [2, 6]);
    assert_eq!(
        finding.title,
        "Watch not reliable: #6 did not deliver revision 3 of key a (see #2), but revisions before and after it"
    );
}

#[test]
fn what_is_not_covered_or_not_understood_is_unknown() {
    assert_eq!(judge("null", "[]").validity, Validity::Unknown);
    assert_eq!(judge(r#"{"key":"c","revision":1}"#, "[]").validity, Validity::Unknown);
    assert_eq!(judge("null", "[7]").validity, Validity::Unknown);
    let verdict = judge(r#"{"revision":"x"}"#, &format!("[{A1}]"));
    assert_eq!((verdict.validity, &verdict.numbers["malformed"]), (Validity::Unknown, &1.into()));
}

#[test]
fn agrees_with_the_guarantees() {
    agrees(fuzz::differ);
}
