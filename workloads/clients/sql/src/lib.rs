//! What the SQL clients share: a client of [`objects`] over any [`Driver`], statements by dialect, classes of errors.
//!
//! A client program is a type that implements [`Driver`] (connect, run one statement as text) and a `main` that runs
//! [`SqlClient`] with it. Statements are sent one by one, as text, each with its own answer: nothing is prepared, batched,
//! retried or sent to another node.
#![forbid(unsafe_code)]
pub mod client;
pub mod driver;
pub mod errors;
pub mod objects;
pub mod render;
pub mod settings;
pub mod setup;
pub mod statements;
pub mod version;

#[cfg(test)]
mod scripted;

pub use client::SqlClient;
pub use driver::{Address, Driver, Outcome};
pub use errors::SqlError;
pub use settings::{Dialect, Settings};
