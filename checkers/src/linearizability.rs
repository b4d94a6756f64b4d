//! `linearizable`: each key behaves as if its calls had happened one at a time, each at some instant between its call
//! and its reply.
//!
//! Order is by index alone. Operations that failed had no effect and are left out; operations without a known outcome
//! may have happened at any time after their call, or never. Keys are judged one by one, because linearizability is
//! local (Herlihy and Wing 1990).
//!
//! Registers: `read` (reply: the value, nil while nothing was written), `write` (input: the value), `cas` (input
//! `[from, to]`; the reply `false` says that it saw another value). Other models say themselves what they read.
//!
//! Findings: `stale-read`, `future-read`, `phantom-read`, `lost-update`, and `nonlinearizable` without a single reason; each over
//! as few operations as could be found, with a claim that a machine can check.
//! Unknown: nothing was acknowledged, no key had both a change and a reply that shows the state, a call is not
//! understood, arguments of `acquire` that mean nothing to the model differ and may name several locks of one key, or
//! time or memory ran out before the answer.
mod beam;
mod configuration;
pub(crate) mod containers;
mod counted;
mod decide;
mod explain;
mod forward;
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;
pub(crate) mod general;
mod keys;
mod limits;
mod object;
mod outlook;
mod register;
mod search;
mod shrink;
mod space;
mod timeline;
mod witness;
mod zones;

#[cfg(test)]
mod tests;

use crate::calls::{Group, NamedBy, Naming};
use crate::checker::{CheckerDoc, Judges, Reads};
use crate::forms::{Forms, Turned};
use crate::history::{History, NameId};
use crate::initial::{Basis, Initial, question};
use crate::models::{self, CasRegister, MODELS, Model, ModelOptions, QueueOrder, WithModel};
use crate::options::schema;
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, FINDINGS_MAX, Report, Validity, Verdict};
use decide::DecisionOptions;
use keys::{KeyDecision, Part, parts};
use object::{Contradiction, Objects};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU64;

/// Options of `linearizable`, those of its models among them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LinearizableOptions {
    /// The model of an object that each key is.
    #[schemars(schema_with = "schema_of_models")]
    model: String,
    /// A valid verdict carries an order of the operations of each key.
    witness: bool,
    initial: Initial,
    /// Model semaphore: how many permits there are. Left out: 1.
    permits: Option<NonZeroU64>,
    /// Model priority-queue: which value comes out first. Left out: the smallest.
    order: Option<QueueOrder>,
}

impl Default for LinearizableOptions {
    fn default() -> LinearizableOptions {
        let (initial, permits, order) = (Initial::default(), None, None);
        LinearizableOptions { model: "cas-register".to_owned(), witness: false, initial, permits, order }
    }
}

fn schema_of_models(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
    json_schema!({"type": "string", "enum": names})
}

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "linearizable",
    doc: "Every key behaves as if its calls had happened one at a time, each between its call and its reply.",
    cost: "near-linear for registers whose values are written once, and for queues, stacks, priority queues, \
           bags and growing sets whose values are put once; registers with repeated values: linear in the \
           length, exponential at worst in the calls open at once; other models: a search, exponential at worst",
    judges: Judges::calls(&["write", "cas"], &["read"]).reading(Reads::Value),
    options: schema::<LinearizableOptions>,
    build: |given| {
        let LinearizableOptions { model, witness, initial, permits, order } = given.read()?;
        let options = ModelOptions { initial, permits, order };
        let workload = given.workload.take();
        models::with_model(&model, &options, Judge { workload, witness, initial: options.initial.clone() })
    },
};

/// Makes the checker for a model of any type.
struct Judge {
    workload: Option<String>,
    witness: bool,
    initial: Initial,
}

impl WithModel for Judge {
    type Out = Box<dyn Checker>;
    fn with<M: Model + Clone + 'static>(self, model: M) -> Self::Out {
        let Judge { workload, witness, initial } = self;
        Box::new(Linearizable { workload, ..Linearizable::new(model).initial(initial).witness(witness) })
    }
}

