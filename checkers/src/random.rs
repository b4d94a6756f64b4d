//! What the differential tests share: random numbers whose stream never changes, and the counts of a comparison.
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

    /// True with this probability, in percent.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len() as u64) as usize]
    }
}

/// Sees every verdict that is compared, with its history.
pub type Watch = Box<dyn FnMut(&History, &Verdict)>;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Calls this with every verdict that this thread compares from now on; `None` ends it.
pub fn watch(called: Option<Watch>) {
    WATCH.with(|watch| *watch.borrow_mut() = called);
}

/// A verdict that is about to be compared.
pub(crate) fn shown(history: &History, verdict: Verdict) -> Verdict {
    WATCH.with(|watch| {
        if let Some(called) = &mut *watch.borrow_mut() {
            called(history, &verdict);
        }
    });
    verdict
}

/// A comparison with brute force, from a seed and a number of histories. The error is the first difference.
pub type Differ = fn(u64, u64) -> Result<Stats, String>;
