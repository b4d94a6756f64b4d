//! [`Row`]: one plan of the matrix, from the files in `rows/`.
use crate::document::{self, DocumentError};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

/// The files, one for each mode of the specimens.
const FILES: &[(&str, &str)] = &[
    ("crdt.yaml", include_str!("rows/crdt.yaml")),
    ("gossip.yaml", include_str!("rows/gossip.yaml")),
    ("ids.yaml", include_str!("rows/ids.yaml")),
    ("raft.yaml", include_str!("rows/raft.yaml")),
    ("saga.yaml", include_str!("rows/saga.yaml")),
    ("two-phase.yaml", include_str!("rows/two-phase.yaml")),
];

/// The mistake of a row in which the specimen keeps its promise.
pub const NO_MISTAKE: &str = "none";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mode: String,
    plan: Json,
    rows: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    mistake: String,
    name: Option<String>,
    #[serde(default)]
    plan: Map<String, Json>,
    #[serde(default)]
    options: Map<String, Json>,
    #[serde(default)]
    found_by: Vec<String>,
    fault: Option<String>,
    #[serde(default)]
    shows: String,
}

/// One mode with one mistake or none, under one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The mode of the specimen.
    pub mode: String,
    /// The mistake; [`NO_MISTAKE`] where the run must be valid.
    pub mistake: String,
    /// `MODE/MISTAKE`, with `-NAME` where the mode has several rows for one mistake.
    pub name: String,
    /// Checkers, one of which must find the mistake.
    pub found_by: Vec<String>,
    /// The kind of fault without which the mistake is not found; none: it needs no fault.
    pub fault: Option<String>,
    /// What the run shows, in a sentence.
    pub shows: String,
    /// The plan, without name and seed.
    plan: Map<String, Json>,
}

/// Every row, by mode.
pub fn rows() -> Result<Vec<Row>, DocumentError> {
    let mut rows = Vec::new();
    for (name, text) in FILES {
        let file: File = document::read_yaml(name, text)?;
        rows.extend(file.rows.into_iter().map(|entry| row(&file.mode, &file.plan, entry)));
    }
    Ok(rows)
}

fn row(mode: &str, base: &Json, entry: Entry) -> Row {
    let mut plan = base.as_object().cloned().unwrap_or_default();
    if entry.plan.contains_key("workload") {
        // Its keys are alternatives.
        plan.remove("workload");
    }
    let scheduled = entry.plan.get("nemesis").is_some_and(|nemesis| nemesis.get("schedule").is_some());
    if scheduled && let Some(Json::Object(nemesis)) = plan.get_mut("nemesis") {
        nemesis.remove("faults");
    }
    merge(&mut plan, entry.plan);
    let nodes = plan.remove("nodes").unwrap_or_else(|| json!(3));
    let mut options = entry.options;
    options.insert("mode".into(), json!(mode));
    options.insert("mistake".into(), json!(entry.mistake));
    plan.insert("cluster".into(), json!({ "lab": nodes }));
    plan.insert("target".into(), json!("specimen"));
    plan.insert("options".into(), json!({ "specimen": options }));
    let suffix = entry.name.map(|name| format!("-{name}")).unwrap_or_default();
    Row {
        name: format!("{mode}/{}{suffix}", entry.mistake),
        mode: mode.to_owned(),
        mistake: entry.mistake,
        found_by: entry.found_by,
        fault: entry.fault.filter(|fault| fault != "none"),
        shows: entry.shows,
        plan,
    }
}

