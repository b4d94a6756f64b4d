//! Which models of consistency are decided for lists and for registers, and by what. A model that nothing decides is
//! refused by the checkers: a pass would only say that nobody looked.
//!
//! Sessions count for the models that have them in the [`lattice`]: strong-session forms, `prefix` and `causal`.
//! `read-atomic` and `monotonic-atomic-view` are judged without them here; the checkers of weak levels count them.
#[doc(hidden)]
pub mod fuzz;

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
pub(super) enum By {
    /// Cycles of the dependency graph, and flaws of single reads.
    Cycles,
    /// An order of the commits explains what was read; whether sessions count.
    Level(Level, bool),
    /// Cycles in which each rw comes right after so or wr: only where all version orders are known.
    Prefix,
}

/// The models, the stronger before those they imply.
const DECIDED: &[(&str, By)] = &[
    ("strict-serializable", By::Cycles),
    ("strong-session-serializable", By::Cycles),
    ("strong-snapshot-isolation", By::Cycles),
    ("serializable", By::Cycles),
    ("strong-session-snapshot-isolation", By::Cycles),
    ("snapshot-isolation", By::Cycles),
    ("repeatable-read", By::Cycles),
    ("prefix", By::Prefix),
    ("parallel-snapshot-isolation", By::Cycles),
    ("consistent-view", By::Cycles),
    ("causal", By::Level(Level::Causal, true)),
    ("read-atomic", By::Level(Level::ReadAtomic, false)),
    ("monotonic-atomic-view", By::Level(Level::ReadCommitted, false)),
    ("read-committed", By::Level(Level::Committed, false)),
];

/// What decides this model; None where nothing does.
pub(super) fn by(model: &Consistency) -> Option<By> {
    DECIDED.iter().find(|(name, _)| *name == model.name).map(|(_, by)| *by)
}

/// The models that are decided for lists.
pub(crate) fn of_lists() -> Vec<&'static str> {
    DECIDED.iter().map(|(name, _)| *name).collect()
}

/// The models that are judged for registers.
pub(crate) fn of_registers() -> Vec<&'static str> {
    DECIDED.iter().filter(|(_, by)| *by != By::Prefix).map(|(name, _)| *name).collect()
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
    by: By,
    budget: &Budget,
) -> Result<Vec<Finding>, Open> {
    let flaws: Vec<Finding> =
        matched.flaws.iter().take(FLAWS).map(|flawed| explain::flaw(transactions, flawed)).collect();
    if !flaws.is_empty() {
        return Ok(flaws);
    }
    let By::Level(level, sessions) = by else { return Ok(flaws) };
    let alone = (!sessions).then(|| without_sessions(&matched.view));
    let view = alone.as_ref().unwrap_or(&matched.view);
    if matched.ambiguous > 0 {
        return Err(Open::Ambiguous);
    }
    let whole = judge(view, level, budget).map_err(|_| Open::Budget)?;
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

/// Why nobody knows whether a model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// The budget of time or memory ended.
    Budget,
    /// Values were written more than once, so that nobody knows who was read.
    Ambiguous,
    /// A transaction read a list twice and found another one.
    Repeated,
    /// Nothing decides the model, or what decides it found no words.
    Undecided,
}

impl Open {
    /// As a summary says it.
    pub(super) fn words(self, model: &str) -> String {
        match self {
            Open::Budget => format!("The time or the memory ran out before {model} was decided."),
            Open::Ambiguous => {
                format!(
                    "Whether {model} holds is not known: some reads are of values that were written more than once."
                )
            }
            Open::Repeated => format!(
                "A transaction read a list again and found another one (internal): whether that breaks {model} is not known."
            ),
            Open::Undecided => format!("Nothing decided whether {model} holds."),
        }
    }
}

/// So many flawed reads are told.
const FLAWS: usize = 3;

/// Each transaction in a session of its own.
fn without_sessions(view: &View) -> View {
    let mut alone = view.clone();
    alone.session = (0..view.len() as u32).collect();
    alone
}
