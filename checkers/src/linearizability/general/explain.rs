//! From a small contradiction to a finding that a reader can check: the operations with their times, the states that were
//! possible before the reply that does not fit, and why no order explains it.
use super::super::decide::DecisionOptions;
use super::super::explain::{about_key, operation};
use super::super::limits::{EngineAnswer, Limits};
use super::super::space::{Plan, Space};
use super::configurations::Configurations;
use super::{Decision, Operation, Refutation, exact, shrink, steps, takes_unknown, without_order};
use crate::forms::without_version;
use crate::history::{History, Op, Outcome};
use crate::linearizability::containers::{self, GrowConflictKind};
use crate::models::{Container, ContainerAction, Model};
use crate::value::Value;
use crate::verdict::certificate::{Certificate, Claim};
use crate::verdict::messages;
use crate::verdict::{Budget, OPERATIONS_MAX, Violation};

/// The most operations that a certificate carries.
const CERTIFIED: usize = 2_000;
/// Steps of the search for the possible states.
const STEPS: u64 = 200_000;
/// The most configurations at one return for which a finding names the possible states.
const WIDEST: usize = 256;
/// The most states that a finding names.
const STATES: usize = 4;

/// The violation of one object.
pub(crate) fn violation<'h, M: Model>(
    model: &M,
    history: &'h History,
    key: &Value,
    operations: &[Operation<M::Action>],
    refutation: &Refutation,
    budget: &Budget,
) -> Violation<'h> {
    let small = shrink::shrink(model, operations, refutation, budget);
    let grown = grown(model, history, &small);
    let last = if grown.is_some() { None } else { Last::find(model, &small, budget) };
    let vain = last.as_ref().and_then(|last| in_vain_all_the_same(model, history, &small, last.call, budget));
    let around = shown(&small, last.as_ref().map_or(refutation.until, |last| last.until));
    let shown = grown.as_ref().map_or(around, |grown| grown.calls.clone());
    let ops: Vec<Op<'_>> = shown.iter().filter_map(|call| history.op(*call)).collect();
    let (kind, title) = grown
        .as_ref()
        .map(|grown| (grown.kind, grown.title.clone()))
        .or_else(|| named(model, history, &small))
        .or_else(|| {
            let last = last.as_ref()?;
            let unless = vain.map(|op| format!(" unless #{}, which was refused, took effect", op.call));
            Some(("nonlinearizable", format!("{}{}", last.title(history), unless.unwrap_or_default())))
        })
        .unwrap_or_else(|| ("nonlinearizable", "no order of the operations explains all replies".to_owned()));
    let told = |op: &Op<'_>| {
        let known = small.iter().find(|known| known.call == op.call);
        operation(model, history, op, known.map(|known| &known.action))
    };
    let mut sentences: Vec<String> = ops.iter().chain(&vain).map(|op| cut(&told(op), 400)).collect();
    if grown.is_none() && shown.len() < small.len() {
        let rest = small.len() - shown.len();
        sentences.push(format!(
            "{} before these matter too: they lead to the states that were possible.",
            messages::count(rest, "operation")
        ));
    }
    sentences.extend(last.iter().map(|last| last.why(history, &small)));
    sentences.extend(last.as_ref().and_then(|last| refused(model, history, &small, last)));
    if grown.is_none() && last.is_none() {
        sentences.push("Every order that respects the intervals was tried; none explains all replies.".to_owned());
    }
    sentences.extend(grown.map(|grown| grown.why));
    let certificate = certificate_of(model, history, operations, &small, budget);
    about_key(key, (kind, &title), sentences, ops).with_certificate(certificate)
}

/// The certificate of a contradiction alone, without a finding's words.
pub(crate) fn certificate<M: Model>(
    model: &M,
    history: &History,
    operations: &[Operation<M::Action>],
    refutation: &Refutation,
    budget: &Budget,
) -> Option<Certificate> {
    certificate_of(model, history, operations, &shrink::shrink(model, operations, refutation, budget), budget)
}

/// The certificate of a contradiction among a few of the operations; none where these are still too many.
fn certificate_of<M: Model>(
    model: &M,
    history: &History,
    operations: &[Operation<M::Action>],
    small: &[Operation<M::Action>],
    budget: &Budget,
) -> Option<Certificate> {
    if small.len() > CERTIFIED {
        return None;
    }
    let claim = Claim::NoLinearization { model: model.specification(), weakened: Vec::new() };
    // What may have taken any value is left out because every value shown was taken, perhaps later.
    let calls = match operations.iter().any(|operation| takes_unknown(model, &operation.action)) {
        true => small.iter().map(|operation| operation.call).collect(),
        false => contradicting(model, small, budget),
    };
    Some(Certificate::new(history, claim, &calls))
}

