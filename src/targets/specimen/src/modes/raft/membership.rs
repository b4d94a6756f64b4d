//! Membership: one node joins or leaves at a time, so that any majority before the change and any after it share a node.
use super::log::Payload;
use super::messages::{Body, Message};
use super::replica::{Raft, Role};
use crate::call::Outcome;
use crate::node::Node;

impl Raft {
    /// A node that is no member asks to become one.
    pub(super) fn ask_to_join(&mut self, node: &mut Node<Message>) {
        if !self.is_member(node.me()) && node.now_ms() >= self.joins_ms {
            self.joins_ms = node.now_ms() + self.options.election_ms;
            node.broadcast(&Message(Body::Join));
        }
    }

    /// Takes a node in once it has the log.
    pub(super) fn join(&mut self, node: &mut Node<Message>, from: usize) {
        let Role::Leader(leadership) = &self.role else { return };
        let has_log = leadership.peers.get(&from).is_some_and(|peer| peer.agreed >= self.commit);
        if !self.is_member(from) && has_log && self.may_change() {
            let mut members = self.log.members().to_vec();
            members.push(from);
            members.sort_unstable();
            self.propose(node, Payload::Members(members));
        }
    }

    /// Removes a node, by its name.
    pub(super) fn remove(&mut self, node: &mut Node<Message>, name: &str) -> Outcome {
        let Some(leaver) = (0..node.count()).find(|other| node.name(*other) == name) else {
            return Outcome::fail("not-found", format!("no node {name}"));
        };
        if !self.leads() {
            return Outcome::fail("not-leader", "this node does not lead");
        }
        if !self.is_member(leaver) {
            return Outcome::done();
        }
        if !self.may_change() || self.log.members().len() == 1 {
            return Outcome::fail("conflict", "another change is not over, or it is the last member");
        }
        let members = self.log.members().iter().copied().filter(|member| *member != leaver).collect();
        self.propose(node, Payload::Members(members));
        Outcome::done()
    }

    /// The change before is committed, and so is an entry of this leader: without it, two leaders could change the same members in
    /// two ways and have majorities that share no node.
    fn may_change(&self) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        self.commit >= leadership.first && self.commit >= self.log.members_index()
    }

    /// A leader that was removed leads until that is committed.
    pub(super) fn members_committed(&mut self, node: &mut Node<Message>, members: &[usize]) {
        let names: Vec<&str> = members.iter().map(|member| node.name(*member)).collect();
        node.log(&format!("members: {}", names.join(", ")));
        if self.leads() && !self.is_member(node.me()) {
            let term = self.ballot.term;
            self.follow(node, term, None);
        }
    }
}
