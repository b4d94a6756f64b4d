//! `lease` against its definition.
use super::Lease;
use crate::contract::scene::{Step, compare, weave};
use crate::fuzz::{Draw, Stats};
use crate::history::{History, Op, Outcome};
use crate::value::Value;
use crate::verdict::{Budget, Checker};
use std::collections::BTreeSet;

const TTL_MS: u64 = 12;
const CLOCK_ERROR_MS: u64 = 2;

/// Judges so many random histories twice. The error describes the first difference.
pub fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let lease = Lease::new(Some(TTL_MS)).clock_error_ms(CLOCK_ERROR_MS);
    compare(
        seed,
        count,
        make,
        |history| crate::fuzz::shown(history, lease.check(history, &Budget::unlimited())),
        define,
    )
}

/// A lease whose server mostly waits for as many events as a grant may last.
fn make(draw: &mut Draw) -> History {
    let patience = draw.below(8);
    let scripts = (0..2 + draw.below(2)).map(|_| {
        let step = |draw: &mut Draw| {
            let ttl = crate::contract::object(&[("ttl_ms", Value::Int(3 + draw.below(20) as i64))]);
            let input = if draw.percent(20) { ttl } else { Value::Nil };
            let functions: [&'static str; 5] = ["acquire", "acquire", "renew", "release", "read"];
            Step::new(functions[draw.below(5) as usize], Value::Nil, input)
        };
        (0..1 + draw.below(5)).map(|_| step(draw)).collect()
    });
    let scripts: Vec<Vec<Step>> = scripts.collect();
    let (mut holder, mut left) = (None, 0);
    weave(draw, scripts, 8, &mut |_, process, step| {
        left = u64::saturating_sub(left, 1);
        match step.f {
            "acquire" if holder.is_none() || left == 0 || holder == Some(process) => {
                (holder, left) = (Some(process), patience);
                Some(Value::Nil)
            }
            "renew" if holder == Some(process) => {
                left = patience;
                Some(Value::Nil)
            }
            "release" if holder == Some(process) => {
                holder = None;
                Some(Value::Nil)
            }
            "read" => Some(Value::Nil),
            _ => None,
        }
    })
}

/// Directly from the definition: every pair of grants, at the beginning of the second.
fn define(history: &History) -> BTreeSet<&'static str> {
    let ops: Vec<Op<'_>> = history.ops().iter().collect();
    let grant = |op: &&Op<'_>| matches!(history.name(op.function), "acquire" | "renew") && op.outcome == Outcome::Ok;
    let holds_at = |grant: &Op<'_>, index: u64, time: u64| {
        let Value::Map(entries) = grant.input.to_value() else {
            return within(history, grant, index, time, TTL_MS);
        };
        within(history, grant, index, time, entries[0].1.as_int().unwrap_or(0) as u64)
    };
    for one in ops.iter().filter(grant) {
        for two in ops.iter().filter(grant).filter(|two| two.process != one.process) {
            let (index, time) = (two.reply, two.reply_time);
            if holds_at(one, index, time) && holds_at(two, index, time) {
                return BTreeSet::from(["overlapping-leases"]);
            }
        }
    }
    BTreeSet::new()
}

fn within(history: &History, grant: &Op<'_>, index: u64, time: u64, ttl_ms: u64) -> bool {
    let over = |op: &Op<'_>| {
        let mine = op.process == grant.process && op.call > grant.call && op.call < index;
        mine && (history.name(op.function) == "release" || op.outcome == Outcome::Info)
    };
    let lasts = ttl_ms.saturating_sub(CLOCK_ERROR_MS) * 1_000_000;
    grant.reply <= index && time < grant.call_time + lasts && !history.ops().iter().any(|op| over(&op))
}

#[cfg(test)]
mod tests {
    #[test]
    fn random_leases() {
        let stats = super::differ(1, crate::contract::scene::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 20 > stats.histories && stats.invalid * 2 < stats.histories, "{stats:?}");
    }
}
