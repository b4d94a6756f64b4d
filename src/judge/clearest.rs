//! The order of counterexamples: one for a verdict's sentence and for every page of its report. Pure.
use dsfuzz_checkers::{Finding, History, Severity, Verdict};

/// The call time of a finding's first operation.
pub fn began(history: &History, finding: &Finding) -> Option<u64> {
    finding.ops.iter().filter_map(|call| history.op(*call)).map(|op| op.call_time).min()
}

/// Sorts findings of one kind: the fewest operations first, then the earliest.
pub fn clearness(history: &History, finding: &Finding) -> (usize, Option<u64>) {
    (finding.ops.len(), began(history, finding))
}

/// Sorts the findings of each promise: kinds in the order in which the checker names them, each with its clearest example
/// first.
pub(super) fn sort(history: &History, promises: &mut [Verdict]) {
    for promise in promises {
        let mut kinds: Vec<(Severity, String)> = Vec::new();
        for finding in &promise.findings {
            if !kinds.iter().any(|(severity, kind)| (*severity, kind) == (finding.severity, &finding.kind)) {
                kinds.push((finding.severity, finding.kind.clone()));
            }
        }
        promise.findings.sort_by_cached_key(|finding| {
            let kind = kinds.iter().position(|(severity, kind)| (*severity, kind) == (finding.severity, &finding.kind));
            let clear = finding.severity == Severity::Violation;
            (kind, clear.then(|| clearness(history, finding)))
        });
    }
}
