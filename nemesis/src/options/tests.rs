use super::*;
use crate::fault::Verification;
use crate::mistake::FaultMistake;
use serde_json::json;

fn said(mistakes: Vec<FaultMistake>) -> Vec<String> {
    mistakes.into_iter().map(|mistake| mistake.message).collect()
}

#[test]
fn names_in_listings_are_the_names_in_plans() {
    for doc in FAULTS {
        let fault: FaultOptions = serde_json::from_value(json!({doc.name: {}})).expect("every option has a default");
        assert_eq!(fault.facts(), doc);
        let drawn = fault.draws(5).expect("five nodes").draw(&mut Rng::new(1, "names", 0));
        assert_eq!(drawn.facts(), doc);
        assert!(drawn.describe().starts_with(doc.name), "{}", drawn.describe());
    }
}

#[test]
fn faults_are_verified_and_cut_as_their_facts_say() {
    for facts in FAULTS {
        let options: FaultOptions = serde_json::from_value(json!({facts.name: {}})).expect("defaults");
        let own = |node: u8| (format!("n{node}"), [(String::new(), crate::protocol::OwnCommands::default())].into());
        let view = ClusterView { own: (1..=5).map(own).collect(), ..ClusterView::of(5, &["n2"]) };
        let mut draws = options.draws(5).expect("five nodes");
        for seed in 0..20 {
            let fault = draws.draw(&mut Rng::new(seed, "facts", 0)).resolve(&view).expect("resolved");
            let by = match fault.verification {
                Verification::Links { .. } | Verification::Ports { .. } => VerifiedBy::Links,
                Verification::Packets { .. } => VerifiedBy::Packets,
                Verification::State => VerifiedBy::State,
            };
            assert_eq!((fault.kind, by), (facts.name, facts.verified_by));
            assert_eq!(!fault.cut.is_empty(), facts.leaves == Leaves::ConnectedNodes, "{fault:?}");
            let skews = fault.injections.iter().any(|(_, injection)| injection.facts().changes_clock);
            assert_eq!(skews, facts.samples_clocks, "{fault:?}");
        }
        assert_eq!(options.agent_paths() == AgentPaths::NotNeeded, facts.verified_by == VerifiedBy::State);
    }
}

