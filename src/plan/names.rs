//! What a plan can name: targets, workloads, faults, checkers; and the fallacies of the command line. Each list is owned by its part; here they look alike.
use super::fallacies::{FALLACIES, Fallacy};
use crate::targets::{Target, recipe};
use dsfuzz_checkers::{CHECKERS, CheckerDoc, OptionDoc};
use dsfuzz_workloads::{OBJECTS, WORKLOADS, WorkloadDoc, WorkloadOptions};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A name with a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its form in plans.
    pub name: String,
    /// One sentence.
    pub doc: String,
    /// What can be set of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionDoc>,
    /// What belongs to it, by what it is: of a workload its `functions`, the `checkers` that it drives and the built-in `targets`
    /// that can carry it; of a checker the `workloads` that drive it (`any` where it judges runs); of a target the `objects` of its clients and the
    /// `workloads` that it can carry, and the `faults` of its own.
    #[serde(flatten)]
    pub belongs: BTreeMap<&'static str, Vec<String>>,
}

impl Entry {
    fn new(name: &str, doc: &str) -> Entry {
        Entry { name: name.into(), doc: doc.into(), options: Vec::new(), belongs: BTreeMap::new() }
    }

    fn with(mut self, what: &'static str, names: Vec<String>) -> Entry {
        self.belongs.insert(what, names);
        self
    }
}

/// Every workload with its default options.
fn plain_workloads() -> Vec<WorkloadOptions> {
    let plain = |doc: &WorkloadDoc| {
        let options = serde_json::json!({ doc.name: {} });
        serde_json::from_value(options).expect("every workload has defaults")
    };
    WORKLOADS.iter().map(plain).collect()
}

/// A built-in target with its defaults.
fn built_in(target: &str) -> Option<Target> {
    crate::targets::load(target, Path::new(""), &BTreeMap::new()).ok()
}

/// The workloads that a target can carry.
fn carried(target: &Target) -> Vec<String> {
    WORKLOADS.iter().filter(|doc| target.carries(doc.name, doc.object)).map(|doc| doc.name.to_owned()).collect()
}

/// The objects whose functions a client of the target carries out.
fn objects(target: &Target) -> Vec<String> {
    // No workload has this name: the object alone decides.
    OBJECTS.iter().filter(|object| target.carries("", object.name)).map(|object| object.name.to_owned()).collect()
}

/// The options of a target, as a plan sets them.
fn options(target: &Target) -> Vec<OptionDoc> {
    let option = |(name, option): (&String, &recipe::OptionDoc)| OptionDoc {
        name: name.clone(),
        takes: option.takes(),
        default: option.default_text(),
        doc: option.doc.clone(),
    };
    target.recipe().options.iter().map(option).collect()
}

/// Built-in targets.
pub fn targets() -> Vec<Entry> {
    let entry = |name: &str| {
        let target = built_in(name)?;
        let entry = Entry { options: options(&target), ..Entry::new(name, target.recipe().doc.trim()) };
        let faults = target.recipe().faults.iter().map(|fault| fault.name.clone()).collect();
        Some(entry.with("objects", objects(&target)).with("workloads", carried(&target)).with("faults", faults))
    };
    crate::targets::builtin().into_iter().filter_map(entry).collect()
}

/// The JSON schema of the options of each built-in target (`options: {NAME: {..}}` in a plan).
pub fn targets_schema() -> Value {
    let of = |target: &Target| {
        let option = |(name, option): (&String, &recipe::OptionDoc)| (name.clone(), option.schema());
        let properties: Map<String, Value> = target.recipe().options.iter().map(option).collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    };
    let targets = crate::targets::builtin().into_iter();
    targets.filter_map(|name| Some((name.to_owned(), of(&built_in(name)?)))).collect::<Map<_, _>>().into()
}

