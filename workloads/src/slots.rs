//! [`Slots`]: the keys in use, shared by all workers. A slot stands for one key at a time. After a number of calls a fresh key
//! replaces it, so that no key's history grows without bound.
use dsfuzz_checkers::Value;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A value that no workload writes. As the expected value of a compare-and-set it means "nothing known", and the call
/// certainly fails.
pub(crate) const NEVER_WRITTEN: i64 = 0;

pub(crate) struct Slots {
    slots: Vec<KeySlot>,
    calls_per_key: u64,
}

struct KeySlot {
    taken: AtomicU64,
    /// The last value seen in the slot's key.
    seen: AtomicI64,
}

impl Slots {
    pub(crate) fn new(keys: u32, calls_per_key: u32) -> Slots {
        let slot = |_| KeySlot { taken: AtomicU64::new(0), seen: AtomicI64::new(NEVER_WRITTEN) };
        Slots { slots: (0..keys.max(1)).map(slot).collect(), calls_per_key: u64::from(calls_per_key.max(1)) }
    }

    pub(crate) fn count(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The present key of a slot: slot + keys * generation.
    pub(crate) fn key(&self, slot: usize) -> i64 {
        self.key_of(slot, self.slots[slot].taken.load(Ordering::Relaxed) / self.calls_per_key)
    }

    /// Counts a call on the slot's key.
    pub(crate) fn taken(&self, slot: usize) {
        let before = self.slots[slot].taken.fetch_add(1, Ordering::Relaxed);
        if (before + 1).is_multiple_of(self.calls_per_key) {
            self.slots[slot].seen.store(NEVER_WRITTEN, Ordering::Relaxed);
        }
    }

    /// The last value seen in the slot's key.
    pub(crate) fn seen(&self, slot: usize) -> i64 {
        self.slots[slot].seen.load(Ordering::Relaxed)
    }

    /// Keeps a value seen in a key, if the key is still in use.
    pub(crate) fn saw(&self, key: &Value, value: &Value) {
        let (Some(key), Some(value)) = (key.as_int(), value.as_int()) else { return };
        let slot = (key.unsigned_abs() % self.count()) as usize;
        if self.key(slot) == key {
            self.slots[slot].seen.store(value, Ordering::Relaxed);
        }
    }

    /// The keys in use and their predecessors, in order of slot, newest first.
    pub(crate) fn recent(&self) -> Vec<i64> {
        let mut keys = Vec::new();
        for (position, slot) in self.slots.iter().enumerate() {
            let generation = slot.taken.load(Ordering::Relaxed).saturating_sub(1) / self.calls_per_key;
            keys.push(self.key_of(position, generation));
            keys.extend(generation.checked_sub(1).map(|before| self.key_of(position, before)));
        }
        keys
    }

    fn key_of(&self, slot: usize, generation: u64) -> i64 {
        (slot as u64 + self.count() * generation) as i64
    }
}
