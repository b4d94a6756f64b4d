//! Objects that count up with every change, such as registers with versions: the numbers with which they may have begun, and
//! replies that contradict each other for every such number.
use super::decide::DecisionOptions;
use super::explain;
use super::general::{self, Operation};
use super::keys::{KeyDecision, Part};
use super::object::{Contradiction, Evidence, Objects};
use crate::history::{Op, Outcome};
use crate::initial::Basis;
use crate::initial::bounds::Addition;
use crate::initial::counters::{ContradictingPair, NumberSeen, allowed, apart, beginnings};
use crate::models::Model;
use crate::verdict::Finding;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::messages;

/// The most numbers that are tried as an object's beginning.
const TRIED: i64 = 16;
/// The most values with such numbers that are tried.
const WAYS: usize = 64;
/// The most changes that a finding names.
const NAMED: usize = 8;
/// The most operations that a certificate carries.
const CERTIFIED: usize = 2_000;

/// What the actions of one object change and show.
struct Counted<'a, A> {
    actions: Vec<(Op<'a>, A)>,
    additions: Vec<Addition<'a>>,
    shows: Vec<NumberSeen<'a>>,
}

impl<M: Model> Objects<'_, M> {
    /// Of an object that begins as its model does; `None` where it does not count.
    fn counted<'a>(&'a self, part: &'a Part<'_>) -> Option<Counted<'a, M::Action>> {
        if self.initial.of(&part.key.to_value()).is_some() {
            return None;
        }
        let mut counted = Counted { actions: Vec::new(), additions: Vec::new(), shows: Vec::new() };
        for op in part.ops(self.history) {
            let action = self.action(self.model, &op).ok()?;
            let counts = self.model.counts(&action)?;
            let by = i128::from(counts.by);
            if by != 0 {
                counted.additions.push(Addition { op, amount: by });
            }
            let before = counts.before.filter(|_| op.outcome == Outcome::Ok);
            counted.shows.extend(before.map(|before| NumberSeen { op, before, by }));
            counted.actions.push((op, action));
        }
        Some(counted)
    }

    /// What a contradiction comes to: a question where there is none if what counts up began with a larger number.
    pub(super) fn judge_counted(
        &self,
        part: &Part<'_>,
        said: (u64, Contradiction<M>),
        options: DecisionOptions<'_>,
    ) -> KeyDecision<Contradiction<M>> {
        let (mut index, mut said) = said;
        let (model, key) = (self.model, part.key.to_value());
        let Some(counted) = self.counted(part) else { return KeyDecision::Bad(index, said) };
        // A nearer reason is that calls took effect that were refused.
        if !model.counts_alone() && self.refused_explain(part, &counted, options) {
            let refused = part.failed(self.history).filter(|op| self.changes(op));
            let calls: Vec<String> = refused.take(NAMED).map(|op| format!("#{}", op.call)).collect();
            said.note = Some(format!(
                "Every reply is explained if calls that were refused took effect all the same ({}).",
                calls.join(", ")
            ));
            return KeyDecision::Bad(index, said);
        }
        let Some((least, most)) = self.numbers(part, &counted) else {
            if !model.counts_alone() && self.apart(part).is_some() {
                said.evidence = Evidence::Apart;
            }
            return KeyDecision::Bad(index, said);
        };
        // What it began with was there until the first change.
        let changed = counted.additions.iter().map(|addition| addition.op.end()).min().unwrap_or(Op::OPEN);
        let early: Vec<&M::Action> =
            counted.actions.iter().filter(|(op, _)| op.call < changed).map(|(_, action)| action).collect();
        let numbers = (least..=most).take(TRIED as usize);
        let mut ways = numbers.flat_map(|number| model.counted_from(number, &early));
        for begins in ways.by_ref().take(WAYS) {
            let way = vec![(key.clone(), begins.clone())];
            let Some(other) = model.beginning(&key, &self.initial.supposing(&way)) else {
                return KeyDecision::Bad(index, said);
            };
            match self.judge_as(&other, part, options) {
                KeyDecision::Fine(_) => return KeyDecision::Asks(way, Basis::Counted),
                KeyDecision::Bad(later, evidence) => {
                    // The reply that no beginning explains tells more.
                    if later > index {
                        index = later;
                        said = Contradiction::new(evidence, Some(other), Vec::new());
                        said.note = Some(format!(
                            "It began with {begins}, if with anything: nothing else agrees with so many replies."
                        ));
                    }
                }
                undecided => return undecided.without_bad(),
            }
        }
        let more = ways.next().is_some();
        if most.saturating_sub(least) >= TRIED || more {
            return KeyDecision::GaveUp(format!(
                "every reply may agree with a beginning between {least} and {most}, more than are tried: set initial"
            ));
        }
        KeyDecision::Bad(index, said)
    }

    /// The numbers above 0 with which it may have begun.
    fn numbers(&self, part: &Part<'_>, counted: &Counted<'_, M::Action>) -> Option<(i64, i64)> {
        let mut additions = counted.additions.clone();
        if self.model.counts_alone() {
            for op in part.failed(self.history) {
                let counts = self.action(self.model, &op).ok().and_then(|action| self.model.counts(&action));
                additions.push(Addition { op, amount: i128::from(counts.map_or(0, |counts| counts.by)) });
            }
            return beginnings(additions, &counted.shows);
        }
        // Where no number is shown, it may be any.
        if counted.shows.is_empty() {
            return Some((1, 1));
        }
        let (least, most) = allowed(additions, &counted.shows)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let least = i64::try_from(least.max(1)).ok()?;
        (least <= most).then_some((least, most))
    }

    /// Whether calls that were refused explain every reply if they took effect all the same.
    fn refused_explain(&self, part: &Part<'_>, counted: &Counted<'_, M::Action>, options: DecisionOptions<'_>) -> bool {
        let refused = part.failed(self.history).filter_map(|op| {
            let action = self.action(self.model, &op).ok().filter(|action| !self.model.observes_only(action))?;
            Some(Operation { call: op.call, end: Op::OPEN, action })
        });
        let refused: Vec<Operation<M::Action>> = refused.collect();
        if refused.is_empty() {
            return false;
        }
        let mut operations =
            self.operations(self.model, part, counted.actions.iter().map(|(_, action)| action.clone()).collect());
        operations.extend(refused);
        operations.sort_by_key(|operation| operation.call);
        let options = DecisionOptions { witness: false, ..options };
        matches!(general::decide(self.model, &operations, options), general::Decision::Linearizable(_))
    }

    fn changes(&self, op: &Op<'_>) -> bool {
        let counts = self.action(self.model, op).ok().and_then(|action| self.model.counts(&action));
        counts.is_some_and(|counts| counts.by != 0)
    }

    /// Two replies that contradict each other for every number that it may have begun with.
    pub(super) fn apart<'a>(&'a self, part: &'a Part<'_>) -> Option<ContradictingPair<'a>> {
        let counted = self.counted(part)?;
        apart(counted.additions, counted.shows)
    }

    /// The finding about two such replies.
    pub(super) fn told(&self, part: &Part<'_>, apart: &ContradictingPair<'_>) -> Finding {
        let (history, key) = (self.history, part.key.to_value());
        let (from, to) = (&apart.from, &apart.to);
        let mut calls = vec![from.op.call, to.op.call];
        let named = apart.between.len() as i128 == apart.changes && apart.between.len() <= NAMED;
        let between: &[Op<'_>] = if named { &apart.between } else { &[] };
        calls.extend(between.iter().map(|op| op.call));
        calls.sort_unstable();
        calls.dedup();
        let ops: Vec<Op<'_>> = calls.iter().filter_map(|call| history.op(*call)).collect();
        let last = if from.op.call > to.op.call { &from.op } else { &to.op };
        let title = format!(
            "{} #{}{} returned {}, which no order explains",
            history.name(last.function),
            last.call,
            messages::on(history, last),
            last.output
        );
        let which: Vec<String> = between.iter().map(|op| format!("#{}", op.call)).collect();
        let which = if which.is_empty() { String::new() } else { format!(" ({})", which.join(", ")) };
        let bound = if apart.most { "at most" } else { "at least" };
        let can = if apart.most { "can have come" } else { "came" };
        let describe =
            |op: &Op<'_>| explain::operation(self.model, history, op, self.action(self.model, op).ok().as_ref());
        let mut sentences: Vec<String> = ops.iter().map(describe).collect();
        sentences.push(format!(
            "#{} found version {} and #{} version {}: {} apart, and {bound} {}{which} {can} between them, a contradiction \
             whatever it began with.",
            from.op.call,
            from.before,
            to.op.call,
            to.before,
            changes(to.before - from.before),
            changes(apart.changes),
        ));
        let mut finding = explain::about_key(history, &key, ("nonlinearizable", &title), sentences, &ops);
        // Every change before them counts.
        let end = from.op.reply.max(to.op.reply);
        let all = part.ops(history).filter(|op| op.call < end && self.changes(op));
        let certified: Vec<u64> = all.map(|op| op.call).chain(calls.iter().copied()).collect();
        if certified.len() <= CERTIFIED {
            let claim = Claim::NoLinearization { model: self.model.specification(), weakened: Vec::new() };
            finding.certificate = Some(Certificate::new(history, claim, &certified));
        }
        finding
    }
}

/// `1 change`, `2 changes`.
fn changes(count: i128) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}
