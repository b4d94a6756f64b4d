//! `split-brain`: never two leaders in one term, never writes acknowledged on both sides of a cut.
//!
//! Two violations. `two-leaders-in-one-term`: two nodes claimed to lead one term, where term and role were read together
//! or come from the nodes' own logs. `both-sides-acknowledged`: while a cut was certainly in force (between its proof and
//! its last proof before the heal), nodes of two sides acknowledged writes to one key of one workload, called and answered
//! within that time; sides are the connected components of the surviving links, and a pair is cut only when both directions
//! are. Different keys on different sides are evidence only, because a sharded system may do that rightly. Everything
//! else, overlapping leaders of different terms above all, is evidence.
pub(crate) mod leaders;

pub(crate) use leaders::is_leader;

use crate::history::{Fault, History, NameId, Op};
use crate::pace::Pace;
use crate::registry::CheckerDoc;
use crate::sides::{Side, sides};
use crate::value::ValueRef;
use crate::verdict::{Budget, Checker, Finding, Severity, Validity, Verdict};
use crate::wording;
use serde_json::json;
use std::collections::BTreeMap;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "split-brain",
    doc: "No term has two leaders, and the two sides of a proven cut never both acknowledge writes to one key.",
    options: &[],
    build: |_| Ok(Box::new(SplitBrain::new())),
};

/// Findings of one kind that are shown.
pub(crate) const SHOWN: usize = 10;

/// Judges the run as a whole.
#[derive(Clone, Debug)]
pub struct SplitBrain {
    sides_are_violation: bool,
}

impl Default for SplitBrain {
    fn default() -> SplitBrain {
        SplitBrain { sides_are_violation: true }
    }
}

impl SplitBrain {
    /// Both rules are violations.
    pub fn new() -> SplitBrain {
        SplitBrain::default()
    }

    /// For systems that promise availability on both sides: `both-sides-acknowledged` is evidence only.
    pub fn sides_are_evidence(mut self) -> SplitBrain {
        self.sides_are_violation = false;
        self
    }

