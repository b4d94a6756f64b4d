//! [`Reader`]: makes the final reads of one node, one after the other.
use super::super::driver::{Backoff, call_once, connect_once, discard, turned_true};
use super::{Missed, SettleSummary, SharedSettle, UnansweredCalls};
use dsfuzz_checkers::{ABSENT, Value};
use dsfuzz_rng::Rng;
use dsfuzz_workloads::codes::is_permanent;
use dsfuzz_workloads::{Call, CallResult, Client, Terms};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Attempts of one read in a row, all with a permanent error, after which it is given up, and the time that they must span: a
/// proxy or a node that starts may answer nonsense for a while.
const PERMANENT_MAX: (u32, Duration) = (3, Duration::from_secs(15));

/// The outcome of an attempt.
pub(super) enum ReadOutcome {
    /// Ok, or certainly absent.
    Answered(ReadReply),
    /// The node refuses to be read, with one of the codes for that.
    Refused(Arc<str>),
    /// It certainly had no effect.
    Failed(Arc<str>),
    /// It may have had an effect.
    Unknown(Arc<str>),
}

/// The reply of an answered read.
pub(super) struct ReadReply {
    /// The object was empty.
    pub(super) empty: bool,
    /// Equal for equal answers; lists count without their order.
    pub(super) digest: u64,
}

impl ReadReply {
    fn of(value: &Value) -> ReadReply {
        if let Some(messages) = polled(value) {
            return ReadReply { empty: messages == 0, ..ReadReply::digest_of(value) };
        }
        ReadReply::digest_of(value)
    }

    fn digest_of(value: &Value) -> ReadReply {
        let hash = |value: &Value| {
            let mut hasher = DefaultHasher::new();
            value.hash(&mut hasher);
            hasher.finish()
        };
        match value {
            Value::List(elements) => ReadReply {
                empty: elements.is_empty(),
                digest: elements.iter().map(hash).fold(elements.len() as u64, u64::wrapping_add),
            },
            other => ReadReply { empty: matches!(other, Value::Nil), digest: hash(other) },
        }
    }
}

/// How many messages the reply of a poll shows; none if it is no such reply.
fn polled(value: &Value) -> Option<usize> {
    let [poll] = value.as_list()? else { return None };
    match poll.as_list()? {
        [Value::Text(name), Value::Map(logs)] if &**name == "poll" => {
            Some(logs.iter().map(|(_, messages)| messages.as_list().map_or(0, <[Value]>::len)).sum())
        }
        _ => None,
    }
}

/// Reads from one node through one client at a time.
pub(super) struct Reader {
    shared: SharedSettle,
    position: usize,
    worker: u32,
    process: u64,
    client: Option<Box<dyn Client>>,
    /// The position in [`SharedSettle::before`] of the call that the client made last.
    prepared: Option<usize>,
    backoff: Backoff,
    rng: Rng,
    summary: SettleSummary,
    /// Attempts in a row that ended with a permanent error, and the time of the first, by the call's position.
    permanent: BTreeMap<usize, (u32, Instant)>,
    /// The digest of the last answer to each call, by the call's position.
    pub(super) answers: BTreeMap<usize, u64>,
}

