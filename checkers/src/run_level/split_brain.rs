//! `split-brain`: never two leaders in one term, never writes acknowledged on both sides of a cut.
//!
//! Two violations. `two-leaders-in-one-term`: two nodes claimed to lead one term, where term and role were read together
//! or come from the nodes' own logs. `both-sides-acknowledged`: while a cut was certainly in force (between its proof and
//! its last proof before the heal), nodes of two sides acknowledged calls that conflict on one object, called and answered
//! within that time; sides are the connected components of the surviving links, and a pair is cut only when both directions
//! are. Calls conflict when both write one key (of a transaction: one key within it), or when both acquire one lock that
//! nothing can have given back in between.
//!
//! Evidence only: different keys on different sides, because a sharded system may do that rightly; overlapping leaders of
//! different terms. With the option `sides: evidence` both sides may acknowledge anything (data that merges); with
//! `sides: violation` calls that commute count as conflicts, too.
//!
//! Unknown: both sides acknowledged calls that commute (adds to a set, increments), which contradict nothing and which a
//! system without split brain does not acknowledge either; both sides acknowledged calls of a function that may change the
//! same object, and the table of functions does not say that they conflict (`transfer`, `release`, any function that is not
//! in the table); or the cut leaked (`leaking-cut`): on one side a call
//! saw a value that was first written on the other meanwhile, so that the proof of the cut, which covers the links that
//! were cut, says nothing about the two sides. A value that was there before, by the option `initial` or by a read before
//! anybody wrote it, is no leak.
mod both_sides;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
pub(crate) mod leaders;
mod leak;
#[cfg(test)]
mod tests;

use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{Fault, History};
use crate::initial::Initial;
use crate::options::schema;
use crate::run_level::sides::{Side, sides};
use crate::value::Value;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Finding, Report, Severity, Validity, Verdict, Violation};
use both_sides::{Shared, shared};
use leak::Leak;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "split-brain",
    doc: "No term has two leaders, and the two sides of a proven cut never both acknowledge conflicting writes to one key.",
    cost: "near-linear, for each cut the calls during it",
    judges: Judges::RUNS,
    options: schema::<SplitBrain>,
    build: from_options::<SplitBrain>,
};

/// What acknowledgements on both sides of a cut are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
enum Sides {
    /// A violation where the calls conflict; where they commute the answer is unknown.
    #[default]
    #[serde(skip)]
    Conflicting,
    /// Evidence, whatever they are: data that merges.
    Evidence,
    /// A violation, also where calls commute (adds, increments).
    Violation,
}

/// Judges the run as a whole. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SplitBrainOptions")]
pub(crate) struct SplitBrain {
    /// What acknowledgements on both sides of a cut are. Left out: calls that conflict break the promise, and those that commute
    /// leave the answer unknown.
    sides: Sides,
    /// Several nodes lead at once by design, each a shard of the data: leaders are not compared. A run sets it where the recipe
    /// says so.
    several_leaders: bool,
    initial: Initial,
}

/// What one cut showed.
#[derive(Default)]
struct Cut {
    findings: Vec<Finding>,
    /// Why this cut lets nothing be valid.
    doubt: Option<String>,
    /// Whether its sides can be compared.
    judged: bool,
}

