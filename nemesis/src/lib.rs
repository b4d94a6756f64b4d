//! What breaks: fault planners (pure) and the protocol they speak to an agent.
//!
//! Never: I/O, clocks, threads. A planner draws from the [`dsfuzz_chance::Chance`] it is given; acting is the agent's.
#![forbid(unsafe_code)]

pub mod options;
pub mod protocol;
pub mod span;

pub use options::{FaultOptions, NemesisOptions};
pub use span::Span;
