//! Runs that kept every promise, and runs that prove nothing.
mod recoveries;

use super::*;
use crate::judge::{Rules, judge};
use crate::plan::{Clients, LoadPlan, PerKind, Plan};
use crate::store::PlannedFaults;
use crate::targets::TargetFacts;
use dsfuzz_checkers::Validity;
use dsfuzz_checkers::history::read_jsonl;
use serde_json::json;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;

/// A history: one call on each node every 100 ms of the load, Ok where `ok` says so at that time (in seconds).
struct HistoryBuilder {
    nodes: Vec<&'static str>,
    faults: Vec<serde_json::Value>,
    ok: fn(f64) -> bool,
}

impl HistoryBuilder {
    fn of(nodes: &[&'static str], ok: fn(f64) -> bool) -> HistoryBuilder {
        HistoryBuilder { nodes: nodes.to_vec(), faults: Vec::new(), ok }
    }

    /// A fault, proven from its begin to its heal (in seconds).
    fn fault(
        mut self,
        kind: &str,
        planned: &str,
        nodes: &[&str],
        cut: &[[&str; 2]],
        span: (f64, f64),
    ) -> HistoryBuilder {
        let id = self.faults.iter().filter(|event| event["step"] == "planned").count();
        let at = |seconds: f64| (seconds * 1e9) as u64;
        let event = |step: &str, time: u64| {
            json!({"type": "fault", "time": time, "fault": id, "kind": kind, "step": step,
                   "what": format!("{kind} {planned}"), "nodes": nodes, "cut": cut, "detail": []})
        };
        let (from, to) = (at(span.0), at(span.1));
        let steps = [("planned", 1), ("begun", from), ("proven", from + 1_000_000)];
        let ends = [("reproven", to - 1_000_000), ("heal-begun", to), ("healed", to + 1_000_000)];
        self.faults.extend(steps.into_iter().chain(ends).map(|(step, time)| event(step, time)));
        self
    }

    fn history(self) -> History {
        let mut events: Vec<(u64, serde_json::Value)> =
            self.faults.into_iter().map(|event| (event["time"].as_u64().expect("a time"), event)).collect();
        events.push((0, json!({"type": "phase", "phase": "load"})));
        events.push((30 * SECOND, json!({"type": "phase", "phase": "drain"})));
        events.push((31 * SECOND, json!({"type": "end"})));
        let (mut process, mut written) = (0, BTreeMap::new());
        for tick in 1..300_u64 {
            for node in &self.nodes {
                let time = tick * SECOND / 10;
                // Each node has its own key: a write, then a read of the last value.
                let ok = (self.ok)(time as f64 / 1e9);
                let (f, value) = if tick % 2 == 1 { ("write", json!(tick)) } else { ("read", json!(null)) };
                let call = json!({"type": "invoke", "worker": 0, "process": process, "node": node,
                                  "workload": "register", "f": f, "key": node, "value": value});
                let reply = if f == "read" && ok { json!(written.get(node)) } else { json!(null) };
                if f == "write" && ok {
                    written.insert(*node, tick);
                }
                let end = if ok { "ok" } else { "fail" };
                events.push((time, call));
                events.push((time + 1000, json!({"type": end, "process": process, "value": reply})));
                process += 1;
            }
        }
        events.sort_by_key(|(time, _)| *time);
        let start = json!({"type": "start", "index": 0, "time": 0, "version": 1, "nodes": self.nodes, "wall": "w"});
        let mut lines = vec![start.to_string()];
        for (index, (time, mut event)) in events.into_iter().enumerate() {
            event["index"] = json!(index + 1);
            event["time"] = json!(time + 1);
            lines.push(event.to_string());
        }
        read_jsonl(lines.join("\n").as_bytes()).expect("a sound history")
    }
}

fn rules(plan: &str, facts: &TargetFacts) -> Rules {
    let text = format!("name: p\ncluster: {{lab: 3}}\ntarget: etcd\n{plan}");
    Rules::of_plan(&Plan::from_yaml_str(&text).expect("a plan"), facts)
}

/// The plan's own options come first.
#[test]
fn a_workload_tells_its_checker_what_it_must_know() {
    let options = |check: &str| {
        let plan = format!("workload: {{bank: {{total: 60, negative_balances: true}}}}\n{check}");
        let rules = rules(&plan, &facts(false, 0));
        let (_, options) = rules.checkers.into_iter().find(|(name, _)| name == "bank").expect("the checker");
        serde_json::to_value(options.0).expect("options")
    };
    assert_eq!(options(""), json!({"total": 60, "negative_balances": true}));
    assert_eq!(options("check: [bank]"), json!({"total": 60, "negative_balances": true}));
    assert_eq!(options("check: [bank: {total: 61}]"), json!({"total": 61, "negative_balances": true}));
}

fn facts(leads: bool, election_ms: u64) -> TargetFacts {
    TargetFacts { leads, trusted_terms: leads, election_ms, ..TargetFacts::default() }
}

/// The names of the rows below their thresholds.
fn thin(story: HistoryBuilder, facts: TargetFacts, asked: &EvidencePlan) -> Vec<String> {
    let history = story.history();
    let kinds: std::collections::BTreeSet<String> = history.faults.iter().map(|fault| fault.kind.clone()).collect();
    let rules = Rules { kinds: kinds.into_iter().collect(), load: Some(LoadPlan::default()), ..Rules::default() };
    let info = RunInfo { facts, ..RunInfo::default() };
    let rows = weigh(&history, asked, &rules, &info);
    rows.into_iter().filter(|row| !row.enough).map(|row| row.name).collect()
}

const THREE: [&str; 3] = ["n1", "n2", "n3"];
const NONE: [String; 0] = [];

#[test]
fn a_kill_of_all_asks_for_calls_before_and_after_it() {
    let kill = |ok| HistoryBuilder::of(&THREE, ok).fault("kill", "all", &THREE, &[], (10.0, 16.0));
    let asked = EvidencePlan::default();
    assert_eq!(thin(kill(|at| !(10.0..16.0).contains(&at)), facts(true, 2000), &asked), NONE);
    // It never came back, so its data are unknown.
    assert_eq!(thin(kill(|at| at < 10.0), facts(true, 2000), &asked), ["ok_around_kill"]);
    // With a majority alive, silence is thin evidence.
    let minority = HistoryBuilder::of(&THREE, |at| !(10.0..16.0).contains(&at)).fault(
        "kill",
        "one: #1",
        &["n1"],
        &[],
        (10.0, 16.0),
    );
    assert_eq!(thin(minority, facts(false, 2000), &asked), ["ok_during_kill"]);
}

/// The shortfalls.
fn missing(story: HistoryBuilder, facts: TargetFacts, asked: &EvidencePlan) -> Vec<String> {
    let rules = Rules { load: Some(LoadPlan::default()), ..Rules::default() };
    let rows = weigh(&story.history(), asked, &rules, &RunInfo { facts, ..RunInfo::default() });
    assert!(rows.iter().all(|row| row.enough == row.shortfall.is_empty()), "{rows:?}");
    rows.into_iter().filter(|row| !row.enough).map(|row| row.shortfall).collect()
}

#[test]
fn what_is_missing_names_the_fault_the_node_and_what_to_change() {
    let kill = |ok| HistoryBuilder::of(&THREE, ok).fault("kill", "all", &THREE, &[], (10.0, 16.0));
    let asked = EvidencePlan::default();
    assert_eq!(
        missing(kill(|at| at < 10.0), facts(true, 2000), &asked),
        [
            "No call was Ok after the heal of fault 0 (kill all on n1 n2 n3), and the plan asks for 1 before and 1 after each \
          kill fault that leaves no majority or is over within an election (2s). Give the target more time after each \
          fault (`nemesis.every`), and after the last one (`nemesis.quiet_end`); or ask for none: `evidence: \
          {ok_during_fault_min: {kill: 0}}`."
        ]
    );
    assert!(missing(kill(|at| at > 16.0), facts(true, 2000), &asked)[0].starts_with("No call was Ok before fault 0"));
    let pause = |ok| {
        let story = HistoryBuilder::of(&THREE, ok).fault("pause", "leader: n1", &["n1"], &[], (2.0, 5.0));
        story.fault("pause", "leader: n2", &["n2"], &[], (10.0, 18.0))
    };
    assert_eq!(
        missing(pause(|at| !(10.0..18.0).contains(&at)), facts(true, 5000), &asked),
        [
            "no call was Ok during pause faults, which left a majority for longer than an election (5s), and the plan asks \
             for 10 (`evidence.ok_during_fault_min`); no call was Ok in fault 1 (pause leader: n2), which was in force for \
             7s 998ms. Make these faults longer (`nemesis.for`) or the load stronger (`load.rate`, `load.clients`); where \
             this target rightly serves no call in such a fault, ask for none: `evidence: {ok_during_fault_min: {pause: \
             0}}`.",
            "The leader changed 0 times, and the plan asks for 1 (`evidence.leader_changes_min`), since fault 1 (pause \
             leader: n2) was aimed at it. Make such faults longer than an election (5s; `nemesis.for`), or ask for none: \
             `evidence: {leader_changes_min: 0}`.",
        ]
    );
    let blink = HistoryBuilder::of(&THREE, |_| true).fault("pause", "one: n1", &["n1"], &[], (10.0, 10.4));
    let sentences = missing(blink, facts(false, 100), &asked);
    let part = "0 of 1 pause faults were proven to be in force for 500ms or longer, and the plan asks for 1 \
                (`evidence.proven_per_kind_min`); fault 0 (pause one: n1) was certainly in force for 398ms only.";
    assert!(sentences[0].starts_with(part), "{sentences:?}");
    let few = EvidencePlan { ok_min: 5000, ok_fraction_min: 0.99, ..EvidencePlan::default() };
    let sentences = missing(HistoryBuilder::of(&THREE, |at| at < 20.0), facts(false, 100), &few);
    let worst = "; worst on n1: 199 of 299 calls were Ok. ";
    assert!(
        sentences[0].starts_with("597 calls were Ok, and the plan asks for 5000 (`evidence.ok_min`)"),
        "{sentences:?}"
    );
    assert!(sentences.iter().all(|sentences| sentences.contains(worst)), "{sentences:?}");
    assert!(
        sentences[1].starts_with("A fraction of 0.666 of all calls was Ok, and the plan asks for 0.99"),
        "{sentences:?}"
    );
}

#[test]
fn a_fault_shorter_than_an_election_asks_for_nothing_during_it() {
    let pause = |election_ms| {
        let story = HistoryBuilder::of(&THREE, |at| !(10.0..18.0).contains(&at));
        let story = story.fault("pause", "leader", &["n1"], &[], (10.0, 18.0));
        thin(story, facts(true, election_ms), &EvidencePlan::default())
    };
    assert_eq!(pause(15_000), NONE);
    assert_eq!(pause(5000), ["ok_during_pause", "leader_changes"]);
}

#[test]
fn sides_without_a_majority_owe_nothing_and_others_do() {
    let four = ["n1", "n2", "n3", "n4"];
    let apart = |left: &[&'static str], right: &[&'static str]| -> Vec<[&'static str; 2]> {
        left.iter().flat_map(|one| right.iter().flat_map(move |other| [[*one, *other], [*other, *one]])).collect()
    };
    let cut = |cut: &[[&str; 2]]| {
        let story = HistoryBuilder::of(&four, |at| !(10.0..18.0).contains(&at));
        thin(
            story.fault("partition", "halves: #1 #2", &["n1"], cut, (10.0, 18.0)),
            facts(false, 2000),
            &EvidencePlan::default(),
        )
    };
    assert_eq!(cut(&apart(&["n1", "n2"], &["n3", "n4"])), NONE);
    assert_eq!(cut(&apart(&["n1"], &["n2", "n3", "n4"])), ["ok_during_partition"]);
    // A cut in one direction isolates no node.
    assert_eq!(cut(&[["n1", "n2"], ["n1", "n3"]]), ["ok_during_partition"]);
    // Of three nodes one is dead, and of the two others one does not hear.
    let deaf = HistoryBuilder::of(&THREE, |at| !(10.0..18.0).contains(&at))
        .fault("kill", "one: #2", &["n2"], &[], (10.0, 18.0))
        .fault("partition", "one-way: #3", &["n3"], &[["n1", "n3"], ["n2", "n3"]], (9.9, 18.1));
    assert_eq!(thin(deaf, facts(false, 2000), &EvidencePlan::default()), NONE);
}

#[test]
fn a_fault_beside_one_that_is_never_gone_has_no_time_after_it() {
    let mut story = HistoryBuilder::of(&THREE, |at| !(12.0..16.0).contains(&at))
        .fault("pause", "one: #1", &["n1"], &[], (10.0, 11.0))
        .fault("kill", "all", &THREE, &[], (12.0, 16.0));
    story.faults.retain(|event| event["fault"] != 0 || event["step"] != "healed");
    let sentences = missing(story, facts(true, 2000), &EvidencePlan::default());
    let part = "No call counts as Ok after the heal of fault 1 (kill all on n1 n2 n3), since fault 0 (pause one: #1 on n1) was \
                never verified to be gone";
    assert!(sentences.iter().any(|sentence| sentence.starts_with(part)), "{sentences:?}");
}

#[test]
fn thresholds_can_be_set_by_kind() {
    // A setting that refuses writes while a replica is away, such as WAIT 2, rightly makes no call Ok in a cut.
    let story = || {
        let story = HistoryBuilder::of(&THREE, |at| !(10.0..18.0).contains(&at) && !(20.0..26.0).contains(&at));
        let story = story.fault("pause", "one: #2", &["n2"], &[], (10.0, 18.0));
        story.fault("kill", "one: #2", &["n2"], &[], (20.0, 26.0))
    };
    let asked = |json| EvidencePlan { ok_during_fault_min: json, ..EvidencePlan::default() };
    let by_kind = |kinds: &[(&str, u64)]| {
        PerKind::ByKind(kinds.iter().map(|(kind, min)| ((*kind).to_owned(), *min)).collect::<BTreeMap<_, _>>())
    };
    assert_eq!(thin(story(), facts(false, 1000), &asked(by_kind(&[("pause", 0), ("kill", 0)]))), NONE);
    assert_eq!(thin(story(), facts(false, 1000), &asked(by_kind(&[("pause", 0)]))), ["ok_during_kill"]);
    assert_eq!(thin(story(), facts(false, 1000), &asked(PerKind::All(0))), NONE);
}

#[test]
fn under_half_a_second_in_force_is_no_evidence() {
    let blink = HistoryBuilder::of(&THREE, |_| true).fault("pause", "one: #1", &["n1"], &[], (10.0, 10.4));
    assert_eq!(thin(blink, facts(false, 100), &EvidencePlan::default()), ["proven_pause"]);
}

#[test]
fn where_nothing_fails_over_a_fault_at_the_leader_asks_for_nothing_during_it() {
    let kill = |node: &'static str, failover| {
        let mut story = HistoryBuilder::of(&THREE, |at| !(10.0..18.0).contains(&at));
        story.faults.push(json!({"type": "role", "time": 2, "sent_index": 1, "sent_time": 1, "node": "n1",
                                 "role": "primary", "source": "probe"}));
        let story = story.fault("kill", "leader", &[node], &[], (10.0, 18.0));
        thin(story, TargetFacts { failover, ..facts(true, 2000) }, &EvidencePlan::default())
    };
    assert_eq!(kill("n1", true), ["ok_during_kill", "leader_changes"]);
    assert_eq!(kill("n1", false), NONE);
    assert_eq!(kill("n2", false), ["ok_during_kill"], "the primary was there");
}

