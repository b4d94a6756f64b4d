//! Stories of replicas.
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Severity, Validity, Verdict};

fn judge_with(options: &[(&str, &str)], lines: &str) -> Verdict {
    let options = Options(options.iter().map(|(name, value)| ((*name).to_owned(), Value::text(value))).collect());
    checker_with("replicas-agree", &options).expect("it is listed").check(&history(lines), &Budget::unlimited())
}

/// Five acknowledged adds on n1, then these final reads, one after the other.
fn story(before: &str, reads: &[(&str, &str)]) -> String {
    let mut lines = String::from("{\"type\":\"start\",\"nodes\":[\"n1\",\"n2\",\"n3\"]}\n");
    for element in 1..=5 {
        lines += &format!(
            "{{\"type\":\"invoke\",\"process\":0,\"workload\":\"set\",\"f\":\"add\",\"value\":{element}}}\n\
             {{\"type\":\"ok\",\"process\":0}}\n"
        );
    }
    lines += before;
    for (at, (node, reply)) in reads.iter().enumerate() {
        let process = 10 + at;
        let end = match reply.starts_with('[') {
            true => format!("{{\"type\":\"ok\",\"process\":{process},\"value\":{reply}}}\n"),
            false => format!("{{\"type\":\"fail\",\"process\":{process},\"error\":\"{reply}\"}}\n"),
        };
        lines += &format!(
            "\n{{\"type\":\"invoke\",\"process\":{process},\"node\":\"{node}\",\"workload\":\"set\",\"f\":\"read\",\"settle\":true}}\n{end}"
        );
    }
    lines
}

fn judge(reads: &[(&str, &str)]) -> Verdict {
    judge_with(&[], &story("", reads))
}

fn kinds(verdict: &Verdict) -> Vec<(&str, Severity)> {
    verdict.findings.iter().map(|finding| (finding.kind.as_str(), finding.severity)).collect()
}

#[test]
fn nodes_that_hold_the_same_agree() {
    let verdict = judge(&[("n1", "[1,2,3,4,5]"), ("n2", "[5,4,3,2,1]"), ("n3", "[1,2,3,4,5]")]);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert_eq!(verdict.summary, "The nodes agree in 3 final reads of 1 set, after 5 acknowledged adds.");
    let gone = judge(&[("n1", "[]"), ("n2", "absent: gone")]);
    assert_eq!(gone.validity, Validity::Valid, "what no node has is for set to find: {}", gone.summary);
}

const CONVERGED: &str = "\n{\"type\":\"note\",\"text\":\"the replicas converged\"}\n";
const NOT_CONVERGED: &str = "\n{\"type\":\"note\",\"text\":\"the replicas did not converge: /node differs\"}\n";

#[test]
fn a_node_that_lacks_something_after_the_replicas_converged_diverged() {
    let reads = [("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]"), ("n3", "[1,2,3,4,5]")];
    let verdict = judge_with(&[], &story(CONVERGED, &reads));
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("diverged", Severity::Violation), ("lost-element", Severity::Violation)]);
    let lost = &verdict.findings[1];
    assert_eq!(lost.title, "Lost element: n2 lacks 1 acknowledged element that another node has, first #3");
    let text = lost.sentences.join(" ");
    assert!(text.contains("n2 lacks 1 of 5 acknowledged elements: 2."), "{text}");
    assert!(text.contains("the run saw at 0.011 s, before this read, that the replicas had converged"), "{text}");
    // Converged, a node that holds nothing later has lost it too.
    let early = story(CONVERGED, &[reads[0], ("n2", "[1,2]")]);
    assert_eq!(judge_with(&[], &early).validity, Validity::Invalid);
    // A note of before the last add, or of after the read, or one that another note denies, says nothing.
    let before = early.replace(CONVERGED, "").replace(
        "\n{\"type\":\"invoke\",\"process\":0,\"workload\":\"set\",\"f\":\"add\",\"value\":5}",
        &format!("{CONVERGED}{{\"type\":\"invoke\",\"process\":0,\"workload\":\"set\",\"f\":\"add\",\"value\":5}}"),
    );
    for lines in [before, early.replace(CONVERGED, "") + CONVERGED, early + NOT_CONVERGED] {
        assert!(lines.contains("the replicas converged"));
        assert_eq!(judge_with(&[], &lines).validity, Validity::Unknown, "{lines}");
    }
    // What it gained after the note denies it.
    let gained = story(CONVERGED, &[("n2", "[1,3]"), reads[0], reads[1]]);
    assert_eq!(judge_with(&[], &gained).validity, Validity::Unknown);
}

