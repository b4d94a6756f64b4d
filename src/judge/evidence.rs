//! Measured numbers against the plan's thresholds. Pure.
//!
//! Asked is what can be had: calls that are Ok during a fault only where the fault leaves a majority and lasts longer
//! than an election of the target; else calls that are Ok before it and after its heal. Leadership must move only where
//! a role of the target leads.
use super::Rules;
use super::met::{self, Met};
use crate::plan::EvidencePlan;
use crate::store::{Evidence, RunInfo};
use dsfuzz_checkers::evidence::KindEvidence;
use dsfuzz_checkers::{Fault, History, Phase, evidence};
use dsfuzz_nemesis::{Span, clock};

/// What was measured, each with what is asked at the least.
pub(super) fn weigh(history: &History, asked: &EvidencePlan, rules: &Rules, info: &RunInfo) -> Vec<Evidence> {
    let seen = evidence(history);
    let met = met::met(history, rules.bound(&history.nodes));
    let mut rows = vec![
        row("ok_ops", "calls that were Ok", seen.ok as f64, asked.ok_min as f64),
        row("ok_fraction", "of all calls, the fraction that was Ok", seen.ok_fraction, asked.ok_fraction_min),
    ];
    rows.extend(rules.rate.and_then(|rate| rate_reached(history, rate)));
    for (kind, numbers) in &seen.kinds {
        let met: Vec<&Met<'_>> = met.iter().filter(|met| met.fault.kind == *kind).collect();
        of_kind(&mut rows, history, kind, numbers, &met, (asked, rules, info));
    }
    // A kind that the load had no room for is not in the history, and proves as little as one that never landed.
    for kind in rules.kinds.iter().filter(|kind| !seen.kinds.contains_key(*kind)) {
        let doc = format!("{kind} faults proven to be in force, of 0 planned (no room in the load)");
        rows.push(row(&format!("proven_{kind}"), &doc, 0.0, asked.proven_per_kind_min.of(kind) as f64));
    }
    rows.extend(leader_changes(history, &met, asked, info, seen.leader_changes as f64, seen.leaders.is_empty()));
    if let Some(slip) = info.timetable_slip_ms {
        rows.push(row(
            "timetable_slip_ms",
            "milliseconds that a fault began after its time, at the most",
            slip as f64,
            0.0,
        ));
    }
    rows
}

/// The rows of one kind of fault.
fn of_kind(
    rows: &mut Vec<Evidence>,
    history: &History,
    kind: &str,
    numbers: &KindEvidence,
    met: &[&Met<'_>],
    (asked, rules, info): (&EvidencePlan, &Rules, &RunInfo),
) {
    let doc =
        format!("{kind} faults proven to be in force for half a second or longer, of {} planned", numbers.planned);
    rows.push(row(&format!("proven_{kind}"), &doc, met.len() as f64, asked.proven_per_kind_min.of(kind) as f64));
    let doc = format!("{kind} faults proven to be healed, of {} begun", numbers.begun);
    rows.push(row(&format!("healed_{kind}"), &doc, numbers.healed as f64, numbers.begun as f64));
    if met.is_empty() {
        return;
    }
    let election = Span(info.facts.election());
    let can_serve = |met: &&&Met<'_>| met::leaves_majority(&history.nodes, met.fault) && met.lasted > election.0;
    let serving: Vec<&&Met<'_>> = met.iter().filter(can_serve).collect();
    let min = asked.ok_during_fault_min.of(kind);
    let sum = |met: &[&&Met<'_>]| met.iter().map(|met| met.ok_during).sum::<u64>() as f64;
    if serving.is_empty() {
        let doc = format!(
            "calls that were Ok while a {kind} fault was certainly in force: none are asked, each left no majority or \
             was over within an election ({election})"
        );
        rows.push(row(&format!("ok_during_{kind}"), &doc, sum(&met.iter().collect::<Vec<_>>()), 0.0));
        let around = met.iter().map(|met| met.ok_before.min(met.ok_after)).min().unwrap_or(0);
        let doc = format!("calls that were Ok before each {kind} fault, and after its heal: the smaller number");
        rows.push(row(&format!("ok_around_{kind}"), &doc, around as f64, min.min(1) as f64));
    } else {
        let doc = format!(
            "calls that were Ok while a {kind} fault was certainly in force that left a majority for longer than an \
             election ({election})"
        );
        rows.push(row(&format!("ok_during_{kind}"), &doc, sum(&serving), min as f64));
    }
    let least = met.iter().map(|met| met.asked_least).fold(f64::INFINITY, f64::min);
    if least.is_finite() {
        let never = rules.unbound(&history.nodes);
        let never = if never.is_empty() { String::new() } else { format!(" (no client asks {})", never.join(", ")) };
        let doc = format!("calls begun a second during {kind} faults, on the node that was asked the least{never}");
        rows.push(row(&format!("asked_during_{kind}"), &doc, least, rules.asked_min(history.nodes.len())));
    }
}

/// The calls a second that were begun, where the plan asks for a rate.
fn rate_reached(history: &History, rate: f64) -> Option<Evidence> {
    let (offered, ok) = offered(history)?;
    let doc = format!("calls a second that were begun, of {rate} asked for; {ok:.0} a second were Ok");
    Some(row("rate_offered", &doc, (offered * 10.0).round() / 10.0, 0.0))
}

/// Calls begun a second in the load, and those of them that were Ok.
pub(super) fn offered(history: &History) -> Option<(f64, f64)> {
    let at = |phase: Phase| history.phases.iter().find(|(other, _)| *other == phase).map(|(_, mark)| mark.time);
    let (from, to) = (at(Phase::Load)?, at(Phase::Drain)?);
    let seconds = (to.checked_sub(from)? as f64 / 1e9).max(0.001);
    let load = || history.ops().iter().filter(|op| !op.settle);
    let ok = load().filter(|op| op.outcome == dsfuzz_checkers::Outcome::Ok).count();
    Some((load().count() as f64 / seconds, ok as f64 / seconds))
}

/// Changes of leader: asked where a role leads and a fault that could move it was aimed at it, in force for longer than
/// an election and with a majority left to elect another.
fn leader_changes(
    history: &History,
    met: &[Met<'_>],
    asked: &EvidencePlan,
    info: &RunInfo,
    seen: f64,
    nobody: bool,
) -> Option<Evidence> {
    // A lie about the time need not move a leader.
    let disturbs = |fault: &Fault| fault.kind != clock::DOC.name && fault.planned.contains("leader");
    let aimed = info.facts.leads && history.faults.iter().any(disturbs);
    let moves = |met: &Met<'_>| {
        disturbs(met.fault) && met.lasted > info.facts.election() && met::leaves_majority(&history.nodes, met.fault)
    };
    let at_least = if info.facts.leads && met.iter().any(moves) { asked.leader_changes_min as f64 } else { 0.0 };
    (aimed || !nobody).then(|| row("leader_changes", "changes of leader", seen, at_least))
}

fn row(name: &str, doc: &str, measured: f64, at_least: f64) -> Evidence {
    Evidence { name: name.into(), doc: doc.into(), measured, at_least, enough: measured >= at_least }
}

#[cfg(test)]
mod tests;
