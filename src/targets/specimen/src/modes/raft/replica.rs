//! [`Raft`]: what a node knows, and what all roles do.
use super::log::{Log, Payload};
use super::machine::{Machine, Request};
use super::messages::Message;
use crate::call::Ticket;
use crate::node::Node;
use crate::state::Operation;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The file with [`Ballot`].
const BALLOT: &str = "ballot";

/// A node of a Raft cluster.
pub struct Raft {
    pub(super) options: Options,
    pub(super) ballot: Ballot,
    pub(super) log: Log,
    pub(super) machine: Machine,
    /// All entries up to here are committed.
    pub(super) commit: u64,
    /// All entries up to here are in `machine`.
    pub(super) applied: u64,
    pub(super) role: Role,
    /// Who leads in this term, if that is known.
    pub(super) leader: Option<usize>,
    /// When the node last heard a leader.
    pub(super) heard_ms: u64,
    /// When it stands for election.
    pub(super) stands_ms: u64,
    /// When it next asks to become a member, if it is none.
    pub(super) joins_ms: u64,
    /// This node from its start on; unique.
    pub(super) session: String,
    pub(super) next_number: u64,
    /// Calls of clients of this node, by number.
    pub(super) pending: BTreeMap<u64, Pending>,
}

/// What must not be forgotten before the term is over: a node that votes twice in a term makes two leaders.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ballot {
    pub(super) term: u64,
    pub(super) vote: Option<usize>,
}

pub(super) enum Role {
    Follower,
    /// With the voters that it has.
    Candidate(BTreeSet<usize>),
    Leader(Leadership),
}

/// What a leader knows.
pub(super) struct Leadership {
    /// The index of its first entry.
    pub(super) first: u64,
    /// The number of its last message.
    pub(super) sent: u64,
    /// When it began, by the clock of the lease.
    pub(super) since_ms: i64,
    /// When all nodes are to hear from it again.
    pub(super) due_ms: u64,
    /// All other nodes. Those that are no members learn the log and do not count.
    pub(super) peers: BTreeMap<usize, Peer>,
    pub(super) reads: Vec<WaitingRead>,
}

/// What a leader knows of another node.
#[derive(Clone, Default)]
pub(super) struct Peer {
    /// Its log agrees up to here.
    pub(super) agreed: u64,
    /// The next entry that it is sent.
    pub(super) next: u64,
    /// The last message that it answered.
    pub(super) answered: u64,
    /// When that was sent, by the clock of the lease.
    pub(super) sent_ms: Option<i64>,
    /// Refusals of earlier messages are old news.
    pub(super) corrected: u64,
}

/// A read that the leader has not answered.
pub(super) struct WaitingRead {
    pub(super) request: Request,
    /// A majority must answer a message with a greater number.
    pub(super) after: u64,
    /// This index must be applied.
    pub(super) index: u64,
}

/// A client's call that is not answered.
pub(super) struct Pending {
    pub(super) ticket: Ticket,
    pub(super) operation: Operation,
    pub(super) deadline_ms: u64,
    /// When it is sent to the leader again.
    pub(super) again_ms: u64,
    /// It may be in a log.
    pub(super) sent: bool,
}

/// The options of the mode.
pub(super) struct Options {
    /// The shortest time without a leader after which a node stands for election; the longest is twice that.
    pub(super) election_ms: u64,
    pub(super) snapshot_entries: u64,
    /// How many nodes are members at first.
    pub(super) members: usize,
    /// Reads trust a lease.
    pub(super) lease_reads: bool,
}

