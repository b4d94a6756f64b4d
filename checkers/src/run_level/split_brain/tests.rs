//! Cuts: what both sides may acknowledge, and cuts that are none.
use super::DOC;
use crate::options::Options;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Severity, Validity, Verdict};

fn judge_with(sides: Option<&str>, lines: &str) -> Verdict {
    let options = Options(sides.map(|sides| ("sides".to_owned(), Value::text(sides))).into_iter().collect());
    DOC.checker(&options).expect("it takes them").check(&history(lines), &Budget::unlimited())
}

fn judge(lines: &str) -> Verdict {
    judge_with(None, lines)
}

/// Calls, one after the other, while n1 is cut off from n2: node, function, key, argument, reply.
fn during(before: &str, calls: &[(&str, &str, &str, &str, &str)]) -> String {
    let call = |(at, (node, f, key, value, reply)): (usize, &(&str, &str, &str, &str, &str))| {
        let process = 100 + at;
        format!(
            "{{\"type\":\"invoke\",\"process\":{process},\"node\":\"{node}\",\"f\":\"{f}\",\"key\":{key},\"value\":{value}}}\n\
             {{\"type\":\"ok\",\"process\":{process},\"value\":{reply}}}\n"
        )
    };
    let calls: String = calls.iter().enumerate().map(call).collect();
    format!(
        r#"
        {{"type":"start","nodes":["n1","n2"]}}
        {before}
        {{"type":"fault","fault":7,"kind":"partition","step":"begun","what":"n1 | n2","cut":[["n1","n2"],["n2","n1"]]}}
        {{"type":"fault","fault":7,"kind":"partition","step":"proven"}}
        {calls}
        {{"type":"fault","fault":7,"kind":"partition","step":"reproven"}}
        {{"type":"fault","fault":7,"kind":"partition","step":"healed"}}
        {{"type":"role","node":"n1","role":"leader","term":1,"term_with_role":true}}
        "#
    )
}

fn both(f: &str, key: &str, one: &str, two: &str) -> String {
    during("", &[("n1", f, key, one, "null"), ("n2", f, key, two, "null")])
}

#[test]
fn a_function_that_nobody_knows_is_a_possible_write() {
    for f in ["transfer", "release", "swap", "insert", "generate"] {
        let verdict = judge(&both(f, "1", "3", "4"));
        assert_eq!(verdict.validity, Validity::Unknown, "{f}: {}", verdict.summary);
        assert!(verdict.summary.contains(f), "{}", verdict.summary);
        let finding = &verdict.findings[0];
        assert_eq!((finding.kind.as_str(), finding.severity), ("both-sides-acknowledged", Severity::Evidence));
        assert_eq!(judge_with(Some("evidence"), &both(f, "1", "3", "4")).validity, Validity::Valid);
    }
    let beside = during("", &[("n1", "write", "1", "3", "null"), ("n2", "swap", "1", "4", "null")]);
    assert_eq!(judge(&beside).validity, Validity::Unknown, "it may have written the same key");
    let apart = during("", &[("n1", "write", "1", "3", "null"), ("n2", "swap", "2", "4", "null")]);
    assert_eq!(judge(&apart).validity, Validity::Valid, "another key");
    let anywhere = during("", &[("n1", "write", "1", "3", "null"), ("n2", "swap", "null", "4", "null")]);
    assert_eq!(judge(&anywhere).validity, Validity::Unknown, "no key at all");
    for f in ["read", "get", "count", "watch", "poll", "leader"] {
        assert_eq!(judge(&both(f, "1", "null", "null")).findings.len(), 0, "{f} changes nothing");
    }
}

