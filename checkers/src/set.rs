//! `set`: what was added and acknowledged is there at the end, and nothing else is.
//!
//! Adds are `add` with the element as input; final reads are `read` with the settle flag and a list as reply, one or
//! more for each node. An element is lost when it is absent from **every** successful final read that began after its
//! acknowledgement; nodes that differ among themselves are evidence only. A read that failed says nothing, never
//! absence: where a node was asked and never answered, what the others lack may be there, and is missing, not lost.
//!
//! A history of another tool that knows neither phases nor final reads ends with one all the same: the last
//! acknowledged read of each set, as in Jepsen's `set`.
mod losses;

use crate::contract::{Elements, changed_by};
use crate::history::{History, NameId, Op, Outcome};
use crate::pace::Pace;
use crate::registry::CheckerDoc;
use crate::split_brain::is_leader;
use crate::value::{Value, ValueRef};
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};

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

/// Elements by their numbers, a bit each.
#[derive(Clone, Default)]
struct Members(Vec<u64>);

impl Members {
    fn has(&self, id: u32) -> bool {
        self.0.get(id as usize / 64).is_some_and(|bits| bits >> (id % 64) & 1 == 1)
    }

    /// Adds one; false where it was there.
    fn insert(&mut self, id: u32) -> bool {
        let at = id as usize / 64;
        if self.0.len() <= at {
            self.0.resize((at + 1).max(self.0.len() * 2), 0);
        }
        let new = self.0[at] >> (id % 64) & 1 == 0;
        self.0[at] |= 1 << (id % 64);
        new
    }

    fn unite(&mut self, other: &Members) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }
}

/// A successful final read.
struct FinalRead<'h> {
    op: Op<'h>,
    members: Members,
}

/// An add, by its place among the operations, and its element's number.
#[derive(Clone, Copy)]
struct Add {
    position: u32,
    id: u32,
}

impl Add {
    fn op<'h>(self, history: &'h History) -> Op<'h> {
        history.ops().at(self.position as usize)
    }
}

/// One set: its adds, its reads.
#[derive(Default)]
struct Set<'h> {
    elements: Elements<'h>,
    adds: Vec<Add>,
    finals: Vec<FinalRead<'h>>,
    /// Other reads with a list.
    reads: Vec<Op<'h>>,
    /// Nodes on which a final read was tried.
    asked: Vec<NameId>,
}

impl<'h> Set<'h> {
    fn take_final(&mut self, op: Op<'h>) {
        let mut members = Members::default();
        for element in elements_of(&op) {
            members.insert(self.elements.number(element));
        }
        self.finals.push(FinalRead { op, members });
    }

    /// The last read is the final one.
    fn end(&mut self) {
        if let Some(last) = self.reads.pop() {
            self.take_final(last);
        }
    }

    /// Everything that is in any final read.
    fn anywhere(&self) -> Members {
        let mut all = Members::default();
        self.finals.iter().for_each(|read| all.unite(&read.members));
        all
    }

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
            "add" => {
                let id = set.elements.number(op.input);
                set.adds.push(Add { position: op.position, id });
            }
            "read" => {
                if op.settle && !set.asked.contains(&op.node) {
                    set.asked.push(op.node);
                }
                let elements = op.output.as_list().filter(|_| op.outcome == Outcome::Ok);
                match elements {
                    Some(_) if op.settle => set.take_final(op),
                    Some(_) => set.reads.push(op),
                    None => {}
                }
            }
            _ => {}
        }
    }
    if knows_no_end(history) {
        sets.values_mut().for_each(Set::end);
    }
    sets
}

/// Whether nothing in the history tells a final read from another: none is marked, there are no phases, and it is no
/// recording of ours, which may have been cut off before them.
fn knows_no_end(history: &History) -> bool {
    history.wall.is_empty() && history.phases.is_empty() && !history.ops().iter().any(|op| op.settle)
}

/// The elements that a read returned.
fn elements_of<'h>(read: &Op<'h>) -> impl ExactSizeIterator<Item = ValueRef<'h>> + use<'h> {
    read.output.as_list().unwrap_or_default().iter()
}

