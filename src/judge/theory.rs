//! The figures of theory that a run's record shows: the choice under a partition (CAP), latency and consistency without one
//! (PACELC), convergence, failure detection and recovery. Pure.
//!
//! Every figure comes from the record and names its count. A question without enough data is left out: never a zero for what was
//! not seen. Times are the control node's, so a moment that a probe saw is an upper bound.
#[cfg(test)]
mod tests;

use crate::store::{RunInfo, Theory};
use dsfuzz_checkers::functions::may_change;
use dsfuzz_checkers::history::ProcessStep;
use dsfuzz_checkers::history::standstill::converged_at;
use dsfuzz_checkers::{
    CHECKERS, Fault, History, Leadership, Mark, Op, Outcome, Phase, SideCalls, Validity, Verdict, calls_by_side,
    components, evidence, wrote,
};
use serde_json::{Value, json};

/// Least calls of one class for its 99th percentile.
const CALLS_MIN: usize = 100;
/// Least time without a fault in which changes of the leader are counted.
const QUIET_MIN_NS: u64 = 5_000_000_000;

/// The questions that the record answers.
pub(super) fn measure(history: &History, promises: &[Verdict], info: &RunInfo) -> Vec<Theory> {
    if !history.realtime {
        return Vec::new();
    }
    let led = if info.facts.several_leaders { Vec::new() } else { evidence(history).leaders };
    let lost: Vec<LostLeader<'_>> = lost_leaders(history, &led);
    // The target may still recover for this time after a heal.
    let after = u64::try_from(info.facts.election().as_nanos()).unwrap_or(u64::MAX);
    let questions = [
        cap(history),
        pacelc(history, promises, after),
        convergence(history),
        detection(history, (&led, &lost), after),
        recovery(history, &lost, info),
    ];
    questions.into_iter().flatten().collect()
}

fn theory(name: &str, title: &str, lines: Vec<String>, numbers: Vec<(&str, Value)>) -> Theory {
    let numbers = numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Theory { name: name.into(), title: title.into(), lines, numbers }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A duration with three figures.
fn length(nanos: u64) -> String {
    let millis = nanos as f64 / 1e6;
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        ..100.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.2} s", millis / 1e3),
    }
}

fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::Unknown => "unknown",
        Validity::Invalid => "invalid",
    }
}

/// Milliseconds with three decimals.
fn millis(nanos: u64) -> Value {
    json!((nanos as f64 / 1e3).round() / 1e3)
}

/// The value at this fraction of sorted values, by nearest rank.
fn quantile(sorted: &[u64], fraction: f64) -> u64 {
    let rank = (sorted.len() as f64 * fraction).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

/// The load, from its begin to the begin of the next phase; of a record without phases, all of it.
fn load(history: &History) -> (u64, u64) {
    let begun = history.phases.iter().position(|(phase, _)| *phase == Phase::Load);
    let from = begun.map_or(0, |at| history.phases[at].1.time);
    let next = begun.and_then(|at| history.phases[at..].iter().find(|(phase, _)| *phase != Phase::Load));
    (from, next.map_or(history.end_time, |(_, mark)| mark.time))
}

/// Whether a process of the target may have ended by itself until then: what happens later may be its doing.
fn died_before(history: &History, time: u64) -> bool {
    let deaths = history.processes.iter();
    let mut deaths = deaths.filter(|event| matches!(event.step, ProcessStep::Ended | ProcessStep::OutOfMemory));
    deaths.any(|event| event.between.map_or(event.time, |(earliest, _)| earliest) <= time)
}

/// Which sides of a cut acknowledged a class of calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Fewer than two sides were called.
    NotAsked,
    /// No side.
    Neither,
    /// One side alone.
    OneSide,
    /// Several sides.
    Several,
}

impl Choice {
    fn of(sides: &[SideCalls], called: fn(&SideCalls) -> u64, ok: fn(&SideCalls) -> u64) -> Choice {
        let count = |calls: fn(&SideCalls) -> u64| sides.iter().filter(|side| calls(side) > 0).count();
        match (count(called), count(ok)) {
            (0 | 1, _) => Choice::NotAsked,
            (_, 0) => Choice::Neither,
            (_, 1) => Choice::OneSide,
            _ => Choice::Several,
        }
    }
}

