//! The one list of differential tests. No checker uses it.
pub use crate::random::{Differ, Draw, Stats, Watch, watch};

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
