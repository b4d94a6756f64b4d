//! What workloads and the recipe say of themselves to checkers.
use crate::targets::recipe::Exits;
use dsfuzz_checkers::{Options, Value};
use dsfuzz_workloads::Workload;

/// Adds what the workloads say of themselves to a checker, unless the plan sets the same option; of two workloads the first one
/// counts.
pub(super) fn with_workloads(workloads: &[Box<dyn Workload>], checker: &str, options: &mut Options) {
    for (option, value) in workloads.iter().flat_map(|workload| workload.checker_options(checker).0) {
        options.0.entry(option).or_insert(value);
    }
}

/// Adds the recipe's rule on exits, unless the plan has its own.
pub(super) fn with_exits(options: &mut Options, exits: &Exits) {
    if !exits.ok.is_empty() {
        let statuses: Vec<Value> = exits.ok.iter().map(|status| Value::Int(i64::from(*status))).collect();
        options.0.entry("ok_exits".to_owned()).or_insert(Value::list(statuses));
    }
    if let Some(in_faults) = exits.in_faults {
        options.0.entry("exits_in_faults".to_owned()).or_insert(Value::text(in_faults.name()));
    }
}
