//! The driver: runs the clients' load, one task for each worker. It owns the deadlines, the back-off, the number of calls and
//! the end of the load, since clients are not trusted with them.
//!
//! Never: retries a call, or asks another node than the worker's own unless the workload moves the worker. Several workloads in one run share the workers: each worker draws the workload
//! of its next call from its own stream, each equally likely.
mod attempt;
mod backoff;
mod first_calls;
mod joining;
mod on_leader;
mod rate_limiter;
mod turns;
mod worker;

pub(super) use attempt::{call_once, connect_once, discard};
pub(super) use backoff::Backoff;
pub use on_leader::OnLeader;

use super::recorder::Recorder;
use dsfuzz_checkers::Phase;
use dsfuzz_workloads::{Client, Connect, Endpoint, Part, Terms, Workload};
use first_calls::FirstCalls;
use joining::{JoiningClients, NodeActivity, StartTime};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use turns::Turns;
use worker::Worker;

/// Time beyond the deadline of a call after which the drain gives up a worker.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// The address of one node for its clients.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeEndpoint {
    /// The node's name.
    pub name: Arc<str>,
    /// Its address as the control node reaches it.
    pub address: String,
    /// Ports by role.
    pub ports: BTreeMap<String, u16>,
}

impl NodeEndpoint {
    pub(super) fn endpoint(&self, process: u64, options: &BTreeMap<String, String>, terms: Terms) -> Endpoint {
        Endpoint {
            node: self.name.clone(),
            address: self.address.clone(),
            ports: self.ports.clone(),
            process,
            options: options.clone(),
            terms,
        }
    }
}

/// Options of the driver.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// The seed of the run.
    pub seed: u64,
    /// The nodes; worker w is bound to node w modulo their number, unless it follows the leader. A workload may move its
    /// workers from there ([`dsfuzz_workloads::Generator::moved`]).
    pub nodes: Vec<NodeEndpoint>,
    /// Number of workers.
    pub clients: u32,
    /// Those of them that follow the leader.
    pub on_leader: OnLeader,
    /// Calls a second, all workers together; none: as fast as possible.
    pub rate: Option<f64>,
    /// Duration of the load.
    pub time: Duration,
    /// The load goes on until this time where it is later, and may still change.
    pub goes_on: Option<watch::Receiver<Option<tokio::time::Instant>>>,
    /// Deadline of one call, and of one attempt to connect.
    pub deadline: Duration,
    /// Stop at this many calls.
    pub ops_max: Option<u64>,
    /// Most clients for each node that join hanging ones.
    pub joining: u32,
    /// Least calls a second on each node while some of its clients hang.
    pub asked_per_node: f64,
    /// Options for the clients ([`Endpoint::options`]).
    pub client_options: BTreeMap<String, String>,
}

impl DriverOptions {
    /// The position of the node that one of the plan's clients is bound to now: the leader's, if the client follows a known
    /// one; else `stays`, where it is.
    pub(super) fn home(&self, client: u32, stays: usize) -> usize {
        let first = client as usize % self.nodes.len().max(1);
        let follows = client >= self.clients.saturating_sub(self.on_leader.clients) && client < self.clients;
        if follows { self.on_leader.position(first, &self.nodes).unwrap_or(stays) } else { stays }
    }

    /// Workers in all: the plan's clients and all that may join. Their numbers are below this.
    pub fn workers(&self) -> u32 {
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.clients.saturating_add(self.joining.saturating_mul(nodes))
    }
}

/// The reason for the end of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The time was up.
    TimeUp,
    /// [`DriverOptions::ops_max`] calls were made.
    OpsMax,
    /// No workload had another call.
    Done,
    /// The stop signal came.
    Signal,
    /// Recording failed. Holds the reason.
    Recorder(String),
    /// Every function failed by permanent errors: a mistake of the plan, the recipe or the client. Holds the sentence.
    PermanentErrors(String),
}

/// The outcome of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverSummary {
    /// Calls recorded.
    pub calls: u64,
    /// Calls that failed because no client could be opened.
    pub not_connected: u64,
    /// Every process id used so far is below this.
    pub next_process: u64,
    /// The reason for its end.
    pub stopped: StopReason,
    /// Failures of the harness or of a client library (panics, workers that did not end), one sentence each.
    pub harness: Vec<String>,
}

