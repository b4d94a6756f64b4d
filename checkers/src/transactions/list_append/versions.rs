//! The order of versions of each key: the longest list that a committed transaction read. Every other list must be a
//! beginning of it. On the way, everything that is wrong with single reads is noted.
use super::super::txn::{MopKind, Transactions};
use crate::graph::NONE;
use crate::history::Outcome;
use crate::transactions::appends::{Append, Appends};
use crate::value::Word;
use crate::verdict::FINDINGS_MAX;

/// What is wrong with reads, without any cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Flaw {
    /// A transaction's read contradicts what it did before.
    Internal,
    /// An element of a transaction that had failed was read.
    G1a,
    /// A list was read that ends with an element after which its transaction appended another.
    G1b,
    /// A committed element follows one of a transaction that had failed.
    DirtyUpdate,
    /// An element stands twice in a list that was read.
    DuplicateElements,
    /// Two lists were read, and neither is the beginning of the other.
    IncompatibleOrder,
    /// Elements of one transaction stand in another order than it appended them in.
    InvertedOrder,
    /// Two transactions read the same list, and both appended to it.
    LostUpdate,
    /// A transaction read an element that it appended later.
    FutureRead,
    /// An element was read that no transaction appended.
    GarbageRead,
}

impl Flaw {
    /// The anomaly's name.
    pub(super) fn anomaly(self) -> &'static str {
        match self {
            Flaw::Internal => "internal",
            Flaw::G1a => "G1a",
            Flaw::G1b => "G1b",
            Flaw::DirtyUpdate => "dirty-update",
            Flaw::DuplicateElements => "duplicate-elements",
            Flaw::IncompatibleOrder | Flaw::InvertedOrder => "incompatible-order",
            Flaw::LostUpdate => "lost-update",
            Flaw::FutureRead => "future-read",
            Flaw::GarbageRead => "garbage-read",
        }
    }
}

/// One flaw.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlawedRead {
    pub(super) flaw: Flaw,
    pub(super) key: u32,
    /// The reader; of a lost update, a transaction that read and appended.
    pub(super) reader: u32,
    /// The read, where it is one: its place among all micro-operations.
    pub(super) read: u32,
    /// The other transaction, if there is one.
    pub(super) other: u32,
    /// The other read, if there is one.
    pub(super) other_read: u32,
    /// The element, if it is about one.
    pub(super) element: Word,
    /// Another element, if it is about two.
    pub(super) follower: Word,
}

impl FlawedRead {
    /// A flaw of this read, or of none ([`NONE`]), which is about nothing else.
    fn new(flaw: Flaw, key: u32, reader: u32, read: u32) -> FlawedRead {
        let (element, follower) = (Word::NIL, Word::NIL);
        FlawedRead { flaw, key, reader, read, other: NONE, other_read: NONE, element, follower }
    }
}

/// An element that two transactions appended: the writer of what was read is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ambiguous {
    pub(super) key: u32,
    pub(super) element: Word,
    pub(super) one: u32,
    pub(super) other: u32,
}

/// What is known of the versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// By key: the read of the longest list, and how much of it is the list (and not the reader's own elements).
    pub(super) longest: Vec<(u32, u32)>,
    /// By key: where its part of `order` begins.
    order_first: Vec<u32>,
    /// The writer of each element of the longest lists; [`NONE`] where it is not known, had failed, or is a repetition.
    order: Vec<u32>,
    /// Of each micro-operation that read a list: how long the list was, without the transaction's own elements;
    /// [`NONE`] where it is no beginning of the longest.
    pub(super) base: Vec<u32>,
    /// Of each append that may have taken effect: where its element stands in the longest list, [`NONE`] if it does not.
    pub(super) place: Vec<u32>,
    /// Of each append: whether another transaction read its element.
    pub(super) seen: Vec<bool>,
    /// Whether the transaction took effect: it is Ok, or Info and seen.
    pub(super) committed: Vec<bool>,
    /// Reads of lists that are no beginning of the longest: the transaction that appended the last known element, and the reader.
    pub(super) loose: Vec<(u32, u32)>,
    /// Writers of elements that follow each other in such a list.
    pub(super) pairs: Vec<(u32, u32)>,
    /// The first of each kind.
    pub(super) flaws: Vec<FlawedRead>,
    /// How many of each kind.
    pub(super) counts: std::collections::BTreeMap<Flaw, u64>,
    /// The first elements that were appended twice.
    pub(super) ambiguous: Vec<Ambiguous>,
    /// How many those are.
    pub(super) ambiguous_count: u64,
}

