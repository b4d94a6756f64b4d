//! The built program from end to end: real labs, real etcd, real faults, real signals. These tests need root, and say so.
//!
//! Never: the inside of a part; each part has tests of its own.
mod commands;
mod deaths;
mod demo;
mod entered;
mod foreign;
mod full;
mod hosts;
mod interrupted;
mod killed;
mod nodes;
mod program;
mod replayed;
mod seeds;
mod stage;
mod strangers;
mod whole;
mod wrong;
