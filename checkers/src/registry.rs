//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::checker::{CheckerDoc, Reads};
use crate::history::History;
use crate::inference;
use crate::models::{MODELS, ModelDoc};
use crate::options::{Given, OptionError, Options, WORKLOAD};
use crate::possible_writes::PossibleWrites;
use crate::verdict::{Budget, Checker, Verdict, as_inner_checker};
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The one list of checkers: the module of each and its entry there. A new checker has its line here. [`CHECKERS`] follows from
/// it, and so do the cases that tests ask of every checker.
macro_rules! each_checker {
    ($list:ident) => {
        $list! {
            linearizability: DOC;
            objects::set: DOC;
            objects::crdt::agree: DOC;
            transactions::list_append: DOC;
            run_level::split_brain: DOC;
            transactions::rw_register: DOC;
            transactions::mini: DOC;
            transactions::predicate: DOC;
            transactions::predicate::closed: DOC;
            transactions::weak: READ_COMMITTED;
            transactions::weak: READ_ATOMIC;
            transactions::weak: CAUSAL;
            run_level::availability: DOC;
            objects::set_full: DOC;
            objects::queue: DOC;
            objects::total_queue: DOC;
            objects::counter: DOC;
            objects::unique_ids: DOC;
            objects::monotonic: DOC;
            transactions::bank: DOC;
            transactions::long_fork: DOC;
            transactions::causal_reverse: DOC;
            locks::lock: LOCK;
            locks::lock: SEMAPHORE;
            locks::lease: DOC;
            locks::fencing: DOC;
            objects::kafka: DOC;
            objects::watch: DOC;
            transactions::atomic_commit: DOC;
            transactions::saga: DOC;
            objects::crdt: DOC;
            run_level::leadership: DOC;
            run_level::liveness: DOC;
            run_level::membership: DOC;
            run_level::crashes: DOC;
            registers: SEQUENTIAL;
            registers: CAUSAL;
            registers: PRAM;
            registers: READ_YOUR_WRITES;
            registers: MONOTONIC_READS;
            registers: MONOTONIC_WRITES;
            registers: WRITES_FOLLOW_READS;
            registers: EVENTUAL_CONVERGENCE;
            registers: STALENESS;
        }
    };
}
#[cfg(feature = "oracles")]
pub(crate) use each_checker;

macro_rules! checkers {
    ($($($module:ident)::+: $entry:ident;)*) => {
        /// All checkers.
        pub const CHECKERS: &[CheckerDoc] = &[$(crate::$($module)::+::$entry),*];
    };
}
each_checker!(checkers);

/// The entry of this name.
pub(crate) fn doc(name: &str) -> Option<&'static CheckerDoc> {
    CHECKERS.iter().find(|doc| doc.name == name)
}

/// The checker of this name, with its defaults.
pub fn checker(name: &str) -> Option<Box<dyn Checker>> {
    doc(name)?.checker(&Options::default()).ok()
}

/// The checker of this name with these options. The error names what is wrong and what there is.
pub fn checker_with(name: &str, options: &Options) -> Result<Box<dyn Checker>, String> {
    let names = || CHECKERS.iter().map(|doc| doc.name).collect::<Vec<_>>().join(", ");
    let doc = doc(name).ok_or_else(|| format!("no checker {name} (there are: {})", names()))?;
    doc.checker(options).map_err(|error| error.to_string())
}

impl CheckerDoc {
    /// The checker with these options. Every checker can judge one workload alone, those too that do not look for it
    /// themselves.
    pub fn checker(&self, options: &Options) -> Result<Box<dyn Checker>, OptionError> {
        let mut given = Given::new(self.name, options)?;
        let checker = (self.build)(&mut given)?;
        let checker = Box::new(PossibleWrites::guard(self.functions(options), checker));
        Ok(match given.workload {
            Some(workload) => Box::new(Alone { workload, checker }),
            None => checker,
        })
    }

    /// Functions one of which a workload calls that this checker judges with these options; none where it judges the run as a
    /// whole.
    fn needs(&self, options: &Options) -> Vec<&'static str> {
        match self.model(options) {
            // Others have reads, too.
            Some(model) => model.functions.iter().copied().filter(|function| *function != "read").collect(),
            None => self.judges.needs.to_vec(),
        }
    }

    /// Functions of the workloads that this checker judges with these options; none where it judges the run as a whole.
    fn functions(&self, options: &Options) -> Vec<&'static str> {
        self.judges.knows.iter().copied().chain(self.needs(options)).collect()
    }

    /// The model of an object that the options name.
    fn model(&self, options: &Options) -> Option<&'static ModelDoc> {
        let name = options.text("model").ok().flatten().filter(|_| self.name == crate::linearizability::DOC.name)?;
        MODELS.iter().find(|model| model.name == name)
    }

    /// Whether it can judge, with these options, a workload with these functions whose reads reply with this. Of a model that is
    /// named, what its reads reply with counts here; its functions are asked for by [`ModelDoc::functions`].
    pub fn can_judge(&self, options: &Options, functions: &[&str], reads: Reads) -> bool {
        let fits = |model: &ModelDoc| [Reads::Anything, reads].contains(&model.reads) || reads == Reads::Anything;
        self.model(options).map_or_else(|| self.judges.can_judge(functions, reads), fits)
    }
}

/// The workloads of the history that none of these checkers judges, by name.
pub fn unjudged<'h>(history: &'h History, checkers: &[(String, Options)]) -> Vec<&'h str> {
    let judges = |(checker, options): &(String, Options), workload: &str, called: &BTreeSet<&str>| {
        if options.text(WORKLOAD).ok().flatten().is_some_and(|named| named != workload) {
            return false;
        }
        let needs = doc(checker).map(|doc| doc.needs(options)).unwrap_or_default();
        needs.is_empty() || needs.iter().any(|function| called.contains(function))
    };
    let called = inference::called(history).into_iter();
    let unjudged =
        called.filter(|(workload, called)| !checkers.iter().any(|checker| judges(checker, workload, called)));
    unjudged.map(|(workload, _)| workload).collect()
}

/// A checker that judges the calls of one workload as if there were no others.
struct Alone {
    workload: String,
    checker: Box<dyn Checker>,
}

impl Checker for Alone {
    as_inner_checker!();

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let verdict = match history.workloads()[..] {
            [one] if history.name(one) == self.workload => self.checker.check(history, budget),
            _ => self.checker.check(&history.only(&self.workload), budget),
        };
        verdict.on(&self.workload)
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
        return Verdict::unknown(checker.name(), summary);
    }
    if (budget.expired)() {
        let summary = "The time was up before anything was judged.".to_owned();
        return Verdict::unknown(checker.name(), summary);
    }
    let verdict = catch_unwind(AssertUnwindSafe(|| checker.check(history, budget)))
        .unwrap_or_else(|panic| Verdict::unknown(checker.name(), format!("The checker panicked: {}", words(&*panic))));
    // What measures only has nothing but evidence.
    if checker.measures_only() { verdict } else { verdict.with_evidence() }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