/// The tables of `docs/targets.md`: each built-in target with its options.
pub fn targets_markdown() -> String {
    let mut text = String::new();
    for entry in targets() {
        let list =
            |what: &str| entry.belongs[what].iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "## {}\n\n{}\n", entry.name, entry.doc);
        let _ = writeln!(text, "Objects: {}.\n\nWorkloads: {}.\n", list("objects"), list("workloads"));
        let _ = writeln!(text, "| option | is | default | |\n|---|---|---|---|");
        let bar = |text: &str| text.replace('|', "\\|");
        for OptionDoc { name, takes, default, doc } in entry.options {
            let default = default.map_or("left out".to_owned(), |default| format!("`{default}`"));
            let _ = writeln!(text, "| `{name}` | {} | {default} | {} |", bar(&takes), bar(doc.trim()));
        }
        let target = built_in(&entry.name);
        let faults = target.iter().flat_map(|target| &target.recipe().faults);
        let faults: Vec<String> =
            faults.map(|fault| format!("| `{}` | {} |", fault.name, bar(fault.doc.trim()))).collect();
        if !faults.is_empty() {
            let _ = writeln!(text, "\n| fault (`own: {{name: ..}}`) | |\n|---|---|\n{}", faults.join("\n"));
        }
        text.push('\n');
    }
    text
}

/// Workloads.
pub fn workloads() -> Vec<Entry> {
    let targets = crate::targets::builtin().into_iter();
    let targets = targets.filter_map(|target| Some((target, carried(&built_in(target)?))));
    let targets: Vec<(&str, Vec<String>)> = targets.collect();
    let entry = |workload: &WorkloadOptions| {
        let (doc, built) = (workload.doc(), workload.build());
        let carry = targets.iter().filter(|(_, carried)| carried.iter().any(|one| one == doc.name));
        Entry::new(doc.name, doc.doc)
            .with("object", vec![doc.object.to_owned()])
            .with("functions", built.functions().iter().map(ToString::to_string).collect())
            .with("checkers", doc.checkers.iter().map(|name| (*name).to_owned()).collect())
            .with("targets", carry.map(|(target, _)| (*target).to_owned()).collect())
    };
    plain_workloads().iter().map(entry).collect()
}

/// Faults.
pub fn faults() -> Vec<Entry> {
    dsfuzz_nemesis::FAULTS.iter().map(|fault| Entry::new(fault.name, fault.doc)).collect()
}

/// Fallacies of distributed computing, each with the faults that `--fallacy` takes.
pub fn fallacies() -> Vec<Entry> {
    let faults = |fallacy: &Fallacy| {
        let faults = fallacy.nemesis.get("faults").and_then(Value::as_array);
        faults.into_iter().flatten().map(super::on_one_line).collect()
    };
    let entry = |fallacy: &Fallacy| {
        Entry::new(&fallacy.name, &format!("\"{}\" {}", fallacy.fallacy, fallacy.shows)).with("faults", faults(fallacy))
    };
    FALLACIES.iter().map(entry).collect()
}

/// Checkers of functions that no workload of dsfuzz calls: a plan declares them.
const OF_DECLARED: [&str; 1] = ["membership"];

/// Checkers.
pub fn checkers() -> Vec<Entry> {
    let entry = |checker: &CheckerDoc| {
        let driving = WORKLOADS.iter().filter(|workload| workload.checkers.contains(&checker.name));
        let driving: Vec<String> = match checker.judges.runs {
            true => vec!["any".to_owned()],
            false if OF_DECLARED.contains(&checker.name) => vec![dsfuzz_workloads::declared::DOC.name.to_owned()],
            false => driving.map(|workload| workload.name.to_owned()).collect(),
        };
        let entry = Entry { options: checker.option_docs(), ..Entry::new(checker.name, checker.doc) };
        entry.with("workloads", driving)
    };
    CHECKERS.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That each workload drives its checkers is shown against the store in memory (`tests/driver/workloads.rs`).
    #[test]
    fn every_checker_has_a_workload_that_drives_it() {
        let checkers = checkers().into_iter();
        let idle: Vec<String> =
            checkers.filter(|checker| checker.belongs["workloads"].is_empty()).map(|checker| checker.name).collect();
        assert_eq!(idle, [""; 0], "no workload drives these checkers");
    }

    #[test]
    fn a_workload_names_its_functions_its_checkers_and_who_carries_it() {
        let set = workloads().into_iter().find(|workload| workload.name == "set").expect("in the list");
        assert_eq!(set.belongs["functions"], ["add", "read"]);
        let targets = &set.belongs["targets"];
        assert!(targets.contains(&"etcd".to_owned()) && !targets.contains(&"rabbitmq".to_owned()), "{targets:?}");
        assert_eq!(set.belongs["checkers"][..3], ["set", "replicas-agree", "set-full"]);
        let linearizable = checkers().into_iter().find(|checker| checker.name == "linearizable").expect("in the list");
        assert!(linearizable.belongs["workloads"].contains(&"register".to_owned()));
    }
}