#[test]
fn leaders_must_move_only_where_a_role_leads() {
    let cut = |leads| {
        let story = HistoryBuilder::of(&THREE, |_| true);
        let cut = [["n1", "n2"], ["n2", "n1"], ["n1", "n3"], ["n3", "n1"]];
        thin(
            story.fault("partition", "isolate-leader: leader | others", &["n1"], &cut, (10.0, 18.0)),
            facts(leads, 2000),
            &EvidencePlan::default(),
        )
    };
    assert_eq!(cut(true), ["leader_changes"]);
    assert_eq!(cut(false), NONE);
    let clock = HistoryBuilder::of(&THREE, |_| true).fault("clock", "jump 1m leader", &["n1"], &[], (10.0, 18.0));
    assert_eq!(
        thin(clock, facts(true, 2000), &EvidencePlan::default()),
        NONE,
        "a shifted clock need not move a leader"
    );
}

#[test]
fn a_node_that_was_not_asked_is_thin() {
    let mut story = HistoryBuilder::of(&["n1", "n2"], |_| true).fault("pause", "one: #1", &["n1"], &[], (10.0, 18.0));
    story.nodes = vec!["n1", "n2"];
    let mut history = story.history();
    // A third node of the plan without a call.
    history.nodes.push("n3".into());
    let rules = Rules { load: Some(LoadPlan::default()), ..Rules::default() };
    let info = RunInfo { facts: facts(false, 2000), ..RunInfo::default() };
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
    let row = rows.iter().find(|row| row.name == "asked_during_pause").expect("a row");
    assert_eq!((row.measured, row.enough), (0.0, false));
    let part = "n3 was asked 0 calls a second in fault 0 (pause one: #1 on n1), and at least 1 a second are asked for";
    assert!(row.shortfall.starts_with(part), "{}", row.shortfall);
}

