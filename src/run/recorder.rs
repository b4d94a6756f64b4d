//! [`Recorder`]: numbers, times and writes all events of a run, before they count.
//!
//! Times and indexes are taken under one lock, so both only grow. Never: decides about the run.
use super::journal::{self, Journal};
use crate::secrets;
use dsfuzz_checkers::history::{FaultEvent, HISTORY_VERSION, ProcessEvent, Record, RoleClaim};
use dsfuzz_checkers::{Mark, Phase};
use dsfuzz_workloads::{Call, CallResponse, CallResult};
use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

thread_local! {
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Calls so far, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Ok.
    pub ok: u64,
    /// Fail.
    pub fail: u64,
    /// Info.
    pub info: u64,
    /// In flight.
    pub open: u64,
    /// Calls ended a second, between the last two readings that were at least a second apart.
    pub ended_per_second: f64,
}

impl Counters {
    /// Calls so far, whether ended or in flight.
    pub fn calls(&self) -> u64 {
        self.ok + self.fail + self.info + self.open
    }
}

/// Writes the record of one run.
pub struct Recorder {
    journal: Journal,
    tally: LiveCounts,
}

#[derive(Default)]
struct LiveCounts {
    called: AtomicU64,
    ok: AtomicU64,
    fail: AtomicU64,
    info: AtomicU64,
    pace: Mutex<Option<(Instant, u64, f64)>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Begins a record in the folder `dir` (made here). `wall` is the wall-clock time now, RFC 3339.
    pub fn create(dir: &Path, nodes: &[String], wall: String) -> io::Result<Arc<Recorder>> {
        Recorder::with_segments(dir, nodes, wall, journal::SEGMENT_BYTES)
    }

    /// As [`Recorder::create`], with segments of `segment_bytes`.
    pub fn with_segments(
        dir: &Path,
        nodes: &[String],
        wall: String,
        segment_bytes: usize,
    ) -> io::Result<Arc<Recorder>> {
        let journal = Journal::create(dir, segment_bytes).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot begin the journal {}: {error}", dir.display()))
        })?;
        let recorder = Recorder { journal, tally: LiveCounts::default() };
        recorder.rare(&Record::Start { index: 0, time: 0, version: HISTORY_VERSION, nodes: nodes.to_vec(), wall });
        match recorder.failure() {
            Some(why) => Err(io::Error::other(why)),
            None => Ok(Arc::new(recorder)),
        }
    }

    /// Nanoseconds since the start of the record, monotonic.
    pub fn now(&self) -> u64 {
        self.journal.now()
    }

    /// Records a call that is about to leave. None: it is not recorded and must not leave.
    pub fn invoke(&self, worker: u32, process: u64, node: &Arc<str>, call: &Call, settle: bool) -> Option<Mark> {
        BODY.with_borrow_mut(|body| {
            body.clear();
            journal::encode_invoke(body, worker, process, node, call, settle);
            self.journal.append(body, || add(&self.tally.called))
        })
    }

    /// Records the end of the open call of a process.
    pub fn complete(&self, process: u64, response: &CallResponse) -> Mark {
        let clean = without_secrets(response);
        let response = clean.as_ref().unwrap_or(response);
        let counter = match response.result {
            CallResult::Ok(_) => &self.tally.ok,
            CallResult::Fail(_) => &self.tally.fail,
            CallResult::Info(_) => &self.tally.info,
        };
        let written = BODY.with_borrow_mut(|body| {
            body.clear();
            journal::encode_completion(body, process, response);
            self.journal.append(body, || add(counter))
        });
        written.unwrap_or_else(|| self.mark())
    }

    /// Records a step of a fault; its index and time are filled in here.
    pub fn fault(&self, event: FaultEvent) -> Mark {
        self.rare(&Record::Fault(event))
    }

    /// Records a node's answer to a role probe; index and time of the answer are filled in here. The probe's (`sent_index`,
    /// `sent_time`) come from a [`Recorder::mark`] taken before it left.
    pub fn role(&self, claim: RoleClaim) -> Mark {
        self.rare(&Record::Role(claim))
    }

    /// Records an event of a process of the target; index and time are filled in here.
    pub fn process(&self, event: ProcessEvent) -> Mark {
        self.rare(&Record::Process(event))
    }

    /// The present index and time, without writing: records up to this index came before this moment, all others come after
    /// it.
    pub fn mark(&self) -> Mark {
        self.journal.mark()
    }

    /// Records that a phase begins.
    pub fn phase(&self, phase: Phase) -> Mark {
        self.rare(&Record::Phase { index: 0, time: 0, phase })
    }

    /// Records a note for people; `node` is empty for a note about the run.
    pub fn note(&self, node: &str, text: &str) -> Mark {
        self.rare(&Record::Note { index: 0, time: 0, node: node.to_owned(), text: text.to_owned() })
    }

    /// Ends the record properly and syncs it, which may take a moment. Later events are not recorded.
    pub fn end(&self) {
        self.rare(&Record::End { index: 0, time: 0 });
        self.journal.close();
    }

    /// The counters, for live progress.
    pub fn counters(&self) -> Counters {
        // Ends are read before calls, so that calls in flight never come out negative.
        let (ok, fail, info) = (read(&self.tally.ok), read(&self.tally.fail), read(&self.tally.info));
        let ended = ok + fail + info;
        let open = read(&self.tally.called).saturating_sub(ended);
        let mut pace = self.tally.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (since, before, rate) = pace.get_or_insert((now, ended, 0.0));
        let elapsed = now - *since;
        if elapsed >= Duration::from_secs(1) {
            *rate = ended.saturating_sub(*before) as f64 / elapsed.as_secs_f64();
            (*since, *before) = (now, ended);
        }
        Counters { ok, fail, info, open, ended_per_second: *rate }
    }

    /// The reason why recording failed, if it has: the run must stop. Replies of calls in flight are still written while the
    /// reserved space lasts; the file stays a readable prefix of the events.
    pub fn failure(&self) -> Option<String> {
        self.journal.failure().map(str::to_owned)
    }

    /// Whether recording has failed; cheap.
    pub fn failed(&self) -> bool {
        self.journal.failure().is_some()
    }

    fn rare(&self, record: &Record) -> Mark {
        let mut body = Vec::new();
        let clean = match record {
            Record::Fault(_) | Record::Note { .. } | Record::Role(_) | Record::Process(_) => {
                secrets::redacted(record).map(Some)
            }
            _ => Ok(None),
        };
        let encoded = clean.map_err(std::io::Error::other).and_then(|clean| {
            journal::encode_json(&mut body, clean.as_ref().unwrap_or(record)).map_err(std::io::Error::other)
        });
        match encoded {
            Ok(()) => self.journal.append(&body, || ()).unwrap_or_else(|| self.mark()),
            Err(error) => {
                self.journal.fail(format!("cannot write a record down: {error}"));
                self.mark()
            }
        }
    }
}

/// The response without secrets, if its error has some: a client may name its credentials.
fn without_secrets(response: &CallResponse) -> Option<CallResponse> {
    let answer = match &response.result {
        CallResult::Ok(_) => return None,
        CallResult::Fail(why) => CallResult::Fail(secrets::changed(why)?.into()),
        CallResult::Info(why) => CallResult::Info(secrets::changed(why)?.into()),
    };
    Some(CallResponse { result: answer, ..response.clone() })
}

/// Adds one. The journal's lock is held, so no other thread counts at the same time.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Release);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Acquire)
}
