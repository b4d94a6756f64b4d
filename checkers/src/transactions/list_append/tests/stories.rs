//! Small histories as data: what happened, and what must come out.
use super::judge;
use crate::history::History;
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Severity, Validity};

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
        "0 txn a 1 1; a 2 1 ...
         1 txn a 1 2; a 2 2 ...
         0 -> ok a 1 1; a 2 1
         1 -> ok a 1 2; a 2 2
         2 txn r 1 [1,2]; r 2 [2,1] -> ok",
    ),
    (
        &["G1c"],
        "0 txn a 1 1; r 2 ...
         1 txn a 2 1; r 1 ...
         0 -> ok a 1 1; r 2 [1]
         1 -> ok a 2 1; r 1 [1]",
    ),
    (
        &["G-single-item"],
        "0 txn a 1 1; a 2 1 ...
         1 txn r 1; r 2 ...
         0 -> ok a 1 1; a 2 1
         1 -> ok r 1 [1]; r 2 []",
    ),
    (
        &["G2-item"],
        "0 txn r 1; a 2 1 ...
         1 txn r 2; a 1 1 ...
         0 -> ok r 1 []; a 2 1
         1 -> ok r 2 []; a 1 1",
    ),
    // Two readers see two writes in different orders: long fork.
    (
        &["G-nonadjacent-item"],
        "0 txn a 1 1 ...
         1 txn a 2 1 ...
         2 txn r 1; r 2 ...
         3 txn r 1; r 2 ...
         2 -> ok r 1 [1]; r 2 []
         3 -> ok r 1 []; r 2 [1]
         0 -> ok a 1 1
         1 -> ok a 2 1",
    ),
    // Acknowledged, and not there for one who asks later.
    (
        &["G-single-item-realtime"],
        "0 txn a 1 1 -> ok
         1 txn r 1 [] -> ok",
    ),
    (
        &["G-single-item-process"],
        "0 txn a 1 1 -> ok
         0 txn r 1 [] -> ok",
    ),
    (
        &["G0-realtime"],
        "0 txn a 1 1 -> ok
         1 txn a 1 2 -> ok
         2 txn r 1 [2,1] -> ok",
    ),
    (
        &["G1a"],
        "0 txn a 1 1 -> fail
         1 txn r 1 [1] -> ok",
    ),
    (
        &["G-single-item", "G1b"],
        "0 txn a 1 1; a 1 2 ...
         1 txn r 1 [1] -> ok
         0 -> ok a 1 1; a 1 2",
    ),
    (
        &["G1a", "dirty-update"],
        "0 txn a 1 1 -> fail
         1 txn a 1 2 -> ok
         1 txn r 1 [1,2] -> ok",
    ),
    (
        &["duplicate-elements"],
        "0 txn a 1 1 -> ok
         0 txn r 1 [1,1] -> ok",
    ),
    (
        &["incompatible-order"],
        "0 txn a 1 1 ...
         1 txn a 1 2 ...
         2 txn r 1 ...
         3 txn r 1 ...
         2 -> ok r 1 [1]
         3 -> ok r 1 [2]
         0 -> info
         1 -> info",
    ),
    (&["garbage-read"], "0 txn a 1 1; r 2 [7] -> ok"),
    (&["future-read"], "0 txn r 1 [1]; a 1 1 -> ok"),
    (&["internal"], "0 txn a 1 1; r 1 [] -> ok"),
    (
        &["G-single-item", "lost-update"],
        "0 txn r 1; a 1 1 ...
         1 txn r 1; a 1 2 ...
         0 -> ok r 1 []; a 1 1
         1 -> ok r 1 []; a 1 2
         2 txn r 1 [1,2] -> ok",
    ),
];

#[test]
fn each_anomaly_is_named() {
    for (expected, lines) in NAMED {
        let (kinds, summary) = kinds(&history(lines));
        assert_eq!(kinds, *expected, "{summary}\n{lines}");
    }
}