/// Judges linearizability of one model.
#[derive(Clone, Debug)]
pub struct Linearizable<M> {
    model: M,
    workload: Option<String>,
    witness: bool,
    initial: Initial,
}

impl Linearizable<CasRegister> {
    /// For registers with read, write and compare-and-set.
    pub fn registers() -> Linearizable<CasRegister> {
        Linearizable::new(CasRegister::default())
    }
}

impl<M: Model> Linearizable<M> {
    /// For any model. Without [`Linearizable::workload`] it judges every workload that uses functions of the model and
    /// does more than read. A function that the model does not know leaves its key undecided.
    pub fn new(model: M) -> Linearizable<M> {
        Linearizable { model, workload: None, witness: false, initial: Initial::default() }
    }

    /// Judges this workload only.
    pub fn workload(mut self, name: &str) -> Linearizable<M> {
        self.workload = Some(name.to_owned());
        self
    }

    /// A valid verdict carries an order of the operations of each key, for a separate program to replay.
    pub fn with_witness(self) -> Linearizable<M> {
        self.witness(true)
    }

    /// The same, or not.
    pub(crate) fn witness(mut self, wanted: bool) -> Linearizable<M> {
        self.witness = wanted;
        self
    }

    /// What objects hold before anything is written: see [`Initial`].
    pub fn initial(mut self, initial: Initial) -> Linearizable<M> {
        self.initial = initial;
        self
    }

    /// Whether an object is a lock to which the argument of `acquire` is nothing.
    fn names_no_lock(&self) -> bool {
        let action = |input: Value| self.model.action_by(0, "acquire", &input, None).ok();
        let lock = self.model.functions().contains(&"acquire");
        lock && action(Value::Nil).is_some_and(|one| action(Value::text("a")) == Some(one))
    }
}

/// Why the key may be several locks.
fn several<'h>(naming: &Naming<'h>, history: &'h History, part: &Part<'h>) -> Option<String> {
    let positions = part.ops(history).map(|op| op.position).collect();
    naming.several(&Group { workload: part.workload, key: part.key, ops: positions })
}

fn key_name(history: &History, part: &Part<'_>) -> String {
    if part.key.is_nil() { format!("workload {}", history.name(part.workload)) } else { format!("key {}", part.key) }
}

