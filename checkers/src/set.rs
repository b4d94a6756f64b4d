//! `set`: what was added and acknowledged is there at the end, and nothing else is.
//!
//! Adds are `add` with the element as input; final reads are `read` with the settle flag and a list as reply, one or more
//! for each node. An element is lost when it is absent from **every** successful final read that began after its
//! acknowledgement; nodes that differ among themselves are evidence only. A read that failed says nothing, never absence:
//! where a node was asked and never answered, what the others lack may be there, and is missing, not lost.
mod losses;

use crate::history::{History, NameId, Op, Outcome};
use crate::registry::CheckerDoc;
use crate::split_brain::is_leader;
use crate::value::{Value, ValueRef};
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "set",
    doc: "Every acknowledged element is in some final read, nothing else is in any, nothing is there twice.",
    options: &[],
    build: |_| Ok(Box::new(SetChecker::new())),
};

/// Judges workloads that add elements.
#[derive(Clone, Debug, Default)]
pub struct SetChecker {
    workload: Option<String>,
}

impl SetChecker {
    /// Judges every workload that has `add`.
    pub fn new() -> SetChecker {
        SetChecker::default()
    }

    /// Judges this workload only.
    pub fn workload(mut self, name: &str) -> SetChecker {
        self.workload = Some(name.to_owned());
        self
    }
}

/// A successful final read.
struct FinalRead<'h> {
    op: Op<'h>,
    elements: HashSet<ValueRef<'h>>,
}

/// One set: its adds, its reads.
#[derive(Default)]
struct Set<'h> {
    adds: Vec<Op<'h>>,
    finals: Vec<FinalRead<'h>>,
    /// Other reads with a list.
    reads: Vec<Op<'h>>,
    /// Nodes on which a final read was tried.
    asked: Vec<NameId>,
}

impl Set<'_> {
    /// Nodes on which every final read failed.
    fn silent(&self) -> Vec<NameId> {
        let answered = |node: &NameId| self.finals.iter().any(|read| read.op.node == *node);
        self.asked.iter().filter(|node| !answered(node)).copied().collect()
    }
}

/// What was found in one set.
struct Judged<'h> {
    key: ValueRef<'h>,
    acknowledged: usize,
    /// Acknowledged, absent from every final read, and every node that was asked answered.
    lost: Vec<Op<'h>>,
    /// The same, but a node that was asked never answered.
    missing: Vec<Op<'h>>,
    /// Acknowledged when no further final read began, and seen by none.
    unread: usize,
    /// Seen by a read before, never acknowledged, absent at the end.
    vanished: Vec<Op<'h>>,
    /// Never acknowledged, there at the end.
    recovered: usize,
    /// Present although never attempted, or only attempted in vain: the element, and the read that saw it.
    unexpected: Vec<(ValueRef<'h>, Op<'h>)>,
    /// More than once in one read.
    duplicated: Vec<(ValueRef<'h>, Op<'h>)>,
    set: Set<'h>,
}

fn sets<'h>(history: &'h History, workloads: &[NameId]) -> BTreeMap<(NameId, ValueRef<'h>), Set<'h>> {
    let mut sets: BTreeMap<(NameId, ValueRef<'_>), Set<'_>> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| workloads.contains(&op.workload)) {
        let set = sets.entry((op.workload, op.key)).or_default();
        match history.name(op.function) {
            "add" => set.adds.push(op),
            "read" => {
                if op.settle && !set.asked.contains(&op.node) {
                    set.asked.push(op.node);
                }
                let elements = op.output.as_list().filter(|_| op.outcome == Outcome::Ok);
                match elements {
                    Some(items) if op.settle => {
                        set.finals.push(FinalRead { op, elements: items.iter().collect() });
                    }
                    Some(_) => set.reads.push(op),
                    None => {}
                }
            }
            _ => {}
        }
    }
    sets
}

/// The elements that a read returned.
fn elements_of<'h>(read: &Op<'h>) -> impl ExactSizeIterator<Item = ValueRef<'h>> + use<'h> {
    read.output.as_list().unwrap_or_default().iter()
}

