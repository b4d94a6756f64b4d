//! Claims of leadership: which terms they name, and how long two nodes claimed it at the same time.
//!
//! A claim holds at some instant between its probe and its reply, no more. Two successive claims of one node with nothing
//! else between them show that it took itself for the leader from the first reply to the second probe, unless it lost
//! and regained the role unseen; so an overlap of such stretches is evidence, never a violation.
use crate::history::{Fault, History, Op, RoleClaim};
use crate::run_level::sides::wrote;
use crate::verdict::Report;
use crate::verdict::messages;
use crate::verdict::{Finding, Severity, Violation};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// All claims of leadership.
pub(super) fn claims(history: &History) -> impl Iterator<Item = &RoleClaim> {
    history.roles.iter().filter(|claim| claim.is_leader())
}

/// Claims of leadership of a term that was read together with the role, or that the node itself logged.
pub(crate) fn trusted(history: &History) -> impl Iterator<Item = (i64, &RoleClaim)> {
    let term = |claim: &RoleClaim| claim.term.filter(|_| claim.term_with_role || &*claim.source == "log");
    claims(history).filter_map(move |claim| Some((term(claim)?, claim)))
}

const TWO_LEADERS: &str = "two-leaders-in-one-term";

/// Reports each term that two nodes claimed to lead.
pub(crate) fn two_in_one_term(history: &History, report: &mut Report<'_>) {
    let mut terms: BTreeMap<i64, BTreeMap<&str, &RoleClaim>> = BTreeMap::new();
    for (term, claim) in trusted(history) {
        terms.entry(term).or_default().entry(&*claim.node).or_insert(claim);
    }
    let doubled = terms.iter().filter(|(_, nodes)| nodes.len() > 1);
    let finding = |(term, nodes): (&i64, &BTreeMap<&str, &RoleClaim>)| {
        let names: Vec<String> = nodes.keys().map(|&node| node.to_owned()).collect();
        let say = |claim: &&RoleClaim| {
            let words = if claim.detail.is_empty() { String::new() } else { format!(": {}", claim.detail) };
            match &*claim.source {
                "log" => format!("{} logged that it leads term {term}{words}.", claim.node),
                _ => format!(
                    "{} said so at some instant between {} and {}{words}.",
                    claim.node,
                    messages::seconds(claim.sent_time),
                    messages::seconds(claim.time)
                ),
            }
        };
        let mut sentences: Vec<String> = nodes.values().map(say).collect();
        sentences.push("A term has at most one leader, at whatever time, so this is a contradiction.".to_owned());
        let from = nodes.values().map(|claim| claim.sent_time).min().unwrap_or(0);
        let to = nodes.values().map(|claim| claim.time).max().unwrap_or(0);
        let faults: Vec<u64> = history.faults_within(from, to).iter().map(|fault| fault.id).collect();
        sentences.extend(messages::faults(history, &faults));
        let title = format!("{} all claimed to lead term {term}", names.join(" and "));
        let violation = Violation::explained((TWO_LEADERS, Severity::Violation), title, sentences, Vec::new());
        violation.at(names, faults).finding(history)
    };
    for one in doubled {
        report.examples_of(TWO_LEADERS, Severity::Violation, 1, || finding(one));
    }
}

/// A stretch of time in which a node took itself for the leader.
#[derive(Clone, Debug)]
struct LeadershipInterval<'h> {
    node: &'h str,
    term: Option<i64>,
    /// Reply of the first claim: index and time.
    from: (u64, u64),
    /// Probe of the last.
    to: (u64, u64),
}

fn intervals(history: &History) -> Vec<LeadershipInterval<'_>> {
    let mut by_node: BTreeMap<&str, Vec<&RoleClaim>> = BTreeMap::new();
    for claim in history.roles.iter().filter(|claim| &*claim.source != "log") {
        by_node.entry(&*claim.node).or_default().push(claim);
    }
    let mut intervals: Vec<LeadershipInterval<'_>> = Vec::new();
    for (node, mut claims) in by_node {
        claims.sort_by_key(|claim| claim.sent_index);
        let mut open: Option<LeadershipInterval<'_>> = None;
        for claim in claims {
            let goes_on = claim.is_leader() && open.as_ref().is_some_and(|interval| interval.term == claim.term);
            if !goes_on {
                intervals.extend(open.take());
            }
            if !claim.is_leader() {
                continue;
            }
            match &mut open {
                Some(interval) => interval.to = (claim.sent_index, claim.sent_time),
                None => {
                    let from = (claim.index, claim.time);
                    open = Some(LeadershipInterval { node, term: claim.term, from, to: from });
                }
            }
        }
        intervals.extend(open);
    }
    intervals.retain(|interval| interval.from < interval.to);
    intervals.sort_by_key(|interval| interval.from);
    intervals
}