/// A read of a whole list.
struct Read {
    mop: u32,
    txn: u32,
    len: u32,
    /// The transaction's first read of the key, before it appended to it.
    fresh: bool,
}

/// Room for the work on one key, used again for the next.
#[derive(Default)]
struct Scratch {
    elements: Appends,
    reads: Vec<Read>,
    loose: Vec<(u32, u32)>,
    own: Vec<Word>,
    at: Vec<u32>,
    updates: Vec<(u32, u32, u32)>,
    pairs: Vec<(u32, u32)>,
}

impl Versions {
    pub(super) fn find(txns: &Transactions<'_>) -> Versions {
        let mut versions = Versions {
            base: vec![NONE; txns.all_mops().len()],
            place: vec![NONE; txns.all_mops().len()],
            seen: vec![false; txns.all_mops().len()],
            committed: txns.txns().iter().map(|txn| txn.outcome == Outcome::Ok).collect(),
            ..Versions::default()
        };
        let mut scratch = Scratch::default();
        for key in 0..txns.keys() as u32 {
            versions.key(txns, key, &mut scratch);
        }
        versions.order_first.push(versions.order.len() as u32);
        versions
    }

    /// Writers of the elements of the key's longest list.
    pub(super) fn order(&self, key: u32) -> &[u32] {
        &self.order[self.order_first[key as usize] as usize..self.order_first[key as usize + 1] as usize]
    }

