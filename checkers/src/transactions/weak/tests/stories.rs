//! Small histories, each with one anomaly and its explanation.
use super::super::Weak;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};

/// Judges these lines.
fn judged(checker: &Weak, lines: &str) -> Verdict {
    checker.check(&history(&format!("{{\"type\":\"start\",\"nodes\":[\"n1\"]}}\n{lines}")), &Budget::unlimited())
}

fn levels(lines: &str) -> [Validity; 3] {
    [Weak::read_committed(), Weak::read_atomic(), Weak::causal()].map(|checker| judged(&checker, lines).validity)
}

use Validity::{Invalid, Unknown, Valid};

#[test]
fn a_fractured_read_is_no_atomic_one() {
    for (write, x, y) in [("w x 1; w y 2", "r x 1", "r y"), ("a x 1; a y 2", "r x [1]", "r y []")] {
        // Read in this order, the second read is newer than the first.
        let later = format!("0 txn {write} -> ok\n1 txn {y}; {x} -> ok");
        assert_eq!(levels(&later), [Valid, Invalid, Invalid]);
        let earlier = format!("0 txn {write} -> ok\n1 txn {x}; {y} -> ok");
        assert_eq!(levels(&earlier), [Invalid, Invalid, Invalid]);
        let verdict = judged(&Weak::causal(), &later);
        let finding = &verdict.findings[0];
        assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("fractured-read", &[1, 3][..]));
        assert_eq!(finding.cycle.len(), 2);
        assert!(finding.sentences.iter().any(|text| text.starts_with("Yet #3 read key")), "{:?}", finding.sentences);
        assert_eq!(verdict.numbers["strongest_level"], "read-committed");
    }
}

#[test]
fn an_effect_without_its_cause_is_not_causal() {
    let txns = "0 txn w x 1 -> ok\n1 txn r x 1; w y 2 -> ok\n2 txn r y 2 -> ok\n2 txn r x -> ok";
    assert_eq!(levels(txns), [Valid, Valid, Invalid]);
    let verdict = judged(&Weak::causal(), txns);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("causal-violation", &[1, 3, 5, 7][..]));
    assert_eq!(finding.cycle.len(), 4, "{:?}", finding.cycle);
    assert!(super::super::fuzz::closed(finding));
}

#[test]
fn sessions_read_their_own_writes() {
    let txns = "0 txn w x 1 -> ok\n0 txn r x -> ok";
    let other = "1 txn w y 1 -> ok\n2 txn r y 1 -> ok";
    assert_eq!(levels(&format!("{txns}\n{other}")), [Valid, Invalid, Invalid]);
    let apart = "0 txn w x 1 -> ok\n1 txn r x -> ok";
    assert_eq!(levels(&format!("{apart}\n{other}")), [Valid; 3]);
    // What was written is not seen anywhere.
    assert_eq!(levels(txns), [Unknown, Invalid, Invalid]);
    assert_eq!(levels(apart), [Unknown; 3]);
}

#[test]
fn flawed_reads_have_their_names() {
    for (txns, kind) in [
        ("0 txn w x 1 -> fail\n1 txn r x 1 -> ok", "G1a"),
        ("0 txn w x 1; w x 2 -> ok\n1 txn r x 1 -> ok", "G1b"),
        ("0 txn r x 7 -> ok", "garbage-read"),
        ("0 txn w x 1; r x -> ok", "internal"),
        ("0 txn r x 1; w x 1 -> ok", "future-read"),
        ("0 txn a x 1 -> ok\n1 txn r x [1,1] -> ok", "duplicate-elements"),
        ("0 txn a x 1 -> ok\n1 txn a x 2 -> ok\n2 txn r x [1,2] -> ok\n3 txn r x [2] -> ok", "incompatible-order"),
        ("0 txn r x 1; w y 2 -> ok\n1 txn r y 2; w x 1 -> ok", "G1c"),
    ] {
        let verdict = judged(&Weak::read_committed(), txns);
        assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Invalid, kind));
        assert!(verdict.findings[0].certificate.is_some());
    }
}

#[test]
fn unknown_says_why() {
    let twice = "0 txn w x 1 -> ok\n1 txn w x 1 -> ok\n2 txn r x 1 -> ok";
    assert_eq!(levels(twice), [Unknown; 3]);
    assert_eq!(levels("0 txn w x 1 -> ok"), [Unknown; 3]);
    let unseen = "0 txn w x 1 -> info\n1 txn r x -> ok";
    assert_eq!(levels(unseen), [Unknown; 3]);
}

#[test]
fn a_list_that_is_another_behind_an_own_append_is_in_doubt() {
    let levels = |before: &str| {
        levels(&format!("0 txn a x 2 -> ok\n1 txn r x {before}; a x 3; r x [2,3] -> ok\n2 txn r x [2,3] -> ok"))
    };
    assert_eq!(levels("[]"), [Unknown, Unknown, Invalid]);
    assert_eq!(levels("[2]"), [Valid; 3]);
}

/// `count` transactions that each append to one key, the first and the last also to another, in opposite orders.
fn ring(count: usize) -> Verdict {
    let last = count - 1;
    let append = |at: usize| match at {
        0 => format!("0 txn a x 0; a y {last} -> ok\n"),
        at if at == last => format!("{at} txn a x {last}; a y 0 -> ok\n"),
        at => format!("{at} txn a x {at} -> ok\n"),
    };
    let all: Vec<String> = (0..count).map(|at| at.to_string()).collect();
    let txns: String = (0..count).map(append).collect();
    let read = format!("{count} txn r x [{}]; r y [0,{last}] -> ok", all.join(","));
    judged(&Weak::read_committed(), &(txns + &read))
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
    let txn = |at: usize| format!("{at} txn w k{at} {at}; r k{0} {0} -> ok\n", next(at));
    let txns: String = (0..count).map(txn).collect();
    let verdict = judged(&Weak::read_committed(), &txns);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.cycle.len(), finding.ops.len()), ("G1c", count, count));
    assert!(finding.sentences.iter().any(|text| text == "And 188 more operations."));
    assert!(finding.sentences.iter().any(|text| text == "And so on, 169 links."), "{:?}", finding.sentences);
    assert!(finding.certificate.is_some(), "each link shows itself");
}
