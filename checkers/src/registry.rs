//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::availability::Availability;
use crate::counter::Counter;
use crate::history::History;
use crate::kafka::Kafka;
use crate::linearizable::Linearizable;
use crate::monotonic::Monotonic;
use crate::queue::Queue;
use crate::model::{self, Model, WithModel};
use crate::set::SetChecker;
use crate::set_full::SetFull;
use crate::split_brain::SplitBrain;
use crate::total_queue::TotalQueue;
use crate::transactions::mini::{self, Mini};
use crate::transactions::predicate::G2;
use crate::transactions::rw_register::{self, RwRegister};
use crate::transactions::weak::Weak;
use crate::transactions::list_append::ListAppend;
use crate::unique_ids::UniqueIds;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::watch::Watch;
use crate::{atomic_commit, bank, causal_reverse, crdt, fencing, leadership, lease, liveness, lock, long_fork, saga};
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
const WORKLOAD: (&str, &str) = ("workload", "a text: the one workload that is judged, all by default");

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
    model::MODEL_OPTIONS[0],
    model::MODEL_OPTIONS[1],
    model::MODEL_OPTIONS[2],
];

/// Linearizability of whatever model.
struct Judge<'a>(&'a Options);

impl WithModel for Judge<'_> {
    type Out = Result<Box<dyn Checker>, String>;
    fn with<M: Model + Clone + 'static>(self, model: M) -> Self::Out {
        let checker = Linearizable::new(model);
        Ok(Box::new(match self.0.text("workload")? {
            Some(workload) => checker.workload(workload),
            None => checker,
        }))
    }
}

/// All checkers. A new one is its file and its entry here.
pub const CHECKERS: &[CheckerDoc] = &[
    CheckerDoc {
        name: "linearizable",
        doc: "Every key behaves as if its calls had happened one at a time, each between its call and its reply.",
        options: LINEARIZABLE,
        build: |options| model::with_model(options.text("model")?.unwrap_or("cas-register"), options, Judge(options))?,
        options: &[("witness", "true: a valid verdict carries an order of the operations of each key")],
        build: |options| Ok(Box::new(Linearizable::registers().witness(options.flag("witness")?))),
    },
    CheckerDoc {
        name: "set",
        doc: "Every acknowledged element is in some final read, nothing else is in any, nothing is there twice.",
        options: &[],
        build: |_| Ok(Box::new(SetChecker::new())),
    },
    CheckerDoc {
        name: "list-append",
        doc: "Transactions that append to lists and read whole lists are isolated as the model says.",
        options: &[("model", "the model of consistency, by default strict-serializable")],
        build: |options| Ok(Box::new(ListAppend::with(options)?)),
    },
    CheckerDoc {
        name: "split-brain",
        doc: "No term has two leaders, and the two sides of a proven cut never both acknowledge writes to one key.",
        options: &[],
        build: |_| Ok(Box::new(SplitBrain::new())),
    },
    CheckerDoc {
        name: "rw-register",
        doc: "Transactions on registers with unique writes are isolated as the model says, as far as version orders are known.",
        options: rw_register::OPTIONS,
        build: |options| Ok(Box::new(RwRegister::with(options)?)),
    },
    CheckerDoc {
        name: "mini-transactions",
        doc: "Transactions on registers that read a key before they write it are isolated as the model says, decided exactly.",
        options: mini::OPTIONS,
        build: |options| Ok(Box::new(Mini::with(options)?)),
    },
    CheckerDoc {
        name: "g2",
        doc: "Of the inserts under one key, each made only if a predicate found no row there, at most one succeeds.",
        options: &[],
        build: |_| Ok(Box::new(G2)),
    },
    CheckerDoc {
        name: "read-committed",
        doc: "From a read on, a transaction sees its writer as a whole: some order of the commits explains what was read.",
        options: &[],
        build: |_| Ok(Box::new(Weak::read_committed())),
    },
    CheckerDoc {
        name: "read-atomic",
        doc: "A transaction sees its session and those it reads from as a whole: some order of the commits explains what was read.",
        options: &[],
        build: |_| Ok(Box::new(Weak::read_atomic())),
    },
    CheckerDoc {
        name: "causal-transactions",
        doc: "A transaction sees its causal past: some order of the commits explains what was read.",
        options: &[],
        build: |_| Ok(Box::new(Weak::causal())),
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
        name: "kafka",
        doc: "Logs of messages behave like logs: one value at an offset, nothing lost, polls in order without gaps.",
        options: &[WORKLOAD],
        build: |options| Ok(Box::new(with_workload!(Kafka::new(), options))),
    },
    CheckerDoc {
        name: "watch",
        doc: "Watches deliver every change once, in order, whole revisions at a time, from where they were asked to.",
        options: &[WORKLOAD],
        build: |options| Ok(Box::new(with_workload!(Watch::new(), options))),
    },
    atomic_commit::DOC,
    saga::DOC,
    crdt::DOC,
    leadership::DOC,
    liveness::DOC,
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