fn judge<'h>(key: ValueRef<'h>, set: Set<'h>) -> Judged<'h> {
    let mut attempts: HashMap<ValueRef<'_>, Vec<Op<'_>>> = HashMap::new();
    for add in &set.adds {
        attempts.entry(add.input).or_default().push(*add);
    }
    let present = |add: &Op<'_>| set.finals.iter().any(|read| read.elements.contains(&add.input));
    let asked_after = |index: u64| set.finals.iter().any(|read| read.op.call > index);
    let ok = |add: &Op<'_>| add.outcome == Outcome::Ok;
    let info = |add: &&Op<'_>| add.outcome == Outcome::Info;
    let (absent, late): (Vec<Op<'_>>, Vec<Op<'_>>) = set
        .adds
        .iter()
        .copied()
        .filter(|add| ok(add) && !present(add))
        .partition(|add: &Op<'_>| asked_after(add.reply));
    let (lost, missing) = if set.silent().is_empty() { (absent, Vec::new()) } else { (Vec::new(), absent) };
    let recovered = set.adds.iter().filter(info).filter(|add| present(add)).count();
    let mut seen: HashMap<ValueRef<'_>, u64> = HashMap::new();
    for read in &set.reads {
        for element in elements_of(read) {
            let first = seen.entry(element).or_insert(read.reply);
            *first = read.reply.min(*first);
        }
    }
    let known = |add: &&Op<'_>| seen.get(&add.input).is_some_and(|&index| asked_after(index));
    let vanished = set.adds.iter().filter(info).filter(known).filter(|add| !present(add)).copied().collect();
    let mut unexpected = Vec::new();
    let mut told = HashSet::new();
    for read in &set.finals {
        for element in elements_of(&read.op) {
            let tried = attempts.get(&element).is_some_and(|adds| adds.iter().any(|add| add.outcome != Outcome::Fail));
            if !tried && told.insert(element) {
                unexpected.push((element, read.op));
            }
        }
    }
    let mut duplicated = Vec::new();
    let mut told = HashSet::new();
    for read in set.finals.iter().map(|read| read.op).chain(set.reads.iter().copied()) {
        let mut once = HashSet::new();
        for element in elements_of(&read) {
            if !once.insert(element) && told.insert(element) {
                duplicated.push((element, read));
            }
        }
    }
    let acknowledged = set.adds.iter().copied().filter(ok).count();
    Judged { key, acknowledged, lost, missing, unread: late.len(), vanished, recovered, unexpected, duplicated, set }
}

impl Judged<'_> {
    /// Elements that were seen where they should not be, told with up to three of the reads.
    fn strange(&self, history: &History, kind: &str, what: &str, seen: &[(ValueRef<'_>, Op<'_>)]) -> Option<Finding> {
        let (_, first) = seen.first()?;
        let elements: Vec<Value> = seen.iter().map(|(element, _)| element.to_value()).collect();
        let mut reads: Vec<Op<'_>> = seen.iter().map(|(_, op)| *op).collect();
        reads.sort_by_key(|op| op.call);
        reads.dedup_by_key(|op| op.call);
        reads.truncate(3);
        let count = wording::count(elements.len(), "element");
        let ours = |add: &&Op<'_>| elements.iter().any(|element| add.input == *element);
        let failed: Vec<&Op<'_>> = self.set.adds.iter().filter(ours).take(3).collect();
        let mut sentences = vec![format!("{count} {what}: {}.", wording::elements(&elements, 20))];
        let read = |op: &Op<'_>| {
            let size = elements_of(op).len();
            let (node, time) = (history.name(op.node), wording::seconds(op.reply_time));
            format!("#{}: process {} on {node} read {size} elements at {time}.", op.call, op.process)
        };
        sentences.extend(reads.iter().map(read));
        if kind == "unexpected-element" {
            sentences.extend(failed.iter().map(|add| wording::operation(history, add)));
            if failed.is_empty() {
                sentences.push("No add of these was ever called.".to_owned());
            }
        }
        Some(Finding {
            cycle: Vec::new(),
            certificate: None,
            kind: kind.to_owned(),
            severity: Severity::Violation,
            title: format!("{count} {what}, first seen by #{} on {}", first.call, history.name(first.node)),
            sentences,
            ops: reads.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &reads),
            faults: Vec::new(),
        })
    }

    fn unexpected_finding(&self, history: &History) -> Option<Finding> {
        self.strange(history, "unexpected-element", "present although never added", &self.unexpected)
    }

    fn duplicated_finding(&self, history: &History) -> Option<Finding> {
        self.strange(history, "duplicated-element", "present twice in one read", &self.duplicated)
    }

    /// Nodes whose last final reads differ. No verdict by itself: a replica may lag.
    fn differing(&self, history: &History) -> Option<Finding> {
        let mut last: BTreeMap<NameId, &FinalRead<'_>> = BTreeMap::new();
        for read in &self.set.finals {
            last.insert(read.op.node, read);
        }
        let all: HashSet<ValueRef<'_>> = last.values().flat_map(|read| read.elements.iter().copied()).collect();
        let lacking: Vec<(NameId, Vec<Value>)> = last
            .iter()
            .map(|(node, read)| {
                let missing = all.iter().filter(|element| !read.elements.contains(*element));
                (*node, missing.map(|element| element.to_value()).collect::<Vec<_>>())
            })
            .filter(|(_, missing)| !missing.is_empty())
            .collect();
        if lacking.is_empty() {
            return None;
        }
        let nodes: Vec<String> = lacking.iter().map(|(node, _)| history.name(*node).to_owned()).collect();
        let say = |(node, missing): &(NameId, Vec<Value>)| {
            let count = wording::count(missing.len(), "element");
            let elements = wording::elements(missing, 20);
            format!("{} lacks {count} that another node returned: {elements}.", history.name(*node))
        };
        let ops: Vec<u64> = last.values().map(|read| read.op.call).take(6).collect();
        Some(Finding {
            cycle: Vec::new(),
            certificate: None,
            kind: "replicas-differ".to_owned(),
            severity: Severity::Evidence,
            title: format!("the final reads differ: {} lack what another node returned", nodes.join(", ")),
            sentences: lacking.iter().map(say).collect(),
            ops,
            key: self.key.to_value(),
            nodes,
            faults: Vec::new(),
        })
    }

    /// Acknowledged adds that a node's last final read lacks although others have them, where that node was the last to
    /// claim to lead: what the leader lacks, the others may be about to lose.
    fn leader_lacks<'h>(&self, history: &'h History) -> Option<(&'h str, usize)> {
        let last = self.set.finals.last()?.op.reply;
        let claims = history.roles.iter().filter(|claim| &*claim.source != "log" && !claim.role.is_empty());
        let mut leads: BTreeMap<&str, bool> = BTreeMap::new();
        for claim in claims.take_while(|claim| claim.index < last) {
            leads.insert(&claim.node, is_leader(claim));
        }
        let mut leaders = leads.into_iter().filter(|(_, leads)| *leads).map(|(node, _)| node);
        let (Some(leader), None) = (leaders.next(), leaders.next()) else { return None };
        let read = self.set.finals.iter().rfind(|read| history.name(read.op.node) == leader)?;
        let acknowledged = |add: &&Op<'_>| add.outcome == Outcome::Ok && add.reply < read.op.call;
        let lacking = self.set.adds.iter().filter(acknowledged).filter(|add| !read.elements.contains(&add.input));
        Some((leader, lacking.count())).filter(|(_, count)| *count > 0)
    }

    fn missing_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.missing.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.missing.iter().map(|add| add.input.to_value()).collect();
        let count = wording::count(elements.len(), "acknowledged element");
        let silent: Vec<&str> = self.set.silent().into_iter().map(|node| history.name(node)).collect();
        let silent = silent.join(", ");
        Some(Finding {
            cycle: Vec::new(),
            certificate: None,
            kind: "missing-element".to_owned(),
            severity: Severity::Evidence,
            title: format!("{count} in no final read, while {silent} never answered one, first #{}", first.call),
            sentences: vec![
                format!("Missing: {}.", wording::elements(&elements, 20)),
                format!("No final read on {silent} succeeded, so they may be there: nothing is proven lost."),
            ],
            ops: shown.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &shown),
            faults: Vec::new(),
        })
    }

    fn vanished_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.vanished.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.vanished.iter().map(|add| add.input.to_value()).collect();
        let count = wording::count(elements.len(), "element");
        Some(Finding {
            cycle: Vec::new(),
            certificate: None,
            kind: "vanished-element".to_owned(),
            severity: Severity::Evidence,
            title: format!(
                "{count} seen during the run, never acknowledged, and gone at the end, first #{}",
                first.call
            ),
            sentences: vec![format!("Seen and gone: {}.", wording::elements(&elements, 20))],
            ops: shown.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &shown),
            faults: Vec::new(),
        })
    }
}

