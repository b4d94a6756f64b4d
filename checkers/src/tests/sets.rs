//! The set checker.
use crate::objects::set::SetChecker;
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history_of;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

fn judge(lines: &str) -> Verdict {
    SetChecker::default().check(&history_of("set", lines), &Budget::unlimited())
}

fn judge_with(option: &str, value: &str, lines: &str) -> Verdict {
    let value = if value == "true" { Value::Bool(true) } else { Value::text(value) };
    let options = Options([(option.to_owned(), value)].into());
    checker_with("set", &options).expect("it takes them").check(&history_of("set", lines), &Budget::unlimited())
}

const ADDS: &str = r#"
    {"type":"start","nodes":["n1","n2"]}
    0 add null 1 -> ok
    {"type":"fault","fault":3,"kind":"partition","step":"begun","what":"partition: n1 | n2"}
    0 add null 2 -> ok
    n2: 1 add null 3 -> info: timeout
    {"type":"fault","fault":3,"kind":"partition","step":"healed"}
    0 add null 4 -> fail: refused
    0 add null 5 -> ok
    "#;

fn finals(one: &str, two: &str) -> String {
    format!(
        "{ADDS}
        settle 0 read ...
        {one}
        settle n2: 2 read ...
        {two}"
    )
}

fn read(process: u32, elements: &str) -> String {
    format!("{process} -> ok {elements}")
}

#[test]
fn everything_there_is_valid_and_an_unknown_add_may_be_there() {
    let verdict = judge(&finals(&read(0, "[1,2,3,5]"), &read(2, "[5,3,2,1]")));
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!(verdict.numbers["recovered"], 1);
    assert_eq!(verdict.workload, "set");
    assert!(verdict.findings.is_empty());
}

#[test]
fn lost_acknowledged_elements_are_told_with_node_and_fault() {
    let verdict = judge(&finals(&read(0, "[1]"), &read(2, "[1]")));
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!(verdict.numbers["lost"], 2);
    assert_eq!(verdict.numbers["lost_by_node"], serde_json::json!({"n1": 2}));
    assert_eq!(verdict.numbers["lost_by_fault"], serde_json::json!({"3": 1, "after 3": 1}));
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.faults[..]), ("lost-write", &[3][..]));
    assert_eq!(finding.ops, [4, 11, 15]);
    let text = finding.sentences.join("\n");
    assert!(text.contains("n1 had acknowledged 2 of them: 2, 5."), "{text}");
    assert!(text.contains("1 of them were added after fault 3 (partition: n1 | n2) had healed."), "{text}");
    assert!(text.contains("a window of 0.007 s"), "{text}");
    // A fault that had healed by then was not in force.
    let later = judge(&finals(&read(0, "[1,2]"), &read(2, "[1,2]")));
    assert_eq!(later.findings[0].faults, [0u64; 0], "{:?}", later.findings[0].sentences);
    assert!(later.findings[0].sentences.iter().any(|line| line.contains("after fault 3")));
}

#[test]
fn nodes_that_differ_at_the_end_are_never_valid() {
    let verdict = judge(&finals(&read(0, "[1,2,5]"), &read(2, "[1]")));
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("of 3 acknowledged adds n2 lacks 2"), "{}", verdict.summary);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.severity), ("replicas-differ", Severity::Evidence));
    assert_eq!(finding.nodes, ["n2"]);
    assert!(finding.sentences[0].contains("2 of them acknowledged, the first by #4"), "{:?}", finding.sentences);
    // An add in doubt may be the reason, but the nodes differ all the same.
    let doubt = judge(&finals(&read(0, "[1,2,3,5]"), &read(2, "[1,2,5]")));
    assert_eq!(doubt.validity, Validity::Unknown, "{}", doubt.summary);
    assert!(doubt.summary.contains("n2 lacks 1 element that were never acknowledged"), "{}", doubt.summary);
    let any = judge_with("final_reads", "any-node", &finals(&read(0, "[1,2,5]"), &read(2, "[1]")));
    assert_eq!(any.validity, Validity::Unknown, "{}", any.summary);
}

