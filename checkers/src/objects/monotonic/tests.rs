//! Stories of tables with timestamps, and the differential test.
use super::{Monotonic, fuzz};
use crate::random::random_history::agrees;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

fn judge(checker: &Monotonic, lines: &str) -> Verdict {
    checker.check(&history(lines), &Budget::unlimited())
}

fn add(process: u32, value: &str, reply: &str) -> String {
    format!("{process} add null {value} -> ok {reply}\n")
}

fn read(rows: &str) -> String {
    format!("9 read -> ok {rows}\n")
}

#[test]
fn rows_in_order_are_valid_in_any_order_of_the_list() {
    let lines = add(0, "1", "null") + &add(1, "2", "null") + &read("[[2,\"10.05\"],[1,\"10.0400\"]]");
    let verdict = judge(&Monotonic::default(), &lines);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}

#[test]
fn an_earlier_timestamp_for_a_later_add_is_out_of_order() {
    let lines = add(0, "1", "null") + &add(1, "2", "null") + &read("[[1,7],[2,6]]");
    let verdict = judge(&Monotonic::default(), &lines);
    assert_eq!(verdict.validity, Validity::Invalid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("out-of-order", &[0, 2, 4][..]));
    assert_eq!(finding.title, "Out of order: #2 got timestamp 6 and #0 the later 7, but #0 came first");
    let verdict = judge(&Monotonic { per_process: true }, &lines);
    assert_eq!((verdict.validity, verdict.findings[0].severity), (Validity::Valid, Severity::Evidence));
}

#[test]
fn one_process_is_always_in_order() {
    let lines = add(0, "1", "null") + &add(0, "2", "null") + &read("[[1,7],[2,6]]");
    let verdict = judge(&Monotonic { per_process: true }, &lines);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "out-of-order-process"));
}

#[test]
fn values_chosen_by_the_transaction_have_an_order_of_their_own() {
    let lines = "
        0 add ...
        1 add ...
        0 -> ok 1
        1 -> ok 2
        ";
    assert_eq!(judge(&Monotonic::default(), &format!("{lines}{}", read("[[1,5],[2,6]]"))).validity, Validity::Valid);
    let verdict = judge(&Monotonic::default(), &format!("{lines}{}", read("[[1,6],[2,5]]")));
    assert_eq!((verdict.validity, &verdict.findings[0].ops[..]), (Validity::Invalid, &[0, 1, 4][..]));
}

#[test]
fn lost_duplicate_and_unexpected_rows_are_told() {
    let lines = add(0, "1", "null") + &add(0, "2", "null") + &read("[[2,5],[2,6],[3,7]]");
    let verdict = judge(&Monotonic::default(), &lines);
    let kinds: Vec<&str> = verdict.findings.iter().map(|finding| finding.kind.as_str()).collect();
    assert_eq!(kinds, ["lost-row", "duplicate-row", "unexpected-row"]);
}

#[test]
fn too_little_is_unknown() {
    assert_eq!(judge(&Monotonic::default(), &add(0, "1", "null")).validity, Validity::Unknown);
    assert_eq!(judge(&Monotonic::default(), &(read("[]") + &add(0, "1", "null"))).validity, Validity::Unknown);
    let same = add(0, "1", "null") + &add(0, "1", "null") + &read("[[1,5]]");
    assert_eq!(judge(&Monotonic::default(), &same).validity, Validity::Unknown);
}

#[test]
fn agrees_with_the_definition() {
    agrees(fuzz::differ);
}
