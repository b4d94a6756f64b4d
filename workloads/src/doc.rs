//! [`WorkloadDoc`], a workload's entry in listings, and the limit on keys. It stands below the workloads, so that none of them
//! needs the list of all (`options`).
use dsfuzz_checkers::Reads;

/// Most keys of a workload: each is held in memory and read at the end on every node.
const KEYS_MAX: u32 = 100_000;

/// The mistake in a number of keys.
pub(crate) fn keys_mistake(option: &'static str, keys: u32) -> Option<(&'static str, String)> {
    match keys {
        0 => Some((option, "no key at all would be used; at least 1".to_owned())),
        keys if keys > KEYS_MAX => Some((option, format!("{keys} keys; at most {KEYS_MAX} are held"))),
        _ => None,
    }
}

/// The entry of a workload in `dsfuzz list`.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// The object whose functions it calls (`objects`). A client that carries the object carries the workload.
    pub object: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// What its reads reply with. With its functions this says which checkers can judge it.
    pub reads: Reads,
    /// The checkers that it drives: its own, those that one of its options chooses, and those that a plan may name besides. It makes the
    /// calls that they need, so that each of them decides whether an honest target keeps its promise.
    pub checkers: &'static [&'static str],
}
