//! Findings of registers in words: why each transaction precedes the next, and why one version precedes another.
use super::edges::following;
use super::versions::{Orders, Source, VersionOrder};
use crate::history::Outcome;
use crate::transactions::cycles::{Cycle, CycleEdge};
use crate::transactions::explain::Narrator;
use crate::transactions::txn::{MopKind, Transactions};
use crate::transactions::weak::matched::{Flaw, Matched};
use crate::transactions::weak::view::INITIAL;
use crate::value::Value;
use crate::verdict::certificate::{Claim, Edge, EdgeKind};
use crate::verdict::messages;
use crate::verdict::{Finding, Severity, Violation};

/// Writes findings about these transactions.
pub(crate) struct Explain<'a, 'h> {
    pub(crate) txns: &'a Transactions<'h>,
    pub(crate) matched: &'a Matched,
    pub(crate) orders: &'a Orders,
}

/// What these orders assume of each key; `None` where a certificate cannot show them.
fn assumptions(reasons: &[VersionOrder]) -> Option<Vec<String>> {
    let mut assumes = Vec::new();
    for known in reasons {
        assumes.push(match known.source {
            Source::Within if known.after == known.one => continue,
            Source::Within | Source::Process => "sequential-keys".to_owned(),
            Source::Realtime => "linearizable-keys".to_owned(),
            Source::Only | Source::Guess => return None,
        });
    }
    assumes.sort_unstable();
    assumes.dedup();
    Some(assumes)
}

impl Explain<'_, '_> {
    fn narrator(&self) -> Narrator<'_, '_> {
        Narrator(self.txns)
    }

    fn call(&self, txn: u32) -> u64 {
        self.narrator().call(txn)
    }

    pub(super) fn number(&self, txn: u32) -> u32 {
        self.matched.txns.partition_point(|&one| one < txn) as u32
    }

    /// The value of a version, given by its writer's number.
    pub(super) fn version(&self, key: u32, writer: u32) -> Value {
        if writer == INITIAL {
            return self.txns.first(key);
        }
        self.narrator().last_written(self.matched.txns[writer as usize], key)
    }

    /// The key and the versions behind a step, and of the order of those two the reason.
    fn reason(&self, step: &CycleEdge) -> Option<(u32, u32, u32, Option<VersionOrder>)> {
        let view = &self.matched.view;
        let (from, to) = (self.number(step.from), self.number(step.to));
        let known =
            |key: u32, before: u32| self.orders.after(key, before).iter().find(|known| known.after == to).copied();
        match step.kind {
            EdgeKind::Wr => {
                let read = view.reads(to).iter().find(|read| read.from == from)?;
                Some((read.key, from, from, None))
            }
            EdgeKind::Ww => view.writes(from).iter().find_map(|&key| Some((key, from, to, Some(known(key, from)?)))),
            EdgeKind::Rw => view.reads(from).iter().find_map(|read| {
                let reason = known(read.key, read.from);
                let first = read.from == INITIAL && following(self.orders, read.key, INITIAL).contains(&to);
                (reason.is_some() || first).then_some((read.key, read.from, to, reason))
            }),
            EdgeKind::Process | EdgeKind::Realtime => None,
        }
    }

    /// Why the first version comes before the second.
    fn order(&self, known: &VersionOrder) -> String {
        let name = |number: u32| self.call(self.matched.txns[number as usize]);
        let (one, other) = (name(known.one), name(known.other));
        let (before, after) = (self.version(known.key, known.before), self.version(known.key, known.after));
        let why = match known.source {
            Source::Within => format!("#{one} touched {before} and then wrote or read {after}"),
            Source::Process => format!("its process touched {before} in #{one} and {after} later in #{other}"),
            Source::Only => {
                format!("every write follows a read of its key, and no other transaction overwrote {before}")
            }
            Source::Guess => "so it was assumed".to_owned(),
            Source::Realtime => {
                format!("#{one}, which touched {before}, had ended before #{other}, which touched {after}, was called")
            }
        };
        format!("{before} comes before {after} in key {}, since {why}", self.txns.key(known.key))
    }

