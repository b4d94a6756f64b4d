//! `replicas-agree`: once all is quiet, every node shows the same set, with everything that was acknowledged.
//!
//! Functions: `add` with the element, `read` with the list of all. A node is a replica; its last final read, by real time,
//! is what it holds. Final are reads of the settle phase that were called `quiesce` or more after every add had ended
//! and every fault was gone; one that failed with the code `absent` is a read of nothing.
//!
//! Violations: `lost-element`, a node lacks an acknowledged element that another node has, and is certainly not only
//! behind; `diverged`, once for each such set. A node is certainly not only behind in three cases:
//! - The run noted that its replicas had converged (the recipe's `converged` probe), after every add and every fault and
//!   before the node's last final read, and no later final read of the node gained an acknowledged element.
//! - No final read of any node showed a change for `standstill` before the node's last final read, the node holds an
//!   element that was only added after the first element that it lacks, and the run did not note that its replicas had
//!   not converged.
//! - The option `catch_up` says how long a replica may be behind, and the node's last final read was called later than that after
//!   every add had ended and every fault was gone.
//!
//! Unknown: a node that lacks an acknowledged element in any other case may be behind (`replica-lags`), also where it
//! holds later elements: with several writers, gossip or shards elements arrive in any order. A node that lacks only
//! elements of adds in doubt makes `replicas-differ`. A node that was asked and gave no final read of its own (its
//! reads failed, or another node answered in its place) was not compared, and is named. What no node has at the end is
//! `set`'s to find.
//!
//! It asks nothing where final reads are not made on each node: the option `final_reads`.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use super::{Crdt, CrdtType, Object};
use crate::calls::{Elements, at, by_key, changed_by, workloads_with};
use crate::checker::{CheckerDoc, Judges, Reads};
use crate::history::standstill::{STANDSTILL_MS, Shown, converged_at, last_change, not_converged, unchanged};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::final_reads::{Failures, FinalReads, answered, last_words, none_of_its_own, unheard};
use crate::options::{Given, Options, schema};
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// Options of `replicas-agree`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplicasAgreeOptions {
    final_reads: FinalReads,
    /// How long after the last update and the last heal a read of the settle phase is final. Left out: at once.
    quiesce: Option<Span>,
    /// How long no final read of any node may show a change before a difference counts as permanent, where the run does not know
    /// that its replicas had converged.
    standstill: Span,
    /// How long after the last update and the last heal a replica may be behind. Left out: for ever.
    catch_up: Option<Span>,
}

impl Default for ReplicasAgreeOptions {
    fn default() -> ReplicasAgreeOptions {
        ReplicasAgreeOptions {
            final_reads: FinalReads::default(),
            quiesce: None,
            standstill: Span::millis(STANDSTILL_MS),
            catch_up: None,
        }
    }
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "replicas-agree",
    doc: "At the end all nodes show the same set, with everything that was acknowledged.",
    cost: "near-linear",
    judges: Judges::calls(&["add"], &["read"]).reading(Reads::Elements),
    options: schema::<ReplicasAgreeOptions>,
    build: |given| {
        let ReplicasAgreeOptions { final_reads, quiesce, standstill, catch_up } = given.read()?;
        let crdt = Crdt { quiesce_ms: quiesce.map(Span::as_millis), ..Crdt::default() };
        let (standstill_ms, catch_up_ms) = (standstill.as_millis(), catch_up.map(Span::as_millis));
        Ok(Box::new(ReplicasAgree { mode: final_reads, standstill_ms, catch_up_ms, crdt }))
    },
};

/// How long final reads must show no change before replicas that differ stand still, where this is the checker that asks for
/// it.
pub fn standstill(checker: &str, options: &Options) -> Option<Duration> {
    let given = (checker == DOC.name).then(|| Given::new(DOC.name, options))?.ok()?;
    Some(given.read::<ReplicasAgreeOptions>().ok()?.standstill.0)
}

