//! What breaks: fault planners (pure) and the protocol they speak to an agent.
//!
//! A seed gives a [`Timetable`] of [`PlannedFault`]s in symbols ("the leader", "two nodes"); [`resolve`] binds one to the
//! nodes as they are now and gives a [`ResolvedFault`]: [`protocol::Injection`]s for the agents, and their [`Verification`].
//!
//! Never: I/O, clocks, threads. A planner draws from the [`dsfuzz_chance::Chance`] it is given; acting is the agent's.
#![forbid(unsafe_code)]

pub mod aim;
mod bag;
pub mod choice;
pub mod clock;
pub mod facts;
pub mod fault;
pub mod kill;
pub mod options;
pub mod order;
pub mod partition;
pub mod pause;
pub mod protocol;
mod services;
pub mod timetable;

pub use choice::Choice;
pub use dsfuzz_span::Span;
pub use facts::{FaultFacts, facts};
pub use fault::{NodeView, PlannedFault, ResolvedFault, Unresolved, Verification, View, resolve};
pub use options::{AgentPaths, FAULTS, FaultOptions, NemesisOptions, SymbolicFault};
pub use timetable::{ClusterShape, IN_FORCE_MIN, Timetable, timetable};