fn judge<'h>(history: &'h History, key: ValueRef<'h>, mut set: Set<'h>) -> Judged<'h> {
    let anywhere = set.anywhere();
    let last = set.finals.iter().map(|read| read.op.call).max();
    let asked_after = |index: u64| last.is_some_and(|last| last > index);
    let (mut lost, mut late, mut acknowledged, mut recovered) = (Vec::new(), 0, 0, 0);
    let mut tried = Members::default();
    let mut doubtful: Vec<Add> = Vec::new();
    for &add in &set.adds {
        let op = add.op(history);
        match op.outcome {
            Outcome::Fail => continue,
            Outcome::Ok => {
                acknowledged += 1;
                if !anywhere.has(add.id) && asked_after(op.reply) {
                    lost.push(op);
                } else if !anywhere.has(add.id) {
                    late += 1;
                }
            }
            Outcome::Info if anywhere.has(add.id) => recovered += 1,
            Outcome::Info => doubtful.push(add),
        }
        tried.insert(add.id);
    }
    let (lost, missing) = if set.silent().is_empty() { (lost, Vec::new()) } else { (Vec::new(), lost) };
    let mut seen: Vec<u64> = Vec::new();
    let mut duplicated = Vec::new();
    let mut told = Members::default();
    let finals = set.finals.iter().map(|read| read.op);
    // The read in which each element was met last.
    let mut met: Vec<u32> = Vec::new();
    for (at, read) in finals.chain(set.reads.iter().copied()).enumerate() {
        let known = at >= set.finals.len();
        for element in elements_of(&read) {
            let id = set.elements.number(element);
            let place = id as usize;
            if met.len() <= place {
                met.resize((place + 1).max(2 * met.len()), u32::MAX);
                seen.resize(met.len(), u64::MAX);
            }
            if std::mem::replace(&mut met[place], at as u32) == at as u32 && told.insert(id) {
                duplicated.push((element, read));
            }
            if known {
                seen[place] = seen[place].min(read.reply);
            }
        }
    }
    let known = |add: &&Add| seen.get(add.id as usize).is_some_and(|&index| index != u64::MAX && asked_after(index));
    let vanished = doubtful.iter().filter(known).map(|add| add.op(history)).collect();
    let mut unexpected = Vec::new();
    let mut told = Members::default();
    for read in &set.finals {
        for element in elements_of(&read.op) {
            let id = set.elements.number(element);
            if !tried.has(id) && told.insert(id) {
                unexpected.push((element, read.op));
            }
        }
    }
    Judged { key, acknowledged, lost, missing, unread: late, vanished, recovered, unexpected, duplicated, set }
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
        let ids: HashSet<u32> = seen.iter().filter_map(|(element, _)| self.set.elements.find(*element)).collect();
        let ours = self.set.adds.iter().filter(|add| ids.contains(&add.id));
        let failed: Vec<Op<'_>> = ours.take(3).map(|add| add.op(history)).collect();
        let mut sentences = vec![format!("{count} {what}: {}.", wording::elements(&elements, 20))];
        let read = |op: &Op<'_>| {
            let size = elements_of(op).len();
            let (place, time) = (wording::on(history, op), wording::seconds(op.reply_time));
            format!("#{}: process {}{place} read {size} elements at {time}.", op.call, op.process)
        };
        sentences.extend(reads.iter().map(read));
        if kind == "unexpected-element" {
            sentences.extend(failed.iter().map(|add| wording::operation(history, add)));
            if failed.is_empty() {
                sentences.push("No add of these was ever called.".to_owned());
            }
        }
        let finding = Finding::new(
            kind,
            Severity::Violation,
            format!("{count} {what}, first seen by #{}{}", first.call, wording::on(history, first)),
        );
        Some(Finding {
            sentences,
            ops: reads.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &reads),
            ..finding
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
        let mut all = Members::default();
        last.values().for_each(|read| all.unite(&read.members));
        let numbers = 0..self.set.elements.len() as u32;
        let lacking: Vec<(NameId, Vec<Value>)> = last
            .iter()
            .map(|(node, read)| {
                let missing = numbers.clone().filter(|&id| all.has(id) && !read.members.has(id));
                (*node, missing.map(|id| self.set.elements.value(id).to_value()).collect::<Vec<_>>())
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
        let finding = Finding::new(
            "replicas-differ",
            Severity::Evidence,
            format!("the final reads differ: {} lack what another node returned", nodes.join(", ")),
        );
        Some(Finding { sentences: lacking.iter().map(say).collect(), ops, key: self.key.to_value(), nodes, ..finding })
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
        let acknowledged = |op: Op<'_>| op.outcome == Outcome::Ok && op.reply < read.op.call;
        let lacking = self.set.adds.iter().filter(|add| !read.members.has(add.id) && acknowledged(add.op(history)));
        Some((leader, lacking.count())).filter(|(_, count)| *count > 0)
    }

    fn missing_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.missing.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.missing.iter().map(|add| add.input.to_value()).collect();
        let count = wording::count(elements.len(), "acknowledged element");
        let silent: Vec<&str> = self.set.silent().into_iter().map(|node| history.name(node)).collect();
        let silent = silent.join(", ");
        let finding = Finding::new(
            "missing-element",
            Severity::Evidence,
            format!("{count} in no final read, while {silent} never answered one, first #{}", first.call),
        );
        Some(Finding {
            sentences: vec![
                format!("Missing: {}.", wording::elements(&elements, 20)),
                format!("No final read on {silent} succeeded, so they may be there: nothing is proven lost."),
            ],
            ops: shown.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &shown),
            ..finding
        })
    }

    fn vanished_finding(&self, history: &History) -> Option<Finding> {
        let shown: Vec<Op<'_>> = self.vanished.iter().take(6).copied().collect();
        let first = shown.first()?;
        let elements: Vec<Value> = self.vanished.iter().map(|add| add.input.to_value()).collect();
        let count = wording::count(elements.len(), "element");
        let finding = Finding::new(
            "vanished-element",
            Severity::Evidence,
            format!("{count} seen during the run, never acknowledged, and gone at the end, first #{}", first.call),
        );
        Some(Finding {
            sentences: vec![format!("Seen and gone: {}.", wording::elements(&elements, 20))],
            ops: shown.iter().map(|op| op.call).collect(),
            key: self.key.to_value(),
            nodes: wording::nodes_of(history, &shown),
            ..finding
        })
    }
}

