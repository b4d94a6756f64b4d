//! How broken rules become findings, and findings a verdict. Knows no rule itself and judges nothing.
use crate::functions::describe_with;
use crate::history::{History, NameId, Op};
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::certificate::{Certificate, Claim, Edge};
use crate::verdict::messages;
use crate::verdict::{FINDINGS_MAX, Finding, Severity, Validity, Verdict};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// So many operations of a finding are told in sentences.
const TOLD_MAX: usize = 8;

/// A rule that some operations break, or a piece of evidence of the same shape.
#[derive(Debug)]
pub(crate) struct Violation<'h> {
    /// The finding's kind, and the certificate's rule.
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    /// One sentence, without its full stop.
    pub(crate) title: String,
    /// Sentences in front of those about the operations.
    pub(crate) why: Vec<String>,
    /// The counterexample; each is told in a sentence of its own.
    pub(crate) ops: Vec<Op<'h>>,
    /// What is shown beside it, and is no part of the certificate: without it the rule is broken as well.
    pub(crate) aside: Vec<Op<'h>>,
    /// Sentences after the operations.
    pub(crate) reasons: Vec<String>,
    /// The key it concerns.
    pub(crate) key: Value,
    /// What the certificate's rule is about.
    pub(crate) subject: Value,
    /// Whether the operations alone show it, so that a certificate can be given.
    pub(crate) certified: bool,
    /// How often the rule is broken there, this example included.
    pub(crate) count: u64,
    /// A cycle of dependencies, where there is one.
    pub(crate) cycle: Vec<Edge>,
    /// The anomaly that the cycle is, where it is what the certificate claims instead of the rule.
    pub(crate) anomaly: Option<&'static str>,
    /// Nodes, where operations do not name them.
    pub(crate) nodes: Vec<String>,
}

/// A violation, once, with a certificate; everything else is still empty.
impl Default for Violation<'_> {
    fn default() -> Self {
        Violation {
            kind: "",
            severity: Severity::Violation,
            title: String::new(),
            why: Vec::new(),
            ops: Vec::new(),
            aside: Vec::new(),
            reasons: Vec::new(),
            key: Value::Nil,
            subject: Value::Nil,
            certified: true,
            count: 1,
            cycle: Vec::new(),
            anomaly: None,
            nodes: Vec::new(),
        }
    }
}

impl<'h> Violation<'h> {
    /// A violation, once, with a certificate.
    pub(crate) fn new(kind: &'static str, title: String, subject: Value, ops: Vec<Op<'h>>) -> Violation<'h> {
        Violation { kind, title, subject, ops, ..Violation::default() }
    }

    /// The same with a sentence of why.
    pub(crate) fn why(mut self, sentence: String) -> Violation<'h> {
        self.why.push(sentence);
        self
    }

    /// The same about the object of this key.
    pub(crate) fn on(mut self, key: ValueRef<'_>) -> Violation<'h> {
        self.key = key.to_value();
        self
    }

    /// The same, found so often there.
    pub(crate) fn times(mut self, count: usize) -> Violation<'h> {
        self.count = count as u64;
        self
    }

    /// The same as evidence, which decides nothing.
    pub(crate) fn evidence(mut self) -> Violation<'h> {
        self.severity = Severity::Evidence;
        self
    }

    fn finding(mut self, history: &History) -> Finding {
        self.ops.sort_by_key(|op| op.call);
        self.ops.dedup_by_key(|op| op.call);
        let certified: Vec<u64> = self.ops.iter().map(|op| op.call).collect();
        self.ops.append(&mut self.aside);
        self.ops.sort_by_key(|op| op.call);
        self.ops.dedup_by_key(|op| op.call);
        let calls: Vec<u64> = self.ops.iter().map(|op| op.call).collect();
        let mut finding = Finding::new(self.kind, self.severity, self.title);
        finding.sentences = self.why;
        finding.sentences.extend(self.ops.iter().take(TOLD_MAX).map(|op| told(history, op)));
        if calls.len() > TOLD_MAX {
            finding.sentences.push(format!("And {} more operations.", calls.len() - TOLD_MAX));
        }
        finding.sentences.extend(self.reasons);
        finding.nodes = self.nodes;
        if !calls.is_empty() {
            finding.around(history, &self.ops);
        }
        finding.key = self.key;
        if self.certified && self.severity == Severity::Violation && !calls.is_empty() {
            let claim = match self.anomaly {
                Some(anomaly) => Claim::cycle(anomaly, self.cycle.clone()),
                None => Claim::Rule { rule: self.kind.to_owned(), subject: self.subject },
            };
            finding.certificate = Some(Certificate::new(history, claim, &certified));
        }
        finding.ops = calls;
        finding.cycle = self.cycle;
        finding
    }
}

