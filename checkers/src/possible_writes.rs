//! [`PossibleWrites`]: no promise about a workload is valid that an unknown function may have broken.
use crate::fitting::marks;
use crate::functions::{self, FunctionKind};
use crate::history::{History, NameId, Op, Outcome};
use crate::registry::Options;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use std::collections::HashMap;

/// A checker of workloads. Its answer is unknown instead of valid where a call that may have taken effect has a function that
/// the table of functions does not know.
pub(crate) struct PossibleWrites {
    checker: Box<dyn Checker>,
    /// Functions by which it finds its workloads; none where it judges the run as a whole.
    marks: Vec<&'static str>,
    /// The workload that it judges; all with such functions where it is not said.
    workload: Option<String>,
}

impl PossibleWrites {
    /// The checker of this name that was made with these options.
    pub(crate) fn guard(name: &str, options: &Options, checker: Box<dyn Checker>) -> PossibleWrites {
        let workload = options.text("workload").ok().flatten().map(str::to_owned);
        PossibleWrites { checker, marks: marks(name, options), workload }
    }

    /// The first call that may have changed anything in a workload that is judged.
    fn possible_write<'h>(&self, history: &'h History) -> Option<Op<'h>> {
        let marks: Vec<NameId> = self.marks.iter().filter_map(|name| history.find_name(name)).collect();
        // By function: whether it marks a workload, and whether the table knows it.
        let mut functions: HashMap<NameId, (bool, bool)> = HashMap::new();
        let (mut judged, mut writes): (Vec<NameId>, Vec<Op<'h>>) = (Vec::new(), Vec::new());
        for op in history.ops().iter() {
            let known = || functions::function(history.name(op.function)).kind != FunctionKind::Unknown;
            let (mark, known) =
                *functions.entry(op.function).or_insert_with(|| (marks.contains(&op.function), known()));
            let named = self.workload.as_ref().is_some_and(|name| history.name(op.workload) == name);
            if (named || mark && self.workload.is_none()) && !judged.contains(&op.workload) {
                judged.push(op.workload);
            }
            let write = !known && op.outcome != Outcome::Fail && functions::kind(history, &op) == FunctionKind::Unknown;
            if write && writes.iter().all(|other| other.workload != op.workload) {
                writes.push(op);
            }
        }
        writes.into_iter().find(|op| judged.contains(&op.workload))
    }
}

impl Checker for PossibleWrites {
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
        let mut verdict = self.checker.check(history, budget);
        if verdict.validity == Validity::Valid
            && !self.marks.is_empty()
            && let Some(op) = self.possible_write(history)
        {
            verdict.validity = Validity::Unknown;
            verdict.certificates.clear();
            verdict.summary = format!(
                "#{} called {}, a function that is not known: it may have changed what the object holds.",
                op.call,
                history.name(op.function)
            );
        }
        verdict
    }
}
