//! What holds of every checker in the list: none judges what it cannot know.
use crate::options::Options;
use crate::registry::{CHECKERS, checker_with};
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Validity};
use crate::{History, judge_one};

/// Checkers whose promise is one to each session, or knows no order at all.
const WITHOUT_REALTIME: [&str; 16] = [
    "bank",
    "causal",
    "causal-transactions",
    "closed-predicate",
    "crashes",
    "g2",
    "long-fork",
    "monotonic-reads",
    "monotonic-writes",
    "pram",
    "read-atomic",
    "read-committed",
    "read-your-writes",
    "sequential",
    "unique-ids",
    "writes-follow-reads",
];

fn options(name: &str, value: Value) -> Options {
    Options([(name.to_owned(), value)].into())
}

/// The second transaction began after the first had ended and missed what it appended.
fn missed() -> History {
    history(
        r#"
        {"type":"invoke","process":0,"f":"txn","value":[["append",1,1]]}
        {"type":"ok","process":0,"value":[["append",1,1]]}
        {"type":"invoke","process":1,"f":"txn","value":[["r",1,null],["append",2,1]]}
        {"type":"ok","process":1,"value":[["r",1,[]],["append",2,1]]}
        {"type":"invoke","process":2,"f":"txn","value":[["r",1,null],["r",2,null]]}
        {"type":"ok","process":2,"value":[["r",1,[1]],["r",2,[1]]]}
        "#,
    )
}

#[test]
fn without_real_time_only_promises_to_sessions_are_judged() {
    let mut timeless = missed();
    timeless.realtime = false;
    for doc in CHECKERS {
        let checker = doc.checker(&Options::default()).expect("defaults");
        let verdict = judge_one(checker.as_ref(), &timeless, &Budget::unlimited());
        let judges = !verdict.summary.contains("only the order within each session");
        assert_eq!(judges, WITHOUT_REALTIME.contains(&doc.name), "{}: {}", doc.name, verdict.summary);
        assert!(judges || verdict.validity == Validity::Unknown, "{}", doc.name);
    }
}

#[test]
fn strict_models_need_real_time_and_others_do_not() {
    let mut timeless = missed();
    timeless.realtime = false;
    for (checker, model, with, without) in [
        ("list-append", "strict-serializable", Validity::Invalid, Validity::Unknown),
        ("list-append", "strong-snapshot-isolation", Validity::Invalid, Validity::Unknown),
        ("list-append", "strong-session-serializable", Validity::Valid, Validity::Valid),
        ("list-append", "serializable", Validity::Valid, Validity::Valid),
    ] {
        let checker = checker_with(checker, &options("model", Value::text(model))).expect("in the list");
        let whole = judge_one(checker.as_ref(), &missed(), &Budget::unlimited());
        assert_eq!(whole.validity, with, "{model}: {}", whole.summary);
        assert!(whole.findings.iter().any(|finding| finding.kind.ends_with("-realtime")), "{model}");
        let verdict = judge_one(checker.as_ref(), &timeless, &Budget::unlimited());
        assert_eq!((verdict.validity, verdict.findings.len()), (without, 0), "{model}: {}", verdict.summary);
    }
    for (checker, name, value, needs) in [
        ("rw-register", "model", Value::text("serializable"), false),
        ("rw-register", "model", Value::text("strict-serializable"), true),
        ("mini-transactions", "model", Value::text("snapshot-isolation"), false),
        ("mini-transactions", "model", Value::text("strict-serializable"), true),
        ("monotonic-reads", "order", Value::text("realtime"), true),
        ("causal", "variant", Value::text("cm"), false),
    ] {
        let checker = checker_with(checker, &options(name, value)).expect("in the list");
        assert_eq!(checker.needs_realtime(), needs, "{} with {name}", checker.name());
    }
    let mut linearizable = options("model", Value::text("serializable"));
    linearizable.0.insert("linearizable_keys".to_owned(), Value::Bool(true));
    assert!(checker_with("rw-register", &linearizable).expect("in the list").needs_realtime());
}