#[test]
fn a_node_without_a_client_of_the_plan_makes_a_run_unknown_unless_the_plan_means_it() {
    let story = HistoryBuilder::of(&["n1", "n2"], |_| true).fault("pause", "one: #1", &["n1"], &[], (10.0, 18.0));
    let mut history = story.history();
    history.nodes.push("n3".into());
    let load = LoadPlan { clients: Clients::Total(2), ..LoadPlan::default() };
    let rules = Rules {
        checkers: vec![("linearizable".into(), dsfuzz_checkers::Options::default())],
        evidence: Some(EvidencePlan { leader_changes_min: 0, nodes_asked_min: Some(2), ..EvidencePlan::default() }),
        load: Some(load),
        ..Rules::default()
    };
    let info = RunInfo { facts: facts(false, 2000), ..RunInfo::default() };
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
    let row = rows.iter().find(|row| row.name == "asked_during_pause").expect("a row");
    assert!(row.measured > 9.0 && row.enough, "{row:?}");
    assert!(row.doc.ends_with("; no client asks n3)"), "{}", row.doc);
    let verdict = judge(&history, &rules, &info);
    let expected = "never asked under load: n3 (load.clients is 2 for 3 nodes; 3 or more, such as 1n, asks every node)";
    assert!(verdict.notes.iter().any(|note| note == expected), "{:?}", verdict.notes);
    assert_eq!(verdict.validity, Validity::Valid, "the plan means it: {}", verdict.sentence);
    assert!(verdict.sentence.ends_with("; never asked under load: n3"), "{}", verdict.sentence);
    let all = EvidencePlan { leader_changes_min: 0, ..EvidencePlan::default() };
    let verdict = judge(&history, &Rules { evidence: Some(all), ..rules }, &info);
    let expected = "No client of the load asked n3 (load.clients is 2 for 3 nodes; 3 or more, such as 1n, asks every node), and \
                the plan does not say that this is meant: `evidence: {nodes_asked_min: 2}`.";
    assert_eq!((verdict.validity, verdict.sentence.as_str()), (Validity::Unknown, expected));
}

