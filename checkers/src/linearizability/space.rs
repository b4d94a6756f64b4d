//! The actions and states of one object as numbers: each action is stepped from each state at most once.
use crate::history::Op;
use crate::models::Model;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// One operation, its action as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedOperation {
    /// Index of the call.
    pub(crate) call: u64,
    /// Index of the reply; [`Op::OPEN`] for an operation that may take effect at any later time, or never.
    pub(crate) end: u64,
    /// What it did: a number of a [`Space`].
    pub(crate) action: u32,
    /// Whether it leaves every state as it is.
    pub(crate) observes: bool,
}

impl PlannedOperation {
    /// Whether it certainly happened.
    pub(crate) fn definite(&self) -> bool {
        self.end != Op::OPEN
    }
}

/// A fast hasher for keys of our own making: numbers without an adversary.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        // The upper bits are well mixed by the multiplication, the lower ones are what a table uses.
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.write_u64(u64::from_le_bytes([
                word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
            ]));
        }
        let rest = words.remainder().iter().fold(1, |rest: u64, byte| rest << 8 | u64::from(*byte));
        self.write_u64(rest);
    }
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// A table with that hasher.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

const IMPOSSIBLE: u32 = u32::MAX;

/// States and actions by number. The initial state is 0.
pub(crate) struct Space<'m, M: Model> {
    model: &'m M,
    states: Vec<M::State>,
    state_ids: Table<M::State, u32>,
    actions: Vec<M::Action>,
    action_ids: Table<M::Action, u32>,
    next: Table<(u32, u32), u32>,
    state_bytes: u64,
}

impl<'m, M: Model> Space<'m, M> {
    /// A space with nothing but the initial state.
    pub(crate) fn new(model: &'m M) -> Space<'m, M> {
        let initial = model.initial();
        Space {
            model,
            states: vec![initial.clone()],
            state_ids: [(initial, 0)].into_iter().collect(),
            actions: Vec::new(),
            action_ids: Table::default(),
            next: Table::default(),
            state_bytes: 0,
        }
    }

    /// The model.
    pub(crate) fn model(&self) -> &'m M {
        self.model
    }

    /// The number of an action.
    pub(crate) fn action_id(&mut self, action: M::Action) -> u32 {
        if let Some(id) = self.action_ids.get(&action) {
            return *id;
        }
        let id = self.actions.len() as u32;
        self.actions.push(action.clone());
        self.action_ids.insert(action, id);
        id
    }

    /// The action of a number.
    pub(crate) fn action(&self, id: u32) -> &M::Action {
        &self.actions[id as usize]
    }

    /// The number of a state.
    pub(crate) fn state_id(&mut self, state: M::State) -> u32 {
        if let Some(id) = self.state_ids.get(&state) {
            return *id;
        }
        let id = self.states.len() as u32;
        self.state_bytes += 2 * self.model.state_bytes(&state) as u64 + 32;
        self.states.push(state.clone());
        self.state_ids.insert(state, id);
        id
    }

    /// The state of a number.
    pub(crate) fn state(&self, id: u32) -> &M::State {
        &self.states[id as usize]
    }

    /// The state after the action, if it is possible.
    pub(crate) fn step(&mut self, state: u32, action: u32) -> Option<u32> {
        if let Some(&known) = self.next.get(&(state, action)) {
            return (known != IMPOSSIBLE).then_some(known);
        }
        let next = self.model.step(&self.states[state as usize], &self.actions[action as usize]);
        let next = next.map(|next| self.state_id(next));
        self.next.insert((state, action), next.unwrap_or(IMPOSSIBLE));
        next
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.state_bytes + self.next.len() as u64 * 20
    }
}

/// Which operations of unknown outcome were taken, of each kind how many: as a number, and comparable by inclusion.
#[derive(Debug)]
pub(crate) struct Spent {
    sets: Vec<Box<[(u32, u32)]>>,
    ids: HashMap<Box<[(u32, u32)]>, u32>,
    /// The set with one more of a kind.
    more: Table<(u32, u32), u32>,
    bytes: u64,
}

impl Spent {
    /// With only the empty set, number 0.
    pub(crate) fn new() -> Spent {
        let nothing: Box<[(u32, u32)]> = Box::default();
        Spent { sets: vec![nothing.clone()], ids: HashMap::from([(nothing, 0)]), more: Table::default(), bytes: 0 }
    }

    /// How many of this kind are in the set.
    pub(crate) fn count(&self, set: u32, kind: u32) -> u32 {
        let set = &self.sets[set as usize];
        set.binary_search_by_key(&kind, |entry| entry.0).map_or(0, |at| set[at].1)
    }

    /// The set with one more of this kind.
    pub(crate) fn with(&mut self, set: u32, kind: u32) -> u32 {
        if let Some(&known) = self.more.get(&(set, kind)) {
            return known;
        }
        let mut larger = self.sets[set as usize].to_vec();
        match larger.binary_search_by_key(&kind, |entry| entry.0) {
            Ok(at) => larger[at].1 += 1,
            Err(at) => larger.insert(at, (kind, 1)),
        }
        let larger = larger.into_boxed_slice();
        let id = match self.ids.get(&larger) {
            Some(id) => *id,
            None => {
                let id = self.sets.len() as u32;
                self.bytes += 64 + 16 * larger.len() as u64;
                self.sets.push(larger.clone());
                self.ids.insert(larger, id);
                id
            }
        };
        self.more.insert((set, kind), id);
        id
    }