#[test]
fn transactions_conflict_where_they_write_one_key() {
    let verdict = judge(&both("txn", "null", "[[\"append\",1,0]]", "[[\"r\",2,null],[\"append\",1,1]]"));
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!((verdict.findings[0].kind.as_str(), verdict.findings[0].ops.len()), ("both-sides-acknowledged", 2));
    assert_eq!(verdict.findings[0].key, Value::Int(1));
    let other = judge(&both("txn", "null", "[[\"w\",1,0]]", "[[\"w\",2,1]]"));
    assert_eq!(other.validity, Validity::Valid, "{}", other.summary);
    assert_eq!(other.findings[0].kind, "both-sides-acknowledged-different-keys");
    let reads = judge(&both("txn", "null", "[[\"w\",1,0]]", "[[\"r\",1,null]]"));
    assert_eq!((reads.validity, reads.findings.len()), (Validity::Valid, 0), "{}", reads.summary);
    let unclear = judge(&both("txn", "null", "[[\"w\",1,0]]", "{\"sql\":\"update\"}"));
    assert_eq!(unclear.validity, Validity::Unknown, "{}", unclear.summary);
    let tagged = judge(&both("write", "null", "[[\"w\",1,0]]", "[[\"w\",2,1]]"));
    assert_eq!(tagged.validity, Validity::Valid, "micro-operations under another name: {}", tagged.summary);
    let maps = judge(&both("write", "null", "{\"x\":1}", "{\"y\":1}"));
    assert_eq!(maps.validity, Validity::Unknown, "registers of their own: {}", maps.summary);
}

#[test]
fn one_lock_is_held_on_one_side_only() {
    let verdict = judge(&both("acquire", "1", "null", "null"));
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    let freed = |at: usize| {
        let mut calls = vec![("n1", "acquire", "1", "null", "null"), ("n2", "acquire", "1", "null", "null")];
        calls.insert(at, ("n1", "release", "1", "null", "null"));
        judge(&during("", &calls))
    };
    assert_eq!(freed(1).validity, Validity::Unknown, "given back in between");
    assert_eq!(freed(2).validity, Validity::Invalid, "only afterwards");
    for (one, two) in [("1", "2"), ("\"a\"", "\"b\""), ("{\"ttl_ms\":5}", "{\"ttl_ms\":5}")] {
        let verdict = judge(&both("acquire", "1", one, two));
        assert_eq!(verdict.validity, Validity::Unknown, "{one} {two}: {}", verdict.summary);
    }
    let refused = during("", &[("n1", "acquire", "1", "null", "null"), ("n2", "acquire", "1", "null", "false")]);
    assert_eq!(judge(&refused).validity, Validity::Valid);
}

#[test]
fn calls_that_commute_leave_it_in_doubt_unless_it_is_said_otherwise() {
    for f in ["add", "increment"] {
        let lines = both(f, "null", "1", "2");
        let verdict = judge(&lines);
        assert_eq!(verdict.validity, Validity::Unknown, "{f}: {}", verdict.summary);
        assert!(verdict.summary.contains("The option sides says"), "{}", verdict.summary);
        assert_eq!(
            (verdict.findings[0].kind.as_str(), verdict.findings[0].severity),
            ("both-sides-acknowledged", Severity::Evidence)
        );
        assert_eq!(judge_with(Some("evidence"), &lines).validity, Validity::Valid);
        assert_eq!(judge_with(Some("violation"), &lines).validity, Validity::Invalid);
    }
    let mixed = during("", &[("n1", "write", "1", "3", "null"), ("n2", "increment", "1", "4", "null")]);
    assert_eq!(judge(&mixed).validity, Validity::Invalid, "a write and an increment do not commute");
    assert_eq!(judge_with(Some("evidence"), &mixed).validity, Validity::Valid);
    let options = Options([("sides".to_owned(), Value::text("both"))].into());
    assert_eq!(
        DOC.checker(&options).err().map(String::from).as_deref(),
        Some("sides takes evidence or violation, not \"both\"")
    );
}

