//! `dsfuzz explain`: a checker, a model, a kind of finding, a fault, a workload or a word of the report in plain words.
use super::Output;
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::names::{self, Entry};
use clap::Args;
use dsfuzz_checkers::transactions::lattice::{self, Consistency};
use dsfuzz_checkers::{ANOMALIES, MODELS, ModelDoc};
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The name; left out: every name
    pub name: Option<String>,
}

/// Words of verdicts and histories, and what is worth knowing beyond the lists of checkers, models, kinds of findings,
/// faults, workloads and targets, which document themselves.
const WORDS: &[(&str, &str)] = &[
    (
        "linearizable",
        "Every call seems to take effect at one instant between its begin and its end, and every reply is what the object \
         (the option model; by default a register) gives at that instant. Judged for each key on its own (Herlihy and \
         Wing, 1990). A call in doubt may take effect at any time after its begin, or never.",
    ),
    (
        "split-brain",
        "Two nodes act as leader at once. A violation when one trustworthy term has two leaders, or when both sides of a \
         cut acknowledged conflicting writes that were begun after the cut and completed before its healing. Calls that \
         commute (adds) are evidence, as is an overlap of roles alone: a deposed leader may not know it yet.",
    ),
    (
        "set",
        "Each element is added once; at the end everything is read on every node, or as the option final_reads says. \
         Lost: acknowledged and not there. Where nodes hold different things at the end, replicas-agree judges them: a node that lacks something is \
         accused only where it is known to have converged, or stands still. \
         Unexpected: there and never added. Recovered: in doubt, and there. Duplicated: there more than once.",
    ),
    ("unexpected", "A value was read that no client ever wrote."),
    ("recovered", "A call in doubt turned out to have taken effect. Not an error; it says how much doubt there was."),
    ("duplicated", "An element that was added once is there more than once."),
    (
        "availability",
        "How long calls stayed without success during each fault, and how long after its healing every node served \
         again. Numbers, not a promise; `liveness` is the promise.",
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
    (
        "read-committed",
        "Two levels have this name. The checker is the stronger one, that of the literature on testing (AWDIT): over who read \
         from whom, with the order within each session. The model of list-append and rw-register is the weaker one, \
         Adya's PL-2: over the known order of versions, and neither sessions nor real time count. A history may be \
         valid by the model and invalid by the checker.",
    ),
    (
        "independent",
        "Jepsen's jepsen.independent puts the key into the value: [key value]. `--independent` says that a file has \
         its keys so, `--independent=false` that its values only look so; without either, a file that looks so is refused. \
         See docs/from-jepsen.md and docs/checkers.md.",
    ),
    ("lease", "The agent on a node heals everything by itself when the control node has been silent for this long."),
];

#[derive(Serialize)]
struct Explained<'a> {
    name: &'a str,
    text: &'a str,
}

pub(super) fn main(args: &ExplainArgs, out: &mut Output) -> Result<Exit, Failure> {
    let texts: BTreeMap<String, String> = meanings().into_iter().map(|(name, all)| (name, text(&all))).collect();
    let Some(wanted) = &args.name else {
        if out.json {
            out.document(&texts)?;
        } else {
            out.line(texts.keys().cloned().collect::<Vec<_>>().join("\n"));
        }
        return Ok(Exit::Valid);
    };
    let name = plain(wanted);
    let Some(text) = texts.get(&name) else {
        let meant = did_you_mean(&name, texts.keys().map(String::as_str));
        let help =
            meant.map_or_else(|| "`dsfuzz explain` lists the names".into(), |meant| format!("did you mean {meant}?"));
        return Err(Failure::Usage(format!("nothing is known of {wanted}; {help}")));
    };
    if out.json {
        out.document(&Explained { name: &name, text })?;
    } else if text.contains('\n') {
        out.line(format!("{name}:\n  {}", text.replace('\n', "\n  ")));
    } else {
        out.line(format!("{name}: {text}"));
    }
    Ok(Exit::Valid)
}

