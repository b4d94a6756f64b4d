//! Measured numbers against the plan's thresholds. Pure.
use super::Rules;
use crate::plan::EvidencePlan;
use crate::store::{Evidence, RunInfo};
use dsfuzz_checkers::{History, evidence};
use dsfuzz_nemesis::clock;

/// What was measured, each with what is asked at the least.
pub(super) fn weigh(history: &History, asked: &EvidencePlan, rules: &Rules, info: &RunInfo) -> Vec<Evidence> {
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
    // A kind that the load had no room for is not in the history, and proves as little as one that never landed.
    for kind in rules.kinds.iter().filter(|kind| !seen.kinds.contains_key(*kind)) {
        let doc = format!("{kind} faults proven to be in force, of 0 planned (no room in the load)");
        rows.push(row(&format!("proven_{kind}"), &doc, 0.0, asked.proven_per_kind_min as f64));
    }
    // A lie about the time need not move a leader, and a target that is never asked for its role cannot show that one moved.
    let disturbs = |fault: &dsfuzz_checkers::Fault| fault.kind != clock::DOC.name && fault.planned.contains("leader");
    let aimed = history.faults.iter().any(disturbs) && !info.without_roles;
    let asked_changes = if aimed { asked.leader_changes_min as f64 } else { 0.0 };
    if aimed || !seen.leaders.is_empty() {
        rows.push(row("leader_changes", "changes of leader", seen.leader_changes as f64, asked_changes));
    }
    rows
}

fn row(name: &str, doc: &str, measured: f64, at_least: f64) -> Evidence {
    Evidence { name: name.into(), doc: doc.into(), measured, at_least, enough: measured >= at_least }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_checkers::Fault;

    fn thin(faults: &[(&str, &str)], kinds: &[&str], without_roles: bool) -> Vec<String> {
        let fault = |(kind, planned): &(&str, &str)| Fault {
            kind: (*kind).into(),
            planned: format!("{kind} {planned}"),
            ..Fault::default()
        };
        let mut history = History::default();
        history.faults = faults.iter().map(fault).collect();
        let rules = Rules { kinds: kinds.iter().map(|kind| (*kind).into()).collect(), ..Rules::default() };
        let info = RunInfo { without_roles, ..RunInfo::default() };
        let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
        rows.into_iter().filter(|row| !row.enough).map(|row| row.name).collect()
    }

    #[test]
    fn a_kind_that_the_plan_names_and_the_load_had_no_room_for_is_missed() {
        let missed = thin(&[("pause", "one: #1")], &["kill", "pause"], false);
        assert!(missed.contains(&"proven_kill".to_owned()), "{missed:?}");
        assert!(missed.contains(&"proven_pause".to_owned()), "{missed:?}");
        assert!(!thin(&[], &[], false).iter().any(|name| name.starts_with("proven")));
    }

    #[test]
    fn leaders_must_move_only_where_that_can_be_and_be_seen() {
        let moved = |kind: &str, without_roles: bool| {
            !thin(&[(kind, "leader")], &[], without_roles).contains(&"leader_changes".to_owned())
        };
        assert!(!moved("pause", false));
        assert!(moved("pause", true), "nobody was asked for a role");
        assert!(moved("clock", false), "a shifted clock need not move a leader");
    }
}
