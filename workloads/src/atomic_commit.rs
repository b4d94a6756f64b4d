//! Transactions over several participants: ask for a commit, ask participants what they decided.
//!
//! The key is the transaction. A participant is the node that is asked, or one with a number, which the argument names. At the end
//! each participant is asked for all its decisions, and one about each of the last transactions whose commit was answered. Never: asks for the commit of a transaction twice.
use crate::client::{Call, CallResult};
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::started::{RECENT, Started};
use crate::workload::{FinalCall, Generator, Next, Workload, WorkloadSpec};
use dsfuzz_checkers::{Reads, Value};
use dsfuzz_rng::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most transactions that are asked about one by one at the end.
const ASKED_MAX: usize = 4096;

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "atomic-commit",
    object: "commit",
    doc: "Transactions over several participants: commit, ask participants for their decisions; judged by atomic-commit (participants that differ, decisions that change or are not what the client was told).",
    reads: Reads::Anything,
    checkers: &["atomic-commit"],
};

/// Options of the atomic-commit workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "AtomicCommitWorkload")]
pub struct AtomicCommitOptions {
    /// How many participants there are, if each node can be asked for any of them. Left out: each node is a participant.
    pub participants: Option<u32>,
    /// How often a participant is asked during the load, in percent of the calls.
    pub status: u32,
}

impl Default for AtomicCommitOptions {
    fn default() -> AtomicCommitOptions {
        AtomicCommitOptions { participants: None, status: 50 }
    }
}

impl WorkloadSpec for AtomicCommitOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        Box::new(Commits(Arc::new(Shared {
            options: self.clone(),
            workload: Arc::from(DOC.name),
            commit: Arc::from("commit"),
            status: Arc::from("status"),
            started: Started::default(),
            answered: Started::default(),
        })))
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        if self.status > 99 {
            return Some(("status", format!("{} percent leave nothing to ask about; at most 99", self.status)));
        }
        match self.participants {
            Some(1) => Some(("participants", "one participant agrees with itself; at least 2".to_owned())),
            participants => participants.and_then(|participants| keys_mistake("participants", participants)),
        }
    }
}

struct Shared {
    options: AtomicCommitOptions,
    workload: Arc<str>,
    commit: Arc<str>,
    status: Arc<str>,
    started: Started,
    /// Transactions whose commit was Ok.
    answered: Started,
}

impl Shared {
    fn call(&self, f: &Arc<str>, key: Value, value: Value) -> Call {
        Call { workload: self.workload.clone(), f: f.clone(), key, value }
    }

    /// The argument that names a participant: nil stands for the node.
    fn participant(&self, number: u64) -> Value {
        self.options.participants.map_or(Value::Nil, |_| Value::Int(number as i64))
    }

    fn participants(&self) -> u64 {
        u64::from(self.options.participants.unwrap_or(1).max(1))
    }
}

struct Commits(Arc<Shared>);

impl Workload for Commits {
    fn name(&self) -> Arc<str> {
        self.0.workload.clone()
    }

    fn object(&self) -> Arc<str> {
        DOC.object.into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec![self.0.commit.clone(), self.0.status.clone()]
    }

    fn generator(&self, seed: u64, worker: u32, workers: u32) -> Box<dyn Generator> {
        Box::new(CommitCalls {
            rng: Rng::new(seed, "worker", u64::from(worker)),
            shared: self.0.clone(),
            fresh: i64::from(worker) + 1,
            step: i64::from(workers.max(1)),
            choice: None,
        })
    }

    /// Every participant is asked for all that it knows. Then one is asked about each of the last transactions whose commit was
    /// answered: what all of them have lost is in no list of decisions.
    fn settle(&self) -> Vec<FinalCall> {
        let shared = &self.0;
        let ask = |key, number| shared.call(&shared.status, key, shared.participant(number)).into();
        let one = |number: i64| ask(Value::Int(number), number.unsigned_abs() % shared.participants());
        let all = (0..shared.participants()).map(|number| ask(Value::Nil, number));
        // The lists first: where the time does not suffice for the rest, they judge alone, as far as they go.
        all.chain(shared.answered.all().into_iter().rev().take(ASKED_MAX).map(one)).collect()
    }

    fn params(&self) -> Value {
        let Some(participants) = self.0.options.participants else { return Value::Nil };
        let numbers = Value::list((0..i64::from(participants)).map(Value::Int));
        Value::Map([(Arc::from("participants"), numbers)].into())
    }

    fn checkers(&self) -> Vec<&'static str> {
        vec!["atomic-commit"]
    }
}

/// What a worker drew.
#[derive(Clone, Copy)]
enum Choice {
    Commit,
    /// Of a transaction this many before the newest; of this participant.
    Status(u64, u64),
}

