//! How a checker is listed ([`CheckerDoc`]) and what it judges ([`Judges`]). Knows no single checker.
use crate::options::{Given, OptionDoc, OptionError, docs};
use crate::verdict::Checker;
use schemars::{Schema, SchemaGenerator};

/// A checker in the list.
#[derive(Clone, Copy, Debug)]
pub struct CheckerDoc {
    /// Its name in plans.
    pub name: &'static str,
    /// What it promises, in a sentence.
    pub doc: &'static str,
    /// What it costs: n is the number of operations and of the elements that their replies list, k that of processes.
    pub cost: &'static str,
    /// What it judges.
    pub judges: Judges,
    /// The schema of its options; `workload`, which every checker takes, is among them.
    pub options: fn(&mut SchemaGenerator) -> Schema,
    /// Makes one from its options. [`CheckerDoc::checker`] makes one that judges one workload alone where it is to.
    pub build: fn(&mut Given) -> Result<Box<dyn Checker>, OptionError>,
}

impl CheckerDoc {
    /// What can be set, with types, defaults and sentences.
    pub fn option_docs(&self) -> Vec<OptionDoc> {
        docs(self.options)
    }

    /// Whether it takes an option of this name; also one of milliseconds, as durations were set before.
    pub fn takes(&self, option: &str) -> bool {
        let docs = self.option_docs();
        docs.iter().any(|doc| doc.name == option) || crate::options::in_milliseconds(&docs, option).is_some()
    }
}

/// What a checker judges: a run as a whole (its faults, roles and processes), workloads by the functions of their calls, or
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judges {
    /// Whether it judges every run, whatever the workload.
    pub runs: bool,
    /// A workload that it judges calls one of these.
    pub needs: &'static [&'static str],
    /// Beside these it knows these functions; a workload with others may be judged in part only.
    pub knows: &'static [&'static str],
    /// What reads of the workload reply with.
    pub reads: Reads,
}

/// What reads of a workload reply with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// What was written last.
    Value,
    /// Everything that was added, as a list.
    Elements,
    /// A number that additions change.
    Number,
    /// Every row that was added, with its timestamp.
    Rows,
    /// The functions say it.
    Anything,
}

impl Judges {
    /// Runs as a whole.
    pub const RUNS: Judges = Judges { runs: true, needs: &[], knows: &[], reads: Reads::Anything };

    /// Workloads that call one of the functions that it needs.
    pub(crate) const fn calls(needs: &'static [&'static str], knows: &'static [&'static str]) -> Judges {
        Judges { runs: false, needs, knows, reads: Reads::Anything }
    }

    /// Workloads whose reads reply with this.
    pub(crate) const fn reading(self, reads: Reads) -> Judges {
        Judges { reads, ..self }
    }

    /// Runs as a whole, too.
    pub(crate) const fn and_runs(self) -> Judges {
        Judges { runs: true, ..self }
    }

    /// Whether it can judge a workload with these functions whose reads reply with this.
    pub fn can_judge(&self, functions: &[&str], reads: Reads) -> bool {
        let knows = |function: &&str| self.needs.contains(function) || self.knows.contains(function);
        let replies = self.reads == Reads::Anything || self.reads == reads;
        self.runs || replies && functions.iter().any(|f| self.needs.contains(f)) && functions.iter().all(knows)
    }
}
