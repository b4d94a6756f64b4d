//! Small replicated systems, each with mistakes that can be switched on: the target `specimen` of dsfuzz.
//!
//! [`modes`] has one file for each system. Every node is a process of its own, with real TCP and real files.
pub mod call;
pub mod disk;
pub mod maelstrom;
pub mod modes;
pub mod node;
pub mod serve;
#[cfg(test)]
mod simulation;
pub mod state;
