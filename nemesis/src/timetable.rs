//! [`timetable`]: draws the faults of a run and their times from a seed alone. Pure.
//!
//! The load between the quiet start and the quiet end is cut into slots, one for each fault, `every` long on average.
//! A fault begins at a drawn moment of its slot and ends before the slot does, so that faults never overlap. Kinds come from a
//! shuffled bag: each comes before any comes again. If the load is too short for all kinds at the plan's rate, they follow
//! each other faster; if that is not enough, the last kinds of the plan's list are left out. Never: shortens a fault, or puts
//! two faults next to each other without a gap.
//!
//! With `overlap`, further faults are drawn beside these (`Lane`), each where it leaves a quorum (`losses`). With `quiet`, slots are
//! laid around stretches without faults. With `swarm`, the seed first chooses the faults to draw from.
//!
//! At least one fault takes the leader: if the draws gave none, the first fault whose nodes the plan leaves open (`one`,
//! `minority`, `majority`, or a partition with two sides) takes it among its nodes.
mod short_load;
mod warning;

use crate::bag::Bag;
use crate::budget::Budget;
use crate::drawing::swarmed;
use crate::fault::PlannedFault;
use crate::losses::Rules;
use crate::options::{FaultSource, NemesisOptions};
use crate::quiet::GAP_MS;
use crate::swarm::SwarmDraw;
use dsfuzz_rng::Rng;
use dsfuzz_span::Span;
use serde::{Deserialize, Serialize};
use short_load::ShortLoad;
use std::time::Duration;
use warning::Warning;

/// Least time in force for evidence; no target notices a shorter fault.
pub const IN_FORCE_MIN: Duration = Duration::from_millis(500);

/// The faults of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timetable {
    /// In the order of their begins.
    pub faults: Vec<PlannedFault>,
    /// No fault is in force from here on.
    pub quiet_from: Span,
    /// Deviations from the plan, one sentence each.
    pub warnings: Vec<String>,
    /// Each fault comes by its own begin, whatever others are in force.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overlapping: bool,
    /// Drawn faults that overlap leave a quorum of the nodes that vote when they begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_quorum: bool,
    /// Which of the plan's faults this run drew; none without a swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swarm: Option<SwarmDraw>,
}

/// The facts of a cluster for a timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    /// Number of nodes.
    pub nodes: usize,
    /// Whether a role of the target leads.
    pub leads: bool,
    /// Time without faults at the end of the load.
    pub quiet_end: Duration,
    /// Time until the target serves again after a heal.
    pub election: Duration,
}

/// One kind of fault in the plan's list.
struct FaultKind {
    name: String,
    /// How often it comes beside the others.
    weight: u64,
    lasts_ms: u64,
    draws: Box<dyn FaultSource>,
}

/// A slot of the load for a fault of a kind (its position in the list).
struct FaultSlot {
    kind: usize,
    slot_ms: u64,
    lasts_ms: u64,
    gap_ms: u64,
}

/// The faults of a run with this load on this number of nodes, which are called `n1`, `n2`, .. The same arguments always give the
/// same timetable.
///
/// If no role of the target leads (`leads` is false), no fault takes a leader, and a partition without a shape takes no shape
/// that needs one.
pub fn timetable(seed: u64, options: &NemesisOptions, cluster: ClusterShape, load: Duration) -> Timetable {
    let names: Vec<String> = (1..=cluster.nodes).map(|number| format!("n{number}")).collect();
    timetable_on(seed, options, cluster, load, &names)
}

/// The same on nodes of these names.
pub fn timetable_on(
    seed: u64,
    options: &NemesisOptions,
    cluster: ClusterShape,
    load: Duration,
    names: &[String],
) -> Timetable {
    let leaderless = (!cluster.leads).then(|| options.leaderless());
    let options = leaderless.as_ref().unwrap_or(options);
    if !options.schedule.is_empty() {
        return crate::schedule::scheduled(seed, options, cluster, load);
    }
    let swarm = swarmed(options, seed);
    let (options, weights, swarm) = match &swarm {
        Some((options, weights, drawn)) => (options, weights.clone(), Some(drawn.clone())),
        None => (options, vec![1; options.faults.len()], None),
    };
    let quiet_from = Span(load.saturating_sub(cluster.quiet_end));
    let mut plan = Timetable { quiet_from, swarm, overlapping: options.overlap > 1, ..Timetable::default() };
    plan.keeps_quorum = plan.overlapping && options.budget == Budget::Quorum;
    let mut warnings = Vec::new();
    for number in 0..u64::from(options.overlap.max(1)) {
        let rules = Rules::new(options.budget, names, GAP_MS);
        let lane = Lane { seed, number, options, weights: &weights, cluster, load, rules: &rules };
        let deviations = lane.fill(&mut plan.faults);
        // Further faults beside the first ones come where they find room.
        if number == 0 {
            warnings = deviations;
            if cluster.leads {
                aim_one_at_leader(&mut plan.faults);
            }
        }
    }
    plan.warnings = warnings.into_iter().filter_map(|warning| warning.beside(&plan.faults)).collect();
    plan.faults.sort_by_key(|fault| fault.at);
    for (id, fault) in (1..).zip(&mut plan.faults) {
        fault.id = id;
    }
    plan
}