#[test]
fn the_share_of_the_rate_is_that_of_the_nodes_that_the_run_had() {
    // A named lab: the plan does not say its number of nodes.
    let text = "name: p\ncluster: {lab: mine}\ntarget: etcd\nworkload: register\nload: {rate: 12/s}\n";
    let rules = Rules::of_plan(&Plan::from_yaml_str(text).expect("a plan"), &facts(false, 2000));
    assert!((rules.asked_min(3) - 0.4).abs() < 1e-9, "{}", rules.asked_min(3));
}

#[test]
fn a_kind_that_the_plan_names_and_the_load_had_no_room_for_is_missed() {
    let rules = Rules { kinds: vec!["kill".into(), "pause".into()], ..Rules::default() };
    let rows =
        weigh(&HistoryBuilder::of(&THREE, |_| true).history(), &EvidencePlan::default(), &rules, &RunInfo::default());
    let missed: Vec<&str> = rows.iter().filter(|row| !row.enough).map(|row| row.name.as_str()).collect();
    assert_eq!(missed, ["proven_kill", "proven_pause"]);
    assert!(rows.iter().any(|row| row.shortfall.starts_with("No kill fault came, since the load had no room for one")));
}

#[test]
fn split_brain_is_a_default_only_where_there_are_leaders_or_cuts() {
    let names = |plan: &str, facts: &TargetFacts| {
        let rules = rules(plan, facts);
        let names: Vec<String> = rules.checkers.iter().map(|(name, _)| name.clone()).collect();
        (names, rules.not_asked().collect::<Vec<_>>(), rules.if_seen)
    };
    let has = |names: &[String]| names.iter().any(|name| name == "split-brain");
    let (asked, left_out, _) = names("workload: register", &facts(false, 1000));
    assert!(!has(&asked));
    assert_eq!(left_out, ["split-brain: not asked (no leader, no cut)"]);
    let (asked, left_out, _) = names("workload: register\ncheck: [split-brain]", &facts(false, 1000));
    assert!(has(&asked) && left_out.is_empty(), "named, it stays");
    let (asked, left_out, _) = names("workload: register\nnemesis: {faults: [partition]}", &facts(false, 1000));
    assert!(has(&asked) && left_out.is_empty(), "there are cuts");
    let (asked, _, if_seen) = names("workload: register", &TargetFacts { trusted_terms: false, ..facts(true, 1000) });
    assert!(has(&asked), "leaders may overlap");
    assert_eq!(if_seen, ["split-brain"]);
}

