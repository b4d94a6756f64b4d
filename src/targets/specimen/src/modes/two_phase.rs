//! Atomic commit over shards: two-phase commit, or try-confirm-cancel (option `protocol`).
//!
//! **Promise.** All participants of a transaction decide the same, a decision is final, and the client is told the decision. After
//! all nodes reach each other again, every participant decides.
//!
//! Every node is a participant of every transaction; the node that a client asks is its coordinator. A participant that can carry
//! the transaction out stores that it is prepared, and votes yes: from then on it is in doubt, and only the coordinator may decide.
//! The coordinator commits when all have voted yes, and aborts on a no or after a second. It stores the decision before it sends it,
//! and sends it until every participant has it. A participant in doubt asks. A coordinator that knows nothing of a transaction has
//! restarted before it decided, and aborts (presumed abort).
//!
//! A transaction locks one key of every shard while it is prepared; a participant votes no if the key is locked. With
//! `protocol: try-confirm-cancel` it reserves one of four units instead: prepare is try, commit is confirm, abort is cancel.
//!
//! **Mistakes.**
//! `forgets-decision`: the coordinator does not store its decision; after a restart it presumes an abort of what it has committed.
//! `decides-alone`: a participant that is in doubt for a second aborts.
//! `partial-commit-visible`: a participant shows a transaction as committed when it is prepared.
//! `confirm-without-try`: the coordinator takes a participant that does not answer for one that has voted yes.
//!
//! **Source.** Gray, *Notes on Data Base Operating Systems* (1978), the two-phase commit protocol; Mohan, Lindsay and Obermarck, *Transaction Management in
//! the R\* Distributed Database Management System* (TODS 1986), sections 2 and 3; Pardon and Pautasso, *Atomic Distributed Transactions: a
//! RESTful Design* (WS-REST 2014) for try-confirm-cancel.
use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Status};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The file with what coordinator and participant must not forget.
const LOG: &str = "log";
/// Keys of a shard.
const KEYS: i64 = 16;
/// Transactions that may have reserved the same key with try-confirm-cancel.
const UNITS: usize = 4;
/// How long a coordinator waits for votes.
const VOTES_MS: u64 = 1_000;
/// The time between two questions about a decision, or two sends of it.
const AGAIN_MS: u64 = 250;
/// How long a participant that decides alone waits.
const PATIENCE_MS: u64 = 1_000;

/// A transaction: its workload and its number.
type Id = (String, i64);

/// What nodes send each other about a transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The coordinator asks for a vote.
    Prepare(Id),
    /// A participant's vote.
    Vote(Id, bool),
    /// The coordinator's decision: whether the transaction is committed.
    Decision(Id, bool),
    /// A participant has stored the decision.
    Stored(Id),
    /// A participant in doubt asks for the decision.
    Ask(Id),
}

/// A line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Record {
    /// As the coordinator: the decision.
    Decided(Id, bool),
    /// As the coordinator: every participant has stored the decision.
    Finished(Id),
    /// As a participant: it has voted yes to this coordinator.
    Prepared(Id, usize),
    /// As a participant: the decision.
    Ended(Id, bool),
}

/// A transaction at its coordinator, before the decision.
struct Voting {
    ticket: Ticket,
    yes: BTreeSet<usize>,
    until_ms: u64,
}

/// A transaction at a participant.
#[derive(Clone, Copy)]
enum Part {
    /// In doubt: the coordinator, the time of the vote, and of the last question.
    Prepared { coordinator: usize, since_ms: u64, asked_ms: u64 },
    /// Whether it is committed.
    Ended(bool),
}

/// A coordinator and participant.
#[derive(Default)]
pub struct TwoPhase {
    voting: BTreeMap<Id, Voting>,
    decided: BTreeMap<Id, bool>,
    /// Participants that have not stored a decision yet.
    missing: BTreeMap<Id, BTreeSet<usize>>,
    sent_ms: u64,
    parts: BTreeMap<Id, Part>,
}