#[test]
fn what_the_leader_alone_lacks_is_no_pass() {
    let leads = |node: &str| {
        let roles = [("n1", "follower"), ("n2", "follower"), (node, "leader")];
        let line =
            |(node, role): &(&str, &str)| format!("{{\"type\":\"role\",\"node\":\"{node}\",\"role\":\"{role}\"}}\n");
        let claims: String = roles.iter().map(line).collect();
        finals(&format!("{claims}{}", read(0, "[1,2,5]")), &read(2, "[1]"))
    };
    let verdict = judge(&leads("n2"));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.starts_with("n2, which led, lacks 2 of 3"), "{}", verdict.summary);
    let other = judge(&leads("n1"));
    assert_eq!(other.validity, Validity::Unknown, "a replica may lag, but nobody knows: {}", other.summary);
    let by_leader = |node: &str| judge_with("final_reads", "leader", &leads(node));
    assert_eq!(by_leader("n1").validity, Validity::Valid, "the leader decides: {}", by_leader("n1").summary);
    assert_eq!(by_leader("n1").findings[0].kind, "replicas-differ");
    assert_eq!((by_leader("n2").validity, &by_leader("n2").numbers["lost"]), (Validity::Invalid, &2.into()));
    let unheard = leads("n2").replace(&read(2, "[1]"), "2 -> fail: not-leader");
    let unheard = judge_with("final_reads", "leader", &unheard);
    assert_eq!(unheard.validity, Validity::Unknown, "{}", unheard.summary);
    assert!(unheard.summary.contains("No final read of n2, which led"), "{}", unheard.summary);
}

#[test]
fn a_failed_final_read_says_nothing() {
    let failed = "2 -> fail: refused";
    let verdict = judge(&finals(&read(0, "[1,2,5]"), failed));
    assert_eq!(verdict.validity, Validity::Unknown, "n2 may hold anything: {}", verdict.summary);
    let told =
        "No final read succeeded on n2, so what it holds is not known; the final reads of the other nodes have all 3";
    assert!(verdict.summary.starts_with(told), "{}", verdict.summary);
    let any = judge_with("final_reads", "any-node", &finals(&read(0, "[1,2,5]"), failed));
    assert_eq!(any.validity, Validity::Valid, "{}", any.summary);
    assert!(verdict.summary.ends_with("1 final read failed: 1 x refused on n2."), "{}", verdict.summary);
    let none = judge(&finals("0 -> fail", failed));
    assert_eq!(none.validity, Validity::Unknown);
    let told = "No final read succeeded for 1 set of 1, so what became of 3 acknowledged adds is not known. \
                2 final reads failed: 1 x no reason given, 1 x refused on n1, n2.";
    assert_eq!(none.summary, told);
    let unreadable = judge(&finals(&read(0, "null"), failed));
    assert_eq!(unreadable.validity, Validity::Unknown);
}

#[test]
fn what_a_silent_node_may_have_is_missing_and_not_lost() {
    let failed = "2 -> fail: refused";
    let verdict = judge(&finals(&read(0, "[1]"), failed));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert_eq!((&verdict.numbers["lost"], &verdict.numbers["missing"]), (&0.into(), &2.into()));
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.severity), ("missing-element", Severity::Evidence));
    assert!(verdict.summary.contains("n2 never answered"), "{}", verdict.summary);
}

#[test]
fn elements_never_added_or_added_in_vain_are_unexpected() {
    let verdict = judge(&finals(&read(0, "[1,2,5,4,9]"), &read(2, "[1,2,5,9]")));
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!(verdict.numbers["unexpected"], 2);
    assert_eq!(verdict.findings[0].kind, "unexpected-element");
}

#[test]
fn an_element_twice_in_one_read_is_duplicated() {
    let verdict = judge(&finals(&read(0, "[1,2,2,5]"), &read(2, "[1,2,5]")));
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!((verdict.findings[0].kind.as_str(), &verdict.findings[0].ops[..]), ("duplicated-element", &[13][..]));
}

#[test]
fn an_add_acknowledged_after_the_reads_began_is_neither_lost_nor_there() {
    let lines = "
        0 add null 1 -> ok
        1 add null 2 ...
        settle 0 read ...
        1 -> ok
        0 -> ok [1]
        ";
    assert_eq!(judge(lines).validity, Validity::Unknown);
    assert_eq!(judge(&lines.replace("[1]", "[1,2]")).validity, Validity::Valid);
}

#[test]
fn seen_once_and_gone_is_evidence() {
    let lines = "
        0 add null 1 -> ok
        1 add null 2 -> info
        0 read -> ok [1,2]
        settle 0 read -> ok [1]
        ";
    let verdict = judge(lines);
    assert_eq!(verdict.validity, Validity::Valid);
    assert_eq!(verdict.findings[0].kind, "vanished-element");
}

#[test]
fn no_add_acknowledged_is_unknown() {
    let verdict = judge("0 add null 1 ...");
    assert_eq!(verdict.validity, Validity::Unknown);
    assert_eq!(judge("").validity, Validity::Unknown);
}

