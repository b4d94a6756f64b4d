//! [`FALLACIES`]: the fallacies of distributed computing, each with the faults that refute it on any target.
use super::overrides::Overrides;
use crate::document::{DocumentError, did_you_mean};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// One fallacy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallacy {
    /// Its name on the command line.
    pub name: String,
    /// The wrong belief, as the list of fallacies words it.
    pub fallacy: String,
    /// What the faults do instead.
    pub shows: String,
    /// Keys of `nemesis` in a plan.
    pub nemesis: Map<String, Value>,
}

/// All of them, in the order of the list: the first four by Bill Joy and Tom Lyon, the next three by L Peter Deutsch (1994), the
/// last by James Gosling (1997).
pub static FALLACIES: LazyLock<Vec<Fallacy>> = LazyLock::new(|| {
    let tree = crate::document::parse("fallacies.yaml", include_str!("fallacies.yaml")).expect("YAML");
    serde_json::from_value(tree).expect("a list of fallacies")
});

/// Keys of `nemesis` that say which faults come. The faults of a fallacy take their place; times and demands stay the plan's.
const REPLACED: [&str; 4] = ["faults", "schedule", "swarm", "overlap"];

impl Overrides {
    /// The faults of this fallacy instead of the plan's.
    pub fn fallacy(&mut self, name: &str) -> Result<(), DocumentError> {
        let origin = format!("--fallacy {name}");
        let Some(fallacy) = FALLACIES.iter().find(|fallacy| fallacy.name == name) else {
            let known: Vec<&str> = FALLACIES.iter().map(|fallacy| fallacy.name.as_str()).collect();
            let meant = did_you_mean(name, known.iter().copied());
            let help = meant
                .map_or_else(|| format!("there are {}", known.join(", ")), |meant| format!("did you mean {meant}?"));
            return Err(DocumentError::new(origin, format!("{name} is no fallacy")).help(help));
        };
        let mut flags = vec![format!("--fallacy={name}")];
        for key in REPLACED {
            let value = fallacy.nemesis.get(key).cloned();
            self.change(&origin, &["nemesis", key], value, std::mem::take(&mut flags));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Plan, fit};
    use crate::targets;
    use std::path::Path;

    const PLAN: &str = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkload: register\nload: {time: 120s}\n";

    fn under(name: &str, plan: &str, target: &str) -> Result<Plan, String> {
        let mut overrides = Overrides::none();
        overrides.fallacy(name).map_err(|error| error.to_string())?;
        overrides.set(&format!("target={target}")).map_err(|error| error.to_string())?;
        Plan::read("plan.yaml", plan, "plan", None, &overrides).map_err(|error| error.to_string())
    }

    fn mistakes(plan: &Plan, target: &targets::Target) -> Vec<String> {
        fit::mistakes(plan, target).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fallacy_fits_every_built_in_target() {
        assert_eq!(FALLACIES.len(), 8);
        let mut fitted = 0;
        for name in targets::builtin() {
            let target = targets::load(name, Path::new(""), &Default::default()).expect(name);
            let carried = dsfuzz_workloads::WORKLOADS.iter().find(|doc| target.carries(doc.name, doc.object));
            let workload = carried.expect("a workload").name;
            let text = PLAN.replace("workload: register", &format!("workload: {workload}"));
            // A client program may not be built beside this test; that is no mistake of the faults.
            let plain = Plan::from_yaml_str(&text.replace("target: etcd", &format!("target: {name}"))).expect(name);
            let without = mistakes(&plain, &target);
            let short = "nemesis: {every: 5s, for: 2s}\n";
            for (fallacy, times) in FALLACIES.iter().flat_map(|fallacy| [(fallacy, ""), (fallacy, short)]) {
                let plan = under(&fallacy.name, &format!("{text}{times}"), name)
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(mistakes(&plan, &target), without, "{name}: {}", fallacy.name);
                let nodes = fit::nodes(&plan).expect("nodes");
                let timetable = fit::timetable(&plan, &target, 7, &nodes);
                let faults = plan.nemesis.as_ref().map_or(0, |nemesis| nemesis.faults.len());
                assert!(timetable.faults.len() >= faults, "{name}: {}: {:?}", fallacy.name, timetable.warnings);
                fitted += 1;
            }
        }
        assert!(fitted >= 8 * 10, "{fitted}");
    }

    #[test]
    fn a_fallacy_takes_the_place_of_the_plans_faults_and_keeps_its_times() {
        let with = "nemesis: {every: 9s, for: 4s, swarm: true, faults: [{kill: {}}]}\n";
        let plan = under("latency-is-zero", &format!("{PLAN}{with}"), "etcd").expect("a plan");
        let nemesis = plan.nemesis.expect("faults");
        assert_eq!((nemesis.every.as_millis(), nemesis.lasts.as_millis()), (9000, 4000));
        let kinds: Vec<&str> = nemesis.kinds().map(|kind| kind.name).collect();
        assert_eq!(kinds, ["packet"; 3]);
        assert!(nemesis.swarm.is_off() && nemesis.schedule.is_empty());
        let scheduled = "nemesis: {schedule: [{id: a, at: 5s, kill: {}}]}\n";
        let plan = under("one-administrator", &format!("{PLAN}{scheduled}"), "etcd").expect("a plan");
        assert_eq!(plan.nemesis.map(|nemesis| (nemesis.overlap, nemesis.faults.len())), Some((2, 4)));
    }

    #[test]
    fn the_command_line_says_it_again_once() {
        let mut overrides = Overrides::none();
        overrides.fallacy("network-is-secure").expect("known");
        assert_eq!(overrides.arguments(), ["--fallacy=network-is-secure"]);
        let error = overrides.fallacy("latency-is-zer").expect_err("unknown").to_string();
        assert!(error.contains("did you mean latency-is-zero?"), "{error}");
    }
}
