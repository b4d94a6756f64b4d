//! The life of a fault on a cluster in memory, as events of the journal. The clock belongs to the test.
mod ends;
mod fake;
mod schedule;

use super::*;
use dsfuzz_checkers::history::FaultStep::{
    Begun, HealBegun, Healed, Lapsed, Planned, Proven, Reproven, Resolved, SelfHealed, Unhealed, Unproven,
};
use dsfuzz_nemesis::{ClusterShape, NemesisOptions, timetable};
use fake::FakeCluster;
use serde_json::json;
use std::sync::Mutex;

/// A test's run: the cluster, the executor and its events.
struct Stage {
    cluster: Arc<FakeCluster>,
    executor: Arc<Executor>,
    events: Arc<Mutex<Vec<FaultEvent>>>,
    stop: watch::Sender<bool>,
}

fn shape(nodes: usize, quiet_end_s: u64) -> ClusterShape {
    ClusterShape { nodes, leads: true, quiet_end: Duration::from_secs(quiet_end_s), election: Duration::ZERO }
}

impl Stage {
    fn of(nodes: usize, leader: Option<&'static str>) -> Stage {
        let cluster = FakeCluster::of(nodes);
        let events = Arc::new(Mutex::new(Vec::new()));
        let log: EventSink = {
            let (events, cluster) = (events.clone(), cluster.clone());
            Arc::new(move |mut event: FaultEvent| {
                let mut events = events.lock().expect("a journal");
                (event.index, event.time) = (events.len() as u64, cluster.control_ns());
                events.push(event.clone());
                Mark { index: event.index, time: event.time }
            })
        };
        let view: Views = {
            let cluster = cluster.clone();
            Arc::new(move |for_leader| {
                let view = cluster.view(leader);
                // Only a fault aimed at the leader may wait for one.
                let wait = Duration::from_millis(if for_leader && leader.is_none() { 500 } else { 0 });
                Box::pin(async move {
                    tokio::time::sleep(wait).await;
                    view
                })
            })
        };
        let now: Now = {
            let cluster = cluster.clone();
            Arc::new(move || cluster.control_ns())
        };
        let remotes = Arc::new(FixedRemotes::new(cluster.remotes(), cluster.pings()));
        let executor = Arc::new(Executor::new(remotes, "run", log, view, now));
        Stage { cluster, executor, events, stop: watch::channel(false).0 }
    }

    /// Runs the faults on a minute of load.
    async fn play(&self, faults: serde_json::Value) -> Vec<FaultOutcome> {
        let timetable = self.timetable(faults);
        self.executor.run(&timetable, Instant::now(), self.stop.subscribe()).await
    }

    /// The same, with an action in the middle of the first fault.
    async fn play_with(&self, faults: serde_json::Value, middle: impl FnOnce(&Stage)) -> Vec<FaultOutcome> {
        let timetable = self.timetable(faults);
        let first = &timetable.faults[0];
        let until = Instant::now() + first.at.0 + first.lasts.0 / 2;
        let run = self.executor.run(&timetable, Instant::now(), self.stop.subscribe());
        let meanwhile = async {
            tokio::time::sleep_until(until).await;
            middle(self);
        };
        tokio::join!(run, meanwhile).0
    }

    /// Custom faults of this name take this many nodes at the same time, at the most.
    fn with_at_once(self, name: &str, most: usize) -> Stage {
        let executor = Arc::into_inner(self.executor).expect("not shared yet");
        let executor = Arc::new(executor.with_at_once(BTreeMap::from([(name.to_owned(), most)])));
        Stage { executor, ..self }
    }

    fn timetable(&self, faults: serde_json::Value) -> Timetable {
        let options: NemesisOptions =
            serde_json::from_value(json!({"every": "30s", "faults": faults})).expect("options");
        let nodes = self.cluster.names().len();
        timetable(3, &options, shape(nodes, 5), Duration::from_secs(45))
    }

    fn events(&self) -> Vec<FaultEvent> {
        self.events.lock().expect("a journal").clone()
    }

    fn steps(&self) -> Vec<FaultStep> {
        self.events().iter().map(|event| event.step).collect()
    }

    /// The details of a step, in one line.
    fn detail(&self, step: FaultStep) -> String {
        let events = self.events();
        let event =
            events.iter().find(|event| event.step == step).unwrap_or_else(|| panic!("no {step:?} in {events:?}"));
        event.detail.join(" | ")
    }
}

