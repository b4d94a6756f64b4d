//! What the weak levels say.
mod corpus;
mod stories;

use super::fuzz::differ;

#[test]
fn the_levels_are_what_their_definitions_say() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(700);
    let stats = differ(7, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}

#[test]
fn levels_of_known_versions_are_what_their_definitions_say() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let stats = super::fuzz::differ_levels(11, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}

#[test]
fn long_histories_of_a_store_have_its_level() {
    use super::load::{Isolation, Kind, load};
    use super::*;
    for (isolation, expected) in
        [(Isolation::Serial, "strong-session-serializable"), (Isolation::Snapshot, "strong-session-snapshot-isolation")]
    {
        let history = load(Kind::Lists, isolation, 1, 2000, 3);
        let workload = history.find_name("txn").expect("a workload");
        let transactions = Transactions::parse(&history, workload, Dialect::Lists).expect("transactions");
        let levels = crate::transactions::levels::of_lists(&transactions, &Budget::unlimited());
        assert_eq!(levels.strongest(), [expected]);
    }
}

/// Figures, not a test: run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn how_long_a_million_transactions_take() {
    use super::load::{Isolation, Kind, load};
    use super::*;
    use std::time::Instant;
    let count = std::env::var("DSFUZZ_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    for (kind, isolation, info) in [
        (Kind::Registers, Isolation::Serial, 0),
        (Kind::Registers, Isolation::Snapshot, 0),
        (Kind::Registers, Isolation::Prefix, 0),
        (Kind::Registers, Isolation::Serial, 2),
        (Kind::Lists, Isolation::Serial, 0),
        (Kind::Lists, Isolation::Snapshot, 0),
    ] {
        let history = load(kind, isolation, info, count, 7);
        let workload = history.find_name("txn").expect("a workload");
        let dialect = if kind == Kind::Lists { Dialect::Lists } else { Dialect::Registers };
        let start = Instant::now();
        let transactions = Transactions::parse(&history, workload, dialect).expect("transactions");
        let parsed = start.elapsed();
        let lists = kind == Kind::Lists;
        let matched = if lists { Matched::lists(&transactions) } else { Matched::registers(&transactions) };
        println!(
            "{kind:?} {isolation:?} info {info} % {} parse {parsed:?} match {:?}",
            matched.view.len(),
            start.elapsed() - parsed
        );
        for level in [Level::ReadCommitted, Level::ReadAtomic, Level::Causal] {
            let start = Instant::now();
            let broken = judge(&matched.view, level, &Budget::unlimited()).expect("an answer");
            println!("  {level:?} {:?} {}", start.elapsed(), broken.count);
        }
        if lists {
            let start = Instant::now();
            let levels = crate::transactions::levels::levels(&matched, &Budget::unlimited());
            println!("  levels {:?} {:?}", start.elapsed(), levels.strongest());
        }
    }
}

/// Figures, not a test.
#[test]
#[ignore = "measures"]
fn how_long_registers_take() {
    use super::load::{Isolation, Kind, load};
    use crate::value::Value;
    use crate::{Budget, registry::Options};
    let count = std::env::var("DSFUZZ_COUNT").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let on = |name: &str| (name.to_owned(), Value::Bool(true));
    let all = Options([on("sequential_keys"), on("linearizable_keys")].into());
    for (kind, isolation) in [
        (Kind::Registers, Isolation::Serial),
        (Kind::Registers, Isolation::Snapshot),
        (Kind::Mini, Isolation::Serial),
        (Kind::Mini, Isolation::Snapshot),
        (Kind::Mini, Isolation::Prefix),
    ] {
        let history = load(kind, isolation, 1, count, 7);
        for (name, options) in
            [("rw-register", &all), ("rw-register", &Options::default()), ("mini-transactions", &Options::default())]
        {
            let checker = crate::registry::checker_with(name, options).expect("a checker");
            let start = std::time::Instant::now();
            let verdict = checker.check(&history, &Budget::unlimited());
            println!("{kind:?} {isolation:?} {name}: {:?} {:?} {}", start.elapsed(), verdict.validity, verdict.summary);
        }
    }
}
