//! The phases of a run.

pub mod journal;
pub mod recorder;
