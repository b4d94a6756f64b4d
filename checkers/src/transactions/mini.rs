//! `mini-transactions`: transactions on registers whose every write follows a read of its key are isolated as the model
//! says, decided exactly (MTC, ICDE 2025).
//!
//! Functions as for `rw-register`, with two reads and two writes at most as MTC has them (more are taken, too): since each
//! write names the version that it overwrites, the order of all versions is known, and `serializable`,
//! `snapshot-isolation` and `strict-serializable` (option `model`) are decided in near-linear time. Two transactions that
//! overwrite the same version are a lost-update, which all three forbid.
//!
//! What an Info transaction read is unknown. Where a key has one such write that was seen, it overwrote the only version
//! that no other transaction did. Where it has several, an order of them that fits shows that the model holds; if the order tried
//! does not fit, and nothing certain contradicts the model, the answer is Unknown. Unknown too: a write without a read of
//! its key before it, and whatever is Unknown for `rw-register`. Kinds of findings are those of `rw-register`.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use super::lattice::{self, Consistency};
use super::rw_register::{RwRegister, Updates};
use super::txn::{Dialect, Transactions, certainly_first};
use crate::checker::{CheckerDoc, Judges};
use crate::history::{History, NameId, Outcome};
use crate::initial::{Beginnings, FromInitial, Initial, WithInitial};
use crate::options::{OptionError, schema};
use crate::verdict::{Budget, Validity, Verdict};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

/// Options of `mini-transactions`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MiniOptions {
    /// The model of isolation.
    #[schemars(schema_with = "schema_of_models")]
    pub(super) model: String,
    pub(super) initial: Initial,
}

impl Default for MiniOptions {
    fn default() -> MiniOptions {
        MiniOptions { model: MODELS[0].to_owned(), initial: Initial::default() }
    }
}

fn schema_of_models(_: &mut SchemaGenerator) -> Schema {
    super::decided::schema_of(&MODELS)
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "mini-transactions",
    doc: "Transactions on registers that read a key before they write it are isolated as the model says, decided exactly.",
    cost: "near-linear, except for G-single cycles within one component of a broken history, whose search is \
           bounded and then Unknown",
    judges: Judges::calls(&["txn"], &[]),
    options: schema::<MiniOptions>,
    build: |given| {
        let options: MiniOptions = given.read()?;
        Ok(Box::new(WithInitial::new(Mini::of(&options)?, options.initial)))
    },
};

/// Models that are decided.
const MODELS: [&str; 3] = ["strict-serializable", "serializable", "snapshot-isolation"];

/// Judges workloads of mini-transactions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mini {
    model: &'static Consistency,
}

impl Mini {
    /// As the options of the checker say. The error names the models that there are.
    pub(super) fn of(options: &MiniOptions) -> Result<Mini, OptionError> {
        let name = &options.model;
        let model = lattice::find(name).filter(|model| MODELS.contains(&model.name));
        let none = || OptionError::wrong("model", format!("no model {name} (there are: {})", MODELS.join(", ")));
        Ok(Mini { model: model.ok_or_else(none)? })
    }

    fn workload(&self, history: &History, workload: NameId, budget: &Budget, initial: &Initial) -> Verdict {
        if let Some(call) = blind(history, workload) {
            let summary = format!("#{call} writes a key that it did not read before: these are no mini-transactions.");
            return Verdict::unknown(self.name(), summary);
        }
        let certain = self.judged(history, workload, budget, (Updates::Certain, initial));
        if certain.validity != Validity::Valid {
            return certain;
        }
        if all_known(&certain) {
            return certain;
        }
        let guess = self.judged(history, workload, budget, (Updates::Guess, initial));
        if guess.validity == Validity::Valid && all_known(&guess) {
            return guess;
        }
        let why = "What several transactions without an answer overwrote is unknown, and the order that was tried does not fit.";
        certain.doubted(why.to_owned())
    }

    fn judged(
        &self,
        history: &History,
        workload: NameId,
        budget: &Budget,
        (updates, initial): (Updates, &Initial),
    ) -> Verdict {
        let verdict = RwRegister::updates(self.model, updates).workload(history, workload, budget, initial);
        verdict.by(self.name())
    }
}

/// Whether the order of all versions was known.
fn all_known(verdict: &Verdict) -> bool {
    verdict.numbers.get("keys_total_order") == verdict.numbers.get("keys_written")
}

/// The first transaction that may have taken effect and writes a key without having read it.
fn blind(history: &History, workload: NameId) -> Option<u64> {
    let txns = Transactions::parse(history, workload, Dialect::Registers).ok()?;
    let blind = |txn: &u32| {
        let mops = txns.mops(*txn);
        let read = |at: usize| mops[..at].iter().any(|mop| mop.key == mops[at].key && !mop.writes());
        txns.txn(*txn).outcome != Outcome::Fail && (0..mops.len()).any(|at| mops[at].writes() && !read(at))
    };
    (0..txns.len() as u32).find(blind).map(|txn| u64::from(txns.txn(txn).call))
}

impl FromInitial for Mini {
    fn name(&self) -> &str {
        "mini-transactions"
    }

    /// Writes name what they overwrite; only strict models add real time.
    fn needs_realtime(&self) -> bool {
        self.model.needs_realtime()
    }

    /// Those of lists only where there are no others: then the answer says what is not understood.
    fn workloads(&self, history: &History) -> Vec<NameId> {
        let registers = super::workloads(history, Dialect::Registers, &[]);
        if registers.is_empty() { super::workloads(history, Dialect::Lists, &[]) } else { registers }
    }

    fn check_from(&self, history: &History, budget: &Budget, initial: &Initial) -> Verdict {
        match self.workloads(history)[..] {
            [] => Verdict::unknown(self.name(), "No transaction was called.".to_owned()),
            [workload, ..] => self.workload(history, workload, budget, initial),
        }
    }

    fn beginnings(&self, history: &History) -> Beginnings {
        Beginnings::read(certainly_first(history))
    }
}
