//! Sentences for thin evidence: the measured number and its threshold, the node, the fault, and the change in the plan that
//! helps. Pure.
use super::EffectiveFault;
use crate::store::RunInfo;
use dsfuzz_checkers::history::FaultProblem;
use dsfuzz_checkers::{Fault, History, Outcome, Verdict};
use dsfuzz_nemesis::{IN_FORCE_MIN, Span, facts, kind_of};
use std::time::Duration;

/// Longest detail of a fault.
const DETAIL_CHARS_MAX: usize = 160;
/// The begin of the reason of a failed injection, before its node.
const INJECTION_FAILED: &str = "the injection failed";
/// Faults that a sentence names.
const FAULTS_MAX: usize = 3;

/// A fault by its id, with its words and nodes: `fault 2 (kill minority: n3)`.
fn named(fault: &Fault) -> String {
    let what = if fault.what.is_empty() { &fault.planned } else { &fault.what };
    let has_nodes = fault.nodes.is_empty() || fault.nodes.iter().any(|node| what.contains(node.as_str()));
    let nodes = if has_nodes { String::new() } else { format!(" on {}", fault.nodes.join(" ")) };
    format!("fault {} ({what}{nodes})", fault.label())
}

fn is_or_are(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

fn calls(count: u64) -> String {
    match count {
        0 => "no call was".into(),
        1 => "1 call was".into(),
        count => format!("{count} calls were"),
    }
}

fn tenths(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Of several nodes, the one with the smallest fraction of Ok calls: `; worst on n3: 0 of 12 calls were Ok`.
fn worst_node(history: &History) -> String {
    let of = |node: &String| {
        let all = history.ops().iter().filter(|op| history.name(op.node) == node.as_str());
        let (mut all_count, mut ok) = (0_u64, 0_u64);
        for op in all {
            all_count += 1;
            ok += u64::from(op.outcome == Outcome::Ok);
        }
        (node.clone(), ok, all_count)
    };
    let nodes: Vec<(String, u64, u64)> = history.nodes.iter().map(of).collect();
    let part = |(_, ok, all): &(String, u64, u64)| *ok as f64 / (*all).max(1) as f64;
    match nodes.iter().min_by(|one, other| part(one).total_cmp(&part(other))) {
        Some((node, ok, all)) if nodes.len() > 1 => format!("; worst on {node}: {ok} of {all} calls were Ok"),
        _ => String::new(),
    }
}

pub(super) fn ok_ops(history: &History, ok: u64, min: u64) -> String {
    format!(
        "{} Ok, and the plan asks for {min} (`evidence.ok_min`){}. Make the load longer or stronger (`load.time`, \
         `load.rate`, `load.clients`), or ask for fewer.",
        calls(ok),
        worst_node(history)
    )
}

pub(super) fn ok_fraction(history: &History, fraction: f64, min: f64) -> String {
    format!(
        "A fraction of {fraction:.3} of all calls was Ok, and the plan asks for {min} (`evidence.ok_fraction_min`){}. The \
         table of errors says why the others were not; where that is right for this target, ask for a smaller fraction.",
        worst_node(history)
    )
}

/// The reason why the run left out a kind of fault, if it did.
pub(super) fn left_out_for<'i>(kind: &str, info: &'i RunInfo) -> Option<&'i String> {
    info.left_out.get(kind_of(kind))
}

/// Kinds of faults that the run left out.
pub(super) fn left_out(info: &RunInfo) -> String {
    let kinds: Vec<&str> = info.left_out.keys().map(String::as_str).collect();
    let why: Vec<&str> = info.left_out.values().map(String::as_str).collect();
    format!(
        "Not every kind of fault of the plan could come: {} {} left out (`nemesis.skip_unable`). {}. Give the nodes what they lack, or take the faults \
         out of the plan.",
        kinds.join(", "),
        if kinds.len() == 1 { "was" } else { "were" },
        why.join(". ")
    )
}

