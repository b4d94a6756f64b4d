//! `queue`: whatever is dequeued was enqueued before, and no more often than it was enqueued.
//!
//! Functions: `enqueue` with the element; `dequeue` with an element as reply, or nil where the queue was empty; `drain`
//! with the list of everything that was left. The order of elements is not judged: this is Jepsen's `queue` over an
//! unordered queue, in which every enqueue that was not refused is taken to have happened as soon as it was called.
//!
//! **Definite**: by the reply of the k-th dequeue of an element, fewer than k enqueues of it had been called.
//! **Not definite**, and not judged: whether anything is lost (see `total-queue`). Dequeues in doubt may have taken anything
//! or nothing, also those that name an element, and count for nothing.
//!
//! Whatever comes out twice breaks this promise. With the option `at_least_once`, for queues that deliver again after a crash,
//! it is evidence. `total-queue` promises delivery alone: there it is evidence unless `exactly_once` is set.
//!
//! Findings: `unexpected-message` (no enqueue of it that may have happened was called by then) and `duplicated-message`
//! (fewer were), with those enqueues and the dequeues. Unknown where nothing was dequeued.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Elements, Group, objects, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::judgeable;
use crate::options::schema;
use crate::value::ValueRef;
use crate::verdict::Violation;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "queue",
    doc: "Whatever is dequeued was enqueued before, and no more often than it was enqueued.",
    cost: "near-linear",
    judges: Judges::calls(&["enqueue", "dequeue"], &["drain"]),
    options: schema::<Queue>,
    build: from_options::<Queue>,
};

/// Judges workloads that enqueue and dequeue. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "QueueOptions")]
pub(crate) struct Queue {
    /// A message may come out twice; duplicated-message is evidence then.
    at_least_once: bool,
}

pub(crate) const SHAPE: &str = "a dequeue replies with an element or nil, a drain with a list";

