//! Histories as data, and what must come out.
mod promises;
mod documentation;
mod recordings;
mod run_checks;
mod sets;
