//! Whether a plan and its target fit, checked before a node is touched. Pure, except that it looks for the programs of
//! the client and of `cluster.exec` on this machine, and for labs that are up.
//!
//! `plan`, `doctor` and `run` ask the same.
mod faults;
mod mistake;

pub use mistake::FitMistake;

use super::{LIVENESS, LabPlan, Plan, validate};
use crate::cluster::ExecOptions;
use crate::lab::Lab;
use crate::targets::Target;
use crate::targets::exec::asks_for_versions;
use dsfuzz_checkers::FinalReads;
use dsfuzz_nemesis::budget::Budget;
use dsfuzz_nemesis::protocol::OwnCommands;
use dsfuzz_nemesis::swarm::Swarm;
use dsfuzz_nemesis::{
    BoundFault, ClusterShape, ClusterView, FaultOptions, Members, NemesisOptions, NodeView, Span, Timetable,
};
use dsfuzz_workloads::WorkloadOptions;
use std::net::Ipv4Addr;

/// Reasons why this plan cannot run on this target.
pub fn mistakes(plan: &Plan, target: &Target) -> Vec<FitMistake> {
    let mut mistakes: Vec<String> = Vec::new();
    for workload in plan.all_workloads() {
        mistakes.extend(target.client_mistake(workload.name(), workload.object()));
        if asks_for_versions(&workload.build().params()) {
            mistakes.extend(target.without_versions(workload.name(), workload.object()));
        }
    }
    mistakes.extend(plan.cluster.exec.as_ref().and_then(ExecOptions::missing_program));
    mistakes.extend(moving_beside_others(plan));
    mistakes.extend(unjudged(plan));
    let nodes = nodes(plan).unwrap_or_else(|mistake| {
        mistakes.push(mistake);
        Vec::new()
    });
    if !nodes.is_empty() {
        mistakes.extend(target.beyond_bounds(&nodes));
    }
    // The plan names them, except for a lab that is up.
    mistakes.extend(validate::too_many_clients(&plan.load, nodes.len()).map(|(_, message)| message));
    if let Some(share) = plan.load.on_leader.filter(|_| !target.recipe().has_leaders()) {
        mistakes.push(format!(
            "load.on_leader: {share}: the recipe of {} names no role that leads, so that no client can follow the leader",
            target.name()
        ));
    }
    if plan.load.final_reads == Some(FinalReads::Leader) && target.has_several_leaders() {
        mistakes.push(format!(
            "load.final_reads: leader: several nodes of {} lead at once, each with a part of the data, so that no leader holds all; \
             any-node asks each node for its own",
            target.name()
        ));
    }
    let mut mistakes: Vec<FitMistake> = mistakes.into_iter().map(FitMistake::from).collect();
    mistakes.extend(plan.nemesis.iter().flat_map(|nemesis| faults::mistakes(plan, nemesis, target, &nodes)));
    mistakes
}

/// The view of a cluster in which every node of the plan is there, every role is taken and every fault of the schedule was bound.
fn whole_view(plan: &Plan, target: &Target, nodes: &[String], services: Vec<String>) -> ClusterView {
    // Documentation addresses (RFC 5737) stand in.
    let address = |position: usize| Ipv4Addr::new(192, 0, 2, u8::try_from(position + 1).unwrap_or(u8::MAX)).into();
    let node = |(position, name): (usize, &String)| NodeView {
        name: name.clone(),
        address: address(position),
        others: Vec::new(),
        ports: target.ports().into_values().collect(),
        port_roles: target.ports(),
        services: services.clone(),
        own_kernel: plan.cluster.own_kernel(),
    };
    let commands = || target.faults().map(|fault| (fault.name.clone(), OwnCommands::default())).collect();
    let (leaders, former_leaders) = (vec![nodes[0].clone()], vec![nodes[nodes.len() - 1].clone()]);
    let bound = BoundFault {
        nodes: vec![nodes[0].clone()],
        leaders: leaders.clone(),
        former_leaders: former_leaders.clone(),
        trigger: Some(nodes[0].clone()),
    };
    let schedule = plan.nemesis.iter().flat_map(|nemesis| &nemesis.schedule);
    ClusterView {
        nodes: nodes.iter().enumerate().map(node).collect(),
        leaders,
        former_leaders,
        members: Some(Members { voters: nodes.to_vec(), learners: nodes[nodes.len() - 1..].to_vec() }),
        own: nodes.iter().map(|node| (node.clone(), commands())).collect(),
        bound: schedule.map(|entry| (entry.id.clone(), bound.clone())).collect(),
        ..ClusterView::default()
    }
}

