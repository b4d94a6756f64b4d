//! The levels by their definitions, tried on every commit order of a few transactions: what the fast tests are compared
//! with. Weak levels by their axioms (Biswas and Enea, OOPSLA 2019), parallel snapshot isolation by visibility and
//! arbitration (Cerone, Bernardi and Gotsman, CONCUR 2015); prefix, snapshot isolation and serializability by running a
//! store with snapshots step by step.
use super::small::{Small, SmallMop, SmallTxn};
use crate::history::Outcome;

/// Every level that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Definition {
    /// Adya's PL-2: reads return versions that come before in one order of the commits, and own writes.
    Committed,
    ReadCommitted,
    ReadAtomic,
    Causal,
    Prefix,
    Parallel,
    Snapshot,
    Serial,
    /// [`Definition::Serial`], and who ended before another was called comes before it.
    Strict,
}

/// What one transaction read from outside, under one commit order.
struct Seen {
    key: i64,
    /// The writer of the version; none for the initial one.
    from: Option<usize>,
    /// Lists: writers of all elements that were seen.
    all: Vec<usize>,
    behind_own: bool,
}

/// Whether the level holds for some choice of the Info transactions that took effect, and some order.
pub(crate) fn holds(small: &Small, definition: Definition) -> bool {
    let infos: Vec<usize> = (0..small.txns.len()).filter(|&at| small.txns[at].outcome == Outcome::Info).collect();
    (0..1u32 << infos.len()).any(|mask| {
        let chosen = |at: &usize| match small.txns[*at].outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => infos.iter().position(|one| one == at).is_some_and(|bit| mask >> bit & 1 == 1),
        };
        let committed: Vec<usize> = (0..small.txns.len()).filter(chosen).collect();
        match definition {
            Definition::Prefix | Definition::Snapshot | Definition::Serial | Definition::Strict => {
                Store { small, committed: &committed, definition }.run(&mut Vec::new(), &mut Vec::new())
            }
            _ => orders(small, &committed, &mut Vec::new(), &mut |order| explains(small, order, definition)),
        }
    })
}

/// Tries all orders of the committed transactions that keep the sessions' own. Depth is the number of transactions.
fn orders(small: &Small, committed: &[usize], order: &mut Vec<usize>, test: &mut impl FnMut(&[usize]) -> bool) -> bool {
    if order.len() == committed.len() {
        return test(order);
    }
    committed.iter().any(|&next| {
        let free = !order.contains(&next)
            && committed.iter().all(|&before| {
                before >= next || small.txns[before].session != small.txns[next].session || order.contains(&before)
            });
        if !free {
            return false;
        }
        order.push(next);
        let found = orders(small, committed, order, test);
        order.pop();
        found
    })
}

/// What a transaction saw under this order; None where a read fits no version that comes before it.
fn sights(small: &Small, order: &[usize], place: usize) -> Option<Vec<Seen>> {
    let (txn, reader) = (&small.txns[order[place]], order[place]);
    if txn.outcome == Outcome::Info {
        return Some(Vec::new());
    }
    let mut sights = Vec::new();
    for (at, mop) in txn.mops.iter().enumerate() {
        let SmallMop::Read(key, read) = mop else { continue };
        let before = SmallTxn { mops: txn.mops[..at].to_vec(), ..txn.clone() };
        let own = before.writes(*key);
        let sight = if small.lists {
            let outside = read.strip_suffix(&own[..])?;
            let (mut rest, mut all) = (outside, Vec::new());
            for &writer in &order[..place] {
                let elements = small.txns[writer].writes(*key);
                if elements.is_empty() || (rest.is_empty() && (own.is_empty() || small.aside)) {
                    continue;
                }
                // Versions in between belong to their writer; what is behind the own elements is all there was.
                rest = rest.strip_prefix(&elements[..])?;
                all.push(writer);
            }
            if !rest.is_empty() {
                return None;
            }
            Seen { key: *key, from: all.last().copied(), all, behind_own: !own.is_empty() && !small.aside }
        } else {
            if let Some(own) = own.last() {
                if read.last() != Some(own) {
                    return None;
                }
                continue;
            }
            let from = match read.last() {
                None => None,
                Some(value) => {
                    let wrote = |one: &&usize| small.txns[**one].writes(*key).last() == Some(value);
                    Some(*order[..place].iter().find(wrote).filter(|&&one| one != reader)?)
                }
            };
            Seen { key: *key, from, all: from.into_iter().collect(), behind_own: false }
        };
        sights.push(sight);
    }
    Some(sights)
}

