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

/// What a person should know of this plan before it runs, one sentence each. `nodes`: their names; empty where they are
/// not known yet.
pub fn warnings(plan: &Plan, nodes: &[String]) -> Vec<String> {
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
    let few = plan.load.clients.too_few(nodes).map(|few| {
        let unbound = plan.load.clients.unbound(nodes).join(", ");
        format!("{few}; the load never asks {unbound}, and evidence does not ask for it there")
    });
    all.chain(blind).chain(few).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_clients_than_nodes_are_told_with_the_number_to_set() {
        let nodes: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let plan = |clients: &str| {
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\nload: {{clients: {clients}}}\n"
            );
            Plan::from_yaml_str(&text).expect("a plan")
        };
        let told = "load.clients is 2 for 3 nodes; 3 or more, such as 1n, asks every node; the load never asks n3, and \
                    evidence does not ask for it there";
        assert_eq!(warnings(&plan("2"), &nodes), [told]);
        for enough in ["3", "1n", "7"] {
            assert!(warnings(&plan(enough), &nodes).is_empty(), "{enough}");
        }
        assert!(warnings(&plan("1"), &[]).is_empty(), "a lab whose nodes are not known yet");
    }
}
