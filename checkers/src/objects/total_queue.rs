//! `total-queue`: everything that was acknowledged comes out, and nothing else does.
//!
//! Functions as in `queue`: `enqueue`, `dequeue` (nil: it was empty), and `drain`, whose reply lists all that it took
//! until it found the queue empty. Order is not judged; elements are counted, over the whole history.
//!
//! **Definite.** *Lost*: enqueues that were acknowledged before the last answered drain was called, of elements that came
//! out fewer times than that, as far as they are more than the dequeues in doubt, each of which may have taken one: the
//! element that it names, or any one if it names none. *Unexpected*: elements that came out although no enqueue of them may have happened. *Duplicated*: elements that
//! came out more often than that.
//! **Not definite.** Without an answered drain, with a drain in doubt (it may have taken any number), or where the
//! dequeues in doubt may have taken all that is missing, a loss is unknown.
//!
//! Findings: `lost-message`, `unexpected-message`, and `duplicated-message`, which is evidence unless the option
//! `exactly_once` is set (queues that deliver again after a crash promise at least once; `queue` promises that nothing comes out twice). Elements of unacknowledged
//! enqueues that came out are counted as recovered. After Jepsen's `total-queue`, which takes dequeues in doubt for none.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Group, objects, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::objects::judgeable;
use crate::objects::queue::{Messages, SHAPE};
use crate::options::schema;
use crate::value::Value;
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "total-queue",
    doc: "Everything that was enqueued and acknowledged comes out by the last drain, and nothing else does.",
    cost: "near-linear",
    judges: Judges::calls(&["drain"], &["enqueue", "dequeue"]),
    options: schema::<TotalQueue>,
    build: from_options::<TotalQueue>,
};

/// Judges workloads that enqueue, dequeue and drain. Its fields are the options.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "TotalQueueOptions")]
pub(crate) struct TotalQueue {
    /// Nothing may come out twice.
    exactly_once: bool,
}

/// Why a duplicate breaks no promise.
const TWICE: &str = "total-queue promises that everything comes out, not that nothing comes out twice: evidence. With \
                     exactly_once=true it is a violation, as it is in queue.";

/// How often one element was enqueued and came out.
#[derive(Clone, Copy, Default)]
struct Count {
    /// Enqueues that may have happened.
    tried: u32,
    /// Enqueues that were acknowledged before the last answered drain was called.
    due: u32,
    acknowledged: u32,
    taken: u32,
    /// Takes in doubt that name it.
    named: u32,
}

impl Count {
    /// How often it certainly came out or may have been taken by a call in doubt that names it.
    fn gone(&self) -> u32 {
        self.taken + self.named
    }
}

fn counts(messages: &Messages<'_>) -> Vec<Count> {
    let drained = messages.drains.iter().map(|drain| drain.call).max().unwrap_or(0);
    let mut counts = vec![Count::default(); messages.elements.len()];
    for (id, op) in &messages.enqueues {
        let count = &mut counts[*id as usize];
        count.tried += 1;
        if op.outcome == Outcome::Ok {
            count.acknowledged += 1;
            count.due += u32::from(op.reply < drained);
        }
    }
    for (id, _) in &messages.dequeues {
        counts[*id as usize].taken += 1;
    }
    for (id, _) in &messages.named {
        counts[*id as usize].named += 1;
    }
    counts
}

/// Sums over all queues.
#[derive(Default)]
struct Totals {
    attempts: u64,
    acknowledged: u64,
    dequeued: u64,
    lost: u64,
    missing: u64,
    unexpected: u64,
    duplicated: u64,
    recovered: u64,
    late: u64,
    undrained: u64,
    doubtful: u64,
    malformed: Vec<u64>,
}

