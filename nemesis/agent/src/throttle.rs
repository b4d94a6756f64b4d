//! [`Throttles`]: threads that stop and continue the processes of services in turns, so that they get a share of one CPU at most.
//!
//! A turn lets them run for a slice and then stops them for as long as the share asks for: by the time that they ran and by the CPU
//! time that they used, whichever is more. A thread that comes late makes the stop longer, so that the share holds under load too.
use crate::cgroup::Cgroup;
use crate::service::{Services, all_stopped};
use crate::sys;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The name of a thread, as `ps -L` shows it.
const THREAD: &str = "turns";
/// A turn if the thread is in time and one CPU is used.
const TURN: Duration = Duration::from_millis(50);
/// The shortest slice.
const SLICE_MIN: Duration = Duration::from_micros(500);
/// The longest stop.
const STOP_MAX: Duration = Duration::from_secs(2);
/// How often a stopped thread looks whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

struct Throttle {
    services: Vec<String>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The threads of this agent by the number of their injection.
#[derive(Default)]
pub(crate) struct Throttles(Mutex<BTreeMap<u64, Throttle>>);

impl Services {
    /// From now on the processes of each of these services get at most this share of one CPU, in percent.
    pub(crate) fn throttle(self: &Arc<Services>, seq: u64, names: &[String], percent: u32) -> Result<(), String> {
        let ended = Arc::new(AtomicBool::new(false));
        let start = |name: &String| {
            let (services, name, ended) = (Arc::clone(self), name.clone(), Arc::clone(&ended));
            let turns = move || services.take_turns(&name, f64::from(percent) / 100.0, &ended);
            thread::Builder::new().name(THREAD.to_owned()).spawn(turns)
        };
        // Held until they are all known, so that no stop of theirs looks like a pause.
        let mut throttles = self.throttles();
        let mut threads = Vec::new();
        let started = names.iter().try_for_each(|name| {
            let thread = start(name).map_err(|error| format!("a thread that stops and continues {name}: {error}"))?;
            threads.push(thread);
            Ok(())
        });
        throttles.insert(seq, Throttle { services: names.to_vec(), ended: Arc::clone(&ended), threads });
        started
    }

    fn take_turns(&self, name: &str, share: f64, ended: &AtomicBool) {
        sys::hurry_thread();
        let longest = TURN.mul_f64(share).max(SLICE_MIN);
        let mut slice = longest;
        let mut used = self.cpu_used(name);
        while !ended.load(SeqCst) {
            let begin = Instant::now();
            std::thread::sleep(slice);
            let before = std::mem::replace(&mut used, self.cpu_used(name));
            let ran = begin.elapsed();
            let spent = ran.max(spent_between(&before, &used));
            self.halt(name, true);
            slice = longest.mul_f64(ran.as_secs_f64() / spent.as_secs_f64().max(1e-9)).clamp(SLICE_MIN, longest);
            let end = begin + spent.div_f64(share).min(ran + STOP_MAX);
            while !ended.load(SeqCst) && Instant::now() < end {
                std::thread::sleep(end.saturating_duration_since(Instant::now()).min(LOOK));
            }
            self.halt(name, false);
        }
    }

    /// The CPU time of each process of a service.
    fn cpu_used(&self, name: &str) -> BTreeMap<u32, u64> {
        self.processes(name).into_iter().filter_map(|pid| Some((pid, sys::cpu_ns(pid)?))).collect()
    }

    /// Stops or continues all processes of a service, and does not wait for it.
    fn halt(&self, name: &str, on: bool) {
        if self.cgroup(name).is_some_and(|cgroup| cgroup.begin_freeze(on)) {
            return;
        }
        let signal = if on { libc::SIGSTOP } else { libc::SIGCONT };
        self.processes(name).into_iter().for_each(|pid| drop(sys::kill(pid, signal)));
    }

    /// Ends the turns and leaves the processes running; false if no thread had this number.
    pub(crate) fn end_throttle(&self, seq: u64) -> bool {
        let threads = match self.throttles().get_mut(&seq) {
            None => return false,
            Some(throttle) => {
                throttle.ended.store(true, SeqCst);
                std::mem::take(&mut throttle.threads)
            }
        };
        // It counts as throttled until the last thread has let it go on.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        self.throttles().remove(&seq).is_some()
    }

    /// Whether the threads of an injection live.
    pub(crate) fn throttles_by(&self, seq: u64) -> bool {
        let throttles = self.throttles();
        throttles.get(&seq).is_some_and(|throttle| throttle.threads.iter().all(|thread| !thread.is_finished()))
    }