#[test]
fn where_several_nodes_lead_by_design_two_leaders_are_nothing_to_judge() {
    let shards = TargetFacts { several_leaders: true, trusted_terms: false, ..facts(true, 1000) };
    let of = |plan: &str| {
        let rules = rules(plan, &shards);
        let options = rules.checkers.iter().find(|(name, _)| name == "split-brain").map(|(_, options)| options.clone());
        (options.map(|options| options.0.get("several_leaders").cloned()), rules.not_asked().collect::<Vec<_>>())
    };
    let (options, left_out) = of("workload: register");
    assert_eq!(options, None);
    assert_eq!(left_out, ["split-brain: not asked (several nodes lead by design, no cut)"]);
    let told = Some(Some(dsfuzz_checkers::Value::Bool(true)));
    assert_eq!(of("workload: register\nnemesis: {faults: [partition]}"), (told.clone(), vec![]), "there are cuts");
    assert_eq!(of("workload: register\ncheck: [split-brain]"), (told, vec![]), "named, it stays");
}

#[test]
fn leaders_without_terms_and_no_cut_do_not_stop_a_pass() {
    let rules = rules("workload: register", &TargetFacts { trusted_terms: false, ..facts(true, 1000) });
    let verdict = judge(&HistoryBuilder::of(&THREE, |_| true).history(), &rules, &RunInfo::default());
    assert_eq!(verdict.validity, dsfuzz_checkers::Validity::Valid, "{}", verdict.sentence);
    assert_eq!(verdict.sentence, "897 calls kept every promise (linearizable); no fault was asked for");
    assert!(verdict.notes[0].starts_with("split-brain: nothing to judge"), "{:?}", verdict.notes);
    assert_eq!(verdict.promises.len(), 2, "what it found along the way stays");
}

