//! What the differential tests share: a source of chance whose stream never changes, and what one of them counted.
//! No checker uses it.

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
pub struct Draw(u64);

impl Draw {
    /// One for each seed. Neighbouring seeds have unrelated streams.
    pub fn new(seed: u64) -> Draw {
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Draw((mixed ^ (mixed >> 31)) | 1)
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
#[doc(hidden)]
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

/// Every fast checker with its comparison.
pub const DIFFERENCES: &[(&str, Differ)] = &[
    ("registers, unique values", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[0], seed, count)
    }),
    ("registers, unique values, info", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[1], seed, count)
    }),
    ("registers, repeated values", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[2], seed, count)
    }),
    ("registers, repeated values, info", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[3], seed, count)
    }),
    ("registers, much info", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[4], seed, count)
    }),
    ("registers, refused cas", |seed, count| {
        crate::linearizable::fuzz::differ_in(crate::linearizable::fuzz::KINDS[5], seed, count)
    }),
    ("model register", |seed, count| crate::model::fuzz::differ("register", seed, count)),
    ("model cas-register", |seed, count| crate::model::fuzz::differ("cas-register", seed, count)),
    ("model versioned-register", |seed, count| crate::model::fuzz::differ("versioned-register", seed, count)),
    ("model multi-register", |seed, count| crate::model::fuzz::differ("multi-register", seed, count)),
    ("model kv", |seed, count| crate::model::fuzz::differ("kv", seed, count)),
    ("model mutex", |seed, count| crate::model::fuzz::differ("mutex", seed, count)),
    ("model owner-mutex", |seed, count| crate::model::fuzz::differ("owner-mutex", seed, count)),
    ("model reentrant-mutex", |seed, count| crate::model::fuzz::differ("reentrant-mutex", seed, count)),
    ("model semaphore", |seed, count| crate::model::fuzz::differ("semaphore", seed, count)),
    ("model fenced-lock", |seed, count| crate::model::fuzz::differ("fenced-lock", seed, count)),
    ("model lease", |seed, count| crate::model::fuzz::differ("lease", seed, count)),
    ("model fifo-queue", |seed, count| crate::model::fuzz::differ("fifo-queue", seed, count)),
    ("model unordered-queue", |seed, count| crate::model::fuzz::differ("unordered-queue", seed, count)),
    ("model priority-queue", |seed, count| crate::model::fuzz::differ("priority-queue", seed, count)),
    ("model stack", |seed, count| crate::model::fuzz::differ("stack", seed, count)),
    ("model set", |seed, count| crate::model::fuzz::differ("set", seed, count)),
    ("model counter", |seed, count| crate::model::fuzz::differ("counter", seed, count)),
    ("model log", |seed, count| crate::model::fuzz::differ("log", seed, count)),
    ("model leader-election", |seed, count| crate::model::fuzz::differ("leader-election", seed, count)),
    ("container queue", |seed, count| crate::containers::fuzz::differ("queue", seed, count)),
    ("container stack", |seed, count| crate::containers::fuzz::differ("stack", seed, count)),
    ("container smallest", |seed, count| crate::containers::fuzz::differ("smallest", seed, count)),
    ("container largest", |seed, count| crate::containers::fuzz::differ("largest", seed, count)),
    ("container bag", |seed, count| crate::containers::fuzz::differ("bag", seed, count)),
    ("container growing-set", |seed, count| crate::containers::fuzz::differ("growing-set", seed, count)),
    ("list-append", crate::transactions::fuzz::differ),
    ("list-append and rw-register, every model", crate::transactions::decided::fuzz::differ_models),
    ("list-append, simulated databases", crate::transactions::fuzz::differ_simulated),
    ("rw-register, mini-transactions", crate::transactions::rw_register::fuzz::differ),
    ("weak levels of transactions", crate::transactions::weak::fuzz::differ),
    ("levels of transactions", crate::transactions::weak::fuzz::differ_levels),
    ("initial values", crate::initial::fuzz::differ),
    ("causal: cc, ccv, cm", crate::weaker::fuzz::causal),
    ("pram", crate::weaker::fuzz::pipelined),
    ("sequential", crate::weaker::fuzz::sequential),
    ("session guarantees", crate::weaker::fuzz::sessions),
    ("staleness", crate::weaker::fuzz::staleness),
    ("eventual-convergence", crate::weaker::fuzz::convergence),
    ("set", crate::set::fuzz::differ),
    ("set-full", crate::set_full::fuzz::differ),
    ("queue", crate::queue::fuzz::differ),
    ("total-queue", crate::total_queue::fuzz::differ),
    ("counter", crate::counter::fuzz::differ),
    ("unique-ids", crate::unique_ids::fuzz::differ),
    ("monotonic", crate::monotonic::fuzz::differ),
    ("kafka", crate::kafka::fuzz::differ),
    ("watch", crate::watch::fuzz::differ),
    ("bank", crate::bank::fuzz::differ),
    ("long-fork", crate::long_fork::fuzz::differ),
    ("causal-reverse", crate::causal_reverse::fuzz::differ),
    ("lock, semaphore", crate::lock::fuzz::differ),
    ("lease", crate::lease::fuzz::differ),
    ("fencing", crate::fencing::fuzz::differ),
    ("atomic-commit", crate::atomic_commit::fuzz::differ),
    ("saga", crate::saga::fuzz::differ),
    ("crdt", crate::crdt::fuzz::differ),
    ("crashes", crate::crashes::fuzz::differ),
    ("split-brain", crate::split_brain::fuzz::differ),
    ("replicas-agree", crate::crdt::agree::fuzz::differ),
];
