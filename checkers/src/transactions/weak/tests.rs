//! What the weak levels say.
mod corpus;

use super::fuzz::differ;

#[test]
fn the_levels_are_what_their_definitions_say() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let stats = differ(7, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}
