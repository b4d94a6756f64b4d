//! Membership: nodes that probe each other, suspect those that are silent, and spread what they know as gossip.
//!
//! **Promise.** A node that dies is no member any more on any node some seconds later, and a node that lives is a member on all nodes
//! some seconds after the last fault that disturbed it. A node that is only slow stays a member.
//!
//! In every period a node pings the next member on the ring of all nodes, and one of the dead, in turn. Pings and answers carry the
//! sender's table: for each node an incarnation and a state. Of two entries the one with the higher incarnation counts, and of two
//! with the same one `dead` before `suspect` before `alive`. So what a node learns from one neighbour it tells the other.
//!
//! A member that does not answer is pinged through another one, too. How suspicious its silence is, the node tells from the times
//! between its earlier answers (phi). Beyond a threshold it is suspected, and only if it stays so for a while it is dead. A node that
//! hears that it is suspected or dead contradicts with a higher incarnation of its own.
//!
//! **Mistakes.**
//! - `declares-the-slow-dead-at-once`: a member that does not answer in time is dead, without suspicion.
//! - `never-forgets-the-dead`: a suspected member stays a member for ever.
//! - `refutation-ignored`: a node does not believe a suspected or dead one that contradicts.
//! - `rumours-not-re-spread`: a node tells only what it found out itself.
//!
//! **Source.** A. Das, I. Gupta, A. Motivala, SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol, 2002,
//! section 3 (indirect probes) and 4.2 (suspicion and incarnations). N. Hayashibara, X. Defago, R. Yared, T. Katayama, The phi accrual failure
//! detector, 2004, section 4; the distribution is exponential, as in Cassandra. Timers that stop with their node: A. Dadgar,
//! J. Phillips, J. Currey, Lifeguard, 2018, section 4.
use crate::call::{Call, Outcome, Ticket};
use crate::node::{Mode, Node, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The time between two rounds of pings, in milliseconds.
const PERIOD_MS: u64 = 200;
/// Silence after which a member is pinged through another one.
const SILENT_MS: u64 = 450;
/// A member is suspected from this phi on: such a silence comes once in 10^4 times.
const PHI: f64 = 4.0;
/// How long a suspected member has to contradict.
const SUSPICION_MS: u64 = 2_500;
/// The weight of the last time between two answers in their mean.
const WEIGHT: f64 = 0.1;
/// A node that was not running for so long hears nobody, and blames nobody for it.
const ASLEEP_MS: u64 = 500;

/// What is known of a node. The order of states is that of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// It grows with each contradiction of the node itself.
    incarnation: u64,
    /// Whether it lives.
    state: State,
}

/// Whether a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// It does.
    Alive,
    /// It is silent, and may contradict.
    Suspect,
    /// It does not.
    Dead,
}

/// What nodes send each other, with the sender's table: entries of nodes that it has something to say of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    kind: Kind,
    table: Vec<(usize, Entry)>,
}

/// What a message is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Kind {
    /// Answer. Of a ping for another node: which one wants to know.
    Ping(Option<usize>),
    /// An answer of this node, to be passed on to the node that wants to know.
    Ack(usize, Option<usize>),
    /// Ping this node for me.
    PingFor(usize),
}

/// What a node knows of another one.
struct Peer {
    entry: Entry,
    /// When it last answered, or when this node began to ask it.
    heard_ms: u64,
    /// The mean time between two answers.
    interval_ms: f64,
    /// When it became suspect here.
    suspect_ms: u64,
    /// In the last round it was pinged.
    probed: bool,
    /// This node found out itself, or heard from the peer itself, what it knows of it.
    first_hand: bool,
}

/// A member of the group.
pub struct Gossip {
    /// All nodes; this one, too.
    peers: Vec<Peer>,
    round: usize,
    next_ms: u64,
    ticked_ms: u64,
}

impl Gossip {
    /// The members that this node pings: the next one on the ring that is well, and those before it that are suspected.
    fn neighbours(&self, me: usize) -> Vec<usize> {
        let ring = self.others_of(me).filter(|node| self.peers[*node].entry.state != State::Dead);
        let mut neighbours = Vec::new();
        for next in ring {
            neighbours.push(next);
            if self.peers[next].entry.state == State::Alive {
                break;
            }
        }
        neighbours
    }

    /// The other nodes, in the order of the ring.
    fn others_of(&self, me: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.peers.len();
        (1..count).map(move |step| (me + step) % count)
    }

    /// The table for a message.
    fn table(&self, node: &Node<Message>) -> Vec<(usize, Entry)> {
        let all = 0..self.peers.len();
        // MISTAKE: a neighbour is not told what the node was told.
        let told = all.filter(|at| !node.mistake("rumours-not-re-spread") || self.peers[*at].first_hand);
        told.map(|at| (at, self.peers[at].entry)).collect()
    }