#[test]
fn a_load_that_cannot_contradict_is_no_pass() {
    for (options, part) in [
        ("{mix: {read: 0, write: 1, cas: 0}}", "register: the mix has writes only"),
        ("{values: 1}", "register: one value only is written"),
    ] {
        let rules = rules(&format!("workload: {{register: {options}}}"), &facts(false, 1000));
        let verdict = judge(&HistoryBuilder::of(&THREE, |_| true).history(), &rules, &RunInfo::default());
        assert_eq!(verdict.validity, dsfuzz_checkers::Validity::Unknown, "{}", verdict.sentence);
        assert!(verdict.sentence.contains(part), "{}", verdict.sentence);
    }
}

#[test]
fn a_rate_that_was_not_reached_is_told() {
    let rules = rules("workload: register\nload: {rate: 200/s}", &facts(false, 1000));
    let verdict = judge(&HistoryBuilder::of(&THREE, |_| true).history(), &rules, &RunInfo::default());
    let note = verdict.notes.iter().find(|note| note.starts_with("rate: ")).expect("a note");
    assert!(note.starts_with("rate: asked 200/s, offered 30/s, ok 30/s"), "{note}");
    let row = verdict.evidence.iter().find(|row| row.name == "rate_offered").expect("a row");
    assert!((row.measured - 29.9).abs() < 0.2 && row.enough, "{row:?}");
}

