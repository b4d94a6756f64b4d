//! [`Certificate`]: a finding, or a valid answer, in a form that a machine can check without trusting the checker. It
//! carries the operations themselves, so that it stands alone, and the one claim that is to be believed about them.
use crate::functions::{Argument, FunctionKind, function};
use crate::history::{History, Op, Outcome};
use crate::value::Value;
use serde::{Deserialize, Serialize};

/// Version of certificates written by this release.
pub(crate) const CERTIFICATE_VERSION: u32 = 1;

/// A claim about some operations of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `CERTIFICATE_VERSION`.
    pub version: u32,
    /// What is claimed.
    pub claim: Claim,
    /// What registers began with, where that was set and plays a role; the others began with nil.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial: Vec<Begins>,
    /// The operations it is claimed of, by call.
    pub ops: Vec<CertifiedOp>,
}

/// What a register holds before anything is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begins {
    /// The key; of an object of several registers, the name of the register.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// Its value.
    pub value: Value,
}

/// An operation as it stands in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertifiedOp {
    /// Index of the call.
    pub call: u64,
    /// Index of the reply; absent for an operation that is open or Info: it may take effect at any time after its call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The process that called.
    pub process: u64,
    /// The workload.
    pub workload: String,
    /// The function.
    pub f: String,
    /// The key.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// The argument.
    #[serde(default)]
    pub input: Value,
    /// The reply.
    #[serde(default)]
    pub output: Value,
    /// Whether it belongs to the settle phase.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settle: bool,
}

/// What is claimed of the operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "claim", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Claim {
    /// Valid: taken in this order, which contradicts no interval, every reply is what the model gives. Operations left
    /// out are Fail, or Info and never took effect.
    Linearization {
        /// The model.
        model: String,
        /// Calls in the order in which they took effect.
        order: Vec<u64>,
    },
    /// Invalid: no order that respects the intervals explains these operations alone, and leaving the others out cannot
    /// have made them contradict.
    NoLinearization {
        /// The model.
        model: String,
        /// Calls of compare-and-sets that are taken for writes here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakened: Vec<u64>,
    },
    /// Invalid: as [`Claim::NoLinearization`], but each process' own order is all that an order has to respect.
    NoSequentialOrder {
        /// The model.
        model: String,
    },
    /// Invalid: these dependencies follow from the operations and form a cycle: each edge begins where the one before
    /// ended, and the first where the last ends. The first begins with the smallest call.
    Cycle {
        /// The anomaly, e.g. `G-single`.
        anomaly: String,
        /// The edges.
        edges: Vec<Edge>,
        /// What the store promises of each key alone, where the order of versions rests on that: `sequential-keys` (each
        /// process sees each key only grow), `linearizable-keys`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assumes: Vec<String>,
    },
    /// Invalid: the operations break this rule, one of a list that the verifier knows.
    Rule {
        /// The rule: a finding's kind, e.g. `lost-write`.
        rule: String,
        /// What the rule is about, where the operations alone do not say it, e.g. the element that is lost.
        #[serde(default, skip_serializing_if = "Value::is_nil")]
        subject: Value,
    },
}

/// Why one operation comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// The second overwrote (or appended to) what the first wrote.
    Ww,
    /// The second read what the first wrote.
    Wr,
    /// The second overwrote what the first read.
    Rw,
    /// One process called the second after it called the first.
    Process,
    /// The first had ended before the second was called.
    Realtime,
}

/// A dependency between two operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Call of the one that comes before.
    pub from: u64,
    /// Call of the one that comes after.
    pub to: u64,
    /// Why.
    pub kind: EdgeKind,
    /// The key that both touched; nil for process and realtime edges.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// Of ww, wr, rw: the version (written value, or appended element; nil: the initial one) at `from`.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub before: Value,
    /// Of ww and rw: the version that follows it, at `to`. Of wr: the same as `before`.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub after: Value,
}

impl Edge {
    /// A dependency without versions: by real time.
    pub(crate) fn realtime(from: &Op<'_>, to: &Op<'_>) -> Edge {
        let kind = EdgeKind::Realtime;
        Edge { from: from.call, to: to.call, kind, key: Value::Nil, before: Value::Nil, after: Value::Nil }
    }
}

impl Claim {
    /// A cycle that rests on nothing but the operations.
    pub fn cycle(anomaly: &str, edges: Vec<Edge>) -> Claim {
        Claim::cycle_assuming(anomaly, edges, Vec::new())
    }

    /// A cycle that rests on such promises too. It begins with the first call, so that each cycle is said in one way.
    pub fn cycle_assuming(anomaly: &str, mut edges: Vec<Edge>, assumes: Vec<String>) -> Claim {
        let first = (0..edges.len()).min_by_key(|&at| edges[at].from).unwrap_or(0);
        edges.rotate_left(first);
        Claim::Cycle { anomaly: anomaly.to_owned(), edges, assumes }
    }
}

impl Certificate {
    /// A claim about the operations with these calls.
    pub fn new(history: &History, claim: Claim, calls: &[u64]) -> Certificate {
        let mut calls = calls.to_vec();
        calls.sort_unstable();
        calls.dedup();
        let ops = calls.iter().filter_map(|call| history.op(*call)).map(|op| certified(history, &op)).collect();
        Certificate { version: CERTIFICATE_VERSION, claim, initial: Vec::new(), ops }
    }

    /// Whether it says what this register began with.
    pub(crate) fn begins(&self, key: &Value) -> bool {
        self.initial.iter().any(|begins| begins.key == *key)
    }

    /// What operations saw in registers: key and value, by `read`, `cas` (also one in doubt) and the reads of transactions.
    pub(crate) fn seen(&self) -> Vec<(Value, Value)> {
        let mut seen = Vec::new();
        for op in self.ops.iter().filter(|op| op.outcome == Outcome::Ok || function(&op.f).argument == Argument::Swap) {
            let function = function(&op.f);
            match (function.kind, &op.input, &op.output) {
                (FunctionKind::Transaction, _, Value::List(mops)) => {
                    seen.extend(mops.iter().filter_map(|mop| match mop.as_list() {
                        Some([f, key, value]) if *f != Value::text("w") && *f != Value::text("write") => {
                            Some((key.clone(), value.clone()))
                        }
                        _ => None,
                    }))
                }
                (FunctionKind::Read, _, Value::Map(entries)) if op.key.is_nil() || op.input.as_list().is_some() => {
                    seen.extend(entries.iter().map(|(name, value)| (Value::Text(name.clone()), value.clone())));
                    let asked = op.input.as_list().unwrap_or_default();
                    seen.extend(asked.iter().map(|key| (key.clone(), Value::Nil)));
                }
                (FunctionKind::Read, _, value) => {
                    seen.push((op.key.clone(), value.clone()));
                    // Where replies carry versions.
                    seen.extend(
                        value.as_list().and_then(|pair| pair.get(1)).map(|value| (op.key.clone(), value.clone())),
                    );
                }
                (_, Value::List(pair), _) if function.argument == Argument::Swap => {
                    seen.extend(pair.first().map(|from| (op.key.clone(), from.clone())));
                }
                _ => {}
            }
        }
        seen
    }
}

fn certified(history: &History, op: &Op<'_>) -> CertifiedOp {
    CertifiedOp {
        call: op.call,
        end: Some(op.end()).filter(|&end| end != Op::OPEN),
        outcome: op.outcome,
        process: op.process,
        workload: history.name(op.workload).to_owned(),
        f: history.name(op.function).to_owned(),
        key: op.key.to_value(),
        input: op.input.to_value(),
        output: op.completion_value.to_value(),
        settle: op.settle,
    }
}
