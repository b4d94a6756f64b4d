//! Every fault that began can be planned again as it was measured: in time, too late, cut short, of any kind.
use super::*;
use crate::own::RecipeFaults;
use crate::protocol::OwnCommands;
use dsfuzz_rng::Rng;

/// Each kind, with options that say the most of what is written back.
fn kinds() -> Vec<Value> {
    let mine = json!({"name": "mine", "begin": "b", "prove": "p", "heal": "h", "healed": "d"});
    let rolling = json!({"name": "recipes", "rolling": true, "nodes": "all"});
    vec![
        json!({"partition": {}}),
        json!({"partition": {"how": "reject", "ports": "peer", "shape": ["majority", "one-way"]}}),
        json!({"partition": {"clients": true, "shape": "isolate-one"}}),
        json!({"packet": {"loss": {"percent": 30, "burst": 5}, "nodes": ["one", "minority", "leader"]}}),
        json!({"packet": {"delay": {"mean": "50ms", "jitter": "5ms"}, "direction": "in", "ports": "peer"}}),
        json!({"packet": {"flap": {"period": "1s", "down": "300ms"}, "nodes": "all"}}),
        json!({"packet": {"rate": 64, "link": {"from": "n1", "to": "n2"}}}),
        json!({"kill": {"nodes": ["one", "minority", "majority", "all", "leader", "follower", "followers", "ex-leader", "spare",
            "quorum-loss", "voters", "n1"]}}),
        json!({"kill": {"signal": "term", "grace": "5s", "start": {"stagger": "1s", "order": "drawn"}, "process": "db"}}),
        json!({"restart": {"every": "2s", "signal": "term", "grace": "1s"}}),
        json!({"restart": {"rolling": true, "nodes": "all"}}),
        json!({"pause": {"only": "first", "nodes": "minority"}}),
        json!({"clock": {"jump": ["1s", "60s"], "drift": "20%", "per_node": true, "strobe": {}}}),
        json!({"disk": {"effect": ["full", "read-only", {"slow": {}}, {"errors": {"percent": 50}}, {"bit-flip": {}}, "old-copy"]}}),
        json!({"power-loss": {"torn": [0, 50]}}),
        json!({"cpu": {"limit": "10%"}}),
        json!({"clock": {"freeze": true, "nodes": "one"}}),
        json!({"memory": {"headroom": "4MB"}}),
        json!({"memory": {"oom": true}}),
        json!({"descriptors": {"spare": 8}}),
        json!({"own": mine}),
        json!({"own": rolling}),
    ]
}

/// A cluster with all that these options name.
fn whole(nodes: usize, leaders: &[&str]) -> ClusterView {
    let mut view = ClusterView { former_leaders: vec!["n1".to_owned()], ..ClusterView::of(nodes, leaders) };
    for node in &mut view.nodes {
        node.services = vec!["db".to_owned()];
        node.port_roles = [("peer".to_owned(), 2380), ("client".to_owned(), 2379)].into();
    }
    let commands = || ["mine", "recipes"].map(|name| (name.to_owned(), OwnCommands::default()));
    view.own = view.nodes.iter().map(|node| (node.name.clone(), commands().into())).collect();
    view
}

/// Every mistake that a plan with this schedule is refused for.
fn refused(options: &NemesisOptions, view: &ClusterView, quiet_from: Duration) -> Vec<String> {
    let names: Vec<String> = view.names().map(str::to_owned).collect();
    let roles = ["peer".to_owned(), "client".to_owned()];
    let mistakes = [
        options.option_mistakes(),
        options.time_mistakes(Span(quiet_from)),
        options.process_mistakes(&["db".to_owned()]),
        options.mistakes(&names),
        options.role_mistakes(&roles),
        options.own_mistakes(RecipeFaults { has: &["recipes"], lacks: &[] }),
        options.excluded_mistakes(view),
        options.at_once_mistakes(names.len(), &[("mine".to_owned(), 1), ("recipes".to_owned(), 1)].into()),
        options.exact_mistakes(view),
    ];
    mistakes.concat().into_iter().map(|mistake| mistake.message).collect()
}

