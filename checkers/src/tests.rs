//! Histories as data, and what must come out.
mod budget;
mod known;
mod promises;
mod recordings;
mod run_checks;
mod sets;