/// One load.
pub struct Driver {
    /// The recorder.
    pub recorder: Arc<Recorder>,
    /// Opens the clients.
    pub connect: Arc<dyn Connect>,
    /// The workloads.
    pub workloads: Vec<Arc<dyn Workload>>,
    /// The options.
    pub options: DriverOptions,
}

impl Driver {
    /// Runs the load until its end or until `stop` turns true, then waits for the calls in flight. Records the phases
    /// load and drain. Needs a tokio runtime with time.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> DriverSummary {
        self.recorder.phase(Phase::Load);
        let begun = tokio::time::Instant::now();
        let (time, goes_on) = (self.options.time, self.options.goes_on.clone());
        let shared = Arc::new(Shared::new(self));
        let (mut workers, mut teams) = (JoinSet::new(), JoinSet::new());
        if !shared.options.nodes.is_empty() {
            for index in 0..shared.options.clients {
                workers.spawn(Worker::new(shared.clone(), index).run());
            }
            for team in Shared::teams(&shared) {
                teams.spawn(team.run());
            }
        }
        let mut watch = tokio::time::interval(WATCH_EVERY);
        while !shared.halted() {
            // The watch wakes this loop often enough for a time that changes.
            let later = goes_on.as_ref().and_then(|goes_on| *goes_on.borrow());
            let time_up = later.map_or(begun + time, |later| later.max(begun + time));
            tokio::select! {
                () = tokio::time::sleep_until(time_up) => shared.halt(StopReason::TimeUp),
                () = turned_true(&mut stop) => shared.halt(StopReason::Signal),
                _ = watch.tick() => shared.look(begun),
                joined = workers.join_next() => match joined {
                    Some(joined) => shared.joined(joined),
                    None => shared.halt(StopReason::Done),
                },
            }
        }
        shared.recorder.phase(Phase::Drain);
        tokio::join!(shared.drain(workers), shared.drain(teams));
        shared.close_left().await;
        shared.summary()
    }
}

