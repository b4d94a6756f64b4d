//! Lists with unique elements as a [`Matched`] history: the longest read of a key gives the order of its versions, every
//! other read is a beginning of it.
use super::matched::{Flaw, FlawedRead, Matched, SKIP};
use super::view::{Chain, INITIAL, Read, Versions};
use crate::graph::NONE;
use crate::history::Outcome;
use crate::transactions::appends::{Append, Appends};
use crate::transactions::txn::{Mix, Mop, MopKind, Transactions};
use crate::value::Word;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::ops::Range;

/// What a read mop saw: how many elements of others, and whether behind own ones; [`SKIP`] for nothing to say.
#[derive(Clone, Copy)]
struct Observation {
    place: u32,
    behind_own: bool,
}

/// What is gathered over some keys that follow each other. What belongs to a micro-operation stands where it stands among
/// those keys' micro-operations by key.
struct Part<'a> {
    keys: Range<u32>,
    observations: &'a mut [Observation],
    /// Of each append, whether its element stands in the chain.
    placed: &'a mut [bool],
    /// Of each micro-operation of all keys, by its place, how many own elements at the end of a read are set aside; empty
    /// where none are.
    own: &'a [u32],
    /// Of each transaction, whether another one saw it.
    seen: Vec<bool>,
    /// Of each key, the writers of the elements of its longest read, as far as it is sound.
    chains: Vec<Vec<u32>>,
    flaws: Vec<FlawedRead>,
    ambiguous: u64,
}

/// Micro-operations that are worth a thread of their own.
const PART_LEAST: usize = 100_000;

/// Of each read, how many own elements stand at its end, if they are all that its transaction had appended.
fn own_at_end(transactions: &Transactions<'_>, aside: bool) -> Vec<u32> {
    if !aside {
        return Vec::new();
    }
    let mops = transactions.all_mops();
    let mut counts = vec![0; mops.len()];
    for key in 0..transactions.keys() as u32 {
        let mut own = Own::default();
        for &place in transactions.key_mops(key) {
            let mop = mops[place as usize];
            own.take(mop);
            if mop.kind() == MopKind::Read && transactions.elements(mop.value).ends_with(&own.elements) {
                counts[place as usize] = own.elements.len() as u32;
            }
        }
    }
    counts
}

/// What the transaction of a micro-operation appended to its key so far.
#[derive(Default)]
struct Own {
    txn: Option<u32>,
    elements: Vec<Word>,
}

impl Own {
    /// The key's next micro-operation.
    fn take(&mut self, mop: Mop) {
        if self.txn.replace(mop.txn()) != Some(mop.txn()) {
            self.elements.clear();
        }
        if mop.writes() {
            self.elements.push(mop.value);
        }
    }
}

impl Matched {
    /// Matches elements with appends. A read that ends with own elements shows a version: no other append came in between.
    pub(crate) fn lists(transactions: &Transactions<'_>) -> Matched {
        Matched::lists_with(transactions, false)
    }

    /// The same, where own elements at the end of a read are set aside: others may have appended between what was seen
    /// and them, as stores do that apply appends at the commit.
    pub(crate) fn lists_aside(transactions: &Transactions<'_>) -> Matched {
        Matched::lists_with(transactions, true)
    }

    fn lists_with(transactions: &Transactions<'_>, aside: bool) -> Matched {
        let mut out = Matched::default();
        let count = transactions.all_mops().len();
        let nothing = Observation { place: SKIP, behind_own: false };
        let (mut observations, mut placed) = (vec![nothing; count], vec![false; count]);
        let own = own_at_end(transactions, aside);
        let mut parts = parts(transactions, &mut observations, &mut placed, &own);
        std::thread::scope(|scope| {
            if let Some((first, others)) = parts.split_first_mut() {
                others.iter_mut().for_each(|part| drop(scope.spawn(|| part.gather(transactions))));
                first.gather(transactions);
            }
        });
        let mut seen = vec![false; transactions.len()];
        let mut chains = Vec::with_capacity(transactions.keys());
        for mut part in parts {
            seen.iter_mut().zip(&part.seen).for_each(|(seen, here)| *seen |= here);
            chains.append(&mut part.chains);
            out.flaws.append(&mut part.flaws);
            out.ambiguous += part.ambiguous;
        }
        let mut by_place = vec![nothing; count];
        let keys = 0..transactions.keys() as u32;
        let places = keys.flat_map(|key| transactions.key_mops(key));
        places.zip(&observations).for_each(|(&place, observation)| by_place[place as usize] = *observation);
        drop(observations);
        let numbers = out.number(transactions, &seen, |at, mop| {
            let Observation { place, behind_own } = by_place[at];
            if place == SKIP || mop.kind() != MopKind::Read {
                return None;
            }
            let from = if place == 0 { INITIAL } else { chains[mop.key as usize][place as usize - 1] };
            Some(Read { key: mop.key, from, place, behind_own })
        });
        out.versions(transactions, &numbers, &placed, chains);
        out
    }

