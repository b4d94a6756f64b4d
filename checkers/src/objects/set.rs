//! `set`: what was added and acknowledged is there at the end, and nothing else is.
//!
//! Adds are `add` with the element as input; final reads are `read` with the settle flag and a list as reply, one or
//! more for each node. A final read that failed with the code `absent` is a read of nothing: what it asked for is
//! certainly not there. Any other that failed says nothing, never absence.
//!
//! Reads of one node (or of clients of which no node is known) that follow each other in real time are ordered: the last
//! is what the node holds. An acknowledged element is *lost* when no node holds it at the end although a final read began
//! after its acknowledgement, or when a node lacks it at the end that had it in an earlier final read. Nodes that hold
//! different things at the end are evidence (`replicas-differ`), and nothing is valid then: `replicas-agree` judges them.
//! Where a node was asked and its client got no answer from anybody, or where a node acknowledged adds and was never asked,
//! what the others lack may be there, and is missing, not lost; nothing is valid then either, since that node may hold
//! something else. An answer that another node gave in its place counts: adds are asked for in the whole system, and
//! `replicas-agree` compares nodes. What a node lacks at the end that it had in an earlier final read is lost even so.
//!
//! The option `final_reads` says how the final reads were made. `each-node`: as above. `any-node`, `once`: one answer
//! speaks for all, nodes that never answered are not asked for. `leader`: only the final reads of the node that led count.
//! `until-empty`: reads take away what they return, so that all reads together are what was there; what none of them
//! returned is lost once the last read of each node that answered found nothing, and missing where a read never ended.
//!
//! A history of another tool that knows neither phases nor final reads ends with one all the same: the last
//! acknowledged read of each set, as in Jepsen's `set`.
mod collect;
mod findings;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod judge;
mod losses;

use crate::calls::{changed_by, workloads_with};
use crate::checker::{CheckerDoc, Judges, Reads, from_options};
use crate::history::{History, NameId, Op};
use crate::objects::final_reads::{Failures, FinalReads, Unread, leaders_at};
use crate::options::schema;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Report, Severity, Validity, Verdict};
use collect::sets;
use judge::{Judged, Lacking, judge};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "set",
    doc: "Every acknowledged element is in some final read, nothing else is in any, nothing is there twice.",
    cost: "near-linear",
    judges: Judges::calls(&["add"], &["read"]).reading(Reads::Elements),
    options: schema::<SetChecker>,
    build: from_options::<SetChecker>,
};

/// Judges workloads that add elements. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SetCheckerOptions")]
pub(crate) struct SetChecker {
    final_reads: FinalReads,
    /// An element may be there twice; duplicated-element is evidence then.
    at_least_once: bool,
}

impl SetChecker {
    /// Where something makes every answer unknown from the start: why.
    fn unclear(&self, history: &History, workloads: &[NameId]) -> Option<String> {
        if let Some(function) = changed_by(history, workloads, &["add", "read"]) {
            return Some(format!("What {function} does to a set is not known, so nothing can be said."));
        }
        let add = history.find_name("add");
        let ops = history.ops();
        let mut nameless =
            ops.iter().filter(|op| Some(op.function) == add && workloads.contains(&op.workload) && op.input.is_nil());
        let first = nameless.next()?;
        let count = messages::count(1 + nameless.count(), "add");
        Some(format!("{count} without an element, first #{}: that is no add to a set.", first.call))
    }
}

impl Judged<'_> {
    /// Acknowledged adds that a node's last final read lacks although others have them, where that node was the last to
    /// claim to lead: what the leader lacks, the others may be about to lose.
    fn leader_lacks<'h>(&self, history: &'h History, lacking: &[Lacking<'_>]) -> Option<(&'h str, usize)> {
        let end = self.states.iter().map(|state| state.last.reply).max()?;
        let leaders = leaders_at(history, end);
        let mut leaders = leaders.into_iter();
        let (Some(leader), None) = (leaders.next(), leaders.next()) else { return None };
        let of = |lacking: &&Lacking<'_>| self.place(history, lacking.state) == leader && lacking.acknowledged > 0;
        lacking.iter().find(of).map(|lacking| (leader, lacking.acknowledged))
    }
}

/// One set with the nodes that lack what others have.
struct Whole<'h> {
    judged: Judged<'h>,
    lacking: Vec<Lacking<'h>>,
}

