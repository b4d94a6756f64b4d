//! Checkers of locks and what is like them: who holds it, until when, and with which token.
pub mod fencing;
pub mod lease;
pub mod lock;