/// The same reads, each at its seconds after the start of the history.
fn story_at(reads: &[(u64, &str, &str)]) -> String {
    let mut lines = story("", &[]);
    for (at, (seconds, node, reply)) in reads.iter().enumerate() {
        let (process, time) = (10 + at, seconds * 1_000_000_000);
        lines += &format!(
            "\n{{\"type\":\"invoke\",\"time\":{time},\"process\":{process},\"node\":\"{node}\",\"workload\":\"set\",\"f\":\"read\",\"settle\":true}}\n\
             {{\"type\":\"ok\",\"time\":{time},\"process\":{process},\"value\":{reply}}}\n"
        );
    }
    lines
}

#[test]
fn a_node_that_holds_later_elements_may_be_behind_all_the_same() {
    // With two writers, gossip or shards, elements arrive in any order.
    let verdict = judge(&[("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]"), ("n3", "[1,2,3,4,5]")]);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("replica-lags", Severity::Evidence)]);
    assert_eq!(verdict.findings[0].title, "Replica lags: n2 is behind by 1 acknowledged element, since 0.004 s");
    let text = verdict.findings[0].sentences.join(" ");
    assert!(text.contains("The run does not know that its replicas had converged"), "{text}");
}

#[test]
fn a_node_that_lacks_something_while_all_stand_still_diverged() {
    let (all, hole) = ("[1,2,3,4,5]", "[1,3,4,5]");
    let judge = |reads: &[(u64, &str, &str)]| judge_with(&[], &story_at(reads));
    let verdict = judge(&[(1, "n1", all), (1, "n2", hole), (6, "n1", all), (6, "n2", hole), (11, "n2", "[5,4,3,1]")]);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("diverged", Severity::Violation), ("lost-element", Severity::Violation)]);
    let text = verdict.findings[1].sentences.join(" ");
    assert!(text.contains("it has 3, which was only added (#5) after that"), "{text}");
    assert!(text.contains("no final read of any node showed a change for 10.000 s"), "{text}");
    // Too short; another node still changed; another node was first seen late; a node that stands still at an earlier
    // moment may be stuck there.
    for reads in [
        &[(1, "n1", all), (1, "n2", hole), (10, "n2", hole)][..],
        &[(1, "n1", "[1]"), (1, "n2", hole), (6, "n1", all), (11, "n2", hole)],
        &[(1, "n2", hole), (6, "n1", all), (11, "n2", hole)],
        &[(1, "n1", all), (1, "n2", "[1,2]"), (20, "n2", "[1,2]")],
    ] {
        let verdict = judge(reads);
        assert_eq!(verdict.validity, Validity::Unknown, "{reads:?}: {}", verdict.summary);
        assert_eq!(kinds(&verdict), [("replica-lags", Severity::Evidence)]);
    }
    let longer = [(1, "n1", all), (1, "n2", hole), (21, "n2", hole)];
    assert_eq!(judge(&longer).validity, Validity::Invalid);
    let options = Options([("standstill_ms".to_owned(), Value::Int(30_000))].into());
    let checker = checker_with("replicas-agree", &options).expect("an option");
    assert_eq!(checker.check(&history(&story_at(&longer)), &Budget::unlimited()).validity, Validity::Unknown);
    // The run knows better.
    assert_eq!(judge_with(&[], &(story_at(&longer) + NOT_CONVERGED)).validity, Validity::Unknown);
}

