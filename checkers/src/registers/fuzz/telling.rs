//! What has to be seen for a promise to be tested, by looking at all pairs and triples of calls.
use super::small::{Call, SmallCall};
use crate::history::Outcome;

/// What a call certainly saw: a value, or that there was none.
fn saw(call: &Call) -> Option<Option<i64>> {
    match call.act {
        _ if call.outcome != Outcome::Ok => None,
        SmallCall::Read(value) | SmallCall::Cas(value, _) => Some(value),
        SmallCall::Write(_) => None,
    }
}

fn writes(call: &Call, doubtful: bool) -> bool {
    let done = call.outcome == Outcome::Ok || doubtful && call.outcome == Outcome::Info;
    done && !matches!(call.act, SmallCall::Read(_))
}

/// Whether one is an earlier call of the same session.
fn before(one: &Call, other: &Call) -> bool {
    one.session == other.session && one.call < other.call
}

/// Whether the calls could have contradicted the promise. `doubtful`: writes without an answer happened.
pub(super) fn enough(checker: &str, calls: &[Call], doubtful: bool) -> bool {
    let written = |key: i64| calls.iter().any(|call| call.key == key && writes(call, doubtful));
    let seen = |call: &Call| saw(call).is_some_and(|value| value.is_some());
    let pair = |fits: &dyn Fn(&Call, &Call) -> bool| {
        calls.iter().any(|one| calls.iter().any(|other| before(one, other) && fits(one, other)))
    };
    // Somebody was told of the order of two versions of the key.
    let ordered = |key: i64| {
        let two = |one: &Call, other: &Call| {
            one.key == key && other.key == key && seen(one) && seen(other) && saw(one) != saw(other)
        };
        let replaced = |call: &Call| call.key == key && seen(call) && writes(call, false);
        pair(&two) || calls.iter().any(replaced)
    };
    match checker {
        "causal" | "pram" => calls.iter().any(seen),
        "sequential" => {
            let late = |one: &Call, other: &Call| writes(one, doubtful) && saw(other).is_some() && written(other.key);
            calls.iter().any(seen) || pair(&late)
        }
        "read-your-writes" => pair(&|one, other| one.key == other.key && writes(one, doubtful) && saw(other).is_some()),
        "monotonic-reads" => pair(&|one, other| one.key == other.key && seen(one) && saw(other).is_some()),
        "monotonic-writes" => pair(&|one, other| {
            one.key == other.key && writes(one, doubtful) && writes(other, doubtful) && ordered(one.key)
        }),
        "writes-follow-reads" => {
            let swaps = |call: &Call| seen(call) && writes(call, doubtful) && ordered(call.key);
            let follows = |one: &Call, other: &Call| {
                one.key == other.key && seen(one) && writes(other, doubtful) && ordered(one.key)
            };
            pair(&follows) || calls.iter().any(swaps)
        }
        _ => {
            let read = |call: &Call| matches!(call.act, SmallCall::Read(_)) && saw(call).is_some() && written(call.key);
            calls.iter().any(|call| seen(call) || read(call))
        }
    }
}