impl Reader {
    pub(super) fn new(shared: SharedSettle, position: usize) -> Reader {
        Reader {
            worker: shared.options.first_worker + position as u32,
            process: shared.options.first_process + position as u64,
            position,
            client: None,
            prepared: None,
            backoff: Backoff::default(),
            rng: Rng::new(shared.options.seed, "settle", position as u64),
            summary: SettleSummary::default(),
            permanent: BTreeMap::new(),
            answers: BTreeMap::new(),
            shared,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn over(&self) -> bool {
        self.shared.over()
    }

    /// Waits before the next attempt, longer after each further failure.
    pub(super) async fn pause(&mut self) {
        let pause = self.backoff.trouble(&mut self.rng);
        let mut stop = self.shared.stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(self.shared.end.min(Instant::now() + pause)) => {}
            () = turned_true(&mut stop) => {}
        }
    }

    /// Whether this node's attempts at the call at this position have failed by permanent errors for long enough.
    pub(super) fn gives_up(&self, place: usize) -> bool {
        let (attempts, time) = PERMANENT_MAX;
        self.permanent.get(&place).is_some_and(|(count, first)| *count >= attempts && first.elapsed() >= time)
    }

    /// One attempt at the call at this position, after the call that each client makes before it.
    pub(super) async fn read(&mut self, place: usize, call: &Call) -> ReadOutcome {
        let outcome = self.attempt(call).await;
        match &outcome {
            ReadOutcome::Failed(why) | ReadOutcome::Unknown(why) if is_permanent(why) => {
                self.permanent.entry(place).or_insert((0, Instant::now())).0 += 1;
            }
            _ => drop(self.permanent.remove(&place)),
        }
        outcome
    }

    async fn attempt(&mut self, call: &Call) -> ReadOutcome {
        let before = self.shared.before.clone();
        let needed = before.iter().position(|(of, _)| of == call);
        if let Some((position, (_, first))) = needed.and_then(|position| Some((position, before.get(position)?)))
            && (self.client.is_none() || self.prepared != needed)
        {
            match self.ask(first).await {
                ReadOutcome::Answered(_) => self.prepared = Some(position),
                not_answered => return not_answered,
            }
        }
        self.ask(call).await
    }

    async fn ask(&mut self, call: &Call) -> ReadOutcome {
        let options = self.shared.options.clone();
        let node = &options.nodes[self.position];
        let left = || self.shared.end.saturating_duration_since(Instant::now());
        let terms = Terms { deadline: options.deadline.min(left()), settle: true };
        let opened = match self.client.take() {
            Some(client) => Ok(client),
            None => {
                let endpoint = node.endpoint(self.process, &options.client_options, terms);
                connect_once(&*self.shared.connect, endpoint, terms.deadline, left()).await
            }
        };
        let recorder = self.shared.recorder.clone();
        if recorder.invoke(self.worker, self.process, &node.name, call, true).is_none() {
            return ReadOutcome::Failed(Arc::from("it could not be recorded"));
        }
        let mut client = match opened {
            Ok(client) => client,
            Err(error) => {
                let answer = CallResult::fail(format!("not connected: {error}"));
                recorder.complete(self.process, &answer.clone().into());
                return self.outcome(answer);
            }
        };
        let terms = Terms { deadline: options.deadline.min(left()), ..terms };
        let (response, note) = call_once(&mut *client, call, terms).await;
        recorder.complete(self.process, &response);
        if let Some(note) = note {
            recorder.note(&node.name, &note);
            self.summary.harness.push(note);
        }
        match response.result {
            CallResult::Ok(_) => self.client = Some(client),
            // A read may fail because its connection broke: the next attempt gets a new one.
            CallResult::Fail(_) => discard(Some(client)),
            CallResult::Info(_) => {
                discard(Some(client));
                self.process += options.nodes.len() as u64;
            }
        }
        self.outcome(response.result)
    }

    fn outcome(&mut self, answer: CallResult) -> ReadOutcome {
        match answer {
            CallResult::Ok(value) => {
                self.backoff.answered();
                self.summary.ok += 1;
                ReadOutcome::Answered(ReadReply::of(&value))
            }
            CallResult::Fail(why) if why.starts_with(ABSENT) => {
                self.backoff.answered();
                self.summary.absent += 1;
                ReadOutcome::Answered(ReadReply::of(&Value::list([])))
            }
            CallResult::Fail(why) => {
                let node = self.shared.options.nodes[self.position].name.clone();
                self.summary.count_failure(&why, &node);
                let code = why.split(':').next().unwrap_or_default();
                match self.shared.options.refusals.iter().any(|refusal| refusal == code) {
                    true => ReadOutcome::Refused(why),
                    false => ReadOutcome::Failed(why),
                }
            }
            CallResult::Info(why) => {
                let node = self.shared.options.nodes[self.position].name.clone();
                self.summary.count_failure(&why, &node);
                ReadOutcome::Unknown(why)
            }
        }
    }

    /// Closes the client; the calls that are left count as missed.
    pub(super) async fn finish(mut self, left: UnansweredCalls) -> SettleSummary {
        if let Some(client) = self.client.take() {
            let _ = tokio::time::timeout(CLOSE_WITHIN, client.close()).await;
        }
        let node = &self.shared.options.nodes[self.position].name;
        let missed = left.into_iter().map(|(place, call, error)| Missed { node: node.clone(), call, error, place });
        self.summary.missed.extend(missed);
        self.summary.next_process = self.process + self.shared.options.nodes.len() as u64;
        self.summary
    }
}