    /// Whether a thread of this agent stops and continues a service.
    pub(crate) fn is_throttled(&self, name: &str) -> bool {
        self.throttles().values().any(|throttle| throttle.services.iter().any(|service| service == name))
    }

    /// Watches services for the same while, without asking the threads: how often each was seen stopped, and the CPU time that it
    /// used.
    pub(crate) fn watch_turns(&self, names: &[String], time: Duration) -> Vec<Turns> {
        let watch = |name: &String| Watched {
            cgroup: self.cgroup(name),
            pids: self.processes(name),
            before: self.cpu_used(name),
            begin: Instant::now(),
            stopped: 0,
        };
        let mut watched: Vec<Watched> = names.iter().map(watch).collect();
        let (begin, mut looks) = (Instant::now(), 0u32);
        while begin.elapsed() < time {
            looks += 1;
            watched.iter_mut().for_each(|one| one.stopped += u32::from(one.still()));
            std::thread::sleep(Duration::from_millis(2));
        }
        let turns = |(name, one): (&String, Watched)| {
            let used = spent_between(&one.before, &self.cpu_used(name));
            Turns { pids: one.pids, looks, stopped: one.stopped, used, time: one.begin.elapsed() }
        };
        names.iter().zip(watched).map(turns).collect()
    }

    fn throttles(&self) -> MutexGuard<'_, BTreeMap<u64, Throttle>> {
        self.throttles.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The CPU time used between two looks; all of it by a process that is new.
fn spent_between(before: &BTreeMap<u32, u64>, now: &BTreeMap<u32, u64>) -> Duration {
    let one = |(pid, ns): (&u32, &u64)| ns.saturating_sub(before.get(pid).copied().unwrap_or(0));
    Duration::from_nanos(now.iter().map(one).sum())
}

/// A service that is watched.
struct Watched {
    cgroup: Option<Cgroup>,
    pids: Vec<u32>,
    before: BTreeMap<u32, u64>,
    begin: Instant,
    stopped: u32,
}

impl Watched {
    fn still(&self) -> bool {
        self.cgroup.as_ref().is_some_and(Cgroup::frozen) || (!self.pids.is_empty() && all_stopped(&self.pids))
    }
}

/// What was seen of a service for a while.
pub(crate) struct Turns {
    pub(crate) pids: Vec<u32>,
    pub(crate) looks: u32,
    pub(crate) stopped: u32,
    pub(crate) used: Duration,
    pub(crate) time: Duration,
}

/// Looks without which a share says nothing.
const LOOKS_MIN: u32 = 20;

impl Turns {
    /// Whether it was stopped for at least three quarters of the time that a share of one CPU leaves.
    pub(crate) fn stopped_for(&self, percent: u32) -> bool {
        self.looks >= LOOKS_MIN && u64::from(self.stopped) * 400 >= u64::from(self.looks) * u64::from(100 - percent) * 3
    }

    /// Whether it used no more than this share of one CPU, with a quarter and five percent for the edges of the time.
    pub(crate) fn used_at_most(&self, percent: u32) -> bool {
        self.used <= self.time.mul_f64(f64::from(percent) * 0.0125 + 0.05)
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let percent = |part: f64, whole: f64| (100.0 * part / whole.max(1e-9)).round();
        format!(
            "processes {:?} were stopped in {}% of {} looks within {} ms and used {}% of one CPU",
            self.pids,
            percent(f64::from(self.stopped), f64::from(self.looks)),
            self.looks,
            self.time.as_millis(),
            percent(self.used.as_secs_f64(), self.time.as_secs_f64())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(looks: u32, stopped: u32, used_ms: u64) -> Turns {
        let (used, time) = (Duration::from_millis(used_ms), Duration::from_millis(1000));
        Turns { pids: vec![7], looks, stopped, used, time }
    }

    #[test]
    fn a_service_that_runs_all_the_time_proves_no_limit() {
        assert!(!turns(100, 0, 0).stopped_for(20), "an idle service uses no CPU anyway");
        assert!(!turns(100, 59, 0).stopped_for(20));
        assert!(turns(100, 60, 0).stopped_for(20));
        assert!(!turns(10, 10, 0).stopped_for(20), "too few looks");
        assert!(turns(100, 80, 290).used_at_most(20));
        assert!(!turns(100, 80, 310).used_at_most(20));
    }

    #[test]
    fn cpu_time_is_that_of_living_processes() {
        let before = BTreeMap::from([(1, 100), (2, 50)]);
        let now = BTreeMap::from([(1, 130), (3, 7)]);
        assert_eq!(spent_between(&before, &now), Duration::from_nanos(37));
    }
}
