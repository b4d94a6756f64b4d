//! [`Worker`]: makes one call after the other, through one client at a time. It stays on its node unless its workload moves it
//! or it follows the leader.
use super::rate_limiter::RateLimiter;
use super::turns::Turns;
use super::{NodeEndpoint, Shared, StopReason, call_once, connect_once, discard};
use dsfuzz_rng::Rng;
use dsfuzz_workloads::{Call, CallResponse, CallResult, Client, Next, Part, Terms};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Immediate answers in a row before other tasks get their turn.
const QUICK_ANSWERS_MAX: u32 = 64;
/// Fails in a row after which the client may be broken: it is reopened after a pause, unless what it holds would go with it.
const FAILS_IN_A_ROW_MAX: u32 = 16;
/// Time before a generator without a call is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(5);
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    shared: Arc<Shared>,
    halt: watch::Receiver<bool>,
    index: u32,
    /// The node that it is bound to.
    home: usize,
    /// The node of its client.
    node: usize,
    process: u64,
    client: Option<Box<dyn Client>>,
    turns: Turns,
    pace: Option<RateLimiter>,
    rng: Rng,
    fails_in_a_row: u32,
    /// Whether its process has made a call.
    has_called: bool,
    /// Whether it is one of the plan's clients, not a joining one.
    own: bool,
}

impl Worker {
    /// A worker for one of the plan's clients.
    pub(super) fn new(shared: Arc<Shared>, index: u32) -> Worker {
        let options = &shared.options;
        let turns = Turns::new(&shared.workloads, options.seed, index, shared.workers);
        let pace = RateLimiter::new(options.seed, index, options.clients, options.rate, Instant::now());
        let node = options.home(index, index as usize % options.nodes.len());
        Worker { pace, own: true, ..Worker::with(shared, index, node, turns) }
    }

    /// A worker that joins others on a node, for calls of one part.
    pub(super) fn joining(shared: Arc<Shared>, index: u32, node: usize, part: Part) -> Worker {
        let turns = Turns::of_part(&shared.workloads, part, shared.options.seed, index, shared.workers);
        let turns = turns.unwrap_or_else(|| Turns::new(&[], shared.options.seed, index, shared.workers));
        Worker::with(shared, index, node, turns)
    }

    fn with(shared: Arc<Shared>, index: u32, node: usize, turns: Turns) -> Worker {
        Worker {
            halt: shared.halt.subscribe(),
            index,
            home: node,
            node,
            process: u64::from(index),
            client: None,
            turns,
            pace: None,
            rng: Rng::new(shared.options.seed, "backoff", u64::from(index)),
            fails_in_a_row: 0,
            has_called: false,
            own: false,
            shared,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.client.is_some()
    }

    /// Closes its idle client.
    pub(super) async fn closed(mut self) -> Worker {
        if let Some(client) = self.client.take() {
            close(client).await;
        }
        self
    }

    /// One call of a joining client. The permit to open a client is returned once it is open.
    pub(super) async fn once(mut self, permit: Option<OwnedSemaphorePermit>) -> Worker {
        let refused = match &self.client {
            Some(_) => None,
            None => match self.open().await {
                Some(refused) => refused,
                None => return self,
            },
        };
        drop(permit);
        if let Next::Call(call) = self.turns.next()
            && !self.shared.halted()
            && self.begin(&call)
        {
            match refused {
                Some(why) => self.not_connected(&call, &why).await,
                None => self.make(&call).await,
            }
        }
        self
    }

    pub(super) async fn run(mut self) {
        let mut quick = 0;
        while !self.shared.halted() && self.due().await {
            self.move_on().await;
            self.busy();
            let refused = match &self.client {
                Some(_) => None,
                None => match self.open().await {
                    Some(refused) => refused,
                    None => break,
                },
            };
            let call = match self.turns.next() {
                Next::Call(call) => call,
                Next::Wait => {
                    self.rest(ASK_AGAIN).await;
                    continue;
                }
                Next::Done => break,
            };
            if !self.begin(&call) {
                break;
            }
            match refused {
                Some(why) => self.not_connected(&call, &why).await,
                None => self.make(&call).await,
            }
            quick += 1;
            if quick == QUICK_ANSWERS_MAX {
                quick = 0;
                tokio::task::yield_now().await;
            }
        }
        self.free();
        self.leave().await;
    }

    /// Moves to the node of the next call: with its process where its workload moves it, as a new process where it follows the
    /// leader.
    async fn move_on(&mut self) {
        let moved = self.turns.moved() as usize;
        let home = if self.own { self.shared.options.home(self.index, self.home) } else { self.home };
        let node = (home + moved) % self.shared.options.nodes.len();
        // A client that holds a lock stays until it is free.
        if node == self.node || self.turns.hold() {
            return;
        }
        if home != self.home && self.has_called {
            self.retire();
            self.turns.replaced();
        }
        (self.home, self.node) = (home, node);
        if let Some(place) = self.shared.places.get(self.index as usize).filter(|_| self.own) {
            place.store(node, Ordering::Relaxed);
        }
        if let Some(client) = self.client.take() {
            close(client).await;
        }
    }

    /// Marks the begin of a wait: for a connection, an answer, or the end of a pause.
    fn busy(&self) {
        if let Some(busy) = self.shared.busy.get(self.index as usize).filter(|_| self.own) {
            busy.set(self.shared.start);
        }
    }

    /// Marks the end of a wait.
    fn free(&self) {
        if let Some(busy) = self.shared.busy.get(self.index as usize).filter(|_| self.own) {
            busy.clear();
        }
    }

    /// Waits until the next call is due; false if no call follows.
    async fn due(&mut self) -> bool {
        self.free();
        let Some(pace) = &mut self.pace else { return true };
        let now = Instant::now();
        let due = pace.next(now);
        due <= now || self.rest(due - now).await
    }

    /// Pauses; false if the load ended meanwhile.
    async fn rest(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => !self.shared.halted(),
            () = super::turned_true(&mut self.halt) => false,
        }
    }