#[test]
fn a_cut_whose_other_side_saw_what_was_written_was_none() {
    let writes = [("n1", "write", "1", "486", "null"), ("n2", "write", "1", "5", "null")];
    let with = |before: &str, seen: (&'static str, &'static str, &'static str, &'static str, &'static str)| {
        judge(&during(before, &[writes[0], writes[1], seen]))
    };
    for seen in [
        ("n2", "read", "1", "null", "486"),
        ("n2", "read", "1", "null", "[3,486]"),
        ("n2", "cas", "1", "[486,466]", "null"),
        ("n2", "swap", "1", "9", "486"),
    ] {
        let verdict = with("", seen);
        assert_eq!(verdict.validity, Validity::Unknown, "{seen:?}: {}", verdict.summary);
        assert!(verdict.summary.contains("did not keep its sides apart"), "{}", verdict.summary);
        let leak = verdict.findings.iter().find(|finding| finding.kind == "leaking-cut").expect("it is shown");
        assert_eq!((&leak.ops[..], &leak.nodes[..]), (&[3, 7][..], &["n1".to_owned(), "n2".to_owned()][..]));
        assert!(verdict.findings.iter().all(|finding| finding.severity == Severity::Evidence));
    }
    // What was there at first, by the option, is no leak, whoever wrote it again.
    let seen = ("n2", "read", "1", "null", "486");
    let lines = during("", &[writes[0], writes[1], seen]);
    for (initial, validity) in
        [("486", Validity::Invalid), (r#"{"1":486}"#, Validity::Invalid), ("5", Validity::Unknown)]
    {
        let options = Options([("initial".to_owned(), serde_json::from_str(initial).expect("JSON"))].into());
        let verdict = DOC.checker(&options).expect("an option").check(&history(&lines), &Budget::unlimited());
        assert_eq!(verdict.validity, validity, "{initial}: {}", verdict.summary);
    }
    // A txn sees a key of its own.
    let txn = [
        ("n1", "txn", "null", "[[\"append\",1,7]]", "[[\"append\",1,7]]"),
        ("n2", "txn", "null", "[[\"append\",1,8]]", "[[\"append\",1,8]]"),
    ];
    let seen = |reply| judge(&during("", &[txn[0], txn[1], ("n2", "txn", "null", "[[\"r\",1,null]]", reply)]));
    assert_eq!(seen("[[\"r\",1,[7,8]]]").validity, Validity::Unknown);
    assert_eq!(seen("[[\"r\",1,[8]]]").validity, Validity::Invalid);
    // What does not show that anything passed.
    for seen in [
        ("n1", "read", "1", "null", "486"),
        ("n2", "read", "1", "null", "5"),
        ("n2", "read", "2", "null", "486"),
        ("n2", "read", "1", "null", "null"),
        ("n2", "cas", "1", "[486,466]", "false"),
    ] {
        assert_eq!(with("", seen).validity, Validity::Invalid, "{seen:?}");
    }
    let early = |value: &str, end: &str| {
        format!(
            "{{\"type\":\"invoke\",\"process\":0,\"node\":\"n1\",\"f\":\"write\",\"key\":1,\"value\":{value}}}\n\
             {{\"type\":\"{end}\",\"process\":0}}"
        )
    };
    let saw = ("n2", "read", "1", "null", "486");
    assert_eq!(with(&early("486", "ok"), saw).validity, Validity::Invalid, "written before the cut");
    assert_eq!(with(&early("486", "info"), saw).validity, Validity::Invalid, "perhaps written before the cut");
    assert_eq!(with(&early("486", "fail"), saw).validity, Validity::Unknown, "never written before it");
    let known = "{\"type\":\"invoke\",\"process\":0,\"node\":\"n1\",\"f\":\"read\",\"key\":1}\n\
                 {\"type\":\"ok\",\"process\":0,\"value\":486}";
    assert_eq!(with(known, saw).validity, Validity::Invalid, "it was there before it was written");
    // Also where the call that saw it later had begun first.
    let proven = "\"step\":\"proven\"}";
    let reads = "\n{\"type\":\"invoke\",\"process\":1,\"node\":\"n2\",\"f\":\"read\",\"key\":1}\n\
                 {\"type\":\"invoke\",\"process\":2,\"node\":\"n2\",\"f\":\"read\",\"key\":1}\n\
                 {\"type\":\"ok\",\"process\":2,\"value\":486}";
    let wrote = "{\"type\":\"ok\",\"process\":100,\"value\":null}";
    let lines = during("", &writes)
        .replace(proven, &format!("{proven}{reads}"))
        .replace(wrote, &format!("{wrote}\n{{\"type\":\"ok\",\"process\":1,\"value\":486}}"));
    assert!(lines.contains("\"process\":1,\"value\":486") && lines.contains(reads), "{lines}");
    assert_eq!(judge(&lines).validity, Validity::Invalid, "{lines}");
}

#[test]
fn a_sum_that_is_equal_to_a_number_added_on_the_other_side_is_no_leak() {
    let adds = [("n1", "add", "1", "3", "null"), ("n2", "add", "1", "1", "null"), ("n2", "add", "1", "2", "null")];
    let with = |reply: &'static str| {
        let read = ("n2", "read", "1", "null", reply);
        judge_with(Some("violation"), &during("", &[adds[0], adds[1], adds[2], read]))
    };
    let sum = with("3");
    assert_eq!(sum.validity, Validity::Invalid, "{}", sum.summary);
    assert!(sum.findings.iter().all(|finding| finding.kind != "leaking-cut"), "{:?}", sum.findings);
    let element = with("[1,2,3]");
    assert_eq!(element.validity, Validity::Unknown, "an element of a set is no sum: {}", element.summary);
}

#[test]
fn a_leak_alone_is_shown_and_its_cut_is_not_judged() {
    let verdict = judge(&during("", &[("n1", "write", "1", "486", "null"), ("n2", "read", "1", "null", "486")]));
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!((verdict.findings[0].kind.as_str(), &verdict.numbers["judged_cuts"]), ("leaking-cut", &0.into()));
}

#[test]
fn a_call_counts_on_the_side_of_the_node_that_answered() {
    let lines = both("write", "1", "3", "4");
    assert_eq!(judge(&lines).validity, Validity::Invalid);
    let redirected = lines.replace(
        "{\"type\":\"ok\",\"process\":100,\"value\":null}",
        "{\"type\":\"ok\",\"process\":100,\"value\":null,\"node\":\"n2\"}",
    );
    assert_ne!(redirected, lines);
    let verdict = judge(&redirected);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!(verdict.numbers["writes_by_fault_and_side"], serde_json::json!({"7": {"n1": 0, "n2": 2}}));
}

#[test]
fn overlapping_leaders_are_named_whatever_the_answer_is() {
    let lines = |with_role: bool, n1_term: u32| {
        let claim = |node: &str, term: u32| {
            format!("{{\"type\":\"role\",\"node\":\"{node}\",\"term\":{term},\"term_with_role\":{with_role}}}\n")
        };
        let claims = claim("n1", n1_term) + &claim("n2", 5);
        format!(
            r#"
            {{"type":"start","nodes":["n1","n2"]}}
            {claims}
            {{"type":"invoke","process":0,"node":"n1","f":"write","key":1,"value":1}}
            {{"type":"ok","process":0}}
            {{"type":"invoke","process":1,"node":"n2","f":"write","key":1,"value":2}}
            {{"type":"ok","process":1}}
            {claims}"#
        )
    };
    let told = " Overlapping leaders: 1 time, 0.005 s in all; in 1 of them both leaders acknowledged writes.";
    for (with_role, term, validity) in
        [(true, 4, Validity::Valid), (false, 4, Validity::Unknown), (true, 5, Validity::Invalid)]
    {
        let verdict = judge(&lines(with_role, term));
        assert_eq!(verdict.validity, validity, "{}", verdict.summary);
        assert!(verdict.summary.ends_with(told), "{}", verdict.summary);
        let overlap = verdict.findings.iter().find(|finding| finding.kind == "overlapping-leaders").expect("shown");
        assert!(overlap.title.ends_with("writes acknowledged meanwhile: n1 1, n2 1"), "{}", overlap.title);
    }
}

#[test]
fn no_more_is_said_of_a_cut_than_its_proof_covers() {
    let verdict = judge(&both("write", "1", "3", "4"));
    let text = verdict.findings[0].sentences.join(" ");
    assert!(!text.contains("no message") && text.contains("over the links that were cut"), "{text}");
}
