//! Stories of replicas.
use crate::registry::{Options, checker_with};
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

#[test]
fn a_node_that_lacks_what_came_before_what_it_has_diverged() {
    let verdict = judge(&[("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]"), ("n3", "[1,2,3,4,5]")]);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!(kinds(&verdict), [("diverged", Severity::Violation), ("lost-element", Severity::Violation)]);
    let lost = &verdict.findings[1];
    assert_eq!(lost.title, "n2 lacks 1 acknowledged element that another node has, first #3");
    let text = lost.sentences.join(" ");
    assert!(text.contains("n2 lacks 1 of 5 acknowledged elements: 2."), "{text}");
    assert!(text.contains("it has 3, which was only added (#5) after that"), "{text}");
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
    // The run knows that it had not converged; or it was seen to catch up.
    let noted = "\n{\"type\":\"note\",\"text\":\"the replicas did not converge: /node differs\"}\n";
    let reads = [("n1", "[1,2,3,4,5]"), ("n2", "[1,3,4,5]")];
    let verdict = judge_with(&[], &story(noted, &reads));
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("The run says: the replicas did not converge"), "{}", verdict.summary);
    assert_eq!(judge(&[("n2", "[1,3]"), reads[0], reads[1]]).validity, Validity::Unknown);
    assert_eq!(judge(&[("n2", "[1,3,4,5]"), reads[0], reads[1]]).validity, Validity::Invalid, "it stands still");
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
fn a_crdt_counts_what_was_acknowledged_before_it_looks_for_final_reads() {
    let lines = story("", &[("n1", "js10059: stream not found"), ("n2", "js10059")]);
    for options in [Options::default(), Options([("type".to_owned(), Value::text("g-set"))].into())] {
        let verdict = checker_with("crdt", &options).expect("listed").check(&history(&lines), &Budget::unlimited());
        let told = "1 object without final reads on two nodes, after 5 acknowledged updates. \
                    2 final reads failed: 2 x js10059 on n1, n2.";
        assert_eq!((verdict.validity, verdict.summary.as_str()), (Validity::Unknown, told));
    }
}
