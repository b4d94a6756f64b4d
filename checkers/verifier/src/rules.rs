//! Rules that a few operations can break, each written once in the plainest way.
//!
//! A rule looks at the operations of the certificate and, where it speaks of *every* operation of a kind, at all of
//! their object in the history, when that is given.
mod decisions;
mod elements;
mod holders;
mod logs;
mod registers;
mod replicas;
mod rows;
mod totals;
mod transactions;
mod watches;

use crate::certificate::{Certificate, Op, Outcome};
use crate::history::History;
use crate::{Refused, refuse};
use serde_json::Value;

/// What a rule judges.
struct Case<'a> {
    /// The name of the rule.
    rule: &'a str,
    ops: &'a [Op],
    subject: &'a Value,
    history: Option<&'a History>,
}

/// Whether the operations break the rule; none: they are not what the rule speaks of.
type Broken = fn(&Case<'_>) -> Option<bool>;

/// A rule.
pub struct Rule {
    /// Its name: a finding's kind.
    pub name: &'static str,
    /// What breaks it, in a sentence.
    pub doc: &'static str,
    broken: Broken,
}

const fn rule(name: &'static str, doc: &'static str, broken: Broken) -> Rule {
    Rule { name, doc, broken }
}

/// All rules.
pub const RULES: &[&[Rule]] = &[
    decisions::RULES,
    elements::RULES,
    holders::RULES,
    logs::RULES,
    registers::RULES,
    replicas::RULES,
    rows::RULES,
    totals::RULES,
    transactions::RULES,
    watches::RULES,
];

impl<'a> Case<'a> {
    /// All operations on the object of this one that may have had an effect.
    fn all(&self, of: &'a Op) -> Vec<&'a Op> {
        match self.history {
            Some(history) => history.beside(of).collect(),
            None => self.ops.iter().filter(|op| op.outcome != Outcome::Fail).collect(),
        }
    }

    /// All operations of the workload, also those that failed.
    fn workload(&self) -> Vec<&'a Op> {
        match self.history {
            Some(history) => history.ops.values().filter(|op| op.workload == self.ops[0].workload).collect(),
            None => self.ops.iter().collect(),
        }
    }

    /// Whether all operations are of one workload.
    fn one_workload(&self) -> bool {
        self.ops.iter().all(|op| op.workload == self.ops[0].workload)
    }

    /// Whether these are the operations that are shown, all and no others.
    fn only(&self, wanted: &[&Op]) -> bool {
        let shown = |op: &&&Op| self.ops.iter().any(|shown| shown.call == op.call);
        wanted.iter().all(|op| shown(&op)) && self.ops.iter().all(|op| wanted.iter().any(|other| other.call == op.call))
    }

    /// The operations with one of these functions.
    fn with(&self, functions: &[&str]) -> Vec<&'a Op> {
        self.ops.iter().filter(|op| functions.contains(&op.f.as_str())).collect()
    }

    /// Whether all operations are of one object.
    fn one_object(&self) -> bool {
        self.ops.iter().all(|op| op.workload == self.ops[0].workload && op.key == self.ops[0].key)
    }
}

/// Whether the operations break the rule.
pub(crate) fn broken(
    certificate: &Certificate,
    name: &str,
    subject: &Value,
    history: Option<&History>,
) -> Result<(), Refused> {
    // One name may be a rule of several kinds of objects; each knows its own operations.
    let rules: Vec<&Rule> = RULES.iter().copied().flatten().filter(|rule| rule.name == name).collect();
    if rules.is_empty() {
        return refuse(format!("no rule is called {name}"));
    }
    let case = Case { rule: name, ops: &certificate.ops, subject, history };
    let answers: Vec<Option<bool>> = rules.iter().map(|rule| (rule.broken)(&case)).collect();
    match (answers.contains(&Some(true)), answers.contains(&Some(false))) {
        (true, _) => Ok(()),
        (false, true) => refuse(format!("these operations do not break {name}")),
        (false, false) => refuse(format!("{name} does not speak of such operations")),
    }
}
