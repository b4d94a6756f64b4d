//! What a checker answers: a [`Verdict`] of three ordered kinds, with [`Finding`]s that name their operations.
pub(crate) mod anomalies;
pub(crate) mod budget_poll;
pub(crate) mod certificate;
pub(crate) mod messages;
pub(crate) mod order;
pub(crate) mod report;
pub(crate) mod violation;
mod workloads;

pub(crate) use report::Report;
pub(crate) use violation::Violation;

use crate::history::{History, NameId};
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Edge};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The three answers, in order: the worst of several wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// The promise was kept, and enough was seen to say so.
    Valid,
    /// Not decided: too little evidence, or a budget ran out. Never a pass.
    Unknown,
    /// The promise was certainly broken.
    Invalid,
}

/// How a finding counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth showing; does not change the verdict.
    Evidence,
    /// Breaks the promise: the verdict is invalid.
    Violation,
}

/// One thing found, with the operations that show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The field's name of the anomaly, e.g. `nonlinearizable`, `lost-write`, `two-leaders-in-one-term`.
    pub kind: String,
    /// Whether it breaks the promise.
    pub severity: Severity,
    /// One sentence.
    pub title: String,
    /// The reason, sentence by sentence; operations are named `#<index of the call>`.
    pub sentences: Vec<String>,
    /// Indices ([`crate::Op::call`]) of the operations of the counterexample, in order, as few as possible.
    pub ops: Vec<u64>,
    /// The workload it concerns, where its verdict is about several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workload: String,
    /// The key it concerns, if one.
    #[serde(default, skip_serializing_if = "Value::is_nil")]
    pub key: Value,
    /// Nodes it concerns.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Ids ([`crate::Fault::id`]) of the faults that were active while it happened.
    #[serde(default)]
    pub faults: Vec<u64>,
    /// For anomalies of transactions: the cycle, edge by edge, for a picture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cycle: Vec<Edge>,
    /// The same in a form that a machine can check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

impl Finding {
    /// A violation or a piece of evidence of this kind, with one sentence; everything else is still empty.
    pub fn new(kind: &str, severity: Severity, title: String) -> Finding {
        // Whatever a test of this crate makes a checker say is in the list.
        #[cfg(test)]
        assert!(crate::anomaly(kind).is_some(), "{kind} is not in ANOMALIES");
        Finding {
            kind: kind.to_owned(),
            severity,
            title,
            sentences: Vec::new(),
            ops: Vec::new(),
            workload: String::new(),
            key: Value::Nil,
            nodes: Vec::new(),
            faults: Vec::new(),
            cycle: Vec::new(),
            certificate: None,
        }
    }

    /// The same with one more sentence.
    pub(crate) fn because(mut self, sentence: String) -> Finding {
        self.sentences.push(sentence);
        self
    }
}

/// The answer of one checker over one history. Only this module makes one: from findings by `Report`, or without any by
/// [`Verdict::unknown`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The checker's name, as in a plan.
    pub checker: String,
    /// The workload it judged, or those, by `, ` apart; empty where it judges the run as a whole.
    #[serde(default)]
    pub workload: String,
    /// The answer.
    pub validity: Validity,
    /// One sentence for people: what was checked and what came out; for Unknown, what ran out or was missing.
    pub summary: String,
    /// What was found, the headline first: violations before evidence, the strongest and the one complete first before others.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Numbers that the checker wants shown, by name with the unit last (`checked_ops`, `recovery_ms_max`).
    #[serde(default)]
    pub numbers: BTreeMap<String, serde_json::Value>,
    /// Of a valid answer, when they were asked for: why it is valid, in a form that a machine can check, e.g. an order
    /// for each key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
}

/// The number, a flag, of a verdict on what was not asked for.
const NOT_ASKED: &str = "not_asked";

impl Verdict {
    /// An answer that decides nothing, and why; everything else is still empty.
    pub fn unknown(checker: &str, why: String) -> Verdict {
        Verdict::new(checker, Validity::Unknown, why)
    }

    fn new(checker: &str, validity: Validity, summary: String) -> Verdict {
        Verdict {
            checker: checker.to_owned(),
            workload: String::new(),
            validity,
            summary,
            findings: Vec::new(),
            numbers: BTreeMap::new(),
            certificates: Vec::new(),
        }
    }

    /// The same, about this workload.
    pub(crate) fn on(mut self, workload: &str) -> Verdict {
        workload.clone_into(&mut self.workload);
        self
    }

    /// The same, as the answer of this checker, which asked another.
    pub(crate) fn by(mut self, checker: &str) -> Verdict {
        checker.clone_into(&mut self.checker);
        self
    }

    /// The same, but undecided for this reason. The findings stay.
    pub(crate) fn doubted(mut self, why: String) -> Verdict {
        self.certificates.clear();
        (self.validity, self.summary) = (Validity::Unknown, why);
        self
    }

    /// The same, but what something else explains, in this sentence, is no violation: it stays as evidence. Where no violation is
    /// left, the promise is undecided.
    pub(crate) fn without_explained(mut self, explains: impl Fn(&Finding) -> Option<String>) -> Verdict {
        let headline = self.findings.first().map(|finding| finding.title.clone()).unwrap_or_default();
        let mut why = None;
        for finding in self.findings.iter_mut().filter(|finding| finding.severity == Severity::Violation) {
            if let Some(sentence) = explains(finding) {
                (finding.severity, finding.certificate) = (Severity::Evidence, None);
                why.get_or_insert(sentence);
            }
        }
        let Some(why) = why else { return self };
        order::in_order(&mut self.findings);
        let headline = headline.trim_end_matches('.');
        match self.findings.first().filter(|finding| finding.severity == Severity::Violation) {
            Some(first) => {
                self.summary = self.summary.replace(headline, first.title.trim_end_matches('.'));
                self
            }
            None => self.doubted(format!("{headline}. {why}")),
        }
    }

