//! The orders that a level forces between writers of one key, as edges: only as many as are needed, so that what is left
//! out follows from the others (Møldrup et al., "AWDIT: An Optimal Weak Database Isolation Tester", PLDI 2025).
//!
//! The axiom behind all (Biswas and Enea, OOPSLA 2019): transaction `reader` reads `key` from `to`; it also sees `from`,
//! which wrote `key` too; then `from` comes before `to` in every commit order. The levels differ in which transactions are seen.
use super::view::{INITIAL, Read, View};

/// Takes an edge: `from`, `to`, and the `reader` and `key` that force it. `to` may be [`INITIAL`]: then nothing fits.
pub(crate) trait Sink {
    /// Takes one.
    fn edge(&mut self, from: u32, to: u32, reader: u32, key: u32);
}

impl<F: FnMut(u32, u32, u32, u32)> Sink for F {
    fn edge(&mut self, from: u32, to: u32, reader: u32, key: u32) {
        self(from, to, reader, key);
    }
}

/// For keys (or transactions), the number noted for it now: an array in place of a map, emptied by counting up.
struct EdgeCollector {
    stamp: Vec<u32>,
    from: Vec<u32>,
    now: u32,
}

impl EdgeCollector {
    fn new(keys: usize) -> EdgeCollector {
        EdgeCollector { stamp: vec![0; keys], from: vec![0; keys], now: 0 }
    }
    fn clear(&mut self) {
        self.now += 1;
    }
    fn get(&self, key: u32) -> Option<u32> {
        (self.stamp[key as usize] == self.now).then(|| self.from[key as usize])
    }
    fn set(&mut self, key: u32, from: u32) {
        self.stamp[key as usize] = self.now;
        self.from[key as usize] = from;
    }
}

/// Keys that `writer` wrote among those noted: calls `each` with the key and the noted read's writer, where that is
/// another. `keys` are the noted ones; the smaller side is walked.
fn overlap(view: &View, writer: u32, keys: &[u32], noted: &EdgeCollector, mut each: impl FnMut(u32, u32)) {
    let writes = view.writes(writer);
    if writes.len() <= keys.len().max(8) {
        for &key in writes {
            if let Some(from) = noted.get(key)
                && from != writer
            {
                each(key, from);
            }
        }
    } else {
        for &key in keys {
            if let Some(from) = noted.get(key)
                && from != writer
                && writes.binary_search(&key).is_ok()
            {
                each(key, from);
            }
        }
    }
}

/// Reads that count as such: not the sights behind an own append.
fn proper(view: &View, txn: u32) -> impl DoubleEndedIterator<Item = (usize, &Read)> {
    view.reads(txn).iter().enumerate().filter(|(_, read)| !read.behind_own)
}

/// Read committed: a transaction sees, from a read on, the writer it read from.
pub(crate) fn read_committed(view: &View, sink: &mut impl Sink) {
    let mut next = EdgeCollector::new(view.keys());
    let mut first = EdgeCollector::new(view.len());
    let mut keys: Vec<u32> = Vec::new();
    for reader in 0..view.len() as u32 {
        if view.reads(reader).len() < 2 {
            continue;
        }
        next.clear();
        first.clear();
        keys.clear();
        for (at, read) in proper(view, reader).filter(|(_, read)| read.from != INITIAL) {
            if first.get(read.from).is_none() {
                first.set(read.from, at as u32);
            }
        }
        for (at, read) in proper(view, reader).rev() {
            // The writer is seen from its first read on; the later ones add nothing.
            let again = read.from != INITIAL && first.get(read.from) != Some(at as u32);
            if read.from != INITIAL && !again {
                overlap(view, read.from, &keys, &next, |key, to| sink.edge(read.from, to, reader, key));
            }
            if next.get(read.key).is_none() {
                keys.push(read.key);
            } else if again
                && let Some(to) = next.get(read.key)
                && to != read.from
            {
                // One key read from one writer after the other.
                sink.edge(read.from, to, reader, read.key);
            }
            next.set(read.key, read.from);
        }
    }
}

/// Read atomic: a transaction sees, as a whole, the writers it reads from and its session before it.
pub(crate) fn read_atomic(view: &View, sink: &mut impl Sink) {
    let mut noted = EdgeCollector::new(view.keys());
    let mut seen = EdgeCollector::new(view.len());
    let (mut keys, mut writers) = (Vec::new(), Vec::new());
    for reader in 0..view.len() as u32 {
        if view.reads(reader).len() < 2 {
            continue;
        }
        noted.clear();
        seen.clear();
        keys.clear();
        writers.clear();
        for (_, read) in proper(view, reader) {
            match noted.get(read.key) {
                None => {
                    noted.set(read.key, read.from);
                    keys.push(read.key);
                }
                Some(first) if first != read.from => {
                    // Two writers of one key, both seen as a whole: each before the other.
                    if first != INITIAL {
                        sink.edge(first, read.from, reader, read.key);
                    }
                    if read.from != INITIAL {
                        sink.edge(read.from, first, reader, read.key);
                    }
                }
                Some(_) => {}
            }
            if read.from != INITIAL && seen.get(read.from).is_none() {
                seen.set(read.from, 0);
                writers.push(read.from);
            }
        }
        for &writer in &writers {
            overlap(view, writer, &keys, &noted, |key, to| sink.edge(writer, to, reader, key));
        }
    }
    own_session(view, sink);
}

/// The part of read atomic that the session's own earlier writes force.
pub(crate) fn own_session(view: &View, sink: &mut impl Sink) {
    let order = by_session(view);
    let mut last = EdgeCollector::new(view.keys());
    let mut session = INITIAL;
    for reader in order {
        if view.session[reader as usize] != session {
            session = view.session[reader as usize];
            last.clear();
        }
        for (_, read) in proper(view, reader) {
            if let Some(writer) = last.get(read.key)
                && writer != read.from
            {
                sink.edge(writer, read.from, reader, read.key);
            }
        }
        for &key in view.writes(reader) {
            last.set(key, reader);
        }
    }
}

/// Transactions session by session, each session's in order.
pub(crate) fn by_session(view: &View) -> Vec<u32> {
    let mut at = vec![0u32; view.sessions() + 1];
    for &session in &view.session {
        at[session as usize + 1] += 1;
    }
    for session in 1..at.len() {
        at[session] += at[session - 1];
    }
    let mut order = vec![0; view.len()];
    for (txn, &session) in view.session.iter().enumerate() {
        order[at[session as usize] as usize] = txn as u32;
        at[session as usize] += 1;
    }
    order
}
