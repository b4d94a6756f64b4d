//! Random small registers, judged by every engine and by trying every order.
use super::super::fuzz::{KINDS, differ_in};

/// Histories of each kind; `DSFUZZ_RANDOM` asks for more.
const COUNT: u64 = 1_000;

#[test]
fn every_engine_says_what_brute_force_says() {
    let count = std::env::var("DSFUZZ_RANDOM").map_or(COUNT, |count| count.parse().expect("a number"));
    for (seed, kind) in KINDS.into_iter().enumerate() {
        let stats = differ_in(kind, 11 + seed as u64, count).unwrap_or_else(|difference| panic!("{difference}"));
        println!("{}: {} histories, {} invalid", kind.name, stats.histories, stats.invalid);
        let share = stats.invalid * 100 / stats.histories;
        assert!((5..95).contains(&share), "{}: {share} % are invalid: the test says little", kind.name);
    }
}
