//! Brute force beside every fast checker, and the random histories that both judge: for tests, benches and fuzzing.
//!
//! Only the feature `oracles` compiles this; no checker uses it. Each oracle stands in a `fuzz.rs` beside its checker,
//! because it compares single engines, too. [`DIFFERENCES`] lists them.
pub use crate::history::fuzz::{Mutations, check_reader, mutate_read};
pub use crate::random::{Differ, Rng, Stats, Watch, watch};
pub use crate::testing::complete;
pub use crate::transactions::simulate::{Isolation, Shape, simulate};
pub use crate::transactions::weak::load::{LoadIsolation, LoadKind, load};

/// Every fast checker with the comparison that its oracle makes.
pub const DIFFERENCES: &[(&str, Differ)] = &[
    ("registers, unique values", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[0], seed, count)
    }),
    ("registers, unique values, info", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[1], seed, count)
    }),
    ("registers, repeated values", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[2], seed, count)
    }),
    ("registers, repeated values, info", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[3], seed, count)
    }),
    ("registers, much info", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[4], seed, count)
    }),
    ("registers, refused cas", |seed, count| {
        crate::linearizability::fuzz::differ_in(crate::linearizability::fuzz::KINDS[5], seed, count)
    }),
    ("model register", |seed, count| crate::models::fuzz::differ("register", seed, count)),
    ("model cas-register", |seed, count| crate::models::fuzz::differ("cas-register", seed, count)),
    ("model versioned-register", |seed, count| crate::models::fuzz::differ("versioned-register", seed, count)),
    ("model multi-register", |seed, count| crate::models::fuzz::differ("multi-register", seed, count)),
    ("model kv", |seed, count| crate::models::fuzz::differ("kv", seed, count)),
    ("model mutex", |seed, count| crate::models::fuzz::differ("mutex", seed, count)),
    ("model owner-mutex", |seed, count| crate::models::fuzz::differ("owner-mutex", seed, count)),
    ("model reentrant-mutex", |seed, count| crate::models::fuzz::differ("reentrant-mutex", seed, count)),
    ("model semaphore", |seed, count| crate::models::fuzz::differ("semaphore", seed, count)),
    ("model fenced-lock", |seed, count| crate::models::fuzz::differ("fenced-lock", seed, count)),
    ("model lease", |seed, count| crate::models::fuzz::differ("lease", seed, count)),
    ("model fifo-queue", |seed, count| crate::models::fuzz::differ("fifo-queue", seed, count)),
    ("model unordered-queue", |seed, count| crate::models::fuzz::differ("unordered-queue", seed, count)),
    ("model priority-queue", |seed, count| crate::models::fuzz::differ("priority-queue", seed, count)),
    ("model stack", |seed, count| crate::models::fuzz::differ("stack", seed, count)),
    ("model set", |seed, count| crate::models::fuzz::differ("set", seed, count)),
    ("model counter", |seed, count| crate::models::fuzz::differ("counter", seed, count)),
    ("model log", |seed, count| crate::models::fuzz::differ("log", seed, count)),
    ("model leader-election", |seed, count| crate::models::fuzz::differ("leader-election", seed, count)),
    ("container queue", |seed, count| crate::linearizability::containers::fuzz::differ("queue", seed, count)),
    ("container stack", |seed, count| crate::linearizability::containers::fuzz::differ("stack", seed, count)),
    ("container smallest", |seed, count| crate::linearizability::containers::fuzz::differ("smallest", seed, count)),
    ("container largest", |seed, count| crate::linearizability::containers::fuzz::differ("largest", seed, count)),
    ("container bag", |seed, count| crate::linearizability::containers::fuzz::differ("bag", seed, count)),
    ("container growing-set", |seed, count| {
        crate::linearizability::containers::fuzz::differ("growing-set", seed, count)
    }),
    ("list-append", crate::transactions::fuzz::differ),
    ("list-append and rw-register, every model", crate::transactions::decided::fuzz::differ_models),
    ("list-append, simulated databases", crate::transactions::fuzz::differ_simulated),
    ("rw-register, mini-transactions", crate::transactions::rw_register::fuzz::differ),
    ("weak levels of transactions", crate::transactions::weak::fuzz::differ),
    ("levels of transactions", crate::transactions::weak::fuzz::differ_levels),
    ("initial values", crate::initial::fuzz::differ),
    ("causal: cc, ccv, cm", crate::registers::fuzz::causal),
    ("pram", crate::registers::fuzz::pipelined),
    ("sequential", crate::registers::fuzz::sequential),
    ("session guarantees", crate::registers::fuzz::sessions),
    ("staleness", crate::registers::fuzz::staleness),
    ("eventual-convergence", crate::registers::fuzz::convergence),
    ("set", crate::objects::set::fuzz::differ),
    ("set-full", crate::objects::set_full::fuzz::differ),
    ("queue", crate::objects::queue::fuzz::differ),
    ("total-queue", crate::objects::total_queue::fuzz::differ),
    ("counter", crate::objects::counter::fuzz::differ),
    ("unique-ids", crate::objects::unique_ids::fuzz::differ),
    ("monotonic", crate::objects::monotonic::fuzz::differ),
    ("kafka", crate::objects::kafka::fuzz::differ),
    ("watch", crate::objects::watch::fuzz::differ),
    ("bank", crate::transactions::bank::fuzz::differ),
    ("long-fork", crate::transactions::long_fork::fuzz::differ),
    ("causal-reverse", crate::transactions::causal_reverse::fuzz::differ),
    ("lock, semaphore", crate::locks::lock::fuzz::differ),
    ("lease", crate::locks::lease::fuzz::differ),
    ("fencing", crate::locks::fencing::fuzz::differ),
    ("atomic-commit", crate::transactions::atomic_commit::fuzz::differ),
    ("saga", crate::transactions::saga::fuzz::differ),
    ("crdt", crate::objects::crdt::fuzz::differ),
    ("crashes", crate::run_level::crashes::fuzz::differ),
    ("split-brain", crate::run_level::split_brain::fuzz::differ),
    ("replicas-agree", crate::objects::crdt::agree::fuzz::differ),
];
