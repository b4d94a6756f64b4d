//! What a refused call asked for and is there all the same: findings name that call, and do not say that nobody made one.
use crate::options::Options;
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

#[test]
fn refused_calls_that_explain_too_much_are_named() {
    let replied = |value: &str| format!(r#"{{"type":"ok","value":{value}}}"#);
    let counted = call(0, "add", "1", REFUSED) + &call(0, "add", "1", OK) + &call(1, "read", "null", &replied("2"));
    let counter = violation("counter", &[], &counted);
    assert!(counter.title.ends_with("no call added as much without #1, which was refused"), "{}", counter.title);
    assert_eq!(counter.ops, [1, 3, 5]);
    let all = counter.sentences.join(" ");
    assert!(
        all.starts_with("With the one positive addition that may have happened by its reply there is no way to 2"),
        "{all}"
    );
    let model = violation("linearizable", &[("model", "counter")], &counted);
    assert!(model.title.ends_with("no order explains unless #1, which was refused, took effect"), "{}", model.title);
    let twice = call(0, "enqueue", "1", REFUSED)
        + &call(0, "enqueue", "1", OK)
        + &call(1, "dequeue", "null", &replied("1"))
        + &call(2, "dequeue", "null", &replied("1"));
    let queue = violation("queue", &[], &twice);
    let title = "1 was dequeued 2 times, the last time by #7, but enqueued at most once: its enqueue #1 was refused";
    assert_eq!(queue.title, title);
    assert_eq!(queue.ops, [1, 3, 5, 7]);
}