fn isolate_leader() -> serde_json::Value {
    json!([{"partition": {"shape": "isolate-leader"}}])
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_proven_twice_and_its_heal_too() {
    let stage = Stage::of(5, Some("n3"));
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    let events = stage.events();
    assert_eq!(events[0].what, "partition isolate-leader: leader | others");
    assert!(events[0].nodes.is_empty() && events[0].cut.is_empty());
    assert!(events[1].what.starts_with("partition isolate-leader: n3 | "), "{}", events[1].what);
    assert_eq!((events[3].nodes.as_slice(), events[3].cut.len()), (["n3".to_owned()].as_slice(), 8));
    let proof = stage.detail(Proven);
    assert!(proof.contains("8 links silent while 12 others were heard"), "{proof}");
    assert!(proof.contains("n3: its rule dropped 12 packets"), "{proof}");
    assert!(stage.detail(Healed).contains("every link is heard again"));
    let outcome = &outcomes[0];
    assert!(
        outcome.proven.is_some() && outcome.reproven.is_some() && outcome.healed && outcome.problems.is_empty(),
        "{outcome:?}"
    );
    assert!(outcome.prove_ms.is_some() && outcome.heal_ms.is_some());
    assert_eq!(outcome.begun.map(|mark| mark.index), Some(2));
    let (begun, heal) = (events[2].time, events[5].time);
    assert!((5_900..6_200).contains(&((heal - begun) / 1_000_000)), "in force for {} ns", heal - begun);
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_kind_and_shape_lives_and_leaves_nothing() {
    for nodes in [2, 3, 5, 7] {
        let stage = Stage::of(nodes, Some("n2"));
        let shapes = json!(["halves", "majority", "one-way", "bridge", "ring", "isolate-one", "leader-minority"]);
        let options = json!({"every": "8s", "faults": [
            {"partition": {"shape": shapes}}, {"kill": {}}, {"pause": {}}, {"clock": {"strobe": {}, "jump": "1m"}}
        ]});
        let options: NemesisOptions = serde_json::from_value(options).expect("options");
        let table = timetable(1, &options, shape(nodes, 10), Duration::from_secs(250));
        assert_eq!(table.faults.len(), 29);
        let outcomes = stage.executor.run(&table, Instant::now(), stage.stop.subscribe()).await;
        for outcome in outcomes {
            assert!(outcome.proven.is_some() && outcome.reproven.is_some() && outcome.healed, "{outcome:?}");
        }
        assert_eq!(stage.cluster.broken(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn all_plans_are_told_before_anything_happens() {
    let stage = Stage::of(3, Some("n1"));
    stage.play(json!([{"kill": {}}, {"pause": {}}])).await;
    let steps = stage.steps();
    assert_eq!(&steps[..4], [Planned, Planned, Resolved, Begun]);
    assert_eq!(steps.len(), 2 + 2 * 6);
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_does_nothing_is_not_a_fault() {
    let stage = Stage::of(5, Some("n3"));
    for name in stage.cluster.names() {
        stage.cluster.change(&name, |node| node.wrong.deaf_to_injections = true);
    }
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    assert!(stage.detail(Unproven).contains("n3 hears n1, though the link is cut"), "{}", stage.detail(Unproven));
    assert!(outcomes[0].proven.is_none() && outcomes[0].healed);
}

#[tokio::test(start_paused = true)]
async fn silence_from_the_start_proves_nothing() {
    let stage = Stage::of(3, Some("n3"));
    stage.cluster.change("n3", |node| node.wrong.unreachable = true);
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Unhealed]);
    assert!(stage.detail(Unproven).contains("before: n3: connection lost"), "{}", stage.detail(Unproven));
    assert!(stage.detail(Unhealed).contains("n3: if its agent does not hear from here, its lease heals it"));
    assert!(!outcomes[0].healed);
    stage.cluster.change("n3", |node| node.wrong.unreachable = false);
    assert!(stage.executor.heal_all(stage.stop.subscribe()).await.iter().all(|heal| heal.healed));
    assert_eq!(stage.steps().last(), Some(&Healed), "the heal of an open fault is recorded when it comes");
}

#[tokio::test(start_paused = true)]
async fn what_ended_too_early_has_lapsed() {
    let stage = Stage::of(5, Some("n3"));
    let outcomes = stage.play_with(isolate_leader(), |stage| stage.cluster.forget("n3")).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Healed]);
    assert!(stage.detail(Lapsed).contains("n3 hears n1, though the link is cut"), "{}", stage.detail(Lapsed));
    assert!(outcomes[0].proven.is_some() && outcomes[0].reproven.is_none());
}

#[tokio::test(start_paused = true)]
async fn silence_counts_only_where_the_rule_counted_and_the_others_were_heard() {
    for (unplugged, sentence) in
        [("n3", "n3: its rule dropped nothing in this round (12 packets so far)"), ("n1", "n1 does not hear n2")]
    {
        let stage = Stage::of(5, Some("n3"));
        stage
            .play_with(json!([{"partition": {"shape": "one-way"}}]), |stage| {
                stage.cluster.change(unplugged, |node| node.wrong.unplugged = true)
            })
            .await;
        let steps = stage.steps();
        assert_eq!(steps[3..], [Proven, Lapsed, HealBegun, Unhealed], "{unplugged}");
        assert!(stage.detail(Lapsed).contains(sentence), "{}", stage.detail(Lapsed));
    }
}

#[tokio::test(start_paused = true)]
async fn half_an_act_is_undone_everywhere_and_at_once() {
    let stage = Stage::of(5, Some("n3"));
    stage.cluster.change("n4", |node| node.wrong.refuses_injections = true);
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    assert!(stage.detail(Unproven).contains("the injection failed: n4: nft is missing"));
    let events = stage.events();
    assert!(events[4].time - events[2].time < 1_000_000_000, "a half-made partition is not kept");
    for name in stage.cluster.names() {
        stage.cluster.change(&name, |node| assert_eq!(node.undone, [1], "{name}"));
    }
    assert!(outcomes[0].healed && stage.cluster.broken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_act_without_an_answer_is_undone_once_more() {
    let stage = Stage::of(3, Some("n3"));
    stage.cluster.change("n2", |node| node.wrong.mute_on_injections = true);
    stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    stage.cluster.change("n2", |node| assert_eq!(node.undone, [1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_heals_by_itself_gives_an_interval() {
    let stage = Stage::of(5, Some("n3"));
    let at = Arc::new(Mutex::new(0));
    let healed_at = at.clone();
    let spread = Duration::from_millis(200);
    let outcomes = stage
        .play_with(isolate_leader(), move |stage| {
            *healed_at.lock().expect("a number") = stage.cluster.control_ns();
            stage.cluster.heal_itself("n3", 1, spread);
        })
        .await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, SelfHealed, HealBegun, Healed]);
    let events = stage.events();
    let event = &events[5];
    assert_eq!((event.nodes.as_slice(), event.cut.len()), (["n3".to_owned()].as_slice(), 8));
    let (earliest, latest) = event.ended.expect("an interval");
    let at = *at.lock().expect("a number");
    assert!(earliest <= at - 200_000_000 && at <= latest, "{earliest}..{latest} does not hold {at}");
    assert!(latest - earliest < 210_000_000, "{earliest}..{latest} is too wide");
    assert!(event.detail[0].contains("lease ran out"));
    assert_eq!(outcomes[0].self_healed, [("n3".to_owned(), earliest, latest)]);
}

#[tokio::test(start_paused = true)]
async fn to_stop_is_to_heal_at_once() {
    for faults in [isolate_leader(), json!([{"kill": {}}]), json!([{"pause": {}}]), json!([{"clock": {}}])] {
        let stage = Stage::of(5, Some("n3"));
        let outcomes = stage.play_with(faults, |stage| assert!(!stage.stop.send_replace(true))).await;
        assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
        let events = stage.events();
        let in_force_ms = (events[5].time - events[2].time) / 1_000_000;
        assert!((2_900..3_200).contains(&in_force_ms), "stopped in the middle of 6 s, in force for {in_force_ms} ms");
        assert!(outcomes[0].healed && stage.cluster.broken().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_stop_never_begins() {
    let stage = Stage::of(3, Some("n1"));
    stage.stop.send_replace(true);
    let outcomes = stage.play(json!([{"kill": {}}, {"pause": {}}])).await;
    assert_eq!(stage.steps(), [Planned, Planned]);
    assert!(outcomes.iter().all(|outcome| outcome.begun.is_none() && outcome.problems == ["stopped before it began"]));
}

#[tokio::test(start_paused = true)]
async fn a_heal_is_tried_until_it_holds() {
    let stage = Stage::of(5, Some("n3"));
    stage.cluster.change("n3", |node| node.wrong.undos_lost = 4);
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    assert!(outcomes[0].healed && stage.cluster.broken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_out_of_reach_does_not_keep_the_others_from_their_heal() {
    let stage = Stage::of(5, Some("n3"));
    let outcomes =
        stage.play_with(isolate_leader(), |stage| stage.cluster.change("n1", |node| node.wrong.unreachable = true));
    let outcomes = outcomes.await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Unhealed]);
    assert_eq!(stage.cluster.broken(), ["n1"]);
    assert!(!outcomes[0].healed);
}

#[tokio::test(start_paused = true)]
async fn without_a_known_leader_another_stands_in_and_the_words_say_so() {
    let stage = Stage::of(5, None);
    let outcomes = stage.play(isolate_leader()).await;
    assert!(outcomes[0].proven.is_some());
    assert_eq!(outcomes[0].nodes.len(), 1);
    let what = &stage.events()[1].what;
    assert!(what.contains(&format!("no leader known: {}, drawn in the plan", outcomes[0].nodes[0])), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_node_has_is_told_and_nothing_begins() {
    let stage = Stage::of(3, None);
    let outcomes = stage.play(json!([{"kill": {"nodes": "n9"}}])).await;
    assert_eq!(stage.steps(), [Planned, Unproven]);
    assert!(stage.detail(Unproven).contains("n9 is neither a node (n1, n2, n3)"), "{}", stage.detail(Unproven));
    assert!(outcomes[0].begun.is_none() && outcomes[0].problems.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn killing_the_dead_is_no_proof() {
    for faults in [json!([{"kill": {"nodes": "n2"}}]), json!([{"pause": {"nodes": "n2"}}])] {
        let stage = Stage::of(3, Some("n1"));
        stage.cluster.change("n2", |node| node.stopped_before = true);
        stage.play(faults).await;
        assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
        assert_eq!(stage.detail(Unproven), "n2: db was not running before");
        let problems: Vec<FaultProblem> = stage.events().iter().filter_map(|event| event.problem).collect();
        assert_eq!(problems, [FaultProblem::NotRunning]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_runs_again_at_once_is_a_problem_of_its_own() {
    let stage = Stage::of(3, Some("n1"));
    stage.cluster.change("n2", |node| node.wrong.revives = true);
    stage.play(json!([{"kill": {"nodes": "n2"}}])).await;
    let events = stage.events();
    let problems: Vec<_> = events.iter().filter_map(|event| Some((event.step, event.problem?))).collect();
    assert_eq!(problems, [(Unproven, FaultProblem::RunsAgain)]);
}

#[tokio::test(start_paused = true)]
async fn a_custom_fault_that_is_never_proven_ends_in_time_and_says_why() {
    let endless: fn(&mut fake::Wrong) = |wrong| wrong.endless_proofs = true;
    let failing: fn(&mut fake::Wrong) = |wrong| wrong.disproves = true;
    for (wrong, why) in [(endless, "n2: `prove` did not end within 5"), (failing, "not in force on n2: looked")] {
        let stage = Stage::of(3, Some("n1"));
        stage.cluster.change("n2", |node| wrong(&mut node.wrong));
        stage.play(json!([{"own": {"name": "mark", "nodes": "n2", "for": "6s"}}])).await;
        assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
        assert!(stage.detail(Unproven).starts_with(why), "{}", stage.detail(Unproven));
        let (begun, heal) = (stage.events()[2].time, stage.events()[4].time);
        assert!((heal - begun) / 1_000_000 < 6_500, "{why}: in force for {} ns", heal - begun);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rolling_custom_fault_ends_with_its_time_and_names_the_nodes_that_it_did_not_reach() {
    let (stage, asked) = Stage::of(3, None).with_ready(&[("n1", SOON), ("n2", SOON), ("n3", SOON)]);
    stage.play(json!([{"own": {"name": "mark", "nodes": "all", "rolling": true, "for": "5s"}}])).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Healed]);
    assert_eq!(asked.lock().expect("questions").len(), 2, "the third node is not touched");
    let lapsed = stage.detail(Lapsed);
    assert!(lapsed.starts_with("2 of 3 nodes were taken, not reached: n3 | "), "{lapsed}");
    assert!(lapsed.contains("a node took 20"), "{lapsed}");
    let (begun, heal) = (stage.events()[2].time, stage.events()[5].time);
    assert!((heal - begun) / 1_000_000 <= 5_000, "in force for {} ns", heal - begun);
}

#[tokio::test(start_paused = true)]
async fn everything_can_be_healed_at_any_time() {
    let stage = Stage::of(3, Some("n1"));
    let timetable = stage.timetable(json!([{"pause": {"nodes": "all"}}]));
    let middle = timetable.faults[0].at.0 + Duration::from_secs(1);
    let run = stage.executor.run(&timetable, Instant::now(), stage.stop.subscribe());
    assert!(tokio::time::timeout(middle, run).await.is_err(), "the run is broken off in the middle of the fault");
    assert_eq!(stage.cluster.broken(), ["n1", "n2", "n3"]);
    let heals = stage.executor.heal_all(stage.stop.subscribe()).await;
    assert!(heals.len() == 3 && heals.iter().all(|heal| heal.healed), "{heals:?}");
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Healed]);
    stage.cluster.change("n2", |node| node.wrong.unreachable = true);
    let heals = stage.executor.heal_all(stage.stop.subscribe()).await;
    let unhealed: Vec<&str> = heals.iter().filter(|heal| !heal.healed).map(|heal| heal.node.as_str()).collect();
    assert_eq!(unhealed, ["n2"]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_aimed_at_no_leader_does_not_wait_for_one_and_a_late_one_says_so() {
    let stage = Stage::of(3, None);
    let slips =
        |outcomes: &[FaultOutcome]| outcomes.iter().map(|outcome| outcome.slip_ms.expect("begun")).collect::<Vec<_>>();
    // The planner turns no fault to the leader if the plan names nodes.
    let on_time = stage.play(json!([{"kill": {"nodes": "n2"}}])).await;
    assert!(slips(&on_time).iter().all(|slip| *slip < 100), "{:?}", slips(&on_time));
    let late = stage.play(json!([{"pause": {"nodes": "leader"}}])).await;
    assert!(slips(&late).iter().all(|slip| *slip >= 500), "{:?}", slips(&late));
    let events = stage.events.lock().expect("a journal");
    let words = |event: &&FaultEvent| event.step == Begun && &*event.kind == "pause";
    let begun: Vec<_> = events.iter().filter(words).flat_map(|event| event.detail.clone()).collect();
    assert!(
        !begun.is_empty() && begun.iter().all(|detail| detail.contains("later than the timetable says")),
        "{begun:?}"
    );
}

fn second(number: u8) -> std::net::IpAddr {
    [10, 78, 0, number].into()
}

/// Five nodes that also have addresses in a second network.
fn two_networks() -> Stage {
    let stage = Stage::of(5, Some("n3"));
    for (name, number) in stage.cluster.names().iter().zip(1..) {
        stage.cluster.change(name, |node| node.more = vec![second(number), [172, 17, 0, 1].into()]);
    }
    stage
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_made_and_proven_on_every_pair_of_addresses() {
    let stage = two_networks();
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    // Two addresses on each side; the bridge address of every node is no path.
    assert!(stage.detail(Proven).contains("cut proven on 32 of 32 address pairs"), "{}", stage.detail(Proven));
    assert!(outcomes[0].reproven.is_some() && outcomes[0].healed && stage.cluster.broken().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_leaves_a_way_over_a_second_network_is_partial_and_not_proven() {
    let stage = two_networks();
    stage.cluster.change("n1", |node| node.undropped = vec![second(3)]);
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    let detail = stage.detail(Unproven);
    assert!(detail.contains("partial: cut on 30 of 32 address pairs"), "{detail}");
    assert!(detail.contains("n1 hears n3, though the link is cut (from 10.78.0.3 to 10.0.0.1)"), "{detail}");
    assert!(outcomes[0].proven.is_none() && outcomes[0].healed);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_comes_during_the_cut_is_seen() {
    let stage = two_networks();
    let moved = |stage: &Stage| stage.cluster.change("n3", |node| node.more.push([10, 79, 0, 3].into()));
    stage.play_with(isolate_leader(), moved).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Healed]);
    assert!(stage.detail(Lapsed).contains("n1 hears n3, though the link is cut (from 10.79.0.3"));
    // A removed address is no path any more.
    let stage = two_networks();
    let gone = |stage: &Stage| stage.cluster.change("n1", |node| node.more.retain(|address| *address != second(1)));
    stage.play_with(isolate_leader(), gone).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
}

#[tokio::test(start_paused = true)]
async fn where_datagrams_are_filtered_handshakes_with_the_target_prove_a_cut() {
    let stage = Stage::of(5, Some("n3"));
    for name in stage.cluster.names() {
        stage.cluster.change(&name, |node| node.filtered = true);
    }
    let outcomes = stage.play(isolate_leader()).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    let detail = stage.detail(Proven);
    assert!(detail.contains("cut proven on 8 of 8 address pairs, 8 of them by TCP handshakes"), "{detail}");
    assert!(outcomes[0].healed);
    // A handshake needs both directions, so it cannot show that one of them works.
    let stage = Stage::of(5, Some("n3"));
    for name in stage.cluster.names() {
        stage.cluster.change(&name, |node| node.filtered = true);
    }
    stage.play(json!([{"partition": {"shape": "one-way"}}])).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    assert!(stage.detail(Unproven).contains("only TCP answers between them"), "{}", stage.detail(Unproven));
}

impl Stage {
    /// With a target whose nodes are ready after a time, or never. Each question notes the node, and those that are still broken.
    fn with_ready(self, times: &'static [(&'static str, Option<Duration>)]) -> (Stage, Asked) {
        let asked: Asked = Arc::default();
        let (noted, cluster) = (asked.clone(), self.cluster.clone());
        let ready: AwaitReady = Arc::new(move |node, deadline| {
            noted.lock().expect("questions").push((node.to_owned(), cluster.broken()));
            let time = times.iter().find(|(name, _)| *name == node).and_then(|(_, time)| *time);
            Box::pin(async move {
                tokio::time::sleep(time.unwrap_or(deadline).min(deadline)).await;
                time.filter(|time| *time <= deadline).map(drop).ok_or_else(|| "its port is closed".to_owned())
            })
        });
        let Ok(executor) = Arc::try_unwrap(self.executor) else { panic!("the executor is shared") };
        (Stage { executor: Arc::new(executor.with_ready(ready)), ..self }, asked)
    }
}

type Asked = Arc<Mutex<Vec<(String, Vec<String>)>>>;

const SOON: Option<Duration> = Some(Duration::from_secs(2));

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_takes_a_node_when_the_one_before_is_ready() {
    let (stage, asked) = Stage::of(3, None).with_ready(&[("n1", SOON), ("n2", SOON), ("n3", SOON)]);
    let outcomes = stage.play(json!([{"restart": {"rolling": true, "for": "10s"}}])).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    let expected: Vec<(String, Vec<String>)> = ["n1", "n2", "n3"].map(|node| (node.to_owned(), Vec::new())).into();
    assert_eq!(*asked.lock().expect("questions"), expected, "each node was healed before its readiness was waited for");
    assert!(stage.detail(Reproven).contains("3 of 3 nodes were taken"), "{}", stage.detail(Reproven));
    let (proven, reproven) = (stage.events()[3].time, stage.events()[4].time);
    assert!(reproven - proven >= 6_000_000_000, "three nodes were waited for");
    assert!(outcomes[0].proven.is_some() && outcomes[0].reproven.is_some() && outcomes[0].healed, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_stops_at_a_node_that_does_not_come_back_or_when_its_time_is_over() {
    let (stage, asked) = Stage::of(3, None).with_ready(&[("n1", SOON), ("n2", None), ("n3", SOON)]);
    stage.play(json!([{"restart": {"rolling": true, "for": "10s"}}])).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Healed]);
    assert_eq!(asked.lock().expect("questions").len(), 2, "the third node is not touched");
    let lapsed = stage.detail(Lapsed);
    assert!(lapsed.contains("1 of 3 nodes") && lapsed.contains("n2 is not ready again"), "{lapsed}");
    let (stage, _) = Stage::of(3, None).with_ready(&[("n1", SOON), ("n2", SOON), ("n3", SOON)]);
    stage.play(json!([{"restart": {"rolling": true, "for": "3s"}}])).await;
    assert!(stage.detail(Lapsed).contains("make `for` longer") || stage.detail(Lapsed).contains("not ready"));
}

#[tokio::test(start_paused = true)]
async fn killed_nodes_are_started_one_after_the_other_in_the_plans_order() {
    let stage = Stage::of(3, None);
    let kill = json!([{"kill": {"nodes": "all", "start": {"stagger": "2s", "order": "reverse"}}}]);
    let outcomes = stage.play(kill).await;
    assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed]);
    let healed = stage.events()[6].detail.clone();
    let after = |node: &str| {
        let line = healed.iter().find(|line| line.starts_with(node)).unwrap_or_else(|| panic!("{healed:?}"));
        let words: Vec<&str> = line.split(' ').collect();
        let at = words.iter().position(|word| *word == "undone").expect("a time");
        words[at + 1].parse::<u64>().expect("milliseconds") / 1000
    };
    assert_eq!(["n1", "n2", "n3"].map(after), [4, 2, 0]);
    assert!(outcomes[0].healed);
}
