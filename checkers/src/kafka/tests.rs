//! Stories of logs, and the differential test.
use super::{Kafka, fuzz};
use crate::contract::tape::agrees;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

/// Calls one after the other: process, function, value, outcome, reply.
fn judge(calls: &[(u32, &str, &str, &str, &str)]) -> Verdict {
    let line = |(process, f, value, outcome, reply): &(u32, &str, &str, &str, &str)| {
        format!(
            "{{\"type\":\"invoke\",\"process\":{process},\"f\":\"{f}\",\"value\":{value}}}
            {{\"type\":\"{outcome}\",\"process\":{process},\"value\":{reply}}}\n"
        )
    };
    Kafka::new().check(&history(&calls.iter().map(line).collect::<String>()), &Budget::unlimited())
}

const POLL: &str = r#"[["poll"]]"#;
const SEND_A: (u32, &str, &str, &str, &str) = (0, "send", r#"[["send",1,"a"]]"#, "ok", r#"[["send",1,[0,"a"]]]"#);
const SEND_B: (u32, &str, &str, &str, &str) = (0, "send", r#"[["send",1,"b"]]"#, "ok", r#"[["send",1,[2,"b"]]]"#);
const SEND_C: (u32, &str, &str, &str, &str) = (0, "send", r#"[["send",1,"c"]]"#, "ok", r#"[["send",1,[3,"c"]]]"#);

fn poll(process: u32, reply: &'static str) -> (u32, &'static str, &'static str, &'static str, &'static str) {
    (process, "poll", POLL, "ok", reply)
}

fn first_kind(verdict: &Verdict) -> &str {
    verdict.findings.first().map_or("", |finding| &finding.kind)
}

#[test]
fn a_log_read_from_its_beginning_is_valid_and_gaps_are_no_skips() {
    let polls = [poll(1, r#"[["poll",{"1":[[0,"a"],[2,"b"]]}]]"#), poll(1, r#"[["poll",[[1,[[3,"c"]]]]]]"#)];
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, polls[0], polls[1]]);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!((&verdict.numbers["polled"], &verdict.numbers["unseen"]), (&3.into(), &0.into()));
}

#[test]
fn an_acknowledged_message_that_nobody_polls_is_lost_below_what_is_polled_and_unseen_above() {
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, poll(1, r#"[["poll",{"1":[[2,"b"]]}]]"#)]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "lost-write"));
    assert_eq!((&verdict.findings[0].ops[..], &verdict.numbers["unseen"]), (&[0, 6][..], &1.into()));
}

#[test]
fn an_unanswered_poll_in_a_group_may_have_taken_it() {
    let verdict = judge(&[
        SEND_A,
        SEND_B,
        (2, "subscribe", "[1]", "ok", "null"),
        (2, "poll", POLL, "info", "null"),
        poll(1, r#"[["poll",{"1":[[2,"b"]]}]]"#),
    ]);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
}

#[test]
fn one_offset_with_two_values_and_one_value_at_two_offsets() {
    let verdict = judge(&[SEND_A, poll(1, r#"[["poll",{"1":[[0,"x"]]}]]"#)]);
    assert_eq!(verdict.findings[0].title, "offset 0 of log 1 holds \"a\" and \"x\"");
    let verdict = judge(&[SEND_A, poll(1, r#"[["poll",{"1":[[0,"a"],[1,"a"]]}]]"#)]);
    assert_eq!(first_kind(&verdict), "duplicate");
}

#[test]
fn refused_messages_must_not_be_polled() {
    let failed = (0, "send", r#"[["send",1,"f"]]"#, "fail", "null");
    let verdict = judge(&[SEND_A, failed, poll(1, r#"[["poll",{"1":[[0,"a"],[1,"f"]]}]]"#)]);
    assert_eq!((first_kind(&verdict), &verdict.findings[0].ops[..]), ("G1a", &[2, 4][..]));
    assert!(verdict.findings[0].certificate.is_some());
}

#[test]
fn a_process_reads_on_where_it_was_until_it_is_moved() {
    let (first, third) = (poll(1, r#"[["poll",{"1":[[0,"a"]]}]]"#), poll(1, r#"[["poll",{"1":[[3,"c"]]}]]"#));
    let all = poll(2, r#"[["poll",{"1":[[0,"a"],[2,"b"],[3,"c"]]}]]"#);
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, first, third]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "poll-skip"));
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, first, first]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "nonmonotonic-poll"));
    let moved = (1, "assign", "[1]", "ok", "null");
    assert_eq!(judge(&[SEND_A, SEND_B, SEND_C, all, first, moved, third]).validity, Validity::Valid);
    let joined = (1, "subscribe", "[1]", "ok", "null");
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, joined, first, third]);
    assert_eq!((verdict.validity, verdict.findings[0].severity), (Validity::Valid, Severity::Evidence));
}

#[test]
fn inside_one_poll_nothing_may_be_left_out() {
    let all = poll(2, r#"[["poll",{"1":[[0,"a"],[2,"b"],[3,"c"]]}]]"#);
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, poll(1, r#"[["poll",{"1":[[0,"a"],[3,"c"]]}]]"#)]);
    assert_eq!((first_kind(&verdict), &verdict.findings[0].ops[..]), ("int-poll-skip", &[2, 8][..]));
}

#[test]
fn a_producer_s_offsets_go_up() {
    let verdict = judge(&[SEND_B, SEND_A, poll(1, r#"[["poll",{"1":[[0,"a"],[2,"b"]]}]]"#)]);
    assert_eq!((first_kind(&verdict), &verdict.findings[0].ops[..]), ("nonmonotonic-send", &[0, 2][..]));
}

#[test]
fn transactions_that_poll_each_other_are_a_circle() {
    let lines = r#"
        {"type":"invoke","process":0,"f":"send","value":[["send",1,"a"]]}
        {"type":"ok","process":0,"value":[["send",1,[0,"a"]]]}
        {"type":"invoke","process":1,"f":"txn","value":[["poll"],["send",2,"x"]]}
        {"type":"invoke","process":2,"f":"txn","value":[["send",1,"y"],["poll"]]}
        {"type":"ok","process":1,"value":[["poll",{"1":[[0,"a"],[1,"y"]]}],["send",2,[0,"x"]]]}
        {"type":"ok","process":2,"value":[["send",1,[1,"y"]],["poll",{"2":[[0,"x"]]}]]}
        "#;
    let verdict = Kafka::new().check(&history(lines), &Budget::unlimited());
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "G1c"));
    let finding = &verdict.findings[0];
    assert_eq!((&finding.ops[..], finding.cycle.len()), (&[2, 3][..], 2));
    assert_eq!((finding.cycle[0].from, finding.cycle[0].to, finding.cycle[1].to), (2, 3, 2));
    assert!(finding.certificate.is_some());
}

#[test]
fn nothing_sent_or_nothing_polled_is_unknown() {
    assert_eq!(judge(&[SEND_A]).validity, Validity::Unknown);
    assert_eq!(judge(&[poll(1, r#"[["poll",{}]]"#)]).validity, Validity::Unknown);
    let odd = judge(&[SEND_A, poll(1, r#"[["poll",{"1":[[0,"a"]]}]]"#), poll(1, r#"[["poll",{"1":[7]}]]"#)]);
    assert_eq!(odd.validity, Validity::Unknown);
}

#[test]
fn agrees_with_the_definitions() {
    agrees(fuzz::differ);
}
