//! Small random histories for the differential tests of this crate's contracts: clients with scripts against a system
//! that is given as a closure. No checker uses it.
use crate::functions::function_of;
use crate::history::{Completion, History, HistoryBuilder, Invoke, Op, Outcome, Phase, Record};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Severity, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

/// A call that a client makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub(crate) node: u64,
    pub(crate) f: &'static str,
    pub(crate) key: Value,
    pub(crate) input: Value,
    pub(crate) settle: bool,
}

impl Step {
    pub(crate) fn new(f: &'static str, key: Value, input: Value) -> Step {
        Step { f, key, input, ..Step::default() }
    }
}

/// Writes records, one after the other.
#[derive(Debug, Default)]
pub(crate) struct ScriptedHistory {
    builder: HistoryBuilder,
    index: u64,
    time: u64,
    error: Option<Arc<str>>,
}

impl ScriptedHistory {
    /// Nodes `n0` to `n2`.
    pub(crate) fn new() -> ScriptedHistory {
        ScriptedHistory::on(&["n0", "n1", "n2"])
    }

    /// These nodes.
    pub(crate) fn on(nodes: &[&str]) -> ScriptedHistory {
        let mut scene = ScriptedHistory::default();
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        scene.push(|index, time| Record::Start { index, time, version: 1, nodes, wall: String::new() });
        scene
    }

    /// Takes the next index. The recording is sound by construction; one that is not is a bug of the test.
    pub(crate) fn push(&mut self, record: impl FnOnce(u64, u64) -> Record) -> u64 {
        let index = self.index;
        let taken = self.builder.push(record(index, self.time));
        assert!(taken.is_ok(), "an unsound recording: {taken:?}");
        self.index += 1;
        self.time += 1_000_000;
        index
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.time += milliseconds * 1_000_000;
    }

    pub(crate) fn call(&mut self, process: u64, step: &Step) -> u64 {
        self.push(|index, time| {
            Record::Invoke(Invoke {
                index,
                time,
                worker: process as u32,
                process,
                node: if step.node == NOWHERE { "?".into() } else { format!("n{}", step.node).into() },
                workload: "w".into(),
                f: step.f.into(),
                key: step.key.clone(),
                value: step.input.clone(),
                settle: step.settle,
            })
        })
    }

    pub(crate) fn reply(&mut self, process: u64, outcome: Outcome, value: Value) -> u64 {
        let error = self.error.take();
        self.push(|index, time| {
            let completion = Completion { index, time, process, value, error, node: None };
            match outcome {
                Outcome::Ok => Record::Ok(completion),
                Outcome::Fail => Record::Fail(completion),
                Outcome::Info => Record::Info(completion),
            }
        })
    }

    /// The error of the next reply.
    pub(crate) fn error(&mut self, error: &str) {
        self.error = Some(error.into());
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.push(|index, time| Record::Note { index, time, node: String::new(), text: text.to_owned() });
    }

    pub(crate) fn phase(&mut self, phase: Phase) {
        self.push(|index, time| Record::Phase { index, time, phase });
    }

    pub(crate) fn finish(self) -> History {
        self.builder.finish().unwrap_or_default()
    }
}

/// What became of a call in the system.
enum State {
    Idle,
    Called,
    Done(Option<Value>),
}

/// Runs the scripts, one client each, at once and in random order. `effect` is asked once for each call that takes
/// effect, at an instant between call and reply (after an Info also later, or never): the reply, or None for a refusal
/// without effect. `info_percent` of the calls end as Info and their client's script goes on under a new process.
pub(crate) fn interleave(
    rng: &mut Rng,
    scripts: Vec<Vec<Step>>,
    info_percent: u64,
    effect: &mut dyn FnMut(&mut Rng, u64, &Step) -> Option<Value>,
) -> History {
    let mut scene = ScriptedHistory::new();
    interleave_into(&mut scene, rng, scripts, info_percent, effect);
    scene.finish()
}

