//! `liveness`: after each heal every node answers again within a stated time.
//!
//! A promise with a threshold, unlike `availability`, which only measures. A node recovered when a call that was made after the heal
//! was acknowledged within `recover`, whatever else was in force then. That it did not is a violation only if its window, from the
//! heal on for `recover`, was quiet (no other fault may have been in force in it, and it ended before the load did), and if clients
//! called the node in the first half of the window for something that it mostly did outside of faults and of the recovery from them (a
//! lock that is busy is refused rightly). Else the node is not judged after this heal. A node that acknowledged nothing before the fault
//! recovers nothing; one that refuses all calls because another leads (`not-leader`, `read-only`) is well, if some node answers, also
//! where another fault follows; one whose files a fault damaged need not come back. Where requests move to another node after a failover, the option `scope: any-node` asks only that some
//! node answers. Times are the control node's.
//!
//! Findings: `not-recovered`, and as evidence `not-healed` (a fault that was never verified to be gone) and `recovery-not-judged` (the
//! nodes that were not judged after a heal, with the reason). A heal is judged if each node that the fault took was judged (each
//! node, if it took none that answered before). Unknown: fewer than half of the heals were judged, or fewer than half of the
//! recoveries of single nodes.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{Fault, History, NameId, Op, Outcome, Phase};
use crate::options::schema;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use dsfuzz_span::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Which nodes must recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Scope {
    /// Every node.
    EachNode,
    /// It is enough that some node answers.
    AnyNode,
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "liveness",
    doc: "After each heal every node answers again within a stated time.",
    cost: "near-linear, for each heal and node the calls in its window",
    judges: Judges::RUNS,
    options: schema::<Liveness>,
    build: from_options::<Liveness>,
};

/// Longer than the failovers of common systems, heals included.
const RECOVER_MS: u64 = 30_000;

/// Judges recovery. Its fields are the options.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LivenessOptions")]
pub(crate) struct Liveness {
    /// How long after a heal a node may take to acknowledge a new call.
    recover: Span,
    /// Which nodes must recover.
    scope: Scope,
}

impl Default for Liveness {
    fn default() -> Liveness {
        Liveness { recover: Span::millis(RECOVER_MS), scope: Scope::EachNode }
    }
}

/// When it was gone, nanoseconds: by proof, or by the nodes' own heals.
fn gone_at(fault: &Fault) -> Option<u64> {
    fault.possible().map(|(_, end)| end).filter(|end| *end < u64::MAX)
}

/// Calls of each function on each node: acknowledged, and all.
type Counts = BTreeMap<(NameId, NameId), (u64, u64)>;

/// The calls before a fault.
#[derive(Default)]
struct EarlierCalls {
    /// While no fault may have been in force, and no node may still have been recovering from one.
    quiet: Counts,
    /// At any time.
    all: Counts,
    /// The end of the faults so far and of the recovery from them.
    recovered: u64,
}

impl EarlierCalls {
    fn add(&mut self, op: &Op<'_>) {
        let quiet = (op.call_time > self.recovered).then_some(&mut self.quiet);
        for counts in quiet.into_iter().chain([&mut self.all]) {
            let (ok, all) = counts.entry((op.node, op.function)).or_default();
            (*ok, *all) = (*ok + u64::from(op.outcome == Outcome::Ok), *all + 1);
        }
    }

    /// The nodes that acknowledged something.
    fn serving(&self) -> BTreeSet<NameId> {
        self.all.iter().filter(|(_, (ok, _))| *ok > 0).map(|((node, _), _)| *node).collect()
    }

    /// Whether the node mostly did what this call asks for.
    fn used_to(&self, op: &Op<'_>) -> bool {
        let called = (op.node, op.function);
        self.quiet.get(&called).or_else(|| self.all.get(&called)).is_some_and(|(ok, all)| ok * 2 > *all)
    }
}

/// How a node answered in a window.
#[derive(Clone, Copy)]
struct Answers {
    /// In the first half it was called for something that it used to do.
    called: bool,
    /// It refused each of those because another node leads.
    follows: bool,
    /// When it first acknowledged a call made in the window, and that came within it.
    answered: Option<u64>,
}

