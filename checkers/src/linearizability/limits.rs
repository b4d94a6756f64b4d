//! The steps, time and memory that an engine may still use, how far it came, and its answer.
use crate::verdict::{Budget, Progress};
use std::sync::atomic::{AtomicBool, Ordering};

/// The answer of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EngineAnswer {
    /// Some order explains all replies; the calls in that order, where the engine knows it.
    Linearizable(Option<Vec<u64>>),
    /// No order explains the replies up to this index.
    Refuted(u64),
}

/// Why an engine stopped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The quota of steps for this turn is used up; another turn may come.
    Quota,
    /// The time is up.
    Time,
    /// It would need more memory than it may have.
    Memory,
    /// More operations are open at once than the engine can tell apart.
    Width,
    /// Another engine has the answer.
    Cancelled,
}

/// Steps between two looks at the clock: asking is cheap, but not as cheap as a step.
const LOOK: u32 = 256;
/// Looks at the clock between two reports of progress.
const WORD: u32 = 64;

/// What an engine may use in one turn.
pub(crate) struct Limits<'a> {
    budget: &'a Budget,
    what: &'a str,
    cancelled: Option<&'a AtomicBool>,
    memory_bytes: u64,
    quota: u64,
    /// Steps taken.
    pub(crate) steps: u64,
    /// Steps until the next look at the clock, and looks until the next word.
    look: u32,
    word: u32,
    /// Replies passed, and all replies: for reports of progress.
    done: (u64, u64),
    /// The last return, by index, up to which the history was decided.
    pub(crate) furthest: u64,
}

impl<'a> Limits<'a> {
    /// This many steps, within the budget.
    pub(crate) fn new(budget: &'a Budget, quota: u64) -> Limits<'a> {
        Limits {
            budget,
            what: "",
            cancelled: None,
            memory_bytes: budget.memory_bytes,
            quota,
            steps: 0,
            look: 0,
            word: WORD,
            done: (0, 0),
            furthest: 0,
        }
    }

    /// Sets what is judged, for reports of progress.
    pub(crate) fn about(mut self, what: &'a str, of: u64) -> Limits<'a> {
        self.what = what;
        self.done.1 = of;
        self
    }

    /// Stops soon after this becomes true.
    pub(crate) fn until(mut self, cancelled: &'a AtomicBool) -> Limits<'a> {
        self.cancelled = Some(cancelled);
        self
    }

    /// May hold no more than this.
    pub(crate) fn holding(mut self, bytes: u64) -> Limits<'a> {
        self.memory_bytes = bytes;
        self
    }

    /// One more step, while this many bytes are held.
    #[inline]
    pub(crate) fn step(&mut self, bytes: u64) -> Result<(), Stop> {
        if bytes > self.memory_bytes {
            return Err(Stop::Memory);
        }
        self.quota = self.quota.checked_sub(1).ok_or(Stop::Quota)?;
        self.steps += 1;
        if self.look == 0 {
            self.look = LOOK;
            self.asked()?;
        }
        self.look -= 1;
        Ok(())
    }

    /// Counts steps that were taken without a look at the clock or the memory.
    pub(crate) fn charge(&mut self, steps: u64) {
        self.quota = self.quota.saturating_sub(steps);
        self.steps += steps;
    }

    /// Looks at the clock now.
    pub(crate) fn look(&mut self) -> Result<(), Stop> {
        self.look = LOOK;
        self.asked()
    }

    #[cold]
    fn asked(&mut self) -> Result<(), Stop> {
        if (self.budget.expired)() {
            return Err(Stop::Time);
        }
        if self.cancelled.is_some_and(|cancelled| cancelled.load(Ordering::Relaxed)) {
            return Err(Stop::Cancelled);
        }
        self.word -= 1;
        if self.word == 0 {
            self.word = WORD;
            let (done, of) = self.done;
            (self.budget.progress)(Progress { checker: "linearizable", what: self.what, done, of });
        }
        Ok(())
    }

    /// The history up to this return was explained.
    #[inline]
    pub(crate) fn reached(&mut self, index: u64) {
        self.furthest = self.furthest.max(index);
    }

    /// Sets how many replies are behind the engine.
    #[inline]
    pub(crate) fn passed(&mut self, replies: u64) {
        self.done.0 = replies;
    }
}
