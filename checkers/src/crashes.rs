//! `crashes`: the target's own death. A process that ends though nobody ended it, one that does not come back after a fault,
//! alarms in its log, kills for want of memory and core files are bugs by themselves, whatever the clients saw.
//!
//! An end is explained when the harness asked for it: a planned kill, a stop. Such ends are not in the history. A fault of
//! another kind (a pause, a partition, a clock) explains no death; the finding names it.
//!
//! Findings: `crashed`, `did-not-come-back`, `log-alarm`, `out-of-memory`, `core-file`; each is a violation, a piece of evidence
//! or left out, by an option of its name. As evidence alone: `start-failed`, a process that the harness had started again after
//! a fault and that ended with an exit status before long: where others are away, some systems do so and wait to be started
//! once more. Unknown: nobody watched the processes.
use crate::history::{Fault, History, ProcessEvent, ProcessStep};
use crate::registry::{CheckerDoc, Options};
use crate::value::Value;
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::BTreeSet;

/// Its name in plans; every run is judged by it, also where a plan names its checkers.
pub const CRASHES: &str = "crashes";

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: CRASHES,
    doc: "No process of the target ends by itself, fails to come back, writes an alarm into its log, runs out of memory or leaves a core file.",
    options: &[
        ("crashed", "violation (the default), evidence or off: a process ended, and nobody had ended it"),
        (
            "did_not_come_back",
            "violation (the default), evidence or off: a process did not serve again after the last heal",
        ),
        ("log_alarm", "violation (the default), evidence or off: panics, failed assertions, corruption, races in logs"),
        ("out_of_memory", "violation (the default), evidence or off: the kernel killed a process for want of memory"),
        ("core_file", "violation (the default), evidence or off: a process left a core file"),
    ],
    build: |options| Ok(Box::new(Crashes::with(options)?)),
};

/// So many findings of one kind are told; the rest is counted.
const FINDINGS_MAX: usize = 10;
/// A process that was started again and ends with a status within so long has failed to start.
const STARTING_MS: u64 = 10_000;

/// How a kind of finding counts; none: it is left out.
type Counts = Option<Severity>;

/// Judges how the target's processes fared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crashes {
    crashed: Counts,
    did_not_come_back: Counts,
    log_alarm: Counts,
    out_of_memory: Counts,
    core_file: Counts,
}

impl Crashes {
    fn with(options: &Options) -> Result<Crashes, String> {
        let counts = |name: &str| match options.0.get(name) {
            None | Some(Value::Bool(true)) => Ok(Some(Severity::Violation)),
            Some(Value::Bool(false)) => Ok(None),
            Some(Value::Text(text)) => match &**text {
                "violation" => Ok(Some(Severity::Violation)),
                "evidence" => Ok(Some(Severity::Evidence)),
                "off" => Ok(None),
                other => Err(format!("{name} takes violation, evidence or off, not {other}")),
            },
            Some(other) => Err(format!("{name} takes violation, evidence or off, not {other}")),
        };
        Ok(Crashes {
            crashed: counts("crashed")?,
            did_not_come_back: counts("did_not_come_back")?,
            log_alarm: counts("log_alarm")?,
            out_of_memory: counts("out_of_memory")?,
            core_file: counts("core_file")?,
        })
    }

    /// What a record is a finding of, and how it counts.
    fn kind(&self, event: &ProcessEvent, history: &History) -> Option<(&'static str, Severity)> {
        let (kind, counts) = match event.step {
            ProcessStep::Watched | ProcessStep::LogsRead | ProcessStep::Restarted => return None,
            ProcessStep::Ended if failed_start(event) => ("start-failed", self.crashed.map(|_| Severity::Evidence)),
            ProcessStep::Ended => ("crashed", self.crashed),
            ProcessStep::OutOfMemory => ("out-of-memory", self.out_of_memory),
            ProcessStep::CoreFile => ("core-file", self.core_file),
            ProcessStep::LogAlarm => ("log-alarm", self.log_alarm),
            // What may still be in force may be what keeps it away.
            ProcessStep::DidNotComeBack if history.faults.iter().any(may_last) => {
                ("did-not-come-back", self.did_not_come_back.map(|_| Severity::Evidence))
            }
            ProcessStep::DidNotComeBack => ("did-not-come-back", self.did_not_come_back),
        };
        counts.map(|severity| (kind, severity))
    }
}

fn failed_start(event: &ProcessEvent) -> bool {
    event.again && event.how.starts_with("exit ") && event.ran_ms.is_some_and(|ran| ran < STARTING_MS)
}

fn may_last(fault: &Fault) -> bool {
    fault.begun.is_some() && !fault.gone()
}

/// What tells records of one kind apart: of a loop of crashes only the first is told.
fn signature(event: &ProcessEvent) -> (&str, &str, String) {
    let mut template = String::new();
    for letter in event.how.chars() {
        match letter.is_ascii_digit() {
            true if template.ends_with('#') => {}
            true => template.push('#'),
            false => template.push(letter),
        }
    }
    let exact = matches!(event.step, ProcessStep::Ended);
    (&event.node, &event.process, if exact { event.how.clone() } else { template })
}

