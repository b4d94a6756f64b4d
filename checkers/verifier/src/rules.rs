//! Rules that a few operations can break, each said once in the plainest way.
//!
//! A rule looks at the operations of the certificate and, where it speaks of *every* operation of a kind, at all of
//! their object in the history, when that is given.
mod elements;
mod holders;
mod totals;

use crate::certificate::{Certificate, Op, Outcome};
use crate::history::History;
use crate::{Refused, refuse};
use serde_json::Value;

/// What a rule judges.
struct Case<'a> {
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
pub const RULES: &[&[Rule]] = &[elements::RULES, holders::RULES, totals::RULES];

impl<'a> Case<'a> {
    /// All operations on the object of this one that may have had an effect.
    fn all(&self, of: &'a Op) -> Vec<&'a Op> {
        match self.history {
            Some(history) => history.beside(of).collect(),
            None => self.ops.iter().filter(|op| op.outcome != Outcome::Fail).collect(),
        }
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
    let Some(rule) = RULES.iter().copied().flatten().find(|rule| rule.name == name) else {
        return refuse(format!("no rule is called {name}"));
    };
    let case = Case { ops: &certificate.ops, subject, history };
    match (rule.broken)(&case) {
        Some(true) => Ok(()),
        Some(false) => refuse(format!("these operations do not break {name}")),
        None => refuse(format!("{name} does not speak of such operations")),
    }
}
