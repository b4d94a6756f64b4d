//! The edges that causal consistency forces: a transaction sees all of its causal past, the transitive closure of session
//! order and reads-from. One pass in causal order, with a vector clock over chains of transactions.
//!
//! A chain is a session, or several sessions one after the other, where the later had seen the whole earlier one:
//! otherwise a run in which every timeout retires a process would need a clock of thousands of places. The last
//! transactions of a session that no other session sees are in no chain.
use super::edges::{Sink, own_session};
use super::view::{INITIAL, Versions, View};
use crate::graph::Digraph;
use crate::verdict::Budget;

/// Why there are no edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Session order and reads-from form a cycle already.
    Cycle,
    /// The budget ran out.
    Expired,
    /// The clocks would not fit into the budget's memory.
    Memory,
}

/// Causal order: transactions, then one node for each list version that was read (its readers have seen all its writers).
pub(crate) struct Causes {
    /// From each node to its direct causes.
    before: Digraph,
    /// From each node to those that it is a direct cause of.
    after: Digraph,
    /// Transactions among the nodes.
    txns: usize,
}

impl Causes {
    /// The direct causes in a history. With `versions`, the writer of a version is a cause of its overwriter.
    pub(crate) fn new(view: &View, versions: bool) -> Causes {
        let previous = view.previous();
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(view.len() * 3);
        pairs
            .extend(previous.iter().enumerate().filter(|(_, one)| **one != INITIAL).map(|(at, one)| (*one, at as u32)));
        let mut places: Vec<(u32, u32, u32)> = Vec::new();
        for reader in 0..view.len() as u32 {
            let reads = view.reads(reader);
            for (at, read) in reads.iter().enumerate() {
                if read.from == INITIAL {
                    continue;
                }
                match view.versions[read.key as usize] {
                    Versions::Containing(_) => places.push((read.key, read.place, reader)),
                    _ if at > 0 && reads[at - 1].from == read.from => {}
                    _ => pairs.push((read.from, reader)),
                }
            }
        }
        for chain in view.versions.iter().filter(|_| versions).filter_map(Versions::chain) {
            pairs.extend(chain.writers.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| (pair[0], pair[1])));
            let last = chain.writers.last().into_iter();
            pairs.extend(
                last.flat_map(|&last| chain.tail.iter().filter(move |&&one| one != last).map(move |&one| (last, one))),
            );
        }
        let nodes = view.len() + list_nodes(view, &mut places, &mut pairs);
        let after = Digraph::of_pairs(nodes, &pairs);
        let before = Digraph::new(nodes, pairs.iter().map(|&(from, to)| (to, from, ())));
        Causes { before, after, txns: view.len() }
    }

    /// The nodes in an order that puts causes first and otherwise follows the numbers of transactions; `None` on a cycle. A list
    /// version comes as soon as it can, so that few clocks are needed at a time.
    fn order(&self) -> Option<Vec<u32>> {
        self.after.order_with_eager(self.txns as u32)
    }

    /// A shortest chain of causes from one transaction to another: the transactions on it. Empty if there is none.
    pub(crate) fn path(&self, from: u32, to: u32) -> Vec<u32> {
        let path = self.before.path(to, from, |()| true);
        let nodes = path.iter().rev().map(|&(_, cause, ())| cause).chain((!path.is_empty()).then_some(to));
        nodes.filter(|&node| (node as usize) < self.txns).collect()
    }
}

/// Adds the nodes of list versions that were read: the writers of elements since the version read before, and that version,
/// come before it; it comes before its readers. How many there are.
fn list_nodes(view: &View, places: &mut [(u32, u32, u32)], pairs: &mut Vec<(u32, u32)>) -> usize {
    places.sort_unstable();
    let mut nodes = 0;
    let mut before: Option<(u32, u32)> = None;
    for &(key, place, reader) in places.iter() {
        let node = if before == Some((key, place)) {
            (view.len() + nodes - 1) as u32
        } else {
            let node = (view.len() + nodes) as u32;
            nodes += 1;
            let from = match before {
                Some((known, place)) if known == key => {
                    pairs.push((node - 1, node));
                    place
                }
                _ => 0,
            };
            let writers = view.versions[key as usize].chain().map_or(&[][..], |chain| &chain.writers[..]);
            let mut last = INITIAL;
            for &writer in &writers[from as usize..place as usize] {
                if writer != last {
                    pairs.push((writer, node));
                }
                last = writer;
            }
            before = Some((key, place));
            node
        };
        pairs.push((node, reader));
    }
    nodes
}