impl TotalQueue {
    fn judge<'h>(&self, history: &'h History, object: &Group<'h>, totals: &mut Totals, report: &mut Report<'h>) {
        let mut messages = Messages::of(history, object);
        totals.malformed.append(&mut messages.malformed);
        let counts = counts(&messages);
        let drained = !messages.drains.is_empty();
        let of = |what: fn(&Count) -> u32| counts.iter().map(|count| u64::from(what(count))).sum::<u64>();
        totals.attempts += of(|count| count.tried) + messages.refused.len() as u64;
        totals.acknowledged += of(|count| count.acknowledged);
        totals.dequeued += of(|count| count.taken);
        totals.recovered += of(|count| count.taken.min(count.tried).saturating_sub(count.acknowledged));
        let ids = |what: fn(&Count) -> bool| -> Vec<u32> {
            (0..counts.len() as u32).filter(|&id| what(&counts[id as usize])).collect()
        };
        let unexpected = ids(|count| count.tried == 0 && count.taken > 0);
        let duplicated = ids(|count| count.tried > 0 && count.taken > count.tried);
        let absent = ids(|count| count.due > count.gone());
        let missing = of(|count| count.due.saturating_sub(count.gone()));
        totals.unexpected += unexpected.len() as u64;
        totals.duplicated += duplicated.len() as u64;
        totals.late += of(|count| count.acknowledged.saturating_sub(count.gone())) - missing;
        let doubtful = messages.doubtful_dequeues + messages.doubtful_drains;
        if !drained && messages.enqueues.iter().any(|(_, op)| op.outcome == Outcome::Ok) {
            totals.undrained += 1;
        }
        let surely = messages.doubtful_drains == 0 && missing > messages.doubtful_dequeues;
        if surely {
            totals.lost += missing - messages.doubtful_dequeues;
            report.record(lost(history, &messages, &absent, missing).on(object.key));
        } else {
            totals.missing += missing;
            totals.doubtful += doubtful;
        }
        let first = |ids: &[u32]| {
            let mut dequeues = messages.dequeues.iter();
            dequeues.find(|(id, _)| ids.binary_search(id).is_ok()).copied()
        };
        if let Some((id, op)) = first(&unexpected) {
            report.record(messages.unexpected(id, op).on(object.key).times(unexpected.len()));
        }
        if let Some((id, _)) = first(&duplicated) {
            let violation = messages.duplicated(id, u64::MAX).on(object.key).times(duplicated.len());
            report.record(match self.exactly_once {
                true => violation.why("The option exactly_once is set, so nothing may come out twice.".to_owned()),
                false => violation.why(TWICE.to_owned()).evidence(),
            });
        }
    }
}

