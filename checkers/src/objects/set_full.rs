//! `set-full`: every element, once it is known, is in every later read, and in particular in the last ones.
//!
//! Functions: `add` with the element as input; `read` with the list of all elements as reply. The set begins empty and
//! nothing is removed from it; `acquire` and `release` of a lock that guards it leave it as it is. Reads of the settle phase, where there are any, are the last reads; else the last read is.
//! Of several of one node (or of clients of which no node is known) that follow each other in real time, only the last
//! counts. A read of the settle phase that failed with the code `absent` is a read of nothing.
//!
//! **Definite.** An element is *known* from the first reply that acknowledged an add of it, or that contained it. It is
//! - *stable* when the last reads have it, and then *stale* when a read that began after it was known lacked it;
//! - *lost* when a last read began after it was known and neither that, nor any read that overlaps the last ones, has it.
//!
//! **Not definite.** Lacking in a last read but not in one that overlaps it, or in one of another node: unsettled. Known
//! only after the last read began: never read. Lost, but a node that was asked for a final read never answered, or a node
//! that acknowledged adds was not asked while reads of other nodes are marked as final: missing, unless a node shows in a
//! later final read that it no longer has it. All three make a history without violations unknown, as do no acknowledged add,
//! no read, and such a node. Where no read is marked, the last one speaks for all nodes, as in Jepsen's `set-full`: an
//! element that was known and that it lacks is lost.
//!
//! Findings: `lost-element`, `duplicated-element` (twice in one read), `unexpected-element` (read without an add that may
//! have happened, or before it was called), and `stale-element`, which is evidence unless the option `linearizable` is
//! set: then every read that lacks a known element breaks the promise.
//!
//! After Jepsen's `set-full`, with the cost of the differences between consecutive reads instead of reads times elements.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
mod timeline;

use crate::calls::{Elements, Group, objects, quantiles_ms, workloads_with};
use crate::checker::{CheckerDoc, Judges, Reads, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::final_reads::{Failures, FinalReads, Unread, answered, leaders_at, silent, unasked};
use crate::objects::judgeable;
use crate::options::schema;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use timeline::{Observation, Timeline};

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "set-full",
    doc: "Every element, once known, is in every later read (linearizable) or at least in the last ones.",
    cost: "near-linear: in the differences between consecutive reads",
    judges: Judges::calls(&["add"], &["read", "acquire", "release"]).reading(Reads::Elements),
    options: schema::<SetFull>,
    build: from_options::<SetFull>,
};

/// Judges workloads that add elements and read all of them. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SetFullOptions")]
pub(crate) struct SetFull {
    /// A read that lacks a known element breaks the promise.
    linearizable: bool,
    final_reads: FinalReads,
    /// An element may be there twice; duplicated-element is evidence then.
    at_least_once: bool,
}

/// What may be called of a set, and of the lock under which it is changed.
const TAKES: [&str; 4] = ["add", "read", "acquire", "release"];

/// The calls of one set.
#[derive(Default)]
struct Set<'h> {
    elements: Elements<'h>,
    /// For each element its first add that may have happened, and the first that was acknowledged.
    tried: Vec<Option<Op<'h>>>,
    acknowledged: Vec<Option<Op<'h>>>,
    /// Elements of which an add certainly did not happen, with that add.
    refused: Vec<(u32, Op<'h>)>,
    /// Successful reads in the order of their calls.
    reads: Vec<Op<'h>>,
    /// Final reads that say nothing.
    failed: Vec<Op<'h>>,
    malformed: Vec<u64>,
    attempts: u64,
    /// Nodes to which adds were made that were acknowledged.
    added: BTreeSet<NameId>,
}

fn collect<'h>(history: &'h History, object: &Group<'h>) -> Set<'h> {
    let add = history.find_name("add");
    let mut set = Set::default();
    for op in object.ops(history) {
        if Some(op.function) != add {
            match answered(history, &op) {
                true => set.reads.push(op),
                false if op.settle => set.failed.push(op),
                false => {}
            }
            if op.outcome == Outcome::Ok && op.output.as_list().is_none() {
                set.malformed.push(op.call);
            }
            continue;
        }
        set.attempts += 1;
        let id = set.elements.number(op.input);
        let at = id as usize;
        if at == set.tried.len() {
            set.tried.push(None);
            set.acknowledged.push(None);
        }
        if op.outcome == Outcome::Fail {
            set.refused.push((id, op));
            continue;
        }
        set.tried[at].get_or_insert(op);
        let first = set.acknowledged[at].is_none_or(|known| op.reply < known.reply);
        if op.outcome == Outcome::Ok {
            set.added.insert(history.bound_node(&op));
        }
        if op.outcome == Outcome::Ok && first {
            set.acknowledged[at] = Some(op);
        }
    }
    set
}

