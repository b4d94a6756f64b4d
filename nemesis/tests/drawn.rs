//! Properties of drawn faults over many seeds, by brute force: what is left of the cluster at each moment, whichever node leads;
//! stretches without faults; and what a swarm draws.
use dsfuzz_nemesis::disk::DiskKind;
use dsfuzz_nemesis::facts::Leaves;
use dsfuzz_nemesis::fault::Link;
use dsfuzz_nemesis::{
    ClusterShape, ClusterView, NemesisOptions, NodeView, PlannedFault, ResolvedFault, SymbolicFault, Timetable,
    resolve, timetable,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn options(value: Value) -> NemesisOptions {
    serde_json::from_value(value).expect("options")
}

fn drawn(seed: u64, options: &NemesisOptions, nodes: usize, load_s: u64) -> Timetable {
    let (quiet_end, election) = (Duration::from_secs(10), Duration::from_secs(2));
    let shape = ClusterShape { nodes, leads: true, quiet_end, election };
    timetable(seed, options, shape, Duration::from_secs(load_s))
}

fn name(number: usize) -> String {
    format!("n{}", number + 1)
}

/// The nodes as a fault meets them, led by one of them after another one.
fn view(nodes: usize, leader: usize, former: usize) -> ClusterView {
    let node = |number: usize| NodeView {
        name: name(number),
        address: [10, 0, 0, number as u8 + 1].into(),
        others: Vec::new(),
        ports: vec![80],
        port_roles: BTreeMap::from([("peer".to_owned(), 80), ("client".to_owned(), 81)]),
        services: vec!["db".to_owned()],
        own_kernel: false,
    };
    ClusterView {
        nodes: (0..nodes).map(node).collect(),
        leaders: vec![name(leader)],
        former_leaders: vec![name(former)],
        control_boot_id: "control".to_owned(),
        ..ClusterView::default()
    }
}

/// The lost nodes and links of a fault that is bound.
type Lost = (BTreeSet<String>, BTreeSet<Link>);

fn lost(fault: &ResolvedFault) -> Lost {
    match dsfuzz_nemesis::facts(fault.kind).expect("a kind").leaves {
        Leaves::AllNodes => Lost::default(),
        Leaves::OtherNodes => (fault.nodes.iter().cloned().collect(), BTreeSet::new()),
        Leaves::ConnectedNodes => (BTreeSet::new(), fault.verification.disturbed().iter().cloned().collect()),
    }
}

/// What a fault may take of the cluster: one for each leader and former leader.
fn every_loss(planned: &PlannedFault, nodes: usize) -> BTreeSet<Lost> {
    let pairs = (0..nodes).flat_map(|leader| (0..nodes).map(move |former| (leader, former)));
    let views = pairs.filter(|(leader, former)| leader != former).map(|(leader, former)| view(nodes, leader, former));
    views.map(|view| lost(&resolve(planned, &view).expect("bound"))).collect()
}

/// Whether some majority runs and has a node that all others of it hear, and that hears them: every subset is tried.
fn has_quorum((down, cut): &Lost, nodes: usize) -> bool {
    let majority = nodes / 2 + 1;
    (0_u32..1 << nodes).filter(|subset| subset.count_ones() as usize >= majority).any(|subset| {
        let members: Vec<String> = (0..nodes).filter(|node| subset & (1 << node) != 0).map(name).collect();
        let open = |from: &String, to: &String| from == to || !cut.contains(&(from.clone(), to.clone()));
        members.iter().all(|member| !down.contains(member))
            && members.iter().any(|hub| members.iter().all(|other| open(hub, other) && open(other, hub)))
    })
}

fn end(fault: &PlannedFault) -> u64 {
    fault.at.as_millis() + fault.lasts.as_millis()
}

fn in_force(plan: &Timetable, at: u64) -> Vec<&PlannedFault> {
    plan.faults.iter().filter(|fault| fault.at.as_millis() <= at && at < end(fault)).collect()
}

/// All that may be lost together by these faults, each with any leader of its moment.
fn together(faults: &[&PlannedFault], nodes: usize) -> BTreeSet<Lost> {
    faults.iter().fold(BTreeSet::from([Lost::default()]), |all, fault| {
        let own = every_loss(fault, nodes);
        all.iter().flat_map(|one| own.iter().map(move |other| (&one.0 | &other.0, &one.1 | &other.1))).collect()
    })
}

const FAULTS: &str = r#"[
    {"partition": {}}, {"kill": {"nodes": ["one", "minority", "leader"]}}, {"pause": {"nodes": ["leader", "follower"]}},
    {"packet": {"loss": 20, "nodes": ["one", "leader"]}}, {"clock": {}}, {"power-loss": {"nodes": "one"}},
    {"disk": {"effect": ["full", {"bit-flip": {}}], "nodes": ["one", "n2", "leader"]}}, {"restart": {}}
]"#;

