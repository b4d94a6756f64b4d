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
