//! What a refused call asked for and is there all the same: findings name that call, and do not say that nobody made one.
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history_of;
use crate::value::Value;
use crate::verdict::{Budget, Finding, Severity, Validity};

/// A checker, its options, a history.
type Case = (&'static str, &'static [(&'static str, &'static str)], String);

fn violation(checker: &str, options: &[(&str, &str)], lines: &str) -> Finding {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), Value::text(value))).collect();
    let judge = checker_with(checker, &Options(options)).expect("options that it takes");
    let verdict = judge
        .check(&history_of("w", &format!("{{\"type\":\"start\",\"nodes\":[\"n1\"]}}\n{lines}")), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Invalid, "{checker}: {}", verdict.summary);
    let mut findings = verdict.findings.into_iter();
    findings.find(|finding| finding.severity == Severity::Violation).expect("a violation")
}

#[test]
fn findings_name_the_call_that_was_refused() {
    let history = |put: &str, take: &str, reply: &str| {
        format!("0 {put} null 1 -> ok\n1 {put} null 2 -> fail: refused\n2 {take} -> ok {reply}")
    };
    let settled = |lines: String| lines.replace("2 read", "settle 2 read");
    let cases: [Case; 9] = [
        ("set", &[], settled(history("add", "read", "[1,2]"))),
        ("set-full", &[], history("add", "read", "[1,2]")),
        ("crdt", &[("type", "g-set")], history("add", "read", "[1,2]")),
        ("queue", &[], history("enqueue", "dequeue", "2")),
        ("total-queue", &[], history("enqueue", "drain", "[1,2]")),
        ("monotonic", &[], history("add", "read", "[[1,10],[2,11]]")),
        ("linearizable", &[], history("write", "read", "2")),
        ("linearizable", &[("model", "set")], history("add", "read", "[1,2]")),
        ("linearizable", &[("model", "fifo-queue")], history("enqueue", "dequeue", "2")),
    ];
    for (checker, options, lines) in cases {
        let title = violation(checker, options, &lines).title;
        assert!(title.contains("refused"), "{checker} {options:?}: {title}");
        assert!(!title.contains("never") && !title.contains("nobody"), "{checker} {options:?}: {title}");
    }
}

#[test]
fn a_set_counts_those_refused_among_what_was_never_added() {
    let lines = "
        0 add null 1 -> ok
        1 add null 2 -> fail: refused
        settle 2 read -> ok [1,2,7]";
    let title = violation("set", &[], lines).title;
    assert!(
        title.starts_with("Unexpected element: 2 elements never added or, 1 of them, refused when added"),
        "{title}"
    );
}

#[test]
fn refused_calls_that_explain_too_much_are_named() {
    let counted = "
        0 add null 1 -> fail: refused
        0 add null 1 -> ok
        1 read -> ok 2";
    let counter = violation("counter", &[], counted);
    assert!(counter.title.ends_with("no call added as much without #1, which was refused"), "{}", counter.title);
    assert_eq!(counter.ops, [1, 3, 5]);
    let all = counter.sentences.join(" ");
    assert!(
        all.starts_with("With the one positive addition that may have happened by its reply there is no way to 2"),
        "{all}"
    );
    let model = violation("linearizable", &[("model", "counter")], counted);
    assert!(model.title.ends_with("no order explains unless #1, which was refused, took effect"), "{}", model.title);
    let twice = "
        0 enqueue null 1 -> fail: refused
        0 enqueue null 1 -> ok
        1 dequeue -> ok 1
        2 dequeue -> ok 1";
    let queue = violation("queue", &[], twice);
    let title = "Duplicated message: 1 was dequeued 2 times, the last time by #7, but enqueued at most once: its enqueue #1 was refused";
    assert_eq!(queue.title, title);
    assert_eq!(queue.ops, [1, 3, 5, 7]);
}