fn explains(small: &Small, order: &[usize], definition: Definition) -> bool {
    let Some(sights) = (0..order.len()).map(|place| sights(small, order, place)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    if definition == Definition::Committed {
        return true;
    }
    if definition == Definition::Parallel {
        return parallel(small, order, &sights);
    }
    let place_of = |txn: usize| order.iter().position(|&one| one == txn).unwrap_or(usize::MAX);
    let session = |one: usize, two: usize| small.txns[order[one]].session == small.txns[order[two]].session;
    // Who precedes whom causally, by place.
    let count = order.len();
    let mut past = vec![vec![false; count]; count];
    for two in 0..count {
        for one in 0..two {
            let read = sights[two].iter().any(|sight| sight.all.contains(&order[one]));
            past[two][one] =
                read || session(one, two) || (one + 1..two).any(|middle| past[two][middle] && past[middle][one]);
        }
        for middle in 0..two {
            if past[two][middle] {
                let before = past[middle].clone();
                past[two].iter_mut().zip(before).for_each(|(cell, more)| *cell |= more);
            }
        }
    }
    (0..count).all(|reader| {
        let mine = &sights[reader];
        mine.iter().enumerate().filter(|(_, sight)| !sight.behind_own).all(|(at, sight)| {
            let visible = |other: usize| match definition {
                Definition::ReadCommitted => {
                    mine[..at].iter().any(|earlier| !earlier.behind_own && earlier.from == Some(order[other]))
                }
                Definition::ReadAtomic => {
                    (other < reader && session(other, reader))
                        || mine.iter().any(|one| !one.behind_own && one.from == Some(order[other]))
                }
                _ => past[reader][other],
            };
            (0..count).all(|other| {
                let writes = !small.txns[order[other]].writes(sight.key).is_empty();
                let same = sight.from == Some(order[other]);
                !writes
                    || same
                    || other == reader
                    || !visible(other)
                    || sight.from.is_some_and(|from| other < place_of(from))
            })
        })
    })
}

/// Parallel snapshot isolation: visibility is transitive, holds sessions and all pairs of writers of one key, and each
/// read returns the last visible write.
fn parallel(small: &Small, order: &[usize], sights: &[Vec<Seen>]) -> bool {
    let count = order.len();
    let txn = |place: usize| &small.txns[order[place]];
    let mut visible = vec![vec![false; count]; count];
    for two in 0..count {
        for one in 0..two {
            let both = (0..4).any(|key| !txn(one).writes(key).is_empty() && !txn(two).writes(key).is_empty());
            let read = sights[two].iter().any(|sight| sight.all.contains(&order[one]));
            visible[one][two] = both || read || txn(one).session == txn(two).session;
        }
    }
    for middle in 0..count {
        for one in 0..count {
            for two in 0..count {
                visible[one][two] |= visible[one][middle] && visible[middle][two];
            }
        }
    }
    (0..count).all(|reader| {
        sights[reader].iter().all(|sight| {
            let last = (0..count).rev().find(|&one| visible[one][reader] && !txn(one).writes(sight.key).is_empty());
            last.map(|place| order[place]) == sight.from
        })
    })
}

/// A store in which a transaction begins (and takes its snapshot) and commits.
struct Store<'s> {
    small: &'s Small,
    committed: &'s [usize],
    definition: Definition,
}

impl Store<'_> {
    /// Tries all ways on from here: transactions that have begun with the size of their snapshots, and those that have
    /// committed. Depth is twice the number of transactions.
    fn run(&self, begun: &mut Vec<(usize, usize)>, done: &mut Vec<usize>) -> bool {
        if done.len() == self.committed.len() {
            return true;
        }
        for &txn in self.committed {
            let snapshot = begun.iter().find(|one| one.0 == txn).map(|one| one.1);
            match snapshot {
                None => {
                    let session =
                        |&&one: &&usize| one < txn && self.small.txns[one].session == self.small.txns[txn].session;
                    let ready = self.committed.iter().filter(session).all(|one| done.contains(one));
                    let serial = matches!(self.definition, Definition::Serial | Definition::Strict);
                    let early = self.definition == Definition::Strict
                        && self.committed.iter().any(|&one| {
                            let other = &self.small.txns[one];
                            other.outcome == Outcome::Ok
                                && other.end < self.small.txns[txn].call
                                && !done.contains(&one)
                        });
                    if !ready || early || (serial && begun.len() > done.len()) {
                        continue;
                    }
                    begun.push((txn, done.len()));
                    let found = self.fits(txn, done) && self.run(begun, done);
                    begun.pop();
                    if found {
                        return true;
                    }
                }
                Some(_) if done.contains(&txn) => {}
                Some(snapshot) => {
                    let since = &done[snapshot..];
                    let clash = |key: i64| {
                        !self.small.txns[txn].writes(key).is_empty()
                            && since.iter().any(|&one| !self.small.txns[one].writes(key).is_empty())
                    };
                    if self.definition == Definition::Snapshot && (0..4).any(clash) {
                        continue;
                    }
                    // A list seen with own elements at its end must stay as it was seen.
                    let held = (0..4).filter(|&key| self.reads_own(txn, key)).any(clash);
                    if self.small.lists && !self.small.aside && held {
                        continue;
                    }
                    done.push(txn);
                    let found = self.run(begun, done);
                    done.pop();
                    if found {
                        return true;
                    }
                }
            }
        }
        false
    }

    fn reads_own(&self, txn: usize, key: i64) -> bool {
        let txn = &self.small.txns[txn];
        let first = txn.mops.iter().position(|mop| matches!(mop, SmallMop::Write(at, _) if *at == key));
        let read = |mop: &SmallMop| matches!(mop, SmallMop::Read(at, _) if *at == key);
        txn.outcome == Outcome::Ok && first.is_some_and(|first| txn.mops[first..].iter().any(read))
    }

    /// Whether all reads are what this snapshot and the own writes give.
    fn fits(&self, txn: usize, snapshot: &[usize]) -> bool {
        let txn = &self.small.txns[txn];
        txn.outcome == Outcome::Info
            || txn.mops.iter().enumerate().all(|(at, mop)| {
                let SmallMop::Read(key, read) = mop else { return true };
                let before = SmallTxn { mops: txn.mops[..at].to_vec(), ..txn.clone() };
                let mut state: Vec<i64> = snapshot.iter().flat_map(|&one| self.small.txns[one].writes(*key)).collect();
                state.extend(before.writes(*key));
                if !self.small.lists {
                    state.drain(..state.len().saturating_sub(1));
                }
                *read == state
            })
    }
}
