//! What is known of the order of a register's versions: the initial one comes first; the rest is inferred from
//! transactions that touched two of them one after the other.
use crate::graph::{Digraph, cycle_of_each_component};
use crate::transactions::txn::Transactions;
use crate::transactions::weak::matched::Matched;
use crate::transactions::weak::view::{INITIAL, Read, View};

/// Where orders of versions are taken from, beside "the initial version comes first".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    /// What a transaction writes comes after what it read of the same key before.
    pub(crate) writes_follow_reads: bool,
    /// Each key alone is sequentially consistent: what a process touches later is not older.
    pub(crate) sequential: bool,
    /// Each key alone is linearizable: what is touched after a transaction had ended is not older than what that touched.
    pub(crate) linearizable: bool,
    /// Whether every write follows a read of its key, and no version is overwritten twice.
    pub(crate) updates: Updates,
}

/// What is made of histories in which every write follows a read of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// Nothing: there may be other writes.
    Unknown,
    /// Where one transaction's read of a key is unknown, it read the only version that no other transaction overwrote.
    Certain,
    /// Where there are several, they are put in some order.
    Guess,
}

/// Why one version comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// One transaction touched both, one after the other.
    Within,
    /// One process touched both.
    Process,
    /// The first had been touched by a transaction that ended before one was called that touched the second.
    Realtime,
    /// Every write follows a read of its key, and the first is the only version that the unknown read can have been of.
    Only,
    /// One of several orders that are possible.
    Guess,
}

/// An inferred order of two versions of a key, each named by its writer; the first may be [`INITIAL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionOrder {
    pub(crate) key: u32,
    pub(crate) before: u32,
    pub(crate) after: u32,
    pub(crate) source: Source,
    /// The transaction that touched the first.
    pub(crate) one: u32,
    /// The transaction that touched the second.
    pub(crate) other: u32,
}

/// The versions of all keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    /// By key, then by version: one reason for each pair.
    pub(crate) known: Vec<VersionOrder>,
    /// One cycle for each key whose versions would come before themselves. Nothing else is inferred of these keys.
    pub(crate) cyclic: Vec<Vec<VersionOrder>>,
    /// Writers of each key, by number.
    writers_at: Vec<u32>,
    writers: Vec<u32>,
    /// Keys with writes, and those of them whose versions are in one known order.
    pub(crate) written_keys: u64,
    pub(crate) total_keys: u64,
}

impl Orders {
    /// Infers the orders.
    pub(crate) fn new(transactions: &Transactions<'_>, matched: &Matched, sources: Sources) -> Orders {
        let view = &matched.view;
        let (touched_at, touched) = by_key(view, |txn, each| {
            view.reads(txn).iter().for_each(|read| each(read.key));
            view.writes(txn).iter().for_each(|&key| each(key));
        });
        let (writers_at, writers) = by_key(view, |txn, each| view.writes(txn).iter().for_each(|&key| each(key)));
        let mut out = Orders { writers_at, writers, ..Orders::default() };
        let mut last_of = vec![(INITIAL, INITIAL); view.sessions()];
        for key in 0..view.keys() as u32 {
            let touching = &touched[touched_at[key as usize] as usize..touched_at[key as usize + 1] as usize];
            let touches: Vec<Touch> = touching.iter().map(|&txn| Touch::new(view, txn, key)).collect();
            for touch in &touches {
                touch.within(view, key, sources, &mut out.known);
            }
            if sources.sequential {
                for (at, touch) in touches.iter().enumerate() {
                    let last = &mut last_of[view.session[touch.txn as usize] as usize];
                    if last.0 == key {
                        out.pair(key, &touches[last.1 as usize], touch, Source::Process);
                    }
                    *last = (key, at as u32);
                }
            }
            if sources.linearizable {
                out.realtime(transactions, matched, key, &touches);
            }
            if sources.updates != Updates::Unknown {
                out.bridge(transactions, matched, key, &touches, sources.updates);
            }
        }
        out.finish(view);
        out
    }

