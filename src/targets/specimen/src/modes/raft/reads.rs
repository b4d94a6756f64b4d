//! Reads: a leader answers from its machine once it knows that it still leads and that it has all that was acknowledged before.
use super::log::Payload;
use super::machine::Request;
use super::messages::Message;
use super::replica::{Raft, Role, WaitingRead};
use crate::call::Outcome;
use crate::node::Node;

impl Raft {
    /// A read that this leader is asked for: by its lease, or after a round of messages (read index).
    pub(super) fn read(&mut self, node: &mut Node<Message>, request: Request) {
        let Role::Leader(leadership) = &self.role else { return };
        if self.options.lease_reads && self.commit >= leadership.first && self.has_lease(node) {
            let outcome = self.look(node, &request);
            return self.answer(node, &request, outcome);
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        // The leader's first entry comes after all that earlier leaders have committed.
        let index = self.commit.max(leadership.first);
        leadership.reads.push(WaitingRead { request, after: leadership.sent, index });
        self.replicate(node);
        self.answer_reads(node);
    }

    /// Answers the reads whose round is over.
    pub(super) fn answer_reads(&mut self, node: &mut Node<Message>) {
        let Role::Leader(leadership) = &mut self.role else { return };
        if leadership.reads.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut leadership.reads);
        let Role::Leader(leadership) = &self.role else { return };
        let answered = |member| leadership.peers.get(&member).map_or(u64::MAX, |peer| peer.answered);
        let answered = self.reached(node, answered).unwrap_or(0);
        let (ready, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|read| answered > read.after && self.applied >= read.index);
        for read in ready {
            let outcome = Outcome::Ok(self.machine.state.read(&read.request.operation.object));
            self.answer(node, &read.request, outcome);
        }
        if let Role::Leader(leadership) = &mut self.role {
            leadership.reads = waiting;
        }
    }

    /// What the leader's own state shows.
    fn look(&self, node: &Node<Message>, request: &Request) -> Outcome {
        let object = &request.operation.object;
        if !node.mistake("reads-uncommitted") {
            return Outcome::Ok(self.machine.state.read(object));
        }
        // MISTAKE: an entry that no majority has may vanish again.
        let mut state = self.machine.state.clone();
        for entry in self.log.from(self.applied + 1, usize::MAX) {
            if let Payload::Command(written) = &entry.payload {
                state.apply(&written.operation);
            }
        }
        Outcome::Ok(state.read(object))
    }

    /// The clock of the lease.
    pub(super) fn lease_clock(&self, node: &Node<Message>) -> i64 {
        if node.mistake("wall-clock-lease") {
            node.wall_ms() // MISTAKE: a clock that is set back makes the lease longer.
        } else {
            i64::try_from(node.now_ms()).unwrap_or(i64::MAX)
        }
    }

    /// When the last message was sent that a quorum has answered.
    fn quorum_heard_ms(&self, node: &Node<Message>) -> Option<i64> {
        let Role::Leader(leadership) = &self.role else { return None };
        let answered = |member| leadership.peers.get(&member).map_or(Some(i64::MAX), |peer| peer.sent_ms);
        self.reached(node, answered).flatten()
    }

    /// No other leader can have been elected: a majority has heard this one since, and votes for no other for that long.
    fn has_lease(&self, node: &Node<Message>) -> bool {
        let lease_ms = self.options.election_ms as i64;
        self.quorum_heard_ms(node).is_some_and(|heard| self.lease_clock(node) < heard.saturating_add(lease_ms))
    }

    /// A leader that has not heard a majority for two election timeouts gives up, so that others are asked.
    pub(super) fn check_quorum(&mut self, node: &mut Node<Message>) {
        let Role::Leader(leadership) = &self.role else { return };
        let heard = self.quorum_heard_ms(node).unwrap_or(i64::MIN).max(leadership.since_ms);
        let patience_ms = 2 * self.options.election_ms as i64;
        if self.lease_clock(node) >= heard.saturating_add(patience_ms) {
            let term = self.ballot.term;
            self.follow(node, term, None);
        }
    }
}