#[test]
fn what_may_have_happened_is_no_anomaly() {
    for lines in [
        // Unknown, and never seen.
        "0 txn a 1 1 -> info
         1 txn r 1 [] -> ok",
        // Unknown, and it took effect between two reads.
        "0 txn a 1 1 -> info
         1 txn r 1 [] -> ok
         1 txn r 1 [1] -> ok",
        // Failed, and tried again with the same element.
        "0 txn a 1 1 -> fail
         0 txn a 1 1 -> ok
         0 txn r 1 [1] -> ok",
        // At the same time.
        "0 txn a 1 1 ...
         1 txn r 1 ...
         0 -> ok a 1 1
         1 -> ok r 1 []",
    ] {
        // And something that others saw.
        let seen = "8 txn a 9 9 -> ok\n9 txn r 9 [9] -> ok";
        let verdict = judge(&history(&format!("{lines}\n{seen}")), "strict-serializable");
        assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Valid, 0), "{}\n{lines}", verdict.summary);
    }
}

#[test]
fn too_little_is_unknown() {
    for (words, lines) in [
        ("No transaction was acknowledged", "0 txn a 1 1 -> info"),
        ("No acknowledged transaction read", "0 txn a 1 1 -> ok"),
        ("No transaction appended", "0 txn r 1 [] -> ok"),
        ("both appended 1 to 1", "0 txn a 1 1 -> ok\n1 txn a 1 1 -> ok\n1 txn r 1 [1,1] -> ok"),
        ("No transaction on lists", "0 txn w 1 1 -> ok"),
        ("#2 cannot be judged: it writes a register", "0 txn a 1 1 -> ok\n0 txn w 1 1 -> ok"),
        ("#0 cannot be judged", r#"0 txn null [["x",1,1]] -> ok [["x",1,1]]"#),
    ] {
        let verdict = judge(&history(lines), "strict-serializable");
        assert_eq!(verdict.validity, Validity::Unknown, "{lines}");
        assert!(verdict.summary.contains(words), "{}", verdict.summary);
    }
}

#[test]
fn the_model_decides_what_counts() {
    let skew = "0 txn r 1; a 2 1 ...
                1 txn r 2; a 1 1 ...
                0 -> ok r 1 []; a 2 1
                1 -> ok r 2 []; a 1 1
                2 txn r 1 [1]; r 2 [1] -> ok";
    let verdict = judge(&history(skew), "snapshot-isolation");
    assert_eq!(verdict.validity, Validity::Valid);
    assert!(verdict.findings.iter().all(|finding| finding.severity == Severity::Evidence));
    assert!(
        verdict.summary.contains("not serializable; strongest that holds: strong-snapshot-isolation"),
        "{}",
        verdict.summary
    );
    let options = |model: &str| Options([("model".to_owned(), Value::text(model))].into());
    let checker = checker_with("list-append", &options("SI")).expect("a checker");
    assert_eq!(checker.check(&history(skew), &Budget::unlimited()).validity, Validity::Valid);
    assert!(checker_with("list-append", &options("perfect")).is_err_and(|error| error.contains("strict-serializable")));
}

#[test]
fn a_cycle_says_why() {
    let skew = "0 txn r 1; a 2 5 ...
                1 txn r 2; a 1 6 ...
                0 -> ok r 1 []; a 2 5
                1 -> ok r 2 []; a 1 6";
    let verdict = judge(&history(skew), "strict-serializable");
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
    let skew = history("0 txn r 1; a 2 1 ...\n1 txn r 2; a 1 1 ...\n0 -> ok r 1 []; a 2 1\n1 -> ok r 2 []; a 1 1");
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
    let lines = "0 txn a 1 1; r 2 ...
                 1 txn a 1 2; r 3 ...
                 2 txn a 2 1; a 3 1 -> ok
                 0 -> ok a 1 1; r 2 []
                 1 -> ok a 1 2; r 3 []";
    let verdict = judge(&history(lines), "snapshot-isolation");
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}
