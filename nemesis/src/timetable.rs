//! [`timetable`]: which harm when, from a seed alone. Pure.
//!
//! The load between the quiet start and the quiet end is cut into slots, one for each harm, `every` long on average.
//! A harm begins at a drawn moment of its slot and is over before the slot ends, so no two are ever in force together.
//! Kinds come from a shuffled bag: each comes before any comes again. Where the load is too short for all of them at
//! the asked pace, slots are squeezed rather than kinds left out.
//!
//! At least one harm is aimed at the leader: where the draws gave none, the first harm whose nodes the plan leaves open
//! (`one`, `minority`, `majority`, or a partition with two sides) takes the leader among its nodes.
use crate::bag::Bag;
use crate::harm::PlannedHarm;
use crate::options::{Draws, NemesisOptions};
use crate::span::Span;
use dsfuzz_chance::Chance;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Room for heal and proof between the end of a harm and the end of its slot.
const GAP_MS: u64 = 1000;
/// The same where slots are squeezed.
const GAP_MIN_MS: u64 = 500;
/// A squeezed harm still lasts this long.
const LASTS_MIN_MS: u64 = 500;
const SLOT_MIN_MS: u64 = GAP_MIN_MS + LASTS_MIN_MS;

/// The harms of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timetable {
    /// In the order in which they begin.
    pub harms: Vec<PlannedHarm>,
    /// No harm is in force from here on.
    pub quiet_from: Span,
    /// What could not be planned as it was asked for: one sentence each.
    pub warnings: Vec<String>,
}

/// What a timetable must know of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterShape {
    /// How many nodes.
    pub nodes: usize,
    /// Whether a role of the target leads.
    pub leads: bool,
    /// No harm is in force for so long at the end of the load.
    pub quiet_end: Duration,
}

/// One kind of fault in the plan's list.
struct Kind {
    name: &'static str,
    lasts_ms: u64,
    draws: Box<dyn Draws>,
}

/// A slot of the load for a harm of a kind (its position in the list).
struct Slot {
    kind: usize,
    slot_ms: u64,
    lasts_ms: u64,
    gap_ms: u64,
}

/// The harms of a run of so much load on so many nodes. The same arguments give the same timetable, for ever.
///
/// Where no role of the target leads (`leads` is false), no harm is turned to a leader, and a partition that left its
/// shape open takes none that needs one.
pub fn timetable(seed: u64, options: &NemesisOptions, cluster: ClusterShape, load: Duration) -> Timetable {
    let ClusterShape { nodes, leads, quiet_end } = cluster;
    let leaderless = (!leads).then(|| options.leaderless());
    let options = leaderless.as_ref().unwrap_or(options);
    let mut chance = Chance::new(seed, "nemesis", 0);
    let mut plan = Timetable { quiet_from: Span(load.saturating_sub(quiet_end)), ..Timetable::default() };
    let mut kinds = kinds(options, nodes, &mut plan.warnings);
    let start_ms = millis(options.quiet_start.0);
    let window_ms = millis(plan.quiet_from.0).saturating_sub(start_ms);
    let slots = slots(&mut chance, &kinds, millis(options.every.0), window_ms, &mut plan.warnings);
    let mut slot_start_ms = start_ms;
    for (id, slot) in slots.into_iter().enumerate() {
        let room_ms = slot.slot_ms.saturating_sub(slot.lasts_ms + slot.gap_ms);
        plan.harms.push(PlannedHarm {
            id: id as u64,
            at: Span::millis(slot_start_ms + chance.between(0, room_ms)),
            lasts: Span::millis(slot.lasts_ms),
            harm: kinds[slot.kind].draws.draw(&mut chance),
        });
        slot_start_ms += slot.slot_ms;
    }
    if leads {
        aim_one_at_leader(&mut plan.harms);
    }
    plan
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn kinds(options: &NemesisOptions, nodes: usize, warnings: &mut Vec<String>) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for fault in &options.faults {
        let name = fault.doc().name;
        match fault.draws(nodes) {
            Ok(draws) => {
                let lasts_ms = millis(fault.lasts().unwrap_or(options.lasts).0).max(1);
                kinds.push(Kind { name, lasts_ms, draws });
            }
            Err(why) => warnings.push(format!("{name} cannot come: {why}")),
        }
    }
    kinds
}

