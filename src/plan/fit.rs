//! Whether a plan and its target fit: what neither can say alone, asked before a node is touched. Pure, but for a look
//! at the client's program on this machine.
//!
//! `plan`, `doctor` and `run` ask the same.
use super::{LabPlan, Plan};
use crate::targets::Target;

/// What keeps this plan from being run on this target, one sentence each.
pub fn mistakes(plan: &Plan, target: &Target) -> Vec<String> {
    let mut mistakes = Vec::new();
    for workload in plan.workload.iter().chain(&plan.workloads) {
        mistakes.extend(target.client_mistake(workload.name()));
    }
    if let Some(nemesis) = &plan.nemesis {
        if let Some(nodes) = nodes(plan) {
            mistakes.extend(nemesis.mistakes(&nodes));
        }
        if !target.recipe().has_leaders() {
            let name = target.name();
            mistakes.extend(nemesis.aimed_at_leader().into_iter().map(|words| {
                format!(
                    "{words}: the recipe of {name} names no role that leads; name one leader, primary or master, give \
                     it `leads: true`, or aim at other nodes"
                )
            }));
        }
    }
    mistakes
}

/// What a person should know of this plan before it runs, one sentence each.
pub fn warnings(plan: &Plan) -> Vec<String> {
    let faults = plan.nemesis.iter().flat_map(|nemesis| &nemesis.faults);
    let all = faults.filter(|fault| fault.aims_at_all()).map(|fault| {
        format!(
            "{}: nodes: all leaves nobody to answer: evidence asks for calls that are Ok before it and after its heal",
            fault.doc().name
        )
    });
    let blind = plan.workload.iter().chain(&plan.workloads);
    let blind = blind.filter_map(|workload| {
        Some(format!("{}: {}; the run can only be unknown or invalid", workload.name(), workload.blind()?))
    });
    all.chain(blind).collect()
}

/// The names of the nodes, as far as the plan tells them.
fn nodes(plan: &Plan) -> Option<Vec<String>> {
    match &plan.cluster.lab {
        Some(LabPlan::Nodes(count)) => Some((1..=*count).map(|node| format!("n{node}")).collect()),
        Some(LabPlan::Named(_)) => None,
        None => {
            let host = |node: &String| node.rsplit('@').next().unwrap_or(node).to_owned();
            Some(plan.cluster.nodes.iter().map(host).collect())
        }
    }
}