impl Raft {
    /// A node with what its disk holds.
    pub(super) fn load(node: &mut Node<Message>) -> Raft {
        if node.mistake("no-fsync") {
            node.disk.never_sync(); // MISTAKE: what the node has acknowledged is lost with its power.
        }
        let election_ms = node.number("election_ms", 500).max(10);
        let members = match node.number("members", 0) {
            0 => node.count(),
            members => node.count().min(usize::try_from(members).unwrap_or(usize::MAX)),
        };
        let lease_reads =
            node.option("reads") == "lease" || node.mistake("wall-clock-lease") || node.mistake("reads-uncommitted");
        let snapshot_entries = node.number("snapshot_entries", 500).max(1);
        let log = Log::load(&mut node.disk, (0..members).collect());
        let start = node.random(0, u64::MAX / 2);
        let session = format!("{}-{start:x}", node.name(node.me()));
        let base = log.snapshot().at.index;
        let mut raft = Raft {
            options: Options { election_ms, snapshot_entries, members, lease_reads },
            ballot: node.disk.load(BALLOT).unwrap_or_default(),
            machine: log.snapshot().machine.clone(),
            log,
            commit: base,
            applied: base,
            role: Role::Follower,
            leader: None,
            // It may have heard a leader just before it ended.
            heard_ms: node.now_ms(),
            stands_ms: 0,
            joins_ms: 0,
            session,
            next_number: 1,
            pending: BTreeMap::new(),
        };
        raft.wait_for_leader(node);
        raft
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub(super) fn is_member(&self, node: usize) -> bool {
        self.log.members().contains(&node)
    }

    /// How many members decide.
    pub(super) fn quorum(&self, node: &Node<Message>) -> usize {
        let members = self.log.members().len();
        let quorum = if node.mistake("half-quorum") {
            members / 2 // MISTAKE: two halves decide each for itself.
        } else if node.mistake("old-quorum-after-change") {
            self.options.members / 2 + 1 // MISTAKE: the majority of the first members, although others have joined.
        } else {
            members / 2 + 1
        };
        quorum.clamp(1, members.max(1))
    }

    /// The greatest value that a quorum of the members has reached.
    pub(super) fn reached<T: Ord + Copy>(&self, node: &Node<Message>, value: impl Fn(usize) -> T) -> Option<T> {
        let mut values: Vec<T> = self.log.members().iter().map(|member| value(*member)).collect();
        values.sort_unstable_by(|one, other| other.cmp(one));
        values.get(self.quorum(node) - 1).copied()
    }

    /// Stores a term and the vote in it.
    pub(super) fn set_ballot(&mut self, node: &mut Node<Message>, ballot: Ballot) {
        self.ballot = ballot;
        // MISTAKE: after a restart the node begins with the first term, and votes again.
        if !node.mistake("forgets-term-and-vote") {
            node.disk.store(BALLOT, &self.ballot);
        }
    }

    /// Follows, in this term or a later one; the leader may be unknown.
    pub(super) fn follow(&mut self, node: &mut Node<Message>, term: u64, leader: Option<usize>) {
        if term > self.ballot.term {
            self.set_ballot(node, Ballot { term, vote: None });
            self.leader = None;
        }
        if self.leads() {
            node.log(&format!("no longer leader; term {term}"));
            self.leader = None;
            self.wait_for_leader(node);
        }
        self.role = Role::Follower;
        if leader.is_some() && leader != self.leader {
            self.leader = leader;
            self.submit_pending(node);
        }
    }

    /// Draws when the node stands for election, unless it hears from a leader before.
    pub(super) fn wait_for_leader(&mut self, node: &mut Node<Message>) {
        let election_ms = self.options.election_ms;
        self.stands_ms = node.now_ms() + node.random(election_ms, 2 * election_ms);
    }

    /// Applies what is committed.
    pub(super) fn apply(&mut self, node: &mut Node<Message>) {
        while self.applied < self.commit {
            let Some(entry) = self.log.get(self.applied + 1).cloned() else { break };
            self.applied += 1;
            match entry.payload {
                Payload::Start => {}
                Payload::Members(members) => self.members_committed(node, &members),
                Payload::Command(request) => {
                    let outcome = self.machine.apply(&request, node.mistake("retry-applied-twice"));
                    if self.leads() {
                        self.answer(node, &request, outcome);
                    }
                }
            }
        }
        if self.applied >= self.log.snapshot().at.index + self.options.snapshot_entries {
            let loses_tail = node.mistake("snapshot-loses-tail");
            self.log.compact(&mut node.disk, self.applied, &self.machine, loses_tail);
        }
    }
}