    /// Opens a client, or returns the error; none if the load ended meanwhile.
    async fn open(&mut self) -> Option<Option<String>> {
        let shared = self.shared.clone();
        let endpoint = self.endpoint().endpoint(self.process, &shared.options.client_options, self.terms());
        tokio::select! {
            opened = connect_once(&*shared.connect, endpoint, shared.options.deadline, Duration::MAX) => match opened {
                Ok(client) => {
                    self.client = Some(client);
                    Some(None)
                }
                Err(error) => Some(Some(format!("not connected: {error}"))),
            },
            () = super::turned_true(&mut self.halt) => None,
        }
    }

    /// Journals the call before it leaves. Only then the generator advances.
    fn begin(&mut self, call: &Call) -> bool {
        if !self.shared.ticket() {
            self.shared.halt(StopReason::OpsMax);
            return false;
        }
        self.shared.process_max.fetch_max(self.process, Ordering::AcqRel);
        let node = &self.shared.options.nodes[self.node].name;
        if self.shared.recorder.invoke(self.index, self.process, node, call, false).is_none() {
            let why = self.shared.recorder.failure().unwrap_or_else(|| "the record has ended".to_owned());
            self.shared.halt(StopReason::Recorder(why));
            return false;
        }
        self.has_called = true;
        self.shared.first_calls.begin(call);
        self.shared.loads[self.node].began(&call.f, self.shared.start);
        self.turns.taken();
        true
    }

    async fn not_connected(&mut self, call: &Call, why: &str) {
        self.end(call, &CallResult::fail(why).into());
        self.shared.not_connected.fetch_add(1, Ordering::Relaxed);
        self.pause().await;
    }

    async fn make(&mut self, call: &Call) {
        let Some(mut client) = self.client.take() else { return };
        let (response, note) = call_once(&mut *client, call, self.terms()).await;
        self.end(call, &response);
        if let Some(note) = note {
            let text = format!("worker {}: {note}", self.index);
            self.shared.trouble(&self.endpoint().name, text);
        }
        match response.result {
            CallResult::Ok(_) => {
                self.shared.backoffs[self.node].answered();
                self.fails_in_a_row = 0;
                self.client = Some(client);
            }
            CallResult::Fail(_) => {
                self.fails_in_a_row += 1;
                if self.fails_in_a_row < FAILS_IN_A_ROW_MAX {
                    self.client = Some(client);
                } else if self.turns.hold() {
                    self.client = Some(client);
                    self.pause().await;
                } else {
                    self.fails_in_a_row = 0;
                    close(client).await;
                    self.pause().await;
                }
            }
            CallResult::Info(_) => {
                discard(Some(client));
                self.retire();
                self.pause().await;
            }
        }
    }

    fn end(&mut self, call: &Call, response: &CallResponse) {
        self.shared.recorder.complete(self.process, response);
        self.shared.first_calls.end(call, &response.result);
        self.turns.observe(call, &response.result);
    }

    fn terms(&self) -> Terms {
        Terms::load(self.shared.options.deadline)
    }

    /// Retires the process: its last call may still take effect, so it never gets another one.
    fn retire(&mut self) {
        self.process += u64::from(self.shared.workers);
        self.has_called = false;
        self.shared.process_max.fetch_max(self.process, Ordering::AcqRel);
    }

    async fn pause(&mut self) {
        if !self.own {
            return; // Whoever joins is called when it is needed.
        }
        let pause = self.shared.backoffs[self.node].trouble(&mut self.rng);
        self.rest(pause).await;
    }

    fn endpoint(&self) -> &NodeEndpoint {
        &self.shared.options.nodes[self.node]
    }

    pub(super) async fn leave(mut self) {
        let Some(client) = self.client.take() else { return };
        if self.shared.halted() {
            // What a client holds ends with it: not before the calls in flight have their replies. One of them may wait for it.
            self.shared.left.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        } else {
            close(client).await;
        }
    }
}

/// Closes a client in order, but not for long.
pub(super) async fn close(client: Box<dyn Client>) {
    let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
}
