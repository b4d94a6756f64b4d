//! Histories as data, and what must come out.
mod documentation;
mod promises;
mod recordings;
mod run_checks;
mod sets;
