//! One object of a history: judged by the engine for its kind, and, where it contradicts its model, whether it may only have
//! begun with another value than its model does.
use super::decide::{self, DecisionOptions, RegisterDecision};
use super::explain::{self, Contradicting};
use super::general::{self, Operation, Refutation};
use super::keys::{KeyDecision, Part};
use super::limits::Stop;
use super::register::{NIL, RegAction, RegOp, Values};
use super::{shrink, zones};
use crate::forms::Forms;
use crate::history::{History, Op, Outcome};
use crate::initial::{
    self, Basis, Beginnings, Initial, OBJECT_WAYS, Search, SearchResult, Supposition, Trace, Undecided,
};
use crate::models::Model;
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::messages;
use crate::verdict::{Budget, Finding};
use std::collections::HashSet;

/// Steps for finding out whether a few operations contradict each other.
const PLAIN_STEPS: u64 = 200_000;

/// Why an object is bad, and with which model.
pub(super) struct Contradiction<M> {
    pub(super) evidence: Evidence,
    /// What was set or supposed for the key; none: the model as it is.
    model: Option<M>,
    /// The value that the register would have to have begun with, which does not help either.
    supposed: Option<Value>,
    /// The evidence against the model as it is, where a value was supposed.
    plain: Option<Evidence>,
    /// Values that were all there before everything, although an object begins with one.
    several: Vec<Value>,
    /// What is known beside it.
    pub(super) note: Option<String>,
}

impl<M> Contradiction<M> {
    pub(super) fn new(evidence: Evidence, model: Option<M>, several: Vec<Value>) -> Contradiction<M> {
        Contradiction { evidence, model, supposed: None, plain: None, several, note: None }
    }
}

pub(super) enum Evidence {
    Register(Vec<RegOp>, RegisterDecision),
    Other(Refutation),
    /// Two replies of an object that counts ([`Objects::contradicting_pair`]).
    ContradictingPair,
}

/// The objects of one history.
pub(super) struct Objects<'a, M> {
    pub(super) model: &'a M,
    pub(super) initial: &'a Initial,
    pub(super) history: &'a History,
    /// Where reads show values in the form in which they were written: which form that is.
    pub(super) forms: Option<Forms<'a>>,
    /// What reads answer is turned round: `[value, version]`.
    pub(super) turned: bool,
}

