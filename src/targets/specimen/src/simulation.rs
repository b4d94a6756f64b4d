//! [`Simulation`]: a mode on several nodes in one thread, with a seeded network and clocks that a test moves.
//!
//! Every message has a delay drawn from the seed; links can be cut, nodes killed, restarted and paused.
use crate::call::{Call, Outcome, Ticket};
use crate::disk::Disk;
use crate::node::{Clock, Mode, Node, Output, Settings, Status};
use dsfuzz_checkers::history::Recording;
use dsfuzz_checkers::{Budget, Options, Value, Verdict, checker_with};
use dsfuzz_rng::Rng;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// A node of a simulation.
struct Simulated<M: Mode> {
    node: Node<M::Message>,
    /// None while it is killed.
    mode: Option<M>,
    /// What its wall clock shows beyond the time of the simulation.
    skew_ms: i64,
    started_ms: u64,
}

/// Nodes with a seeded network.
pub(crate) struct Simulation<M: Mode> {
    nodes: Vec<Simulated<M>>,
    settings: Vec<Settings>,
    folder: tempfile::TempDir,
    now_ms: u64,
    rng: Rng,
    seed: u64,
    /// Messages under way, by the time of their arrival and a number: from, to.
    under_way: BTreeMap<(u64, u64), (usize, usize, M::Message)>,
    sent: u64,
    /// Directed links that carry nothing.
    cut: BTreeSet<(usize, usize)>,
    /// Paused nodes: what arrives waits.
    paused: BTreeSet<usize>,
    delay_ms: (u64, u64),
    /// Of a hundred messages, how many are lost and how many arrive twice.
    lost_percent: u64,
    doubled_percent: u64,
    calls: u64,
    settles: bool,
    names_nodes: bool,
    params: Json,
    answers: BTreeMap<Ticket, Outcome>,
    recording: Recording,
    /// The open call of each process, by its ticket.
    open: BTreeMap<Ticket, u64>,
    waiting: BTreeMap<usize, Vec<(Ticket, Call)>>,
}

