//! Registers with unique writes as a [`View`]: each read is matched with the one write of its value. Reads that no
//! order of transactions can explain are recognised here: of aborted, unwritten, intermediate and own values.
use super::matched::{Flaw, FlawedRead, Matched, SKIP};
use super::view::{INITIAL, Read, Versions};
use crate::history::Outcome;
use crate::transactions::txn::{Mix, Mop, MopKind, Transactions};
use crate::value::Word;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The writer of a value.
#[derive(Clone, Copy)]
struct Writer {
    txn: u32,
    /// Its transaction did not overwrite it.
    is_final: bool,
    /// Another transaction that may have taken effect wrote the same.
    shared: bool,
}

impl Matched {
    /// Matches reads with writes.
    pub(crate) fn registers(transactions: &Transactions<'_>) -> Matched {
        let mut out = Matched::default();
        let mut sources = vec![SKIP; transactions.all_mops().len()];
        let mut seen = vec![false; transactions.len()];
        let mut written: HashMap<Word, Writer, BuildHasherDefault<Mix>> = HashMap::default();
        for key in 0..transactions.keys() as u32 {
            written.clear();
            out.writers(transactions, key, &mut written);
            out.sources(transactions, key, &written, &mut sources, &mut seen);
        }
        out.number(transactions, &seen, |place, mop| {
            let from = sources[place];
            (from != SKIP).then_some(Read { key: mop.key, from, place: 0, behind_own: false })
        });
        out.view.versions = vec![Versions::Free; transactions.keys()];
        out
    }

    fn writers(
        &self,
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
            let new = Writer { txn: mop.txn(), is_final, shared: transactions.begins(key, mop.value) };
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
                self.flaws.push(FlawedRead { flaw, reader, key, value: mop.value, writer });
            };
            if let Some(own) = own {
                if own.value != mop.value {
                    flawed(Flaw::Internal, reader);
                }
                continue;
            }
            match written.get(&mop.value) {
                Some(writer) if writer.shared => self.ambiguous += 1,
                None if transactions.begins(key, mop.value) => sources[place as usize] = INITIAL,
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
}