impl Checker for SetChecker {
    fn name(&self) -> &str {
        "set"
    }

    fn check(&self, history: &History, _budget: &Budget) -> Verdict {
        let add = history.find_name("add");
        let mut workloads: Vec<NameId> =
            history.ops().iter().filter(|op| Some(op.function) == add).map(|op| op.workload).collect();
        workloads.sort_unstable();
        workloads.dedup();
        workloads.retain(|id| self.workload.as_ref().is_none_or(|name| history.name(*id) == name));
        let judged: Vec<Judged<'_>> =
            sets(history, &workloads).into_iter().map(|((_, key), set)| judge(key, set)).collect();
        let mut findings: Vec<Finding> = Vec::new();
        findings.extend(judged.iter().filter_map(|set| set.lost_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.unexpected_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.duplicated_finding(history)));
        let violations = findings.len();
        findings.extend(judged.iter().filter_map(|set| set.missing_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.vanished_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.differing(history)));
        let (validity, summary) = answer(history, &judged, violations);
        let name = if let [one] = workloads[..] { history.name(one).to_owned() } else { String::new() };
        Verdict {
            checker: self.name().to_owned(),
            workload: name,
            validity,
            summary,
            findings,
            numbers: numbers(history, &judged),
            certificates: Vec::new(),
        }
    }
}

