//! `linearizable`: each key behaves as if its calls had happened one at a time, each at some instant between its call
//! and its reply.
//!
//! Order is by index alone. Operations that failed had no effect and are left out; operations without a known outcome may
//! have happened at any time after their call, or never. Keys are judged one by one, because linearizability is local (Herlihy
//! and Wing 1990).
mod decide;
mod explain;
mod forward;
mod limits;
mod register;
mod search;
mod shrink;
mod zones;

#[cfg(test)]
mod tests;

use crate::history::{History, NameId, Op, Outcome};
use crate::model::{CasRegister, Model, RegisterAct};
use crate::value::ValueRef;
use crate::verdict::{Budget, Checker, Finding, Validity, Verdict};
use crate::wording;
use decide::Decision;
use limits::{Limits, Stop};
use register::{RegOp, Values};
use search::{Search, Step};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

/// Findings shown; the number of bad keys is told in full.
const FINDINGS: usize = 10;

/// Judges linearizability of one model.
#[derive(Clone, Debug)]
pub struct Linearizable<M> {
    model: M,
    workload: Option<String>,
}

impl Linearizable<CasRegister> {
    /// For registers with read, write and compare-and-set.
    pub fn registers() -> Linearizable<CasRegister> {
        Linearizable::new(CasRegister)
    }
}

impl<M: Model> Linearizable<M> {
    /// For any model. Without [`Linearizable::workload`] it judges every workload that uses functions of the model and
    /// does more than read. A function that the model does not know leaves its key undecided.
    pub fn new(model: M) -> Linearizable<M> {
        Linearizable { model, workload: None }
    }

    /// Judges this workload only.
    pub fn workload(mut self, name: &str) -> Linearizable<M> {
        self.workload = Some(name.to_owned());
        self
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        let mut functions: BTreeMap<NameId, Vec<NameId>> = BTreeMap::new();
        for op in history.ops().iter() {
            let seen = functions.entry(op.workload).or_default();
            if !seen.contains(&op.function) {
                seen.push(op.function);
            }
        }
        let known = self.model.functions();
        let judged = |id: &NameId, seen: &[NameId]| match &self.workload {
            Some(name) => history.name(*id) == name,
            None => {
                let changes = |name: &str| known.contains(&name) && name != "read";
                history.name(*id) == "register" || seen.iter().any(|function| changes(history.name(*function)))
            }
        };
        functions.into_iter().filter(|(id, seen)| judged(id, seen)).map(|(id, _)| id).collect()
    }
}

/// Operations of one key.
struct Part<'h> {
    workload: NameId,
    key: ValueRef<'h>,
    ops: Vec<Op<'h>>,
}

fn parts<'h>(history: &'h History, workloads: &[NameId]) -> Vec<Part<'h>> {
    let mut places: HashMap<(NameId, ValueRef<'_>), usize> = HashMap::new();
    let mut parts: Vec<Part<'h>> = Vec::new();
    for op in history.ops().iter().filter(|op| op.outcome != Outcome::Fail && workloads.contains(&op.workload)) {
        let place = *places.entry((op.workload, op.key)).or_insert_with(|| {
            parts.push(Part { workload: op.workload, key: op.key, ops: Vec::new() });
            parts.len() - 1
        });
        parts[place].ops.push(op);
    }
    parts
}

/// What came out for one key.
enum Outcomes {
    Fine,
    /// With the index that shows it, and how to tell it.
    Bad(u64, Evidence),
    GaveUp(String),
}

enum Evidence {
    Register(Vec<RegOp>, Decision),
    Other(u64),
}

impl<M: Model> Linearizable<M> {
    fn judge(&self, history: &History, part: &Part<'_>, budget: &Budget) -> Outcomes {
        let mut acts = Vec::with_capacity(part.ops.len());
        for op in &part.ops {
            let reply = (op.outcome == Outcome::Ok).then(|| op.output.to_value());
            match self.model.act(history.name(op.function), &op.input.to_value(), reply.as_ref()) {
                Ok(act) => acts.push(act),
                Err(message) => return Outcomes::GaveUp(format!("#{} is not understood: {message}", op.call)),
            }
        }
        let registers: Option<Vec<RegisterAct>> = acts.iter().map(|act| self.model.register_act(act)).collect();
        match registers {
            Some(registers) => judge_register(part, &registers, budget),
            None => self.judge_any(part, acts, budget),
        }
    }

    fn judge_any(&self, part: &Part<'_>, acts: Vec<M::Act>, budget: &Budget) -> Outcomes {
        let steps = part.ops.iter().zip(acts).map(|(op, act)| {
            let observes = self.model.observes_only(&act);
            Step { call: op.call, end: op.end(), act, observes }
        });
        let steps = steps.filter(|step| !(step.observes && step.end == Op::OPEN)).collect();
        let mut search =
            Search::new(self.model.initial(), steps, |state: &M::State, act: &M::Act| self.model.step(state, act));
        let mut limits = Limits::new(budget, u64::MAX);
        match search.run(&mut limits) {
            Ok(forward::Answer::Linearizable) => Outcomes::Fine,
            Ok(forward::Answer::Refuted(index)) => Outcomes::Bad(index, Evidence::Other(index)),
            Err(stop) => Outcomes::GaveUp(gave_up(part, stop, limits.furthest)),
        }
    }

