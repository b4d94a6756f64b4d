//! `crashes` against its rule, applied to each record by itself. What lines about corrupt data may tell of is played through
//! in time.
use crate::history::{FaultEvent, FaultStep, History, ProcessEvent, ProcessStep, Record};
use crate::options::Options;
use crate::oracles::cases::{CheckerCases, Long, registers};
use crate::random::scripted::ScriptedHistory;
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Budget, Severity, Validity};
use std::collections::{BTreeMap, BTreeSet};

/// What the tests of all checkers ask of `crashes`.
pub(crate) const DOC: CheckerCases = CheckerCases {
    needs_realtime: false,
    too_little: Ok(&[(&[], "1 write 0 1 -> ok\n 2 read 0 null -> ok 1")]),
    right_and_wrong: Err("it judges the run as a whole"),
    long: Ok(Long {
        events: [
            r#"{"type":"process","node":"n0","step":"watched"}
               {"type":"process","node":"n1","step":"watched"}
               {"type":"process","node":"n2","step":"watched"}"#,
            "",
        ],
        ..Long::of(registers)
    }),
    comparisons: Ok(&[("crashes", differ)]),
};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const KINDS: [&str; 4] = ["kill", "clock", "partition", "pause"];
const WORDS: [&str; 3] = ["violation", "evidence", "off"];
const SECOND: u64 = 1_000_000_000;
/// The last record.
const END: u64 = 120 * SECOND;

/// A fault as the test made it.
#[derive(Debug)]
struct Planned {
    kind: &'static str,
    nodes: Vec<&'static str>,
    begun: Option<u64>,
    healed: Option<u64>,
}

impl Planned {
    fn overlaps(&self, from: u64, to: u64) -> bool {
        self.begun.is_some_and(|begun| begun <= to && from <= self.healed.unwrap_or(u64::MAX))
    }
}

/// What was drawn.
struct Case {
    history: History,
    faults: Vec<Planned>,
    records: Vec<ProcessEvent>,
    options: Vec<(&'static str, &'static str)>,
    ok: Vec<i64>,
}

/// Compares the checker with its definition on `count` random histories. The error describes the first difference.
pub(crate) fn differ(seed: u64, count: u64) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for number in 0..count {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let case = make(&mut rng);
        stats.histories += 1;
        stats.invalid += u64::from(compare(&case).map_err(|difference| {
            let Case { faults, records, options, ok, .. } = &case;
            format!("history {number}: {difference}\noptions {options:?}, ok {ok:?}\n{faults:#?}\n{records:#?}")
        })?);
    }
    Ok(stats)
}

fn make(rng: &mut Rng) -> Case {
    let faults: Vec<Planned> = (0..rng.below(3))
        .map(|_| {
            let begun = rng.percent(85).then(|| (1 + rng.below(30)) * SECOND);
            Planned {
                kind: KINDS[rng.below(4) as usize],
                nodes: NODES.into_iter().filter(|_| rng.percent(40)).collect(),
                begun,
                healed: begun.filter(|_| rng.percent(80)).map(|begun| begun + (1 + rng.below(6)) * SECOND),
            }
        })
        .collect();
    let mut records: Vec<ProcessEvent> = Vec::new();
    for node in NODES {
        if rng.percent(90) {
            records.push(event(node, "", ProcessStep::Watched));
        }
    }
    for _ in 0..rng.below(5) {
        records.push(random(rng));
    }
    let mut options: Vec<(&str, &str)> = Vec::new();
    for name in ["crashed", "exits_in_faults", "log_alarm", "out_of_memory", "did_not_come_back", "core_file"] {
        if rng.percent(15) {
            options.push((name, *rng.pick(&WORDS)));
        }
    }
    let ok = if rng.percent(25) { vec![3] } else { Vec::new() };
    Case { history: history(&faults, &records), faults, records, options, ok }
}

fn event(node: &str, process: &str, step: ProcessStep) -> ProcessEvent {
    let (how, detail) = (String::new(), Vec::new());
    ProcessEvent {
        index: 0,
        time: 0,
        node: node.into(),
        process: process.into(),
        step,
        between: None,
        how,
        again: false,
        ran_ms: None,
        times: 1,
        detail,
    }
}

