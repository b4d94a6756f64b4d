//! Who holds what: locks, semaphores, leases, fencing tokens.
use super::{Case, Rule, rule};
use crate::certificate::Op;
use serde_json::Value;

pub(super) const RULES: &[Rule] = &[
    rule("double-hold", "Two processes held the lock at one moment.", double_hold),
    rule("too-many-holders", "More permits were held at one moment than there are.", too_many),
    rule(
        "release-by-non-holder",
        "A process released what it did not hold, and was told that it had.",
        foreign_release,
    ),
    rule(
        "overlapping-leases",
        "Two processes held the lease at one moment, for any clock within the bound.",
        overlapping,
    ),
    rule("token-not-increasing", "A later grant has no larger token.", not_increasing),
    rule("token-granted-twice", "Two grants have the same token.", granted_twice),
    rule("stale-token-accepted", "A write with an older token was accepted after one with a newer.", stale_accepted),
    rule("stale-token-in-log", "The log has an older token after a newer.", stale_in_log),
];

/// Whether the call was answered with false: it had no effect.
fn refused(op: &Op) -> bool {
    op.ok() && op.output == Value::Bool(false)
}

/// The index at which the process may have given up what it acquired by this operation: its next release, or what retired
/// it, or the moment at which clients may be closed.
fn until(case: &Case<'_>, acquire: &Op) -> u64 {
    let all = case.all(acquire);
    let mine = |op: &&&Op| op.process == acquire.process && op.call > acquire.call;
    let ends = |op: &&&Op| op.f == "release" && !refused(op) || !op.ok();
    let released = all.iter().filter(mine).filter(ends).map(|op| op.call).min().unwrap_or(u64::MAX);
    let shown =
        case.ops.iter().filter(|op| op.process == acquire.process && op.call > acquire.call && op.f != "acquire");
    let shown = shown.map(|op| op.call).min().unwrap_or(u64::MAX);
    let Some(history) = case.history else { return released.min(shown) };
    let retired = history.ops.values().filter(|op| op.process == acquire.process && op.outcome == crate::Outcome::Info);
    let retired = retired.map(|op| op.call).min().unwrap_or(u64::MAX);
    let closed = history.closings.iter().copied().find(|&index| index > acquire.end()).unwrap_or(u64::MAX);
    released.min(shown).min(retired).min(closed)
}

fn permits(op: &Op) -> u64 {
    op.input.as_u64().unwrap_or(1)
}

/// Those acquired that are all held when the last of them was answered.
fn held_together<'a>(case: &'a Case<'_>) -> Option<Vec<&'a Op>> {
    let acquires: Vec<&Op> = case.with(&["acquire"]).into_iter().filter(|op| op.ok() && !refused(op)).collect();
    let moment = acquires.iter().map(|op| op.end()).max()?;
    let held = acquires.iter().all(|op| until(case, op) > moment);
    // Whoever else is named ended one of the holds: a call of one of the holders.
    let others = case.ops.iter().filter(|op| op.f != "acquire" || !op.ok());
    let named = others.clone().all(|op| acquires.iter().any(|acquire| acquire.process == op.process));
    // And whatever ended one is shown; of several permits some may come back earlier than others.
    let exclusive = case.rule == "double-hold";
    let shown = |call: u64| case.ops.iter().any(|op| op.call == call);
    let ended = acquires.iter().map(|op| until(case, op));
    let known = ended.filter(|end| case.history.is_some_and(|history| history.ops.contains_key(end))).all(shown);
    ((known || !exclusive) && named && held).then_some(acquires)
}

fn double_hold(case: &Case<'_>) -> Option<bool> {
    let Some(held) = held_together(case) else { return Some(false) };
    let one = case.subject.get("permits").and_then(Value::as_u64) == Some(1) && case.subject.as_object()?.len() == 1;
    Some(one && held.len() == 2 && held[0].process != held[1].process)
}

fn too_many(case: &Case<'_>) -> Option<bool> {
    let limit = case.subject.get("permits").and_then(Value::as_u64)?;
    let held = held_together(case).map_or(0, |held| held.iter().map(|op| permits(op)).sum::<u64>());
    Some(held > limit || left_together(case)? > limit)
}

