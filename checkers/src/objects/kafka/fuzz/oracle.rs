//! The rules of logs message by message, as their definitions say: slow, and without a line of the checker's.
use super::super::{Isolation, KINDS};
use super::{keeps, sends};
use crate::history::{History, Op, Outcome};
use crate::random::random_history::Answer;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What happened in one operation, micro-operation by micro-operation.
struct Parsed<'h> {
    op: Op<'h>,
    f: String,
    sends: Vec<(String, Value)>,
    /// Of each send the offset that the completion tells.
    told: Vec<Option<i64>>,
    /// Which micro-operation polled what.
    polled: Vec<(usize, String, i64, Value)>,
    polls: bool,
    /// A poll has no answer that can be read.
    unanswered: bool,
    /// The answer has another length than the call.
    torn: bool,
    /// Logs of which the answer of a send was not understood, and of which a polled list was not.
    bad_sends: BTreeSet<String>,
    bad_lists: BTreeSet<String>,
    /// The answer of a poll is missing.
    bad_poll: bool,
}

impl Parsed<'_> {
    fn ok(&self) -> bool {
        self.op.outcome == Outcome::Ok
    }

    fn may_have_happened(&self) -> bool {
        self.op.outcome != Outcome::Fail
    }

    fn malformed(&self) -> bool {
        self.ok() && (self.torn || self.bad_poll || !self.bad_sends.is_empty() || !self.bad_lists.is_empty())
    }

    fn sends(&self, message: &(String, Value)) -> bool {
        self.sends.contains(message)
    }

    fn moves(&self) -> bool {
        !matches!(self.f.as_str(), "send" | "poll" | "txn")
    }
}

fn parse<'h>(history: &History, op: Op<'h>) -> Parsed<'h> {
    let mut parsed = Parsed {
        op,
        f: history.name(op.function).to_owned(),
        sends: vec![],
        told: vec![],
        polled: vec![],
        polls: false,
        unanswered: false,
        torn: false,
        bad_sends: BTreeSet::new(),
        bad_lists: BTreeSet::new(),
        bad_poll: false,
    };
    if parsed.moves() {
        return parsed;
    }
    let (input, mut output) = (op.input.to_value(), op.completion_value.to_value());
    let asked = input.as_list().unwrap_or_default();
    if parsed.ok() && output == Value::Nil && sends(&input).len() == asked.len() {
        output = input.clone();
    }
    let answered = output.as_list().unwrap_or_default();
    parsed.torn = asked.len() != answered.len() || asked.is_empty();
    for (at, item) in asked.iter().enumerate() {
        let answer = answered.get(at).filter(|_| !parsed.torn).and_then(Value::as_list);
        match item.as_list() {
            Some([_, key, value]) => {
                let (key, reply) = (key.to_string(), answer.and_then(|answer| answer.get(2)));
                parsed.sends.push((key.clone(), value.clone()));
                let offset = match reply {
                    Some(Value::List(pair)) if pair[1] == *value => Ok(pair[0].as_int()),
                    Some(echo) if echo == value => Ok(None),
                    _ => Err(()),
                };
                if offset.is_err() {
                    parsed.bad_sends.insert(key);
                }
                parsed.told.push(offset.unwrap_or(None));
            }
            _ => parsed.poll(at, answer.and_then(|answer| answer.get(1))),
        }
    }
    parsed
}

impl Parsed<'_> {
    fn poll(&mut self, at: usize, answer: Option<&Value>) {
        self.polls = true;
        let Some(Value::Map(entries)) = answer else {
            self.unanswered = true;
            self.bad_poll = true;
            return;
        };
        for (key, list) in entries.iter() {
            for pair in list.as_list().unwrap_or_default() {
                match pair.as_list() {
                    Some([Value::Int(offset), value]) => {
                        self.polled.push((at, key.to_string(), *offset, value.clone()));
                    }
                    _ => {
                        self.unanswered = true;
                        self.bad_lists.insert(key.to_string());
                    }
                }
            }
        }
    }
}

/// Everything that operations say together.
struct Known<'a, 'h> {
    all: &'a [Parsed<'h>],
    isolation: Option<Isolation>,
    /// Where a message is: log, offset, value, and whether it may be told of everybody.
    seen: BTreeSet<(String, i64, Value, bool)>,
}

type MessageRef<'m> = &'m (String, Value);

