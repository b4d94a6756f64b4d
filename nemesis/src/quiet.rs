//! [`QuietStretches`]: parts of the load in which no drawn fault is in force, again and again.
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};

/// Stretches without faults: the last `for` of each `every` of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietStretches {
    /// From the begin of one stretch to the begin of the next.
    pub every: Span,
    /// How long each is.
    #[serde(rename = "for")]
    pub lasts: Span,
}

impl QuietStretches {
    /// The time with faults before each stretch.
    fn busy_ms(&self) -> u64 {
        self.every.as_millis().saturating_sub(self.lasts.as_millis())
    }

    /// The mistake of stretches beside faults of this longest duration, whose heal takes up to `gap_ms`.
    pub(crate) fn mistake(&self, longest: Span, gap_ms: u64) -> Option<String> {
        let QuietStretches { every, lasts } = self;
        if lasts.as_millis() == 0 || lasts >= every {
            return Some(format!("for: {lasts} is not longer than nothing and shorter than `every` ({every})"));
        }
        let needed = Span::millis(longest.as_millis() + gap_ms);
        (self.busy_ms() < needed.as_millis()).then(|| {
            format!(
                "{} are left between two stretches, and a fault of {longest} needs {needed} with its heal: make \
                 `quiet.every` longer, or `quiet.for` or the faults shorter",
                Span::millis(self.busy_ms())
            )
        })
    }

    /// The earliest begin from this time on, at which a fault and its heal, `needs_ms` together, end before the next stretch; and
    /// the begin of that stretch.
    pub(crate) fn place(&self, from_ms: u64, needs_ms: u64) -> (u64, u64) {
        let every_ms = self.every.as_millis().max(1);
        let stretch = |round: u64| round * every_ms + self.busy_ms();
        let round = from_ms / every_ms;
        match from_ms + needs_ms <= stretch(round) {
            true => (from_ms, stretch(round)),
            false => ((round + 1) * every_ms, stretch(round + 1)),
        }
    }

    /// The time with faults in a window of the load.
    pub(crate) fn busy_within(&self, from_ms: u64, to_ms: u64) -> u64 {
        let until = |time: u64| {
            let every_ms = self.every.as_millis().max(1);
            time / every_ms * self.busy_ms() + (time % every_ms).min(self.busy_ms())
        };
        until(to_ms).saturating_sub(until(from_ms))
    }
}

/// Room for heal and proof between the end of a fault and the end of its slot, or a stretch without faults.
pub(crate) const GAP_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_the_stretches() {
        let quiet = QuietStretches { every: Span::seconds(60), lasts: Span::seconds(10) };
        assert_eq!(quiet.place(0, 50_000), (0, 50_000));
        assert_eq!(quiet.place(1, 50_000), (60_000, 110_000));
        assert_eq!(quiet.place(55_000, 7_000), (60_000, 110_000));
        assert_eq!(quiet.place(103_000, 7_000), (103_000, 110_000));
        assert_eq!(quiet.busy_within(5_000, 115_000), 45_000 + 50_000);
        assert_eq!(quiet.busy_within(55_000, 58_000), 0);
    }
}
