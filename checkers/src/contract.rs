//! What the checkers of workload contracts share: which operations they look at, and how they tell a broken rule. Knows
//! no rule itself.
#[cfg(test)]
mod corpora;
pub(crate) mod scene;
#[cfg(test)]
mod stories;

use crate::certificate::{Certificate, Claim, Edge, EdgeKind};
use crate::history::{History, NameId, Op, Outcome};
use crate::registry::Options;
use crate::split_brain::SHOWN;
use crate::value::{Value, ValueRef};
use crate::verdict::{Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Workloads that have a call of one of these functions, in order of name.
pub(crate) fn workloads_with(history: &History, functions: &[&str]) -> Vec<NameId> {
    let wanted: Vec<NameId> = functions.iter().filter_map(|name| history.find_name(name)).collect();
    workloads_where(history, |op| wanted.contains(&op.function))
}

/// Workloads that have such an operation, in order of name.
pub(crate) fn workloads_where(history: &History, holds: impl Fn(&Op<'_>) -> bool) -> Vec<NameId> {
    let mut found: Vec<NameId> = Vec::new();
    for op in history.ops().iter() {
        if !found.contains(&op.workload) && holds(&op) {
            found.push(op.workload);
        }
    }
    found.sort_by_key(|id| history.name(*id));
    found
}

/// Operations of one key of one workload, by position.
#[derive(Clone, Debug)]
pub(crate) struct Group<'h> {
    pub(crate) workload: NameId,
    pub(crate) key: ValueRef<'h>,
    pub(crate) ops: Vec<u32>,
}

/// The operations of these workloads by key, in the order of the keys' first calls.
pub(crate) fn by_key<'h>(history: &'h History, workloads: &[NameId]) -> Vec<Group<'h>> {
    let mut places: HashMap<(NameId, ValueRef<'h>), usize> = HashMap::new();
    let mut groups: Vec<Group<'h>> = Vec::new();
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
        let place = *places.entry((op.workload, op.key)).or_insert_with(|| {
            groups.push(Group { workload: op.workload, key: op.key, ops: Vec::new() });
            groups.len() - 1
        });
        groups[place].ops.push(op.position);
    }
    groups
}

/// What was asked or answered, as `<value>` itself or as the entry `name` of an object.
pub(crate) fn part<'h>(value: ValueRef<'h>, name: &str) -> Option<ValueRef<'h>> {
    value.as_map().and_then(|map| map.get(name))
}

/// Whether the call did what it asked for: acknowledged, and not with false, as in "somebody else has it".
pub(crate) fn took(op: &Op<'_>) -> bool {
    op.outcome == Outcome::Ok && op.output != Value::Bool(false)
}

/// Functions of these operations that are none of those known, each once, of calls that may have taken effect.
pub(crate) fn strangers<'h>(history: &'h History, ops: &[u32], known: &[&str]) -> Vec<&'h str> {
    let mut found: Vec<NameId> = Vec::new();
    for op in ops.iter().map(|&position| at(history, position)) {
        let strange = op.outcome != Outcome::Fail && !found.contains(&op.function);
        if strange && !known.contains(&history.name(op.function)) {
            found.push(op.function);
        }
    }
    found.into_iter().map(|id| history.name(id)).collect()
}

/// An option that counts something: an integer that is not negative.
pub(crate) fn count_option(options: &Options, name: &str) -> Result<Option<u64>, String> {
    let given = options.int(name)?;
    given.map(|number| u64::try_from(number).map_err(|_| format!("{name} takes 0 or more, not {number}"))).transpose()
}

/// The operation at this position.
pub(crate) fn at(history: &History, position: u32) -> Op<'_> {
    history.ops().at(position as usize)
}

/// For each process, by session, the call that retired it: its Info that came back or is open for ever.
/// [`Op::OPEN`] where it was never retired. What the process held may be given up from there on.
pub(crate) fn retirements(history: &History) -> Vec<u64> {
    let mut retired = vec![Op::OPEN; history.sessions()];
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Info) {
        retired[op.session as usize] = op.call;
    }
    retired
}

/// Indices at which clients may be closed: every beginning of a phase that is not the load.
pub(crate) fn closings(history: &History) -> Vec<u64> {
    let other = |(phase, _): &&(crate::Phase, crate::Mark)| *phase != crate::Phase::Load;
    history.phases.iter().filter(other).map(|(_, mark)| mark.index).collect()
}

/// For each of these, one that had ended before its call and carries the largest number of those, with that number. They come in the order
/// of their calls.
pub(crate) fn largest_before(history: &History, carriers: &[(u32, i64)]) -> Vec<Option<(i64, u32)>> {
    let mut ended: Vec<(u64, i64, u32)> =
        carriers.iter().map(|&(position, number)| (at(history, position).reply, number, position)).collect();
    ended.sort_unstable();
    let mut ended = ended.into_iter().peekable();
    let mut largest: Option<(i64, u32)> = None;
    let before = |&(position, _): &(u32, i64)| {
        let call = at(history, position).call;
        while let Some((_, number, other)) = ended.next_if(|(reply, _, _)| *reply < call) {
            largest = largest.max(Some((number, other)));
        }
        largest
    };
    carriers.iter().map(before).collect()
}

/// An object of these entries.
pub(crate) fn object(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect())
}

/// A dependency without versions: by real time.
pub(crate) fn realtime(from: &Op<'_>, to: &Op<'_>) -> Edge {
    Edge {
        from: from.call,
        to: to.call,
        kind: EdgeKind::Realtime,
        key: Value::Nil,
        before: Value::Nil,
        after: Value::Nil,
    }
}