fn title(event: &ProcessEvent, times: u64) -> String {
    let who = match (&*event.process, &*event.node) {
        ("", node) => format!("a process on {node}"),
        (process, node) => format!("{process} on {node}"),
    };
    let how = if event.how.is_empty() { "nobody saw how" } else { &event.how };
    let first = match event.step {
        ProcessStep::Ended if failed_start(event) => format!("{who} was started again and ended ({how})"),
        ProcessStep::Ended => format!("{who} ended by itself ({how})"),
        ProcessStep::OutOfMemory => format!("{who} was killed for want of memory"),
        ProcessStep::CoreFile => format!("{who} left a core file: {how}"),
        ProcessStep::DidNotComeBack => format!("{who} did not come back: {how}"),
        _ => format!("{who} wrote an alarm: {how}"),
    };
    if times > 1 { format!("{first}, {times} times") } else { first }
}

/// When it happened and what was in force then; the faults that may have been.
fn circumstances(event: &ProcessEvent, history: &History) -> (Vec<String>, Vec<u64>) {
    let mut sentences = Vec::new();
    if let Some(ran) = event.ran_ms {
        sentences.push(format!("It had run for {}.", wording::seconds(ran.saturating_mul(1_000_000))));
    }
    let Some((from, to)) = event.between else {
        sentences.push("When in the run that was is not known.".to_owned());
        return (sentences, Vec::new());
    };
    sentences.push(match wording::seconds(from) == wording::seconds(to) {
        true => format!("It happened at {}.", wording::seconds(from)),
        false => format!("It happened between {} and {}.", wording::seconds(from), wording::seconds(to)),
    });
    let faults = history.faults_within(from, to);
    if faults.is_empty() {
        sentences.push("No fault was in force.".to_owned());
    }
    sentences.extend(faults.iter().map(|fault| format!("In force, or possibly so: {}.", wording::fault(fault))));
    (sentences, faults.iter().map(|fault| fault.id).collect())
}

impl Checker for Crashes {
    fn name(&self) -> &str {
        CRASHES
    }

    fn needs_realtime(&self) -> bool {
        false
    }

    /// That nobody died says nothing of what was promised to clients.
    fn measures_only(&self) -> bool {
        true
    }

    fn check(&self, history: &History, _budget: &Budget) -> Verdict {
        let mut groups: Vec<(&'static str, Severity, &ProcessEvent, u64)> = Vec::new();
        for event in &history.processes {
            let Some((kind, severity)) = self.kind(event, history) else { continue };
            let same = |(other, _, first, _): &&mut (&str, Severity, &ProcessEvent, u64)| {
                *other == kind && signature(first) == signature(event)
            };
            match groups.iter_mut().find(same) {
                Some((.., times)) => *times += event.times,
                None => groups.push((kind, severity, event, event.times)),
            }
        }
        let mut findings: Vec<Finding> = Vec::new();
        for (kind, severity, event, times) in &groups {
            if findings.iter().filter(|finding| finding.kind == *kind).count() >= FINDINGS_MAX {
                continue;
            }
            let mut finding = Finding::new(kind, *severity, title(event, *times));
            (finding.sentences, finding.faults) = circumstances(event, history);
            if !event.detail.is_empty() {
                finding.sentences.push("It said last:".to_owned());
                finding.sentences.extend(event.detail.iter().cloned());
            }
            finding.nodes = vec![event.node.to_string()];
            findings.push(finding);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let violations = groups.iter().filter(|(_, severity, ..)| *severity == Severity::Violation).count();
        let step = |step: ProcessStep| history.processes.iter().filter(move |event| event.step == step);
        let watched: BTreeSet<&str> = step(ProcessStep::Watched).map(|event| &*event.node).collect();
        let unwatched: Vec<&str> =
            history.nodes.iter().map(String::as_str).filter(|node| !watched.contains(node)).collect();
        let (validity, summary) = match (groups.as_slice(), violations, watched.len()) {
            (_, 0, 0) => (Validity::Unknown, "Nobody watched the target's processes.".to_owned()),
            (_, 0, _) if !unwatched.is_empty() => {
                (Validity::Unknown, format!("Nobody watched the target's processes on {}.", unwatched.join(", ")))
            }
            (_, 0, nodes) => {
                let logs = match step(ProcessStep::LogsRead).next() {
                    Some(_) => "no alarm is in its logs",
                    None => "its logs were not read",
                };
                let seen = match groups.len() {
                    0 => String::new(),
                    count => format!(" ({} beside)", wording::count(count, "piece of evidence")),
                };
                let text = format!(
                    "No process of the target ended by itself on {}, and {logs}{seen}.",
                    wording::count(nodes, "node")
                );
                (Validity::Valid, text)
            }
            (_, count, _) => {
                let first = groups.iter().find(|(_, severity, ..)| *severity == Severity::Violation);
                let first = first.map(|(_, _, event, times)| title(event, *times)).unwrap_or_default();
                let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
                (Validity::Invalid, format!("{first}{more}."))
            }
        };
        let mut verdict = Verdict::new(self.name(), validity, summary);
        let total =
            |wanted: &str| -> u64 { groups.iter().filter(|(kind, ..)| *kind == wanted).map(|(.., times)| times).sum() };
        for kind in ["crashed", "start-failed", "did-not-come-back", "log-alarm", "out-of-memory", "core-file"] {
            let times = total(kind);
            if times > 0 {
                verdict.numbers.insert(kind.replace('-', "_"), json!(times));
            }
        }
        verdict.numbers.insert("watched_nodes".to_owned(), json!(watched.len()));
        verdict.numbers.insert("restarted".to_owned(), json!(step(ProcessStep::Restarted).count()));
        verdict.findings = findings;
        verdict
    }
}

#[cfg(test)]
mod tests;