#[test]
fn a_node_that_only_stops_early_may_be_behind() {
    let heal = "\n{\"type\":\"fault\",\"fault\":0,\"kind\":\"pause\",\"step\":\"begun\"}\n\
                {\"type\":\"fault\",\"fault\":0,\"kind\":\"pause\",\"step\":\"healed\"}\n\
                {\"type\":\"phase\",\"phase\":\"settle\",\"time\":2000000000}\n";
    let verdict = judge_with(&[], &story(heal, &[("n1", "[1,2,3,4,5]"), ("n2", "[1,2]")]));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.starts_with("n2 is behind by 3 of 5 acknowledged elements"), "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("replica-lags", Severity::Evidence)]);
    let text = verdict.findings[0].sentences.join(" ");
    assert!(
        text.contains("was acknowledged at 0.006 s; n2 was read at 2.003 s, 1.991 s after the last heal"),
        "{text}"
    );
    // The run knows that it had not converged.
    let reads = [("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]")];
    let verdict = judge_with(&[], &story(NOT_CONVERGED, &reads));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("The run says: the replicas did not converge"), "{}", verdict.summary);
}

#[test]
fn an_add_in_doubt_may_be_the_reason() {
    let doubt = "{\"type\":\"invoke\",\"process\":1,\"workload\":\"set\",\"f\":\"add\",\"value\":6}\n\
                 {\"type\":\"info\",\"process\":1}\n";
    let verdict = judge_with(&[], &story(doubt, &[("n1", "[1,2,3,4,5,6]"), ("n2", "[1,2,3,4,5]")]));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("replicas-differ", Severity::Evidence)]);
}

#[test]
fn what_was_not_asked_is_not_valid() {
    let silent = judge(&[("n1", "[1,2,3,4,5]"), ("n2", "js10059: stream not found"), ("n3", "js10059")]);
    assert_eq!(silent.validity, Validity::Unknown, "{}", silent.summary);
    let told = "Fewer than two nodes answered a final read of 1 of 1 set, with 5 acknowledged adds in all. \
                2 final reads failed: 2 x js10059 on n2, n3.";
    assert_eq!(silent.summary, told);
    for mode in ["any-node", "leader", "once", "until-empty"] {
        let verdict = judge_with(&[("final_reads", mode)], &story("", &[("n1", "[]")]));
        assert_eq!(verdict.summary, format!("Not asked: final_reads is {mode}, so the nodes need not hold the same."));
    }
    let alone = story("", &[("n1", "[1,2,3,4,5]")]).replace("[\"n1\",\"n2\",\"n3\"]", "[\"n1\"]");
    assert_eq!(judge_with(&[], &alone).validity, Validity::Valid, "one node has nobody to agree with");
    let open = "\n{\"type\":\"fault\",\"fault\":0,\"kind\":\"pause\",\"step\":\"begun\"}\n";
    let verdict = judge_with(&[], &story(open, &[("n1", "[1,2]"), ("n2", "[1,2]")]));
    assert_eq!(verdict.validity, Validity::Unknown, "a fault was never healed: {}", verdict.summary);
}

#[test]
fn a_node_that_gave_no_final_read_of_its_own_was_not_compared() {
    let all = "[1,2,3,4,5]";
    let told = "n3 was asked for a final read and gave none of its own, so the comparison is not whole; the other nodes agree.";
    // Its reads failed.
    let failed = story("", &[("n1", all), ("n2", all), ("n3", "timeout")]);
    // n1 answered in its place, whatever n3 holds.
    let three = story("", &[("n1", all), ("n2", all), ("n3", all)]);
    let by_another =
        three.replace("{\"type\":\"ok\",\"process\":12,", "{\"type\":\"ok\",\"process\":12,\"node\":\"n1\",");
    assert_ne!(by_another, three);
    let crdt = |lines: &str| {
        let options = Options([("quiesce_ms".to_owned(), Value::Int(0))].into());
        checker_with("crdt", &options).expect("listed").check(&history(lines), &Budget::unlimited())
    };
    for lines in [&failed, &by_another] {
        for verdict in [judge_with(&[], lines), crdt(lines)] {
            assert_eq!(verdict.validity, Validity::Unknown, "{lines}: {}", verdict.summary);
            assert!(verdict.summary.starts_with(told), "{}", verdict.summary);
        }
    }
    for verdict in [judge_with(&[], &three), crdt(&three)] {
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    }
}

