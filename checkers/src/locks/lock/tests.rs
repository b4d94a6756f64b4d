//! What a refused release says about a hold.
use super::*;
use crate::options::Options;
use crate::registry::{checker, checker_with};

/// Process 1 acquires and releases with this reply; then process 2 acquires.
fn judged(reply: &str) -> Verdict {
    checker("lock").expect("lock").check(&released(reply), &Budget::unlimited())
}

fn released(reply: &str) -> History {
    history([
        call(1, 1, "acquire", r#"{"type":"ok""#),
        call(3, 1, "release", reply),
        call(5, 2, "acquire", r#"{"type":"ok""#),
        call(7, 2, "release", r#"{"type":"ok""#),
    ])
}

/// A history of calls at 1, 3, 5, ..
fn history<const N: usize>(calls: [String; N]) -> History {
    let start = r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":"2026-01-01T00:00:00Z"}"#;
    let end = 2 * N + 1;
    let text = format!("{start}\n{}\n{{\"type\":\"end\",\"index\":{end},\"time\":{end}}}", calls.join("\n"));
    crate::history::read_jsonl(text.as_bytes()).expect("a history")
}

fn call(index: u64, process: u64, f: &str, reply: &str) -> String {
    let end = index + 1;
    format!(
        "{{\"type\":\"invoke\",\"index\":{index},\"time\":{index},\"worker\":{process},\"process\":{process},\"node\":\"n1\",\
         \"workload\":\"lock\",\"f\":\"{f}\"}}\n{reply},\"index\":{end},\"time\":{end},\"process\":{process}}}"
    )
}

#[test]
fn a_holder_that_is_told_that_it_lost_the_lock_holds_it_no_more() {
    let lost = judged(r#"{"type":"fail","error":"not-held: the session is over""#);
    assert_eq!(lost.validity, Validity::Valid, "{}: {:?}", lost.summary, lost.findings);
    for reply in [r#"{"type":"fail","error":"refused: not connected""#, r#"{"type":"fail""#] {
        let held = judged(reply);
        assert_eq!(held.validity, Validity::Invalid, "{reply}: {}", held.summary);
        assert_eq!(held.findings[0].kind, "double-hold");
    }
}

#[test]
fn a_model_of_a_lock_takes_a_lost_hold_for_one_that_ended() {
    for model in ["mutex", "owner-mutex", "reentrant-mutex", "semaphore"] {
        let options = Options([("model".to_owned(), Value::text(model))].into());
        let linearizable = checker_with("linearizable", &options).expect("a model");
        let judge = |history: &History| linearizable.check(history, &Budget::unlimited());
        let lost = judge(&released(r#"{"type":"fail","error":"not-held: the session is over""#));
        assert_eq!(lost.validity, Validity::Valid, "{model}: {}: {:?}", lost.summary, lost.findings);
        let held = judge(&released(r#"{"type":"fail","error":"refused: not connected""#));
        assert_eq!(held.validity, Validity::Invalid, "{model}: {}", held.summary);
        assert!(held.findings[0].certificate.is_some());
        // The hold ended when the release was answered, not later: a third process holds beside the second.
        let twice = judge(&history([
            call(1, 1, "acquire", r#"{"type":"ok""#),
            call(3, 1, "release", r#"{"type":"fail","error":"not-held""#),
            call(5, 2, "acquire", r#"{"type":"ok""#),
            call(7, 3, "acquire", r#"{"type":"ok""#),
        ]));
        assert_eq!(twice.validity, Validity::Invalid, "{model}: {}", twice.summary);
        // Process 2 holds, and process 1, which holds nothing, is told so: that frees nothing.
        let stolen = judge(&history([
            call(1, 2, "acquire", r#"{"type":"ok""#),
            call(3, 1, "release", r#"{"type":"fail","error":"not-held""#),
            call(5, 1, "acquire", r#"{"type":"ok""#),
        ]));
        assert_eq!(stolen.validity, Validity::Invalid, "{model}: {}", stolen.summary);
    }
}

#[test]
fn each_release_of_a_lost_hold_ends_one() {
    let options =
        Options([("model".to_owned(), Value::text("semaphore")), ("permits".to_owned(), Value::Int(2))].into());
    let linearizable = checker_with("linearizable", &options).expect("a model");
    let lost = r#"{"type":"fail","error":"not-held""#;
    let history = history([
        call(1, 1, "acquire", r#"{"type":"ok""#),
        call(3, 1, "acquire", r#"{"type":"ok""#),
        call(5, 1, "release", lost),
        call(7, 1, "release", lost),
        call(9, 2, "acquire", r#"{"type":"ok""#),
        call(11, 3, "acquire", r#"{"type":"ok""#),
    ]);
    let verdict = linearizable.check(&history, &Budget::unlimited());
    assert_eq!(verdict.validity, Validity::Valid, "{}: {:?}", verdict.summary, verdict.findings);
}
