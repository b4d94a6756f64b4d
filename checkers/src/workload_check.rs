//! What the checks of single workloads share: which calls belong to which object, how a broken rule becomes a finding,
//! and how findings become a verdict. It knows no rule itself and judges nothing.
#[cfg(test)]
mod corpora;
mod elements;
pub(crate) mod tape;

pub(crate) use elements::Elements;

use crate::certificate::{Certificate, Claim, Edge};
use crate::history::{History, NameId, Op, Outcome};
use crate::value::{Value, ValueRef};
use crate::verdict::{Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// So many findings of one kind are told; the rest is counted.
const FINDINGS_MAX: usize = 10;
/// So many operations of a finding are told in sentences.
const TOLD_MAX: usize = 8;
/// A certificate of more operations than this helps nobody: there is none.
pub(crate) const CERTIFIED_MAX: usize = 100;

/// The calls on one key of one workload, in the order of the calls.
pub(crate) struct Object<'h> {
    pub(crate) workload: NameId,
    pub(crate) key: ValueRef<'h>,
    positions: Vec<u32>,
}

impl<'h> Object<'h> {
    /// The positions of its operations.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Its operations in the order of their calls.
    pub(crate) fn ops(&self, history: &'h History) -> impl Iterator<Item = Op<'h>> + Clone {
        let ops = history.ops();
        self.positions.iter().map(move |&at| ops.at(at as usize))
    }
}

/// The objects of all workloads (or of one) that call any function of `needs`, with their calls of the functions in
/// `takes`; in the order of first calls.
pub(crate) fn objects<'h>(history: &'h History, needs: &[&str], takes: &[&str], only: Option<&str>) -> Vec<Object<'h>> {
    let ids = |names: &[&str]| -> Vec<NameId> { names.iter().filter_map(|name| history.find_name(name)).collect() };
    let (needs, takes) = (ids(needs), ids(takes));
    let mut workloads: Vec<NameId> = Vec::new();
    for op in history.ops().iter() {
        if !workloads.contains(&op.workload) && needs.contains(&op.function) {
            workloads.push(op.workload);
        }
    }
    workloads.retain(|id| only.is_none_or(|name| history.name(*id) == name));
    let mut objects: Vec<Object<'_>> = Vec::new();
    let mut places: HashMap<(NameId, ValueRef<'_>), usize> = HashMap::new();
    let mut last = 0;
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload) && takes.contains(&op.function)) {
        let same = objects.get(last).is_some_and(|object| object.workload == op.workload && object.key == op.key);
        if !same {
            last = *places.entry((op.workload, op.key)).or_insert(objects.len());
            if last == objects.len() {
                objects.push(Object { workload: op.workload, key: op.key, positions: Vec::new() });
            }
        }
        objects[last].positions.push(op.position);
    }
    objects
}

/// A rule that some operations break, or a piece of evidence of the same shape.
pub(crate) struct Breach<'h> {
    /// The finding's kind, and the certificate's rule.
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    pub(crate) title: String,
    /// Sentences in front of those about the operations.
    pub(crate) why: Vec<String>,
    /// The counterexample.
    pub(crate) ops: Vec<Op<'h>>,
    /// The key of the object.
    pub(crate) key: Value,
    /// What the certificate's rule is about.
    pub(crate) subject: Value,
    /// Whether the operations alone show it, so that a certificate can be given.
    pub(crate) certified: bool,
    /// How often the rule is broken there, this example included.
    pub(crate) count: u64,
    /// For a cycle of dependencies: its edges, which are then what is claimed.
    pub(crate) cycle: Vec<Edge>,
}

impl<'h> Breach<'h> {
    /// A violation, once, with a certificate.
    pub(crate) fn new(kind: &'static str, title: String, subject: Value, ops: Vec<Op<'h>>) -> Breach<'h> {
        Breach {
            kind,
            severity: Severity::Violation,
            title,
            why: Vec::new(),
            ops,
            key: Value::Nil,
            subject,
            certified: true,
            count: 1,
            cycle: Vec::new(),
        }
    }

    /// The same with a sentence of why.
    pub(crate) fn why(mut self, sentence: String) -> Breach<'h> {
        self.why.push(sentence);
        self
    }

    /// The same about the object of this key.
    pub(crate) fn on(mut self, key: ValueRef<'_>) -> Breach<'h> {
        self.key = key.to_value();
        self
    }

    /// The same, found so often there.
    pub(crate) fn times(mut self, count: usize) -> Breach<'h> {
        self.count = count as u64;
        self
    }

    /// The same as evidence, which decides nothing.
    pub(crate) fn evidence(mut self) -> Breach<'h> {
        self.severity = Severity::Evidence;
        self.certified = false;
        self
    }

    fn finding(mut self, history: &History) -> Finding {
        self.ops.sort_by_key(|op| op.call);
        self.ops.dedup_by_key(|op| op.call);
        let calls: Vec<u64> = self.ops.iter().map(|op| op.call).collect();
        let mut finding = Finding::new(self.kind, self.severity, self.title);
        finding.sentences = self.why;
        finding.sentences.extend(self.ops.iter().take(TOLD_MAX).map(|op| told(history, op)));
        if calls.len() > TOLD_MAX {
            finding.sentences.push(format!("And {} more operations.", calls.len() - TOLD_MAX));
        }
        finding.nodes = wording::nodes_of(history, &self.ops);
        finding.faults = wording::faults_around(history, &self.ops);
        finding.sentences.extend(wording::faults(history, &finding.faults));
        finding.key = self.key;
        if self.certified && calls.len() <= CERTIFIED_MAX {
            let claim = if self.cycle.is_empty() {
                Claim::Rule { rule: self.kind.to_owned(), subject: self.subject }
            } else {
                Claim::cycle(self.kind, self.cycle.clone())
            };
            finding.certificate = Some(Certificate::new(history, claim, &calls));
        }
        finding.ops = calls;
        finding.cycle = self.cycle;
        finding
    }
}

