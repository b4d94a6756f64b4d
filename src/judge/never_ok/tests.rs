//! Which functions are said to be asked wrongly, and which are not.
use super::super::{Rules, RunVerdict, judge};
use super::*;
use dsfuzz_checkers::{Options, Validity};

fn never(f: &str, errors: &[&str], times: usize) -> NeverOk {
    let mut never = NeverOk::default();
    for error in errors.iter().cycle().take(times) {
        never.count("register", f, Some(error));
    }
    never
}

const SYNTAX: &str = "malformed: 42601: syntax error at or near \"INSRT\"";

#[test]
fn a_statement_that_the_server_never_accepts_is_a_mistake_of_the_plan() {
    let mut one = never("write", &[SYNTAX], 3);
    assert_eq!(
        one.sentence().as_deref(),
        Some(
            "the plan, the recipe or the client is wrong: no call of write was Ok: all 3 failed, each with: malformed: \
              42601: syntax error at or near \"INSRT\""
        )
    );
    assert_eq!(never("write", &[SYNTAX], 2).sentence(), None, "two calls say too little");
    let mixed = never("write", &[SYNTAX, SYNTAX, "timeout"], 9).sentence();
    assert!(mixed.is_some_and(|said| said.contains("all 9 failed, 6 of them with: malformed: 42601")));
    let rare = [&["timeout"; 97][..], &[SYNTAX; 3]].concat();
    assert_eq!(never("write", &rare, 100).sentence(), None, "most calls failed for another reason");
    one.count("register", "write", None);
    assert_eq!(one.sentence(), None, "one of them was Ok");
}

#[test]
fn what_a_state_a_fault_or_an_election_refuses_is_no_mistake() {
    let errors = [
        "precondition: it was 3",
        "empty",
        "not-leader: n2 leads",
        "timeout",
        "conflict",
        "not-held",
        "crash",
        "not-found: x",
        "denied: users are not loaded yet",
        "unknown: status 503",
        "aborted: unknown: status 404",
    ];
    for error in errors {
        assert_eq!(never("cas", &[error], 50).sentence(), None, "{error}");
    }
}

#[test]
fn errors_that_may_be_a_mistake_are_noted() {
    let notes = |errors: &[&str], times| never("read", errors, times).notes();
    let texts: Vec<String> =
        (0..10).map(|number| format!("unknown: status 404: no path for request {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(
        notes(&texts, 10),
        ["no call of read was Ok: all 10 failed, each with: unknown: status 404: no path for request 0"]
    );
    assert!(notes(&texts, 9).is_empty());
    assert_eq!(notes(&["aborted: unknown: status 404"], 10).len(), 1, "a read has no effect");
    assert!(notes(&["unknown: status 404", "unknown: status 503"], 30).is_empty(), "two statuses are two errors");
    assert!(notes(&["timeout"], 30).is_empty() && notes(&["precondition: it was 3"], 30).is_empty());
    assert!(notes(&[SYNTAX], 30).is_empty(), "that is no note, but a failure of the run");
}

#[test]
fn all_are_at_fault_only_if_no_function_works() {
    let mut both = never("write", &[SYNTAX], 8);
    for _ in 0..4 {
        both.count("register", "read", Some("not-supported: read"));
    }
    let said = both.sentence_of_all().expect("all");
    assert!(said.contains("no call of write was Ok") && said.ends_with("; nor was any call of read"), "{said}");
    let value = dsfuzz_checkers::Value::Nil;
    both.begin(&Call { workload: "register".into(), f: "cas".into(), key: value.clone(), value });
    assert_eq!(both.sentence_of_all(), None, "a call of cas is open");
    assert!(both.sentence().is_some());
}

/// A run of a register with these errors of `cas`, one for each call.
fn run(errors: &[&str], info: &RunInfo) -> RunVerdict {
    let mut lines = vec![
        r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#.to_owned(),
        r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#.to_owned(),
        r#"{"type":"ok","index":2,"time":2,"process":0}"#.to_owned(),
        r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n1","workload":"register","f":"read"}"#.to_owned(),
        r#"{"type":"ok","index":4,"time":4,"process":0,"value":1}"#.to_owned(),
    ];
    for error in errors {
        let at = lines.len();
        lines.push(format!(
            "{{\"type\":\"invoke\",\"index\":{at},\"time\":{at},\"worker\":0,\"process\":0,\"node\":\"n1\",\
             \"workload\":\"register\",\"f\":\"cas\",\"value\":[1,2]}}"
        ));
        let next = at + 1;
        lines.push(format!(
            "{{\"type\":\"fail\",\"index\":{next},\"time\":{next},\"process\":0,\"error\":\"{error}\"}}"
        ));
    }
    let at = lines.len();
    lines.push(format!("{{\"type\":\"end\",\"index\":{at},\"time\":{at}}}"));
    let history = dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).expect("a history");
    let rules = Rules { checkers: vec![("linearizable".into(), Options::default())], ..Rules::default() };
    judge(&history, &rules, info)
}

#[test]
fn a_run_with_a_function_that_never_works_says_so_first() {
    let errors = ["malformed: 42601: no such column"; 3];
    let verdict = run(&errors, &RunInfo::default());
    assert_eq!((verdict.validity, verdict.exit), (Validity::Unknown, 255), "{}", verdict.sentence);
    assert_eq!(
        verdict.sentence,
        "the plan, the recipe or the client is wrong: no call of cas was Ok: all 3 failed, each with: malformed: 42601: \
         no such column"
    );
    let file = run(&errors, &RunInfo { file: true, ..RunInfo::default() });
    assert_eq!(file.validity, Validity::Valid, "a history without a run has no plan: {}", file.sentence);
}

#[test]
fn a_run_whose_errors_the_target_may_have_caused_is_judged_and_has_a_note() {
    let verdict = run(&["denied: users are not loaded yet"; 12], &RunInfo::default());
    assert_eq!((verdict.validity, verdict.exit), (Validity::Valid, 0), "{}", verdict.sentence);
    assert!(
        verdict.notes.iter().any(|note| note.starts_with("no call of cas was Ok: all 12 failed, each with: denied"))
    );
}