impl<'h> Set<'h> {
    /// Nodes that were asked for a final read and never answered one.
    fn silent(&self, history: &History) -> BTreeSet<NameId> {
        silent(history, self.failed.iter(), self.reads.iter().filter(|read| read.settle))
    }

    /// Nodes of which no final read says what they hold. Where no read is marked as final, the last read speaks for all.
    fn unread<'a>(&self, history: &'a History) -> Unread<'a> {
        let finals = self.reads.iter().filter(|read| read.settle).chain(&self.failed);
        Unread::of(history, &self.silent(history), &unasked(history, self.added.iter().copied(), finals))
    }

    /// Those of these elements that a node had in one final read and lacks in a later one.
    fn dropped(&self, history: &History, timeline: &Timeline, ids: &[u32]) -> BTreeSet<u32> {
        let mut wanted: Vec<u32> = ids.to_vec();
        wanted.sort_unstable();
        let node = |read: &Op<'h>| messages::placed(history, read).then_some(read.node);
        let mut words: BTreeMap<Option<NameId>, u64> = BTreeMap::new();
        for word in timeline.words.iter().map(|&at| self.reads[at as usize]) {
            let call = words.entry(node(&word)).or_default();
            *call = word.call.max(*call);
        }
        let followed = |read: &&Op<'h>| words.get(&node(read)).is_some_and(|&call| read.reply < call);
        let earlier = self.reads.iter().filter(|read| read.settle).filter(followed);
        let shown = earlier.flat_map(|read| read.output.as_list().unwrap_or_default().iter());
        shown.filter_map(|value| self.elements.find(value)).filter(|id| wanted.binary_search(id).is_ok()).collect()
    }

    /// When an element was first known: the reply that showed it.
    fn known(&self, at: usize, seen: Option<Observation>) -> Option<Op<'h>> {
        let added = self.acknowledged.get(at).copied().flatten();
        let seen = seen.map(|seen| self.reads[seen.first as usize]);
        match (added, seen) {
            (Some(added), Some(seen)) => Some(if seen.reply < added.reply { seen } else { added }),
            (added, seen) => added.or(seen),
        }
    }

    fn tried(&self, at: usize) -> Option<Op<'h>> {
        self.tried.get(at).copied().flatten()
    }
}

/// Elements by their status at the end, each by number.
#[derive(Default)]
struct Statuses {
    stable: u64,
    stale: Vec<u32>,
    lost: Vec<u32>,
    unsettled: Vec<u32>,
    never_read: Vec<u32>,
    unexpected: Vec<u32>,
    stable_latencies: Vec<u64>,
    lost_latencies: Vec<u64>,
}

fn statuses(set: &Set<'_>, timeline: &Timeline) -> Statuses {
    let mut statuses = Statuses::default();
    let last = timeline.words.first();
    for at in 0..set.elements.len() {
        let id = at as u32;
        let seen = timeline.seen(id);
        let first_reply = seen.map(|seen| set.reads[seen.first as usize].reply);
        if set.tried(at).is_none_or(|add| first_reply.is_some_and(|reply| reply < add.call)) {
            if seen.is_some() {
                statuses.unexpected.push(id);
            }
            continue;
        }
        let Some(known) = set.known(at, seen) else { continue };
        let after = |at: u32| Some(set.reads[at as usize]).filter(|read| read.call > known.reply);
        let asked_after = last.and_then(|&at| after(at));
        match seen {
            Some(seen) if seen.in_words && seen.lacking.and_then(after).is_none() => {
                statuses.stable += 1;
                if !seen.in_last || asked_after.is_none() {
                    continue;
                }
                let absent = seen.absent.and_then(after);
                statuses
                    .stable_latencies
                    .push(absent.map_or(0, |read| read.call_time.saturating_sub(known.reply_time)));
                if absent.is_some() {
                    statuses.stale.push(id);
                }
            }
            _ if asked_after.is_none() => statuses.never_read.push(id),
            Some(seen) if seen.in_tail => statuses.unsettled.push(id),
            seen => {
                statuses.lost.push(id);
                let until = seen.map_or(0, |seen| set.reads[seen.last as usize].call_time);
                statuses.lost_latencies.push(until.max(known.reply_time).saturating_sub(known.reply_time));
            }
        }
    }
    statuses
}

