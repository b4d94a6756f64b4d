//! [`RateLimiter`]: the time at which a worker's next call is due.
use dsfuzz_rng::Rng;
use std::time::{Duration, Instant};

/// Most lateness that a worker makes up for, if two mean gaps are shorter, so that no burst follows a stall.
const CATCH_UP_MIN: Duration = Duration::from_millis(10);

/// Gaps drawn uniformly from 0 to twice their mean, from the worker's own stream.
pub(super) struct RateLimiter {
    rng: Rng,
    mean: Duration,
    due: Instant,
}

impl RateLimiter {
    /// The limiter of one of `workers` workers that together make `rate` calls a second; none without a usable rate.
    pub(super) fn new(seed: u64, worker: u32, workers: u32, rate: Option<f64>, start: Instant) -> Option<RateLimiter> {
        let rate = rate.filter(|rate| rate.is_finite() && *rate > 0.0)?;
        let mean = Duration::try_from_secs_f64(f64::from(workers) / rate).unwrap_or(Duration::from_secs(1 << 30));
        Some(RateLimiter { rng: Rng::new(seed, "pace", u64::from(worker)), mean, due: start })
    }

    /// When the next call is due; it may be past.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        let catch_up = CATCH_UP_MIN.max(self.mean * 2);
        let gap = self.mean.mul_f64(2.0 * self.rng.fraction());
        let earliest = now.checked_sub(catch_up).unwrap_or(self.due);
        self.due = (self.due + gap).max(earliest);
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_all_workers_together() {
        let start = Instant::now();
        let mut last = start;
        for worker in 0..4 {
            let mut pace = RateLimiter::new(7, worker, 4, Some(400.0), start).expect("a pace");
            for _ in 0..1000 {
                last = pace.next(start);
            }
            let took = (last - start).as_secs_f64();
            assert!((9.0..11.0).contains(&took), "1000 calls of worker {worker} at 100/s took {took} s");
        }
    }

    #[test]
    fn no_burst_follows_a_stall() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(7, 0, 1, Some(100.0), start).expect("a pace");
        let stalled_until = start + Duration::from_secs(60);
        let burst = (0..1000).take_while(|_| pace.next(stalled_until) <= stalled_until).count();
        assert!(burst < 20, "{burst} calls at once");
    }

    #[test]
    fn without_a_rate_there_is_no_pace() {
        for rate in [None, Some(0.0), Some(-1.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert!(RateLimiter::new(1, 0, 1, rate, Instant::now()).is_none());
        }
    }
}
