mod again;

use super::*;
use crate::fault::{BoundFault, ClusterView, PlannedFault, resolve};
use crate::mistake::FaultMistake;
use crate::options::NemesisOptions;
use crate::timetable::{ClusterShape, Timetable, timetable};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn options(schedule: Value) -> NemesisOptions {
    serde_json::from_value(json!({"schedule": schedule})).expect("options")
}

fn said(mistakes: Vec<FaultMistake>) -> Vec<String> {
    mistakes.into_iter().map(|mistake| mistake.message).collect()
}

fn error(entry: Value) -> String {
    serde_json::from_value::<ScheduledFault>(entry).expect_err("a mistake").to_string()
}

fn names(count: u8) -> Vec<String> {
    (1..=count).map(|number| format!("n{number}")).collect()
}

fn view(leaders: &[&str], former: &[&str]) -> ClusterView {
    let former_leaders = former.iter().map(|name| (*name).to_owned()).collect();
    ClusterView { former_leaders, exact: true, ..ClusterView::of(5, leaders) }
}

fn plan(schedule: Value, seed: u64) -> Timetable {
    let shape =
        ClusterShape { nodes: 5, leads: true, quiet_end: Duration::from_secs(10), election: Duration::from_secs(2) };
    timetable(seed, &options(schedule), shape, Duration::from_secs(60))
}

/// The schedule of the documentation.
fn example() -> Value {
    json!([
        {"id": "a", "at": "5s 400ms", "for": "6s", "kill": {"nodes": ["n3", "n2"], "for": null}},
        {"id": "b", "when": {"role": "leader", "nth": 2}, "wait": "30ms", "for": "2s", "unless_by": "20s",
         "partition": {"shape": ["halves", "majority", "one-way", "bridge", "ring", "isolate-one", "isolate-leader",
                                 "leader-minority"], "cut": ["leader", "others"], "for": null}},
        {"id": "c", "when": {"log": "compaction", "node": "ex-leader"}, "for": "800ms",
         "pause": {"nodes": "ex-leader", "for": null}},
        {"id": "d", "when": {"fault": "b", "step": "proven"}, "wait": "100ms..300ms",
         "kill": {"nodes": {"same_as": "b.leader"}, "for": null}},
        {"id": "e", "when": {"ok": 500}, "for": "1s", "partition": {"shape": ["halves", "majority", "one-way", "bridge",
            "ring", "isolate-one", "isolate-leader", "leader-minority"],
            "cut": {"from": {"node": "n1"}, "to": [{"node": "n2"}, {"node": "n3"}]}, "for": null}},
    ])
}

#[test]
fn a_schedule_is_read_and_written_back() {
    let schedule: Vec<ScheduledFault> = serde_json::from_value(example()).expect("a schedule");
    let written = serde_json::to_value(&schedule).expect("written");
    assert_eq!(serde_json::from_value::<Vec<ScheduledFault>>(written.clone()).expect("read again"), schedule);
    for key in ["id", "when", "wait", "for"] {
        assert_eq!(written[3].get(key), example()[3].get(key), "{key}");
    }
    assert_eq!(written[3]["kill"]["nodes"], example()[3]["kill"]["nodes"]);
    assert_eq!(said(options(example()).mistakes(&names(5))), [""; 0]);
    assert_eq!(said(options(example()).time_mistakes(Span::seconds(50))), [""; 0]);
}

