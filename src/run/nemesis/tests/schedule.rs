//! Schedules: faults that overlap, and faults that wait for others.
use super::fake::Wrong;
use super::*;
use dsfuzz_checkers::history::FaultStep::{Missed, NotTriggered, Triggered};
use dsfuzz_nemesis::{ScheduledFault, schedule};

impl Stage {
    /// Runs a schedule on a minute of load.
    async fn schedule(&self, schedule: serde_json::Value) -> Vec<FaultOutcome> {
        let options: NemesisOptions = serde_json::from_value(json!({"schedule": schedule})).expect("options");
        let names = self.cluster.names();
        assert_eq!(options.mistakes(&names), []);
        let timetable = timetable(3, &options, shape(names.len(), 5), Duration::from_secs(45));
        assert_eq!(timetable.warnings, [""; 0]);
        self.executor.run(&timetable, Instant::now(), self.stop.subscribe()).await
    }

    /// The steps of one fault, with their times in milliseconds.
    fn life(&self, name: &str) -> Vec<(FaultStep, u64)> {
        let events = self.events();
        let of = events.iter().filter(|event| event.name == name);
        of.map(|event| (event.step, event.time / 1_000_000)).collect()
    }

    fn steps_of(&self, name: &str) -> Vec<FaultStep> {
        self.life(name).into_iter().map(|(step, _)| step).collect()
    }

    fn at(&self, name: &str, step: FaultStep) -> u64 {
        let life = self.life(name);
        life.iter().find(|(other, _)| *other == step).unwrap_or_else(|| panic!("no {step:?} in {life:?}")).1
    }

    fn detail_of(&self, name: &str, step: FaultStep) -> String {
        let events = self.events();
        let event = events.iter().find(|event| event.name == name && event.step == step);
        event.unwrap_or_else(|| panic!("no {step:?} of {name}")).detail.join(" | ")
    }
}

const WHOLE: [FaultStep; 7] = [Planned, Resolved, Begun, Proven, Reproven, HealBegun, Healed];