/// A refused call before the reply that does not fit: had it taken effect, an order would explain all replies.
fn in_vain_all_the_same<'h, M: Model>(
    model: &M,
    history: &'h History,
    small: &[Operation<M::Action>],
    call: u64,
    budget: &Budget,
) -> Option<Op<'h>> {
    if small.len() > OPERATIONS_MAX {
        return None;
    }
    let reply = history.op(call)?;
    let like = |op: &Op<'_>| {
        let same = op.workload == reply.workload && op.key == reply.key;
        same && op.outcome == Outcome::Fail && op.call < reply.reply
    };
    let options = DecisionOptions { steps: STEPS, ..DecisionOptions::of(budget) };
    history.ops().iter().filter(like).take(OPERATIONS_MAX).find(|op| {
        let (client, function) = (history.client(op.process), history.name(op.function));
        let Ok(action) = model.action_by(client, function, &op.input.to_value(), None) else { return false };
        let mut operations: Vec<Operation<M::Action>> = small.to_vec();
        operations.push(Operation { call: op.call, end: Op::OPEN, action });
        operations.sort_by_key(|operation| operation.call);
        matches!(without_order(model, &operations, options), Decision::Linearizable(_))
    })
}

/// Calls up to the first reply that contradicts those before: what a certificate needs.
fn contradicting<M: Model>(model: &M, small: &[Operation<M::Action>], budget: &Budget) -> Vec<u64> {
    let calls = |operations: &[Operation<M::Action>]| operations.iter().map(|operation| operation.call).collect();
    let mut ends: Vec<u64> = small.iter().map(|operation| operation.end).filter(|&end| end != Op::OPEN).collect();
    ends.sort_unstable();
    let few = if small.len() <= OPERATIONS_MAX { &ends[..] } else { &[] };
    let refuted = |operations: &Vec<Operation<M::Action>>| {
        let options = DecisionOptions { steps: STEPS, ..DecisionOptions::of(budget) };
        !operations.is_empty() && matches!(without_order(model, operations, options), Decision::Refuted(_))
    };
    let first = few.iter().map(|&end| shrink::until(model, small, end)).find(refuted);
    first.map_or_else(|| calls(small), |operations| calls(&operations))
}

/// Calls to show: all, or those that were open around the reply that does not fit.
fn shown<A>(small: &[Operation<A>], until: u64) -> Vec<u64> {
    if small.len() <= OPERATIONS_MAX {
        return small.iter().map(|operation| operation.call).collect();
    }
    let open =
        small.iter().filter(|operation| operation.call < until && operation.end >= until && operation.end != Op::OPEN);
    let mut calls: Vec<u64> = open.map(|operation| operation.call).collect();
    let before = small.iter().rev().map(|operation| operation.call).filter(|&call| call < until);
    let more: Vec<u64> =
        before.filter(|call| !calls.contains(call)).take(OPERATIONS_MAX.saturating_sub(calls.len())).collect();
    calls.extend(more);
    calls.sort_unstable();
    calls
}

/// The name of an anomaly of a container, and a title.
fn named<M: Model>(model: &M, history: &History, small: &[Operation<M::Action>]) -> Option<(&'static str, String)> {
    let mut container = None;
    let mut puts: Vec<(Value, u64)> = Vec::new();
    let mut takes: Vec<(Value, u64)> = Vec::new();
    let (mut nothing, mut takers) = (None, false);
    for operation in small {
        let (kind, action) = model.container_action(&operation.action)?;
        container = Some(kind);
        match action {
            ContainerAction::Put(value) => puts.push((value, operation.call)),
            ContainerAction::Take(value) => takes.push((value, operation.call)),
            ContainerAction::TakeNothing => nothing = Some(operation.call),
            ContainerAction::TakeUnknown => takers = true,
        }
    }
    if let Some(call) = nothing {
        let inside = match &puts[..] {
            [(value, _)] => value.to_string(),
            _ => "something".to_owned(),
        };
        return Some(("false-empty", format!("#{call} found nothing while {inside} was inside all the time")));
    }
    // No single reason holds where values repeat, or where a take of unknown outcome may have taken one.
    let repeats = puts.iter().enumerate().any(|(at, (value, _))| puts[..at].iter().any(|(other, _)| other == value));
    if repeats || takers {
        return None;
    }
    let (last, last_call) = takes.iter().max_by_key(|(_, call)| *call)?;
    if puts.is_empty() {
        let never = in_vain(history, *last_call, last, "put in");
        return Some(("phantom-value", format!("#{last_call} returned {last}, {never}")));
    }
    for (at, (value, call)) in takes.iter().enumerate() {
        if takes[..at].iter().any(|(other, _)| other == value)
            && puts.iter().filter(|(put, _)| put == value).count() < 2
        {
            return Some(("duplicate-value", format!("#{call} returned {value} a second time")));
        }
    }
    if puts.len() == 1 && takes.len() == 1 {
        return Some(("future-value", format!("#{last_call} returned {last} before it was put in")));
    }
    let left = puts.iter().find(|(value, _)| !takes.iter().any(|(taken, _)| taken == value));
    Some(match (left, container?) {
        (Some((value, call)), Container::Queue) => {
            ("lost-value", format!("{value}, put in by #{call}, never came out, but later values did"))
        }
        (_, Container::Queue) => {
            ("fifo-violation", "values came out in another order than they were put in".to_owned())
        }
        (_, Container::Stack) => ("lifo-violation", "values came out in an order that no stack gives".to_owned()),
        (_, Container::Smallest) => ("priority-violation", "a value came out before a smaller one".to_owned()),
        (_, Container::Largest) => ("priority-violation", "a value came out before a larger one".to_owned()),
        (_, Container::Bag) => ("nonlinearizable", "no order explains what came out".to_owned()),
    })
}