/// Judges whether replicas of sets agree at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplicasAgree {
    mode: FinalReads,
    standstill_ms: u64,
    catch_up_ms: Option<u64>,
    crdt: Crdt,
}

impl Default for ReplicasAgree {
    fn default() -> ReplicasAgree {
        ReplicasAgree {
            mode: FinalReads::default(),
            standstill_ms: STANDSTILL_MS,
            catch_up_ms: None,
            crdt: Crdt::default(),
        }
    }
}

/// What one node holds.
struct Replica<'h> {
    node: NameId,
    read: Op<'h>,
    elements: HashSet<u32>,
    /// Whether its last reads show an acknowledged element that an earlier final read of it lacked.
    caught_up: bool,
    /// Its final reads.
    shown: Shown<'h, HashSet<u32>>,
}

/// Why a replica that lacks something is certainly not only behind.
enum Certain<'h> {
    /// The run noted at this time that its replicas had converged.
    Converged(u64),
    /// No final read showed a change for this time, in nanoseconds, and the replica has an element that was only added
    /// after the first that it lacks.
    Standstill(u64, Op<'h>),
    /// It was read this time after all was quiet, in nanoseconds, and may be behind for less.
    Late(u64),
}

/// What a replica lacks that another has.
struct Lacking<'h> {
    /// Acknowledged before it was read.
    acknowledged: Vec<(u32, Op<'h>)>,
    /// Added by calls in doubt only.
    doubtful: Vec<u32>,
}

/// One set.
struct Replicas<'h> {
    key: ValueRef<'h>,
    elements: Elements<'h>,
    /// By element: its adds that may have taken effect.
    adds: Vec<Vec<Op<'h>>>,
    replicas: Vec<Replica<'h>>,
    failed: Vec<Op<'h>>,
    /// Nodes that were asked and that gave no final read of their own.
    unheard: BTreeSet<&'h str>,
    /// When every add had ended and every fault was gone, in nanoseconds.
    quiet: u64,
}

impl<'h> Replicas<'h> {
    fn of(history: &'h History, ops: &[u32], object: &Object<'h>, since: (u64, u64)) -> Replicas<'h> {
        let mut set = Replicas {
            key: object.key,
            elements: Elements::default(),
            adds: Vec::new(),
            replicas: Vec::new(),
            failed: Vec::new(),
            unheard: BTreeSet::new(),
            quiet: object.quiet,
        };
        for add in &object.updates {
            let id = set.number(add.input);
            set.adds[id as usize].push(*add);
        }
        let read = history.find_name("read");
        let settled =
            ops.iter().map(|&position| at(history, position)).filter(|op| op.settle && Some(op.function) == read);
        let (finals, failed): (Vec<Op<'h>>, Vec<Op<'h>>) = settled.partition(|op| answered(history, op));
        let asked: Vec<Op<'h>> = finals.iter().chain(&failed).copied().collect();
        set.failed = failed;
        let quiet = |op: &Op<'h>| op.call > since.0 && op.call_time >= since.1 && messages::placed(history, op);
        let finals: Vec<Op<'h>> = finals.into_iter().filter(quiet).collect();
        for (node, places) in last_words(history, &finals) {
            let Some(node) = node else { continue };
            let Some(last) = places.iter().map(|&place| finals[place]).max_by_key(|op| op.call) else { continue };
            let elements = places.iter().flat_map(|&place| set.shown(&finals[place])).collect::<HashSet<u32>>();
            let own = finals.iter().filter(|read| read.node == node);
            let own: Vec<(Op<'h>, HashSet<u32>)> = own.map(|read| (*read, set.shown(read))).collect();
            let mut earlier = own.iter().filter(|(read, _)| read.reply < last.call);
            let caught_up = earlier.any(|(_, before)| elements.difference(before).any(|id| set.acknowledged(*id)));
            set.replicas.push(Replica { node, read: last, elements, caught_up, shown: Shown::new(own) });
        }
        set.replicas.sort_by_key(|replica| history.name(replica.node));
        set.unheard = unheard(history, asked.iter(), set.replicas.iter().map(|replica| replica.node));
        set
    }