fn word(committed: bool) -> Json {
    if committed { "committed".into() } else { "aborted".into() }
}

impl Mode for TwoPhase {
    type Message = Message;
    const OBJECTS: &'static [&'static str] = &["commit"];
    const MISTAKES: &'static [&'static str] =
        &["forgets-decision", "decides-alone", "partial-commit-visible", "confirm-without-try"];

    fn start(node: &mut Node<Message>) -> TwoPhase {
        let mut mode = TwoPhase::default();
        for record in node.disk.lines(LOG) {
            match record {
                Record::Decided(id, commit) => {
                    mode.missing.insert(id.clone(), (0..node.count()).collect());
                    mode.decided.insert(id, commit);
                }
                Record::Finished(id) => {
                    mode.missing.remove(&id);
                }
                Record::Prepared(id, coordinator) => {
                    mode.parts.insert(id, Part::Prepared { coordinator, since_ms: node.now_ms(), asked_ms: 0 });
                }
                Record::Ended(id, commit) => {
                    mode.parts.insert(id, Part::Ended(commit));
                }
            }
        }
        mode
    }

    fn call(&mut self, node: &mut Node<Message>, ticket: Ticket, call: Call) {
        if !call.value.is_null() {
            return node.reply(ticket, Outcome::fail("not-supported", "each node is the participant that it is asked for"));
        }
        match (call.f.as_str(), call.key.as_i64()) {
            ("commit", Some(number)) => self.begin(node, ticket, (call.workload, number)),
            ("status", Some(number)) => {
                let part = self.parts.get(&(call.workload, number));
                node.reply(ticket, Outcome::Ok(part.map_or(Json::Null, |part| shown(node, *part))));
            }
            ("status", None) => {
                let mine = self.parts.iter().filter(|((workload, _), _)| *workload == call.workload);
                let all: Map<String, Json> =
                    mine.map(|((_, number), part)| (number.to_string(), shown(node, *part))).collect();
                node.reply(ticket, Outcome::Ok(all.into()));
            }
            (f, _) => node.reply(ticket, Outcome::fail("not-supported", format!("no function {f} of a commit"))),
        }
    }

    fn message(&mut self, node: &mut Node<Message>, from: usize, message: Message) {
        match message {
            Message::Prepare(id) => self.prepare(node, from, id),
            Message::Vote(id, yes) => self.vote(node, from, id, yes),
            Message::Decision(id, commit) => self.end(node, from, id, commit),
            Message::Stored(id) => self.stored(node, from, id),
            Message::Ask(id) => self.asked(node, from, id),
        }
    }

    fn tick(&mut self, node: &mut Node<Message>) {
        let now = node.now_ms();
        let late: Vec<Id> =
            self.voting.iter().filter(|(_, voting)| voting.until_ms <= now).map(|(id, _)| id.clone()).collect();
        for id in late {
            // MISTAKE: silence is no vote. A participant that was never asked has nothing to confirm.
            let commit = node.mistake("confirm-without-try");
            self.decide(node, id, commit);
        }
        if now >= self.sent_ms + AGAIN_MS {
            self.sent_ms = now;
            for (id, missing) in self.missing.clone() {
                let commit = self.decided[&id];
                for participant in missing {
                    self.deliver(node, participant, Message::Decision(id.clone(), commit));
                }
            }
        }
        self.ask_in_doubt(node, now);
    }

    fn status(&self, _: &Node<Message>) -> Status {
        // A participant need not hear of a transaction that is aborted, so only committed ones are compared.
        let mut hasher = DefaultHasher::new();
        for (id, _) in self.parts.iter().filter(|(_, part)| matches!(part, Part::Ended(true))) {
            id.hash(&mut hasher);
        }
        Status { role: "peer", term: None, holds: format!("{:016x}", hasher.finish()) }
    }
}

/// What a participant says about a transaction.
fn shown(node: &Node<Message>, part: Part) -> Json {
    match part {
        // MISTAKE: the transaction can still be aborted.
        Part::Prepared { .. } if node.mistake("partial-commit-visible") => word(true),
        Part::Prepared { .. } => "prepared".into(),
        Part::Ended(commit) => word(commit),
    }
}