/// A kind of fault that never came.
pub(super) fn never_came(kind: &str, min: u64, info: &RunInfo) -> String {
    if let Some(why) = left_out_for(kind, info) {
        return format!(
            "No {kind} fault came, since the run left them out (`nemesis.skip_unable`), and the plan asks for {min} \
             (`evidence.proven_per_kind_min`): {why}."
        );
    }
    let planned = info.planned.as_ref();
    // Only a warning of this kind is a cause.
    let names = |warning: &&String| {
        let kinds = warning.split_once(" cannot come").map(|(kinds, _)| kinds);
        kinds.is_some_and(|kinds| kinds.split(", ").any(|one| one == kind))
    };
    let why = planned.and_then(|planned| planned.warnings.iter().find(names));
    if let Some(why) = why {
        return format!("No {kind} fault came, and the plan asks for {min} (`evidence.proven_per_kind_min`): {why}.");
    }
    if planned.is_some_and(|planned| planned.fitted > 0) {
        return format!(
            "No {kind} fault came, since the load ended before its time, and the plan asks for {min} \
             (`evidence.proven_per_kind_min`)."
        );
    }
    format!(
        "No {kind} fault came, since the load had no room for one, and the plan asks for {min} \
         (`evidence.proven_per_kind_min`). Make `load.time` longer, or `nemesis.for`, `quiet_start` or `quiet_end` \
         shorter; `dsfuzz plan PLAN` names a load that will do."
    )
}