    fn number(&mut self, value: ValueRef<'h>) -> u32 {
        let id = self.elements.number(value);
        if self.adds.len() < self.elements.len() {
            self.adds.resize_with(self.elements.len(), Vec::new);
        }
        id
    }

    fn shown(&mut self, read: &Op<'h>) -> HashSet<u32> {
        read.output.as_list().unwrap_or_default().iter().map(|value| self.number(value)).collect()
    }

    fn acknowledged(&self, id: u32) -> bool {
        self.adds[id as usize].iter().any(|add| add.outcome == Outcome::Ok)
    }

    /// What this replica lacks of what others have.
    fn lacking(&self, replica: &Replica<'h>) -> Lacking<'h> {
        let others = self.replicas.iter().flat_map(|other| other.elements.iter().copied());
        let mut lacking: Vec<u32> = others.filter(|id| !replica.elements.contains(id)).collect();
        lacking.sort_unstable();
        lacking.dedup();
        let mut found = Lacking { acknowledged: Vec::new(), doubtful: Vec::new() };
        for id in lacking {
            let adds = &self.adds[id as usize];
            let acknowledged = adds.iter().filter(|add| add.outcome == Outcome::Ok).min_by_key(|add| add.reply);
            match acknowledged {
                Some(add) => found.acknowledged.push((id, *add)),
                // What no call added is another checker's to find.
                None if !adds.is_empty() => found.doubtful.push(id),
                None => {}
            }
        }
        found.acknowledged.sort_by_key(|(_, add)| add.reply);
        found
    }

    /// Something that the replica holds and that was only added after the first element that it lacks was acknowledged.
    fn has_later(&self, replica: &Replica<'h>, first: &Op<'h>) -> Option<Op<'h>> {
        let adds = |id: &u32| self.adds[*id as usize].iter().min_by_key(|add| add.call).copied();
        replica.elements.iter().filter_map(adds).filter(|add| add.call > first.reply).min_by_key(|add| add.call)
    }

    /// How long no replica showed a change before the last read of this one, in nanoseconds.
    fn unchanged(&self, replica: &Replica<'h>) -> u64 {
        unchanged(&replica.shown, last_change(self.replicas.iter().map(|replica| &replica.shown)))
    }

    fn values(&self, ids: impl Iterator<Item = u32>) -> Vec<Value> {
        ids.map(|id| self.elements.value(id).to_value()).collect()
    }
}

/// When the last fault may have ended; none where there was none, or one may not have ended.
fn last_heal(history: &History) -> Option<u64> {
    history.faults.iter().filter_map(|fault| fault.possible()).map(|(_, end)| end).max().filter(|end| *end < u64::MAX)
}

/// A replica that lacks something of one set.
struct Lag<'a, 'h> {
    history: &'h History,
    set: &'a Replicas<'h>,
    replica: &'a Replica<'h>,
    lacking: &'a Lacking<'h>,
}

