//! [`Machine`]: what the entries of the log act on. It applies each request once, however often the log has it.
use crate::call::Outcome;
use crate::state::{Operation, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A client's call on its way through the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// The node that a client called.
    pub(super) origin: usize,
    /// That node from one start to the next; unique.
    pub(super) session: String,
    /// Its number in the session.
    pub(super) number: u64,
    /// All lower numbers of the session are answered or given up.
    pub(super) open: u64,
    pub(super) operation: Operation,
}

/// The objects, and what was answered to requests that may come again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) state: State,
    sessions: BTreeMap<String, Session>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Session {
    open: u64,
    /// By number; none below `open`.
    outcomes: BTreeMap<u64, Outcome>,
}

impl Machine {
    /// What was answered to this request, if it has been applied.
    pub(super) fn outcome(&self, request: &Request) -> Option<Outcome> {
        self.sessions.get(&request.session)?.outcomes.get(&request.number).cloned()
    }

    /// Applies a request, unless it was applied before.
    pub(super) fn apply(&mut self, request: &Request, again: bool) -> Outcome {
        if again {
            // MISTAKE: a command that was sent again stands in the log twice, and changes the objects twice.
            return self.state.apply(&request.operation);
        }
        let session = self.sessions.entry(request.session.clone()).or_default();
        session.open = session.open.max(request.open);
        session.outcomes = session.outcomes.split_off(&session.open);
        if request.number < session.open {
            return Outcome::info("unknown", "its origin no longer waits for it");
        }
        let Machine { state, .. } = self;
        session.outcomes.entry(request.number).or_insert_with(|| state.apply(&request.operation)).clone()
    }
}
