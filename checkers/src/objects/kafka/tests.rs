//! Stories of logs, and the differential test.
use super::{Isolation, Kafka, fuzz};
use crate::random::random_history::agrees;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

/// Calls one after the other: process, function, value, outcome, reply.
type Calls<'c> = [(u32, &'c str, &'c str, &'c str, &'c str)];

fn judge(calls: &Calls<'_>) -> Verdict {
    judge_with(&Kafka::default(), calls)
}

fn judge_with(kafka: &Kafka, calls: &Calls<'_>) -> Verdict {
    let line = |(process, f, value, outcome, reply): &(u32, &str, &str, &str, &str)| {
        format!("{process} {f} null {value} -> {outcome} {reply}\n")
    };
    kafka.check(&history(&calls.iter().map(line).collect::<String>()), &Budget::unlimited())
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
    assert_eq!(verdict.findings[0].title, "Inconsistent offsets: offset 0 of log 1 holds \"a\" and \"x\"");
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
    // It stays where it was in the logs that it is assigned again, unless it is sent back.
    for function in ["assign", "subscribe"] {
        let other = (1, function, "[2]", "ok", "null");
        assert_eq!(judge(&[SEND_A, SEND_B, SEND_C, all, first, other, third]).validity, Validity::Valid);
        let start = (1, function, r#"{"keys":[1],"seek-to-beginning?":true}"#, "ok", "null");
        let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, first, start, first]);
        assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Valid, 0));
    }
    let again = (1, "assign", "[2,1]", "ok", "null");
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, first, again, third]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "poll-skip"));
    let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, first, again, first]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "nonmonotonic-poll"));
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
        0 send null [["send",1,"a"]] -> ok [["send",1,[0,"a"]]]
        1 txn null [["poll"],["send",2,"x"]] ...
        2 txn null [["send",1,"y"],["poll"]] ...
        1 -> ok [["poll",{"1":[[0,"a"],[1,"y"]]}],["send",2,[0,"x"]]]
        2 -> ok [["send",1,[1,"y"]],["poll",{"2":[[0,"x"]]}]]
        "#;
    let verdict = Kafka::default().check(&history(lines), &Budget::unlimited());
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
    let malformed = judge(&[SEND_A, poll(1, r#"[["poll",{"1":[[0,"a"]]}]]"#), poll(1, r#"[["poll",{"1":[7]}]]"#)]);
    assert_eq!(malformed.validity, Validity::Unknown);
}

#[test]
fn an_unknown_transaction_that_somebody_polled_was_committed_as_a_whole() {
    let unknown = (0, "txn", r#"[["send",1,"a"],["send",2,"b"]]"#, "info", r#"[["send",1,[0,"a"]],["send",2,"b"]]"#);
    let other = (1, "send", r#"[["send",1,"x"]]"#, "ok", r#"[["send",1,[0,"x"]]]"#);
    let proof = poll(2, r#"[["poll",{"2":[[0,"b"]]}]]"#);
    let beyond = poll(2, r#"[["poll",{"1":[[4,"y"]]}]]"#);
    let later = (1, "send", r#"[["send",1,"y"]]"#, "ok", r#"[["send",1,[4,"y"]]]"#);
    let verdict = judge(&[unknown, other, proof, poll(3, r#"[["poll",{"1":[[0,"x"]]}]]"#)]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "inconsistent-offsets"));
    let verdict = judge(&[unknown, later, proof, beyond]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "lost-write"));
    assert!(verdict.findings[0].title.starts_with("Lost write: \"a\", committed by #0 at offset 0 of log 1"));
    // Whether it was committed is not known where no process polled of it, nor where polls show what was not committed.
    assert_eq!(judge(&[unknown, later, beyond]).validity, Validity::Valid);
    let uncommitted = Kafka { isolation: Some(Isolation::ReadUncommitted) };
    assert_eq!(judge_with(&uncommitted, &[unknown, later, proof, beyond]).validity, Validity::Valid);
}

#[test]
fn polls_of_calls_that_were_not_acknowledged_show_what_the_log_holds() {
    for outcome in ["fail", "info"] {
        let aborted = |reply| (1, "txn", POLL, outcome, reply);
        let all = poll(2, r#"[["poll",{"1":[[0,"a"],[2,"b"]]}]]"#);
        let verdict = judge(&[SEND_A, SEND_B, aborted(r#"[["poll",{"1":[[7,"a"]]}]]"#), all]);
        assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "duplicate"), "{outcome}");
        // What one of them showed was polled.
        let third = poll(2, r#"[["poll",{"1":[[3,"c"]]}]]"#);
        let verdict = judge(&[SEND_A, SEND_C, aborted(r#"[["poll",{"1":[[0,"a"]]}]]"#), third]);
        assert_eq!(verdict.validity, Validity::Valid, "{outcome}: {}", verdict.summary);
        assert_eq!(judge(&[SEND_A, SEND_C, aborted("null"), third]).validity, Validity::Invalid, "{outcome}");
        // One list is one answer.
        let verdict = judge(&[SEND_A, SEND_B, SEND_C, all, aborted(r#"[["poll",{"1":[[0,"a"],[3,"c"]]}]]"#)]);
        assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "int-poll-skip"), "{outcome}");
        // Nor does what was refused become a message by it: that promise holds for what was acknowledged.
        let refused = (0, "send", r#"[["send",1,"f"]]"#, "fail", "null");
        let verdict = judge(&[SEND_A, SEND_B, all, refused, aborted(r#"[["poll",{"1":[[4,"f"]]}]]"#)]);
        assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Valid, "G1a"), "{outcome}");
    }
}

#[test]
fn a_client_that_aborts_polls_again_what_it_had_polled() {
    let first = poll(1, r#"[["poll",{"1":[[0,"a"]]}]]"#);
    let aborted = (1, "txn", POLL, "fail", r#"[["poll",{"1":[[2,"b"]]}]]"#);
    let (again, on) = (poll(1, r#"[["poll",{"1":[[2,"b"]]}]]"#), poll(1, r#"[["poll",{"1":[[3,"c"]]}]]"#));
    let all = poll(2, r#"[["poll",{"1":[[0,"a"],[2,"b"],[3,"c"]]}]]"#);
    let sends = [SEND_A, SEND_B, SEND_C, all];
    let judged = |rest: &Calls<'_>| judge(&[&sends[..], rest].concat());
    assert_eq!(judged(&[first, aborted, again, on]).validity, Validity::Valid);
    for rest in [&[first, aborted, on][..], &[aborted, on]] {
        let verdict = judged(rest);
        let finding = &verdict.findings[0];
        assert_eq!(
            (verdict.validity, finding.severity),
            (Validity::Unknown, Severity::Evidence),
            "{}",
            verdict.summary
        );
        assert_eq!(finding.kind, "poll-skip");
        assert!(verdict.summary.contains("aborted calls"), "{}", verdict.summary);
    }
    // In a group others may have taken it; an answer of an unknown form says nothing.
    let joined = (1, "subscribe", "[1]", "ok", "null");
    assert_eq!(judged(&[joined, first, aborted, on]).validity, Validity::Valid);
    assert_eq!(judged(&[first, (1, "txn", POLL, "fail", "null"), on]).validity, Validity::Valid);
}

#[test]
fn an_offset_that_no_answer_tells_is_where_the_message_was_polled() {
    let both = (0, "send", r#"[["send",1,"d"],["send",1,"b"]]"#, "info", "null");
    let polls = poll(1, r#"[["poll",{"1":[[2,"b"],[4,"d"]]}]]"#);
    let verdict = judge(&[both, (2, "send", r#"[["send",2,"z"]]"#, "ok", r#"[["send",2,[0,"z"]]]"#), polls]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "int-nonmonotonic-send"));
    // At two offsets, or sent twice, it could be either.
    let d = (0, "send", r#"[["send",1,"d"]]"#, "ok", r#"[["send",1,[null,"d"]]]"#);
    let b = (0, "send", r#"[["send",1,"b"]]"#, "ok", r#"[["send",1,[null,"b"]]]"#);
    assert_eq!(first_kind(&judge(&[d, b, polls])), "nonmonotonic-send");
    assert_eq!(judge(&[d, b, d, polls]).findings.len(), 0);
}

#[test]
fn a_transaction_does_not_poll_what_it_has_not_committed() {
    let own = (0, "txn", r#"[["send",1,"a"],["poll"]]"#, "ok", r#"[["send",1,[0,"a"]],["poll",{"1":[[0,"a"]]}]]"#);
    let verdict = judge(&[own]);
    let finding = &verdict.findings[0];
    assert_eq!((verdict.validity, finding.severity), (Validity::Unknown, Severity::Evidence));
    assert_eq!(finding.kind, "precommitted-read");
    let with = |isolation| judge_with(&Kafka { isolation: Some(isolation) }, &[own]);
    let verdict = with(Isolation::ReadCommitted);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "precommitted-read"));
    assert!(verdict.findings[0].certificate.is_some());
    assert_eq!(with(Isolation::ReadUncommitted).validity, Validity::Valid);
}

#[test]
fn what_is_not_understood_is_doubted_where_it_can_matter() {
    let failed = (0, "send", r#"[["send",2,"f"]]"#, "fail", "null");
    let read = poll(1, r#"[["poll",{"1":[[0,"a"]],"2":[[0,"f"]]}]]"#);
    // An answer that repeats the call, or is left out, tells no offset and nothing else.
    for echo in ["null", r#"[["send",1,"a"]]"#] {
        let verdict = judge(&[(0, "send", r#"[["send",1,"a"]]"#, "ok", echo), failed, read]);
        assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "G1a"), "{}", verdict.summary);
        assert_eq!(verdict.numbers["malformed"], 0);
    }
    // A value that looks like an offset with its value is one only where it is not the call's.
    let pair = (0, "send", r#"[["send",1,[3,"x"]]]"#, "ok", r#"[["send",1,[3,"x"]]]"#);
    let verdict = judge(&[pair, poll(1, r#"[["poll",{"1":[[0,[3,"x"]]]}]]"#)]);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    let malformed = |log: &'static str| (0, "send", log, "ok", r#"[["send",2,[0,"?"]]]"#);
    let verdict = judge(&[SEND_A, malformed(r#"[["send",2,"b"]]"#), failed, read]);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    let other = (0, "send", r#"[["send",3,"f"]]"#, "fail", "null");
    let third = poll(1, r#"[["poll",{"3":[[0,"f"]]}]]"#);
    assert_eq!(judge(&[SEND_A, malformed(r#"[["send",2,"b"]]"#), other, third]).validity, Validity::Invalid);
}

#[test]
fn sends_and_polls_may_all_be_transactions() {
    let sent = (0, "txn", r#"[["send",1,"a"],["send",1,"b"]]"#, "ok", r#"[["send",1,[0,"a"]],["send",1,[1,"b"]]]"#);
    let verdict = judge(&[sent, (1, "txn", POLL, "ok", r#"[["poll",{"1":[[1,"b"]]}]]"#)]);
    assert_eq!((verdict.validity, first_kind(&verdict)), (Validity::Invalid, "lost-write"));
    // The summary says what was looked at.
    let verdict = judge(&[(0, "send", r#"[["send",1,"a"],["send",1,"b"]]"#, "info", "null")]);
    assert!(verdict.summary.starts_with("None of 2 sends was acknowledged"), "{}", verdict.summary);
    let verdict = judge(&[(0, "assign", "[1]", "ok", "null")]);
    assert_eq!(verdict.summary, "No call sends or polls, so nothing can be judged.");
}

#[test]
fn agrees_with_the_definitions() {
    agrees(fuzz::differ);
}
