//! The client for Redis and Valkey: one connection to the server of its node, one command or transaction at a time.
//!
//! Never: sends a command twice, asks a Sentinel, or hides which node answered. With `cluster: true` it follows one redirect of a
//! call and names the node that it leads to.
mod bank;
mod client;
mod cluster;
mod connection;
mod errors;
mod locks;
mod queue;
mod replies;
mod settings;
mod simple;
mod transactions;

fn main() -> std::process::ExitCode {
    dsfuzz_client::run::<client::RedisClient>()
}
