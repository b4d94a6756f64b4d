//! `saga`: every saga that was started ends with all of its steps done, or with all that were done compensated in
//! reverse order, and nothing happens after its end.
//!
//! The key is the saga. `start` starts it, with the list of its steps as argument, in order (nil: not known); its reply is
//! nil, or `completed` or `compensated` where the caller waited for the end. `log` replies with what happened so far, a list
//! of `["step", s]`, `["compensate", s]`, and at the end `completed` or `compensated` (as a text or as a list of it). Every
//! acknowledged log is judged by itself; a step that is logged again while it is done counts once. Logs of one saga are all
//! prefixes of one log. Where `start` was only ever refused, nothing may have happened.
//!
//! Findings: `compensated-without-step`, `compensated-out-of-order`, `compensated-after-success`,
//! `step-after-compensation`, `event-after-end`, `completed-after-compensation`, `completed-with-steps-missing`,
//! `incomplete-compensation`, `conflicting-logs`, `acknowledged-otherwise`, `refused-saga-ran`. A log of the settle phase
//! without an end: `unfinished`, evidence and Unknown, or with the option `must_end` a violation. A saga whose start was
//! not acknowledged and of which all logs are empty never ran, and has nothing to end. Unknown: no log was
//! read, an event that is none of these, or a started saga whose log was not read in the settle phase.
#[cfg(feature = "oracles")]
pub(crate) mod fuzz;

use crate::calls::{Group, at, by_key, object, workloads_with};
use crate::checker::{CheckerDoc, Judges, from_options};
use crate::history::{History, NameId, Op, Outcome};
use crate::options::schema;
use crate::value::{Value, ValueRef};
use crate::verdict::budget_poll::BudgetPoll;
use crate::verdict::messages;
use crate::verdict::{Budget, Checker, Validity, Verdict};
use crate::verdict::{Report, Violation};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Its entry in the list of checkers.
pub(crate) const DOC: CheckerDoc = CheckerDoc {
    name: "saga",
    doc: "Every saga ends with all of its steps done, or with all that were done compensated in reverse order.",
    cost: "near-linear",
    judges: Judges::calls(&["start"], &["log"]),
    options: schema::<Saga>,
    build: from_options::<Saga>,
};

/// Judges sagas by their logs. Its fields are the options.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SagaOptions")]
pub(crate) struct Saga {
    /// A saga that has not ended at the end of the run breaks the promise.
    must_end: bool,
}

/// One entry of a log.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event<'h> {
    Step(ValueRef<'h>),
    Compensate(ValueRef<'h>),
    Completed,
    Compensated,
}

fn event(entry: ValueRef<'_>) -> Option<Event<'_>> {
    let parts = entry.as_list().unwrap_or_default();
    let word = entry.as_text().or_else(|| parts.get(0)?.as_text());
    match (word?, parts.get(1)) {
        ("step", Some(step)) => Some(Event::Step(step)),
        ("compensate", Some(step)) => Some(Event::Compensate(step)),
        ("completed", None) => Some(Event::Completed),
        ("compensated", None) => Some(Event::Compensated),
        _ => None,
    }
}

/// How far a saga is.
#[derive(Default)]
struct Course<'h> {
    /// Steps that are done and not compensated, in order.
    done: Vec<ValueRef<'h>>,
    compensating: bool,
    /// True: completed.
    ended: Option<bool>,
}

impl<'h> Course<'h> {
    /// Takes the next event: the rule that it breaks, and why.
    fn take(&mut self, event: Event<'h>, steps: Option<&[ValueRef<'h>]>) -> Option<(&'static str, String)> {
        let ended = self.ended;
        match event {
            Event::Compensate(step) if ended == Some(true) => {
                return Some((
                    "compensated-after-success",
                    format!("{step} was compensated after the saga had completed"),
                ));
            }
            _ if ended.is_some() => return Some(("event-after-end", "something happened after the end".to_owned())),
            Event::Step(step) if self.compensating => {
                return Some(("step-after-compensation", format!("{step} was done after compensation had begun")));
            }
            Event::Step(step) if self.done.contains(&step) => {}
            Event::Step(step) => self.done.push(step),
            Event::Compensate(step) => {
                self.compensating = true;
                let Some(place) = self.done.iter().position(|done| *done == step) else {
                    return Some(("compensated-without-step", format!("{step} was compensated but was not done")));
                };
                self.done.remove(place);
                if let Some(later) = self.done.get(place) {
                    let text = format!("{step} was compensated while {later}, done after it, was not");
                    return Some(("compensated-out-of-order", text));
                }
            }
            Event::Completed => {
                self.ended = Some(true);
                if self.compensating {
                    return Some((
                        "completed-after-compensation",
                        "it completed after compensation had begun".to_owned(),
                    ));
                }
                let missing = steps.unwrap_or_default().iter().find(|step| !self.done.contains(step));
                return missing.map(|step| ("completed-with-steps-missing", format!("it completed without {step}")));
            }
            Event::Compensated => {
                self.ended = Some(false);
                let left = self.done.last();
                let text = |step: &ValueRef<'_>| format!("it ended as compensated while {step} is still done");
                return left.map(|step| ("incomplete-compensation", text(step)));
            }
        }
        None
    }
}

