//! [`Backoff`]: the pause before the next attempt at a node that refuses connections or does not answer.
use dsfuzz_rng::Rng;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);

/// The failures of one node since its last answer, shared by all its callers.
#[derive(Debug, Default)]
pub(in crate::run) struct Backoff {
    troubles: AtomicU32,
}

impl Backoff {
    /// Counts a failure and returns the pause to make: it doubles from 50 ms to 1 s, less a random part of up to a half.
    pub(in crate::run) fn trouble(&self, rng: &mut Rng) -> Duration {
        let before = self.troubles.load(Ordering::Relaxed).min(16);
        self.troubles.store(before + 1, Ordering::Relaxed);
        let longest = FIRST.saturating_mul(1 << before).min(LONGEST);
        longest.mul_f64(1.0 - rng.fraction() / 2.0)
    }

    /// The node answered.
    pub(in crate::run) fn answered(&self) {
        if self.troubles.load(Ordering::Relaxed) != 0 {
            self.troubles.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_shrink_with_an_answer() {
        let (backoff, mut rng) = (Backoff::default(), Rng::new(1, "backoff", 0));
        let pauses: Vec<u64> = (0..8).map(|_| backoff.trouble(&mut rng).as_millis() as u64).collect();
        for (pause, longest) in pauses.iter().zip([50, 100, 200, 400, 800, 1000, 1000, 1000]) {
            assert!((longest / 2 - 1..=longest).contains(pause), "{pauses:?}");
        }
        backoff.answered();
        assert!(backoff.trouble(&mut rng) <= FIRST);
    }
}
