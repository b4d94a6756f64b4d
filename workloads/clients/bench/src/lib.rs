//! What the client programs are measured against: real servers on loopback, and bare loops on the same libraries.
#![forbid(unsafe_code)]
pub mod bare;
pub mod servers;
