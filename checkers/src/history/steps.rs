//! Steps of faults in words.
use super::FaultStep;
use std::fmt;

/// In words, as the record has it: `not triggered`.
impl fmt::Display for FaultStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultStep::Planned => "planned",
            FaultStep::Resolved => "resolved",
            FaultStep::Begun => "begun",
            FaultStep::Proven => "proven",
            FaultStep::Unproven => "unproven",
            FaultStep::Reproven => "proven again",
            FaultStep::Lapsed => "lapsed",
            FaultStep::HealBegun => "heal begun",
            FaultStep::Healed => "healed",
            FaultStep::Unhealed => "unhealed",
            FaultStep::SelfHealed => "healed by itself",
            FaultStep::Triggered => "triggered",
            FaultStep::NotTriggered => "not triggered",
            FaultStep::Missed => "missed",
        })
    }
}