impl<M: Model> Checker for Linearizable<M> {
    fn name(&self) -> &str {
        "linearizable"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        let mut functions: BTreeMap<NameId, Vec<NameId>> = BTreeMap::new();
        for (workload, function) in history.functions_called() {
            functions.entry(workload).or_default().push(function);
        }
        let known = self.model.functions();
        let judged = |id: &NameId, seen: &[NameId]| match &self.workload {
            Some(name) => history.name(*id) == name,
            None => {
                let changes = |name: &str| known.contains(&name) && name != "read";
                (known.contains(&"write") && history.name(*id) == "register")
                    || seen.iter().any(|function| changes(history.name(*function)))
            }
        };
        let found: Vec<NameId> = functions.iter().filter(|(id, seen)| judged(id, seen)).map(|(id, _)| *id).collect();
        // Reads alone are those of the model where there is nothing else.
        match functions.iter().next().filter(|_| found.is_empty() && functions.len() == 1 && self.workload.is_none()) {
            Some((&id, seen)) if seen.iter().all(|function| known.contains(&history.name(*function))) => vec![id],
            _ => found,
        }
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = self.workloads(history);
        let mut parts = parts(history, &workloads);
        let forms = self.model.shows_as_written().then(|| Forms::of(history)).filter(Forms::may_differ);
        let objects = Objects { model: &self.model, initial: &self.initial, history, forms, turned: false };
        let mut bad: Vec<(u64, usize, Contradiction<M>)> = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        let mut orders: Vec<Option<Vec<u64>>> = Vec::new();
        let mut left = 0;
        let mut asked: Vec<(Value, Value)> = Vec::new();
        let mut how_shown = Basis::Read;
        let name = |part: &Part<'_>| key_name(history, part);
        let naming = self.names_no_lock().then(|| Naming::new(history, NamedBy::Unsaid, false));
        let judged = keys::judge_all(&parts, budget, self.witness, name, |part, options| {
            match naming.as_ref().and_then(|naming| several(naming, history, part)) {
                Some(why) => KeyDecision::GaveUp(why),
                None => objects.judge(part, options),
            }
        });
        let mut judged = self.as_turned(history, &parts, judged, budget);
        broken_before(&objects, &mut parts, &mut judged, budget);
        for (place, (part, judged)) in parts.iter().zip(judged).enumerate() {
            match judged {
                KeyDecision::Fine(order) => orders.push(order),
                KeyDecision::Bad(index, evidence) => bad.push((index, place, evidence)),
                KeyDecision::GaveUp(why) => unknown.push(format!("{}: {why}", key_name(history, part))),
                KeyDecision::Again => unknown.push(format!("{}: not decided", key_name(history, part))),
                KeyDecision::Left => left += 1,
                KeyDecision::DependsOnInitial(begins, how) => {
                    asked.extend(begins);
                    how_shown = if how == Basis::Read { how_shown } else { how };
                }
            }
        }
        bad.sort_by_key(|(index, place, _)| (*index, *place));
        let mut report = Report::new(history);
        // Explaining a key takes time: the rest is counted in `bad_keys`.
        for (_, place, evidence) in bad.iter().take(FINDINGS_MAX) {
            report.finding(objects.finding(&parts[*place], evidence, budget));
        }
        let ok = parts.iter().map(|part| part.ok).sum::<usize>();
        let info = parts.iter().map(Part::len).sum::<usize>() - ok;
        let otherwise = match unknown.first() {
            _ if !asked.is_empty() => (Validity::Unknown, format!("{}.", question(&asked, how_shown))),
            None if ok == 0 => (Validity::Unknown, self.nothing(history, &workloads)),
            None if !parts.iter().any(|part| objects.observed(part)) => (Validity::Unknown, self.unobserved(ok)),
            None => (
                Validity::Valid,
                format!("{ok} acknowledged operations on {} are linearizable.", messages::count(parts.len(), "key")),
            ),
            Some(first) => (
                Validity::Unknown,
                format!("{} of {} not decided; {first}.", messages::count(unknown.len(), "key"), parts.len()),
            ),
        };
        report.numbers([
            ("checked_keys", parts.len()),
            ("checked_ops", ok + info),
            ("ok_ops", ok),
            ("info_ops", info),
            ("bad_keys", bad.len()),
            ("undecided_keys", unknown.len()),
            ("asked_keys", asked.len()),
            ("left_keys", left),
        ]);
        report.number("undecided", json!(unknown.iter().take(FINDINGS_MAX).collect::<Vec<_>>()));
        if self.witness && bad.is_empty() && otherwise.0 == Validity::Valid {
            let certificates = self.certificates(history, &parts, orders);
            report.number("keys_without_certificate", (parts.len() - certificates.len()) as u64);
            report.certify(certificates);
        }
        let (count, all) = (messages::count(bad.len(), "key"), parts.len());
        let more = if left == 0 { String::new() } else { format!(" ({left} not looked at further)") };
        report.conclude(self.name(), otherwise, |headline| {
            format!("{count} of {all} not linearizable{more}. {headline}.")
        })
    }
}

/// Judges keys with a call that is not understood up to that call: nothing that came later explains what was seen before.
fn broken_before<'h, M: Model>(
    objects: &Objects<'h, M>,
    parts: &mut [Part<'h>],
    judged: &mut [KeyDecision<Contradiction<M>>],
    budget: &Budget,
) {
    let open = judged.iter_mut().zip(parts).filter(|(judged, _)| matches!(judged, KeyDecision::GaveUp(_)));
    for (judged, part) in open {
        let Some(call) = objects.not_understood(part) else { continue };
        let before = part.before(objects.history, call);
        let what = key_name(objects.history, &before);
        let options = DecisionOptions { what: &what, ..DecisionOptions::of(budget) };
        if let bad @ KeyDecision::Bad(..) = objects.judge(&before, options) {
            (*judged, *part) = (bad, before);
        }
    }
}

