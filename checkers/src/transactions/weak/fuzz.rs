//! The weak levels against their definitions, on random small histories.
use super::Weak;
use super::brute::{Definition, holds};
use super::judge::{Level, judge_with};
use super::matched::Matched;
use super::serial::serial;
use super::small::{Shape, Small};
use crate::history::History;
use crate::oracles::cases::{CheckerCases, Long};
use crate::random::{Rng, Stats};
use crate::transactions::levels::{Levels, levels};
use crate::transactions::list_append::fuzz::APPENDS;
use crate::transactions::rw_register::fuzz::{REGISTER_WRITES, updates};
use crate::transactions::txn::{Dialect, Transactions};
use crate::verdict::{Budget, Checker, Validity};

/// What the tests of all checkers ask of `read-committed`.
pub(crate) const READ_COMMITTED: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    )]),
    right_and_wrong: Ok(&[(&[], REGISTER_WRITES.0, REGISTER_WRITES.1), (&[], APPENDS.0, APPENDS.1)]),
    long: Ok(Long::of(updates)),
    comparisons: Ok(&[("weak levels of transactions", differ), ("levels of transactions", differ_levels)]),
};

/// What the tests of all checkers ask of `read-atomic`.
pub(crate) const READ_ATOMIC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    )]),
    right_and_wrong: Ok(&[(&[], REGISTER_WRITES.0, REGISTER_WRITES.1)]),
    long: Ok(Long::of(updates)),
    comparisons: Ok(&[("weak levels of transactions", differ), ("levels of transactions", differ_levels)]),
};

/// What the tests of all checkers ask of `causal-transactions`.
pub(crate) const CAUSAL: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(
        &[],
        "1 txn null [[\"w\",1,1]] -> ok [[\"w\",1,1]]\n 2 txn null [[\"r\",1,null]] -> ok [[\"r\",1,null]]",
    )]),
    right_and_wrong: Ok(&[(&[], APPENDS.0, APPENDS.1)]),
    long: Ok(Long::of(updates)),
    comparisons: Ok(&[("weak levels of transactions", differ), ("levels of transactions", differ_levels)]),
};

const LEVELS: [(Definition, fn() -> Weak); 3] = [
    (Definition::ReadCommitted, Weak::read_committed),
    (Definition::ReadAtomic, Weak::read_atomic),
    (Definition::Causal, Weak::causal),
];

/// Judges random small histories of registers and of lists twice.
///
/// # Errors
/// The first difference, with its history.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut rng = Rng::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let lists = rng.percent(50);
        let (txns, sessions) = (2 + rng.below(4), 1 + rng.below(4));
        let shape = Shape { lists, txns, sessions, keys: 2, mops: 4, read_first: false };
        let small = Small::draw(&mut rng, shape);
        let history = small.history();
        stats.histories += 1;
        let mut invalid = false;
        for (definition, checker) in LEVELS {
            let expected = holds(&small, definition);
            let verdict = crate::random::shown(&history, checker().check(&history, &Budget::unlimited()));
            invalid |= !expected;
            let agrees = match verdict.validity {
                Validity::Valid => expected,
                Validity::Invalid => !expected,
                // Nothing was read, or not a transaction was Ok; or it rests on reads of own appends.
                Validity::Unknown => expected || verdict.summary.starts_with("What was found rests on"),
            };
            let explained = verdict.validity != Validity::Invalid
                || verdict.findings.iter().all(|finding| !finding.ops.is_empty() && closed(finding));
            if !agrees || !explained || verdict.validity == Validity::Invalid && verdict.findings.is_empty() {
                return Err(format!(
                    "{definition:?}: by definition {expected}, but {:?}: {} {:?}\n{}",
                    verdict.validity,
                    verdict.summary,
                    verdict.findings,
                    small.show()
                ));
            }
        }
        stats.invalid += u64::from(invalid);
        merged_chains(&small, &history)?;
    }
    Ok(stats)
}