impl SplitBrain {
    /// What the sides of this fault acknowledged.
    fn cut(&self, history: &History, fault: &Fault, sides: &[Side<'_>]) -> Cut {
        let busy: Vec<&Side<'_>> = sides.iter().filter(|side| !side.writes.is_empty()).collect();
        let leak = if busy.is_empty() { None } else { leak::leak(history, fault, sides, &self.initial) };
        let shared = (busy.len() > 1).then(|| shared(history, &busy));
        let judged = !busy.is_empty() && leak.is_none();
        let mut cut = Cut { judged, ..Cut::default() };
        if let Some(shared) = &shared {
            let (kind, violation) = self.weigh(shared);
            let severity = if violation && leak.is_none() { Severity::Violation } else { Severity::Evidence };
            cut.findings.extend(finding(history, fault, &busy, shared, kind, severity));
            cut.doubt = match (&leak, shared) {
                (Some(leak), _) if violation => Some(format!("{}.", leaked(history, fault, leak))),
                (None, Shared::Commuting(_, ops)) if self.sides == Sides::Conflicting => {
                    let function = ops.first().map_or("", |op| history.name(op.function));
                    Some(format!(
                        "Both sides of fault {} acknowledged {function}: such calls commute, so neither side contradicts the \
                         other. The option sides says whether that is allowed: evidence (data that merges) or violation.",
                        fault.id
                    ))
                }
                (None, Shared::Possible(function, _)) if self.sides != Sides::Evidence => Some(format!(
                    "Both sides of fault {} acknowledged {function}, and whether that changed the same thing on both is \
                     not known.",
                    fault.id
                )),
                _ => None,
            };
        }
        cut.findings.extend(leak.map(|leak| leak_finding(history, fault, &leak)));
        cut
    }

    /// The kind of finding that this is, and whether it breaks the promise.
    fn weigh(&self, shared: &Shared<'_>) -> (&'static str, bool) {
        match shared {
            Shared::Conflict(..) => ("both-sides-acknowledged", self.sides != Sides::Evidence),
            Shared::Commuting(..) => ("both-sides-acknowledged", self.sides == Sides::Violation),
            Shared::Possible(..) => ("both-sides-acknowledged", false),
            Shared::Nothing(_) => ("both-sides-acknowledged-different-keys", false),
        }
    }
}

/// What several sides of a cut acknowledged.
fn finding(
    history: &History,
    fault: &Fault,
    busy: &[&Side<'_>],
    shared: &Shared<'_>,
    kind: &'static str,
    severity: Severity,
) -> Option<Finding> {
    let count = |side: &&Side<'_>| format!("{} ({})", side.name(), messages::count(side.writes.len(), "write"));
    let counts: Vec<String> = busy.iter().map(count).collect();
    let (key, mut ops) = match shared {
        Shared::Conflict(key, ops) | Shared::Commuting(key, ops) => (key.to_value(), ops.clone()),
        Shared::Possible(_, ops) | Shared::Nothing(ops) => (Value::Nil, ops.clone()),
    };
    ops.sort_by_key(|op| op.call);
    let (from, to) = fault.certain()?;
    let mut sentences = vec![format!(
        "{} was in force from {} (proven) to {} (proven again): no ping passed between its sides over the links that were \
         cut.",
        messages::fault(fault),
        messages::seconds(from.time),
        messages::seconds(to.time)
    )];
    // What the proof says that it covers.
    let mut covers: Vec<&String> = fault.detail.iter().filter(|text| text.starts_with("cut proven on")).collect();
    covers.dedup();
    sentences.extend(covers.first().map(|text| format!("Its proof: {text}.")));
    sentences.push(format!(
        "Calls that change something, called and acknowledged wholly within that time: {}.",
        counts.join("; ")
    ));
    sentences.extend(ops.iter().map(|op| messages::operation(history, op)));
    let of = if key.is_nil() { String::new() } else { format!(" of key {key}") };
    sentences.push(match shared {
        Shared::Conflict(..) => format!(
            "Over the links that were cut neither side can have known of the other's writes{of}, and both said that theirs \
             were done."
        ),
        Shared::Commuting(..) => format!(
            "Calls like these commute{of}, so neither side contradicts the other: the data may merge. Whether anything was \
             lost is judged elsewhere."
        ),
        Shared::Possible(function, _) => {
            format!("What {function} changes is not known, so these calls may conflict or not.")
        }
        Shared::Nothing(_) => "No key was written on both sides, so this may be a sharded system at work.".to_owned(),
    });
    let title = format!("{} sides of fault {} acknowledged writes: {}", busy.len(), fault.id, counts.join("; "));
    let nodes = messages::nodes_of(history, &ops);
    let violation = Violation::explained((kind, severity), title, sentences, ops);
    Some(Violation { key, ..violation }.at(nodes, vec![fault.id]).finding(history))
}

/// One sentence, without its full stop.
fn leaked(history: &History, fault: &Fault, leak: &Leak<'_>) -> String {
    format!(
        "Fault {} did not keep its sides apart: #{}{} saw {}, which was first written by #{}{} while it was in force",
        fault.id,
        leak.seen.call,
        messages::on(history, &leak.seen),
        leak.value,
        leak.write.call,
        messages::on(history, &leak.write)
    )
}

fn leak_finding(history: &History, fault: &Fault, leak: &Leak<'_>) -> Finding {
    let ops = [leak.write, leak.seen];
    let mut sentences: Vec<String> = ops.iter().map(|op| messages::operation(history, op)).collect();
    if leak.count > 1 {
        sentences.push(format!("{} saw such values.", messages::count(leak.count, "operation")));
    }
    sentences.push(
        "The proof covers the links that were cut and tried; what was seen went another way: a second network or address \
         family, a proxy, a store outside the nodes."
            .to_owned(),
    );
    let (kind, nodes) = (("leaking-cut", Severity::Evidence), messages::nodes_of(history, &ops));
    let violation = Violation::explained(kind, leaked(history, fault, leak), sentences, ops.to_vec());
    violation.on(leak.seen.key).at(nodes, vec![fault.id]).finding(history)
}

impl Checker for SplitBrain {
    fn name(&self) -> &str {
        "split-brain"
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let mut report = Report::new(history);
        if !self.several_leaders {
            leaders::two_in_one_term(history, &mut report);
        }
        let mut by_fault: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut judged_cuts = 0;
        let mut doubts: Vec<String> = Vec::new();
        let mut poll = BudgetPoll::each(budget);
        for fault in history.faults.iter().take_while(|_| !poll.over(1)) {
            let sides = sides(history, fault);
            if sides.is_empty() {
                continue;
            }
            by_fault.insert(fault.id.to_string(), sides.iter().map(|side| (side.name(), side.writes.len())).collect());
            let cut = self.cut(history, fault, &sides);
            judged_cuts += usize::from(cut.judged);
            cut.findings.into_iter().for_each(|finding| report.finding(finding));
            doubts.extend(cut.doubt);
        }
        let overlaps = if self.several_leaders { Vec::new() } else { leaders::overlaps(history) };
        let overlap_ms: u64 = overlaps.iter().map(leaders::Overlap::length).sum::<u64>() / 1_000_000;
        leaders::report_overlaps(history, &overlaps, &mut report);
        let claims = leaders::claims(history).count();
        let trusted = if self.several_leaders { 0 } else { leaders::trusted(history).count() };
        let cut = |fault: &&Fault| !fault.cut.is_empty();
        let cuts = history.faults.iter().filter(cut).count();
        let seen = format!(
            "{} with a trustworthy term (of {claims}), {} certainly cut with writes meanwhile (of {cuts})",
            messages::count(trusted, "leader claim"),
            messages::count(judged_cuts, "fault")
        );
        let late = poll.reason(history.faults.len(), "faults");
        let (validity, summary) = match (late, trusted + judged_cuts) {
            (Some(late), _) => (Validity::Unknown, late),
            (None, _) if !doubts.is_empty() => (Validity::Unknown, doubts.join(" ")),
            (None, 0) => (Validity::Unknown, format!("Nothing to judge split brain from: {seen}.")),
            (None, _) => (Validity::Valid, format!("No split brain in {seen}.")),
        };
        report.numbers([
            ("leader_claims", json!(claims)),
            ("trusted_leader_claims", json!(trusted)),
            ("cuts", json!(cuts)),
            ("judged_cuts", json!(judged_cuts)),
            ("writes_by_fault_and_side", json!(by_fault)),
            ("leader_overlaps", json!(overlaps.len())),
            ("leader_overlap_ms", json!(overlap_ms)),
        ]);
        let overlapping = leaders::sentence(history, &overlaps);
        let otherwise = (validity, format!("{summary}{overlapping}"));
        report.conclude(self.name(), otherwise, |headline| format!("Split brain. {headline}.{overlapping}"))
    }
}
