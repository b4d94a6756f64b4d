//! [`FaultOutcome`]: what became of one planned fault, for benches and for how late faults began.
use dsfuzz_checkers::history::Mark;
use dsfuzz_nemesis::PlannedFault;
use serde::Serialize;

/// What became of one planned fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultOutcome {
    /// As planned.
    pub planned: PlannedFault,
    /// Its fault's name.
    pub kind: String,
    /// With the nodes' names; empty where it was not resolved.
    pub what: String,
    /// The nodes it was aimed at.
    pub nodes: Vec<String>,
    /// When the injections were asked for; none where it never began.
    pub begun: Option<Mark>,
    /// How much later than the timetable says.
    pub slip_ms: Option<u64>,
    /// Shown to be in force.
    pub proven: bool,
    /// Shown to be in force once more, just before the heal.
    pub reproven: bool,
    /// Shown to be gone.
    pub healed: bool,
    /// From the decision (before the leader was looked up) to the proof.
    pub prove_ms: Option<u64>,
    /// From the first undo to the proof of the heal.
    pub heal_ms: Option<u64>,
    /// Nodes that undid a fault by themselves, and when on the control node's clock: not before, not after.
    pub self_healed: Vec<(String, u64, u64)>,
    /// What went wrong, one sentence each.
    pub problems: Vec<String>,
}

impl FaultOutcome {
    pub(super) fn of(planned: &PlannedFault) -> FaultOutcome {
        FaultOutcome {
            planned: planned.clone(),
            kind: planned.kind().to_owned(),
            what: String::new(),
            nodes: Vec::new(),
            begun: None,
            slip_ms: None,
            proven: false,
            reproven: false,
            healed: false,
            prove_ms: None,
            heal_ms: None,
            self_healed: Vec::new(),
            problems: Vec::new(),
        }
    }
}
