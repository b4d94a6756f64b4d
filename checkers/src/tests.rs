//! Histories as data, and what must come out.
mod recordings;
mod run_checks;
mod sets;