    fn finding(&self, history: &History, part: &Part<'_>, evidence: &Evidence, budget: &Budget) -> Finding {
        match evidence {
            Evidence::Register(ops, decision) => {
                let small = shrink::shrink(ops, decision, budget);
                explain::finding(history, history.name(part.workload), &part.key.to_value(), &small)
            }
            Evidence::Other(index) => explain::stuck(history, &part.key.to_value(), &part.ops, *index),
        }
    }
}

fn judge_register(part: &Part<'_>, acts: &[RegisterAct], budget: &Budget) -> Outcomes {
    let mut values = Values::default();
    let mut ops = Vec::with_capacity(acts.len());
    for (op, act) in part.ops.iter().zip(acts) {
        let Some(act) = values.act(act) else { continue };
        let end = op.end();
        // An observation without a reply says nothing.
        if end != Op::OPEN || act.writes().is_some() {
            ops.push(RegOp { call: op.call, end, act, weakened: false });
        }
    }
    let decision = decide::decide(&ops, budget);
    match &decision {
        Decision::Linearizable => Outcomes::Fine,
        Decision::GaveUp(stop, furthest) => Outcomes::GaveUp(gave_up(part, *stop, *furthest)),
        Decision::Refuted(index) => Outcomes::Bad(*index, Evidence::Register(ops, decision)),
        Decision::Conflict(conflict) => {
            let at = match conflict {
                zones::Conflict::Phantom { observer } => *observer,
                zones::Conflict::TwoReplaced { cas } => cas[1],
                zones::Conflict::Ring { cas } => cas.first().copied().unwrap_or(0),
                zones::Conflict::Backwards { first, .. } => *first,
                zones::Conflict::Overlap { outer, .. } => outer[1],
            };
            Outcomes::Bad(ops[at].call, Evidence::Register(ops, decision))
        }
    }
}

fn gave_up(part: &Part<'_>, stop: Stop, furthest: u64) -> String {
    let what = match stop {
        Stop::Time => "the time ran out",
        Stop::Memory => "the memory ran out",
        Stop::Width | Stop::Quota => "too many operations are open at once",
    };
    let replies = part.ops.iter().filter(|op| op.outcome == Outcome::Ok);
    let done = replies.clone().filter(|op| op.reply <= furthest).count();
    let time = replies.clone().filter(|op| op.reply <= furthest).map(|op| op.reply_time).max().unwrap_or(0);
    format!("{what} after {done} of {} replies, at {} of the run", replies.count(), wording::seconds(time))
}

fn key_name(history: &History, part: &Part<'_>) -> String {
    if part.key.is_nil() { format!("workload {}", history.name(part.workload)) } else { format!("key {}", part.key) }
}

impl<M: Model> Checker for Linearizable<M> {
    fn name(&self) -> &str {
        "linearizable"
    }

    fn check(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = self.workloads(history);
        let parts = parts(history, &workloads);
        let mut bad: Vec<(u64, usize, Evidence)> = Vec::new();
        let mut unknown: Vec<String> = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            match self.judge(history, part, budget) {
                Outcomes::Fine => {}
                Outcomes::Bad(index, evidence) => bad.push((index, place, evidence)),
                Outcomes::GaveUp(why) => unknown.push(format!("{}: {why}", key_name(history, part))),
            }
        }
        bad.sort_by_key(|(index, place, _)| (*index, *place));
        let shown = bad.iter().take(FINDINGS);
        let findings: Vec<Finding> =
            shown.map(|(_, place, evidence)| self.finding(history, &parts[*place], evidence, budget)).collect();
        let ok = parts.iter().flat_map(|part| &part.ops).filter(|op| op.outcome == Outcome::Ok).count();
        let info = parts.iter().map(|part| part.ops.len()).sum::<usize>() - ok;
        let (validity, summary) = match (bad.len(), unknown.first()) {
            (0, None) if ok == 0 => (Validity::Unknown, self.nothing(&workloads)),
            (0, None) => (
                Validity::Valid,
                format!("{ok} acknowledged operations on {} are linearizable.", wording::count(parts.len(), "key")),
            ),
            (0, Some(first)) => (
                Validity::Unknown,
                format!("{} of {} not decided; {first}.", wording::count(unknown.len(), "key"), parts.len()),
            ),
            (count, _) => {
                let first = findings.first().map(|finding| finding.title.clone()).unwrap_or_default();
                (
                    Validity::Invalid,
                    format!("{} of {} not linearizable; {first}.", wording::count(count, "key"), parts.len()),
                )
            }
        };
        let names: Vec<&str> = workloads.iter().map(|id| history.name(*id)).collect();
        Verdict {
            checker: self.name().to_owned(),
            workload: if let [one] = names[..] { one.to_owned() } else { String::new() },
            validity,
            summary,
            findings,
            numbers: BTreeMap::from([
                ("checked_keys".to_owned(), json!(parts.len())),
                ("checked_ops".to_owned(), json!(ok + info)),
                ("ok_ops".to_owned(), json!(ok)),
                ("info_ops".to_owned(), json!(info)),
                ("bad_keys".to_owned(), json!(bad.len())),
                ("undecided_keys".to_owned(), json!(unknown.len())),
                ("undecided".to_owned(), json!(unknown.iter().take(FINDINGS).collect::<Vec<_>>())),
            ]),
            certificates: Vec::new(),
        }
    }
}

impl<M: Model> Linearizable<M> {
    fn nothing(&self, workloads: &[NameId]) -> String {
        match (workloads, &self.workload) {
            ([], Some(name)) => format!("the history has no operation of workload {name}"),
            ([], None) => format!("the history has no operations that a {} knows", self.model.name()),
            _ => "no operation was acknowledged, so nothing can be said".to_owned(),
        }
    }
}
