//! What the register checkers say.
use super::fuzz::differ;
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};

fn judged(checker: &str, options: &[(&str, Value)], lines: &str) -> Verdict {
    let options = Options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    let lines = format!("{{\"type\":\"start\",\"nodes\":[\"n1\"]}}\n{lines}");
    checker_with(checker, &options).expect("a checker").check(&history(&lines), &Budget::unlimited())
}

fn kinds(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|finding| finding.kind.as_str()).collect()
}

/// Transactions of one process after the other; `r` with its reply.
fn serial(txns: &[&str]) -> String {
    let call = |text: &str| {
        let mops: Vec<serde_json::Value> = serde_json::from_str(text).expect("a list");
        let asked =
            mops.iter().map(|mop| if mop[0] == "r" { serde_json::json!(["r", mop[1], null]) } else { mop.clone() });
        serde_json::Value::Array(asked.collect()).to_string()
    };
    let line = |(process, text): (usize, &&str)| {
        format!(
            "{{\"type\":\"invoke\",\"process\":{process},\"f\":\"txn\",\"value\":{}}}\n{{\"type\":\"ok\",\"process\":{process},\"value\":{text}}}",
            call(text)
        )
    };
    txns.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

const SKEW: [&str; 2] =
    [r#"[["r","x",null],["r","y",null],["w","x",1]]"#, r#"[["r","x",null],["r","y",null],["w","y",2]]"#];

#[test]
fn write_skew_is_no_serializability_but_snapshot_isolation() {
    for checker in ["rw-register", "mini-transactions"] {
        let model = |name: &str| [("model", Value::text(name))];
        let verdict = judged(checker, &model("serializable"), &serial(&SKEW));
        assert_eq!((verdict.validity, kinds(&verdict)[0]), (Validity::Invalid, "G2-item"), "{checker}");
        let finding = &verdict.findings[0];
        assert_eq!((finding.cycle.len(), finding.ops.len()), (2, 2));
        assert!(finding.certificate.is_some() && finding.sentences.iter().any(|text| text.contains("a contradiction")));
        assert_eq!(judged(checker, &model("snapshot-isolation"), &serial(&SKEW)).validity, Validity::Valid);
    }
}

#[test]
fn a_lost_update_is_found() {
    let lost = [r#"[["r","x",null],["w","x",1]]"#, r#"[["r","x",null],["w","x",2]]"#];
    for model in ["serializable", "snapshot-isolation"] {
        for checker in ["rw-register", "mini-transactions"] {
            let verdict = judged(checker, &[("model", Value::text(model))], &serial(&lost));
            assert_eq!(verdict.validity, Validity::Invalid, "{checker} {model}");
            assert!(kinds(&verdict).contains(&"lost-update"), "{:?}", verdict.findings);
        }
    }
}

#[test]
fn versions_are_ordered_only_where_they_are_certain() {
    // Two blind writes one after the other, then the older one is read.
    let stale = serial(&[r#"[["w","x",1]]"#, r#"[["w","x",2]]"#, r#"[["r","x",1]]"#]);
    // Where no order is known of any key, nothing is seen, and that is no pass.
    for options in [[("linearizable_keys", Value::Bool(false))], [("model", Value::text("serializable"))]] {
        let plain = judged("rw-register", &options, &stale);
        assert_eq!(plain.validity, Validity::Unknown, "{}", plain.summary);
        assert_eq!(plain.numbers["keys_total_order"], 0);
    }
    // Strict serializability orders them by itself.
    let on = [];
    let verdict = judged("rw-register", &on, &stale);
    assert_eq!(
        (verdict.validity, kinds(&verdict)[0]),
        (Validity::Invalid, "cyclic-versions"),
        "{:?}",
        verdict.findings
    );
    assert!(verdict.findings[0].sentences.iter().any(|text| text.contains("had ended before")));
    // An unanswered write may come at any time after.
    let open = r#"
        {"type":"invoke","process":0,"f":"txn","value":[["w","x",1]]}
        {"type":"info","process":0}
        {"type":"invoke","process":1,"f":"txn","value":[["w","x",2]]}
        {"type":"ok","process":1,"value":[["w","x",2]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r","x",null]]}
        {"type":"ok","process":2,"value":[["r","x",1]]}
    "#;
    let verdict = judged("rw-register", &on, open);
    assert_eq!((verdict.validity, &verdict.numbers["keys_total_order"]), (Validity::Valid, &serde_json::json!(1)));
}

#[test]
fn a_cycle_of_versions_names_no_transaction_that_it_does_not_need() {
    // That 2 comes before 6 is shown by the reader of 6 as well, which is needed anyway.
    let lines = serial(&[
        r#"[["r",1,6],["w",0,1]]"#,
        r#"[["r",1,9],["w",1,2]]"#,
        r#"[["w",1,4],["r",1,4],["w",1,6]]"#,
        r#"[["r",1,6],["w",1,7],["w",1,9]]"#,
    ]);
    let verdict = judged("rw-register", &[], &lines);
    let finding =
        verdict.findings.iter().find(|finding| finding.kind == "cyclic-versions").expect("a cycle of versions");
    let certificate = finding.certificate.as_ref().expect("a certificate");
    assert_eq!((finding.ops.len(), certificate.ops.len()), (2, 2), "{finding:?}");
    assert!(finding.sentences.iter().all(|sentence| !sentence.contains("#4")), "{:?}", finding.sentences);
}

#[test]
fn what_is_no_mini_transaction_is_not_judged_as_one() {
    // Nothing may be made of the assumption that every write follows a read.
    let skew = serial(&[SKEW[0], SKEW[1], r#"[["w","z",1]]"#]);
    assert_eq!(judged("mini-transactions", &[], &skew).validity, Validity::Unknown);
    let blind = serial(&[r#"[["w","x",1]]"#, r#"[["r","x",1]]"#]);
    let verdict = judged("mini-transactions", &[], &blind);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("writes a key that it did not read"), "{}", verdict.summary);
    assert!(checker_with("mini-transactions", &Options([("model".to_owned(), Value::text("causal"))].into())).is_err());
}

#[test]
fn an_unanswered_update_overwrote_what_nobody_else_did() {
    let info = r#"
        {"type":"invoke","process":0,"f":"txn","value":[["r","x",null],["w","x",1]]}
        {"type":"info","process":0}
        {"type":"invoke","process":1,"f":"txn","value":[["r","x",null],["w","x",2]]}
        {"type":"ok","process":1,"value":[["r","x",1],["w","x",2]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r","x",null]]}
        {"type":"ok","process":2,"value":[["r","x",2]]}
    "#;
    let verdict = judged("mini-transactions", &[], info);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}

#[test]
fn twice_written_values_are_unknown() {
    let twice = serial(&[r#"[["w","x",1]]"#, r#"[["w","x",1]]"#, r#"[["r","x",1]]"#]);
    let verdict = judged("rw-register", &[], &twice);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("written once"), "{}", verdict.summary);
}

#[test]
fn registers_never_contradict_their_definitions() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let stats = differ(5, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}