#[test]
fn the_last_read_of_another_tool_is_the_final_one() {
    let lines = |read: &str| {
        format!(
            "
            0 add null 1 -> ok
            1 read -> ok []
            1 read -> ok {read}
            1 read -> fail
            "
        )
    };
    let verdict = judge(&lines("[1]"));
    assert_eq!(
        (verdict.validity, &verdict.numbers["final_reads"]),
        (Validity::Valid, &1.into()),
        "{}",
        verdict.summary
    );
    let verdict = judge(&lines("[]"));
    assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", verdict.summary);
    let ours = format!("{{\"type\":\"start\",\"nodes\":[\"n1\"]}}\n{}", lines("[]"));
    assert_eq!(judge(&ours).validity, Validity::Unknown, "a recording that may have been cut off");
    let phased = format!("{}\n{{\"type\":\"phase\",\"phase\":\"settle\"}}", lines("[]"));
    assert_eq!(judge(&phased).validity, Validity::Unknown, "it has final reads, and none came");
    let marked = lines("[]").replace("1 read", "settle 1 read").replace("[]", "[1]");
    assert_eq!(judge(&marked).validity, Validity::Valid, "marked reads count");
}

/// One element, acknowledged, and these final reads, one after the other: process, node, reply.
fn ends(reads: &[(u32, &str, &str)]) -> String {
    let read = |(process, node, reply): &(u32, &str, &str)| {
        let reply = if reply.starts_with('[') { format!("ok {reply}") } else { (*reply).to_owned() };
        format!("settle {node}: {process} read -> {reply}\n")
    };
    let reads: String = reads.iter().map(read).collect();
    format!(
        r#"
        {{"type":"start","nodes":["n1","n2"]}}
        0 add null 1 -> ok
        {reads}"#
    )
}

#[test]
fn a_later_final_read_that_lacks_what_an_earlier_one_had_has_lost_it() {
    // Of one node, by one client or two; of clients of which no node is known, whichever they are.
    for reads in [
        [(1, "n1", "[1]"), (1, "n1", "[]")],
        [(1, "n1", "[1]"), (2, "n1", "[]")],
        [(1, "?", "[1]"), (1, "?", "[]")],
        [(1, "?", "[1]"), (2, "?", "[]")],
    ] {
        let verdict = judge(&ends(&reads));
        assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()), "{reads:?}");
        let finding = &verdict.findings[0];
        assert_eq!((finding.kind.as_str(), finding.severity), ("lost-write", Severity::Violation));
        let text = finding.sentences.join(" ");
        assert!(text.contains("an earlier final read, had 1 of them"), "{text}");
        assert!(text.contains("final_reads: until-empty"), "{text}");
    }
    let back = judge(&ends(&[(1, "n1", "[]"), (1, "n1", "[1]")]));
    assert_eq!(back.validity, Validity::Valid, "it was late: {}", back.summary);
    // Another node has it still: this one has lost it all the same.
    let verdict = judge(&ends(&[(1, "n1", "[1]"), (2, "n2", "[1]"), (3, "n1", "[]")]));
    assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", verdict.summary);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("lost-write", &[1, 3, 7][..]));
    assert_eq!(finding.title, "Lost write: 1 acknowledged element lost on n1 between two final reads");
    // Reads of one node that overlap have no order.
    let beside = r#"
        {"type":"start","nodes":["n1"]}
        0 add null 1 -> ok
        settle 1 read ...
        settle 2 read ...
        1 -> ok [1]
        2 -> ok []
        "#;
    assert_eq!(judge(beside).validity, Validity::Valid);
}

