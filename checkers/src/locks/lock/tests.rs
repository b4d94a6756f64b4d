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
        call(7, 3, "acquire", r#"{"type":"fail""#),
        call(9, 2, "release", r#"{"type":"ok""#),
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

/// Calls of locks by node, each with the second of its call; replies follow half a second later.
fn timed(calls: &[(u64, &str, u64, &str, &str)]) -> History {
    let mut lines = vec![
        r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1","n2"],"wall":"2026-01-01T00:00:00Z"}"#
            .to_owned(),
    ];
    let ns = |half_seconds: usize| half_seconds as u64 * 500_000_000;
    for (second, node, process, f, reply) in calls {
        let (at, index) = (2 * *second as usize, lines.len());
        lines.push(format!(
            "{{\"type\":\"invoke\",\"index\":{index},\"time\":{},\"worker\":{process},\"process\":{process},\"node\":\"{node}\",\
             \"workload\":\"lock\",\"f\":\"{f}\",\"key\":7}}",
            ns(at)
        ));
        lines.push(format!("{reply},\"index\":{},\"time\":{},\"process\":{process}}}", index + 1, ns(at + 1)));
    }
    lines.push(format!("{{\"type\":\"end\",\"index\":{},\"time\":{}}}", lines.len(), ns(40)));
    crate::history::read_jsonl(lines.join("\n").as_bytes()).expect("a history")
}

#[test]
fn a_double_hold_names_the_lock_both_holders_their_nodes_and_their_times() {
    let ok = r#"{"type":"ok""#;
    let calls = [(1, "n1", 1, "acquire", ok), (3, "n2", 2, "acquire", ok), (6, "n1", 1, "release", ok)];
    let verdict = checker("lock").expect("lock").check(&timed(&calls), &Budget::unlimited());
    let finding = &verdict.findings[0];
    assert_eq!(
        finding.title,
        "Double hold: lock 7 had two holders at the same time: process 1 on n1 held from 1.500 s to 6.000 s, \
         process 2 on n2 held from 3.500 s to the end of the record"
    );
    let said = finding.sentences.join(" ");
    assert!(
        said.contains("Process 1 on n1 certainly held lock 7 from the reply to #1 at 1.500 s until it called #5 (release) at 6.000 s."),
        "{said}"
    );
    assert!(!said.contains("fencing"), "{said}");
}

#[test]
fn a_double_hold_by_a_holder_whose_session_had_ended_says_so() {
    let (ok, gone) = (r#"{"type":"ok""#, r#"{"type":"fail","error":"not-held: the session is over""#);
    let calls = [(1, "n1", 1, "acquire", ok), (3, "n2", 2, "acquire", ok), (6, "n1", 1, "release", gone)];
    let verdict = checker("lock").expect("lock").check(&timed(&calls), &Budget::unlimited());
    let finding = &verdict.findings[0];
    assert_eq!((finding.kind.as_str(), verdict.validity), ("double-hold", Validity::Invalid));
    assert!(
        finding.title.ends_with(
            "; release #5 failed because the session or lease of process 1 on n1 had ended (not-held: the session is over)"
        ),
        "{}",
        finding.title
    );
    assert!(finding.sentences.join(" ").contains("needs a fencing token"), "{:?}", finding.sentences);
    // A holder that lost its session after the others had it says nothing about them.
    let calls = [(1, "n1", 1, "acquire", ok), (3, "n2", 2, "acquire", ok), (6, "n2", 2, "release", gone)];
    let verdict = checker("lock").expect("lock").check(&timed(&calls), &Budget::unlimited());
    assert!(!verdict.findings[0].title.contains("session"), "{}", verdict.findings[0].title);
}

#[test]
fn too_many_holders_are_named_with_their_permits() {
    let ok = r#"{"type":"ok""#;
    let calls = [(1, "n1", 1, "acquire", ok), (3, "n2", 2, "acquire", ok), (5, "n1", 3, "acquire", ok)];
    let semaphore =
        checker_with("semaphore", &Options([("permits".to_owned(), Value::Int(2))].into())).expect("options");
    let verdict = semaphore.check(&timed(&calls), &Budget::unlimited());
    assert_eq!(
        verdict.findings[0].title,
        "Too many holders: more than 2 permits of semaphore 7 were held at the same time: process 1 on n1 held 1 from \
         1.500 s to the end of the record, process 2 on n2 held 1 from 3.500 s to the end of the record, process 3 on n1 held 1 \
         from 5.500 s to the end of the record"
    );
}
