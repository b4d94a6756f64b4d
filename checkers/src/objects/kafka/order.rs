//! What one consumer sees of a log, poll after poll, and where the sends of a process land: offsets go up, and polls leave
//! nothing out.
use super::log::{Observation, Step};
use super::{Flaw, Judge};
use crate::value::Value;
use crate::verdict::Severity;
use std::collections::HashMap;

/// Where a consumer is in a log.
#[derive(Default)]
struct Place {
    /// The last message that it polled, with its list.
    recent: Option<(Observation, u32)>,
    /// The last one of a call that was acknowledged, with its list.
    last: Option<(Observation, u32)>,
    /// The first one that calls which were not acknowledged have shown since.
    aborted: Option<Observation>,
    /// Such calls have polled since, so that it is not known whether the client went back.
    doubtful: bool,
}

/// Judges every consumer's polls.
pub(super) fn polls(judge: &mut Judge<'_, '_>) {
    let logs = judge.logs;
    for steps in &logs.steps {
        let mut places: HashMap<u32, Place> = HashMap::new();
        let mut group = false;
        for step in steps {
            match step {
                Step::Moved { group: now, keeps } => {
                    places.retain(|log, _| keeps.contains(log));
                    group = now.unwrap_or(group);
                }
                Step::Aborted => places.values_mut().for_each(|place| place.doubtful = true),
                Step::Reopened => places.retain(|_, place| place.doubtful),
                Step::Poll { seen, list } => {
                    let place = places.entry(seen.log).or_default();
                    poll(judge, place, (*seen, *list), group);
                }
            }
        }
    }
}

fn poll(judge: &mut Judge<'_, '_>, place: &mut Place, (seen, list): (Observation, u32), group: bool) {
    let recent = place.recent.replace((seen, list));
    match recent.filter(|(before, _)| before.op == seen.op) {
        // One list is one answer, whatever became of its call.
        Some((before, before_list)) => {
            let sure = before_list == list || !group && seen.acknowledged;
            step(judge, true, if sure { Severity::Violation } else { Severity::Evidence }, before, seen);
        }
        None if seen.acknowledged && place.doubtful => gone_on(judge, place, seen, group),
        None if seen.acknowledged => {
            if let Some((before, _)) = place.last {
                step(judge, false, if group { Severity::Evidence } else { Severity::Violation }, before, seen);
            }
        }
        None => {}
    }
    if seen.acknowledged {
        *place = Place { recent: place.recent, last: Some((seen, list)), ..Place::default() };
    } else {
        place.doubtful = true;
        place.aborted = Some(place.aborted.filter(|first| first.offset <= seen.offset).unwrap_or(seen));
    }
}

/// One message of a log and the next that the consumer polled.
fn step(judge: &mut Judge<'_, '_>, inside: bool, severity: Severity, before: Observation, seen: Observation) {
    let (logs, log) = (judge.logs, seen.log);
    let (call, key) = (judge.op(seen.op).call, logs.key(log));
    let (from, to) = (before.offset, seen.offset);
    if to <= from {
        let kind = if inside { "int-nonmonotonic-poll" } else { "nonmonotonic-poll" };
        let title = format!("#{call} polled offset {to} of log {key} after its process had polled {from}");
        let subject = Value::list([from.into(), to.into()]);
        judge.record(kind, severity, log, subject, title, &[before.op, seen.op]);
    } else if let Some((between, witness)) = logs.between(log, from, to) {
        let kind = if inside { "int-poll-skip" } else { "poll-skip" };
        let title = format!("#{call} polled offset {to} of log {key} after {from}, without the message at {between}");
        let subject = Value::list([from.into(), between.into(), to.into()]);
        judge.record(kind, severity, log, subject, title, &[before.op, seen.op, witness]);
    }
}

/// The first acknowledged poll after polls that were not: it should begin where those did.
fn gone_on(judge: &mut Judge<'_, '_>, place: &Place, seen: Observation, group: bool) {
    let (logs, log) = (judge.logs, seen.log);
    let first = place.aborted.map(|aborted| (aborted.offset.saturating_sub(1), aborted.op));
    let Some((from, before)) = place.last.map(|(last, _)| (last.offset, last.op)).or(first) else { return };
    let Some((between, witness)) = logs.between(log, from, seen.offset) else { return };
    let title = format!(
        "#{} polled offset {} of log {} without the message at {between}, which its process can have polled only in aborted \
         calls",
        judge.op(seen.op).call,
        seen.offset,
        logs.key(log)
    );
    let subject = Value::list([from.into(), between.into(), seen.offset.into()]);
    let ops: Vec<u32> =
        [before, witness].into_iter().chain(place.aborted.map(|first| first.op)).chain([seen.op]).collect();
    judge.record("poll-skip", Severity::Evidence, log, subject, title, &ops);
    if !group {
        judge.gone_on.push(judge.op(seen.op).call);
    }
}

/// Judges every process' sends. Where an acknowledgement has no offset, it is the message's.
pub(super) fn sends(judge: &mut Judge<'_, '_>) {
    let logs = judge.logs;
    for sends in &logs.sends {
        let mut last: HashMap<u32, (i64, u32, bool)> = HashMap::new();
        for sent in sends {
            let log = logs.messages[sent.message as usize].log;
            let Some(to) = sent.offset.or_else(|| logs.place(sent.message)) else { continue };
            let acknowledged = sent.offset.is_some();
            let Some((from, before, before_acknowledged)) = last.insert(log, (to, sent.op, acknowledged)) else {
                continue;
            };
            if to > from {
                continue;
            }
            let kind = if before == sent.op { "int-nonmonotonic-send" } else { "nonmonotonic-send" };
            let (call, key) = (judge.op(sent.op).call, logs.key(log));
            let title = format!("#{call} sent to offset {to} of log {key} after its process had sent to {from}");
            let subject = Value::list([from.into(), to.into()]);
            // What only polls tell is no part of the two operations.
            let found =
                Flaw { certified: acknowledged && before_acknowledged, ..Flaw::new(kind, Severity::Violation, log) };
            judge.found(found, subject, title, &[before, sent.op]);
        }
    }
}
