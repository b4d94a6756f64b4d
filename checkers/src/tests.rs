//! Histories as data, and what must come out.
mod budget;
mod documentation;
mod foreign_surprises;
mod initial;
mod known;
mod no_real_time;
mod options;
mod promises;
mod recordings;
mod refused;
mod run_checks;
mod sets;
mod small_cases;
pub(crate) mod stories;
mod two_workloads;
mod vacuous;
mod workloads;
