//! Stories of sets, and the differential test.
use super::{SetFull, fuzz};
use crate::random::random_history::agrees;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};

fn judge(lines: &str, linearizable: bool) -> Verdict {
    SetFull { linearizable, ..SetFull::default() }.check(&history(lines), &Budget::unlimited())
}

const ADDED: &str = "
    0 add null 1 -> ok
    0 add null 2 -> ok
    ";

fn read(list: &str) -> String {
    format!("n2: 1 read -> ok {list}\n")
}

#[test]
fn everything_in_every_read_is_valid() {
    let verdict = judge(&format!("{ADDED}{}{}", read("[1,2]"), read("[2,1]")), true);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!(verdict.numbers["stable"], 2);
}

#[test]
fn lost_is_absent_from_the_last_reads() {
    let verdict = judge(&format!("{ADDED}{}{}", read("[1,2]"), read("[1]")), false);
    assert_eq!(verdict.validity, Validity::Invalid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("lost-element", &[2, 6][..]));
    assert_eq!(finding.title, "Lost element: 1 element lost, e.g. 2, known since #2 and not in #6");
    assert!(finding.certificate.is_some());
}

#[test]
fn stale_is_evidence_unless_reads_are_linearizable() {
    let lines = format!("{ADDED}{}{}", read("[1]"), read("[1,2]"));
    let verdict = judge(&lines, false);
    assert_eq!((verdict.validity, verdict.findings[0].severity), (Validity::Valid, Severity::Evidence));
    assert_eq!(verdict.numbers["stale"], 1);
    assert_eq!(verdict.numbers["stable_latency_ms"]["1"], 1);
    let verdict = judge(&lines, true);
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!(verdict.findings[0].ops, [2, 4, 6]);
}

#[test]
fn duplicates_are_told() {
    let verdict = judge(&format!("{ADDED}{}{}", read("[1,2]"), read("[1,2,1]")), false);
    assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "duplicated-element"));
}

#[test]
fn what_nobody_added_or_only_later_is_unexpected() {
    let verdict = judge(&format!("{}{ADDED}{}", read("[2]"), read("[1,2,3]")), false);
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!((verdict.findings[0].kind.as_str(), &verdict.numbers["unexpected"]), ("unexpected-element", &2.into()));
}

#[test]
fn a_read_beside_the_last_one_leaves_it_open() {
    let lines = format!(
        "{ADDED}
        2 read ...
        {}
        2 -> ok [1,2]",
        read("[1]")
    );
    let verdict = judge(&lines, false);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert_eq!(judge(&lines, true).validity, Validity::Invalid);
}

#[test]
fn nothing_read_or_nothing_acknowledged_is_unknown() {
    assert_eq!(judge(ADDED, false).validity, Validity::Unknown);
    let late = format!("{}{ADDED}", read("[]"));
    assert_eq!(judge(&late, false).validity, Validity::Unknown);
    let nothing = judge("", false);
    assert_eq!((nothing.validity, nothing.findings.len()), (Validity::Unknown, 0));
}

#[test]
fn a_silent_node_may_have_it() {
    let lines = format!(
        "{ADDED}
        settle n3: 3 read -> fail: refused
        settle {}",
        read("[1]")
    );
    let verdict = judge(&lines, false);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert_eq!(verdict.findings[0].kind, "missing-element");
}

/// Final reads, one after the other: node and list, or an error.
fn ends(reads: &[(&str, &str)]) -> String {
    let end = |(node, reply): &(&str, &str)| {
        let reply = if reply.starts_with('[') { format!("ok {reply}") } else { format!("fail: {reply}") };
        format!("settle {node}: 1 read -> {reply}\n")
    };
    reads.iter().map(end).collect::<String>()
}

