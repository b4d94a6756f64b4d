//! Differential tests: every checker here against the definitions, tried out on small random histories.
pub(crate) mod oracle;
pub(crate) mod small;
mod telling;

use super::causal::{CausalChecker, Variant};
use super::convergence::EventualConvergence;
use super::sequential::Sequential;
use super::sessions::{Promise, SessionGuarantee};
use super::staleness::Staleness;
use crate::history::History;
use crate::oracles::cases::{Call, CheckerCases, Long, call, registers};
use crate::random::{Rng, Stats};
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};
use oracle::{Guarantee, Step, cc, ccv, cm, pram, some_choice};
use serde_json::Value::Null;
use serde_json::json;
use small::Shape;

/// A right history and a wrong one of a register.
pub(crate) const ATOMIC: (&str, &str) =
    ("1 write 0 1 -> ok\n 2 read 0 null -> ok 1", "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 2 read 0 null -> ok 1");

/// A right history and a wrong one by every promise to sessions.
pub(crate) const REGISTERS: (&str, &str) = (
    "1 write 0 1 -> ok\n 1 read 0 null -> ok 1\n 1 write 0 2 -> ok\n 2 read 0 null -> ok 1\n 2 read 0 null -> ok 2
     2 write 0 3 -> ok\n 2 read 0 null -> ok 3\n 1 read 0 null -> ok 2\n 1 read 0 null -> ok 3",
    "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 1 read 0 null -> ok 2\n 1 read 0 null -> ok 1\n 2 read 0 null -> ok 2
     2 write 0 3 -> ok\n 3 read 0 null -> ok 3\n 3 read 0 null -> ok 2\n 3 read 0 null -> ok 1",
);

/// As [`registers`], and final reads of the last values by each node.
fn settled(n: u64) -> Vec<Call> {
    let mut calls = registers(n);
    for at in n.saturating_sub(7)..n {
        let read = |node| Call { settle: true, ..call(node, "read", json!(at % 7), Null, json!(at)) };
        calls.extend((0..3).map(read));
    }
    calls
}

/// What the tests of all checkers ask of `sequential`.
pub(crate) const SEQUENTIAL: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok\n 3 read 0 null -> ok")]),
    right_and_wrong: Ok(&[(&[], REGISTERS.0, REGISTERS.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("sequential", sequential)]),
};

/// What the tests of all checkers ask of `causal`.
pub(crate) const CAUSAL: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok")]),
    right_and_wrong: Ok(&[(&[], REGISTERS.0, REGISTERS.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("causal: cc, ccv, cm", causal)]),
};

/// What the tests of all checkers ask of `pram`.
pub(crate) const PRAM: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok")]),
    right_and_wrong: Ok(&[(&[], REGISTERS.0, REGISTERS.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("pram", pipelined)]),
};

/// What the tests of all checkers ask of `read-your-writes`.
pub(crate) const READ_YOUR_WRITES: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 1 read 1 null -> ok")]),
    right_and_wrong: Ok(&[(&[("order", "realtime")], REGISTERS.0, REGISTERS.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("session guarantees", sessions)]),
};

/// What the tests of all checkers ask of `monotonic-reads`.
pub(crate) const MONOTONIC_READS: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[
        (&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 3 read 0 null -> ok 1"),
        (&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok\n 2 read 0 null -> ok"),
    ]),
    right_and_wrong: Ok(&[(&[], REGISTERS.0, REGISTERS.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("session guarantees", sessions)]),
};

/// What the tests of all checkers ask of `monotonic-writes`.
pub(crate) const MONOTONIC_WRITES: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[
        (&[], "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 3 read 0 null -> ok 2"),
        (&[], "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok 1\n 3 read 0 null -> ok 2"),
    ]),
    right_and_wrong: Ok(&[(
        &[("versions", "true")],
        "1 write 0 1 -> ok 1\n 1 write 0 2 -> ok 2",
        "1 write 0 1 -> ok 2\n 1 write 0 2 -> ok 1",
    )]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("session guarantees", sessions)]),
};

