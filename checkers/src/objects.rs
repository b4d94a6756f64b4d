//! Checkers of objects that are no registers: sets, queues, counters, ids, logs, watches, and replicated data types.
pub mod counter;
pub mod crdt;
pub(crate) mod final_reads;
pub mod kafka;
pub mod monotonic;
pub mod queue;
pub mod set;
pub mod set_full;
pub mod total_queue;
pub mod unique_ids;
pub mod watch;

pub use crdt::agree::standstill;
pub use final_reads::{ABSENT, FinalReads};
