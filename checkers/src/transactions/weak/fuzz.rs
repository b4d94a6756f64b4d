//! The weak levels against their definitions, on random small histories.
use super::brute::{Definition, holds};
use super::small::{Shape, Small};
use super::Weak;
use crate::fuzz::{Draw, Stats};
use crate::verdict::{Budget, Checker, Validity};

const LEVELS: [(Definition, fn() -> Weak); 3] = [
    (Definition::ReadCommitted, Weak::read_committed),
    (Definition::ReadAtomic, Weak::read_atomic),
    (Definition::Causal, Weak::causal),
];

/// Judges random small histories of registers and of lists twice.
///
/// # Errors
/// The first difference, with its history.
pub fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut draw = Draw::new(seed);
    let mut stats = Stats::default();
    for _ in 0..count {
        let lists = draw.percent(50);
        let (txns, sessions) = (2 + draw.below(4), 1 + draw.below(4));
        let shape = Shape { lists, txns, sessions, keys: 2, acts: 4, read_first: false };
        let small = Small::draw(&mut draw, shape);
        let history = small.history();
        stats.histories += 1;
        let mut invalid = false;
        for (definition, checker) in LEVELS {
            let expected = holds(&small, definition);
            let verdict = checker().check(&history, &Budget::unlimited());
            invalid |= !expected;
            let agrees = match verdict.validity {
                Validity::Valid => expected,
                Validity::Invalid => !expected,
                // Nothing was read, or not a transaction was Ok.
                Validity::Unknown => expected,
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
    }
    Ok(stats)
}

/// Whether a finding's edges, if any, form a cycle.
pub(crate) fn closed(finding: &crate::verdict::Finding) -> bool {
    let edges = &finding.cycle;
    edges.iter().zip(edges.iter().cycle().skip(1)).all(|(one, next)| one.to == next.from)
}