impl<M: Model> Linearizable<M> {
    /// The answers; those of a workload that is no register with versions, and is one if what its reads answer is turned round,
    /// say so.
    fn as_turned<'h>(
        &self,
        history: &'h History,
        parts: &[Part<'h>],
        mut judged: Vec<KeyDecision<Contradiction<M>>>,
        budget: &Budget,
    ) -> Vec<KeyDecision<Contradiction<M>>> {
        let fails =
            |judged: &KeyDecision<Contradiction<M>>| matches!(judged, KeyDecision::Bad(..) | KeyDecision::GaveUp(_));
        if self.model.name() != "versioned-register" || !judged.iter().any(fails) {
            return judged;
        }
        let turned = Turned::of(history, &self.initial);
        if turned.is_empty() {
            return judged;
        }
        let objects = Objects { model: &self.model, initial: &self.initial, history, forms: None, turned: true };
        let name = |part: &Part<'_>| key_name(history, part);
        let others = keys::judge_all(parts, budget, false, name, |part, options| match turned.why(part.workload) {
            Some(_) => objects.judge(part, options),
            None => KeyDecision::Fine(None),
        });
        // What it would have begun with is no guess where several replies agree on it.
        let shown = |part: &Part<'_>| {
            let reads = part.ops(history).filter(|op| history.name(op.function) == "read" && !op.output.is_nil());
            reads.map(|op| op.output).collect::<HashSet<_>>().len()
        };
        let explained = |at: usize| match others[at] {
            KeyDecision::Fine(_) => true,
            KeyDecision::DependsOnInitial(..) => shown(&parts[at]) > 1,
            _ => false,
        };
        let mut explains: HashMap<NameId, bool> = HashMap::new();
        for (at, part) in parts.iter().enumerate() {
            *explains.entry(part.workload).or_insert(true) &= explained(at);
        }
        for (part, judged) in parts.iter().zip(&mut judged).filter(|(_, judged)| fails(judged)) {
            if let Some(why) = turned.why(part.workload).filter(|_| explains[&part.workload]) {
                *judged = KeyDecision::GaveUp(why.to_owned());
            }
        }
        judged
    }

    /// For each key of a valid history, its order.
    fn certificates(&self, history: &History, parts: &[Part<'_>], orders: Vec<Option<Vec<u64>>>) -> Vec<Certificate> {
        let certify = |(part, order): (&Part<'_>, Option<Vec<u64>>)| {
            let calls: Vec<u64> = part.ops(history).map(|op| op.call).collect();
            let own = self.model.beginning(&part.key.to_value(), &self.initial);
            let model = own.as_ref().unwrap_or(&self.model).specification();
            let mut certificate = Certificate::new(history, Claim::Linearization { model, order: order? }, &calls);
            self.initial.certify(&mut certificate);
            Some(certificate)
        };
        parts.iter().zip(orders).filter_map(certify).collect()
    }

    fn unobserved(&self, ok: usize) -> String {
        let known = self.model.functions();
        let advice = if known.contains(&"write") && known.contains(&"read") { " Read what is written." } else { "" };
        format!(
            "Nothing in {} could contradict: of no key were both a change and something that tells of it.{advice}",
            messages::count(ok, "acknowledged operation")
        )
    }

    fn nothing(&self, history: &History, workloads: &[NameId]) -> String {
        match (workloads, &self.workload) {
            ([], Some(name)) => format!("the history has no operation of workload {name}"),
            ([], None) => {
                let mut functions: Vec<&str> = Vec::new();
                for name in history.ops().iter().map(|op| history.name(op.function)) {
                    if !functions.contains(&name) {
                        functions.push(name);
                    }
                }
                match functions[..] {
                    [] => "the history has no operations".to_owned(),
                    _ => format!(
                        "no workload here changes a {}: the functions called are {}",
                        self.model.name(),
                        functions.join(", ")
                    ),
                }
            }
            _ => "no operation was acknowledged, so nothing can be said".to_owned(),
        }
    }
}
