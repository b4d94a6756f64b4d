//! What a plan can name: targets, workloads, faults, checkers. Each list is owned by its part; here they look alike.
use dsfuzz_checkers::OptionDoc;
use serde::Serialize;

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
}

impl Entry {
    fn new(name: &str, doc: &str) -> Entry {
        Entry { name: name.into(), doc: doc.into(), options: Vec::new() }
    }
}

/// Built-in targets.
pub fn targets() -> Vec<Entry> {
    crate::targets::builtin().into_iter().map(|(name, doc)| Entry::new(name, doc)).collect()
}

/// Workloads.
pub fn workloads() -> Vec<Entry> {
    dsfuzz_workloads::WORKLOADS.iter().map(|workload| Entry::new(workload.name, workload.doc)).collect()
}

/// Faults.
pub fn faults() -> Vec<Entry> {
    dsfuzz_nemesis::FAULTS.iter().map(|fault| Entry::new(fault.name, fault.doc)).collect()
}

/// Checkers.
pub fn checkers() -> Vec<Entry> {
    let entry = |checker: &dsfuzz_checkers::CheckerDoc| Entry {
        options: checker.option_docs(),
        ..Entry::new(checker.name, checker.doc)
    };
    dsfuzz_checkers::CHECKERS.iter().map(entry).collect()
}