/// Vector clocks of the nodes whose successors are not all done yet, in rows that are used again.
struct Clocks {
    width: usize,
    cells: Vec<u32>,
    row: Vec<u32>,
    left: Vec<u32>,
    free: Vec<u32>,
}

impl Clocks {
    fn new(causes: &Causes, width: usize) -> Clocks {
        let left = (0..causes.after.len() as u32).map(|node| causes.after.from(node).len() as u32).collect();
        Clocks { width, cells: Vec::new(), row: vec![0; causes.after.len()], left, free: Vec::new() }
    }

    fn bytes(&self) -> u64 {
        self.cells.capacity() as u64 * 4
    }

    fn set(&mut self, row: u32, chain: u32, length: u32) {
        self.cells[row as usize * self.width + chain as usize] = length;
    }

    fn row_of(&self, row: u32) -> &[u32] {
        &self.cells[row as usize * self.width..(row as usize + 1) * self.width]
    }

    /// The clock of a node from its causes' clocks, which may be given up with that. It counts how many transactions of
    /// each chain are in the past.
    fn enter(&mut self, causes: &Causes, node: u32, chains: &Chains) -> u32 {
        let width = self.width;
        let mut taken: Option<u32> = None;
        for &(cause, ()) in causes.before.from(node) {
            let row = self.row[cause as usize];
            self.left[cause as usize] -= 1;
            let last_use = self.left[cause as usize] == 0;
            match taken {
                None if last_use => taken = Some(row),
                // Whoever is in the past already brings nothing.
                Some(mine) if chains.within(cause, self.row_of(mine)) => {
                    if last_use {
                        self.free.push(row);
                    }
                }
                None => {
                    let mine = self.fresh();
                    let (mine_at, theirs_at) = (mine as usize * width, row as usize * width);
                    self.cells.copy_within(theirs_at..theirs_at + width, mine_at);
                    taken = Some(mine);
                }
                Some(mine) => {
                    let (mine_at, theirs_at) = (mine as usize * width, row as usize * width);
                    let (low, high) = (mine_at.min(theirs_at), mine_at.max(theirs_at));
                    let (front, back) = self.cells.split_at_mut(high);
                    let (one, two) = (&mut front[low..low + width], &mut back[..width]);
                    let (mine, theirs) = if mine_at < theirs_at { (one, &*two) } else { (two, &*one) };
                    for (cell, other) in mine.iter_mut().zip(theirs) {
                        *cell = (*cell).max(*other);
                    }
                    if last_use {
                        self.free.push(row);
                    }
                }
            }
        }
        let row = taken.unwrap_or_else(|| {
            let row = self.fresh();
            self.cells[row as usize * width..(row as usize + 1) * width].fill(0);
            row
        });
        self.row[node as usize] = row;
        row
    }

    /// The node is done; its clock stays while others need it.
    fn leave(&mut self, node: u32) {
        if self.left[node as usize] == 0 {
            self.free.push(self.row[node as usize]);
        }
    }

    /// Makes each clock this wide.
    fn widen(&mut self, width: usize) {
        let rows = self.cells.len() / self.width;
        let mut cells = vec![0; rows * width];
        for row in 0..rows {
            cells[row * width..row * width + self.width].copy_from_slice(self.row_of(row as u32));
        }
        (self.cells, self.width) = (cells, width);
    }

    fn fresh(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let row = (self.cells.len() / self.width) as u32;
            self.cells.resize(self.cells.len() + self.width, 0);
            row
        })
    }
}

/// Up to this many sessions each is its own chain.
pub(crate) const SESSIONS_AS_CHAINS: usize = 16;

