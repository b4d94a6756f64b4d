//! Checkers that judge the run as a whole: split brain, availability, evidence; and the list of checkers.
use crate::run_level::availability::Availability;
use crate::run_level::split_brain::SplitBrain;
use crate::testing::history;
use crate::verdict::{Budget, Checker, Severity, Validity, Verdict};
use crate::{CHECKERS, History, Options, Value, checker, checker_with, evidence, judge_one, shard_leader_changes};

/// The checker of this name with one option.
fn with_option(name: &str, option: &str, value: Value) -> Box<dyn Checker> {
    checker_with(name, &Options([(option.to_owned(), value)].into())).expect("it takes the option")
}

fn split_brain(lines: &str) -> Verdict {
    SplitBrain::default().check(&history(lines), &Budget::unlimited())
}

/// A cut between n1 and the others, with a write to `key` on n1 and one to key 1 on n2 meanwhile.
fn cut(links: &str, key: u32, before: bool) -> String {
    let early = format!("0 write {key} 1 ...");
    let (first, later) = if before { (early.as_str(), "") } else { ("", early.as_str()) };
    format!(
        r#"
        {{"type":"start","nodes":["n1","n2","n3"]}}
        {{"type":"fault","fault":7,"kind":"partition","step":"begun","what":"n1 | n2 n3","cut":{links}}}
        {first}
        {{"type":"fault","fault":7,"kind":"partition","step":"proven"}}
        {later}
        n2: 1 write 1 2 ...
        0 -> ok
        1 -> ok
        {{"type":"fault","fault":7,"kind":"partition","step":"reproven"}}
        {{"type":"fault","fault":7,"kind":"partition","step":"healed"}}
        "#
    )
}

const BOTH_WAYS: &str = r#"[["n1","n2"],["n2","n1"],["n1","n3"],["n3","n1"]]"#;
const ONE_WAY: &str = r#"[["n1","n2"],["n1","n3"]]"#;
const BRIDGE: &str = r#"[["n1","n2"],["n2","n1"]]"#;

#[test]
fn both_sides_of_a_cut_acknowledging_writes_to_one_key_is_a_violation() {
    let verdict = split_brain(&cut(BOTH_WAYS, 1, false));
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("both-sides-acknowledged", &[3, 4][..]));
    assert_eq!(finding.faults, [7]);
    let lenient = with_option("split-brain", "sides", Value::text("evidence"));
    let verdict = lenient.check(&history(&cut(BOTH_WAYS, 1, false)), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Valid);
}

#[test]
fn what_proves_no_split_is_no_violation() {
    let other_key = split_brain(&cut(BOTH_WAYS, 2, false));
    assert_eq!(other_key.validity, Validity::Valid);
    assert_eq!(other_key.findings[0].kind, "both-sides-acknowledged-different-keys");
    assert_eq!(split_brain(&cut(BOTH_WAYS, 1, true)).validity, Validity::Valid, "called before the proof");
    assert_eq!(split_brain(&cut(ONE_WAY, 1, false)).validity, Validity::Unknown, "one direction is no cut");
    assert_eq!(split_brain(&cut(BRIDGE, 1, false)).validity, Validity::Unknown, "n3 joins the sides");
    let lapsed = cut(BOTH_WAYS, 1, false).replace("reproven", "lapsed");
    assert_eq!(split_brain(&lapsed).validity, Validity::Unknown, "not shown to have lasted");
}

#[test]
fn a_cut_that_a_node_undid_before_the_last_proof_was_not_certainly_in_force() {
    let undone = |ended: &str| {
        let event = format!(
            "{{\"type\":\"fault\",\"fault\":7,\"kind\":\"partition\",\"step\":\"self-healed\",\"nodes\":[\"n1\"],\"ended\":{ended}}}"
        );
        let lines = cut(BOTH_WAYS, 1, false).replace("\"cut\":", "\"nodes\":[\"n1\",\"n2\"],\"cut\":");
        let healed =
            lines.find("{\"type\":\"fault\",\"fault\":7,\"kind\":\"partition\",\"step\":\"healed\"").expect("healed");
        format!("{}{event}\n{event}\n{}", &lines[..healed], &lines[healed..])
    };
    assert_eq!(split_brain(&undone("[3000000,4000000]")).validity, Validity::Unknown, "before the last proof");
    let after = history(&undone("[900000000,901000000]"));
    assert_eq!(SplitBrain::default().check(&after, &Budget::unlimited()).validity, Validity::Invalid, "after it");
    assert_eq!(after.faults[0].nodes, ["n1", "n2"], "the nodes it was aimed at");
}

