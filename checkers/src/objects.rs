//! Checkers of objects that are no registers: sets, queues, counters, ids, logs, watches, and replicated data types.
pub(crate) mod counter;
pub(crate) mod crdt;
pub(crate) mod final_reads;
pub(crate) mod kafka;
pub(crate) mod monotonic;
pub(crate) mod queue;
pub(crate) mod set;
pub(crate) mod set_full;
pub(crate) mod total_queue;
pub(crate) mod unique_ids;
pub(crate) mod watch;

pub use crdt::agree::standstill;
pub use final_reads::{ABSENT, FinalReads};

use crate::calls::{Group, changed_by};
use crate::history::{History, NameId};
use crate::verdict::Report;

/// A report about these objects, and those of them that can be judged: what a function beside `takes` may have done to an object
/// is not known.
fn judgeable<'h>(
    history: &'h History,
    mut objects: Vec<Group<'h>>,
    takes: &[&str],
    noun: &str,
) -> (Report<'h>, Vec<Group<'h>>) {
    let mut report = Report::about(history, &objects);
    let mut workloads: Vec<NameId> = objects.iter().map(|object| object.workload).collect();
    workloads.dedup();
    for workload in workloads {
        if let Some(function) = changed_by(history, &[workload], takes) {
            report.aside(format!("What {function} does to a {noun} is not known, so nothing can be said."));
            objects.retain(|object| object.workload != workload);
        }
    }
    (report, objects)
}