fn all_kinds(more: Value) -> NemesisOptions {
    let mut all = json!({"faults": serde_json::from_str::<Value>(FAULTS).expect("faults")});
    all.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    options(all)
}

/// At each moment the faults in force that leave a quorum alone leave one together.
fn keeps_quorum(plan: &Timetable, nodes: usize) -> Result<usize, String> {
    let mut overlaps = 0;
    for moment in plan.faults.iter().map(|fault| fault.at.as_millis()) {
        let now = in_force(plan, moment);
        let modest = |fault: &&&PlannedFault| every_loss(fault, nodes).iter().all(|lost| has_quorum(lost, nodes));
        let modest: Vec<&PlannedFault> = now.iter().filter(modest).copied().collect();
        overlaps += usize::from(now.len() > 1);
        if let Some(lost) = together(&modest, nodes).iter().find(|lost| !has_quorum(lost, nodes)) {
            let words: Vec<String> = now.iter().map(|fault| fault.describe()).collect();
            return Err(format!("{moment} ms: {words:?} may lose {lost:?}"));
        }
    }
    Ok(overlaps)
}

#[test]
fn overlapping_faults_leave_a_quorum_at_each_moment() {
    let mut overlaps = BTreeMap::new();
    for (nodes, overlap, seeds) in [(3, 2, 60), (5, 2, 40), (5, 3, 20), (4, 2, 30), (7, 2, 6)] {
        for seed in 0..seeds {
            let plan = drawn(seed, &all_kinds(json!({"overlap": overlap})), nodes, 150);
            let found = keeps_quorum(&plan, nodes).unwrap_or_else(|why| panic!("{nodes} nodes, seed {seed}: {why}"));
            *overlaps.entry(nodes).or_insert(0) += found;
            for moment in plan.faults.iter().map(|fault| fault.at.as_millis()) {
                let now = in_force(&plan, moment);
                let kinds: BTreeSet<&str> = now.iter().map(|fault| fault.kind()).collect();
                assert!(now.len() <= overlap && kinds.len() == now.len(), "{nodes} nodes, seed {seed}: {now:?}");
            }
        }
    }
    // The property is not kept by drawing nothing.
    assert!(overlaps.values().all(|count| *count > 50), "{overlaps:?}");
}

#[test]
fn without_a_budget_the_same_draws_lose_a_quorum() {
    let lost =
        |seed| keeps_quorum(&drawn(seed, &all_kinds(json!({"overlap": 3, "budget": "none"})), 5, 150), 5).is_err();
    assert!((0..30).filter(|seed| lost(*seed)).count() > 10, "the check of the property can fail");
}

#[test]
fn a_fault_whose_own_aim_takes_a_majority_comes_all_the_same() {
    let faults =
        json!({"overlap": 2, "faults": [{"kill": {"nodes": "all"}}, {"pause": {"nodes": "majority"}}, {"clock": {}}]});
    for seed in 0..30 {
        let plan = drawn(seed, &options(faults.clone()), 3, 150);
        let kinds: BTreeSet<&str> = plan.faults.iter().map(PlannedFault::kind).collect();
        assert!(kinds.contains("kill") && kinds.contains("pause"), "seed {seed}: {kinds:?}");
    }
}

#[test]
fn a_majority_keeps_its_files_over_the_whole_run() {
    let damages = |fault: &PlannedFault| match &fault.fault {
        SymbolicFault::Disk(disk) => {
            matches!(disk.kind, DiskKind::BitFlip(_) | DiskKind::Truncate(_) | DiskKind::OldCopy)
        }
        _ => false,
    };
    let faults = |more: Value| {
        let mut all = json!({"faults": [{"disk": {"effect": [{"bit-flip": {}}, {"truncate": {}}, "old-copy"], "nodes": ["one", "n3"]}}]});
        all.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        options(all)
    };
    let damaged = |options: &NemesisOptions, seed: u64, nodes: usize| -> usize {
        let plan = drawn(seed, options, nodes, 300);
        assert_eq!(plan.faults.len(), 28, "no fault is left out");
        let all = plan.faults.iter().filter(|fault| damages(fault));
        let taken = all.flat_map(|fault| resolve(fault, &view(nodes, 0, 1)).expect("bound").nodes);
        taken.collect::<BTreeSet<String>>().len()
    };
    for nodes in 3..=7 {
        for seed in 0..60 {
            let count = damaged(&faults(json!({})), seed, nodes);
            assert!(nodes - count > nodes / 2, "{nodes} nodes, seed {seed}: {count} are damaged");
            assert!(damaged(&faults(json!({"budget": "none"})), seed, nodes) >= count);
        }
    }
    assert!((0..20).all(|seed| damaged(&faults(json!({"budget": "none"})), seed, 3) == 3), "without it all are");
}

