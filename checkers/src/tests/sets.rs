//! The set checker.
use crate::set::SetChecker;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

fn judge(lines: &str) -> Verdict {
    let lines = lines.replace("\"f\":", "\"workload\":\"set\",\"f\":");
    SetChecker::new().check(&history(&lines), &Budget::unlimited())
}

const ADDS: &str = r#"
    {"type":"start","nodes":["n1","n2"]}
    {"type":"invoke","process":0,"node":"n1","f":"add","value":1}
    {"type":"ok","process":0}
    {"type":"fault","fault":3,"kind":"partition","step":"begun","what":"partition: n1 | n2"}
    {"type":"invoke","process":0,"node":"n1","f":"add","value":2}
    {"type":"ok","process":0}
    {"type":"invoke","process":1,"node":"n2","f":"add","value":3}
    {"type":"info","process":1,"error":"timeout"}
    {"type":"fault","fault":3,"kind":"partition","step":"healed"}
    {"type":"invoke","process":0,"node":"n1","f":"add","value":4}
    {"type":"fail","process":0,"error":"refused"}
    {"type":"invoke","process":0,"node":"n1","f":"add","value":5}
    {"type":"ok","process":0}
    "#;

fn finals(one: &str, two: &str) -> String {
    format!(
        "{ADDS}
        {{\"type\":\"invoke\",\"process\":0,\"node\":\"n1\",\"f\":\"read\",\"settle\":true}}
        {one}
        {{\"type\":\"invoke\",\"process\":2,\"node\":\"n2\",\"f\":\"read\",\"settle\":true}}
        {two}"
    )
}

fn read(process: u32, elements: &str) -> String {
    format!("{{\"type\":\"ok\",\"process\":{process},\"value\":{elements}}}")
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
}

#[test]
fn one_node_that_has_it_is_enough_and_the_difference_is_evidence() {
    let verdict = judge(&finals(&read(0, "[1,2,5]"), &read(2, "[1]")));
    assert_eq!(verdict.validity, Validity::Valid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.severity), ("replicas-differ", Severity::Evidence));
    assert_eq!(finding.nodes, ["n2"]);
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
    assert_eq!(judge(&leads("n1")).validity, Validity::Valid, "a replica may lag");
}

#[test]
fn a_failed_final_read_says_nothing() {
    let failed = "{\"type\":\"fail\",\"process\":2,\"error\":\"refused\"}";
    let verdict = judge(&finals(&read(0, "[1,2,5]"), failed));
    assert_eq!(verdict.validity, Validity::Valid);
    assert!(verdict.summary.contains("No final read succeeded on n2"), "{}", verdict.summary);
    let none = judge(&finals("{\"type\":\"fail\",\"process\":0}", failed));
    assert_eq!(none.validity, Validity::Unknown);
    let unreadable = judge(&finals(&read(0, "null"), failed));
    assert_eq!(unreadable.validity, Validity::Unknown);
}

#[test]
fn what_a_silent_node_may_have_is_missing_and_not_lost() {
    let failed = "{\"type\":\"fail\",\"process\":2,\"error\":\"refused\"}";
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
    let lines = r#"
        {"type":"invoke","process":0,"f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"add","value":2}
        {"type":"invoke","process":0,"f":"read","settle":true}
        {"type":"ok","process":1}
        {"type":"ok","process":0,"value":[1]}
        "#;
    assert_eq!(judge(lines).validity, Validity::Unknown);
    assert_eq!(judge(&lines.replace("[1]", "[1,2]")).validity, Validity::Valid);
}

#[test]
fn seen_once_and_gone_is_evidence() {
    let lines = r#"
        {"type":"invoke","process":0,"f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"add","value":2}
        {"type":"info","process":1}
        {"type":"invoke","process":0,"f":"read"}
        {"type":"ok","process":0,"value":[1,2]}
        {"type":"invoke","process":0,"f":"read","settle":true}
        {"type":"ok","process":0,"value":[1]}
        "#;
    let verdict = judge(lines);
    assert_eq!(verdict.validity, Validity::Valid);
    assert_eq!(verdict.findings[0].kind, "vanished-element");
}

#[test]
fn no_add_acknowledged_is_unknown() {
    let verdict = judge(r#"{"type":"invoke","process":0,"f":"add","value":1}"#);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert_eq!(judge("").validity, Validity::Unknown);
}

#[test]
fn the_last_read_of_another_tool_is_the_final_one() {
    let lines = |read: &str| {
        format!(
            r#"
            {{"type":"invoke","process":0,"f":"add","value":1}}
            {{"type":"ok","process":0}}
            {{"type":"invoke","process":1,"f":"read"}}
            {{"type":"ok","process":1,"value":[]}}
            {{"type":"invoke","process":1,"f":"read"}}
            {{"type":"ok","process":1,"value":{read}}}
            {{"type":"invoke","process":1,"f":"read"}}
            {{"type":"fail","process":1}}
            "#
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
    let marked = lines("[]")
        .replace("\"f\":\"read\"}", "\"f\":\"read\",\"settle\":true}")
        .replace("\"process\":1,\"value\":[]", "\"process\":1,\"value\":[1]");
    assert_eq!(judge(&marked).validity, Validity::Valid, "marked reads count");
}
