//! The client program for Tarantool against real instances on loopback, and against servers that answer wrongly.
//!
//! Needs `tarantool` (Debian: tarantool, which `.ci/setup test` installs). Every instance is a child of the test, in a folder of its
//! own, on a free port, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod errors;
mod objects;
mod server;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-tarantool");
