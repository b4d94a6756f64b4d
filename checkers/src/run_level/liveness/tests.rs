//! Which heals and nodes `liveness` judges, and what it says of the others.
use crate::tests::stories::{judge, kinds, unknown, valid};
use crate::value::Value;
use serde_json::json;

/// Two faults, whose heals come at 2 s and 5 s, between calls of n1 and n2; each is healed after a second.
fn two_heals(calls: &[(&str, u64, u64, &str)]) -> String {
    let mut events: Vec<(u64, String)> = Vec::new();
    for (process, (node, called, ended, how)) in calls.iter().enumerate() {
        let process = process as u64 + 1;
        events.push((*called, format!(r#"{{"type":"invoke","process":{process},"node":"{node}","workload":"w","f":"write","value":{process},"time":{called}000000}}"#)));
        events.push((*ended, format!(r#"{{"type":"{how}","process":{process},"time":{ended}000000}}"#)));
    }
    for (fault, begun) in [(1, 1000), (2, 4000)] {
        let step = |step: &str, at: u64| {
            (
                at,
                format!(
                    r#"{{"type":"fault","fault":{fault},"kind":"kill","step":"{step}","nodes":["n1"],"time":{at}000000}}"#
                ),
            )
        };
        events.extend([step("begun", begun), step("healed", begun + 1000)]);
    }
    events.sort();
    let lines: Vec<String> = events.into_iter().map(|(_, line)| line).collect();
    format!(
        "{{\"type\":\"phase\",\"phase\":\"load\"}}\n{}\n{{\"type\":\"phase\",\"phase\":\"drain\",\"time\":9000000000}}",
        lines.join("\n")
    )
}

#[test]
fn no_heal_is_passed_over_in_silence() {
    let within = [("recover", Value::text("1s"))];
    let before = [("n1", 100, 200, "ok"), ("n2", 100, 200, "ok")];
    let judged = |after: &[(&str, u64, u64, &str)]| judge("liveness", &within, &two_heals(&[&before, after].concat()));
    // The node that the faults took is never called in time; the other always answers.
    let passed_over = judged(&[("n2", 2100, 2200, "ok"), ("n2", 5100, 5200, "ok"), ("n1", 6500, 6600, "ok")]);
    unknown(&passed_over, "Fewer than half of the recoveries could be judged: 0 of 2 heals judged, 2 of 4");
    assert_eq!(passed_over.numbers["recovery_not_judged"], json!(2));
    let title = &passed_over.findings[0].title;
    assert!(title.contains("after the heal of fault 1: n1: not called within 500 ms"), "{title}");
    let half = judged(&[("n2", 2100, 2200, "ok"), ("n2", 5100, 5200, "ok"), ("n1", 5100, 5200, "ok")]);
    valid(&half);
    assert!(half.summary.contains("1 of 2 heals judged, 3 of 4 recoveries of single nodes"), "{}", half.summary);
}

#[test]
fn a_node_that_answers_before_the_next_fault_has_recovered() {
    let within = [("recover", Value::text("3s"))];
    let before = ("n1", 100, 200, "ok");
    let judged = |answers: &str| {
        judge("liveness", &within, &two_heals(&[before, ("n1", 2100, 2200, answers), ("n1", 5100, 5200, "ok")]))
    };
    let verdict = judged("ok");
    valid(&verdict);
    assert_eq!((&verdict.numbers["heals_judged"], &verdict.numbers["judged"]), (&json!(2), &json!(2)));
    // Whether it would have answered in time is not known.
    let verdict = judged("fail");
    valid(&verdict);
    assert_eq!((&verdict.numbers["heals_judged"], &verdict.numbers["disturbed"]), (&json!(1), &json!(1)));
    assert!(verdict.findings[0].title.contains("n1: fault 2 began 2000 ms after the heal"), "{verdict:?}");
}

#[test]
fn calls_that_fail_in_faults_do_not_hide_a_node_that_never_recovers() {
    // Refusals while the node was down outnumber what it did before.
    let mut calls = vec![("n1", 100, 200, "ok"), ("n1", 300, 400, "ok")];
    calls.extend((0..8).map(|call| ("n1", 1100 + call * 50, 1110 + call * 50, "fail")));
    calls.extend([("n1", 2100, 2200, "ok"), ("n1", 5100, 5200, "fail")]);
    let verdict = judge("liveness", &[("recover", Value::text("1s"))], &two_heals(&calls));
    assert_eq!(kinds(&verdict), ["not-recovered"], "{verdict:?}");
}

#[test]
fn calls_that_fail_while_a_node_recovers_do_not_hide_that_it_never_recovers_from_the_next_fault() {
    let mut calls = vec![("n1", 100, 200, "ok"), ("n1", 300, 400, "ok")];
    calls.extend((0..5).map(|call| ("n1", 2050 + call * 100, 2060 + call * 100, "fail")));
    calls.push(("n1", 2900, 2950, "ok"));
    calls.extend((0..30).map(|call| ("n1", 5100 + call * 100, 5110 + call * 100, "fail")));
    let verdict = judge("liveness", &[("recover", Value::text("1s"))], &two_heals(&calls));
    assert_eq!(kinds(&verdict), ["not-recovered"], "{verdict:?}");
    assert!(verdict.findings[0].title.contains("after fault 2 was healed"), "{verdict:?}");
}

#[test]
fn a_follower_is_well_also_where_another_fault_follows() {
    let calls = [("n1", 100, 200, "ok"), ("n2", 100, 200, "ok"), ("n1", 2100, 2200, "fail"), ("n2", 2100, 2200, "ok")];
    let follows = two_heals(&calls).replace(r#""type":"fail","#, r#""type":"fail","error":"not-leader","#);
    // The second fault begins 2 s after the first heal.
    let verdict = judge("liveness", &[("recover", Value::text("3s"))], &follows);
    let number = |name: &str| verdict.numbers[name].as_u64();
    assert_eq!((number("following"), number("heals_judged")), (Some(1), Some(1)), "{verdict:?}");
}