/// The calls of one worker. Its transactions are worker + 1, worker + 1 + workers, and so on: unique in the run.
struct CommitCalls {
    rng: Rng,
    shared: Arc<Shared>,
    fresh: i64,
    step: i64,
    choice: Option<Choice>,
}

impl CommitCalls {
    fn draw(&mut self) -> Choice {
        match self.rng.below(100) < u64::from(self.shared.options.status) {
            true => Choice::Status(self.rng.below(RECENT), self.rng.below(self.shared.participants())),
            false => Choice::Commit,
        }
    }
}

impl Generator for CommitCalls {
    fn next(&mut self) -> Next {
        let choice = self.choice.unwrap_or_else(|| self.draw());
        self.choice = Some(choice);
        let shared = &self.shared;
        Next::Call(match choice {
            Choice::Commit => shared.call(&shared.commit, Value::Int(self.fresh), Value::Nil),
            Choice::Status(back, participant) => {
                let transaction = Value::Int(shared.started.recent(back));
                shared.call(&shared.status, transaction, shared.participant(participant))
            }
        })
    }

    fn taken(&mut self) {
        if let Some(Choice::Commit) = self.choice.take() {
            self.shared.started.push(self.fresh);
            self.fresh += self.step;
        }
    }

    fn observe(&mut self, call: &Call, answer: &CallResult) {
        if let (true, CallResult::Ok(_), Value::Int(number)) = (call.f == self.shared.commit, answer, &call.key) {
            self.shared.answered.push(*number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn calls(options: &AtomicCommitOptions, count: usize) -> Vec<Call> {
        let workload = options.build();
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
        let options = AtomicCommitOptions { participants: Some(3), ..AtomicCommitOptions::default() };
        let said = |call: &Call| format!("{} {} {}", call.f, call.key, call.value);
        assert_eq!(calls(&options, 10).iter().map(said).collect::<Vec<_>>(), GOLDEN);
    }

    #[test]
    fn each_transaction_is_committed_once_and_recent_ones_are_asked_for() {
        let mut committed = HashSet::new();
        let mut known = 0;
        for call in calls(&AtomicCommitOptions::default(), 300) {
            assert!(call.value.is_nil(), "the node is the participant: {call:?}");
            match &*call.f {
                "commit" => assert!(committed.insert(call.key), "committed twice"),
                _ => known += usize::from(committed.contains(&call.key)),
            }
        }
        assert!(known > 120, "{known} statuses of transactions that were called");
    }

    #[test]
    fn every_participant_is_asked_for_all_at_the_end() {
        let asked = |options: &AtomicCommitOptions| {
            let last = options.build().settle();
            let shown = |last: &FinalCall| format!("{} {} {}", last.call.f, last.call.key, last.call.value);
            last.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(asked(&AtomicCommitOptions::default()), ["status nil nil"]);
        let two = AtomicCommitOptions { participants: Some(2), ..AtomicCommitOptions::default() };
        assert_eq!(asked(&two), ["status nil 0", "status nil 1"]);
        assert_eq!(two.build().params().to_string(), "{participants: [0, 1]}");
    }

    #[test]
    fn a_participant_is_asked_about_each_commit_that_was_answered() {
        let workload = AtomicCommitOptions { participants: Some(2), ..AtomicCommitOptions::default() }.build();
        let mut generator = workload.generator(7, 0, 1);
        for (number, answer) in
            [(1, CallResult::Ok(Value::Nil)), (2, CallResult::info("lost")), (3, CallResult::Ok(Value::Nil))]
        {
            let call = Call {
                workload: "atomic-commit".into(),
                f: "commit".into(),
                key: Value::Int(number),
                value: Value::Nil,
            };
            generator.observe(&call, &answer);
            generator.observe(&Call { f: "status".into(), ..call }, &CallResult::Ok(Value::Nil));
        }
        let shown: Vec<String> =
            workload.settle().iter().map(|last| format!("{} {}", last.call.key, last.call.value)).collect();
        assert_eq!(shown, ["nil 0", "nil 1", "3 1", "1 1"]);
    }

    #[test]
    fn one_participant_alone_and_no_commits_are_mistakes() {
        let mistake =
            |participants, status| AtomicCommitOptions { participants, status }.mistake().map(|(option, _)| option);
        assert_eq!(mistake(Some(1), 50), Some("participants"));
        assert_eq!(mistake(Some(0), 50), Some("participants"));
        assert_eq!(mistake(None, 100), Some("status"));
        assert_eq!((mistake(None, 0), mistake(Some(2), 99)), (None, None));
    }

    const GOLDEN: [&str; 10] = [
        "commit 1 nil",
        "status 1 1",
        "status 1 0",
        "commit 4 nil",
        "status 1 2",
        "commit 3 nil",
        "status 1 0",
        "commit 2 nil",
        "commit 6 nil",
        "commit 7 nil",
    ];
}