    /// The key's longest list.
    pub(super) fn list<'h>(&self, txns: &Transactions<'h>, key: u32) -> &'h [Word] {
        let (read, len) = self.longest[key as usize];
        if read == NONE { &[] } else { &txns.elements(txns.all_mops()[read as usize].value)[..len as usize] }
    }

    fn note(&mut self, flawed: FlawedRead) {
        let count = self.counts.entry(flawed.flaw).or_default();
        *count += 1;
        if *count <= FINDINGS_MAX as u64 {
            self.flaws.push(flawed);
        }
    }

    fn key(&mut self, txns: &Transactions<'_>, key: u32, scratch: &mut Scratch) {
        self.gather(txns, key, scratch);
        for (one, other) in scratch.elements.index(|txn| txns.txn(txn).outcome == Outcome::Fail) {
            self.ambiguous_count += 1;
            if self.ambiguous.len() < FINDINGS_MAX {
                self.ambiguous.push(Ambiguous { key, element: one.element, one: one.txn, other: other.txn });
            }
        }
        let mut longest = (NONE, 0);
        for read in &scratch.reads {
            if longest.0 == NONE || read.len > longest.1 {
                longest = (read.mop, read.len);
            }
        }
        self.longest.push(longest);
        self.order_first.push(self.order.len() as u32);
        let aborted = self.lay_out(txns, key, scratch);
        self.reads(txns, key, scratch, aborted);
        self.lost_updates(key, scratch);
        self.own_orders(key, scratch);
        for append in scratch.elements.appends() {
            self.seen[append.mop as usize] = append.seen;
            if !append.ambiguous && txns.txn(append.txn).outcome != Outcome::Fail {
                self.place[append.mop as usize] = append.place;
            }
            if append.seen && txns.txn(append.txn).outcome == Outcome::Info && !append.ambiguous {
                self.committed[append.txn as usize] = true;
            }
        }
    }

    /// Collects the appends and reads of the key, and judges each transaction's reads by its own operations.
    fn gather(&mut self, txns: &Transactions<'_>, key: u32, scratch: &mut Scratch) {
        scratch.elements.clear();
        scratch.reads.clear();
        scratch.loose.clear();
        let mops = txns.all_mops();
        let mut current = NONE;
        // The list that the transaction read first, and the place of that read.
        let mut first: Option<(&[Word], u32)> = None;
        for &at in txns.key_mops(key) {
            let mop = mops[at as usize];
            if mop.txn() != current {
                current = mop.txn();
                first = None;
                scratch.own.clear();
            }
            match mop.kind() {
                MopKind::Append => {
                    scratch.elements.push(Append::new(mop.value, mop.txn(), at));
                    scratch.own.push(mop.value);
                }
                MopKind::Read => {
                    let list = txns.elements(mop.value);
                    let fits = list.ends_with(&scratch.own);
                    let base = list.len().saturating_sub(scratch.own.len());
                    let same = first.is_none_or(|(read, _)| fits && *read == list[..base]);
                    if fits && same && first.is_some() {
                        continue;
                    }
                    if !(fits && same) {
                        let other_read = first.map_or(NONE, |(_, read)| read);
                        self.note(FlawedRead { other_read, ..FlawedRead::new(Flaw::Internal, key, mop.txn(), at) });
                    }
                    let fresh = first.is_none() && scratch.own.is_empty();
                    if fits && (same || scratch.own.is_empty()) {
                        first = first.or(Some((&list[..base], at)));
                        scratch.reads.push(Read { mop: at, txn: mop.txn(), len: base as u32, fresh });
                    } else {
                        scratch.loose.push((at, mop.txn()));
                    }
                }
                MopKind::Write | MopKind::Unread => {}
            }
        }
    }

    /// Finds the writers of the longest list. Where the first element of a failed transaction stands in it; `usize::MAX`
    /// if none does.
    fn lay_out(&mut self, txns: &Transactions<'_>, key: u32, scratch: &mut Scratch) -> usize {
        let (read, _) = self.longest[key as usize];
        let list = self.list(txns, key);
        let reader = if read == NONE { NONE } else { txns.all_mops()[read as usize].txn() };
        let flaw = |flaw: Flaw, element: Word, other: u32| FlawedRead {
            other,
            element,
            ..FlawedRead::new(flaw, key, reader, read)
        };
        scratch.at.clear();
        let (mut aborted, mut dirty) = (usize::MAX, false);
        for (place, &element) in list.iter().enumerate() {
            let found = scratch.elements.find(element);
            scratch.at.push(found.unwrap_or(NONE));
            let Some(found) = found else {
                self.order.push(NONE);
                self.note(flaw(Flaw::GarbageRead, element, NONE));
                continue;
            };
            let append = scratch.elements.at(found);
            let writer = append.txn;
            append.seen = true;
            if append.place != NONE {
                self.order.push(NONE);
                if !append.ambiguous {
                    self.note(flaw(Flaw::DuplicateElements, element, writer));
                }
                continue;
            }
            append.place = place as u32;
            let ambiguous = append.ambiguous;
            if txns.txn(writer).outcome == Outcome::Fail {
                aborted = aborted.min(place);
                self.order.push(NONE);
                continue;
            }
            self.order.push(if ambiguous { NONE } else { writer });
            if aborted < place && !dirty {
                dirty = true;
                let first = scratch.elements.at(scratch.at[aborted]).txn;
                let found = flaw(Flaw::DirtyUpdate, list[aborted], first);
                self.note(FlawedRead { other_read: writer, follower: element, ..found });
            }
        }
        aborted
    }

    /// Judges each read by the longest list.
    fn reads(&mut self, txns: &Transactions<'_>, key: u32, scratch: &mut Scratch, aborted: usize) {
        let list = self.list(txns, key);
        let longest = self.longest[key as usize].0;
        let mops = txns.all_mops();
        scratch.updates.clear();
        for read in &scratch.reads {
            let words = &txns.elements(mops[read.mop as usize].value)[..read.len as usize];
            if !Word::same(words, &list[..words.len()]) {
                let other = mops[longest as usize].txn();
                let flawed = FlawedRead::new(Flaw::IncompatibleOrder, key, read.txn, read.mop);
                self.note(FlawedRead { other, other_read: longest, ..flawed });
                scratch.loose.push((read.mop, read.txn));
                continue;
            }
            self.base[read.mop as usize] = read.len;
            if read.fresh {
                scratch.updates.push((read.len, read.txn, read.mop));
            }
            let flaw = |flaw: Flaw, element: Word, other: u32| FlawedRead {
                other,
                element,
                ..FlawedRead::new(flaw, key, read.txn, read.mop)
            };
            if words.len() > aborted {
                let writer = scratch.elements.at(scratch.at[aborted]).txn;
                self.note(flaw(Flaw::G1a, words[aborted], writer));
            }
            let last = words.len().checked_sub(1).map(|last| scratch.at[last]).filter(|&at| at != NONE);
            if let Some(last) = last {
                let append = *scratch.elements.at(last);
                let repeated = append.place as usize + 1 != words.len();
                let failed = txns.txn(append.txn).outcome == Outcome::Fail;
                if !append.last && !append.ambiguous && !repeated && !failed && append.txn != read.txn {
                    self.note(flaw(Flaw::G1b, append.element, append.txn));
                }
            }
        }
        let loose = std::mem::take(&mut scratch.loose);
        for (serial, &(read, reader)) in loose.iter().enumerate() {
            self.loose_read(txns, key, scratch, serial as u32, read, reader);
        }
        scratch.loose = loose;
        scratch.pairs.sort_unstable();
        scratch.pairs.dedup();
        self.pairs.append(&mut scratch.pairs);
    }

    /// Judges a list that is no beginning of the longest, element by element. The order that it shows is as good as that
    /// of the longest: where they contradict each other, so will the graph.
    fn loose_read(
        &mut self,
        txns: &Transactions<'_>,
        key: u32,
        scratch: &mut Scratch,
        serial: u32,
        read: u32,
        reader: u32,
    ) {
        let (mut last, mut failed) = (NONE, false);
        let flaw = |flaw: Flaw, element: Word, other: u32| FlawedRead {
            other,
            element,
            ..FlawedRead::new(flaw, key, reader, read)
        };
        for &element in txns.elements(txns.all_mops()[read as usize].value) {
            let Some(found) = scratch.elements.find(element) else {
                self.note(flaw(Flaw::GarbageRead, element, NONE));
                continue;
            };
            let append = scratch.elements.at(found);
            if append.serial == serial && !append.ambiguous {
                let writer = append.txn;
                self.note(flaw(Flaw::DuplicateElements, element, writer));
                continue;
            }
            append.serial = serial;
            append.seen |= append.txn != reader;
            let (writer, ambiguous) = (append.txn, append.ambiguous);
            if txns.txn(writer).outcome == Outcome::Fail {
                if !failed {
                    failed = true;
                    self.note(flaw(Flaw::G1a, element, writer));
                }
            } else if writer != reader && !ambiguous {
                if last != NONE && last != writer {
                    scratch.pairs.push((last, writer));
                }
                last = writer;
            }
        }
        if last != NONE {
            self.loose.push((last, reader));
        }
    }

    /// Transactions that read the same list and then appended.
    fn lost_updates(&mut self, key: u32, scratch: &mut Scratch) {
        let appends = scratch.elements.appends();
        scratch.updates.retain(|(_, txn, _)| appends.binary_search_by_key(txn, |append| append.txn).is_ok());
        scratch.updates.sort_unstable();
        let mut told = NONE;
        for pair in scratch.updates.windows(2) {
            let [(len, one, read), (same, other, other_read)] = *pair else { continue };
            if len == same && one != other && told != len {
                told = len;
                self.note(FlawedRead { other, other_read, ..FlawedRead::new(Flaw::LostUpdate, key, one, read) });
            }
        }
    }

    /// The place of each transaction's own elements in the longest list: in its order, and after what it read.
    fn own_orders(&mut self, key: u32, scratch: &mut Scratch) {
        let appends = scratch.elements.appends();
        let mut reads = scratch.reads.iter().peekable();
        for at in 0..appends.len() {
            let append = appends[at];
            if append.place == NONE || append.ambiguous {
                continue;
            }
            let flaw = |flaw: Flaw, read: u32, follower: Word| FlawedRead {
                other: append.txn,
                element: append.element,
                follower,
                ..FlawedRead::new(flaw, key, append.txn, read)
            };
            let next = appends.get(at + 1).filter(|next| next.txn == append.txn && !next.ambiguous);
            if let Some(next) = next.filter(|next| next.place != NONE && next.place < append.place) {
                let longest = self.longest[key as usize].0;
                self.note(flaw(Flaw::InvertedOrder, longest, next.element));
            }
            while reads.next_if(|read| read.txn < append.txn).is_some() {}
            let read = reads.peek().filter(|read| read.txn == append.txn && self.base[read.mop as usize] != NONE);
            if let Some(read) = read.filter(|read| read.len > append.place) {
                let mop = read.mop;
                // What it had appended before the read is there twice.
                let kind = if append.mop < mop { Flaw::DuplicateElements } else { Flaw::FutureRead };
                self.note(flaw(kind, mop, Word::NIL));
            }
        }
    }
}
