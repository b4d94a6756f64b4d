//! What the weak levels say.
mod corpus;

use super::fuzz::differ;

#[test]
fn the_levels_are_what_their_definitions_say() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let stats = differ(7, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}

#[test]
fn levels_of_known_versions_are_what_their_definitions_say() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let stats = super::fuzz::differ_levels(11, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}

/// Figures, not a test: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn how_long_a_million_transactions_take() {
    use super::load::{Isolation, Kind, load};
    use super::*;
    use std::time::Instant;
    let count = std::env::var("DSFUZZ_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    for isolation in [Isolation::Serial, Isolation::Snapshot, Isolation::Prefix] {
        let history = load(Kind::Registers, isolation, count, 7);
        let workload = history.find_name("txn").expect("a workload");
        let start = Instant::now();
        let transactions = Transactions::parse(&history, workload, Dialect::Registers).expect("transactions");
        let parsed = start.elapsed();
        let registers = Matched::registers(&transactions);
        let matched = start.elapsed() - parsed;
        println!("{isolation:?} {} parse {parsed:?} match {matched:?}", registers.view.len());
        for level in [Level::ReadCommitted, Level::ReadAtomic, Level::Causal] {
            let start = Instant::now();
            let broken = judge(&registers.view, level, &Budget::unlimited()).expect("an answer");
            println!("  {level:?} {:?} {}", start.elapsed(), broken.count);
        }
    }
}