    /// Whether the first set is part of the second.
    pub(crate) fn within(&self, small: u32, large: u32) -> bool {
        if small == large || small == 0 {
            return true;
        }
        let (small, large) = (&self.sets[small as usize], &self.sets[large as usize]);
        if small.len() > large.len() {
            return false;
        }
        let mut rest = large.iter();
        small.iter().all(|(kind, count)| {
            rest.find(|(other, _)| other >= kind).is_some_and(|(other, have)| other == kind && have >= count)
        })
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.more.len() as u64 * 20
    }
}

/// Sets, none of them part of another. Most often there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Least(Vec<u32>);

impl Least {
    /// Adds the set, unless one that is there is part of it, and drops those that it is part of. Returns whether it was added.
    pub(crate) fn add(&mut self, set: u32, spent: &Spent) -> bool {
        if self.0.iter().any(|&known| spent.within(known, set)) {
            return false;
        }
        self.0.retain(|&known| !spent.within(set, known));
        self.0.push(set);
        true
    }

    /// Whether the set is there.
    pub(crate) fn has(&self, set: u32) -> bool {
        self.0.contains(&set)
    }
}

/// The operations of one object, sorted out for the engines.
pub(crate) struct Plan {
    /// Operations that certainly happened, by call.
    pub(crate) definite: Vec<PlannedOperation>,
    /// Places of these by return.
    pub(crate) returns: Vec<u32>,
    /// A slot for each of these: two that are open at the same time never share one.
    pub(crate) slot: Vec<u32>,
    /// How many slots.
    pub(crate) width: usize,
    /// Operations that may have happened: each kind of action, and the calls of its operations in ascending order.
    pub(crate) kinds: Vec<(u32, Vec<u64>)>,
}

impl Plan {
    /// Sorts the operations out. Observations of unknown outcome say nothing, nor does what was called after every return.
    pub(crate) fn new(steps: &[PlannedOperation]) -> Plan {
        let mut definite: Vec<PlannedOperation> = steps.iter().filter(|step| step.definite()).copied().collect();
        definite.sort_unstable_by_key(|step| step.call);
        let mut returns: Vec<u32> = (0..definite.len() as u32).collect();
        returns.sort_unstable_by_key(|&at| definite[at as usize].end);
        let last = returns.last().map_or(0, |&at| definite[at as usize].end);
        let mut kinds: Vec<(u32, Vec<u64>)> = Vec::new();
        let mut places: Table<u32, usize> = Table::default();
        for step in steps.iter().filter(|step| !step.definite() && !step.observes && step.call < last) {
            let place = *places.entry(step.action).or_insert_with(|| {
                kinds.push((step.action, Vec::new()));
                kinds.len() - 1
            });
            kinds[place].1.push(step.call);
        }
        kinds.iter_mut().for_each(|kind| kind.1.sort_unstable());
        let (slot, width) = slots(&definite, &returns);
        Plan { definite, returns, slot, width, kinds }
    }

    /// Index of the return at this place.
    pub(crate) fn end(&self, place: usize) -> u64 {
        self.definite[self.returns[place] as usize].end
    }
}

fn slots(definite: &[PlannedOperation], returns: &[u32]) -> (Vec<u32>, usize) {
    let mut slot = vec![0; definite.len()];
    let mut free: Vec<u32> = Vec::new();
    let mut width = 0;
    let mut returned = returns.iter().peekable();
    for (at, step) in definite.iter().enumerate() {
        while let Some(done) = returned.next_if(|&&done| definite[done as usize].end <= step.call) {
            free.push(slot[*done as usize]);
        }
        slot[at] = free.pop().unwrap_or_else(|| {
            width += 1;
            width - 1
        });
    }
    (slot, width as usize)
}

/// A bit for each slot: as it is where 64 suffice, otherwise the number of a set of bits.
pub(crate) struct Bits {
    wide: Vec<Box<[u64]>>,
    ids: HashMap<Box<[u64]>, u64>,
    words: usize,
}

impl Bits {
    /// Of this many slots.
    pub(crate) fn new(width: usize) -> Bits {
        let words = width.div_ceil(64).max(1);
        let nothing = vec![0u64; words].into_boxed_slice();
        Bits { ids: HashMap::from([(nothing.clone(), 0)]), wide: vec![nothing], words }
    }

    /// Whether the slot's bit is set.
    pub(crate) fn has(&self, bits: u64, slot: u32) -> bool {
        if self.words == 1 {
            return bits >> slot & 1 == 1;
        }
        self.wide[bits as usize][slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// The bits with the slot's bit turned over.
    pub(crate) fn flip(&mut self, bits: u64, slot: u32) -> u64 {
        if self.words == 1 {
            return bits ^ 1 << slot;
        }
        let mut wide = self.wide[bits as usize].clone();
        wide[slot as usize / 64] ^= 1 << (slot % 64);
        if let Some(id) = self.ids.get(&wide) {
            return *id;
        }
        let id = self.wide.len() as u64;
        self.wide.push(wide.clone());
        self.ids.insert(wide, id);
        id
    }

    /// Bytes held, about.
    pub(crate) fn bytes(&self) -> u64 {
        if self.words == 1 { 0 } else { self.wide.len() as u64 * (16 * self.words as u64 + 64) }
    }
}
