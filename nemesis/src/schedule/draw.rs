//! From a schedule to a [`Timetable`] and back: the draws of each entry, and drawn or measured faults as entries.
use super::{Begin, ScheduledFault, ScheduledKind, Wait};
use crate::fault::{PlannedFault, ResolvedFault, ScheduleEntry};
use crate::options::{NemesisOptions, Written};
use crate::timetable::{ClusterShape, Timetable};
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use std::time::Duration;

/// The faults of a schedule, each with its draws from a stream of the seed of its own. The same arguments always give the same
/// timetable, and a changed entry leaves the draws of the others.
pub(crate) fn scheduled(seed: u64, options: &NemesisOptions, cluster: ClusterShape, load: Duration) -> Timetable {
    let quiet_from = Span(load.saturating_sub(cluster.quiet_end));
    let mut plan = Timetable { quiet_from, overlapping: true, ..Timetable::default() };
    for (position, entry) in options.schedule.iter().enumerate() {
        let lasts = Span::millis(entry.duration(options.lasts).as_millis().max(1));
        let stream = |name: &str| Rng::new(seed, name, position as u64);
        let wait = entry.wait.map_or(Span::millis(0), |wait| wait.draw(&mut stream("schedule wait")));
        let (at, when) = match &entry.begin {
            Begin::At(at) => (Span(at.0 + wait.0), None),
            Begin::When(trigger) => (wait, Some(trigger.clone())),
        };
        let id = &entry.id;
        if at.0 + lasts.0 > quiet_from.0 {
            let ends = Span(at.0 + lasts.0);
            let from = if when.is_some() { ", from its trigger on" } else { "" };
            plan.warnings.push(format!(
                "fault {id} cannot come: it would end at {ends}{from}, and no fault is in force after {quiet_from} of the load; \
                 make `load.time` longer, or `nemesis.quiet_end` shorter"
            ));
            continue;
        }
        let fault = match &entry.fault {
            ScheduledKind::Exactly(fault) => fault.clone(),
            ScheduledKind::Options(options) => {
                match options.together().and_then(|options| options.draws(cluster.nodes)) {
                    Ok(mut draws) => draws.draw(&mut stream("schedule")),
                    Err(why) => {
                        plan.warnings.push(format!("fault {id} cannot come: {why}"));
                        continue;
                    }
                }
            }
        };
        let name = id.clone();
        let entry = ScheduleEntry { name, when, unless_by: entry.unless_by, evidence: entry.evidence };
        plan.faults.push(PlannedFault { id: position as u64 + 1, at, lasts, fault, entry: Some(Box::new(entry)) });
    }
    plan
}

/// The faults of a timetable as a schedule on nodes of these names. Faults that no options describe stand in it `exactly`.
pub fn as_schedule(timetable: &Timetable, nodes: &[String]) -> Vec<ScheduledFault> {
    timetable.faults.iter().map(|planned| self::planned(planned, nodes)).collect()
}

/// A fault as an entry of a schedule, in symbols, on nodes of these names.
pub fn planned(planned: &PlannedFault, nodes: &[String]) -> ScheduledFault {
    let entry = planned.entry.as_deref();
    let when = entry.and_then(|entry| entry.when.clone());
    ScheduledFault {
        id: planned.name(),
        wait: when.is_some().then(|| Wait::of(planned.at)).filter(|wait| !wait.to.0.is_zero()),
        begin: when.map_or(Begin::At(planned.at), Begin::When),
        lasts: Some(planned.lasts),
        unless_by: entry.and_then(|entry| entry.unless_by),
        evidence: entry.is_none_or(|entry| entry.evidence),
        fault: written(planned, Written::Planned(nodes)),
    }
}

/// A fault as it was measured: bound to its nodes, begun at `at` of the load and in force for `lasts`, so that it can be planned again
/// in a load that is quiet from `quiet_from` on. One that was cut short of what its options need has its planned duration, and one
/// that began too late for that begins earlier.
pub fn measured(
    planned: &PlannedFault,
    fault: &ResolvedFault,
    (at, lasts): (Duration, Duration),
    quiet_from: Duration,
) -> ScheduledFault {
    let whole_ms = |time: Duration| Span::millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let bound = written(planned, Written::Bound(fault));
    let mistakes = match &bound {
        ScheduledKind::Options(options) => options.mistakes(whole_ms(lasts)),
        ScheduledKind::Exactly(exactly) => exactly.mistakes(fault, whole_ms(lasts)),
    };
    let cut_short = !mistakes.is_empty();
    let lasts = whole_ms(if cut_short { planned.lasts.0 } else { lasts });
    ScheduledFault {
        id: planned.name(),
        begin: Begin::At(whole_ms(at.min(quiet_from.saturating_sub(lasts.0)))),
        wait: None,
        lasts: Some(lasts),
        unless_by: None,
        evidence: planned.entry.as_ref().is_none_or(|entry| entry.evidence),
        fault: bound,
    }
}

fn written(planned: &PlannedFault, of: Written<'_>) -> ScheduledKind {
    match planned.fault.written(of) {
        Some(options) => ScheduledKind::Options(options),
        None => ScheduledKind::Exactly(match of {
            Written::Planned(_) => planned.fault.clone(),
            Written::Bound(fault) => planned.fault.bound_to(&fault.nodes),
        }),
    }
}