#[test]
fn whatever_began_can_be_planned_again() {
    let ms = Duration::from_millis;
    let quiet_from = ms(50_000);
    let mut seen = BTreeSet::new();
    for (kind, nodes) in kinds().into_iter().flat_map(|kind| (2..=6).map(move |nodes| (kind.clone(), nodes))) {
        let drawn: FaultOptions = serde_json::from_value(kind.clone()).expect("options");
        // As the stored plan has it.
        let stored = serde_json::to_value(&drawn).expect("written");
        assert_eq!(serde_json::from_value::<FaultOptions>(stored).expect("read"), drawn);
        let Ok(mut draws) = drawn.draws(nodes) else { continue };
        for seed in 0..20 {
            let fault = draws.draw(&mut Rng::new(seed, "again", 0));
            let planned = PlannedFault { id: 3, at: Span::seconds(40), lasts: Span::seconds(7), fault, entry: None };
            let view = if seed % 2 == 0 { whole(nodes, &["n2"]) } else { whole(nodes, &[]) };
            let Ok(bound) = resolve(&planned, &view) else { continue };
            seen.insert(kind.to_string());
            // In time; cut short; late, also so late that it begins when the quiet end does; failed after a late begin.
            for (at, lasts) in [(40_000, 7000), (40_010, 1), (49_999, 1), (50_003, 1), (48_000, 7000)] {
                let entry = measured(&planned, &bound, (ms(at), ms(lasts)), quiet_from);
                let read: ScheduledFault = serde_json::from_value(entry.compact()).expect("read");
                let again = NemesisOptions { schedule: vec![read], ..NemesisOptions::default() };
                assert_eq!(
                    refused(&again, &whole(nodes, &["n1"]), quiet_from),
                    [""; 0],
                    "{kind} on {nodes}: {entry:?}"
                );
                let shape =
                    ClusterShape { nodes, leads: true, quiet_end: ms(10_000), election: Duration::from_secs(2) };
                let plan = timetable(seed, &again, shape, ms(60_000));
                assert_eq!((plan.faults.len(), &plan.warnings), (1, &Vec::new()), "{kind}: {entry:?}");
                let other = resolve(&plan.faults[0], &whole(nodes, &["n1"])).expect("bound again");
                assert_eq!(BTreeSet::from_iter(&other.cut), BTreeSet::from_iter(&bound.cut), "{kind}: {entry:?}");
                // A cut by links names another side first.
                let same = other.nodes.iter().collect::<BTreeSet<_>>() == bound.nodes.iter().collect::<BTreeSet<_>>();
                assert!(same || bound.kind == "partition", "{kind}: {entry:?}");
            }
        }
    }
    assert_eq!(seen.len(), kinds().len(), "every kind is bound at least once");
}

#[test]
fn a_schedule_has_the_commands_of_its_custom_faults() {
    let defined = json!({"name": "x", "begin": "b", "prove": "p", "heal": "h", "healed": "d", "nodes": "n1"});
    let drawn: NemesisOptions =
        serde_json::from_value(json!({"faults": [{"own": defined}, {"own": {"name": "x", "nodes": "n2"}}]}))
            .expect("options");
    // Only the second began.
    let mut schedule: Vec<ScheduledFault> =
        serde_json::from_value(json!([{"id": "2", "at": "1s", "for": "3s", "own": {"name": "x", "nodes": "n2"}}]))
            .expect("read");
    let again =
        |schedule: &[ScheduledFault]| NemesisOptions { schedule: schedule.to_vec(), ..NemesisOptions::default() };
    assert!(again(&schedule).own_mistakes(RecipeFaults::default())[0].message.contains("no fault x"));
    drawn.define(&mut schedule);
    assert_eq!(again(&schedule).own_mistakes(RecipeFaults::default()), []);
    let written = schedule[0].compact();
    assert_eq!((&written["own"]["heal"], &written["own"]["nodes"]), (&json!("h"), &json!({"node": "n2"})), "{written}");
}
