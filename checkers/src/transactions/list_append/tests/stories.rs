//! Small histories as data: what happened, and what must come out.
use super::judge;
use crate::history::History;
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Validity};

/// Each line: process, `call`, `ok`, `fail` or `info`, and the operations: `a k v` appends, `r k` reads, `r k [..]` read.
fn story(lines: &str) -> History {
    let record = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let (process, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let kind = if kind == "call" { "invoke" } else { kind };
        let mops: Vec<String> =
            words.next().unwrap_or_default().split("; ").filter(|mop| !mop.is_empty()).map(mop).collect();
        let value = if mops.is_empty() { "null".to_owned() } else { format!("[{}]", mops.join(",")) };
        format!(r#"{{"type":"{kind}","process":{process},"f":"txn","value":{value}}}"#)
    };
    let lines: Vec<String> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(record).collect();
    testing::history(&lines.join("\n"))
}

fn mop(text: &str) -> String {
    let mut words = text.splitn(3, ' ');
    let (name, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = if name == "a" { "append" } else { name };
    format!(r#"["{name}",{key},{}]"#, words.next().unwrap_or("null"))
}

/// The kinds of violations against strict serialisability, and the summary.
fn kinds(history: &History) -> (Vec<String>, String) {
    let verdict = judge(history, "strict-serializable");
    let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
    let mut kinds: Vec<String> = violations.map(|finding| finding.kind.clone()).collect();
    kinds.sort();
    kinds.dedup();
    (kinds, verdict.summary)
}

/// Histories with the kinds of violations in them.
const NAMED: &[(&[&str], &str)] = &[
    (
        &["G0"],
        "0 call a 1 1; a 2 1
         1 call a 1 2; a 2 2
         0 ok a 1 1; a 2 1
         1 ok a 1 2; a 2 2
         2 call r 1; r 2
         2 ok r 1 [1,2]; r 2 [2,1]",
    ),
    (
        &["G1c"],
        "0 call a 1 1; r 2
         1 call a 2 1; r 1
         0 ok a 1 1; r 2 [1]
         1 ok a 2 1; r 1 [1]",
    ),
    (
        &["G-single-item"],
        "0 call a 1 1; a 2 1
         1 call r 1; r 2
         0 ok a 1 1; a 2 1
         1 ok r 1 [1]; r 2 []",
    ),
    (
        &["G2-item"],
        "0 call r 1; a 2 1
         1 call r 2; a 1 1
         0 ok r 1 []; a 2 1
         1 ok r 2 []; a 1 1",
    ),
    // Two readers see two writes in different orders: long fork.
    (
        &["G-nonadjacent-item"],
        "0 call a 1 1
         1 call a 2 1
         2 call r 1; r 2
         3 call r 1; r 2
         2 ok r 1 [1]; r 2 []
         3 ok r 1 []; r 2 [1]
         0 ok a 1 1
         1 ok a 2 1",
    ),
    // Acknowledged, and not there for one who asks later.
    (
        &["G-single-item-realtime"],
        "0 call a 1 1
         0 ok a 1 1
         1 call r 1
         1 ok r 1 []",
    ),
    (
        &["G-single-item-process"],
        "0 call a 1 1
         0 ok a 1 1
         0 call r 1
         0 ok r 1 []",
    ),
    (
        &["G0-realtime"],
        "0 call a 1 1
         0 ok a 1 1
         1 call a 1 2
         1 ok a 1 2
         2 call r 1
         2 ok r 1 [2,1]",
    ),
    (
        &["G1a"],
        "0 call a 1 1
         0 fail
         1 call r 1
         1 ok r 1 [1]",
    ),
    (
        &["G-single-item", "G1b"],
        "0 call a 1 1; a 1 2
         1 call r 1
         1 ok r 1 [1]
         0 ok a 1 1; a 1 2",
    ),
    (
        &["G1a", "dirty-update"],
        "0 call a 1 1
         0 fail
         1 call a 1 2
         1 ok a 1 2
         1 call r 1
         1 ok r 1 [1,2]",
    ),
    (
        &["duplicate-elements"],
        "0 call a 1 1
         0 ok a 1 1
         0 call r 1
         0 ok r 1 [1,1]",
    ),
    (
        &["incompatible-order"],
        "0 call a 1 1
         1 call a 1 2
         2 call r 1
         3 call r 1
         2 ok r 1 [1]
         3 ok r 1 [2]
         0 info
         1 info",
    ),
    (
        &["garbage-read"],
        "0 call a 1 1; r 2
         0 ok a 1 1; r 2 [7]",
    ),
    (
        &["future-read"],
        "0 call r 1; a 1 1
         0 ok r 1 [1]; a 1 1",
    ),
    (
        &["internal"],
        "0 call a 1 1; r 1
         0 ok a 1 1; r 1 []",
    ),
    (
        &["G-single-item", "lost-update"],
        "0 call r 1; a 1 1
         1 call r 1; a 1 2
         0 ok r 1 []; a 1 1
         1 ok r 1 []; a 1 2
         2 call r 1
         2 ok r 1 [1,2]",
    ),
];

#[test]
fn each_anomaly_is_named() {
    for (expected, lines) in NAMED {
        let (kinds, summary) = kinds(&story(lines));
        assert_eq!(kinds, *expected, "{summary}\n{lines}");
    }
}

#[test]
fn what_may_have_happened_is_no_anomaly() {
    for lines in [
        // Unknown, and never seen.
        "0 call a 1 1
         0 info
         1 call r 1
         1 ok r 1 []",
        // Unknown, and it took effect between two reads.
        "0 call a 1 1
         0 info
         1 call r 1
         1 ok r 1 []
         1 call r 1
         1 ok r 1 [1]",
        // Failed, and tried again with the same element.
        "0 call a 1 1
         0 fail
         0 call a 1 1
         0 ok a 1 1
         0 call r 1
         0 ok r 1 [1]",
        // At the same time.
        "0 call a 1 1
         1 call r 1
         0 ok a 1 1
         1 ok r 1 []",
    ] {
        // And something that others saw.
        let seen = "8 call a 9 9\n8 ok a 9 9\n9 call r 9\n9 ok r 9 [9]";
        let verdict = judge(&story(&format!("{lines}\n{seen}")), "strict-serializable");
        assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Valid, 0), "{}\n{lines}", verdict.summary);
    }
}

#[test]
fn too_little_is_unknown() {
    for (words, lines) in [
        ("No transaction was acknowledged", "0 call a 1 1\n0 info"),
        ("No acknowledged transaction read", "0 call a 1 1\n0 ok a 1 1"),
        ("No transaction appended", "0 call r 1\n0 ok r 1 []"),
        ("both appended 1 to 1", "0 call a 1 1\n0 ok a 1 1\n1 call a 1 1\n1 ok a 1 1\n1 call r 1\n1 ok r 1 [1,1]"),
        ("No transaction on lists", "0 call w 1 1\n0 ok w 1 1"),
        ("#2 cannot be judged: it writes a register", "0 call a 1 1\n0 ok a 1 1\n0 call w 1 1\n0 ok w 1 1"),
        ("#0 cannot be judged", "0 call x 1 1\n0 ok x 1 1"),
    ] {
        let verdict = judge(&story(lines), "strict-serializable");
        assert_eq!(verdict.validity, Validity::Unknown, "{lines}");
        assert!(verdict.summary.contains(words), "{}", verdict.summary);
    }
}

#[test]
fn the_model_decides_what_counts() {
    let skew = "0 call r 1; a 2 1
                1 call r 2; a 1 1
                0 ok r 1 []; a 2 1
                1 ok r 2 []; a 1 1
                2 call r 1; r 2
                2 ok r 1 [1]; r 2 [1]";
    let verdict = judge(&story(skew), "snapshot-isolation");
    assert_eq!(verdict.validity, Validity::Valid);
    assert!(verdict.findings.iter().all(|finding| finding.severity == Severity::Evidence));
    assert!(
        verdict.summary.contains("not serializable; strongest that holds: strong-snapshot-isolation"),
        "{}",
        verdict.summary
    );
    let options = |model: &str| Options([("model".to_owned(), Value::text(model))].into());
    let checker = checker_with("list-append", &options("SI")).expect("a checker");
    assert_eq!(checker.check(&story(skew), &Budget::unlimited()).validity, Validity::Valid);
    assert!(checker_with("list-append", &options("perfect")).is_err_and(|error| error.contains("strict-serializable")));
}

#[test]
fn a_cycle_says_why() {
    let skew = "0 call r 1; a 2 5
                1 call r 2; a 1 6
                0 ok r 1 []; a 2 5
                1 ok r 2 []; a 1 6";
    let verdict = judge(&story(skew), "strict-serializable");
    let finding = verdict.findings.first().expect("a finding");
    assert_eq!(finding.ops, [0, 1]);
    assert_eq!(finding.cycle.len(), 2);
    let then = finding.sentences.iter().skip_while(|sentence| *sentence != "Then:").skip(1);
    let then: Vec<&str> = then.map(String::as_str).collect();
    assert_eq!(
        then,
        [
            "T1 < T2, because T1 did not observe T2's append of 6 to 1.",
            "However, T2 < T1, because T2 did not observe T1's append of 5 to 2: a contradiction."
        ]
    );
}

#[test]
fn time_that_is_up_leaves_what_is_known() {
    let skew = story("0 call r 1; a 2 1\n1 call r 2; a 1 1\n0 ok r 1 []; a 2 1\n1 ok r 2 []; a 1 1");
    let expired = Budget { expired: std::sync::Arc::new(|| true), ..Budget::unlimited() };
    let verdict = |model: &str| super::ListAppend::new(model).expect("a model").check(&skew, &expired);
    assert_eq!(verdict("serializable").validity, Validity::Invalid);
    let open = verdict("snapshot-isolation");
    assert_eq!(open.validity, Validity::Unknown);
    assert!(open.summary.contains("The time was up"), "{}", open.summary);
}

#[test]
fn a_prefix_nobody_read_to_the_end_leaves_snapshot_isolation_open() {
    // Whichever of the two appends to 1 came first, the other's transaction ran against it; but nobody read them.
    let lines = "0 call a 1 1; r 2
                 1 call a 1 2; r 3
                 2 call a 2 1; a 3 1
                 2 ok a 2 1; a 3 1
                 0 ok a 1 1; r 2 []
                 1 ok a 1 2; r 3 []";
    let verdict = judge(&story(lines), "snapshot-isolation");
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}
