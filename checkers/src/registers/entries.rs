//! What the list of checkers shows of the weaker promises, and how their options are taken.
use super::{CausalChecker, EventualConvergence, Promise, Sequential, SessionGuarantee, Staleness, Variant};
use crate::checker::{CheckerDoc, Options};
use crate::initial::{OPTION, WithInitial};
use crate::verdict::Checker;

/// Options of the session guarantees.
const VERSIONS: &[(&str, &str)] = &[
    ("order", "session (the default) or realtime: a write that ended before another began has the older version"),
    ("versions", "true: reads answer [version, value], writes their version"),
    OPTION,
];

fn session(promise: Promise, options: &Options) -> Result<Box<dyn Checker>, String> {
    let realtime = match options.text("order")?.unwrap_or("session") {
        "session" => false,
        "realtime" => true,
        other => return Err(format!("order takes session or realtime, not {other}")),
    };
    let checker = SessionGuarantee::new(promise).realtime(realtime).versions(options.flag("versions")?);
    Ok(Box::new(WithInitial::with(checker, options)))
}

/// An integer that is not too small, if it is set.
fn at_least(name: &str, least: u64, options: &Options) -> Result<Option<u64>, String> {
    let Some(number) = options.int(name)? else { return Ok(None) };
    match u64::try_from(number).ok().filter(|number| *number >= least) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("{name} takes an integer from {least}, not {number}")),
    }
}

pub(crate) const SEQUENTIAL: CheckerDoc = CheckerDoc {
    name: "sequential",
    doc: "All keys together behave as if all calls had happened one at a time, each process' calls in its order.",
    options: &[OPTION],
    build: |options| Ok(Box::new(WithInitial::with(Sequential, options))),
};

pub(crate) const CAUSAL: CheckerDoc = CheckerDoc {
    name: "causal",
    doc: "Whoever sees an operation has seen everything that its process had seen or done before it.",
    options: &[
        ("variant", "cc (the default), ccv (and all agree on one order of writes) or cm (causal memory)"),
        OPTION,
    ],
    build: |options| match options.text("variant")?.unwrap_or("cc") {
        name @ ("cc" | "ccv" | "cm") => {
            let checker = CausalChecker::new(Variant::named(name).unwrap_or(Variant::Weak));
            Ok(Box::new(WithInitial::with(checker, options)))
        }
        other => Err(format!("variant takes cc, ccv or cm, not {other}")),
    },
};

pub(crate) const PRAM: CheckerDoc = CheckerDoc {
    name: "pram",
    doc: "Each process sees the writes of every other process in the order in which they were made.",
    options: &[OPTION],
    build: |options| Ok(Box::new(WithInitial::with(CausalChecker::new(Variant::Pram), options))),
};

pub(crate) const READ_YOUR_WRITES: CheckerDoc = CheckerDoc {
    name: "read-your-writes",
    doc: "A read sees what its process wrote to the key, or something newer.",
    options: VERSIONS,
    build: |options| session(Promise::ReadYourWrites, options),
};

pub(crate) const MONOTONIC_READS: CheckerDoc = CheckerDoc {
    name: "monotonic-reads",
    doc: "A read sees what its process had read of the key before, or something newer.",
    options: VERSIONS,
    build: |options| session(Promise::MonotonicReads, options),
};

pub(crate) const MONOTONIC_WRITES: CheckerDoc = CheckerDoc {
    name: "monotonic-writes",
    doc: "Writes of a process to a key are ordered as it made them.",
    options: VERSIONS,
    build: |options| session(Promise::MonotonicWrites, options),
};

pub(crate) const WRITES_FOLLOW_READS: CheckerDoc = CheckerDoc {
    name: "writes-follow-reads",
    doc: "A write is newer than whatever its process had read of the key.",
    options: VERSIONS,
    build: |options| session(Promise::WritesFollowReads, options),
};

pub(crate) const EVENTUAL_CONVERGENCE: CheckerDoc = CheckerDoc {
    name: "eventual-convergence",
    doc: "After the last write and the last heal all nodes come to one value, and it could be the last one.",
    options: &[
        (
            "wait_ms",
            "an integer: how long after the last write and heal nodes may still differ; without it 10000, and they must be known to have converged",
        ),
        ("any_written", "true: any written value may be the last, for stores whose clocks decide"),
        OPTION,
    ],
    build: |options| {
        let checker = EventualConvergence::default().any_written(options.flag("any_written")?);
        let wait = at_least("wait_ms", 0, options)?;
        Ok(Box::new(WithInitial::with(wait.map_or(checker, |wait| checker.wait_ms(wait)), options)))
    },
};

pub(crate) const STALENESS: CheckerDoc = CheckerDoc {
    name: "staleness",
    doc: "Measures how far reads were behind, in time and in writes; a promise where limits are set.",
    options: &[
        ("k_max", "an integer from 1: every read returns one of so many last values (exact for 1 and 2)"),
        ("delta_ms_max", "an integer: linearizable if reads had been called so much earlier"),
        OPTION,
    ],
    build: |options| {
        let (k, delta) = (at_least("k_max", 1, options)?, at_least("delta_ms_max", 0, options)?);
        Ok(Box::new(WithInitial::with(Staleness::new().k_max(k).delta_ms_max(delta), options)))
    },
};
