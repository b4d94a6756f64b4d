//! Calls happened, and nothing was observed that could have contradicted the promise: no checker calls that valid.
use crate::oracles::{CASES, case_options};
use crate::registry::CHECKERS;
use crate::tests::stories::judge_with;
use crate::verdict::Validity;

#[test]
fn what_was_not_observed_is_not_valid() {
    for (checker, cases) in CASES {
        for &(given, story) in cases.too_little.into_iter().flatten() {
            let verdict = judge_with(checker, &case_options(given), story);
            assert_eq!(verdict.validity, Validity::Unknown, "{checker} {given:?}: {}\n{story}", verdict.summary);
            let understood = ["cannot be judged", "understood", "not known", "is no ", "takes"];
            let claimed = understood.iter().find(|words| verdict.summary.contains(**words));
            assert_eq!(claimed, None, "{checker} {given:?}: {}", verdict.summary);
        }
    }
}

#[test]
fn every_checker_that_promises_something_has_such_a_story() {
    for (doc, (name, cases)) in CHECKERS.iter().zip(CASES) {
        assert_eq!(doc.name, *name);
        let measures = *name == "availability";
        assert_eq!(cases.too_little.is_err(), measures, "{name}: too_little");
    }
}

/// One call more, and there was something to contradict.
#[test]
fn what_was_observed_is_valid() {
    for (checker, given, story) in [
        ("linearizable", &[][..], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1"),
        ("linearizable", &[], "1 write 0 1 -> info\n 2 read 0 null -> ok 1"),
        ("linearizable", &[], "1 write 0 1 -> ok\n 2 cas 0 [5,6] -> ok false"),
        ("linearizable", &[("model", "mutex")], "1 acquire 0 null -> ok\n 1 release 0 null -> ok"),
        ("linearizable", &[("model", "fifo-queue")], "1 enqueue 0 1 -> ok\n 1 dequeue 0 null -> ok 1"),
        ("linearizable", &[("model", "semaphore")], "1 acquire 0 null -> ok\n 1 release 0 null -> ok"),
        ("linearizable", &[("model", "lease")], "1 acquire 0 null -> ok 1\n 2 acquire 0 null -> ok 2"),
        ("linearizable", &[("model", "counter")], "1 add-and-get 0 1 -> ok 1\n 1 add-and-get 0 1 -> ok 2"),
        ("linearizable", &[("model", "log")], "1 append 0 7 -> ok 0\n 1 append 0 8 -> ok 1"),
        (
            "list-append",
            &[],
            "1 txn null [[\"append\",1,1]] -> ok [[\"append\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,[1]]]",
        ),
        ("sequential", &[], "1 write 0 1 -> ok\n 2 write 1 1 -> ok\n 1 read 1 null -> ok"),
        ("counter", &[], "1 inc 0 null -> ok\n 1 dec 0 3 -> ok\n 2 read 0 null -> ok -2"),
        (
            "monotonic-writes",
            &[],
            "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok 1\n 3 read 0 null -> ok 2",
        ),
        ("monotonic-writes", &[("versions", "true")], "1 write 0 1 -> ok 1\n 1 write 0 2 -> ok 2"),
    ] {
        let verdict = judge_with(checker, &case_options(given), story);
        assert_eq!(verdict.validity, Validity::Valid, "{checker} {given:?}: {}\n{story}", verdict.summary);
    }
}
