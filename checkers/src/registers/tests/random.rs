//! Bounded differential tests; `DSFUZZ_FUZZ` sets how many histories instead.
use super::super::fuzz;
use crate::random::Stats;

fn count(least: u64) -> u64 {
    std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(least)
}

fn agree(differ: fn(u64, u64) -> Result<Stats, String>, least: u64) {
    let count = count(least);
    let stats = differ(7, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > count / 50 && stats.invalid < count - count / 50, "{stats:?}: the test says little");
    println!("{stats:?}");
}

#[test]
fn causal_as_defined() {
    agree(fuzz::causal, 1000);
}

#[test]
fn pram_as_defined() {
    agree(fuzz::pipelined, 1500);
}

#[test]
fn sequential_as_defined() {
    agree(fuzz::sequential, 3000);
}

#[test]
fn session_guarantees_as_defined() {
    agree(fuzz::sessions, 800);
}

#[test]
fn staleness_as_defined() {
    agree(fuzz::staleness, 1000);
}

#[test]
fn convergence_as_defined() {
    agree(fuzz::convergence, 3000);
}
