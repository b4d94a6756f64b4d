//! Checkers of locks and what is like them: who holds it, until when, and with which token.
pub(crate) mod fencing;
pub(crate) mod lease;
pub(crate) mod lock;
mod want;
mod words;
