//! [`PossibleWrites`]: no promise about a workload is valid that an unknown function may have broken.
use crate::functions::{self, FunctionKind};
use crate::history::{History, NameId, Op, Outcome};
use crate::verdict::{Budget, Checker, Validity, Verdict, as_inner_checker};

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
        let called = history.functions_called();
        let known = |function: NameId| history.function(function).kind != FunctionKind::Unknown;
        if called.iter().all(|(_, function)| known(*function)) {
            return None;
        }
        let judges = |name: &str| self.functions.contains(&name);
        let judged = |workload| called.iter().any(|(of, function)| *of == workload && judges(history.name(*function)));
        let named = verdict.workload.as_str();
        let about = |workload: NameId| match history.name(workload) {
            _ if named.is_empty() => judged(workload),
            name => name == named || named.split(", ").any(|one| one == name),
        };
        let write = |op: &Op<'_>| {
            !known(op.function)
                && op.outcome != Outcome::Fail
                && functions::kind(history, op) == FunctionKind::Unknown
                && about(op.workload)
        };
        history.ops().iter().find(write)
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
