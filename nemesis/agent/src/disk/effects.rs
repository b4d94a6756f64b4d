//! [`Effects`]: the faults that are in force in a layer, and what each call meets.
use dsfuzz_nemesis::protocol::{DiskCall, DiskEffect};
use dsfuzz_rng::Rng;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A call to the layer, as a fault sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Read,
    /// In place.
    Overwrite,
    /// A write or an allocation that needs room.
    Extend,
    Sync,
    /// Makes a name.
    Make,
    /// Changes or removes a name or attributes.
    Change,
}

/// What a call meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hindrance {
    /// How long it waits first.
    pub(super) wait: Duration,
    /// The error with which it then fails.
    pub(super) error: Option<i32>,
}

/// One fault in force.
struct ActiveEffect {
    fault: u64,
    effect: DiskEffect,
    draws: Rng,
}

/// All faults in force.
#[derive(Default)]
pub(super) struct Effects {
    any: AtomicBool,
    active: Mutex<Vec<ActiveEffect>>,
}

impl Effects {
    fn active(&self) -> MutexGuard<'_, Vec<ActiveEffect>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a fault, once.
    pub(super) fn begin(&self, fault: u64, effect: DiskEffect, seed: u64) {
        let mut active = self.active();
        if active.iter().all(|known| known.fault != fault) {
            active.push(ActiveEffect { fault, effect, draws: Rng::new(seed, "disk", 0) });
        }
        self.any.store(true, SeqCst);
    }

    /// Ends a fault.
    pub(super) fn end(&self, fault: u64) {
        let mut active = self.active();
        active.retain(|known| known.fault != fault);
        self.any.store(!active.is_empty(), SeqCst);
    }

    /// The faults in force.
    pub(super) fn faults(&self) -> Vec<u64> {
        self.active().iter().map(|known| known.fault).collect()
    }

    /// Whether a fault leaves no room.
    pub(super) fn no_room(&self) -> bool {
        self.any.load(SeqCst) && self.active().iter().any(|known| known.effect == DiskEffect::Full)
    }

    /// What a call meets now.
    pub(super) fn meet(&self, call: Call) -> Hindrance {
        let mut met = Hindrance::default();
        if self.any.load(SeqCst) {
            for known in self.active().iter_mut() {
                let (wait, error) = hindrance(known.effect, call, &mut known.draws);
                met.wait += wait;
                met.error = met.error.or(error);
            }
        }
        met
    }
}

fn hindrance(effect: DiskEffect, call: Call, draws: &mut Rng) -> (Duration, Option<i32>) {
    let waits = |ms: u64| (Duration::from_millis(ms), None);
    let fails = |error: i32| (Duration::ZERO, Some(error));
    let writes = matches!(call, Call::Overwrite | Call::Extend);
    match effect {
        DiskEffect::Full if matches!(call, Call::Extend | Call::Make) => fails(libc::ENOSPC),
        DiskEffect::ReadOnly if writes || matches!(call, Call::Make | Call::Change) => fails(libc::EROFS),
        DiskEffect::Slow { read_ms, .. } if call == Call::Read => waits(read_ms),
        DiskEffect::Slow { write_ms, .. } if writes => waits(write_ms),
        DiskEffect::SlowSync { by_ms } if call == Call::Sync => waits(by_ms),
        DiskEffect::Errors { on, percent, code } => {
            let meant = match on {
                DiskCall::Read => call == Call::Read,
                DiskCall::Write => writes,
                DiskCall::Fsync => call == Call::Sync,
            };
            if meant && draws.below(100) < u64::from(percent) { fails(code.number()) } else { waits(0) }
        }
        _ => waits(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::protocol::DiskError;

    #[test]
    fn effects_add_up_and_end() {
        let effects = Effects::default();
        effects.begin(1, DiskEffect::Full, 1);
        effects.begin(2, DiskEffect::Slow { read_ms: 1, write_ms: 2 }, 1);
        let both = Hindrance { wait: Duration::from_millis(2), error: Some(libc::ENOSPC) };
        assert_eq!(effects.meet(Call::Extend), both);
        assert_eq!(effects.meet(Call::Overwrite).error, None);
        assert!(effects.no_room());
        effects.end(1);
        assert_eq!(effects.meet(Call::Extend), Hindrance { wait: Duration::from_millis(2), error: None });
        effects.end(2);
        assert_eq!(effects.meet(Call::Extend), Hindrance::default());
        assert!(effects.faults().is_empty() && !effects.no_room());
    }

    #[test]
    fn errors_come_by_the_seed() {
        let errors = DiskEffect::Errors { on: DiskCall::Fsync, percent: 30, code: DiskError::Eio };
        let seen = |seed| {
            let effects = Effects::default();
            effects.begin(1, errors, seed);
            let failed = |_| effects.meet(Call::Sync).error.is_some();
            (0..1000).map(failed).collect::<Vec<bool>>()
        };
        assert_eq!(seen(1), seen(1));
        assert_ne!(seen(1), seen(2));
        let count = seen(1).into_iter().filter(|failed| *failed).count();
        assert!((200..400).contains(&count), "{count}");
    }
}
