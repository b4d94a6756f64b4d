//! [`Timeline`]: in which reads each element is, from the differences between consecutive reads.
use crate::contract::Elements;
use crate::history::Op;
use crate::pace::Pace;
use crate::value::Word;
use std::cmp::Reverse;

const NONE: u32 = u32::MAX;
/// So many elements of a read take as long as one operation.
const PER_STEP: usize = 64;

/// What the reads say of one element. Reads by their place in the order of calls.
#[derive(Clone, Copy)]
pub(super) struct Sighting {
    /// The read that has it and ended first.
    pub(super) first: u32,
    /// The last read that has it.
    pub(super) last: u32,
    /// The last read before that which lacks it.
    pub(super) absent: Option<u32>,
    /// Whether the last read has it.
    pub(super) in_last: bool,
    /// Whether a last read, or one that overlaps the first of them, has it.
    pub(super) in_tail: bool,
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
    /// The last reads and those that overlap the first of them.
    pub(super) tail: Vec<u32>,
    /// Elements that are twice in one read, with the first such read.
    pub(super) duplicated: Vec<(u32, u32)>,
}

impl Timeline {
    /// Of these reads, in the order of their calls; none where the time was up. Elements met for the first time are numbered.
    pub(super) fn of<'h>(reads: &[Op<'h>], elements: &mut Elements<'h>, pace: &mut Pace<'_>) -> Option<Timeline> {
        let nothing = Track {
            state: State::Absent,
            since: NONE,
            first: NONE,
            last: NONE,
            absent: NONE,
            in_tail: false,
            duplicated: false,
        };
        let mut timeline = Timeline {
            tracks: vec![nothing; elements.len()],
            reads: reads.len() as u32,
            tail: tail(reads),
            duplicated: Vec::new(),
        };
        let mut before: &[Word] = &[];
        let mut clean = true;
        let (mut left, mut met): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        for (at, read) in reads.iter().enumerate() {
            let list = read.output.as_list().unwrap_or_default();
            let words = list.words();
            // A read costs as much as it saw.
            if pace.over(1 + words.len() / PER_STEP) {
                return None;
            }
            // An element twice in the read before would be on both sides of the seam.
            let common = if clean { before.iter().zip(words).take_while(|(one, two)| one == two).count() } else { 0 };
            clean = true;
            left.clear();
            let previous = at.checked_sub(1).and_then(|at| reads[at].output.as_list()).unwrap_or_default();
            for value in previous.iter().skip(common) {
                if let Some(id) = elements.find(value) {
                    timeline.tracks[id as usize].state = State::Pending;
                    left.push(id);
                }
            }
            met.clear();
            for value in list.iter().skip(common) {
                let id = elements.number(value);
                if id as usize == timeline.tracks.len() {
                    timeline.tracks.push(nothing);
                }
                let track = &mut timeline.tracks[id as usize];
                match track.state {
                    State::Absent => {
                        track.since = at as u32;
                        track.absent = (at as u32).checked_sub(1).unwrap_or(NONE);
                    }
                    State::Pending => {}
                    State::Present | State::Met => {
                        clean = false;
                        if !track.duplicated {
                            track.duplicated = true;
                            timeline.duplicated.push((id, at as u32));
                        }
                        continue;
                    }
                }
                track.state = State::Met;
                met.push(id);
            }
            for &id in &left {
                let track = &mut timeline.tracks[id as usize];
                if track.state == State::Pending {
                    track.state = State::Absent;
                    track.stretch(reads, at as u32 - 1);
                }
            }
            for &id in &met {
                timeline.tracks[id as usize].state = State::Present;
            }
            before = words;
        }
        if let Some(last) = timeline.reads.checked_sub(1) {
            for track in timeline.tracks.iter_mut().filter(|track| track.state == State::Present) {
                track.stretch(reads, last);
            }
        }
        for &at in &timeline.tail {
            for value in reads[at as usize].output.as_list().unwrap_or_default().iter() {
                if let Some(id) = elements.find(value) {
                    timeline.tracks[id as usize].in_tail = true;
                }
            }
        }
        Some(timeline)
    }

    /// What was seen of an element; none where no read has it.
    pub(super) fn seen(&self, id: u32) -> Option<Sighting> {
        let track = self.tracks.get(id as usize).filter(|track| track.first != NONE)?;
        Some(Sighting {
            first: track.first,
            last: track.last,
            absent: Some(track.absent).filter(|&at| at != NONE),
            in_last: track.last + 1 == self.reads,
            in_tail: track.in_tail,
        })
    }
}

impl Track {
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

/// The last reads (of the settle phase, or the very last), and those that ended after the first of them began.
fn tail(reads: &[Op<'_>]) -> Vec<u32> {
    let first = reads.iter().find(|read| read.settle).or(reads.last()).map_or(u64::MAX, |read| read.call);
    let late = |at: &u32| reads[*at as usize].reply > first;
    let mut tail: Vec<u32> = (0..reads.len() as u32).filter(late).collect();
    // Settle reads first: they are the ones to be named.
    tail.sort_by_key(|&at| (Reverse(reads[at as usize].settle), Reverse(at)));
    tail
}