impl Checker for SetChecker {
    fn name(&self) -> &str {
        "set"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["add"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = self.workloads(history);
        if let Some(text) = self.unclear(history, &workloads) {
            return Verdict::unknown(self.name(), text);
        }
        let mut poll = BudgetPoll::new(budget);
        let mut all: Vec<Whole<'_>> = Vec::new();
        for ((_, key), set) in sets(history, &workloads) {
            if poll.over(set.adds.len() + set.finals.len() + set.reads.len()) {
                break;
            }
            let judged = judge(history, key, set, self.final_reads);
            let lacking = judged.lacking(history);
            all.push(Whole { judged, lacking });
        }
        let twice = if self.at_least_once { Severity::Evidence } else { Severity::Violation };
        let mut report = Report::new(history);
        for Whole { judged, lacking } in &all {
            let found = [
                judged.lost_finding(history),
                judged.dropped_finding(history),
                judged.unexpected_finding(history),
                judged.duplicated_finding(history, twice),
                judged.missing_finding(history),
                judged.vanished_finding(history),
                judged.redelivered_finding(history),
                judged.differing(history, lacking),
            ];
            found.into_iter().flatten().for_each(|finding| report.finding(finding));
        }
        report.numbers(numbers(history, &all));
        report.late(&poll, history.ops().len(), "operations");
        let (validity, summary) = Answer { history, all: &all, mode: self.final_reads }.of(report.violations());
        report.conclude(self.name(), (validity, summary.clone()), |_| summary)
    }
}

/// What the answer is made of.
struct Answer<'a, 'h> {
    history: &'h History,
    all: &'a [Whole<'h>],
    mode: FinalReads,
}

impl<'h> Answer<'_, 'h> {
    fn sum(&self, count: fn(&Judged<'_>) -> usize) -> usize {
        self.all.iter().map(|one| count(&one.judged)).sum()
    }

    /// Final reads that failed on nodes that never answered, and on all where only one answer is needed and none came.
    fn failures(&self) -> Failures<'h> {
        let mut failures = Failures::default();
        for set in self.all.iter().map(|one| &one.judged.set) {
            let silent = set.silent(self.history);
            let counts = |op: &&Op<'_>| {
                set.finals.is_empty() || (self.mode.asks_each() && silent.contains(&self.history.bound_node(op)))
            };
            set.failed.iter().filter(counts).for_each(|op| failures.take(self.history, op));
        }
        failures
    }

    fn of(&self, violations: u64) -> (Validity, String) {
        let acknowledged = self.sum(|set| set.acknowledged);
        let failures = self.failures().sentence();
        if violations > 0 {
            let lost = self.sum(|set| set.lost.len() + set.dropped.len());
            let (unexpected, duplicated) = (self.sum(|set| set.unexpected.len()), self.sum(|set| set.duplicated.len()));
            let mut found = Vec::new();
            if lost > 0 {
                let is = if lost == 1 { "is" } else { "are" };
                found.push(format!("{lost} of {} {is} lost", messages::count(acknowledged, "acknowledged add")));
            }
            for (count, what) in [(unexpected, "unexpected element"), (duplicated, "duplicated element")] {
                if count > 0 {
                    found.push(messages::count(count, what));
                }
            }
            return (Validity::Invalid, format!("{}.{}{failures}", found.join("; "), self.but()));
        }
        match self.doubt(acknowledged) {
            Some(doubt) => (Validity::Unknown, format!("{doubt}{failures}")),
            None => (Validity::Valid, format!("{}{failures}", self.sound(acknowledged))),
        }
    }

    /// Why what was found is not enough for a valid answer.
    fn doubt(&self, acknowledged: usize) -> Option<String> {
        if acknowledged == 0 {
            return Some("No add was acknowledged, so nothing can be said.".to_owned());
        }
        let unread = |one: &&Whole<'_>| !one.judged.set.adds.is_empty() && one.judged.set.finals.is_empty();
        let unread = self.all.iter().filter(unread).count();
        if unread > 0 {
            return Some(format!(
                "No final read succeeded for {} of {}, so what became of {acknowledged} acknowledged adds is not known.",
                messages::count(unread, "set"),
                self.all.len()
            ));
        }
        if let Some(unheard) = self.all.iter().map(|one| &one.judged.unheard).find(|nodes| !nodes.is_empty()) {
            return Some(format!("No final read of {}, which led, succeeded.", unheard.join(", ")));
        }
        let missing = self.sum(|set| set.missing.len());
        if missing > 0 {
            let mut why: Vec<&str> = self
                .all
                .iter()
                .filter(|one| !one.judged.missing.is_empty())
                .map(|one| &*one.judged.why_missing)
                .collect();
            why.sort_unstable();
            why.dedup();
            let why = why.join("; ");
            let advice = if self.mode.asks_each() { self.unread().advice() } else { "" };
            return Some(format!(
                "{missing} of {acknowledged} acknowledged adds are in no final read, but {why}.{advice}"
            ));
        }
        let late = self.sum(|set| set.unread);
        if late > 0 {
            return Some(format!("No final read began after {late} of {acknowledged} adds were acknowledged."));
        }
        if self.mode == FinalReads::Leader {
            return None;
        }
        let leader = self.all.iter().find_map(|one| one.judged.leader_lacks(self.history, &one.lacking));
        if let Some((leader, count)) = leader {
            return Some(format!(
                "{leader}, which led, lacks {count} of {acknowledged} acknowledged adds in its final read; only other \
                 nodes have them."
            ));
        }
        self.differ(acknowledged).or_else(|| {
            let unread = self.unread();
            (!unread.is_empty()).then(|| {
                let it_holds = if unread.silent.len() + unread.unasked.len() == 1 { "it holds" } else { "they hold" };
                format!(
                    "{}, so what {it_holds} is not known; the final reads of the other nodes have all {acknowledged} \
                     acknowledged adds.{}",
                    unread.none(),
                    unread.advice()
                )
            })
        })
    }

    /// That nodes hold different things at the end.
    fn differ(&self, acknowledged: usize) -> Option<String> {
        let mut nodes: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for one in self.all {
            for lacking in &one.lacking {
                let counts = nodes.entry(one.judged.place(self.history, lacking.state)).or_default();
                *counts = (counts.0 + lacking.acknowledged, counts.1 + lacking.elements.len());
            }
        }
        let lacks = |(node, (acknowledged, all)): (&&str, &(usize, usize))| match acknowledged {
            0 => format!("{node} lacks {} that were never acknowledged", messages::count(*all, "element")),
            _ => format!("{node} lacks {acknowledged}"),
        };
        let lacks: Vec<String> = nodes.iter().map(lacks).collect();
        (!lacks.is_empty()).then(|| {
            format!(
                "The final reads differ: of what others have of {acknowledged} acknowledged adds {}. replicas-agree says \
                 more.",
                lacks.join(", ")
            )
        })
    }

    fn sound(&self, acknowledged: usize) -> String {
        let reads: Vec<Op<'_>> =
            self.all.iter().flat_map(|one| one.judged.states.iter().map(|state| state.last)).collect();
        let on = messages::on_all(self.history, &reads);
        match self.mode {
            FinalReads::UntilEmpty => format!("All {acknowledged} acknowledged adds came out of the reads."),
            FinalReads::Leader if !on.is_empty() => {
                format!("All {acknowledged} acknowledged adds are in the final reads{on}, asked as the leader.")
            }
            _ if on.is_empty() => {
                let count = messages::count(self.sum(|set| set.set.finals.len()), "final read");
                format!("All {acknowledged} acknowledged adds are in the last of {count}.")
            }
            _ => format!("All {acknowledged} acknowledged adds are in the final reads{on}."),
        }
    }

    /// Nodes of which nothing says what they hold.
    fn unread(&self) -> Unread<'h> {
        let mut unread = Unread::default();
        let all = self.all.iter().filter(|_| self.mode.asks_each());
        all.for_each(|one| unread.join(one.judged.set.unread(self.history)));
        unread
    }

    /// The same as a sentence.
    fn but(&self) -> String {
        let unread = self.unread();
        if unread.is_empty() {
            return String::new();
        }
        format!(" {}; the verdict is from the other nodes.", unread.none())
    }
}