/// The coordinator.
impl TwoPhase {
    fn begin(&mut self, node: &mut Node<Message>, ticket: Ticket, id: Id) {
        if self.voting.contains_key(&id) || self.decided.contains_key(&id) || self.parts.contains_key(&id) {
            return node.reply(ticket, Outcome::info("unknown", "the transaction has been asked for before"));
        }
        let until_ms = node.now_ms() + VOTES_MS;
        self.voting.insert(id.clone(), Voting { ticket, yes: BTreeSet::new(), until_ms });
        node.broadcast(&Message::Prepare(id.clone()));
        self.prepare(node, node.me(), id);
    }

    fn vote(&mut self, node: &mut Node<Message>, from: usize, id: Id, yes: bool) {
        let Some(voting) = self.voting.get_mut(&id) else { return };
        if !yes {
            return self.decide(node, id, false);
        }
        voting.yes.insert(from);
        if voting.yes.len() == node.count() {
            self.decide(node, id, true);
        }
    }

    fn decide(&mut self, node: &mut Node<Message>, id: Id, commit: bool) {
        // MISTAKE: a participant in doubt asks for the decision after a restart, too.
        if !node.mistake("forgets-decision") {
            node.disk.append(LOG, &Record::Decided(id.clone(), commit));
        }
        self.decided.insert(id.clone(), commit);
        self.missing.insert(id.clone(), (0..node.count()).collect());
        if let Some(voting) = self.voting.remove(&id) {
            node.reply(voting.ticket, Outcome::Ok(word(commit)));
        }
        node.broadcast(&Message::Decision(id.clone(), commit));
        self.end(node, node.me(), id, commit);
    }

    fn stored(&mut self, node: &mut Node<Message>, from: usize, id: Id) {
        let Some(missing) = self.missing.get_mut(&id) else { return };
        missing.remove(&from);
        if missing.is_empty() {
            self.missing.remove(&id);
            node.disk.append(LOG, &Record::Finished(id));
        }
    }

    fn asked(&mut self, node: &mut Node<Message>, from: usize, id: Id) {
        if self.voting.contains_key(&id) {
            return;
        }
        match self.decided.get(&id) {
            Some(commit) => self.deliver(node, from, Message::Decision(id.clone(), *commit)),
            None => self.decide(node, id, false),
        }
    }
}

/// The participant.
impl TwoPhase {
    fn prepare(&mut self, node: &mut Node<Message>, coordinator: usize, id: Id) {
        let yes = match self.parts.get(&id) {
            // A message that comes twice, or after the decision.
            Some(Part::Prepared { .. } | Part::Ended(true)) => true,
            Some(Part::Ended(false)) => false,
            None => self.free(node, &id),
        };
        if yes && !self.parts.contains_key(&id) {
            node.disk.append(LOG, &Record::Prepared(id.clone(), coordinator));
            let now = node.now_ms();
            self.parts.insert(id.clone(), Part::Prepared { coordinator, since_ms: now, asked_ms: now });
        }
        self.deliver(node, coordinator, Message::Vote(id, yes));
    }

    /// Whether the transaction's key is free.
    fn free(&self, node: &Node<Message>, id: &Id) -> bool {
        let units = if node.option("protocol") == "try-confirm-cancel" { UNITS } else { 1 };
        let same = |other: &Id| other.1.rem_euclid(KEYS) == id.1.rem_euclid(KEYS);
        let holds = |part: &Part| matches!(part, Part::Prepared { .. });
        self.parts.iter().filter(|(other, part)| holds(part) && same(other)).count() < units
    }

    fn end(&mut self, node: &mut Node<Message>, coordinator: usize, id: Id, commit: bool) {
        match self.parts.get(&id) {
            Some(Part::Ended(_)) => {}
            // Without a vote there is nothing to commit. Only a coordinator with a mistake asks for it.
            None => self.store_end(node, &id, false),
            Some(Part::Prepared { .. }) => self.store_end(node, &id, commit),
        }
        self.deliver(node, coordinator, Message::Stored(id));
    }

