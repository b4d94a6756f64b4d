//! Registers with unique writes as a [`View`]: each read is matched with the one write of its value. Reads that no
//! order of transactions can explain are told apart here: of aborted, unwritten, intermediate and own values.
use super::view::{INITIAL, Read, Versions, View};
use crate::history::Outcome;
use crate::transactions::txn::{Mix, Mop, MopKind, Transactions};
use crate::value::Word;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// What is wrong with one read, or one write, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flaw {
    /// It read what a transaction wrote that certainly had no effect.
    Aborted,
    /// It read what nobody wrote.
    Unwritten,
    /// It read what its writer overwrote itself before it ended.
    Intermediate,
    /// It read another value than the one that its own transaction had written before.
    Internal,
    /// It read what its own transaction wrote only later.
    Future,
}

/// A flaw with the read that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flawed {
    pub(crate) flaw: Flaw,
    /// Who read.
    pub(crate) reader: u32,
    pub(crate) key: u32,
    pub(crate) value: Word,
    /// Who wrote it; [`INITIAL`] where nobody did.
    pub(crate) writer: u32,
}

/// A history of registers, as the levels see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registers {
    pub(crate) view: View,
    /// The transaction behind each number of the view: the committed ones, which are Ok, or Info and seen.
    pub(crate) txns: Vec<u32>,
    pub(crate) flaws: Vec<Flawed>,
    /// Reads of values that several transactions wrote: nobody can tell from whom.
    pub(crate) ambiguous: u64,
}

/// Who wrote a value.
#[derive(Clone, Copy)]
struct Writer {
    txn: u32,
    /// Its transaction did not overwrite it.
    is_final: bool,
    /// Another transaction that may have taken effect wrote the same.
    shared: bool,
}

/// Of a read: nothing to say of it (an own value, a flaw, an ambiguous one).
const SKIP: u32 = u32::MAX - 1;

impl Registers {
    /// Matches reads with writes.
    pub(crate) fn new(transactions: &Transactions<'_>) -> Registers {
        let mut out = Registers::default();
        let mut sources = vec![SKIP; transactions.all_mops().len()];
        let mut seen = vec![false; transactions.len()];
        let mut written: HashMap<Word, Writer, BuildHasherDefault<Mix>> = HashMap::default();
        for key in 0..transactions.keys() as u32 {
            written.clear();
            out.writers(transactions, key, &mut written);
            out.sources(transactions, key, &written, &mut sources, &mut seen);
        }
        out.flaws.sort_by_key(|flawed| (flawed.flaw, flawed.reader, flawed.key));
        out.number(transactions, &sources, &seen);
        out
    }

    fn writers(
        &mut self,
        transactions: &Transactions<'_>,
        key: u32,
        written: &mut HashMap<Word, Writer, BuildHasherDefault<Mix>>,
    ) {
        let mops = transactions.all_mops();
        let places = transactions.key_mops(key);
        for (at, &place) in places.iter().enumerate() {
            let mop = mops[place as usize];
            if !mop.writes() {
                continue;
            }
            let overwritten = |later: &&u32| mops[**later as usize].txn() == mop.txn();
            let is_final = !places[at + 1..].iter().take_while(overwritten).any(|&later| mops[later as usize].writes());
            let failed = |txn: u32| transactions.txn(txn).outcome == Outcome::Fail;
            let new = Writer { txn: mop.txn(), is_final, shared: mop.value == Word::NIL };
            match written.get_mut(&mop.value) {
                None => drop(written.insert(mop.value, new)),
                Some(known) if known.txn == new.txn => known.is_final |= is_final,
                Some(_) if failed(new.txn) => {}
                Some(known) if failed(known.txn) => *known = new,
                Some(known) => known.shared = true,
            }
        }
    }

    fn sources(
        &mut self,
        transactions: &Transactions<'_>,
        key: u32,
        written: &HashMap<Word, Writer, BuildHasherDefault<Mix>>,
        sources: &mut [u32],
        seen: &mut [bool],
    ) {
        let mops = transactions.all_mops();
        let mut own: Option<Mop> = None;
        for &place in transactions.key_mops(key) {
            let mop = mops[place as usize];
            let reader = mop.txn();
            own = own.filter(|last| last.txn() == reader);
            if mop.writes() {
                own = Some(mop);
            }
            if mop.kind() != MopKind::Read {
                continue;
            }
            let mut flawed = |flaw, writer| {
                self.flaws.push(Flawed { flaw, reader, key, value: mop.value, writer });
            };
            if let Some(own) = own {
                if own.value != mop.value {
                    flawed(Flaw::Internal, reader);
                }
                continue;
            }
            match written.get(&mop.value) {
                Some(writer) if writer.shared => self.ambiguous += 1,
                None if mop.value == Word::NIL => sources[place as usize] = INITIAL,
                None => flawed(Flaw::Unwritten, INITIAL),
                Some(writer) if writer.txn == reader => flawed(Flaw::Future, reader),
                Some(writer) if transactions.txn(writer.txn).outcome == Outcome::Fail => {
                    flawed(Flaw::Aborted, writer.txn);
                }
                Some(writer) => {
                    if !writer.is_final {
                        flawed(Flaw::Intermediate, writer.txn);
                    }
                    sources[place as usize] = writer.txn;
                    seen[writer.txn as usize] = true;
                }
            }
        }
    }

    fn number(&mut self, transactions: &Transactions<'_>, sources: &[u32], seen: &[bool]) {
        let mut numbers = vec![INITIAL; transactions.len()];
        for (txn, number) in numbers.iter_mut().enumerate() {
            let committed = match transactions.txns()[txn].outcome {
                Outcome::Ok => true,
                Outcome::Info => seen[txn],
                Outcome::Fail => false,
            };
            if committed {
                *number = self.txns.len() as u32;
                self.txns.push(txn as u32);
            }
        }
        let mut sessions: Vec<u32> = vec![INITIAL; transactions.history().sessions()];
        let mut session_count = 0;
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let mut place = 0;
        let mut next = 0;
        for txn in 0..transactions.len() as u32 {
            let mops = transactions.mops(txn);
            let first = place;
            place += mops.len();
            if numbers[txn as usize] == INITIAL {
                continue;
            }
            reads.clear();
            writes.clear();
            for (mop, &source) in mops.iter().zip(&sources[first..place]) {
                if mop.writes() {
                    writes.push(mop.key);
                } else if source != SKIP {
                    let from = if source == INITIAL { INITIAL } else { numbers[source as usize] };
                    reads.push(Read { key: mop.key, from, place: 0, behind_own: false });
                }
            }
            let session = &mut sessions[transactions.txn(txn).session as usize];
            if *session == INITIAL {
                *session = session_count;
                session_count += 1;
            }
            self.view.push(*session, &reads, &writes);
            debug_assert_eq!(self.txns[next], txn);
            next += 1;
        }
        self.view.versions = vec![Versions::Free; transactions.keys()];
    }
}
