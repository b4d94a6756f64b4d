//! Workloads (calls, final reads, checkers) and the [`Client`] trait.
//!
//! Clients of real systems live with the control node. Generators are pure and draw from the [`dsfuzz_rng::Rng`] that they are
//! given. Never: I/O, time, threads.
#![forbid(unsafe_code)]

pub mod atomic_commit;
pub mod bank;
pub mod causal_reverse;
pub mod client;
pub mod closed_predicate;
pub mod codes;
pub mod convergence;
pub mod counter;
pub mod crdt;
pub mod declared;
pub mod doc;
pub mod election;
pub mod g2;
mod holding;
mod keys;
pub mod lease;
pub mod lock;
pub mod lock_set;
pub mod log;
pub mod long_fork;
pub mod memory;
pub mod monotonic;
mod names;
pub mod objects;
pub mod options;
pub mod queue;
pub mod register;
pub mod saga;
pub mod semaphore;
pub mod sequential;
pub mod sessions;
pub mod set;
mod slots;
mod started;
#[cfg(test)]
mod testing;
pub mod transactions;
pub mod unique_ids;
pub mod watch;
pub mod workload;

pub use client::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
pub use objects::{OBJECTS, ObjectDoc};
pub use options::{WORKLOADS, WorkloadDoc, WorkloadOptions};
pub use workload::{ClientWorkload, FinalCall, Generator, Next, Part, Workload, WorkloadSpec};