#[test]
fn a_fault_that_lapsed_does_not_count_as_one_that_landed() {
    let lapsed = evidence(&history(&FAULTY.replace("reproven", "lapsed")));
    let kill = &lapsed.kinds["kill"];
    assert_eq!((kill.begun, kill.proven, kill.unproven, kill.ok_during), (1, 0, 1, 0));
}

#[test]
fn one_nodes_own_heal_does_not_heal_a_fault_whose_heal_failed() {
    let lines = FAULTY.replace("\"step\":\"healed\"", "\"step\":\"unhealed\"").replace(
        "{\"type\":\"end\"}",
        "{\"type\":\"fault\",\"fault\":0,\"kind\":\"kill\",\"step\":\"self-healed\",\"nodes\":[\"n1\"],\"ended\":[1,2],\"time\":6000000000}",
    );
    let history = history(&lines);
    assert_eq!(evidence(&history).kinds["kill"].healed, 0);
    assert_eq!(history.faults[0].possible().map(|(_, end)| end), Some(u64::MAX));
}

#[test]
fn two_leaders_of_one_trustworthy_term() {
    let two = r#"
        {"type":"role","node":"n1","term":4,"term_with_role":true}
        {"type":"role","node":"n2","term":4,"term_with_role":true}
        "#;
    let verdict = split_brain(two);
    assert_eq!(verdict.validity, Validity::Invalid);
    assert_eq!((verdict.findings[0].kind.as_str(), verdict.findings[0].nodes.len()), ("two-leaders-in-one-term", 2));
    let logged = two.replace("\"term_with_role\":true", "\"source\":\"log\"");
    assert_eq!(split_brain(&logged).validity, Validity::Invalid);
    let doubtful = two.replace("\"term_with_role\":true", "\"term_with_role\":false");
    assert_eq!(split_brain(&doubtful).validity, Validity::Unknown);
    let later = two.replacen("4", "5", 1);
    assert_eq!(split_brain(&later).validity, Validity::Valid);
}

#[test]
fn overlapping_leaders_are_evidence_joined_to_writes() {
    let lines = r#"
        {"type":"start","nodes":["n1","n2"]}
        {"type":"role","node":"n1","term":4,"term_with_role":true}
        {"type":"role","node":"n2","term":5,"term_with_role":true}
        0 write 1 1 -> ok
        {"type":"role","node":"n1","term":4,"term_with_role":true}
        {"type":"role","node":"n2","term":5,"term_with_role":true}
        "#;
    let verdict = split_brain(lines);
    assert_eq!(verdict.validity, Validity::Valid);
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), finding.severity), ("overlapping-leaders", Severity::Evidence));
    assert_eq!(finding.ops, [3]);
    assert_eq!(verdict.numbers["leader_overlap_ms"], 3);
    let stepped_down = lines.replace("1 -> ok", "1 ...\n{\"type\":\"role\",\"node\":\"n1\",\"role\":\"follower\"}");
    assert!(split_brain(&stepped_down).findings.is_empty(), "a claim of another role ends the stretch");
}

#[test]
fn where_several_nodes_lead_by_design_leaders_are_not_compared_and_changes_are_those_of_a_node() {
    let role = |node: &str, role: &str| {
        format!("{{\"type\":\"role\",\"node\":\"{node}\",\"role\":\"{role}\",\"term\":4,\"term_with_role\":true}}\n")
    };
    let both = [role("n1", "leader"), role("n2", "leader"), role("n1", "leader"), role("n2", "leader")].concat();
    let shards = with_option("split-brain", "several_leaders", Value::Bool(true));
    let verdict = shards.check(&history(&both), &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Unknown, 0), "{}", verdict.summary);
    assert_eq!(split_brain(&both).validity, Validity::Invalid, "the same claims of one group of replicas");
    let conflict = shards.check(&history(&cut(BOTH_WAYS, 1, false)), &Budget::unlimited());
    assert_eq!(conflict.validity, Validity::Invalid, "writes of one key on both sides contradict in shards, too");
    let changes = |lines: &str| shard_leader_changes(&history(lines));
    assert_eq!(changes(&both), 0);
    assert_eq!(changes(&[both.clone(), role("n1", "follower")].concat()), 1, "n2 may lead its shard, too");
    let moved = [both.clone(), role("n3", "follower"), role("n1", "follower"), role("n3", "leader")].concat();
    assert_eq!(changes(&moved), 1, "one ceased and one began");
    assert_eq!(changes(&[moved, role("n1", "leader")].concat()), 2);
}

