//! [`Search`]: whether some way in which registers may have begun contradicts nothing.
use super::{Beginning, Begun};
use crate::history::History;
use crate::value::Value;
use crate::verdict::{Budget, Finding, Severity, Validity, Verdict};
use std::collections::HashSet;

/// How often a history is judged at most for the sake of registers that began with one of several values.
const JUDGED: usize = 64;

/// A search for a way in which registers may have begun that contradicts nothing.
pub(super) struct Search<'a, C> {
    checker: &'a Beginning<C>,
    history: &'a History,
    budget: &'a Budget,
    undecided: &'a [(Value, Vec<Value>)],
    /// How often may still be judged.
    left: usize,
}

/// What such a search comes to.
pub(super) enum Found {
    /// The verdict is not invalid where registers began so.
    Way(Verdict, Vec<(Value, Value)>),
    /// It is invalid whatever registers began with; it depends on what these undecided ones were supposed to begin with.
    Conflict(HashSet<Value>),
    TooMany,
    /// The time was up before every way was tried.
    OutOfTime,
}

impl<'a, C: Begun> Search<'a, C> {
    pub(super) fn new(
        checker: &'a Beginning<C>,
        history: &'a History,
        budget: &'a Budget,
        undecided: &'a [(Value, Vec<Value>)],
    ) -> Search<'a, C> {
        Search { checker, history, budget, undecided, left: JUDGED }
    }

    /// Searches the ways to begin that extend this one, under which the verdict is this one. A branch ends where a violation
    /// depends on no register that may still begin otherwise. A register on which no contradiction of its branch depends is
    /// not tried with other values (conflict-directed backjumping: Prosser, Hybrid algorithms for the constraint satisfaction
    /// problem, section 3.3).
    pub(super) fn beginning(&mut self, verdict: &Verdict, way: &[(Value, Value)], settled: &mut Vec<Value>) -> Found {
        if verdict.validity != Validity::Invalid {
            // Found out in time: it is no contradiction.
            let decided = verdict.validity == Validity::Valid || !(self.budget.expired)();
            return if decided { Found::Way(verdict.clone(), way.to_vec()) } else { Found::OutOfTime };
        }
        let mut conflict = self.conflict(verdict, settled);
        let all = self.undecided;
        let Some((key, values)) = all.iter().find(|(key, _)| conflict.contains(key) && !settled.contains(key)) else {
            return Found::Conflict(conflict);
        };
        settled.push(key.clone());
        // First as it is: the register began with nothing else.
        let mut found = self.beginning(verdict, way, settled);
        for value in values {
            match found {
                Found::Conflict(of) if of.contains(key) => conflict.extend(of),
                _ => break,
            }
            let Some(left) = self.left.checked_sub(1) else { return Found::TooMany };
            self.left = left;
            let mut longer = way.to_vec();
            longer.push((key.clone(), value.clone()));
            let other = self.checker.judge_from(self.history, self.budget, &self.checker.initial.supposing(&longer));
            found = self.beginning(&other, &longer, settled);
        }
        settled.pop();
        match found {
            Found::Conflict(of) if of.contains(key) => {
                conflict.extend(of);
                conflict.remove(key);
                Found::Conflict(conflict)
            }
            found => found,
        }
    }

    /// The undecided registers on which a violation of the verdict may depend: the violation with the fewest that are not
    /// settled, and then with the fewest.
    fn conflict(&self, verdict: &Verdict, settled: &[Value]) -> HashSet<Value> {
        let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        let depends = |finding: &Finding| -> HashSet<Value> {
            let named = self.keys(finding);
            let may = |key: &&Value| named.as_ref().is_none_or(|named| named.contains(*key));
            self.undecided.iter().map(|(key, _)| key).filter(may).cloned().collect()
        };
        let open = |keys: &HashSet<Value>| keys.iter().filter(|key| !settled.contains(key)).count();
        let least = violations.map(depends).min_by_key(|keys| (open(keys), keys.len()));
        least.unwrap_or_else(|| self.undecided.iter().map(|(key, _)| key.clone()).collect())
    }

    /// The keys that a finding is about, as far as it says so.
    fn keys(&self, finding: &Finding) -> Option<HashSet<Value>> {
        let certificate = finding.certificate.as_ref()?;
        let ops = finding.ops.iter().filter_map(|call| self.history.op(*call)).map(|op| op.key.to_value());
        Some(certificate.ops.iter().map(|op| op.key.clone()).chain(ops).chain([finding.key.clone()]).collect())
    }
}
