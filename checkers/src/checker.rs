//! The entry of a checker in the list ([`CheckerDoc`]), and which workloads and runs it judges ([`Judges`]). Each checker's
//! module has its own entry; [`crate::registry`] collects them. Plans are validated and `dsfuzz list` is printed from these
//! entries.
use crate::options::{Given, OptionDoc, OptionError, docs, in_milliseconds, with_hyphens};
use crate::verdict::Checker;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

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
    /// Makes the checker from its options. Call [`CheckerDoc::checker`] instead: it also obeys the option `workload`.
    pub build: fn(&mut Given) -> Result<Box<dyn Checker>, OptionError>,
}

/// Makes a checker whose fields are its options.
pub(crate) fn from_options<C>(given: &mut Given) -> Result<Box<dyn Checker>, OptionError>
where
    C: Checker + DeserializeOwned + JsonSchema + Default + 'static,
{
    Ok(Box::new(given.read::<C>()?))
}

impl CheckerDoc {
    /// The options of the checker: name, type, default and a sentence each.
    pub fn option_docs(&self) -> Vec<OptionDoc> {
        docs(self.options)
    }

    /// Whether the checker has an option of this name. A former name counts too: durations were once integers of milliseconds
    /// (`wait_ms` for `wait`), and some names had hyphens (`exactly-once`).
    pub fn takes(&self, option: &str) -> bool {
        let docs = self.option_docs();
        let former = || in_milliseconds(&docs, option).or_else(|| with_hyphens(&docs, option));
        docs.iter().any(|doc| doc.name == option) || former().is_some()
    }
}

/// What a checker judges: a run as a whole (its faults, roles and processes), workloads by the functions of their calls, or
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judges {
    /// Whether it judges every run, whatever the workload.
    pub runs: bool,
    /// It judges only workloads that call at least one of these functions.
    pub needs: &'static [&'static str],
    /// Functions that it understands besides `needs`. Where a workload calls any other function, the checker may judge only a
    /// part of it.
    pub knows: &'static [&'static str],
    /// It judges only workloads whose reads reply with this.
    pub reads: Reads,
}

/// What reads of a workload reply with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The value that was written last.
    Value,
    /// All elements that were added, as a list.
    Elements,
    /// A number that additions change.
    Number,
    /// Every row that was added, with its timestamp.
    Rows,
    /// What each account holds.
    Balances,
    /// What a replica holds: a number, a value or a list of elements, alone or as `value` beside a `clock`.
    Replica,
    /// Anything: the functions alone decide. In a checker's entry it fits every workload.
    Anything,
}

impl Judges {
    /// Judges runs as a whole, and no workload.
    pub const RUNS: Judges = Judges { runs: true, needs: &[], knows: &[], reads: Reads::Anything };

    /// Judges workloads that call one of `needs` and otherwise only `knows`.
    pub(crate) const fn calls(needs: &'static [&'static str], knows: &'static [&'static str]) -> Judges {
        Judges { runs: false, needs, knows, reads: Reads::Anything }
    }

    /// The same, but only workloads whose reads reply with this.
    pub(crate) const fn reading(self, reads: Reads) -> Judges {
        Judges { reads, ..self }
    }

    /// The same, and runs as a whole too.
    pub(crate) const fn and_runs(self) -> Judges {
        Judges { runs: true, ..self }
    }

    /// Whether a checker can judge a workload that calls these functions and whose reads reply with this. Checkers with a model
    /// are asked by [`CheckerDoc::can_judge`], because the model knows its functions.
    pub fn can_judge(&self, functions: &[&str], reads: Reads) -> bool {
        let knows = |function: &&str| self.needs.contains(function) || self.knows.contains(function);
        let replies = self.reads == Reads::Anything || self.reads == reads;
        self.runs || replies && functions.iter().any(|f| self.needs.contains(f)) && functions.iter().all(knows)
    }
}
