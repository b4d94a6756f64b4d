//! `rw-register`: transactions that write unique values to registers and read them are isolated as the model says.
//!
//! Functions: `txn` with `[["w", key, value], ["r", key, null], ..]`, its Ok reply with the reads filled in; also `write`
//! and `read` with a key. What is read says who wrote it. The order of the versions of a key is only partly known
//! (Kingsbury and Alvaro, VLDB 2020, section 5): the initial version is first; what a transaction writes follows what it
//! read of the key (`wfr_keys`, on unless it is set to false: the contrary would be a G1c, so that nothing above
//! read-uncommitted allows it); with `sequential_keys` each process sees each key grow only; with `linearizable_keys` what
//! is touched after a transaction had ended is not older than what that had touched (strict serializability promises that,
//! so that it is on there). The last two are promises that a
//! store must give for each key alone; where it does not, findings from them are false.
//!
//! **Valid says less here than for lists**: where the order of two versions is not known, there is no edge, and no anomaly
//! is seen; where it was known of no key at all, the answer is Unknown. The numbers say how much was known
//! (`keys_total_order`, `keys_written`, `version_orders_inferred`).
//!
//! Invalid exactly if an anomaly that the model forbids follows from what is known. Kinds: G0, G1a, G1b, G1c,
//! G-single-item, G-nonadjacent-item, G2-item, each cycle also `-process` and `-realtime`; cyclic-versions, lost-update,
//! dirty-update, internal, future-read, garbage-read. Unknown: nothing was acknowledged or read; a read value was written
//! by several transactions; a call is no transaction; the budget ran out.
mod edges;
mod explain;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
mod pruned;
mod versions;

use super::cycles::{self, Cycles};
use super::decided;
use super::lattice::{self, Consistency};
use super::observed::{nothing_done, unobserved};
use super::txn::{Dialect, Transactions, certainly_first};
use super::weak::explain as weak_explain;
use super::weak::matched::{Flaw, Matched};
use super::weak::view::{INITIAL, View};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Outcome};
use crate::initial::{Beginnings, FromInitial, Initial, WithInitial};
use crate::options::{OptionError, schema};
use crate::verdict::messages;
use crate::verdict::{Budget, FINDINGS_MAX, Finding, Validity, Verdict, Violation};
use explain::Explain;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use versions::Orders;
pub(super) use versions::{Sources, Updates};

/// Options of `rw-register`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RwRegisterOptions {
    /// The model of isolation. Of causal, read-atomic and monotonic-atomic-view nothing stays unseen.
    #[schemars(schema_with = "decided::schema_of_registers")]
    pub(super) model: String,
    /// A transaction's writes follow its reads of the same key.
    pub(super) wfr_keys: bool,
    /// Each key alone is sequentially consistent.
    pub(super) sequential_keys: bool,
    /// Each key alone is linearizable. Left out: true for strict-serializable, else false.
    pub(super) linearizable_keys: Option<bool>,
    pub(super) initial: Initial,
}

impl Default for RwRegisterOptions {
    fn default() -> RwRegisterOptions {
        RwRegisterOptions {
            model: lattice::MODELS[0].name.to_owned(),
            wfr_keys: true,
            sequential_keys: false,
            linearizable_keys: None,
            initial: Initial::default(),
        }
    }
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "rw-register",
    doc: "Transactions on registers with unique writes are isolated as the model says, as far as version orders are known.",
    cost: "near-linear, except for G-single cycles within one component of a broken history, whose search is \
           bounded and then Unknown",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<RwRegisterOptions>,
    build: |given| {
        let options: RwRegisterOptions = given.read()?;
        Ok(Box::new(WithInitial::new(RwRegister::of(&options)?, options.initial)))
    },
};

/// Judges workloads of transactions on registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RwRegister {
    model: &'static Consistency,
    sources: Sources,
}

impl RwRegister {
    /// As the options of the checker say. The error names the models that there are.
    pub(super) fn of(options: &RwRegisterOptions) -> Result<RwRegister, OptionError> {
        let model = decided::named(&options.model, &decided::of_registers())?;
        let sources = Sources {
            writes_follow_reads: options.wfr_keys,
            sequential: options.sequential_keys,
            // What is strict serializable is linearizable key by key.
            linearizable: options.linearizable_keys.unwrap_or(model.name == "strict-serializable"),
            updates: Updates::Unknown,
        };
        Ok(RwRegister { model, sources })
    }

    /// The same for histories in which every write follows a read of its key.
    pub(super) fn updates(model: &'static Consistency, updates: Updates) -> RwRegister {
        let sources = Sources { writes_follow_reads: true, sequential: false, linearizable: false, updates };
        RwRegister { model, sources }
    }
}

/// Two transactions that read one version and both overwrote it: key, version, one, other.
type Lost = (u32, u32, u32, u32);

/// What was found, before it is put in words. Transactions by their numbers in the view.
struct Analysis {
    matched: Matched,
    orders: Orders,
    cycles: Cycles,
    edges: usize,
    lost: Vec<Lost>,
    /// Key, reader, first version, other version.
    unrepeatable: Vec<(u32, u32, u32, u32)>,
    counts: BTreeMap<&'static str, u64>,
}

