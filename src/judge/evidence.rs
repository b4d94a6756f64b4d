//! Evidence: measured numbers against the plan's thresholds. Pure.
//!
//! Thresholds ask only for the possible: Ok calls during a fault if it leaves a majority and lasts longer than an election
//! of the target; else Ok calls before it and after its heal. Leadership must move only if a role of the target leads and another node can take over.
mod asked;
mod shortfall;

pub use asked::asked;

use super::Rules;
use super::effective_fault::{self, EffectiveFault};
use super::recovery::{self, Recovery};
use crate::plan::EvidencePlan;
use crate::store::{Evidence, Readiness, RunInfo};
use dsfuzz_checkers::{Fault, History, Phase, Verdict, evidence, shard_leader_changes};
use dsfuzz_checkers::{KindEvidence, Leadership};
use dsfuzz_nemesis::{IN_FORCE_MIN, Span, SwarmDraw, facts};

/// Every measured number with its threshold.
pub(super) fn weigh(history: &History, asked: &EvidencePlan, rules: &Rules, info: &RunInfo) -> Vec<Evidence> {
    let seen = evidence(history);
    let met = effective_fault::met(history, rules.bound(&history.nodes));
    let mut rows = vec![
        row("ok_ops", "calls that were Ok", seen.ok as f64, asked.ok_min as f64)
            .or_missing(|| shortfall::ok_ops(history, seen.ok, asked.ok_min)),
        row("ok_fraction", "fraction of all calls that was Ok", seen.ok_fraction, asked.ok_fraction_min)
            .or_missing(|| shortfall::ok_fraction(history, seen.ok_fraction, asked.ok_fraction_min)),
    ];
    rows.extend(scheduled(history, rules, info));
    rows.extend(kinds_left_out(rules, info));
    rows.extend(nodes_asked(history, asked, rules));
    rows.extend(rules.rate.and_then(|rate| rate_reached(history, rate)));
    for (kind, numbers) in &seen.kinds {
        let met: Vec<&EffectiveFault<'_>> = met.iter().filter(|met| met.fault.kind == *kind).collect();
        of_kind(&mut rows, history, (kind, numbers), &met, &seen.leaders, (asked, rules, info));
    }
    let swarm = info.planned.as_ref().and_then(|planned| planned.swarm.as_ref());
    rows.extend(swarm.map(|swarm| kinds_drawn(swarm, rules.kinds.len())));
    let drawn = |kind: &&String| !info.did_not_draw(kind);
    // A kind without room in the load is not in the history, and proves as little as a fault that never landed.
    for kind in rules.kinds.iter().filter(|kind| !seen.kinds.contains_key(*kind)).filter(drawn) {
        let room = match info.planned.as_ref().map_or(0, |planned| planned.fitted) {
            0 => "no room in the load".to_owned(),
            1 => "the load had room for 1 fault".to_owned(),
            fitted => format!("the load had room for {fitted} faults"),
        };
        let room = if shortfall::left_out_for(kind, info).is_some() {
            "left out: nemesis.skip_unable".to_owned()
        } else {
            room
        };
        let doc = format!("{kind} faults that were proven to be in force, of 0 planned ({room})");
        let min = per_kind_min(asked, rules, kind);
        let row = row(&format!("proven_{kind}"), &doc, 0.0, min as f64);
        rows.push(row.or_missing(|| shortfall::never_came(kind, min, info)));
    }
    let changes = if info.facts.several_leaders { shard_leader_changes(history) } else { seen.leader_changes };
    rows.extend(leader_changes(history, &met, asked, info, changes, seen.leaders.is_empty()));
    rows.extend(recovery::measure(history).map(|recovery| recovered(&recovery)));
    if let Some(slip) = info.timetable_slip_ms {
        let doc = "milliseconds that a fault began after its time, at the most";
        rows.push(row("timetable_slip_ms", doc, slip as f64, 0.0));
    }
    if let Some(Readiness { clients, ready, waited_ms }) = info.readiness.filter(Readiness::is_notable) {
        let doc = format!("milliseconds that the load waited for its clients; {ready} of {clients} were ready then");
        rows.push(row("clients_ready_ms", &doc, waited_ms as f64, 0.0));
    }
    rows
}

