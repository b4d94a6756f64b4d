//! Promises weaker than linearizability, over reads, writes and compare-and-sets of registers: one file for each.
//!
//! All of them judge all keys of a workload together. They never use times for order, only indices, and only those that
//! say so in their own documentation.
pub(crate) mod accesses;
mod causal;
mod clock;
mod convergence;
mod delta;
mod entries;
mod explain;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod interleave;
mod k_atomic;
mod measure;
mod memory;
mod observed;
mod order;
mod patterns;
mod saturate;
mod sequential;
mod sessions;
mod staleness;

#[cfg(test)]
mod tests;

pub(crate) use causal::{CausalChecker, Variant};
pub(crate) use convergence::EventualConvergence;
pub(crate) use entries::{
    CAUSAL, EVENTUAL_CONVERGENCE, MONOTONIC_READS, MONOTONIC_WRITES, PRAM, READ_YOUR_WRITES, SEQUENTIAL, STALENESS,
    WRITES_FOLLOW_READS,
};
pub(crate) use sequential::Sequential;
pub(crate) use sessions::{Promise, SessionGuarantee};
pub(crate) use staleness::Staleness;

use crate::history::{History, NameId};
use crate::verdict::messages;
use crate::verdict::{Finding, Report, Validity, Verdict};
use accesses::Parsed;
use serde_json::json;

/// What came out for one workload.
enum Answer {
    /// The promise was kept by what could be used.
    Kept,
    /// The same, with evidence.
    Measured(Vec<Finding>),
    /// It was broken.
    Broken(Vec<Finding>),
    /// Not decided, and why.
    Unknown(String),
    /// The same, with evidence.
    Doubtful(String, Vec<Finding>),
}

/// A workload that was judged.
struct Part {
    workload: NameId,
    parsed: Parsed,
    answer: Answer,
}

/// What has to be seen of some workload before the promise can be called kept, and what was not seen otherwise.
struct Needs<'a> {
    seen: &'a dyn Fn(&Parsed) -> bool,
    missing: &'a str,
}

/// The verdict on what was judged.
fn verdict(checker: &str, promise: &str, needs: Needs<'_>, history: &History, parts: Vec<Part>) -> Verdict {
    let sum = |of: fn(&Part) -> usize| parts.iter().map(of).sum::<usize>();
    let checked = sum(|part| part.parsed.run.len());
    let acknowledged = sum(|part| part.parsed.acknowledged);
    let (ambiguous, refused) = (sum(|part| part.parsed.ambiguous), sum(|part| part.parsed.refused));
    let sessions = sum(|part| part.parsed.run.sessions.len());
    let keys = sum(|part| part.parsed.run.keys as usize);
    let mut report = Report::new(history);
    let mut undecided: Vec<String> = Vec::new();
    let saw = |access: &accesses::Access| access.reads != accesses::NONE;
    let of = |part: &Part| {
        part.parsed.run.accesses.iter().chain(&part.parsed.raw).any(saw) || !part.parsed.versions.is_empty()
    };
    let seen = parts.iter().any(of);
    let tested = parts.iter().any(|part| (needs.seen)(&part.parsed));
    for part in parts {
        let name = history.name(part.workload);
        match part.answer {
            // What is not understood may have written what was read.
            Answer::Broken(_) if part.parsed.strange.is_some() => {
                undecided.extend(part.parsed.strange.map(|why| format!("workload {name}: {why}")));
            }
            Answer::Broken(found) => found.into_iter().for_each(|finding| report.finding(finding)),
            Answer::Doubtful(why, found) => {
                undecided.push(format!("workload {name}: {why}"));
                found.into_iter().for_each(|finding| report.finding(finding));
            }
            Answer::Measured(found) => {
                undecided.extend(part.parsed.strange.map(|why| format!("workload {name}: {why}")));
                found.into_iter().for_each(|finding| report.finding(finding));
            }
            // What is not understood is the nearer reason.
            Answer::Unknown(why) => {
                let why = part.parsed.strange.unwrap_or(why);
                undecided.push(format!("workload {name}: {why}"));
            }
            Answer::Kept => undecided.extend(part.parsed.strange.map(|why| format!("workload {name}: {why}"))),
        }
    }
    if ambiguous > 0 {
        let reads = messages::count(ambiguous, "read");
        undecided.push(format!("{reads} returned a value that was written more than once and could not be used"));
    }
    let otherwise = if acknowledged == 0 {
        (Validity::Unknown, "No operation on a register was acknowledged, so nothing can be said.".to_owned())
    } else if let Some(first) = undecided.first() {
        (Validity::Unknown, format!("Not decided: {first}."))
    } else if !seen {
        (Validity::Unknown, "No read was acknowledged, so nothing can be said.".to_owned())
    } else if !tested {
        (Validity::Unknown, format!("{}, so nothing could contradict the promise.", needs.missing))
    } else {
        let mut left_out = String::new();
        if refused > 0 {
            left_out = format!("; {} left out", messages::count(refused, "refused compare-and-set"));
        }
        let (keys, sessions) = (messages::count(keys, "key"), messages::count(sessions, "process"));
        let sessions = sessions.replace("processs", "processes");
        (Validity::Valid, format!("{checked} operations on {keys} by {sessions} are {promise}{left_out}."))
    };
    report.numbers([
        ("checked_ops", checked),
        ("ok_ops", acknowledged),
        ("sessions", sessions),
        ("ambiguous_reads", ambiguous),
        ("refused_cas", refused),
    ]);
    report.number("undecided", json!(undecided));
    let count = report.violations();
    let more = if count > 1 { format!(" ({count} findings)") } else { String::new() };
    report.conclude(checker, otherwise, |headline| format!("Not {promise}. {headline}{more}."))
}
