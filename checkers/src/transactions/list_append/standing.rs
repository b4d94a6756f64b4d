//! [`Standing`]: which of the models that are decided hold of transactions on lists, and what contradicts them.
use super::super::cycles::{Class, Cycle, CycleEdge};
use super::super::decided::{self, DecidedBy, Undecided};
use super::super::dependencies::Level;
use super::super::lattice::{self, Consistency};
use super::super::levels::against_prefix;
use super::super::txn::Transactions;
use super::super::weak::judge;
use super::super::weak::matched::Matched;
use super::Analysis;
use super::explain::Explain;
use crate::verdict::certificate::EdgeKind;
use crate::verdict::{Budget, Finding, Severity};
use std::cell::OnceCell;

/// Models that are the same as stronger ones where nothing is known of predicates and versions are lists; what is summed
/// up leaves them out.
const SAME: [&str; 2] = ["repeatable-read", "consistent-view"];

/// Judges models one by one. What only some of them need is found when it is first asked for.
pub(super) struct Standing<'a, 'h> {
    txns: &'a Transactions<'h>,
    analysis: &'a Analysis,
    budget: &'a Budget,
    matched: OnceCell<Matched>,
}

/// Of no more transactions is every level decided for the sentence.
const DECIDED_MAX: usize = 50_000;

impl<'a, 'h> Standing<'a, 'h> {
    pub(super) fn new(txns: &'a Transactions<'h>, analysis: &'a Analysis, budget: &'a Budget) -> Standing<'a, 'h> {
        Standing { txns, analysis, budget, matched: OnceCell::new() }
    }

    fn matched(&self) -> &Matched {
        self.matched.get_or_init(|| Matched::lists_aside(self.txns))
    }

    /// What contradicts the model beyond anomalies: empty where it holds if nothing else contradicts it. The error says why
    /// that was not decided.
    pub(super) fn contradictions(&self, model: &Consistency) -> Result<Vec<Finding>, Undecided> {
        match decided::by(model).ok_or(Undecided::Nothing)? {
            DecidedBy::Cycles => Ok(Vec::new()),
            DecidedBy::Prefix => self.prefix(),
            by => {
                let found = decided::contradictions(self.txns, self.matched(), by, self.budget)?;
                // A list that a transaction read twice and found shorter or other may break a level that knows no repeated
                // reads, too, or not: the level's own edges do not tell.
                let internal = self.analysis.anomalies().contains(&"internal");
                if found.is_empty() && internal { Err(Undecided::Repeated) } else { Ok(found) }
            }
        }
    }

    fn prefix(&self) -> Result<Vec<Finding>, Undecided> {
        let matched = self.matched();
        // Every flaw of a read contradicts causality, too.
        let causal = DecidedBy::Level(judge::Level::Causal, true);
        let found = decided::contradictions(self.txns, matched, causal, self.budget)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let cycle = against_prefix(&matched.view, self.budget).ok_or(Undecided::Budget)?;
        if cycle.is_empty() {
            return Ok(Vec::new());
        }
        let number = |txn: u32| matched.txns[txn as usize];
        let steps: Vec<CycleEdge> =
            cycle.iter().map(|&(from, to, kind)| CycleEdge { from: number(from), to: number(to), kind }).collect();
        let count = |kind: EdgeKind| steps.iter().filter(|step| step.kind == kind).count();
        let class = match (count(EdgeKind::Rw), count(EdgeKind::Wr)) {
            (0, 0) => Class::G0,
            (0, _) => Class::G1c,
            (1, _) => Class::GSingle,
            _ => Class::GNonadjacent,
        };
        let level = if count(EdgeKind::Process) > 0 { Level::Process } else { Level::Plain };
        let explain = Explain { txns: self.txns, versions: &self.analysis.versions };
        let finding = explain.cycle(&Cycle { class, level, steps }, Severity::Violation).ok_or(Undecided::Nothing)?;
        let why = "Whoever did not observe a write had observed all that comes before it here: no prefix of one order of \
                   the commits holds what it observed and no more.";
        Ok(vec![finding.because(why.to_owned())])
    }

    /// Whether the model holds; None where that was not decided.
    fn holds(&self, model: &Consistency) -> Option<bool> {
        let analysis = self.analysis;
        if analysis.anomalies().iter().any(|anomaly| model.forbids(anomaly)) {
            return Some(false);
        }
        let open = |&(class, level): &(Class, Level)| model.forbids(class.anomaly(level));
        if !analysis.versions.ambiguous.is_empty()
            || analysis.cycles.undecided.iter().any(open)
            || analysis.doubtful(self.txns, self.budget, model)
        {
            return None;
        }
        self.contradictions(model).ok().map(|found| found.is_empty())
    }

    /// All that is decided in a sentence: `not serializable; strongest that holds: strong-snapshot-isolation`. Of long
    /// histories, whose every level takes as long as the verdict itself, what the anomalies alone rule out.
    pub(super) fn words(&self) -> String {
        if self.txns.len() > DECIDED_MAX {
            return lattice::words(&lattice::rule(self.analysis.anomalies().iter().copied()));
        }
        let models: Vec<&Consistency> =
            decided::of_lists().into_iter().filter(|name| !SAME.contains(name)).filter_map(lattice::find).collect();
        let implies = |one: &Consistency, other: &Consistency| {
            one.name != other.name && one.implied().iter().any(|implied| implied.name == other.name)
        };
        let mut known: Vec<(&Consistency, Option<bool>)> = Vec::new();
        for model in models {
            let stronger_holds = known.iter().any(|(other, holds)| *holds == Some(true) && implies(other, model));
            known.push((model, if stronger_holds { Some(true) } else { self.holds(model) }));
        }
        let having = |holds: Option<bool>| -> Vec<&Consistency> {
            known.iter().filter(|one| one.1 == holds).map(|one| one.0).collect()
        };
        let (holding, broken) = (having(Some(true)), having(Some(false)));
        // What a model that does not hold would follow from does not hold either.
        let fails = |model: &Consistency| broken.iter().any(|weaker| implies(model, weaker));
        let open: Vec<&str> = having(None).into_iter().filter(|model| !fails(model)).map(|model| model.name).collect();
        let strongest = |model: &&&Consistency| !holding.iter().any(|other| implies(other, model));
        let weakest = |model: &&&Consistency| !broken.iter().any(|other| implies(model, other));
        let holding: Vec<&str> = holding.iter().filter(strongest).map(|model| model.name).collect();
        let broken: Vec<&str> = broken.iter().filter(weakest).map(|model| model.name).collect();
        let mut parts: Vec<String> = Vec::new();
        if !broken.is_empty() {
            parts.push(format!("not {}", broken.join(", not ")));
        }
        if !holding.is_empty() {
            parts.push(format!("strongest that holds: {}", holding.join(", ")));
        } else if open.is_empty() {
            parts.push("none of the models that are decided holds".to_owned());
        }
        if !open.is_empty() {
            parts.push(format!("not decided: {}", open.join(", ")));
        }
        parts.join("; ")
    }
}