fn answer(history: &History, judged: &[Judged<'_>], violations: usize) -> (Validity, String) {
    let sum = |count: fn(&Judged<'_>) -> usize| judged.iter().map(count).sum::<usize>();
    let acknowledged = sum(|set| set.acknowledged);
    let mut silent: Vec<&str> = judged.iter().flat_map(|one| one.set.silent()).map(|node| history.name(node)).collect();
    silent.sort_unstable();
    silent.dedup();
    let but = match silent[..] {
        [] => String::new(),
        _ => format!(" No final read succeeded on {}; the verdict is from the other nodes.", silent.join(", ")),
    };
    if violations > 0 {
        let (lost, unexpected, duplicated) =
            (sum(|set| set.lost.len()), sum(|set| set.unexpected.len()), sum(|set| set.duplicated.len()));
        let text = format!(
            "Of {acknowledged} acknowledged adds {lost} are lost; {unexpected} unexpected and {duplicated} duplicated \
             elements.{but}"
        );
        return (Validity::Invalid, text);
    }
    let unread = judged.iter().filter(|set| !set.set.adds.is_empty() && set.set.finals.is_empty()).count();
    if acknowledged == 0 {
        return (Validity::Unknown, "No add was acknowledged, so nothing can be said.".to_owned());
    }
    if unread > 0 {
        let text = format!("No final read succeeded for {} of {}.", wording::count(unread, "set"), judged.len());
        return (Validity::Unknown, text);
    }
    let (missing, late) = (sum(|set| set.missing.len()), sum(|set| set.unread));
    if missing > 0 {
        let text = format!(
            "{missing} of {acknowledged} acknowledged adds are in no final read, but {} never answered one and may have them.",
            silent.join(", ")
        );
        return (Validity::Unknown, text);
    }
    if late > 0 {
        let text = format!("No final read began after {late} of {acknowledged} adds were acknowledged.");
        return (Validity::Unknown, text);
    }
    if let Some((leader, count)) = judged.iter().find_map(|set| set.leader_lacks(history)) {
        let text = format!(
            "{leader}, which led, lacks {count} of {acknowledged} acknowledged adds in its final read; only other nodes have them."
        );
        return (Validity::Unknown, text);
    }
    let reads = sum(|set| set.set.finals.len());
    (Validity::Valid, format!("All {acknowledged} acknowledged adds are in the {reads} final reads together.{but}"))
}

fn numbers(history: &History, judged: &[Judged<'_>]) -> BTreeMap<String, serde_json::Value> {
    let sum = |count: fn(&Judged<'_>) -> usize| json!(judged.iter().map(count).sum::<usize>());
    let (by_node, by_fault) = losses::tallies(history, judged.iter().flat_map(|set| set.lost.iter().copied()));
    BTreeMap::from([
        ("acknowledged".to_owned(), sum(|set| set.acknowledged)),
        ("lost".to_owned(), sum(|set| set.lost.len())),
        ("missing".to_owned(), sum(|set| set.missing.len())),
        ("unexpected".to_owned(), sum(|set| set.unexpected.len())),
        ("recovered".to_owned(), sum(|set| set.recovered)),
        ("duplicated".to_owned(), sum(|set| set.duplicated.len())),
        ("vanished".to_owned(), sum(|set| set.vanished.len())),
        ("final_reads".to_owned(), sum(|set| set.set.finals.len())),
        ("lost_by_node".to_owned(), json!(by_node)),
        ("lost_by_fault".to_owned(), json!(by_fault)),
    ])
}
