//! What holds of every checker in the list: none judges what it cannot know.
use crate::options::Options;
use crate::oracles::CASES;
use crate::registry::{CHECKERS, checker_with};
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Validity};
use crate::{History, judge_one};

fn options(name: &str, value: Value) -> Options {
    Options([(name.to_owned(), value)].into())
}

/// The second transaction began after the first had ended and missed what it appended.
fn missed() -> History {
    history(
        "
        0 txn a 1 1 -> ok
        1 txn r 1 []; a 2 1 -> ok
        2 txn r 1 [1]; r 2 [1] -> ok
        ",
    )
}

#[test]
fn without_real_time_only_promises_to_sessions_are_judged() {
    let mut timeless = missed();
    timeless.realtime = false;
    for (doc, (name, cases)) in CHECKERS.iter().zip(CASES) {
        let checker = doc.checker(&Options::default()).expect("defaults");
        let verdict = judge_one(checker.as_ref(), &timeless, &Budget::unlimited());
        let judges = !verdict.summary.contains("only the order within each session");
        assert_eq!(judges, !cases.needs_realtime, "{name}: {}", verdict.summary);
        assert!(judges || verdict.validity == Validity::Unknown, "{name}");
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