fn random(rng: &mut Rng) -> ProcessEvent {
    let step = *rng.pick(&[
        ProcessStep::Ended,
        ProcessStep::Ended,
        ProcessStep::Ended,
        ProcessStep::LogCorruption,
        ProcessStep::LogCorruption,
        ProcessStep::LogAlarm,
        ProcessStep::OutOfMemory,
        ProcessStep::CoreFile,
        ProcessStep::DidNotComeBack,
        ProcessStep::Restarted,
        ProcessStep::LogsRead,
    ]);
    let words: &[&str] = match step {
        ProcessStep::Ended => &["exit 0", "exit 3", "exit 134", "signal 6 (SIGABRT)", "signal 9 (SIGKILL)", ""],
        ProcessStep::LogAlarm => &["panic: 1", "panic: 22", "fatal error: x"],
        ProcessStep::LogCorruption => &["Corruption: 1", "Corruption: 77"],
        ProcessStep::OutOfMemory => &["signal 9 (SIGKILL)", ""],
        ProcessStep::LogsRead => &["0 logs", "1 log", "3 logs"],
        _ => &["why"],
    };
    let from = rng.below(if step == ProcessStep::LogCorruption { 100 } else { 50 }) * SECOND;
    let (node, process): (&str, &str) = (*rng.pick(&NODES), *rng.pick(&["db", "proxy"]));
    ProcessEvent {
        how: (*rng.pick(words)).to_owned(),
        between: rng.percent(85).then(|| (from, from + rng.below(3) * SECOND)),
        again: rng.percent(40),
        ran_ms: rng.percent(80).then(|| rng.below(20_000)),
        times: rng.below(3),
        // A start is recorded when it was made, all else at the end.
        time: if step == ProcessStep::Restarted { from } else { END },
        ..event(node, process, step)
    }
}

/// All records at their times.
fn history(faults: &[Planned], records: &[ProcessEvent]) -> History {
    let mut events: Vec<(u64, Record)> = Vec::new();
    for (fault, planned) in (0..).zip(faults) {
        let mut steps = vec![(0, FaultStep::Planned)];
        steps.extend(planned.begun.map(|time| (time, FaultStep::Begun)));
        steps.extend(planned.healed.map(|time| (time, FaultStep::Healed)));
        if let (Some(_), None) = (planned.begun, planned.healed) {
            steps.push((55 * SECOND, FaultStep::Unhealed));
        }
        events.extend(steps.into_iter().map(|(time, step)| {
            let event = FaultEvent {
                index: 0,
                time,
                fault,
                kind: planned.kind.into(),
                step,
                what: String::new(),
                nodes: planned.nodes.iter().map(|node| (*node).to_owned()).collect(),
                cut: Vec::new(),
                detail: Vec::new(),
                ended: None,
                problem: None,
                name: String::new(),
                entry: None,
                damages: false,
            };
            (time, Record::Fault(event))
        }));
    }
    events.extend(records.iter().map(|record| (record.time, Record::Process(record.clone()))));
    events.sort_by_key(|(time, _)| *time);
    let mut scripted = ScriptedHistory::on(&NODES);
    for (_, mut record) in events {
        scripted.push(|index, _| {
            match &mut record {
                Record::Fault(event) => event.index = index,
                Record::Process(event) => event.index = index,
                _ => {}
            }
            record
        });
    }
    scripted.finish()
}

/// Moments, half a second apart.
fn moments(from: u64, to: u64) -> impl Iterator<Item = u64> {
    (from..=to.min(END)).step_by(SECOND as usize / 2)
}

/// Whether a node may hold a file with a torn end at a moment, where one of its processes ended abruptly at `end`: until a
/// process that was started since has had half a minute to recover. `starts`: when the harness started processes of the node.
fn torn_at(moment: u64, end: u64, starts: &[u64]) -> bool {
    let mut running_since: Option<u64> = None;
    // Something that is not the harness starts it at once, or nobody does.
    if !starts.iter().any(|start| *start >= end) {
        running_since = Some(end);
    }
    let mut torn = false;
    for now in moments(end, moment) {
        if running_since.is_none() && starts.contains(&now) {
            running_since = Some(now);
        }
        torn = running_since.is_none_or(|since| now - since <= 30 * SECOND);
    }
    torn
}