    /// The same with some of its findings in other words, and their headline in the summary of `said`.
    pub(crate) fn reworded(mut self, said: &Verdict, words: impl Fn(&Finding) -> Option<Finding>) -> Verdict {
        for finding in &mut self.findings {
            if let Some(other) = words(finding) {
                *finding = other;
                self.summary.clone_from(&said.summary);
            }
        }
        self
    }

    /// Whether the promise was not asked for, as what it is about does not apply to the run: unknown by itself, and no reason
    /// why a run is not valid. The summary says why.
    pub fn not_asked(&self) -> bool {
        self.numbers.get(NOT_ASKED).and_then(serde_json::Value::as_bool) == Some(true)
    }

    /// The same, as one that was not asked for.
    pub(crate) fn not_asked_at_all(mut self) -> Verdict {
        self.numbers.insert(NOT_ASKED.to_owned(), true.into());
        self
    }

    /// What was found and breaks nothing, by kind in order of the findings: the first of each kind, and how many there are.
    pub fn evidence(&self) -> Vec<(&Finding, usize)> {
        let mut kinds: Vec<(&Finding, usize)> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.severity == Severity::Evidence) {
            match kinds.iter_mut().find(|(first, _)| first.kind == finding.kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((finding, 1)),
            }
        }
        kinds
    }

    /// ` Evidence: 2 replicas-differ, 1 vanished-element.`, with a space in front: kinds that the summary does not name
    /// already. Empty where there is nothing.
    fn evidence_sentence(&self) -> String {
        let summary = self.summary.to_lowercase();
        let mut kinds = self.evidence();
        kinds.retain(|(first, _)| {
            let spoken = first.kind.replace('-', " ").to_lowercase();
            !summary.contains(&spoken) && !summary.contains(&first.kind.to_lowercase())
        });
        let kinds: Vec<String> = kinds.iter().map(|(first, count)| format!("{count} {}", first.kind)).collect();
        if kinds.is_empty() { String::new() } else { format!(" Evidence: {}.", kinds.join(", ")) }
    }

    /// The same; a valid answer names its evidence.
    pub(crate) fn with_evidence(mut self) -> Verdict {
        if self.validity == Validity::Valid {
            self.summary += &self.evidence_sentence();
        }
        self
    }
}

/// Findings of one kind and severity that a verdict shows of a workload; all are counted.
pub(crate) const FINDINGS_MAX: usize = 10;

/// Operations of a finding that its sentences describe; all are in its list.
pub(crate) const OPERATIONS_MAX: usize = 12;

/// What a check may use. Handed in, because checkers own no clock.
#[derive(Clone)]
pub struct Budget {
    /// True once the time is up. Asked often; must be cheap.
    pub expired: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How many bytes the check may hold beyond the history itself.
    pub memory_bytes: u64,
    /// Called now and then with the progress of a long check.
    pub progress: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

/// How far a check came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress<'a> {
    /// The checker.
    pub checker: &'a str,
    /// What it does, e.g. `key 7`.
    pub what: &'a str,
    /// Done of `of`, in operations, transactions or keys.
    pub done: u64,
    /// All there is to do; 0 where that is not known.
    pub of: u64,
}

impl Budget {
    /// No limit of time, one gibibyte.
    pub fn unlimited() -> Budget {
        Budget { expired: Arc::new(|| false), memory_bytes: 1 << 30, progress: Arc::new(|_| {}) }
    }
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}

/// Judges one promise.
pub trait Checker: Send + Sync {
    /// Its name in plans, e.g. `linearizable`.
    fn name(&self) -> &str;

    /// Whether the promise rests on what happened before what in different processes. Where it does, a history that knows
    /// only the order of each session's own operations ([`History::realtime`]) cannot be judged.
    fn needs_realtime(&self) -> bool {
        true
    }

    /// Whether it measures and promises nothing: what is valid by it alone says that numbers were taken, no more.
    fn measures_only(&self) -> bool {
        false
    }

    /// The workloads that it judges, each by itself. Empty: it judges the run as a whole, or finds no workload of its kind.
    fn workloads(&self, _history: &History) -> Vec<NameId> {
        Vec::new()
    }

    /// Judges the run as a whole, or the one workload of its kind in this history. Never panics on a validated history;
    /// gives up with [`Validity::Unknown`].
    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict;

    /// Judges the history, each of several workloads by itself ([`Checker::workloads`]): the verdict names them in its summary,
    /// in its findings and in its numbers, and the worst answer counts.
    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        workloads::each(self, history, budget)
    }
}

/// What a checker that asks another one, its field `checker`, says of itself in the other's place.
macro_rules! as_inner_checker {
    () => {
        fn name(&self) -> &str {
            self.checker.name()
        }

        fn needs_realtime(&self) -> bool {
            self.checker.needs_realtime()
        }

        fn measures_only(&self) -> bool {
            self.checker.measures_only()
        }
    };
}
pub(crate) use as_inner_checker;