impl<'h> Lag<'_, 'h> {
    fn node(&self) -> &'h str {
        self.history.name(self.replica.node)
    }

    /// How far it is from what others have, and since when.
    fn extent(&self) -> Vec<String> {
        let Some((_, first)) = self.lacking.acknowledged.first() else { return Vec::new() };
        let count = self.lacking.acknowledged.len();
        let all = self.set.adds.iter().filter(|adds| adds.iter().any(|add| add.outcome == Outcome::Ok)).count();
        let read = messages::seconds(self.replica.read.call_time);
        let healed = last_heal(self.history).map(|end| self.replica.read.call_time.saturating_sub(end));
        let healed =
            healed.map_or(String::new(), |since| format!(", {} after the last heal", messages::seconds(since)));
        let node = self.node();
        let values = self.set.values(self.lacking.acknowledged.iter().map(|(id, _)| *id));
        vec![
            format!("{node} lacks {count} of {all} acknowledged elements: {}.", messages::elements(&values, 20)),
            format!(
                "The first of them was acknowledged at {}; {node} was read at {read}{healed}.",
                messages::seconds(first.reply_time)
            ),
        ]
    }

    /// Another replica's read that has this element.
    fn has(&self, id: u32) -> Option<Op<'h>> {
        self.set.replicas.iter().find(|replica| replica.elements.contains(&id)).map(|replica| replica.read)
    }

    fn violation(&self, kind: &'static str, title: String, id: u32, add: Option<Op<'h>>) -> Violation<'h> {
        let ops = add.into_iter().chain([self.replica.read]).chain(self.has(id)).collect();
        let subject = self.set.elements.value(id).to_value();
        Violation { certified: false, ..Violation::new(kind, title, subject, ops) }.on(self.set.key)
    }

    /// Reports what it lacks, and why it is not only behind.
    fn lost(&self, certain: &Certain<'h>, report: &mut Report<'h>) {
        let Some(&(id, first)) = self.lacking.acknowledged.first() else { return };
        let count = messages::count(self.lacking.acknowledged.len(), "acknowledged element");
        let title = format!("{} lacks {count} that another node has, first #{}", self.node(), first.call);
        let mut violation =
            self.violation("lost-element", title, id, Some(first)).times(self.lacking.acknowledged.len());
        violation.why.extend(self.extent());
        violation.reasons.push(match certain {
            Certain::Converged(at) => format!(
                "It is not merely behind: the run saw at {}, before this read, that the replicas had converged.",
                messages::seconds(*at)
            ),
            Certain::Standstill(unchanged, later) => {
                violation.ops.push(*later);
                format!(
                    "It is not merely behind: it has {}, which was only added (#{}) after that, and no final read of any \
                     node showed a change for {}.",
                    later.input,
                    later.call,
                    messages::seconds(*unchanged)
                )
            }
            Certain::Late(since) => format!(
                "It had {} to catch up after the last add and the last heal: more than the option catch_up allows.",
                messages::seconds(*since)
            ),
        });
        report.record(violation);
    }

    fn lags(&self, standstill_ms: u64, report: &mut Report<'h>) {
        let Some(&(id, first)) = self.lacking.acknowledged.first() else { return };
        let count = self.lacking.acknowledged.len();
        let title = format!(
            "{} is behind by {}, since {}",
            self.node(),
            messages::count(count, "acknowledged element"),
            messages::seconds(first.reply_time)
        );
        let mut violation = self.violation("replica-lags", title, id, Some(first)).times(count);
        violation.why.extend(self.extent());
        let unchanged = self.set.unchanged(self.replica);
        let reason = if not_converged(self.history).is_some() {
            "The run noted that its replicas had not converged, so it may be behind and not have diverged. The option catch_up \
             says how long a replica may be behind."
                .to_owned()
        } else if self.replica.caught_up {
            "A later final read of it showed more than an earlier one, so it may be behind and not have diverged."
                .to_owned()
        } else if unchanged >= standstill_ms.saturating_mul(1_000_000) {
            format!(
                "It holds nothing that was added later, so it may be behind and not have diverged, although no final read \
                 showed a change for {}.",
                messages::seconds(unchanged)
            )
        } else {
            format!(
                "The run does not know that its replicas had converged, and final reads showed no change for {} only (asked: \
                 {standstill_ms} ms), so it may be behind and not have diverged.",
                messages::seconds(unchanged)
            )
        };
        violation.reasons.push(reason);
        report.record(Violation { severity: Severity::Evidence, ..violation });
    }
}