#[test]
fn the_load_of_each_node_around_a_fault_is_kept() {
    let story =
        HistoryBuilder::of(&THREE, |at| !(10.0..16.0).contains(&at)).fault("kill", "all", &THREE, &[], (10.0, 16.0));
    let load = crate::judge::effective_fault::loads(&story.history());
    assert_eq!((load.len(), load[0].nodes.len()), (1, 3));
    for node in &load[0].nodes {
        assert!((9.5..10.5).contains(&node.before.ok) && (9.5..10.5).contains(&node.after.ok), "{node:?}");
        assert!((9.5..10.5).contains(&node.during.asked) && node.during.ok < 0.5, "{node:?}");
    }
}

#[test]
fn advice_fits_the_cause_for_which_a_kill_was_not_proven() {
    let kill = |change: fn(&mut Vec<serde_json::Value>)| {
        let mut story = HistoryBuilder::of(&THREE, |_| true).fault("kill", "one: n1", &["n1"], &[], (10.0, 16.0));
        change(&mut story.faults);
        missing(story, facts(false, 2000), &EvidencePlan::default()).join(" ")
    };
    fn of(faults: &mut Vec<serde_json::Value>, field: &str, value: serde_json::Value) {
        faults.retain(|event| !["proven", "reproven"].contains(&event["step"].as_str().unwrap_or_default()));
        faults[1][field] = value;
    }
    let dead = kill(|faults| of(faults, "problem", json!("not-running")));
    assert!(dead.contains("had ended before cannot be killed") && !dead.contains("Make faults longer"), "{dead}");
    let again = kill(|faults| of(faults, "problem", json!("runs-again")));
    assert!(again.contains("starts the process again at once") && !again.contains("Make faults longer"), "{again}");
    // Words are for people: a judge reads none of them.
    let lost = kill(|faults| of(faults, "detail", json!(["service db: it does not run, so there is nothing to kill"])));
    assert!(lost.contains("dsfuzz doctor PLAN") && !lost.contains("starts the process again"), "{lost}");
}

#[test]
fn a_load_that_waited_for_its_clients_says_so() {
    let row = |waited_ms| {
        let history = HistoryBuilder::of(&THREE, |_| true).history();
        let info = RunInfo { readiness: Some(Readiness { clients: 3, ready: 3, waited_ms }), ..RunInfo::default() };
        let rules = Rules { load: Some(LoadPlan::default()), ..Rules::default() };
        let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
        rows.into_iter().find(|row| row.name == "clients_ready_ms").map(|row| (row.measured, row.enough))
    };
    assert_eq!(row(7000), Some((7000.0, true)));
    assert_eq!(row(20), None);
}

#[test]
fn a_fault_that_never_came_is_explained_by_the_warning_that_names_it() {
    let rules = Rules { kinds: vec!["kill".into(), "pause".into(), "clock".into()], ..Rules::default() };
    let sentences = |fitted, warnings: &[&str]| {
        let warnings = warnings.iter().map(|warning| (*warning).to_owned()).collect();
        let planned = Some(PlannedFaults { kinds: rules.kinds.clone(), fitted, warnings, swarm: None });
        let info = RunInfo { planned, ..RunInfo::default() };
        let rows = weigh(&HistoryBuilder::of(&THREE, |_| true).history(), &EvidencePlan::default(), &rules, &info);
        let of =
            |name: &str| rows.iter().find(|row| row.name == name).map(|row| (row.doc.clone(), row.shortfall.clone()));
        (of("proven_kill").expect("a row"), of("proven_pause").expect("a row"))
    };
    let close = "a load of 30s holds one fault of each kind, but leaves less than an election (2s) between them";
    let clock = "clock cannot come: it needs a clock";
    let short = "pause, clock cannot come: a load of 30s has room for 1 of 3 faults";
    let (kill, pause) = sentences(1, &[close, clock, short]);
    assert!(kill.1.contains("since the load ended before its time") && !kill.1.contains("cannot come"), "{kill:?}");
    assert!(pause.1.ends_with(&format!("{short}.")), "{pause:?}");
    assert!(kill.0.ends_with("of 0 planned (the load had room for 1 fault)"), "{kill:?}");
    let (kill, _) = sentences(2, &[close]);
    assert!(kill.0.ends_with("(the load had room for 2 faults)") && !kill.1.contains("election"), "{kill:?}");
    let (kill, _) = sentences(0, &[]);
    assert!(kill.0.ends_with("(no room in the load)"), "{kill:?}");
}

