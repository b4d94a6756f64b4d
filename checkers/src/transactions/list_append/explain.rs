//! Findings of list-append: what each anomaly is, sentence by sentence, with a certificate.
use super::super::cycles::{Class, Cycle, Step};
use super::super::txn::{MopKind, Transactions};
use super::edges::{Reason, reason, reason_at};
use super::versions::{Flaw, Flawed, Versions};
use crate::graph::NONE;
use crate::history::Outcome;
use crate::value::{Value, Word};
use crate::verdict::certificate::{Certificate, Claim, Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Finding, Severity};

/// So many elements of a list are shown.
const ELEMENTS_SHOWN: usize = 8;

/// So many steps of a cycle are told, and the last.
const STEPS_SHOWN: usize = 30;

/// So many steps are taken together at once.
const STRETCH_MAX: usize = 64;

/// Something that somebody's reads must show.
#[derive(Clone, Copy)]
enum Shows {
    /// The transaction took effect.
    Effect(u32),
    /// Of a key, the first element came before the second.
    Order(u32, Word, Word),
}

/// The same with a transaction that shows it.
struct Need {
    witness: u32,
    shows: Shows,
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
        let mut sentences = vec!["Let:".to_owned()];
        let shown = |at: usize| at < STEPS_SHOWN || at + 1 == named.len();
        let told = named.iter().enumerate().filter(|(at, _)| shown(*at));
        sentences.extend(told.map(|(at, &txn)| format!("T{} = {}", at + 1, self.told(txn))));
        let mut needs: Vec<Need> = Vec::new();
        for (at, &txn) in named.iter().enumerate().filter(|(_, txn)| self.txns.txn(**txn).outcome == Outcome::Info) {
            let (reader, key, element) = self.observer(txn)?;
            needs.push(Need { witness: reader, shows: Shows::Effect(txn) });
            let (call, element, key) = (self.call(reader), self.value(element), self.txns.key(key));
            sentences
                .push(format!("T{} took effect, since #{call} observed its append of {element} to {key}.", at + 1));
        }
        sentences.push("Then:".to_owned());
        for (at, (step, reason)) in steps.iter().zip(&reasons).enumerate() {
            let witness = reason.as_ref().filter(|_| step.kind == EdgeKind::Ww);
            needs.extend(witness.map(|reason| self.order(reason)));
            if steps.len() > STEPS_SHOWN && at >= STEPS_SHOWN && at + 1 < steps.len() {
                if at == STEPS_SHOWN {
                    sentences.push(format!("And so on, {} steps.", steps.len() - STEPS_SHOWN - 1));
                }
                continue;
            }
            let (one, other) = (format!("T{}", at + 1), format!("T{}", (at + 1) % steps.len() + 1));
            let why = self.why(step, reason.as_ref(), &one, &other)?;
            let last = at + 1 == steps.len();
            let (but, end) = if last { ("However, ", ": a contradiction") } else { ("", "") };
            sentences.push(format!("{but}{one} < {other}, because {why}{end}."));
        }
        let edges: Vec<Edge> =
            steps.iter().zip(&reasons).map(|(step, reason)| self.edge(step, reason.as_ref())).collect();
        let claim = Claim::cycle(anomaly, edges.clone());
        let title = format!("{anomaly}: {} that each precede the next", messages::count(named.len(), "transaction"));
        let key = edges.iter().map(|edge| &edge.key).find(|key| !key.is_nil()).cloned().unwrap_or_default();
        let one_key = edges.iter().all(|edge| edge.key.is_nil() || edge.key == key);
        let witnesses = self.witnesses(&named, &needs);
        let mut finding = self.finding(anomaly, severity, title, sentences, &named, claim, &witnesses);
        finding.cycle = edges;
        finding.key = if one_key { key } else { Value::Nil };
        Some(finding)
    }

    /// Who shows the order of two elements: a read of both, or of the first where nobody read the second.
    fn order(&self, reason: &Reason) -> Need {
        let longest = self.versions.longest[reason.key as usize].0;
        let read = if reason.witness == NONE { longest } else { reason.witness };
        let before = reason.before.unwrap_or(Word::NIL);
        let witness = if read == NONE { NONE } else { self.txns.all_mops()[read as usize].txn() };
        Need { witness, shows: Shows::Order(reason.key, before, reason.after) }
    }

    /// Whether the transaction's reads show it.
    fn shows(&self, txn: u32, shows: Shows) -> bool {
        let mops = self.txns.mops(txn);
        (0..mops.len()).filter(|&at| mops[at].kind() == MopKind::Read).any(|at| {
            let (key, mut list) = (mops[at].key, self.txns.elements(mops[at].value));
            let (before, after) = match shows {
                Shows::Effect(other) => {
                    let own = self.txns.mops(other).iter();
                    let mut own = own.filter(|mop| mop.kind() == MopKind::Append && mop.key == key);
                    return other != txn && own.any(|mop| list.contains(&mop.value));
                }
                Shows::Order(other, before, after) if other == key => (before, after),
                Shows::Order(..) => return false,
            };
            let own = mops[..at].iter().filter(|mop| mop.kind() == MopKind::Append && mop.key == key);
            let own: Vec<Word> = own.map(|mop| mop.value).collect();
            list = list.strip_suffix(&own[..]).unwrap_or(list);
            let place = |element: Word| list.iter().position(|&other| other == element);
            place(before).is_some_and(|one| place(after).is_none_or(|other| one < other))
        })
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

    /// The cycle with steps on one key taken together: who did not observe an element did not observe what follows it.
    /// Of a stretch of writes the whole is tried, then half of it, and so on.
    fn shortened(&self, cycle: &Cycle) -> Vec<Step> {
        let mut steps = self.joined(&cycle.steps, cycle.class);
        loop {
            let shorter = self.joined(&steps, cycle.class);
            if shorter.len() == steps.len() {
                return steps;
            }
            steps = shorter;
        }
    }

    fn joined(&self, steps: &[Step], class: Class) -> Vec<Step> {
        let mut short: Vec<Step> = Vec::new();
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
                let step = Step { to: steps[at + further].to, ..joined };
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

    fn why(&self, step: &Step, reason: Option<&Reason>, one: &str, other: &str) -> Option<String> {
        let (from, to) = (self.txns.txn(step.from), self.txns.txn(step.to));
        Some(match step.kind {
            EdgeKind::Process => format!("process {} called {other} after {one}", self.txns.op(step.to).process),
            EdgeKind::Realtime => {
                format!("{one} had ended, at #{}, before {other} was called, at #{}", from.end, to.call)
            }
            kind => {
                let Reason { key, before, after, witness } = *reason?;
                let (key, after) = (self.txns.key(key), self.value(after));
                match (kind, before) {
                    (EdgeKind::Wr, _) => format!("{other} observed {one}'s append of {after} to {key}"),
                    (EdgeKind::Rw, _) => format!("{one} did not observe {other}'s append of {after} to {key}"),
                    (_, Some(before)) if witness == NONE => format!(
                        "{one} appended {} to {key}, and nobody who read that observed {other}'s append of {after}",
                        self.value(before)
                    ),
                    (_, before) => {
                        let reader = self.call(self.txns.all_mops()[witness as usize].txn());
                        let before = before.map(|before| self.value(before)).unwrap_or_default();
                        format!("{one} appended {before} to {key} before {other} appended {after}, as #{reader} read")
                    }
                }
            }
        })
    }

    fn edge(&self, step: &Step, reason: Option<&Reason>) -> Edge {
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
    pub(super) fn flaw(&self, flawed: &Flawed, severity: Severity) -> Finding {
        let Flawed { flaw, reader, other, read, other_read, .. } = *flawed;
        let key = self.txns.key(flawed.key);
        let (element, follower) = (self.value(flawed.element), self.value(flawed.follower));
        let call = |txn: u32| if txn == NONE { "nobody".to_owned() } else { format!("#{}", self.call(txn)) };
        let (one, two) = (call(reader), call(other));
        let list =
            |read: u32| self.list(if read == NONE { Word::NIL } else { self.txns.all_mops()[read as usize].value });
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
            Flaw::GarbageRead => format!("{one} observed {element} in {key}, which nobody appended"),
        };
        involved.retain(|&txn| txn != NONE);
        involved.sort_unstable();
        involved.dedup();
        let mut sentences = vec![format!("{title}.")];
        sentences.extend(involved.iter().map(|&txn| self.told(txn)));
        let subject = match flaw {
            Flaw::Internal | Flaw::IncompatibleOrder | Flaw::LostUpdate => Value::Nil,
            Flaw::InvertedOrder | Flaw::DirtyUpdate => {
                Value::list([self.txns.value(flawed.element).to_value(), self.txns.value(flawed.follower).to_value()])
            }
            _ => self.txns.value(flawed.element).to_value(),
        };
        let subject = Value::list([key.to_value(), subject]);
        let claim = Claim::Rule { rule: flaw.anomaly().to_owned(), subject };
        let mut finding = self.finding(flaw.anomaly(), severity, title, sentences, &involved, claim, &[]);
        finding.key = key.to_value();
        finding
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of the finding")]
    fn finding(
        &self,
        kind: &str,
        severity: Severity,
        title: String,
        mut sentences: Vec<String>,
        named: &[u32],
        claim: Claim,
        witnesses: &[u32],
    ) -> Finding {
        let history = self.txns.history();
        let ops: Vec<_> = named.iter().map(|&txn| self.txns.op(txn)).collect();
        let mut finding = Finding::new(kind, severity, title);
        finding.ops = ops.iter().map(|op| op.call).collect();
        finding.ops.sort_unstable();
        finding.nodes = messages::nodes_of(history, &ops);
        finding.faults = messages::faults_around(history, &ops);
        sentences.extend(messages::faults(history, &finding.faults));
        finding.sentences = sentences;
        let calls: Vec<u64> = named.iter().chain(witnesses).map(|&txn| self.call(txn)).collect();
        finding.certificate = Some(Certificate::new(history, claim, &calls));
        finding
    }

    /// Someone who observed the transaction, with the key and the element.
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

    fn call(&self, txn: u32) -> u64 {
        u64::from(self.txns.txn(txn).call)
    }

    fn value(&self, word: Word) -> String {
        self.txns.value(word).to_string()
    }

    /// A list, its middle left out where it is long.
    fn list(&self, word: Word) -> String {
        let list = self.txns.elements(word);
        let shown = |part: &[Word]| part.iter().map(|&element| self.value(element)).collect::<Vec<_>>().join(", ");
        if list.len() <= ELEMENTS_SHOWN {
            return format!("[{}]", shown(list));
        }
        let last = &list[list.len() - ELEMENTS_SHOWN / 2..];
        format!("[{}, .. {} more .., {}]", shown(&list[..2]), list.len() - 2 - last.len(), shown(last))
    }

    /// A transaction with what it did, who called it and when.
    fn told(&self, txn: u32) -> String {
        let op = self.txns.op(txn);
        let mops: Vec<String> = self
            .txns
            .mops(txn)
            .iter()
            .map(|mop| {
                let key = self.txns.key(mop.key);
                match mop.kind() {
                    MopKind::Append => format!("append {key} {}", self.value(mop.value)),
                    MopKind::Write => format!("w {key} {}", self.value(mop.value)),
                    MopKind::Read => format!("r {key} {}", self.list(mop.value)),
                    MopKind::Unread => format!("r {key} ?"),
                }
            })
            .collect();
        let history = self.txns.history();
        let end = match op.outcome {
            Outcome::Ok => format!("answered at {}", messages::seconds(op.reply_time)),
            Outcome::Fail => format!("failed at {}", messages::seconds(op.reply_time)),
            Outcome::Info => "never acknowledged".to_owned(),
        };
        format!(
            "#{}: [{}] by process {}{}, called at {}, {end}",
            op.call,
            mops.join("; "),
            op.process,
            messages::on(history, &op),
            messages::seconds(op.call_time)
        )
    }
}
