//! The recovery that a run measures, and the one that its plan demands.
use super::*;

#[test]
fn recovery_is_measured_from_the_last_heal_and_judged_only_if_it_is_demanded() {
    let row = |ok: fn(f64) -> bool| {
        let history = HistoryBuilder::of(&THREE, ok).fault("kill", "all", &THREE, &[], (5.0, 11.0)).history();
        let rows = weigh(&history, &EvidencePlan::default(), &Rules::default(), &RunInfo::default());
        let row = rows.into_iter().find(|row| row.name.starts_with("recover")).expect("a row");
        (row.name, row.measured, row.doc)
    };
    let (name, slow, doc) = row(|time| !(5.0..13.45).contains(&time));
    assert!(name == "recovery_ms" && (2400.0..2600.0).contains(&slow), "{slow}: {doc}");
    assert!(doc.contains("n1 2") && doc.contains("n3 2"), "{doc}");
    let (name, had, doc) = row(|time| time < 5.0);
    assert!(name == "recovered_nodes" && had == 0.0 && doc.contains("n2 never in the load"), "{doc}");
    let checkers = |nemesis: &str| {
        rules(&format!("workload: register\nload: {{time: 5m}}\nnemesis: {nemesis}"), &facts(true, 0)).checkers
    };
    let demanded = checkers("{recovery: {within: 1m 30s}, faults: [{kill: {}}]}");
    let (_, options) = demanded.iter().find(|(name, _)| name == "liveness").expect("the checker");
    assert_eq!(serde_json::to_value(&options.0).expect("options"), json!({"recover": "1m 30s"}));
    assert!(checkers("{faults: [{kill: {}}]}").iter().all(|(name, _)| name != "liveness"));
    // One and the same run keeps the demand or not, and the time counts from the heal alone.
    for (within, broken) in [("3s", false), ("1s", true)] {
        let plan = format!(
            "workload: register\nnemesis: {{recovery: {{within: {within}}}, faults: [{{kill: {{nodes: all}}}}]}}"
        );
        let history = HistoryBuilder::of(&THREE, |time| !(5.0..13.45).contains(&time));
        let history = history.fault("kill", "all", &THREE, &[], (5.0, 11.0)).history();
        let verdict = judge(&history, &rules(&plan, &facts(true, 0)), &RunInfo::default());
        let liveness = verdict.promises.iter().find(|promise| promise.checker == "liveness").expect("judged");
        assert_eq!(liveness.validity == Validity::Invalid, broken, "{within}: {liveness:?}");
    }
}

#[test]
fn a_demand_that_most_heals_could_not_be_held_to_proves_nothing() {
    let judged = |within: &str| {
        let plan = format!(
            "workload: register\nnemesis: {{recovery: {{within: {within}}}, faults: [{{kill: {{nodes: all}}}}]}}"
        );
        let mut history =
            HistoryBuilder::of(&THREE, |time| !(5.0..8.0).contains(&time) && !(15.0..18.0).contains(&time));
        for span in [(5.0, 7.9), (15.0, 17.9)] {
            history = history.fault("kill", "all", &THREE, &[], span);
        }
        judge(&history.history(), &rules(&plan, &facts(true, 0)), &RunInfo::default())
    };
    let of_liveness = |verdict: &crate::store::RunVerdict| {
        verdict.promises.iter().find(|promise| promise.checker == "liveness").expect("judged").validity
    };
    let row = |verdict: &crate::store::RunVerdict, name: &str| {
        verdict.evidence.iter().find(|row| row.name == name).cloned().expect("a row")
    };
    let verdict = judged("2s");
    let (heals, nodes) = (row(&verdict, "recovery_heals"), row(&verdict, "recovery_nodes"));
    assert!(heals.enough && (heals.measured, heals.at_least) == (2.0, 1.0), "{heals:?}");
    assert!(nodes.enough && (nodes.measured, nodes.at_least) == (6.0, 3.0), "{nodes:?}");
    assert_eq!(of_liveness(&verdict), Validity::Valid, "{verdict:?}");
    // Each node is called every 100 ms: none within the first half of 30 ms.
    let verdict = judged("30ms");
    let heals = row(&verdict, "recovery_heals");
    assert!(
        !heals.enough && heals.measured == 0.0 && heals.doc.starts_with("heals that `liveness` judged, of 2"),
        "{heals:?}"
    );
    for part in ["after the heal of fault 0: n1, n2, n3: not called within 15 ms", "`load.rate`"] {
        assert!(heals.shortfall.contains(part), "{part}: {}", heals.shortfall);
    }
    assert_eq!((of_liveness(&verdict), verdict.validity), (Validity::Unknown, Validity::Unknown), "{verdict:?}");
}
