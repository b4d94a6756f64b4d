//! Small histories, each with one anomaly and its explanation.
use super::super::Weak;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};

/// Transactions by process, one after the other: process, outcome, call and reply.
fn judged(checker: &Weak, txns: &[(u64, &str, &str)]) -> Verdict {
    let mut lines = "{\"type\":\"start\",\"nodes\":[\"n1\"]}".to_owned();
    for (process, outcome, mops) in txns {
        let asked: Vec<serde_json::Value> = serde_json::from_str(mops).expect("a list");
        let asked: Vec<serde_json::Value> = asked
            .iter()
            .map(|mop| if mop[0] == "r" { serde_json::json!(["r", mop[1], null]) } else { mop.clone() })
            .collect();
        let asked = serde_json::Value::Array(asked);
        lines.push_str(&format!("\n{{\"type\":\"invoke\",\"process\":{process},\"f\":\"txn\",\"value\":{asked}}}"));
        let reply = if *outcome == "ok" { format!(",\"value\":{mops}") } else { String::new() };
        lines.push_str(&format!("\n{{\"type\":\"{outcome}\",\"process\":{process}{reply}}}"));
    }
    checker.check(&history(&lines), &Budget::unlimited())
}

fn levels(txns: &[(u64, &str, &str)]) -> [Validity; 3] {
    [Weak::read_committed(), Weak::read_atomic(), Weak::causal()].map(|checker| judged(&checker, txns).validity)
}

use Validity::{Invalid, Unknown, Valid};

