//! What a plan can name: targets, workloads, faults, checkers. Each list is owned by its part; here they look alike.
use dsfuzz_checkers::{CHECKERS, CheckerDoc, OptionDoc};
use dsfuzz_workloads::{WORKLOADS, WorkloadDoc, WorkloadOptions};
use serde::Serialize;
use std::collections::BTreeMap;
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
    /// that can carry it; of a checker the `workloads` that drive it (`any` where it judges runs); of a target the `workloads` that it can carry.
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

/// The workloads that a built-in target can carry.
fn carried(target: &str) -> Vec<String> {
    let Ok(loaded) = crate::targets::load(target, Path::new(""), &BTreeMap::new()) else { return Vec::new() };
    WORKLOADS.iter().filter(|doc| loaded.carries(doc.name, doc.object)).map(|doc| doc.name.to_owned()).collect()
}

/// Built-in targets.
pub fn targets() -> Vec<Entry> {
    let entry = |(name, doc): (&str, &str)| Entry::new(name, doc).with("workloads", carried(name));
    crate::targets::builtin().into_iter().map(entry).collect()
}

/// Workloads.
pub fn workloads() -> Vec<Entry> {
    let targets = crate::targets::builtin().into_iter().map(|(target, _)| (target, carried(target)));
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

/// Checkers.
pub fn checkers() -> Vec<Entry> {
    let entry = |checker: &CheckerDoc| {
        let driving = WORKLOADS.iter().filter(|workload| workload.checkers.contains(&checker.name));
        let driving: Vec<String> = match checker.judges.runs {
            true => vec!["any".to_owned()],
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
