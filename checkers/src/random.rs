//! What the differential tests share: a source of chance whose stream never changes, and what one of them counted.
//! No checker uses it.
pub(crate) mod random_history;
pub(crate) mod scripted;

use crate::history::History;
use crate::verdict::Verdict;
use std::cell::RefCell;

/// How many histories were tried, and how many of them were invalid: a test in which nothing is invalid says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Random histories judged twice.
    pub histories: u64,
    /// Of these, invalid by brute force.
    pub invalid: u64,
}

/// A small source of chance (xorshift64*, Vigna 2016), the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// One for each seed. Neighbouring seeds have unrelated streams.
    pub fn new(seed: u64) -> Rng {
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Rng((mixed ^ (mixed >> 31)) | 1)
    }

    /// A number below the limit, which is at least 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % limit.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len() as u64) as usize]
    }
}

/// Something that is told of every verdict of a comparison.
pub type Watch = Box<dyn FnMut(&History, &Verdict)>;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Tells this of every verdict that is compared in this thread from now on; none: nobody any more.
pub fn watch(told: Option<Watch>) {
    WATCH.with(|watch| *watch.borrow_mut() = told);
}

/// A verdict that is about to be compared.
pub(crate) fn shown(history: &History, verdict: Verdict) -> Verdict {
    WATCH.with(|watch| {
        if let Some(told) = &mut *watch.borrow_mut() {
            told(history, &verdict);
        }
    });
    verdict
}

/// A comparison with brute force: so many random small histories from a seed. The error is the first difference.
pub type Differ = fn(u64, u64) -> Result<Stats, String>;
