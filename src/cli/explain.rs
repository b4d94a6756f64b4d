//! `dsfuzz explain`: a checker, a model, a kind of finding, a fault, a workload or a word of the report in plain words.
use super::Output;
use crate::document::did_you_mean;
use crate::error::{Exit, Failure};
use crate::plan::names::{self, Entry};
use crate::targets::lessons::{self, Lesson};
use clap::Args;
use dsfuzz_checkers::lattice::{self, Consistency};
use dsfuzz_checkers::{ANOMALIES, MODELS, ModelDoc};
use dsfuzz_workloads::codes::{CODES, ErrorCode};
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The name to explain, such as a checker, a target, a kind of finding or an error code [default: list all names]
    pub name: Option<String>,
}

/// The glossary of the project. Its terms are explained here unless `WORDS` says more.
const MAP: &str = include_str!("../../docs/architecture.md");

/// Words of verdicts and histories that are neither in the glossary nor names of checkers, models, kinds of findings,
/// faults, workloads or targets.
const WORDS: &[(&str, &str)] = &[
    (
        "linearizable",
        "Every operation seems to take effect at one instant between its call and its reply, and every reply is what the object \
         (the option model; by default a register) gives at that instant. Each key is judged alone (Herlihy and Wing, 1990). \
         An operation in doubt may take effect at any time after its call, or never.",
    ),
    (
        "split-brain",
        "Two nodes act as leader at once. A violation when one trustworthy term has two leaders, or when both sides of a \
         cut acknowledged conflicting writes that were begun after the cut and completed before its healing. Where all of \
         them commute (adds), the answer is unknown, unless the option sides says otherwise. An overlap of roles alone is \
         evidence: a deposed leader may not know it yet.",
    ),
    (
        "set",
        "Each element is added once. At the end every node is read, or those that the option final_reads names. Lost: an \
         acknowledged element that no final read shows. Unexpected: an element that no client added. Recovered: an element \
         whose add was in doubt, and that is there. Duplicated: an element that is there more than once. If nodes hold \
         different elements at the end, replicas-agree judges them: it accuses a node that lacks one only if the node is \
         known to have converged, or stands still.",
    ),
    ("unexpected", "A value was read that no client ever wrote."),
    ("recovered", "A call in doubt turned out to have taken effect. This is not an error."),
    ("duplicated", "An element that was added once is there more than once."),
    (
        "availability",
        "How long no call succeeded during each fault, and how long after its heal every node served again. These are \
         numbers, not a promise; `liveness` is the promise.",
    ),
    (
        "evidence",
        "Of a run: counts that must reach their thresholds before the run can be valid. Calls succeeded, each kind of fault \
         was proven to be in force, calls succeeded during faults, leadership moved. The thresholds are in the plan under \
         `evidence`. Of a finding: it is shown, and does not break the promise.",
    ),
    ("valid", "Every promise was kept, and enough was seen to say so (exit 0)."),
    (
        "unknown",
        "This run proves nothing either way (exit 2): a checker ran out of its budget, or there was too little evidence. It \
         is never a pass. The sentence says what ran out or was missing. A longer `load.time` or a larger `budget` may \
         help, or a look at why calls failed. See docs/unknown.md.",
    ),
    ("invalid", "A promise is certainly broken (exit 1). The findings name the calls that show it."),
    ("ok", "The call succeeded, with this reply."),
    ("fail", "The call certainly had no effect and never will."),
    (
        "info",
        "In doubt: the call may have taken effect, may do so later, or never. Timeouts and lost connections end so. The \
         client that made the call is replaced.",
    ),
    ("nemesis", "The part that draws faults over time from the seed, injects them and heals them."),
    ("proven", "The fault was verified to be in force: a cut link carried nothing, a stopped process stood still."),
    (
        "read-committed",
        "Two levels have this name. The checker is the stronger one, that of the literature on testing (AWDIT): it uses which \
         transaction read from which, and the order within each session. The model of list-append and rw-register is the \
         weaker one, Adya's PL-2: it uses the known order of versions, and neither sessions nor real time count. A history \
         may be valid for the model and invalid for the checker.",
    ),
    (
        "independent",
        "Jepsen's jepsen.independent puts the key into the value: [key value]. `--independent` says that the values of a file \
         have this form; `--independent=false` says that they are plain values. Without either, a file whose values look \
         like pairs is refused. See docs/from-jepsen.md and docs/checkers.md.",
    ),
    ("lease", "The time (3 s) after which an agent heals its node if it has not heard from the control node."),
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

/// The form in which a name is looked up: `G2-item`, `g2_item` and `g2-item` are one.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// One meaning of a name: the kind of the named thing, and the text.
type Meaning = (&'static str, String);

/// One meaning alone; several, each with its kind: a set is a workload, a checker and a model.
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
        ("fallacy", names::fallacies()),
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
    let lessons = lessons::lessons();
    for (kind, _) in ANOMALIES {
        add(kind, "finding", lessons::about(kind).unwrap_or_default());
    }
    for lesson in &lessons {
        match lesson.mistake {
            None => add(lesson.mode, "specimen", mode_text(lesson, &lessons)),
            Some(mistake) => {
                add(mistake, "mistake of a specimen", format!("Of the specimen {}.\n{}", lesson.mode, lesson.text));
            }
        }
    }
    for (word, text) in WORDS {
        add(word, "word", (*text).to_owned());
    }
    for code in CODES {
        add(code.code, "error code of a client", code_text(code));
    }
    for (term, text) in glossary() {
        if !WORDS.iter().any(|(word, _)| *word == term) {
            add(&term, "word", text);
        }
    }
    for meanings in all.values_mut() {
        // Two names of one model may differ in case alone.
        meanings.dedup();
    }
    all
}

/// The rows of the glossary: each term with its meaning. A row may have several terms.
fn glossary() -> Vec<(String, String)> {
    let (_, glossary) = MAP.split_once("\n## Glossary\n").unwrap_or_default();
    let rows = glossary.split("\n## ").next().unwrap_or_default().lines();
    let cells = rows.filter_map(|row| row.strip_prefix("| ")?.split_once(" | ")).filter(|(term, _)| *term != "term");
    let terms = cells.flat_map(|(terms, rest)| {
        let text = rest.split(" | ").next().unwrap_or_default().replace('*', "");
        let names = terms.split([',', '(', ')']).map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| (name.replace(' ', "-"), text.clone())).collect::<Vec<_>>()
    });
    terms.collect()
}

