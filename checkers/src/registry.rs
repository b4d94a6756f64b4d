//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::history::History;
use crate::possible_writes::PossibleWrites;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::{
    atomic_commit, availability, bank, causal_reverse, counter, crashes, crdt, fencing, kafka, leadership, lease,
    linearizable, liveness, lock, long_fork, monotonic, queue, saga, set, set_full, split_brain, total_queue,
    transactions, unique_ids, watch, weaker,
};
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
    /// What can be set: name and meaning. Beside these every checker takes `workload`.
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

/// The option of checkers that look for one workload themselves. [`checker_with`] takes it for all others, too.
pub(crate) const WORKLOAD: (&str, &str) = ("workload", "a text: the one workload that is judged, all by default");

/// The checker, for the workload that the options name.
macro_rules! with_workload {
    ($checker:expr, $options:expr) => {
        match $options.text("workload")? {
            Some(name) => $checker.workload(name),
            None => $checker,
        }
    };
}
pub(crate) use with_workload;

/// All checkers. A new one is its file and its entry here.
pub const CHECKERS: &[CheckerDoc] = &[
    linearizable::DOC,
    set::DOC,
    crdt::REPLICAS_AGREE,
    transactions::list_append::DOC,
    split_brain::DOC,
    transactions::rw_register::DOC,
    transactions::mini::DOC,
    transactions::predicate::DOC,
    transactions::predicate::CLOSED,
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
    crashes::DOC,
    weaker::entries::SEQUENTIAL,
    weaker::entries::CAUSAL,
    weaker::entries::PRAM,
    weaker::entries::READ_YOUR_WRITES,
    weaker::entries::MONOTONIC_READS,
    weaker::entries::MONOTONIC_WRITES,
    weaker::entries::WRITES_FOLLOW_READS,
    weaker::entries::EVENTUAL_CONVERGENCE,
    weaker::entries::STALENESS,
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
    // Every checker can judge one workload alone, those too that do not look for it themselves.
    let alone = doc.options.iter().all(|(name, _)| *name != WORKLOAD.0);
    if let (true, Some(workload)) = (alone, options.text(WORKLOAD.0)?) {
        let mut own = options.clone();
        own.0.remove(WORKLOAD.0);
        return Ok(Box::new(Alone { workload: workload.to_owned(), checker: checker_with(name, &own)? }));
    }
    let known: Vec<&str> = doc.options.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options.0.keys().find(|option| !known.contains(&option.as_str())) {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("{name} has no option {unknown} (it has: {known})"));
    }
    Ok(Box::new(PossibleWrites::guard(name, options, (doc.build)(options)?)))
}

/// A checker that judges the calls of one workload as if there were no others.
struct Alone {
    workload: String,
    checker: Box<dyn Checker>,
}

impl Checker for Alone {
    fn name(&self) -> &str {
        self.checker.name()
    }

    fn needs_realtime(&self) -> bool {
        self.checker.needs_realtime()
    }

    fn measures_only(&self) -> bool {
        self.checker.measures_only()
    }

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let mut verdict = match history.workloads()[..] {
            [one] if history.name(one) == self.workload => self.checker.check(history, budget),
            _ => self.checker.check(&history.only(&self.workload), budget),
        };
        verdict.workload.clone_from(&self.workload);
        verdict
    }
}

/// Runs one checker. The summary of a valid answer names its evidence. A checker that panics has not decided anything: Unknown, with the panic's words. Nor has one that
/// rests on the order between processes, where the history does not know it.
pub fn judge_one(checker: &dyn Checker, history: &History, budget: &Budget) -> Verdict {
    if !history.realtime && checker.needs_realtime() {
        let mut summary =
            "This rests on the order of operations of different processes, but the history knows only the \
                           order within each session."
                .to_owned();
        if history.find_name("txn").is_some() {
            summary += " Name a weaker model, such as serializable, or the checker causal-transactions.";
        }
        return Verdict::new(checker.name(), Validity::Unknown, summary);
    }
    if (budget.expired)() {
        let summary = "The time was up before anything was judged.".to_owned();
        return Verdict::new(checker.name(), Validity::Unknown, summary);
    }
    let verdict = catch_unwind(AssertUnwindSafe(|| checker.check(history, budget))).unwrap_or_else(|panic| {
        Verdict::new(checker.name(), Validity::Unknown, format!("The checker panicked: {}", words(&*panic)))
    });
    // What measures only has nothing but evidence.
    if checker.measures_only() { verdict } else { verdict.with_evidence() }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
