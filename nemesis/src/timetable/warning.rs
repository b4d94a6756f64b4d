//! [`Warning`]: a deviation of a timetable from its plan.
use crate::fault::PlannedFault;

/// A deviation of a timetable from its plan.
pub(super) struct Warning {
    /// The kinds of faults that cannot come, as evidence counts them; none if the sentence is about the whole.
    kinds: Vec<String>,
    /// The sentence, or why these kinds cannot come.
    sentence: String,
}

impl Warning {
    /// A sentence about the whole.
    pub(super) fn whole(sentence: String) -> Warning {
        Warning { kinds: Vec::new(), sentence }
    }

    /// These kinds cannot come; none if they are none.
    pub(super) fn cannot_come(kinds: Vec<String>, why: String) -> Option<Warning> {
        (!kinds.is_empty()).then_some(Warning { kinds, sentence: why })
    }

    /// The sentence beside the faults that come after all: in a further lane, or by another entry of the plan.
    pub(super) fn beside(self, faults: &[PlannedFault]) -> Option<String> {
        let Warning { kinds, sentence } = self;
        if kinds.is_empty() {
            return Some(sentence);
        }
        let mut left: Vec<&str> = Vec::new();
        for kind in &kinds {
            if !left.contains(&kind.as_str()) && faults.iter().all(|fault| fault.counted_as() != *kind) {
                left.push(kind);
            }
        }
        (!left.is_empty()).then(|| format!("{} cannot come: {sentence}", left.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use crate::NemesisOptions;
    use crate::timetable::{ClusterShape, timetable};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn no_warning_names_a_kind_that_comes_in_a_further_lane_or_by_another_entry() {
        let shape = |quiet_end| ClusterShape {
            nodes: 5,
            leads: true,
            quiet_end: Duration::from_secs(quiet_end),
            election: Duration::from_secs(2),
        };
        let (quiet, four) = (
            json!({"every": "20s", "for": "6s"}),
            json!([{"kill": {}}, {"pause": {}}, {"partition": {}}, {"clock": {}}]),
        );
        let twice = json!([{"kill": {}}, {"kill": {"nodes": "leader"}}, {"pause": {}}, {"pause": {"nodes": "leader"}}]);
        for (options, named) in [
            (json!({"faults": four, "quiet": quiet, "overlap": 3, "for": "5s"}), true),
            (json!({"faults": twice, "quiet": quiet, "swarm": true, "for": "5s"}), false),
        ] {
            let options: NemesisOptions = serde_json::from_value(options).expect("options");
            let mut warned = 0;
            for (seed, load) in (0..60).flat_map(|seed| [45, 56, 70].map(|load| (seed, load))) {
                let plan = timetable(seed, &options, shape(8), Duration::from_secs(load));
                let kinds = plan.warnings.iter().filter_map(|warning| warning.split_once(" cannot come: "));
                for kind in kinds.flat_map(|(kinds, _)| kinds.split(", ")) {
                    warned += 1;
                    let comes = plan.faults.iter().any(|fault| fault.counted_as() == kind);
                    assert!(!comes, "seed {seed}, load {load} s: {:?} {:?}", plan.warnings, plan.faults);
                }
            }
            assert!(warned > 0 || !named, "no kind was left out: the loads are too long to show anything");
        }
    }
}