/// The calls of one queue.
#[derive(Default)]
pub(crate) struct Messages<'h> {
    pub(crate) elements: Elements<'h>,
    /// Every enqueue with its element, in the order of calls; those that were refused last.
    pub(crate) enqueues: Vec<(u32, Op<'h>)>,
    pub(crate) refused: Vec<(u32, Op<'h>)>,
    /// Every element that was dequeued or drained, in the order of the replies.
    pub(crate) dequeues: Vec<(u32, Op<'h>)>,
    /// Drains that were answered.
    pub(crate) drains: Vec<Op<'h>>,
    /// Elements that dequeues and drains in doubt name: they may have taken them, and a dequeue no other one.
    pub(crate) named: Vec<(u32, Op<'h>)>,
    /// Dequeues and drains that may have taken elements that are not known.
    pub(crate) doubtful_dequeues: u64,
    pub(crate) doubtful_drains: u64,
    pub(crate) malformed: Vec<u64>,
}

impl<'h> Messages<'h> {
    /// Of this queue.
    pub(crate) fn of(history: &'h History, object: &Group<'h>) -> Messages<'h> {
        let mut messages = Messages::default();
        let (enqueue, dequeue) = (history.find_name("enqueue"), history.find_name("dequeue"));
        for op in object.ops(history) {
            if Some(op.function) == enqueue {
                let id = messages.elements.number(op.input);
                let list = if op.outcome == Outcome::Fail { &mut messages.refused } else { &mut messages.enqueues };
                list.push((id, op));
                continue;
            }
            let drain = Some(op.function) != dequeue;
            match (op.outcome, op.output.as_list()) {
                (Outcome::Fail, _) => {}
                (Outcome::Info, _) if drain => {
                    messages.doubtful_drains += 1;
                    for element in op.completion_value.as_list().unwrap_or_default().iter() {
                        let id = messages.elements.number(element);
                        messages.named.push((id, op));
                    }
                }
                (Outcome::Info, _) if op.completion_value.is_nil() => messages.doubtful_dequeues += 1,
                (Outcome::Info, _) => {
                    let id = messages.elements.number(op.completion_value);
                    messages.named.push((id, op));
                }
                (Outcome::Ok, Some(list)) if drain => {
                    messages.drains.push(op);
                    for element in list.iter() {
                        let id = messages.elements.number(element);
                        messages.dequeues.push((id, op));
                    }
                }
                (Outcome::Ok, None) if drain => {
                    messages.malformed.push(op.call);
                    messages.doubtful_drains += 1;
                }
                (Outcome::Ok, _) if op.output.is_nil() => {}
                (Outcome::Ok, _) => {
                    let id = messages.elements.number(op.output);
                    messages.dequeues.push((id, op));
                }
            }
        }
        messages.dequeues.sort_by_key(|(_, op)| op.reply);
        messages
    }

    /// The enqueues of an element that may have happened and were called before this index, and its dequeues that were
    /// answered by then.
    pub(crate) fn story(&self, id: u32, index: u64) -> (Vec<Op<'h>>, Vec<Op<'h>>) {
        let enqueues = self.enqueues.iter().filter(|(other, op)| *other == id && op.call < index).map(|(_, op)| *op);
        let dequeues = self.dequeues.iter().filter(|(other, op)| *other == id && op.reply <= index).map(|(_, op)| *op);
        (enqueues.collect(), dequeues.collect())
    }

    /// Refused enqueues of an element.
    pub(crate) fn refusals(&self, id: u32) -> impl Iterator<Item = Op<'h>> {
        self.refused.iter().filter(move |(other, _)| *other == id).map(|(_, op)| *op)
    }

    /// Dequeues that took an element once too often, in the order of their replies: with the enqueues called by then.
    fn surplus(&self) -> Vec<(u32, Op<'h>, u32)> {
        let mut called = vec![0_u32; self.elements.len()];
        let mut taken = vec![0_u32; self.elements.len()];
        let mut next = 0;
        let mut surplus = Vec::new();
        for &(id, op) in &self.dequeues {
            while let Some((enqueued, enqueue)) = self.enqueues.get(next).filter(|(_, enqueue)| enqueue.call < op.reply)
            {
                called[*enqueued as usize] += 1;
                next += 1;
                debug_assert!(enqueue.call < op.reply);
            }
            let at = id as usize;
            taken[at] += 1;
            if taken[at] > called[at] {
                surplus.push((id, op, called[at]));
            }
        }
        surplus
    }

    /// The violation of an element that was dequeued without an enqueue.
    pub(crate) fn unexpected(&self, id: u32, op: Op<'h>) -> Violation<'h> {
        let element: ValueRef<'_> = self.elements.value(id);
        let in_vain: Vec<Op<'_>> = self.refusals(id).filter(|enqueue| enqueue.call < op.reply).collect();
        let why = if in_vain.is_empty() {
            format!("No enqueue of {element} was called before it was dequeued.")
        } else {
            format!("Every enqueue of {element} that was called before it was dequeued was refused.")
        };
        let absent = messages::not_done(&in_vain, "enqueued");
        let title = format!("#{} dequeued {element}, {absent}", op.call);
        let mut ops = vec![op];
        ops.extend(in_vain.into_iter().take(2));
        Violation::new("unexpected-message", title, element.to_value(), ops).why(why)
    }

    /// The violation of an element that was dequeued more often than it was enqueued.
    pub(crate) fn duplicated(&self, id: u32, index: u64) -> Violation<'h> {
        let element = self.elements.value(id);
        let (mut ops, dequeues) = self.story(id, index);
        let last = dequeues.last().copied();
        let refused: Vec<Op<'h>> =
            self.refusals(id).filter(|enqueue| last.is_none_or(|last| enqueue.call < last.reply)).collect();
        let in_vain = match &refused[..] {
            [] => String::new(),
            [one] => format!(": its enqueue #{} was refused", one.call),
            [one, rest @ ..] => {
                format!(": its enqueue #{} and {} were refused", one.call, messages::count(rest.len(), "other"))
            }
        };
        let title = format!(
            "{element} was dequeued {} times, the last time by #{}, but enqueued at most {}{in_vain}",
            dequeues.len(),
            last.map_or(0, |op| op.call),
            if ops.len() == 1 { "once".to_owned() } else { format!("{} times", ops.len()) }
        );
        ops.extend(dequeues);
        let mut violation = Violation::new("duplicated-message", title, element.to_value(), ops);
        violation.aside.extend(refused.into_iter().take(2));
        violation
    }
}

impl Checker for Queue {
    fn name(&self) -> &str {
        "queue"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["enqueue", "dequeue"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let takes = ["enqueue", "dequeue", "drain"];
        let (mut report, objects) =
            judgeable(history, objects(history, &["enqueue", "dequeue"], &takes), &takes, "queue");
        let (mut enqueued, mut dequeued, mut unexpected, mut duplicated) = (0, 0, 0, 0);
        let mut malformed = Vec::new();
        let mut poll = BudgetPoll::new(budget);
        for object in objects.iter().take_while(|object| !poll.over(object.ops.len())) {
            let mut messages = Messages::of(history, object);
            enqueued += messages.enqueues.len() as u64;
            dequeued += messages.dequeues.len() as u64;
            malformed.append(&mut messages.malformed);
            let surplus = messages.surplus();
            let (twice, never): (Vec<_>, Vec<_>) = surplus.into_iter().partition(|(_, _, called)| *called > 0);
            unexpected += never.len() as u64;
            duplicated += twice.len() as u64;
            if let Some(&(id, op, _)) = never.first() {
                report.record(messages.unexpected(id, op).on(object.key).times(never.len()));
            }
            if let Some(&(id, op, _)) = twice.first() {
                let violation = messages.duplicated(id, op.reply).on(object.key).times(twice.len());
                report.record(match self.at_least_once {
                    true => violation.why("A queue that delivers at least once may do so: evidence.".to_owned()).evidence(),
                    false => violation.why(
                        "A queue delivers a message once. Where this one promises at least once, at_least_once=true makes \
                         it evidence."
                            .to_owned(),
                    ),
                });
            }
        }
        if dequeued == 0 {
            report.unseen("Nothing was dequeued, so nothing can be said.");
        }
        report.malformed(SHAPE, &malformed);
        report.numbers([
            ("enqueued", enqueued),
            ("dequeued", dequeued),
            ("unexpected", unexpected),
            ("duplicated", duplicated),
        ]);
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), format!("All {dequeued} dequeued elements had been enqueued."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::random_history::agrees;
    use crate::testing::history;
    use crate::verdict::{Severity, Validity};

    fn judge(calls: &[(&str, &str, &str)]) -> Verdict {
        judge_with(Queue::default(), calls)
    }

    fn judge_with(queue: Queue, calls: &[(&str, &str, &str)]) -> Verdict {
        let line = |(f, value, reply): &(&str, &str, &str)| format!("0 {f} null {value} -> ok {reply}\n");
        queue.check(&history(&calls.iter().map(line).collect::<String>()), &Budget::unlimited())
    }

    #[test]
    fn what_was_enqueued_may_be_dequeued_once() {
        let verdict = judge(&[
            ("enqueue", "1", "null"),
            ("enqueue", "1", "null"),
            ("dequeue", "null", "1"),
            ("drain", "null", "[1]"),
        ]);
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
        let verdict = judge(&[("enqueue", "1", "null"), ("dequeue", "null", "1"), ("dequeue", "null", "1")]);
        assert_eq!((verdict.validity, &verdict.findings[0].ops[..]), (Validity::Invalid, &[0, 2, 4][..]));
        assert_eq!(
            verdict.findings[0].title,
            "Duplicated message: 1 was dequeued 2 times, the last time by #4, but enqueued at most once"
        );
    }

    #[test]
    fn twice_is_evidence_where_at_least_once_is_promised() {
        let calls = [("enqueue", "1", "null"), ("dequeue", "null", "1"), ("dequeue", "null", "1")];
        let strict = judge(&calls);
        assert!(strict.findings[0].sentences[0].contains("at_least_once=true"), "{:?}", strict.findings);
        let verdict = judge_with(Queue { at_least_once: true }, &calls);
        assert_eq!((verdict.validity, verdict.findings[0].severity), (Validity::Valid, Severity::Evidence));
        let never = [("enqueue", "1", "null"), ("dequeue", "null", "2")];
        assert_eq!(judge_with(Queue { at_least_once: true }, &never).validity, Validity::Invalid);
    }

    #[test]
    fn what_comes_out_before_it_went_in_is_unexpected() {
        let verdict = judge(&[("dequeue", "null", "1"), ("enqueue", "1", "null")]);
        assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "unexpected-message"));
    }

    #[test]
    fn an_empty_queue_says_nothing() {
        assert_eq!(judge(&[("enqueue", "1", "null"), ("dequeue", "null", "null")]).validity, Validity::Unknown);
        assert_eq!(judge(&[("dequeue", "null", "null"), ("drain", "null", "3")]).validity, Validity::Unknown);
    }

    #[test]
    fn agrees_with_the_definition() {
        agrees(fuzz::differ);
    }
}