impl Checker for SetChecker {
    fn name(&self) -> &str {
        "set"
    }

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let add = history.find_name("add");
        let mut workloads: Vec<NameId> =
            history.ops().iter().filter(|op| Some(op.function) == add).map(|op| op.workload).collect();
        workloads.sort_unstable();
        workloads.dedup();
        workloads.retain(|id| self.workload.as_ref().is_none_or(|name| history.name(*id) == name));
        if let Some(function) = changed_by(history, &workloads, &["add", "read"]) {
            let text = format!("What {function} does to a set is not known, so nothing can be said.");
            return Verdict::new(self.name(), Validity::Unknown, text);
        }
        let mut pace = Pace::new(budget);
        let mut judged: Vec<Judged<'_>> = Vec::new();
        for ((_, key), set) in sets(history, &workloads) {
            if pace.over(set.adds.len() + set.finals.len() + set.reads.len()) {
                break;
            }
            judged.push(judge(history, key, set));
        }
        let mut findings: Vec<Finding> = Vec::new();
        findings.extend(judged.iter().filter_map(|set| set.lost_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.unexpected_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.duplicated_finding(history)));
        let violations = findings.len();
        findings.extend(judged.iter().filter_map(|set| set.missing_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.vanished_finding(history)));
        findings.extend(judged.iter().filter_map(|set| set.differing(history)));
        let (mut validity, mut summary) = answer(history, &judged, violations);
        if let Some(late) = pace.reason(history.ops().len(), "operations").filter(|_| violations == 0) {
            (validity, summary) = (Validity::Unknown, late);
        }
        let name = if let [one] = workloads[..] { history.name(one).to_owned() } else { String::new() };
        Verdict {
            workload: name,
            findings,
            numbers: numbers(history, &judged),
            ..Verdict::new(self.name(), validity, summary)
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