/// Causality with a clock over sessions and with one over merged chains: only long histories need the second.
fn merged_chains(small: &Small, history: &History) -> Result<(), String> {
    let workload = history.find_name("txn").ok_or("no transaction")?;
    let dialect = if small.lists { Dialect::Lists } else { Dialect::Registers };
    let transactions = Transactions::parse(history, workload, dialect).map_err(|error| error.why)?;
    let matched = if small.lists { Matched::lists(&transactions) } else { Matched::registers(&transactions) };
    for level in [Level::Causal, Level::Parallel] {
        let holds = |sessions_as_chains: usize| {
            let broken = judge_with(&matched.view, level, sessions_as_chains, &Budget::unlimited());
            broken.map(|broken| broken.count == 0).map_err(|stop| format!("{stop:?}"))
        };
        let known = holds(0)?;
        if holds(usize::MAX)? != known {
            return Err(format!("{level:?}: merged chains say otherwise\n{}", small.show()));
        }
        if !known && serial(&matched.view, &Budget::unlimited()) {
            return Err(format!("{level:?} does not hold, but one order explains all\n{}", small.show()));
        }
    }
    Ok(())
}

/// The levels that hold for transactions on lists.
pub(super) fn levels_of_lists(transactions: &Transactions<'_>, budget: &Budget) -> Levels {
    levels(&Matched::lists(transactions), budget)
}

/// The levels by name, each before those that it implies.
fn by_name(levels: &Levels) -> [(&'static str, Option<bool>); 9] {
    [
        ("strong-session-serializable", levels.session_serializable),
        ("serializable", levels.serializable),
        ("strong-session-snapshot-isolation", levels.session_snapshot),
        ("snapshot-isolation", levels.snapshot),
        ("parallel-snapshot-isolation", levels.parallel),
        ("prefix", levels.prefix),
        ("causal", levels.causal),
        ("read-atomic", levels.read_atomic),
        ("read-committed", levels.read_committed),
    ]
}

/// Judges random small histories whose version orders are known, lists and registers read before they are written, by all
/// levels twice.
///
/// # Errors
/// The first difference, with its history.
pub(crate) fn differ_levels(seed: u64, count: u64) -> Result<Stats, String> {
    use Definition::{Causal, Parallel, Prefix, ReadAtomic, ReadCommitted, Serial, Snapshot};
    let mut rng = Rng::new(seed);
    let (mut stats, mut undecided) = (Stats::default(), 0);
    for _ in 0..count {
        let (txns, sessions) = (2 + rng.below(3), 1 + rng.below(4));
        let shape = Shape { lists: true, txns, sessions, keys: 2, mops: 4, read_first: false };
        let small = Small::draw(&mut rng, shape);
        let history = small.history();
        let workload = history.find_name("txn").ok_or("no transaction")?;
        let transactions = Transactions::parse(&history, workload, Dialect::Lists).map_err(|error| error.why)?;
        let found = levels_of_lists(&transactions, &Budget::unlimited());
        let alone = small.without_sessions();
        let expected = [
            ("strong-session-serializable", holds(&small, Serial)),
            ("serializable", holds(&alone, Serial)),
            ("strong-session-snapshot-isolation", holds(&small, Snapshot)),
            ("snapshot-isolation", holds(&alone, Snapshot)),
            ("parallel-snapshot-isolation", holds(&small, Parallel)),
            ("prefix", holds(&small, Prefix)),
            ("causal", holds(&small, Causal)),
            ("read-atomic", holds(&small, ReadAtomic)),
            ("read-committed", holds(&small, ReadCommitted)),
        ];
        stats.histories += 1;
        stats.invalid += u64::from(!expected[0].1);
        for ((name, found), (_, expected)) in by_name(&found).into_iter().zip(expected) {
            undecided += u64::from(found.is_none());
            if found.is_some_and(|found| found != expected) {
                return Err(format!("{name}: by definition {expected}, but {found:?}\n{}", small.show()));
            }
        }
    }
    // Open orders must stay rare, or the answers would say nothing.
    if undecided * 100 > count {
        return Err(format!("{undecided} of {count} are not decided"));
    }
    Ok(stats)
}

/// Whether a finding's edges, if any, form a cycle.
pub(crate) fn closed(finding: &crate::verdict::Finding) -> bool {
    let edges = &finding.cycle;
    edges.iter().zip(edges.iter().cycle().skip(1)).all(|(one, next)| one.to == next.from)
}