/// The calls about one saga.
#[derive(Default)]
struct SagaCalls<'h> {
    starts: Vec<Op<'h>>,
    logs: Vec<Op<'h>>,
}

impl<'h> SagaCalls<'h> {
    fn of(history: &'h History, group: &Group<'h>) -> SagaCalls<'h> {
        let mut known = SagaCalls::default();
        for op in group.ops.iter().map(|&position| at(history, position)) {
            match history.name(op.function) {
                "start" => known.starts.push(op),
                "log" if op.outcome == Outcome::Ok => known.logs.push(op),
                _ => {}
            }
        }
        known
    }

    /// The call that named the steps, if all that may have started it name the same.
    fn plan(&self) -> Option<Op<'h>> {
        let mut started = self.starts.iter().filter(|op| op.outcome != Outcome::Fail);
        let first = *started.next()?;
        first.input.as_list()?;
        started.all(|op| op.input == first.input).then_some(first)
    }
}

fn violation<'h>(title: String, ops: Vec<Op<'h>>, reasons: Vec<String>) -> Violation<'h> {
    let key = ops.last().map(|op| op.key.to_value()).unwrap_or_default();
    Violation { title, ops, subject: key.clone(), key, reasons, ..Violation::default() }
}

/// Counts over all sagas, for the summary.
#[derive(Default)]
struct Counts {
    sagas: usize,
    logs: usize,
    /// Logs with more than the end of the saga.
    telling: usize,
    unclear: usize,
    unread: usize,
}

impl Saga {
    fn judge<'h>(&self, history: &'h History, group: &Group<'h>, seen: &mut Counts, report: &mut Report<'h>) {
        let known = SagaCalls::of(history, group);
        if known.starts.is_empty() && known.logs.is_empty() {
            return;
        }
        seen.sagas += 1;
        seen.logs += known.logs.len();
        let plan = known.plan();
        let steps: Option<Vec<ValueRef<'h>>> = plan.and_then(|op| Some(op.input.as_list()?.iter().collect()));
        let mut last_settled: Option<(Op<'h>, bool)> = None;
        let mut ends: [Option<Op<'h>>; 2] = [None, None];
        for &log in &known.logs {
            let mut course = Course::default();
            seen.telling += usize::from(log.output.as_list().is_some_and(|events| events.len() > 1));
            for entry in log.output.as_list().unwrap_or_default().iter() {
                let Some(event) = event(entry) else {
                    seen.unclear += 1;
                    break;
                };
                if let Some((kind, why)) = course.take(event, steps.as_deref()) {
                    report.violation(kind, || {
                        let planned = plan.filter(|_| kind == "completed-with-steps-missing");
                        let title = format!("in saga {}, {why}", log.key);
                        let ops = planned.into_iter().chain([log]).collect();
                        violation(title, ops, vec![format!("The log of #{} says so, by its order.", log.call)])
                    });
                }
            }
            if let Some(completed) = course.ended {
                ends[usize::from(completed)].get_or_insert(log);
            }
            if log.settle {
                last_settled = Some((log, course.ended.is_some()));
            }
        }
        let begun = known.starts.iter().find(|op| op.outcome == Outcome::Ok);
        let started = begun.is_some();
        let ran = |log: &&Op<'h>| log.output.as_list().is_some_and(|events| !events.is_empty());
        // What no start certainly began, and no log shows, never ran.
        if let Some(&shows) = begun.or(known.logs.iter().find(ran)) {
            self.end(last_settled, shows, report);
        }
        seen.unread += usize::from(started && last_settled.is_none());
        answers(&known, ends, report);
        prefixes(&known, report);
    }

    /// `shows`: the call that shows that it ran.
    fn end<'h>(&self, last: Option<(Op<'h>, bool)>, shows: Op<'h>, report: &mut Report<'h>) {
        let Some((log, false)) = last else { return };
        let before = Some(shows).filter(|shows| shows.call != log.call);
        let tell = || Violation {
            subject: object(&[("saga", log.key.to_value()), ("must_end", Value::Bool(self.must_end))]),
            certified: false,
            ..violation(
                format!("saga {} had not ended when #{} read its log", log.key, log.call),
                before.into_iter().chain([log]).collect(),
                vec!["It was read after everything was healed: neither all done nor all compensated.".to_owned()],
            )
        };
        if self.must_end {
            report.violation("unfinished", tell);
        } else {
            report.evidence("unfinished", tell);
        }
    }
}

