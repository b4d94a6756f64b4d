//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::availability::Availability;
use crate::history::History;
use crate::linearizable::Linearizable;
use crate::set::SetChecker;
use crate::split_brain::SplitBrain;
use crate::transactions::list_append::ListAppend;
use crate::transactions::mini::{self, Mini};
use crate::transactions::predicate::{ClosedPredicate, G2};
use crate::transactions::rw_register::{self, RwRegister};
use crate::transactions::weak::Weak;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Validity, Verdict};
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

/// All checkers. A new one is its file and its entry here.
pub const CHECKERS: &[CheckerDoc] = &[
    CheckerDoc {
        name: "linearizable",
        doc: "Every key behaves as if its calls had happened one at a time, each between its call and its reply.",
        options: &[],
        build: |_| Ok(Box::new(Linearizable::registers())),
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
        name: "closed-predicate",
        doc: "Transactions with predicate reads over a known universe of keys are serializable.",
        options: &[],
        build: |_| Ok(Box::new(ClosedPredicate)),
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
    catch_unwind(AssertUnwindSafe(|| checker.check(history, budget))).unwrap_or_else(|panic| Verdict {
        checker: checker.name().to_owned(),
        workload: String::new(),
        validity: Validity::Unknown,
        summary: format!("The checker panicked: {}", words(&*panic)),
        findings: Vec::new(),
        numbers: BTreeMap::new(),
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