    /// Writes to one key on two sides of this fault.
    fn both_sides(&self, history: &History, fault: &Fault, sides: &[Side<'_>]) -> Option<Finding> {
        let busy: Vec<&Side<'_>> = sides.iter().filter(|side| !side.writes.is_empty()).collect();
        if busy.len() < 2 {
            return None;
        }
        let mut keys: BTreeMap<(NameId, ValueRef<'_>), Vec<Vec<Op<'_>>>> = BTreeMap::new();
        for (at, side) in busy.iter().enumerate() {
            for op in &side.writes {
                keys.entry((op.workload, op.key)).or_insert_with(|| vec![Vec::new(); busy.len()])[at].push(*op);
            }
        }
        let shared: Vec<(ValueRef<'_>, Vec<&Vec<Op<'_>>>)> = keys
            .iter()
            .map(|((_, key), by_side)| (*key, by_side.iter().filter(|ops| !ops.is_empty()).collect::<Vec<_>>()))
            .filter(|(_, by_side)| by_side.len() > 1)
            .collect();
        let same_key = !shared.is_empty();
        let count = |side: &&Side<'_>| format!("{} ({})", side.name(), wording::count(side.writes.len(), "write"));
        let told: Vec<String> = busy.iter().map(count).collect();
        let mut ops: Vec<Op<'_>> = match shared.first() {
            Some((_, by_side)) => by_side.iter().take(3).flat_map(|ops| ops.iter().take(2).copied()).collect(),
            None => busy.iter().take(3).flat_map(|side| side.writes.iter().take(2).copied()).collect(),
        };
        ops.sort_by_key(|op| op.call);
        let (from, to) = fault.certain()?;
        let mut sentences = vec![format!(
            "{} was in force from {} (proven) to {} (proven again): no message went between its sides.",
            wording::fault(fault),
            wording::seconds(from.time),
            wording::seconds(to.time)
        )];
        sentences.push(format!("Writes called and acknowledged wholly within that time: {}.", told.join("; ")));
        sentences.extend(ops.iter().map(|op| wording::operation(history, op)));
        let key = shared.first().map(|(key, _)| key.to_value()).unwrap_or_default();
        sentences.push(if same_key {
            let of = if key.is_nil() { String::new() } else { format!(" of key {key}") };
            format!("Neither side can have known of the other's writes{of}, and both said that theirs were done.")
        } else {
            "No key was written on both sides, so this may be a sharded system at work.".to_owned()
        });
        let violation = same_key && self.sides_are_violation;
        let finding = Finding::new(
            if same_key { "both-sides-acknowledged" } else { "both-sides-acknowledged-different-keys" },
            if violation { Severity::Violation } else { Severity::Evidence },
            format!("{} sides of fault {} acknowledged writes: {}", busy.len(), fault.id, told.join("; ")),
        );
        Some(Finding {
            sentences,
            nodes: wording::nodes_of(history, &ops),
            ops: ops.iter().map(|op| op.call).collect(),
            key,
            faults: vec![fault.id],
            ..finding
        })
    }
}

impl Checker for SplitBrain {
    fn name(&self) -> &str {
        "split-brain"
    }

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let mut findings = leaders::two_in_one_term(history);
        let mut by_fault: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut judged_cuts = 0;
        let mut pace = Pace::each(budget);
        for fault in &history.faults {
            if pace.over(1) {
                break;
            }
            let sides = sides(history, fault);
            if sides.is_empty() {
                continue;
            }
            by_fault.insert(fault.id.to_string(), sides.iter().map(|side| (side.name(), side.writes.len())).collect());
            judged_cuts += usize::from(sides.iter().any(|side| !side.writes.is_empty()));
            findings.extend(self.both_sides(history, fault, &sides));
        }
        let overlaps = leaders::overlaps(history);
        let overlap_ms: u64 = overlaps.iter().map(leaders::Overlap::length).sum::<u64>() / 1_000_000;
        findings.extend(overlaps.iter().take(SHOWN).map(|overlap| overlap.finding(history)));
        findings.sort_by_key(|finding| finding.severity != Severity::Violation);
        let violations = findings.iter().filter(|finding| finding.severity == Severity::Violation).count();
        let claims = leaders::claims(history).count();
        let trusted = leaders::trusted(history).count();
        let cut = |fault: &&Fault| !fault.cut.is_empty();
        let cuts = history.faults.iter().filter(cut).count();
        let seen = format!(
            "{} with a trustworthy term (of {claims}), {} certainly cut with writes meanwhile (of {cuts})",
            wording::count(trusted, "leader claim"),
            wording::count(judged_cuts, "fault")
        );
        let late = pace.reason(history.faults.len(), "faults");
        let (validity, summary) = match (violations, trusted + judged_cuts) {
            (0, _) if late.is_some() => (Validity::Unknown, late.unwrap_or_default()),
            (0, 0) => (Validity::Unknown, format!("Nothing to judge split brain from: {seen}.")),
            (0, _) => {
                let overlapping = match overlaps.len() {
                    0 => String::new(),
                    count => format!(" Evidence: {} of leaders.", wording::count(count, "overlap")),
                };
                (Validity::Valid, format!("No split brain in {seen}.{overlapping}"))
            }
            _ => {
                let first = findings.first().map(|finding| finding.title.clone()).unwrap_or_default();
                (Validity::Invalid, format!("Split brain: {first}."))
            }
        };
        Verdict {
            findings,
            numbers: BTreeMap::from([
                ("leader_claims".to_owned(), json!(claims)),
                ("trusted_leader_claims".to_owned(), json!(trusted)),
                ("cuts".to_owned(), json!(cuts)),
                ("judged_cuts".to_owned(), json!(judged_cuts)),
                ("writes_by_fault_and_side".to_owned(), json!(by_fault)),
                ("leader_overlaps".to_owned(), json!(overlaps.len())),
                ("leader_overlap_ms".to_owned(), json!(overlap_ms)),
            ]),
            ..Verdict::new(self.name(), validity, summary)
        }
    }
}
