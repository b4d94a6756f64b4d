//! Objects that count: counters, and registers whose version grows with every change ([`Model::counts`]). A history that
//! contradicts the model may only show that such an object began with a larger number than the model does. `object.rs` asks
//! [`Objects::judge_counted`] before it reports a contradiction. Where no number explains the replies, two replies often
//! contradict each other whatever the number was; [`Objects::contradicting_pair_finding`] is about these.
use super::decide::DecisionOptions;
use super::explain;
use super::general::{self, Operation};
use super::keys::{KeyDecision, Part};
use super::object::{Contradiction, Evidence, Objects};
use crate::history::{Op, Outcome};
use crate::initial::Basis;
use crate::initial::bounds::Addition;
use crate::initial::counters::{self, ContradictingPair, NumberSeen, allowed, beginnings};
use crate::models::Model;
use crate::verdict::Violation;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::messages;

/// The most numbers that are tried as the number that an object began with.
const MAX_NUMBERS: i64 = 16;
/// The most initial values that are tried: a register with a version has several for each number.
const MAX_INITIAL_VALUES: usize = 64;
/// The most changes that a finding names.
const MAX_NAMED: usize = 8;
/// The most operations that a certificate carries.
const MAX_CERTIFIED: usize = 2_000;

/// The actions of one object that counts, with the numbers that they add and that their replies show.
struct CountingObject<'a, A> {
    actions: Vec<(Op<'a>, A)>,
    additions: Vec<Addition<'a>>,
    numbers_seen: Vec<NumberSeen<'a>>,
}

