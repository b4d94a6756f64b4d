//! The phases of a run.
pub mod driver;
pub mod journal;
pub mod recorder;
pub mod settle;
