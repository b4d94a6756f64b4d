//! Runs a stored run again and again, and counts how often its finding comes back, with faults and without.
//!
//! What is counted is read from the folders of the runs, so that a replay that was interrupted goes on where it was.
mod attempt;
mod interval;
mod outcome;
mod signature;

pub use attempt::{Attempt, earlier, versions};
pub use interval::Rate;
pub use outcome::{Arm, FindingRates, Outcome};
pub use signature::Signature;

use crate::error::Failure;
use std::path::PathBuf;

/// Runs of one arm that may fail one after the other before the replay gives up.
const FAILED_MAX: u64 = 3;

/// Makes one run. Never: counts it.
pub trait Runner {
    /// Runs once, with the faults or without. An error ends the replay, as wrong arguments do.
    fn run(&mut self, control: bool) -> Result<Ran, Failure>;
}

/// The end of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ended, well or not. Its folder, if it has one, or the reason why there is none.
    Ended(Result<PathBuf, String>),
    /// The user stopped the replay: the number of the signal, and the folder of the run that it stopped.
    Stopped(i32, Option<PathBuf>),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The finding that is to come back.
    pub finding: Signature,
    /// All findings of the stored run.
    pub findings: Vec<Signature>,
    /// Counted runs with faults.
    pub runs: u64,
    /// Counted runs without.
    pub control: u64,
}