/// Acknowledged elements that never came out.
fn lost<'h>(history: &History, messages: &Messages<'h>, absent: &[u32], missing: u64) -> Violation<'h> {
    let due = |(id, op): &&(u32, Op<'_>)| absent.binary_search(id).is_ok() && op.outcome == Outcome::Ok;
    let lost: Vec<(u32, Op<'_>)> = messages.enqueues.iter().filter(due).copied().collect();
    let elements: Vec<Value> = absent.iter().take(1_000).map(|id| messages.elements.value(*id).to_value()).collect();
    let certain = missing - messages.doubtful_dequeues;
    let mut ops: Vec<Op<'_>> = Vec::new();
    let mut title = format!("{} lost", messages::count(certain as usize, "acknowledged element"));
    let mut subject = Value::Nil;
    if let Some(&(id, first)) = lost.first() {
        let (enqueues, dequeues) = messages.story(id, u64::MAX);
        let element = messages.elements.value(id);
        title.push_str(&format!(", e.g. {element}, acknowledged as #{}", first.call));
        subject = element.to_value();
        ops.extend(enqueues);
        ops.extend(dequeues);
        ops.extend(messages.named.iter().filter(|(named, _)| *named == id).map(|(_, op)| *op));
    }
    ops.extend(&messages.drains);
    let drains = messages::count(messages.drains.len(), "drain");
    let nodes = messages::on_all(history, &messages.drains);
    let mut violation = Violation::new("lost-message", title, subject, ops).times(certain as usize);
    // With dequeues in doubt, some of the elements are lost, but of no single one can it be shown.
    violation.certified = messages.doubtful_dequeues == 0;
    violation = violation.why(format!("Never dequeued: {}.", messages::elements(&elements, 20)));
    violation = violation.why(format!("{drains}{nodes} found the queue empty after they were acknowledged."));
    match messages.doubtful_dequeues {
        0 => violation,
        doubtful => violation.why(format!(
            "{doubtful} dequeues in doubt may each have taken one; {certain} of {missing} are lost in any case."
        )),
    }
}

impl Checker for TotalQueue {
    fn name(&self) -> &str {
        "total-queue"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["enqueue", "dequeue", "drain"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let takes = ["enqueue", "dequeue", "drain"];
        let (mut report, objects) =
            judgeable(history, objects(history, &["enqueue", "dequeue", "drain"], &takes), &takes, "queue");
        let mut totals = Totals::default();
        let mut poll = BudgetPoll::new(budget);
        for object in objects.iter().take_while(|object| !poll.over(object.ops.len())) {
            self.judge(history, object, &mut totals, &mut report);
        }
        let Totals { acknowledged, dequeued, missing, late, undrained, doubtful, .. } = totals;
        if acknowledged == 0 {
            report.unseen("No enqueue was acknowledged, so nothing can be said.");
        }
        if undrained > 0 {
            let queues = messages::count(undrained as usize, "queue");
            report.unknown(format!("No drain of {queues} was answered, so what was left is not known."));
        } else if late > 0 {
            report.unknown(format!("No drain began after {late} enqueues that never came out were acknowledged."));
        }
        if missing > 0 {
            report.unknown(format!(
                "{missing} acknowledged elements never came out, but {doubtful} dequeues or drains in doubt may have taken them."
            ));
        }
        report.malformed(SHAPE, &totals.malformed);
        report.numbers([
            ("attempts", totals.attempts),
            ("acknowledged", acknowledged),
            ("dequeued", dequeued),
            ("lost", totals.lost),
            ("missing", missing),
            ("unexpected", totals.unexpected),
            ("duplicated", totals.duplicated),
            ("recovered", totals.recovered),
        ]);
        report.late(&poll, history.ops().len(), "operations");
        report.verdict(self.name(), format!("All {acknowledged} acknowledged elements came out."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::random_history::agrees;
    use crate::testing::history;
    use crate::verdict::{Severity, Validity};

    fn lines(calls: &[(&str, &str, &str, &str)]) -> String {
        let line = |(at, (f, value, outcome, reply)): (usize, &(&str, &str, &str, &str))| {
            format!("{at} {f} null {value} -> {outcome} {reply}\n")
        };
        calls.iter().enumerate().map(line).collect()
    }

    fn judge(calls: &[(&str, &str, &str, &str)]) -> Verdict {
        TotalQueue::default().check(&history(&lines(calls)), &Budget::unlimited())
    }

    const ONE: (&str, &str, &str, &str) = ("enqueue", "1", "ok", "null");
    const TWO: (&str, &str, &str, &str) = ("enqueue", "2", "ok", "null");
    const DOUBT: (&str, &str, &str, &str) = ("dequeue", "null", "info", "null");

    fn drain(list: &'static str) -> (&'static str, &'static str, &'static str, &'static str) {
        ("drain", "null", "ok", list)
    }

    #[test]
    fn everything_out_is_valid() {
        let three = ("enqueue", "3", "info", "null");
        let verdict = judge(&[ONE, TWO, three, ("dequeue", "null", "ok", "2"), drain("[3,1]")]);
        assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
        assert_eq!(verdict.numbers["recovered"], 1);
    }

    #[test]
    fn lost_needs_a_drain_and_no_dequeue_that_may_have_taken_it() {
        let verdict = judge(&[ONE, TWO, drain("[2]")]);
        assert_eq!((verdict.validity, &verdict.findings[0].ops[..]), (Validity::Invalid, &[0, 4][..]));
        assert!(verdict.findings[0].certificate.is_some());
        assert_eq!(judge(&[ONE, TWO, ("dequeue", "null", "ok", "2")]).validity, Validity::Unknown);
        assert_eq!(judge(&[ONE, TWO, DOUBT, drain("[2]")]).validity, Validity::Unknown);
        assert_eq!(judge(&[ONE, drain("[1]"), TWO]).validity, Validity::Unknown);
        let verdict = judge(&[ONE, TWO, DOUBT, drain("[]")]);
        assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()));
        assert!(verdict.findings[0].certificate.is_none());
    }

    #[test]
    fn a_drain_in_doubt_may_have_taken_everything() {
        let doubt = ("drain", "null", "info", "null");
        assert_eq!(judge(&[ONE, TWO, doubt, drain("[]")]).validity, Validity::Unknown);
    }

    #[test]
    fn a_dequeue_in_doubt_may_have_taken_the_element_that_it_names_and_no_other() {
        let named = |element| ("dequeue", "null", "info", element);
        let verdict = judge(&[ONE, TWO, named("1"), drain("[2]")]);
        assert_eq!(
            (verdict.validity, &verdict.numbers["missing"]),
            (Validity::Valid, &0.into()),
            "{}",
            verdict.summary
        );
        // Element 2 is lost for certain, and the finding can be verified.
        let verdict = judge(&[ONE, TWO, named("1"), drain("[]")]);
        assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()));
        assert!(verdict.findings[0].title.contains("e.g. 2"), "{}", verdict.findings[0].title);
        assert!(verdict.findings[0].certificate.is_some());
        assert_eq!(judge(&[ONE, TWO, named("2"), DOUBT, drain("[]")]).validity, Validity::Unknown, "the other took 1");
        assert_eq!(judge(&[ONE, named("7"), drain("[]")]).validity, Validity::Invalid, "it took another element");
        // Named twice, by a take in doubt and by one that came: delivered again, even where once is promised.
        let calls = [ONE, named("1"), ("dequeue", "null", "ok", "1"), drain("[]")];
        let strict = TotalQueue { exactly_once: true }.check(&history(&lines(&calls)), &Budget::unlimited());
        assert_eq!(strict.validity, Validity::Valid, "{}", strict.summary);
        // Enqueued twice, and one dequeue in doubt names it: once it is lost.
        let verdict = judge(&[ONE, ONE, named("1"), drain("[]")]);
        assert_eq!((verdict.validity, &verdict.numbers["lost"]), (Validity::Invalid, &1.into()));
        assert_eq!(verdict.findings[0].ops, [0, 2, 4, 6], "the dequeue in doubt is shown");
        // A drain in doubt took what it names, and maybe more.
        let drained = ("drain", "null", "info", "[1]");
        assert_eq!(judge(&[ONE, TWO, drained, drain("[2]")]).validity, Validity::Valid);
        assert_eq!(judge(&[ONE, TWO, drained, drain("[]")]).validity, Validity::Unknown);
    }

    #[test]
    fn twice_is_evidence_unless_once_was_promised() {
        let calls = [ONE, ("dequeue", "null", "ok", "1"), drain("[1]")];
        let verdict = judge(&calls);
        assert_eq!((verdict.validity, verdict.findings[0].severity), (Validity::Valid, Severity::Evidence));
        assert!(verdict.findings[0].sentences[0].contains("exactly_once=true"), "{:?}", verdict.findings);
        let strict = TotalQueue { exactly_once: true }.check(&history(&lines(&calls)), &Budget::unlimited());
        assert_eq!(strict.validity, Validity::Invalid);
    }

    #[test]
    fn refused_elements_must_not_come_out() {
        let verdict = judge(&[ONE, ("enqueue", "2", "fail", "null"), drain("[1,2]")]);
        assert_eq!((verdict.validity, verdict.findings[0].kind.as_str()), (Validity::Invalid, "unexpected-message"));
        assert_eq!(verdict.findings[0].ops, [2, 4]);
    }

    #[test]
    fn agrees_with_the_definition() {
        agrees(fuzz::differ);
    }
}