#[test]
fn what_is_certainly_absent_is_lost_and_no_other_failure_is() {
    let gone = judge(&ends(&[(1, "n1", "fail: absent: js10059 stream not found"), (2, "n2", "fail: absent: gone")]));
    assert_eq!((gone.validity, &gone.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", gone.summary);
    assert!(gone.findings[0].sentences.join(" ").contains("found nothing to read there"), "{:?}", gone.findings);
    for reply in
        ["fail: js10059: stream not found", "info: absent: perhaps", "fail: absent", "fail: undeclared absent: x"]
    {
        let verdict = judge(&ends(&[(1, "n1", reply), (2, "n2", reply)]));
        assert_eq!(verdict.validity, Validity::Unknown, "{reply}: {}", verdict.summary);
        assert!(verdict.summary.contains("2 final reads failed: 2 x"), "{}", verdict.summary);
        assert!(verdict.summary.contains("1 acknowledged add"), "{}", verdict.summary);
    }
}

#[test]
fn a_node_that_was_asked_is_not_silent_whoever_answered() {
    // The client of n2 was answered by n1 in the end, after n1 had refused it, in n1's name.
    let reads = |second: &str| {
        format!(
            r#"{}
            settle 1 read -> ok []
            settle n2: 2 read ...
            {{"type":"fail","process":2,"node":"n1","error":"not-leader"}}
            {second}"#,
            ends(&[])
        )
    };
    let silent = judge(&reads(""));
    assert_eq!((silent.validity, &silent.numbers["missing"]), (Validity::Unknown, &1.into()), "{}", silent.summary);
    assert!(silent.summary.contains("n2 never answered one and may have them"), "{}", silent.summary);
    assert!(silent.summary.ends_with("1 final read failed: 1 x not-leader on n2."), "{}", silent.summary);
    let answered = judge(&reads(
        r#"settle n2: 2 read ...
           {"type":"ok","process":2,"node":"n1","value":[]}"#,
    ));
    assert_eq!((answered.validity, &answered.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", answered.summary);
}

#[test]
fn one_answer_is_enough_where_it_is_said_so() {
    let silent = ends(&[(1, "n1", "[]"), (2, "n2", "fail: timeout")]);
    assert_eq!(judge(&silent).validity, Validity::Unknown);
    for mode in ["any-node", "leader", "once"] {
        assert_eq!(judge_with("final_reads", mode, &silent).validity, Validity::Invalid, "{mode}");
        let there = ends(&[(1, "n1", "[1]"), (2, "n2", "fail: not-leader: n1 leads")]);
        let verdict = judge_with("final_reads", mode, &there);
        assert_eq!(verdict.validity, Validity::Valid, "{mode}: {}", verdict.summary);
        assert!(!verdict.summary.contains("n2"), "a node that refuses is not missed: {}", verdict.summary);
    }
    let taken = ends(&[(1, "n1", "info: timeout"), (2, "n2", "[]")]);
    let verdict = judge_with("final_reads", "once", &taken);
    assert_eq!(verdict.validity, Validity::Unknown, "the first may have taken it: {}", verdict.summary);
}

#[test]
fn reads_that_take_away_count_together() {
    let until_empty = |reads: &[(u32, &str, &str)]| judge_with("final_reads", "until-empty", &ends(reads));
    let drained = until_empty(&[(1, "n1", "[1]"), (1, "n1", "[]"), (2, "n2", "[]")]);
    assert_eq!(drained.validity, Validity::Valid, "{}", drained.summary);
    assert!(drained.findings.is_empty(), "{:?}", drained.findings);
    let lost = until_empty(&[(1, "n1", "[]"), (2, "n2", "fail: absent: gone")]);
    assert_eq!((lost.validity, &lost.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", lost.summary);
    let told = until_empty(&[(1, "n1", "[]"), (1, "n1", "[]")]).findings[0].sentences.join(" ");
    assert!(told.contains("in no final read. Each of those took away what it returned"), "{told}");
    assert!(!told.contains("say so"), "it was said: {told}");
    let open = until_empty(&[(1, "n1", "info: timeout"), (2, "n1", "[]")]);
    assert_eq!((open.validity, &open.numbers["missing"]), (Validity::Unknown, &1.into()), "{}", open.summary);
    assert!(open.summary.contains("1 read never ended and may have taken them away"), "{}", open.summary);
    let more = until_empty(&[(1, "n1", "[]"), (2, "n2", "[9]")]);
    assert_eq!(more.validity, Validity::Invalid, "9 was never added");
    let two = ends(&[(1, "n1", "[1]")]).replace("add null 1 -> ok", "add null 1 -> ok\n0 add null 2 -> ok");
    let unfinished = judge_with("final_reads", "until-empty", &two);
    assert_eq!(unfinished.validity, Validity::Unknown, "{}", unfinished.summary);
    assert!(unfinished.summary.contains("still returned elements"), "{}", unfinished.summary);
    let again = until_empty(&[(1, "n1", "[1]"), (1, "n1", "[1]"), (1, "n1", "[]")]);
    assert_eq!((again.validity, &again.numbers["redelivered"]), (Validity::Valid, &1.into()), "{}", again.summary);
}

#[test]
fn what_is_delivered_at_least_once_may_be_there_twice() {
    let lines = ends(&[(1, "n1", "[1,1]")]);
    assert_eq!(judge(&lines).validity, Validity::Invalid);
    let verdict = judge_with("at_least_once", "true", &lines);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!(
        (verdict.findings[0].kind.as_str(), verdict.findings[0].severity),
        ("duplicated-element", Severity::Evidence)
    );
}

#[test]
fn an_add_without_an_element_is_no_add_to_a_set() {
    let lines = ends(&[(1, "n1", "[7]")]).replace("add null 1", "add");
    let verdict = judge(&lines);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.starts_with("1 add without an element"), "{}", verdict.summary);
}

/// Adds of 1, 2 and 3, acknowledged by n1, n2 and n3; then these calls.
fn three_nodes(then: &str) -> String {
    let add = |number: u32| format!("n{number}: {number} add null {number} -> ok\n");
    let adds: String = (1..=3).map(add).collect();
    format!("{{\"type\":\"start\",\"nodes\":[\"n1\",\"n2\",\"n3\"]}}\n{adds}{then}")
}

fn read_on(node: u32, settle: bool, elements: &str) -> String {
    let settle = if settle { "settle " } else { "" };
    format!("{settle}n{node}: 1{node} read -> ok {elements}\n")
}

#[test]
fn nodes_that_were_never_asked_may_hold_what_others_lack() {
    let one = three_nodes(&read_on(1, true, "[1,3]"));
    let verdict = judge(&one);
    assert_eq!((verdict.validity, &verdict.numbers["missing"]), (Validity::Unknown, &1.into()), "{}", verdict.summary);
    assert!(verdict.summary.contains("n2, n3 were not asked for one and may have them"), "{}", verdict.summary);
    let all = judge(&three_nodes(&read_on(1, true, "[1,2,3]")));
    assert_eq!(all.validity, Validity::Unknown, "{}", all.summary);
    assert!(all.summary.starts_with("No final read was made on n2, n3, which acknowledged adds"), "{}", all.summary);
    assert!(all.summary.contains("final_reads: any-node"), "{}", all.summary);
    // One answer speaks for all.
    assert_eq!(judge_with("final_reads", "any-node", &one).validity, Validity::Invalid);
    let there = three_nodes(&read_on(1, true, "[1,2,3]"));
    assert_eq!(judge_with("final_reads", "any-node", &there).validity, Validity::Valid);
    // Every node was asked.
    let each: String = (1..=3).map(|node| read_on(node, true, "[1,3]")).collect();
    assert_eq!(judge(&three_nodes(&each)).validity, Validity::Invalid);
    // Nobody knows which nodes were asked.
    assert_eq!(judge(&one.replace("settle n1:", "settle ?:")).validity, Validity::Invalid);
}

#[test]
fn what_a_node_had_at_the_end_and_lacks_later_is_lost_whatever_others_hold() {
    let verdict = judge(&three_nodes(&(read_on(1, true, "[1,2,3]") + &read_on(1, true, "[1,3]"))));
    assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", verdict.summary);
    assert!(verdict.findings[0].title.contains("lost on n1 between two final reads"), "{:?}", verdict.findings);
}

#[test]
fn a_whole_history_that_marks_no_final_read_ends_with_its_last_read() {
    let refused = "7 add null 7 -> fail: refused\n";
    let whole = three_nodes(&format!("{refused}{}{{\"type\":\"end\"}}", read_on(1, false, "[1,2,3,7]")));
    let verdict = judge(&whole);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    let finding = &verdict.findings[0];
    assert_eq!(finding.title, "Unexpected element: 1 element refused when added: 7, first seen by #9 on n1");
    assert_eq!(finding.ops, [7, 9], "the refused add is shown");
    assert!(verdict.summary.starts_with("1 unexpected element."), "{}", verdict.summary);
    // A record of a run that broke off may lack its final reads.
    let cut = judge(&whole.replace("{\"type\":\"end\"}", ""));
    assert_eq!(cut.validity, Validity::Unknown, "{}", cut.summary);
    assert!(cut.summary.starts_with("No final read succeeded"), "{}", cut.summary);
}

#[test]
fn one_moment_is_no_window_and_one_node_lacks() {
    let each: String = (1..=3).map(|node| read_on(node, true, "[1,3]")).collect();
    let text = judge(&three_nodes(&each)).findings[0].sentences.join("\n");
    assert!(text.contains("It was acknowledged at 0.004 s.") && !text.contains("window"), "{text}");
    let differ =
        judge(&three_nodes(&(read_on(1, true, "[1,2,3]") + &read_on(2, true, "[1,2,3]") + &read_on(3, true, "[1,3]"))));
    assert_eq!(differ.findings[0].title, "Replicas differ: the final reads of n3 lack what another node returned");
}
