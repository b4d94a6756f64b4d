//! [`FaultOutcome`]: the outcome of one planned fault, for benches and for the delay of faults.
use dsfuzz_checkers::history::Mark;
use dsfuzz_nemesis::{PlannedFault, ScheduledFault};
use serde::Serialize;
use std::time::Duration;

/// The outcome of one planned fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultOutcome {
    /// The planned fault in words.
    pub planned: PlannedFault,
    /// Its fault's name.
    pub kind: String,
    /// The resolved fault in words; empty if it was not resolved.
    pub what: String,
    /// The nodes it was aimed at.
    pub nodes: Vec<String>,
    /// The time of the request of the injections; none if it never began.
    pub begun: Option<Mark>,
    /// Delay behind the timetable.
    pub slip_ms: Option<u64>,
    /// When it was proven to be in force.
    pub proven: Option<Mark>,
    /// When it was last proven to be in force: just before the heal, or before a later fault took its effect away.
    pub reproven: Option<Mark>,
    /// Proven gone.
    pub healed: bool,
    /// From the decision (before the leader was looked up) to the proof.
    pub prove_ms: Option<u64>,
    /// From the first undo to the proof of the heal.
    pub heal_ms: Option<u64>,
    /// As it was measured, bound to its nodes; none if it never began.
    pub measured: Option<ScheduledFault>,
    /// Self-heals: the node, and the interval on the control node's clock.
    pub self_healed: Vec<(String, u64, u64)>,
    /// The problems, one sentence each.
    pub problems: Vec<String>,
}

impl FaultOutcome {
    pub(super) fn of(planned: &PlannedFault) -> FaultOutcome {
        FaultOutcome {
            planned: planned.clone(),
            kind: planned.counted_as(),
            what: String::new(),
            nodes: Vec::new(),
            begun: None,
            slip_ms: None,
            proven: None,
            reproven: None,
            healed: false,
            prove_ms: None,
            heal_ms: None,
            measured: None,
            self_healed: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// How long it was certainly in force.
    pub(super) fn lasted(&self) -> Option<Duration> {
        let (from, to) = (self.proven?, self.reproven?);
        Some(Duration::from_nanos(to.time.saturating_sub(from.time)))
    }
}