impl<M: Mode> Simulation<M> {
    /// Nodes with empty disks.
    pub(crate) fn new(count: usize, mistake: &str, options: &[(&str, &str)], seed: u64) -> Simulation<M> {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = (1..=count).map(|number| format!("n{number}")).collect();
        let options: BTreeMap<_, _> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings: Vec<Settings> = (0..count)
            .map(|me| Settings { me, names: names.clone(), mistake: mistake.to_owned(), options: options.clone() })
            .collect();
        let mut simulation = Simulation {
            nodes: Vec::new(),
            settings,
            folder,
            now_ms: 0,
            rng: Rng::new(seed, "network", 0),
            seed,
            under_way: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            paused: BTreeSet::new(),
            delay_ms: (1, 5),
            lost_percent: 0,
            doubled_percent: 0,
            calls: 0,
            settles: false,
            names_nodes: false,
            params: Json::Null,
            answers: BTreeMap::new(),
            recording: Recording::new("w"),
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        for me in 0..count {
            let node = simulation.fresh(me);
            simulation.nodes.push(node);
            simulation.flush(me);
        }
        simulation
    }

    fn fresh(&self, me: usize) -> Simulated<M> {
        let disk = Disk::new(self.folder.path().join(format!("n{}", me + 1)));
        let skew_ms = self.nodes.get(me).map_or(0, |node| node.skew_ms);
        let clock = Clock::Simulated(0, self.wall(skew_ms));
        let seed = self.seed.wrapping_add(self.now_ms);
        let mut node = Node::new(self.settings[me].clone(), disk, clock, seed);
        let mode = M::start(&mut node);
        Simulated { node, mode: Some(mode), skew_ms, started_ms: self.now_ms }
    }

    /// The wall time of the simulation begins in 2001.
    fn wall(&self, skew_ms: i64) -> i64 {
        1_000_000_000_000 + self.now_ms as i64 + skew_ms
    }

    /// Calls a function on a node, by a process of its own. A dead node answers nothing.
    pub(crate) fn call(&mut self, node: usize, object: &str, f: &str, key: Json, value: Json) -> Ticket {
        self.call_by(1_000 + self.calls, node, object, f, key, value)
    }

    /// Calls a function on a node by a process, which has no other open call.
    pub(crate) fn call_by(
        &mut self,
        process: u64,
        node: usize,
        object: &str,
        f: &str,
        key: Json,
        value: Json,
    ) -> Ticket {
        self.calls += 1;
        let ticket = Ticket { connection: process, id: self.calls };
        if self.names_nodes {
            self.recording.on(&self.settings[node].names[node]);
        }
        self.recording.call(process, f, as_value(&key), as_value(&value)).expect("no other open call");
        self.open.insert(ticket, process);
        let call = Call {
            id: self.calls,
            process,
            workload: "w".to_owned(),
            object: object.to_owned(),
            f: f.to_owned(),
            key,
            value,
            params: self.params.clone(),
            deadline_ms: 5_000,
            is_final: self.settles,
        };
        self.deliver_call(node, ticket, call);
        ticket
    }

    /// The record names the node of each call from now on, for checkers of replicas.
    pub(crate) fn name_nodes(&mut self) {
        self.names_nodes = true;
    }

    /// Calls from now on come after the load.
    pub(crate) fn settle(&mut self) {
        self.settles = true;
        self.recording.settle();
    }

    /// What every call from now on says about its workload.
    pub(crate) fn params(&mut self, params: Json) {
        self.params = params;
    }

    /// The verdict of a checker on all calls so far. Calls without an answer may have taken effect.
    pub(crate) fn judge(self, checker: &str, options: &[(&str, &str)]) -> Verdict {
        // Numbers, true and false are those of JSON.
        let option = |value: &str| serde_json::from_str(value).unwrap_or_else(|_| Value::text(value));
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), option(value))).collect();
        let checker = checker_with(checker, &Options(options)).expect("a checker");
        let history = self.recording.finish().expect("a history");
        checker.check(&history, &Budget::unlimited())
    }

    fn deliver_call(&mut self, node: usize, ticket: Ticket, call: Call) {
        if self.paused.contains(&node) {
            self.waiting.entry(node).or_default().push((ticket, call));
        } else {
            self.on(node, |mode, node| mode.call(node, ticket, call));
        }
    }

    /// The answer to a call, if it has come.
    pub(crate) fn answer(&self, ticket: Ticket) -> Option<Outcome> {
        self.answers.get(&ticket).cloned()
    }

    /// Lets time pass, with a tick of every node every ten milliseconds.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += 1;
            while let Some(first) = self.under_way.first_entry().filter(|first| first.key().0 <= self.now_ms) {
                let (from, to, message) = first.remove();
                if self.paused.contains(&to) {
                    self.deliver_later(from, to, message);
                } else if !self.cut.contains(&(from, to)) {
                    self.on(to, |mode, node| mode.message(node, from, message));
                }
            }
            if self.now_ms.is_multiple_of(10) {
                for node in 0..self.nodes.len() {
                    if !self.paused.contains(&node) {
                        self.on(node, |mode, node| mode.tick(node));
                    }
                }
            }
        }
    }

    /// Cuts all links between two groups of nodes, in both directions.
    pub(crate) fn cut(&mut self, left: &[usize], right: &[usize]) {
        for (one, other) in left.iter().flat_map(|one| right.iter().map(move |other| (*one, *other))) {
            self.cut.insert((one, other));
            self.cut.insert((other, one));
        }
    }

    /// Ends all cuts.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    /// Kills a node. What it wrote stays.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].mode = None;
        self.under_way.retain(|_, (_, to, _)| *to != node);
    }

    /// Kills a node and takes from its disk what it has not synced.
    pub(crate) fn lose_power(&mut self, node: usize) {
        self.kill(node);
        self.nodes[node].node.disk.lose_power();
    }

    /// Starts a node, after a kill or at once.
    pub(crate) fn restart(&mut self, node: usize) {
        self.nodes[node] = self.fresh(node);
        self.flush(node);
    }

    /// Pauses a node: it does nothing, and hears everything afterwards.
    pub(crate) fn pause(&mut self, node: usize) {
        self.paused.insert(node);
    }

    /// Lets a paused node go on.
    pub(crate) fn resume(&mut self, node: usize) {
        self.paused.remove(&node);
        for (ticket, call) in self.waiting.remove(&node).unwrap_or_default() {
            self.deliver_call(node, ticket, call);
        }
    }

    /// Sets the wall clock of a node back; a negative number sets it forward.
    pub(crate) fn set_clock_back(&mut self, node: usize, ms: i64) {
        self.nodes[node].skew_ms -= ms;
    }

    /// The least and the greatest delay of a message from now on.
    pub(crate) fn delays(&mut self, from_ms: u64, to_ms: u64) {
        self.delay_ms = (from_ms, to_ms);
    }

    /// How many of a hundred messages are lost, and how many arrive twice, from now on.
    pub(crate) fn disturb(&mut self, lost_percent: u64, doubled_percent: u64) {
        (self.lost_percent, self.doubled_percent) = (lost_percent, doubled_percent);
    }

    /// What a node says about itself; none if it is killed.
    pub(crate) fn status(&self, node: usize) -> Option<Status> {
        let simulated = &self.nodes[node];
        simulated.mode.as_ref().map(|mode| mode.status(&simulated.node))
    }

    /// The members by a node; none if it is killed.
    pub(crate) fn members(&self, node: usize) -> Option<Vec<usize>> {
        let simulated = &self.nodes[node];
        simulated.mode.as_ref().map(|mode| mode.members(&simulated.node))
    }

    /// The time, in milliseconds since the begin.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Lets a node act. A dead one does nothing.
    pub(crate) fn on(&mut self, position: usize, act: impl FnOnce(&mut M, &mut Node<M::Message>)) {
        let wall = self.wall(self.nodes[position].skew_ms);
        let Simulated { node, mode, started_ms, .. } = &mut self.nodes[position];
        let Some(mode) = mode else { return };
        node.clock = Clock::Simulated(self.now_ms - *started_ms, wall);
        act(mode, node);
        self.flush(position);
    }

    fn flush(&mut self, from: usize) {
        self.nodes[from].node.disk.sync();
        for output in std::mem::take(&mut self.nodes[from].node.outputs) {
            match output {
                Output::Send(to, message) => self.carry(from, to, message),
                Output::Reply(ticket, outcome) => {
                    let process = self.open.remove(&ticket).expect("one answer to a call");
                    let recorded = match &outcome {
                        Outcome::Ok(reply) => self.recording.ok(process, as_value(reply)),
                        Outcome::Fail(..) => self.recording.fail(process),
                        Outcome::Info(..) => self.recording.info(process),
                    };
                    recorded.expect("an open call");
                    self.answers.insert(ticket, outcome);
                }
            }
        }
    }

    /// Loses a message, delivers it once or twice.
    fn carry(&mut self, from: usize, to: usize, message: M::Message) {
        if self.lost_percent > 0 && self.rng.below(100) < self.lost_percent {
            return;
        }
        if self.doubled_percent > 0 && self.rng.below(100) < self.doubled_percent {
            self.deliver_later(from, to, message.clone());
        }
        self.deliver_later(from, to, message);
    }

    fn deliver_later(&mut self, from: usize, to: usize, message: M::Message) {
        self.sent += 1;
        let arrives = self.now_ms + self.rng.between(self.delay_ms.0, self.delay_ms.1);
        self.under_way.insert((arrives, self.sent), (from, to, message));
    }
}