fn analyse(txns: &Transactions<'_>, sources: Sources, budget: &Budget) -> Analysis {
    let matched = Matched::registers(txns);
    let orders = Orders::new(txns, &matched, sources);
    let (graph, edges) = edges::graph(txns, &matched, &orders);
    let cycles = cycles::find(&graph, FINDINGS_MAX, budget);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut count = |anomaly: &'static str, number: u64| {
        if number > 0 {
            *counts.entry(anomaly).or_default() += number;
        }
    };
    for flawed in &matched.flaws {
        count(flawed.flaw.kind(), 1);
        let writes = txns.mops(flawed.reader).iter().any(|mop| mop.writes() && mop.key == flawed.key);
        count("dirty-update", u64::from(flawed.flaw == Flaw::Aborted && writes));
    }
    let lost = lost_updates(&matched.view);
    let unrepeatable = unrepeatable(&matched.view);
    count("lost-update", lost.len() as u64);
    count("internal", unrepeatable.len() as u64);
    count("cyclic-versions", orders.cyclic.len() as u64);
    for ((class, level), number) in &cycles.components {
        count(class.anomaly(*level), *number);
    }
    Analysis { matched, orders, cycles, edges, lost, unrepeatable, counts }
}

fn lost_updates(view: &View) -> Vec<Lost> {
    let mut updates: Vec<(u32, u32, u32)> = Vec::new();
    for txn in 0..view.len() as u32 {
        let updated = view.reads(txn).iter().filter(|read| view.writes(txn).binary_search(&read.key).is_ok());
        updates.extend(updated.map(|read| (read.key, read.from, txn)));
    }
    updates.sort_unstable();
    updates.dedup();
    let same = |pair: &&[(u32, u32, u32)]| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
    updates.windows(2).filter(same).map(|pair| (pair[0].0, pair[0].1, pair[0].2, pair[1].2)).collect()
}

fn unrepeatable(view: &View) -> Vec<(u32, u32, u32, u32)> {
    let mut found = Vec::new();
    for txn in 0..view.len() as u32 {
        let mut reads: Vec<(u32, u32)> = view.reads(txn).iter().map(|read| (read.key, read.from)).collect();
        // Stable, so that of one key the first read stays first.
        reads.sort_by_key(|read| read.0);
        let differs = |pair: &&[(u32, u32)]| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
        found.extend(reads.windows(2).filter(differs).map(|pair| (pair[0].0, txn, pair[0].1, pair[1].1)));
    }
    found
}

impl FromInitial for RwRegister {
    fn name(&self) -> &str {
        "rw-register"
    }

    /// Strict and strong models do, and orders of versions that are taken from real time.
    fn needs_realtime(&self) -> bool {
        self.model.needs_realtime() || self.sources.linearizable
    }

    /// Those of lists only where there are no others: then the answer says what is not understood.
    fn workloads(&self, history: &History) -> Vec<NameId> {
        let single = ["write", "w"];
        let registers = super::workloads(history, Dialect::Registers, &single);
        if registers.is_empty() { super::workloads(history, Dialect::Lists, &single) } else { registers }
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        match self.workloads(history)[..] {
            [] => Verdict::unknown(self.name(), "No transaction on registers was called.".to_owned()),
            [workload, ..] => self.workload(history, workload, budget, initial),
        }
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        Beginnings::read(certainly_first(history))
    }
}