/// Sums over all sets.
#[derive(Default)]
struct Totals<'h> {
    acknowledged: usize,
    sets: usize,
    reads: usize,
    /// Sets of which fewer than two nodes answered.
    few: usize,
    unclear: Vec<u64>,
    doubtful: usize,
    /// Nodes that may only be behind, with how far.
    behind: BTreeMap<&'h str, usize>,
    /// Nodes of which some set was not compared.
    unheard: BTreeSet<&'h str>,
    failures: Failures<'h>,
}

impl ReplicasAgree {
    /// Why a replica is certainly not only behind, although it lacks this element first; none where it may be.
    fn certain<'h>(
        &self,
        history: &History,
        set: &Replicas<'h>,
        replica: &Replica<'h>,
        first: &Op<'h>,
    ) -> Option<Certain<'h>> {
        let late = replica.read.call_time.saturating_sub(set.quiet);
        if self.catch_up_ms.is_some_and(|bound| late > bound.saturating_mul(1_000_000)) {
            return Some(Certain::Late(late));
        }
        if replica.caught_up || not_converged(history).is_some() {
            return None;
        }
        let converged = converged_at(history).filter(|at| (set.quiet..=replica.read.call_time).contains(at));
        if let Some(at) = converged {
            return Some(Certain::Converged(at));
        }
        let unchanged = set.unchanged(replica);
        let still = unchanged > 0 && unchanged >= self.standstill_ms.saturating_mul(1_000_000);
        set.has_later(replica, first).filter(|_| still).map(|later| Certain::Standstill(unchanged, later))
    }

    fn judge<'h>(&self, history: &'h History, set: &Replicas<'h>, totals: &mut Totals<'h>, report: &mut Report<'h>) {
        let all: Vec<Lacking<'h>> = set.replicas.iter().map(|replica| set.lacking(replica)).collect();
        let mut diverged: Option<(usize, Op<'h>)> = None;
        for (place, (replica, lacking)) in set.replicas.iter().zip(&all).enumerate() {
            let lag = Lag { history, set, replica, lacking };
            let Some((_, first)) = lacking.acknowledged.first() else {
                if let Some(&id) = lacking.doubtful.first() {
                    totals.doubtful += 1;
                    let title = format!("{} lacks an element in doubt that another node has", lag.node());
                    let violation = lag.violation("replicas-differ", title, id, set.adds[id as usize].first().copied());
                    report.record(Violation { severity: Severity::Evidence, ..violation });
                }
                continue;
            };
            match self.certain(history, set, replica, first) {
                Some(certain) => {
                    lag.lost(&certain, report);
                    diverged = diverged.or(Some((place, *first)));
                }
                None => {
                    lag.lags(self.standstill_ms, report);
                    *totals.behind.entry(lag.node()).or_default() += lacking.acknowledged.len();
                }
            }
        }
        if let Some((place, first)) = diverged {
            let (replica, lacking) = (&set.replicas[place], &all[place]);
            let lag = Lag { history, set, replica, lacking };
            let lacks = |(replica, lacking): (&Replica<'h>, &Lacking<'h>)| {
                let count = lacking.acknowledged.len() + lacking.doubtful.len();
                format!("{} lacks {count} of {}", history.name(replica.node), count + replica.elements.len())
            };
            let title = format!("the nodes hold different sets: {} lacks what another has", lag.node());
            let mut violation = lag.violation("diverged", title, lacking.acknowledged[0].0, Some(first));
            violation.why = set.replicas.iter().zip(&all).map(lacks).map(|text| format!("{text} elements.")).collect();
            violation.reasons.push("Every add had ended before any of them was read.".to_owned());
            report.record(violation);
        }
    }
}