/// The chain of each transaction met so far ([`INITIAL`]: in none), and how many of the chain came with it.
struct Chains {
    /// Chain, and length up to there.
    places: Vec<(u32, u32)>,
    lengths: Vec<u32>,
    /// Chains whose session ended.
    ended: Vec<u32>,
    merging: Option<Merging>,
}

/// What is known of sessions that may share a chain.
struct Merging {
    previous: Vec<u32>,
    /// Whether another session sees it; otherwise it needs no chain.
    seen: Vec<bool>,
    /// Of those seen, whether it is the last of its session.
    is_last: Vec<bool>,
}

impl Chains {
    /// Each session a chain.
    fn sessions(view: &View) -> Chains {
        let lengths = vec![0; view.sessions()];
        Chains { places: vec![(INITIAL, 0); view.len()], lengths, ended: Vec::new(), merging: None }
    }

    /// Greedy: a session joins a chain that has ended as soon as it has seen that end. Transactions that only their own
    /// session sees are in no chain.
    fn merged(view: &View, causes: &Causes) -> Chains {
        let previous = view.previous();
        let seen = seen_by_others(view, causes, &previous);
        let mut is_last = seen.clone();
        for (txn, &before) in previous.iter().enumerate() {
            if before != INITIAL && seen[txn] {
                is_last[before as usize] = false;
            }
        }
        let merging = Some(Merging { previous, seen, is_last });
        Chains { places: vec![(INITIAL, 0); view.len()], lengths: Vec::new(), ended: Vec::new(), merging }
    }

    /// Whether a node is in the past that this clock counts, as far as it is in a chain.
    fn within(&self, node: u32, clock: &[u32]) -> bool {
        let place = self.places.get(node as usize).filter(|place| place.0 != INITIAL);
        place.is_some_and(|&(chain, length)| clock[chain as usize] >= length)
    }

    /// Puts a transaction, whose past this clock counts, at the end of a chain: which, and its length with it.
    fn put(&mut self, view: &View, txn: u32, clock: &[u32]) -> Option<(u32, u32)> {
        let at = txn as usize;
        let chain = match &self.merging {
            None => view.session[at],
            Some(merging) if !merging.seen[at] => return None,
            Some(merging) => match merging.previous[at] {
                INITIAL => {
                    let lengths = &self.lengths;
                    let met = |&chain: &u32| clock[chain as usize] == lengths[chain as usize];
                    match self.ended.iter().position(met) {
                        Some(ended) => self.ended.swap_remove(ended),
                        None => {
                            self.lengths.push(0);
                            self.lengths.len() as u32 - 1
                        }
                    }
                }
                before => self.places[before as usize].0,
            },
        };
        let length = &mut self.lengths[chain as usize];
        *length += 1;
        self.places[at] = (chain, *length);
        if self.merging.as_ref().is_some_and(|merging| merging.is_last[at]) {
            self.ended.push(chain);
        }
        Some((chain, *length))
    }
}

/// Whether a transaction is in the past of one of another session, as far as its direct successors say: all but the last
/// ones of their sessions.
fn seen_by_others(view: &View, causes: &Causes, previous: &[u32]) -> Vec<bool> {
    let mut seen = vec![false; view.len()];
    for txn in (0..view.len()).rev() {
        let other = |&(after, ()): &(u32, ())| {
            (after as usize) >= view.len() || view.session[after as usize] != view.session[txn]
        };
        let next = causes.after.from(txn as u32).iter().any(other);
        seen[txn] |= next;
        if seen[txn] && previous[txn] != INITIAL {
            seen[previous[txn] as usize] = true;
        }
    }
    seen
}

/// The writers of each key met so far, by chain.
struct Writers {
    /// The first group of each key; [`INITIAL`] for none.
    first: Vec<u32>,
    groups: Vec<Group>,
    writers: Vec<Writer>,
}

/// A chain's writers of a key.
struct Group {
    chain: u32,
    last: u32,
    /// The key's next group, or [`INITIAL`].
    next: u32,
}

