//! The client program for NATS against real servers on loopback, and against servers that answer wrongly.
//!
//! Needs `nats-server` (Debian: nats-server, which `.ci/setup test` installs). Every server is a child of the test, in a folder of its
//! own, on free ports, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod errors;
mod objects;
mod replicas;
mod server;

use dsfuzz_client::lines::{Answer, Init};
use dsfuzz_client::testing::{Program, plain};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-nats");

/// A client that is connected.
fn start(init: Init) -> Program {
    Program::open(PROGRAM, init).unwrap()
}

/// The answer to a client that does not connect.
fn refused(init: Init) -> Answer {
    Program::open(PROGRAM, init).unwrap_err()
}