/// Whether lines about corrupt data may tell of a torn end: at each moment at which they say that they were written, or at some
/// moment at which the node's clock was not to be trusted. A line that may have been written before an end which nobody asked
/// for may tell why the process ended: it does not count as one of the recovery after it.
fn may_tell_of_torn_end(case: &Case, record: &ProcessEvent) -> bool {
    let here = |fault: &&Planned| fault.begun.is_some() && fault.nodes.contains(&&*record.node);
    let of_kind = |kind: &str| -> Vec<(u64, Option<u64>)> {
        let faults = case.faults.iter().filter(here).filter(|fault| fault.kind == kind);
        faults.filter_map(|fault| Some((fault.begun?, fault.healed))).collect()
    };
    let (kills, jumps) = (of_kind("kill"), of_kind("clock"));
    let of_node =
        |step: ProcessStep| case.records.iter().filter(move |other| other.node == record.node && other.step == step);
    let restarts: Vec<u64> = of_node(ProcessStep::Restarted).map(|restarted| restarted.time).collect();
    let Some((first, last)) = record.between else { return !kills.is_empty() || !restarts.is_empty() };
    let starts: Vec<u64> =
        restarts.into_iter().chain(kills.iter().map(|(_, healed)| healed.unwrap_or(u64::MAX))).collect();
    let misdated: Vec<u64> = jumps.iter().flat_map(|(from, to)| moments(*from, to.unwrap_or(END))).collect();
    let earliest = misdated.iter().copied().min().unwrap_or(first).min(first);
    let ended = of_node(ProcessStep::Ended).chain(of_node(ProcessStep::OutOfMemory));
    let ends: Vec<u64> = ended
        .filter_map(|ended| ended.between)
        .map(|(_, latest)| latest)
        .filter(|latest| *latest <= earliest)
        .collect();
    let torn = |moment: u64| {
        let killed = |(begun, healed): &(u64, Option<u64>)| {
            // From the begin of a kill nobody knows whether the process was ended yet or started yet, until the heal is shown.
            moment >= *begun && healed.is_none_or(|healed| moment <= healed || torn_at(moment, healed, &[healed]))
        };
        kills.iter().any(killed) || ends.iter().any(|end| torn_at(moment, *end, &starts))
    };
    moments(first, last).all(torn) || misdated.into_iter().any(torn)
}

/// The kind of a record, and what it counts as by default: the rule in the words of its documentation.
fn rule(case: &Case, record: &ProcessEvent) -> Option<(&'static str, &'static str, Severity)> {
    let (first, last) = record.between.unwrap_or((0, u64::MAX));
    let violation = Severity::Violation;
    Some(match record.step {
        ProcessStep::Watched | ProcessStep::LogsRead | ProcessStep::Restarted => return None,
        ProcessStep::CoreFile => ("core-file", "core_file", violation),
        ProcessStep::OutOfMemory => ("out-of-memory", "out_of_memory", violation),
        ProcessStep::LogAlarm => ("log-alarm", "log_alarm", violation),
        ProcessStep::DidNotComeBack => {
            let left = case.faults.iter().any(|fault| fault.begun.is_some() && fault.healed.is_none());
            ("did-not-come-back", "did_not_come_back", if left { Severity::Evidence } else { violation })
        }
        ProcessStep::LogCorruption => match may_tell_of_torn_end(case, record) {
            true => ("log-corruption", "log_alarm", Severity::Evidence),
            false => ("log-alarm", "log_alarm", violation),
        },
        ProcessStep::Ended => {
            let exited = matches!(record.how.as_str(), "exit 0" | "exit 3");
            let around = case.faults.iter().any(|fault| {
                let half = fault.nodes.len() >= 2;
                let here = fault.nodes.iter().any(|node| **node == *record.node);
                fault.overlaps(first.saturating_sub(10 * SECOND), last) && (fault.kind != "kill" || half || here)
            });
            if record.how == "exit 3" && case.ok.contains(&3) {
                ("exited-as-declared", "crashed", Severity::Evidence)
            } else if exited && record.again && record.ran_ms.is_some_and(|ran| ran < 10_000) {
                ("start-failed", "crashed", Severity::Evidence)
            } else if (exited || record.how.is_empty()) && around {
                ("exited-in-fault", "exits_in_faults", Severity::Evidence)
            } else {
                ("crashed", "crashed", violation)
            }
        }
    })
}