#[test]
fn mistakes_of_an_entry_say_what_to_do() {
    for (entry, words) in [
        (json!({"id": "a", "kill": {}}), "fault a has no begin: give it `at` or `when`"),
        (json!({"id": "a", "at": "1s", "when": {"ok": 1}, "kill": {}}), "has both `at` and `when`"),
        (json!({"id": "a", "at": "1s"}), "entry a has no fault: name one, such as `kill: {}`"),
        (json!({"id": "a", "at": "1s", "kill": {}, "pause": {}}), "has several faults (kill and pause)"),
        (json!({"id": "a", "at": "1s", "kil": {}}), "unknown field `kil`"),
        (json!({"at": "1s", "kill": {}}), "missing field `id`"),
        (json!({"id": "a", "when": {"ok": 1, "log": "x"}, "kill": {}}), "a trigger is one of"),
        (json!({"id": "a", "when": {"fault": "b", "nth": 2}, "kill": {}}), "`nth` belongs to"),
        (json!({"id": "a", "when": {"log": "x", "step": "proven"}, "kill": {}}), "`step` belongs to"),
        (json!({"id": "a", "when": {"role": "leader", "nth": 0}, "kill": {}}), "counts from 1"),
        (json!({"id": "a", "when": {"ok": 0}, "kill": {}}), "`ok` counts from 1"),
        (json!({"id": "a", "when": {"log": ""}, "kill": {}}), "is found in every line"),
        (json!({"id": "a", "at": "1s", "wait": "3s..1s", "kill": {}}), "write 1s..3s"),
        (json!({"id": "a", "at": "1s", "partition": {"cut": ["leader"]}}), "two sides or more"),
        (json!({"id": "a", "at": "1s", "partition": {"cut": ["others", "others"]}}), "`others` stands there twice"),
        (
            json!({"id": "a", "at": "1s", "kill": {"nodes": {"same_as": "b.king"}}}),
            "unknown variant `king`, expected one of `nodes`, `others`",
        ),
    ] {
        let said = error(entry.clone());
        assert!(said.contains(words), "{entry}: {said}");
    }
}

#[test]
fn mistakes_of_a_schedule_name_the_entry() {
    let entry = |id: &str, rest: Value| {
        let mut entry = json!({"id": id, "kill": {}});
        let map = entry.as_object_mut().expect("a map");
        map.extend(rest.as_object().expect("a map").clone());
        entry
    };
    for (schedule, words) in [
        (
            json!([entry("a", json!({"at": "1s"})), entry("a", json!({"at": "2s"}))]),
            "fault a: id: another entry has the id a too",
        ),
        (json!([entry("a b", json!({"at": "1s"}))]), "letters, digits"),
        (json!([entry("a", json!({"when": {"fault": "z"}}))]), "no fault of the schedule is called z (a)"),
        (json!([entry("a", json!({"when": {"fault": "a"}}))]), "fault a: when: fault: it waits for itself"),
        (
            json!([entry("a", json!({"when": {"fault": "b"}})), entry("b", json!({"when": {"fault": "a"}}))]),
            "neither would come",
        ),
        (json!([entry("a", json!({"at": "1s", "unless_by": "3s"}))]), "belongs to a trigger"),
        (json!([entry("a", json!({"at": "1s", "kill": {"nodes": "n9"}}))]), "n9 is neither a node"),
        (json!([entry("a", json!({"at": "1s", "kill": {"nodes": {"same_as": "x"}}}))]), "called x (a)"),
        (json!([entry("a", json!({"at": "1s", "kill": {"nodes": ["n1", "one"]}}))]), "one is drawn: write it alone"),
        (json!([entry("a", json!({"at": "1s", "for": "1s", "kill": {"for": "2s"}}))]), "two durations, 1s and 2s"),
        (json!([entry("a", json!({"when": {"log": "x", "node": "minority"}}))]), "node: minority: name nodes, leader"),
        (
            json!([entry("a", json!({"when": {"log": "x", "node": "n9"}}))]),
            "fault a: when: node: n9 is not a node (n1, n2, n3)",
        ),
        (
            json!([entry("p", json!({"at": "1s"})), entry("b", json!({"at": "2s", "kill": {"nodes": "p.leader"}}))]),
            "the nodes of a fault are {same_as: p.leader}",
        ),
        (json!([entry("a", json!({"at": "1s", "kill": {"nodes": {"same_as": "a"}}}))]), "cannot take its own nodes"),
        (
            json!([
                entry("a", json!({"at": "2s", "kill": {"nodes": {"same_as": "b"}}})),
                entry("b", json!({"at": "2s"}))
            ]),
            "fault b does not begin before this one",
        ),
        (
            json!([
                entry("a", json!({"when": {"ok": 5}, "kill": {"nodes": {"same_as": "b.leader"}}})),
                entry("b", json!({"when": {"fault": "a"}}))
            ]),
            "fault b does not begin before this one",
        ),
        (
            json!([
                entry("a", json!({"at": "1s"})),
                entry("b", json!({"at": "9s", "kill": {"nodes": {"same_as": "a.trigger"}}}))
            ]),
            "fault a is not begun by a role or a log line",
        ),
        (json!([{"id": "a", "at": "1s", "partition": {"cut": ["n1", "n1"]}}]), "a: partition: cut: n1 is on two sides"),
        (
            json!([{"id": "a", "at": "1s", "partition": {"cut": [["n1", "n2"], ["n2", "n3"]]}}]),
            "cut: n2 is on two sides",
        ),
        (json!([{"id": "a", "at": "1s", "partition": {"cut": ["leader", "leader"]}}]), "cut: leader is on two sides"),
        (json!([{"id": "a", "at": "1s", "partition": {"cut": ["all", "n1"]}}]), "leaves none to the others"),
        (
            json!([{"id": "a", "at": "1s", "partition": {"cut": [["n1", "n2"], "n3", "others"]}}]),
            "others: no node is left",
        ),
        (
            json!([{"id": "a", "at": "1s", "partition": {"cut": {"from": "n1", "to": "n1"}}}]),
            "n1 stands in from and in to",
        ),
        (
            json!([{"id": "a", "at": "1s", "partition": {"cut": {"from": "n1", "to": ["n2", {"nodes": ["n3", "n1"]}]}}}]),
            "n1 stands in from and in to",
        ),
        (json!([{"id": "a", "at": "1s", "power-loss": {"torn": 200}}]), "fault a: power-loss: torn: 200"),
    ] {
        let said = said(options(schedule).mistakes(&names(3)));
        assert!(said.iter().any(|sentence| sentence.contains(words)), "{words}: {said:?}");
    }
}

