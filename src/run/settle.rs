//! The settle phase: the final reads of every workload, by the mode that the plan or the recipe chooses.
//!
//! Reads use fresh clients and processes. A read without an effect is repeated until it is Ok or time is up. If each node
//! answers for itself and two answers differ, both nodes are read again until they agree or stand still (`confirm`). A read
//! whose error is permanent is given up after a time. Never: takes a failed read for an answer, or repeats a read with an effect
//! whose outcome is unknown.
mod confirm;
mod reader;
mod summary;

pub use summary::{Missed, SettleSummary};

use super::driver::NodeEndpoint;
use super::recorder::Recorder;
use super::roles::Leaders;
use dsfuzz_checkers::{FinalReads, Phase};
use dsfuzz_workloads::{Call, Connect, FinalCall, Workload};
use reader::{ReadOutcome, Reader};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Time before the leader is looked up again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Options of the settle phase.
#[derive(Clone, Debug)]
pub struct SettleOptions {
    /// The seed of the run.
    pub seed: u64,
    /// The nodes to read from.
    pub nodes: Vec<NodeEndpoint>,
    /// The nodes that must answer, and the number of reads of each, where a call does not demand another mode.
    pub mode: FinalReads,
    /// Only the leader must answer ([`crate::targets::recipe::Authority`]); another node may refuse.
    pub authority: bool,
    /// The known leaders.
    pub leaders: Leaders,
    /// Codes of errors by which a node refuses to be read at all.
    pub refusals: Vec<String>,
    /// Deadline of the phase.
    pub time: Duration,
    /// Deadline of one call, and of one attempt to connect if the client has none.
    pub deadline: Duration,
    /// How long nodes that answer differently are read again without a change: the checkers' `standstill`.
    pub standstill: Duration,
    /// The first worker number to use: the number of the load's clients. Each node gets a worker.
    pub first_worker: u32,
    /// The first process to use: [`super::driver::DriverSummary::next_process`].
    pub first_process: u64,
    /// Options for the clients.
    pub client_options: BTreeMap<String, String>,
}

/// Makes the final reads until the mode is satisfied, the time is up or `stop` turns true. Records the phase.
pub async fn settle(
    recorder: Arc<Recorder>,
    connect: Arc<dyn Connect>,
    workloads: &[Arc<dyn Workload>],
    options: SettleOptions,
    stop: watch::Receiver<bool>,
) -> SettleSummary {
    recorder.phase(Phase::Settle);
    let end = Instant::now() + options.time;
    let mut modes: Vec<(FinalReads, Vec<Call>)> = vec![(options.mode, Vec::new())];
    let mut before = Vec::new();
    for FinalCall { call, mode, before: first } in workloads.iter().flat_map(|workload| workload.settle()) {
        before.extend(first.map(|first| (call.clone(), first)));
        let mode = mode.unwrap_or(options.mode);
        match modes.iter_mut().find(|(known, _)| *known == mode) {
            Some((_, calls)) => calls.push(call),
            None => modes.push((mode, vec![call])),
        }
    }
    let before: Arc<[(Call, Call)]> = before.into();
    let mut summary = SettleSummary::default();
    summary.next_process = options.first_process;
    for (mode, calls) in modes.into_iter().filter(|(_, calls)| !calls.is_empty()) {
        let settling = SharedSettle {
            end,
            answered: Arc::new(Mutex::new(HashSet::new())),
            options: Arc::new(SettleOptions { mode, first_process: summary.next_process, ..options.clone() }),
            recorder: recorder.clone(),
            connect: connect.clone(),
            before: before.clone(),
            stop: stop.clone(),
        };
        summary.join(match mode {
            FinalReads::EachNode | FinalReads::AnyNode => settling.side_by_side(calls).await,
            FinalReads::Leader => settling.at_the_leader(calls).await,
            FinalReads::Once | FinalReads::UntilEmpty => settling.one_after_the_other(calls).await,
        });
    }
    summary
}