    /// Joins the stretches of versions that begin with a write whose read is unknown.
    fn bridge(
        &mut self,
        transactions: &Transactions<'_>,
        matched: &Matched,
        key: u32,
        touches: &[Touch],
        mode: Updates,
    ) {
        let start = self.known.partition_point(|known| known.key < key);
        let links =
            self.known[start..].iter().filter(|known| known.source == Source::Within && known.after == known.one);
        let mut next: Vec<(u32, u32)> = links.map(|known| (known.before, known.after)).collect();
        next.sort_unstable();
        next.dedup();
        if next.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return;
        }
        let mut followed: Vec<u32> = next.iter().map(|link| link.1).collect();
        followed.sort_unstable();
        let mut heads: Vec<u32> = self.writers(key).to_vec();
        heads.retain(|writer| followed.binary_search(writer).is_err());
        if heads.is_empty() || (heads.len() > 1 && mode == Updates::Certain) {
            return;
        }
        // By the earliest answer that shows the head.
        let end = |txn: u32| transactions.txn(matched.txns[txn as usize]).end;
        let mut shown: Vec<(u32, u32)> = touches
            .iter()
            .filter(|touch| touch.first != touch.txn)
            .map(|touch| (touch.first, end(touch.txn)))
            .collect();
        shown.sort_unstable();
        heads.sort_by_key(|&head| {
            let at = shown.partition_point(|&(version, _)| version < head);
            shown.get(at).filter(|one| one.0 == head).map_or(u32::MAX, |one| one.1)
        });
        let last = |from: u32| {
            let mut version = from;
            // No version is overwritten twice, so that this ends unless versions form a cycle, which is as long at most.
            for _ in 0..=next.len() {
                match next.binary_search_by_key(&version, |link| link.0) {
                    Ok(at) => version = next[at].1,
                    Err(_) => break,
                }
            }
            version
        };
        let source = if heads.len() > 1 { Source::Guess } else { Source::Only };
        let mut before = last(INITIAL);
        for head in heads {
            let one = if before == INITIAL { head } else { before };
            self.known.push(VersionOrder { key, before, after: head, source, one, other: head });
            before = last(head);
        }
    }

    fn pair(&mut self, key: u32, one: &Touch, other: &Touch, source: Source) {
        let (before, after) = (one.last, other.first);
        if before != after {
            self.known.push(VersionOrder { key, before, after, source, one: one.txn, other: other.txn });
        }
    }

    /// Orders by real time, reduced: only from transactions that had ended with none on the same key in between.
    fn realtime(&mut self, transactions: &Transactions<'_>, matched: &Matched, key: u32, touches: &[Touch]) {
        let interval = |touch: &Touch| {
            let txn = transactions.txn(matched.txns[touch.txn as usize]);
            (txn.call, txn.end)
        };
        // Ends by index; those that never end say nothing as the earlier one.
        let mut ends: Vec<(u32, usize)> =
            touches.iter().enumerate().map(|(at, touch)| (interval(touch).1, at)).collect();
        ends.sort_unstable();
        let mut ended = 0;
        let mut frontier: Vec<usize> = Vec::new();
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); touches.len()];
        for (at, touch) in touches.iter().enumerate() {
            while ended < ends.len() && ends[ended].0 < interval(touch).0 {
                let done = ends[ended].1;
                frontier.retain(|one| !before[done].contains(one));
                before[done] = Vec::new();
                frontier.push(done);
                ended += 1;
            }
            for &one in &frontier {
                self.pair(key, &touches[one], touch, Source::Realtime);
            }
            before[at].clone_from(&frontier);
        }
    }

    /// Takes out keys whose versions form cycles, and pairs that say nothing new where all versions are in one order.
    fn finish(&mut self, view: &View) {
        self.known.sort_unstable();
        self.known.dedup_by_key(|known| (known.key, known.before, known.after));
        let node = |key: u32, writer: u32| match writer {
            INITIAL => self.first_node(key),
            writer => self.first_node(key) + 1 + self.place(key, writer),
        };
        let nodes = self.writers.len() + view.keys();
        // An order in which something comes before the initial version is a cycle of two with it.
        let mut cyclic = vec![false; view.keys()];
        let mut cycles: Vec<Vec<VersionOrder>> = Vec::new();
        for &known in self.known.iter().filter(|known| known.after == INITIAL) {
            if !std::mem::replace(&mut cyclic[known.key as usize], true) {
                cycles.push(vec![known]);
            }
        }
        let ends = |known: &VersionOrder| (node(known.key, known.before), node(known.key, known.after));
        let pairs: Vec<(u32, u32)> = self.known.iter().map(ends).collect();
        for cycle in cycle_of_each_component(nodes, &pairs) {
            let key = self.known[cycle[0]].key;
            if !std::mem::replace(&mut cyclic[key as usize], true) {
                cycles.push(cycle.into_iter().map(|at| self.known[at]).collect());
            }
        }
        drop(pairs);
        self.cyclic = cycles;
        self.known.retain(|known| !cyclic[known.key as usize]);
        self.reduce(view, &cyclic);
    }

    fn reduce(&mut self, view: &View, cyclic: &[bool]) {
        let mut kept: Vec<VersionOrder> = Vec::with_capacity(self.known.len());
        let mut at = 0;
        for key in 0..view.keys() as u32 {
            let start = at;
            while at < self.known.len() && self.known[at].key == key {
                at += 1;
            }
            let known = &self.known[start..at];
            let written = u64::from(!self.writers(key).is_empty());
            self.written_keys += written;
            if cyclic[key as usize] {
                continue;
            }
            match chain(self.writers(key), known) {
                Some(chain) => {
                    self.total_keys += written;
                    kept.extend(chain);
                }
                None => kept.extend(known),
            }
        }
        kept.sort_unstable();
        self.known = kept;
    }

    fn first_node(&self, key: u32) -> u32 {
        self.writers_at[key as usize] + key
    }

    fn place(&self, key: u32, writer: u32) -> u32 {
        self.writers(key).partition_point(|&one| one < writer) as u32
    }

    /// The writers of the key, by number.
    pub(crate) fn writers(&self, key: u32) -> &[u32] {
        &self.writers[self.writers_at[key as usize] as usize..self.writers_at[key as usize + 1] as usize]
    }

    /// What is known to follow directly on a version.
    pub(crate) fn after(&self, key: u32, before: u32) -> &[VersionOrder] {
        let start = self.known.partition_point(|known| (known.key, known.before) < (key, before));
        let end = self.known.partition_point(|known| (known.key, known.before) <= (key, before));
        &self.known[start..end]
    }
}

