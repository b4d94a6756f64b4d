//! Differential tests: every checker here against the definitions, tried out on small random histories.
pub(crate) mod oracle;
pub(crate) mod small;

use super::causal::{CausalChecker, Variant};
use super::sequential::Sequential;
use crate::fuzz::{Draw, Stats};
use crate::history::History;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use oracle::{Step, cc, ccv, cm, pram, some_choice};
use small::{Call, Shape};

fn told(calls: &[Call], verdict: &Verdict, truth: bool) -> String {
    let lines: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
    format!("{}: the definition says {truth}; {verdict:#?}\n{}", verdict.checker, lines.join("\n"))
}

/// Compares one verdict with the truth, and the operations of each finding with the truth about them alone.
fn compare(
    calls: &[Call],
    unique: bool,
    checker: &dyn Checker,
    history: &History,
    holds: &dyn Fn(&[Step]) -> bool,
) -> Result<bool, String> {
    let verdict = checker.check(history, &Budget::unlimited());
    let truth = some_choice(calls, holds);
    let enough = calls.iter().any(|call| call.outcome == crate::history::Outcome::Ok);
    let agree = match verdict.validity {
        Validity::Invalid => !truth,
        Validity::Valid => truth,
        Validity::Unknown => !enough || (!unique && checker.name() != "sequential"),
    };
    if !agree {
        return Err(told(calls, &verdict, truth));
    }
    for finding in &verdict.findings {
        let alone: Vec<Call> = calls.iter().filter(|call| finding.ops.contains(&call.call)).cloned().collect();
        if alone.is_empty() || alone.len() != finding.ops.len() || some_choice(&alone, holds) {
            return Err(format!("the finding says nothing by itself: {}", told(calls, &verdict, truth)));
        }
    }
    Ok(verdict.validity == Validity::Invalid)
}

fn run(
    seed: u64,
    count: u64,
    checkers: &[(&dyn Checker, &dyn Fn(&[Step]) -> bool)],
    most_ops: u64,
) -> Result<Stats, String> {
    let mut draw = Draw::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let unique = draw.percent(85);
        let shape = Shape { most_ops, unique, cas: draw.percent(30), settle: false };
        let calls = small::calls(&mut draw, shape);
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
pub fn causal(seed: u64, count: u64) -> Result<Stats, String> {
    let made = [Variant::Weak, Variant::Convergence, Variant::Memory].map(CausalChecker::new);
    run(seed, count, &[(&made[0], &cc), (&made[1], &ccv), (&made[2], &cm)], 7)
}

/// PRAM.
pub fn pipelined(seed: u64, count: u64) -> Result<Stats, String> {
    run(seed, count, &[(&CausalChecker::new(Variant::Pram), &pram)], 7)
}

/// Sequential consistency, also with repeated values.
pub fn sequential(seed: u64, count: u64) -> Result<Stats, String> {
    run(seed, count, &[(&Sequential, &oracle::sequential)], 7)
}