    /// A cycle; None where an edge has no reason, which would be an error of ours.
    pub(crate) fn cycle(&self, cycle: &Cycle, severity: Severity) -> Option<Finding> {
        let anomaly = cycle.class.anomaly(cycle.level);
        let named: Vec<u32> = cycle.steps.iter().map(|step| step.from).collect();
        let narrator = self.narrator();
        let count = cycle.steps.len();
        let mut edges: Vec<Edge> = Vec::with_capacity(count);
        let mut claimed: Vec<(u32, u32)> = Vec::new();
        let mut known: Vec<Option<VersionOrder>> = Vec::with_capacity(count);
        let mut reasons: Vec<VersionOrder> = Vec::new();
        // Whether the step's order is one of those reasons.
        let mut has_order: Vec<bool> = Vec::with_capacity(count);
        for step in &cycle.steps {
            let (from, to) = (self.call(step.from), self.call(step.to));
            let mut edge = Edge { from, to, kind: step.kind, key: Value::Nil, before: Value::Nil, after: Value::Nil };
            let (mut reason, mut ordered_here) = (None, false);
            if !matches!(step.kind, EdgeKind::Process | EdgeKind::Realtime) {
                let (key, before, after);
                (key, before, after, reason) = self.reason(step)?;
                claimed.extend([(key, before), (key, after)]);
                edge.key = self.txns.key(key).to_value();
                (edge.before, edge.after) = (self.version(key, before), self.version(key, after));
                // That the initial version comes first needs no showing.
                ordered_here = reason.is_some() && before != INITIAL;
                reasons.extend(reason.filter(|_| ordered_here));
            }
            has_order.push(ordered_here);
            known.push(reason);
            edges.push(edge);
        }
        let mut needed = named.clone();
        let touching = reasons.iter().flat_map(|known| [known.one, known.other]);
        let mut shown: Vec<u32> = named.clone();
        shown.extend(touching.map(|number| self.matched.txns[number as usize]));
        needed.extend(self.overwriters(&shown, &claimed));
        shown.extend(needed.iter().copied());
        let assumes = assumptions(&reasons);
        // One transaction may show the order for which another one was found.
        let pruned = assumes.as_ref().and_then(|assumes| self.pruned(&reasons, shown.clone(), &needed, assumes));
        if let Some(pruned) = pruned {
            shown = pruned.txns;
            let mut others = pruned.reasons.into_iter();
            let ordered = known.iter_mut().zip(&has_order).filter(|(_, first)| **first).map(|(known, _)| known);
            ordered.zip(&mut others).for_each(|(known, other)| *known = Some(other));
        }
        let why = |at: usize, one: &str, other: &str| {
            let Edge { kind, key, before, after, .. } = &edges[at];
            let order = known[at].map(|known| format!(": {}", self.order(&known))).unwrap_or_default();
            Some(match kind {
                EdgeKind::Wr => format!("{other} read {before} from key {key}, which {one} wrote"),
                EdgeKind::Rw => format!("{one} read {before} from key {key}, which {other}'s {after} follows{order}"),
                _ => format!("{other}'s {after} follows {one}'s {before} in key {key}{order}"),
            })
        };
        let mut sentences = narrator.cast(&named);
        sentences.extend(narrator.steps(&cycle.steps, why)?);
        let title = format!("{} that each precede the next", messages::count(count, "transaction"));
        let certified = assumes.is_some();
        let claim = Claim::cycle_assuming(anomaly, edges.clone(), assumes.unwrap_or_default());
        let violation = self.violation((anomaly, severity), title, sentences, shown, certified.then_some(claim));
        Some(Violation { cycle: edges, ..violation }.finding(self.txns.history()))
    }

    /// Versions that come before themselves.
    pub(crate) fn cyclic(&self, cycle: &[VersionOrder], severity: Severity) -> Finding {
        let key = self.txns.key(cycle[0].key);
        let title = format!("versions of key {key} come before themselves");
        let named = cycle.iter().flat_map(|known| [known.one, known.other]);
        let mut named: Vec<u32> = named.map(|number| self.matched.txns[number as usize]).collect();
        let claimed: Vec<(u32, u32)> =
            cycle.iter().flat_map(|known| [(known.key, known.before), (known.key, known.after)]).collect();
        named.extend(self.overwriters(&named, &claimed));
        let assumes = assumptions(cycle);
        let pruned = assumes.as_ref().and_then(|assumes| self.pruned(cycle, named.clone(), &[], assumes));
        let reasons = pruned.as_ref().map_or(cycle, |pruned| &pruned.reasons);
        let mut sentences: Vec<String> = reasons.iter().map(|known| format!("{}.", self.order(known))).collect();
        if cycle[0].after == INITIAL {
            sentences.push("Yet nothing comes before what a key is before its first write.".to_owned());
        }
        let named = pruned.map_or(named, |pruned| pruned.txns);
        let versions = cycle.iter().map(|known| self.version(known.key, known.before));
        let mut subject = vec![key.to_value(), Value::list(versions)];
        let assumed = assumes.iter().flatten().map(|name| Value::text(name));
        subject.extend(Some(Value::list(assumed)).filter(|list| list.as_list().is_some_and(|list| !list.is_empty())));
        let claim = Claim::Rule { rule: "cyclic-versions".to_owned(), subject: Value::list(subject) };
        let claim = assumes.is_some().then_some(claim);
        let violation = self.violation(("cyclic-versions", severity), title, sentences, named, claim);
        violation.on(key).finding(self.txns.history())
    }