/// A node that was not called.
const UNCALLED: Answers = Answers { called: false, follows: true, answered: None };

impl Answers {
    /// That of two nodes together.
    fn and(self, other: Answers) -> Answers {
        let answered = self.answered.into_iter().chain(other.answered).min();
        Answers { called: self.called || other.called, follows: self.follows && other.follows, answered }
    }
}

/// Codes of a node that is well and does not lead.
const FOLLOWS: [&str; 2] = ["not-leader", "read-only"];

/// How each node answered in a window.
fn answers(history: &History, before: &EarlierCalls, (from, to): (u64, u64)) -> BTreeMap<NameId, Answers> {
    let half = from + (to - from) / 2;
    let mut answers: BTreeMap<NameId, Answers> = BTreeMap::new();
    let first = history.ops().partition_point(|op| op.call_time < from);
    for op in history.ops().skip(first).iter().take_while(|op| op.call_time <= to && !op.settle) {
        let seen = answers.entry(op.node).or_insert(UNCALLED);
        // A lock that is busy or a value that does not match is refused rightly: that says nothing of the node's health.
        if op.call_time <= half && before.used_to(&op) {
            seen.called = true;
            seen.follows &=
                op.outcome == Outcome::Fail && op.error.is_some_and(|code| FOLLOWS.contains(&history.name(code)));
        }
        if op.outcome == Outcome::Ok && op.reply_time <= to {
            seen.answered = Some(seen.answered.map_or(op.reply_time, |time| time.min(op.reply_time)));
        }
    }
    answers
}

/// When the load ended: at the first other phase after it, or with the record.
fn load_end(history: &History) -> u64 {
    let begun = history.phases.iter().position(|(phase, _)| *phase == Phase::Load).unwrap_or(0);
    let other = history.phases[begun.min(history.phases.len())..].iter().find(|(phase, _)| *phase != Phase::Load);
    other.map_or(history.end_time, |(_, mark)| mark.time)
}

/// What the heals of a history show.
#[derive(Default)]
struct Tally {
    heals: usize,
    heals_judged: usize,
    judged: usize,
    disturbed: usize,
    uncalled: usize,
    following: usize,
    damaged: usize,
    not_serving: usize,
    slowest_ms: u64,
}

impl Tally {
    /// Recoveries of nodes that could have been judged.
    fn asked(&self) -> usize {
        self.judged + self.disturbed + self.uncalled
    }
}

impl Liveness {
    fn window_ns(&self) -> u64 {
        self.recover.as_millis().saturating_mul(1_000_000)
    }

