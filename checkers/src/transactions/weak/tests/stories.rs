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
