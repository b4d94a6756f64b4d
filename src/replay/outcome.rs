//! [`Outcome`]: the counted runs of a replay, with and without faults, and the rates that follow.
use super::{Attempt, Rate, Signature, Wanted};
use crate::error::Exit;
use dsfuzz_checkers::Validity;
use serde::Serialize;

/// The runs with faults, or those without.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Arm {
    /// The runs, in order, also those that do not count.
    pub attempts: Vec<Attempt>,
}

/// How often a finding came back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FindingRates {
    /// The finding.
    #[serde(flatten)]
    pub finding: Signature,
    /// Whether the stored run has it.
    pub stored: bool,
    /// With faults.
    pub with_faults: Rate,
    /// Without.
    pub control: Rate,
}

/// What a replay has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// With faults.
    pub with_faults: Arm,
    /// Without.
    pub control: Arm,
    /// The signal that stopped it.
    pub stopped: Option<i32>,
    /// Too many runs failed one after the other; why the last one did.
    pub gave_up: Option<String>,
}

impl Arm {
    fn counting(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.not_counted.is_none())
    }

    /// Runs that count.
    pub fn counted(&self) -> u64 {
        self.counting().count() as u64
    }

    /// How often a finding came back.
    pub fn rate(&self, finding: &Signature) -> Rate {
        Rate::of(self.counting().filter(|attempt| attempt.has(finding)).count() as u64, self.counted())
    }

    /// Counted runs that proved nothing either way.
    pub fn unknown(&self) -> u64 {
        self.counting().filter(|attempt| attempt.validity == Some(Validity::Unknown)).count() as u64
    }

    /// Takes a run in, unless enough runs count already.
    fn take(&mut self, attempt: Attempt, most: u64) {
        if self.counted() < most {
            self.attempts.push(attempt);
        }
    }
}

impl Outcome {
    /// Of these runs, the oldest first: as many as are wanted.
    pub fn of(wanted: &Wanted, attempts: Vec<Attempt>) -> Outcome {
        let mut outcome =
            Outcome { with_faults: Arm::default(), control: Arm::default(), stopped: None, gave_up: None };
        attempts.into_iter().for_each(|attempt| outcome.add(wanted, attempt));
        outcome
    }

    pub(super) fn add(&mut self, wanted: &Wanted, attempt: Attempt) {
        match attempt.control {
            true => self.control.take(attempt, wanted.control),
            false => self.with_faults.take(attempt, wanted.runs),
        }
    }

    /// The runs with faults, or the control.
    pub fn arm(&self, control: bool) -> &Arm {
        if control { &self.control } else { &self.with_faults }
    }

    /// Every finding of the stored run and of its replays, in both arms. The one that is looked for comes first.
    pub fn rates(&self, wanted: &Wanted) -> Vec<FindingRates> {
        let mut findings = vec![wanted.finding.clone()];
        let attempts = self.with_faults.counting().chain(self.control.counting());
        for finding in wanted.findings.iter().chain(attempts.flat_map(|attempt| &attempt.found)) {
            if !findings.contains(finding) {
                findings.push(finding.clone());
            }
        }
        let rates = |finding: Signature| FindingRates {
            stored: wanted.findings.contains(&finding),
            with_faults: self.with_faults.rate(&finding),
            control: self.control.rate(&finding),
            finding,
        };
        findings.into_iter().map(rates).collect()
    }

    /// The sentence for people: `reproduced 7 of 10 (95 %: 34 to 94 %); without faults 0 of 10`.
    pub fn sentence(&self, wanted: &Wanted) -> String {
        let rate = self.with_faults.rate(&wanted.finding);
        let mut sentence = format!("{}: reproduced {rate} (95 %: {})", wanted.finding, rate.interval());
        if wanted.control > 0 {
            sentence += &format!("; without faults {}", self.control.rate(&wanted.finding));
        }
        sentence
    }

