//! The phases of a run.
pub mod nemesis;
pub mod roles;