/// The mistake of a declared workload whose replies nothing judges.
fn unjudged(plan: &Plan) -> Option<String> {
    let mut workloads = plan.all_workloads();
    let bare = |workload: &WorkloadOptions| match workload {
        WorkloadOptions::Declared(options) => options.checkers.is_empty(),
        _ => false,
    };
    (plan.check.is_empty() && workloads.any(bare)).then(|| {
        "declared: checkers: nothing would judge the replies; name a checker here, or give the plan `check`".to_owned()
    })
}

/// The mistake of a plan whose sessions move between nodes while the same clients carry other workloads: each move closes the
/// client, and with it what the others hold or have subscribed to.
fn moving_beside_others(plan: &Plan) -> Option<String> {
    let mut workloads = plan.all_workloads();
    let moves = |workload: &WorkloadOptions| match workload {
        WorkloadOptions::Sessions(options) => options.move_every.is_some(),
        _ => false,
    };
    let several = workloads.clone().count() > 1;
    (several && workloads.any(moves)).then(|| {
        "sessions: move_every: a move closes the client, and with it what other workloads hold; run this workload alone".to_owned()
    })
}

/// From this time of the load on no fault is in force.
fn quiet_from(plan: &Plan, nemesis: &NemesisOptions, target: &Target) -> Span {
    Span(plan.load.time.0.saturating_sub(quiet_end(nemesis, target).0))
}

/// The time without faults at the end of the load: that of the plan, else that of the recipe, or longer where recovery is judged.
fn quiet_end(nemesis: &NemesisOptions, target: &Target) -> Span {
    let needed = nemesis.recovery.map_or(Span::millis(0), |recovery| recovery.needs());
    nemesis.quiet_end.unwrap_or(target.recipe().quiet_after_heal.max(needed))
}

/// The faults of this seed on the nodes of these names, with their times.
pub fn timetable(plan: &Plan, target: &Target, seed: u64, nodes: &[String]) -> Timetable {
    let Some(nemesis) = &plan.nemesis else { return Timetable::default() };
    let shape = ClusterShape {
        nodes: nodes.len(),
        leads: target.recipe().has_leaders(),
        quiet_end: quiet_end(nemesis, target).0,
        election: target.election(),
    };
    dsfuzz_nemesis::timetable_on(seed, nemesis, shape, plan.load.time.0, nodes)
}

/// Warnings about this plan before it runs, one sentence each: about the faults that this seed draws, or, without a seed, about all
/// faults of the plan.
pub fn warnings(plan: &Plan, target: &Target, seed: Option<u64>) -> Vec<String> {
    let nodes = nodes(plan).unwrap_or_default();
    let drawn = match seed {
        Some(seed) => timetable(plan, target, seed, &nodes),
        None => timetable(&without_swarm(plan), target, 0, &nodes),
    };
    let mut warnings = drawn.warnings;
    warnings.extend(damaged_minority(plan));
    warnings.extend(plan.nemesis.iter().flat_map(|nemesis| faults::warnings(plan, nemesis, target, &nodes)));
    warnings.extend(few_calls(plan));
    warnings.extend(long_deadline(plan));
    warnings.extend(faster_than_slots(plan));
    let blind = plan.all_workloads();
    warnings.extend(blind.filter_map(|workload| {
        Some(format!("{}: {}; the run can only be unknown or invalid", workload.name(), workload.blind()?))
    }));
    warnings.extend(few_clients(plan, &nodes));
    warnings.extend(no_safety(plan));
    warnings
}

/// The plan with all its faults in every run: a load that holds all of them holds those of each run.
fn without_swarm(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Some(nemesis) = &mut plan.nemesis {
        nemesis.swarm = Swarm::Off;
    }
    plan
}

