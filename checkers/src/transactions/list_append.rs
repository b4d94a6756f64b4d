//! `list-append`: transactions that append unique elements to lists and read whole lists are isolated as the model says.
//!
//! Functions: `txn` with `[["append", key, element], ["r", key, null], ..]`, its Ok reply with the reads filled in; also
//! `append` and `r` (`read`) with a key. The lists show the order of all versions, so that every dependency is known
//! (Kingsbury and Alvaro, VLDB 2020), also to appends that were never read: they come after all that was read.
//!
//! Definite: what follows from Ok transactions, from Fail (it had no effect) and from Info ones that were observed. An
//! Info transaction that was never observed says nothing. Invalid exactly if an anomaly that the model forbids is there;
//! others are shown as evidence. A model is accepted only if it is decided: by cycles and flaws of reads, or, for prefix,
//! causal, read-atomic and monotonic-atomic-view, by whether some order of the commits explains what was read (their kinds
//! are non-monotonic-view, fractured-read and causal-violation). Read-committed is Adya's PL-2. Kinds: G0, G1a, G1b, G1c, G-single-item, G-nonadjacent-item, G2-item, each cycle also
//! `-process` and `-realtime`; internal, dirty-update, lost-update, future-read, incompatible-order, duplicate-elements,
//! garbage-read.
//!
//! Unknown: nothing was acknowledged or no acknowledged transaction read; a call is no transaction; one element was
//! appended twice to a key by transactions that may both have taken effect; the budget ran out before a class of cycles
//! that the model forbids was decided; of snapshot isolation and other models that allow some cycles with rw edges: it
//! depends on the order of appends that were never read, and no order that was tried fits.
mod edges;
mod explain;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod standing;
mod versions;

use super::cycles::{self, Class, Cycles};
use super::decided;
use super::dependencies::Level;
use super::lattice::{self, Consistency};
use super::observed::{nothing_done, unobserved};
use super::txn::{Dialect, Transactions};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Outcome};
use crate::options::{OptionError, schema};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, FINDINGS_MAX, Finding, Validity, Verdict};
use edges::{Built, Guess};
use explain::Explain;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use standing::Standing;
use std::collections::BTreeMap;
use versions::Versions;

/// Options of `list-append`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListAppendOptions {
    /// The model of isolation.
    #[schemars(schema_with = "decided::schema_of_lists")]
    model: String,
}

impl Default for ListAppendOptions {
    fn default() -> ListAppendOptions {
        ListAppendOptions { model: lattice::MODELS[0].name.to_owned() }
    }
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "list-append",
    doc: "Transactions that append to lists and read whole lists are isolated as the model says.",
    cost: "near-linear, except for G-single cycles within one component of a broken history, whose search is \
           bounded and then Unknown",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<ListAppendOptions>,
    build: |given| Ok(Box::new(ListAppend::new(&given.read::<ListAppendOptions>()?.model)?)),
};

/// Judges workloads of transactions on lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListAppend {
    model: &'static Consistency,
}

impl Default for ListAppend {
    fn default() -> Self {
        ListAppend { model: &lattice::MODELS[0] }
    }
}

impl ListAppend {
    /// For the model of this name. The error names those that are decided.
    pub(crate) fn new(model: &str) -> Result<ListAppend, OptionError> {
        Ok(ListAppend { model: decided::named(model, &decided::of_lists())? })
    }
}

/// What was found in one workload, before it is put in words.
pub(super) struct Analysis {
    versions: Versions,
    cycles: Cycles,
    /// Acknowledged appends that no other transaction read.
    unread: u64,
    /// Keys with several of them.
    open_keys: u64,
}

/// Analyses transactions on lists.
pub(super) fn analyse(txns: &Transactions<'_>, budget: &Budget, examples: usize) -> Analysis {
    let versions = Versions::find(txns);
    let Built { graph, unread, open_keys } = edges::graph(txns, &versions, None);
    let cycles = cycles::find(&graph, examples, budget);
    Analysis { versions, cycles, unread, open_keys }
}