/// Calls that a node never answered: position, call, last error.
type UnansweredCalls = VecDeque<(usize, Call, Arc<str>)>;

/// The shared state of all readers.
#[derive(Clone)]
struct SharedSettle {
    recorder: Arc<Recorder>,
    connect: Arc<dyn Connect>,
    /// Calls, each with the one that a client makes once before it.
    before: Arc<[(Call, Call)]>,
    options: Arc<SettleOptions>,
    end: Instant,
    stop: watch::Receiver<bool>,
    /// Positions of the calls that some node has answered.
    answered: Arc<Mutex<HashSet<usize>>>,
}

impl SharedSettle {
    fn over(&self) -> bool {
        Instant::now() >= self.end || *self.stop.borrow() || self.recorder.failed()
    }

    fn is_answered(&self, place: usize) -> bool {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).contains(&place)
    }

    fn leads(&self, position: usize) -> bool {
        self.options.leaders.borrow().now.iter().any(|leader| **leader == *self.options.nodes[position].name)
    }

    /// All nodes in parallel, each its own reads.
    async fn side_by_side(self, calls: Vec<Call>) -> SettleSummary {
        let mut nodes = JoinSet::new();
        for position in 0..self.options.nodes.len() {
            nodes.spawn(self.clone().node(position, calls.clone()));
        }
        let mut summary = SettleSummary::default();
        let mut readers = confirm::joined(nodes, &mut summary).await;
        if self.options.mode == FinalReads::EachNode {
            readers = self.confirm(readers, &calls, &mut summary).await;
        }
        for (reader, left) in readers {
            summary.join(reader.finish(left).await);
        }
        let any = self.options.mode == FinalReads::AnyNode;
        summary.missed.retain(|missed| !(any && self.is_answered(missed.place)));
        summary
    }

    /// The reads of one node, and those that were never answered.
    async fn node(self, position: usize, calls: Vec<Call>) -> (Reader, UnansweredCalls) {
        let mut reader = Reader::new(self.clone(), position);
        let mut left: UnansweredCalls =
            calls.into_iter().enumerate().map(|(place, call)| (place, call, Arc::from(""))).collect();
        let any = self.options.mode == FinalReads::AnyNode;
        let (mut refused, mut given_up) = (Vec::new(), Vec::new());
        while let Some((place, call, error)) = left.pop_front() {
            // Every node is asked at least once; after that, one answer is enough in the mode `any-node`.
            let enough = any && !error.is_empty() && self.is_answered(place);
            if enough {
                continue;
            }
            if self.over() {
                left.push_front((place, call, error));
                break;
            }
            let error = match reader.read(place, &call).await {
                ReadOutcome::Answered(answer) => {
                    reader.answers.insert(place, answer.digest);
                    self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
                    continue;
                }
                // A node that refuses to be read is not asked again if another one may answer.
                ReadOutcome::Refused(why) if any || (self.options.authority && !self.leads(position)) => {
                    refused.push((place, call, why));
                    continue;
                }
                ReadOutcome::Refused(why) | ReadOutcome::Failed(why) | ReadOutcome::Unknown(why) => why,
            };
            if reader.gives_up(place) {
                given_up.push((place, call, error));
                continue;
            }
            // The other keys get their turn first, so that one stuck key does not hide them.
            left.push_back((place, call, error));
            reader.pause().await;
        }
        if any {
            // Missing only if no other node answered either.
            left.extend(refused);
        }
        left.extend(given_up);
        (reader, left)
    }

    /// The leader of the moment.
    async fn at_the_leader(self, calls: Vec<Call>) -> SettleSummary {
        let mut readers: Vec<Reader> =
            (0..self.options.nodes.len()).map(|position| Reader::new(self.clone(), position)).collect();
        let mut left: VecDeque<(usize, Call, Arc<str>)> =
            calls.into_iter().enumerate().map(|(place, call)| (place, call, Arc::from("no node led"))).collect();
        let mut last = 0;
        while let Some((place, call, error)) = left.pop_front() {
            if self.over() {
                left.push_front((place, call, error));
                break;
            }
            let leader = (0..readers.len()).find(|position| self.leads(*position));
            let Some(position) = leader else {
                left.push_front((place, call, error));
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            };
            last = position;
            if let ReadOutcome::Refused(why) | ReadOutcome::Failed(why) | ReadOutcome::Unknown(why) =
                readers[position].read(place, &call).await
            {
                left.push_back((place, call, why));
                readers[position].pause().await;
            }
        }
        let mut summary = SettleSummary::default();
        for (position, reader) in readers.into_iter().enumerate() {
            let left = if position == last { std::mem::take(&mut left) } else { VecDeque::new() };
            summary.join(reader.finish(left).await);
        }
        summary
    }

    /// One node after the other: each read may take what it returns.
    async fn one_after_the_other(self, calls: Vec<Call>) -> SettleSummary {
        let mut readers: Vec<Reader> =
            (0..self.options.nodes.len()).map(|position| Reader::new(self.clone(), position)).collect();
        let mut open: VecDeque<(usize, Call, Arc<str>)> =
            calls.into_iter().enumerate().map(|(place, call)| (place, call, Arc::from(""))).collect();
        let mut given_up = vec![VecDeque::new(); readers.len()];
        while !open.is_empty() && !readers.is_empty() {
            for (reader, given_up) in readers.iter_mut().zip(&mut given_up) {
                for (place, call, error) in std::mem::take(&mut open) {
                    if self.over() {
                        given_up.push_back((place, call, error));
                        continue;
                    }
                    match self.drain(reader, place, &call).await {
                        ReadsOutcome::Once => {}
                        ReadsOutcome::Empty => {
                            self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(place);
                            open.push_back((place, call, Arc::from("")));
                        }
                        ReadsOutcome::No(why) => open.push_back((place, call, why)),
                        ReadsOutcome::GivenUp(why) => given_up.push_back((place, call, why)),
                    }
                }
            }
            // A read to the end is done; a read that certainly had no effect anywhere is tried again.
            open.retain(|(place, ..)| !self.is_answered(*place));
            let (wrong, rest) =
                open.into_iter().partition(|(place, ..)| readers.iter().all(|reader| reader.gives_up(*place)));
            open = rest;
            given_up[0].extend::<UnansweredCalls>(wrong);
            if !open.is_empty() {
                readers[0].pause().await;
            }
        }
        let mut summary = SettleSummary::default();
        for (reader, left) in readers.into_iter().zip(given_up) {
            summary.join(reader.finish(left).await);
        }
        summary
    }

    /// Reads at one node: once, or until it is empty. Repeated only after an answer, or after an end that certainly had no
    /// effect.
    async fn drain(&self, reader: &mut Reader, place: usize, call: &Call) -> ReadsOutcome {
        loop {
            match reader.read(place, call).await {
                ReadOutcome::Answered(_) if self.options.mode == FinalReads::Once => return ReadsOutcome::Once,
                ReadOutcome::Answered(answer) if answer.empty => return ReadsOutcome::Empty,
                ReadOutcome::Answered(_) => {}
                // The read may have removed an element: a repetition may return less.
                ReadOutcome::Unknown(why) => return ReadsOutcome::GivenUp(why),
                // The next node gets its turn.
                ReadOutcome::Refused(why) | ReadOutcome::Failed(why) => return ReadsOutcome::No(why),
            }
            if self.over() {
                return ReadsOutcome::GivenUp(Arc::from("it was not read to its end"));
            }
        }
    }
}

/// The outcome of the reads of one call at one node.
enum ReadsOutcome {
    Once,
    Empty,
    No(Arc<str>),
    /// It is not asked again.
    GivenUp(Arc<str>),
}