/// Cuts the window into slots: at the asked pace where every kind comes, else squeezed.
fn slots(chance: &mut Chance, kinds: &[Kind], every_ms: u64, window_ms: u64, warnings: &mut Vec<String>) -> Vec<Slot> {
    let mut bag = Bag::of((0..kinds.len()).collect());
    let wanted = |kind: usize| {
        let lasts_ms = kinds[kind].lasts_ms;
        Slot { kind, slot_ms: every_ms.max(lasts_ms + GAP_MS).max(SLOT_MIN_MS), lasts_ms, gap_ms: GAP_MS }
    };
    let mut first: Vec<Slot> = (0..kinds.len()).filter_map(|_| bag.draw(chance)).map(wanted).collect();
    let asked_ms: u64 = first.iter().map(|slot| slot.slot_ms).sum();
    if asked_ms > window_ms {
        leave_out(&mut first, kinds, window_ms, warnings);
        squeeze(&mut first, kinds, window_ms, warnings);
        return first;
    }
    let mut left_ms = window_ms - asked_ms;
    while let Some(slot) = bag.draw(chance).map(wanted) {
        if slot.slot_ms > left_ms {
            break;
        }
        left_ms -= slot.slot_ms;
        first.push(slot);
    }
    first
}

/// Drops the last kinds where not even the shortest slots fit, and says so once for all of them.
fn leave_out(slots: &mut Vec<Slot>, kinds: &[Kind], window_ms: u64, warnings: &mut Vec<String>) {
    let fit = usize::try_from(window_ms / SLOT_MIN_MS).unwrap_or(usize::MAX);
    let names: Vec<&str> = slots.drain(fit.min(slots.len())..).map(|slot| kinds[slot.kind].name).collect();
    if !names.is_empty() {
        warnings.push(format!(
            "{} cannot come: {} of load between quiet start and quiet end has room for {fit} faults at most; \
             give more time or fewer faults",
            names.join(", "),
            Span::millis(window_ms)
        ));
    }
}

/// Shortens the slots until they fit, each in proportion to what it has above the least, and the harms with them. One
/// warning names every kind that is shortened.
fn squeeze(slots: &mut [Slot], kinds: &[Kind], window_ms: u64, warnings: &mut Vec<String>) {
    let floor_ms = SLOT_MIN_MS * slots.len() as u64;
    let asked_ms: u64 = slots.iter().map(|slot| slot.slot_ms - SLOT_MIN_MS).sum();
    let spare_ms = window_ms.saturating_sub(floor_ms).min(asked_ms);
    let mut shortened = Vec::new();
    for slot in slots {
        let above = u128::from(slot.slot_ms - SLOT_MIN_MS) * u128::from(spare_ms) / u128::from(asked_ms.max(1));
        slot.slot_ms = SLOT_MIN_MS + u64::try_from(above).unwrap_or(u64::MAX);
        slot.gap_ms = GAP_MIN_MS;
        let most_ms = slot.slot_ms - GAP_MIN_MS;
        if slot.lasts_ms > most_ms {
            let (name, most, asked) = (kinds[slot.kind].name, Span::millis(most_ms), Span::millis(slot.lasts_ms));
            shortened.push(format!("{name} lasts {most} instead of {asked}"));
            slot.lasts_ms = most_ms;
        }
    }
    if !shortened.is_empty() {
        let window = Span::millis(window_ms);
        warnings.push(format!("{}, so that every kind comes within {window} of load", shortened.join(", ")));
    }
}