#[test]
fn a_kind_that_the_swarm_did_not_draw_is_said_and_not_asked_for() {
    let plan = "workload: register\nnemesis: {swarm: true, faults: [{kill: {}}, {pause: {}}, {clock: {}}]}";
    let rules = rules(plan, &facts(true, 0));
    let swarm = dsfuzz_nemesis::SwarmDraw {
        drawn: vec![("kill".into(), 1)],
        not_drawn: vec!["pause".into(), "clock".into()],
        kinds_not_drawn: vec!["pause".into(), "clock".into()],
        ..dsfuzz_nemesis::SwarmDraw::default()
    };
    let planned =
        Some(PlannedFaults { kinds: rules.kinds.clone(), fitted: 1, swarm: Some(swarm), ..PlannedFaults::default() });
    let info = RunInfo { planned, ..RunInfo::default() };
    let history = HistoryBuilder::of(&THREE, |_| true).fault("kill", "one: #1", &["n1"], &[], (5.0, 11.0)).history();
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
    let row = rows.iter().find(|row| row.name == "swarm_kinds").expect("a row");
    assert!(row.measured == 1.0 && row.enough && row.doc.contains("not drawn: pause, clock"), "{row:?}");
    assert!(rows.iter().all(|row| row.name != "proven_pause" && row.name != "proven_clock"), "{rows:?}");
    // Without the swarm each of them is missing.
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &RunInfo::default());
    assert!(rows.iter().any(|row| row.name == "proven_pause" && !row.enough), "{rows:?}");
}

#[test]
fn custom_faults_are_counted_by_their_names() {
    let history = HistoryBuilder::of(&["n1", "n2", "n3"], |_| true)
        .fault("own: leave", "leave one: #1", &["n1"], &[], (5.0, 9.0))
        .history();
    let kinds = vec!["own: compact".to_owned(), "own: leave".to_owned()];
    let rules = Rules { kinds: kinds.clone(), ..Rules::default() };
    let info = RunInfo::default();
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    assert!(row("proven_own: leave").enough && row("healed_own: leave").enough);
    let never = row("proven_own: compact");
    assert!(!never.enough && never.shortfall.contains("own: compact"), "{never:?}");
    // Thresholds by the name, or for all custom faults.
    for (named, enough) in [("own: compact", true), ("own", true), ("kill", false)] {
        let min = PerKind::ByKind([(named.to_owned(), 0)].into());
        let asked = EvidencePlan { proven_per_kind_min: min, ..EvidencePlan::default() };
        let rows = weigh(&history, &asked, &rules, &info);
        let never = rows.iter().find(|row| row.name == "proven_own: compact").expect("a row");
        assert_eq!(never.enough, enough, "{named}");
    }
    let info = RunInfo { left_out: [("own".to_owned(), "n1: why".to_owned())].into(), ..info };
    let rows = weigh(&history, &EvidencePlan::default(), &rules, &info);
    let left_out = rows.iter().find(|row| row.name == "fault_kinds").expect("a row");
    assert_eq!((left_out.measured, left_out.at_least), (0.0, 2.0));
}

#[test]
fn a_fault_whose_injection_failed_on_some_nodes_names_each_of_them() {
    let unproven = |reasons: &[&str]| {
        let fault = Fault {
            kind: "power-loss".into(),
            what: "power-loss all: n1 n2 n3".into(),
            nodes: vec!["n1".into(), "n2".into(), "n3".into()],
            begun: Some(dsfuzz_checkers::history::Mark { index: 1, time: 1 }),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            ..Fault::default()
        };
        let mut history = History::default();
        history.faults = vec![fault];
        shortfall::proven(&history, "power-loss", &[], (1, 1))
    };
    let sentence = unproven(&[
        "n3: its clock was not read",
        "the injection failed: n2: service etcd: it does not run",
        "the injection failed: n3: no answer to inject within 5000 ms",
    ]);
    for part in ["n2: service etcd: it does not run", "n3: no answer to inject"] {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    assert!(unproven(&["n1: alive"]).contains("was never proven: n1: alive"));
}
