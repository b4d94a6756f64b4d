//! `dsfuzz explain`: a checker, an anomaly, a fault, a workload or a word of the report in plain words.
use super::Output;
use crate::error::{Exit, Failure};
use crate::plan::{did_you_mean, names};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The name; left out: every name
    pub name: Option<String>,
}

/// Words of verdicts, histories and findings. What a list of its own documents (faults, workloads) is not here.
const WORDS: &[(&str, &str)] = &[
    (
        "linearizable",
        "Every call seems to take effect at one instant between its begin and its end, and every read returns the last \
         value written before its instant. Judged for each key on its own (Herlihy and Wing, 1990). A call in doubt may \
         take effect at any time after its begin, or never.",
    ),
    (
        "nonlinearizable",
        "No order of the calls explains all replies. The counterexample is the fewest calls that already contradict each \
         other; look for a read that returned an old value after a newer one was acknowledged.",
    ),
    (
        "stale-read",
        "A read returned a value although a newer one had been acknowledged before the read began. Typical of reads \
         answered by a replica that does not ask the others.",
    ),
    (
        "split-brain",
        "Two nodes act as leader at once. A violation when one trustworthy term has two leaders, or when both sides of a \
         cut acknowledged writes that were begun after the cut and completed before its healing. An overlap of roles \
         alone is evidence: a deposed leader may not know it yet.",
    ),
    ("two-leaders-in-one-term", "Two nodes were elected in the same term, which a consensus protocol rules out."),
    (
        "set",
        "Each element is added once; at the end everything is read on every node. Lost: acknowledged and not there. \
         Unexpected: there and never added. Recovered: in doubt, and there. Duplicated: there more than once.",
    ),
    (
        "lost-write",
        "A write was acknowledged and is not in the final reads, which were made after the replicas had converged.",
    ),
    ("unexpected", "A value was read that no client ever wrote."),
    ("recovered", "A call in doubt turned out to have taken effect. Not an error; it says how much doubt there was."),
    ("duplicated", "An element that was added once is there more than once."),
    (
        "availability",
        "How long calls stayed without success during each fault, and how long after its healing every node served \
         again. Numbers, not a promise, unless a plan sets a bound.",
    ),
    (
        "evidence",
        "What a run must show before it may be called valid: calls succeeded, each kind of fault was proven to be in \
         force, calls succeeded during faults, leadership moved. Thresholds stand in the plan under `evidence`.",
    ),
    ("valid", "Every promise was kept, and enough was seen to say so (exit 0)."),
    (
        "unknown",
        "Not decided (exit 2): a checker ran out of its budget, or the evidence was thin. Never a pass. The sentence says \
         what ran out or was missing: a longer `load.time`, a larger `budget`, or a look at why calls failed.",
    ),
    ("invalid", "A promise is certainly broken (exit 1). The findings name the calls that show it."),
    ("ok", "The call succeeded, with this reply."),
    ("fail", "The call certainly had no effect, now or later: it was refused before it could."),
    (
        "info",
        "In doubt: the call may have taken effect, may do so later, or never. A time-out and a lost connection are in \
         doubt. The client that made it is replaced.",
    ),
    ("nemesis", "What breaks things: draws faults over time from the seed and undoes each."),
    (
        "proven",
        "The fault was seen to work (a cut link carried nothing, a stopped process stood still), not only asked for.",
    ),
    ("lease", "The agent on a node heals everything by itself when the control node has been silent for this long."),
];

#[derive(Serialize)]
struct Explained<'a> {
    name: &'a str,
    text: &'a str,
}

pub(super) fn main(args: &ExplainArgs, out: &mut Output) -> Result<Exit, Failure> {
    let texts = texts();
    let Some(wanted) = &args.name else {
        if out.json {
            out.document(&texts)?;
        } else {
            out.line(texts.keys().cloned().collect::<Vec<_>>().join("\n"));
        }
        return Ok(Exit::Valid);
    };
    let name = wanted.to_lowercase().replace('_', "-");
    let Some(text) = texts.get(&name) else {
        let meant = did_you_mean(&name, texts.keys().map(String::as_str));
        let help =
            meant.map_or_else(|| "`dsfuzz explain` lists the names".into(), |meant| format!("did you mean {meant}?"));
        return Err(Failure::Usage(format!("nothing is known of {wanted}; {help}")));
    };
    if out.json {
        out.document(&Explained { name: &name, text })?;
    } else {
        out.line(format!("{name}: {text}"));
    }
    Ok(Exit::Valid)
}

fn texts() -> BTreeMap<String, String> {
    let listed = [names::targets(), names::workloads(), names::faults(), names::checkers()].into_iter().flatten();
    let mut texts: BTreeMap<String, String> = listed.map(|entry| (entry.name, entry.doc)).collect();
    for (name, text) in WORDS {
        // The set is a workload and a checker: both are told.
        let before = texts.remove(*name).map(|doc| format!("{doc} ")).unwrap_or_default();
        texts.insert((*name).into(), format!("{before}{text}"));
    }
    texts
}