#[test]
fn options_are_read_strictly_and_written_back() {
    let written = json!({
        "every": "10s", "for": "6s", "quiet_start": "5s", "quiet_end": null,
        "faults": [
            {"partition": {
                "shape": ["majority", "one-way", "bridge", "isolate-leader"], "how": "reject", "ports": ["peer", "raft"],
                "clients": false, "for": null
            }},
            {"kill": {
                "nodes": "minority", "for": null, "process": "db", "only": "children", "match": "worker [0-9]+",
                "signal": "term", "grace": "2s", "start": {"stagger": "1s", "order": "reverse"}
            }},
            {"pause": {
                "nodes": ["leader", {"node": "n3"}], "for": "5s", "process": null, "only": "first", "match": null
            }},
            {"restart": {
                "nodes": null, "for": "20s", "process": null, "every": "1s", "rolling": true, "signal": "term",
                "grace": "3s"
            }},
            {"clock": {"jump": "1m", "strobe": {"by": "10s", "period": "50ms"}, "drift": ["5%", "200ppm"], "freeze": true,
                "per_node": true, "nodes": "all", "for": null}}
        ]
    });
    let options: NemesisOptions = serde_json::from_value(written.clone()).expect("read");
    assert_eq!(serde_json::to_value(&options).expect("written"), written);
    assert_eq!(options.faults[2].lasts(), Some(Span::seconds(5)));
    for wrong in [
        json!({"kill": {"node": "one"}}),
        json!({"partition": {"shape": "thirds"}}),
        json!({"burn": {}}),
        json!({"kill": {"match": "("}}),
        json!({"kill": {"match": ""}}),
        json!({"pause": {"only": "last"}}),
        json!({"kill": {"signal": "stop"}}),
    ] {
        assert!(serde_json::from_value::<FaultOptions>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_name_that_no_node_has_is_a_mistake() {
    let options: NemesisOptions =
        serde_json::from_value(json!({"faults": [{"kill": {"nodes": "minorty"}}]})).expect("read");
    let mistakes = options.mistakes(&["n1".into(), "n2".into()]);
    let unknown = mistakes[0].unknown.as_ref().expect("an unknown name");
    assert!(unknown.written == "minorty" && unknown.known.contains(&"minority".to_owned()), "{unknown:?}");
    assert_eq!(
        said(mistakes),
        [
            "kill: nodes: minorty is neither a node (n1, n2) nor one of one, minority, majority, voters, learners, spare, quorum-loss, all, \
             leader, follower, followers, ex-leader"
        ]
    );
    assert!(options.mistakes(&["minorty".into()]).is_empty());
}

#[test]
fn mistakes_in_options_are_named() {
    let options: NemesisOptions = serde_json::from_value(json!({"faults": [
        {"kill": {"signal": "term", "grace": "6s"}}, {"kill": {"signal": "term", "for": "7s", "grace": "6s"}},
        {"pause": {"process": "patrony"}}, {"kill": {"grace": "1m"}},
        {"restart": {"every": "6s"}}, {"restart": {"every": "100ms"}}, {"restart": {"every": "10s", "rolling": true}}
    ]}))
    .expect("read");
    assert_eq!(
        said(options.option_mistakes()),
        [
            "kill: grace: 6s is not shorter than the duration 6s: the fault would end before it is in force",
            "restart: every: 6s is not shorter than the duration 6s: there would be one restart, which is a kill",
            "restart: every: 100ms is too short to start a process: at least 200ms",
        ]
    );
    let processes = ["etcd".to_owned(), "patroni".to_owned()];
    let wrong = "pause: process: patrony is no process of the recipe, which has etcd, patroni";
    assert_eq!(said(options.process_mistakes(&processes)), [wrong]);
}

#[test]
fn the_schema_names_every_fault() {
    let schema = serde_json::to_string(&schemars::schema_for!(NemesisOptions)).expect("a schema");
    for doc in FAULTS {
        assert!(schema.contains(&format!("\"{}\"", doc.name)), "{schema}");
    }
}

#[test]
fn values_that_stand_exactly_are_checked_as_those_of_options() {
    let mistakes = |options: serde_json::Value, from: &str, to: &str| {
        let options: FaultOptions = serde_json::from_value(options).expect("options");
        let fault = options.draws(3).expect("draws").draw(&mut Rng::new(1, "exactly", 0));
        let text = serde_json::to_string(&fault).expect("written");
        assert!(text.contains(from), "{text}");
        let exactly: serde_json::Value = serde_json::from_str(&text.replace(from, to)).expect("JSON");
        let schedule = json!({"schedule": [{"id": "a", "at": "1s", "for": "5s", "exactly": exactly}]});
        let nemesis: NemesisOptions = serde_json::from_value(schedule).expect("a schedule");
        let view = ClusterView { control_boot_id: "boot".into(), ..ClusterView::of(3, &["n2"]) };
        said(nemesis.exact_mistakes(&view))
    };
    let burn = json!({"cpu": {"nodes": "n1", "burn": 3}});
    assert_eq!(mistakes(burn.clone(), "\"burn\":3", "\"burn\":2"), [""; 0]);
    let zero = ["fault a: exactly: cpu: burn: 0 processes would change nothing"];
    assert_eq!(mistakes(burn, "\"burn\":3", "\"burn\":0"), zero);
    let files = json!({"descriptors": {"nodes": "one", "limit": 64}});
    let none = ["fault a: exactly: descriptors: limit: 0; 1 or more open files are possible"];
    assert_eq!(mistakes(files, "\"limit\":64", "\"limit\":0"), none);
    let strobe = json!({"clock": {"nodes": "n1", "strobe": {"by": "2s", "period": "100ms"}}});
    let wrong = mistakes(strobe, "\"period_ms\":100", "\"period_ms\":0");
    assert_eq!(wrong, ["fault a: exactly: clock: strobe: a period below 1ms"]);
}

#[test]
fn a_fault_says_what_is_beyond_a_node() {
    let options: NemesisOptions = serde_json::from_value(json!({"faults": [
        {"cpu": {"burn": [90, 100]}}, {"memory": {"limit": "64GB", "nodes": ["n1", "n2"]}},
        {"cpu": {"burn": [2, 100]}}, {"memory": {"limit": ["1MB", "64GB"], "oom": true}}, {"kill": {}}
    ]}))
    .expect("read");
    let size = NodeSize { cpus: Some(2), memory_bytes: Some(8 << 30) };
    let beyond = |node: &str| {
        let beyond = options.beyond(node, &size).into_iter().map(|(facts, need, _)| (facts.name, need));
        beyond.collect::<Vec<_>>()
    };
    let (cpu, memory) = (("cpu", "cpus"), ("memory", "memory-bytes"));
    assert_eq!(beyond("n1"), [cpu, cpu, memory]);
    assert_eq!(beyond("n3"), [cpu, cpu], "no fault of memory takes it");
    assert!(options.beyond("n1", &NodeSize { cpus: Some(64), memory_bytes: Some(1 << 50) }).is_empty());
}
