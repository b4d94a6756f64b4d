//! Small random histories for the differential tests of checkers that give numbers, and the loop that compares. No checker
//! uses it.
use super::scripted::{ScriptedHistory, Step, text};
use crate::history::{History, Outcome};
use crate::random::{Rng, Stats};
use crate::value::Value;
use crate::verdict::{Severity, Validity, Verdict};
use std::collections::BTreeSet;

/// A history in the making: workers that call and are answered.
pub(crate) struct RandomHistory {
    scene: ScriptedHistory,
    workers: Vec<Worker>,
    processes: u64,
}

struct Worker {
    process: u64,
    key: Value,
    open: Option<(&'static str, Value)>,
}

impl RandomHistory {
    /// A history of this many workers.
    pub(crate) fn new(workers: u64) -> RandomHistory {
        let worker = |process| Worker { process, key: Value::Nil, open: None };
        RandomHistory { scene: ScriptedHistory::new(), processes: workers, workers: (0..workers).map(worker).collect() }
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> u64 {
        self.workers.len() as u64
    }

    /// The open call of a worker: its function and input.
    pub(crate) fn open(&self, worker: u64) -> Option<(&'static str, Value)> {
        self.workers[worker as usize].open.clone()
    }

    /// The key of a worker's last call, as text.
    pub(crate) fn key(&self, worker: u64) -> String {
        match &self.workers[worker as usize].key {
            Value::Text(text) => text.to_string(),
            other => other.to_string(),
        }
    }

    /// A free worker calls.
    pub(crate) fn call(&mut self, worker: u64, f: &'static str, key: Value, input: Value, settle: bool) {
        let slot = &mut self.workers[worker as usize];
        slot.open = Some((f, input.clone()));
        slot.key = key.clone();
        self.scene.call(slot.process, &Step { node: 1 + worker % 2, f, key, input, settle });
    }

    /// Its call ends.
    pub(crate) fn reply(&mut self, worker: u64, outcome: Outcome, value: Value) {
        let slot = &mut self.workers[worker as usize];
        slot.open = None;
        self.scene.reply(slot.process, outcome, value);
        if outcome == Outcome::Info {
            slot.process = self.processes;
            self.processes += 1;
        }
    }

    /// Its call fails, or is left in doubt, for this reason.
    pub(crate) fn fail(&mut self, worker: u64, outcome: Outcome, error: &str) {
        self.scene.error(error);
        self.reply(worker, outcome, Value::Nil);
    }

    /// The run notes something.
    pub(crate) fn note(&mut self, text: &str) {
        self.scene.note(text);
    }

    /// The history.
    pub(crate) fn finish(self) -> History {
        self.scene.finish()
    }
}

/// What is compared: the answer, the kinds of violations, and some facts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) validity: Validity,
    pub(crate) kinds: BTreeSet<String>,
    pub(crate) facts: Vec<(&'static str, u64)>,
}

impl Answer {
    /// The answer of definitions: violations make it invalid, doubts unknown.
    pub(crate) fn of(kinds: BTreeSet<String>, doubt: bool, facts: Vec<(&'static str, u64)>) -> Answer {
        let validity = match (kinds.is_empty(), doubt) {
            (false, _) => Validity::Invalid,
            (true, true) => Validity::Unknown,
            (true, false) => Validity::Valid,
        };
        Answer { validity, kinds, facts }
    }

    /// What a verdict says of the same, with these of its numbers.
    pub(crate) fn read(verdict: &Verdict, facts: &[&'static str]) -> Answer {
        let violations = verdict.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        let number = |name: &str| verdict.numbers.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        Answer {
            validity: verdict.validity,
            kinds: violations.map(|finding| finding.kind.clone()).collect(),
            facts: facts.iter().map(|&name| (name, number(name))).collect(),
        }
    }
}

/// Judges `count` random histories twice. The error is the first difference with its history.
pub(crate) fn differ(
    seed: u64,
    count: u64,
    make: impl Fn(&mut Rng) -> RandomHistory,
    fast: impl Fn(&History) -> Answer,
    slow: impl Fn(&History) -> Answer,
) -> Result<Stats, String> {
    let mut stats = Stats::default();
    for at in 0..count {
        // Neighbouring seeds share no history.
        let number = seed.wrapping_mul(1_000_003).wrapping_add(at);
        let history = make(&mut Rng::new(number)).finish();
        let (fast, slow) = (fast(&history), slow(&history));
        if fast != slow {
            return Err(format!("seed {number}: {fast:?}, by brute force {slow:?}:\n{}", text(&history)));
        }
        stats.histories += 1;
        stats.invalid += u64::from(slow.validity == Validity::Invalid);
    }
    Ok(stats)
}

/// The same, half of them without an option and half with it.
pub(crate) fn differ_both(
    seed: u64,
    count: u64,
    make: impl Fn(&mut Rng) -> RandomHistory,
    fast: impl Fn(bool, &History) -> Answer,
    slow: impl Fn(bool, &History) -> Answer,
) -> Result<Stats, String> {
    let half = count / 2;
    let run = |seed, count, option| {
        differ(seed, count, &make, |history| fast(option, history), |history| slow(option, history))
    };
    let one = run(seed, count - half, false)?;
    let two = run(seed.wrapping_add(1 << 40), half, true)?;
    Ok(Stats { histories: one.histories + two.histories, invalid: one.invalid + two.invalid })
}

/// The shared test of a `differ`: no difference, and both answers occur often.
#[cfg(test)]
pub(crate) fn agrees(differ: fn(u64, u64) -> Result<Stats, String>) {
    let stats = differ(1, crate::testing::count(2_000)).unwrap_or_else(|difference| panic!("{difference}"));
    let share = stats.invalid * 100 / stats.histories;
    assert!((5..=95).contains(&share), "{share} % are invalid: {stats:?}");
}
