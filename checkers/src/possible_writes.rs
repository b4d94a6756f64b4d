//! [`PossibleWrites`]: no promise about a workload is valid that an unknown function may have broken.
use crate::functions::{self, FunctionKind};
use crate::history::{History, NameId, Op, Outcome};
use crate::verdict::{Budget, Checker, Validity, Verdict, as_inner_checker};
use std::collections::HashMap;

/// A checker of workloads. Its answer is unknown instead of valid where a call that may have taken effect has a function that
/// the table of functions does not know.
pub(crate) struct PossibleWrites {
    checker: Box<dyn Checker>,
    /// Functions of the workloads that it judges, reads apart; none where it judges the run as a whole.
    functions: Vec<&'static str>,
}

impl PossibleWrites {
    /// This checker, which judges workloads of these functions.
    pub(crate) fn guard(mut functions: Vec<&'static str>, checker: Box<dyn Checker>) -> PossibleWrites {
        functions.retain(|name| functions::function(name).kind != FunctionKind::Read);
        PossibleWrites { checker, functions }
    }

    /// The first call that may have changed anything in a workload that this verdict is about.
    fn possible_write<'h>(&self, history: &'h History, verdict: &Verdict) -> Option<Op<'h>> {
        let judges: Vec<NameId> = self.functions.iter().filter_map(|name| history.find_name(name)).collect();
        // By function: whether the checker judges it, and whether the table knows it.
        let mut functions: HashMap<NameId, (bool, bool)> = HashMap::new();
        let (mut judged, mut writes): (Vec<NameId>, Vec<Op<'h>>) = (Vec::new(), Vec::new());
        for op in history.ops().iter() {
            let known = || functions::function(history.name(op.function)).kind != FunctionKind::Unknown;
            let (judges, known) =
                *functions.entry(op.function).or_insert_with(|| (judges.contains(&op.function), known()));
            if judges && !judged.contains(&op.workload) {
                judged.push(op.workload);
            }
            let write = !known && op.outcome != Outcome::Fail && functions::kind(history, &op) == FunctionKind::Unknown;
            if write && writes.iter().all(|other| other.workload != op.workload) {
                writes.push(op);
            }
        }
        let named = verdict.workload.as_str();
        let about = |op: &Op<'_>| match history.name(op.workload) {
            _ if named.is_empty() => judged.contains(&op.workload),
            name => name == named || named.split(", ").any(|one| one == name),
        };
        writes.into_iter().find(about)
    }
}

impl Checker for PossibleWrites {
    as_inner_checker!();

    fn workloads(&self, history: &History) -> Vec<NameId> {
        self.checker.workloads(history)
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let mut verdict = self.checker.judge_workload(history, budget);
        if verdict.validity == Validity::Valid
            && !self.functions.is_empty()
            && let Some(op) = self.possible_write(history, &verdict)
        {
            verdict = verdict.doubted(format!(
                "#{} called {}, a function that is not known: it may have changed what the object holds.",
                op.call,
                history.name(op.function)
            ));
        }
        verdict
    }
}