/// What the tests of all checkers ask of `writes-follow-reads`.
pub(crate) const WRITES_FOLLOW_READS: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1\n 2 write 0 2 -> ok\n 3 read 0 null -> ok 2")]),
    right_and_wrong: Ok(&[(
        &[("versions", "true")],
        "1 write 0 1 -> ok 5\n 2 read 0 null -> ok [5,1]\n 2 write 0 2 -> ok 6",
        "1 write 0 1 -> ok 5\n 2 read 0 null -> ok [5,1]\n 2 write 0 2 -> ok 3",
    )]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("session guarantees", sessions)]),
};

/// What the tests of all checkers ask of `eventual-convergence`.
pub(crate) const EVENTUAL_CONVERGENCE: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[], "settle n1: 2 read 0 null -> ok\n n1: 1 write 0 1 -> ok")]),
    right_and_wrong: Ok(&[(
        &[("wait_ms", "0")],
        "n1: 1 write 0 1 -> ok\n settle n1: 2 read 0 null -> ok 1\n settle n2: 3 read 0 null -> ok 1",
        "n1: 1 write 0 1 -> ok\n settle n1: 2 read 0 null -> ok\n settle n2: 3 read 0 null -> ok",
    )]),
    long: Ok(Long::of(settled)),
    comparisons: Ok(&[("eventual-convergence", convergence)]),
};

/// What the tests of all checkers ask of `staleness`.
pub(crate) const STALENESS: CheckerCases = CheckerCases {
    needs_realtime: true,
    too_little: Ok(&[(&[("k_max", "1")], "1 write 0 1 -> ok\n 2 read 1 null -> ok")]),
    right_and_wrong: Ok(&[(&[("k_max", "1")], ATOMIC.0, ATOMIC.1)]),
    long: Ok(Long::of(registers)),
    comparisons: Ok(&[("staleness", staleness)]),
};

/// Whether what happened is as promised.
type Definition<'a> = &'a dyn Fn(&[Step]) -> bool;

fn told(calls: &[small::Call], verdict: &Verdict, truth: bool) -> String {
    let lines: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
    format!("{}: the definition says {truth}; {verdict:#?}\n{}", verdict.checker, lines.join("\n"))
}

/// Compares one verdict with the truth, and the operations of each finding with the truth about them alone.
fn compare(
    calls: &[small::Call],
    unique: bool,
    checker: &dyn Checker,
    history: &History,
    holds: &dyn Fn(&[Step]) -> bool,
) -> Result<bool, String> {
    let verdict = crate::random::shown(history, checker.check(history, &Budget::unlimited()));
    let truth = some_choice(calls, holds);
    // Something was seen that could have contradicted, whether or not writes in doubt happened.
    let enough = telling::enough(checker.name(), calls, false);
    let perhaps = telling::enough(checker.name(), calls, true);
    let agree = match verdict.validity {
        Validity::Invalid => !truth,
        Validity::Valid => truth && perhaps,
        Validity::Unknown => truth && !enough || (!unique && checker.name() != "sequential"),
    };
    if !agree {
        return Err(told(calls, &verdict, truth));
    }
    for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation) {
        let alone: Vec<small::Call> = calls.iter().filter(|call| finding.ops.contains(&call.call)).cloned().collect();
        if alone.is_empty() || alone.len() != finding.ops.len() || some_choice(&alone, holds) {
            return Err(format!("the finding says nothing by itself: {}", told(calls, &verdict, truth)));
        }
    }
    Ok(verdict.validity == Validity::Invalid)
}

fn run(seed: u64, count: u64, checkers: &[(&dyn Checker, Definition)], most_ops: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let unique = rng.percent(85);
        let most_ops = most_ops + rng.below(3);
        let shape = Shape { most_ops, unique, cas: rng.percent(30), settle: false };
        let calls = small::calls(&mut rng, shape);
        let history = small::history(&calls);
        let mut invalid = false;
        for (checker, holds) in checkers {
            invalid |= compare(&calls, unique, *checker, &history, holds)?;
        }
        stats.histories += 1;
        stats.invalid += u64::from(invalid);
    }
    Ok(stats)
}

/// The variants of causal consistency.
pub(crate) fn causal(seed: u64, count: u64) -> Result<Stats, String> {
    let made = [Variant::Weak, Variant::Convergence, Variant::Memory].map(|variant| CausalChecker { variant });
    run(seed, count, &[(&made[0], &cc), (&made[1], &ccv), (&made[2], &cm)], 7)
}