impl<'a, 'h> Known<'a, 'h> {
    fn of(all: &'a [Parsed<'h>], isolation: Option<Isolation>) -> Known<'a, 'h> {
        let mut known = Known { all, isolation, seen: BTreeSet::new() };
        let mut seen = BTreeSet::new();
        for one in all {
            let sure = one.ok() || known.committed(one);
            for ((key, value), offset) in one.sends.iter().zip(&one.told) {
                if let Some(offset) = offset.filter(|_| sure) {
                    seen.insert((key.clone(), offset, value.clone(), true));
                }
            }
            for (_, key, offset, value) in &one.polled {
                let message = (key.clone(), value.clone());
                let holds = one.ok() || !one.sends(&message) && known.tried(&message) > 0;
                if holds {
                    let everybody = one.ok() && known.tried(&message) > 0;
                    seen.insert((key.clone(), *offset, value.clone(), everybody));
                }
            }
        }
        known.seen = seen;
        known
    }

    /// Sends of it that may have happened.
    fn tried(&self, message: MessageRef<'_>) -> usize {
        let maybe = self.all.iter().filter(|one| one.may_have_happened()).flat_map(|one| &one.sends);
        maybe.filter(|send| *send == message).count()
    }

    fn polled(&self, message: MessageRef<'_>, by: impl Fn(&Parsed<'_>) -> bool) -> Option<u64> {
        let shows = |one: &&Parsed<'_>| one.polled.iter().any(|poll| poll.1 == message.0 && poll.3 == message.1);
        self.all.iter().filter(|one| by(one)).filter(shows).map(|one| one.op.reply).min()
    }

    /// Whether somebody polled what only this operation sent, so that all of it was committed.
    fn committed(&self, one: &Parsed<'_>) -> bool {
        let shown =
            |message: &(String, Value)| self.tried(message) == 1 && self.polled(message, |one| one.ok()).is_some();
        one.op.outcome == Outcome::Info
            && self.isolation != Some(Isolation::ReadUncommitted)
            && one.sends.iter().any(shown)
    }

    fn offsets(&self, message: MessageRef<'_>) -> BTreeSet<i64> {
        self.seen.iter().filter(|one| one.0 == message.0 && one.2 == message.1).map(|one| one.1).collect()
    }

    /// Whether no call that was not understood may have sent to this log.
    fn sure_of_sends(&self, key: &str) -> bool {
        !self.all.iter().any(|one| one.ok() && (one.torn || one.bad_sends.contains(key)))
    }

    fn sure_of_polls(&self, key: &str) -> bool {
        let malformed = |one: &Parsed<'_>| one.ok() && (one.bad_poll || one.bad_lists.contains(key));
        self.sure_of_sends(key) && !self.all.iter().any(malformed)
    }

    fn between(&self, key: &str, low: i64, high: i64) -> bool {
        self.seen.iter().any(|one| one.3 && one.0 == key && low < one.1 && one.1 < high)
    }

    fn before<'b>(&'b self, one: &'b Parsed<'_>) -> impl DoubleEndedIterator<Item = &'b Parsed<'h>> {
        self.all.iter().filter(|other| other.op.process == one.op.process && other.op.call < one.op.call)
    }

    fn grouped(&self, one: &Parsed<'_>) -> bool {
        let last = self.before(one).rfind(|other| matches!(other.f.as_str(), "assign" | "subscribe"));
        last.is_some_and(|last| last.f == "subscribe")
    }
}

/// Counts by name, and reasons to doubt.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
    unseen: u64,
    missing: u64,
    doubt: bool,
}

impl Tally {
    fn add(&mut self, kind: &'static str, violated: bool) {
        *self.counts.entry(kind).or_default() += u64::from(violated);
    }
}