    /// The versions of each key: the chain, and after it the appends of committed transactions that no read shows.
    fn versions(&mut self, transactions: &Transactions<'_>, numbers: &[u32], placed: &[bool], chains: Vec<Vec<u32>>) {
        let mops = transactions.all_mops();
        let mut placed = placed.iter();
        for (key, writers) in chains.into_iter().enumerate() {
            let writers: Vec<u32> = writers.iter().map(|&txn| numbers[txn as usize]).collect();
            let mut tail = Vec::new();
            for (&place, placed) in transactions.key_mops(key as u32).iter().zip(&mut placed) {
                let mop = mops[place as usize];
                let number = numbers[mop.txn() as usize];
                if mop.writes() && number != INITIAL && !placed && tail.last() != Some(&number) {
                    tail.push(number);
                }
            }
            self.view.versions.push(Versions::Containing(Chain { writers, tail }));
        }
    }
}

/// The keys in as many parts as there are processors for, of about as many micro-operations.
fn parts<'a>(
    transactions: &Transactions<'_>,
    mut observations: &'a mut [Observation],
    mut placed: &'a mut [bool],
    own: &'a [u32],
) -> Vec<Part<'a>> {
    let count = observations.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count / PART_LEAST).max(1);
    let (mut parts, mut first, mut len) = (Vec::with_capacity(threads), 0, 0);
    for key in 0..transactions.keys() as u32 {
        len += transactions.key_mops(key).len();
        if len < count.div_ceil(threads) && key + 1 < transactions.keys() as u32 {
            continue;
        }
        let (here, rest) = std::mem::take(&mut observations).split_at_mut(len);
        let (placed_here, placed_rest) = std::mem::take(&mut placed).split_at_mut(len);
        (observations, placed) = (rest, placed_rest);
        parts.push(Part {
            keys: first..key + 1,
            observations: here,
            placed: placed_here,
            own,
            seen: vec![false; transactions.len()],
            chains: Vec::with_capacity((key + 1 - first) as usize),
            flaws: Vec::new(),
            ambiguous: 0,
        });
        (first, len) = (key + 1, 0);
    }
    parts
}

