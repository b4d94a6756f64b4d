//! [`Timeline`]: in which reads each element is, from the differences between consecutive reads.
use crate::calls::Elements;
use crate::history::{History, Op};
use crate::objects::final_reads::last_words;
use crate::value::Word;
use crate::verdict::budget_poll::BudgetPoll;
use std::cmp::Reverse;

const NONE: u32 = u32::MAX;
/// Elements of a read that take as long as one operation.
const PER_STEP: usize = 64;

/// What the reads say of one element. Reads by their place in the order of calls.
#[derive(Clone, Copy)]
pub(super) struct Observation {
    /// The read that has it and ended first.
    pub(super) first: u32,
    /// The last read that has it.
    pub(super) last: u32,
    /// The last read before that which lacks it.
    pub(super) absent: Option<u32>,
    /// Whether the last read has it.
    pub(super) in_last: bool,
    /// Whether the last word of a node, or a read that overlaps those and is the last of its node, has it.
    pub(super) in_tail: bool,
    /// Whether the last word of a node has it.
    pub(super) in_words: bool,
    /// The last of the last words that lacks it.
    pub(super) lacking: Option<u32>,
}

/// One element while the reads are gone through.
#[derive(Clone, Copy)]
struct Track {
    /// In the read at hand.
    state: State,
    /// The read with which the present stretch of reads that have it began.
    since: u32,
    first: u32,
    last: u32,
    absent: u32,
    in_tail: bool,
    in_words: bool,
    /// How many of the last words, from the last on, have it without a gap.
    words: u32,
    duplicated: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    /// In the read before, behind what both have in common; not met in this one yet.
    Pending,
    /// Met in this read, behind what it has in common with the one before.
    Met,
}

/// In which reads the elements are.
pub(super) struct Timeline {
    tracks: Vec<Track>,
    reads: u32,
    /// The call of the first of the last reads.
    pub(super) first: u64,
    /// The last reads and those that overlap the first of them, as far as no later read of the same node follows them.
    pub(super) tail: Vec<u32>,
    /// The last words: those of them that are last reads and count; from the last on.
    pub(super) words: Vec<u32>,
    /// Elements that are twice in one read, with the first such read.
    pub(super) duplicated: Vec<(u32, u32)>,
}

/// What one read leaves to the next.
#[derive(Default)]
struct Seam<'h> {
    /// The words of the read before.
    before: &'h [Word],
    /// Whether an element was twice in it.
    doubled: bool,
    /// Elements of the read before, and of this one, behind what both have in common. Kept for their memory.
    left: Vec<u32>,
    met: Vec<u32>,
}

