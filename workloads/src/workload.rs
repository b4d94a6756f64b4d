//! [`Workload`]: calls, final reads and their checkers. [`Generator`]: the calls of one worker.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use dsfuzz_checkers::{FinalReads, Options, Reads, Value, functions};
use std::sync::Arc;

/// The answer of a generator.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The next call.
    Call(Call),
    /// No call now; ask again soon.
    Wait,
    /// No further call.
    Done,
}

/// The calls of one worker.
///
/// The choices (function, slot, fresh values) come from the worker's own stream alone. Parts that depend on replies or on
/// other workers (the expected value of a compare-and-set, the present key of a slot) are bound in [`Generator::next`] and
/// not drawn.
pub trait Generator: Send {
    /// The next call. It consumes nothing: until [`Generator::taken`], the same choice comes again.
    fn next(&mut self) -> Next;

    /// Marks the last answer of [`Generator::next`] as used.
    fn taken(&mut self);

    /// Shows the result of a call of this worker.
    fn observe(&mut self, call: &Call, answer: &CallResult);

    /// How many nodes further than its own the worker makes its next call; 0: on its own. A worker that moves closes its client and
    /// opens one on the other node. Its process stays the same, so that its session goes on there.
    fn moved(&self) -> u32 {
        0
    }

    /// Whether the target may hold something for the worker's client that goes with it: a lock, an office. Such a client is
    /// not replaced by another one of the same process, because nothing would tell that what it held is free.
    fn holds(&self) -> bool {
        false
    }

    /// The client was replaced by one of a new process, although its last call did not end Info: what the target kept for the
    /// client alone, such as a subscription, is gone.
    fn replaced(&mut self) {}
}

/// A part of a workload's calls, for joining clients: hanging writes must not stop the reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Calls of read-only functions: `read`.
    Reads,
    /// All other calls.
    Others,
}

impl Part {
    /// Both.
    pub const ALL: [Part; 2] = [Part::Reads, Part::Others];

    /// The part of a function.
    pub fn of(function: &str) -> Part {
        if functions::function(function).kind.is_read_only() { Part::Reads } else { Part::Others }
    }
}

/// What a client is to carry out, as it is said to one that opens.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientWorkload {
    /// The workload's name.
    pub name: Arc<str>,
    /// The object whose functions it calls.
    pub object: Arc<str>,
    /// The functions that the client must support.
    pub functions: Vec<Arc<str>>,
    /// [`Workload::params`].
    pub params: Value,
}

impl ClientWorkload {
    /// A workload of these functions without parameters. Its object has the same name.
    pub fn new(name: &str, functions: &[&str]) -> ClientWorkload {
        ClientWorkload {
            name: name.into(),
            object: name.into(),
            functions: functions.iter().map(|function| Arc::from(*function)).collect(),
            params: Value::Nil,
        }
    }

    /// What a client of this workload is told.
    pub fn of(workload: &dyn Workload) -> ClientWorkload {
        let (name, object) = (workload.name(), workload.object());
        ClientWorkload { name, object, functions: workload.functions(), params: workload.params() }
    }
}

/// A final read.
#[derive(Clone, Debug, PartialEq)]
pub struct FinalCall {
    /// The call.
    pub call: Call,
    /// Which nodes are asked, and how often, where the call itself demands it: one that takes away what it returns. Left out:
    /// as the plan or the recipe has it.
    pub mode: Option<FinalReads>,
    /// Asked by each client once, right before its first `call`: what puts a consumer where it begins.
    pub before: Option<Call>,
}

impl From<Call> for FinalCall {
    fn from(call: Call) -> FinalCall {
        FinalCall { call, mode: None, before: None }
    }
}

/// The options of one workload, as a plan writes them under its name. The list of all is `options`.
pub trait WorkloadSpec {
    /// Its entry in listings.
    const DOC: WorkloadDoc;

    /// The workload with these options.
    fn build(&self) -> Box<dyn Workload>;

    /// The reason why no call of the load can contradict a promise, whatever the target does; none if one can. A load whose final
    /// calls show its losses is not blind.
    fn blind(&self) -> Option<&'static str> {
        None
    }

    /// The first option that would silently mean something else, or that is too large: its name and the mistake.
    fn mistake(&self) -> Option<(&'static str, String)> {
        None
    }

    /// The object whose functions it calls.
    fn object(&self) -> &str {
        Self::DOC.object
    }

    /// What its reads reply with.
    fn reads(&self) -> Reads {
        Self::DOC.reads
    }
}

/// A kind of load: its calls, its final reads and its checkers.
pub trait Workload: Send + Sync {
    /// Its name in plans and histories.
    fn name(&self) -> Arc<str>;

    /// The object whose functions it calls.
    fn object(&self) -> Arc<str>;

    /// The functions a client must support.
    fn functions(&self) -> Vec<Arc<str>>;

    /// The generator of worker `worker` of `workers`. The workload holds the shared state of its workers.
    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator>;

    /// The generator of a worker that makes calls of one part only; none if the load has no such calls. A load without parts
    /// has no reads.
    fn part(&self, part: Part, seed: u64, worker: u32, workers: u32) -> Option<Box<dyn Generator>> {
        (part == Part::Others).then(|| self.generator(seed, worker, workers))
    }

    /// The final reads after recovery, each repeated until it is Ok or until the deadline of the phase. Called once, after the
    /// load.
    fn settle(&self) -> Vec<FinalCall>;

    /// What the generator was made with and a client may need to know, as an object (`{"accounts": [0, 1, 2]}`); nil if
    /// nothing. Clients get it as `params` of `init`.
    fn params(&self) -> Value {
        Value::Nil
    }

    /// The default checkers.
    fn checkers(&self) -> Vec<&'static str>;

    /// What a checker must know of the load, as options of the checker; the plan's own options come first.
    fn checker_options(&self, _checker: &str) -> Options {
        Options::default()
    }
}
