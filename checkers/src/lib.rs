#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod calls;
mod checker;
mod forms;
pub mod functions;
mod graph;
pub mod history;
pub mod inference;
mod initial;
mod linearizability;
mod locks;
pub mod models;
mod objects;
mod options;
#[cfg(feature = "oracles")]
pub mod oracles;
mod possible_writes;
#[cfg(feature = "oracles")]
mod random;
mod registers;
mod registry;
mod run_level;
#[cfg(feature = "oracles")]
mod testing;
mod transactions;
mod value;
mod verdict;

#[cfg(test)]
mod tests;

pub use checker::{CheckerDoc, Judges, Reads};
pub use history::{Fault, History, Mark, Op, Outcome, Phase, RoleClaim};
pub use initial::Initial;
pub use linearizability::Linearizable;
pub use models::{MODELS, Model, ModelDoc};
pub use objects::{ABSENT, FinalReads, standstill};
pub use options::{Given, OptionDoc, OptionError, Options};
pub use registry::{CHECKERS, checker, checker_with, judge_one, unjudged};
pub use run_level::CRASHES;
pub use run_level::evidence::{Evidence, FaultEvidence, KindEvidence, Leadership, evidence, shard_leader_changes};
pub use run_level::sides::{SideCalls, calls_by_side, components, wrote};
pub use transactions::lattice;
pub use value::{ListRef, MapRef, Value, ValueRef};
pub use verdict::anomalies::{ANOMALIES, anomaly};
pub use verdict::certificate::{Certificate, Claim, Edge, EdgeKind};
pub use verdict::{Budget, Checker, Finding, Progress, Severity, Validity, Verdict};