/// One sentence about an operation; of a long reply only how long it is.
fn told(history: &History, op: &Op<'_>) -> String {
    if !long(op.input) && !long(op.completion_value) {
        return messages::operation(history, op);
    }
    let size = |value: ValueRef<'_>| match (value.as_list(), value.as_map()) {
        (Some(list), _) => messages::count(list.len(), "element"),
        (_, Some(map)) => messages::count(map.len(), "entry").replace("entrys", "entries"),
        _ => "a long text".to_owned(),
    };
    let shown = |value: ValueRef<'_>| if long(value) { size(value) } else { value.to_string() };
    messages::operation_as(history, op, &describe_with(history, op, &shown))
}

fn long(value: ValueRef<'_>) -> bool {
    let items = value.as_list().map(|list| list.len()).or(value.as_map().map(|map| map.len())).unwrap_or(0);
    items > 16 || (items > 0 && value.to_string().len() > 160)
}

/// Sorts findings: violations before evidence, then by the index of their last operation, so that of two counterexamples
/// the one that was complete first comes first.
pub(super) fn in_order(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (Reverse(finding.severity), finding.ops.last().copied()));
}

/// How often something was found, and how many examples were told.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    told: usize,
}

/// What a check found so far: all of it counted, a few of each kind told.
#[derive(Debug)]
pub(crate) struct Report<'h> {
    history: &'h History,
    workloads: Vec<NameId>,
    findings: Vec<Finding>,
    tallies: BTreeMap<(Severity, &'static str), Tally>,
    unknown: Vec<String>,
    /// Places among these reasons of such as hold only if everything was looked at.
    unseen: Vec<usize>,
    /// Whether something was set aside.
    aside: bool,
    numbers: BTreeMap<String, serde_json::Value>,
    /// The history has no call that this checker looks at.
    nothing: bool,
}