/// One of a group, with two ways back: skew-binary jumps (Myers 1983, "An applicative random-access stack"), so that any
/// place is found in logarithmic time.
#[derive(Clone, Copy)]
struct Writer {
    /// The length of the chain with it.
    length: u32,
    txn: u32,
    /// The writer before, and one further back; itself, for the first.
    before: u32,
    jump: u32,
    depth: u32,
}

impl Writers {
    fn new(keys: usize) -> Writers {
        Writers { first: vec![INITIAL; keys], groups: Vec::new(), writers: Vec::new() }
    }

    fn bytes(&self) -> u64 {
        (self.groups.capacity() * size_of::<Group>() + self.writers.capacity() * size_of::<Writer>()) as u64
    }

    /// The last of its chain so far wrote the key.
    fn add(&mut self, key: u32, txn: u32, (chain, length): (u32, u32)) {
        let new = self.writers.len() as u32;
        let mut at = self.first[key as usize];
        while at != INITIAL && self.groups[at as usize].chain != chain {
            at = self.groups[at as usize].next;
        }
        if at == INITIAL {
            let next = std::mem::replace(&mut self.first[key as usize], self.groups.len() as u32);
            self.groups.push(Group { chain, last: new, next });
            self.writers.push(Writer { length, txn, before: new, jump: new, depth: 0 });
            return;
        }
        let before = std::mem::replace(&mut self.groups[at as usize].last, new);
        let one = self.writers[before as usize];
        let two = self.writers[one.jump as usize];
        let far = self.writers[two.jump as usize];
        let jump = if one.depth - two.depth == two.depth - far.depth { two.jump } else { before };
        self.writers.push(Writer { length, txn, before, jump, depth: one.depth + 1 });
    }

    /// The last writer of the key in each chain's past, as this clock has it.
    fn last(&self, key: u32, clock: &[u32], mut each: impl FnMut(u32)) {
        let mut at = self.first[key as usize];
        while at != INITIAL {
            let group = &self.groups[at as usize];
            let past = clock[group.chain as usize];
            let mut here = self.writers[group.last as usize];
            while here.length > past && here.depth > 0 {
                let far = self.writers[here.jump as usize];
                here = if far.length > past { far } else { self.writers[here.before as usize] };
            }
            if here.length <= past {
                each(here.txn);
            }
            at = group.next;
        }
    }
}

/// Causal consistency: a transaction sees its causal past.
///
/// # Errors
/// [`Stop::Cycle`] where the past is no order; the others where the budget ended.
pub(crate) fn causal(
    view: &View,
    causes: &Causes,
    sessions_as_chains: usize,
    budget: &Budget,
    sink: &mut impl Sink,
) -> Result<(), Stop> {
    let order = causes.order().ok_or(Stop::Cycle)?;
    let mut chains = if view.sessions() <= sessions_as_chains {
        Chains::sessions(view)
    } else {
        own_session(view, sink);
        Chains::merged(view, causes)
    };
    let mut writers = Writers::new(view.keys());
    let mut clocks = Clocks::new(causes, chains.lengths.len().max(8));
    for (done, &node) in order.iter().enumerate() {
        if done % 4096 == 0 && (budget.expired)() {
            return Err(Stop::Expired);
        }
        if clocks.bytes() + writers.bytes() > budget.memory_bytes {
            return Err(Stop::Memory);
        }
        let row = clocks.enter(causes, node, &chains);
        if (node as usize) < view.len() {
            let clock = clocks.row_of(row);
            let reads = view.reads(node);
            for (at, read) in reads.iter().enumerate() {
                // The same version of the same key again says nothing new.
                if read.behind_own || (at > 0 && reads[at - 1] == *read) {
                    continue;
                }
                writers.last(read.key, clock, |writer| {
                    if writer != read.from {
                        sink.edge(writer, read.from, node, read.key);
                    }
                });
            }
            if let Some((chain, length)) = chains.put(view, node, clock) {
                if chains.lengths.len() > clocks.width {
                    clocks.widen(clocks.width + clocks.width / 2);
                }
                clocks.set(row, chain, length);
                view.writes(node).iter().for_each(|&key| writers.add(key, node, (chain, length)));
            }
        }
        clocks.leave(node);
    }
    Ok(())
}