/// Permits that are certainly out when the last acquisition shown was answered, where some of each came back before: of
/// each process what it acquired, less all that it may have released since.
fn left_together(case: &Case<'_>) -> Option<u64> {
    let acquires: Vec<&Op> = case.with(&["acquire"]).into_iter().filter(|op| op.ok() && !refused(op)).collect();
    let moment = acquires.iter().map(|op| op.end()).max()?;
    let holder = |op: &Op| acquires.iter().any(|acquire| acquire.process == op.process);
    // Beside acquisitions and releases only the call is shown that retired a holder.
    let about = |op: &Op| op.f == "acquire" && op.ok() || holder(op) && (op.f == "release" || !op.ok());
    if !case.one_object() || !case.ops.iter().all(about) {
        return None;
    }
    let mut processes: Vec<u64> = acquires.iter().map(|op| op.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let mut left = 0;
    for process in processes {
        let own: Vec<&&Op> = acquires.iter().filter(|op| op.process == process).collect();
        let first = own.iter().map(|op| op.call).min()?;
        let all = case.all(own[0]);
        let released = all.iter().filter(|op| op.process == process && op.f == "release" && !refused(op));
        let released: u64 = released.filter(|op| op.call > first && op.call < moment).map(|op| permits(op)).sum();
        // Who was retired, or closed, may hold nothing any more.
        let gone = case.history.is_some_and(|history| {
            let retired = |op: &Op| op.process == process && op.outcome == crate::Outcome::Info && op.call < moment;
            history.ops.values().any(retired) || history.closings.iter().any(|&index| index > first && index < moment)
        });
        let acquired: u64 = own.iter().map(|op| permits(op)).sum();
        left += if gone { 0 } else { acquired.saturating_sub(released) };
    }
    Some(left)
}

fn foreign_release(case: &Case<'_>) -> Option<bool> {
    let last = case.ops.iter().max_by_key(|op| op.call)?;
    let mine = |op: &&Op| op.process == last.process && op.call < last.call && !refused(op);
    let own: Vec<&Op> = case.all(last).into_iter().filter(mine).collect();
    let count = |f: &str| own.iter().filter(|op| op.f == f).count();
    let known = own.iter().all(|op| op.ok());
    let shown = case.ops.iter().all(|op| op.process == last.process);
    Some(
        case.one_object()
            && shown
            && known
            && last.f == "release"
            && last.ok()
            && !refused(last)
            && count("acquire") <= count("release"),
    )
}

fn overlapping(case: &Case<'_>) -> Option<bool> {
    let error = case.subject.get("clock_error_ms")?.as_u64()?;
    let grants = case.subject.get("grants")?.as_array()?;
    let mut holds = Vec::new();
    for grant in grants {
        let number = |name: &str| grant.get(name).and_then(Value::as_u64);
        let (call, called, answered, ttl) =
            (number("call")?, number("call_time_ns")?, number("reply_time_ns")?, number("ttl_ms")?);
        let op = case.ops.iter().find(|op| op.call == call)?;
        if !op.ok() || refused(op) || !matches!(op.f.as_str(), "acquire" | "renew") {
            return None;
        }
        // The times are not the operation's, but the recording has them.
        let recorded = case.history.is_none_or(|history| history.times.get(&call) == Some(&(called, answered)));
        let given = [&op.output, &op.input].into_iter().find_map(|value| value.get("ttl_ms")?.as_u64());
        if !recorded || given.is_some_and(|given| given != ttl) {
            return Some(false);
        }
        holds.push((op, answered, called + ttl.saturating_sub(error) * 1_000_000));
    }
    holds.sort_by_key(|(op, ..)| op.end());
    let [(one, _, expires), (two, answered, second_expires)] = holds[..] else { return None };
    let still = until(case, one) > two.end() && expires > answered && second_expires > answered;
    Some(case.one_object() && one.process != two.process && still)
}

/// The token of a grant's reply, of a write's argument or of an entry of a log.
fn token(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.get("token").or_else(|| value.get(0))?.as_i64())
}

/// Two grants in the order of their calls; of one process, with something between them that ended the first.
fn grants<'a>(case: &'a Case<'_>) -> Option<(&'a Op, &'a Op)> {
    let granted = |op: &&Op| op.f == "acquire" && op.ok();
    let (first, last) = (case.ops.iter().find(granted)?, case.ops.iter().rfind(granted)?);
    let between = |op: &Op| op.process == last.process && op.call > first.call && op.call < last.call;
    let fresh = first.process != last.process || case.ops.iter().any(between);
    let named = case.ops.iter().all(|op| op.call == first.call || op.call == last.call || between(op));
    (case.one_object() && first.call != last.call && fresh && named).then_some((first, last))
}

fn not_increasing(case: &Case<'_>) -> Option<bool> {
    let (first, last) = grants(case)?;
    let (before, after) = (token(&first.output)?, token(&last.output)?);
    Some(first.end() < last.call && after <= before && case.subject.as_i64() == Some(after))
}

fn granted_twice(case: &Case<'_>) -> Option<bool> {
    let (first, last) = grants(case)?;
    Some(token(&first.output)? == token(&last.output)? && case.subject.as_i64() == token(&last.output))
}

fn stale_accepted(case: &Case<'_>) -> Option<bool> {
    let [first, last] = case.ops else { return None };
    let (before, after) = (token(&first.input)?, token(&last.input)?);
    let writes = [first, last].iter().all(|op| op.f == "write" && op.ok());
    let order = first.end() < last.call && after < before && case.subject.as_i64() == Some(after);
    Some(case.one_object() && writes && order)
}

fn stale_in_log(case: &Case<'_>) -> Option<bool> {
    let [log] = case.ops else { return None };
    let tokens: Vec<i64> = log.reply()?.as_array()?.iter().map(token).collect::<Option<_>>()?;
    let wanted = case.subject.as_i64()?;
    let stale = |(at, token): (usize, &i64)| *token == wanted && tokens[..at].iter().any(|before| *before > wanted);
    Some(log.f == "log" && tokens.iter().enumerate().any(stale))
}
