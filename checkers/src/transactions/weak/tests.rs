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
    use super::load::{LoadIsolation, LoadKind, load};
    use super::*;
    for (isolation, expected) in [
        (LoadIsolation::Serial, "strong-session-serializable"),
        (LoadIsolation::Snapshot, "strong-session-snapshot-isolation"),
    ] {
        let history = load(LoadKind::Lists, isolation, 1, 2000, 3);
        let workload = history.find_name("txn").expect("a workload");
        let transactions = Transactions::parse(&history, workload, Dialect::Lists).expect("transactions");
        let levels = fuzz::levels_of_lists(&transactions, &Budget::unlimited());
        assert_eq!(levels.strongest(), [expected]);
    }
}
