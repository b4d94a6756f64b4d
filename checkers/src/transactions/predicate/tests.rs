//! What `g2` says.
use super::G2;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Validity, Verdict};

fn judged(lines: &str) -> Verdict {
    G2.check(&history(lines), &Budget::unlimited())
}

const TWO: &str = r#"
    {"type":"start","nodes":["n1"]}
    {"type":"invoke","process":0,"f":"insert","key":1,"value":[1,null]}
    {"type":"invoke","process":1,"f":"insert","key":1,"value":[null,2]}
    {"type":"ok","process":0}
"#;

#[test]
fn two_inserts_under_one_key_are_an_anomaly() {
    let verdict = judged(&format!("{TWO}\n{{\"type\":\"ok\",\"process\":1}}"));
    assert_eq!(verdict.validity, Validity::Invalid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("G2", &[1, 2][..]));
    assert_eq!(finding.cycle.len(), 2);
    assert!(finding.sentences[2].contains("#1 comes before #2"), "{:?}", finding.sentences);
}

#[test]
fn one_insert_is_right_and_an_unknown_one_says_nothing() {
    for end in ["fail", "info"] {
        let verdict = judged(&format!("{TWO}\n{{\"type\":\"{end}\",\"process\":1}}"));
        assert_eq!(verdict.validity, Validity::Valid, "{end}");
    }
}

#[test]
fn too_little_is_unknown() {
    assert_eq!(judged(r#"{"type":"start","nodes":["n1"]}"#).validity, Validity::Unknown);
    let alone = r#"
        {"type":"start","nodes":["n1"]}
        {"type":"invoke","process":0,"f":"insert","value":[1,[1,null]]}
        {"type":"ok","process":0}
    "#;
    let verdict = judged(alone);
    assert_eq!(
        (verdict.validity, verdict.summary.as_str()),
        (Validity::Unknown, "No key under which an insert succeeded was tried twice.")
    );
    let malformed = r#"
        {"type":"start","nodes":["n1"]}
        {"type":"invoke","process":0,"f":"insert","key":1,"value":[1,2]}
        {"type":"ok","process":0}
    "#;
    assert_eq!(judged(malformed).validity, Validity::Unknown);
}
