//! [`Signature`]: what makes two findings the same: the checker and the kind.
use crate::store::RunVerdict;
use dsfuzz_checkers::Severity;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A broken promise, whatever operations show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signature {
    /// The checker.
    pub checker: String,
    /// The kind of finding.
    pub kind: String,
}

impl Signature {
    /// The broken promises of a verdict, each once, in the order of the verdict.
    pub fn of(verdict: &RunVerdict) -> Vec<Signature> {
        let mut found = Vec::new();
        for promise in &verdict.promises {
            for finding in promise.findings.iter().filter(|finding| finding.severity == Severity::Violation) {
                let signature = Signature { checker: promise.checker.clone(), kind: finding.kind.clone() };
                if !found.contains(&signature) {
                    found.push(signature);
                }
            }
        }
        found
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.checker, self.kind)
    }
}
