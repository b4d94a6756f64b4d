//! [`Appends`]: the appends to one key, and a table from element to append that is used again for every key. `list-append` and the
//! weak levels ask it for the writers of what was read.
use crate::graph::NONE;
use crate::value::Word;

/// An append.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append {
    pub(super) element: Word,
    pub(super) txn: u32,
    /// How many appends of its transaction to the key come before it.
    pub(super) nth: u32,
    /// Its place among all micro-operations.
    pub(super) mop: u32,
    /// Where its element stands in the longest list.
    pub(super) place: u32,
    /// The last of the lists judged one by one that has it.
    pub(super) serial: u32,
    /// Whether it is its transaction's last to the key.
    pub(super) last: bool,
    /// Whether another transaction read it.
    pub(super) seen: bool,
    /// Whether another transaction that may have taken effect appended the same element.
    pub(super) ambiguous: bool,
}

impl Append {
    pub(super) fn new(element: Word, txn: u32, mop: u32) -> Append {
        Append { element, txn, nth: 0, mop, place: NONE, serial: NONE, last: true, seen: false, ambiguous: false }
    }
}

/// The appends to one key in the order of their calls.
#[derive(Debug, Default)]
pub(super) struct Appends {
    appends: Vec<Append>,
    /// Open addressing: the round in which a slot was filled, and the append.
    slots: Vec<(u32, u32)>,
    mask: usize,
    round: u32,
}

impl Appends {
    pub(super) fn clear(&mut self) {
        self.appends.clear();
    }

    pub(super) fn push(&mut self, mut append: Append) {
        if let Some(before) = self.appends.last_mut().filter(|before| before.txn == append.txn) {
            before.last = false;
            append.nth = before.nth + 1;
        }
        self.appends.push(append);
    }

    pub(super) fn appends(&self) -> &[Append] {
        &self.appends
    }

    pub(super) fn at(&mut self, at: u32) -> &mut Append {
        &mut self.appends[at as usize]
    }

    /// Makes the elements findable; of several appends of one element, the one that may have taken effect. Returns the pairs in
    /// which both may have.
    pub(super) fn index(&mut self, failed: impl Fn(u32) -> bool) -> Vec<(Append, Append)> {
        let wanted = (2 * self.appends.len()).next_power_of_two().max(16);
        if self.slots.len() < wanted {
            self.slots = vec![(0, 0); wanted];
            self.round = 0;
        }
        self.mask = wanted - 1;
        self.round += 1;
        let mut pairs = Vec::new();
        for at in 0..self.appends.len() as u32 {
            let element = self.appends[at as usize].element;
            let slot = self.slot(element);
            let (round, before) = self.slots[slot];
            if round != self.round {
                self.slots[slot] = (self.round, at);
                continue;
            }
            let (one, other) = (self.appends[before as usize], self.appends[at as usize]);
            match (failed(one.txn), failed(other.txn)) {
                (true, false) => self.slots[slot].1 = at,
                (_, true) => {}
                (false, false) => {
                    if !one.ambiguous {
                        pairs.push((one, other));
                    }
                    for append in [before, at] {
                        self.appends[append as usize].ambiguous = true;
                        self.appends[append as usize].seen = true;
                    }
                }
            }
        }
        pairs
    }

    /// The append of this element.
    pub(super) fn of(&self, element: Word) -> Option<&Append> {
        Some(&self.appends[self.find(element)? as usize])
    }

    /// The place of the append of this element.
    pub(super) fn find(&self, element: Word) -> Option<u32> {
        let (round, at) = self.slots[self.slot(element)];
        (round == self.round).then_some(at)
    }

    /// The slot with the element, or the free one where it belongs.
    fn slot(&self, element: Word) -> usize {
        let mixed = u128::from(element.bits() ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
        let mut slot = (mixed as u64 ^ (mixed >> 64) as u64) as usize & self.mask;
        loop {
            let (round, at) = self.slots[slot];
            if round != self.round || self.appends[at as usize].element == element {
                return slot;
            }
            slot = (slot + 1) & self.mask;
        }
    }
}