impl Timeline {
    /// Of these reads, in the order of their calls; none where the time was up. Elements met for the first time are numbered.
    /// `counts`: whether a last read of this node is a last word.
    pub(super) fn of<'h>(
        history: &'h History,
        reads: &[Op<'h>],
        elements: &mut Elements<'h>,
        counts: impl Fn(&Op<'h>) -> bool,
        poll: &mut BudgetPoll<'_>,
    ) -> Option<Timeline> {
        let tail = tail(history, reads);
        let first = first_last(reads);
        let mut words: Vec<u32> = tail.clone();
        words.retain(|&at| reads[at as usize].call >= first && counts(&reads[at as usize]));
        words.sort_unstable_by_key(|&at| Reverse(at));
        let mut timeline = Timeline {
            tracks: vec![Track::UNSEEN; elements.len()],
            reads: reads.len() as u32,
            first,
            tail,
            words,
            duplicated: Vec::new(),
        };
        let mut seam = Seam::default();
        for at in 0..reads.len() {
            // A read costs as much as it saw.
            if poll.over(1 + reads[at].output.as_list().unwrap_or_default().words().len() / PER_STEP) {
                return None;
            }
            timeline.read(reads, at, elements, &mut seam);
        }
        if let Some(last) = timeline.reads.checked_sub(1) {
            for track in timeline.tracks.iter_mut().filter(|track| track.state == State::Present) {
                track.stretch(reads, last);
            }
        }
        timeline.mark_ends(reads, elements);
        Some(timeline)
    }

    /// Takes in the read at this place, as far as it differs from the one before.
    fn read<'h>(&mut self, reads: &[Op<'h>], at: usize, elements: &mut Elements<'h>, seam: &mut Seam<'h>) {
        let list = reads[at].output.as_list().unwrap_or_default();
        let words = list.words();
        // An element twice in the read before would be on both sides of the seam.
        let common =
            if seam.doubled { 0 } else { seam.before.iter().zip(words).take_while(|(one, two)| one == two).count() };
        seam.doubled = false;
        seam.left.clear();
        let previous = at.checked_sub(1).and_then(|at| reads[at].output.as_list()).unwrap_or_default();
        for value in previous.iter().skip(common) {
            if let Some(id) = elements.find(value) {
                self.tracks[id as usize].state = State::Pending;
                seam.left.push(id);
            }
        }
        seam.met.clear();
        for value in list.iter().skip(common) {
            let id = elements.number(value);
            if id as usize == self.tracks.len() {
                self.tracks.push(Track::UNSEEN);
            }
            let track = &mut self.tracks[id as usize];
            match track.state {
                State::Absent => {
                    track.since = at as u32;
                    track.absent = (at as u32).checked_sub(1).unwrap_or(NONE);
                }
                State::Pending => {}
                State::Present | State::Met => {
                    seam.doubled = true;
                    if !track.duplicated {
                        track.duplicated = true;
                        self.duplicated.push((id, at as u32));
                    }
                    continue;
                }
            }
            track.state = State::Met;
            seam.met.push(id);
        }
        for &id in &seam.left {
            let track = &mut self.tracks[id as usize];
            if track.state == State::Pending {
                track.state = State::Absent;
                track.stretch(reads, at as u32 - 1);
            }
        }
        for &id in &seam.met {
            self.tracks[id as usize].state = State::Present;
        }
        seam.before = words;
    }

    /// Marks what the tail and the last words have.
    fn mark_ends<'h>(&mut self, reads: &[Op<'h>], elements: &Elements<'h>) {
        for &at in &self.tail {
            for value in reads[at as usize].output.as_list().unwrap_or_default().iter() {
                if let Some(id) = elements.find(value) {
                    self.tracks[id as usize].in_tail = true;
                }
            }
        }
        for (rank, &at) in (0..).zip(&self.words) {
            for value in reads[at as usize].output.as_list().unwrap_or_default().iter() {
                if let Some(id) = elements.find(value) {
                    let track = &mut self.tracks[id as usize];
                    track.in_words = true;
                    if track.words == rank {
                        track.words = rank + 1;
                    }
                }
            }
        }
    }

    /// What was seen of an element; none where no read has it.
    pub(super) fn seen(&self, id: u32) -> Option<Observation> {
        let track = self.tracks.get(id as usize).filter(|track| track.first != NONE)?;
        Some(Observation {
            first: track.first,
            last: track.last,
            absent: Some(track.absent).filter(|&at| at != NONE),
            in_last: track.last + 1 == self.reads,
            in_tail: track.in_tail,
            in_words: track.in_words,
            lacking: self.words.get(track.words as usize).copied(),
        })
    }
}

impl Track {
    const UNSEEN: Track = Track {
        state: State::Absent,
        since: NONE,
        first: NONE,
        last: NONE,
        absent: NONE,
        in_tail: false,
        in_words: false,
        words: 0,
        duplicated: false,
    };

    /// A stretch of reads that have it ended with this one.
    fn stretch(&mut self, reads: &[Op<'_>], to: u32) {
        self.last = to;
        let reply = |at: u32| reads[at as usize].reply;
        if self.first == NONE {
            self.first = self.since;
        }
        // Reads are in the order of their calls: one called after the earliest reply so far cannot have ended earlier.
        for at in self.since..=to {
            if reads[at as usize].call > reply(self.first) {
                break;
            }
            if reply(at) < reply(self.first) {
                self.first = at;
            }
        }
    }
}

/// The call of the first of the last reads: those of the settle phase, or the very last.
fn first_last(reads: &[Op<'_>]) -> u64 {
    reads.iter().find(|read| read.settle).or(reads.last()).map_or(u64::MAX, |read| read.call)
}

/// The last reads and those that ended after the first of them began; of each node those that no other of it follows.
fn tail<'h>(history: &'h History, reads: &[Op<'h>]) -> Vec<u32> {
    let first = first_last(reads);
    let late: Vec<u32> = (0..reads.len() as u32).filter(|&at| reads[at as usize].reply > first).collect();
    let ops: Vec<Op<'h>> = late.iter().map(|&at| reads[at as usize]).collect();
    let words = last_words(history, &ops);
    let mut tail: Vec<u32> = words.into_values().flatten().map(|place| late[place]).collect();
    // Settle reads first: they are the ones to be named.
    tail.sort_by_key(|&at| (Reverse(reads[at as usize].settle), Reverse(at)));
    tail
}
