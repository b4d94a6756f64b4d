//! What the list of checkers shows of the weaker promises, and how their options are taken.
use super::{CausalChecker, EventualConvergence, Promise, Sequential, SessionGuarantee, Staleness, Variant};
use crate::checker::{CheckerDoc, Judges, Reads};
use crate::initial::{Initial, InitialOptions, WithInitial};
use crate::options::{Given, OptionError, schema};
use crate::verdict::Checker;
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// Options of the session guarantees.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionOptions {
    /// Which write has the older version.
    order: Order,
    /// Reads answer [version, value], writes their version.
    versions: bool,
    initial: Initial,
}

/// Which of two writes has the older version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Order {
    /// The one that its process made first.
    #[default]
    Session,
    /// Also the one that ended before the other began.
    Realtime,
}

/// Options of `causal`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CausalOptions {
    /// What is promised: cc (causal consistency), ccv (and all agree on one order of writes) or cm (causal memory).
    variant: Variant,
    initial: Initial,
}

/// Options of `eventual-convergence`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConvergenceOptions {
    /// How long after the last write and heal nodes may still differ. Left out: 10s, and they must be known to have converged.
    wait: Option<Span>,
    /// Any written value may be the last, for stores whose clocks decide.
    any_written: bool,
    initial: Initial,
}

/// Options of `staleness`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StalenessOptions {
    /// Every read returns one of this many last values (exact for 1 and 2). Left out: no limit.
    k_max: Option<NonZeroU64>,
    /// The key would be linearizable if reads had been called this much earlier. Left out: no limit.
    delta_max: Option<Span>,
    initial: Initial,
}

/// What every checker of registers judges.
const REGISTERS: Judges = Judges::calls(&["read", "write", "cas"], &[]).reading(Reads::Value);

fn session(promise: Promise, given: &Given) -> Result<Box<dyn Checker>, OptionError> {
    let SessionOptions { order, versions, initial } = given.read()?;
    let checker = SessionGuarantee { promise, realtime: order == Order::Realtime, versions };
    Ok(Box::new(WithInitial::new(checker, initial)))
}

pub(crate) const SEQUENTIAL: CheckerDoc = CheckerDoc {
    name: "sequential",
    doc: "All keys together behave as if all calls had happened one at a time, each process' calls in its order.",
    cost: "NP-complete: near-linear where a quick dive finds an order, O(n·k) for each round of forced orders, \
           then a search",
    judges: REGISTERS,
    options: schema::<InitialOptions>,
    build: |given| Ok(Box::new(WithInitial::new(Sequential, given.read::<InitialOptions>()?.initial))),
};

pub(crate) const CAUSAL: CheckerDoc = CheckerDoc {
    name: "causal",
    doc: "Whoever sees an operation has seen everything that its process had seen or done before it.",
    cost: "O(n·k) at worst; variant `cm` in several rounds",
    judges: REGISTERS,
    options: schema::<CausalOptions>,
    build: |given| {
        let CausalOptions { variant, initial } = given.read()?;
        Ok(Box::new(WithInitial::new(CausalChecker { variant }, initial)))
    },
};

pub(crate) const PRAM: CheckerDoc = CheckerDoc {
    name: "pram",
    doc: "Each process sees the writes of every other process in the order in which they were made.",
    cost: "O(n·k) for each round",
    judges: REGISTERS,
    options: schema::<InitialOptions>,
    build: |given| {
        let InitialOptions { initial } = given.read()?;
        Ok(Box::new(WithInitial::new(CausalChecker { variant: Variant::Pram }, initial)))
    },
};

pub(crate) const READ_YOUR_WRITES: CheckerDoc = CheckerDoc {
    name: "read-your-writes",
    doc: "A read sees what its process wrote to the key, or something newer.",
    cost: "near-linear",
    judges: REGISTERS,
    options: schema::<SessionOptions>,
    build: |given| session(Promise::ReadYourWrites, given),
};

pub(crate) const MONOTONIC_READS: CheckerDoc = CheckerDoc {
    name: "monotonic-reads",
    doc: "A read sees what its process had read of the key before, or something newer.",
    cost: "near-linear",
    judges: REGISTERS,
    options: schema::<SessionOptions>,
    build: |given| session(Promise::MonotonicReads, given),
};

pub(crate) const MONOTONIC_WRITES: CheckerDoc = CheckerDoc {
    name: "monotonic-writes",
    doc: "Writes of a process to a key are ordered as it made them.",
    cost: "near-linear",
    judges: REGISTERS,
    options: schema::<SessionOptions>,
    build: |given| session(Promise::MonotonicWrites, given),
};

pub(crate) const WRITES_FOLLOW_READS: CheckerDoc = CheckerDoc {
    name: "writes-follow-reads",
    doc: "A write is newer than whatever its process had read of the key.",
    cost: "near-linear",
    judges: REGISTERS,
    options: schema::<SessionOptions>,
    build: |given| session(Promise::WritesFollowReads, given),
};

pub(crate) const EVENTUAL_CONVERGENCE: CheckerDoc = CheckerDoc {
    name: "eventual-convergence",
    doc: "After the last write and the last heal all nodes come to one value, and it could be the last one.",
    cost: "near-linear",
    judges: REGISTERS,
    options: schema::<ConvergenceOptions>,
    build: |given| {
        let ConvergenceOptions { wait, any_written, initial } = given.read()?;
        let checker = EventualConvergence { wait_ms: wait.map(Span::as_millis), any_written };
        Ok(Box::new(WithInitial::new(checker, initial)))
    },
};

pub(crate) const STALENESS: CheckerDoc = CheckerDoc {
    name: "staleness",
    doc: "Measures how far reads were behind, in time and in writes; a promise where limits are set.",
    cost: "near-linear, about sixty times that to find Δ",
    judges: REGISTERS,
    options: schema::<StalenessOptions>,
    build: |given| {
        let StalenessOptions { k_max, delta_max, initial } = given.read()?;
        let checker = Staleness { k_max: k_max.map(NonZeroU64::get), delta_ms_max: delta_max.map(Span::as_millis) };
        Ok(Box::new(WithInitial::new(checker, initial)))
    },
};