/// One set with what was found in it.
struct Judge<'a, 'h> {
    history: &'h History,
    key: crate::value::ValueRef<'h>,
    set: &'a Set<'h>,
    timeline: &'a Timeline,
    /// Whether all last reads count.
    whole: bool,
}

impl<'h> Judge<'_, 'h> {
    fn names(&self, ids: &[u32]) -> String {
        // Of thousands only the first are named.
        let values: Vec<_> = ids.iter().take(1_000).map(|&id| self.set.elements.value(id).to_value()).collect();
        let more = ids.len().saturating_sub(values.len());
        let text = messages::elements(&values, 20);
        if more > 0 { format!("{text}, and {more} more") } else { text }
    }

    /// Elements that a read lacks although they were known before it began.
    fn lacking(&self, kind: &'static str, what: &str, ids: &[u32]) -> Option<Violation<'h>> {
        let &first = ids.first()?;
        let seen = self.timeline.seen(first);
        let known = self.set.known(first as usize, seen)?;
        let absent = seen.filter(|seen| seen.in_words).and_then(|seen| {
            let lacking = seen.lacking.filter(|&at| self.set.reads[at as usize].call > known.reply);
            lacking.or(seen.absent)
        });
        let last = self.timeline.words.first().copied();
        let read = absent.or(last).map(|at| self.set.reads[at as usize])?;
        let element = self.set.elements.value(first);
        let mut ops = vec![known, read];
        ops.extend(self.set.tried(first as usize));
        let later = seen.filter(|seen| seen.in_tail).map(|seen| self.set.reads[seen.last as usize]);
        ops.extend(later);
        let title = format!(
            "{} {what}, e.g. {element}, known since #{} and not in #{}",
            messages::count(ids.len(), "element"),
            known.call,
            read.call
        );
        let violation = Violation::new(kind, title, element.to_value(), ops)
            .on(self.key)
            .times(ids.len())
            .why(format!("Elements: {}.", self.names(ids)));
        let mut violation = violation;
        // A certificate does not say that a failed read means that nothing is there.
        violation.certified &= violation.ops.iter().all(|op| op.outcome != Outcome::Fail);
        Some(if kind == "lost-element" { self.nowhere(violation) } else { violation })
    }

    /// The reads that a loss rests on.
    fn nowhere(&self, mut violation: Violation<'h>) -> Violation<'h> {
        let tail: Vec<Op<'h>> = self.timeline.tail.iter().map(|&at| self.set.reads[at as usize]).collect();
        let readers = messages::on_all(self.history, &tail);
        let count = messages::count(tail.len(), "last read");
        violation.ops.extend(tail.iter().take(4));
        // A certificate knows no nodes, no failed reads that say something, and not which answers count.
        let plain = |read: &Op<'h>| {
            let late = read.reply > self.timeline.first
                && read.output.as_list().unwrap_or_default().iter().any(|one| one == violation.subject);
            read.outcome == Outcome::Ok && !late
        };
        violation.certified = tail.len() <= 4 && self.whole && self.set.reads.iter().all(plain);

        violation.why(format!("None of the {count}{readers} has one of them, nor any later read."))
    }

    fn unexpected(&self, ids: &[u32]) -> Option<Violation<'h>> {
        let &first = ids.first()?;
        let read = self.set.reads[self.timeline.seen(first)?.first as usize];
        let element = self.set.elements.value(first);
        let mut ops = vec![read];
        ops.extend(self.set.tried(first as usize));
        ops.extend(self.set.refused.iter().filter(|(id, _)| *id == first).map(|(_, op)| *op).take(2));
        let count = messages::count(ids.len(), "element");
        let in_vain = self.set.refused.iter().find(|(id, op)| *id == first && op.call < read.reply);
        let in_vain = in_vain.filter(|_| self.set.tried(first as usize).is_none());
        let refused = in_vain.map(|(_, op)| format!(", whose add #{} was refused", op.call)).unwrap_or_default();
        let title =
            format!("{count} read that no add can have put there by then, e.g. {element} in #{}{refused}", read.call);
        let why = if ops.len() == 1 {
            format!("No add of {element} was ever called.")
        } else {
            format!("No add of {element} that may have happened was called before #{} ended.", read.call)
        };
        let violation =
            Violation::new("unexpected-element", title, element.to_value(), ops).on(self.key).times(ids.len());
        Some(violation.why(format!("Elements: {}.", self.names(ids))).why(why))
    }

    fn duplicated(&self) -> Option<Violation<'h>> {
        let &(first, at) = self.timeline.duplicated.first()?;
        let read = self.set.reads[at as usize];
        let ids: Vec<u32> = self.timeline.duplicated.iter().map(|(id, _)| *id).collect();
        let element = self.set.elements.value(first);
        let count = messages::count(ids.len(), "element");
        let title = format!("{count} twice in one read, e.g. {element} in #{}", read.call);
        let violation = Violation::new("duplicated-element", title, element.to_value(), vec![read]);
        Some(violation.on(self.key).times(ids.len()).why(format!("Elements: {}.", self.names(&ids))))
    }
}