/// Runs until both arms have their runs, `done` among them. Both arms take turns, so that what changes on the machine
/// meanwhile changes both alike. `tell` hears of each run that ended.
pub fn repeat(
    wanted: &Wanted,
    done: Vec<Attempt>,
    runner: &mut dyn Runner,
    tell: &mut dyn FnMut(&Attempt, Rate),
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::of(wanted, done);
    let mut failed = [0, 0];
    loop {
        let left = [wanted.runs - outcome.with_faults.counted(), wanted.control - outcome.control.counted()];
        if left == [0, 0] || outcome.stopped.is_some() {
            return Ok(outcome);
        }
        let control = left[1] > left[0];
        let failed = &mut failed[usize::from(control)];
        let attempt = match runner.run(control)? {
            Ran::Ended(Ok(path)) => Attempt { control, ..Attempt::of(&crate::store::RunDir::at(path)) },
            Ran::Ended(Err(why)) => Attempt::without_folder(control, why),
            Ran::Stopped(signal, path) => {
                outcome.stopped = Some(signal);
                let Some(path) = path else { continue };
                Attempt { control, ..Attempt::of(&crate::store::RunDir::at(path)) }
            }
        };
        *failed = if attempt.not_counted.is_some() { *failed + 1 } else { 0 };
        let gives_up = *failed >= FAILED_MAX;
        outcome.add(wanted, attempt.clone());
        tell(&attempt, outcome.arm(control).rate(&wanted.finding));
        if gives_up && outcome.stopped.is_none() {
            outcome.gave_up = attempt.not_counted;
            return Ok(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use crate::store::{self, ReplayFaults, ReplayOf, RunDir, RunInfo, RunVerdict};
    use dsfuzz_checkers::{Finding, Severity, Validity, Verdict};
    use dsfuzz_rng::Rng;
    use std::path::Path;

    fn lost() -> Signature {
        Signature { checker: "set".into(), kind: "lost-element".into() }
    }

    fn wanted(runs: u64, control: u64) -> Wanted {
        Wanted { finding: lost(), findings: vec![lost()], runs, control }
    }

    fn replay_of(faults: ReplayFaults) -> ReplayOf {
        ReplayOf { run: "p/first".into(), started: "s".into(), faults, key: "k".into() }
    }

    /// Makes folders of runs as a target would that loses elements at this rate under faults, and never without. Some of its runs
    /// fail; one is stopped.
    struct FakeTarget<'a> {
        root: &'a Path,
        rate: f64,
        rng: Rng,
        /// Runs until the user stops it.
        stops_after: u64,
        made: u64,
        /// Every run of this number fails.
        fails_every: u64,
    }

    impl FakeTarget<'_> {
        fn folder(&self, control: bool, info: RunInfo, loses: bool) -> PathBuf {
            let dir = store::create(self.root, "p", chrono::Utc::now()).expect("a folder");
            let replay = replay_of(if control { ReplayFaults::None } else { ReplayFaults::Drawn });
            RunInfo { replay: Some(replay), plan: "p".into(), ..info }.save(&dir).expect("run.json");
            let mut promise = Verdict::unknown("set", String::new());
            promise.validity = if loses { Validity::Invalid } else { Validity::Valid };
            promise.findings = if loses { vec![finding()] } else { Vec::new() };
            let verdict =
                RunVerdict { promises: vec![promise], validity: Validity::Valid, ..RunVerdict::failed("", 0) };
            let validity = if loses { Validity::Invalid } else { verdict.validity };
            let verdict = RunVerdict { harness: Vec::new(), validity, exit: i32::from(loses), ..verdict };
            std::fs::write(dir.verdict(), serde_json::to_vec(&verdict).expect("JSON")).expect("written");
            dir.path().to_owned()
        }
    }

    fn finding() -> Finding {
        let json = serde_json::json!({"kind": "lost-element", "severity": Severity::Violation, "title": "t",
            "sentences": [], "ops": []});
        serde_json::from_value(json).expect("a finding")
    }

    impl Runner for FakeTarget<'_> {
        fn run(&mut self, control: bool) -> Result<Ran, Failure> {
            self.made += 1;
            let loses = !control && self.rng.fraction() < self.rate;
            if self.made > self.stops_after {
                let info = RunInfo { stopped_by: Some("SIGINT".into()), exit: Some(130), ..RunInfo::default() };
                return Ok(Ran::Stopped(2, Some(self.folder(control, info, true))));
            }
            let failed = self.made.is_multiple_of(self.fails_every);
            let harness_failures = if failed { vec!["no node".to_owned()] } else { Vec::new() };
            let info = RunInfo { exit: Some(i32::from(loses)), harness_failures, ..RunInfo::default() };
            Ok(Ran::Ended(Ok(self.folder(control, info, loses))))
        }
    }

    #[test]
    fn a_replay_that_was_stopped_goes_on_and_counts_each_run_once() {
        let root = tempfile::tempdir().expect("a folder");
        let mut target = FakeTarget {
            root: root.path(),
            rate: 0.7,
            rng: Rng::new(3, "fake target", 0),
            stops_after: 9,
            made: 0,
            fails_every: 5,
        };
        let wanted = wanted(8, 4);
        let mut told = 0;
        let mut tell = |_: &Attempt, _: Rate| told += 1;
        let first = repeat(&wanted, Vec::new(), &mut target, &mut tell).expect("an outcome");
        assert_eq!((first.stopped, first.with_faults.counted() + first.control.counted()), (Some(2), 8), "one failed");
        let done = || {
            let arm = |faults, control| {
                let attempts = earlier(root.path(), &replay_of(faults)).expect("runs");
                attempts.into_iter().map(move |attempt| Attempt { control, ..attempt })
            };
            arm(ReplayFaults::Drawn, false).chain(arm(ReplayFaults::None, true)).collect::<Vec<_>>()
        };
        assert_eq!(done().len(), 10, "failed and stopped runs are seen, too");
        target.stops_after = u64::MAX;
        let second = repeat(&wanted, done(), &mut target, &mut tell).expect("an outcome");
        assert_eq!((second.stopped, second.with_faults.counted(), second.control.counted()), (None, 8, 4));
        assert!(target.made < 18, "{} runs", target.made);
        let made = target.made;
        let third = repeat(&wanted, done(), &mut target, &mut tell).expect("an outcome");
        assert_eq!((target.made, third.sentence(&wanted)), (made, second.sentence(&wanted)), "nothing is left to run");
        let rate = third.with_faults.rate(&lost());
        let reads = |dir: &Attempt| RunVerdict::load(&RunDir::at(&dir.path)).expect("a verdict").exit == 1;
        let invalid = third.with_faults.attempts.iter().filter(|run| run.not_counted.is_none() && reads(run)).count();
        assert_eq!((rate.hits, rate.runs), (invalid as u64, 8));
        assert_eq!(third.control.rate(&lost()).hits, 0);
        assert!(rate.low <= 0.7 && 0.7 <= rate.high, "{rate:?}");
        assert_eq!((third.exit(), u64::from(told > 0)), (Exit::Invalid, 1));
    }

    #[test]
    fn a_replay_gives_up_when_run_after_run_fails() {
        let root = tempfile::tempdir().expect("a folder");
        let mut target = FakeTarget {
            root: root.path(),
            rate: 0.0,
            rng: Rng::new(3, "fake target", 0),
            stops_after: u64::MAX,
            made: 0,
            fails_every: 1,
        };
        let outcome = repeat(&wanted(5, 0), Vec::new(), &mut target, &mut |_, _| ()).expect("an outcome");
        assert_eq!((target.made, outcome.gave_up.as_deref()), (FAILED_MAX, Some("no node")));
        assert_eq!(outcome.exit(), Exit::Harness);
    }
}
