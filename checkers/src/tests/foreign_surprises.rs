//! Histories of other recorders that were judged wrongly once.
use crate::history::{Format, History, HistoryError, ReadOptions, read};
use crate::linearizability::Linearizable;
use crate::options::Options;
use crate::registry::checker_with;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity, Verdict};

/// Calls one after the other: process, outcome, function, argument, reply.
fn calls(lines: &[(u64, &str, &str, &str, &str)]) -> History {
    read_as(lines, None).expect("a history")
}

fn read_as(lines: &[(u64, &str, &str, &str, &str)], independent: Option<bool>) -> Result<History, HistoryError> {
    let mut text = String::new();
    for (process, outcome, function, input, output) in lines {
        text.push_str(&format!("{{:type :invoke, :process {process}, :f :{function}, :value {input}}}\n"));
        text.push_str(&format!("{{:type :{outcome}, :process {process}, :f :{function}, :value {output}}}\n"));
    }
    read(Format::JepsenEdn, text.as_bytes(), &ReadOptions { independent, ..ReadOptions::default() })
}

fn judge(checker: &str, model: Option<&str>, lines: &[(u64, &str, &str, &str, &str)]) -> Verdict {
    let options = Options(model.map(|model| ("model".to_owned(), Value::text(model))).into_iter().collect());
    checker_with(checker, &options).expect("it is listed").check(&calls(lines), &Budget::unlimited())
}

#[test]
fn the_order_in_which_maps_and_sets_are_written_says_nothing() {
    for (written, read) in
        [("{:a 1 :b 2}", "{:b 2 :a 1}"), ("#{1 2}", "#{2 1}"), ("[#{1 {:a 1 :b 2}}]", "[#{{:b 2 :a 1} 1}]")]
    {
        let lines = [(0, "ok", "write", written, written), (0, "ok", "read", "nil", read)];
        assert_eq!(judge("linearizable", None, &lines).validity, Validity::Valid, "{written}");
    }
    let add = (0, "ok", "add", "{:a 1 :b 2}", "{:a 1 :b 2}");
    assert_eq!(judge("set", None, &[add, (0, "ok", "read", "nil", "[{:b 2 :a 1}]")]).validity, Validity::Valid);
    let ids = [(0, "ok", "generate", "nil", "{:a 1 :b 2}"), (0, "ok", "generate", "nil", "{:b 2 :a 1}")];
    assert_eq!(judge("unique-ids", None, &ids).validity, Validity::Invalid);
}

#[test]
fn numbers_that_arrive_as_texts_have_no_priority() {
    let lines =
        [(0, "ok", "enqueue", "2.5", "2.5"), (0, "ok", "enqueue", "10", "10"), (0, "ok", "dequeue", "nil", "2.5")];
    assert_eq!(judge("linearizable", Some("priority-queue"), &lines).validity, Validity::Unknown);
}

#[test]
fn a_holder_that_calls_again_after_an_info_may_release() {
    let lines = [(0, "info", "acquire", "nil", "nil"), (0, "ok", "release", "nil", "nil")];
    assert_eq!(judge("linearizable", Some("owner-mutex"), &lines).validity, Validity::Valid);
    assert_ne!(judge("lock", None, &lines).validity, Validity::Invalid);
    let other = [(0, "info", "acquire", "nil", "nil"), (1, "ok", "release", "nil", "nil")];
    assert_eq!(judge("linearizable", Some("owner-mutex"), &other).validity, Validity::Invalid);
}

#[test]
fn functions_that_a_checker_does_not_know_leave_it_in_doubt() {
    let set = [(0, "ok", "add", "5", "5"), (0, "ok", "remove", "5", "5"), (0, "ok", "read", "nil", "[]")];
    for checker in ["set", "set-full"] {
        assert_eq!(judge(checker, None, &set).validity, Validity::Unknown, "{checker}");
    }
    let counter = [(0, "ok", "add", "5", "5"), (0, "ok", "take", "2", "2"), (0, "ok", "read", "nil", "3")];
    assert_eq!(judge("counter", None, &counter).validity, Validity::Unknown);
    let queue = [(0, "ok", "enqueue", "2", "2"), (0, "ok", "requeue", "1", "1"), (0, "ok", "dequeue", "nil", "1")];
    assert_eq!(judge("queue", None, &queue).validity, Validity::Unknown);
    let purged = [(0, "ok", "enqueue", "2", "2"), (0, "ok", "purge", "nil", "nil"), (0, "ok", "drain", "nil", "[]")];
    assert_eq!(judge("total-queue", None, &purged).validity, Validity::Unknown);
    let rows = [(0, "ok", "add", "1", "1"), (0, "ok", "delete", "1", "1"), (0, "ok", "read", "nil", "[]")];
    assert_eq!(judge("monotonic", None, &rows).validity, Validity::Unknown);
    let register = [(0, "ok", "write", "1", "1"), (0, "ok", "delete", "nil", "nil"), (0, "ok", "read", "nil", "nil")];
    for checker in ["sequential", "causal", "pram", "read-your-writes"] {
        assert_eq!(judge(checker, None, &register).validity, Validity::Unknown, "{checker}");
    }
    let refused = [(0, "ok", "add", "5", "5"), (0, "fail", "take", "2", "2"), (0, "ok", "read", "nil", "4")];
    assert_eq!(judge("counter", None, &refused).validity, Validity::Invalid);
}

#[test]
fn a_read_with_a_list_as_argument_is_told_as_it_was_answered() {
    let lines = [
        (0, "ok", "write", "[1 5]", "[1 5]"),
        (0, "ok", "write", "[2 6]", "[2 6]"),
        (0, "ok", "read", "[1 nil]", "[1 5]"),
    ];
    let plain = read_as(&lines, Some(false)).expect("a history");
    let verdict = Linearizable::registers().check(&plain, &Budget::unlimited());
    assert_eq!(verdict.findings[0].title, "Stale read: #4 returned [1, 5] after [2, 6] had been there");
    // Nobody said that these are no keys with their values: as such the promise was kept.
    assert!(matches!(read_as(&lines, None), Err(HistoryError::AmbiguousKeys { line: 6, column: 1, .. })));
    let keys = read_as(&lines, Some(true)).expect("a history");
    assert_eq!(Linearizable::registers().check(&keys, &Budget::unlimited()).validity, Validity::Valid);
}

#[test]
fn writes_that_nobody_reads_show_no_order() {
    for checker in [
        "sequential",
        "causal",
        "pram",
        "read-your-writes",
        "monotonic-reads",
        "monotonic-writes",
        "writes-follow-reads",
    ] {
        let lines = [(0, "ok", "write", "1", "1"), (0, "ok", "write", "2", "2")];
        assert_eq!(judge(checker, None, &lines).validity, Validity::Unknown, "{checker}");
    }
}