/// The reply that does not fit, and what was possible before it.
struct Last {
    until: u64,
    call: u64,
    /// States in words, each with the calls that had taken effect of those then open; none where there are too many.
    states: Vec<(String, Vec<u64>)>,
    more: usize,
}

impl Last {
    fn find<M: Model>(model: &M, small: &[Operation<M::Action>], budget: &Budget) -> Option<Last> {
        let mut space = Space::new(model);
        let steps = steps(&mut space, small);
        let mut configurations = Configurations::new(Plan::new(&steps), false).no_wider_than(WIDEST);
        let Ok(EngineAnswer::Refuted(until)) = configurations.run(&mut space, &mut Limits::new(budget, STEPS), 0)
        else {
            return Last::alone(model, small, budget);
        };
        let call = small.iter().find(|operation| operation.end == until)?.call;
        let possible = configurations.possible();
        let more = possible.len().saturating_sub(STATES);
        let words = |(state, done): (u32, Vec<u64>)| (model.show(space.state(state)), done);
        Some(Last { until, call, states: possible.into_iter().take(STATES).map(words).collect(), more })
    }

    /// The reply that does not fit, where too much was possible before it.
    fn alone<M: Model>(model: &M, small: &[Operation<M::Action>], budget: &Budget) -> Option<Last> {
        let options = DecisionOptions { steps: STEPS, ..DecisionOptions::of(budget) };
        // An algorithm for containers names operations that contradict each other, and no reply.
        let Decision::Refuted(refutation @ Refutation { among: None, .. }) = without_order(model, small, options)
        else {
            return None;
        };
        let until = exact(model, small, refutation, options).until;
        let call = small.iter().find(|operation| operation.end == until)?.call;
        Some(Last { until, call, states: Vec::new(), more: 0 })
    }

    fn reply(&self, history: &History) -> String {
        let reply = history.op(self.call).map(|op| op.output).filter(|output| !output.is_nil());
        reply.map_or(format!("#{} cannot have succeeded", self.call), |reply| {
            format!("#{} cannot have returned {}", self.call, short(&reply.to_value()))
        })
    }

    fn title(&self, history: &History) -> String {
        let op = history.op(self.call);
        let node = op.map(|op| messages::on(history, &op)).unwrap_or_default();
        let function = op.map(|op| history.name(op.function)).unwrap_or_default();
        match op.filter(|op| !op.output.is_nil()) {
            Some(op) => {
                let reply = short(&op.output.to_value());
                format!("{function} #{}{node} returned {reply}, which no order explains", self.call)
            }
            None => format!("{function} #{}{node} succeeded, which no order explains", self.call),
        }
    }

    /// What was possible, and that nothing of it leads on.
    fn why<A>(&self, history: &History, small: &[Operation<A>]) -> String {
        let open = |operation: &&Operation<A>| {
            operation.call < self.until && operation.end > self.until && operation.call != self.call
        };
        let meanwhile: Vec<String> =
            small.iter().filter(open).map(|operation| format!("#{}", operation.call)).collect();
        let pending =
            |operation: &Operation<A>| history.op(operation.call).is_some_and(|op| op.outcome == Outcome::Info);
        let unknown = small.iter().filter(open).any(pending);
        let state = |(words, done): &(String, Vec<u64>)| {
            let done: Vec<String> = done.iter().map(|call| format!("#{call}")).collect();
            let after = if done.is_empty() { String::new() } else { format!(" (with {} done)", done.join(", ")) };
            format!("{}{after}", cut(words, 120))
        };
        let mut states: Vec<String> = self.states.iter().map(state).collect();
        if self.more > 0 {
            states.push(format!("{} more", self.more));
        }
        let earlier = small.iter().filter(|operation| operation.end < self.until).count();
        if self.states.is_empty() {
            let reply = self.reply(history);
            return format!("After every order that explains the replies before, {reply}: a contradiction.");
        }
        let before = match earlier {
            0 => "At the beginning the state is".to_owned(),
            _ => "After every order that explains the replies before, the state is".to_owned(),
        };
        let also = match (meanwhile.is_empty(), unknown) {
            (true, _) => String::new(),
            (false, false) => format!(", whenever {} took effect", meanwhile.join(", ")),
            (false, true) => format!(", whenever {} took effect, if at all", meanwhile.join(", ")),
        };
        format!("{before} {}; from there {}{also}: a contradiction.", states.join(" or "), self.reply(history))
    }
}