/// Maps key by key; everything else is replaced.
fn merge(into: &mut Map<String, Json>, from: Map<String, Json>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(inner)), Json::Object(value)) => merge(inner, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

impl Row {
    /// Whether the row is one of a mistake.
    pub fn is_mistake(&self) -> bool {
        self.mistake != NO_MISTAKE
    }

    /// Whether `--only` with this text takes the row: `MODE`, `MODE/ROW`, or `MODE/MISTAKE` for all rows of one mistake.
    pub fn is_named(&self, only: &str) -> bool {
        only == self.mode || only == self.name || only.strip_prefix(&self.mode) == Some(&format!("/{}", self.mistake))
    }

    /// The plan, as JSON. `without_fault` leaves out the faults of the row's kind, and those that wait for them.
    pub fn plan(&self, without_fault: bool) -> Json {
        let mut plan = self.plan.clone();
        if without_fault && let (Some(kind), Some(Json::Object(nemesis))) = (&self.fault, plan.get_mut("nemesis")) {
            leave_out(nemesis, kind);
            let none_left = ["faults", "schedule"].iter().all(|list| nemesis.get(*list).is_none());
            if none_left {
                plan.remove("nemesis");
            }
        }
        Json::Object(plan)
    }

    /// The plan with its name and a seed.
    pub fn seeded(&self, without_fault: bool, seed: u64) -> Json {
        let mut plan = self.plan(without_fault);
        plan["name"] = json!(self.file_name(without_fault));
        plan["seed"] = json!(seed);
        plan
    }

    /// The row's name as one of a file.
    pub fn file_name(&self, without_fault: bool) -> String {
        let arm = if without_fault { "-without-fault" } else { "" };
        format!("{}{arm}", self.name.replace('/', "-"))
    }
}

fn leave_out(nemesis: &mut Map<String, Json>, kind: &str) {
    let mut gone: Vec<String> = Vec::new();
    for list in ["faults", "schedule"] {
        let Some(Json::Array(faults)) = nemesis.get_mut(list) else { continue };
        loop {
            let before = faults.len();
            faults.retain(|fault| {
                let stays = fault.get(kind).is_none() && !gone.iter().any(|id| refers(fault, id));
                if !stays && let Some(id) = fault["id"].as_str() {
                    gone.push(id.to_owned());
                }
                stays
            });
            if faults.len() == before {
                break;
            }
        }
        if faults.is_empty() {
            nemesis.remove(list);
        }
    }
}

/// Whether a fault of a schedule waits for this one, or takes its nodes.
fn refers(fault: &Json, id: &str) -> bool {
    let waits = fault["when"]["fault"] == *id;
    let same =
        |options: &Json| options["nodes"]["same_as"].as_str().is_some_and(|same| same.split('.').next() == Some(id));
    waits || fault.as_object().is_some_and(|fault| fault.values().any(same))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use std::collections::BTreeSet;

    #[test]
    fn every_mode_and_every_mistake_of_the_specimens_has_a_row() {
        let mut expected = BTreeSet::new();
        for mode in dsfuzz_specimen::modes::listed().as_array().unwrap() {
            let name = mode["mode"].as_str().unwrap().to_owned();
            expected.insert((name.clone(), NO_MISTAKE.to_owned()));
            let mistakes = mode["mistakes"].as_array().unwrap();
            expected.extend(mistakes.iter().map(|mistake| (name.clone(), mistake.as_str().unwrap().to_owned())));
        }
        let rows = rows().unwrap();
        let there: BTreeSet<_> = rows.iter().map(|row| (row.mode.clone(), row.mistake.clone())).collect();
        assert_eq!(there, expected);
        let names: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
        assert_eq!(names.len(), rows.len(), "each name once");
    }

    #[test]
    fn a_row_of_a_mistake_says_what_finds_it_which_fault_and_what_it_shows() {
        let checkers: Vec<&str> = dsfuzz_checkers::CHECKERS.iter().map(|doc| doc.name).collect();
        for row in rows().unwrap() {
            assert_eq!(row.found_by.is_empty(), !row.is_mistake(), "{}", row.name);
            assert_eq!(row.shows.is_empty(), !row.is_mistake(), "{}", row.name);
            assert!(row.found_by.iter().all(|checker| checkers.contains(&checker.as_str())), "{}", row.name);
        }
    }

    #[test]
    fn the_plans_are_accepted_with_the_fault_and_without() {
        for row in rows().unwrap() {
            for without in [false, true] {
                let text = row.seeded(without, 7).to_string();
                let plan = Plan::from_yaml_str(&text).unwrap_or_else(|error| panic!("{}: {error}", row.name));
                assert_eq!(plan.seed, Some(7));
                let target = crate::targets::load(&plan.target, std::path::Path::new(""), &plan.options)
                    .unwrap_or_else(|error| panic!("{}: {error}", row.name))
                    .under(plan.all_workloads())
                    .defining(&plan.own_faults());
                let mistakes = crate::plan::fit::mistakes(&plan, &target);
                assert!(mistakes.is_empty(), "{}: {mistakes:?}", row.name);
            }
        }
    }

    #[test]
    fn without_its_fault_a_plan_lacks_that_kind_and_what_waits_for_it() {
        for row in rows().unwrap() {
            let Some(kind) = &row.fault else {
                assert_eq!(row.plan(true), row.plan(false));
                continue;
            };
            let kind = format!("\"{kind}\":");
            assert!(row.plan(false)["nemesis"].to_string().contains(&kind), "{}", row.name);
            assert!(!row.plan(true)["nemesis"].to_string().contains(&kind), "{}", row.name);
        }
        let mut nemesis = json!({"schedule": [
            {"id": "a", "kill": {}},
            {"id": "b", "when": {"fault": "a"}, "pause": {}},
            {"id": "c", "pause": {"nodes": {"same_as": "b.others"}}},
            {"id": "d", "partition": {}},
        ]});
        leave_out(nemesis.as_object_mut().unwrap(), "kill");
        assert_eq!(nemesis, json!({"schedule": [{"id": "d", "partition": {}}]}));
    }
}