#[test]
fn a_fractured_read_is_no_atomic_one() {
    for (write, x, y) in [
        (r#"[["w","x",1],["w","y",2]]"#, r#"["r","x",1]"#, r#"["r","y",null]"#),
        (r#"[["append","x",1],["append","y",2]]"#, r#"["r","x",[1]]"#, r#"["r","y",[]]"#),
    ] {
        // Read in this order, the second read is newer than the first.
        let later = format!("[{y},{x}]");
        assert_eq!(levels(&[(0, "ok", write), (1, "ok", &later)]), [Valid, Invalid, Invalid]);
        let earlier = format!("[{x},{y}]");
        assert_eq!(levels(&[(0, "ok", write), (1, "ok", &earlier)]), [Invalid, Invalid, Invalid]);
        let verdict = judged(&Weak::causal(), &[(0, "ok", write), (1, "ok", &later)]);
        let finding = &verdict.findings[0];
        assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("fractured-read", &[1, 3][..]));
        assert_eq!(finding.cycle.len(), 2);
        assert!(finding.sentences.iter().any(|text| text.starts_with("Yet #3 read key")), "{:?}", finding.sentences);
        assert_eq!(verdict.numbers["strongest_level"], "read-committed");
    }
}

#[test]
fn an_effect_without_its_cause_is_not_causal() {
    let txns = [
        (0, "ok", r#"[["w","x",1]]"#),
        (1, "ok", r#"[["r","x",1],["w","y",2]]"#),
        (2, "ok", r#"[["r","y",2]]"#),
        (2, "ok", r#"[["r","x",null]]"#),
    ];
    assert_eq!(levels(&txns), [Valid, Valid, Invalid]);
    let verdict = judged(&Weak::causal(), &txns);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("causal-violation", &[1, 3, 5, 7][..]));
    assert_eq!(finding.cycle.len(), 4, "{:?}", finding.cycle);
    assert!(super::super::fuzz::closed(finding));
}

#[test]
fn sessions_read_their_own_writes() {
    let txns = [(0, "ok", r#"[["w","x",1]]"#), (0, "ok", r#"[["r","x",null]]"#)];
    let other = [(1, "ok", r#"[["w","y",1]]"#), (2, "ok", r#"[["r","y",1]]"#)];
    assert_eq!(levels(&[&txns[..], &other].concat()), [Valid, Invalid, Invalid]);
    let apart = [(0, "ok", r#"[["w","x",1]]"#), (1, "ok", r#"[["r","x",null]]"#)];
    assert_eq!(levels(&[&apart[..], &other].concat()), [Valid; 3]);
    // What was written is not seen anywhere.
    assert_eq!(levels(&txns), [Unknown, Invalid, Invalid]);
    assert_eq!(levels(&apart), [Unknown; 3]);
}

#[test]
fn flawed_reads_have_their_names() {
    for (txns, kind) in [
        (&[(0, "fail", r#"[["w","x",1]]"#), (1, "ok", r#"[["r","x",1]]"#)][..], "G1a"),
        (&[(0, "ok", r#"[["w","x",1],["w","x",2]]"#), (1, "ok", r#"[["r","x",1]]"#)], "G1b"),
        (&[(0, "ok", r#"[["r","x",7]]"#)], "garbage-read"),
        (&[(0, "ok", r#"[["w","x",1],["r","x",null]]"#)], "internal"),
        (&[(0, "ok", r#"[["r","x",1],["w","x",1]]"#)], "future-read"),
        (&[(0, "ok", r#"[["append","x",1]]"#), (1, "ok", r#"[["r","x",[1,1]]]"#)], "duplicate-elements"),
        (
            &[
                (0, "ok", r#"[["append","x",1]]"#),
                (1, "ok", r#"[["append","x",2]]"#),
                (2, "ok", r#"[["r","x",[1,2]]]"#),
                (3, "ok", r#"[["r","x",[2]]]"#),
            ],
            "incompatible-order",
        ),
        (&[(0, "ok", r#"[["r","x",1],["w","y",2]]"#), (1, "ok", r#"[["r","y",2],["w","x",1]]"#)], "G1c"),
    ] {
        let verdict = judged(&Weak::read_committed(), txns);
        assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Invalid, kind));
        assert!(verdict.findings[0].certificate.is_some());
    }
}

#[test]
fn unknown_says_why() {
    let twice = [(0, "ok", r#"[["w","x",1]]"#), (1, "ok", r#"[["w","x",1]]"#), (2, "ok", r#"[["r","x",1]]"#)];
    assert_eq!(levels(&twice), [Unknown; 3]);
    assert_eq!(levels(&[(0, "ok", r#"[["w","x",1]]"#)]), [Unknown; 3]);
    let unseen = [(0, "info", r#"[["w","x",1]]"#), (1, "ok", r#"[["r","x",null]]"#)];
    assert_eq!(levels(&unseen), [Unknown; 3]);
}

#[test]
fn a_list_that_is_another_behind_an_own_append_is_in_doubt() {
    let txns = |before: &str| {
        [
            (0, "ok", r#"[["append","x",2]]"#.to_owned()),
            (1, "ok", format!(r#"[["r","x",{before}],["append","x",3],["r","x",[2,3]]]"#)),
            (2, "ok", r#"[["r","x",[2,3]]]"#.to_owned()),
        ]
    };
    let levels =
        |before: &str| levels(&txns(before).each_ref().map(|(process, end, mops)| (*process, *end, &mops[..])));
    assert_eq!(levels("[]"), [Unknown, Unknown, Invalid]);
    assert_eq!(levels("[2]"), [Valid; 3]);
}

/// `count` transactions that each append to one key, the first and the last also to another, in opposite orders.
fn ring(count: usize) -> Verdict {
    let last = count - 1;
    let append = |at: usize| match at {
        0 => format!(r#"[["append","x",0],["append","y",{last}]]"#),
        at if at == last => format!(r#"[["append","x",{last}],["append","y",0]]"#),
        at => format!(r#"[["append","x",{at}]]"#),
    };
    let all: Vec<String> = (0..count).map(|at| at.to_string()).collect();
    let read = format!(r#"[["r","x",[{}]],["r","y",[0,{last}]]]"#, all.join(","));
    let mut txns: Vec<String> = (0..count).map(append).collect();
    txns.push(read);
    let txns: Vec<(u64, &str, &str)> = (0..).zip(&txns).map(|(process, txn)| (process, "ok", &txn[..])).collect();
    judged(&Weak::read_committed(), &txns)
}

#[test]
fn links_on_the_versions_of_one_key_are_one() {
    for count in [2, 40] {
        let verdict = ring(count);
        let finding = &verdict.findings[0];
        assert_eq!((verdict.validity, finding.kind.as_str(), finding.cycle.len()), (Invalid, "G0", 2));
        assert_eq!(finding.ops.len(), 3, "the two ends and who read them: {:?}", finding.sentences);
        assert!(finding.certificate.is_some());
    }
}

#[test]
fn a_long_cycle_is_told_in_part() {
    let count = 200;
    let next = |at: usize| (at + 1) % count;
    let txn = |at: usize| format!(r#"[["w","k{at}",{at}],["r","k{0}",{0}]]"#, next(at));
    let txns: Vec<String> = (0..count).map(txn).collect();
    let txns: Vec<(u64, &str, &str)> = (0..).zip(&txns).map(|(process, txn)| (process, "ok", &txn[..])).collect();
    let verdict = judged(&Weak::read_committed(), &txns);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.cycle.len(), finding.ops.len()), ("G1c", count, count));
    assert!(finding.sentences.iter().any(|text| text == "And 188 more operations."));
    assert!(finding.sentences.iter().any(|text| text == "And so on, 169 links."), "{:?}", finding.sentences);
    assert!(finding.certificate.is_some(), "each link shows itself");
}
