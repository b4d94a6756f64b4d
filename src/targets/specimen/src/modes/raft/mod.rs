//! Raft: a replicated log with an elected leader, snapshots and changes of members.
//!
//! **Promise.** Registers, sets and counters are linearizable, and serve while a majority of the members reach each other.
//!
//! A node stands for election when it has not heard a leader for a while; a majority elects the leader of a term, and no node votes
//! for one whose log lacks entries of its own. The leader appends each command to its log and sends it to the others; an entry of
//! its term that a majority has synced is committed, is applied everywhere in the order of the log, and is answered. A read
//! waits until a majority has confirmed that the leader still leads. A node that a client calls sends the call to the leader, and
//! sends it again if no answer comes; the log may then have it twice, and it is applied once.
//!
//! **Mistakes.**
//! - `local-reads`: each node answers reads from its own state, without the leader.
//! - `wall-clock-lease`: the leader answers reads while a lease holds, and takes the lease's time from a clock that can be set.
//! - `reads-uncommitted`: the leader's reads show entries that are not committed.
//! - `acknowledges-before-commit`: a write is answered when the leader has it.
//! - `half-quorum`: floor(n/2) nodes elect and commit.
//! - `old-quorum-after-change`: nodes that joined do not make the quorum larger.
//! - `forgets-term-and-vote`: term and vote are not stored.
//! - `no-fsync`: nothing is synced.
//! - `snapshot-loses-tail`: a snapshot removes the entries behind it from the disk.
//! - `retry-applied-twice`: a command that the log has twice is applied twice.
//! - `panics-on-divergence`: a node whose log has an entry that its leader does not have panics.
//!
//! **Source.** Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm (2014), figure 2 and sections 5 to 8; Ongaro,
//! Consensus: Bridging Theory and Practice (2014), 4.1 (one member at a time), 4.2.3 (votes while a leader is heard), 6.3 (each command
//! once), 6.4 (reads), and his note of 2015 on changes of members (a leader's own entry first).
mod calls;
mod election;
mod log;
mod machine;
mod membership;
mod messages;
mod reads;
mod replica;
mod replication;
#[cfg(test)]
mod tests;

use crate::call::{Call, Ticket};
use crate::node::{Mode, Node, Status};
use crate::state;
pub use messages::Message;
use messages::Body;
pub use replica::Raft;
use replica::Role;

impl Mode for Raft {
    type Message = Message;
    const OBJECTS: &'static [&'static str] = state::OBJECTS;
    const MISTAKES: &'static [&'static str] = &[
        "local-reads",
        "wall-clock-lease",
        "reads-uncommitted",
        "acknowledges-before-commit",
        "half-quorum",
        "old-quorum-after-change",
        "forgets-term-and-vote",
        "no-fsync",
        "snapshot-loses-tail",
        "retry-applied-twice",
        "panics-on-divergence",
    ];

    fn start(node: &mut Node<Message>) -> Raft {
        Raft::load(node)
    }

    fn call(&mut self, node: &mut Node<Message>, ticket: Ticket, call: Call) {
        if call.f == "leave" {
            let outcome = self.remove(node, call.value.as_str().unwrap_or_default());
            return node.reply(ticket, outcome);
        }
        self.take(node, ticket, &call);
    }

    fn message(&mut self, node: &mut Node<Message>, from: usize, message: Message) {
        match message.0 {
            Body::AskVote { term, last } => self.vote(node, from, term, last),
            Body::Vote { term, granted } => self.voted(node, from, term, granted),
            Body::Append { mark, previous, entries, commit } => {
                self.append(node, from, mark, previous, entries, commit)
            }
            Body::Install { mark, snapshot } => self.install(node, from, mark, snapshot),
            Body::Appended { mark, agreed } => self.appended(node, from, mark, agreed),
            Body::Submit(request) => self.lead_call(node, request),
            Body::Answer { session, number, outcome } => self.answered(node, &session, number, outcome),
            Body::Join => self.join(node, from),
        }
    }

    fn tick(&mut self, node: &mut Node<Message>) {
        self.check_quorum(node);
        match &self.role {
            Role::Leader(leadership) if node.now_ms() >= leadership.due_ms => self.replicate(node),
            Role::Leader(_) => {}
            Role::Follower | Role::Candidate(_) if node.now_ms() >= self.stands_ms => self.stand(node),
            Role::Follower | Role::Candidate(_) => {}
        }
        self.ask_to_join(node);
        self.attend_calls(node);
    }

    fn status(&self, _: &Node<Message>) -> Status {
        let role = match self.role {
            Role::Follower => "follower",
            Role::Candidate(_) => "candidate",
            Role::Leader(_) => "leader",
        };
        Status { role, term: Some(self.ballot.term), holds: self.machine.state.digest() }
    }

    fn members(&self, _: &Node<Message>) -> Vec<usize> {
        self.log.members().to_vec()
    }
}