    /// A broken promise beats everything, then a stop or too many failures, then a run that proved nothing.
    pub fn exit(&self) -> Exit {
        let runs = self.with_faults.counting().chain(self.control.counting()).map(Attempt::exit);
        let ends = self.stopped.map(Exit::Signal).into_iter().chain(self.gave_up.as_ref().map(|_| Exit::Harness));
        Exit::worst(runs.chain(ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_rng::Rng;

    fn signature(kind: &str) -> Signature {
        Signature { checker: "set".into(), kind: kind.into() }
    }

    fn wanted(runs: u64, control: u64) -> Wanted {
        Wanted { finding: signature("lost"), findings: vec![signature("lost")], runs, control }
    }

    fn attempt(control: bool, kinds: &[&str]) -> Attempt {
        Attempt {
            path: "r".into(),
            control,
            not_counted: None,
            validity: Some(if kinds.is_empty() { Validity::Valid } else { Validity::Invalid }),
            found: kinds.iter().map(|kind| signature(kind)).collect(),
            target_versions: Vec::new(),
        }
    }

    /// A target that loses writes at a known rate, replayed again and again: how many of the repetitions report an interval that
    /// holds the rate.
    #[test]
    fn the_reported_interval_holds_the_rate_of_a_target_in_at_least_95_of_100_replays() {
        const REPETITIONS: u64 = 400;
        for (row, rate) in [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.983].into_iter().enumerate() {
            for runs in [5, 10, 30] {
                let mut rng = Rng::new(1, "fake target", row as u64);
                let wanted = wanted(runs, 0);
                let mut held = 0;
                for _ in 0..REPETITIONS {
                    // Other findings come, too, and must not be counted.
                    let run = |rng: &mut Rng| match (rng.fraction() < rate, rng.fraction() < 0.3) {
                        (true, true) => attempt(false, &["lost", "phantom"]),
                        (true, false) => attempt(false, &["lost"]),
                        (false, true) => attempt(false, &["phantom"]),
                        (false, false) => attempt(false, &[]),
                    };
                    let attempts = (0..runs).map(|_| run(&mut rng)).collect();
                    let reported = Outcome::of(&wanted, attempts).with_faults.rate(&wanted.finding);
                    held += u64::from(reported.low <= rate && rate <= reported.high);
                }
                assert!(held * 100 >= REPETITIONS * 95, "rate {rate}, {runs} runs: {held} of {REPETITIONS}");
            }
        }
    }

    #[test]
    fn only_the_same_checker_and_kind_in_a_run_that_came_to_its_end_counts() {
        let mut attempts = vec![attempt(false, &["lost"]), attempt(false, &["phantom"]), attempt(true, &[])];
        attempts.push(Attempt { not_counted: Some("stopped".into()), ..attempt(false, &["lost"]) });
        attempts.push(Attempt {
            found: vec![Signature { checker: "linearizable".into(), kind: "lost".into() }],
            ..attempt(false, &["lost"])
        });
        attempts.push(attempt(false, &["lost"]));
        let wanted = wanted(3, 1);
        let outcome = Outcome::of(&wanted, attempts);
        let says = "set/lost: reproduced 1 of 3 (95 %: 0 to 91 %); without faults 0 of 1";
        assert_eq!(outcome.sentence(&wanted), says, "the fourth counted run is one too many");
        let rates: Vec<(String, u64, bool)> = outcome
            .rates(&wanted)
            .iter()
            .map(|rates| (rates.finding.to_string(), rates.with_faults.hits, rates.stored))
            .collect();
        let row = |name: &str, stored| (name.to_owned(), 1, stored);
        assert_eq!(rates, [row("set/lost", true), row("set/phantom", false), row("linearizable/lost", false)]);
        assert_eq!(outcome.exit(), Exit::Invalid);
        let stopped = Outcome { stopped: Some(2), ..Outcome::of(&wanted, vec![attempt(false, &[])]) };
        assert_eq!(stopped.exit(), Exit::Signal(2));
    }
}