/// Its sentence; below it, a line each, what belongs to it and its options.
fn entry_text(entry: &Entry) -> String {
    let belongs = entry.belongs.iter().filter(|(_, names)| !names.is_empty());
    let belongs = belongs.map(|(what, names)| format!("  {what}: {}", names.join(", ")));
    let options = entry.options.iter().map(|option| format!("  option {}: {option}", option.name));
    let lines: Vec<String> = std::iter::once(entry.doc.clone()).chain(belongs).chain(options).collect();
    lines.join("\n")
}

fn code_text(code: &ErrorCode) -> String {
    let ends = match code.means() {
        "fail" => "The call certainly had no effect (fail)",
        _ => "The call may have taken effect (info)",
    };
    format!("{ends}: {}. Clients answer it (docs/client-protocol.md).", code.when)
}

fn mode_text(lesson: &Lesson, lessons: &[Lesson]) -> String {
    let of_mode = lessons.iter().filter(|other| other.mode == lesson.mode);
    let mistakes: Vec<&str> = of_mode.filter_map(|other| other.mistake).collect();
    format!("{}\nMistakes: {}. The page is docs/specimens/{}.md.", lesson.text, mistakes.join(", "), lesson.mode)
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
        let names = names.chain(CODES.iter().map(|code| ("error code of a client", code.code)));
        for (what, name) in names {
            let known = all.get(&plain(name)).is_some_and(|meanings| meanings.iter().any(|(of, _)| *of == what));
            assert!(known, "{what} {name}");
        }
    }

    #[test]
    fn a_kind_of_finding_leads_to_the_mistakes_that_show_it_and_a_mistake_to_its_lesson() {
        let all = meanings();
        assert!(text(&all["duplicate-id"]).contains("clock-steps-back of ids"), "{}", text(&all["duplicate-id"]));
        assert!(text(&all["clock-steps-back"]).contains("`clock: {jump: 2s}`"), "{}", text(&all["clock-steps-back"]));
        let mode = all["ids"].iter().find(|(what, _)| *what == "specimen");
        assert!(mode.is_some_and(|(_, text)| text.contains("Mistakes: clock-steps-back.")), "{mode:?}");
    }

    #[test]
    fn every_term_of_the_glossary_is_known() {
        let all = meanings();
        assert!(glossary().len() > 40, "{}", glossary().len());
        for term in ["promise", "settle", "final-reads", "undo-journal", "verdict", "node-claim"] {
            assert!(all.contains_key(term), "{term}");
        }
        assert!(text(&all["settle"]).contains("after recovery"), "{}", text(&all["settle"]));
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
