//! Measured numbers against the plan's thresholds. Pure.
use crate::plan::EvidencePlan;
use crate::store::Evidence;
use dsfuzz_checkers::{History, evidence};

/// What was measured, each with what is asked at the least.
pub(super) fn weigh(history: &History, asked: &EvidencePlan) -> Vec<Evidence> {
    let seen = evidence(history);
    let mut rows = vec![
        row("ok_ops", "calls that were Ok", seen.ok as f64, asked.ok_min as f64),
        row("ok_fraction", "of all calls, the fraction that was Ok", seen.ok_fraction, asked.ok_fraction_min),
    ];
    for (kind, numbers) in &seen.kinds {
        let proven = format!("{kind} faults proven to be in force, of {} planned", numbers.planned);
        rows.push(row(&format!("proven_{kind}"), &proven, numbers.proven as f64, asked.proven_per_kind_min as f64));
        let healed = format!("{kind} faults proven to be healed, of {} begun", numbers.begun);
        rows.push(row(&format!("healed_{kind}"), &healed, numbers.healed as f64, numbers.begun as f64));
        let during = format!("calls that were Ok while a {kind} fault was certainly in force");
        rows.push(row(
            &format!("ok_during_{kind}"),
            &during,
            numbers.ok_during as f64,
            asked.ok_during_fault_min as f64,
        ));
    }
    let aimed = history.faults.iter().any(|fault| fault.planned.contains("leader"));
    let asked_changes = if aimed { asked.leader_changes_min as f64 } else { 0.0 };
    if aimed || !seen.leaders.is_empty() {
        rows.push(row("leader_changes", "changes of leader", seen.leader_changes as f64, asked_changes));
    }
    rows
}

fn row(name: &str, doc: &str, measured: f64, at_least: f64) -> Evidence {
    Evidence { name: name.into(), doc: doc.into(), measured, at_least, enough: measured >= at_least }
}
