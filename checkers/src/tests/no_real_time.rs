//! Histories of sessions without an order between them: what was made up to write them down counts for nothing, and the
//! order within each session counts all the same.
use crate::history::{Format, ReadOptions, read};
use crate::options::Options;
use crate::registry::{checker_with, judge_one};
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};

fn judged(checker: &str, model: &str, text: &str) -> Verdict {
    let history = read(Format::Plume, text.as_bytes(), &ReadOptions::default()).unwrap();
    let options = Options([("model".to_owned(), Value::text(model))].into());
    judge_one(checker_with(checker, &options).unwrap().as_ref(), &history, &Budget::unlimited())
}

#[test]
fn a_session_may_read_what_stands_behind_it_in_the_file() {
    let reads_ahead = "r(1,5,0,0)\nw(1,5,1,1)\n";
    for (checker, model) in [
        ("rw-register", "strict-serializable"),
        ("mini-transactions", "strict-serializable"),
        ("linearizable", "multi-register"),
    ] {
        let verdict = judged(checker, model, reads_ahead);
        assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Unknown, 0), "{verdict:?}");
    }
    let verdict = judged("rw-register", "strong-session-serializable", reads_ahead);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}

#[test]
fn the_order_within_a_session_counts_all_the_same() {
    let own_write_missed = "w(1,5,0,0)\nr(1,0,0,1)\nw(1,6,1,2)\n";
    let verdict = judged("rw-register", "strong-session-serializable", own_write_missed);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!(verdict.findings[0].kind, "G-single-item-process");
    // Of no key is the order of all versions known, so that no more can be said.
    assert_eq!(judged("rw-register", "serializable", own_write_missed).validity, Validity::Unknown);
}