/// Names of the figures of one side: writes acknowledged and called, reads answered and called.
type Counts = [&'static str; 4];
const MAJORITY: Counts = ["majority_writes_ok", "majority_writes_called", "majority_reads_ok", "majority_reads_called"];
const OTHER: Counts = ["other_writes_ok", "other_writes_called", "other_reads_ok", "other_reads_called"];

/// What the system chose under partitions. Only cuts without another fault count, and none after a death of the target's own.
fn cap(history: &History) -> Option<Theory> {
    let alone = |fault: &&Fault| {
        let alone = |(from, to): (Mark, Mark)| history.faults_within(from.time, to.time).len() == 1;
        fault.certain().is_some_and(|certain| alone(certain) && !died_before(history, certain.1.time))
    };
    let cuts: Vec<Vec<SideCalls>> =
        history.faults.iter().filter(alone).map(|fault| calls_by_side(history, fault)).collect();
    let writes = |sides: &[SideCalls]| Choice::of(sides, |side| side.writes_called, |side| side.writes_ok);
    let reads = |sides: &[SideCalls]| Choice::of(sides, |side| side.reads_called, |side| side.reads_ok);
    let cuts: Vec<Vec<SideCalls>> = cuts.into_iter().filter(|sides| writes(sides) != Choice::NotAsked).collect();
    if cuts.is_empty() {
        return None;
    }
    let all = cuts.len() as u64;
    let count = |of: &dyn Fn(&[SideCalls]) -> Choice, choice: Choice| {
        cuts.iter().filter(|sides| of(sides) == choice).count() as u64
    };
    let (one, several, none) =
        (count(&writes, Choice::OneSide), count(&writes, Choice::Several), count(&writes, Choice::Neither));
    let (chose, sentence) = match (several, one) {
        (0, 0) => ("neither", "The system was unavailable for writes".to_owned()),
        (0, _) => ("consistency", "The system chose consistency".to_owned()),
        (_, 0) => ("availability", "The system chose availability".to_owned()),
        _ => ("both", "The system chose by partition".to_owned()),
    };
    let parts = [(one, "one side alone"), (several, "several sides"), (none, "no side")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, who)| format!("{who} in {count}")).collect();
    let mut lines = vec![format!(
        "{sentence}: writes were acknowledged on {} of {}",
        parts.join(", on "),
        plural(all, "partition")
    )];
    let asked = cuts.iter().filter(|sides| reads(sides) != Choice::NotAsked).count() as u64;
    if asked > 0 {
        let several = count(&reads, Choice::Several);
        lines.push(format!("Reads were answered on several sides in {several} of {}", plural(asked, "partition")));
    }
    let sum = |of: fn(&SideCalls) -> u64, with_majority: bool| -> u64 {
        let sides = cuts.iter().flatten();
        sides.filter(|side| (2 * side.nodes.len() > history.nodes.len()) == with_majority).map(of).sum()
    };
    let mut numbers = vec![
        ("chose", json!(chose)),
        ("partitions", json!(all)),
        ("one_side_wrote", json!(one)),
        ("several_sides_wrote", json!(several)),
    ];
    for (majority, title, names) in
        [(true, "On the side with a majority", MAJORITY), (false, "On the other sides", OTHER)]
    {
        let (written, writes) = (sum(|side| side.writes_ok, majority), sum(|side| side.writes_called, majority));
        let (read, reads) = (sum(|side| side.reads_ok, majority), sum(|side| side.reads_called, majority));
        if writes + reads > 0 {
            lines.push(format!("{title}: {written} of {writes} writes and {read} of {reads} reads acknowledged"));
            numbers.extend(names.into_iter().zip([written, writes, read, reads].map(|count| json!(count))));
        }
    }
    Some(theory("cap", "Under a partition (CAP)", lines, numbers))
}

/// The times in which some fault may have been in force, in order and joined; each `after` longer.
fn disturbed(history: &History, after: u64) -> Vec<(u64, u64)> {
    let longer = |(from, to): (u64, u64)| (from, to.saturating_add(after));
    let mut all: Vec<(u64, u64)> = history.faults.iter().filter_map(Fault::possible).map(longer).collect();
    all.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in all {
        match joined.last_mut().filter(|last| from <= last.1) {
            Some(last) => last.1 = last.1.max(to),
            None => joined.push((from, to)),
        }
    }
    joined
}

