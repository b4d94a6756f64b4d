//! Sessions: reads and writes of registers, each worker bound to one replica or moved from replica to replica. A session is a
//! process: it ends with a call whose outcome is unknown.
//!
//! Keys stay for the whole run, so that final reads show what every node holds of each.
use crate::doc::{WorkloadDoc, keys_mistake};
use crate::register::Registers;
use crate::workload::{Workload, WorkloadSpec};
use dsfuzz_checkers::{FinalReads, Reads};
use serde::{Deserialize, Serialize};

/// For listings.
pub const DOC: WorkloadDoc = WorkloadDoc {
    name: "sessions",
    object: "register",
    doc: "Reads and writes of registers in sessions that stay on a replica or move between replicas; judged by the session guarantees and what is built on them.",
    reads: Reads::Value,
    checkers: &CHECKERS,
};

/// Options of the sessions workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionsOptions {
    /// How many registers (keys) are in use.
    pub keys: u32,
    /// How often each function comes, relative to the other.
    pub mix: ReadWriteMix,
    /// After how many of its calls a worker moves on to the next node; its session goes on there. A call that fails moves it at once, and
    /// a new session begins on the worker's own node. Left out: it stays on its node.
    pub move_every: Option<u32>,
    /// The strongest promise that is judged, with all those that it implies.
    pub promise: SessionPromise,
    /// Clients say versions: a read replies `[version, value]`, and a write its version, an integer that grows with every write of the
    /// key. The four session guarantees are then decided exactly, and nothing else is judged.
    pub versions: bool,
}

/// Relative weights of reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReadWriteMix {
    /// Reads.
    pub read: u32,
    /// Writes.
    pub write: u32,
}

impl Default for ReadWriteMix {
    fn default() -> ReadWriteMix {
        ReadWriteMix { read: 2, write: 1 }
    }
}

impl ReadWriteMix {
    /// The reason why no call of this load could contradict another; none if one can.
    pub(crate) fn blind(self) -> Option<&'static str> {
        match self {
            ReadWriteMix { write: 0, .. } => Some("the mix has reads only, so that nothing would ever be written"),
            _ => None,
        }
    }

    pub(crate) fn mistake(self) -> Option<(&'static str, String)> {
        (self.read == 0 && self.write == 0).then(|| ("mix", "every weight is 0: no call would be made".to_owned()))
    }
}

/// A promise about sessions, the strongest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionPromise {
    /// One order of all calls that keeps the order of each session, and all that `causal` judges.
    #[default]
    Sequential,
    /// Causal consistency, PRAM, and all that `session` judges.
    Causal,
    /// The four session guarantees, and that replicas converge.
    Session,
    /// That replicas converge.
    Eventual,
}

impl SessionPromise {
    fn checkers(self) -> Vec<&'static str> {
        let first = match self {
            SessionPromise::Sequential => 0,
            SessionPromise::Causal => 1,
            SessionPromise::Session => 3,
            SessionPromise::Eventual => 7,
        };
        CHECKERS[first..].to_vec()
    }
}

/// The checkers that know versions.
const GUARANTEES: &[&str] = &["read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads"];

/// From the strongest promise to the weakest. `staleness` measures, and promises nothing without a limit.
const CHECKERS: [&str; 9] = [
    "sequential",
    "causal",
    "pram",
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "eventual-convergence",
    "staleness",
];

impl Default for SessionsOptions {
    fn default() -> SessionsOptions {
        SessionsOptions {
            keys: 8,
            mix: ReadWriteMix::default(),
            move_every: None,
            promise: SessionPromise::default(),
            versions: false,
        }
    }
}

impl WorkloadSpec for SessionsOptions {
    const DOC: WorkloadDoc = DOC;

    fn build(&self) -> Box<dyn Workload> {
        let ReadWriteMix { read, write } = self.mix;
        let checkers = if self.versions { GUARANTEES.to_vec() } else { self.promise.checkers() };
        let mut registers = Registers::new(&DOC, [read, write, 0], self.keys, u32::MAX, checkers);
        registers.versions = self.versions;
        registers.move_every = self.move_every.unwrap_or(0);
        registers.finals = Some(FinalReads::EachNode);
        Box::new(registers)
    }