const FAULTY: &str = r#"
    {"type":"start","nodes":["n1","n2"]}
    {"type":"phase","phase":"load"}
    0 write 1 1 -> ok
    {"type":"fault","fault":0,"kind":"kill","step":"planned","what":"kill one","time":1000000000}
    {"type":"fault","fault":0,"kind":"kill","step":"begun","what":"kill n1"}
    {"type":"fault","fault":0,"kind":"kill","step":"proven"}
    {"type":"invoke","process":1,"node":"n2","f":"read","key":1,"time":3000000000}
    {"type":"ok","process":1,"value":1}
    {"type":"fault","fault":0,"kind":"kill","step":"reproven"}
    {"type":"fault","fault":0,"kind":"kill","step":"healed","time":4000000000}
    {"type":"invoke","process":0,"node":"n1","f":"write","key":1,"value":2,"time":4200000000}
    {"type":"ok","process":0,"time":4250000000}
    {"type":"role","node":"n2","term":2,"term_with_role":true}
    {"type":"role","node":"n1","term":3,"term_with_role":true}
    {"type":"role","node":"n1","term":3,"term_with_role":true}
    {"type":"phase","phase":"drain","time":5000000000}
    {"type":"end"}
    "#;

#[test]
fn availability_measures_gap_and_recovery() {
    let verdict = Availability.check(&history(FAULTY), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Valid);
    assert_eq!(verdict.numbers["longest_gap_ms"], 2998);
    assert_eq!(verdict.numbers["recovery_ms_max"], 250);
    assert_eq!(verdict.numbers["faults"][0]["recovery_ms"], serde_json::json!({"n1": 250, "n2": null}));
    let kinds: Vec<&str> = verdict.findings.iter().map(|finding| finding.kind.as_str()).collect();
    assert_eq!(kinds, ["longest-gap", "not-recovered"]);
    assert_eq!(Availability.check(&history(""), &Budget::unlimited()).validity, Validity::Unknown);
}

#[test]
fn evidence_counts_what_landed() {
    let evidence = evidence(&history(FAULTY));
    assert_eq!((evidence.ok, evidence.fail, evidence.info), (3, 0, 0));
    let kill = &evidence.kinds["kill"];
    assert_eq!((kill.planned, kill.begun, kill.proven, kill.unproven, kill.healed, kill.ok_during), (1, 1, 1, 0, 1, 1));
    assert_eq!((evidence.leader_changes, evidence.leaders.len()), (1, 2));
    let cut = crate::evidence(&history(&cut(BOTH_WAYS, 1, false)));
    let sides: Vec<(&str, u64)> = cut.faults[0].writes_by_side.iter().map(|(side, n)| (side.as_str(), *n)).collect();
    assert_eq!(sides, [("n1", 1), ("n2 n3", 1)]);
}

#[test]
fn the_list_finds_every_checker_and_nothing_else() {
    for doc in CHECKERS {
        let found = checker(doc.name).expect("in the list");
        assert_eq!(found.name(), doc.name);
        let verdict = judge_one(&*found, &history(""), &Budget::unlimited());
        assert_eq!((verdict.checker.as_str(), verdict.validity), (doc.name, Validity::Unknown), "{}", verdict.summary);
    }
    assert!(checker("linearisable").is_none());
}