impl<M: Model> Objects<'_, M> {
    /// Judges one object. A contradiction that is none if it began with the value that was certainly there first is a question.
    pub(super) fn judge(&self, part: &Part<'_>, options: DecisionOptions<'_>) -> KeyDecision<Contradiction<M>> {
        let own = self.own(part);
        let model = own.as_ref().unwrap_or(self.model);
        if let Some(why) = self.other_form(part) {
            return KeyDecision::GaveUp(why);
        }
        let judged = self.judge_as(model, part, options);
        let KeyDecision::Bad(index, evidence) = judged else { return judged.without_bad() };
        let (first, undecided, basis) = self.first(model, part);
        let said = Contradiction::new(evidence, own, several(&first));
        if first.is_empty() && undecided.is_empty() {
            return self.judge_counted(part, (index, said), options);
        }
        if !said.several.is_empty() {
            return KeyDecision::Bad(index, said);
        }
        let supposing = |way: &[(Value, Value)]| {
            let other = self.model.beginning(&part.key.to_value(), &self.initial.supposing(way))?;
            Some((self.judge_as(&other, part, options), other))
        };
        let mut bad = (index, said);
        if let Some((_, value)) = first.first() {
            match supposing(&first) {
                Some((KeyDecision::Fine(_), _)) => return KeyDecision::DependsOnInitial(first, basis),
                Some((KeyDecision::Bad(index, evidence), other)) => {
                    let (supposed, plain) = (Some(value.clone()), Some(bad.1.evidence));
                    let other = Contradiction::new(evidence, Some(other), Vec::new());
                    bad = (index, Contradiction { supposed, plain, ..other });
                }
                Some((unknown, _)) => return unknown.without_bad(),
                None => return KeyDecision::Bad(bad.0, bad.1),
            }
        }
        // Nothing says on which registers a contradiction depends.
        let all: HashSet<Value> = undecided.iter().map(|(register, _)| register.clone()).collect();
        let meaning = |answer: &Option<(KeyDecision<Evidence>, M)>, _: &[Value]| match answer {
            None | Some((KeyDecision::Bad(..), _)) => Supposition::Contradicted(all.clone()),
            Some(_) => Supposition::Holds,
        };
        match Search::new(&undecided, OBJECT_WAYS - 1, supposing, meaning).extend(None, &first) {
            SearchResult::Explained(Some((KeyDecision::Fine(_), _)), way) => {
                KeyDecision::DependsOnInitial(way, Basis::Supposed)
            }
            SearchResult::Explained(Some((unknown, _)), _) => unknown.without_bad(),
            SearchResult::TooMany => KeyDecision::GaveUp(initial::too_many(&undecided)),
            _ => KeyDecision::Bad(bad.0, bad.1),
        }
    }

    /// Why a reply shows a value in another form than values were written in.
    fn other_form(&self, part: &Part<'_>) -> Option<String> {
        let forms = self.forms.as_ref()?;
        part.ops(self.history).find_map(|op| forms.other_form(self.history, &op, self.initial))
    }

    /// The model with what was set for this key.
    fn own(&self, part: &Part<'_>) -> Option<M> {
        self.model.beginning(&part.key.to_value(), self.initial)
    }

    /// Registers of which nothing was said: values that were certainly in them before everything, other than those that
    /// the model begins with; those that began with one of several values; and how the former are known.
    fn first(&self, model: &M, part: &Part<'_>) -> (Vec<(Value, Value)>, Undecided, Basis) {
        let key = part.key.to_value();
        let name = |register: &Value| if register.is_nil() { key.clone() } else { register.clone() };
        let mut traces: Vec<Trace<Value, Value>> = Vec::new();
        for op in part.ops(self.history).chain(part.failed(self.history)) {
            let Ok(action) = self.action(model, &op) else { continue };
            if op.outcome == Outcome::Ok {
                traces.extend(model.seen(&action).into_iter().map(|(of, value)| Trace::Seen(of, value, op.reply)));
            }
            let seen = if op.outcome == Outcome::Fail { Vec::new() } else { model.seen(&action) };
            traces.extend(model.left(&action).into_iter().map(|(of, value)| {
                let before = seen.iter().find(|(register, _)| *register == of).map(|(_, before)| before.clone());
                match (before, value) {
                    (Some(before), Some(value)) => {
                        Trace::Replaced(of, before, value, op.call, op.outcome == Outcome::Ok)
                    }
                    (None, Some(value)) => Trace::Left(of, value, op.call),
                    (_, None) => Trace::LeftAny(of, op.call),
                }
            }));
        }
        let begins = |of: &Value, value: &Value| *value == model.begins(of);
        let Beginnings { certain, undecided } = Beginnings::of(&traces, begins, (Value::clone, Value::clone));
        let otherwise =
            |register: &Value| certain.iter().any(|(of, value, _)| of == register && *value != model.begins(of));
        let kept = certain.iter().filter(|(register, ..)| otherwise(register) && self.is_unsaid(&key, register));
        let basis = kept.clone().map(|(.., basis)| *basis).max().unwrap_or(Basis::Read);
        let first = kept.map(|(register, value, _)| (name(register), value.clone())).collect();
        let undecided = undecided.into_iter().filter(|(register, _)| self.is_unsaid(&key, register));
        (first, undecided.map(|(register, values)| (name(&register), values)).collect(), basis)
    }

    /// Whether nothing was said of what this register of an object begins with.
    fn is_unsaid(&self, key: &Value, register: &Value) -> bool {
        self.initial.of(if register.is_nil() { key } else { register }).is_none()
    }

    /// Judges one object as a register if all its actions are those of one.
    pub(super) fn judge_as(&self, model: &M, part: &Part<'_>, options: DecisionOptions<'_>) -> KeyDecision<Evidence> {
        let mut values = Values::beginning(model.begins(&Value::Nil));
        let mut ops: Vec<RegOp> = Vec::with_capacity(part.len());
        for op in part.ops(self.history) {
            let action = match self.action(model, &op) {
                Ok(action) => action,
                Err(message) => return KeyDecision::GaveUp(message),
            };
            let Some(register) = model.register_action(&action) else { return self.judge_other(model, part, options) };
            let Some(action) = values.action(&register) else { continue };
            let end = op.end();
            // An observation without a reply says nothing.
            if end != Op::OPEN || action.writes().is_some() {
                ops.push(RegOp { call: op.call, end, action, weakened: false });
            }
        }
        drop(values);
        self.judge_register(part, ops, options)
    }

    pub(super) fn action(&self, model: &M, op: &Op<'_>) -> Result<M::Action, String> {
        let mut reply = (op.outcome == Outcome::Ok).then(|| op.output.to_value());
        let (function, input) = (self.history.name(op.function), op.input.to_value());
        if let (true, "read", Some(Value::List(pair))) = (self.turned, function, &reply)
            && let [value, version] = &pair[..]
        {
            reply = Some(Value::List([version.clone(), value.clone()].into()));
        }
        let action = model.action_by(self.history.client(op.process), function, &input, reply.as_ref());
        action.map_err(|message| format!("#{} is not understood: {message}", op.call))
    }

    /// The index of the first call that the model does not understand.
    pub(super) fn not_understood(&self, part: &Part<'_>) -> Option<u64> {
        let model = self.own(part);
        let model = model.as_ref().unwrap_or(self.model);
        part.ops(self.history).find(|op| self.action(model, op).is_err()).map(|op| op.call)
    }

    fn judge_other(&self, model: &M, part: &Part<'_>, options: DecisionOptions<'_>) -> KeyDecision<Evidence> {
        let actions: Result<Vec<M::Action>, String> =
            part.ops(self.history).map(|op| self.action(model, &op)).collect();
        let actions = match actions {
            Ok(actions) => actions,
            Err(message) => return KeyDecision::GaveUp(message),
        };
        match general::decide(model, &self.operations(model, part, actions), options) {
            general::Decision::Linearizable(order) => KeyDecision::Fine(order.filter(|_| options.witness)),
            general::Decision::Refuted(refutation) => KeyDecision::Bad(refutation.until, Evidence::Other(refutation)),
            general::Decision::GaveUp(Stop::Quota, _) => KeyDecision::Again,
            general::Decision::GaveUp(stop, furthest) => KeyDecision::GaveUp(self.gave_up(part, stop, furthest)),
        }
    }

    /// What was done, without observations that say nothing.
    pub(super) fn operations(&self, model: &M, part: &Part<'_>, actions: Vec<M::Action>) -> Vec<Operation<M::Action>> {
        let operations =
            part.ops(self.history).zip(actions).map(|(op, action)| Operation { call: op.call, end: op.end(), action });
        operations.filter(|operation| operation.end != Op::OPEN || !model.observes_only(&operation.action)).collect()
    }

    fn judge_register(&self, part: &Part<'_>, ops: Vec<RegOp>, options: DecisionOptions<'_>) -> KeyDecision<Evidence> {
        match decide::decide(&ops, options) {
            RegisterDecision::Linearizable(order) => KeyDecision::Fine(order),
            RegisterDecision::GaveUp(Stop::Quota, _) => KeyDecision::Again,
            RegisterDecision::GaveUp(stop, furthest) => KeyDecision::GaveUp(self.gave_up(part, stop, furthest)),
            RegisterDecision::Refuted(index) => {
                KeyDecision::Bad(index, Evidence::Register(ops, RegisterDecision::Refuted(index)))
            }
            RegisterDecision::Conflict(conflict) => {
                let at = match &conflict {
                    zones::Conflict::Phantom { observer } => *observer,
                    zones::Conflict::TwoReplaced { cas } => cas[1],
                    zones::Conflict::Ring { cas } => cas.first().copied().unwrap_or(0),
                    zones::Conflict::Backwards { first, .. } => *first,
                    zones::Conflict::Overlap { outer, .. } => outer[1],
                };
                KeyDecision::Bad(ops[at].call, Evidence::Register(ops, RegisterDecision::Conflict(conflict)))
            }
        }
    }

    fn gave_up(&self, part: &Part<'_>, stop: Stop, furthest: u64) -> String {
        let what = match stop {
            Stop::Time | Stop::Cancelled => "the time ran out",
            Stop::Memory => "the memory ran out",
            Stop::Width | Stop::Quota => "too many operations are open at once",
        };
        let (mut replies, mut done, mut time) = (0, 0, 0);
        for op in part.ops(self.history).filter(|op| op.outcome == Outcome::Ok) {
            replies += 1;
            if op.reply <= furthest {
                done += 1;
                time = time.max(op.reply_time);
            }
        }
        format!("{what} after {done} of {replies} replies, at {} of the run", messages::seconds(time))
    }

    /// The operations of an object that was judged, and so was understood.
    fn understood(&self, model: &M, part: &Part<'_>) -> Vec<Operation<M::Action>> {
        let actions = part.ops(self.history).filter_map(|op| self.action(model, &op).ok()).collect();
        self.operations(model, part, actions)
    }

    /// The finding about a contradiction.
    pub(super) fn finding(&self, part: &Part<'_>, bad: &Contradiction<M>, budget: &Budget) -> Finding {
        let (history, key) = (self.history, part.key.to_value());
        let model = bad.model.as_ref().unwrap_or(self.model);
        let mut violation = match &bad.evidence {
            Evidence::Register(ops, decision) => {
                let mut small = shrink::shrink(ops, decision, budget);
                let name = history.name(part.workload);
                let begins = model.begins(&Value::Nil);
                let mut certified = None;
                let violation = if bad.supposed.is_some() {
                    let plain = self.without_supposition(part, &mut small, ops, budget);
                    let supposed = Contradicting { small: small.clone(), begins };
                    let unwritten = supposed.unwritten(ops);
                    // A certificate speaks of the model as it is: there, an observation of what was not written is enough.
                    certified = unwritten.map(|at| vec![small[at].call]);
                    explain::violation(history, name, &key, &plain, Some((&supposed, unwritten)))
                } else {
                    explain::violation(history, name, &key, &Contradicting { small: small.clone(), begins }, None)
                };
                let certified =
                    certified.unwrap_or_else(|| violation.ops.iter().map(|op| op.call).collect::<Vec<u64>>());
                let weakened = small.iter().filter(|op| op.weakened && certified.contains(&op.call));
                let weakened = weakened.map(|op| op.call).collect();
                let claim = Claim::NoLinearization { model: self.model.specification(), weakened };
                violation.with_certificate(Some(Certificate::new(history, claim, &certified)))
            }
            Evidence::ContradictingPair => self.contradicting_pair(part).map_or_else(
                || explain::about_key(&key, ("nonlinearizable", ""), Vec::new(), Vec::new()),
                |pair| self.contradicting_pair_violation(part, &pair),
            ),
            Evidence::Other(refutation) => {
                let operations = self.understood(model, part);
                let mut violation = general::violation(model, history, &key, &operations, refutation, budget);
                // A certificate speaks of the model as it is.
                if let Some(Evidence::Other(refutation)) = &bad.plain {
                    let operations = self.understood(self.model, part);
                    violation.certificate = general::certificate(self.model, history, &operations, refutation, budget);
                }
                violation.why.extend(bad.supposed.as_ref().map(|value| {
                    format!("That holds also if it began with {value}, which was read before anything was written.")
                }));
                violation.why.extend(bad.note.clone());
                violation
            }
        };
        if let [one, others @ ..] = &bad.several[..]
            && !others.is_empty()
        {
            let others: Vec<String> = others.iter().map(Value::to_string).collect();
            violation.why.push(format!(
                "No value to begin with explains it: {one} and {} were all read before anybody can have written them.",
                others.join(", ")
            ));
        }
        // A certificate takes an operation that failed for one without an effect.
        if part.has_lost() {
            (violation.certificate, violation.certified) = (None, false);
        }
        // A counterexample holds as well where a register began with nil, unless nil was read.
        if let Some(certificate) = &mut violation.certificate {
            self.initial.certify(certificate);
        }
        violation.finding(history)
    }

    /// The operations of a contradiction that supposes how the register began, as operations of a register of which nothing is
    /// supposed. Operations that show the contradiction for such a register, too, are added.
    fn without_supposition(
        &self,
        part: &Part<'_>,
        small: &mut Vec<RegOp>,
        ops: &[RegOp],
        budget: &Budget,
    ) -> Contradicting {
        let begins = self.model.begins(&Value::Nil);
        let options = DecisionOptions { steps: PLAIN_STEPS, ..DecisionOptions::of(budget) };
        let refuted = |ops: &[RegOp]| {
            matches!(decide::decide(ops, options), RegisterDecision::Conflict(_) | RegisterDecision::Refuted(_))
        };
        let mut more = small.clone();
        with_first(&mut more, ops);
        with_writes(&mut more, ops);
        let plain = self.renumbered(part, &more);
        if refuted(&more) && refuted(&plain) {
            *small = more;
            return Contradicting { small: plain, begins };
        }
        if let Some(first) = ops.iter().find(|op| explain::observes_initial(op)) {
            with(small, first);
        }
        Contradicting { small: self.renumbered(part, small), begins }
    }

    /// The same operations with the values of the model as it is.
    fn renumbered(&self, part: &Part<'_>, small: &[RegOp]) -> Vec<RegOp> {
        let mut values = Values::beginning(self.model.begins(&Value::Nil));
        let numbered = part.ops(self.history).filter_map(|op| {
            let known = small.iter().find(|known| known.call == op.call)?;
            let action = values.action(&self.model.register_action(&self.action(self.model, &op).ok()?)?)?;
            let plain = RegOp { action, weakened: false, ..*known };
            Some(if known.weakened { plain.weaken() } else { plain })
        });
        numbered.collect()
    }

    /// Whether one operation changed the object and another one's reply shows the state: only then could a reply have been
    /// wrong.
    pub(super) fn observed(&self, part: &Part<'_>) -> bool {
        let own = self.own(part);
        let model = own.as_ref().unwrap_or(self.model);
        let initial = model.initial();
        // The first actions of each kind, by position; an action may be both, but not the other's counterpart as well.
        let (mut tells, mut changes) = ([None; 2], [None; 2]);
        let note = |firsts: &mut [Option<u32>; 2], position: u32| {
            let slot = usize::from(firsts[0].is_some());
            firsts[slot].get_or_insert(position);
        };
        for op in part.ops(self.history) {
            let Ok(action) = self.action(model, &op) else { continue };
            let acknowledged = op.outcome == Outcome::Ok;
            if acknowledged && !model.fits_always(&action) {
                // What does not fit the first state tells that another one had changed it.
                if model.step(&initial, &action).is_none() {
                    return true;
                }
                note(&mut tells, op.position);
            }
            if acknowledged && !model.observes_only(&action) {
                note(&mut changes, op.position);
            }
            let differ = |one: &u32| changes.iter().flatten().any(|other| other != one);
            if tells.iter().flatten().any(differ) {
                return true;
            }
        }
        false
    }
}