/// The known pairs in a row that lead through all versions, if they do.
fn chain(writers: &[u32], known: &[VersionOrder]) -> Option<Vec<VersionOrder>> {
    let place = |writer: u32| writers.partition_point(|&one| one < writer) as u32;
    let inner: Vec<&VersionOrder> =
        known.iter().filter(|known| known.before != INITIAL && known.after != INITIAL).collect();
    if inner.len() + 1 < writers.len() {
        return None;
    }
    let pairs: Vec<(u32, u32)> = inner.iter().map(|known| (place(known.before), place(known.after))).collect();
    let order = Digraph::of_pairs(writers.len(), &pairs).order()?;
    let steps = order.windows(2).map(|pair| {
        let (before, after) = (writers[pair[0] as usize], writers[pair[1] as usize]);
        let at = known.partition_point(|known| (known.before, known.after) < (before, after));
        known.get(at).filter(|known| (known.before, known.after) == (before, after)).copied()
    });
    steps.collect()
}

fn by_key(view: &View, keys: impl Fn(u32, &mut dyn FnMut(u32))) -> (Vec<u32>, Vec<u32>) {
    let mut at = vec![0u32; view.keys() + 1];
    let mut last = vec![INITIAL; view.keys()];
    for txn in 0..view.len() as u32 {
        keys(txn, &mut |key| {
            if std::mem::replace(&mut last[key as usize], txn) != txn {
                at[key as usize + 1] += 1;
            }
        });
    }
    for key in 0..view.keys() {
        at[key + 1] += at[key];
    }
    let mut next = at.clone();
    let mut members = vec![0; at[view.keys()] as usize];
    last.fill(INITIAL);
    for txn in 0..view.len() as u32 {
        keys(txn, &mut |key| {
            if std::mem::replace(&mut last[key as usize], txn) != txn {
                let slot = &mut next[key as usize];
                members[*slot as usize] = txn;
                *slot += 1;
            }
        });
    }
    (at, members)
}

/// The versions of one key that a transaction touched first and last.
struct Touch {
    txn: u32,
    first: u32,
    last: u32,
}

impl Touch {
    fn new(view: &View, txn: u32, key: u32) -> Touch {
        let mut reads = view.reads(txn).iter().filter(|read| read.key == key);
        let writes = view.writes(txn).binary_search(&key).is_ok();
        let first = reads.next().map(|read| read.from);
        let last = if writes { Some(txn) } else { reads.next_back().map(|read| read.from).or(first) };
        Touch { txn, first: first.unwrap_or(txn), last: last.unwrap_or(txn) }
    }

    /// The order of what the transaction itself touched.
    fn within(&self, view: &View, key: u32, sources: Sources, known: &mut Vec<VersionOrder>) {
        let reads: Vec<&Read> = view.reads(self.txn).iter().filter(|read| read.key == key).collect();
        let mut add = |before: u32, after: u32| {
            if before != after {
                known.push(VersionOrder { key, before, after, source: Source::Within, one: self.txn, other: self.txn });
            }
        };
        if sources.sequential || sources.linearizable {
            reads.windows(2).for_each(|pair| add(pair[0].from, pair[1].from));
        }
        if self.last == self.txn && (sources.writes_follow_reads || sources.sequential || sources.linearizable) {
            reads.iter().for_each(|read| add(read.from, self.txn));
        }
    }
}
