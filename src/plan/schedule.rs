//! A schedule as a file of its own: one line for each fault, under the keys of a plan, so that it can be put into one.
use super::{Plan, on_one_line};
use crate::document::{self, DocumentError};
use dsfuzz_nemesis::options::RecoveryDemand;
use dsfuzz_nemesis::{ScheduledFault, Span, SwarmDraw, Timetable};
use serde::Deserialize;
use std::fmt::Write as _;

/// A schedule with what else of a plan gives the same phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScheduleFile<'a> {
    /// Its faults.
    pub schedule: &'a [ScheduledFault],
    /// The time without faults at the end of the load.
    pub quiet_end: Option<Span>,
    /// The demanded recovery.
    pub recovery: Option<RecoveryDemand>,
    /// The faults that the seed drew.
    pub swarm: Option<&'a SwarmDraw>,
}

impl<'a> ScheduleFile<'a> {
    /// These faults of a plan with this timetable.
    pub fn of(plan: &Plan, timetable: &'a Timetable, schedule: &'a [ScheduledFault]) -> ScheduleFile<'a> {
        let quiet_end = Span(plan.load.time.0.saturating_sub(timetable.quiet_from.0));
        ScheduleFile {
            schedule,
            quiet_end: plan.nemesis.as_ref().map(|_| quiet_end),
            recovery: plan.nemesis.as_ref().and_then(|nemesis| nemesis.recovery),
            swarm: timetable.swarm.as_ref(),
        }
    }

    /// As a part of a plan, for programs.
    pub fn to_json(&self) -> serde_json::Value {
        let mut nemesis = serde_json::json!({"schedule": self.schedule});
        if let Some(quiet_end) = self.quiet_end {
            nemesis["quiet_end"] = serde_json::json!(quiet_end);
        }
        if let Some(recovery) = self.recovery {
            nemesis["recovery"] = serde_json::json!(recovery);
        }
        serde_json::json!({"nemesis": nemesis})
    }

    /// As a part of a plan.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        if let Some(drawn) = self.swarm {
            let _ = writeln!(text, "# Swarm: the run {drawn}.");
        }
        if self.schedule.is_empty() {
            text += "# No fault began.\n";
        }
        text += "nemesis:\n";
        if let Some(quiet_end) = self.quiet_end {
            let _ = writeln!(text, "  quiet_end: {quiet_end}");
        }
        if let Some(recovery) = self.recovery {
            let _ = writeln!(text, "  recovery: {}", on_one_line(&serde_json::json!(recovery)));
        }
        if self.schedule.is_empty() {
            text += "  schedule: []\n";
            return text;
        }
        text += "  schedule:\n";
        for entry in self.schedule {
            let _ = writeln!(text, "    - {}", line(entry));
        }
        text
    }
}

/// An entry on one line, its keys in the order in which they are read.
pub fn line(entry: &ScheduledFault) -> String {
    let serde_json::Value::Object(mut map) = entry.compact() else { return String::new() };
    let mut parts = Vec::new();
    for key in ["id", "at", "when", "wait", "for", "unless_by", "evidence"] {
        parts.extend(map.remove(key).map(|value| on_one_line(&serde_json::json!({key: value}))));
    }
    parts.extend(map.into_iter().map(|(key, value)| on_one_line(&serde_json::json!({key: value}))));
    let inner = parts.iter().map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')).unwrap_or(part));
    format!("{{{}}}", inner.collect::<Vec<_>>().join(", "))
}

/// The schedule of such a file. `origin` names it.
pub fn from_yaml(origin: &str, text: &str) -> Result<Vec<ScheduledFault>, DocumentError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        nemesis: Nemesis,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nemesis {
        #[serde(rename = "quiet_end")]
        _quiet_end: Option<Span>,
        #[serde(rename = "recovery")]
        _recovery: Option<RecoveryDemand>,
        schedule: Vec<ScheduledFault>,
    }
    document::read_yaml::<File>(origin, text).map(|file| file.nemesis.schedule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stored_schedule_is_read_as_it_was() {
        let schedule = json!([
            {"id": "a", "at": "5s 400ms", "for": "6s", "kill": {"nodes": ["n3", {"node": "n2"}]}},
            {"id": "b", "when": {"role": "leader", "nth": 2}, "wait": "30ms..40ms", "for": "2s", "unless_by": "20s",
             "partition": {"cut": ["leader", "others"]}},
            {"id": "c", "when": {"log": "compaction: {1}", "node": "ex-leader"}, "pause": {"nodes": "ex-leader"}},
            {"id": "e", "at": "1s", "for": "3s", "evidence": false, "pause": {"nodes": "n1"}},
            {"id": "d", "at": "1s", "exactly": {"clock": {"skew": {"jump": {"by_ms": -2000}},
                "nodes": {"aim": "leader", "count": 1, "order": {"positions": [1, 0], "leader_first": true}}}}}
        ]);
        let schedule: Vec<ScheduledFault> = serde_json::from_value(schedule).expect("a schedule");
        let (quiet_end, recovery) = (Some(Span::seconds(6)), Some(RecoveryDemand { within: Span::seconds(2) }));
        let text = ScheduleFile { schedule: &schedule, quiet_end, recovery, swarm: None }.to_yaml();
        assert_eq!(from_yaml("schedule.yaml", &text).expect(&text), schedule);
        assert!(
            text.contains("- {id: a, at: 5s 400ms, for: 6s, kill: {")
                && text.contains("nodes: [{node: n3}, {node: n2}]"),
            "{text}"
        );
        assert!(text.contains("cut: [leader, others]") && !text.contains("shape"), "{text}");
        assert!(text.starts_with("nemesis:\n  quiet_end: 6s\n  recovery: {within: 2s}\n  schedule:\n"), "{text}");
        assert!(text.contains("for: 3s, evidence: false, pause: {"), "{text}");
        assert_eq!(from_yaml("schedule.yaml", &ScheduleFile::default().to_yaml()).expect("none"), []);
    }
}
