//! Faults at the end of a load, at a stop, and at the end of their own time.
use super::*;

/// A custom fault on n1 whose undos take this long, and hold or not, from its begin to the stop of the run 20 s later.
async fn stopped_in_the_heal(takes: u64, holds: bool) -> (Stage, Duration) {
    let stage = Stage::of(3, Some("n2"));
    stage.cluster.change("n1", |node| node.wrong.undos = Some((Duration::from_millis(takes), holds)));
    let timetable = stage.timetable(json!([{"own": {"name": "mark", "nodes": "n1", "for": "3s"}}]));
    let stop_at = Instant::now() + timetable.faults[0].at.0 + Duration::from_secs(13);
    let stop = async {
        tokio::time::sleep_until(stop_at).await;
        stage.stop.send_replace(true);
    };
    let run = stage.executor.run(&timetable, Instant::now(), stage.stop.subscribe());
    let (outcomes, ()) = tokio::join!(run, stop);
    assert!(outcomes[0].proven.is_some() && !outcomes[0].healed, "{outcomes:?}");
    assert_eq!(stage.steps()[..6], [Planned, Resolved, Begun, Proven, Reproven, HealBegun]);
    let late = stop_at.elapsed();
    (stage, late)
}

#[tokio::test(start_paused = true)]
async fn a_heal_that_fails_ends_with_the_load_and_its_cause_is_kept() {
    for halted in [true, false] {
        let (stage, late) = stopped_in_the_heal(2200, false).await;
        assert!(late < Duration::from_millis(2300), "the load lasts {late:?} longer");
        assert_eq!(stage.steps().len(), 6, "the last heal says how it ends");
        let begun = Instant::now();
        let heals = stage.executor.heal_all(watch::channel(halted).1).await;
        let took = begun.elapsed();
        // Where a node says that it cannot, a stop leaves it at that.
        let most = Duration::from_millis(if halted { 2300 } else { 18_000 });
        assert!(took < most && (halted || took > Duration::from_secs(14)), "halted {halted}: {took:?}");
        let cause = "n1: not gone: heal ended with 9: cannot heal";
        assert_eq!(heals[0].detail, [cause]);
        assert_eq!((stage.steps()[6..].to_vec(), stage.detail(Unhealed)), (vec![Unhealed], cause.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_heal_waits_for_commands_that_take_their_time() {
    let (stage, late) = stopped_in_the_heal(20_000, true).await;
    assert!(late < Duration::from_millis(5100), "the load lasts {late:?} longer");
    let begun = Instant::now();
    let heals = stage.executor.heal_all(stage.stop.subscribe()).await;
    assert!(heals.iter().all(|heal| heal.healed), "{heals:?}");
    assert!(begun.elapsed() < stage.executor.longest_heal_all(), "{:?}", begun.elapsed());
    assert_eq!(stage.steps()[6..], [Healed]);
}

#[tokio::test(start_paused = true)]
async fn the_cause_of_a_failed_heal_is_kept_when_the_node_falls_silent() {
    let stage = Stage::of(3, Some("n2"));
    let meanwhile = |stage: &Stage| {
        stage.cluster.change("n1", |node| node.wrong.undos = Some((Duration::from_secs(2), false)));
    };
    let silent = async {
        while !stage.steps().contains(&HealBegun) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(9)).await;
        stage.cluster.change("n1", |node| node.wrong.unreachable = true);
    };
    let run = stage.play_with(json!([{"kill": {"nodes": "n1"}}]), meanwhile);
    let (outcomes, ()) = tokio::join!(run, silent);
    assert!(!outcomes[0].healed, "{outcomes:?}");
    assert_eq!(stage.detail(Unhealed), "n1: not gone: heal ended with 9: cannot heal");
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_fault_is_healed_soon_after_its_end() {
    for fault in [
        json!({"own": {"name": "mark", "nodes": "n2"}}),
        json!({"pause": {"nodes": "n2"}}),
        json!({"partition": {"cut": ["n2", "others"]}}),
    ] {
        let stage = Stage::of(3, Some("n1"));
        let lapse = |stage: &Stage| stage.cluster.change("n2", |node| node.wrong.disproves = true);
        stage.play_with(json!([fault]), lapse).await;
        assert_eq!(stage.steps(), [Planned, Resolved, Begun, Proven, Lapsed, HealBegun, Healed], "{fault}");
        let (begun, heal) = (stage.events()[2].time, stage.events()[5].time);
        let in_force_ms = (heal - begun) / 1_000_000;
        assert!((6_000..7_200).contains(&in_force_ms), "{fault}: in force for {in_force_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_custom_fault_that_is_not_healed_is_undone_again_one_undo_after_the_other() {
    let stage = Stage::of(3, None).with_at_once("mark", 1);
    stage.cluster.change("n1", |node| node.wrong.undos = Some((Duration::from_secs(3), false)));
    let own = |id: &str, at: &str, node: &str| json!({"id": id, "at": at, "for": "3s", "own": {"name": "mark", "nodes": node}});
    let schedule = json!({"schedule": [own("a", "2s", "n1"), own("b", "90s", "n2")]});
    let options: NemesisOptions = serde_json::from_value(schedule).expect("options");
    let table = timetable(3, &options, shape(3, 5), Duration::from_secs(140));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(120)).await;
        stage.cluster.change("n1", |node| node.wrong.undos = None);
    };
    let run = stage.executor.run(&table, Instant::now(), stage.stop.subscribe());
    let (outcomes, ()) = tokio::join!(run, meanwhile);
    assert!(!outcomes[0].healed && outcomes[1].proven.is_some() && outcomes[1].healed, "{outcomes:?}");
    let mut asked = Vec::new();
    stage.cluster.change("n1", |node| asked.clone_from(&node.undos_asked));
    let waiting: Vec<u64> = asked.into_iter().filter(|at| (90_000..120_000).contains(at)).collect();
    assert!(waiting.len() > 5 && waiting.windows(2).all(|two| two[1] - two[0] >= 3_000), "{waiting:?}");
}