impl Checker for ReplicasAgree {
    fn name(&self) -> &str {
        DOC.name
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["add"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["add"]);
        if !self.mode.asks_each() {
            let text = format!("Not asked: final_reads is {}, so the nodes need not hold the same.", self.mode.name());
            let verdict = Verdict::unknown(self.name(), text);
            return verdict.not_asked_at_all();
        }
        if let Some(function) = changed_by(history, &workloads, &["add", "read"]) {
            let text = format!("What {function} does to a set is not known, so nothing can be said.");
            return Verdict::unknown(self.name(), text);
        }
        let mut report = Report::new(history);
        let mut totals = Totals::default();
        let mut poll = BudgetPoll::new(budget);
        let quiet = self.crdt.quiet_since(history);
        for group in by_key(history, &workloads).into_iter().take_while(|group| !poll.over(group.ops.len())) {
            let object = self.crdt.object(history, &group, CrdtType::GSet, quiet);
            totals.acknowledged += object.updates.iter().filter(|op| op.outcome == Outcome::Ok).count();
            let malformed = |op: &&Op<'_>| op.output.as_list().is_none();
            totals.unclear.extend(object.reads.iter().filter(malformed).map(|op| op.call));
            let add = history.find_name("add");
            if !group.ops(history).any(|op| Some(op.function) == add) {
                continue;
            }
            totals.sets += 1;
            let since = if quiet.is_some() { object.since } else { (u64::MAX, u64::MAX) };
            let set = Replicas::of(history, &group.ops, &object, since);
            totals.reads += set.replicas.len();
            totals.few += usize::from(set.replicas.len() < 2);
            let unanswered = |op: &&Op<'_>| set.unheard.contains(history.name(history.bound_node(op)));
            set.failed.iter().filter(unanswered).for_each(|op| totals.failures.take(history, op));
            totals.unheard.extend(&set.unheard);
            self.judge(history, &set, &mut totals, &mut report);
        }
        report.late(&poll, history.ops().len(), "operations");
        report.malformed("a read replies with the list of elements", &totals.unclear);
        let numbers = [("acknowledged", json!(totals.acknowledged)), ("final_reads", json!(totals.reads))];
        report.answer(self.name(), totals.answer(history, quiet.is_some()), numbers)
    }
}

impl Totals<'_> {
    fn answer(&self, history: &History, quiet: bool) -> (Validity, String) {
        let unknown = |text: String| (Validity::Unknown, text);
        let sets = messages::count(self.sets, "set");
        let failures = self.failures.sentence();
        if self.acknowledged == 0 {
            return unknown("No add was acknowledged, so nothing can be said.".to_owned());
        }
        if history.nodes.len() == 1 {
            return (Validity::Valid, "There is one node, so there is nothing to compare.".to_owned());
        }
        if self.few > 0 {
            let why = if quiet { "" } else { " A fault may still have been in force." };
            return unknown(format!(
                "Fewer than two nodes answered a final read of {} of {sets}, with {} acknowledged adds in all.{why}{failures}",
                self.few, self.acknowledged
            ));
        }
        if !self.behind.is_empty() {
            let behind = self.behind.iter().map(|(node, count)| format!("{node} is behind by {count}"));
            let behind = behind.collect::<Vec<_>>().join(", ");
            let noted = not_converged(history).map_or(String::new(), |note| format!(" The run says: {note}."));
            return unknown(format!(
                "{behind} of {} acknowledged elements at the end.{noted}{failures}",
                self.acknowledged
            ));
        }
        if self.doubtful > 0 {
            let count = messages::count(self.doubtful, "difference");
            return unknown(format!("{count}, perhaps by an add that was never acknowledged.{failures}"));
        }
        if !self.unheard.is_empty() {
            return unknown(format!(
                "{}, so the comparison is not whole; the other nodes agree.{failures}",
                none_of_its_own(&self.unheard)
            ));
        }
        let reads = messages::count(self.reads, "final read");
        (
            Validity::Valid,
            format!("The nodes agree in {reads} of {sets}, after {} acknowledged adds.{failures}", self.acknowledged),
        )
    }
}