/// The same, into a scene that has begun.
pub(crate) fn interleave_into(
    scene: &mut ScriptedHistory,
    rng: &mut Rng,
    scripts: Vec<Vec<Step>>,
    info_percent: u64,
    effect: &mut dyn FnMut(&mut Rng, u64, &Step) -> Option<Value>,
) {
    let base = scene.index * 10;
    let mut clients: Vec<(u64, State, std::vec::IntoIter<Step>, Option<Step>)> = scripts
        .into_iter()
        .enumerate()
        .map(|(at, script)| (base + at as u64, State::Idle, script.into_iter(), None))
        .collect();
    let mut next_process = base + clients.len() as u64;
    let mut late: Vec<(u64, Step)> = Vec::new();
    while !clients.is_empty() {
        if !late.is_empty() && rng.percent(15) {
            let (process, step) = late.swap_remove(rng.below(late.len() as u64) as usize);
            effect(rng, process, &step);
        }
        if rng.percent(20) {
            scene.wait(rng.below(4));
        }
        let at = rng.below(clients.len() as u64) as usize;
        let (process, state, script, current) = &mut clients[at];
        match std::mem::replace(state, State::Idle) {
            State::Idle => match script.next() {
                Some(step) => {
                    scene.call(*process, &step);
                    *current = Some(step);
                    *state = State::Called;
                }
                None => drop(clients.swap_remove(at)),
            },
            State::Called => {
                let Some(step) = current.clone() else { continue };
                if rng.percent(info_percent) {
                    match rng.below(3) {
                        0 => drop(effect(rng, *process, &step)),
                        1 => late.push((*process, step)),
                        _ => {}
                    }
                    // Some stay open: the record ends before anything came back.
                    if rng.percent(70) {
                        scene.reply(*process, Outcome::Info, Value::Nil);
                    }
                    *process = next_process;
                    next_process += 1;
                } else {
                    *state = State::Done(effect(rng, *process, &step));
                }
            }
            State::Done(reply) => {
                let outcome = if reply.is_some() { Outcome::Ok } else { Outcome::Fail };
                scene.reply(*process, outcome, reply.unwrap_or_default());
            }
        }
    }
}

/// The history that these operations alone make, with the run's notes, in the order in which they were. Times are kept.
fn alone(history: &History, calls: &[u64]) -> History {
    let ops: Vec<Op<'_>> = calls.iter().filter_map(|call| history.op(*call)).collect();
    let mut moments: Vec<(u64, usize, bool)> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        moments.push((op.call, at, true));
        if op.reply != Op::OPEN {
            moments.push((op.reply, at, false));
        }
    }
    moments.sort_unstable();
    let mut scene = ScriptedHistory::new();
    let mut notes = history.notes.iter().peekable();
    for (_, at, is_call) in moments {
        let op = &ops[at];
        let time = if is_call { op.call_time } else { op.reply_time };
        while let Some((at, _, text)) = notes.next_if(|(noted, ..)| *noted <= time) {
            scene.time = *at;
            scene.note(text);
        }
        let node = match history.name(op.node) {
            "?" => NOWHERE,
            name => name.trim_start_matches('n').parse().unwrap_or(0),
        };
        if is_call {
            scene.time = op.call_time;
            let f = function_of(history, op).name;
            let (key, input) = (op.key.to_value(), op.input.to_value());
            scene.call(op.process, &Step { node, f, key, input, settle: op.settle });
        } else {
            scene.time = op.reply_time;
            scene.reply(op.process, op.outcome, op.completion_value.to_value());
        }
    }
    scene.finish()
}

/// The node of a step of which no node is known.
pub(crate) const NOWHERE: u64 = u64::MAX;

/// Kinds of the violations in a verdict.
fn violated(verdict: &Verdict) -> BTreeSet<&str> {
    let findings = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
    findings.map(|finding| finding.kind.as_str()).collect()
}

/// Judges many histories twice: the checker must find exactly the kinds of violations that the definition gives, and the
/// operations of each finding alone must show that violation by the definition.
pub(crate) fn compare(
    seed: u64,
    count: u64,
    mut make: impl FnMut(&mut Rng) -> History,
    check: impl Fn(&History) -> Verdict,
    define: impl Fn(&History) -> BTreeSet<&'static str>,
) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for number in 0..count {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let history = make(&mut rng);
        let (expected, verdict) = (define(&history), check(&history));
        stats.histories += 1;
        stats.invalid += u64::from(!expected.is_empty());
        let found = violated(&verdict);
        if found != expected {
            return Err(format!(
                "history {number}: found {found:?}, expected {expected:?}\n{}\n{}",
                verdict.summary,
                text(&history)
            ));
        }
        for finding in verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation) {
            let small = alone(&history, &finding.ops);
            if !define(&small).contains(finding.kind.as_str()) {
                return Err(format!(
                    "history {number}: the operations {:?} alone do not show {} ({})\n{}",
                    finding.ops,
                    finding.kind,
                    finding.title,
                    text(&history)
                ));
            }
        }
    }
    Ok(stats)
}

/// A history, a line for each operation.
pub(super) fn text(history: &History) -> String {
    let mut out = String::new();
    for (phase, mark) in &history.phases {
        let _ = writeln!(out, "{:?} from {}", phase, mark.index);
    }
    for op in history.ops().iter() {
        let reply = if op.reply == Op::OPEN { "open".to_owned() } else { op.reply.to_string() };
        let _ = writeln!(
            out,
            "[{}, {reply}] p{} {} {} key {} {} -> {:?} {}{} at {}..{}",
            op.call,
            op.process,
            history.name(op.node),
            history.name(op.function),
            op.key,
            op.input,
            op.outcome,
            op.completion_value,
            if op.settle { " settle" } else { "" },
            op.call_time,
            op.reply_time,
        );
    }
    out
}

/// Histories that a unit test tries: about a second unoptimised.
#[cfg(test)]
pub(crate) fn count() -> u64 {
    crate::testing::count(1500)
}