#[test]
fn a_fault_that_cannot_come_in_time_is_a_mistake() {
    let said = |schedule: Value| said(options(schedule).time_mistakes(Span::seconds(50)));
    for (schedule, words) in [
        (json!([{"id": "a", "at": "45s", "kill": {}}]), "fault a cannot come: it would end at 51s"),
        (json!([{"id": "a", "at": "40s", "wait": "0s..5s", "kill": {}}]), "it would end at 51s"),
        (json!([{"id": "a", "when": {"ok": 1}, "for": "51s", "kill": {}}]), "before it would end at 51s"),
        (
            json!([{"id": "a", "at": "30s", "for": "9s", "kill": {}},
                   {"id": "b", "when": {"fault": "a", "step": "healed"}, "wait": "6s", "kill": {}}]),
            "fault b cannot come: its trigger cannot come before it would end at 51s",
        ),
        (
            json!([{"id": "a", "at": "20s", "kill": {}}, {"id": "b", "when": {"fault": "a"}, "unless_by": "19s", "kill": {}}]),
            "fault b cannot come: unless_by: its trigger (fault a proven) counts until 19s of the load, and cannot come before 20s",
        ),
        (json!([{"id": "a", "when": {"role": "leader"}, "unless_by": "0s", "kill": {}}]), "make `unless_by` later"),
    ] {
        let said = said(schedule.clone());
        assert!(said.len() == 1 && said[0].contains(words), "{schedule}: {said:?}");
    }
    assert_eq!(said(json!([{"id": "a", "at": "44s", "kill": {}}])), [""; 0]);
}

#[test]
fn each_entry_draws_from_a_stream_of_its_own() {
    let entries = |wait: &str| {
        json!([
            {"id": "a", "at": "5s", "wait": wait, "kill": {"nodes": "minority"}},
            {"id": "b", "at": "6s", "wait": "0s..3s", "pause": {"nodes": "majority"}}
        ])
    };
    let mut waits = BTreeSet::new();
    for seed in 0..50 {
        let plan = |wait| plan(entries(wait), seed);
        assert_eq!(plan("0s..2s"), plan("0s..2s"), "seed {seed}");
        assert_eq!(plan("0s..2s").faults[1], plan("1s").faults[1], "another entry changes nothing");
        assert!(plan("0s..2s").overlapping);
        let at = plan("0s..2s").faults[0].at.0.as_millis();
        assert!((5000..=7000).contains(&at), "{at}");
        waits.insert(at);
    }
    assert!(waits.len() > 40, "{waits:?}");
}