fn as_value(json: &Json) -> Value {
    serde_json::from_value(json.clone()).expect("a value")
}

mod tests {
    use super::*;

    /// Every node keeps a set; a node that adds an element sends it to the others once.
    struct Copies(crate::state::State);

    impl Mode for Copies {
        type Message = crate::state::Operation;
        const OBJECTS: &'static [&'static str] = crate::state::OBJECTS;
        const MISTAKES: &'static [&'static str] = &[];

        fn start(node: &mut Node<Self::Message>) -> Copies {
            let mut state = crate::state::State::default();
            for operation in node.disk.lines::<crate::state::Operation>("added") {
                state.apply(&operation);
            }
            Copies(state)
        }

        fn call(&mut self, node: &mut Node<Self::Message>, ticket: Ticket, call: Call) {
            let operation = crate::state::Operation::of(&call);
            if !operation.is_read() {
                node.disk.append("added", &operation);
                node.broadcast(&operation);
            }
            let outcome = self.0.apply(&operation);
            node.reply(ticket, outcome);
        }

        fn message(&mut self, _: &mut Node<Self::Message>, _: usize, operation: Self::Message) {
            self.0.apply(&operation);
        }

        fn tick(&mut self, _: &mut Node<Self::Message>) {}

        fn status(&self, _: &Node<Self::Message>) -> Status {
            Status { role: "peer", term: None, holds: self.0.digest() }
        }
    }

    fn holds_the_same(nodes: &Simulation<Copies>) -> bool {
        nodes.status(0).map(|status| status.holds) == nodes.status(1).map(|status| status.holds)
    }

    #[test]
    fn what_is_cut_off_hears_nothing_and_what_is_paused_hears_it_later() {
        let mut nodes: Simulation<Copies> = Simulation::new(2, "none", &[], 7);
        nodes.params(Json::Null);
        nodes.delays(1, 3);
        let add = |nodes: &mut Simulation<Copies>, value: i64| {
            let ticket = nodes.call(0, "set", "add", Json::Null, value.into());
            assert_eq!(nodes.answer(ticket), Some(Outcome::done()));
            nodes.pass(20);
        };
        add(&mut nodes, 1);
        assert!(holds_the_same(&nodes));
        nodes.pause(1);
        add(&mut nodes, 2);
        assert!(!holds_the_same(&nodes));
        nodes.resume(1);
        nodes.pass(20);
        assert!(holds_the_same(&nodes));
        nodes.cut(&[0], &[1]);
        add(&mut nodes, 3);
        nodes.heal();
        nodes.pass(20);
        assert!(!holds_the_same(&nodes) && nodes.now_ms() == 100);
        nodes.kill(0);
        assert_eq!(nodes.status(0), None);
        nodes.restart(0);
        let ticket = nodes.call_by(5, 0, "set", "read", Json::Null, Json::Null);
        assert_eq!(nodes.answer(ticket), Some(Outcome::Ok(serde_json::json!([1, 2, 3]))));
        // Node 2 never heard of 3.
        nodes.call_by(6, 1, "set", "read", Json::Null, Json::Null);
        assert_eq!(nodes.judge("linearizable", &[("model", "set")]).validity, dsfuzz_checkers::Validity::Invalid);
    }
}