    fn store_end(&mut self, node: &mut Node<Message>, id: &Id, commit: bool) {
        node.disk.append(LOG, &Record::Ended(id.clone(), commit));
        self.parts.insert(id.clone(), Part::Ended(commit));
    }

    fn ask_in_doubt(&mut self, node: &mut Node<Message>, now: u64) {
        let (mut questions, mut impatient) = (Vec::new(), Vec::new());
        for (id, part) in &mut self.parts {
            let Part::Prepared { coordinator, since_ms, asked_ms } = part else { continue };
            if node.mistake("decides-alone") && now >= *since_ms + PATIENCE_MS {
                impatient.push(id.clone());
            } else if now >= *asked_ms + AGAIN_MS {
                *asked_ms = now;
                questions.push((*coordinator, id.clone()));
            }
        }
        for id in impatient {
            // MISTAKE: all others may have committed.
            self.store_end(node, &id, false);
        }
        for (coordinator, id) in questions {
            self.deliver(node, coordinator, Message::Ask(id));
        }
    }

    /// Sends a message, to this node too.
    fn deliver(&mut self, node: &mut Node<Message>, to: usize, message: Message) {
        if to == node.me() {
            self.message(node, to, message);
        } else {
            node.send(to, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use dsfuzz_checkers::Validity;
    use dsfuzz_rng::Rng;

    struct Cluster {
        nodes: Simulation<TwoPhase>,
        next: i64,
    }

    impl Cluster {
        fn new(mistake: &str, protocol: &str, seed: u64) -> Cluster {
            Cluster { nodes: Simulation::new(3, mistake, &[("protocol", protocol)], seed), next: 0 }
        }

        fn commit(&mut self, node: usize) -> Ticket {
            self.next += 1;
            self.nodes.call(node, "commit", "commit", self.next.into(), Json::Null)
        }

        /// What a participant says about a transaction; about all without a number.
        fn ask(&mut self, node: usize, number: Option<i64>) -> Json {
            let key = number.map_or(Json::Null, Json::from);
            let ticket = self.nodes.call_by(node as u64, node, "commit", "status", key, Json::Null);
            match self.nodes.answer(ticket) {
                Some(Outcome::Ok(reply)) => reply,
                other => panic!("{other:?}"),
            }
        }

        /// The verdict after all participants were asked for everything. All must have decided.
        fn verdict(mut self) -> Validity {
            self.nodes.heal();
            self.nodes.disturb(0, 0);
            self.nodes.pass(4_000);
            for node in 0..3 {
                let all = self.ask(node, None);
                assert!(all.as_object().expect("all").values().all(|word| word != "prepared"), "{all}");
            }
            self.nodes.judge("atomic-commit", &[]).validity
        }
    }

    /// Transactions under random faults: how many clients were told of a commit, and of an abort, and the verdict.
    fn under_faults(mistake: &str, protocol: &str, seed: u64) -> (usize, usize, Validity) {
        let mut cluster = Cluster::new(mistake, protocol, seed);
        let mut rng = Rng::new(seed, "faults", 0);
        let (mut tickets, mut away, mut paused) = (Vec::new(), None, false);
        cluster.nodes.disturb(2, 5);
        for round in 0..600 {
            if round % 60 == 20 {
                let node = rng.below(3) as usize;
                match rng.below(3) {
                    0 => cluster.nodes.cut(&[node], &[(node + 1) % 3, (node + 2) % 3]),
                    1 => {
                        cluster.nodes.kill(node);
                        away = Some(node);
                    }
                    _ => {
                        cluster.nodes.pause(node);
                        (away, paused) = (Some(node), true);
                    }
                }
            }
            if round % 60 == 50 {
                cluster.nodes.heal();
                match away.take() {
                    Some(node) if paused => cluster.nodes.resume(node),
                    Some(node) => cluster.nodes.restart(node),
                    None => {}
                }
                paused = false;
            }
            let node = rng.below(3) as usize;
            if away != Some(node) {
                tickets.push(cluster.commit(node));
                cluster.ask(node, Some((cluster.next - rng.below(4) as i64).max(1)));
            }
            cluster.nodes.pass(10);
        }
        cluster.nodes.pass(4_000);
        let told = |text: &str| {
            let outcome = Some(Outcome::Ok(text.into()));
            tickets.iter().filter(|ticket| cluster.nodes.answer(**ticket) == outcome).count()
        };
        let (committed, aborted) = (told("committed"), told("aborted"));
        (committed, aborted, cluster.verdict())
    }

    #[test]
    fn participants_decide_alike_under_faults() {
        for seed in 1..=20 {
            let protocol = if seed % 2 == 0 { "two-phase" } else { "try-confirm-cancel" };
            let (committed, aborted, validity) = under_faults("none", protocol, seed);
            assert_eq!(validity, Validity::Valid, "seed {seed}");
            assert!(committed > 50 && aborted > 20, "seed {seed}: {committed} committed, {aborted} aborted");
        }
    }

    /// A transaction commits; node 3 is cut off when the client has the answer; the coordinator may restart meanwhile.
    fn without_the_decision(mistake: &str, cut: bool, restart: bool) -> Validity {
        let mut cluster = Cluster::new(mistake, "two-phase", 1);
        let ticket = cluster.commit(0);
        while cluster.nodes.answer(ticket).is_none() {
            cluster.nodes.pass(1);
        }
        assert_eq!(cluster.nodes.answer(ticket), Some(Outcome::Ok(word(true))));
        if cut {
            cluster.nodes.cut(&[0], &[2]);
        }
        cluster.nodes.pass(1_500);
        if restart {
            cluster.nodes.kill(0);
            cluster.nodes.restart(0);
        }
        cluster.verdict()
    }

    #[test]
    fn a_coordinator_forgets_its_decision() {
        assert_eq!(without_the_decision("forgets-decision", true, true), Validity::Invalid);
        assert_eq!(without_the_decision("forgets-decision", true, false), Validity::Valid);
        assert_eq!(without_the_decision("forgets-decision", false, true), Validity::Valid);
        assert_eq!(without_the_decision("none", true, true), Validity::Valid);
    }

    #[test]
    fn a_participant_in_doubt_decides_alone() {
        assert_eq!(without_the_decision("decides-alone", true, false), Validity::Invalid);
        assert_eq!(without_the_decision("decides-alone", false, false), Validity::Valid);
        assert_eq!(without_the_decision("none", true, false), Validity::Valid);
    }

    /// A transaction begins while node 3 may be cut off; node 2 is asked for its decision at once, and later.
    fn without_a_vote(mistake: &str, cut: bool) -> Validity {
        let mut cluster = Cluster::new(mistake, "try-confirm-cancel", 1);
        if cut {
            cluster.nodes.cut(&[0], &[2]);
        }
        let ticket = cluster.commit(0);
        cluster.nodes.pass(100);
        cluster.ask(1, Some(1));
        cluster.nodes.pass(2_000);
        let committed = !cut || mistake == "confirm-without-try";
        assert_eq!(cluster.nodes.answer(ticket), Some(Outcome::Ok(word(committed))));
        cluster.verdict()
    }

    #[test]
    fn what_is_only_prepared_shows_as_committed() {
        assert_eq!(without_a_vote("partial-commit-visible", true), Validity::Invalid);
        assert_eq!(without_a_vote("partial-commit-visible", false), Validity::Valid);
        assert_eq!(without_a_vote("none", true), Validity::Valid);
    }

    #[test]
    fn what_was_not_tried_is_confirmed() {
        assert_eq!(without_a_vote("confirm-without-try", true), Validity::Invalid);
        assert_eq!(without_a_vote("confirm-without-try", false), Validity::Valid);
    }
}
