//! Histories of sessions without an order between them: what was made up to write them down counts for nothing.
use crate::history::{Format, ReadOptions, read};
use crate::registry::{Options, checker_with};
use crate::value::Value;
use crate::verdict::{Budget, Validity, Verdict};

fn judged(checker: &str, model: Option<&str>, text: &str) -> Verdict {
    let history = read(Format::Plume, text.as_bytes(), &ReadOptions::default()).unwrap();
    let options = Options(model.map(|model| ("model".to_owned(), Value::text(model))).into_iter().collect());
    checker_with(checker, &options).unwrap().check(&history, &Budget::unlimited())
}

/// The second session stands behind the first in the file, and the first reads what it wrote.
const READS_AHEAD: &str = "r(1,5,0,0)\nw(1,5,1,1)\n";

#[test]
fn a_session_may_read_what_stands_behind_it_in_the_file() {
    for checker in ["rw-register", "mini-transactions"] {
        let verdict = judged(checker, None, READS_AHEAD);
        assert_eq!(verdict.validity, Validity::Unknown, "{verdict:?}");
        assert!(verdict.findings.is_empty(), "{verdict:?}");
    }
    let verdict = judged("rw-register", None, READS_AHEAD);
    assert!(verdict.summary.contains("real time"), "{}", verdict.summary);
    let verdict = judged("rw-register", Some("strong-session-serializable"), READS_AHEAD);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    let verdict = judged("linearizable", Some("multi-register"), READS_AHEAD);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("real time"), "{}", verdict.summary);
}

#[test]
fn the_order_within_a_session_counts_all_the_same() {
    let own_write_missed = "w(1,5,0,0)\nr(1,0,0,1)\nw(1,6,1,2)\n";
    for model in ["strict-serializable", "strong-session-serializable"] {
        let verdict = judged("rw-register", Some(model), own_write_missed);
        assert_eq!(verdict.validity, Validity::Invalid, "{model}: {}", verdict.summary);
        assert!(verdict.findings.iter().all(|finding| !finding.kind.ends_with("-realtime")), "{verdict:?}");
    }
}