/// Sums over all sets.
#[derive(Default)]
struct Totals<'h> {
    attempts: u64,
    acknowledged: u64,
    reads: u64,
    stable: u64,
    stale: u64,
    lost: u64,
    missing: u64,
    unsettled: u64,
    never_read: u64,
    unexpected: u64,
    duplicated: u64,
    unread_sets: u64,
    stable_latencies: Vec<u64>,
    lost_latencies: Vec<u64>,
    malformed: Vec<u64>,
    unread: Unread<'h>,
    failures: Failures<'h>,
}

impl SetFull {
    fn judge<'h>(
        &self,
        history: &'h History,
        object: &Group<'h>,
        totals: &mut Totals<'h>,
        poll: &mut BudgetPoll<'_>,
        report: &mut Report<'h>,
    ) {
        let mut set = collect(history, object);
        let leaders = match self.final_reads {
            FinalReads::Leader => leaders_at(history, set.reads.iter().map(|read| read.reply).max().unwrap_or(0)),
            _ => BTreeSet::new(),
        };
        let counts = |read: &Op<'h>| leaders.is_empty() || leaders.contains(history.name(read.node));
        let Some(timeline) = Timeline::of(history, &set.reads, &mut set.elements, counts, poll) else { return };
        let mut statuses = statuses(&set, &timeline);
        let silent = set.silent(history);
        let unread = if self.final_reads.asks_each() { set.unread(history) } else { Unread::default() };
        let lost = std::mem::take(&mut statuses.lost);
        let perhaps = !unread.is_empty()
            || (self.final_reads.takes_away() && set.failed.iter().any(|op| op.outcome == Outcome::Info));
        let dropped = match perhaps && !self.final_reads.takes_away() {
            true => set.dropped(history, &timeline, &lost),
            false => BTreeSet::new(),
        };
        let (lost, missing): (Vec<u32>, Vec<u32>) = lost.into_iter().partition(|id| !perhaps || dropped.contains(id));
        let judge = Judge { history, key: object.key, set: &set, timeline: &timeline, whole: leaders.is_empty() };
        let mut violations = vec![judge.lacking("lost-element", "lost", &lost)];
        violations.push(judge.unexpected(&statuses.unexpected));
        violations.push(
            judge.duplicated().map(|violation| if self.at_least_once { violation.evidence() } else { violation }),
        );
        let stale = judge.lacking("stale-element", "known, then absent, and back later", &statuses.stale);
        let unsettled = judge.lacking("stale-element", "known, and absent from the last read", &statuses.unsettled);
        let missing_told =
            judge.lacking("missing-element", "in no last read, while what a node holds is not known", &missing);
        if self.linearizable {
            let missed = judge.lacking("stale-element", "known, and absent", &missing);
            violations.extend([stale, unsettled, missed]);
        } else {
            violations.extend([stale, unsettled, missing_told].map(|violation| violation.map(Violation::evidence)));
        }
        for violation in violations.into_iter().flatten() {
            report.record(violation);
        }
        totals.attempts += set.attempts;
        totals.acknowledged += set.acknowledged.iter().flatten().count() as u64;
        totals.reads += set.reads.len() as u64;
        totals.unread_sets += u64::from(timeline.words.is_empty() && set.attempts > 0);
        totals.stable += statuses.stable;
        totals.stale += statuses.stale.len() as u64;
        totals.lost += lost.len() as u64;
        totals.missing += missing.len() as u64;
        totals.unsettled += statuses.unsettled.len() as u64;
        totals.never_read += statuses.never_read.len() as u64;
        totals.unexpected += statuses.unexpected.len() as u64;
        totals.duplicated += timeline.duplicated.len() as u64;
        totals.stable_latencies.append(&mut statuses.stable_latencies);
        totals.lost_latencies.append(&mut statuses.lost_latencies);
        totals.malformed.extend(set.malformed);
        let unanswered = |op: &&Op<'h>| timeline.words.is_empty() || silent.contains(&history.bound_node(op));
        set.failed.iter().filter(unanswered).for_each(|op| totals.failures.take(history, op));
        totals.unread.join(unread);
    }
}

