//! The one order of findings, which decides the headline of a verdict: the first finding.
//!
//! Violations come before evidence. Among them kinds with a rank of their own come first ([`RANKED`]: what breaks the weakest
//! promise, and so the most promises). Then the counterexample that was complete first, by the index of its last operation;
//! findings without operations come last, as they were reported. Of two that were complete at once the one with fewer operations
//! comes first, then kinds by name.
use super::Finding;
use std::cmp::Reverse;

/// Kinds with a rank of their own, from the first. All others come after these, whatever their kind.
pub(crate) const RANKED: &[&str] = &[
    // The nodes contradict themselves, whatever clients saw.
    "two-leaders-in-one-term",
    "inconsistent-offsets",
    // Acknowledged data is gone.
    "lost-write",
    "lost-message",
    "lost-row",
    // Anomalies of transactions, by the weakest model that forbids them.
    "garbage-read",
    "duplicate-elements",
    "cyclic-versions",
    "G0",
    "G1a",
    "dirty-update",
    "G1b",
    "incompatible-order",
    "G1c",
    "non-monotonic-view",
    "internal",
    "fractured-read",
    "causal-violation",
    "lost-update",
    "G-single",
    "G-single-item",
    "G-nonadjacent-item",
    "G2",
    "G2-item",
];

/// Sorts findings into the one order.
pub(super) fn in_order(findings: &mut [Finding]) {
    findings.sort_by(|one, other| key(one).cmp(&key(other)));
}

type Key<'f> = (Reverse<super::Severity>, usize, u64, usize, &'f str);

fn key(finding: &Finding) -> Key<'_> {
    let rank = RANKED.iter().position(|kind| *kind == finding.kind).unwrap_or(RANKED.len());
    let complete = finding.ops.iter().max().copied().unwrap_or(u64::MAX);
    let kind = if finding.ops.is_empty() { "" } else { finding.kind.as_str() };
    (Reverse(finding.severity), rank, complete, finding.ops.len(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transactions::lattice::MODELS;
    use crate::verdict::Severity;

    #[test]
    fn the_strongest_violation_that_was_complete_first_is_the_headline() {
        let finding = |kind: &str, severity: Severity, ops: &[u64]| {
            let mut finding = Finding::new(kind, severity, String::new());
            finding.ops = ops.to_vec();
            finding
        };
        let (broken, evidence) = (Severity::Violation, Severity::Evidence);
        let sorted = [
            finding("two-leaders-in-one-term", broken, &[]),
            finding("G1a", broken, &[7, 9]),
            finding("stale-read", broken, &[1, 2]),
            finding("stale-read", broken, &[3, 4]),
            finding("stale-read", broken, &[1, 2, 4]),
            finding("double-hold", broken, &[0, 5]),
            finding("stale-read", broken, &[]),
            finding("lost-write", evidence, &[0]),
            finding("replicas-differ", evidence, &[1]),
        ];
        let mut findings: Vec<Finding> = sorted.iter().rev().cloned().collect();
        in_order(&mut findings);
        assert_eq!(findings, sorted);
    }

    #[test]
    fn anomalies_of_weaker_models_come_first() {
        let forbidding = |kind: &str| -> Vec<&str> {
            MODELS.iter().filter(|model| model.forbids(kind)).map(|model| model.name).collect()
        };
        let models: Vec<Vec<&str>> = RANKED.iter().map(|kind| forbidding(kind)).collect();
        assert!(models.iter().filter(|models| !models.is_empty()).count() > 10);
        for (at, one) in models.iter().enumerate().filter(|(_, one)| !one.is_empty()) {
            for (after, other) in models.iter().enumerate().skip(at) {
                let weaker = other.len() > one.len() && one.iter().all(|model| other.contains(model));
                assert!(!weaker, "{} breaks weaker models than {}", RANKED[after], RANKED[at]);
            }
        }
    }

    #[test]
    fn every_rank_is_of_a_known_kind_and_given_once() {
        for (at, kind) in RANKED.iter().enumerate() {
            assert!(crate::anomaly(kind).is_some(), "{kind}");
            assert!(!RANKED[..at].contains(kind), "{kind} twice");
        }
    }
}