#[test]
fn a_crdt_counts_what_was_acknowledged_before_it_looks_for_final_reads() {
    let lines = story("", &[("n1", "js10059: stream not found"), ("n2", "js10059")]);
    for options in [Options::default(), Options([("type".to_owned(), Value::text("g-set"))].into())] {
        let verdict = checker_with("crdt", &options).expect("listed").check(&history(&lines), &Budget::unlimited());
        let told = "1 object without final reads on two nodes, after 5 acknowledged updates. \
                    2 final reads failed: 2 x js10059 on n1, n2.";
        assert_eq!((verdict.validity, verdict.summary.as_str()), (Validity::Unknown, told));
    }
}

#[test]
fn a_crdt_that_may_be_behind_is_not_accused() {
    let judge = |options: &[(&str, Value)], lines: &str| {
        let options = Options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        checker_with("crdt", &options).expect("listed").check(&history(lines), &Budget::unlimited())
    };
    let reads = [("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]")];
    let verdict = judge(&[], &story("", &reads));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(kinds(&verdict).iter().all(|kind| *kind == ("replica-lags", Severity::Evidence)), "{:?}", kinds(&verdict));
    assert_eq!(judge(&[], &story(CONVERGED, &reads)).validity, Validity::Invalid);
    assert_eq!(judge(&[], &story(NOT_CONVERGED, &reads)).validity, Validity::Unknown);
    assert_eq!(judge(&[("quiesce_ms", Value::Int(0))], &story("", &reads)).validity, Validity::Invalid);
    let still = [(1, "n1", reads[0].1), (1, "n2", reads[1].1), (11, "n1", reads[0].1), (11, "n2", reads[1].1)];
    assert_eq!(judge(&[], &story_at(&still)).validity, Validity::Invalid);
    // What no node has is lost, whoever may be behind; a node that was not asked may have it.
    let nowhere = story("", &[reads[1], ("n1", "[1,3,4,5]"), ("n3", "[1,3,4,5]")]);
    assert_eq!(kinds(&judge(&[], &nowhere)), [("lost-element", Severity::Violation)]);
    assert_eq!(judge(&[], &story("", &[reads[1], ("n1", "[1,3,4,5]")])).validity, Validity::Unknown);
}

#[test]
fn a_node_that_never_gets_the_tail_breaks_a_promise_only_if_there_is_a_bound() {
    let reads = [("n1", "[1,2,3,4,5]"), ("n2", "[1,2,3]"), ("n3", "[1,2,3,4,5]"), ("n2", "[1,2,3,4]")];
    let lines = story(NOT_CONVERGED, &reads);
    let unbounded = judge_with(&[], &lines);
    assert_eq!(unbounded.validity, Validity::Unknown, "{}", unbounded.summary);
    assert_eq!(kinds(&unbounded), [("replica-lags", Severity::Evidence)]);
    assert!(unbounded.findings[0].sentences.join(" ").contains("The option catch_up says how long"));
    let late = judge_with(&[("catch_up", "2ms")], &lines);
    assert_eq!(late.validity, Validity::Invalid, "{}", late.summary);
    assert_eq!(kinds(&late), [("diverged", Severity::Violation), ("lost-element", Severity::Violation)]);
    let text = late.findings[1].sentences.join(" ");
    assert!(
        text.contains("to catch up after the last add and the last heal: more than the option catch_up allows"),
        "{text}"
    );
    let early = judge_with(&[("catch_up", "1h")], &lines);
    assert_eq!(early.validity, Validity::Unknown, "{}", early.summary);
}