    fn violation<'h>(&self, history: &'h History, fault: &Fault, healed: u64, nodes: &[NameId]) -> Violation<'h> {
        let names: Vec<String> = nodes.iter().map(|node| history.name(*node).to_owned()).collect();
        let all = names.join(", ");
        Violation {
            title: format!(
                "{all} acknowledged nothing within {} ms after fault {} was healed",
                self.recover.as_millis(),
                fault.label()
            ),
            reasons: vec![
                format!("{} was gone at {}.", messages::fault(fault), messages::seconds(healed)),
                format!(
                    "{all} had answered before it, was called after the heal, and acknowledged none of those calls until {}.",
                    messages::seconds(healed.saturating_add(self.window_ns()))
                ),
                "No other fault may have been in force meanwhile.".to_owned(),
            ],
            ..Violation::default()
        }
        .at(names, Vec::new())
    }

    /// What disturbs the window after this heal, in words.
    fn disturbance(&self, history: &History, fault: &Fault, healed: u64, load_end: u64) -> Option<String> {
        let until = healed.saturating_add(self.window_ns());
        let others = history.faults_within(healed, until);
        let others = others.into_iter().filter(|other| other.id != fault.id);
        let first = others.filter_map(|other| Some((other.possible()?.0, other))).min_by_key(|(begin, _)| *begin);
        let after = |time: u64| format!("{} ms after the heal", time.saturating_sub(healed) / 1_000_000);
        match first {
            Some((begin, other)) if begin <= healed => {
                Some(format!("fault {} was in force at the heal", other.label()))
            }
            Some((begin, other)) => Some(format!("fault {} began {}", other.label(), after(begin))),
            None => (until > load_end).then(|| format!("the load ended {}", after(load_end))),
        }
    }

    /// Judges the nodes after one heal.
    fn heal<'h>(
        &self,
        history: &'h History,
        (fault, healed): (&Fault, u64),
        before: &EarlierCalls,
        (load_end, tally, report): (u64, &mut Tally, &mut Report<'h>),
    ) {
        let serving = before.serving();
        tally.not_serving += history.nodes.len().saturating_sub(serving.len());
        let answers = answers(history, before, (healed, healed.saturating_add(self.window_ns())));
        let of = |node: &NameId| answers.get(node).copied().unwrap_or(UNCALLED);
        let served = serving.iter().any(|node| of(node).answered.is_some());
        let disturbance = self.disturbance(history, fault, healed, load_end);
        let mut names: Vec<NameId> = serving.into_iter().collect();
        names.sort_by_key(|node| history.name(*node));
        let damaged = damaged(history, &names, healed);
        let groups: Vec<&[NameId]> =
            if self.scope == Scope::AnyNode { vec![&names[..]] } else { names.chunks(1).collect() };
        let mut left_out: BTreeMap<String, Vec<NameId>> = BTreeMap::new();
        let mut unasked: BTreeMap<String, Vec<NameId>> = BTreeMap::new();
        for nodes in groups.into_iter().filter(|nodes| !nodes.is_empty()) {
            let seen = nodes.iter().map(of).fold(UNCALLED, Answers::and);
            match (seen.answered, &disturbance) {
                (Some(time), _) => {
                    tally.judged += 1;
                    tally.slowest_ms = tally.slowest_ms.max(time.saturating_sub(healed) / 1_000_000);
                }
                (None, _) if seen.called && seen.follows && served => tally.following += 1,
                (None, _) if nodes.iter().all(|node| damaged.contains_key(node)) => {
                    tally.damaged += 1;
                    for node in nodes {
                        unasked
                            .entry(format!("files of it were damaged by fault {}", damaged[node]))
                            .or_default()
                            .push(*node);
                    }
                }
                (None, Some(what)) => {
                    tally.disturbed += 1;
                    left_out.entry(what.clone()).or_default().extend(nodes);
                }
                (None, None) if !seen.called => {
                    tally.uncalled += 1;
                    let half = self.recover.as_millis() / 2;
                    let what = format!("not called within {half} ms for anything that it mostly did before");
                    left_out.entry(what).or_default().extend(nodes);
                }
                (None, None) => {
                    tally.judged += 1;
                    report.violation("not-recovered", || self.violation(history, fault, healed, nodes));
                }
            }
        }
        let took = |node: &&NameId| fault.nodes.iter().any(|taken| taken == history.name(**node));
        let taken: Vec<&NameId> = names.iter().filter(took).filter(|node| !damaged.contains_key(*node)).collect();
        let missing: BTreeSet<&NameId> = left_out.values().flatten().collect();
        let asked = if taken.is_empty() || self.scope == Scope::AnyNode { names.iter().collect() } else { taken };
        tally.heals_judged += usize::from(!asked.is_empty() && asked.iter().all(|node| !missing.contains(node)));
        if names.is_empty() {
            left_out.insert("no node had acknowledged anything before it".to_owned(), Vec::new());
        }
        left_out.append(&mut unasked);
        if !left_out.is_empty() {
            report.evidence("recovery-not-judged", || not_judged(history, fault, healed, &left_out));
        }
    }
}

/// Those of the nodes whose files a fault had damaged until then, each with the first such fault. A server that does not serve damaged files
/// keeps its promises.
fn damaged(history: &History, nodes: &[NameId], until: u64) -> BTreeMap<NameId, String> {
    let damaging = |fault: &&Fault| fault.damages && fault.begun.is_some_and(|begun| begun.time <= until);
    let one = |node: &NameId| {
        let here = |fault: &&Fault| fault.nodes.iter().any(|taken| taken == history.name(*node));
        Some((*node, history.faults.iter().filter(damaging).find(here)?.label()))
    };
    nodes.iter().filter_map(one).collect()
}

