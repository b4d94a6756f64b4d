//! Sagas: start one with its steps, read the log of what was done and compensated.
//!
//! The key is the saga; its steps are numbered from 1. At the end the log of every saga is read. Never: starts a saga twice.
use crate::client::{Call, CallResult};
use crate::doc::WorkloadDoc;
use crate::started::{RECENT, Started};
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "saga",
    object: "saga",
    doc: "Sagas: start with steps, read the logs of what was done and compensated; judged by saga (steps missing, compensations missing or out of order).",
    reads: Reads::Anything,
    checkers: &["saga"],
};

/// Most steps of a saga.
const STEPS_MAX: u32 = 1_000;

/// Options of the saga workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SagaWorkload")]
pub struct SagaOptions {
    /// Most steps of a saga; each draws from 1 up to this.
    pub steps: u32,
    /// How often a log is read during the load, in percent of the calls. The logs at the end are read in any case.
    pub log: u32,
}

impl Default for SagaOptions {
    fn default() -> SagaOptions {
        SagaOptions { steps: 5, log: 50 }
    }
}

impl WorkloadSpec for SagaOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        Box::new(Sagas(Arc::new(Shared {
            options: self.clone(),
            workload: Arc::from(DOC.name),
            start: Arc::from("start"),
            log: Arc::from("log"),
            started: Started::default(),
        })))
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.steps {
            0 => Some(("steps", "a saga without a step does nothing; at least 1".to_owned())),
            steps if steps > STEPS_MAX => Some(("steps", format!("{steps} steps; at most {STEPS_MAX}"))),
            _ if self.log > 99 => Some(("log", format!("{} percent leave no saga to read of; at most 99", self.log))),
            _ => None,
        }
    }
}

struct Shared {
    options: SagaOptions,
    workload: Arc<str>,
    start: Arc<str>,
    log: Arc<str>,
    started: Started,
}

impl Shared {
    fn call(&self, f: &Arc<str>, saga: i64, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: f.clone(), key: Value::Int(saga), value }
    }
}

struct Sagas(Arc<Shared>);

impl Workload for Sagas {
    fn name(&self) -> Arc<str> {
        self.0.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.0.start.clone(), self.0.log.clone()]
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(SagaCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            shared: self.0.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
        })
    }

    fn settle(&self) -> Vec<FinalCall> {
        self.0.started.all().into_iter().map(|saga| self.0.call(&self.0.log, saga, Value::Nil).into()).collect()
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["saga"]
    }
}

/// What a worker drew.
#[derive(Clone, Copy)]
enum Choice {
    /// With this number of steps.
    Start(u64),
    /// Of the saga this many before the newest.
    Log(u64),
}

/// The calls of one worker. Its sagas are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct SagaCalls {
    rng: Rng,
    shared: Arc<Shared>,
    fresh: i64,
    step: i64,
    choice: Option<Choice>,
}

impl SagaCalls {
    fn draw(&mut self) -> Choice {
        match self.rng.below(100) < u64::from(self.shared.options.log) {
            true => Choice::Log(self.rng.below(RECENT)),
            false => Choice::Start(self.rng.between(1, u64::from(self.shared.options.steps))),
        }
    }
}

impl Generator for SagaCalls {
    fn next(&mut self) -> Next {
        let choice = self.choice.unwrap_or_else(|| self.draw());
        self.choice = Some(choice);
        let shared = &self.shared;
        Next::Call(match choice {
            Choice::Start(steps) => {
                shared.call(&shared.start, self.fresh, Value::list((1..=steps as i64).map(Value::Int)))
            }
            Choice::Log(back) => shared.call(&shared.log, shared.started.recent(back), Value::Nil),
        })
    }

    fn taken(&mut self) {
        if let Some(Choice::Start(_)) = self.choice.take() {
            self.shared.started.push(self.fresh);
            self.fresh += self.step;
        }
    }

    fn observe(&mut self, _: &Call, _: &CallResult) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(workload: &dyn Workload, count: usize) -> Vec<Call> {
        let mut workers: Vec<_> = (0..3).map(|worker| workload.generator(7, worker, 3)).collect();
        let call = |at: usize| {
            let generator = &mut workers[at % 3];
            let next = generator.next();
            assert_eq!(generator.next(), next, "asking consumes nothing");
            generator.taken();
            let Next::Call(call) = next else { panic!("{next:?}") };
            call
        };
        (0..count).map(call).collect()
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        let said = |call: &Call| format!("{} {} {}", call.f, call.key, call.value);
        let made = calls(&*SagaOptions::default().build(), 10);
        assert_eq!(made.iter().map(said).collect::<Vec<_>>(), GOLDEN);
    }

    #[test]
    fn the_log_of_every_saga_that_was_started_is_read_at_the_end() {
        let workload = SagaOptions { steps: 3, ..SagaOptions::default() }.build();
        let mut started: Vec<Value> = Vec::new();
        for call in calls(&*workload, 200) {
            match &*call.f {
                "start" => {
                    assert!((1..=3).contains(&call.value.as_list().expect("steps").len()));
                    assert!(!started.contains(&call.key), "started twice");
                    started.push(call.key);
                }
                _ => assert!(started.is_empty() || started.contains(&call.key), "{call:?}"),
            }
        }
        let read: Vec<Value> = workload.settle().into_iter().map(|last| last.call.key).collect();
        assert_eq!(read, started);
    }

    #[test]
    fn sagas_without_steps_and_logs_without_sagas_are_mistakes() {
        let mistake = |steps, log| SagaOptions { steps, log }.mistake().map(|(option, _)| option);
        assert_eq!([mistake(0, 50), mistake(1001, 50), mistake(5, 100)], [Some("steps"), Some("steps"), Some("log")]);
        assert_eq!((mistake(1, 0), mistake(1000, 99)), (None, None));
    }

    const GOLDEN: [&str; 10] = [
        "start 1 [1, 2, 3, 4]",
        "log 1 nil",
        "log 1 nil",
        "log 1 nil",
        "start 2 [1, 2, 3]",
        "log 1 nil",
        "log 1 nil",
        "log 1 nil",
        "start 3 [1, 2, 3]",
        "start 4 [1, 2, 3, 4]",
    ];
}