/// The dependency graph of transactions on lists.
#[cfg(feature = "oracles")]
pub(super) fn graph_of(txns: &Transactions<'_>) -> super::dependencies::DependencyGraph {
    edges::graph(txns, &Versions::find(txns), None).graph
}

impl Analysis {
    /// Whether a model that nothing contradicts may still not hold. Models that allow some cycles with rw edges and not
    /// others depend on the order of appends that were never read: one that fits shows that the model holds. For others any
    /// order that continues the graph will do.
    pub(super) fn doubtful(&self, txns: &Transactions<'_>, budget: &Budget, model: &Consistency) -> bool {
        let depends =
            |level: Level| model.forbids(Class::GSingle.anomaly(level)) && !model.forbids(Class::G2.anomaly(level));
        let levels = [Level::Realtime, Level::Process, Level::Plain];
        let Some(level) = levels.into_iter().find(|level| depends(*level)) else { return false };
        if self.open_keys == 0 || self.cycles.transactions == 0 {
            return false;
        }
        let fits = |guess: Guess<'_>| {
            let graph = edges::graph(txns, &self.versions, Some(guess)).graph;
            let found = cycles::find(&graph, 0, budget);
            let mut classes = found.components.keys().chain(&found.undecided);
            !classes.any(|(class, level)| model.forbids(class.anomaly(*level)))
        };
        let ranks = cycles::ranks(&edges::graph(txns, &self.versions, None).graph, level);
        let guesses: [Guess<'_>; 4] =
            [&|txn| ranks[txn as usize].0, &|txn| ranks[txn as usize].1, &|txn| txns.txn(txn).end, &|txn| txn];
        !guesses.into_iter().any(fits)
    }

    /// The anomalies, each once.
    pub(super) fn anomalies(&self) -> Vec<&'static str> {
        let mut found: Vec<&'static str> = self.versions.counts.keys().map(|flaw| flaw.anomaly()).collect();
        found.extend(self.cycles.components.keys().map(|(class, level)| class.anomaly(*level)));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How often each was found: cycles by component.
    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for (flaw, count) in &self.versions.counts {
            *counts.entry(flaw.anomaly()).or_default() += count;
        }
        for ((class, level), count) in &self.cycles.components {
            *counts.entry(class.anomaly(*level)).or_default() += count;
        }
        counts
    }
}

impl Checker for ListAppend {
    fn name(&self) -> &str {
        "list-append"
    }