/// Faults of the schedule that did not come, each with its reason.
pub(super) fn scheduled(history: &History, missing: &[&String], info: &RunInfo) -> String {
    let one = |id: &&&String| match history.faults.iter().find(|fault| fault.name == ***id) {
        Some(fault) => unproven(fault),
        None => {
            let warnings = info.planned.iter().flat_map(|planned| &planned.warnings);
            let why = warnings.into_iter().find(|warning| warning.starts_with(&format!("fault {id} cannot come")));
            why.cloned().unwrap_or_else(|| format!("fault {id} is not in the record"))
        }
    };
    let reasons: Vec<String> = missing.iter().take(FAULTS_MAX).map(|id| one(&id)).collect();
    let more = missing.len().saturating_sub(FAULTS_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!(
        "Not every fault of the schedule came, so the run does not show what the plan asks for: {}{more}. Change the trigger \
         (`when`, `unless_by`), the time (`at`, `load.time`) or the aim of such a fault, leave it out, or do not ask for it (`evidence: false`).",
        reasons.join("; ")
    )
}

/// The heals that `liveness` did not judge, each with the reason: `after the heal of fault 2: n1: not called ..`.
pub(super) fn recoveries_not_judged(liveness: &Verdict) -> String {
    let of_kind = |kind: &str| {
        let titles = liveness.findings.iter().filter(|finding| finding.kind == kind).map(|finding| &*finding.title);
        // Titles begin with the kind in words.
        let plain =
            |title: &str| title.split_once(": ").map_or(title, |(_, rest)| rest).trim_end_matches('.').to_owned();
        let named: Vec<String> = titles.take(FAULTS_MAX).map(plain).collect();
        let all = liveness.numbers.get(&kind.replace('-', "_")).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let more = all.saturating_sub(named.len() as u64);
        named.into_iter().chain((more > 0).then(|| format!("and {more} more"))).collect::<Vec<_>>()
    };
    [of_kind("recovery-not-judged"), of_kind("not-healed")].concat().join("; ")
}

/// Too few judged recoveries.
pub(super) fn recoveries(what: &str, (judged, all): (u64, u64), not_judged: &str) -> String {
    format!(
        "Of {all} {what} {judged} were judged by `liveness`, and half of them are asked for: {not_judged}. Where another fault or the \
         end of the load came first, leave more time after each fault (`nemesis.every`, `nemesis.quiet`, `quiet_end`, or other times in the schedule); where a node \
         was not called in time, ask it more often (`load.clients`, `load.rate`), or demand recovery within a longer time."
    )
}

fn shortened(detail: &str) -> String {
    detail.chars().take(DETAIL_CHARS_MAX).collect()
}

/// The reason why a fault is no evidence.
fn unproven(fault: &Fault) -> String {
    // Injections that failed say more than what was seen before or after them.
    let failed =
        fault.reasons.iter().filter(|reason| reason.starts_with(INJECTION_FAILED)).map(|reason| shortened(reason));
    let failed = failed.collect::<Vec<_>>().join("; ");
    let detail = fault.reasons.first().or(fault.detail.last()).map(|detail| shortened(detail)).unwrap_or_default();
    let detail = if failed.is_empty() { detail } else { failed };
    let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
    let why = match (fault.begun, fault.proven, fault.certain()) {
        (None, ..) if fault.not_triggered => format!("was never triggered{detail}"),
        (None, ..) if fault.missed => format!("was missed{detail}"),
        (None, ..) => format!("never began{detail}"),
        (_, None, _) => format!("was never proven{detail}"),
        (_, _, None) => format!("was not proven again before its heal{detail}"),
        (_, _, Some((from, to))) => {
            let lasted = Duration::from_nanos(to.time.saturating_sub(from.time) / 1_000_000 * 1_000_000);
            format!("was certainly in force for {} only", Span(lasted))
        }
    };
    format!("{} {why}", named(fault))
}

/// The advice for each cause for which these faults are no evidence, each once.
fn advice(kind: &str, others: &[&Fault]) -> String {
    let doctor = "`dsfuzz doctor PLAN` tries whether they can be proven on these nodes.";
    let longer = "Make faults longer (`nemesis.for`) or the load longer (`load.time`).";
    if others.is_empty() {
        return format!("{longer} {doctor}");
    }
    let short = |fault: &&&Fault| fault.certain().is_some();
    let kills = facts(kind).is_some_and(|facts| facts.ends_processes);
    let unproven_kill = |fault: &Fault| kills && fault.certain().is_none();
    let had_ended = |fault: &&&Fault| unproven_kill(fault) && fault.problems.contains(&FaultProblem::NotRunning);
    let ran_again = |fault: &&&Fault| unproven_kill(fault) && fault.problems.contains(&FaultProblem::RunsAgain);
    let mut advice = Vec::new();
    if others.iter().any(|fault| had_ended(&fault)) {
        advice.push(
            "A process that had ended before cannot be killed: its log says why it ended, and faults that come later \
             (`nemesis.every`) leave it time to serve again.",
        );
    }
    if others.iter().any(|fault| ran_again(&fault)) {
        advice.push(
            "Where something starts the process again at once (a wrapper or supervisor in the recipe's `run`, a unit with \
             `Restart=`), no longer fault helps: let the recipe run the server itself, so that the kill ends it for good.",
        );
    }
    if others.iter().any(|fault| short(&fault)) {
        advice.push(longer);
    }
    if others.iter().any(|fault| !had_ended(&fault) && !ran_again(&fault) && !short(&fault)) {
        advice.push(doctor);
    }
    advice.join(" ")
}

pub(super) fn proven(history: &History, kind: &str, met: &[&EffectiveFault<'_>], (planned, min): (u64, u64)) -> String {
    let had = met.len() as u64;
    let others = history.faults.iter().filter(|fault| fault.kind == kind);
    let others: Vec<&Fault> = others.filter(|fault| met.iter().all(|met| met.fault.id != fault.id)).collect();
    let advice = advice(kind, &others);
    let others: Vec<String> = others.into_iter().take(FAULTS_MAX).map(unproven).collect();
    let others = if others.is_empty() { String::new() } else { format!("; {}", others.join("; ")) };
    format!(
        "{had} of {planned} {kind} faults {} proven to be in force for {} or longer, and the plan asks for {min} \
         (`evidence.proven_per_kind_min`){others}. {advice}",
        is_or_are(had),
        Span(IN_FORCE_MIN)
    )
}

pub(super) fn healed(history: &History, kind: &str, (healed, begun): (u64, u64), cure: &str) -> String {
    let left = history.faults.iter().filter(|fault| fault.kind == kind && fault.begun.is_some() && !fault.gone());
    let left: Vec<String> = left
        .take(FAULTS_MAX)
        .map(|fault| {
            let detail = fault.detail.last().map(|detail| format!(": {detail}")).unwrap_or_default();
            let detail: String = detail.chars().take(DETAIL_CHARS_MAX).collect();
            format!("{} was not{detail}", named(fault))
        })
        .collect();
    let left = if left.is_empty() { String::new() } else { format!("; {}", left.join("; ")) };
    let cure = if cure.is_empty() { String::new() } else { format!(" ({cure})") };
    format!(
        "{healed} of {begun} {kind} faults {} proven to be healed{left}. Nothing in the plan mends that, and they may be left on the nodes{cure}.",
        is_or_are(healed)
    )
}

/// `met`: faults that leave a majority for longer than an election.
pub(super) fn ok_during(kind: &str, met: &[&&EffectiveFault<'_>], (had, min): (u64, u64), election: Span) -> String {
    let least = met.iter().min_by_key(|met| met.ok_during).map(|met| {
        let lasted = Span(Duration::from_millis(u64::try_from(met.lasted.as_millis()).unwrap_or(u64::MAX)));
        format!("; {} Ok in {}, which was in force for {lasted}", calls(met.ok_during), named(met.fault))
    });
    format!(
        "{} Ok during {kind} faults, which left a majority for longer than an election ({election}), and the plan asks for \
         {min} (`evidence.ok_during_fault_min`){}. Make these faults longer (`nemesis.for`) or the load stronger \
         (`load.rate`, `load.clients`); where this target rightly serves no call in such a fault, ask for none: \
         `evidence: {{ok_during_fault_min: {{{}: 0}}}}`.",
        calls(had),
        least.unwrap_or_default(),
        as_key(kind)
    )
}

/// A kind as a key of YAML: `kill`, `"own: leave"`.
fn as_key(kind: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if kind.chars().all(plain) { kind.to_owned() } else { format!("\"{kind}\"") }
}

/// `met`: faults that leave no majority, or end within an election.
pub(super) fn ok_around(kind: &str, met: &[&EffectiveFault<'_>], min: u64, election: Span) -> String {
    let Some(least) = met.iter().min_by_key(|met| met.ok_before.min(met.ok_after)) else { return String::new() };
    if let (true, Some(lasting)) = (least.ok_before >= min, least.lasting) {
        return format!(
            "No call counts as Ok after the heal of {}, since {} was never verified to be gone, and the plan asks for {min} before and \
             {min} after each {kind} fault that leaves no majority or is over within an election ({election}).",
            named(least.fault),
            named(lasting)
        );
    }
    let (when, change) = if least.ok_before < min {
        ("before", "more time before each fault (`nemesis.quiet_start`, `nemesis.every`)")
    } else {
        (
            "after the heal of",
            "more time after each fault (`nemesis.every`), and after the last one (`nemesis.quiet_end`)",
        )
    };
    format!(
        "No call was Ok {when} {}, and the plan asks for {min} before and {min} after each {kind} fault that leaves no \
         majority or is over within an election ({election}). Give the target {change}; or ask for none: `evidence: \
         {{ok_during_fault_min: {{{}: 0}}}}`.",
        named(least.fault),
        as_key(kind)
    )
}

pub(super) fn asked_during(met: &EffectiveFault<'_>, node: &str, asked: f64, min: f64) -> String {
    format!(
        "{node} was asked {} calls a second in {}, and at least {} a second are asked for on each node. Use more clients \
         (`load.clients`), let more of them join those that hang (`load.joining`), or raise `load.rate`; with \
         `load.joining: 0` nothing is asked for.",
        tenths(asked),
        named(met.fault),
        tenths(min)
    )
}

/// `warning`: the number of clients, and the number that asks every node.
pub(super) fn nodes_asked(unbound: &[String], warning: &str, bound: u64) -> String {
    format!(
        "No client of the load asked {} ({warning}), and the plan does not say that this is meant: `evidence: \
         {{nodes_asked_min: {bound}}}`.",
        unbound.join(", ")
    )
}

/// `met`: the first fault that may have moved the leader.
pub(super) fn leader_changes(met: &EffectiveFault<'_>, had: u64, min: u64, election: Span) -> String {
    let times = if had == 1 { "once".into() } else { format!("{had} times") };
    format!(
        "The leader changed {times}, and the plan asks for {min} (`evidence.leader_changes_min`), since {} was aimed at it. \
         Make such faults longer than an election ({election}; `nemesis.for`), or ask for none: `evidence: \
         {{leader_changes_min: 0}}`.",
        named(met.fault)
    )
}