/// A broken rule: the operations that show it, and why.
#[derive(Debug, Default)]
pub(crate) struct Breach<'h> {
    /// One sentence.
    pub(crate) title: String,
    /// The counterexample; each is told in a sentence of its own.
    pub(crate) ops: Vec<Op<'h>>,
    /// The key it concerns.
    pub(crate) key: Value,
    /// What the certificate's rule is about.
    pub(crate) subject: Value,
    /// Sentences after the operations.
    pub(crate) reasons: Vec<String>,
    /// A cycle, where there is one; with `certified_cycle` it is the certificate's claim.
    pub(crate) cycle: Vec<Edge>,
    /// Whether the cycle stands for the whole claim.
    pub(crate) certified_cycle: bool,
    /// Whether it rests on more than operations: times, nodes, faults. Then there is no certificate.
    pub(crate) uncertified: bool,
    /// Nodes, where operations do not name them.
    pub(crate) nodes: Vec<String>,
}

/// All breaches that one checker found: counted all, told a few of each kind.
#[derive(Debug)]
pub(crate) struct Breaches<'h> {
    history: &'h History,
    violations: BTreeMap<&'static str, (usize, Vec<Finding>)>,
    evidence: BTreeMap<&'static str, (usize, Vec<Finding>)>,
}

impl<'h> Breaches<'h> {
    pub(crate) fn new(history: &'h History) -> Breaches<'h> {
        Breaches { history, violations: BTreeMap::new(), evidence: BTreeMap::new() }
    }

    /// A rule is certainly broken. Only the first of a kind are told.
    pub(crate) fn violation(&mut self, kind: &'static str, tell: impl FnOnce() -> Breach<'h>) {
        let (count, told) = self.violations.entry(kind).or_default();
        *count += 1;
        if told.len() < SHOWN {
            told.push(finding(self.history, kind, Severity::Violation, tell()));
        }
    }

    /// Something worth showing that breaks no rule.
    pub(crate) fn evidence(&mut self, kind: &'static str, tell: impl FnOnce() -> Breach<'h>) {
        let (count, told) = self.evidence.entry(kind).or_default();
        *count += 1;
        if told.len() < SHOWN {
            told.push(finding(self.history, kind, Severity::Evidence, tell()));
        }
    }

    /// How many of this kind, whether they are violations or evidence.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let of = |map: &BTreeMap<&str, (usize, Vec<Finding>)>| map.get(kind).map_or(0, |(count, _)| *count);
        of(&self.violations) + of(&self.evidence)
    }

    /// The verdict: invalid where a rule is broken, else as given. Every kind that occurred is counted in the numbers.
    pub(crate) fn verdict(
        self,
        checker: &str,
        workloads: &[NameId],
        otherwise: (Validity, String),
        numbers: impl IntoIterator<Item = (&'static str, serde_json::Value)>,
    ) -> Verdict {
        let mut numbers: BTreeMap<String, serde_json::Value> =
            numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).collect();
        for (kind, (count, _)) in self.violations.iter().chain(&self.evidence) {
            numbers.insert(kind.replace('-', "_"), json!(count));
        }
        let counted: Vec<String> = self.violations.iter().map(|(kind, (count, _))| format!("{count} {kind}")).collect();
        let in_order = |kinds: BTreeMap<&str, (usize, Vec<Finding>)>| {
            let mut told: Vec<Finding> = kinds.into_values().flat_map(|(_, told)| told).collect();
            told.sort_by_key(|finding| finding.ops.last().copied());
            told
        };
        let mut findings = in_order(self.violations);
        let (validity, summary) = match findings.first() {
            Some(first) => (Validity::Invalid, format!("{}: {}.", counted.join(", "), first.title)),
            None => otherwise,
        };
        findings.extend(in_order(self.evidence));
        let workload = if let [one] = workloads { self.history.name(*one).to_owned() } else { String::new() };
        Verdict {
            checker: checker.to_owned(),
            workload,
            validity,
            summary,
            findings,
            numbers,
            certificates: Vec::new(),
        }
    }
}

/// A sentence about a long reply, without its middle.
fn shortened(sentence: String) -> String {
    const SHOWN: usize = 200;
    let long: Vec<char> = sentence.chars().collect();
    if long.len() <= 2 * SHOWN {
        return sentence;
    }
    let (from, to) = (&long[..SHOWN], &long[long.len() - SHOWN..]);
    let ends = [from, to].map(|part| part.iter().collect::<String>());
    format!("{} [... {} characters ...] {}", ends[0], long.len() - 2 * SHOWN, ends[1])
}

fn finding(history: &History, kind: &str, severity: Severity, breach: Breach<'_>) -> Finding {
    let Breach { title, mut ops, key, subject, reasons, cycle, certified_cycle, uncertified, nodes } = breach;
    ops.sort_by_key(|op| op.call);
    ops.dedup_by_key(|op| op.call);
    let calls: Vec<u64> = ops.iter().map(|op| op.call).collect();
    let faults = if ops.is_empty() { Vec::new() } else { wording::faults_around(history, &ops) };
    let mut sentences: Vec<String> = ops.iter().map(|op| shortened(wording::operation(history, op))).collect();
    sentences.extend(reasons);
    sentences.extend(wording::faults(history, &faults));
    let certificate = (severity == Severity::Violation && !ops.is_empty() && !uncertified).then(|| {
        let claim = if certified_cycle {
            // The only cycle so far is a fork: two reads that each miss what the other saw.
            Claim::cycle("G-nonadjacent-item", cycle.clone())
        } else {
            Claim::Rule { rule: kind.to_owned(), subject }
        };
        Certificate::new(history, claim, &calls)
    });
    let nodes = if ops.is_empty() { nodes } else { wording::nodes_of(history, &ops) };
    Finding { sentences, ops: calls, key, nodes, faults, cycle, certificate, ..Finding::new(kind, severity, title) }
}
