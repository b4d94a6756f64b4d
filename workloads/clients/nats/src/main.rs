//! The client for NATS JetStream: one connection to the server of its node, one request at a time.
//!
//! Never: connects a second time, learns of other servers, or sends a request twice.
mod client;
mod connection;
mod errors;
mod log;
mod own_copy;
mod queue;
mod register;
mod settings;
mod setup;
mod stream;

fn main() -> std::process::ExitCode {
    dsfuzz_client::run::<client::NatsClient>()
}