fn aim_one_at_leader(harms: &mut [PlannedHarm]) {
    let moves_leader = |harm: &PlannedHarm| harm.aims_at_leader() && harm.kind() != crate::clock::DOC.name;
    if !harms.iter().any(moves_leader) {
        // `any` stops at the first harm that can be turned.
        harms.iter_mut().any(|harm| harm.harm.turn_to_leader());
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
        super::timetable(seed, options, ClusterShape { nodes, leads: true, quiet_end }, load)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn check(plan: &Timetable, options: &NemesisOptions, seed: u64) {
        let mut free_from = options.quiet_start.0;
        for (position, harm) in plan.harms.iter().enumerate() {
            assert_eq!(harm.id, position as u64);
            assert!(harm.at.0 >= free_from, "seed {seed}: {harm:?} begins before {free_from:?}");
            assert!(harm.lasts.0 > Duration::ZERO);
            free_from = harm.at.0 + harm.lasts.0 + Duration::from_millis(GAP_MIN_MS);
        }
        let last = plan.harms.last().map_or(Duration::ZERO, |harm| harm.at.0 + harm.lasts.0);
        assert!(last < plan.quiet_from.0, "seed {seed}: {last:?} is within the quiet end");
    }

    #[test]
    fn one_seed_is_one_timetable_and_another_is_another() {
        let plan = |seed| timetable(seed, &four_kinds(), 5, seconds(60), seconds(15));
        for seed in 0..50 {
            assert_eq!(plan(seed), plan(seed));
            assert_ne!(plan(seed).harms, plan(seed + 1).harms, "seed {seed}");
        }
        let json = serde_json::to_string(&plan(7)).expect("written");
        assert_eq!(serde_json::from_str::<Timetable>(&json).expect("read"), plan(7));
    }

    #[test]
    fn a_seed_means_the_same_in_every_version() {
        let plan = timetable(7, &four_kinds(), 5, seconds(60), seconds(15));
        let words: Vec<String> =
            plan.harms.iter().map(|harm| format!("{} {} {}", harm.at, harm.lasts, harm.describe())).collect();
        assert_eq!(words, PINNED);
    }

    const PINNED: [&str; 4] = [
        "5s 868ms 6s kill minority: #3 #2",
        "17s 463ms 6s partition majority: #5 | the rest",
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
                assert_eq!((plan.harms.len(), plan.warnings.len()), (27, 0));
                for round in plan.harms.chunks_exact(4) {
                    let mut kinds: Vec<&str> = round.iter().map(PlannedHarm::kind).collect();
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
            for harm in &plan.harms {
                *shapes.entry(harm.describe().split(':').next().unwrap_or_default().to_owned()).or_default() += 1;
            }
            assert_eq!(plan.harms.len(), 16);
            assert!(shapes.len() == 8 && shapes.values().all(|count| *count == 2), "seed {seed}: {shapes:?}");
        }
    }

    #[test]
    fn begins_are_every_so_often_on_average_and_drawn() {
        let options = four_kinds();
        let plan = timetable(3, &options, 5, seconds(10_025), seconds(20));
        let begins: Vec<f64> = plan.harms.iter().map(|harm| harm.at.0.as_secs_f64()).collect();
        let steps: Vec<f64> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        assert!((mean - 10.0).abs() < 0.05, "{mean}");
        assert!(steps.iter().any(|step| *step < 8.5) && steps.iter().any(|step| *step > 11.5));
    }

    #[test]
    fn too_short_a_load_squeezes_and_does_not_leave_out() {
        for seed in 0..100 {
            let options = four_kinds();
            let plan = timetable(seed, &options, 5, seconds(30), seconds(10));
            check(&plan, &options, seed);
            assert_eq!(plan.harms.len(), 4);
            assert_eq!(plan.warnings.len(), 1, "one warning for all kinds: {:?}", plan.warnings);
            assert_eq!(plan.warnings[0].matches(" instead of ").count(), 4, "{:?}", plan.warnings);
        }
    }

    #[test]
    fn what_cannot_come_is_named() {
        // One sentence names them all.
        let left_out = |plan: &Timetable| {
            let said: Vec<&String> = plan.warnings.iter().filter(|warning| warning.contains("cannot come")).collect();
            assert_eq!(said.len(), 1, "{:?}", plan.warnings);
            said[0].split(" cannot come").next().map_or(0, |names| names.split(", ").count())
        };
        let short = timetable(1, &four_kinds(), 5, seconds(17), seconds(10));
        assert_eq!((short.harms.len(), left_out(&short)), (2, 2), "{:?}", short.warnings);
        let none = timetable(1, &four_kinds(), 5, seconds(5), seconds(10));
        assert_eq!((none.harms.len(), left_out(&none)), (0, 4), "{:?}", none.warnings);
        let alone = timetable(1, &four_kinds(), 1, seconds(60), seconds(10));
        assert_eq!(alone.warnings, ["partition cannot come: a partition needs at least two nodes, the cluster has 1"]);
        assert_eq!(timetable(1, &NemesisOptions::default(), 5, seconds(60), seconds(10)).harms, []);
    }

    #[test]
    fn a_fault_longer_than_the_pace_stretches_its_slot() {
        let options = options(json!({"every": "3s", "faults": [{"kill": {"for": "12s"}}, {"pause": {"for": "1s"}}]}));
        for seed in 0..50 {
            let plan = timetable(seed, &options, 3, seconds(100), seconds(10));
            check(&plan, &options, seed);
            assert!(plan.harms.iter().all(|harm| harm.lasts.0.as_secs() == if harm.kind() == "kill" { 12 } else { 1 }));
        }
    }

    #[test]
    fn somebody_aims_at_the_leader_where_the_plan_lets_it() {
        let aimed = |faults: serde_json::Value, seed| {
            let plan = timetable(seed, &options(json!({"faults": faults})), 5, seconds(90), seconds(10));
            plan.harms.iter().filter(|harm| harm.aims_at_leader()).count()
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
        let shape = ClusterShape { nodes: 5, leads: false, quiet_end: seconds(10) };
        for seed in 0..50 {
            let options =
                options(json!({"faults": [{"kill": {"nodes": "minority"}}, {"partition": {}}, {"pause": {}}]}));
            let plan = super::timetable(seed, &options, shape, seconds(300));
            assert!(plan.harms.iter().all(|harm| !harm.aims_at_leader()), "seed {seed}: {:?}", plan.harms);
        }
        let named = options(json!({"faults": [
            {"kill": {"nodes": ["one", "leader"]}}, {"partition": {}}, {"partition": {"shape": "isolate-leader"}}
        ]}));
        assert_eq!(named.aimed_at_leader(), ["kill: nodes: leader", "partition: shape: isolate-leader"]);
    }
}