/// PRAM.
pub(crate) fn pipelined(seed: u64, count: u64) -> Result<Stats, String> {
    run(seed, count, &[(&CausalChecker { variant: Variant::Pram }, &pram)], 7)
}

/// Sequential consistency, also with repeated values.
pub(crate) fn sequential(seed: u64, count: u64) -> Result<Stats, String> {
    run(seed, count, &[(&Sequential, &oracle::sequential)], 7)
}

/// Session guarantees, by what sessions say of the order of versions and by real time.
pub(crate) fn sessions(seed: u64, count: u64) -> Result<Stats, String> {
    let promises: [(Promise, &[Guarantee]); 4] = [
        (Promise::ReadYourWrites, &[oracle::own_writes]),
        (Promise::MonotonicReads, &[oracle::forward_reads]),
        (Promise::MonotonicWrites, &[]),
        (Promise::WritesFollowReads, &[oracle::following_writes]),
    ];
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let unique = rng.percent(85);
        let shape = Shape { most_ops: 7, unique, cas: rng.percent(30), settle: false };
        let calls = small::calls(&mut rng, shape);
        let history = small::history(&calls);
        let mut invalid = false;
        for (promise, guarantees) in promises {
            let realtime = rng.percent(40);
            let checker = SessionGuarantee { promise, realtime, versions: false };
            let holds = |steps: &[Step]| oracle::versioned(steps, realtime, guarantees);
            // Where readers must not go back for it to hold, nobody can say.
            let mut strict = guarantees.to_vec();
            if matches!(promise, Promise::MonotonicWrites | Promise::WritesFollowReads) {
                strict.push(oracle::forward_reads);
            }
            let doubtful = some_choice(&calls, &holds)
                && !some_choice(&calls, &|steps| oracle::versioned(steps, realtime, &strict));
            invalid |= if doubtful {
                let verdict = crate::random::shown(&history, checker.check(&history, &Budget::unlimited()));
                if verdict.validity != Validity::Unknown {
                    return Err(told(&calls, &verdict, true));
                }
                false
            } else {
                compare(&calls, unique, &checker, &history, &holds)?
            };
        }
        stats.histories += 1;
        stats.invalid += u64::from(invalid);
    }
    Ok(stats)
}

/// k-atomicity for 1 and 2, and Δ-atomicity, keys one by one.
pub(crate) fn staleness(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let unique = rng.percent(90);
        let shape = Shape { most_ops: 8, unique, cas: false, settle: false };
        let calls = small::calls(&mut rng, shape);
        let history = small::history(&calls);
        if !calls.iter().any(|call| matches!(call.act, small::SmallCall::Read(_))) {
            continue;
        }
        let mut invalid = false;
        for k in 1..=2 {
            let checker = Staleness { k_max: Some(k), ..Staleness::default() };
            invalid |= compare(&calls, unique, &checker, &history, &|steps| oracle::k_atomic(steps, k as usize, 0))?;
        }
        // Records are a millisecond apart.
        let delta = rng.below(12);
        let checker = Staleness { delta_ms_max: Some(delta), ..Staleness::default() };
        invalid |= compare(&calls, unique, &checker, &history, &|steps| oracle::k_atomic(steps, 1, delta))?;
        stats.histories += 1;
        stats.invalid += u64::from(invalid);
    }
    Ok(stats)
}

/// Convergence: whether some order of the writes ends with what all nodes hold.
pub(crate) fn convergence(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    let checker = EventualConvergence { wait_ms: Some(0), ..EventualConvergence::default() };
    for _ in 0..count {
        let unique = rng.percent(70);
        let shape = Shape { most_ops: 6, unique, cas: rng.percent(30), settle: true };
        let calls = small::calls(&mut rng, shape);
        let verdict =
            crate::random::shown(&small::history(&calls), checker.check(&small::history(&calls), &Budget::unlimited()));
        let truth = oracle::converged(&calls);
        let agree = match verdict.validity {
            Validity::Valid => truth == Some(true),
            Validity::Invalid => truth == Some(false),
            Validity::Unknown => truth.is_none(),
        };
        if !agree {
            return Err(told(&calls, &verdict, truth == Some(true)));
        }
        stats.histories += 1;
        stats.invalid += u64::from(truth == Some(false));
    }
    Ok(stats)
}
