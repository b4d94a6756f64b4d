#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod calls;
mod checker;
mod forms;
pub mod functions;
#[doc(hidden)]
pub mod fuzz;
mod graph;
pub mod history;
pub mod inference;
pub mod initial;
pub mod linearizability;
pub mod locks;
pub mod models;
pub mod objects;
mod options;
mod possible_writes;
mod random;
pub mod registers;
pub mod registry;
pub mod run_level;
pub mod transactions;
pub mod value;
pub mod verdict;

#[cfg(test)]
mod testing;
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
pub use run_level::evidence::{Evidence, evidence};
pub use value::{Value, ValueRef};
pub use verdict::anomalies::{ANOMALIES, anomaly};
pub use verdict::certificate::{Certificate, Claim, Edge, EdgeKind};
pub use verdict::{Budget, Checker, Finding, Progress, Severity, Validity, Verdict};
