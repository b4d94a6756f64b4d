//! What clients do: workloads (which calls, when, and who judges them) and the [`Client`] trait.
//!
//! Never: I/O, time, threads. Clients of real systems live with the control node; generators are pure and draw from the
//! [`dsfuzz_rng::Rng`] they are given.
#![forbid(unsafe_code)]

pub mod client;
pub mod memory;
pub mod options;
pub mod register;
pub mod set;
mod slots;
pub mod workload;

pub use client::{BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms};
pub use options::{WORKLOADS, WorkloadDoc, WorkloadOptions};
pub use workload::{Generator, Next, Part, Workload};
