//! Which workloads of a run a checker judges, if there are several. Pure.
use crate::plan::Plan;
use dsfuzz_checkers::{CHECKERS, Options};
use dsfuzz_workloads::WorkloadOptions;

/// The workloads of the plan that a checker is for, if it leaves out some: those that name it; if none does, those that it can judge.
/// None where it judges the run as a whole, or where the plan names the workload.
pub(super) fn of(plan: &Plan, checker: &str, options: &Options) -> Option<Vec<String>> {
    let doc = CHECKERS.iter().find(|doc| doc.name == checker)?;
    let workloads: Vec<&WorkloadOptions> = plan.all_workloads().collect();
    if doc.judges.runs || workloads.len() < 2 || options.0.contains_key("workload") {
        return None;
    }
    let names = |fits: &dyn Fn(&WorkloadOptions) -> bool| -> Vec<String> {
        let fitting = workloads.iter().filter(|workload| fits(workload));
        fitting.map(|workload| workload.name().to_owned()).collect()
    };
    let mut scope = names(&|workload| workload.build().checkers().contains(&checker));
    if scope.is_empty() {
        scope = names(&|workload| {
            let functions = workload.build().functions();
            let functions: Vec<&str> = functions.iter().map(|function| &**function).collect();
            doc.can_judge(options, &functions, workload.reads())
        });
    }
    (!scope.is_empty() && scope.len() < workloads.len()).then_some(scope)
}

#[cfg(test)]
mod tests {
    use super::super::{Rules, judge};
    use crate::plan::Plan;
    use crate::store::RunInfo;
    use crate::targets::TargetFacts;
    use dsfuzz_checkers::{History, Validity};

    /// A right history of a set, a counter, rows and a register, all with `add` and `read`, or `write` and `read`.
    fn history(set: &str) -> History {
        let calls = [
            ("set", "add", "4", "null"),
            ("counter", "add", "4", "null"),
            ("counter", "add", "4", "null"),
            ("monotonic", "add", "null", "0"),
            ("register", "write", "4", "null"),
            ("counter", "read", "null", "8"),
            ("register", "read", "null", "4"),
            ("set", "read", "null", set),
            ("monotonic", "read", "null", "[[0,17]]"),
        ];
        let mut lines = vec![
            r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#
                .to_owned(),
        ];
        for (at, (workload, f, value, reply)) in calls.into_iter().enumerate() {
            if at == 7 {
                let index = lines.len();
                lines.push(format!(r#"{{"type":"phase","index":{index},"time":{index},"phase":"settle"}}"#));
            }
            let index = lines.len();
            lines.push(format!(
                r#"{{"type":"invoke","index":{index},"time":{index},"worker":0,"process":0,"node":"n1","workload":"{workload}","f":"{f}","value":{value},"settle":{}}}"#,
                at >= 7
            ));
            let index = index + 1;
            lines.push(format!(r#"{{"type":"ok","index":{index},"time":{index},"process":0,"value":{reply}}}"#));
        }
        let index = lines.len();
        lines.push(format!(r#"{{"type":"end","index":{index},"time":{index}}}"#));
        dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).expect("a history")
    }

    #[test]
    fn a_checker_judges_the_workloads_that_it_is_for() {
        let text = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkloads: [set, counter, monotonic, register]\n";
        let plan = Plan::from_yaml_str(text).expect("a plan");
        let rules = Rules::of_plan(&plan, &TargetFacts::default());
        assert_eq!(rules.scopes["set"], ["set"], "others have the functions `add` and `read`, too");
        let verdict = |set: &str| {
            let rules = Rules { evidence: None, kinds: Vec::new(), load: None, ..rules.clone() };
            judge(&history(set), &rules, &RunInfo::default())
        };
        let right = verdict("[4]");
        for promise in &right.promises {
            assert_ne!(promise.validity, Validity::Invalid, "{}: {}", promise.checker, promise.summary);
        }
        for checker in ["set", "counter", "monotonic", "linearizable"] {
            let promise = right.promises.iter().find(|promise| promise.checker == checker).expect(checker);
            assert_eq!(promise.validity, Validity::Valid, "{checker}: {}", promise.summary);
        }
        let lost = verdict("[]");
        let set = lost.promises.iter().find(|promise| promise.checker == "set").expect("set");
        assert_eq!(set.validity, Validity::Invalid, "{}", set.summary);
    }

    #[test]
    fn a_checker_that_the_plan_names_judges_what_it_can_if_no_workload_names_it() {
        let text = "name: p\ncluster: {lab: 3}\ntarget: etcd\nworkloads: [register, counter]\ncheck: [staleness, linearizable]\n";
        let plan = Plan::from_yaml_str(text).expect("a plan");
        let rules = Rules::of_plan(&plan, &TargetFacts::default());
        assert_eq!(rules.scopes["staleness"], ["register"]);
        assert_eq!(rules.scopes.get("split-brain"), None, "it judges the run as a whole");
    }
}
