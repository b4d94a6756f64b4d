//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::history::History;
use crate::linearizable::Linearizable;
use crate::set::SetChecker;
use crate::split_brain::SplitBrain;
use crate::transactions::list_append::ListAppend;
use crate::transactions::mini::{self, Mini};
use crate::transactions::predicate::G2;
use crate::transactions::rw_register::{self, RwRegister};
use crate::transactions::weak::Weak;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::{
    atomic_commit, availability, bank, causal_reverse, counter, crdt, fencing, kafka, leadership, lease, linearizable,
    liveness, lock, long_fork, monotonic, queue, saga, set, set_full, split_brain, total_queue, transactions,
    unique_ids, watch,
};
use crate::weaker::{CausalChecker, EventualConvergence, Promise, Sequential, SessionGuarantee, Staleness, Variant};
use crate::{bank, causal_reverse, fencing, lease, lock, long_fork};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A checker in the list.
#[derive(Clone, Copy, Debug)]
pub struct CheckerDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// What it promises, in a sentence.
    pub doc: &'static str,
    /// What can be set: name and meaning.
    pub options: &'static [(&'static str, &'static str)],
    /// Makes one. The error says what an option takes.
    pub build: fn(&Options) -> Result<Box<dyn Checker>, String>,
}

/// What a user sets of a checker, by name. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options(pub BTreeMap<String, Value>);

impl Options {
    /// A text, if it is set.
    pub fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{name} takes a text, not {other}")),
        }
    }

    /// An integer, if it is set.
    pub fn int(&self, name: &str) -> Result<Option<i64>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            Some(other) => Err(format!("{name} takes an integer, not {other}")),
        }
    }

    /// A flag; false where it is not set.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(format!("{name} takes true or false, not {other}")),
        }
    }
}

/// The option of checkers that judge one workload.
pub(crate) const WORKLOAD: (&str, &str) = ("workload", "a text: the one workload that is judged, all by default");

/// The checker, for the workload that the options name.
macro_rules! with_workload {
    ($checker:expr, $options:expr) => {
        match $options.text("workload")? {
            Some(name) => $checker.workload(name),
            None => $checker,
        }
    };
/// Options of `linearizable`; those of the models among them.
const LINEARIZABLE: &[(&str, &str)] = &[
    ("model", "what a key is, one of the list of models (default cas-register)"),
    ("workload", "judge this workload only"),
    ("witness", "true: a valid verdict carries an order of the operations of each key"),
    model::MODEL_OPTIONS[0],
    model::MODEL_OPTIONS[1],
    model::MODEL_OPTIONS[2],
];

/// Linearizability of whatever model.
struct Judge<'a>(&'a Options);

impl WithModel for Judge<'_> {
    type Out = Result<Box<dyn Checker>, String>;
    fn with<M: Model + Clone + 'static>(self, model: M) -> Self::Out {
        let checker = Linearizable::new(model).witness(self.0.flag("witness")?);
        Ok(Box::new(match self.0.text("workload")? {
            Some(workload) => checker.workload(workload),
            None => checker,
        }))
    }
}
pub(crate) use with_workload;

/// Options of the session guarantees.
const VERSIONS: &[(&str, &str)] = &[
    ("order", "session (the default) or realtime: a write that ended before another began has the older version"),
    ("versions", "true: reads answer [value, version], writes their version"),
];

fn session(promise: Promise, options: &Options) -> Result<Box<dyn Checker>, String> {
    let realtime = match options.text("order")?.unwrap_or("session") {
        "session" => false,
        "realtime" => true,
        other => return Err(format!("order takes session or realtime, not {other}")),
    };
    Ok(Box::new(SessionGuarantee::new(promise).realtime(realtime).versions(options.flag("versions")?)))
}

/// An integer that is not too small, if it is set.
fn at_least(name: &str, least: u64, options: &Options) -> Result<Option<u64>, String> {
    let Some(number) = options.int(name)? else { return Ok(None) };
    match u64::try_from(number).ok().filter(|number| *number >= least) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("{name} takes an integer from {least}, not {number}")),
    }
}

