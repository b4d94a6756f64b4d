//! Findings of list-append: what each anomaly is, sentence by sentence, with a certificate.
use super::super::cycles::{Class, Cycle, CycleEdge};
use super::super::explain::Narrator;
use super::super::txn::{Mop, MopKind, Transactions};
use super::edges::{Reason, reason, reason_at};
use super::versions::{Flaw, FlawedRead, Versions};
use crate::graph::NONE;
use crate::history::Outcome;
use crate::value::{Value, Word};
use crate::verdict::certificate::{Claim, Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Finding, Severity, Violation};

/// Steps that are joined into one at most.
const STRETCH_MAX: usize = 64;

/// A fact that the reads of some transaction must show.
#[derive(Clone, Copy)]
enum Fact {
    /// The transaction took effect.
    Effect(u32),
    /// Of a key, the first element came before the second.
    Order(u32, Word, Word),
}

/// A fact with a transaction that shows it.
struct Need {
    witness: u32,
    shows: Fact,
}

/// Writes findings about these transactions.
pub(super) struct Explain<'a, 'h> {
    pub(super) txns: &'a Transactions<'h>,
    pub(super) versions: &'a Versions,
}

impl Explain<'_, '_> {
    /// A cycle. None where an edge has no reason, which would be an error of ours.
    pub(super) fn cycle(&self, cycle: &Cycle, severity: Severity) -> Option<Finding> {
        let steps = self.shortened(cycle);
        let reasons: Vec<Option<Reason>> = steps.iter().map(|step| reason(self.txns, self.versions, step)).collect();
        let named: Vec<u32> = steps.iter().map(|step| step.from).collect();
        let anomaly = cycle.class.anomaly(cycle.level);
        let mut sentences = self.narrator().cast(&named);
        let mut needs: Vec<Need> = Vec::new();
        for (at, &txn) in named.iter().enumerate().filter(|(_, txn)| self.txns.txn(**txn).outcome == Outcome::Info) {
            let (reader, key, element) = self.observer(txn)?;
            needs.push(Need { witness: reader, shows: Fact::Effect(txn) });
            let (call, element, key) = (self.call(reader), self.value(element), self.txns.key(key));
            sentences
                .push(format!("T{} took effect, since #{call} observed its append of {element} to {key}.", at + 1));
        }
        let writes = steps.iter().zip(&reasons).filter(|(step, _)| step.kind == EdgeKind::Ww);
        needs.extend(writes.filter_map(|(_, reason)| reason.as_ref()).map(|reason| self.order(reason)));
        let why = |at: usize, one: &str, other: &str| Some(self.why(steps[at].kind, reasons[at].as_ref()?, one, other));
        sentences.extend(self.narrator().steps(&steps, why)?);
        let edges: Vec<Edge> =
            steps.iter().zip(&reasons).map(|(step, reason)| self.edge(step, reason.as_ref())).collect();
        let claim = Claim::cycle(anomaly, edges.clone());
        let title = format!("{} that each precede the next", messages::count(named.len(), "transaction"));
        let key = edges.iter().map(|edge| &edge.key).find(|key| !key.is_nil()).cloned().unwrap_or_default();
        let one_key = edges.iter().all(|edge| edge.key.is_nil() || edge.key == key);
        let witnesses = self.witnesses(&named, &needs);
        let narrator = self.narrator();
        let certificate = narrator.certificate(claim, named.iter().chain(&witnesses).copied());
        let violation = Violation::explained((anomaly, severity), title, sentences, narrator.ops(&named));
        let key = if one_key { key } else { Value::Nil };
        let violation = Violation { cycle: edges, key, ..violation }.with_certificate(Some(certificate));
        Some(violation.finding(self.txns.history()))
    }

    /// The transaction that shows the order of two elements: it read both, or the first where the second was never read.
    fn order(&self, reason: &Reason) -> Need {
        let longest = self.versions.longest[reason.key as usize].0;
        let read = if reason.witness == NONE { longest } else { reason.witness };
        let before = reason.before.unwrap_or(Word::NIL);
        let witness = if read == NONE { NONE } else { self.txns.all_mops()[read as usize].txn() };
        Need { witness, shows: Fact::Order(reason.key, before, reason.after) }
    }

