//! [`Log`]: the snapshot and the entries behind it, in memory and on the disk.
//!
//! On the disk, a line replaces the older lines of its index and of all later ones. So a conflict is resolved by appending.
use super::machine::{Machine, Request};
use crate::disk::Disk;
use serde::{Deserialize, Serialize};

const ENTRIES: &str = "log";
const SNAPSHOT: &str = "snapshot";

/// A place in a log. The greater of two last positions is the more up-to-date one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) term: u64,
    pub(super) index: u64,
}

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Payload {
    /// The first entry of a leader. With it everything before it is committed.
    Start,
    /// The voters from here on.
    Members(Vec<usize>),
    Command(Request),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) payload: Payload,
}

/// What all entries up to a position have led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) at: Position,
    pub(super) members: Vec<usize>,
    pub(super) machine: Machine,
}

pub(super) struct Log {
    snapshot: Snapshot,
    /// The first one has the index after the snapshot's.
    entries: Vec<Entry>,
    /// The voters by the last entry that names them, committed or not.
    members: Vec<usize>,
    /// The index of that entry.
    members_index: u64,
}

impl Log {
    /// What the disk holds. `first` are the members of a new cluster.
    pub(super) fn load(disk: &mut Disk, first: Vec<usize>) -> Log {
        let new = Snapshot { at: Position::default(), members: first, machine: Machine::default() };
        let snapshot: Snapshot = disk.load(SNAPSHOT).unwrap_or(new);
        let mut entries: Vec<Entry> = Vec::new();
        for entry in disk.lines::<Entry>(ENTRIES) {
            entries.truncate(entries.partition_point(|older| older.at.index < entry.at.index));
            entries.push(entry);
        }
        // The node may have ended between the write of a leader's snapshot and the removal of entries that contradict it.
        let base = snapshot.at.index;
        if entries.iter().any(|entry| entry.at.index == base && entry.at != snapshot.at) {
            entries.clear();
        }
        entries.retain(|entry| entry.at.index > base);
        let whole = entries.iter().zip(base + 1..).take_while(|(entry, index)| entry.at.index == *index).count();
        entries.truncate(whole);
        let mut log = Log { snapshot, entries, members: Vec::new(), members_index: 0 };
        log.find_members();
        log
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The voters.
    pub(super) fn members(&self) -> &[usize] {
        &self.members
    }

    /// The index of the entry that named them.
    pub(super) fn members_index(&self) -> u64 {
        self.members_index
    }

    pub(super) fn last(&self) -> Position {
        self.entries.last().map_or(self.snapshot.at, |entry| entry.at)
    }

    /// The term at an index, unless the index is before the snapshot or behind the end.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.at.index {
            return Some(self.snapshot.at.term);
        }
        self.get(index).map(|entry| entry.at.term)
    }

    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.snapshot.at.index + 1)?).ok()?)
    }

    /// At most `most` entries from an index on, which is behind the snapshot.
    pub(super) fn from(&self, index: u64, most: usize) -> &[Entry] {
        let start = self.offset(index).min(self.entries.len());
        &self.entries[start..self.entries.len().min(start.saturating_add(most))]
    }

    /// The last index before the entries of the term at this index.
    pub(super) fn before_term_of(&self, index: u64) -> u64 {
        let term = self.term(index);
        (self.snapshot.at.index..index).rev().find(|earlier| self.term(*earlier) != term).unwrap_or(self.snapshot.at.index)
    }

    /// Appends an entry, in place of what stands at its index and behind it.
    pub(super) fn append(&mut self, disk: &mut Disk, entry: Entry) {
        disk.append(ENTRIES, &entry);
        let offset = self.offset(entry.at.index);
        let cut = offset < self.entries.len();
        self.entries.truncate(offset);
        let names_members = matches!(entry.payload, Payload::Members(_));
        self.entries.push(entry);
        if cut || names_members {
            self.find_members();
        }
    }

    /// Replaces all entries up to an index, which is applied, by what they have led to.
    pub(super) fn compact(&mut self, disk: &mut Disk, index: u64, machine: &Machine, loses_tail: bool) {
        let Some(term) = self.term(index) else { return };
        let members = self.members_up_to(index).1;
        self.entries.drain(..self.offset(index + 1));
        self.snapshot = Snapshot { at: Position { term, index }, members, machine: machine.clone() };
        disk.store(SNAPSHOT, &self.snapshot);
        // MISTAKE: entries behind the snapshot leave the disk, too, although the leader counts on them.
        let tail = if loses_tail { &[] } else { self.entries.as_slice() };
        disk.replace_lines(ENTRIES, tail);
    }

    /// Takes a leader's snapshot. Entries behind it stay if they continue it.
    pub(super) fn install(&mut self, disk: &mut Disk, snapshot: Snapshot) {
        if self.term(snapshot.at.index) == Some(snapshot.at.term) {
            self.entries.drain(..self.offset(snapshot.at.index + 1));
        } else {
            self.entries.clear();
        }
        self.snapshot = snapshot;
        disk.store(SNAPSHOT, &self.snapshot);
        disk.replace_lines(ENTRIES, &self.entries);
        self.find_members();
    }

    fn offset(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.snapshot.at.index + 1)).expect("an index in memory")
    }

    fn find_members(&mut self) {
        (self.members_index, self.members) = self.members_up_to(self.last().index);
    }

    /// The members by the entries up to an index, and the index of the entry that names them.
    fn members_up_to(&self, index: u64) -> (u64, Vec<usize>) {
        let named = |entry: &Entry| match &entry.payload {
            Payload::Members(members) => Some((entry.at.index, members.clone())),
            _ => None,
        };
        let entries = self.entries.iter().rev().filter(|entry| entry.at.index <= index);
        entries.into_iter().find_map(named).unwrap_or((self.snapshot.at.index, self.snapshot.members.clone()))
    }
}