impl<'h> Report<'h> {
    /// One that found nothing yet.
    pub(crate) fn new(history: &'h History) -> Report<'h> {
        Report {
            history,
            workloads: Vec::new(),
            findings: Vec::new(),
            tallies: BTreeMap::new(),
            unknown: Vec::new(),
            unseen: Vec::new(),
            aside: false,
            numbers: BTreeMap::new(),
            nothing: false,
        }
    }

    /// One about objects of these workloads.
    pub(crate) fn about(history: &'h History, objects: impl Iterator<Item = NameId>) -> Report<'h> {
        let mut workloads: Vec<NameId> = objects.collect();
        workloads.sort_unstable();
        workloads.dedup();
        Report { nothing: workloads.is_empty(), workloads, ..Report::new(history) }
    }

    /// Takes a broken rule in.
    pub(crate) fn record(&mut self, violation: Violation<'_>) {
        let tally = self.tallies.entry((violation.severity, violation.kind)).or_default();
        tally.count += violation.count;
        if tally.told < FINDINGS_MAX {
            tally.told += 1;
            self.findings.push(violation.finding(self.history));
        }
    }

    /// Takes a rule in that is broken often: made only where it is told.
    pub(crate) fn violation_of(
        &mut self,
        kind: &'static str,
        severity: Severity,
        make: impl FnOnce() -> Violation<'h>,
    ) {
        match self.tallies.get_mut(&(severity, kind)) {
            Some(tally) if tally.told >= FINDINGS_MAX => tally.count += 1,
            _ => self.record(Violation { kind, severity, ..make() }),
        }
    }

    /// A rule is certainly broken. Only the first of a kind are told.
    pub(crate) fn violation(&mut self, kind: &'static str, make: impl FnOnce() -> Violation<'h>) {
        self.violation_of(kind, Severity::Violation, make);
    }

    /// Something worth showing that breaks no rule.
    pub(crate) fn evidence(&mut self, kind: &'static str, make: impl FnOnce() -> Violation<'h>) {
        self.violation_of(kind, Severity::Evidence, make);
    }

    /// How often rules of this kind are broken.
    pub(crate) fn broken(&self, kind: &'static str) -> u64 {
        self.tallies.get(&(Severity::Violation, kind)).map_or(0, |tally| tally.count)
    }

    /// How often something of this kind was found, as a violation or as evidence.
    pub(crate) fn count(&self, kind: &'static str) -> usize {
        let evidence = self.tallies.get(&(Severity::Evidence, kind)).map_or(0, |tally| tally.count);
        (self.broken(kind) + evidence) as usize
    }

    /// A reason why a history without violations is not valid either.
    pub(crate) fn unknown(&mut self, reason: String) {
        self.unknown.push(reason);
    }

    /// The same: something was not seen. Not told where something was set aside, which may have shown it.
    pub(crate) fn unseen(&mut self, reason: &str) {
        self.unseen.push(self.unknown.len());
        self.unknown(reason.to_owned());
    }

    /// A reason why an object was not judged at all.
    pub(crate) fn aside(&mut self, reason: String) {
        self.aside = true;
        self.unknown(reason);
    }

    /// Calls whose values have another shape than the workload's: they say nothing, and so nothing is valid.
    pub(crate) fn malformed(&mut self, shape: &str, calls: &[u64]) {
        self.number("malformed", calls.len() as u64);
        if let Some(first) = calls.first() {
            let count = messages::count(calls.len(), "call");
            self.aside(format!("{count} could not be understood, first #{first}: {shape}."));
        }
    }

    /// That the time was up after a part of all these operations (or whatever is counted), if it was.
    pub(crate) fn late(&mut self, poll: &BudgetPoll<'_>, all: usize, what: &str) {
        if let Some(reason) = poll.reason(all, what) {
            // Whatever else is missing may only not have been come to.
            self.unknown = vec![reason];
            self.unseen.clear();
        }
    }

    /// A number to be shown.
    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.numbers.insert(name.to_owned(), json!(number));
    }

    /// A number of any shape to be shown.
    pub(crate) fn figure(&mut self, name: &str, figure: serde_json::Value) {
        self.numbers.insert(name.to_owned(), figure);
    }

    /// The answer; `sound` is the summary of a valid one.
    pub(crate) fn verdict(mut self, checker: &str, sound: String) -> Verdict {
        in_order(&mut self.findings);
        let violations = self.tallies.iter().filter(|((severity, _), _)| *severity == Severity::Violation);
        let counts: Vec<String> = violations.map(|((_, kind), tally)| format!("{} {kind}", tally.count)).collect();
        // Of calls that were not looked at nothing else is said.
        if self.nothing && !self.history.ops().is_empty() {
            let mut functions: Vec<&str> = Vec::new();
            for name in self.history.ops().iter().map(|op| self.history.name(op.function)) {
                if !functions.contains(&name) {
                    functions.push(name);
                }
            }
            let functions = functions.join(", ");
            self.unknown =
                vec![format!("No workload here is one that {checker} judges: the functions called are {functions}.")];
        }
        if self.aside {
            let unseen = std::mem::take(&mut self.unseen);
            let mut place = 0..;
            self.unknown.retain(|_| place.next().is_none_or(|place| !unseen.contains(&place)));
        }
        let (validity, summary) = if !counts.is_empty() {
            let first = self.findings.first().map(|finding| finding.title.as_str()).unwrap_or_default();
            (Validity::Invalid, format!("Found {}: {first}.", counts.join(", ")))
        } else if self.unknown.is_empty() {
            (Validity::Valid, sound)
        } else {
            (Validity::Unknown, self.unknown.join(" "))
        };
        let workload = if let [one] = self.workloads[..] { self.history.name(one) } else { "" };
        Verdict {
            certificates: Vec::new(),
            checker: checker.to_owned(),
            workload: workload.to_owned(),
            validity,
            summary,
            findings: self.findings,
            numbers: self.numbers,
        }
    }

    /// The answer about these workloads: as given where no rule is broken and the time sufficed. Every kind that
    /// occurred is counted in the numbers.
    pub(crate) fn answer(
        mut self,
        checker: &str,
        workloads: &[NameId],
        otherwise: (Validity, String),
        numbers: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
    ) -> Verdict {
        self.workloads = workloads.to_vec();
        self.numbers.extend(numbers.into_iter().map(|(name, number)| (name.to_owned(), number)));
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for ((_, kind), tally) in &self.tallies {
            *counts.entry(kind.replace('-', "_")).or_default() += tally.count;
        }
        self.numbers.extend(counts.into_iter().map(|(name, count)| (name, json!(count))));
        self.findings.sort_by(|one, other| one.kind.cmp(&other.kind));
        let (validity, summary) = otherwise;
        if validity != Validity::Valid && self.unknown.is_empty() {
            self.unknown.push(summary.clone());
        }
        self.verdict(checker, summary)
    }
}