/// One sentence about an operation; of a long reply only how long it is.
pub(crate) fn told(history: &History, op: &Op<'_>) -> String {
    if !long(op.input) && !long(op.output) {
        return wording::operation(history, op);
    }
    let size = |value: ValueRef<'_>| match (value.as_list(), value.as_map()) {
        (Some(list), _) => wording::count(list.len(), "element"),
        (_, Some(map)) => wording::count(map.len(), "entry").replace("entrys", "entries"),
        _ => "a long text".to_owned(),
    };
    let shown = |value: ValueRef<'_>| if long(value) { size(value) } else { value.to_string() };
    let when = match op.outcome {
        Outcome::Info => "never acknowledged".to_owned(),
        Outcome::Ok => format!("answered at {}", wording::seconds(op.reply_time)),
        Outcome::Fail => format!("refused at {}", wording::seconds(op.reply_time)),
    };
    format!(
        "#{}: process {} on {} called {} {} -> {}; called at {}, {when}.",
        op.call,
        op.process,
        history.name(op.node),
        history.name(op.function),
        shown(op.input),
        shown(op.output),
        wording::seconds(op.call_time)
    )
}

fn long(value: ValueRef<'_>) -> bool {
    let items = value.as_list().map(|list| list.len()).or(value.as_map().map(|map| map.len())).unwrap_or(0);
    items > 16 || (items > 0 && value.to_string().len() > 160)
}

/// What a check found so far.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    told: BTreeMap<(&'static str, Severity), usize>,
    broken: BTreeMap<&'static str, u64>,
    unknown: Vec<String>,
    numbers: BTreeMap<String, serde_json::Value>,
    workloads: Vec<NameId>,
}

impl Report {
    /// One about these objects.
    pub(crate) fn about(objects: &[Object<'_>]) -> Report {
        let mut workloads: Vec<NameId> = objects.iter().map(|object| object.workload).collect();
        workloads.sort_unstable();
        workloads.dedup();
        Report { workloads, ..Report::default() }
    }

    /// Takes a broken rule in.
    pub(crate) fn breach(&mut self, history: &History, breach: Breach<'_>) {
        self.count(breach.kind, breach.severity, breach.count);
        let told = self.told.entry((breach.kind, breach.severity)).or_default();
        *told += 1;
        if *told <= FINDINGS_MAX {
            self.findings.push(breach.finding(history));
        }
    }

    /// Takes a rule in that is broken often: made only where it is told.
    pub(crate) fn breach_of<'h>(
        &mut self,
        history: &'h History,
        kind: &'static str,
        severity: Severity,
        make: impl FnOnce() -> Breach<'h>,
    ) {
        if self.told.get(&(kind, severity)).is_some_and(|&told| told >= FINDINGS_MAX) {
            self.count(kind, severity, 1);
        } else {
            let mut breach = make();
            (breach.severity, breach.certified) = (severity, breach.certified && severity == Severity::Violation);
            self.breach(history, breach);
        }
    }

    fn count(&mut self, kind: &'static str, severity: Severity, count: u64) {
        if severity == Severity::Violation {
            *self.broken.entry(kind).or_default() += count;
        }
    }

    /// How often rules of this kind are broken.
    pub(crate) fn broken(&self, kind: &str) -> u64 {
        self.broken.get(kind).copied().unwrap_or(0)
    }

    /// A reason why a history without violations is not valid either.
    pub(crate) fn unknown(&mut self, reason: String) {
        self.unknown.push(reason);
    }

    /// Calls whose values have another shape than the workload's: they say nothing, and so nothing is valid.
    pub(crate) fn malformed(&mut self, shape: &str, calls: &[u64]) {
        self.number("malformed", calls.len() as u64);
        if let Some(first) = calls.first() {
            let count = wording::count(calls.len(), "call");
            self.unknown(format!("{count} could not be understood, first #{first}: {shape}."));
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
    pub(crate) fn verdict(mut self, checker: &str, history: &History, sound: String) -> Verdict {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let (validity, summary) = if self.broken.is_empty() {
            match self.unknown.first() {
                None => (Validity::Valid, sound),
                Some(_) => (Validity::Unknown, self.unknown.join(" ")),
            }
        } else {
            let counts: Vec<String> = self.broken.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            let first = self.findings.first().map(|finding| finding.title.as_str()).unwrap_or_default();
            (Validity::Invalid, format!("Found {}: {first}.", counts.join(", ")))
        };
        let workload = if let [one] = self.workloads[..] { history.name(one).to_owned() } else { String::new() };
        Verdict {
            certificates: Vec::new(),
            checker: checker.to_owned(),
            workload,
            validity,
            summary,
            findings: self.findings,
            numbers: self.numbers,
        }
    }
}

/// A distribution of latencies in nanoseconds as milliseconds at these quantiles, sorted here; nothing where there is none.
pub(crate) fn quantiles_ms(mut latencies: Vec<u64>) -> serde_json::Value {
    latencies.sort_unstable();
    let Some(last) = latencies.len().checked_sub(1) else { return serde_json::Value::Null };
    let at = |percent: usize| json!(latencies[last * percent / 100] / 1_000_000);
    json!({"0": at(0), "0.5": at(50), "0.95": at(95), "0.99": at(99), "1": at(100)})
}
