//! What a refused call asked for and is there all the same: findings name that call, and do not say that nobody made one.
use crate::checker::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Finding, Severity, Validity};

fn call(process: u32, function: &str, argument: &str, end: &str) -> String {
    let (value, end) = (argument, end.replace("\"type\":", &format!("\"process\":{process},\"type\":")));
    format!(
        "{{\"type\":\"invoke\",\"process\":{process},\"node\":\"n1\",\"workload\":\"w\",\"f\":\"{function}\",\"value\":{value}}}\n{end}\n"
    )
}

/// A checker, its options, a history.
type Case = (&'static str, &'static [(&'static str, &'static str)], String);

fn violation(checker: &str, options: &[(&str, &str)], lines: &str) -> Finding {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), Value::text(value))).collect();
    let judge = checker_with(checker, &Options(options)).expect("options that it takes");
    let verdict =
        judge.check(&history(&format!("{{\"type\":\"start\",\"nodes\":[\"n1\"]}}\n{lines}")), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid, "{checker}: {}", verdict.summary);
    let mut findings = verdict.findings.into_iter();
    findings.find(|finding| finding.severity == Severity::Violation).expect("a violation")
}

const OK: &str = r#"{"type":"ok"}"#;
const REFUSED: &str = r#"{"type":"fail","error":"refused"}"#;

#[test]
fn findings_name_the_call_that_was_refused() {
    let history = |put: &str, take: &str, argument: &str, reply: &str| {
        let reply = format!(r#"{{"type":"ok","value":{reply}}}"#);
        let mut lines = call(0, put, "1", OK);
        lines.push_str(&call(1, put, "2", REFUSED));
        lines.push_str(&call(2, take, argument, &reply));
        lines
    };
    let settled = |lines: String| lines.replace("\"f\":\"read\"", "\"settle\":true,\"f\":\"read\"");
    let cases: [Case; 9] = [
        ("set", &[], settled(history("add", "read", "null", "[1,2]"))),
        ("set-full", &[], history("add", "read", "null", "[1,2]")),
        ("crdt", &[("type", "g-set")], history("add", "read", "null", "[1,2]")),
        ("queue", &[], history("enqueue", "dequeue", "null", "2")),
        ("total-queue", &[], history("enqueue", "drain", "null", "[1,2]")),
        ("monotonic", &[], history("add", "read", "null", "[[1,10],[2,11]]")),
        ("linearizable", &[], history("write", "read", "null", "2")),
        ("linearizable", &[("model", "set")], history("add", "read", "null", "[1,2]")),
        ("linearizable", &[("model", "fifo-queue")], history("enqueue", "dequeue", "null", "2")),
    ];
    for (checker, options, lines) in cases {
        let title = violation(checker, options, &lines).title;
        assert!(title.contains("refused"), "{checker} {options:?}: {title}");
        assert!(!title.contains("never") && !title.contains("nobody"), "{checker} {options:?}: {title}");
    }
}

#[test]
fn a_set_counts_those_refused_among_what_was_never_added() {
    let read = r#"{"type":"ok","value":[1,2,7]}"#;
    let lines = [call(0, "add", "1", OK), call(1, "add", "2", REFUSED), call(2, "read", "null", read)].concat();
    let lines = lines.replace("\"f\":\"read\"", "\"settle\":true,\"f\":\"read\"");
    let title = violation("set", &[], &lines).title;
    assert!(title.starts_with("2 elements present although never added or, 1 of them, refused when added"), "{title}");
}