/// Two nodes that took themselves for the leader at the same time.
pub(super) struct Overlap<'h> {
    one: LeadershipInterval<'h>,
    other: LeadershipInterval<'h>,
    from: (u64, u64),
    to: (u64, u64),
}

/// All overlaps, in order of time.
pub(super) fn overlaps(history: &History) -> Vec<Overlap<'_>> {
    let intervals = intervals(history);
    let mut overlaps = Vec::new();
    for (at, one) in intervals.iter().enumerate() {
        for other in intervals[at + 1..].iter().take_while(|other| other.from < one.to) {
            if other.node != one.node {
                let (from, to) = (other.from, one.to.min(other.to));
                overlaps.push(Overlap { one: one.clone(), other: other.clone(), from, to });
            }
        }
    }
    overlaps
}

/// Reports overlaps; as examples first those in which most of the two leaders acknowledged something.
pub(super) fn report_overlaps(history: &History, overlaps: &[Overlap<'_>], report: &mut Report<'_>) {
    let mut ranked: Vec<(Reverse<usize>, &Overlap<'_>)> =
        overlaps.iter().map(|overlap| (Reverse(overlap.busy(history)), overlap)).collect();
    ranked.sort_by_key(|(busy, _)| *busy);
    for (_, overlap) in ranked {
        report.examples_of("overlapping-leaders", Severity::Evidence, 1, || overlap.finding(history));
    }
}

/// One sentence about all overlaps, with a space in front; empty where there are none.
pub(super) fn sentence(history: &History, overlaps: &[Overlap<'_>]) -> String {
    let acknowledged = overlaps.iter().filter(|overlap| overlap.busy(history) > 1).count();
    let length: u64 = overlaps.iter().map(Overlap::length).sum();
    let during = match acknowledged {
        0 => String::new(),
        _ => format!("; in {acknowledged} of them both leaders acknowledged writes"),
    };
    match overlaps.len() {
        0 => String::new(),
        count => format!(
            " Overlapping leaders: {}, {} in all{during}.",
            messages::count(count, "time"),
            messages::seconds(length)
        ),
    }
}

impl Overlap<'_> {
    /// How many of the two acknowledged writes meanwhile.
    fn busy(&self, history: &History) -> usize {
        let nodes = [self.one.node, self.other.node];
        nodes.iter().filter(|node| !self.acknowledged(history, node).is_empty()).count()
    }

    /// Nanoseconds.
    pub(super) fn length(&self) -> u64 {
        self.to.1.saturating_sub(self.from.1)
    }

    /// Writes called and acknowledged by this node within the overlap.
    fn acknowledged<'h>(&self, history: &'h History, node: &str) -> Vec<Op<'h>> {
        let first = history.ops().partition_point(|op| op.call <= self.from.0);
        let within = history.ops().skip(first).iter().take_while(|op| op.call < self.to.0);
        within.filter(|op| op.reply < self.to.0 && history.name(op.node) == node && wrote(history, op)).collect()
    }

    pub(super) fn finding(&self, history: &History) -> Finding {
        let term =
            |interval: &LeadershipInterval<'_>| interval.term.map(|term| format!(" (term {term})")).unwrap_or_default();
        let (one, other) = (&self.one, &self.other);
        let mut sentences = vec![format!(
            "{}{} and {}{} both took themselves for the leader from {} to {}, as far as their answers before and after show.",
            one.node,
            term(one),
            other.node,
            term(other),
            messages::seconds(self.from.1),
            messages::seconds(self.to.1)
        )];
        let mut ops = Vec::new();
        let mut counts: Vec<String> = Vec::new();
        for node in [one.node, other.node] {
            let writes = self.acknowledged(history, node);
            sentences.push(format!("{node} acknowledged {} meanwhile.", messages::count(writes.len(), "write")));
            if !writes.is_empty() {
                counts.push(format!("{node} {}", writes.len()));
            }
            ops.extend(writes.into_iter().take(3));
        }
        let acknowledged = match counts.is_empty() {
            true => String::new(),
            false => format!(", writes acknowledged meanwhile: {}", counts.join(", ")),
        };
        let faults: Vec<&Fault> = history.faults_within(self.from.1, self.to.1);
        let faults: Vec<u64> = faults.iter().map(|fault| fault.id).collect();
        sentences.extend(messages::faults(history, &faults));
        let length = messages::seconds(self.length());
        let title = format!("{} and {} both claimed to lead for {length}{acknowledged}", one.node, other.node);
        let nodes = vec![one.node.to_owned(), other.node.to_owned()];
        let violation = Violation::explained(("overlapping-leaders", Severity::Evidence), title, sentences, ops);
        violation.at(nodes, faults).finding(history)
    }
}
