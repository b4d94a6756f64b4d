//! Promises weaker than linearizability, over reads, writes and compare-and-sets of registers: one file for each.
//!
//! All of them judge all keys of a workload together. They never use times for order, only indices, and only those that
//! say so in their own documentation.
pub(crate) mod accesses;
mod causal;
mod clock;
mod convergence;
mod delta;
pub(crate) mod entries;
mod explain;
#[doc(hidden)]
pub mod fuzz;
mod interleave;
mod k_atomic;
mod measure;
mod memory;
mod order;
mod patterns;
mod saturate;
mod sequential;
mod sessions;
mod staleness;
mod telling;

#[cfg(test)]
mod tests;

pub use causal::{CausalChecker, Variant};
pub use convergence::EventualConvergence;
pub use sequential::Sequential;
pub use sessions::{Promise, SessionGuarantee};
pub use staleness::Staleness;

use crate::history::{History, NameId};
use crate::verdict::messages;
use crate::verdict::{Finding, Validity, Verdict};
use accesses::Parsed;
use serde_json::json;
use std::collections::BTreeMap;

/// What came out for one workload.
enum Answer {
    /// The promise was kept by what could be used.
    Kept,
    /// The same, with evidence.
    Measured(Vec<Finding>),
    /// It was broken.
    Broken(Vec<Finding>),
    /// Nobody could say, and why.
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

/// Puts the answers for all workloads together.
fn verdict(checker: &str, promise: &str, needs: Needs<'_>, history: &History, parts: Vec<Part>) -> Verdict {
    let sum = |of: fn(&Part) -> usize| parts.iter().map(of).sum::<usize>();
    let checked = sum(|part| part.parsed.run.len());
    let acknowledged = sum(|part| part.parsed.acknowledged);
    let (ambiguous, refused) = (sum(|part| part.parsed.ambiguous), sum(|part| part.parsed.refused));
    let sessions = sum(|part| part.parsed.run.sessions.len());
    let keys = sum(|part| part.parsed.run.keys as usize);
    let mut findings: Vec<Finding> = Vec::new();
    let mut evidence: Vec<Finding> = Vec::new();
    let mut undecided: Vec<String> = Vec::new();
    let workloads: Vec<&str> = parts.iter().map(|part| history.name(part.workload)).collect();
    let workload = if let [one] = workloads[..] { one.to_owned() } else { String::new() };
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
            Answer::Broken(found) => findings.extend(found),
            Answer::Doubtful(why, found) => {
                undecided.push(format!("workload {name}: {why}"));
                evidence.extend(found);
            }
            Answer::Measured(found) => {
                undecided.extend(part.parsed.strange.map(|why| format!("workload {name}: {why}")));
                evidence.extend(found);
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
    let (validity, summary) = if let Some(first) = findings.first() {
        let more = if findings.len() > 1 { format!(" ({} findings)", findings.len()) } else { String::new() };
        (Validity::Invalid, format!("Not {promise}: {}{more}.", first.title))
    } else if acknowledged == 0 {
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
    findings.extend(evidence);
    Verdict {
        checker: checker.to_owned(),
        workload,
        validity,
        summary,
        findings,
        certificates: Vec::new(),
        numbers: BTreeMap::from([
            ("checked_ops".to_owned(), json!(checked)),
            ("ok_ops".to_owned(), json!(acknowledged)),
            ("sessions".to_owned(), json!(sessions)),
            ("ambiguous_reads".to_owned(), json!(ambiguous)),
            ("refused_cas".to_owned(), json!(refused)),
            ("undecided".to_owned(), json!(undecided)),
        ]),
    }
}
