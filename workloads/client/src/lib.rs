//! The client protocol: the [lines] between dsfuzz and a client, and the [loop](program) of a client program; what a recipe says to
//! a client ([settings]), read from a [tree] of values.
//!
//! A client program is a type that implements [`Client`] and a `main` that calls [`run`]:
//!
//! ```no_run
//! use dsfuzz_client::{Call, CallError, Client, Init, ObjectFunctions, Reply, run};
//!
//! struct InMemory(Vec<serde_json::Value>);
//!
//! impl Client for InMemory {
//!     const OBJECTS: &'static [ObjectFunctions] = &[("set", &["add", "read"])];
//!
//!     async fn open(_init: Init) -> Result<InMemory, CallError> {
//!         Ok(InMemory(Vec::new()))
//!     }
//!
//!     async fn call(&mut self, call: &Call) -> Result<Reply, CallError> {
//!         match &*call.f {
//!             "add" => self.0.push(call.value.clone()),
//!             _ => return Ok(Reply::value(self.0.clone())),
//!         }
//!         Ok(Reply::nothing())
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     run::<InMemory>()
//! }
//! ```
//!
//! One program serves one logical client: one connection to one node, one call at a time, no retries.
pub mod lines;
pub mod program;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tree;

pub use lines::{Call, Init, NodeAddress};
pub use program::{CallError, Client, FAILURES, ObjectFunctions, Reply, run};
