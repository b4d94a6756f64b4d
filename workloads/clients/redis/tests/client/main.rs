//! The client program for Redis against real servers on loopback, and against servers that answer wrongly.
//!
//! Needs `redis-server` (Debian: redis-server, which `.ci/setup test` installs). Every server is a child of the test, in a folder of
//! its own, on a free port, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod cluster;
mod errors;
mod objects;
mod program;
mod server;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-redis");