pub(super) fn defined(isolation: Option<Isolation>, history: &History) -> Answer {
    let all: Vec<Parsed<'_>> = history.ops().iter().map(|op| parse(history, op)).collect();
    let ours = |f: &str| matches!(f, "send" | "poll" | "txn" | "subscribe" | "assign");
    let all = if all.iter().any(|one| ours(&one.f)) { all } else { Vec::new() };
    let known = Known::of(&all, isolation);
    let mut tally = Tally::default();
    messages(&known, &mut tally);
    for one in &all {
        polls(&known, one, &mut tally);
        ordered(&known, one, &mut tally);
        let mut own: Vec<(String, Value)> =
            one.polled.iter().map(|poll| (poll.1.clone(), poll.3.clone())).filter(|poll| one.sends(poll)).collect();
        own.sort_unstable();
        own.dedup();
        for message in own.iter().filter(|message| known.tried(message) < 2) {
            tally.add(
                "precommitted-read",
                isolation == Some(Isolation::ReadCommitted) && known.sure_of_sends(&message.0),
            );
            tally.doubt |= isolation.is_none();
        }
    }
    let judged = isolation != Some(Isolation::ReadUncommitted) && !all.iter().any(|one| one.ok() && one.torn);
    tally.add("G1c", judged && circle(&known));
    let count = |kind: &str| tally.counts.get(kind).copied().unwrap_or(0);
    let kinds = KINDS.iter().filter(|kind| count(kind) > 0).map(|kind| (*kind).to_owned()).collect();
    let acknowledged = |one: &Parsed<'_>| {
        one.ok() && !one.sends.is_empty() || known.committed(one) && one.told.iter().any(Option::is_some)
    };
    let polled = |one: &Parsed<'_>| one.ok() && !one.polled.is_empty();
    let doubt = tally.doubt
        || !all.iter().any(acknowledged)
        || !all.iter().any(polled)
        || all.iter().any(Parsed::malformed)
        || tally.missing > 0;
    let mut facts = vec![("unseen", tally.unseen), ("missing", tally.missing)];
    facts.extend(KINDS.map(|kind| (kind, count(kind))));
    Answer::of(kinds, doubt, facts)
}

/// Offsets and messages, one by one.
fn messages(known: &Known<'_, '_>, tally: &mut Tally) {
    let places: BTreeSet<(&String, i64)> = known.seen.iter().map(|one| (&one.0, one.1)).collect();
    for (key, offset) in places {
        let here = known.seen.iter().filter(|one| (&one.0, one.1) == (key, offset));
        let values: BTreeSet<&Value> = here.map(|one| &one.2).collect();
        tally.add("inconsistent-offsets", values.len() > 1);
    }
    let mut messages: BTreeSet<(String, Value)> = BTreeSet::new();
    for one in known.all {
        messages.extend(one.sends.iter().cloned());
        messages.extend(one.polled.iter().map(|poll| (poll.1.clone(), poll.3.clone())));
    }
    let doubtful = known.all.iter().any(|one| {
        one.f == "seek" || one.polls && one.unanswered && one.op.outcome == Outcome::Info && known.grouped(one)
    });
    for message in &messages {
        let sure = known.sure_of_sends(&message.0);
        let tried = known.tried(message);
        tally.add("duplicate", sure && known.offsets(message).len() > tried.max(1));
        let sends = known.all.iter().filter(|one| one.sends(message));
        let refused = sends.clone().any(|one| !one.may_have_happened());
        if let Some(reply) = known.polled(message, |one| one.ok()) {
            let early = sends.clone().filter(|one| one.may_have_happened()).all(|one| one.op.call > reply);
            let aborted = tried == 0 && refused;
            tally.add("G1a", sure && aborted && known.isolation != Some(Isolation::ReadUncommitted));
            tally.add("unexpected-message", sure && early && !aborted);
            continue;
        }
        if known.polled(message, |_| true).is_some() {
            continue;
        }
        let told = |one: &Parsed<'_>| -> Vec<Option<i64>> {
            let mine = one.sends.iter().zip(&one.told).filter(|(send, _)| *send == message);
            mine.map(|(_, offset)| *offset).collect()
        };
        let acknowledged: Vec<Option<i64>> = sends.clone().filter(|one| one.ok()).flat_map(told).collect();
        let committed: Vec<i64> = sends.filter(|one| known.committed(one)).flat_map(told).flatten().collect();
        if acknowledged.is_empty() && committed.is_empty() {
            continue;
        }
        let offset = acknowledged.into_iter().flatten().chain(committed).next();
        let polls = known.all.iter().filter(|one| one.ok()).flat_map(|one| &one.polled);
        let highest = polls.filter(|poll| poll.1 == message.0).map(|poll| poll.2).max();
        match offset.filter(|offset| highest.is_some_and(|highest| *offset <= highest)) {
            None => tally.unseen += 1,
            Some(_) if doubtful => tally.missing += 1,
            Some(_) => tally.add("lost-write", known.sure_of_polls(&message.0)),
        }
    }
}

