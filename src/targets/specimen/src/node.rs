//! [`Mode`]: a replicated system as one state machine on each node. [`Node`]: what it may use.
//!
//! All methods of a mode run on one thread. What a method sends or answers leaves the node after the method has returned, and
//! after everything that it appended to its [disk](crate::disk) is synced.
use crate::call::{Call, Outcome, Ticket};
use crate::disk::Disk;
use dsfuzz_rng::Rng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A replicated system.
pub trait Mode: Sized {
    /// What nodes send each other. A message may be lost, delayed, reordered and doubled.
    type Message: Serialize + DeserializeOwned + Clone;

    /// The objects whose functions clients may call.
    const OBJECTS: &'static [&'static str];

    /// Its mistakes, by name.
    const MISTAKES: &'static [&'static str];

    /// The objects of a node with these settings: where they depend on an option.
    fn objects(_settings: &Settings) -> &'static [&'static str] {
        Self::OBJECTS
    }

    /// The node at its start, the first one and every later one: with what its disk holds.
    fn start(node: &mut Node<Self::Message>) -> Self;

    /// A client's call. It is answered with [`Node::reply`], now or later.
    fn call(&mut self, node: &mut Node<Self::Message>, ticket: Ticket, call: Call);

    /// A message of another node.
    fn message(&mut self, node: &mut Node<Self::Message>, from: usize, message: Self::Message);

    /// A line of a [source](Node::listen_to); none: it has ended.
    fn line(&mut self, _node: &mut Node<Self::Message>, _line: Option<String>) {}

    /// Time passes: called about every ten milliseconds.
    fn tick(&mut self, node: &mut Node<Self::Message>);

    /// What the node says about itself.
    fn status(&self, node: &Node<Self::Message>) -> Status;

    /// The nodes that decide, as this node knows it: all, unless nodes of the mode join and leave.
    fn members(&self, node: &Node<Self::Message>) -> Vec<usize> {
        (0..node.count()).collect()
    }
}

/// What a node says about itself, read in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// `leader`, `follower`, or a word of the mode's own.
    pub role: &'static str,
    /// The number of the leadership, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// What this replica holds, as a text that is equal on replicas that hold the same.
    pub holds: String,
}

/// What leaves a node.
#[derive(Debug)]
pub enum Output<M> {
    /// A message to a node.
    Send(usize, M),
    /// The answer to a call.
    Reply(Ticket, Outcome),
}

/// The clocks of a node.
#[derive(Debug)]
pub enum Clock {
    /// Those of the machine.
    Machine(Instant),
    /// Those of a simulation: elapsed, and wall time in milliseconds.
    #[cfg(test)]
    Simulated(u64, i64),
}

/// How a node was started.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// This node's position in the plan, from 0.
    pub me: usize,
    /// The names of all nodes.
    pub names: Vec<String>,
    /// The mistake, or `none`.
    pub mistake: String,
    /// Options of the mode, as text.
    pub options: BTreeMap<String, String>,
}

/// What a mode listens to beside clients and nodes.
pub type Source = Box<dyn BufRead + Send>;

/// What a mode may use.
pub struct Node<M> {
    settings: Settings,
    /// Its disk.
    pub disk: Disk,
    /// What has not left the node yet.
    pub(crate) outputs: Vec<Output<M>>,
    pub(crate) clock: Clock,
    /// What its lines are awaited from.
    pub(crate) sources: Vec<Source>,
    /// Why the process ends.
    pub(crate) end: Option<String>,
    rng: Rng,
}

impl<M> Node<M> {
    /// A node with this disk. Equal seeds draw equal numbers.
    pub fn new(settings: Settings, disk: Disk, clock: Clock, seed: u64) -> Node<M> {
        let rng = Rng::new(seed, "specimen", settings.me as u64);
        Node { settings, disk, outputs: Vec::new(), clock, sources: Vec::new(), end: None, rng }
    }

    /// This node's position.
    pub fn me(&self) -> usize {
        self.settings.me
    }

    /// The name of a node.
    pub fn name(&self, node: usize) -> &str {
        &self.settings.names[node]
    }

    /// The number of nodes.
    pub fn count(&self) -> usize {
        self.settings.names.len()
    }

    /// The positions of the other nodes.
    pub fn others(&self) -> impl Iterator<Item = usize> + use<M> {
        let me = self.me();
        (0..self.count()).filter(move |node| *node != me)
    }

    /// Whether this mistake is switched on.
    pub fn mistake(&self, name: &str) -> bool {
        self.settings.mistake == name
    }

    /// An option of the mode; empty if it is not set.
    pub fn option(&self, name: &str) -> &str {
        self.settings.options.get(name).map_or("", String::as_str)
    }

    /// An option that is a number, or its default.
    pub fn number(&self, name: &str, default: u64) -> u64 {
        self.option(name).parse().unwrap_or(default)
    }

    /// Listens to the lines of a source, from the end of [`Mode::start`] on.
    pub fn listen_to(&mut self, source: impl BufRead + Send + 'static) {
        self.sources.push(Box::new(source));
    }

    /// Ends the process, after what has not left it yet.
    pub fn end(&mut self, why: impl ToString) {
        self.end.get_or_insert(why.to_string());
    }

    /// Sends a message. Nothing says whether it arrives.
    pub fn send(&mut self, to: usize, message: M) {
        self.outputs.push(Output::Send(to, message));
    }

    /// Sends a message to all other nodes.
    pub fn broadcast(&mut self, message: &M)
    where
        M: Clone,
    {
        for other in self.others() {
            self.send(other, message.clone());
        }
    }

    /// Answers a call.
    pub fn reply(&mut self, ticket: Ticket, outcome: Outcome) {
        self.outputs.push(Output::Reply(ticket, outcome));
    }

    /// Milliseconds since the node was started, by a clock that is never set.
    pub fn now_ms(&self) -> u64 {
        match &self.clock {
            Clock::Machine(start) => millis(start.elapsed()),
            #[cfg(test)]
            Clock::Simulated(now, _) => *now,
        }
    }

    /// Milliseconds since 1970, by a clock that may be wrong and may be set.
    pub fn wall_ms(&self) -> i64 {
        match &self.clock {
            Clock::Machine(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            #[cfg(test)]
            Clock::Simulated(_, wall) => *wall,
        }
    }

    /// A number from `from` to `to`.
    pub fn random(&mut self, from: u64, to: u64) -> u64 {
        self.rng.between(from, to)
    }

    /// Writes a line to the log of the process.
    pub fn log(&self, text: &str) {
        if matches!(self.clock, Clock::Machine(_)) {
            println!("{} {text}", self.wall_ms());
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
