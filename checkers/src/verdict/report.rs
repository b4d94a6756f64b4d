//! [`Report`]: the one builder from findings to a verdict. Every checker reports what it found, what leaves it in doubt and its
//! numbers; the report counts, keeps examples, orders them and concludes. It knows no rule itself and judges nothing.
use crate::history::History;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::certificate::Certificate;
use crate::verdict::messages;
use crate::verdict::order::in_order;
use crate::verdict::violation::Violation;
use crate::verdict::{FINDINGS_MAX, Finding, Severity, Validity, Verdict};
use std::collections::BTreeMap;

/// How often something was found, and how many examples of it are kept.
#[derive(Debug)]
struct Tally {
    severity: Severity,
    kind: String,
    count: u64,
    examples: usize,
}

/// What a check found so far: all of it counted, the first of each kind kept as examples. The one way to a [`Verdict`].
#[derive(Debug)]
pub(crate) struct Report<'h> {
    history: &'h History,
    findings: Vec<Finding>,
    /// One for each kind and severity.
    tallies: Vec<Tally>,
    unknown: Vec<String>,
    /// Positions among these reasons of those that hold only if everything was looked at.
    unseen: Vec<usize>,
    /// Whether something was set aside.
    aside: bool,
    numbers: BTreeMap<String, serde_json::Value>,
    certificates: Vec<Certificate>,
    /// The history has no call that this checker looks at.
    nothing: bool,
}

