//! [`LastHeal`]: a load with a demanded recovery goes on after its time, until it is known whether the last heal met the demand.
use dsfuzz_checkers::history::FaultStep;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Longer than every heal: each ends by deadlines of its own. Only a nemesis that panicked leaves one without an end.
const HEAL_MAX: Duration = Duration::from_secs(3600);

/// The end of the load by the heals so far.
#[derive(Debug, Default)]
pub(super) struct LastHeal {
    /// The demand; none: the load ends at its time.
    within: Option<Duration>,
    /// By fault: when its recovery is known.
    known: Mutex<BTreeMap<u64, Instant>>,
    ends: watch::Sender<Option<Instant>>,
}

impl LastHeal {
    pub(super) fn new(within: Option<Duration>) -> LastHeal {
        LastHeal { within, ..LastHeal::default() }
    }

    /// The load goes on until this time.
    pub(super) fn ends(&self) -> Option<watch::Receiver<Option<Instant>>> {
        self.within.map(|_| self.ends.subscribe())
    }

    /// The undo of a fault failed and is tried again: the load does not wait for it.
    pub(super) fn retried(&self, fault: u64) {
        self.note(fault, FaultStep::Unhealed);
    }

    /// Takes in a step of a fault.
    pub(super) fn note(&self, fault: u64, step: FaultStep) {
        let Some(within) = self.within else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match step {
            FaultStep::HealBegun => drop(known.insert(fault, now + HEAL_MAX)),
            FaultStep::Healed => drop(known.insert(fault, now + within)),
            // Without a proven heal there is nothing to judge.
            FaultStep::Unhealed => drop(known.remove(&fault)),
            _ => return,
        }
        self.ends.send_replace(known.values().max().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_load_goes_on_until_the_last_recovery_is_known() {
        let within = Duration::from_secs(10);
        let heals = LastHeal::new(Some(within));
        let ends = heals.ends().expect("a demand");
        let left = || ends.borrow().map(|end| end - Instant::now());
        heals.note(1, FaultStep::Proven);
        assert_eq!(left(), None);
        heals.note(1, FaultStep::HealBegun);
        assert_eq!(left(), Some(HEAL_MAX));
        // A custom fault's heal on one node after the other.
        tokio::time::advance(Duration::from_secs(500)).await;
        assert!(left() > Some(within), "the load ends in the heal");
        heals.note(1, FaultStep::Healed);
        assert_eq!(left(), Some(within));
        // Another heal that fails leaves nothing to wait for.
        heals.note(2, FaultStep::HealBegun);
        assert_eq!(left(), Some(HEAL_MAX));
        heals.note(2, FaultStep::Unhealed);
        assert_eq!(left(), Some(within));
        // One whose undo is tried again, until it succeeds.
        heals.note(3, FaultStep::HealBegun);
        heals.retried(3);
        assert_eq!(left(), Some(within));
        tokio::time::advance(Duration::from_secs(3)).await;
        heals.note(3, FaultStep::Healed);
        assert_eq!(left(), Some(within));
        assert!(LastHeal::new(None).ends().is_none());
    }
}
