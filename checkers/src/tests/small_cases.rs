//! Small histories that were judged wrongly once, each with the answer that is right, in the formats in which they came.
use crate::history::{ReadOptions, read_any};
use crate::inference::infer;
use crate::options::Options;
use crate::verdict::{Budget, Validity, Verdict};

/// Judged by the checker that fits.
fn judged(text: &str) -> Verdict {
    let (_, history) = read_any(text.as_bytes(), &ReadOptions::default()).expect("it is read");
    let fits = infer(&history, None);
    let [fit] = &fits[..] else { panic!("one workload: {fits:?}") };
    let [candidate] = fit.candidates[..] else { panic!("one checker: {fits:?}") };
    let (name, options) = candidate.with((candidate.checker.to_owned(), Options::default()));
    let checker = crate::checker_with(&name, &options).expect("it is listed");
    crate::judge_one(checker.as_ref(), &history, &Budget::unlimited())
}

#[test]
fn a_set_whose_later_final_read_lacks_what_an_earlier_one_had() {
    for second in [1, 2] {
        let lines = format!(
            "{{:process 0, :type :invoke, :f :add, :value 1, :index 0}}\n\
             {{:process 0, :type :ok, :f :add, :value 1, :index 1}}\n\
             {{:process 1, :type :invoke, :f :read, :value nil, :final? true, :index 2}}\n\
             {{:process 1, :type :ok, :f :read, :value [1], :final? true, :index 3}}\n\
             {{:process {second}, :type :invoke, :f :read, :value nil, :final? true, :index 4}}\n\
             {{:process {second}, :type :ok, :f :read, :value [], :final? true, :index 5}}\n"
        );
        let verdict = judged(&lines);
        assert_eq!((verdict.checker.as_str(), verdict.validity), ("set", Validity::Invalid), "{}", verdict.summary);
        assert!(verdict.summary.contains("1 of 1 acknowledged add is lost"), "{}", verdict.summary);
    }
}

fn named(checker: &str, model: &str, lines: &str) -> crate::Verdict {
    let options = crate::Options([("model".to_owned(), crate::Value::text(model))].into());
    let checker = crate::checker_with(checker, &options).expect("a model");
    crate::judge_one(checker.as_ref(), &crate::testing::history(lines), &Budget::unlimited())
}

#[test]
fn a_compare_and_set_that_returned_false_is_said_to_have() {
    let lines = r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"cas","key":"x","value":[1,2]}
        {"type":"ok","process":1,"value":false}"#;
    let verdict = named("linearizable", "cas-register", lines);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert!(
        verdict.findings[0].title.ends_with("#2 on n1 returned false, which no order explains"),
        "{}",
        verdict.summary
    );
}

#[test]
fn what_a_model_does_not_know_is_named_by_what_was_called() {
    let counter = r#"
        {"type":"invoke","process":0,"workload":"counter","f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"workload":"counter","f":"read"}
        {"type":"ok","process":1,"value":1}"#;
    let verdict = named("linearizable", "register", counter);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("changes a register: the functions called are add, read"), "{}", verdict.summary);
    // Reads alone are those of the model where there is nothing else.
    let reads = r#"
        {"type":"invoke","process":1,"workload":"w","f":"read"}
        {"type":"ok","process":1,"value":[2]}"#;
    let verdict = named("linearizable", "set", reads);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    let nothing = named("linearizable", "set", &reads.replace("[2]", "[]"));
    assert_eq!(nothing.validity, Validity::Unknown, "{}", nothing.summary);
}

#[test]
fn reads_that_cannot_be_used_are_not_said_to_be_missing() {
    let lines = r#"
        {"type":"invoke","process":0,"f":"write","key":"x","value":50}
        {"type":"ok","process":0,"value":1}
        {"type":"invoke","process":1,"f":"read","key":"x"}
        {"type":"ok","process":1,"value":[1,50]}"#;
    let checker = crate::checker_with("staleness", &Options::default()).expect("it is listed");
    let verdict = crate::judge_one(checker.as_ref(), &crate::testing::history(lines), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(!verdict.summary.contains("no read was acknowledged."), "{}", verdict.summary);
    assert!(verdict.summary.contains("#2"), "the read is named: {}", verdict.summary);
}