impl<'h> Report<'h> {
    /// One that found nothing yet.
    pub(crate) fn new(history: &'h History) -> Report<'h> {
        Report {
            history,
            findings: Vec::new(),
            tallies: Vec::new(),
            unknown: Vec::new(),
            unseen: Vec::new(),
            aside: false,
            numbers: BTreeMap::new(),
            certificates: Vec::new(),
            nothing: false,
        }
    }

    /// One about these objects: without any, the history has no call that the checker looks at.
    pub(crate) fn about<T>(history: &'h History, objects: &[T]) -> Report<'h> {
        Report { nothing: objects.is_empty(), ..Report::new(history) }
    }

    /// Records a violation or a piece of evidence.
    pub(crate) fn record(&mut self, violation: Violation<'_>) {
        let history = self.history;
        let (kind, severity, count) = (violation.kind, violation.severity, violation.count);
        self.examples_of(kind, severity, count, || violation.finding(history));
    }

    /// Records a frequent violation or piece of evidence; `make` runs only while examples of its kind are still kept.
    pub(crate) fn violation_of(
        &mut self,
        kind: &'static str,
        severity: Severity,
        make: impl FnOnce() -> Violation<'h>,
    ) {
        if self.full(kind, severity) {
            self.tally(kind, severity, 1);
        } else {
            self.record(Violation { kind, severity, ..make() });
        }
    }

    /// Records a frequent violation.
    pub(crate) fn violation(&mut self, kind: &'static str, make: impl FnOnce() -> Violation<'h>) {
        self.violation_of(kind, Severity::Violation, make);
    }

    /// Records frequent evidence, which breaks no promise.
    pub(crate) fn evidence(&mut self, kind: &'static str, make: impl FnOnce() -> Violation<'h>) {
        self.violation_of(kind, Severity::Evidence, make);
    }

    /// Records a finding that has its own explanation.
    pub(crate) fn finding(&mut self, finding: Finding) {
        self.tally(&finding.kind, finding.severity, 1);
        self.example(finding);
    }

    /// The same, found `count` times; `make` runs only while examples of its kind are still kept.
    pub(crate) fn examples_of(&mut self, kind: &str, severity: Severity, count: u64, make: impl FnOnce() -> Finding) {
        // A record that counts nothing was found all the same.
        self.tally(kind, severity, count.max(1));
        if !self.full(kind, severity) {
            self.example(make());
        }
    }

    /// Keeps an example of a kind whose number is told by [`Report::tally`].
    pub(crate) fn example(&mut self, finding: Finding) {
        let tally = self.tally_of(&finding.kind, finding.severity);
        if tally.examples < FINDINGS_MAX {
            tally.examples += 1;
            self.findings.push(finding);
        }
    }

    /// Counts what was found of a kind, apart from its examples.
    pub(crate) fn tally(&mut self, kind: &str, severity: Severity, count: u64) {
        self.tally_of(kind, severity).count += count;
    }

    fn tally_of(&mut self, kind: &str, severity: Severity) -> &mut Tally {
        let at =
            self.tallies.iter().position(|one| one.severity == severity && one.kind == kind).unwrap_or_else(|| {
                self.tallies.push(Tally { severity, kind: kind.to_owned(), count: 0, examples: 0 });
                self.tallies.len() - 1
            });
        &mut self.tallies[at]
    }

    fn tally_known(&self, kind: &str, severity: Severity) -> Option<&Tally> {
        self.tallies.iter().find(|one| one.severity == severity && one.kind == kind)
    }

    /// Whether as many examples of the kind are kept as are shown.
    fn full(&self, kind: &str, severity: Severity) -> bool {
        self.tally_known(kind, severity).is_some_and(|tally| tally.examples >= FINDINGS_MAX)
    }

    /// How often the promise is broken.
    pub(crate) fn violations(&self) -> u64 {
        self.tallies.iter().filter(|tally| tally.severity == Severity::Violation).map(|tally| tally.count).sum()
    }

    /// How often the promise is broken by this kind.
    pub(crate) fn broken(&self, kind: &str) -> u64 {
        self.tally_known(kind, Severity::Violation).map_or(0, |tally| tally.count)
    }

    /// How often something of this kind was found, as a violation or as evidence.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let evidence = self.tally_known(kind, Severity::Evidence).map_or(0, |tally| tally.count);
        (self.broken(kind) + evidence) as usize
    }

    /// A reason why a history without violations is not valid either.
    pub(crate) fn unknown(&mut self, reason: String) {
        self.unknown.push(reason);
    }

    /// The same: something was not seen. Left out where something was set aside, which may have shown it.
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
            // What else is missing may come later in the history.
            self.unknown = vec![reason];
            self.unseen.clear();
        }
    }

    /// A number to be shown, of any shape.
    pub(crate) fn number(&mut self, name: &str, number: impl Into<serde_json::Value>) {
        self.numbers.insert(name.to_owned(), number.into());
    }

    /// Numbers to be shown.
    pub(crate) fn numbers<N: Into<serde_json::Value>>(
        &mut self,
        numbers: impl IntoIterator<Item = (impl Into<String>, N)>,
    ) {
        self.numbers.extend(numbers.into_iter().map(|(name, number)| (name.into(), number.into())));
    }

    /// What certifies a valid answer.
    pub(crate) fn certify(&mut self, certificates: Vec<Certificate>) {
        self.certificates = certificates;
    }

    /// What was found breaks the promise only on an assumption that may not hold: all of it is evidence, and this is why.
    pub(crate) fn doubt(&mut self, reason: String) {
        for finding in &mut self.findings {
            finding.severity = Severity::Evidence;
            finding.certificate = None;
        }
        for tally in std::mem::take(&mut self.tallies) {
            let evidence = self.tally_of(&tally.kind, Severity::Evidence);
            evidence.count += tally.count;
            evidence.examples += tally.examples;
        }
        self.unknown(reason);
    }

    /// The answer; `sound` is the summary of a valid one. An invalid one counts what was found by kind and ends with the
    /// headline.
    pub(crate) fn verdict(self, checker: &str, sound: String) -> Verdict {
        let mut violations: Vec<&Tally> =
            self.tallies.iter().filter(|tally| tally.severity == Severity::Violation && tally.count > 0).collect();
        violations.sort_by(|one, other| one.kind.cmp(&other.kind));
        let counts: Vec<String> = violations.iter().map(|tally| format!("{} {}", tally.count, tally.kind)).collect();
        self.conclude(checker, (Validity::Valid, sound), |headline| format!("Found {}. {headline}.", counts.join(", ")))
    }

    /// The same with every kind that occurred counted in the numbers. Where the promise is not broken and the time
    /// sufficed, the answer is `otherwise`.
    pub(crate) fn answer(
        mut self,
        checker: &str,
        otherwise: (Validity, String),
        numbers: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
    ) -> Verdict {
        self.numbers(numbers);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for tally in &self.tallies {
            *counts.entry(tally.kind.replace('-', "_")).or_default() += tally.count;
        }
        self.numbers(counts);
        let (validity, summary) = otherwise;
        if validity != Validity::Valid && self.unknown.is_empty() {
            self.unknown.push(summary.clone());
        }
        self.verdict(checker, summary)
    }

    /// The one place where findings become a verdict. Any violation makes it invalid, with the summary that `broken` makes of
    /// the headline (the title of the first finding, without its full stop). Else any reason for doubt makes it unknown. Else it is
    /// `otherwise`.
    pub(crate) fn conclude(
        mut self,
        checker: &str,
        otherwise: (Validity, String),
        broken: impl FnOnce(&str) -> String,
    ) -> Verdict {
        in_order(&mut self.findings);
        if self.nothing && !self.history.ops().is_empty() {
            self.unknown = vec![self.no_call(checker)];
        }
        if self.aside {
            let unseen = std::mem::take(&mut self.unseen);
            let mut position = 0..;
            self.unknown.retain(|_| position.next().is_none_or(|position| !unseen.contains(&position)));
        }
        let (validity, summary) = if self.violations() > 0 {
            let headline = self.findings.first().map(|finding| finding.title.as_str()).unwrap_or_default();
            (Validity::Invalid, broken(headline.strip_suffix('.').unwrap_or(headline)))
        } else if self.unknown.is_empty() {
            otherwise
        } else {
            (Validity::Unknown, self.unknown.join(" "))
        };
        let certificates = if validity == Validity::Valid { self.certificates } else { Vec::new() };
        Verdict {
            checker: checker.to_owned(),
            workload: String::new(),
            validity,
            summary,
            findings: self.findings,
            numbers: self.numbers,
            certificates,
        }
    }

    /// That no call is one that the checker judges, and which functions there are instead.
    fn no_call(&self, checker: &str) -> String {
        let mut functions: Vec<&str> = Vec::new();
        for name in self.history.ops().iter().map(|op| self.history.name(op.function)) {
            if !functions.contains(&name) {
                functions.push(name);
            }
        }
        format!("No workload here is one that {checker} judges: the functions called are {}.", functions.join(", "))
    }
}
