//! [`Memos`]: what this agent knows about injections in force that is not in the journal. It is gone with the agent, and so are they.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this agent knows about injections in force.
#[derive(Default)]
pub(crate) struct Memos {
    stopped: Mutex<Stopped>,
    seen: Mutex<BTreeSet<(u64, String)>>,
}

/// The custom faults, by name, that have stopped a service and start it after their commands.
#[derive(Default)]
pub(crate) struct Stopped(BTreeMap<String, BTreeSet<String>>);

impl Stopped {
    /// Whether a custom fault has stopped this service.
    pub(crate) fn contains(&self, service: &str) -> bool {
        self.0.get(service).is_some_and(|faults| !faults.is_empty())
    }
}

impl Memos {
    /// While this is held, no custom fault begins to stop a service.
    pub(crate) fn stopped(&self) -> MutexGuard<'_, Stopped> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a custom fault keeps these services stopped.
    pub(crate) fn stop(&self, fault: &str, services: &[String]) {
        let mut stopped = self.stopped();
        for service in services {
            stopped.0.entry(service.clone()).or_default().insert(fault.to_owned());
        }
    }

    /// From now on it does not.
    pub(crate) fn go_on(&self, fault: &str, services: &[String]) {
        let mut stopped = self.stopped();
        for service in services {
            if let Some(faults) = stopped.0.get_mut(service) {
                faults.remove(fault);
            }
        }
    }

    /// Whether this custom fault keeps a service stopped.
    pub(crate) fn is_stopped_by(&self, fault: &str, service: &str) -> bool {
        self.stopped().0.get(service).is_some_and(|faults| faults.contains(fault))
    }

    /// The injection of this number is new.
    pub(crate) fn begin(&self, seq: u64) {
        self.seen().retain(|(other, _)| *other != seq);
    }

    /// The injection of this number was seen in force on processes of a service.
    pub(crate) fn see(&self, seq: u64, service: &str) {
        self.seen().insert((seq, service.to_owned()));
    }

    /// Whether it was.
    pub(crate) fn saw(&self, seq: u64, service: &str) -> bool {
        self.seen().contains(&(seq, service.to_owned()))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeSet<(u64, String)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
