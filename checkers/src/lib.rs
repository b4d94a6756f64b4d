#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod anomalies;
pub mod atomic_commit;
pub mod availability;
pub mod bank;
pub mod causal_reverse;
pub mod certificate;
#[doc(hidden)]
pub mod containers;
mod contract;
pub mod counter;
mod crashes;
pub mod crdt;
pub mod evidence;
pub mod fencing;
mod final_reads;
pub mod fitting;
mod forms;
pub mod functions;
#[doc(hidden)]
pub mod fuzz;
pub mod history;
pub mod initial;
pub mod kafka;
pub mod leadership;
pub mod lease;
pub mod linearizable;
pub mod liveness;
pub mod lock;
pub mod long_fork;
pub mod model;
pub mod monotonic;
mod pace;
mod possible_writes;
pub mod queue;
pub mod registry;
pub mod saga;
pub mod set;
pub mod set_full;
pub mod sides;
pub mod split_brain;
pub mod standstill;
pub mod total_queue;
pub mod transactions;
pub mod unique_ids;
pub mod value;
pub mod verdict;
pub mod watch;
pub mod weaker;
mod wording;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use anomalies::{ANOMALIES, anomaly};
pub use certificate::{Certificate, Claim, Edge, EdgeKind};
pub use crashes::CRASHES;
pub use evidence::{Evidence, evidence};
pub use final_reads::{ABSENT, FinalReads};
pub use history::{Fault, History, Mark, Op, Outcome, Phase, RoleClaim};
pub use initial::Initial;
pub use linearizable::Linearizable;
pub use model::{MODELS, Model, ModelDoc};
pub use registry::{CHECKERS, CheckerDoc, Options, checker, checker_with, judge_one};
pub use value::{Value, ValueRef};
pub use verdict::{Budget, Checker, Finding, Progress, Severity, Validity, Verdict};
