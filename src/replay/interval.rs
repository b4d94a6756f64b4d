//! The interval of a rate, from counted runs: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the
//! case of the binomial", Biometrika 26 (1934).
//!
//! Of the usual intervals it alone holds the true rate in at least 95 of 100 repetitions whatever the rate and the number of
//! runs. Wilson's is narrower, and of 10 runs it holds a rate of 98.25 % in 84 of 100 repetitions (Brown, Cai and DasGupta, "Interval
//! estimation for a binomial proportion", Statistical Science 16 (2001); the test below counts both).
use serde::{Deserialize, Serialize};
use std::fmt;

/// What both ends leave out together.
const ALPHA: f64 = 0.05;
/// Halvings until an end is exact to the last bit that matters.
const HALVINGS: u32 = 60;

/// A rate that was measured in counted runs, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The runs in which it happened.
    pub hits: u64,
    /// The counted runs.
    pub runs: u64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Rate {
    /// The rate of something that happened in `hits` of `runs` runs, at most all of them.
    pub fn of(hits: u64, runs: u64) -> Rate {
        let hits = hits.min(runs);
        // The chance of so many hits or more grows with the rate, that of so few or fewer falls.
        let low = if hits == 0 { 0.0 } else { root(|rate| 1.0 - at_most(hits - 1, runs, rate) > ALPHA / 2.0) };
        let high = if hits == runs { 1.0 } else { root(|rate| at_most(hits, runs, rate) < ALPHA / 2.0) };
        Rate { hits, runs, low, high }
    }

    /// The interval in whole per cent, each end rounded outwards.
    pub fn interval(&self) -> String {
        format!("{:.0} to {:.0} %", (self.low * 100.0).floor(), (self.high * 100.0).ceil())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.hits, self.runs)
    }
}

/// The rate from which on this holds.
fn root(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(below, above);
        if holds(middle) { above = middle } else { below = middle }
    }
    f64::midpoint(below, above)
}

/// The chance of at most `hits` hits in `runs` independent runs, each of which hits with this rate.
fn at_most(hits: u64, runs: u64, rate: f64) -> f64 {
    let mut ways = 0.0;
    let mut sum = 0.0;
    for hit in 0..=hits.min(runs) {
        if hit > 0 {
            ways += ((runs - hit + 1) as f64 / hit as f64).ln();
        }
        sum += (ways + hit as f64 * rate.ln() + (runs - hit) as f64 * (-rate).ln_1p()).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How probable it is that the interval of that many runs holds the rate at which they hit.
    fn coverage(runs: u64, rate: f64, interval: impl Fn(u64) -> (f64, f64)) -> f64 {
        let exactly = |hits| at_most(hits, runs, rate) - if hits == 0 { 0.0 } else { at_most(hits - 1, runs, rate) };
        let holds = |hits: &u64| {
            let (low, high) = interval(*hits);
            low <= rate && rate <= high
        };
        (0..=runs).filter(holds).map(exactly).sum()
    }

    fn wilson(hits: u64, runs: u64) -> (f64, f64) {
        let (share, n, z) = (hits as f64 / runs as f64, runs as f64, 1.959_964);
        let middle = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        (middle - half, middle + half)
    }

    #[test]
    fn the_interval_holds_every_rate_in_at_least_95_of_100_repetitions() {
        let rates = || (1..400).map(|step| f64::from(step) / 400.0);
        for runs in [1, 2, 3, 5, 10, 20, 29, 60] {
            let intervals: Vec<Rate> = (0..=runs).map(|hits| Rate::of(hits, runs)).collect();
            for rate in rates() {
                let holds = coverage(runs, rate, |hits| (intervals[hits as usize].low, intervals[hits as usize].high));
                assert!(holds >= 0.95 - 1e-9, "{runs} runs, rate {rate}: {holds}");
            }
        }
        let least = rates().map(|rate| coverage(10, rate, |hits| wilson(hits, 10))).fold(1.0, f64::min);
        assert!(least < 0.85, "Wilson's interval would do: {least}");
    }

    #[test]
    fn ends_agree_with_published_ones() {
        // R: binom.test(7, 10)$conf.int and so on.
        for (hits, runs, low, high) in [
            (7, 10, 0.347_547_1, 0.933_260_5),
            (0, 10, 0.0, 0.308_497_1),
            (10, 10, 0.691_502_9, 1.0),
            (1, 2, 0.012_579_1, 0.987_420_9),
            (0, 29, 0.0, 0.119_444_9),
        ] {
            let rate = Rate::of(hits, runs);
            assert!((rate.low - low).abs() < 1e-6 && (rate.high - high).abs() < 1e-6, "{rate:?}");
        }
        assert_eq!(Rate::of(7, 10).interval(), "34 to 94 %");
        let none = Rate::of(0, 0);
        assert_eq!((none.low, none.high), (0.0, 1.0), "nothing is known");
        let many = Rate::of(500, 1000);
        assert!((many.low - 0.468_5).abs() < 1e-3 && (many.high - 0.531_4).abs() < 1e-3, "{many:?}");
    }
}