#[test]
fn a_workload_with_a_function_that_the_model_does_not_know_is_not_passed_over() {
    let lines = r#"
        0 write 1 1 -> ok
        0 read 1 -> ok 1
        {"type":"invoke","process":0,"workload":"other","f":"write","key":1,"value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"workload":"other","f":"swap","key":1,"value":2}
        {"type":"ok","process":0,"value":7}
        "#;
    let linearizable = checker("linearizable").expect("in the list");
    let verdict = linearizable.check(&history(lines), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("swap"), "{}", verdict.summary);
    let set = lines.replace("write", "add").replace("swap", "read").replacen("add", "write", 1);
    let verdict = linearizable.check(&history(&set), &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Valid, "a set is nobody's register: {}", verdict.summary);
}

#[test]
fn a_panicking_checker_is_unknown() {
    struct Broken;
    impl Checker for Broken {
        fn name(&self) -> &str {
            "broken"
        }
        fn judge_workload(&self, _history: &History, _budget: &Budget) -> Verdict {
            panic!("on purpose")
        }
    }
    let verdict = judge_one(&Broken, &History::default(), &Budget::unlimited());
    assert_eq!((verdict.validity, verdict.summary.as_str()), (Validity::Unknown, "The checker panicked: on purpose"));
}

#[test]
fn every_checker_judges_one_workload_alone_where_it_is_asked_to() {
    let lines = r#"
        {"type":"invoke","process":0,"workload":"one","f":"acquire"}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"workload":"two","f":"acquire"}
        {"type":"ok","process":1}
        {"type":"invoke","process":2,"workload":"two","f":"acquire"}
        {"type":"ok","process":2}
        "#;
    let history = history(lines);
    assert_eq!(history.only("two").ops().iter().map(|op| op.call).collect::<Vec<_>>(), [2, 4]);
    let judged = |checker: &str, workload: &str| {
        let options = crate::Options([("workload".to_owned(), crate::Value::text(workload))].into());
        let checker = crate::checker_with(checker, &options).expect("every checker takes it");
        judge_one(checker.as_ref(), &history, &Budget::unlimited())
    };
    let two = judged("lock", "two");
    assert_eq!(
        (two.validity, two.workload.as_str(), &two.findings[0].ops[..]),
        (Validity::Invalid, "two", &[2, 4][..])
    );
    assert_ne!(judged("lock", "one").validity, Validity::Invalid);
    assert_eq!(judged("lock", "three").validity, Validity::Unknown);
    for doc in CHECKERS {
        assert!(
            judged(doc.name, "one").findings.iter().all(|finding| finding.ops.iter().all(|op| *op < 2)),
            "{}",
            doc.name
        );
    }
}

#[test]
fn nodes_that_are_not_known_are_in_no_words_and_no_numbers() {
    let judge = |checker: &str, text: &str| {
        let options = crate::history::ReadOptions::default();
        let history =
            crate::history::read(crate::history::Format::JepsenJson, text.as_bytes(), &options).expect("it is read");
        judge_one(crate::checker(checker).expect("it is listed").as_ref(), &history, &Budget::unlimited())
    };
    let calls = |calls: &[(u32, &str, &str, &str)]| -> String {
        let told = calls.iter().map(|(process, f, input, output)| {
            let common = format!("\"process\":{process},\"f\":\"{f}\",\"key\":1");
            format!(
                "{{\"type\":\"invoke\",{common},\"value\":{input}}}\n{{\"type\":\"ok\",{common},\"value\":{output}}}\n"
            )
        });
        told.collect()
    };
    let commit = [(1, "status", "null", "\"committed\""), (2, "status", "null", "\"aborted\"")];
    let mixed = judge("atomic-commit", &calls(&commit));
    assert_eq!(mixed.findings[0].kind, "mixed-decision");
    let title =
        "Mixed decision: the participant of process 1 committed transaction 1, the participant of process 2 aborted it";
    assert_eq!(mixed.findings[0].title, title);
    let flipped = judge("atomic-commit", &calls(&commit.map(|(_, f, input, output)| (1, f, input, output))));
    assert_eq!(flipped.findings[0].kind, "decision-flipped");
    // Who asked later may have asked the same participant, who asked earlier has not seen the end.
    let blocked = |text: String| {
        let text = text.replace("\"key\"", "\"settle\":true,\"key\"");
        let options = crate::history::ReadOptions::default();
        let history = crate::history::read(crate::history::Format::JepsenJson, text.as_bytes(), &options);
        let must = with_option("atomic-commit", "must_decide", Value::Bool(true));
        must.check(&history.expect("it is read"), &Budget::unlimited()).validity
    };
    let asked = [(1, "status", "null", "\"prepared\""), (2, "status", "null", "\"committed\"")];
    assert_eq!(blocked(calls(&asked)), Validity::Unknown);
    assert_eq!(blocked(calls(&[asked[1], asked[0]])), Validity::Invalid);
    let lost = judge("set", &calls(&[(1, "add", "1", "null"), (2, "read", "null", "[]")]));
    assert_eq!(lost.numbers["lost_by_node"], serde_json::json!({}), "{}", lost.summary);
    let stale = [(1, "write", "1", "null"), (1, "write", "2", "null"), (2, "read", "null", "1")];
    let stale = judge("staleness", &calls(&stale));
    assert_eq!(
        (&stale.numbers["by_node"], &stale.numbers["reads"]["stale_reads"]),
        (&serde_json::json!({}), &1.into())
    );
}
