//! Clients' calls: the node that a client called sends them to the leader, again and again, until it has an answer.
use super::log::Payload;
use super::machine::Request;
use super::messages::{Body, Message};
use super::replica::{Pending, Raft};
use crate::call::{Call, Outcome, Ticket};
use crate::node::Node;
use crate::state::Operation;

impl Raft {
    /// A client's call.
    pub(super) fn take(&mut self, node: &mut Node<Message>, ticket: Ticket, call: &Call) {
        let operation = Operation::of(call);
        if operation.is_read() && node.mistake("local-reads") {
            // MISTAKE: this node may be behind, or cut off.
            let outcome = self.machine.state.apply(&operation);
            return node.reply(ticket, outcome);
        }
        // Shortly before the client gives up.
        let deadline_ms = node.now_ms() + call.deadline_ms - call.deadline_ms / 10;
        let number = self.next_number;
        self.next_number += 1;
        self.pending.insert(number, Pending { ticket, operation, deadline_ms, again_ms: 0, sent: false });
        self.submit(node, number);
    }

    /// Sends all open calls to the leader.
    pub(super) fn submit_pending(&mut self, node: &mut Node<Message>) {
        for number in self.pending.keys().copied().collect::<Vec<_>>() {
            self.submit(node, number);
        }
    }

    fn submit(&mut self, node: &mut Node<Message>, number: u64) {
        let open = self.pending.first_key_value().map_or(number, |(first, _)| *first);
        let (Some(leader), Some(pending)) = (self.leader, self.pending.get_mut(&number)) else { return };
        pending.sent = true;
        pending.again_ms = node.now_ms() + self.options.election_ms;
        let (session, operation) = (self.session.clone(), pending.operation.clone());
        let request = Request { origin: node.me(), session, number, open, operation };
        if leader == node.me() {
            self.lead_call(node, request);
        } else {
            node.send(leader, Message(Body::Submit(request)));
        }
    }

    /// A call for the leader. Another node says nothing: the call comes again, to the leader of then.
    pub(super) fn lead_call(&mut self, node: &mut Node<Message>, request: Request) {
        if !self.leads() {
            return;
        }
        if request.operation.is_read() {
            return self.read(node, request);
        }
        if let Some(outcome) = self.machine.outcome(&request) {
            return self.answer(node, &request, outcome);
        }
        let early = node.mistake("acknowledges-before-commit") && request.operation.f != "cas";
        self.propose(node, Payload::Command(request.clone()));
        if early {
            // MISTAKE: only the leader has it. The outcome of a cas is not known yet.
            self.answer(node, &request, Outcome::done());
        }
    }

    /// The leader's answer to a call.
    pub(super) fn answer(&mut self, node: &mut Node<Message>, request: &Request, outcome: Outcome) {
        let (session, number) = (request.session.clone(), request.number);
        if request.origin == node.me() {
            self.answered(node, &session, number, outcome);
        } else {
            node.send(request.origin, Message(Body::Answer { session, number, outcome }));
        }
    }

    /// An answer for a client of this node. A second one to the same call finds no call.
    pub(super) fn answered(&mut self, node: &mut Node<Message>, session: &str, number: u64, outcome: Outcome) {
        if session == self.session
            && let Some(pending) = self.pending.remove(&number)
        {
            node.reply(pending.ticket, outcome);
        }
    }

    /// Sends calls again that the leader has not answered, and ends those whose time is over.
    pub(super) fn attend_calls(&mut self, node: &mut Node<Message>) {
        let now = node.now_ms();
        for number in self.pending.keys().copied().collect::<Vec<_>>() {
            let pending = &self.pending[&number];
            if now < pending.deadline_ms {
                if now >= pending.again_ms {
                    self.submit(node, number);
                }
                continue;
            }
            let outcome = match pending {
                Pending { sent: true, operation, .. } if !operation.is_read() => {
                    Outcome::info("timeout", "no leader has answered")
                }
                _ => Outcome::fail("aborted", "no leader has answered"),
            };
            let ticket = pending.ticket;
            self.pending.remove(&number);
            node.reply(ticket, outcome);
        }
    }
}