    /// Two transactions that read the same version of a key and both overwrote it.
    pub(crate) fn lost_update(&self, key: u32, version: u32, one: u32, other: u32, severity: Severity) -> Finding {
        let name = self.txns.key(key);
        let named: Vec<u32> = [one, other].iter().map(|&number| self.matched.txns[number as usize]).collect();
        // What its writer overwrote itself was read as it stood: by both, where both read the same.
        let read = [self.seen(named[0], key, version), self.seen(named[1], key, version)];
        let same = read[0].iter().find(|value| read[1].contains(value));
        let value = same.cloned().unwrap_or_else(|| self.version(key, version));
        let (one, other) = (self.call(named[0]), self.call(named[1]));
        let title = format!("#{one} and #{other} both read {value} from key {name}, and both overwrote it");
        let sentences = named.iter().map(|&txn| format!("{}.", self.narrator().transaction(txn))).collect();
        let claim = Claim::Rule { rule: "lost-update".to_owned(), subject: Value::list([name.to_value(), value]) };
        let claim = same.is_some().then_some(claim);
        let violation = self.violation(("lost-update", severity), title, sentences, named, claim);
        violation.on(name).finding(self.txns.history())
    }

    /// One transaction that read two versions of a key without writing it in between.
    pub(crate) fn unrepeatable(&self, key: u32, reader: u32, one: u32, other: u32, severity: Severity) -> Finding {
        let name = self.txns.key(key);
        let reader = self.matched.txns[reader as usize];
        let seen = |number: u32| self.seen(reader, key, number);
        let first = seen(one).into_iter().next().unwrap_or_else(|| self.version(key, one));
        // The last: it comes after one of the other version.
        let then = seen(other).into_iter().next_back().unwrap_or_else(|| self.version(key, other));
        let title = format!("#{} read {first} from key {name} and then {then}, without writing it", self.call(reader));
        let sentences = vec![format!("{}.", self.narrator().transaction(reader))];
        let claim = Claim::Rule { rule: "internal".to_owned(), subject: Value::list([name.to_value(), then]) };
        let violation = self.violation(("internal", severity), title, sentences, vec![reader], Some(claim));
        violation.on(name).finding(self.txns.history())
    }

    /// The values of this version that the transaction read, in order: its writer may have overwritten some itself.
    fn seen(&self, txn: u32, key: u32, version: u32) -> Vec<Value> {
        let value = |mop: &crate::transactions::txn::Mop| self.txns.value(mop.value).to_value();
        let written: Vec<Value> = match version {
            INITIAL => vec![self.txns.first(key)],
            writer => {
                let mops = self.txns.mops(self.matched.txns[writer as usize]);
                mops.iter().filter(|mop| mop.key == key && mop.writes()).map(value).collect()
            }
        };
        let reads = self.txns.mops(txn).iter().filter(|mop| mop.key == key && mop.kind() == MopKind::Read);
        reads.map(value).filter(|value| written.contains(value)).collect()
    }

    /// The writers of versions that these transactions read only in between (`G1b`): without the writer the certificate does not
    /// show that what was read belongs to those versions.
    fn overwriters(&self, named: &[u32], claimed: &[(u32, u32)]) -> Vec<u32> {
        let flaws = self.matched.flaws.iter().filter(|flawed| flawed.flaw == Flaw::Intermediate);
        let needed = flaws.filter(|flawed| {
            let version = (flawed.key, self.number(flawed.writer));
            named.contains(&flawed.reader)
                && claimed.contains(&version)
                && !self.seen(flawed.reader, flawed.key, version.1).contains(&self.version(flawed.key, version.1))
        });
        needed.map(|flawed| flawed.writer).collect()
    }

    /// The violation of these transactions and those that observed them; a certificate makes the claim, if there is one.
    fn violation(
        &self,
        kind: (&'static str, Severity),
        title: String,
        sentences: Vec<String>,
        mut named: Vec<u32>,
        claim: Option<Claim>,
    ) -> Violation<'_> {
        let seen: Vec<u32> = named.iter().filter_map(|&txn| self.observer(txn, &named)).collect();
        named.extend(seen);
        named.sort_unstable();
        named.dedup();
        let narrator = self.narrator();
        let certificate = claim.map(|claim| narrator.certificate(claim, named.iter().copied()));
        Violation::explained(kind, title, sentences, narrator.ops(&named)).with_certificate(certificate)
    }

    /// Of a transaction that was never acknowledged, one that read what it wrote, if none of these did.
    fn observer(&self, txn: u32, named: &[u32]) -> Option<u32> {
        if self.txns.txn(txn).outcome == Outcome::Ok {
            return None;
        }
        let (number, view) = (self.number(txn), &self.matched.view);
        let observes = |reader: &u32| *reader != number && view.reads(*reader).iter().any(|read| read.from == number);
        let shown = named.iter().map(|&one| self.number(one)).any(|one| observes(&one));
        (0..view.len() as u32).find(|reader| !shown && observes(reader)).map(|one| self.matched.txns[one as usize])
    }
}
