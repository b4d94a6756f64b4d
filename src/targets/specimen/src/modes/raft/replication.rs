//! Replication: the leader sends its log, and commits what a majority has.
use super::log::{Entry, Payload, Position, Snapshot};
use super::messages::{Body, Mark, Message};
use super::replica::{Leadership, Peer, Raft, Role};
use crate::node::Node;

/// Entries of a message.
const BATCH: usize = 64;

impl Raft {
    /// Leads from now on.
    pub(super) fn lead(&mut self, node: &mut Node<Message>) {
        node.log(&format!("became leader at term {}", self.ballot.term));
        let first = self.log.last().index + 1;
        let peer = Peer { next: first, ..Peer::default() };
        self.role = Role::Leader(Leadership {
            first,
            sent: 0,
            since_ms: self.lease_clock(node),
            due_ms: 0,
            peers: node.others().map(|other| (other, peer.clone())).collect(),
            reads: Vec::new(),
        });
        self.leader = Some(node.me());
        // Entries of earlier terms count as committed only together with one of this term (section 5.4.2).
        self.propose(node, Payload::Start);
        self.submit_pending(node);
    }

    /// Appends an entry to the leader's log and sends it.
    pub(super) fn propose(&mut self, node: &mut Node<Message>, payload: Payload) {
        let at = Position { term: self.ballot.term, index: self.log.last().index + 1 };
        self.log.append(&mut node.disk, Entry { at, payload });
        self.replicate(node);
        // A leader that is alone has a majority.
        self.commit_agreed(node);
    }

    /// Sends all nodes what they lack.
    pub(super) fn replicate(&mut self, node: &mut Node<Message>) {
        let heartbeat_ms = (self.options.election_ms / 8).max(1);
        if let Role::Leader(leadership) = &mut self.role {
            leadership.due_ms = node.now_ms() + heartbeat_ms;
        }
        for other in node.others() {
            self.send_entries(node, other);
        }
    }

    fn send_entries(&mut self, node: &mut Node<Message>, to: usize) {
        let sent_ms = self.lease_clock(node);
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(peer) = leadership.peers.get_mut(&to) else { return };
        leadership.sent += 1;
        let mark = Mark { term: self.ballot.term, number: leadership.sent, sent_ms };
        let previous = peer.next - 1;
        let body = match self.log.term(previous) {
            Some(term) => {
                let entries = self.log.from(peer.next, BATCH).to_vec();
                // They will arrive. If not, the node refuses the next ones.
                peer.next += entries.len() as u64;
                Body::Append { mark, previous: Position { term, index: previous }, entries, commit: self.commit }
            }
            None => {
                let snapshot = self.log.snapshot().clone();
                peer.next = snapshot.at.index + 1;
                Body::Install { mark, snapshot }
            }
        };
        node.send(to, Message(body));
    }

    /// Whether a message is of the leader of this term. The answer to an older leader names this node's term.
    fn hears(&mut self, node: &mut Node<Message>, from: usize, mark: Mark) -> bool {
        if mark.term < self.ballot.term {
            let mark = Mark { term: self.ballot.term, ..mark };
            node.send(from, Message(Body::Appended { mark, agreed: Err(0) }));
            return false;
        }
        self.follow(node, mark.term, Some(from));
        self.heard_ms = node.now_ms();
        self.wait_for_leader(node);
        true
    }

    /// A leader's entries.
    pub(super) fn append(
        &mut self,
        node: &mut Node<Message>,
        from: usize,
        mark: Mark,
        previous: Position,
        entries: Vec<Entry>,
        commit: u64,
    ) {
        if !self.hears(node, from, mark) {
            return;
        }
        let base = self.log.snapshot().at.index;
        let agreed = match self.log.term(previous.index) {
            // What is before the snapshot is committed, so that all logs agree on it.
            _ if previous.index < base => Ok(()),
            Some(term) if term == previous.term => Ok(()),
            Some(_) => Err(self.log.before_term_of(previous.index)),
            None => Err(self.log.last().index),
        };
        let end = previous.index + entries.len() as u64;
        if agreed.is_ok() {
            for entry in entries.into_iter().filter(|entry| entry.at.index > base) {
                match self.log.term(entry.at.index) {
                    Some(term) if term == entry.at.term => continue,
                    // MISTAKE: an entry that a leader could not commit is taken for a broken disk.
                    Some(term) if node.mistake("panics-on-divergence") => {
                        panic!("entry {} has term {term}, not {}", entry.at.index, entry.at.term)
                    }
                    _ => self.log.append(&mut node.disk, entry),
                }
            }
            self.commit = self.commit.max(commit.min(end));
            self.apply(node);
        }
        node.send(from, Message(Body::Appended { mark, agreed: agreed.map(|()| end) }));
    }

    /// A leader's snapshot.
    pub(super) fn install(&mut self, node: &mut Node<Message>, from: usize, mark: Mark, snapshot: Snapshot) {
        if !self.hears(node, from, mark) {
            return;
        }
        let index = snapshot.at.index;
        if index > self.commit {
            self.machine = snapshot.machine.clone();
            (self.commit, self.applied) = (index, index);
            self.log.install(&mut node.disk, snapshot);
        }
        node.send(from, Message(Body::Appended { mark, agreed: Ok(index) }));
    }

    /// A node's answer to entries or to a snapshot.
    pub(super) fn appended(&mut self, node: &mut Node<Message>, from: usize, mark: Mark, agreed: Result<u64, u64>) {
        if mark.term > self.ballot.term {
            return self.follow(node, mark.term, None);
        }
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(peer) = leadership.peers.get_mut(&from) else { return };
        if mark.term < self.ballot.term {
            return;
        }
        peer.answered = peer.answered.max(mark.number);
        peer.sent_ms = peer.sent_ms.max(Some(mark.sent_ms));
        match agreed {
            Ok(index) => {
                peer.agreed = peer.agreed.max(index);
                peer.next = peer.next.max(index + 1);
            }
            Err(index) if mark.number >= peer.corrected => {
                peer.next = peer.next.min(index + 1);
                peer.corrected = leadership.sent + 1;
            }
            Err(_) => {}
        }
        if peer.next <= self.log.last().index {
            self.send_entries(node, from);
        }
        self.commit_agreed(node);
        self.answer_reads(node);
    }

    /// Commits what a quorum has.
    fn commit_agreed(&mut self, node: &mut Node<Message>) {
        let Role::Leader(leadership) = &self.role else { return };
        let agreed = |member| leadership.peers.get(&member).map_or(self.log.last().index, |peer| peer.agreed);
        let Some(index) = self.reached(node, agreed) else { return };
        // Never: an entry of an earlier term by counting copies. A later leader may still replace it (figure 8).
        if index > self.commit && self.log.term(index) == Some(self.ballot.term) {
            self.commit = index;
            self.apply(node);
            self.answer_reads(node);
        }
    }
}
