//! What `g2` says.
use super::G2;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};

fn judged(lines: &str) -> Verdict {
    G2.check(&history(lines), &Budget::unlimited())
}

const TWO: &str = r#"
    {"type":"start","nodes":["n1"]}
    0 insert 1 [1,null] ...
    1 insert 1 [null,2] ...
    0 -> ok
"#;

#[test]
fn two_inserts_under_one_key_are_an_anomaly() {
    let verdict = judged(&format!("{TWO}1 -> ok"));
    assert_eq!(verdict.validity, Validity::Invalid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("G2", &[1, 2][..]));
    assert_eq!(finding.cycle.len(), 2);
    assert!(finding.sentences[2].contains("#1 comes before #2"), "{:?}", finding.sentences);
}

#[test]
fn one_insert_is_right_and_an_unknown_one_says_nothing() {
    for end in ["fail", "info"] {
        let verdict = judged(&format!("{TWO}1 -> {end}"));
        assert_eq!(verdict.validity, Validity::Valid, "{end}");
    }
}

#[test]
fn too_little_is_unknown() {
    assert_eq!(judged(r#"{"type":"start","nodes":["n1"]}"#).validity, Validity::Unknown);
    let alone = r#"
        {"type":"start","nodes":["n1"]}
        0 insert null [1,[1,null]] -> ok
    "#;
    let verdict = judged(alone);
    assert_eq!(
        (verdict.validity, verdict.summary.as_str()),
        (Validity::Unknown, "No key under which an insert succeeded was tried twice.")
    );
    let malformed = r#"
        {"type":"start","nodes":["n1"]}
        0 insert 1 [1,2] -> ok
    "#;
    assert_eq!(judged(malformed).validity, Validity::Unknown);
}
