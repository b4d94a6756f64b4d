//! [`Workload`]: which calls, when, and which checkers judge them; [`Generator`]: the calls of one worker.
use crate::client::{Call, CallResult};
use dsfuzz_checkers::functions;
use std::sync::Arc;

/// What a generator says when asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This call.
    Call(Call),
    /// Nothing now; ask again soon.
    Wait,
    /// Nothing any more.
    Done,
}

/// The calls of one worker.
///
/// The choices (function, slot, fresh values) come from the worker's own stream alone. What depends on replies or on
/// other workers (the expected value of a compare-and-set, the key a slot stands for now) is bound in
/// [`Generator::next`] and not drawn.
pub trait Generator: Send {
    /// The next call. Asking consumes nothing: until [`Generator::taken`], the same choice comes again.
    fn next(&mut self) -> Next;

    /// The last answer of [`Generator::next`] was used.
    fn taken(&mut self);

    /// A call of this worker ended so.
    fn observe(&mut self, call: &Call, answer: &CallResult);
}

/// A part of a workload's calls, for clients that join others: writes that hang must not stop the reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Calls of functions that change nothing: `read`.
    Reads,
    /// All others.
    Others,
}

impl Part {
    /// Both.
    pub const ALL: [Part; 2] = [Part::Reads, Part::Others];

    /// The part to which calls of this function belong.
    pub fn of(function: &str) -> Part {
        if functions::function(function).kind.is_read_only() { Part::Reads } else { Part::Others }
    }
}

/// A kind of load: its calls, its settle phase and its judges.
pub trait Workload: Send + Sync {
    /// Its name in plans and histories.
    fn name(&self) -> Arc<str>;

    /// The functions a client must support.
    fn functions(&self) -> Vec<Arc<str>>;

    /// The generator of worker `worker` of `workers`. State that workers share lives behind the workload.
    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator>;

    /// The generator of a worker that makes calls of one part only; none where the load has no such calls. A load that
    /// does not tell its parts apart has no reads.
    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        (part == Part::Others).then(|| self.generator(seed, worker, workers))
    }

    /// The final reads, to be made on every node after proven recovery, each repeated until it is Ok or the phase's
    /// deadline passes. Asked once, after the load.
    fn settle(&self) -> Vec<Call>;

    /// The names of the checkers that judge it, where the plan names none.
    fn checkers(&self) -> Vec<&'static str>;
}
