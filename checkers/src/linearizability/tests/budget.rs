//! What a check does when time or memory end, and that its answer does not depend on how many threads there are.
use super::register_history;
use crate::linearizability::Linearizable;
use crate::verdict::{Budget, Checker, Validity};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The time is up at the given look at the clock.
fn expires_after(looks: u64) -> (Budget, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let expired = Arc::new(move || count.fetch_add(1, Ordering::Relaxed) >= looks);
    (Budget { expired, ..Budget::unlimited() }, asked)
}

#[test]
fn time_that_ends_in_the_middle_is_unknown_and_says_how_far_it_came() {
    let history = register_history(5, 4_000, 20, 1, false);
    let (budget, asked) = expires_after(10);
    let verdict = Linearizable::registers().check(&history, &budget);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("the time ran out after"), "{}", verdict.summary);
    assert!(!verdict.summary.contains("after 0 of"), "{}", verdict.summary);
    assert!(asked.load(Ordering::Relaxed) < 20, "it went on after the end");
}

#[test]
fn memory_that_ends_is_unknown() {
    let history = register_history(6, 4_000, 20, 1, false);
    let budget = Budget { memory_bytes: 100_000, ..Budget::unlimited() };
    let verdict = Linearizable::registers().check(&history, &budget);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("the memory ran out"), "{}", verdict.summary);
}

#[test]
fn shrinking_stops_with_the_time_and_keeps_what_it_has() {
    let history = register_history(9, 400, 4, 1, true);
    let all = Linearizable::registers().check(&history, &Budget::unlimited());
    assert_eq!(all.validity, Validity::Invalid, "{}", all.summary);
    let mut hurried = 0;
    for looks in 0..200 {
        let verdict = Linearizable::registers().check(&history, &expires_after(looks).0);
        if verdict.validity == Validity::Invalid {
            assert!(!verdict.findings[0].ops.is_empty());
            hurried += u64::from(verdict.findings[0].ops.len() > all.findings[0].ops.len());
        }
    }
    assert!(hurried > 0, "the time never ended while it was shrunk");
}

#[test]
fn it_tells_how_far_it_came() {
    let history = register_history(5, 20_000, 10, 1, false);
    let told = Arc::new(AtomicU64::new(0));
    let seen = told.clone();
    let progress = Arc::new(move |progress: crate::verdict::Progress<'_>| {
        assert!(progress.checker == "linearizable" && progress.what == "key 0" && progress.done <= progress.of);
        seen.fetch_max(progress.done, Ordering::Relaxed);
    });
    let verdict = Linearizable::registers().check(&history, &Budget { progress, ..Budget::unlimited() });
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
    assert!(told.load(Ordering::Relaxed) > 0);
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    let history = register_history(9, 6_000, 4, 5, true);
    let bytes = || {
        let verdict = Linearizable::registers().with_witness().check(&history, &Budget::unlimited());
        serde_json::to_string(&verdict).expect("a verdict is JSON")
    };
    let first = bytes();
    assert!((0..3).all(|_| bytes() == first));
}
