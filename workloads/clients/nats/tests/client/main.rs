//! The client program for NATS against real servers on loopback, and against servers that answer wrongly.
//!
//! Needs `nats-server` (Debian: nats-server, which `.ci/setup test` installs). Every server is a child of the test, in a folder of its
//! own, on free ports, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod errors;
mod objects;
#[path = "../../../redis/tests/client/program.rs"]
mod program;
mod replicas;
mod server;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-nats");