impl<M: Model> Objects<'_, M> {
    /// `None` where the object does not count, or where the option `initial` sets what it begins with.
    fn counting_object<'a>(&'a self, part: &'a Part<'_>) -> Option<CountingObject<'a, M::Action>> {
        if self.initial.of(&part.key.to_value()).is_some() {
            return None;
        }
        let mut counted = CountingObject { actions: Vec::new(), additions: Vec::new(), numbers_seen: Vec::new() };
        for op in part.ops(self.history) {
            let action = self.action(self.model, &op).ok()?;
            let counts = self.model.counts(&action)?;
            let by = i128::from(counts.by);
            if by != 0 {
                counted.additions.push(Addition { op, amount: by });
            }
            let before = counts.before.filter(|_| op.outcome == Outcome::Ok);
            counted.numbers_seen.extend(before.map(|before| NumberSeen { op, before, by }));
            counted.actions.push((op, action));
        }
        Some(counted)
    }

    /// Judges a contradiction of an object again. It stays bad if the object does not count, or if no number that it may have
    /// begun with explains every reply. If one does, the answer is [`KeyDecision::DependsOnInitial`]. If more numbers are possible than
    /// are tried, it is undecided. `contradiction` comes with the index of the reply that shows it.
    pub(super) fn judge_counted(
        &self,
        part: &Part<'_>,
        contradiction: (u64, Contradiction<M>),
        options: DecisionOptions<'_>,
    ) -> KeyDecision<Contradiction<M>> {
        let (mut index, mut contradiction) = contradiction;
        let (model, key) = (self.model, part.key.to_value());
        let Some(counted) = self.counting_object(part) else { return KeyDecision::Bad(index, contradiction) };
        // If refused calls that took effect explain every reply, that is the likelier reason, and a violation.
        if !model.counts_alone() && self.refused_explain(part, &counted, options) {
            let refused = part.failed(self.history).filter(|op| self.changes(op));
            let calls: Vec<String> = refused.take(MAX_NAMED).map(|op| format!("#{}", op.call)).collect();
            contradiction.note = Some(format!(
                "Every reply is explained if calls that were refused took effect all the same ({}).",
                calls.join(", ")
            ));
            return KeyDecision::Bad(index, contradiction);
        }
        let Some((least, most)) = self.possible_numbers(part, &counted) else {
            if !model.counts_alone() && self.contradicting_pair(part).is_some() {
                contradiction.evidence = Evidence::ContradictingPair;
            }
            return KeyDecision::Bad(index, contradiction);
        };
        // Only actions called before the first change had ended can have seen what the object began with.
        let first_change = counted.additions.iter().map(|addition| addition.op.end()).min().unwrap_or(Op::OPEN);
        let early: Vec<&M::Action> =
            counted.actions.iter().filter(|(op, _)| op.call < first_change).map(|(_, action)| action).collect();
        let numbers = (least..=most).take(MAX_NUMBERS as usize);
        let mut initial_values = numbers.flat_map(|number| model.counted_from(number, &early));
        for initial in initial_values.by_ref().take(MAX_INITIAL_VALUES) {
            let supposed = vec![(key.clone(), initial.clone())];
            let Some(other) = model.beginning(&key, &self.initial.supposing(&supposed)) else {
                return KeyDecision::Bad(index, contradiction);
            };
            match self.judge_as(&other, part, options) {
                KeyDecision::Fine(_) => return KeyDecision::DependsOnInitial(supposed, Basis::Counted),
                KeyDecision::Bad(later, evidence) => {
                    // The contradiction that shows latest is reported: this number explains the most replies.
                    if later > index {
                        index = later;
                        contradiction = Contradiction::new(evidence, Some(other), Vec::new());
                        contradiction.note = Some(format!(
                            "It began with {initial}, if with anything: nothing else agrees with so many replies."
                        ));
                    }
                }
                undecided => return undecided.without_bad(),
            }
        }
        let more = initial_values.next().is_some();
        if most.saturating_sub(least) >= MAX_NUMBERS || more {
            return KeyDecision::GaveUp(format!(
                "every reply may agree with a beginning between {least} and {most}, more than are tried: set initial"
            ));
        }
        KeyDecision::Bad(index, contradiction)
    }

    /// The least and the greatest number above 0 with which the object may have begun; `None` where there is none.
    fn possible_numbers(&self, part: &Part<'_>, counted: &CountingObject<'_, M::Action>) -> Option<(i64, i64)> {
        let mut additions = counted.additions.clone();
        if self.model.counts_alone() {
            for op in part.failed(self.history) {
                let counts = self.action(self.model, &op).ok().and_then(|action| self.model.counts(&action));
                additions.push(Addition { op, amount: i128::from(counts.map_or(0, |counts| counts.by)) });
            }
            return beginnings(additions, &counted.numbers_seen);
        }
        // Where no reply shows a number, one number stands for all of them.
        if counted.numbers_seen.is_empty() {
            return Some((1, 1));
        }
        let (least, most) = allowed(additions, &counted.numbers_seen)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let least = i64::try_from(least.max(1)).ok()?;
        (least <= most).then_some((least, most))
    }

    /// Whether some order explains every reply if refused calls may have taken effect all the same.
    fn refused_explain(
        &self,
        part: &Part<'_>,
        counted: &CountingObject<'_, M::Action>,
        options: DecisionOptions<'_>,
    ) -> bool {
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

    /// Whether an operation changes the number.
    fn changes(&self, op: &Op<'_>) -> bool {
        let counts = self.action(self.model, op).ok().and_then(|action| self.model.counts(&action));
        counts.is_some_and(|counts| counts.by != 0)
    }

    /// Two replies that contradict each other whatever number the object began with.
    pub(super) fn contradicting_pair<'a>(&'a self, part: &'a Part<'_>) -> Option<ContradictingPair<'a>> {
        let counted = self.counting_object(part)?;
        counters::contradicting_pair(counted.additions, counted.numbers_seen)
    }

    /// The violation that a contradicting pair is.
    pub(super) fn contradicting_pair_violation(&self, part: &Part<'_>, pair: &ContradictingPair<'_>) -> Violation<'_> {
        let (history, key) = (self.history, part.key.to_value());
        let (from, to) = (&pair.from, &pair.to);
        let mut calls = vec![from.op.call, to.op.call];
        let named = pair.between.len() as i128 == pair.changes && pair.between.len() <= MAX_NAMED;
        let between: &[Op<'_>] = if named { &pair.between } else { &[] };
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
        let bound = if pair.most { "at most" } else { "at least" };
        let can = if pair.most { "can have come" } else { "came" };
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
            changes(pair.changes),
        ));
        let violation = explain::about_key(&key, ("nonlinearizable", &title), sentences, ops);
        // The contradiction rests on every change before the two replies, so the certificate carries all of these.
        let end = from.op.reply.max(to.op.reply);
        let all = part.ops(history).filter(|op| op.call < end && self.changes(op));
        let certified: Vec<u64> = all.map(|op| op.call).chain(calls.iter().copied()).collect();
        let claim = Claim::NoLinearization { model: self.model.specification(), weakened: Vec::new() };
        let few = certified.len() <= MAX_CERTIFIED;
        violation.with_certificate(few.then(|| Certificate::new(history, claim, &certified)))
    }
}

/// `1 change`, `2 changes`.
fn changes(count: i128) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}