impl Totals<'_> {
    fn doubts(&mut self, report: &mut Report<'_>) {
        let acknowledged = self.acknowledged;
        if acknowledged == 0 {
            report.unseen("No add was acknowledged, so nothing can be said.");
        }
        if self.unread_sets > 0 {
            let sets = messages::count(self.unread_sets as usize, "set");
            report.unknown(format!("No last read succeeded for {sets}, with {acknowledged} acknowledged adds in all."));
        } else if self.never_read > 0 {
            report.unknown(format!("No read began after {} of the elements were known.", self.never_read));
        }
        if self.missing > 0 {
            let why = match self.unread.is_empty() {
                true => "a read that may take them away never ended".to_owned(),
                false => self.unread.clause(),
            };
            let is = if self.missing == 1 { "is" } else { "are" };
            let missing = messages::count(self.missing as usize, "element");
            report.unknown(format!("{missing} {is} in no last read, but {why}.{}", self.unread.advice()));
        } else if !self.unread.is_empty() && self.unread_sets == 0 {
            report.unknown(format!("{}.{}", self.unread.none(), self.unread.advice()));
        }
        if self.unsettled > 0 {
            let unsettled = self.unsettled;
            report.unknown(format!("{unsettled} elements are lacking in a last read, but not in one beside it."));
        }
        if self.unread_sets + self.missing > 0 && self.failures.count() > 0 {
            report.unknown(self.failures.sentence().trim_start().to_owned());
        }
        self.malformed.sort_unstable();
        report.malformed("a read replies with the list of elements", &self.malformed);
    }

    fn numbers(self, report: &mut Report<'_>) {
        report.numbers([
            ("attempts", self.attempts),
            ("acknowledged", self.acknowledged),
            ("reads", self.reads),
            ("stable", self.stable),
            ("stale", self.stale),
            ("lost", self.lost),
            ("missing", self.missing),
            ("unsettled", self.unsettled),
            ("never_read", self.never_read),
            ("unexpected", self.unexpected),
            ("duplicated", self.duplicated),
        ]);
        report.number("stable_latency_ms", quantiles_ms(self.stable_latencies));
        report.number("lost_latency_ms", quantiles_ms(self.lost_latencies));
    }
}

impl Checker for SetFull {
    fn name(&self) -> &str {
        "set-full"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["add"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let (mut report, objects) = judgeable(history, objects(history, &["add"], &["add", "read"]), &TAKES, "set");
        let mut totals = Totals::default();
        let mut poll = BudgetPoll::new(budget);
        for object in &objects {
            if poll.over(object.ops.len()) {
                break;
            }
            if self.final_reads == FinalReads::UntilEmpty {
                report.aside("Reads that take away what they return are judged by set.".to_owned());
                continue;
            }
            self.judge(history, object, &mut totals, &mut poll, &mut report);
        }
        totals.doubts(&mut report);
        let sound = format!(
            "All {} elements that were known are in the last reads; {} of them were absent from an earlier one.",
            totals.stable, totals.stale
        );
        totals.numbers(&mut report);
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), sound)
    }
}
