//! The settle phase: the final reads of every workload, on every node, each repeated until it is Ok or time is up.
//!
//! Through fresh clients and processes. Never: taking a read that failed for an answer; what was never read is named.
use super::driver::{Backoff, NodeEndpoint, call_once, connect_once, discard, turned_true};
use super::recorder::Recorder;
use dsfuzz_chance::Chance;
use dsfuzz_checkers::Phase;
use dsfuzz_workloads::{Answer, Call, Client, Connect, Terms, Workload};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How the settle phase runs.
#[derive(Clone, Debug)]
pub struct SettleOptions {
    /// The seed of the run.
    pub seed: u64,
    /// The nodes to read from.
    pub nodes: Vec<NodeEndpoint>,
    /// Deadline of the phase.
    pub time: Duration,
    /// Deadline of one call, and of one attempt to connect.
    pub deadline: Duration,
    /// The first worker number to use: the number of the load's clients. Each node gets a worker.
    pub first_worker: u32,
    /// The first process to use: [`super::driver::DriverSummary::next_process`].
    pub first_process: u64,
    /// Options for the clients.
    pub client_options: BTreeMap<String, String>,
}

/// A final read that never succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The node.
    pub node: Arc<str>,
    /// The read.
    pub call: Call,
    /// Its last error; empty where its turn never came.
    pub error: Arc<str>,
}

/// What the settle phase was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettleSummary {
    /// Final reads that succeeded.
    pub ok: u64,
    /// Those that never did.
    pub missed: Vec<Missed>,
    /// What went wrong in the harness or a client library, one sentence each.
    pub harness: Vec<String>,
}

/// Makes the final reads until all are Ok, the time is up or `stop` turns true. Records the phase.
pub async fn settle(
    recorder: Arc<Recorder>,
    connect: Arc<dyn Connect>,
    workloads: &[Arc<dyn Workload>],
    options: SettleOptions,
    stop: watch::Receiver<bool>,
) -> SettleSummary {
    recorder.phase(Phase::Settle);
    let calls: VecDeque<Call> = workloads.iter().flat_map(|workload| workload.settle()).collect();
    let end = Instant::now() + options.time;
    let options = Arc::new(options);
    let mut nodes = JoinSet::new();
    for position in 0..options.nodes.len() {
        let reader = Reader {
            recorder: recorder.clone(),
            connect: connect.clone(),
            worker: options.first_worker + position as u32,
            process: options.first_process + position as u64,
            position,
            client: None,
            backoff: Backoff::default(),
            chance: Chance::new(options.seed, "settle", position as u64),
            summary: SettleSummary::default(),
            options: options.clone(),
        };
        nodes.spawn(reader.run(calls.clone(), end, stop.clone()));
    }
    let mut summary = SettleSummary::default();
    while let Some(joined) = nodes.join_next().await {
        match joined {
            Ok(node) => summary.join(node),
            Err(error) => summary.harness.push(format!("a reader of the settle phase panicked: {error}")),
        }
    }
    summary
}

impl SettleSummary {
    fn join(&mut self, other: SettleSummary) {
        self.ok += other.ok;
        self.missed.extend(other.missed);
        self.harness.extend(other.harness);
    }
}

/// The final reads of one node.
struct Reader {
    recorder: Arc<Recorder>,
    connect: Arc<dyn Connect>,
    options: Arc<SettleOptions>,
    worker: u32,
    process: u64,
    position: usize,
    client: Option<Box<dyn Client>>,
    backoff: Backoff,
    chance: Chance,
    summary: SettleSummary,
}

impl Reader {
    async fn run(mut self, calls: VecDeque<Call>, end: Instant, mut stop: watch::Receiver<bool>) -> SettleSummary {
        let mut left: VecDeque<(Call, Arc<str>)> = calls.into_iter().map(|call| (call, Arc::from(""))).collect();
        while let Some((call, error)) = left.pop_front() {
            if Instant::now() >= end || *stop.borrow() || self.recorder.failed() {
                left.push_front((call, error));
                break;
            }
            let Some(error) = self.read(&call, end).await else { continue };
            // The others get their turn before this one comes again: one stuck key must not hide the rest.
            left.push_back((call, error));
            let pause = self.backoff.trouble(&mut self.chance);
            tokio::select! {
                () = tokio::time::sleep_until(end.min(Instant::now() + pause)) => {}
                () = turned_true(&mut stop) => {}
            }
        }
        if let Some(client) = self.client.take() {
            let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
        }
        let node = &self.options.nodes[self.position].name;
        let missed = left.into_iter().map(|(call, error)| Missed { node: node.clone(), call, error });
        self.summary.missed.extend(missed);
        self.summary
    }

    /// One attempt; none when it was Ok, else why not.
    async fn read(&mut self, call: &Call, end: Instant) -> Option<Arc<str>> {
        let node = &self.options.nodes[self.position];
        let deadline = self.options.deadline.min(end.saturating_duration_since(Instant::now()));
        let terms = Terms { deadline, settle: true };
        let opened = match self.client.take() {
            Some(client) => Ok(client),
            None => {
                let endpoint = node.endpoint(self.process, &self.options.client_options, terms);
                connect_once(&*self.connect, endpoint, deadline).await
            }
        };
        if self.recorder.invoke(self.worker, self.process, &node.name, call, true).is_none() {
            return Some(Arc::from("it could not be recorded"));
        }
        let mut client = match opened {
            Ok(client) => client,
            Err(error) => {
                let answer = Answer::fail(format!("not connected: {error}"));
                self.recorder.complete(self.process, &answer.clone().into());
                return why(answer);
            }
        };
        let (response, told) = call_once(&mut *client, call, terms).await;
        self.recorder.complete(self.process, &response);
        let answer = response.answer;
        if let Some(told) = told {
            self.recorder.note(&node.name, &told);
            self.summary.harness.push(told);
        }
        match answer {
            Answer::Ok(_) => {
                self.backoff.answered();
                self.summary.ok += 1;
                self.client = Some(client);
            }
            // A read may fail because its connection broke: the next attempt gets a new one.
            Answer::Fail(_) => discard(Some(client)),
            Answer::Info(_) => {
                discard(Some(client));
                self.process += self.options.nodes.len() as u64;
            }
        }
        why(answer)
    }
}

fn why(answer: Answer) -> Option<Arc<str>> {
    match answer {
        Answer::Ok(_) => None,
        Answer::Fail(why) | Answer::Info(why) => Some(why),
    }
}