/// The rows of one kind of fault.
fn of_kind(
    rows: &mut Vec<Evidence>,
    history: &History,
    (kind, numbers): (&str, &KindEvidence),
    met: &[&EffectiveFault<'_>],
    leaders: &[Leadership],
    (asked, rules, info): (&EvidencePlan, &Rules, &RunInfo),
) {
    let min = per_kind_min(asked, rules, kind);
    let (long, planned) = (Span(IN_FORCE_MIN), numbers.planned);
    let doc = format!("{kind} faults that were proven to be in force for {long} or longer, of {planned} planned");
    let proven = row(&format!("proven_{kind}"), &doc, met.len() as f64, min as f64);
    rows.push(proven.or_missing(|| shortfall::proven(history, kind, met, (planned, min))));
    let doc = format!("{kind} faults whose heal was proven, of {} begun", numbers.begun);
    let healed = row(&format!("healed_{kind}"), &doc, numbers.healed as f64, numbers.begun as f64);
    rows.push(healed.or_missing(|| shortfall::healed(history, kind, (numbers.healed, numbers.begun), &rules.cure)));
    if met.is_empty() {
        return;
    }
    let election = Span(info.facts.election());
    let can_serve = |met: &&&EffectiveFault<'_>| {
        effective_fault::leaves_service(history, met.fault, leaders, &info.facts) && met.lasted > election.0
    };
    let serving: Vec<&&EffectiveFault<'_>> = met.iter().filter(can_serve).collect();
    let min = asked.ok_during_fault_min.of(kind);
    let sum = |met: &[&&EffectiveFault<'_>]| met.iter().map(|met| met.ok_during).sum::<u64>();
    if serving.is_empty() {
        let doc = format!(
            "calls that were Ok during {kind} faults (none are asked for: each left no majority{}, or was over within an \
             election of {election})",
            if info.facts.failover { "" } else { " or hit the leader, from which nothing takes over" }
        );
        rows.push(row(&format!("ok_during_{kind}"), &doc, sum(&met.iter().collect::<Vec<_>>()) as f64, 0.0));
        let around = met.iter().map(|met| met.ok_before.min(met.ok_after)).min().unwrap_or(0);
        let min = min.min(1);
        let doc = format!("calls that were Ok before each {kind} fault, and after its heal: the smallest number");
        let around = row(&format!("ok_around_{kind}"), &doc, around as f64, min as f64);
        rows.push(around.or_missing(|| shortfall::ok_around(kind, met, min, election)));
    } else {
        let doc = format!(
            "calls that were Ok during {kind} faults that left a majority for longer than an election ({election})"
        );
        let had = sum(&serving);
        let during = row(&format!("ok_during_{kind}"), &doc, had as f64, min as f64);
        rows.push(during.or_missing(|| shortfall::ok_during(kind, &serving, (had, min), election)));
    }
    let least = met.iter().filter_map(|met| Some((*met, met.asked_least?)));
    if let Some((met, (node, rate))) = least.min_by(|one, other| one.1.1.total_cmp(&other.1.1)) {
        let never = rules.unbound(&history.nodes);
        let never = if never.is_empty() { String::new() } else { format!("; no client asks {}", never.join(", ")) };
        let doc =
            format!("calls begun a second during {kind} faults, on the node that was asked the least ({node}{never})");
        let min = rules.asked_min(history.nodes.len());
        let asked = row(&format!("asked_during_{kind}"), &doc, rate, min);
        rows.push(asked.or_missing(|| shortfall::asked_during(met, node, rate, min)));
    }
}

/// The least number of proven faults of a kind. Of a schedule every single fault is asked for, by a row of its own.
fn per_kind_min(asked: &EvidencePlan, rules: &Rules, kind: &str) -> u64 {
    if rules.scheduled.is_none() { asked.proven_per_kind_min.of(kind) } else { 0 }
}

/// The faults of the plan's schedule that came: all of them are asked for.
fn scheduled(history: &History, rules: &Rules, info: &RunInfo) -> Option<Evidence> {
    let scheduled = rules.scheduled.as_ref()?;
    let asked = scheduled.len();
    let came = |id: &&String| history.faults.iter().any(|fault| fault.name == **id && effective_fault::came(fault));
    let missing: Vec<&String> = scheduled.iter().filter(|id| !came(id)).collect();
    let had = asked - missing.len();
    let long = Span(IN_FORCE_MIN);
    let doc = format!(
        "faults of the schedule that were proven to be in force, for {long} or for half of their time if that is less, of {asked}"
    );
    let row = row("scheduled_faults", &doc, had as f64, asked as f64);
    (asked > 0).then(|| row.or_missing(|| shortfall::scheduled(history, &missing, info)))
}

/// The time that nodes took to recover. The plan may demand one, which `liveness` judges.
fn recovered(recovery: &Recovery) -> Evidence {
    let Recovery { fault, .. } = recovery;
    let words = recovery.words();
    match recovery.slowest() {
        Some(slowest) => {
            let doc = format!(
                "milliseconds until calls were Ok again on every node after the last heal (fault {fault}): {words}"
            );
            row("recovery_ms", &doc, slowest as f64, 0.0)
        }
        None => {
            let had = recovery.nodes.iter().filter(|(_, time)| time.is_some()).count();
            let doc = format!("nodes with Ok calls after the last heal (fault {fault}), in milliseconds: {words}");
            row("recovered_nodes", &doc, had as f64, 0.0)
        }
    }
}

/// The heals and the recoveries of single nodes that `liveness` judged. Half of each is asked for.
pub(super) fn recoveries(liveness: &Verdict) -> Vec<Evidence> {
    let number = |name: &str| liveness.numbers.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let not_judged = shortfall::recoveries_not_judged(liveness);
    let named = if not_judged.is_empty() { String::new() } else { format!("; not judged: {not_judged}") };
    let of = |name: &str, what: &str, (judged, all): (u64, u64)| {
        let doc = format!("{what} that `liveness` judged, of {all}{named}");
        let row = row(name, &doc, judged as f64, recoveries_min(all) as f64);
        (all > 0).then(|| row.or_missing(|| shortfall::recoveries(what, (judged, all), &not_judged)))
    };
    let heals = of("recovery_heals", "heals", (number("heals_judged"), number("heals")));
    let nodes = of("recovery_nodes", "recoveries of single nodes after heals", (number("judged"), number("asked")));
    heals.into_iter().chain(nodes).collect()
}

/// The least number of recoveries that must have been judged.
fn recoveries_min(all: u64) -> u64 {
    all.div_ceil(2)
}

/// The kinds of faults that the run drew. None is asked for: the seed left the others out.
fn kinds_drawn(swarm: &SwarmDraw, all: usize) -> Evidence {
    let drawn = all.saturating_sub(swarm.kinds_not_drawn.len());
    let doc = format!("kinds of faults in this run, of {all} in the plan (swarm: this run {swarm})");
    row("swarm_kinds", &doc, drawn as f64, 0.0)
}

/// Kinds of faults that the nodes can have, if the run left out others. All of the plan are asked for.
fn kinds_left_out(rules: &Rules, info: &RunInfo) -> Option<Evidence> {
    let drawn = rules.kinds.iter().filter(|kind| !info.did_not_draw(kind));
    let all = drawn.clone().count();
    let left_out = drawn.filter(|kind| shortfall::left_out_for(kind, info).is_some()).count();
    let doc = format!("kinds of faults that every node can have, of {all} that were to come");
    let kinds = row("fault_kinds", &doc, all.saturating_sub(left_out) as f64, all as f64);
    (left_out > 0).then(|| kinds.or_missing(|| shortfall::left_out(info)))
}

/// Nodes with clients of the load, unless these are all nodes.
fn nodes_asked(history: &History, asked: &EvidencePlan, rules: &Rules) -> Option<Evidence> {
    let (all, bound) = (history.nodes.len(), rules.bound(&history.nodes).len() as u64);
    let warning = rules.load.as_ref()?.too_few(&history.nodes)?;
    let min = asked.nodes_asked(all);
    let doc = format!("nodes that a client of the load asks, of {all}");
    let nodes = row("nodes_asked", &doc, bound as f64, min as f64);
    Some(nodes.or_missing(|| shortfall::nodes_asked(rules.unbound(&history.nodes), &warning, bound)))
}

/// Calls begun a second, if the plan asks for a rate.
fn rate_reached(history: &History, rate: f64) -> Option<Evidence> {
    let (offered, ok) = offered(history)?;
    let doc = format!("calls a second that were begun, of {rate} asked for; {ok:.0} a second were Ok");
    Some(row("rate_offered", &doc, (offered * 10.0).round() / 10.0, 0.0))
}

/// Calls begun a second in the load, and the Ok calls among them.
pub(super) fn offered(history: &History) -> Option<(f64, f64)> {
    let at = |phase: Phase| history.phases.iter().find(|(other, _)| *other == phase).map(|(_, mark)| mark.time);
    let (from, to) = (at(Phase::Load)?, at(Phase::Drain)?);
    let seconds = (to.checked_sub(from)? as f64 / 1e9).max(0.001);
    let load = || history.ops().iter().filter(|op| !op.settle);
    let ok = load().filter(|op| op.outcome == dsfuzz_checkers::Outcome::Ok).count();
    Some((load().count() as f64 / seconds, ok as f64 / seconds))
}

/// Changes of leader. Asked for if a role leads, another node takes over from a lost leader, and a fault that can move it was
/// aimed at it, in force for longer than an election and with a majority left to elect another leader.
fn leader_changes(
    history: &History,
    met: &[EffectiveFault<'_>],
    asked: &EvidencePlan,
    info: &RunInfo,
    seen: u64,
    leaderless: bool,
) -> Option<Evidence> {
    let may_move = |fault: &Fault| facts(&fault.kind).is_none_or(|facts| facts.may_move_leader);
    // Not a former leader, nor the leader of another fault.
    let leader = |word: &str| matches!(word.trim_end_matches([':', ',']), "leader") || word.starts_with("leader+");
    let disturbs = |fault: &Fault| may_move(fault) && fault.planned.split_whitespace().any(leader);
    let aimed = info.facts.leads && history.faults.iter().any(disturbs);
    let moves = |met: &&EffectiveFault<'_>| {
        disturbs(met.fault)
            && met.lasted > info.facts.election()
            && effective_fault::leaves_majority(history, met.fault)
    };
    let mover = met.iter().find(moves).filter(|_| info.facts.leads && info.facts.failover);
    let min = if mover.is_some() { asked.leader_changes_min } else { 0 };
    (aimed || !leaderless).then(|| {
        let changes = row("leader_changes", "changes of leader", seen as f64, min as f64);
        let election = Span(info.facts.election());
        changes.or_missing(|| mover.map(|met| shortfall::leader_changes(met, seen, min, election)).unwrap_or_default())
    })
}

fn row(name: &str, doc: &str, measured: f64, at_least: f64) -> Evidence {
    let enough = measured >= at_least;
    Evidence { name: name.into(), doc: doc.into(), measured, at_least, enough, shortfall: String::new() }
}

impl Evidence {
    /// Adds the shortfall, if the number is below its threshold.
    fn or_missing(mut self, shortfall: impl FnOnce() -> String) -> Evidence {
        if !self.enough {
            self.shortfall = shortfall();
        }
        self
    }
}

#[cfg(test)]
mod tests;
