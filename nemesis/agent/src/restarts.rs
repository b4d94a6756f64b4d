//! [`RestartLoops`]: threads that restart services again and again, by the number of their injection.
use crate::service::Services;
use crate::sys;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The state that a thread shares.
#[derive(Default)]
struct LoopState {
    ended: AtomicBool,
    count: AtomicU64,
    problem: Mutex<Option<String>>,
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
    ) {
        let state = Arc::new(LoopState::default());
        let (services, names, shared) = (Arc::clone(self), names.to_vec(), Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            while !shared.ended.load(SeqCst) {
                let next = Instant::now() + every;
                match services.restart_once(&names, (signal, grace), &shared.ended) {
                    Ok(()) => drop(shared.count.fetch_add(1, SeqCst)),
                    Err(reason) => *shared.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason),
                }
                sys::await_true(next.saturating_duration_since(Instant::now()), || shared.ended.load(SeqCst));
            }
        });
        self.loops().insert(seq, RestartLoop { state, thread });
    }

    fn restart_once(
        self: &Arc<Services>,
        names: &[String],
        (signal, grace): (i32, Duration),
        ended: &AtomicBool,
    ) -> Result<(), String> {
        for name in names {
            self.ask_to_end_by(name, signal);
            self.processes(name).into_iter().for_each(|pid| drop(sys::kill(pid, signal)));
            sys::await_true(grace, || self.processes(name).is_empty() || ended.load(SeqCst));
            self.kill_rest(name)?;
        }
        names.iter().try_for_each(|name| self.start(name, true, None).map(drop))
    }

    /// The number of restarts so far, and the last problem; none if no thread has this number.
    pub(crate) fn restarts(&self, seq: u64) -> Option<(u64, Option<String>)> {
        let loops = self.loops();
        let state = &loops.get(&seq)?.state;
        let problem = state.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some((state.count.load(SeqCst), problem))
    }

    /// Ends the restarts and waits for the last one; returns their number.
    pub(crate) fn end_restarts(&self, seq: u64) -> Option<u64> {
        let RestartLoop { state, thread } = self.loops().remove(&seq)?;
        state.ended.store(true, SeqCst);
        drop(thread.join());
        Some(state.count.load(SeqCst))
    }

    fn loops(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, RestartLoop>> {
        self.restart_loops.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