/// Waits until the signal is true; for ever if its sender is gone.
pub(super) async fn turned_true(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The shared state of the workers of one load.
struct Shared {
    recorder: Arc<Recorder>,
    connect: Arc<dyn Connect>,
    workloads: Vec<Arc<dyn Workload>>,
    options: DriverOptions,
    backoffs: Vec<Backoff>,
    halted: AtomicBool,
    halt: watch::Sender<bool>,
    /// The clients of workers that left at the end of the load. They stay open until the last call has its reply.
    left: Mutex<Vec<Box<dyn Client>>>,
    stopped: Mutex<Option<StopReason>>,
    tickets: AtomicU64,
    /// Calls recorded before this load.
    calls_before: u64,
    start: Instant,
    /// Workers in all.
    workers: u32,
    /// Parts of the calls that the workloads have.
    parts: Vec<Part>,
    /// How long one part of the calls on a node may stand still before a client joins.
    gap: Duration,
    loads: Vec<NodeActivity>,
    /// The time since which each of the plan's clients waits.
    busy: Vec<StartTime>,
    /// The node on which each of the plan's clients is.
    places: Vec<AtomicUsize>,
    not_connected: AtomicU64,
    process_max: AtomicU64,
    harness: Mutex<Vec<String>>,
    first_calls: FirstCalls,
}

impl Shared {
    fn new(driver: Driver) -> Shared {
        let Driver { recorder, connect, workloads, options } = driver;
        let (workers, nodes) = (options.workers(), options.nodes.len().max(1));
        // The parts of a workload do not depend on the worker.
        let has = |part: &Part| Turns::of_part(&workloads, *part, options.seed, 0, workers).is_some();
        let parts: Vec<Part> = Part::ALL.into_iter().filter(has).collect();
        Shared {
            start: Instant::now(),
            workers,
            gap: joining::gap(options.asked_per_node, parts.len()),
            parts,
            loads: NodeActivity::of(&options.nodes),
            busy: (0..options.clients).map(|_| StartTime::default()).collect(),
            places: (0..options.clients)
                .map(|client| AtomicUsize::new(options.home(client, client as usize % nodes)))
                .collect(),
            backoffs: options.nodes.iter().map(|_| Backoff::default()).collect(),
            halted: AtomicBool::new(false),
            halt: watch::Sender::new(false),
            left: Mutex::new(Vec::new()),
            stopped: Mutex::new(None),
            tickets: AtomicU64::new(0),
            calls_before: recorder.counters().calls(),
            not_connected: AtomicU64::new(0),
            process_max: AtomicU64::new(u64::from(options.clients).saturating_sub(1)),
            harness: Mutex::new(Vec::new()),
            first_calls: FirstCalls::default(),
            recorder,
            connect,
            workloads,
            options,
        }
    }

    /// The joining clients, for each node and each part of the calls.
    fn teams(shared: &Arc<Shared>) -> Vec<JoiningClients> {
        let (joining, parts) = (shared.options.joining, shared.parts.len() as u32);
        let mut teams = Vec::new();
        if shared.gap == Duration::MAX || joining == 0 {
            return teams;
        }
        for node in 0..shared.options.nodes.len() {
            let first = shared.options.clients + node as u32 * joining;
            for (position, part) in shared.parts.iter().enumerate() {
                let position = position as u32;
                let seats = first + joining * position / parts..first + joining * (position + 1) / parts;
                teams.push(JoiningClients { shared: shared.clone(), node, part: *part, seats });
            }
        }
        teams
    }

    /// Ends a load that cannot be recorded, or whose calls all fail by permanent errors.
    fn look(&self, begun: tokio::time::Instant) {
        if let Some(why) = self.recorder.failure() {
            self.halt(StopReason::Recorder(why));
        } else if let Some(sentence) = self.first_calls.permanent_error(begun.elapsed()) {
            self.halt(StopReason::PermanentErrors(sentence));
        }
    }

    fn halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// Ends the load: no new calls. The first reason is kept.
    fn halt(&self, why: StopReason) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.halted.store(true, Ordering::Release);
        self.halt.send_replace(true);
    }

    /// Whether one more call may be made.
    fn ticket(&self) -> bool {
        let Some(ops_max) = self.options.ops_max else { return true };
        self.tickets.fetch_add(1, Ordering::Relaxed) < ops_max
    }

    /// Keeps a failure of the harness or of a client library.
    fn trouble(&self, node: &str, text: String) {
        self.recorder.note(node, &text);
        self.harness.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn joined(&self, joined: Result<(), tokio::task::JoinError>) {
        if let Err(error) = joined
            && !error.is_cancelled()
        {
            self.trouble("", format!("a worker of the driver panicked; its last call may still be open: {error}"));
        }
    }

    /// Waits for the workers. Each call in flight has its deadline; a worker that far exceeds it hangs in its client.
    async fn drain(&self, mut workers: JoinSet<()>) {
        let patience = self.options.deadline + DRAIN_GRACE;
        let home = async {
            while let Some(joined) = workers.join_next().await {
                self.joined(joined);
            }
        };
        if tokio::time::timeout(patience, home).await.is_err() {
            let left = workers.len();
            workers.abort_all();
            workers.detach_all();
            self.trouble("", format!("{left} workers did not come home within {patience:?}; their calls stay open"));
        }
    }

    /// Closes the clients of workers that left.
    async fn close_left(&self) {
        let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
        let mut closing: JoinSet<()> = left.into_iter().map(worker::close).collect();
        while closing.join_next().await.is_some() {}
    }

    fn summary(&self) -> DriverSummary {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        DriverSummary {
            calls: self.recorder.counters().calls() - self.calls_before,
            not_connected: self.not_connected.load(Ordering::Acquire),
            next_process: self.process_max.load(Ordering::Acquire) + 1,
            stopped: stopped.unwrap_or(StopReason::Done),
            harness: self.harness.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The options of a short load of these nodes.
    pub(in crate::run) fn options(nodes: &[&str], clients: u32) -> DriverOptions {
        let node =
            |name: &&str| NodeEndpoint { name: Arc::from(*name), address: String::new(), ports: BTreeMap::new() };
        DriverOptions {
            seed: 1,
            nodes: nodes.iter().map(node).collect(),
            clients,
            on_leader: OnLeader::default(),
            rate: None,
            time: Duration::from_secs(1),
            goes_on: None,
            deadline: Duration::from_millis(50),
            ops_max: None,
            joining: 0,
            asked_per_node: 0.0,
            client_options: BTreeMap::new(),
        }
    }
}
