//! A schedule as a file of its own: one line for each fault, under the keys of a plan, so that it can be put into one.
use super::on_one_line;
use crate::document::{self, DocumentError};
use dsfuzz_nemesis::{ScheduledFault, SwarmDraw};
use serde::Deserialize;
use std::fmt::Write as _;

/// The schedule as a part of a plan.
pub fn to_yaml(schedule: &[ScheduledFault]) -> String {
    if schedule.is_empty() {
        return "# No fault began.\nnemesis: {schedule: []}\n".to_owned();
    }
    let mut text = String::from("nemesis:\n  schedule:\n");
    for entry in schedule {
        let _ = writeln!(text, "    - {}", line(entry));
    }
    text
}

/// The faults of a run as they were measured, with those that it drew.
pub fn measured(schedule: &[ScheduledFault], swarm: Option<&SwarmDraw>) -> String {
    let drawn = swarm.map(|drawn| format!("# Swarm: the run {drawn}.\n"));
    drawn.unwrap_or_default() + &to_yaml(schedule)
}

/// An entry on one line, its keys in the order in which they are read.
pub fn line(entry: &ScheduledFault) -> String {
    let serde_json::Value::Object(mut map) = entry.compact() else { return String::new() };
    let mut parts = Vec::new();
    for key in ["id", "at", "when", "wait", "for", "unless_by"] {
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
            {"id": "d", "at": "1s", "exactly": {"clock": {"skew": {"jump": {"by_ms": -2000}},
                "nodes": {"aim": "leader", "count": 1, "order": {"positions": [1, 0], "leader_first": true}}}}}
        ]);
        let schedule: Vec<ScheduledFault> = serde_json::from_value(schedule).expect("a schedule");
        let text = to_yaml(&schedule);
        assert_eq!(from_yaml("schedule.yaml", &text).expect(&text), schedule);
        assert!(
            text.contains("- {id: a, at: 5s 400ms, for: 6s, kill: {")
                && text.contains("nodes: [{node: n3}, {node: n2}]"),
            "{text}"
        );
        assert!(text.contains("cut: [leader, others]") && !text.contains("shape"), "{text}");
        assert_eq!(from_yaml("schedule.yaml", &to_yaml(&[])).expect("none"), []);
    }
}