/// Each message that an operation polled against the one before it.
fn polls(known: &Known<'_, '_>, one: &Parsed<'_>, tally: &mut Tally) {
    let grouped = known.grouped(one);
    for (at, (list, key, offset, _)) in one.polled.iter().enumerate() {
        if let Some(before) = one.polled[..at].iter().rev().find(|other| other.1 == *key) {
            let violated = before.0 == *list || one.ok() && !grouped;
            let back = *offset <= before.2;
            tally.add("int-nonmonotonic-poll", violated && back);
            tally.add("int-poll-skip", violated && !back && known.between(key, before.2, *offset));
            continue;
        }
        if !one.ok() {
            continue;
        }
        let (last, aborted, doubtful) = resumed(known, one, key);
        match (last, doubtful) {
            (Some(last), false) => {
                tally.add("nonmonotonic-poll", !grouped && *offset <= last);
                tally.add("poll-skip", !grouped && *offset > last && known.between(key, last, *offset));
            }
            (last, true) => {
                let from = last.or(aborted.map(|first| first - 1));
                tally.doubt |= !grouped && from.is_some_and(|from| known.between(key, from, *offset));
            }
            (None, false) => {}
        }
    }
}

/// Where the process of this poll was in a log: the last offset of a call that was acknowledged, the first one of those
/// that were not, and whether there were such calls.
fn resumed(known: &Known<'_, '_>, one: &Parsed<'_>, key: &str) -> (Option<i64>, Option<i64>, bool) {
    let (mut aborted, mut doubtful) = (None::<i64>, false);
    for other in known.before(one).collect::<Vec<_>>().into_iter().rev() {
        if other.moves() {
            if !other.ok() || !keeps(&other.f, &other.op.input.to_value(), key) {
                return (None, aborted, doubtful);
            }
            continue;
        }
        if other.malformed() || !other.ok() && other.unanswered {
            return (None, aborted, doubtful);
        }
        let mine: Vec<i64> = other.polled.iter().filter(|poll| poll.1 == key).map(|poll| poll.2).collect();
        if other.ok() {
            if let Some(last) = mine.last() {
                return (Some(*last), aborted, doubtful);
            }
            continue;
        }
        doubtful |= other.polls;
        aborted = aborted.into_iter().chain(mine).min();
    }
    (None, aborted, doubtful)
}

/// Each send of an operation against the one before it: where the answers, or else the polls, say that they are.
fn ordered(known: &Known<'_, '_>, one: &Parsed<'_>, tally: &mut Tally) {
    let places = |one: &Parsed<'_>| -> Vec<(String, i64)> {
        if !one.may_have_happened() {
            return Vec::new();
        }
        let place = |(message, told): (&(String, Value), &Option<i64>)| {
            let only = known.offsets(message);
            let only = only.first().copied().filter(|_| only.len() == 1 && known.tried(message) == 1);
            Some((message.0.clone(), told.filter(|_| one.ok()).or(only)?))
        };
        one.sends.iter().zip(&one.told).filter_map(place).collect()
    };
    let mine = places(one);
    for (at, (key, offset)) in mine.iter().enumerate() {
        let inside = mine[..at].iter().rev().find(|(other, _)| other == key).map(|(_, offset)| *offset);
        let earlier: Vec<(String, i64)> = known.before(one).flat_map(places).collect();
        let outside = earlier.iter().rev().find(|(other, _)| other == key).map(|(_, offset)| *offset);
        match (inside, outside) {
            (Some(before), _) => tally.add("int-nonmonotonic-send", *offset <= before),
            (None, Some(before)) => tally.add("nonmonotonic-send", *offset <= before),
            (None, None) => {}
        }
    }
}

/// Whether operations polled each other's messages in a circle, by the transitive closure.
fn circle(known: &Known<'_, '_>) -> bool {
    let all = known.all;
    let edge = |from: &Parsed<'_>, to: &Parsed<'_>| {
        let polled = |poll: &(usize, String, i64, Value)| {
            let message = (poll.1.clone(), poll.3.clone());
            from.sends(&message) && known.tried(&message) == 1 && known.sure_of_sends(&message.0)
        };
        from.op.call != to.op.call && from.may_have_happened() && to.ok() && to.polled.iter().any(polled)
    };
    let mut reach: Vec<Vec<bool>> = all.iter().map(|from| all.iter().map(|to| edge(from, to)).collect()).collect();
    for by in 0..all.len() {
        for from in 0..all.len() {
            for to in 0..all.len() {
                reach[from][to] |= reach[from][by] && reach[by][to];
            }
        }
    }
    (0..all.len()).any(|one| reach[one][one])
}