/// How often another fault is drawn in the place of one that may not come beside the others.
const DRAWN_AGAIN: usize = 40;
/// The same for a fault that damages files, which takes the few nodes that are damaged already.
const DAMAGE_DRAWN_AGAIN: usize = 400;

/// Faults that follow each other. The faults of several lanes overlap.
struct Lane<'a> {
    seed: u64,
    number: u64,
    options: &'a NemesisOptions,
    weights: &'a [u64],
    cluster: ClusterShape,
    load: Duration,
    rules: &'a Rules<'a>,
}

impl Lane<'_> {
    /// Adds its faults to those of the lanes before it. Returns the deviations from the plan.
    fn fill(&self, faults: &mut Vec<PlannedFault>) -> Vec<Warning> {
        let Lane { options, cluster, load, .. } = self;
        let mut rng = Rng::new(self.seed, "nemesis", self.number);
        let mut again = Rng::new(self.seed, "nemesis again", self.number);
        let mut warnings = Vec::new();
        let mut kinds = kinds(options, self.weights, cluster.nodes, &mut warnings);
        let start_ms = millis(options.quiet_start.0);
        let quiet_from_ms = millis(load.saturating_sub(cluster.quiet_end));
        let window_ms = match &options.quiet {
            Some(quiet) => quiet.busy_within(start_ms, quiet_from_ms),
            None => quiet_from_ms.saturating_sub(start_ms),
        };
        // The quiet end is room after the last fault, too.
        let after_ms = options.room_after_ms();
        let room_ms = window_ms + millis(cluster.quiet_end).min(after_ms - GAP_MS);
        let room_ms = if options.quiet.is_some() || window_ms == 0 { window_ms } else { room_ms };
        let mut slots = slots(&mut rng, &kinds, (millis(options.every.0), after_ms), room_ms);
        if slots.iter().map(|slot| slot.slot_ms).sum::<u64>() > room_ms {
            let short = ShortLoad {
                load: *load,
                quiet_start: options.quiet_start,
                quiet_end: Span(cluster.quiet_end),
                election: cluster.election,
                quiet: options.quiet.is_some(),
            };
            let needed_ms = slots.iter().map(|slot| slot.slot_ms).sum::<u64>() + start_ms + window_ms - room_ms
                + millis(cluster.quiet_end);
            short.fit(&mut slots, &kinds, window_ms, &mut warnings);
            warnings.extend(short.without_room(&slots, after_ms, needed_ms).map(Warning::whole));
        }
        let mut came = vec![false; kinds.len()];
        let (mut dropped, mut refused) = (came.clone(), came.clone());
        let mut slot_start_ms = start_ms;
        for slot in slots {
            let needs_ms = slot.lasts_ms + GAP_MS;
            let (from_ms, until_ms) = match &options.quiet {
                Some(quiet) => quiet.place(slot_start_ms, needs_ms),
                None => (slot_start_ms, u64::MAX),
            };
            let room_ms = slot.slot_ms.min(until_ms - from_ms).saturating_sub(slot.lasts_ms + slot.gap_ms);
            slot_start_ms = from_ms + slot.slot_ms;
            let mut planned = PlannedFault {
                id: 0,
                at: Span::millis(from_ms + rng.between(0, room_ms)),
                lasts: Span::millis(slot.lasts_ms),
                fault: kinds[slot.kind].draws.draw(&mut rng),
                entry: None,
            };
            if options.quiet.is_some() && planned.at.as_millis() + slot.lasts_ms > quiet_from_ms {
                dropped[slot.kind] = true;
                continue;
            }
            let tries = if planned.fault.damages_files() { DAMAGE_DRAWN_AGAIN } else { DRAWN_AGAIN };
            let mut tries = 0..tries;
            while !self.rules.allow(&planned, faults) && tries.next().is_some() {
                planned.fault = kinds[slot.kind].draws.draw(&mut again);
            }
            if self.rules.allow(&planned, faults) {
                came[slot.kind] = true;
                faults.push(planned);
            } else {
                refused[slot.kind] = true;
            }
        }
        let never = |why: &[bool]| -> Vec<String> {
            let all = kinds.iter().enumerate();
            all.filter(|(at, _)| why[*at] && !came[*at]).map(|(_, kind)| kind.name.clone()).collect()
        };
        let damaged = "with it the files of a majority of the nodes would be damaged (`nemesis.budget: quorum`), so that the run can \
                       only be unknown or invalid; aim it at the nodes of the other faults, or set `budget: none`";
        warnings.extend(Warning::cannot_come(never(&refused), damaged.to_owned()));
        let no_room = options.quiet.as_ref().map(|quiet| {
            format!(
                "a load of {} has no room for it beside stretches of {} without faults every {} (`nemesis.quiet`), so that the run can \
                 only be unknown or invalid; make `load.time` longer, or the stretches shorter",
                Span(*load),
                quiet.lasts,
                quiet.every
            )
        });
        warnings.extend(no_room.and_then(|why| Warning::cannot_come(never(&dropped), why)));
        warnings
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn kinds(options: &NemesisOptions, weights: &[u64], nodes: usize, warnings: &mut Vec<Warning>) -> Vec<FaultKind> {
    let mut kinds = Vec::new();
    for (fault, weight) in options.faults.iter().zip(weights) {
        let name = fault.counted_as();
        match fault.draws(nodes) {
            Ok(draws) => {
                let lasts_ms = millis(fault.lasts().unwrap_or(options.lasts).0).max(1);
                kinds.push(FaultKind { name, weight: *weight, lasts_ms, draws });
            }
            Err(why) => warnings.push(Warning::whole(format!("{name} cannot come: {why}"))),
        }
    }
    kinds
}

/// Cuts the window into slots at the plan's rate. If not even one of each kind fits, they are longer than the window.
fn slots(rng: &mut Rng, kinds: &[FaultKind], (every_ms, after_ms): (u64, u64), window_ms: u64) -> Vec<FaultSlot> {
    let mut bag = Bag::of((0..kinds.len()).collect());
    let wanted = |kind: usize| {
        let lasts_ms = kinds[kind].lasts_ms;
        let slot_ms = every_ms.max(lasts_ms + GAP_MS);
        // A fault with more room after it begins at a drawn time all the same.
        let drawn_ms = (slot_ms - lasts_ms - GAP_MS).min(after_ms - GAP_MS);
        FaultSlot { kind, slot_ms: slot_ms.max(lasts_ms + after_ms + drawn_ms), lasts_ms, gap_ms: after_ms }
    };
    let mut slots: Vec<FaultSlot> = (0..kinds.len()).filter_map(|_| bag.draw(rng)).map(wanted).collect();
    let mut used_ms: u64 = slots.iter().map(|slot| slot.slot_ms).sum();
    if kinds.iter().any(|kind| kind.weight > 1) {
        let weighted = kinds.iter().enumerate().flat_map(|(at, kind)| (0..kind.weight).map(move |_| at));
        bag = Bag::of(weighted.collect());
    }
    while let Some(slot) = bag.draw(rng).map(wanted) {
        used_ms += slot.slot_ms;
        if used_ms > window_ms {
            break;
        }
        slots.push(slot);
    }
    slots
}

impl FaultSlot {
    /// The shortest slot for its fault.
    fn least_ms(&self) -> u64 {
        self.lasts_ms + GAP_MS
    }

    /// The shortest slot after which the target serves again, but never longer than at the plan's rate.
    fn enough_ms(&self, election_ms: u64) -> u64 {
        self.slot_ms.min(self.least_ms() + election_ms)
    }
}

fn aim_one_at_leader(faults: &mut [PlannedFault]) {
    let moves_leader = |fault: &PlannedFault| fault.aims_at_leader() && fault.facts().may_move_leader;
    if !faults.iter().any(moves_leader) {
        // `any` stops at the first fault that can be turned.
        faults.iter_mut().any(|fault| fault.fault.turn_to_leader());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn options(json: serde_json::Value) -> NemesisOptions {
        serde_json::from_value(json).expect("options")
    }

    fn four_kinds() -> NemesisOptions {
        options(json!({"faults": [
            {"partition": {"shape": ["majority", "one-way", "bridge", "isolate-leader"]}},
            {"kill": {"nodes": "minority"}}, {"pause": {"nodes": "leader", "for": "5s"}}, {"clock": {"jump": "60s"}}
        ]}))
    }

    fn timetable(seed: u64, options: &NemesisOptions, nodes: usize, load: Duration, quiet_end: Duration) -> Timetable {
        let election = seconds(2);
        super::timetable(seed, options, ClusterShape { nodes, leads: true, quiet_end, election }, load)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn check(plan: &Timetable, options: &NemesisOptions, seed: u64) {
        let mut free_from = options.quiet_start.0;
        for (position, fault) in plan.faults.iter().enumerate() {
            assert_eq!(fault.id, position as u64 + 1);
            assert!(fault.at.0 >= free_from, "seed {seed}: {fault:?} begins before {free_from:?}");
            assert!(fault.lasts.0 > Duration::ZERO);
            free_from = fault.at.0 + fault.lasts.0 + Duration::from_millis(GAP_MS);
        }
        let last = plan.faults.last().map_or(Duration::ZERO, |fault| fault.at.0 + fault.lasts.0);
        assert!(last <= plan.quiet_from.0, "seed {seed}: {last:?} is within the quiet end");
    }

    #[test]
    fn one_seed_is_one_timetable_and_another_is_another() {
        let plan = |seed| timetable(seed, &four_kinds(), 5, seconds(60), seconds(15));
        for seed in 0..50 {
            assert_eq!(plan(seed), plan(seed));
            assert_ne!(plan(seed).faults, plan(seed + 1).faults, "seed {seed}");
        }
        let json = serde_json::to_string(&plan(7)).expect("written");
        assert_eq!(serde_json::from_str::<Timetable>(&json).expect("read"), plan(7));
    }

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        let plan = timetable(7, &four_kinds(), 5, seconds(60), seconds(15));
        let words: Vec<String> =
            plan.faults.iter().map(|fault| format!("{} {} {}", fault.at, fault.lasts, fault.describe())).collect();
        assert_eq!(words, PINNED);
    }

    const PINNED: [&str; 4] = [
        "5s 868ms 6s kill minority: #3 #2",
        "17s 463ms 6s partition majority: #5 | others",
        "26s 328ms 6s clock jump -1m minority: #4 #3",
        "35s 769ms 5s pause leader",
    ];

    #[test]
    fn every_kind_comes_once_before_any_comes_again_and_quiet_is_quiet() {
        for nodes in 2..=9 {
            for seed in 0..100 {
                let options = four_kinds();
                let plan = timetable(seed, &options, nodes, seconds(300), seconds(20));
                check(&plan, &options, seed);
                assert_eq!((plan.faults.len(), plan.warnings.len()), (27, 0));
                for round in plan.faults.chunks_exact(4) {
                    let mut kinds: Vec<&str> = round.iter().map(PlannedFault::kind).collect();
                    kinds.sort_unstable();
                    assert_eq!(kinds, ["clock", "kill", "partition", "pause"], "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn shapes_come_from_a_bag_of_their_own() {
        let options = options(json!({"faults": [{"partition": {}}]}));
        for seed in 0..50 {
            let plan = timetable(seed, &options, 5, seconds(175), seconds(10));
            let mut shapes: BTreeMap<String, u32> = BTreeMap::new();
            for fault in &plan.faults {
                *shapes.entry(fault.describe().split(':').next().unwrap_or_default().to_owned()).or_default() += 1;
            }
            assert_eq!(plan.faults.len(), 16);
            assert!(shapes.len() == 8 && shapes.values().all(|count| *count == 2), "seed {seed}: {shapes:?}");
        }
    }

    #[test]
    fn begins_are_every_so_often_on_average_and_drawn() {
        let options = four_kinds();
        let plan = timetable(3, &options, 5, seconds(10_025), seconds(20));
        let begins: Vec<f64> = plan.faults.iter().map(|fault| fault.at.0.as_secs_f64()).collect();
        let steps: Vec<f64> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        assert!((mean - 10.0).abs() < 0.05, "{mean}");
        assert!(steps.iter().any(|step| *step < 8.5) && steps.iter().any(|step| *step > 11.5));
    }

    /// The kinds of a timetable in the plan's order, each as long as planned.
    fn whole_kinds(plan: &Timetable) -> Vec<&'static str> {
        let mut kinds: Vec<&str> = plan.faults.iter().map(PlannedFault::kind).collect();
        kinds.sort_unstable_by_key(|kind| {
            ["partition", "kill", "pause", "clock"].iter().position(|known| known == kind)
        });
        for fault in &plan.faults {
            assert_eq!(fault.lasts.0, seconds(if fault.kind() == "pause" { 5 } else { 6 }), "{fault:?}");
        }
        kinds
    }

    #[test]
    fn too_short_a_load_has_fewer_faults_and_none_is_shortened() {
        for seed in 0..100 {
            let options = four_kinds();
            let plan = |load| timetable(seed, &options, 5, seconds(load), seconds(20));
            // At the plan's rate, one of each takes 40 s of the 35 s, so they follow each other faster.
            let minute = plan(60);
            check(&minute, &options, seed);
            assert_eq!(whole_kinds(&minute), ["partition", "kill", "pause", "clock"]);
            assert_eq!(minute.warnings, [""; 0]);
            // Less than an election between them.
            let close = plan(52);
            check(&close, &options, seed);
            assert_eq!(whole_kinds(&close), ["partition", "kill", "pause", "clock"]);
            assert!(close.warnings[0].contains("less than an election (2s)"), "{:?}", close.warnings);
            assert!(close.warnings[0].contains("a load of 1m holds them"), "{:?}", close.warnings);
            for (load, kinds, left_out) in [
                (
                    45,
                    &["partition", "kill", "pause"][..],
                    "clock cannot come: a load of 45s has room for 3 of 4 faults",
                ),
                (32, &["partition"], "kill, pause, clock cannot come: a load of 32s has room for 1 of 4 faults"),
                (30, &["pause"], "partition, kill, clock cannot come: a load of 30s has room for 1 of 4 faults"),
                (29, &[], "partition, kill, pause, clock cannot come: a load of 29s has room for none of 4 faults"),
                (10, &[], "partition, kill, pause, clock cannot come: a load of 10s has room for none of 4 faults"),
            ] {
                let plan = plan(load);
                check(&plan, &options, seed);
                assert_eq!(whole_kinds(&plan), kinds, "{load} s");
                assert_eq!(plan.warnings.len(), 1, "one sentence for all kinds: {:?}", plan.warnings);
                assert!(plan.warnings[0].starts_with(left_out), "{:?}", plan.warnings);
                assert!(plan.warnings[0].contains("a load of 1m holds one of each"), "{:?}", plan.warnings);
            }
        }
    }

    #[test]
    fn the_load_that_is_named_will_do() {
        let options = |json| options(json);
        for (options, quiet_end, election) in [
            (four_kinds(), 20, 2),
            (options(json!({"every": "3s", "for": "2s", "faults": [{"kill": {}}, {"pause": {"for": "9s"}}]})), 0, 7),
            (options(json!({"quiet_start": "0s", "faults": [{"clock": {}}, {"kill": {}}]})), 1, 30),
        ] {
            for seed in 0..20 {
                let shape =
                    ClusterShape { nodes: 3, leads: true, quiet_end: seconds(quiet_end), election: seconds(election) };
                let plan = |load| super::timetable(seed, &options, shape, seconds(load));
                let needed = plan(1).warnings[0].clone();
                let words: Vec<&str> = needed.split_whitespace().collect();
                let holds = words.iter().position(|word| *word == "holds").expect("a load that will do");
                let needed: Span = words[holds - 1].parse().expect("a duration");
                let enough = plan(needed.0.as_secs());
                check(&enough, &options, seed);
                assert_eq!(
                    (enough.warnings.len(), enough.faults.len() >= options.faults.len()),
                    (0, true),
                    "{enough:?}"
                );
                assert_eq!(plan(needed.0.as_secs() - 2).warnings.len(), 1, "{needed} is no more than is needed");
            }
        }
    }

    #[test]
    fn the_last_fault_has_calls_after_it_also_without_a_quiet_end() {
        let options = options(json!({"faults": [{"kill": {}}]}));
        for seed in 0..50 {
            let plan = timetable(seed, &options, 3, seconds(12), seconds(0));
            assert_eq!((plan.faults[0].at.0, plan.faults[0].lasts.0), (seconds(5), seconds(6)), "a second is left");
            assert_eq!(timetable(seed, &options, 3, seconds(11), seconds(0)).faults, []);
        }
    }

    #[test]
    fn a_kind_that_the_cluster_cannot_have_is_named() {
        let alone = timetable(1, &four_kinds(), 1, seconds(60), seconds(10));
        assert_eq!(alone.warnings, ["partition cannot come: a partition needs at least two nodes, the cluster has 1"]);
        assert_eq!(timetable(1, &NemesisOptions::default(), 5, seconds(60), seconds(10)).faults, []);
    }

    #[test]
    fn a_fault_longer_than_the_pace_stretches_its_slot() {
        let options = options(json!({"every": "3s", "faults": [{"kill": {"for": "12s"}}, {"pause": {"for": "1s"}}]}));
        for seed in 0..50 {
            let plan = timetable(seed, &options, 3, seconds(100), seconds(10));
            check(&plan, &options, seed);
            assert!(
                plan.faults.iter().all(|fault| fault.lasts.0.as_secs() == if fault.kind() == "kill" { 12 } else { 1 })
            );
        }
    }

    #[test]
    fn somebody_aims_at_the_leader_where_the_plan_lets_it() {
        let aimed = |faults: serde_json::Value, seed| {
            let plan = timetable(seed, &options(json!({"faults": faults})), 5, seconds(90), seconds(10));
            plan.faults.iter().filter(|fault| fault.aims_at_leader()).count()
        };
        for seed in 0..50 {
            assert_eq!(aimed(json!([{"kill": {"nodes": "minority"}}]), seed), 1);
            assert_eq!(aimed(json!([{"clock": {}}, {"partition": {"shape": "halves"}}]), seed), 1);
            assert_eq!(aimed(json!([{"pause": {"nodes": "n3"}}, {"partition": {"shape": "ring"}}]), seed), 0);
            assert!(aimed(json!([{"pause": {"nodes": "leader"}}]), seed) > 1);
        }
    }

    #[test]
    fn without_a_leader_nothing_is_aimed_at_one() {
        let shape = ClusterShape { nodes: 5, leads: false, quiet_end: seconds(10), election: seconds(2) };
        for seed in 0..50 {
            let options =
                options(json!({"faults": [{"kill": {"nodes": "minority"}}, {"partition": {}}, {"pause": {}}]}));
            let plan = super::timetable(seed, &options, shape, seconds(300));
            assert!(plan.faults.iter().all(|fault| !fault.aims_at_leader()), "seed {seed}: {:?}", plan.faults);
        }
        let named = options(json!({"faults": [
            {"kill": {"nodes": ["one", "leader"]}}, {"partition": {}}, {"partition": {"shape": "isolate-leader"}}
        ]}));
        let said: Vec<String> = named.aimed_at_leader().into_iter().map(|mistake| mistake.message).collect();
        assert_eq!(said, ["kill: nodes: leader", "partition: shape: isolate-leader"]);
    }

    #[test]
    fn a_demanded_recovery_has_its_room_after_each_fault() {
        let demanding = |json: serde_json::Value| {
            let demand = json!({"recovery": {"within": "10s"}, "faults": [{"kill": {}}, {"pause": {}}]});
            let mut whole = demand.as_object().expect("an object").clone();
            whole.extend(json.as_object().expect("an object").clone());
            options(serde_json::Value::Object(whole))
        };
        for seed in 0..50 {
            let plan = timetable(seed, &demanding(json!({})), 3, seconds(200), seconds(13));
            assert!(plan.faults.len() >= 8 && plan.warnings.is_empty(), "{plan:?}");
            for pair in plan.faults.windows(2) {
                let left = pair[1].at.0 - (pair[0].at.0 + pair[0].lasts.0);
                assert!(left >= seconds(13), "seed {seed}: {left:?}");
            }
            let last = plan.faults.last().expect("a fault");
            assert!(last.at.0 + last.lasts.0 + seconds(13) <= seconds(200), "seed {seed}: {last:?}");
            // A load without this room has all kinds, and a sentence.
            let short = timetable(seed, &demanding(json!({})), 3, seconds(40), seconds(13));
            assert_eq!((short.faults.len(), short.warnings.len()), (2, 1), "{short:?}");
            assert!(
                short.warnings[0].contains("is not judged after that heal; a load of 50s has"),
                "{:?}",
                short.warnings
            );
            assert!(timetable(seed, &demanding(json!({})), 3, seconds(50), seconds(13)).warnings.is_empty());
            // Faults that overlap leave none.
            let beside = timetable(seed, &demanding(json!({"overlap": 2})), 3, seconds(200), seconds(13));
            assert!(beside.faults.len() > 15, "{}", beside.faults.len());
        }
    }
}