/// Latency and consistency without a fault, from `after` each heal on.
fn pacelc(history: &History, promises: &[Verdict], after: u64) -> Option<Theory> {
    let disturbed = disturbed(history, after);
    let (from, to) = load(history);
    let quiet = |op: &Op<'_>| {
        let next = disturbed.partition_point(|(_, end)| *end < op.call_time);
        let meets = disturbed.get(next).is_some_and(|(begin, _)| *begin <= op.reply_time);
        op.call_time >= from && op.reply_time <= to && !meets
    };
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok && !op.settle && quiet(op)) {
        let of = if may_change(history, &op) { &mut writes } else { &mut reads };
        of.push(op.reply_time.saturating_sub(op.call_time));
    }
    let (mut lines, mut numbers) = (Vec::new(), Vec::new());
    let classes = [
        ("Reads", reads, ["read_p50_ms", "read_p99_ms", "reads"]),
        ("Writes", writes, ["write_p50_ms", "write_p99_ms", "writes"]),
    ];
    for (title, mut latencies, names) in classes {
        if latencies.len() < CALLS_MIN {
            continue;
        }
        latencies.sort_unstable();
        let (p50, p99) = (quantile(&latencies, 0.5), quantile(&latencies, 0.99));
        lines.push(format!("{title}: p50 {}, p99 {} ({} calls)", length(p50), length(p99), latencies.len()));
        numbers.extend(names.into_iter().zip([millis(p50), millis(p99), json!(latencies.len())]));
    }
    if lines.is_empty() {
        return None;
    }
    let of_run = |name: &str| CHECKERS.iter().any(|doc| doc.name == name && doc.judges.runs);
    let consistency: Vec<String> = promises
        .iter()
        .filter(|promise| !of_run(&promise.checker) && !promise.not_asked())
        .map(|promise| format!("{} {}", promise.checker, word(promise.validity)))
        .collect();
    if !consistency.is_empty() {
        lines.push(format!("Consistency of the whole run: {}", consistency.join(", ")));
        numbers.push(("consistency", json!(consistency)));
    }
    Some(theory("pacelc", "Without a fault (PACELC)", lines, numbers))
}

/// From the last heal, or the last write if that came later, to the probe that saw all replicas equal.
fn convergence(history: &History) -> Option<Theory> {
    let converged = converged_at(history)?;
    let healed = history.faults.iter().filter_map(Fault::possible).map(|(_, to)| to).max()?;
    let written = history.ops().iter().filter(|op| !op.settle && wrote(history, op)).map(|op| op.reply_time).max()?;
    let begin = healed.max(written);
    let took = converged.checked_sub(begin)?;
    let since = if written > healed {
        format!("the last write, which came {} after the last heal", length(written - healed))
    } else {
        "the last heal".to_owned()
    };
    let line = format!("The replicas held the same at most {} after {since} (1 measurement)", length(took));
    let numbers = vec![
        ("converged_within_ms", millis(took)),
        ("from", json!(if written > healed { "write" } else { "heal" })),
        ("measurements", json!(1)),
    ];
    Some(theory("convergence", "Convergence", vec![line], numbers))
}

/// A fault that took the leader, or cut it off from a majority.
struct LostLeader<'h> {
    fault: &'h Fault,
    begun: Mark,
    healed: u64,
    /// When the next fault began, or the record ended.
    until: u64,
    /// When a probe first saw the next leadership, before `until`.
    next: Option<u64>,
}

/// The faults that took the leader while no other fault was in force.
fn lost_leaders<'h>(history: &'h History, led: &[Leadership]) -> Vec<LostLeader<'h>> {
    let one = |fault: &'h Fault| {
        let (begun, (from, healed)) = (fault.begun?, fault.possible()?);
        fault.proven?;
        let before = led.iter().rfind(|leader| leader.time < from)?;
        let others = history.faults.iter().filter(|other| other.id != fault.id).filter_map(Fault::possible);
        let disturbed = others.clone().any(|(begin, end)| begin <= from && from <= end);
        if disturbed || died_before(history, healed) || !takes(history, fault, &before.node) {
            return None;
        }
        let until = others.map(|(begin, _)| begin).filter(|begin| *begin > from).min().unwrap_or(history.end_time);
        let next = led.iter().map(|leader| leader.time).find(|time| *time > from && *time < until);
        Some(LostLeader { fault, begun, healed, until, next })
    };
    history.faults.iter().filter_map(one).collect()
}

/// Kinds of fault that stop a node from their begin on.
const STOPS: [&str; 3] = ["kill", "pause", "power-loss"];

/// Whether a fault stops this node, or leaves it on no side with a majority.
fn takes(history: &History, fault: &Fault, node: &str) -> bool {
    if STOPS.contains(&fault.kind.as_str()) {
        return fault.nodes.iter().any(|taken| taken == node);
    }
    let sides = components(&history.nodes, &fault.cut);
    sides.iter().any(|side| side.iter().any(|one| one == node) && 2 * side.len() <= history.nodes.len())
}

