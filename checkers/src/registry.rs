//! The one list of checkers, and how one is run so that its failure is an answer.
use crate::availability::Availability;
use crate::history::History;
use crate::linearizable::Linearizable;
use crate::set::SetChecker;
use crate::split_brain::SplitBrain;
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
    /// Makes one with its defaults.
    pub build: fn() -> Box<dyn Checker>,
}

/// All checkers. A new one is its file and its entry here.
pub const CHECKERS: &[CheckerDoc] = &[
    CheckerDoc {
        name: "linearizable",
        doc: "Every key behaves as if its calls had happened one at a time, each between its call and its reply.",
        build: || Box::new(Linearizable::registers()),
    },
    CheckerDoc {
        name: "set",
        doc: "Every acknowledged element is in some final read, nothing else is in any, nothing is there twice.",
        build: || Box::new(SetChecker::new()),
    },
    CheckerDoc {
        name: "split-brain",
        doc: "No term has two leaders, and the two sides of a proven cut never both acknowledge writes to one key.",
        build: || Box::new(SplitBrain::new()),
    },
    CheckerDoc {
        name: "availability",
        doc: "Measures what worked before, during and after each fault, and how long each node took to recover.",
        build: || Box::new(Availability),
    },
];

/// The checker of this name, with its defaults.
pub fn checker(name: &str) -> Option<Box<dyn Checker>> {
    CHECKERS.iter().find(|doc| doc.name == name).map(|doc| (doc.build)())
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