#[test]
fn a_schedule_means_the_same_in_every_version() {
    let schedule = json!([
        {"id": "a", "at": "5s", "wait": "0s..2s", "for": "3s", "kill": {"nodes": "minority"}},
        {"id": "b", "when": {"role": "leader"}, "wait": "10ms..90ms", "for": "2s", "partition": {"shape": "halves"}}
    ]);
    let words = |fault: &PlannedFault| format!("{} {} {}", fault.at, fault.lasts, fault.describe());
    let words: Vec<String> = plan(schedule, 7).faults.iter().map(words).collect();
    assert_eq!(words, PINNED);
}

const PINNED: [&str; 2] = ["6s 584ms 3s kill minority: #5 #2", "86ms 2s partition halves: #2 #5 | others"];

#[test]
fn a_fault_that_would_not_end_in_the_load_cannot_come() {
    let plan =
        plan(json!([{"id": "late", "at": "48s", "for": "3s", "kill": {}}, {"id": "b", "at": "1s", "kill": {}}]), 1);
    assert_eq!((plan.faults.len(), plan.warnings.len()), (1, 1));
    assert!(plan.warnings[0].starts_with("fault late cannot come: it would end at 51s"), "{:?}", plan.warnings);
    assert_eq!(plan.faults[0].id, 2, "its number is its place in the plan");
}

#[test]
fn no_node_stands_in_for_an_unknown_one() {
    let plan = plan(
        json!([
            {"id": "a", "at": "1s", "kill": {"nodes": "leader"}}, {"id": "b", "at": "1s", "pause": {"nodes": "followers"}},
            {"id": "c", "at": "1s", "kill": {"nodes": "ex-leader"}},
            {"id": "d", "at": "1s", "partition": {"cut": ["leader", "others"]}},
            {"id": "e", "at": "1s", "kill": {"nodes": {"same_as": "a.leader"}}},
            {"id": "f", "at": "1s", "kill": {"nodes": ["leader", "n5"]}}
        ]),
        1,
    );
    for fault in &plan.faults {
        assert!(resolve(fault, &view(&[], &[])).is_err(), "{fault:?}");
    }
    let mut known = view(&["n2"], &["n4"]);
    let leaders = vec!["n3".to_owned()];
    known.bound.insert("a".to_owned(), BoundFault { leaders, ..BoundFault::default() });
    let nodes: Vec<Vec<String>> =
        plan.faults.iter().map(|fault| resolve(fault, &known).expect("resolved").nodes).collect();
    let expected: [&[&str]; 6] = [&["n2"], &["n1", "n3", "n4", "n5"], &["n4"], &["n2"], &["n3"], &["n2", "n5"]];
    assert_eq!(nodes, expected);
}

#[test]
fn cuts_are_bound_to_sides_and_links() {
    let cut = |cut: Value| {
        let plan = plan(json!([{"id": "a", "at": "1s", "partition": {"cut": cut}}]), 1);
        resolve(&plan.faults[0], &view(&["n2"], &["n4"]))
    };
    let links = |value: Value| {
        let fault = cut(value).expect("resolved");
        let links: Vec<String> = fault.cut.iter().map(|(from, to)| format!("{from}{to}")).collect();
        (fault.what, links.join(" "))
    };
    let (what, both) = links(json!(["leader", ["n1", "n5"]]));
    assert_eq!((what.as_str(), both.as_str()), ("partition cut: n2 | n1 n5", "n1n2 n2n1 n2n5 n5n2"));
    assert_eq!(links(json!(["leader", "ex-leader", "others"])).1.split(' ').count(), 2 * (1 + 3 + 3));
    assert_eq!(links(json!({"from": "leader", "to": "others"})).1, "n2n1 n2n3 n2n4 n2n5");
    assert_eq!(links(json!([{"from": "n1", "to": "n2"}, {"from": "n3", "to": ["n1", "n2"]}])).1, "n1n2 n3n1 n3n2");
    let twice = cut(json!(["leader", "n2"])).expect_err("the leader is n2");
    assert!(twice.to_string().contains("an earlier side of the cut has these nodes"), "{twice}");
}

