use super::*;

/// A record with an acknowledged write and a read of it, followed by these lines.
fn history(after: &str) -> History {
    let lines = [
        r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#,
        r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#,
        r#"{"type":"ok","index":2,"time":2,"process":0}"#,
        r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#,
        r#"{"type":"ok","index":4,"time":4,"process":0,"value":1}"#,
        after,
    ];
    dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).unwrap()
}

fn rules() -> Rules {
    Rules { checkers: vec![("linearizable".into(), Options::default())], ..Rules::default() }
}

const END: &str = r#"{"type":"end","index":5,"time":5}"#;

#[test]
fn a_record_that_was_cut_off_is_no_pass() {
    let whole = judge(&history(END), &rules(), &RunInfo::default());
    assert_eq!((whole.validity, whole.exit), (Validity::Valid, 0), "{}", whole.sentence);
    let cut_off = judge(&history(""), &rules(), &RunInfo::default());
    assert_eq!((cut_off.validity, cut_off.exit), (Validity::Unknown, 2), "{}", cut_off.sentence);
    assert!(cut_off.sentence.contains("cut off"), "{}", cut_off.sentence);
}

#[test]
fn a_client_that_answers_in_another_type_makes_a_run_neither_valid_nor_invalid() {
    let error = format!("{}a read returned \"2\", a text", crate::targets::exec::UNBELIEVED);
    let lines = [
        r#"{"type":"invoke","index":5,"time":5,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#,
        &serde_json::json!({"type": "info", "index": 6, "time": 6, "process": 0, "error": error}).to_string(),
        r#"{"type":"end","index":7,"time":7}"#,
    ];
    let verdict = judge(&history(&lines.join("\n")), &rules(), &RunInfo::default());
    assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{}", verdict.sentence);
    assert!(
        verdict.sentence.contains("gave 1 answer that cannot be true, first #5: a read returned"),
        "{}",
        verdict.sentence
    );
    assert_eq!(verdict.harness.len(), 1);
    assert_eq!((&*verdict.errors[0].code, verdict.errors[0].count), ("malformed", 1));
}

#[test]
fn numbers_alone_are_no_pass() {
    let measured = |names: &[&str]| {
        let checkers = names.iter().map(|name| ((*name).into(), Options::default())).collect();
        judge(&history(END), &Rules { checkers, ..Rules::default() }, &RunInfo::default())
    };
    let alone = measured(&["availability"]);
    assert_eq!(alone.promises[0].validity, Validity::Valid, "it took its numbers");
    assert_eq!((alone.validity, alone.exit), (Validity::Unknown, 2), "{}", alone.sentence);
    assert_eq!(alone.sentence, "nothing was promised: availability only measures");
    let both = measured(&["availability", "linearizable"]);
    assert_eq!(both.validity, Validity::Valid, "{}", both.sentence);
}

#[test]
fn a_death_breaks_a_run_whose_plan_names_other_checkers() {
    let watched = r#"{"type":"process","index":5,"time":5,"node":"n1","step":"watched"}"#;
    let ended = |index: u64| format!(r#"{{"type":"end","index":{index},"time":5}}"#);
    let died =
        r#"{"type":"process","index":6,"time":5,"node":"n1","process":"db","step":"ended","how":"signal 6 (SIGABRT)"}"#;
    let mut implied = Rules { crashes_implied: true, ..rules() };
    implied.checkers.push((CRASHES.into(), Options::default()));
    let well = judge(&history(&format!("{watched}\n{}", ended(6))), &implied, &RunInfo::default());
    assert_eq!((well.validity, well.promises.len()), (Validity::Valid, 2), "{}", well.sentence);
    let dead = judge(&history(&format!("{watched}\n{died}\n{}", ended(7))), &implied, &RunInfo::default());
    assert_eq!((dead.validity, dead.exit), (Validity::Invalid, 1), "{}", dead.sentence);
    assert_eq!(dead.sentence, "Crashed: db on n1 ended by itself (signal 6 (SIGABRT))");
    // A record of a version without the watch.
    let old = judge(&history(END), &implied, &RunInfo::default());
    assert_eq!((old.validity, old.promises.len()), (Validity::Valid, 1), "{}", old.sentence);
    // No death is no promise by itself.
    implied.checkers = vec![("availability".into(), Options::default()), (CRASHES.into(), Options::default())];
    let alone = judge(&history(&format!("{watched}\n{}", ended(6))), &implied, &RunInfo::default());
    assert_eq!(alone.sentence, "nothing was promised: availability only measures");
}

#[test]
fn a_valid_answer_names_its_evidence() {
    let lines = [
        r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#,
        r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"set","f":"add","value":1}"#,
        r#"{"type":"ok","index":2,"time":2,"process":0}"#,
        r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"set","f":"read","settle":true}"#,
        r#"{"type":"ok","index":4,"time":4,"process":0,"value":[1,1]}"#,
        END,
    ];
    let history = dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).unwrap();
    let options = Options([("at_least_once".to_owned(), dsfuzz_checkers::Value::Bool(true))].into());
    let rules = Rules { checkers: vec![("set".into(), options)], ..Rules::default() };
    let verdict = judge(&history, &rules, &RunInfo::default());
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.sentence);
    assert!(verdict.sentence.ends_with("; evidence: 1 duplicated-element (set)"), "{}", verdict.sentence);
    assert!(verdict.promises[0].summary.ends_with(" Evidence: 1 duplicated-element."), "{:?}", verdict.promises);
}

#[test]
fn what_was_not_asked_for_is_no_doubt() {
    let options = Options([("final_reads".to_owned(), dsfuzz_checkers::Value::text("leader"))].into());
    let agree = ("replicas-agree".to_owned(), options);
    let both = Rules { checkers: vec![("linearizable".into(), Options::default()), agree.clone()], ..Rules::default() };
    let verdict = judge(&history(END), &both, &RunInfo::default());
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.sentence);
    assert!(verdict.sentence.contains("(linearizable)"), "{}", verdict.sentence);
    assert!(verdict.promises[1].summary.starts_with("Not asked: final_reads is leader"), "{:?}", verdict.promises);
    let alone = judge(&history(END), &Rules { checkers: vec![agree], ..Rules::default() }, &RunInfo::default());
    assert_eq!(alone.validity, Validity::Unknown, "{}", alone.sentence);
}

#[test]
fn every_checker_of_final_reads_knows_how_they_were_made() {
    let checkers = CHECKERS.iter().map(|doc| (doc.name.to_owned(), Options::default())).collect();
    let rules = Rules { checkers, ..Rules::default() }.with_final_reads("any-node");
    let mode = Value::text("any-node");
    let know = rules.checkers.iter().filter(|(_, options)| options.0.get(FINAL_READS) == Some(&mode));
    assert_eq!(know.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["set", "replicas-agree", "set-full"]);
}

#[test]
fn nothing_is_valid_in_a_run_whose_harness_failed() {
    let info = RunInfo { harness_failures: vec!["a worker panicked".into()], ..RunInfo::default() };
    let verdict = judge(&history(END), &rules(), &info);
    assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{}", verdict.sentence);
}