/// A name as it is looked up: `G2-item`, `g2_item` and `g2-item` are one.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// What is told of one name: what it is the name of, and the text.
type Meaning = (&'static str, String);

/// One meaning as it is; several, each with what it is the name of: a set is a workload, a checker and a model.
fn text(meanings: &[Meaning]) -> String {
    match meanings {
        [(_, text)] => text.clone(),
        several => several.iter().map(|(what, text)| format!("{what}: {text}")).collect::<Vec<_>>().join("\n"),
    }
}

fn meanings() -> BTreeMap<String, Vec<Meaning>> {
    let mut all: BTreeMap<String, Vec<Meaning>> = BTreeMap::new();
    let mut add = |name: &str, what, text| all.entry(plain(name)).or_default().push((what, text));
    let lists = [
        ("target", names::targets()),
        ("workload", names::workloads()),
        ("fault", names::faults()),
        ("checker", names::checkers()),
    ];
    for (what, entries) in lists {
        for entry in entries {
            add(&entry.name, what, entry_text(&entry));
        }
    }
    for model in MODELS {
        add(model.name, "model of an object", model_text(model));
    }
    for model in lattice::MODELS {
        for name in [model.name].iter().chain(model.aliases) {
            add(name, "model of transactions", consistency_text(model));
        }
    }
    for (kind, sentence) in ANOMALIES {
        add(kind, "finding", (*sentence).to_owned());
    }
    for (word, text) in WORDS {
        add(word, "word", (*text).to_owned());
    }
    for meanings in all.values_mut() {
        // Two names of one model may differ in case alone.
        meanings.dedup();
    }
    all
}

fn entry_text(entry: &Entry) -> String {
    let options: Vec<String> = entry.options.iter().map(|(name, doc)| format!("{name} ({doc})")).collect();
    match options.is_empty() {
        true => entry.doc.clone(),
        false => format!("{} Options: {}.", entry.doc, options.join("; ")),
    }
}

fn model_text(model: &ModelDoc) -> String {
    let functions = model.functions.join(", ");
    format!("{} Functions: {functions}. Judged by `linearizable` with the option model.", model.doc)
}

fn consistency_text(model: &Consistency) -> String {
    let mut text = format!("{}, a model of the consistency of transactions.", model.name);
    if !model.implies.is_empty() {
        text += &format!(" Implies {}.", model.implies.join(", "));
    }
    if !model.forbids.is_empty() {
        let beside = if model.implies.is_empty() { "Forbids" } else { "Forbids, beside what these forbid," };
        text += &format!(" {beside} {}.", model.forbids.join(", "));
    }
    if !model.aliases.is_empty() {
        text += &format!(" Also called {}.", model.aliases.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_checkers::CHECKERS;

    #[test]
    fn every_checker_model_and_kind_of_finding_is_known() {
        let all = meanings();
        let names = CHECKERS.iter().map(|doc| ("checker", doc.name));
        let names = names.chain(MODELS.iter().map(|doc| ("model of an object", doc.name)));
        let names = names.chain(ANOMALIES.iter().map(|(kind, _)| ("finding", *kind)));
        for (what, name) in names {
            let known = all.get(&plain(name)).is_some_and(|meanings| meanings.iter().any(|(of, _)| *of == what));
            assert!(known, "{what} {name}");
        }
    }

    #[test]
    fn what_has_several_meanings_says_so() {
        let all = meanings();
        let committed = text(&all["read-committed"]);
        assert!(committed.contains("checker: ") && committed.contains("model of transactions: "));
        assert!(committed.contains("The checker is the stronger one"), "{committed}");
        let lease = text(&all["lease"]);
        assert!(lease.contains("checker: ") && lease.contains("model of an object: ") && lease.contains("word: "));
        assert!(!text(&all["proven"]).contains('\n'));
        assert_eq!(plain("G2_Item"), "g2-item");
    }
}