fn numbers(history: &History, all: &[Whole<'_>]) -> BTreeMap<String, serde_json::Value> {
    let sum = |count: fn(&Judged<'_>) -> usize| json!(all.iter().map(|one| count(&one.judged)).sum::<usize>());
    let lost = all.iter().flat_map(|one| {
        let dropped = one.judged.dropped.iter().map(|dropped| dropped.add);
        one.judged.lost.iter().copied().chain(dropped)
    });
    let (by_node, by_fault) = losses::tallies(history, lost);
    BTreeMap::from([
        ("acknowledged".to_owned(), sum(|set| set.acknowledged)),
        ("lost".to_owned(), sum(|set| set.lost.len() + set.dropped.len())),
        ("missing".to_owned(), sum(|set| set.missing.len())),
        ("unexpected".to_owned(), sum(|set| set.unexpected.len())),
        ("recovered".to_owned(), sum(|set| set.recovered)),
        ("duplicated".to_owned(), sum(|set| set.duplicated.len())),
        ("redelivered".to_owned(), sum(|set| set.redelivered.len())),
        ("vanished".to_owned(), sum(|set| set.vanished.len())),
        ("final_reads".to_owned(), sum(|set| set.set.finals.len())),
        ("failed_final_reads".to_owned(), sum(|set| set.set.failed.len())),
        ("lost_by_node".to_owned(), json!(by_node)),
        ("lost_by_fault".to_owned(), json!(by_fault)),
    ])
}