/// The note about drawn faults that damage files: they do so on a minority.
fn damaged_minority(plan: &Plan) -> Option<String> {
    let nemesis = plan.nemesis.as_ref().filter(|nemesis| nemesis.budget == Budget::Quorum)?;
    nemesis.faults.iter().any(FaultOptions::damages_files).then(|| {
        "disk: over the whole run files are damaged on a minority of the nodes, so that a majority keeps its own; \
         `nemesis: {budget: none}` draws whatever comes"
            .to_owned()
    })
}

/// Checkers of liveness, and checkers that only measure: none judges whether replies are right.
const NOT_SAFETY: [&str; 3] = ["availability", LIVENESS, dsfuzz_checkers::CRASHES];

/// The warning about a check section without a checker of safety.
fn no_safety(plan: &Plan) -> Option<String> {
    let names: Vec<&str> = plan.check.iter().map(super::CheckPlan::name).collect();
    if names.is_empty() || names.iter().any(|name| !NOT_SAFETY.contains(name)) {
        return None;
    }
    let measures = |name: &&str| dsfuzz_checkers::checker(name).is_some_and(|checker| checker.measures_only());
    let only = if names.iter().all(measures) { ", and the run can only be unknown or invalid" } else { "" };
    let workloads = plan.all_workloads().flat_map(|workload| workload.build().checkers());
    let mut fitting: Vec<&str> = workloads.filter(|name| !NOT_SAFETY.contains(name)).collect();
    fitting.sort_unstable();
    fitting.dedup();
    Some(format!(
        "check: nothing judges safety: {} {} not ask whether calls return what is promised{only}; add {}, or leave `check` \
         out",
        names.join(", "),
        if names.len() == 1 { "does" } else { "do" },
        fitting.join(", ")
    ))
}

/// Fewer clients than nodes.
fn few_clients(plan: &Plan, nodes: &[String]) -> Option<String> {
    let few = plan.load.too_few(nodes)?;
    let unbound = plan.load.unbound(nodes).join(", ");
    let bound = nodes.len() - plan.load.unbound(nodes).len();
    let meant = bound as u64 >= plan.evidence.nodes_asked(nodes.len());
    let consequence = if meant {
        "as `evidence.nodes_asked_min` allows".to_owned()
    } else {
        format!(
            "so the run can only be unknown or invalid, unless the plan says that this is meant: `evidence: \
             {{nodes_asked_min: {bound}}}`"
        )
    };
    Some(format!("{few}; the load never asks {unbound}, {consequence}"))
}

/// The warning about a load that cannot make the calls that evidence asks for.
fn few_calls(plan: &Plan) -> Option<String> {
    let by_rate = plan.load.rate.map(|rate| rate.0 * plan.load.time.0.as_secs_f64());
    let calls = by_rate.into_iter().chain(plan.load.ops_max.map(|most| most as f64)).reduce(f64::min)?;
    let min = plan.evidence.ok_min;
    (calls < min as f64).then(|| {
        format!(
            "the load makes {calls:.0} calls at the most, and evidence asks for {min} that are Ok: the run can only be \
             unknown or invalid; ask for more with `load.rate`, `load.time` or `load.ops_max`, or for less with \
             `evidence.ok_min`"
        )
    })
}

/// The warning about a call deadline beyond the load: a hanging call then keeps its client to the end.
fn long_deadline(plan: &Plan) -> Option<String> {
    let (deadline, time) = (plan.load.deadline?, plan.load.time);
    (deadline > time).then(|| {
        format!(
            "load.deadline: {deadline} is longer than the load of {time}: a call that hangs keeps its client to the end of \
             the run; a few seconds are usual"
        )
    })
}

/// The warning about faults that the plan wants more often than they can come.
fn faster_than_slots(plan: &Plan) -> Option<String> {
    let nemesis = plan.nemesis.as_ref()?;
    let least = nemesis.faults.iter().map(|fault| fault.lasts().unwrap_or(nemesis.lasts)).min()?;
    (nemesis.every < least).then(|| {
        format!(
            "nemesis.every: {} is shorter than every fault: one fault ends before the next begins, so they come as their \
             durations allow",
            nemesis.every
        )
    })
}

