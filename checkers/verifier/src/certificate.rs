//! What a certificate is, read strictly: an unknown or missing field is an error.
use crate::{Refused, refuse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A claim about some operations of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// 1.
    pub version: u32,
    /// What is claimed.
    pub claim: Claim,
    /// What registers began with, where that was set and plays a role; the others began with nil.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial: Vec<Begins>,
    /// The operations it is claimed of, by call.
    pub ops: Vec<Op>,
}

/// What a register holds before anything is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begins {
    /// The key; of an object of several registers, the name of the register.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub key: Value,
    /// Its value.
    pub value: Value,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It took effect between its call and its end.
    Ok,
    /// It had no effect.
    Fail,
    /// It took effect at any time after its call, or never.
    Info,
}

/// An operation as it stands in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Op {
    /// Index of the call.
    pub call: u64,
    /// Index of the reply; none for an operation that may still take effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Who called.
    pub process: u64,
    /// The workload.
    pub workload: String,
    /// The function.
    pub f: String,
    /// The key.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub key: Value,
    /// The argument.
    #[serde(default)]
    pub input: Value,
    /// The value of the completion: of an acknowledged operation the reply.
    #[serde(default)]
    pub output: Value,
    /// Whether it is a final read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settle: bool,
}

impl Op {
    /// The index at which it had taken effect, or the end of time.
    pub(crate) fn end(&self) -> u64 {
        self.end.unwrap_or(u64::MAX)
    }
    pub(crate) fn ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
    /// The reply, where it is known.
    pub(crate) fn reply(&self) -> Option<&Value> {
        self.ok().then_some(&self.output)
    }
}

/// What is claimed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "claim", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Claim {
    /// This order explains every reply.
    Linearization {
        /// The sequential specification.
        model: String,
        /// Calls in the order in which they took effect.
        order: Vec<u64>,
    },
    /// No order within the intervals explains every reply.
    NoLinearization {
        /// The sequential specification.
        model: String,
        /// Compare-and-sets taken for writes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakened: Vec<u64>,
    },
    /// No order that keeps the order of each process explains every reply.
    NoSequentialOrder {
        /// The sequential specification.
        model: String,
    },
    /// These dependencies form a cycle.
    Cycle {
        /// The anomaly.
        anomaly: String,
        /// The edges.
        edges: Vec<Edge>,
        /// What the store promises of each key alone, where the order of versions rests on that: `sequential-keys`,
        /// `linearizable-keys`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assumes: Vec<String>,
    },
    /// The operations break this rule.
    Rule {
        /// Its name: one of [`crate::RULES`].
        rule: String,
        /// What it is about.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        subject: Value,
    },
}

/// Why one operation comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// Overwrote.
    Ww,
    /// Read.
    Wr,
    /// Was overwritten after it was read.
    Rw,
    /// The same process, later.
    Process,
    /// Called after the end.
    Realtime,
}

/// A dependency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Call of the first.
    pub from: u64,
    /// Call of the second.
    pub to: u64,
    /// Why.
    pub kind: EdgeKind,
    /// The key.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub key: Value,
    /// The version at the first.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// The version at the second.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// [`Refused`] with line and column.
    pub fn parse(text: &str) -> Result<Certificate, Refused> {
        serde_json::from_str(text).map_err(|error| Refused(format!("this is no certificate: {error}")))
    }

    /// What holds of every certificate.
    pub(crate) fn sound(&self) -> Result<(), Refused> {
        if self.version != 1 {
            return refuse(format!("version {} is not known here, only 1", self.version));
        }
        if self.ops.is_empty() {
            return refuse("it speaks of no operation");
        }
        let mut last = None;
        for op in &self.ops {
            if last.is_some_and(|last| last >= op.call) {
                return refuse(format!("#{} is out of order", op.call));
            }
            last = Some(op.call);
            match (op.outcome, op.end) {
                (Outcome::Info, Some(_)) => return refuse(format!("#{} is indeterminate and yet ends", op.call)),
                (Outcome::Info, None) => {}
                (_, Some(end)) if end > op.call => {}
                _ => return refuse(format!("#{} ended before it was called, or never", op.call)),
            }
        }
        // A process makes one call at a time.
        for (at, op) in self.ops.iter().enumerate() {
            let overlaps = |other: &&Op| other.process == op.process && other.call < op.end();
            if let Some(other) = self.ops[at + 1..].iter().find(overlaps) {
                return refuse(format!("process {} called #{} while #{} was open", op.process, other.call, op.call));
            }
        }
        Ok(())
    }

    pub(crate) fn op(&self, call: u64) -> Result<&Op, Refused> {
        let found = self.ops.iter().find(|op| op.call == call);
        found.ok_or_else(|| Refused(format!("#{call} is named but not among the operations")))
    }
}