/// All checkers. A new one is its file and its entry here.
pub const CHECKERS: &[CheckerDoc] = &[
    linearizable::DOC,
    set::DOC,
    transactions::list_append::DOC,
    split_brain::DOC,
    transactions::rw_register::DOC,
    transactions::mini::DOC,
    transactions::predicate::DOC,
    transactions::weak::READ_COMMITTED,
    transactions::weak::READ_ATOMIC,
    transactions::weak::CAUSAL,
    availability::DOC,
    set_full::DOC,
    queue::DOC,
    total_queue::DOC,
    counter::DOC,
    unique_ids::DOC,
    monotonic::DOC,
    bank::DOC,
    long_fork::DOC,
    causal_reverse::DOC,
    lock::LOCK,
    lock::SEMAPHORE,
    lease::DOC,
    fencing::DOC,
    kafka::DOC,
    watch::DOC,
    atomic_commit::DOC,
    saga::DOC,
    crdt::DOC,
    leadership::DOC,
    liveness::DOC,
    CheckerDoc {
        name: "linearizable",
        doc: "Every key behaves as if its calls had happened one at a time, each between its call and its reply.",
        options: LINEARIZABLE,
        build: |options| model::with_model(options.text("model")?.unwrap_or("cas-register"), options, Judge(options))?,
    },
    CheckerDoc {
        name: "set",
        doc: "Every acknowledged element is in some final read, nothing else is in any, nothing is there twice.",
        options: &[],
        build: |_| Ok(Box::new(SetChecker::new())),
    },
    CheckerDoc {
        name: "split-brain",
        doc: "No term has two leaders, and the two sides of a proven cut never both acknowledge writes to one key.",
        options: &[],
        build: |_| Ok(Box::new(SplitBrain::new())),
    },
    CheckerDoc {
        name: "availability",
        doc: "Measures what worked before, during and after each fault, and how long each node took to recover.",
        options: &[],
        build: |_| Ok(Box::new(Availability)),
    },
    CheckerDoc {
        name: "set-full",
        doc: "Every element, once known, is in every later read (linearizable) or at least in the last ones.",
        options: &[WORKLOAD, ("linearizable", "true: a read that lacks a known element breaks the promise")],
        build: |options| {
            Ok(Box::new(with_workload!(SetFull::new().linearizable(options.flag("linearizable")?), options)))
        },
    },
    CheckerDoc {
        name: "queue",
        doc: "Whatever is dequeued was enqueued before, and no more often than it was enqueued.",
        options: &[WORKLOAD],
        build: |options| Ok(Box::new(with_workload!(Queue::new(), options))),
    },
    CheckerDoc {
        name: "total-queue",
        doc: "Everything that was enqueued and acknowledged comes out by the last drain, and nothing else does.",
        options: &[WORKLOAD, ("exactly-once", "true: nothing may come out twice")],
        build: |options| {
            Ok(Box::new(with_workload!(TotalQueue::new().exactly_once(options.flag("exactly-once")?), options)))
        },
    },
    CheckerDoc {
        name: "counter",
        doc: "Every read lies between the sums that the additions before and beside it allow.",
        options: &[WORKLOAD, ("initial", "an integer: what counters begin at, 0")],
        build: |options| {
            Ok(Box::new(with_workload!(Counter::new().initial(options.int("initial")?.unwrap_or(0)), options)))
        },
    },
    CheckerDoc {
        name: "unique-ids",
        doc: "No two acknowledged calls were given the same id.",
        options: &[WORKLOAD],
        build: |options| Ok(Box::new(with_workload!(UniqueIds::new(), options))),
    },
    CheckerDoc {
        name: "monotonic",
        doc: "What was inserted later has a later timestamp, and every acknowledged row is there at the end.",
        options: &[WORKLOAD, ("per-process", "true: only each process' own order is promised")],
        build: |options| {
            Ok(Box::new(with_workload!(Monotonic::new().per_process(options.flag("per-process")?), options)))
        },
    },
    bank::DOC,
    long_fork::DOC,
    causal_reverse::DOC,
    lock::LOCK,
    lock::SEMAPHORE,
    lease::DOC,
    fencing::DOC,
    CheckerDoc {
        name: "sequential",
        doc: "All keys together behave as if all calls had happened one at a time, each process' calls in its order.",
        options: &[],
        build: |_| Ok(Box::new(Sequential)),
    },
    CheckerDoc {
        name: "causal",
        doc: "Whoever sees an operation has seen everything that its process had seen or done before it.",
        options: &[("variant", "cc (the default), ccv (and all agree on one order of writes) or cm (causal memory)")],
        build: |options| match options.text("variant")?.unwrap_or("cc") {
            name @ ("cc" | "ccv" | "cm") => {
                Ok(Box::new(CausalChecker::new(Variant::named(name).unwrap_or(Variant::Weak))))
            }
            other => Err(format!("variant takes cc, ccv or cm, not {other}")),
        },
    },
    CheckerDoc {
        name: "pram",
        doc: "Each process sees the writes of every other process in the order in which they were made.",
        options: &[],
        build: |_| Ok(Box::new(CausalChecker::new(Variant::Pram))),
    },
    CheckerDoc {
        name: "read-your-writes",
        doc: "A read sees what its process wrote to the key, or something newer.",
        options: VERSIONS,
        build: |options| session(Promise::ReadYourWrites, options),
    },
    CheckerDoc {
        name: "monotonic-reads",
        doc: "A read sees what its process had read of the key before, or something newer.",
        options: VERSIONS,
        build: |options| session(Promise::MonotonicReads, options),
    },
    CheckerDoc {
        name: "monotonic-writes",
        doc: "Writes of a process to a key are ordered as it made them.",
        options: VERSIONS,
        build: |options| session(Promise::MonotonicWrites, options),
    },
    CheckerDoc {
        name: "writes-follow-reads",
        doc: "A write is newer than whatever its process had read of the key.",
        options: VERSIONS,
        build: |options| session(Promise::WritesFollowReads, options),
    },
    CheckerDoc {
        name: "eventual-convergence",
        doc: "After the last write and the last heal all nodes come to one value, and it could be the last one.",
        options: &[
            ("wait_ms", "an integer: how long after the last write and heal nodes may still differ, 10000"),
            ("any_written", "true: any written value may be the last, for stores whose clocks decide"),
        ],
        build: |options| {
            let checker = EventualConvergence::default().any_written(options.flag("any_written")?);
            let wait = at_least("wait_ms", 0, options)?;
            Ok(Box::new(wait.map_or(checker, |wait| checker.wait_ms(wait))))
        },
    },
    CheckerDoc {
        name: "staleness",
        doc: "Measures how far reads were behind, in time and in writes; a promise where limits are set.",
        options: &[
            ("k_max", "an integer from 1: every read returns one of so many last values (exact for 1 and 2)"),
            ("delta_ms_max", "an integer: linearizable if reads had been called so much earlier"),
        ],
        build: |options| {
            let (k, delta) = (at_least("k_max", 1, options)?, at_least("delta_ms_max", 0, options)?);
            Ok(Box::new(Staleness::new().k_max(k).delta_ms_max(delta)))
        },
    },
];

/// The checker of this name, with its defaults.
pub fn checker(name: &str) -> Option<Box<dyn Checker>> {
    checker_with(name, &Options::default()).ok()
}

/// The checker of this name with these options. The error names what is wrong and what there is.
pub fn checker_with(name: &str, options: &Options) -> Result<Box<dyn Checker>, String> {
    let Some(doc) = CHECKERS.iter().find(|doc| doc.name == name) else {
        let names: Vec<&str> = CHECKERS.iter().map(|doc| doc.name).collect();
        return Err(format!("no checker {name} (there are: {})", names.join(", ")));
    };
    let known: Vec<&str> = doc.options.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options.0.keys().find(|option| !known.contains(&option.as_str())) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("{name} has no option {unknown} (it has: {known})"));
    }
    (doc.build)(options)
}

/// Runs one checker. A checker that panics has not decided anything: Unknown, with the panic's words.
pub fn judge_one(checker: &dyn Checker, history: &History, budget: &Budget) -> Verdict {
    catch_unwind(AssertUnwindSafe(|| checker.check(history, budget))).unwrap_or_else(|panic| {
        Verdict::new(checker.name(), Validity::Unknown, format!("The checker panicked: {}", words(&*panic)))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