/// Compares the replies to callers with the logs.
fn answers<'h>(known: &SagaCalls<'h>, ends: [Option<Op<'h>>; 2], report: &mut Report<'h>) {
    for (told, word) in [(0, "compensated"), (1, "completed")] {
        let says = |op: &&Op<'h>| op.outcome == Outcome::Ok && op.output.as_text() == Some(word);
        if let (Some(&start), Some(log)) = (known.starts.iter().find(says), ends[1 - told]) {
            report.violation("acknowledged-otherwise", || {
                let title =
                    format!("#{} was told that saga {} is {word}; its log says otherwise", start.call, start.key);
                violation(
                    title,
                    vec![start, log],
                    vec![format!("The log that #{} read ended the other way.", log.call)],
                )
            });
        }
    }
    let refused = !known.starts.is_empty() && known.starts.iter().all(|op| op.outcome == Outcome::Fail);
    let ran = known.logs.iter().find(|op| op.output.as_list().is_some_and(|list| !list.is_empty()));
    if let (true, Some(&log)) = (refused, ran) {
        report.violation("refused-saga-ran", || {
            let title = format!("saga {} ran after its start was refused", log.key);
            let ops = known.starts.iter().copied().chain([log]).collect();
            violation(title, ops, vec!["Every call to start it certainly had no effect.".to_owned()])
        });
    }
}

/// Each log against the longest: if all are prefixes of that, any two agree.
fn prefixes<'h>(known: &SagaCalls<'h>, report: &mut Report<'h>) {
    let entries = |op: &Op<'h>| op.output.as_list().unwrap_or_default();
    let Some(&longest) = known.logs.iter().rev().max_by_key(|op| entries(op).len()) else { return };
    let agrees = |op: &&Op<'h>| {
        entries(op).iter().zip(entries(&longest).iter()).all(|(one, two)| match (event(one), event(two)) {
            (None, None) => one == two,
            (one, two) => one == two,
        })
    };
    if let Some(&other) = known.logs.iter().find(|op| !agrees(op)) {
        report.violation("conflicting-logs", || {
            let title =
                format!("#{} and #{} read logs of saga {} that contradict", other.call, longest.call, other.key);
            violation(
                title,
                vec![other, longest],
                vec!["A log only grows: one of two is the beginning of the other.".to_owned()],
            )
        });
    }
}

impl Checker for Saga {
    fn name(&self) -> &str {
        "saga"
    }

    fn workloads(&self, history: &History) -> Vec<NameId> {
        workloads_with(history, &["start"])
    }

    fn judge_workload(&self, history: &History, budget: &Budget) -> Verdict {
        let workloads = workloads_with(history, &["start"]);
        let mut report = Report::new(history);
        let mut seen = Counts::default();
        let mut poll = BudgetPoll::new(budget);
        for group in by_key(history, &workloads).into_iter().take_while(|group| !poll.over(group.ops.len())) {
            self.judge(history, &group, &mut seen, &mut report);
        }
        let Counts { sagas, logs, telling, unclear, unread } = seen;
        let unfinished = report.count("unfinished");
        let otherwise = if logs == 0 {
            (Validity::Unknown, "No log of a saga was read.".to_owned())
        } else if unclear > 0 {
            (Validity::Unknown, format!("{} with events that are not known.", messages::count(unclear, "log")))
        } else if unfinished > 0 {
            (Validity::Unknown, format!("{} had not ended.", messages::count(unfinished, "saga")))
        } else if unread > 0 {
            let text = format!("The log of {} was not read at the end.", messages::count(unread, "started saga"));
            (Validity::Unknown, text)
        } else if telling == 0 {
            let text = "No log tells of a step: only how sagas ended was seen.";
            (Validity::Unknown, text.to_owned())
        } else {
            let count = messages::count(sagas, "saga");
            (
                Validity::Valid,
                format!("{count} completed or compensated in order, by {}.", messages::count(logs, "log")),
            )
        };
        report.late(&poll, history.ops().len(), "operations");
        report.answer(self.name(), otherwise, [("sagas", json!(sagas)), ("logs", json!(logs))])
    }
}