impl Part<'_> {
    fn gather(&mut self, transactions: &Transactions<'_>) {
        let mut appends = Appends::default();
        let mut at = 0;
        for key in self.keys.clone() {
            appends.clear();
            for &place in transactions.key_mops(key) {
                let mop = transactions.all_mops()[place as usize];
                if mop.writes() {
                    appends.push(Append::new(mop.value, mop.txn(), place));
                }
            }
            appends.index(|txn| transactions.txn(txn).outcome == Outcome::Fail);
            let sound = self.chain(transactions, key, &mut appends, at);
            self.prefixes(transactions, key, &appends, &sound, at);
            at += transactions.key_mops(key).len();
        }
    }

    /// What a read saw, without own elements that are set aside.
    fn outside<'t>(&self, transactions: &'t Transactions<'_>, place: u32) -> &'t [Word] {
        let elements = transactions.elements(transactions.all_mops()[place as usize].value);
        let own = self.own.get(place as usize).map_or(0, |&own| own as usize);
        &elements[..elements.len() - own]
    }

    /// Takes the longest read as the chain: as far as each element was appended once, by one that may have taken effect.
    fn chain(&mut self, transactions: &Transactions<'_>, key: u32, appends: &mut Appends, at: usize) -> Vec<Word> {
        let mops = transactions.all_mops();
        let reads = transactions.key_mops(key).iter().copied();
        let reads = reads.filter(|&place| mops[place as usize].kind() == MopKind::Read);
        let length = |place: &u32| self.outside(transactions, *place).len();
        // The first of the longest.
        let longest = reads.rev().max_by_key(length);
        let mut writers = Vec::new();
        let elements = longest.map_or(&[][..], |place| self.outside(transactions, place));
        let longest = longest.map(|place| mops[place as usize]);
        // Only transactions that append several elements to the key are in it.
        let mut counts: HashMap<u32, u32, BuildHasherDefault<Mix>> = HashMap::default();
        for element in elements {
            let Some(found) = appends.find(*element) else { break };
            let append = appends.at(found);
            let aborted = transactions.txn(append.txn).outcome == Outcome::Fail;
            if append.ambiguous || aborted || append.place != NONE {
                break;
            }
            append.place = writers.len() as u32;
            if append.nth > 0 || !append.last {
                let count = counts.entry(append.txn).or_default();
                if *count != append.nth {
                    let (reader, value, writer) = (longest.map_or(INITIAL, |mop| mop.txn()), *element, append.txn);
                    self.flaws.push(FlawedRead { flaw: Flaw::Inverted, reader, key, value, writer });
                    break;
                }
                *count += 1;
            }
            writers.push(append.txn);
            self.seen[append.txn as usize] = true;
        }
        let sound = elements[..writers.len()].to_vec();
        for (&place, placed) in transactions.key_mops(key).iter().zip(&mut self.placed[at..]) {
            let mop = mops[place as usize];
            *placed = mop.writes() && appends.of(mop.value).is_some_and(|append| append.place != NONE);
        }
        self.chains.push(writers);
        sound
    }

    /// Compares each read with the chain.
    fn prefixes(&mut self, transactions: &Transactions<'_>, key: u32, appends: &Appends, sound: &[Word], at: usize) {
        let mops = transactions.all_mops();
        let mut taken = Own::default();
        // Who made the longest read, and what it saw; only what does not fit asks.
        let mut longest: Option<(u32, &[Word])> = None;
        for (nth, &place) in transactions.key_mops(key).iter().enumerate() {
            let mop = mops[place as usize];
            taken.take(mop);
            if mop.kind() != MopKind::Read {
                continue;
            }
            let own = &taken.elements;
            let aside = !self.own.is_empty();
            let elements = self.outside(transactions, place);
            let fits = elements.len() <= sound.len() && Word::same(elements, &sound[..elements.len()]);
            if !fits {
                // What is wrong with the longest itself was noted at the chain, and so at its beginnings.
                let (who, whole) = *longest.get_or_insert_with(|| longest_read(transactions, key));
                let other = if whole.starts_with(elements) { INITIAL } else { who };
                self.misfit(transactions, key, mop.txn(), mop.value, appends, other);
                continue;
            }
            let flawed = |flaw, value, writer| FlawedRead { flaw, reader: mop.txn(), key, value, writer };
            let outside = if aside {
                let ends = transactions.elements(mop.value).ends_with(own);
                ends.then_some(elements)
            } else {
                elements.strip_suffix(&own[..])
            };
            let Some(outside) = outside else {
                self.flaws.push(flawed(Flaw::Internal, mop.value, mop.txn()));
                continue;
            };
            let writes = transactions.mops(mop.txn()).iter().filter(|one| one.key == key && one.writes()).count();
            let its_own = |element: &&Word| appends.of(**element).is_some_and(|append| append.txn == mop.txn());
            let later = outside.iter().find(|element| (aside || writes > own.len()) && its_own(element));
            if let Some(later) = later {
                self.flaws.push(flawed(Flaw::Future, *later, mop.txn()));
                continue;
            }
            if let Some(append) = outside.last().and_then(|element| appends.of(*element))
                && !append.last
            {
                self.flaws.push(flawed(Flaw::Intermediate, append.element, append.txn));
            }
            self.observations[at + nth] =
                Observation { place: outside.len() as u32, behind_own: !own.is_empty() && !aside };
        }
    }

    /// A read that does not fit: says why.
    fn misfit(
        &mut self,
        transactions: &Transactions<'_>,
        key: u32,
        reader: u32,
        value: Word,
        appends: &Appends,
        other: u32,
    ) {
        let before = self.flaws.len();
        let elements = transactions.elements(value);
        let mut met: HashSet<Word, BuildHasherDefault<Mix>> = HashSet::default();
        let mut ambiguous = false;
        for element in elements {
            let flaw = match appends.of(*element) {
                None => Some((Flaw::Unwritten, INITIAL)),
                Some(one) if transactions.txn(one.txn).outcome == Outcome::Fail => Some((Flaw::Aborted, one.txn)),
                Some(one) => {
                    ambiguous |= one.ambiguous;
                    (!one.ambiguous && !met.insert(*element)).then_some((Flaw::Duplicate, one.txn))
                }
            };
            if let Some((flaw, writer)) = flaw {
                self.flaws.push(FlawedRead { flaw, reader, key, value: *element, writer });
            }
        }
        if self.flaws.len() > before {
            return;
        }
        if ambiguous {
            self.ambiguous += 1;
            return;
        }
        if other != INITIAL {
            self.flaws.push(FlawedRead { flaw: Flaw::Incompatible, reader, key, value, writer: other });
        }
    }
}

/// The first of the longest reads of a key: its transaction, and what it read with own elements.
fn longest_read<'h>(transactions: &Transactions<'h>, key: u32) -> (u32, &'h [Word]) {
    let mut longest: (u32, &[Word]) = (INITIAL, &[]);
    for &place in transactions.key_mops(key) {
        let mop = transactions.all_mops()[place as usize];
        if mop.kind() == MopKind::Read && transactions.elements(mop.value).len() > longest.1.len() {
            longest = (mop.txn(), transactions.elements(mop.value));
        }
    }
    longest
}
