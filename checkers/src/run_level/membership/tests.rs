//! Which replies `membership` judges, and by what.
use crate::tests::stories::{judge, kinds, unknown, valid};
use crate::value::Value;
use crate::verdict::Verdict;

/// Three nodes, of which n3 is killed from 20 s to 60 s, and the replies of n1.
fn killed(options: &[(&str, Value)], replies: &[(u64, &str)]) -> Verdict {
    judge("membership", options, &story("kill", "n3", replies))
}

/// A fault of this kind on a node from 20 s to 60 s, and the replies of n1 by second.
fn story(kind: &str, node: &str, replies: &[(u64, &str)]) -> String {
    let mut events: Vec<(u64, String)> = Vec::new();
    for (process, (second, members)) in replies.iter().enumerate() {
        let names: Vec<String> = members.split(' ').map(|name| format!("\"{name}\"")).collect();
        events.push((
            *second * 1_000,
            format!(r#"{{"type":"invoke","process":{process},"f":"members","time":{second}000000000}}"#),
        ));
        events.push((
            *second * 1_000 + 1,
            format!(r#"{{"type":"ok","process":{process},"value":[{}],"time":{second}001000000}}"#, names.join(",")),
        ));
    }
    for (step, at) in
        [("begun", 20_000), ("proven", 20_010), ("reproven", 60_000), ("heal-begun", 60_010), ("healed", 60_020)]
    {
        let line = format!(
            r#"{{"type":"fault","fault":0,"kind":"{kind}","step":"{step}","nodes":["{node}"],"time":{at}000000}}"#
        );
        events.push((at, line));
    }
    events.sort();
    let lines: Vec<String> = events.into_iter().map(|(_, line)| line).collect();
    format!(
        "{{\"type\":\"start\",\"nodes\":[\"n1\",\"n2\",\"n3\"]}}\n{{\"type\":\"phase\",\"phase\":\"load\"}}\n{}",
        lines.join("\n")
    )
}

const ALL: &str = "n1 n2 n3";

#[test]
fn a_dead_node_may_be_a_member_for_a_while_and_no_longer() {
    let verdict = killed(&[], &[(15, ALL), (29, ALL), (40, "n1 n2"), (80, ALL)]);
    valid(&verdict);
    assert_eq!((&verdict.numbers["judged_living"], &verdict.numbers["judged_dead"]), (&2.into(), &1.into()));
    let verdict = killed(&[], &[(15, ALL), (40, ALL)]);
    assert_eq!(kinds(&verdict), ["ghost-member"]);
    let title = &verdict.findings[0].title;
    assert!(title.contains("n1 takes n3, which has been dead for 19990 ms, for a member"), "{title}");
    assert_eq!(
        (&verdict.findings[0].nodes[..], &verdict.findings[0].faults[..]),
        (&["n1".to_owned(), "n3".to_owned()][..], &[0][..])
    );
    // With more time it is right.
    valid(&killed(&[("forget", Value::text("30s"))], &[(15, ALL), (40, ALL)]));
}

#[test]
fn a_node_that_lives_must_be_a_member_when_nothing_disturbs() {
    // Not yet after the begin of the load, in the fault and soon after it.
    let soon = killed(&[], &[(5, "n1"), (25, "n1"), (65, "n1 n2")]);
    unknown(&soon, "None of 3 replies came 10000 ms after all faults");
    let late = killed(&[], &[(80, "n1 n2")]);
    assert_eq!(kinds(&late), ["false-death"]);
    assert!(late.findings[0].title.contains("n1 takes n3, which lives, for dead"), "{late:?}");
    assert_eq!(kinds(&killed(&[("settle", Value::text("2s"))], &[(65, "n1 n2")])), ["false-death"]);
    // The others must be members even while one is dead, but that is not judged: the kill may have slowed them.
    unknown(&killed(&[], &[(40, "n1")]), "None of 1 replies");
}

#[test]
fn slow_links_and_clocks_excuse_nothing() {
    let during = [(40, "n1 n2")];
    for (kind, options, broken) in [
        ("packet", &[][..], false),
        ("packet", &[("slow_links", Value::Bool(true))], true),
        ("clock", &[], true),
        ("pause", &[("slow_links", Value::Bool(true))], false),
    ] {
        let verdict = judge("membership", options, &story(kind, "n3", &during));
        assert_eq!(kinds(&verdict).contains(&"false-death"), broken, "{kind}: {verdict:?}");
    }
}

#[test]
fn a_node_that_died_by_itself_is_not_judged() {
    let ended = r#"{"type":"process","node":"n3","process":"p","step":"ended","how":"exit 1"}"#;
    let text = story("clock", "n3", &[(80, "n1 n2"), (81, "n2 n1")]).replacen(
        "{\"type\":\"phase\"",
        &format!("{ended}\n{{\"type\":\"phase\""),
        1,
    );
    valid(&judge("membership", &[], &text));
    let text = story("clock", "n3", &[(80, "n1 n3")]).replacen(
        "{\"type\":\"phase\"",
        &format!("{ended}\n{{\"type\":\"phase\""),
        1,
    );
    assert_eq!(kinds(&judge("membership", &[], &text)), ["false-death"]);
}

#[test]
fn without_names_of_nodes_those_that_are_asked_are_judged() {
    let unnamed = |replies| story("clock", "n3", replies).lines().skip(1).collect::<Vec<_>>().join("\n");
    valid(&judge("membership", &[], &unnamed(&[(80, "n1")])));
    assert_eq!(kinds(&judge("membership", &[], &unnamed(&[(80, "n2")]))), ["false-death"]);
}