    /// Whether the transaction's reads show it.
    fn shows(&self, txn: u32, shows: Fact) -> bool {
        match shows {
            Fact::Effect(other) => {
                let reads = |key: u32| {
                    self.txns.mops(txn).iter().filter(move |mop| mop.kind() == MopKind::Read && mop.key == key)
                };
                let own = self.txns.mops(other).iter().filter(|mop| mop.kind() == MopKind::Append);
                let seen = |own: &Mop| reads(own.key).any(|read| self.txns.elements(read.value).contains(&own.value));
                let mut own = own;
                other != txn && own.any(seen)
            }
            Fact::Order(key, before, after) => self.narrator().reads_in_order(txn, key, before, after),
        }
    }

    /// Transactions beside the named ones that show what is needed, and none that can be spared.
    fn witnesses(&self, named: &[u32], needs: &[Need]) -> Vec<u32> {
        let mut witnesses: Vec<u32> = Vec::new();
        let met = |need: &Need, more: &[u32]| named.iter().chain(more).any(|&txn| self.shows(txn, need.shows));
        for need in needs {
            if need.witness != NONE && !met(need, &witnesses) {
                witnesses.push(need.witness);
            }
        }
        let mut at = 0;
        while at < witnesses.len() {
            let mut fewer = witnesses.clone();
            fewer.remove(at);
            if needs.iter().all(|need| met(need, &fewer) || !met(need, &witnesses)) {
                witnesses = fewer;
            } else {
                at += 1;
            }
        }
        witnesses
    }

    /// The cycle with steps on one key taken together: a transaction that did not observe an element did not observe what follows it.
    /// Of a stretch of writes the whole is tried, then half of it, and so on.
    fn shortened(&self, cycle: &Cycle) -> Vec<CycleEdge> {
        let mut steps = self.joined(&cycle.steps, cycle.class);
        loop {
            let shorter = self.joined(&steps, cycle.class);
            if shorter.len() == steps.len() {
                return steps;
            }
            steps = shorter;
        }
    }

    fn joined(&self, steps: &[CycleEdge], class: Class) -> Vec<CycleEdge> {
        let mut short: Vec<CycleEdge> = Vec::new();
        let mut at = 0;
        while at < steps.len() {
            let mut joined = steps[at];
            let writes = steps[at + 1..].iter().take(STRETCH_MAX).take_while(|step| step.kind == EdgeKind::Ww).count();
            let mut further = match joined.kind {
                EdgeKind::Ww | EdgeKind::Rw => writes,
                _ => 0,
            };
            let key = reason(self.txns, self.versions, &joined).map(|reason| reason.key);
            let mut taken = 0;
            while further > 0 {
                let step = CycleEdge { to: steps[at + further].to, ..joined };
                // Two rw edges that the cycle keeps apart stay apart.
                let next = steps[(at + further + 1) % steps.len()].kind;
                let apart = !(class == Class::GNonadjacent && step.kind == EdgeKind::Rw && next == EdgeKind::Rw);
                // The last step of a cycle of two stays: nothing leads from a transaction to itself.
                if apart
                    && step.from != step.to
                    && key.and_then(|key| reason_at(self.txns, self.versions, &step, key)).is_some()
                {
                    (joined, taken) = (step, further);
                    break;
                }
                further /= 2;
            }
            short.push(joined);
            at += taken + 1;
        }
        short
    }

    fn why(&self, kind: EdgeKind, reason: &Reason, one: &str, other: &str) -> String {
        let Reason { key, before, after, witness } = *reason;
        let (key, after) = (self.txns.key(key), self.value(after));
        match (kind, before) {
            (EdgeKind::Wr, _) => format!("{other} observed {one}'s append of {after} to {key}"),
            (EdgeKind::Rw, _) => format!("{one} did not observe {other}'s append of {after} to {key}"),
            (_, Some(before)) if witness == NONE => format!(
                "{one} appended {} to {key}, and no transaction that read that observed {other}'s append of {after}",
                self.value(before)
            ),
            (_, before) => {
                let reader = self.call(self.txns.all_mops()[witness as usize].txn());
                let before = before.map(|before| self.value(before)).unwrap_or_default();
                format!("{one} appended {before} to {key} before {other} appended {after}, as #{reader} read")
            }
        }
    }

    fn edge(&self, step: &CycleEdge, reason: Option<&Reason>) -> Edge {
        let value = |word: Word| self.txns.value(word).to_value();
        Edge {
            from: self.call(step.from),
            to: self.call(step.to),
            kind: step.kind,
            key: reason.map(|reason| self.txns.key(reason.key).to_value()).unwrap_or_default(),
            before: reason.and_then(|reason| reason.before).map(value).unwrap_or_default(),
            after: reason.map(|reason| value(reason.after)).unwrap_or_default(),
        }
    }

