//! The control node of dsfuzz: command line, plan, cluster, lab, targets, run, store, report.
//!
//! `main` prints and exits; everything here returns.

pub mod cli;
pub mod cluster;
pub mod document;
pub mod error;
pub mod folders;
mod harmless;
pub mod judge;
pub mod lab;
pub mod matrix;
pub mod pack;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
pub mod secrets;
pub mod serve;
pub mod store;
pub mod targets;
