//! What a plan can name: targets, workloads, faults, checkers. Each list is owned by its part; here they look alike.
use crate::plan::reference;
use serde::Serialize;
use serde_json::Value;

/// A name with one sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// As written in plans.
    pub name: String,
    /// One sentence.
    pub doc: String,
}

impl Entry {
    fn new(name: &str, doc: &str) -> Entry {
        Entry { name: name.into(), doc: doc.into() }
    }
}

/// Built-in targets.
pub fn targets() -> Vec<Entry> {
    vec![Entry::new("etcd", "etcd 3.4 and newer, through its HTTP/JSON gateway.")]
}

/// Workloads.
pub fn workloads() -> Vec<Entry> {
    dsfuzz_workloads::WORKLOADS.iter().map(|workload| Entry::new(workload.name, workload.doc)).collect()
}

/// Faults.
pub fn faults() -> Vec<Entry> {
    let schema = reference::schema();
    let variants = schema.pointer("/$defs/FaultOptions/oneOf").and_then(Value::as_array);
    let entry = |variant: &Value| {
        let name = variant.get("properties")?.as_object()?.keys().next()?.clone();
        let doc = variant.get("description").and_then(Value::as_str).unwrap_or_default();
        Some(Entry::new(&name, doc))
    };
    variants.into_iter().flatten().filter_map(entry).collect()
}

/// Checkers.
pub fn checkers() -> Vec<Entry> {
    vec![
        Entry::new("linearizable", "Each call takes effect at one instant between its begin and its end."),
        Entry::new("split-brain", "Never two leaders in one term, nor both sides of a cut acknowledging writes."),
        Entry::new("set", "What was acknowledged is there at the end, and nothing else."),
        Entry::new("availability", "How long each fault kept the cluster from serving, and how fast it recovered."),
    ]
}
