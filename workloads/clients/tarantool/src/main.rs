//! The client for Tarantool: one connection to the instance of its node, one request at a time. Each call is one script that the
//! instance carries out as one transaction.
//!
//! Never: sends a request twice, or asks another instance.
mod client;
mod connection;
mod errors;
mod scripts;
mod settings;
mod values;
mod wire;

fn main() -> std::process::ExitCode {
    dsfuzz_client::run::<client::TarantoolClient>()
}
