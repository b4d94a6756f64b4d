//! [`Message`]: what nodes send each other.
use super::log::{Entry, Position, Snapshot};
use super::machine::Request;
use crate::call::Outcome;
use serde::{Deserialize, Serialize};

/// What nodes send each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message(pub(super) Body);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Body {
    /// A candidate asks for a vote.
    AskVote { term: u64, last: Position },
    Vote { term: u64, granted: bool },
    /// A leader's entries behind a position, or none, to show that it leads.
    Append { mark: Mark, previous: Position, entries: Vec<Entry>, commit: u64 },
    /// A leader's snapshot for a node that lacks entries which the leader no longer has.
    Install { mark: Mark, snapshot: Snapshot },
    /// The answer to both: up to where the logs agree, or from where on the leader may try again.
    Appended { mark: Mark, agreed: Result<u64, u64> },
    /// A client's call, for the leader.
    Submit(Request),
    /// The answer to it.
    Answer { session: String, number: u64, outcome: Outcome },
    /// A node that does not vote wants to.
    Join,
}

/// Which of its messages a leader hears an answer to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The leader's term; in an answer, that of the node that answers.
    pub(super) term: u64,
    /// The number of the message in the leader's term.
    pub(super) number: u64,
    /// When it was sent, by the clock of the leader's lease.
    pub(super) sent_ms: i64,
}