    /// Lists show the order of their versions; only strict and strong models add real time.
    fn needs_realtime(&self) -> bool {
        self.model.needs_realtime()
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        super::workloads(history, Dialect::Lists, &["append"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        match self.workloads(history)[..] {
            [] => Verdict::unknown(self.name(), "No transaction on lists was called.".to_owned()),
            [workload, ..] => self.workload(history, workload, budget),
        }
    }
}

impl ListAppend {
    fn workload(&self, history: &History, workload: NameId, budget: &Budget) -> Verdict {
        let txns = match Transactions::parse(history, workload, Dialect::Lists) {
            Ok(txns) => txns,
            Err(malformed) => {
                let summary = format!("#{} cannot be judged: {}.", malformed.call, malformed.why);
                return Verdict::unknown(self.name(), summary);
            }
        };
        let analysis = analyse(&txns, budget, FINDINGS_MAX);
        let anomalies = analysis.anomalies();
        let forbidden: Vec<&str> = anomalies.iter().copied().filter(|anomaly| self.model.forbids(anomaly)).collect();
        let doubt = match forbidden.is_empty() {
            true => self.doubt(&txns, &analysis, budget),
            false => None,
        };
        let standing = Standing::new(&txns, &analysis, budget);
        let (more, doubt) = match (forbidden.is_empty(), doubt) {
            (true, None) => match standing.contradictions(self.model) {
                Ok(more) => (more, None),
                Err(open) => (Vec::new(), Some(open.words(self.model.name))),
            },
            (_, doubt) => (Vec::new(), doubt),
        };
        let kept = forbidden.is_empty() && more.is_empty();
        let doubt = doubt.or_else(|| if kept { unobserved(&txns, self.model) } else { None });
        let model = self.model.name;
        let seen = messages::count(txns.outcomes[Outcome::Ok as usize] as usize, "acknowledged transaction");
        let otherwise = match doubt {
            Some(doubt) => (Validity::Unknown, doubt),
            None if !kept => (Validity::Unknown, String::new()),
            None if anomalies.is_empty() => (Validity::Valid, format!("{seen}, none of which contradicts {model}.")),
            None => (
                Validity::Valid,
                format!(
                    "{seen}, none of which contradicts {model}. Found: {}; {}.",
                    anomalies.join(", "),
                    standing.words()
                ),
            ),
        };
        let contradicting = super::broken(forbidden, &more).join(", ");
        let found = (more, self.findings(&txns, &analysis));
        let mut report = super::report(history, self.model, found, &analysis.counts());
        report.numbers(numbers(&txns, &analysis));
        report.conclude(self.name(), otherwise, |_| {
            format!("{seen}, not {model}: {contradicting}. In all: {}.", standing.words())
        })
    }

    /// Why a pass would say too much.
    fn doubt(&self, txns: &Transactions<'_>, analysis: &Analysis, budget: &Budget) -> Option<String> {
        if let Some(nothing) = nothing_done(txns, "a list", "appended") {
            return Some(nothing);
        }
        if let Some(twice) = analysis.versions.ambiguous.first() {
            let (one, other) = (txns.txn(twice.one).call, txns.txn(twice.other).call);
            let (element, key) = (txns.value(twice.element), txns.key(twice.key));
            let more = match analysis.versions.ambiguous_count {
                1 => String::new(),
                count => format!(" There are {} more such elements.", count - 1),
            };
            return Some(format!(
                "#{one} and #{other} both appended {element} to {key}: elements must be unique for each key.{more}"
            ));
        }
        let undecided = |&(class, level): &(Class, Level)| class.anomaly(level);
        let open: Vec<&str> =
            analysis.cycles.undecided.iter().map(undecided).filter(|anomaly| self.model.forbids(anomaly)).collect();
        let known = |anomaly: &&str| !analysis.anomalies().contains(anomaly);
        let open: Vec<&str> = open.into_iter().filter(known).collect();
        if !open.is_empty() {
            return Some(format!("The time was up before it was decided whether there is {}.", open.join(", ")));
        }
        analysis.doubtful(txns, budget, self.model).then(|| {
            let (model, keys) = (self.model.name, messages::count(analysis.open_keys as usize, "key"));
            format!(
                "Nothing contradicts {model}, but that depends on the order of appends to {keys} that no transaction read: \
                 read all keys at the end."
            )
        })
    }

    /// Examples of the anomalies, explained.
    fn findings(&self, txns: &Transactions<'_>, analysis: &Analysis) -> Vec<Finding> {
        let explain = Explain { txns, versions: &analysis.versions };
        let severity = |anomaly: &str| super::severity(self.model, anomaly);
        let mut found: Vec<Finding> = Vec::new();
        for cycle in &analysis.cycles.examples {
            found.extend(explain.cycle(cycle, severity(cycle.class.anomaly(cycle.level))));
        }
        found
            .extend(analysis.versions.flaws.iter().map(|flawed| explain.flaw(flawed, severity(flawed.flaw.anomaly()))));
        found
    }
}

fn numbers(txns: &Transactions<'_>, analysis: &Analysis) -> BTreeMap<String, serde_json::Value> {
    let own = [("keys", txns.keys() as u64), ("unread_appends", analysis.unread)];
    let mut numbers = super::numbers(txns, &analysis.cycles, &analysis.counts(), own);
    let undecided: Vec<&str> = analysis.cycles.undecided.iter().map(|(class, level)| class.anomaly(*level)).collect();
    if !undecided.is_empty() {
        numbers.insert("undecided_anomalies".to_owned(), json!(undecided));
    }
    numbers
}

#[cfg(test)]
mod tests;
