//! Which models of consistency are decided for lists and for registers, and by what. A model that nothing decides is
//! refused by the checkers: a pass would say nothing.
//!
//! Sessions count for the models that have them in the [`lattice`]: strong-session forms, `prefix` and `causal`.
//! `read-atomic` and `monotonic-atomic-view` are judged without them here; the checkers of weak levels count them.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use super::lattice::{self, Consistency};
use super::txn::Transactions;
use super::weak::explain::{self, Words};
use super::weak::judge::{Level, judge};
use super::weak::matched::Matched;
use super::weak::view::View;
use crate::options::{OptionError, either};
use crate::verdict::{Budget, Finding};
use schemars::{Schema, SchemaGenerator, json_schema};
use std::cell::OnceCell;

/// What decides a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecidedBy {
    /// Cycles of the dependency graph, and flaws of single reads.
    Cycles,
    /// An order of the commits explains what was read; whether sessions count.
    Level(Level, bool),
    /// Cycles in which each rw comes right after so or wr: only where all version orders are known.
    Prefix,
}

/// The models, the stronger before those they imply.
const DECIDED: &[(&str, DecidedBy)] = &[
    ("strict-serializable", DecidedBy::Cycles),
    ("strong-session-serializable", DecidedBy::Cycles),
    ("strong-snapshot-isolation", DecidedBy::Cycles),
    ("serializable", DecidedBy::Cycles),
    ("strong-session-snapshot-isolation", DecidedBy::Cycles),
    ("snapshot-isolation", DecidedBy::Cycles),
    ("repeatable-read", DecidedBy::Cycles),
    ("prefix", DecidedBy::Prefix),
    ("parallel-snapshot-isolation", DecidedBy::Cycles),
    ("consistent-view", DecidedBy::Cycles),
    ("causal", DecidedBy::Level(Level::Causal, true)),
    ("read-atomic", DecidedBy::Level(Level::ReadAtomic, false)),
    ("monotonic-atomic-view", DecidedBy::Level(Level::ReadCommitted, false)),
    ("read-committed", DecidedBy::Level(Level::Committed, false)),
];

/// What decides this model; None where nothing does.
pub(super) fn by(model: &Consistency) -> Option<DecidedBy> {
    DECIDED.iter().find(|(name, _)| *name == model.name).map(|(_, by)| *by)
}

/// The models that are decided for lists.
pub(crate) fn of_lists() -> Vec<&'static str> {
    DECIDED.iter().map(|(name, _)| *name).collect()
}

/// The models that are judged for registers.
pub(crate) fn of_registers() -> Vec<&'static str> {
    DECIDED.iter().filter(|(_, by)| *by != DecidedBy::Prefix).map(|(name, _)| *name).collect()
}

/// The model of this name or alias, if it is one of these. The error names them.
pub(super) fn named(name: &str, decided: &[&str]) -> Result<&'static Consistency, OptionError> {
    let there_are = decided.join(", ");
    match lattice::find(name) {
        Some(model) if decided.contains(&model.name) => Ok(model),
        Some(_) => {
            let message = format!("nothing decides the model {name} here (decided are: {there_are})");
            Err(OptionError::wrong("model", message))
        }
        None => Err(OptionError::wrong("model", format!("no model {name} (there are: {there_are})"))),
    }
}

/// The schema of an option that names one of these models, or one of their other names.
pub(super) fn schema_of(models: &[&str]) -> Schema {
    let aliases = models.iter().filter_map(|name| lattice::find(name)).flat_map(|model| model.aliases);
    let names: Vec<&str> = models.iter().chain(aliases).copied().collect();
    json_schema!({"title": either(models.iter().map(|name| (*name).to_owned()).collect()), "type": "string", "enum": names})
}

/// The schema of a model of transactions on lists.
pub(super) fn schema_of_lists(_: &mut SchemaGenerator) -> Schema {
    schema_of(&of_lists())
}

/// The schema of a model of transactions on registers.
pub(super) fn schema_of_registers(_: &mut SchemaGenerator) -> Schema {
    schema_of(&of_registers())
}

/// What contradicts a model beyond cycles and flaws of the checkers' own; empty where it holds, None where that is not
/// decided within the budget.
pub(super) fn contradictions(
    transactions: &Transactions<'_>,
    matched: &Matched,
    by: DecidedBy,
    budget: &Budget,
) -> Result<Vec<Finding>, Undecided> {
    let flaws = matched.flaws.iter().take(FLAWS);
    let flaws: Vec<Finding> =
        flaws.map(|flawed| explain::flaw(transactions, flawed).finding(transactions.history())).collect();
    if !flaws.is_empty() {
        return Ok(flaws);
    }
    let DecidedBy::Level(level, sessions) = by else { return Ok(flaws) };
    let alone = (!sessions).then(|| without_sessions(&matched.view));
    let view = alone.as_ref().unwrap_or(&matched.view);
    if matched.ambiguous > 0 {
        return Err(Undecided::Ambiguous);
    }
    let whole = judge(view, level, budget).map_err(|_| Undecided::Budget)?;
    if whole.count == 0 {
        return Ok(flaws);
    }
    // The weakest level that does not hold says it best.
    let weaker =
        [Level::Committed, Level::ReadCommitted, Level::ReadAtomic].into_iter().filter(|&weaker| weaker < level);
    let broken = weaker.map(|weaker| (weaker, judge(view, weaker, budget)));
    let broken = broken.filter_map(|(weaker, broken)| Some((weaker, broken.ok()?)));
    let (level, broken) = broken.into_iter().find(|(_, broken)| broken.count > 0).unwrap_or((level, whole));
    let words = Words { transactions, view, txns: &matched.txns, level, causes: OnceCell::new() };
    Ok(broken.cycles.iter().map(|cycle| words.cycle(cycle)).collect())
}

/// Why it is not known whether a model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecided {
    /// The budget of time or memory ended.
    Budget,
    /// Values were written more than once, so that the writers of what was read are not known.
    Ambiguous,
    /// A transaction read a list twice and found another one.
    Repeated,
    /// Nothing decides the model.
    Nothing,
}

impl Undecided {
    /// As a summary says it.
    pub(super) fn words(self, model: &str) -> String {
        match self {
            Undecided::Budget => format!("The time or the memory ran out before {model} was decided."),
            Undecided::Ambiguous => {
                format!(
                    "Whether {model} holds is not known: some reads are of values that were written more than once."
                )
            }
            Undecided::Repeated => format!(
                "A transaction read a list again and found another one (internal): whether that breaks {model} is not known."
            ),
            Undecided::Nothing => format!("Nothing decided whether {model} holds."),
        }
    }
}

/// Flawed reads that are reported at most.
const FLAWS: usize = 3;

/// Each transaction in a session of its own.
fn without_sessions(view: &View) -> View {
    let mut alone = view.clone();
    alone.session = (0..view.len() as u32).collect();
    alone
}