/// `1.20 s`, or the median and the most of several.
fn spread(sorted: &[u64]) -> String {
    match sorted {
        [one] => length(*one),
        several => {
            let most = several.last().copied().unwrap_or(0);
            format!("{} (median; most {})", length(quantile(several, 0.5)), length(most))
        }
    }
}

/// From the begin of a fault on the leader to the next leader, and changes of the leader without a fault.
fn detection(history: &History, (led, lost): (&[Leadership], &[LostLeader<'_>]), after: u64) -> Option<Theory> {
    let (mut lines, mut numbers) = (Vec::new(), Vec::new());
    if !lost.is_empty() {
        let in_force = |one: &LostLeader<'_>| one.next.filter(|next| *next <= one.healed);
        let mut times: Vec<u64> = lost.iter().filter_map(|one| Some(in_force(one)? - one.begun.time)).collect();
        times.sort_unstable();
        let missed = lost.len() - times.len();
        let mut line = format!("{} took the leader", plural(lost.len() as u64, "fault"));
        if !times.is_empty() {
            line += &format!(": a new leader was seen in {} of them after {}", times.len(), spread(&times));
            numbers.push(("new_leader_ms_median", millis(quantile(&times, 0.5))));
            numbers.push(("new_leader_ms_max", millis(times.last().copied().unwrap_or(0))));
        }
        if missed > 0 {
            line +=
                &format!("{} {missed} healed before a new leader was seen", if times.is_empty() { ":" } else { ";" });
        }
        lines.push(line);
        numbers.push(("leader_faults", json!(lost.len())));
        numbers.push(("healed_first", json!(missed)));
    }
    let (from, to) = load(history);
    let disturbed = disturbed(history, after);
    let inside = disturbed.iter().map(|(begin, end)| (*end.min(&to)).saturating_sub(*begin.max(&from)));
    let quiet = to.saturating_sub(from).saturating_sub(inside.sum());
    // The first leader is no change.
    if !led.is_empty() && quiet >= QUIET_MIN_NS {
        let met = |time: u64| disturbed.iter().any(|(begin, end)| *begin <= time && time <= *end);
        let changes = led.iter().skip(1).filter(|one| (from..=to).contains(&one.time) && !met(one.time)).count();
        lines.push(format!(
            "{} without a fault in {} (counted from {} after each heal)",
            plural(changes as u64, "leader change"),
            length(quiet),
            length(after)
        ));
        numbers.push(("false_suspicions", json!(changes)));
        numbers.push(("quiet_ms", millis(quiet)));
    }
    (!lines.is_empty()).then(|| theory("detection", "Failure detection", lines, numbers))
}

/// From the begin of a fault on the leader to the first write that was called in it and acknowledged by any node.
fn recovery(history: &History, lost: &[LostLeader<'_>], info: &RunInfo) -> Option<Theory> {
    let first = |one: &LostLeader<'_>| {
        let proven = one.fault.proven?;
        let at = history.ops().partition_point(|op| op.call <= proven.index);
        let called = history.ops().skip(at).iter().take_while(|op| op.call_time < one.until && !op.settle);
        let acknowledged = called.filter(|op| wrote(history, op)).map(|op| op.reply_time).min()?;
        (acknowledged < one.until).then(|| (acknowledged - one.begun.time, acknowledged > one.healed))
    };
    let found: Vec<(u64, bool)> = lost.iter().filter_map(first).collect();
    if found.is_empty() {
        return None;
    }
    let mut times: Vec<u64> = found.iter().map(|(time, _)| *time).collect();
    times.sort_unstable();
    let healed = found.iter().filter(|(_, healed)| *healed).count();
    let median = quantile(&times, 0.5);
    let mut line = format!(
        "{} of {} that took the leader: the first write was acknowledged after {}",
        times.len(),
        plural(lost.len() as u64, "fault"),
        spread(&times)
    );
    let mut numbers = vec![
        ("first_write_ms_median", millis(median)),
        ("first_write_ms_max", millis(times.last().copied().unwrap_or(0))),
        ("measurements", json!(times.len())),
        ("after_heal", json!(healed)),
    ];
    // A history without a run comes with no recipe.
    let election = if info.file { 0 } else { info.facts.election_ms };
    if election > 0 {
        let times = (median as f64 / 1e4 / election as f64).round() / 100.0;
        line += &format!(", {times} times the recipe's `election` of {}", length(election * 1_000_000));
        numbers.push(("election_ms", json!(election)));
        numbers.push(("median_by_election", json!(times)));
    }
    if healed > 0 {
        line += &format!("; {healed} of them only after the heal");
    }
    Some(theory("recovery", "Recovery", vec![line], numbers))
}