    fn send(&self, node: &mut Node<Message>, to: usize, kind: Kind) {
        let table = self.table(node);
        node.send(to, Message { kind, table });
    }

    /// A round of pings.
    fn probe(&mut self, node: &mut Node<Message>) {
        let me = node.me();
        let targets = self.neighbours(me);
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let probed = targets.contains(&at);
            if probed && !peer.probed {
                (peer.heard_ms, peer.interval_ms) = (node.now_ms(), PERIOD_MS as f64);
            }
            peer.probed = probed;
        }
        for target in &targets {
            self.send(node, *target, Kind::Ping(None));
            if node.now_ms() - self.peers[*target].heard_ms > SILENT_MS {
                let mut others = self.others_of(me).filter(|other| other != target);
                let helper = others.find(|other| self.peers[*other].entry.state == State::Alive);
                if let Some(helper) = helper {
                    self.send(node, helper, Kind::PingFor(*target));
                }
            }
        }
        let dead: Vec<usize> = (0..self.peers.len()).filter(|at| self.peers[*at].entry.state == State::Dead).collect();
        if !dead.is_empty() {
            self.send(node, dead[self.round % dead.len()], Kind::Ping(None));
        }
        self.round += 1;
    }

    /// Suspects and buries those that are silent.
    fn judge(&mut self, node: &Node<Message>) {
        let now = node.now_ms();
        for at in node.others() {
            let peer = &mut self.peers[at];
            let silent_ms = now - peer.heard_ms;
            let state = match peer.entry.state {
                State::Alive if peer.probed && node.mistake("declares-the-slow-dead-at-once") => {
                    // MISTAKE: a slow answer is taken for none, and nobody is asked.
                    if silent_ms > SILENT_MS { State::Dead } else { State::Alive }
                }
                State::Alive if peer.probed && phi(silent_ms, peer.interval_ms) > PHI => State::Suspect,
                State::Suspect if node.mistake("never-forgets-the-dead") => State::Suspect, // MISTAKE: no suspicion ever ends.
                State::Suspect if now - peer.suspect_ms > SUSPICION_MS => State::Dead,
                state => state,
            };
            if state != peer.entry.state {
                let entry = Entry { state, ..peer.entry };
                let first_hand = peer.probed || (state == State::Dead && peer.first_hand);
                self.learn(node, at, entry, first_hand);
            }
        }
    }

    /// Takes an entry over if it is later than what is known.
    fn learn(&mut self, node: &Node<Message>, about: usize, entry: Entry, first_hand: bool) {
        let (now, peer) = (node.now_ms(), &mut self.peers[about]);
        if about == node.me() {
            if entry.state != State::Alive && entry.incarnation >= peer.entry.incarnation {
                peer.entry.incarnation = entry.incarnation + 1;
                node.log(&format!("contradicts with incarnation {}", peer.entry.incarnation));
            }
            return;
        }
        let contradicted = peer.entry.state != State::Alive && entry.state == State::Alive;
        if contradicted && node.mistake("refutation-ignored") {
            return; // MISTAKE: who is suspected once will be dead.
        }
        if entry > peer.entry {
            if entry.state != peer.entry.state {
                node.log(&format!("{}: {:?} with incarnation {}", node.name(about), entry.state, entry.incarnation));
            }
            if entry.state == State::Suspect {
                peer.suspect_ms = now;
            }
            if contradicted {
                (peer.heard_ms, peer.interval_ms) = (now, PERIOD_MS as f64);
            }
            (peer.entry, peer.first_hand) = (entry, first_hand);
        }
    }

    /// A sign of life.
    fn heard(&mut self, node: &Node<Message>, from: usize) {
        let peer = &mut self.peers[from];
        // A long silence is no sample: it would hide the next one.
        let since = (node.now_ms() - peer.heard_ms).min(SILENT_MS) as f64;
        peer.interval_ms = (1.0 - WEIGHT) * peer.interval_ms + WEIGHT * since;
        peer.heard_ms = node.now_ms();
    }
}

/// How suspicious a silence is, if the times between answers are distributed exponentially: minus the decimal logarithm of the chance
/// of one as long.
fn phi(silent_ms: u64, mean_ms: f64) -> f64 {
    silent_ms as f64 / mean_ms.max(PERIOD_MS as f64 / 2.0) * std::f64::consts::LOG10_E
}

