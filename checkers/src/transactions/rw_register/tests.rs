//! What the register checkers say.
use super::fuzz::differ;

#[test]
fn registers_never_contradict_their_definitions() {
    let count = std::env::var("DSFUZZ_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(700);
    let stats = differ(5, count).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(stats.invalid > stats.histories / 10 && stats.invalid < stats.histories * 9 / 10, "{stats:?}");
}
