//! [`RestartLoops`]: threads that restart services again and again, by the number of their injection.
use crate::service::{Services, VANISHING};
use crate::sys;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The name of a thread, as `ps -L` shows it.
const THREAD: &str = "restarts";

/// The state that a thread shares.
#[derive(Default)]
struct LoopState {
    ended: AtomicBool,
    restarts: Mutex<Restarts>,
}

/// The restarts of one injection so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restarts {
    /// Their number.
    pub(crate) count: u64,
    /// The end of the last one.
    pub(crate) last: Option<Instant>,
    /// The last problem.
    pub(crate) problem: Option<String>,
    /// The longest time from the end of one to the end of the next.
    pub(crate) longest: Duration,
}

impl LoopState {
    fn restarts(&self) -> MutexGuard<'_, Restarts> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RestartLoop {
    state: Arc<LoopState>,
    thread: JoinHandle<()>,
}

/// The threads of this agent.
#[derive(Default)]
pub(crate) struct RestartLoops(Mutex<BTreeMap<u64, RestartLoop>>);

impl Services {
    /// Restarts services every so often from now on.
    pub(crate) fn restart_repeatedly(
        self: &Arc<Services>,
        seq: u64,
        names: &[String],
        (signal, grace): (i32, Duration),
        every: Duration,
    ) -> Result<(), String> {
        let state = Arc::new(LoopState::default());
        let one = grace.saturating_add(VANISHING).saturating_mul(u32::try_from(names.len()).unwrap_or(u32::MAX));
        state.restarts().longest = every.saturating_add(one);
        let (services, names, shared) = (Arc::clone(self), names.to_vec(), Arc::clone(&state));
        let restart = move || {
            while !shared.ended.load(SeqCst) {
                let next = Instant::now() + every;
                let done = services.restart_once(&names, (signal, grace), &shared.ended);
                {
                    let mut restarts = shared.restarts();
                    match done {
                        Ok(()) => (restarts.count, restarts.last) = (restarts.count + 1, Some(Instant::now())),
                        Err(reason) => restarts.problem = Some(reason),
                    }
                }
                sys::await_true(next.saturating_duration_since(Instant::now()), || shared.ended.load(SeqCst));
            }
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(restart);
        let thread = thread.map_err(|error| format!("a thread that restarts: {error}"))?;
        self.loops().insert(seq, RestartLoop { state, thread });
        Ok(())
    }

    fn restart_once(
        self: &Arc<Services>,
        names: &[String],
        (signal, grace): (i32, Duration),
        ended: &AtomicBool,
    ) -> Result<(), String> {
        let held = |name: &&String| self.memos.stopped().contains(name);
        for name in names.iter().filter(|name| !held(name)) {
            self.ask_to_end_by(name, signal);
            self.processes(name).into_iter().for_each(|pid| drop(sys::kill(pid, signal)));
            sys::await_true(grace, || self.processes(name).is_empty() || ended.load(SeqCst));
            self.kill_rest(name)?;
        }
        names.iter().try_for_each(|name| {
            // Held while it starts: a custom fault then stops what has started.
            let stopped = self.memos.stopped();
            if stopped.contains(name) { Ok(()) } else { self.start(name, true, None).map(drop) }
        })
    }

    /// The restarts so far; none if no thread has this number.
    pub(crate) fn restarts(&self, seq: u64) -> Option<Restarts> {
        self.loops().get(&seq).map(|running| running.state.restarts().clone())
    }

    /// Ends the restarts and waits for the last one; returns their number.
    pub(crate) fn end_restarts(&self, seq: u64) -> Option<u64> {
        let RestartLoop { state, thread } = self.loops().remove(&seq)?;
        state.ended.store(true, SeqCst);
        drop(thread.join());
        let count = state.restarts().count;
        Some(count)
    }

    fn loops(&self) -> MutexGuard<'_, BTreeMap<u64, RestartLoop>> {
        self.restart_loops.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
