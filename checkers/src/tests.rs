//! Histories as data, and what must come out.
mod budget;
mod documentation;
mod known;
mod promises;
mod recordings;
mod run_checks;
mod sets;