/// A drawn timetable, its schedule, and the timetable of that: the same faults on the same nodes and links.
#[test]
fn drawn_faults_stand_in_a_schedule_as_they_were_drawn() {
    let faults = json!([
        {"partition": {}}, {"kill": {"nodes": ["one", "minority", "majority", "all", "leader", "follower", "followers", "n3"]}},
        {"pause": {"nodes": ["minority", "ex-leader"]}}, {"clock": {"jump": ["1s", "60s"], "strobe": {}}}
    ]);
    let shape =
        ClusterShape { nodes: 5, leads: true, quiet_end: Duration::from_secs(10), election: Duration::from_secs(2) };
    let load = Duration::from_secs(300);
    for seed in 0..60 {
        let drawn: NemesisOptions = serde_json::from_value(json!({"faults": faults})).expect("options");
        let drawn = timetable(seed, &drawn, shape, load);
        let schedule = as_schedule(&drawn, &names(5));
        let written = serde_json::to_value(&schedule).expect("written");
        let read: Vec<ScheduledFault> = serde_json::from_value(written).expect("read");
        let read = NemesisOptions { schedule: read, ..NemesisOptions::default() };
        assert_eq!(said(read.mistakes(&names(5))), [""; 0]);
        let again = read;
        let again = timetable(seed + 1000, &again, shape, load);
        assert_eq!(drawn.faults.len(), again.faults.len(), "{:?}", again.warnings);
        let known = view(&["n2"], &["n4"]);
        for (drawn, again) in drawn.faults.iter().zip(&again.faults) {
            assert_eq!((drawn.at, drawn.lasts), (again.at, again.lasts));
            let (one, other) = (resolve(drawn, &known).expect("bound"), resolve(again, &known).expect("bound"));
            assert_eq!((&one.cut, &one.injections), (&other.cut, &other.injections), "{drawn:?}");
            // A cut by links or around a bridge names another side first.
            assert!(one.kind == "partition" || one.nodes == other.nodes, "{drawn:?}: {other:?}");
            let measured = measured(drawn, &one, (drawn.at.0, drawn.lasts.0), drawn.at.0 + drawn.lasts.0);
            assert!(matches!(measured.begin, Begin::At(at) if at == drawn.at));
            let bound = NemesisOptions { schedule: vec![measured], ..NemesisOptions::default() };
            let bound = timetable(seed, &bound, shape, load);
            // Bound to names: another leader changes nothing.
            let other = resolve(&bound.faults[0], &view(&["n1"], &["n3"])).expect("bound");
            assert_eq!(one.injections, other.injections, "{drawn:?}");
            assert_eq!(BTreeSet::from_iter(one.cut), BTreeSet::from_iter(other.cut));
        }
    }
}

#[test]
fn in_a_schedule_a_list_of_nodes_means_all_of_them() {
    for facts in crate::options::FAULTS {
        let all: FaultOptions = serde_json::from_value(json!({facts.name: {}})).expect("defaults");
        let written = serde_json::to_value(&all).expect("written");
        if written[facts.name].get("nodes").is_some() {
            let plan = plan(json!([{"id": "a", "at": "1s", facts.name: {"nodes": ["n1", "n4"]}}]), 1);
            let own = |node: String| (node, [(String::new(), crate::protocol::OwnCommands::default())].into());
            let view = ClusterView { own: names(5).into_iter().map(own).collect(), ..view(&["n2"], &[]) };
            let fault = resolve(&plan.faults[0], &view).expect("bound");
            assert_eq!(fault.nodes, ["n1", "n4"], "{}: implement FaultDefinition::together", facts.name);
        }
    }
}
