//! Clients that join hanging clients of a node, so that the node is called throughout every fault.
//!
//! A hanging call keeps its client until the deadline, so that a paused leader would stop a load with few clients. Calls have
//! two parts, reads and all others, since hanging writes must not stop the reads. While some client of a node waits longer than
//! [`Shared::gap`], and no call of a part began for as long, one more client makes one call of that part. Their number is
//! bounded for each node. Each is a separate worker with its own stream and processes, so that the streams of the plan's
//! clients do not change.
//!
//! Never: calls beyond the plan's rate while no client hangs, or on a node without a client of the plan.
use super::worker::Worker;
use super::{NodeEndpoint, Shared, turned_true};
use dsfuzz_workloads::Part;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Clients of a node that may be opening at once: slowly starting programs must not overload the control node.
const OPENING_MAX: usize = 4;
/// Idle time after which a client is closed.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// Calls come more often than asked, so that late timers of a busy machine still reach the number.
const EARLY: f64 = 0.75;

/// The start of an activity, in nanoseconds since the begin of the load; 0: not active.
#[derive(Debug, Default)]
pub(super) struct StartTime(AtomicU64);

impl StartTime {
    pub(super) fn set(&self, start: Instant) {
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos.max(1), Ordering::Release);
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// The time since the start, if active.
    fn ago(&self, start: Instant) -> Option<Duration> {
        let since = Some(self.0.load(Ordering::Acquire)).filter(|since| *since != 0)?;
        Some(start.elapsed().saturating_sub(Duration::from_nanos(since)))
    }
}

/// The activity on one node.
#[derive(Debug)]
pub(super) struct NodeActivity {
    /// The begin of the last read, and of the last other call.
    begun: [StartTime; 2],
    opening: Arc<Semaphore>,
}

impl NodeActivity {
    pub(super) fn of(nodes: &[NodeEndpoint]) -> Vec<NodeActivity> {
        let one = |_| NodeActivity { begun: Default::default(), opening: Arc::new(Semaphore::new(OPENING_MAX)) };
        nodes.iter().map(one).collect()
    }

    /// A call of this function began.
    pub(super) fn began(&self, function: &str, start: Instant) {
        self.begun[place(Part::of(function))].set(start);
    }
}

fn place(part: Part) -> usize {
    match part {
        Part::Reads => 0,
        Part::Others => 1,
    }
}

/// The gap between two calls of a part on a node, for `asked` calls a second of `parts` parts.
pub(super) fn gap(asked: f64, parts: usize) -> Duration {
    let seconds = if asked > 0.0 { EARLY * parts.max(1) as f64 / asked } else { f64::INFINITY };
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// The clients that join on one node, for one part of the calls.
pub(super) struct JoiningClients {
    pub(super) shared: Arc<Shared>,
    pub(super) node: usize,
    pub(super) part: Part,
    /// Numbers of its workers.
    pub(super) seats: std::ops::Range<u32>,
}

impl JoiningClients {
    /// Watches over the node until the load ends, then waits for its own calls.
    pub(super) async fn run(mut self) {
        let shared = self.shared.clone();
        let (mut halt, gap) = (shared.halt.subscribe(), shared.gap);
        let mut idle: Vec<(Instant, Worker)> = Vec::new();
        let mut calling: JoinSet<Worker> = JoinSet::new();
        let mut last = shared.start;
        while !shared.halted() {
            let due = [self.begun_ago(), Some(last.elapsed())].into_iter().flatten().min();
            let pause = gap.saturating_sub(due.unwrap_or(gap)).max(gap / 8);
            if due.is_none_or(|due| due >= gap) && shared.hangs(self.node) {
                last = Instant::now();
                self.one_more(&mut idle, &mut calling);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = turned_true(&mut halt) => {}
                Some(back) = calling.join_next() => shared.back(back, &mut idle),
            }
            let unused = |(since, worker): &(Instant, Worker)| since.elapsed() > IDLE_MAX && worker.is_open();
            let position = idle.iter().position(unused);
            if let Some((_, worker)) = position.map(|position| idle.remove(position)) {
                // A program that does not end must not block the watch.
                calling.spawn(worker.closed());
            }
        }
        while let Some(back) = calling.join_next().await {
            shared.back(back, &mut idle);
        }
        for (_, worker) in idle {
            worker.leave().await;
        }
    }

    fn begun_ago(&self) -> Option<Duration> {
        self.shared.loads[self.node].begun[place(self.part)].ago(self.shared.start)
    }

    /// Lets one client call once: an idle one, else a new one if seats and openings are left.
    fn one_more(&mut self, idle: &mut Vec<(Instant, Worker)>, calling: &mut JoinSet<Worker>) {
        let worker = idle.pop().map(|(_, worker)| worker);
        let Some(worker) = worker.or_else(|| {
            let seat = self.seats.next()?;
            Some(Worker::joining(self.shared.clone(), seat, self.node, self.part))
        }) else {
            return;
        };
        if worker.is_open() {
            calling.spawn(worker.once(None));
            return;
        }
        match self.shared.loads[self.node].opening.clone().try_acquire_owned() {
            Ok(permit) => drop(calling.spawn(worker.once(Some(permit)))),
            Err(_) => idle.push((Instant::now(), worker)),
        }
    }
}

impl Shared {
    /// Whether a client of the plan on this node has been waiting for longer than the gap: for an answer, for a connection, or
    /// after a failure.
    fn hangs(&self, node: usize) -> bool {
        let mut clients = self.busy.iter().zip(&self.places);
        let waits = |busy: &StartTime| busy.ago(self.start).is_some_and(|ago| ago > self.gap);
        clients.any(|(busy, place)| place.load(Ordering::Relaxed) == node && waits(busy))
    }

    fn back(&self, back: Result<Worker, tokio::task::JoinError>, idle: &mut Vec<(Instant, Worker)>) {
        match back {
            // The last one calls next, so that an open client comes first.
            Ok(worker) if worker.is_open() => idle.push((Instant::now(), worker)),
            Ok(worker) => idle.insert(0, (Instant::now(), worker)),
            Err(error) => self.joined(Err(error)),
        }
    }
}