    /// A flaw of one read.
    pub(super) fn flaw(&self, flawed: &FlawedRead, severity: Severity) -> Finding {
        let FlawedRead { flaw, reader, other, read, other_read, .. } = *flawed;
        let key = self.txns.key(flawed.key);
        let (element, follower) = (self.value(flawed.element), self.value(flawed.follower));
        let call = |txn: u32| if txn == NONE { "no transaction".to_owned() } else { format!("#{}", self.call(txn)) };
        let (one, two) = (call(reader), call(other));
        let list = |read: u32| {
            self.narrator().list(if read == NONE { Word::NIL } else { self.txns.all_mops()[read as usize].value })
        };
        let seen = list(read);
        let mut involved = vec![reader, other];
        let title = match flaw {
            Flaw::Internal if other_read == NONE => {
                format!("{one} read {seen} from {key}, which does not end with what it had appended itself")
            }
            Flaw::Internal => {
                format!(
                    "{one} read {} and then {seen} from {key}, which its own appends do not explain",
                    list(other_read)
                )
            }
            Flaw::G1a => format!("{one} observed {element} in {key}, which {two} appended and which had failed"),
            Flaw::G1b => {
                format!("{one} read a list from {key} that ends with {element}, after which {two} appended more")
            }
            Flaw::DirtyUpdate => {
                involved.push(other_read);
                format!(
                    "{} appended {follower} to {key} on top of {element}, which {two} appended and which had failed",
                    call(other_read)
                )
            }
            Flaw::DuplicateElements => format!("{one} read {element} more than once in {key}"),
            Flaw::IncompatibleOrder => {
                format!("{one} and {two} read lists from {key} of which neither is the beginning of the other")
            }
            Flaw::InvertedOrder => {
                involved.push(if read == NONE { NONE } else { self.txns.all_mops()[read as usize].txn() });
                format!("{one} appended {element} to {key} before {follower}, and they were read the other way round")
            }
            Flaw::LostUpdate => format!("{one} and {two} both read {seen} from {key}, and both appended to it"),
            Flaw::FutureRead => format!("{one} observed {element} in {key}, which it appended only later"),
            Flaw::GarbageRead => format!("{one} observed {element} in {key}, which no transaction appended"),
        };
        involved.retain(|&txn| txn != NONE);
        involved.sort_unstable();
        involved.dedup();
        let mut sentences = vec![format!("{title}.")];
        sentences.extend(involved.iter().map(|&txn| self.narrator().transaction(txn)));
        let subject = match flaw {
            Flaw::Internal | Flaw::IncompatibleOrder | Flaw::LostUpdate => Value::Nil,
            Flaw::InvertedOrder | Flaw::DirtyUpdate => {
                Value::list([self.txns.value(flawed.element).to_value(), self.txns.value(flawed.follower).to_value()])
            }
            _ => self.txns.value(flawed.element).to_value(),
        };
        let subject = Value::list([key.to_value(), subject]);
        let claim = Claim::Rule { rule: flaw.anomaly().to_owned(), subject };
        let narrator = self.narrator();
        let certificate = narrator.certificate(claim, involved.iter().copied());
        let violation = Violation::explained((flaw.anomaly(), severity), title, sentences, narrator.ops(&involved));
        violation.on(key).with_certificate(Some(certificate)).finding(self.txns.history())
    }

    /// A transaction that observed this one, with the key and the element.
    fn observer(&self, txn: u32) -> Option<(u32, u32, Word)> {
        let seen = self.txns.mop_range(txn).find(|&at| self.versions.seen[at as usize])?;
        let append = self.txns.all_mops()[seen as usize];
        let observes = |at: &&u32| {
            let mop = self.txns.all_mops()[**at as usize];
            mop.kind() == MopKind::Read && mop.txn() != txn && self.txns.elements(mop.value).contains(&append.value)
        };
        let read = self.txns.key_mops(append.key).iter().find(observes)?;
        Some((self.txns.all_mops()[*read as usize].txn(), append.key, append.value))
    }

    fn narrator(&self) -> Narrator<'_, '_> {
        Narrator(self.txns)
    }

    fn call(&self, txn: u32) -> u64 {
        self.narrator().call(txn)
    }

    fn value(&self, word: Word) -> String {
        self.narrator().value(word)
    }
}
