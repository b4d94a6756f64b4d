//! [`Violation`]: a broken rule with the operations that show it, and how it becomes a finding with a certificate. Every finding
//! of a checker is made here (`tests/tidy.rs` holds it).
use crate::functions::describe_with;
use crate::history::{History, Op};
use crate::value::{Value, ValueRef};
use crate::verdict::certificate::{Certificate, Claim, Edge};
use crate::verdict::messages;
use crate::verdict::{Finding, OPERATIONS_MAX, Severity};

/// A rule that some operations break, or evidence of the same shape.
#[derive(Debug)]
pub(crate) struct Violation<'h> {
    /// The finding's kind, and the certificate's rule.
    pub(crate) kind: &'static str,
    pub(crate) severity: Severity,
    /// What happened, as one sentence without its capital and its full stop. The finding's title begins with the kind
    /// ([`messages::title`]).
    pub(crate) title: String,
    /// Whether the title is to name the key in front of the sentence.
    pub(crate) key_in_title: bool,
    /// Sentences in front of those about the operations.
    pub(crate) why: Vec<String>,
    /// The counterexample.
    pub(crate) ops: Vec<Op<'h>>,
    /// Whether a sentence describes each operation. False where `why` describes them.
    pub(crate) describes_ops: bool,
    /// Operations shown beside it that are no part of the certificate: the rule is broken without them, too.
    pub(crate) aside: Vec<Op<'h>>,
    /// Sentences after the operations.
    pub(crate) reasons: Vec<String>,
    /// The key it concerns.
    pub(crate) key: Value,
    /// What the certificate's rule is about.
    pub(crate) subject: Value,
    /// Whether the operations alone show it, so that a certificate can be given.
    pub(crate) certified: bool,
    /// The certificate, where it is not that of the rule or anomaly for the operations.
    pub(crate) certificate: Option<Certificate>,
    /// How often the rule is broken there, this example included.
    pub(crate) count: u64,
    /// A cycle of dependencies, where there is one.
    pub(crate) cycle: Vec<Edge>,
    /// The anomaly that the cycle is, where it is what the certificate claims instead of the rule.
    pub(crate) anomaly: Option<&'static str>,
    /// Nodes and ids of faults, where they are not those of the operations.
    pub(crate) circumstances: Option<(Vec<String>, Vec<u64>)>,
}

/// A violation, once, with a certificate; everything else is still empty.
impl Default for Violation<'_> {
    fn default() -> Self {
        Violation {
            kind: "",
            severity: Severity::Violation,
            title: String::new(),
            key_in_title: false,
            why: Vec::new(),
            ops: Vec::new(),
            describes_ops: true,
            aside: Vec::new(),
            reasons: Vec::new(),
            key: Value::Nil,
            subject: Value::Nil,
            certified: true,
            certificate: None,
            count: 1,
            cycle: Vec::new(),
            anomaly: None,
            circumstances: None,
        }
    }
}

impl<'h> Violation<'h> {
    /// A violation, once, with a certificate.
    pub(crate) fn new(kind: &'static str, title: String, subject: Value, ops: Vec<Op<'h>>) -> Violation<'h> {
        Violation { kind, title, subject, ops, ..Violation::default() }
    }

    /// One with sentences of its own about its operations, and without a certificate until one is given.
    pub(crate) fn explained(
        (kind, severity): (&'static str, Severity),
        title: String,
        sentences: Vec<String>,
        ops: Vec<Op<'h>>,
    ) -> Violation<'h> {
        let own = Violation { describes_ops: false, certified: false, ..Violation::default() };
        Violation { kind, severity, title, why: sentences, ops, ..own }
    }

    /// The same with this certificate.
    pub(crate) fn with_certificate(mut self, certificate: Option<Certificate>) -> Violation<'h> {
        self.certificate = certificate;
        self
    }

    /// The same on these nodes and during these faults, whatever its operations say.
    pub(crate) fn at(mut self, nodes: Vec<String>, faults: Vec<u64>) -> Violation<'h> {
        self.circumstances = Some((nodes, faults));
        self
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

    /// The same, found `count` times there.
    pub(crate) fn times(mut self, count: usize) -> Violation<'h> {
        self.count = count as u64;
        self
    }

    /// The same as evidence, which decides nothing.
    pub(crate) fn evidence(mut self) -> Violation<'h> {
        self.severity = Severity::Evidence;
        self
    }

    /// The finding: its operations in order, each once, with their nodes and the faults meanwhile.
    pub(crate) fn finding(mut self, history: &History) -> Finding {
        self.ops.sort_by_key(|op| op.call);
        self.ops.dedup_by_key(|op| op.call);
        let certified: Vec<u64> = self.ops.iter().map(|op| op.call).collect();
        self.ops.append(&mut self.aside);
        self.ops.sort_by_key(|op| op.call);
        self.ops.dedup_by_key(|op| op.call);
        let calls: Vec<u64> = self.ops.iter().map(|op| op.call).collect();
        let key = if self.key_in_title { &self.key } else { &Value::Nil };
        let mut finding = Finding::new(self.kind, self.severity, messages::title(self.kind, key, &self.title));
        finding.sentences = self.why;
        if self.describes_ops {
            finding.sentences.extend(self.ops.iter().take(OPERATIONS_MAX).map(|op| describe(history, op)));
            if calls.len() > OPERATIONS_MAX {
                finding.sentences.push(format!("And {} more operations.", calls.len() - OPERATIONS_MAX));
            }
        }
        finding.sentences.extend(self.reasons);
        match self.circumstances {
            Some((nodes, faults)) => (finding.nodes, finding.faults) = (nodes, faults),
            None if calls.is_empty() => {}
            None => {
                finding.nodes = messages::nodes_of(history, &self.ops);
                finding.faults = messages::faults_around(history, &self.ops);
                finding.sentences.extend(messages::faults(history, &finding.faults));
            }
        }
        finding.key = self.key;
        finding.certificate = self.certificate;
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

/// One sentence about an operation; of a long argument or reply only its length.
fn describe(history: &History, op: &Op<'_>) -> String {
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