/// The names of the nodes, in order. Fails if the plan's lab is not up.
pub fn nodes(plan: &Plan) -> Result<Vec<String>, String> {
    match &plan.cluster.lab {
        Some(LabPlan::Nodes(count)) => Ok((1..=*count).map(|node| format!("n{node}")).collect()),
        Some(LabPlan::Named(name)) => {
            let lab = Lab::find(name).map_err(|error| format!("cluster: lab: {error:#}"))?;
            Ok(lab.nodes().iter().map(|(node, _)| node.name.to_string()).collect())
        }
        None => {
            let host = |node: &String| node.rsplit('@').next().unwrap_or(node).to_owned();
            let entered = plan.cluster.exec.iter().flat_map(|exec| &exec.nodes).map(|node| node.name().to_owned());
            Ok(plan.cluster.nodes.iter().map(host).chain(entered).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_asks_nothing_about_safety_is_told() {
        let warning = |check: &str| {
            let text = format!("name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\ncheck: {check}\n");
            no_safety(&Plan::from_yaml_str(&text).expect("a plan"))
        };
        let alone = warning("[availability]").expect("a warning");
        assert!(alone.starts_with("check: nothing judges safety: availability does not ask whether"), "{alone}");
        assert!(alone.contains("only be unknown or invalid; add linearizable"), "{alone}");
        let both = warning("[availability, liveness]").expect("a warning");
        assert!(both.contains("availability, liveness do not ask") && !both.contains("unknown"), "{both}");
        for safe in ["[]", "[availability, linearizable]", "[split-brain]"] {
            assert_eq!(warning(safe), None, "{safe}");
        }
    }

    #[test]
    fn a_declared_workload_needs_a_checker() {
        let mistake = |rest: &str| {
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: {{declared: {{object: register, functions: {{read: {{}}}}{rest}"
            );
            unjudged(&Plan::from_yaml_str(&text).expect("a plan"))
        };
        assert!(mistake("}}\n").is_some_and(|words| words.starts_with("declared: checkers: nothing would judge")));
        assert_eq!(mistake(", checkers: [linearizable]}}\n"), None);
        assert_eq!(mistake("}}\ncheck: [linearizable]\n"), None);
    }

    #[test]
    fn sessions_that_move_stand_alone() {
        let mistake = |workloads: &str| {
            let text = format!("name: p\ncluster: {{lab: 3}}\ntarget: etcd\n{workloads}\n");
            moving_beside_others(&Plan::from_yaml_str(&text).expect("a plan"))
        };
        let beside = mistake("workloads: [{sessions: {move_every: 5}}, log]").expect("a mistake");
        assert!(beside.starts_with("sessions: move_every: a move closes the client"), "{beside}");
        assert_eq!(mistake("workload: {sessions: {move_every: 5}}"), None);
        assert_eq!(mistake("workloads: [sessions, log]"), None);
    }

    #[test]
    fn fewer_clients_than_nodes_are_told_with_the_number_to_set() {
        let nodes: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let plan = |clients: &str| {
            let text = format!(
                "name: p\ncluster: {{lab: 3}}\ntarget: etcd\nworkload: register\nload: {{clients: {clients}}}\n"
            );
            Plan::from_yaml_str(&text).expect("a plan")
        };
        let few = "load.clients is 2 for 3 nodes; 3 or more, such as 1n, asks every node; the load never asks n3";
        let expected = format!(
            "{few}, so the run can only be unknown or invalid, unless the plan says that this is meant: `evidence: \
             {{nodes_asked_min: 2}}`"
        );
        assert_eq!(few_clients(&plan("2"), &nodes), Some(expected));
        let mut meant = plan("2");
        meant.evidence.nodes_asked_min = Some(2);
        assert_eq!(few_clients(&meant, &nodes), Some(format!("{few}, as `evidence.nodes_asked_min` allows")));
        for enough in ["3", "1n", "7"] {
            assert_eq!(few_clients(&plan(enough), &nodes), None, "{enough}");
        }
        assert_eq!(few_clients(&plan("1"), &[]), None, "a lab whose nodes are not known yet");
    }
}