impl Mode for Gossip {
    type Message = Message;
    const OBJECTS: &'static [&'static str] = &["members"];
    const MISTAKES: &'static [&'static str] =
        &["declares-the-slow-dead-at-once", "never-forgets-the-dead", "refutation-ignored", "rumours-not-re-spread"];

    fn start(node: &mut Node<Message>) -> Gossip {
        let entry = Entry { incarnation: 0, state: State::Alive };
        let peer = |_| Peer { entry, heard_ms: 0, interval_ms: PERIOD_MS as f64, suspect_ms: 0, probed: false, first_hand: true };
        Gossip { peers: (0..node.count()).map(peer).collect(), round: node.me(), next_ms: 0, ticked_ms: 0 }
    }

    fn call(&mut self, node: &mut Node<Message>, ticket: Ticket, call: Call) {
        if call.f != "members" {
            return node.reply(ticket, Outcome::fail("not-supported", format!("no function {}", call.f)));
        }
        let living = (0..self.peers.len()).filter(|at| self.peers[*at].entry.state != State::Dead);
        let members: Vec<Json> = living.map(|at| node.name(at).into()).collect();
        node.reply(ticket, Outcome::Ok(members.into()));
    }

    fn message(&mut self, node: &mut Node<Message>, from: usize, message: Message) {
        for (about, entry) in message.table {
            self.learn(node, about, entry, about == from);
        }
        match message.kind {
            Kind::Ping(asked_by) => self.send(node, from, Kind::Ack(node.me(), asked_by)),
            Kind::PingFor(target) => self.send(node, target, Kind::Ping(Some(from))),
            Kind::Ack(of, Some(asked_by)) if asked_by != node.me() => self.send(node, asked_by, Kind::Ack(of, None)),
            Kind::Ack(of, _) => self.heard(node, of),
        }
    }

    fn tick(&mut self, node: &mut Node<Message>) {
        let now = node.now_ms();
        let asleep = now - self.ticked_ms;
        if asleep > ASLEEP_MS {
            for peer in &mut self.peers {
                peer.heard_ms = now.min(peer.heard_ms + asleep);
                peer.suspect_ms = now.min(peer.suspect_ms + asleep);
            }
        }
        self.ticked_ms = now;
        self.judge(node);
        if now >= self.next_ms {
            self.next_ms = now + PERIOD_MS;
            self.probe(node);
        }
    }

    fn status(&self, _: &Node<Message>) -> Status {
        let members = self.peers.iter().map(|peer| if peer.entry.state == State::Dead { '0' } else { '1' });
        Status { role: "peer", term: None, holds: members.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Simulation;
    use dsfuzz_checkers::history::read_jsonl;
    use dsfuzz_checkers::{Budget, Options, Validity, Value, Verdict, checker_with};
    use dsfuzz_rng::Rng;
    use serde_json::json;

    const NODES: usize = 5;

    /// Nodes whose members are asked for all the time, and the record of that.
    struct Trial {
        nodes: Simulation<Gossip>,
        record: Vec<Json>,
        faults: u64,
        /// Nodes that do not answer.
        silent: Vec<usize>,
    }

    impl Trial {
        fn new(mistake: &str, seed: u64) -> Trial {
            let names: Vec<String> = (1..=NODES).map(|number| format!("n{number}")).collect();
            let nodes = Simulation::new(NODES, mistake, &[], seed);
            let mut trial = Trial { nodes, record: Vec::new(), faults: 0, silent: Vec::new() };
            trial.note(json!({"type": "start", "version": 1, "nodes": names, "wall": ""}));
            trial.note(json!({"type": "phase", "phase": "load"}));
            trial
        }

        fn note(&mut self, mut record: Json) {
            record["index"] = self.record.len().into();
            record["time"] = (self.nodes.now_ms() * 1_000_000).into();
            self.record.push(record);
        }

        /// Lets time pass, and asks each node five times a second.
        fn pass(&mut self, ms: u64) {
            for _ in 0..ms / 200 {
                self.nodes.pass(200);
                for node in (0..NODES).filter(|node| !self.silent.contains(node)).collect::<Vec<_>>() {
                    let process = self.record.len();
                    let name = format!("n{}", node + 1);
                    self.note(json!({
                        "type": "invoke", "worker": node, "process": process, "node": name, "workload": "w", "f": "members",
                    }));
                    let ticket = self.nodes.call(node, "members", "members", Json::Null, Json::Null);
                    let Some(Outcome::Ok(members)) = self.nodes.answer(ticket) else { panic!("no answer") };
                    self.note(json!({"type": "ok", "process": process, "value": members}));
                }
            }
        }

        /// A fault on these nodes for a time.
        fn fault(&mut self, kind: &str, nodes: &[usize], ms: u64) {
            let names: Vec<String> = nodes.iter().map(|node| format!("n{}", node + 1)).collect();
            let (fault, others): (u64, Vec<usize>) = (self.faults, (0..NODES).filter(|node| !nodes.contains(node)).collect());
            let step = |step| json!({"type": "fault", "fault": fault, "kind": kind, "step": step, "nodes": names});
            self.faults += 1;
            self.note(step("begun"));
            match kind {
                "kill" => nodes.iter().for_each(|node| self.nodes.kill(*node)),
                "pause" => nodes.iter().for_each(|node| self.nodes.pause(*node)),
                "partition" => self.nodes.cut(nodes, &others),
                "clock" => nodes.iter().for_each(|node| self.nodes.set_clock_back(*node, 60_000)),
                _ => self.nodes.delays(300, 350),
            }
            if ["kill", "pause"].contains(&kind) {
                self.silent = nodes.to_vec();
            }
            self.note(step("proven"));
            self.pass(ms);
            self.note(step("reproven"));
            match kind {
                "kill" => nodes.iter().for_each(|node| self.nodes.restart(*node)),
                "pause" => nodes.iter().for_each(|node| self.nodes.resume(*node)),
                "partition" => self.nodes.heal(),
                "clock" => {}
                _ => self.nodes.delays(1, 5),
            }
            self.silent.clear();
            self.note(step("healed"));
        }

        fn verdict(&self) -> Verdict {
            let lines: String = self.record.iter().map(|record| format!("{record}\n")).collect();
            let history = read_jsonl(lines.as_bytes()).expect("a history");
            let options = Options([("slow_links".to_owned(), Value::Bool(true))].into());
            checker_with("membership", &options).expect("a checker").check(&history, &Budget::unlimited())
        }
    }

    /// The verdict on a fault, with quiet before and after it.
    fn verdict(mistake: &str, kind: &str, ms: u64) -> Verdict {
        let mut trial = Trial::new(mistake, 1);
        trial.pass(15_000);
        if ms > 0 {
            trial.fault(kind, &[0], ms);
        }
        trial.pass(20_000);
        trial.verdict()
    }

    #[test]
    fn each_mistake_shows_under_its_fault_and_not_without() {
        let cases = [
            ("declares-the-slow-dead-at-once", "packet", 10_000, "false-death"),
            ("never-forgets-the-dead", "kill", 25_000, "ghost-member"),
            ("refutation-ignored", "pause", 3_500, "false-death"),
            ("rumours-not-re-spread", "kill", 25_000, "ghost-member"),
        ];
        for (mistake, fault, ms, kind) in cases {
            let right = verdict("none", fault, ms);
            assert_eq!(right.validity, Validity::Valid, "{fault}: {}", right.summary);
            let wrong = verdict(mistake, fault, ms);
            assert_eq!(wrong.validity, Validity::Invalid, "{mistake}: {}", wrong.summary);
            assert!(wrong.findings.iter().any(|finding| finding.kind == kind), "{mistake}: {}", wrong.summary);
            let quiet = verdict(mistake, fault, 0);
            assert_eq!(quiet.validity, Validity::Valid, "{mistake}: {}", quiet.summary);
        }
        assert!(Gossip::MISTAKES.iter().all(|mistake| cases.iter().any(|case| case.0 == *mistake)));
    }

    #[test]
    fn a_pause_within_the_suspicion_buries_nobody() {
        let mut trial = Trial::new("none", 3);
        trial.pass(5_000);
        trial.fault("pause", &[2], 3_500);
        trial.pass(5_000);
        let all: Vec<String> = (1..=NODES).map(|number| format!("n{number}")).collect();
        let replies = trial.record.iter().filter(|record| record["type"] == "ok");
        assert!(replies.clone().count() > 200 && replies.clone().all(|reply| reply["value"] == json!(all)));
    }

    #[test]
    fn members_follow_who_lives_under_random_faults() {
        for seed in 0..20 {
            let (mut trial, mut rng) = (Trial::new("none", seed), Rng::new(seed, "faults", 0));
            for _ in 0..3 {
                let kind = ["kill", "pause", "partition", "clock", "packet"][rng.below(5) as usize];
                let mut nodes: Vec<usize> = (0..NODES).collect();
                rng.shuffle(&mut nodes);
                nodes.truncate(rng.between(1, 3) as usize);
                let ms = rng.between(1, 80) * 200;
                trial.fault(kind, &nodes, ms);
                let quiet = rng.between(5, 75) * 200;
                trial.pass(quiet);
            }
            trial.pass(15_000);
            let verdict = trial.verdict();
            assert_eq!(verdict.validity, Validity::Valid, "seed {seed}: {}", verdict.summary);
            assert!(verdict.numbers["judged_living"].as_u64() > Some(100), "seed {seed}: {:?}", verdict.numbers);
        }
    }
}
