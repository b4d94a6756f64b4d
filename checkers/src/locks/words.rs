//! How findings name locks, their holders and the times of holds. One way for all checkers of locks.
use crate::calls::{Named, at, was_lost};
use crate::history::{History, Op, Outcome, Phase};
use crate::verdict::messages;

/// What a reader must know of a holder whose session or lease had ended.
pub(super) const FENCING: &str = "A lock that is bound to a session or a lease excludes others only while its holder keeps that, \
                                  and a holder learns too late that it has lost it. What the lock protects needs a fencing token, \
                                  which the checker fencing judges.";

/// `lock 0`, `lock "a"`; `the lock` if nothing names it.
pub(super) fn object_of(noun: &str, lock: &Named<'_>, acquire: &Op<'_>) -> String {
    let argument = Some(acquire.input).filter(|input| !lock.whole && !input.is_nil());
    let names: Vec<String> = [Some(acquire.key).filter(|key| !key.is_nil()), argument]
        .into_iter()
        .flatten()
        .map(|name| name.to_string())
        .collect();
    if names.is_empty() { format!("the {noun}") } else { format!("{noun} {}", names.join(" ")) }
}

/// `process 3 on n1`.
pub(super) fn holder(history: &History, op: &Op<'_>) -> String {
    format!("process {}{}", op.process, messages::on(history, op))
}

/// The text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).chain(['.']).collect()
}

/// When a hold may be over at the earliest: at this index, by this call if one ended it.
pub(super) fn end_time(history: &History, to: u64, ended_by: Option<u32>) -> String {
    match (ended_by, phase(history, to)) {
        (Some(position), _) => messages::seconds(at(history, position).call_time),
        (None, Some((_, time))) => messages::seconds(time),
        (None, None) => "the end of the record".to_owned(),
    }
}

/// The end of a sentence about a hold.
pub(super) fn until(history: &History, to: u64, ended_by: Option<u32>) -> String {
    let Some(position) = ended_by else {
        return match phase(history, to) {
            Some((Phase::Drain, time)) => {
                format!("until the load ended at {}, without a release", messages::seconds(time))
            }
            Some((_, time)) => {
                format!("until {}, when clients may have been closed, without a release", messages::seconds(time))
            }
            None => "to the end of the record, without a release".to_owned(),
        };
    };
    let end = at(history, position);
    let (call, f, time) = (end.call, history.name(end.function), messages::seconds(end.call_time));
    match (f, end.outcome) {
        ("release", Outcome::Info) => format!("until it called #{call} (release, without a certain answer) at {time}"),
        ("release", _) => format!("until it called #{call} (release) at {time}"),
        _ => format!(
            "until it called #{call} ({f}, without a certain answer) at {time}, after which its client was replaced"
        ),
    }
}

/// The phase that begins at this index, and when.
fn phase(history: &History, index: u64) -> Option<(Phase, u64)> {
    let found = history.phases.iter().find(|(_, mark)| mark.index == index)?;
    Some((found.0, found.1.time))
}

/// A holder that learned from one of these releases that its session or lease had ended, without a full stop.
pub(super) fn lapsed(history: &History, ends: &[Op<'_>]) -> Option<String> {
    let end = ends.iter().find(|op| was_lost(history, op))?;
    let error = end.error.map_or("", |error| history.name(error));
    let (holder, call) = (holder(history, end), end.call);
    Some(format!("release #{call} failed because the session or lease of {holder} had ended ({error})"))
}
