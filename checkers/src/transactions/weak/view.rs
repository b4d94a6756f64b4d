//! [`View`]: a history as the weak levels see it. Transactions of sessions, which transaction each read is from, what it wrote,
//! and for keys whose version order is known, that order. It knows neither values nor findings.

/// The writer of the version that every key has before the first write.
pub(crate) const INITIAL: u32 = u32::MAX;

/// A read of what another transaction wrote, or of the initial version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// Key, counted from 0.
    pub(crate) key: u32,
    /// Who wrote the version; [`INITIAL`] for the version before all writes.
    pub(crate) from: u32,
    /// Of an ordered key: the version's place in its chain, counted from 1; 0 for the initial one.
    pub(crate) place: u32,
    /// Seen in a read that came after an own append to the same list: others' elements were visible, but the version
    /// read was the transaction's own. Such an observation counts for causality only.
    pub(crate) behind_own: bool,
}

/// What is known of the versions of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Writers of the versions in order: place `i` of the chain was written by `writers[i - 1]`. One writer may stand
    /// here several times, once for each element it appended.
    pub(crate) writers: Vec<u32>,
    /// Writers whose versions come after the whole chain, in an order that is not known.
    pub(crate) tail: Vec<u32>,
}

/// How the versions of a key follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    /// Not known: a register with blind writes.
    Free,
    /// Known, and each version contains all before it (a list): a transaction that sees one sees the writers of all.
    Containing(Chain),
}

impl Versions {
    pub(crate) fn chain(&self) -> Option<&Chain> {
        match self {
            Versions::Free => None,
            Versions::Containing(chain) => Some(chain),
        }
    }
}

impl Versions {
    pub(crate) fn chain_mut(&mut self) -> Option<&mut Chain> {
        match self {
            Versions::Free => None,
            Versions::Containing(chain) => Some(chain),
        }
    }
}

/// Transactions, counted from 0 so that each session's are in increasing order.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The session of each transaction, counted from 0.
    pub(crate) session: Vec<u32>,
    reads_at: Vec<u32>,
    reads: Vec<Read>,
    writes_at: Vec<u32>,
    writes: Vec<u32>,
    /// Versions of each key.
    pub(crate) versions: Vec<Versions>,
}

impl View {
    /// Adds a transaction with its external reads in program order and the keys it wrote, in any order. Its number.
    pub(crate) fn push(&mut self, session: u32, reads: &[Read], writes: &[u32]) -> u32 {
        if self.reads_at.is_empty() {
            self.reads_at.push(0);
            self.writes_at.push(0);
        }
        let number = self.session.len() as u32;
        self.session.push(session);
        self.reads.extend_from_slice(reads);
        let start = self.writes.len();
        self.writes.extend_from_slice(writes);
        self.writes[start..].sort_unstable();
        let mut kept = start;
        for at in start..self.writes.len() {
            if kept == start || self.writes[kept - 1] != self.writes[at] {
                self.writes[kept] = self.writes[at];
                kept += 1;
            }
        }
        self.writes.truncate(kept);
        self.reads_at.push(self.reads.len() as u32);
        self.writes_at.push(kept as u32);
        number
    }

    /// How many transactions.
    pub(crate) fn len(&self) -> usize {
        self.session.len()
    }

    /// How many keys.
    pub(crate) fn keys(&self) -> usize {
        self.versions.len()
    }

    /// How many sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.session.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// The external reads of a transaction in program order.
    pub(crate) fn reads(&self, txn: u32) -> &[Read] {
        &self.reads[self.reads_at[txn as usize] as usize..self.reads_at[txn as usize + 1] as usize]
    }

    /// The keys that a transaction wrote, in increasing order, each once.
    pub(crate) fn writes(&self, txn: u32) -> &[u32] {
        &self.writes[self.writes_at[txn as usize] as usize..self.writes_at[txn as usize + 1] as usize]
    }

    /// The transaction before each one in its session; [`INITIAL`] for the first.
    pub(crate) fn previous(&self) -> Vec<u32> {
        let mut last = vec![INITIAL; self.sessions()];
        let mut previous = Vec::with_capacity(self.len());
        for (txn, &session) in self.session.iter().enumerate() {
            previous.push(std::mem::replace(&mut last[session as usize], txn as u32));
        }
        previous
    }
}