#[tokio::test(start_paused = true)]
async fn faults_of_a_schedule_begin_at_their_times_and_overlap() {
    let stage = Stage::of(5, Some("n3"));
    let outcomes = stage
        .schedule(json!([
            {"id": "cut", "at": "5s 400ms", "for": "6s", "partition": {"cut": ["leader", "others"]}},
            {"id": "kill", "at": "7s", "for": "2s", "kill": {"nodes": ["n1", "n2"]}},
            {"id": "stop", "at": "8s", "for": "6s", "pause": {"nodes": "n3"}},
        ]))
        .await;
    for name in ["cut", "kill", "stop"] {
        assert_eq!(stage.steps_of(name), WHOLE, "{name}");
    }
    for (outcome, (at, lasts)) in outcomes.iter().zip([(5400, 6000), (7000, 2000), (8000, 6000)]) {
        assert!(outcome.slip_ms.is_some_and(|slip| slip < 20), "{outcome:?}");
        let measured = outcome.measured.clone().expect("begun");
        let schedule::Begin::At(begun) = measured.begin else { panic!("{measured:?}") };
        assert!(begun.as_millis().abs_diff(at) < 20, "{measured:?}");
        assert!(measured.lasts.expect("measured").as_millis().abs_diff(lasts) < 200, "{measured:?}");
    }
    assert!(stage.at("kill", Begun) < stage.at("cut", Healed) && stage.at("stop", Begun) < stage.at("kill", Healed));
    let events = stage.events();
    let entry = |step: FaultStep| {
        let event = events.iter().find(|event| event.name == "cut" && event.step == step).expect("an event");
        event.entry.clone().expect("the fault as an entry of a schedule")
    };
    assert_eq!(entry(Planned)["partition"]["cut"], json!(["leader", "others"]));
    assert_eq!(entry(Resolved)["partition"]["cut"][0], json!({"node": "n3"}));
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_two_faults_cut_is_silent_until_both_are_healed() {
    let stage = Stage::of(3, Some("n3"));
    stage
        .schedule(json!([
            {"id": "a", "at": "2s", "for": "4s", "partition": {"cut": ["n1", "n2"]}},
            {"id": "b", "at": "4s", "for": "6s", "partition": {"cut": ["n1", ["n2", "n3"]]}},
            {"id": "c", "at": "5s", "for": "2s", "partition": {"cut": {"from": "n2", "to": "n1"}}},
        ]))
        .await;
    for name in ["a", "b"] {
        assert_eq!(stage.steps_of(name), WHOLE, "{name}: {:?}", stage.events());
    }
    assert!(
        stage.detail_of("b", Proven).contains("2 of its links are cut by fault a too"),
        "{}",
        stage.detail_of("b", Proven)
    );
    assert!(stage.detail_of("a", Healed).contains("every link is heard again but 4 that another fault holds"));
    // While `b` alone is left, its own rules are counted on every link.
    assert!(!stage.detail_of("b", Reproven).contains("too"), "{}", stage.detail_of("b", Reproven));
    assert!(stage.detail_of("b", Healed).contains("every link is heard again"));
    // `b` cut the one link of `c` before.
    assert_eq!(stage.steps_of("c"), NESTED);
    assert!(
        stage.detail_of("c", Unproven).contains("every link was cut before, by fault a, b"),
        "{}",
        stage.detail_of("c", Unproven)
    );
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_overlapping_cut_that_did_not_happen_is_not_proven() {
    let stage = Stage::of(3, Some("n3"));
    stage.cluster.change("n3", |node| node.wrong.deaf_to_injections = true);
    stage
        .schedule(json!([
            {"id": "a", "at": "2s", "for": "6s", "partition": {"cut": ["n1", "n2"]}},
            {"id": "b", "at": "3s", "for": "3s", "partition": {"cut": [["n1", "n2"], "n3"]}},
        ]))
        .await;
    assert_eq!(stage.steps_of("a"), WHOLE);
    assert_eq!(stage.steps_of("b"), [Planned, Resolved, Begun, Unproven, HealBegun, Healed]);
    assert!(stage.detail_of("b", Unproven).contains("n3 hears n1, though the link is cut"));
}

#[tokio::test(start_paused = true)]
async fn a_kill_ends_the_evidence_of_the_pause_before_it_and_not_the_pause() {
    let stage = Stage::of(3, Some("n3"));
    stage
        .schedule(json!([
            {"id": "stop", "at": "2s", "for": "8s", "pause": {"nodes": "n1"}},
            {"id": "kill", "at": "4s", "for": "3s", "kill": {"nodes": "n1"}},
            {"id": "again", "at": "5s", "for": "4s", "kill": {"nodes": "n1"}},
        ]))
        .await;
    for name in ["stop", "kill"] {
        assert_eq!(stage.steps_of(name), WHOLE, "{name}: {:?}", stage.events());
    }
    assert_eq!(stage.steps_of("again"), NESTED);
    assert!(stage.at("stop", Reproven) <= stage.at("kill", Begun), "{:?}", stage.life("stop"));
    assert!(stage.detail_of("stop", Reproven).contains("fault kill is about to take its effect away"));
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_later_clock_ends_the_evidence_of_the_clock_before_it() {
    let stage = Stage::of(3, Some("n3"));
    stage
        .schedule(json!([
            {"id": "back", "at": "2s", "for": "8s", "clock": {"jump": "60s", "nodes": "n1"}},
            {"id": "slow", "at": "4s", "for": "3s", "clock": {"drift": "50%", "nodes": "n1"}},
            {"id": "elsewhere", "at": "5s", "for": "3s", "clock": {"freeze": true, "nodes": "n2"}},
        ]))
        .await;
    for name in ["back", "slow", "elsewhere"] {
        assert_eq!(stage.steps_of(name), WHOLE, "{name}: {:?}", stage.events());
    }
    assert!(stage.at("back", Reproven) <= stage.at("slow", Begun), "{:?}", stage.life("back"));
    assert!(stage.detail_of("back", Reproven).contains("fault slow is about to take its effect away"));
    assert!(stage.at("slow", Reproven) > stage.at("elsewhere", Begun), "another node's clock takes nothing away");
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

/// The life of a fault whose effect was there before.
const NESTED: [FaultStep; 6] = [Planned, Resolved, Begun, Unproven, HealBegun, Healed];

#[tokio::test(start_paused = true)]
async fn an_effect_that_was_there_before_proves_nothing() {
    for (outer, inner, why) in [
        (json!({"kill": {"nodes": "n1"}}), json!({"kill": {"nodes": "n1"}}), "n1: fault outer had this effect before"),
        (json!({"kill": {"nodes": "n1"}}), json!({"kill": {"nodes": "all"}}), "n1: fault outer had this effect before"),
        (
            json!({"pause": {"nodes": "n1"}}),
            json!({"pause": {"nodes": "n1"}}),
            "n1: fault outer had this effect before",
        ),
        (
            json!({"partition": {"cut": ["n1", "others"]}}),
            json!({"partition": {"cut": ["n1", "n2"]}}),
            "every link was cut before, by fault outer",
        ),
    ] {
        // Also where it outlasts the other: it was not its own when it was to be proven.
        for lasts in ["3s", "12s"] {
            let entry = |id: &str, at: &str, lasts: &str, fault: &serde_json::Value| {
                let mut entry = json!({"id": id, "at": at, "for": lasts});
                entry.as_object_mut().expect("a map").extend(fault.as_object().expect("a map").clone());
                entry
            };
            let stage = Stage::of(3, Some("n3"));
            let outcomes =
                stage.schedule(json!([entry("outer", "2s", "8s", &outer), entry("inner", "4s", lasts, &inner)])).await;
            assert_eq!(stage.steps_of("outer"), WHOLE, "{outer} {inner}: {:?}", stage.events());
            assert_eq!(stage.steps_of("inner"), NESTED, "{outer} {inner}: {:?}", stage.events());
            assert!(stage.detail_of("inner", Unproven).contains(why), "{}", stage.detail_of("inner", Unproven));
            assert!(outcomes[1].proven.is_none() && outcomes[1].healed);
            assert_eq!(stage.cluster.broken(), Vec::<String>::new());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_begins_in_the_heal_of_another_is_proven_once_that_one_is_gone() {
    for (fault, cut) in [
        (json!({"kill": {"nodes": "n1"}}), false),
        (json!({"pause": {"nodes": "n1"}}), false),
        (json!({"partition": {"cut": ["n1", "others"]}}), true),
    ] {
        for (undos_lost, gone) in [(5, true), (10_000, false)] {
            let entry = |id: &str, at: &str, lasts: &str| {
                let mut entry = json!({"id": id, "at": at, "for": lasts});
                entry.as_object_mut().expect("a map").extend(fault.as_object().expect("a map").clone());
                entry
            };
            let stage = Stage::of(3, Some("n3"));
            stage.cluster.change("n1", |node| node.wrong.undos_lost = undos_lost);
            stage.schedule(json!([entry("outer", "2s", "4s"), entry("inner", "6s 100ms", "4s")])).await;
            assert!(stage.at("outer", HealBegun) < stage.at("inner", Begun), "{:?}", stage.events());
            if gone {
                assert_eq!(stage.steps_of("outer"), WHOLE, "{fault}: {:?}", stage.events());
                assert_eq!(stage.steps_of("inner"), WHOLE, "{fault}: {:?}", stage.events());
                assert!(stage.at("inner", Proven) >= stage.at("outer", Healed), "{fault}: {:?}", stage.events());
            } else {
                let why = if cut { "was cut before, by fault outer" } else { "fault outer had this effect before" };
                assert!(stage.detail_of("inner", Unproven).contains(why), "{fault}: {:?}", stage.events());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_does_more_than_those_before_is_proven_by_that() {
    let stage = Stage::of(3, Some("n3"));
    stage
        .schedule(json!([
            {"id": "stop", "at": "2s", "for": "9s", "pause": {"nodes": "n1"}},
            {"id": "kill", "at": "3s", "for": "2s", "kill": {"nodes": "n1"}},
            {"id": "cut", "at": "4s", "for": "9s", "partition": {"cut": ["n2", "n3"]}},
            {"id": "wider", "at": "5s", "for": "2s", "partition": {"cut": ["n2", "others"]}},
        ]))
        .await;
    for name in ["stop", "kill", "cut", "wider"] {
        assert_eq!(stage.steps_of(name), WHOLE, "{name}: {:?}", stage.events());
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_fault_has_ended_cannot_be_stopped() {
    let stage = Stage::of(3, Some("n3"));
    stage
        .schedule(json!([
            {"id": "kill", "at": "2s", "for": "4s", "kill": {"nodes": "n1"}},
            {"id": "stop", "at": "3s", "for": "1s", "pause": {"nodes": "n1"}},
        ]))
        .await;
    assert_eq!(stage.steps_of("kill"), WHOLE);
    assert!(stage.steps_of("stop").contains(&Unproven), "{:?}", stage.life("stop"));
    assert!(stage.detail_of("stop", Unproven).contains("db was not running before, by fault kill"));
}

#[tokio::test(start_paused = true)]
async fn a_fault_follows_a_step_of_another() {
    let stage = Stage::of(5, Some("n3"));
    stage
        .schedule(json!([
            {"id": "a", "at": "2s", "for": "3s", "kill": {"nodes": "leader"}},
            {"id": "b", "when": {"fault": "a", "step": "proven"}, "wait": "300ms", "for": "1s",
             "pause": {"nodes": {"same_as": "a.others"}}},
            {"id": "c", "when": {"fault": "a", "step": "healed"}, "for": "1s", "kill": {"nodes": {"same_as": "a"}}},
            {"id": "d", "when": {"fault": "b", "step": "begun"}, "wait": "500ms", "for": "1s",
             "pause": {"nodes": {"same_as": "a.leader"}}},
        ]))
        .await;
    let triggered = [&[Planned, Triggered][..], &WHOLE[1..]].concat();
    for name in ["b", "c"] {
        assert_eq!(stage.steps_of(name), triggered, "{name}");
    }
    let after = |name: &str, (of, step): (&str, FaultStep)| stage.at(name, Begun) - stage.at(of, step);
    assert!((300..320).contains(&after("b", ("a", Proven))), "{:?}", stage.life("b"));
    assert!(after("c", ("a", Healed)) < 40, "{:?}", stage.life("c"));
    let events = stage.events();
    let nodes =
        |name: &str| events.iter().find(|event| event.name == name && event.step == Begun).map(|e| e.nodes.clone());
    assert_eq!(nodes("b").expect("begun"), ["n1", "n2", "n4", "n5"]);
    assert_eq!(nodes("c").expect("begun"), ["n3"]);
    assert_eq!(nodes("d").expect("begun"), ["n3"]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_on_record() {
    let stage = Stage::of(3, None);
    let outcomes = stage
        .schedule(json!([
            {"id": "no-leader", "at": "2s", "for": "1s", "kill": {"nodes": "leader"}},
            {"id": "after", "when": {"fault": "no-leader"}, "for": "1s", "unless_by": "10s", "pause": {"nodes": "n1"}},
            {"id": "late", "when": {"fault": "slow", "step": "healed"}, "for": "9s", "pause": {"nodes": "n1"}},
            {"id": "slow", "at": "26s", "for": "8s", "pause": {"nodes": "n2"}},
        ]))
        .await;
    assert_eq!(stage.steps_of("no-leader"), [Planned, Missed]);
    assert!(stage.detail_of("no-leader", Missed).contains("no leader is known"));
    assert_eq!(stage.steps_of("after"), [Planned, NotTriggered]);
    assert_eq!(stage.at("after", NotTriggered), 10_000);
    assert!(
        stage
            .detail_of("after", NotTriggered)
            .contains("within 10s of the load there was no sign of: fault no-leader proven")
    );
    assert_eq!(stage.steps_of("late"), [Planned, NotTriggered]);
    assert_eq!(stage.steps_of("slow"), WHOLE);
    assert!(outcomes.iter().filter(|outcome| outcome.measured.is_some()).count() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_heals_every_fault_in_force() {
    let stage = Stage::of(3, Some("n3"));
    let stopping = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        stage.stop.send_replace(true);
    };
    let running = stage.schedule(json!([
        {"id": "a", "at": "2s", "for": "9s", "kill": {"nodes": "n1"}},
        {"id": "b", "at": "3s", "for": "9s", "partition": {"cut": ["n2", "others"]}},
        {"id": "c", "at": "9s", "for": "9s", "pause": {"nodes": "n2"}},
    ]));
    tokio::join!(running, stopping);
    for name in ["a", "b"] {
        assert!(stage.at(name, Healed) < 4_500, "{:?}", stage.life(name));
    }
    assert_eq!(stage.steps_of("c"), [Planned]);
    assert_eq!(stage.cluster.broken(), Vec::<String>::new());
}

/// The life of drawn faults where no leader is known: the steps, the nodes, and the delay, which is longer where it waited for an election.
async fn drawn_without_leader(
    overlapping: bool,
    faults: serde_json::Value,
) -> Vec<(Vec<FaultStep>, Vec<String>, bool)> {
    let stage = Stage::of(5, None);
    let timetable = Timetable { overlapping, ..stage.timetable(faults) };
    let outcomes = stage.executor.run(&timetable, Instant::now(), stage.stop.subscribe()).await;
    let events = stage.events();
    let steps = |fault: u64| events.iter().filter(|event| event.fault == fault).map(|event| event.step).collect();
    let waited = |outcome: &FaultOutcome| outcome.slip_ms.is_some_and(|slip| slip >= 300);
    outcomes.iter().map(|outcome| (steps(outcome.planned.id), outcome.nodes.clone(), waited(outcome))).collect()
}

#[tokio::test(start_paused = true)]
async fn drawn_faults_behave_alike_with_and_without_overlap() {
    for (fault, comes) in [
        (json!({"kill": {"nodes": "leader"}}), true),
        (json!({"pause": {"nodes": "minority"}}), true),
        (json!({"partition": {"shape": "isolate-leader"}}), true),
        (json!({"kill": {"nodes": "followers"}}), true),
        (json!({"kill": {"nodes": "ex-leader"}}), false),
        (json!({"kill": {"nodes": "n9"}}), false),
    ] {
        let (alone, beside) =
            (drawn_without_leader(false, json!([fault])).await, drawn_without_leader(true, json!([fault])).await);
        assert_eq!(alone, beside, "{fault}");
        let (steps, ..) = &beside[0];
        let expected: &[FaultStep] = if comes { &WHOLE } else { &[Planned, Unproven] };
        assert_eq!(steps, expected, "{fault}");
    }
}

/// Runs drawn faults on a cluster with this failure, and returns those that began, as the run stores them.
async fn stored(seed: u64, wrong: Wrong, leader: Option<&'static str>, stop_after: Duration) -> Vec<ScheduledFault> {
    let stage = Stage::of(3, leader);
    let node = ["n1", "n2", "n3"][usize::try_from(seed % 3).expect("small")];
    stage.cluster.change(node, |node| node.wrong = wrong);
    let own = json!({"name": "mark", "begin": "b", "prove": "p", "heal": "h", "healed": "d", "nodes": "minority"});
    let options: NemesisOptions = serde_json::from_value(json!({"every": "5s", "for": "4s", "faults": [
        {"kill": {"nodes": "leader", "signal": "term", "grace": "3s"}}, {"restart": {"every": "2s"}}, {"pause": {}},
        {"partition": {}}, {"kill": {"nodes": "ex-leader"}}, {"own": own}, {"clock": {}}
    ]}))
    .expect("options");
    let mut table = timetable(seed, &options, shape(3, 1), Duration::from_secs(45));
    table.overlapping = seed.is_multiple_of(2);
    let stop = async {
        tokio::time::sleep(stop_after).await;
        stage.stop.send_replace(true);
    };
    let run = stage.executor.run(&table, Instant::now(), stage.stop.subscribe());
    let (outcomes, ()) = tokio::join!(run, stop);
    let schedule: Vec<ScheduledFault> = outcomes.into_iter().filter_map(|outcome| outcome.measured).collect();
    let text = crate::plan::schedule::ScheduleFile { schedule: &schedule, ..Default::default() }.to_yaml();
    crate::plan::schedule::from_yaml("schedule.yaml", &text).expect(&text)
}

#[tokio::test(start_paused = true)]
async fn faults_that_failed_came_late_or_were_stopped_can_be_planned_again() {
    let names: Vec<String> = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
    let failures = [
        Wrong::default(),
        Wrong { refuses_injections: true, ..Wrong::default() },
        Wrong { mute_on_injections: true, ..Wrong::default() },
        Wrong { unreachable: true, ..Wrong::default() },
        Wrong { revives: true, undos_lost: 3, ..Wrong::default() },
    ];
    let mut began = 0;
    for (seed, wrong) in (0..12).flat_map(|seed| failures.map(|wrong| (seed, wrong))) {
        let leader = if seed % 3 == 0 { None } else { Some("n2") };
        let stop_after = Duration::from_millis(45_000 - (seed % 4) * 9_100);
        let schedule = stored(seed, wrong, leader, stop_after).await;
        began += schedule.len();
        let again = NemesisOptions { schedule, ..NemesisOptions::default() };
        let mistakes = [
            again.mistakes(&names),
            again.option_mistakes(),
            again.own_mistakes(dsfuzz_nemesis::own::RecipeFaults::default()),
            again.time_mistakes(dsfuzz_nemesis::Span::seconds(44)),
            again.excluded_mistakes(&FakeCluster::of(3).view(None)),
            again.at_once_mistakes(3, &[("mark".to_owned(), 1)].into()),
        ];
        assert_eq!(mistakes.concat(), [], "seed {seed}, {wrong:?}: {:?}", again.schedule);
    }
    assert!(began > 200, "{began}");
}

#[tokio::test(start_paused = true)]
async fn a_drawn_fault_waits_until_it_leaves_a_quorum() {
    for keeps_quorum in [true, false] {
        let stage = Stage::of(3, Some("n3"));
        let mut table = stage.timetable(json!([{"kill": {"nodes": "n1"}}, {"pause": {"nodes": "n2"}}]));
        (table.overlapping, table.keeps_quorum) = (true, keeps_quorum);
        for fault in &mut table.faults {
            let at = if fault.kind() == "kill" { 2 } else { 4 };
            (fault.at, fault.lasts) = (dsfuzz_nemesis::Span::seconds(at), dsfuzz_nemesis::Span::seconds(3));
        }
        // The heal is lost a few times, so that it takes longer than planned.
        stage.cluster.change("n1", |node| node.wrong.undos_lost = 3);
        let outcomes = stage.executor.run(&table, Instant::now(), stage.stop.subscribe()).await;
        assert!(outcomes.iter().all(|outcome| outcome.proven.is_some() && outcome.healed), "{outcomes:?}");
        let events = stage.events();
        let at = |kind: &str, step: FaultStep| {
            let event = events.iter().find(|event| &*event.kind == kind && event.step == step);
            event.unwrap_or_else(|| panic!("no {step:?} of {kind}")).time
        };
        let waited = at("pause", Begun) >= at("kill", Healed);
        assert_eq!(
            waited,
            keeps_quorum,
            "{:?}",
            events.iter().map(|event| (event.step, event.time)).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_heal_leaves_the_evidence_of_later_faults() {
    for fault in [
        json!({"kill": {"nodes": "n1"}}),
        json!({"pause": {"nodes": "n1"}}),
        json!({"partition": {"cut": ["n1", "others"]}}),
    ] {
        let entry = |id: &str, at: &str| {
            let mut entry = json!({"id": id, "at": at, "for": "3s"});
            entry.as_object_mut().expect("a map").extend(fault.as_object().expect("a map").clone());
            entry
        };
        let stage = Stage::of(3, Some("n3"));
        stage.cluster.change("n1", |node| node.wrong.undos_lost = 1000);
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(26)).await;
            stage.cluster.change("n1", |node| node.wrong.undos_lost = 0);
        };
        let faults = json!([entry("first", "2s"), entry("early", "21s"), entry("second", "33s")]);
        let (outcomes, ()) = tokio::join!(stage.schedule(faults), meanwhile);
        assert!(!outcomes[0].healed, "{fault}: {:?}", outcomes[0]);
        assert!(outcomes[1].proven.is_none(), "{fault}: its effect is still there: {:?}", outcomes[1]);
        assert!(outcomes[2].proven.is_some() && outcomes[2].healed, "{fault}: {:?}", outcomes[2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_heal_gives_a_drawn_fault_its_quorum_back() {
    let stage = Stage::of(3, Some("n3"));
    let mut table = stage.timetable(json!([{"kill": {"nodes": "n1"}}, {"pause": {"nodes": "n2"}}]));
    (table.overlapping, table.keeps_quorum) = (true, true);
    table.faults.retain(|fault| fault.at.0 < Duration::from_secs(60));
    for fault in &mut table.faults {
        let at = if fault.kind() == "kill" { 2 } else { 24 };
        (fault.at, fault.lasts) = (dsfuzz_nemesis::Span::seconds(at), dsfuzz_nemesis::Span::seconds(3));
    }
    stage.cluster.change("n1", |node| node.wrong.undos_lost = 1000);
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(28)).await;
        stage.cluster.change("n1", |node| node.wrong.undos_lost = 0);
    };
    let run = stage.executor.run(&table, Instant::now(), stage.stop.subscribe());
    let (outcomes, ()) = tokio::join!(run, meanwhile);
    let of = |kind: &str| outcomes.iter().zip(&table.faults).find(|(_, fault)| fault.kind() == kind).expect("drawn").0;
    assert!(!of("kill").healed, "{:?}", of("kill"));
    assert!(of("pause").proven.is_some() && of("pause").healed, "{:?}", of("pause"));
    let slip_ms = of("pause").slip_ms.expect("it began");
    assert!((3_900..5_000).contains(&slip_ms), "it waited {slip_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn a_custom_fault_waits_until_those_of_its_name_are_healed() {
    for (undos_lost, comes) in [(3, true), (1000, false)] {
        let stage = Stage::of(3, None).with_at_once("mark", 1);
        stage.cluster.change("n1", |node| node.wrong.undos_lost = undos_lost);
        let own = |id: &str, at: &str, node: &str| json!({"id": id, "at": at, "for": "3s", "own": {"name": "mark", "nodes": node}});
        stage.schedule(json!([own("a", "2s", "n1"), own("b", "5s 10ms", "n2")])).await;
        if comes {
            assert_eq!(stage.steps_of("b"), WHOLE);
            assert!(stage.at("b", Begun) >= stage.at("a", Healed), "{:?}", stage.life("b"));
        } else {
            assert_eq!(stage.steps_of("b"), [Planned, Missed]);
            let why = "fault a is in force, or not healed, and mark takes at most 1 node at the same time";
            assert!(stage.detail_of("b", Missed).starts_with(why), "{}", stage.detail_of("b", Missed));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drawn_fault_that_could_not_be_proven_is_not_asked_for_when_the_run_is_repeated() {
    let stage = Stage::of(3, Some("n3"));
    stage.cluster.change("n1", |node| node.wrong.disproves = true);
    let drawn = stage.play(json!([{"kill": {"nodes": "n1"}}, {"pause": {"nodes": "n2"}}])).await;
    let asked = |outcomes: &[FaultOutcome]| -> Vec<(bool, bool)> {
        outcomes
            .iter()
            .map(|outcome| (outcome.proven.is_some(), outcome.measured.as_ref().expect("begun").evidence))
            .collect()
    };
    let mut of_drawn = asked(&drawn);
    of_drawn.sort_unstable();
    assert_eq!(of_drawn, [(false, false), (true, true)]);
    let scheduled = stage.schedule(json!([{"id": "a", "at": "2s", "for": "3s", "kill": {"nodes": "n1"}}])).await;
    assert_eq!(asked(&scheduled), [(false, true)], "the plan asked for it");
}