/// A refused compare-and-set contradicts a value that the register was supposed to begin with only together with a read of it.
fn with_first(small: &mut Vec<RegOp>, ops: &[RegOp]) {
    if small.iter().any(|op| matches!(op.action, RegAction::Differs(_)))
        && !small.iter().any(explain::observes_initial)
        && let Some(reader) = ops.iter().find(|op| explain::observes_initial(op))
    {
        with(small, reader);
    }
}

/// Adds what wrote the initial value again before it was observed, if nothing shown did: its last write then.
fn with_writes(small: &mut Vec<RegOp>, ops: &[RegOp]) {
    let writes = |op: &RegOp| op.action.writes() == Some(NIL);
    let observers: Vec<RegOp> = small.iter().filter(|op| explain::observes_initial(op)).copied().collect();
    for observer in observers {
        let before = |op: &&RegOp| writes(op) && op.call < observer.end;
        if !small.iter().any(|op| before(&op))
            && let Some(writer) = ops.iter().rfind(before)
        {
            with(small, writer);
        }
    }
}

/// Adds an operation in the order of calls; one that is taken for a write is whole again.
fn with(small: &mut Vec<RegOp>, op: &RegOp) {
    small.retain(|other| other.call != op.call);
    small.push(*op);
    small.sort_by_key(|op| op.call);
}

/// Of a register that showed several values before everything, those.
fn several(first: &[(Value, Value)]) -> Vec<Value> {
    let twice = |register: &Value| first.iter().filter(|(of, _)| of == register).count() > 1;
    let Some((register, _)) = first.iter().find(|(register, _)| twice(register)) else { return Vec::new() };
    first.iter().filter(|(of, _)| of == register).map(|(_, value)| value.clone()).collect()
}