#[test]
fn a_plan_without_these_options_is_drawn_as_before() {
    // A budget changes nothing where faults neither overlap nor damage files.
    let faults = json!([{"partition": {}}, {"kill": {"nodes": ["majority", "all"]}}, {"pause": {}}, {"packet": {}}, {"clock": {}}]);
    for seed in 0..100 {
        let kept = drawn(seed, &options(json!({"faults": faults})), 5, 200);
        let free = drawn(seed, &options(json!({"faults": faults, "budget": "none"})), 5, 200);
        assert_eq!(kept, free, "seed {seed}");
        assert!(!kept.overlapping && kept.swarm.is_none());
    }
}

#[test]
fn nothing_is_in_force_in_a_quiet_stretch() {
    for (every_s, lasts_s, overlap) in [(60, 10, 1), (60, 45, 1), (30, 10, 3), (25, 17, 1)] {
        for seed in 0..60 {
            let quiet = json!({"every": format!("{every_s}s"), "for": format!("{lasts_s}s")});
            let plan = drawn(seed, &all_kinds(json!({"quiet": quiet, "overlap": overlap})), 5, 400);
            assert!(plan.faults.len() >= 7, "seed {seed}: {} faults, {:?}", plan.faults.len(), plan.warnings);
            for fault in &plan.faults {
                let (every, lasts) = (every_s * 1000, lasts_s * 1000);
                let round = fault.at.as_millis() / every;
                let stretch = round * every + (every - lasts);
                assert!(
                    end(fault) <= stretch,
                    "seed {seed}: {fault:?} is in force in the stretch from {stretch} ms on"
                );
                assert!(end(fault) <= plan.quiet_from.as_millis() && fault.at.as_millis() >= 5000, "seed {seed}");
            }
        }
    }
    // A load without room says which kinds do not come.
    let short = drawn(1, &all_kinds(json!({"quiet": {"every": "40s", "for": "30s"}})), 5, 100);
    assert!(short.warnings.iter().any(|warning| warning.contains("cannot come")), "{:?}", short.warnings);
}

#[test]
fn a_swarm_draws_each_part_and_the_same_for_a_seed() {
    let swarm = all_kinds(json!({"swarm": true}));
    let (mut counts, mut paces, mut weights) = (BTreeMap::<String, u32>::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..200 {
        let plan = drawn(seed, &swarm, 5, 300);
        assert_eq!(plan, drawn(seed, &swarm, 5, 300), "seed {seed}");
        let drew = plan.swarm.clone().expect("a swarm");
        let names: BTreeSet<&str> = drew.drawn.iter().map(|(name, _)| name.as_str()).collect();
        let kinds: BTreeSet<&str> = plan.faults.iter().map(PlannedFault::kind).collect();
        assert_eq!(kinds, names, "seed {seed}: exactly what was drawn comes");
        assert_eq!(drew.drawn.len() + drew.not_drawn.len(), 8);
        assert!(!kinds.is_empty() && drew.kinds_not_drawn == drew.not_drawn, "seed {seed}: {drew:?}");
        names.iter().for_each(|name| *counts.entry((*name).to_owned()).or_default() += 1);
        weights.extend(drew.drawn.iter().map(|(_, weight)| *weight));
        paces.insert(drew.every.as_millis());
        assert!(drew.to_string().starts_with("drew "), "{drew}");
    }
    assert!(counts.len() == 8 && counts.values().all(|count| (70..130).contains(count)), "{counts:?}");
    assert_eq!((paces, weights), (BTreeSet::from([5000, 10_000, 20_000]), BTreeSet::from([1, 2, 3])));
    let rare = all_kinds(json!({"swarm": {"chance": 1, "rates": false}}));
    for seed in 0..100 {
        let drew = drawn(seed, &rare, 5, 300).swarm.expect("a swarm");
        assert!(!drew.drawn.is_empty() && drew.every.as_millis() == 10_000, "{drew:?}");
        assert!(drew.drawn.iter().all(|(_, weight)| *weight == 1));
    }
    // One of two entries of a kind may come alone: the kind is there.
    let twice = options(json!({"swarm": true, "faults": [{"kill": {"nodes": "one"}}, {"kill": {"nodes": "leader"}}]}));
    let alone = (0..40).filter_map(|seed| drawn(seed, &twice, 3, 100).swarm).find(|drew| drew.drawn.len() == 1);
    let alone = alone.expect("one alone");
    assert!(
        alone.kinds_not_drawn.is_empty()
            && alone.not_drawn.len() == 1
            && alone.not_drawn[0].starts_with("kill (faults[")
    );
}