/// What is wrong with the reads of a growing set.
struct GrownStory {
    kind: &'static str,
    title: String,
    why: String,
    calls: Vec<u64>,
}

/// The refused calls that would have written the value that does not fit, if no other call did.
fn refused<M: Model>(model: &M, history: &History, small: &[Operation<M::Action>], last: &Last) -> Option<String> {
    let found = model.found(&small.iter().find(|operation| operation.call == last.call)?.action)?;
    let reply = history.op(last.call)?;
    let sets = |op: &Op<'_>| {
        let function = history.name(op.function);
        let asked = without_version(function, op.input).unwrap_or(op.input);
        match function {
            "write" => asked == *found,
            // One that was answered with a mismatch wrote nothing.
            "cas" if op.outcome == Outcome::Ok && op.output == Value::Bool(false) => false,
            "cas" => asked.as_list().is_some_and(|pair| pair.len() == 2 && pair.at(1) == *found),
            _ => false,
        }
    };
    let same = |op: &Op<'_>| op.workload == reply.workload && op.key == reply.key && op.call < reply.reply && sets(op);
    let writers: Vec<Op<'_>> = history.ops().iter().filter(same).collect();
    if writers.is_empty() || writers.iter().any(|op| op.outcome != Outcome::Fail) {
        return None;
    }
    Some(format!("#{} found {found}, {}.", last.call, messages::not_done(&writers, "written")))
}

/// Why a value should not have come out: every call that put it in was refused, or there was none.
fn in_vain(history: &History, call: u64, value: &Value, done: &str) -> String {
    let refused = history.op(call).map(|reply| messages::refused(history, &reply, value)).unwrap_or_default();
    if refused.is_empty() { format!("which was never {done} before") } else { messages::not_done(&refused, done) }
}

fn grown<M: Model>(model: &M, history: &History, small: &[Operation<M::Action>]) -> Option<GrownStory> {
    let conflict = containers::growing(&super::grow_ops(model, small)?).err()?;
    let mut calls: Vec<u64> = conflict.places.iter().map(|&at| small[at].call).collect();
    let names: Vec<String> = calls.iter().map(|call| format!("#{call}")).collect();
    let (first, last) = (names.first()?, names.last()?);
    let element = short(&conflict.element);
    let (kind, title, why) = match conflict.kind {
        GrowConflictKind::Phantom => (
            "phantom-read",
            format!("{first} returned {element}, {}", in_vain(history, calls[0], &conflict.element, "added")),
            format!("No operation that may have taken effect added {element}: a contradiction."),
        ),
        GrowConflictKind::Twice => (
            "duplicate-element",
            format!("{first} returned {element} twice"),
            "A set holds every element once: a contradiction.".to_owned(),
        ),
        GrowConflictKind::Disagree => (
            "incompatible-reads",
            format!("{last} lacks {element}, which {first} returned, and the other way round"),
            "Nothing is ever removed, so of two reads one returned all that the other did: a contradiction.".to_owned(),
        ),
        GrowConflictKind::Future => (
            "future-read",
            format!("a read returned {element} before it was added by {last}"),
            format!("{last} began after that read had ended: a contradiction."),
        ),
        GrowConflictKind::Stale => (
            "stale-read",
            format!("{first} lacks {element}, which was there before"),
            match &names[..] {
                [read, _, known] | [read, known] => {
                    let between = if names.len() == 3 { &names[1] } else { read };
                    let after = if names.len() == 3 {
                        format!(", and {read} comes after {between}, because it shows what {between} did")
                    } else {
                        String::new()
                    };
                    format!("{known} had ended before {between} began{after}; so {element} was there: a contradiction.")
                }
                _ => "No order explains it: a contradiction.".to_owned(),
            },
        ),
    };
    calls.sort_unstable();
    calls.dedup();
    Some(GrownStory { kind, title, why, calls })
}

fn short(value: &Value) -> String {
    cut(&value.to_string(), 120)
}

/// The text, its middle left out where it is long.
fn cut(text: &str, limit: usize) -> String {
    let count = text.chars().count();
    if count <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit / 2).collect();
    let tail: String = text.chars().skip(count - limit / 3).collect();
    format!("{head} ... {tail}")
}
