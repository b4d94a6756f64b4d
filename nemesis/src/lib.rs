//! Faults: planners (pure), and the protocol between control node and agents.
//!
//! A seed gives a [`Timetable`] of [`PlannedFault`]s in symbols ("the leader", "two nodes"). [`resolve`] binds one to the present
//! nodes and gives a [`ResolvedFault`]: [`protocol::Injection`]s for the agents, and their [`Verification`].
//!
//! A planner draws from the [`dsfuzz_rng::Rng`] that it is given. Never: I/O, clocks, threads.
#![forbid(unsafe_code)]

pub mod aim;
mod bag;
pub mod budget;
pub mod choice;
pub mod clock;
pub mod cpu;
pub mod descriptors;
pub mod disk;
mod drawing;
pub mod facts;
pub mod fault;
pub mod kill;
mod losses;
pub mod memory;
pub mod mistake;
pub mod options;
pub mod order;
mod overlap;
pub mod own;
pub mod packet;
pub mod partition;
pub mod pause;
pub mod power_loss;
pub mod protocol;
mod quantity;
pub mod quiet;
pub mod restart;
pub mod schedule;
mod services;
pub mod swarm;
pub mod timetable;
mod view;

pub use choice::Choice;
pub use dsfuzz_span::Span;
pub use facts::{FaultFacts, facts, kind_of};
pub use fault::{
    BoundFault, ClusterView, Members, NodeView, PlannedFault, ResolvedFault, ScheduleEntry, Unresolved, Verification,
    resolve,
};
pub use losses::{BesideFault, beyond_quorum};
pub use options::{AgentPaths, FAULTS, FaultOptions, NemesisOptions, SymbolicFault};
pub use schedule::ScheduledFault;
pub use swarm::SwarmDraw;
pub use timetable::{ClusterShape, IN_FORCE_MIN, Timetable, timetable, timetable_on};
