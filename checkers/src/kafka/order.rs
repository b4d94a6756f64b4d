//! What one process sees of a log, poll after poll, and where its sends land: offsets go up, and polls leave nothing out.
use super::Judge;
use super::log::{Sighting, Step};
use crate::value::Value;
use crate::verdict::Severity;
use std::collections::HashMap;

/// What a process expects of its polls.
#[derive(Default)]
struct Expectations {
    /// The last message of each log, with its list.
    last: HashMap<u32, (Sighting, u32)>,
    /// Whether a group may take its logs away at any time.
    group: bool,
}

/// Judges every process' polls.
pub(super) fn polls(judge: &mut Judge<'_, '_>) {
    let logs = judge.logs;
    for steps in &logs.steps {
        let mut mine = Expectations::default();
        for step in steps {
            let (seen, list) = match *step {
                Step::Poll { seen, list } => (seen, list),
                Step::Send(_) => continue,
                Step::Reset { group, .. } => {
                    mine.last.clear();
                    mine.group = group.unwrap_or(mine.group);
                    continue;
                }
            };
            let Some((before, before_list)) = mine.last.insert(seen.log, (seen, list)) else { continue };
            let inside = before.op == seen.op;
            let sure = !mine.group || (inside && before_list == list);
            let severity = if sure { Severity::Violation } else { Severity::Evidence };
            let (call, log, key) = (judge.op(seen.op).call, seen.log, logs.key(seen.log));
            let (from, to) = (before.offset, seen.offset);
            if to <= from {
                let kind = if inside { "int-nonmonotonic-poll" } else { "nonmonotonic-poll" };
                let title = format!("#{call} polled offset {to} of log {key} after its process had polled {from}");
                let subject = Value::list([from.into(), to.into()]);
                judge.said(kind, severity, log, subject, title, &[before.op, seen.op]);
            } else if let Some((between, witness)) = logs.between(log, from, to) {
                let kind = if inside { "int-poll-skip" } else { "poll-skip" };
                let title =
                    format!("#{call} polled offset {to} of log {key} after {from}, without the message at {between}");
                let subject = Value::list([from.into(), between.into(), to.into()]);
                judge.said(kind, severity, log, subject, title, &[before.op, seen.op, witness]);
            }
        }
    }
}

/// Judges every process' sends.
pub(super) fn sends(judge: &mut Judge<'_, '_>) {
    let logs = judge.logs;
    for steps in &logs.steps {
        let mut last: HashMap<u32, Sighting> = HashMap::new();
        for step in steps {
            let Step::Send(seen) = *step else { continue };
            let Some(before) = last.insert(seen.log, seen) else { continue };
            if seen.offset > before.offset {
                continue;
            }
            let inside = before.op == seen.op;
            let kind = if inside { "int-nonmonotonic-send" } else { "nonmonotonic-send" };
            let (call, key) = (judge.op(seen.op).call, logs.key(seen.log));
            let (from, to) = (before.offset, seen.offset);
            let title = format!("#{call} sent to offset {to} of log {key} after its process had sent to {from}");
            let subject = Value::list([from.into(), to.into()]);
            judge.broken(kind, seen.log, subject, title, &[before.op, seen.op]);
        }
    }
}