    fn blind(&self) -> Option<&'static str> {
        match self.mix.read {
            0 if self.promise != SessionPromise::Eventual => {
                Some("the mix has writes only, so that no session would see anything")
            }
            _ => self.mix.blind(),
        }
    }

    fn mistake(&self) -> Option<(&'static str, String)> {
        match self.move_every {
            Some(0) => Some(("move_every", "a worker would never make a call; at least 1, or leave it out".to_owned())),
            _ if self.versions && self.promise == SessionPromise::Eventual => {
                let why =
                    "with versions the session guarantees are judged, and no convergence; leave one of the two out";
                Some(("versions", why.to_owned()))
            }
            _ => self.mix.mistake().or_else(|| keys_mistake("keys", self.keys)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::CallResult;
    use crate::testing::next_call;
    use crate::workload::FinalCall;
    use dsfuzz_checkers::Value;

    fn calls(options: &SessionsOptions, count: usize) -> Vec<String> {
        let mut generator = options.build().generator(7, 1, 3);
        let said = |_| {
            let moved = generator.moved();
            let call = next_call(&mut *generator);
            let value = call.value.as_int().map_or(String::new(), |value| format!("={value}"));
            format!("{}{value}@{moved}", call.key)
        };
        (0..count).map(said).collect()
    }

    #[test]
    fn a_seed_means_the_same_choices_in_every_version() {
        assert_eq!(calls(&SessionsOptions::default(), 10).join(" "), GOLDEN);
    }

    #[test]
    fn a_worker_moves_after_as_many_calls_as_its_option_says_and_chooses_the_same() {
        let moving = SessionsOptions { move_every: Some(3), ..SessionsOptions::default() };
        let expected: Vec<String> =
            GOLDEN.split(' ').enumerate().map(|(at, call)| call.replace("@0", &format!("@{}", at / 3))).collect();
        assert_eq!(calls(&moving, 10), expected);
    }

    #[test]
    fn a_session_leaves_a_node_that_refuses_it_and_a_new_one_begins_at_home() {
        let moving = SessionsOptions { move_every: Some(3), ..SessionsOptions::default() };
        let mut generator = moving.build().generator(7, 1, 3);
        let mut moved = |answers: &[CallResult]| {
            for answer in answers {
                let call = next_call(&mut *generator);
                generator.observe(&call, answer);
            }
            generator.moved()
        };
        let ok = || CallResult::Ok(Value::Nil);
        assert_eq!(moved(&[ok()]), 0);
        assert_eq!(moved(&[CallResult::fail("refused")]), 1);
        assert_eq!(moved(&[CallResult::fail("refused")]), 2);
        assert_eq!(moved(&[ok(), ok()]), 2);
        assert_eq!(moved(&[ok()]), 3);
        assert_eq!(moved(&[CallResult::info("timeout")]), 0);
        let mut bound = SessionsOptions::default().build().generator(7, 1, 3);
        let call = next_call(&mut *bound);
        bound.observe(&call, &CallResult::fail("refused"));
        assert_eq!(bound.moved(), 0, "one that is bound stays");
    }

    #[test]
    fn every_key_is_read_at_the_end_on_each_node() {
        let workload = SessionsOptions { keys: 3, ..SessionsOptions::default() }.build();
        let mut generator = workload.generator(7, 0, 1);
        (0..2000).for_each(|_| drop(next_call(&mut *generator)));
        let finals = workload.settle();
        let keys: Vec<Option<i64>> = finals.iter().map(|FinalCall { call, .. }| call.key.as_int()).collect();
        assert_eq!(keys, [Some(0), Some(1), Some(2)]);
        assert!(finals.iter().all(|read| read.mode == Some(FinalReads::EachNode)));
    }

    #[test]
    fn a_weaker_promise_is_judged_by_fewer_checkers() {
        let named = |promise| SessionsOptions { promise, ..SessionsOptions::default() }.build().checkers();
        assert_eq!(named(SessionPromise::Sequential).len(), 9);
        assert_eq!(named(SessionPromise::Causal)[0], "causal");
        assert_eq!(named(SessionPromise::Session)[0], "read-your-writes");
        assert_eq!(named(SessionPromise::Eventual), ["eventual-convergence", "staleness"]);
    }

    #[test]
    fn clients_and_checkers_know_whether_replies_have_versions() {
        let workload = SessionsOptions { versions: true, ..SessionsOptions::default() }.build();
        assert_eq!(
            (workload.checkers(), workload.params().to_string()),
            (GUARANTEES.to_vec(), "{versions: true}".to_owned())
        );
        for checker in workload.checkers() {
            let given = workload.checker_options(checker);
            assert!(given.0["versions"] == Value::Bool(true) && dsfuzz_checkers::checker_with(checker, &given).is_ok());
        }
        let plain = SessionsOptions::default().build();
        assert!(plain.params().is_nil() && plain.checker_options("monotonic-reads").0.is_empty());
    }

    #[test]
    fn mistakes_and_blind_loads_are_named() {
        let mix = |read, write| SessionsOptions { mix: ReadWriteMix { read, write }, ..SessionsOptions::default() };
        let moving = |move_every| SessionsOptions { move_every, ..SessionsOptions::default() };
        assert_eq!(mix(0, 0).mistake().map(|(option, _)| option), Some("mix"));
        assert_eq!(moving(Some(0)).mistake().map(|(option, _)| option), Some("move_every"));
        assert_eq!(SessionsOptions { keys: 0, ..mix(1, 1) }.mistake().map(|(option, _)| option), Some("keys"));
        assert!(mix(1, 0).blind().is_some() && mix(0, 1).blind().is_some());
        let versions =
            SessionsOptions { versions: true, promise: SessionPromise::Eventual, ..SessionsOptions::default() };
        assert_eq!(versions.mistake().map(|(option, _)| option), Some("versions"));
        assert_eq!((moving(Some(1)).mistake(), moving(None).blind()), (None, None));
        let eventual = SessionsOptions { promise: SessionPromise::Eventual, ..mix(0, 1) };
        assert_eq!(eventual.blind(), None, "final reads are enough");
    }

    const GOLDEN: &str = "0@0 3@0 7@0 0=2@0 2=5@0 4@0 2@0 3@0 0=8@0 4@0";
}