#[test]
fn of_final_reads_of_one_node_the_last_counts() {
    for nodes in [["n1", "n1"], ["?", "?"]] {
        let lost = judge(&format!("{ADDED}{}", ends(&[(nodes[0], "[1,2]"), (nodes[1], "[1]")])), false);
        assert_eq!((lost.validity, &lost.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", lost.summary);
        let back = judge(&format!("{ADDED}{}", ends(&[(nodes[0], "[1]"), (nodes[1], "[1,2]")])), false);
        assert_eq!((back.validity, &back.numbers["stale"]), (Validity::Valid, &1.into()), "{}", back.summary);
    }
    // Nodes that differ are never valid, whichever was asked last.
    for reads in [[("n1", "[1,2]"), ("n2", "[1]")], [("n1", "[1]"), ("n2", "[1,2]")]] {
        let verdict = judge(&format!("{ADDED}{}", ends(&reads)), false);
        assert_eq!((verdict.validity, &verdict.numbers["unsettled"]), (Validity::Unknown, &1.into()), "{reads:?}");
    }
}

#[test]
fn what_is_certainly_absent_is_lost() {
    let verdict = judge(&format!("{ADDED}{}", ends(&[("n1", "absent: no stream")])), false);
    assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &2.into()), "{}", verdict.summary);
    let verdict = judge(&format!("{ADDED}{}", ends(&[("n1", "js10059: no stream")])), false);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    let told =
        "No last read succeeded for 1 set, with 2 acknowledged adds in all. 1 final read failed: 1 x js10059 on n1.";
    assert_eq!(verdict.summary, told);
}

#[test]
fn final_reads_are_judged_as_they_were_made() {
    let with = |mode: &str, lines: &str| {
        let options = crate::Options([("final_reads".to_owned(), crate::Value::text(mode))].into());
        let checker = crate::checker_with("set-full", &options).expect("it takes them");
        checker.check(&history(lines), &Budget::unlimited())
    };
    let silent = format!("{ADDED}{}", ends(&[("n1", "[1]"), ("n2", "timeout")]));
    assert_eq!(with("each-node", &silent).validity, Validity::Unknown);
    assert_eq!(with("any-node", &silent).validity, Validity::Invalid);
    assert_eq!(with("until-empty", &silent).validity, Validity::Unknown);
    let leader = "{\"type\":\"role\",\"node\":\"n1\",\"role\":\"leader\"}";
    let differ = format!("{ADDED}{leader}\n{}", ends(&[("n1", "[1,2]"), ("n2", "[1]")]));
    assert_eq!(with("leader", &differ).validity, Validity::Valid, "{}", with("leader", &differ).summary);
    let differ = differ.replace("[1]", "[]").replace("[1,2]", "[1]");
    assert_eq!(with("leader", &differ).validity, Validity::Invalid);
}

#[test]
fn nodes_that_were_never_asked_may_hold_what_others_lack() {
    // n3 acknowledged 3 and is asked for no final read.
    let third = "n3: 5 add null 3 -> ok";
    let added = format!("{ADDED}{third}\n");
    let missing = judge(&format!("{added}{}", ends(&[("n1", "[1,2]"), ("n2", "[1,2]")])), false);
    assert_eq!((missing.validity, &missing.numbers["missing"]), (Validity::Unknown, &1.into()), "{}", missing.summary);
    assert!(missing.summary.contains("n3 was not asked for one"), "{}", missing.summary);
    let there = judge(&format!("{added}{}", ends(&[("n1", "[1,2,3]"), ("n2", "[1,2,3]")])), false);
    assert_eq!(there.validity, Validity::Unknown, "{}", there.summary);
    assert!(there.summary.starts_with("No final read was made on n3"), "{}", there.summary);
    // What n1 has shown at the end it has to show later.
    let dropped = judge(&format!("{added}{}", ends(&[("n1", "[1,2,3]"), ("n1", "[1,2]"), ("n2", "[1,2]")])), false);
    assert_eq!((dropped.validity, &dropped.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", dropped.summary);
    // Where no read is marked the last one speaks for all, as in Jepsen's set-full.
    let unmarked = ends(&[("n1", "[1,2]")]).replace("settle ", "");
    let last = judge(&format!("{added}{unmarked}"), false);
    assert_eq!((last.validity, &last.numbers["lost"]), (Validity::Invalid, &1.into()), "{}", last.summary);
}

#[test]
fn agrees_with_the_definitions() {
    agrees(fuzz::differ);
}