/// The nodes that are not judged after a heal, by the reason.
fn not_judged<'h>(
    history: &'h History,
    fault: &Fault,
    healed: u64,
    left_out: &BTreeMap<String, Vec<NameId>>,
) -> Violation<'h> {
    let names = |nodes: &[NameId]| nodes.iter().map(|node| history.name(*node).to_owned()).collect::<Vec<_>>();
    let why = left_out.iter().map(|(why, nodes)| match nodes.is_empty() {
        true => why.clone(),
        false => format!("{}: {why}", names(nodes).join(", ")),
    });
    Violation {
        title: format!("after the heal of fault {}: {}", fault.label(), why.collect::<Vec<_>>().join("; ")),
        reasons: vec![format!("{} was gone at {}.", messages::fault(fault), messages::seconds(healed))],
        circumstances: Some((names(&left_out.values().flatten().copied().collect::<Vec<_>>()), Vec::new())),
        ..Violation::default()
    }
}

impl Checker for Liveness {
    fn name(&self) -> &str {
        "liveness"
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let end = load_end(history);
        let mut ops = history.ops().iter().filter(|op| !op.settle).peekable();
        let mut before = EarlierCalls::default();
        let mut faults: Vec<&Fault> = history.faults.iter().filter(|fault| fault.begun.is_some()).collect();
        faults.sort_by_key(|fault| fault.begun);
        let mut report = Report::new(history);
        let mut tally = Tally::default();
        let mut poll = BudgetPoll::each(budget);
        let all = faults.len();
        for fault in faults.into_iter().take_while(|_| !poll.over(1)) {
            let Some(begun) = fault.begun else { continue };
            while let Some(op) = ops.next_if(|op| op.call < begun.index) {
                before.add(&op);
            }
            tally.heals += 1;
            let gone = gone_at(fault);
            match gone {
                Some(healed) => self.heal(history, (fault, healed), &before, (end, &mut tally, &mut report)),
                None => report.evidence("not-healed", || Violation {
                    title: format!("it was never verified that {} is gone", messages::fault(fault)),
                    circumstances: Some((fault.nodes.clone(), Vec::new())),
                    ..Violation::default()
                }),
            }
            let recovered = gone.map_or(u64::MAX, |end| end.saturating_add(self.window_ns()));
            before.recovered = before.recovered.max(recovered);
        }
        report.late(&poll, all, "faults");
        let numbers = [
            ("heals", json!(tally.heals)),
            ("heals_judged", json!(tally.heals_judged)),
            ("asked", json!(tally.asked())),
            ("judged", json!(tally.judged)),
            ("disturbed", json!(tally.disturbed)),
            ("uncalled", json!(tally.uncalled)),
            ("following", json!(tally.following)),
            ("damaged", json!(tally.damaged)),
            ("not_serving", json!(tally.not_serving)),
            ("recovery_ms_max", json!(tally.slowest_ms)),
        ];
        report.answer(self.name(), self.conclusion(&tally), numbers)
    }
}

impl Liveness {
    /// The answer where nothing is broken.
    fn conclusion(&self, tally: &Tally) -> (Validity, String) {
        let Tally { heals, heals_judged, judged, disturbed, uncalled, following, damaged, not_serving, slowest_ms } =
            tally;
        let within = self.recover.as_millis();
        let counts = format!(
            "{heals_judged} of {} judged, {judged} of {} recoveries of single nodes ({disturbed} within {within} ms of another fault or the end of \
             the load, {uncalled} not called in time; besides {following} that follow another node, {damaged} whose files a fault had damaged, {not_serving} that had \
             acknowledged nothing before)",
            messages::count(*heals, "heal"),
            tally.asked(),
        );
        if *judged == 0 {
            return (Validity::Unknown, format!("No recovery could be judged: {counts}."));
        }
        if heals_judged * 2 < *heals || judged * 2 < tally.asked() {
            return (Validity::Unknown, format!("Fewer than half of the recoveries could be judged: {counts}."));
        }
        let text = format!(
            "Nodes recovered within {within} ms after each heal that was judged, the slowest in {slowest_ms} ms: {counts}."
        );
        (Validity::Valid, text)
    }
}