/// The same with the options; none: it is left out.
fn expected(case: &Case, record: &ProcessEvent) -> Option<(&'static str, Severity)> {
    let (kind, option, severity) = rule(case, record)?;
    let told = |name: &str| case.options.iter().find(|(told, _)| *told == name).map(|(_, value)| *value);
    let ends = record.step == ProcessStep::Ended;
    if ends && told("crashed") == Some("off") {
        return None;
    }
    let may_be_raised = option == "exits_in_faults" || severity == Severity::Violation;
    match told(option) {
        Some("off") => None,
        Some("violation") if ends && told("crashed") == Some("evidence") => Some((kind, Severity::Evidence)),
        Some("violation") if may_be_raised => Some((kind, Severity::Violation)),
        Some("evidence") => Some((kind, Severity::Evidence)),
        _ => Some((kind, severity)),
    }
}

/// Whether the history is invalid; the error is a difference.
fn compare(case: &Case) -> Result<bool, String> {
    let mut options: BTreeMap<String, Value> =
        case.options.iter().map(|(name, value)| ((*name).to_owned(), Value::text(value))).collect();
    if !case.ok.is_empty() {
        options.insert("ok_exits".to_owned(), Value::list(case.ok.iter().map(|status| Value::Int(*status))));
    }
    let checker = super::DOC.checker(&Options(options))?;
    let verdict = crate::random::shown(&case.history, checker.check(&case.history, &Budget::unlimited()));
    let found: Vec<(&ProcessEvent, &str, Severity)> = case
        .records
        .iter()
        .filter_map(|record| expected(case, record).map(|(kind, severity)| (record, kind, severity)))
        .collect();
    let watched: BTreeSet<&str> =
        case.records.iter().filter(|record| record.step == ProcessStep::Watched).map(|record| &*record.node).collect();
    let invalid = found.iter().any(|(.., severity)| *severity == Severity::Violation);
    let validity = match (invalid, watched.len() == NODES.len()) {
        (true, _) => Validity::Invalid,
        (false, true) => Validity::Valid,
        (false, false) => Validity::Unknown,
    };
    if verdict.validity != validity {
        return Err(format!("{:?}, expected {validity:?}: {}", verdict.validity, verdict.summary));
    }
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    let mut kinds: BTreeSet<(&str, Severity, &str)> = BTreeSet::new();
    for (record, kind, severity) in &found {
        *totals.entry(kind).or_default() += record.times;
        kinds.insert((kind, *severity, &record.node));
    }
    for (kind, total) in &totals {
        let told = verdict.numbers.get(&kind.replace('-', "_")).and_then(serde_json::Value::as_u64);
        if told != Some(*total) {
            return Err(format!("{kind}: {told:?}, expected {total}"));
        }
    }
    let told: BTreeSet<(&str, Severity, &str)> = verdict
        .findings
        .iter()
        .flat_map(|finding| finding.nodes.iter().map(|node| (finding.kind.as_str(), finding.severity, node.as_str())))
        .collect();
    if told != kinds {
        return Err(format!("findings {told:?}, expected {kinds:?}"));
    }
    for finding in &verdict.findings {
        let shown = found.iter().any(|(record, kind, _)| {
            let around = |fault: &Planned| record.between.is_some_and(|(from, to)| fault.overlaps(from, to));
            let faults = (0..).zip(&case.faults).filter(|(_, fault)| around(fault)).map(|(id, _)| id);
            *kind == finding.kind && *record.node == *finding.nodes[0] && faults.collect::<Vec<u64>>() == finding.faults
        });
        if !shown {
            return Err(format!("no record has the faults {:?} of {}", finding.faults, finding.title));
        }
    }
    // The one sentence says of logs and ends no more than what the records show.
    let read = |node: &str| {
        let of_node = |record: &&ProcessEvent| record.step == ProcessStep::LogsRead && &*record.node == node;
        case.records.iter().filter(of_node).any(|record| record.how != "0 logs")
    };
    if verdict.summary.contains("no alarm is in its logs") && !NODES.into_iter().all(read) {
        return Err(format!("logs that nobody read: {}", verdict.summary));
    }
    let ended = case.records.iter().any(|record| record.step == ProcessStep::Ended);
    if ended && verdict.summary.starts_with("No process of the target ended") {
        return Err(format!("a process ended: {}", verdict.summary));
    }
    Ok(invalid)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checker_agrees_with_its_rule_on_random_records() {
        let stats = super::differ(1, crate::random::scripted::count()).unwrap_or_else(|error| panic!("{error}"));
        assert!(stats.invalid * 10 > stats.histories, "{stats:?}");
    }
}
