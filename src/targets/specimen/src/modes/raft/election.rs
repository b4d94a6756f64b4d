//! Elections: at most one leader in a term, and only one whose log has all that is committed.
use super::log::Position;
use super::messages::{Body, Message};
use super::replica::{Ballot, Raft, Role};
use crate::node::Node;
use std::collections::BTreeSet;

impl Raft {
    /// Stands for election in the next term.
    pub(super) fn stand(&mut self, node: &mut Node<Message>) {
        self.wait_for_leader(node);
        if !self.is_member(node.me()) {
            return;
        }
        let term = self.ballot.term + 1;
        self.set_ballot(node, Ballot { term, vote: Some(node.me()) });
        self.leader = None;
        self.role = Role::Candidate(BTreeSet::from([node.me()]));
        node.broadcast(&Message(Body::AskVote { term, last: self.log.last() }));
        self.count_votes(node);
    }

    /// A candidate asks for this node's vote.
    pub(super) fn vote(&mut self, node: &mut Node<Message>, from: usize, term: u64, last: Position) {
        // A node that hears a leader keeps it. Leases count on that, and a removed node disturbs nobody.
        let hears_leader = node.now_ms() < self.heard_ms + self.options.election_ms;
        if self.leads() || hears_leader {
            return;
        }
        if term > self.ballot.term {
            self.follow(node, term, None);
        }
        let Ballot { term: current, vote } = self.ballot;
        let granted = term == current && vote.is_none_or(|vote| vote == from) && last >= self.log.last();
        if granted {
            self.set_ballot(node, Ballot { term, vote: Some(from) });
            self.wait_for_leader(node);
        }
        node.send(from, Message(Body::Vote { term: current, granted }));
    }

    /// The answer to this node's candidature.
    pub(super) fn voted(&mut self, node: &mut Node<Message>, from: usize, term: u64, granted: bool) {
        if term > self.ballot.term {
            return self.follow(node, term, None);
        }
        if let Role::Candidate(voters) = &mut self.role
            && granted
            && term == self.ballot.term
        {
            voters.insert(from);
            self.count_votes(node);
        }
    }

    fn count_votes(&mut self, node: &mut Node<Message>) {
        let Role::Candidate(voters) = &self.role else { return };
        let votes = voters.iter().filter(|voter| self.is_member(**voter)).count();
        if votes >= self.quorum(node) {
            self.lead(node);
        }
    }
}