impl RwRegister {
    pub(super) fn workload(&self, history: &History, workload: NameId, budget: &Budget, initial: &Initial) -> Verdict {
        let txns = match Transactions::parse(history, workload, Dialect::Registers) {
            Ok(txns) => txns.beginning(initial),
            Err(malformed) => {
                let summary = format!("#{} cannot be judged: {}.", malformed.call, malformed.why);
                return Verdict::unknown(self.name(), summary);
            }
        };
        let analysis = analyse(&txns, self.sources, budget);
        let anomalies: Vec<&str> = analysis.counts.keys().copied().collect();
        let forbidden: Vec<&str> = anomalies.iter().copied().filter(|anomaly| self.model.forbids(anomaly)).collect();
        let doubt = self.doubt(&txns, &analysis);
        let (more, doubt) = match (forbidden.is_empty(), doubt, decided::by(self.model)) {
            (true, None, Some(by)) => match decided::contradictions(&txns, &analysis.matched, by, budget) {
                Ok(more) => (more, None),
                Err(open) => (Vec::new(), Some(open.words(self.model.name))),
            },
            (_, doubt, _) => (Vec::new(), doubt),
        };
        let kept = forbidden.is_empty() && more.is_empty();
        let doubt = doubt.or_else(|| if kept { unobserved(&txns, self.model) } else { None });
        let ruling = lattice::words(&lattice::rule(anomalies.iter().copied()));
        let seen = messages::count(txns.outcomes[Outcome::Ok as usize] as usize, "acknowledged transaction");
        let known = format!(
            "the order of all versions was known of {} of {}",
            analysis.orders.total_keys,
            messages::count(analysis.orders.written_keys as usize, "key")
        );
        let model = self.model.name;
        // Cycles through versions of which no order is known cannot be seen.
        let blind = analysis.orders.total_keys == 0
            && analysis.orders.written_keys > 0
            && decided::by(self.model) == Some(decided::DecidedBy::Cycles);
        let otherwise = match doubt {
            Some(doubt) => (Validity::Unknown, doubt),
            None if blind => (
                Validity::Unknown,
                format!(
                    "{seen}, of which nothing known contradicts {model}, but {known}: let transactions read a key before \
                     they write it (mini-transactions), or append to lists."
                ),
            ),
            None if anomalies.is_empty() => {
                (Validity::Valid, format!("{seen}, of which nothing known contradicts {model}; {known}."))
            }
            None => {
                let found = anomalies.join(", ");
                (
                    Validity::Valid,
                    format!("{seen}, of which nothing known contradicts {model}; {known}. Found: {found}; {ruling}."),
                )
            }
        };
        let contradicting = super::broken(forbidden, &more).join(", ");
        let found = (more, self.findings(&txns, &analysis));
        let mut report = super::report(history, self.model, found, &analysis.counts);
        report.numbers(numbers(&txns, &analysis));
        report.conclude(self.name(), otherwise, |_| format!("{seen}, not {model}: {contradicting}. In all: {ruling}."))
    }

    /// Why a pass would say too much.
    fn doubt(&self, txns: &Transactions<'_>, analysis: &Analysis) -> Option<String> {
        if let Some(nothing) = nothing_done(txns, "a register", "wrote") {
            return Some(nothing);
        }
        if analysis.matched.ambiguous > 0 {
            let reads = messages::count(analysis.matched.ambiguous as usize, "read");
            return Some(format!("{reads} cannot be told from whom: values must be written once for each key."));
        }
        let names = analysis.cycles.undecided.iter().map(|(class, level)| class.anomaly(*level));
        let open: Vec<&str> =
            names.filter(|anomaly| self.model.forbids(anomaly) && !analysis.counts.contains_key(anomaly)).collect();
        (!open.is_empty())
            .then(|| format!("The time was up before it was decided whether there is {}.", open.join(", ")))
    }

    /// Examples of the anomalies, explained.
    fn findings(&self, txns: &Transactions<'_>, analysis: &Analysis) -> Vec<Finding> {
        let explain = Explain { txns, matched: &analysis.matched, orders: &analysis.orders };
        let severity = |anomaly: &str| super::severity(self.model, anomaly);
        let mut found: Vec<Finding> = Vec::new();
        for cycle in &analysis.cycles.examples {
            found.extend(explain.cycle(cycle, severity(cycle.class.anomaly(cycle.level))));
        }
        let mut shown: BTreeMap<Flaw, usize> = BTreeMap::new();
        for flawed in &analysis.matched.flaws {
            let count = shown.entry(flawed.flaw).or_default();
            *count += 1;
            if *count > FINDINGS_MAX {
                continue;
            }
            let flaw = || weak_explain::flaw(txns, flawed);
            let writes = txns.mops(flawed.reader).iter().any(|mop| mop.writes() && mop.key == flawed.key);
            if flawed.flaw == Flaw::Aborted && writes {
                let (kind, flaw) = ("dirty-update", flaw());
                let title = format!("{}; it then overwrote it", flaw.title);
                let update = Violation { kind, title, severity: severity(kind), certificate: None, ..flaw };
                found.push(update.finding(txns.history()));
            }
            let flaw = flaw();
            found.push(Violation { severity: severity(flaw.kind), ..flaw }.finding(txns.history()));
        }
        for cycle in analysis.orders.cyclic.iter().take(FINDINGS_MAX) {
            found.push(explain.cyclic(cycle, severity("cyclic-versions")));
        }
        for &(key, version, one, other) in analysis.lost.iter().take(FINDINGS_MAX) {
            found.push(explain.lost_update(key, version, one, other, severity("lost-update")));
        }
        for &(key, reader, one, other) in analysis.unrepeatable.iter().take(FINDINGS_MAX) {
            found.push(explain.unrepeatable(key, reader, one, other, severity("internal")));
        }
        found
    }
}

fn numbers(txns: &Transactions<'_>, analysis: &Analysis) -> BTreeMap<String, serde_json::Value> {
    let inferred = analysis.orders.known.iter().filter(|known| known.before != INITIAL).count();
    let own = [
        ("keys_written", analysis.orders.written_keys),
        ("keys_total_order", analysis.orders.total_keys),
        ("version_orders_inferred", inferred as u64),
        ("dependency_edges", analysis.edges as u64),
        ("ambiguous_reads", analysis.matched.ambiguous),
    ];
    super::numbers(txns, &analysis.cycles, &analysis.counts, own)
}

#[cfg(test)]
mod tests;
