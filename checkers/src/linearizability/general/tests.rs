//! Small histories of every kind of object through the checker, and Porcupine's key-value logs.
use crate::history::{Completion, History, HistoryBuilder, Invoke, Record};
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Finding, Validity, Verdict};
use std::path::PathBuf;

fn options(pairs: &[(&str, Value)]) -> Options {
    Options(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn judge(model: &str, lines: &str) -> Verdict {
    let checker = checker_with("linearizable", &options(&[("model", Value::text(model))])).expect("a model");
    checker.check(&history(lines), &Budget::unlimited())
}

/// Calls one after the other, each answered at once: `[function, argument, reply]`.
fn in_turn(calls: &str) -> String {
    let calls: Vec<(String, serde_json::Value, serde_json::Value)> = serde_json::from_str(calls).expect("calls");
    let line = |(f, input, reply): &(String, serde_json::Value, serde_json::Value)| {
        format!(
            "{{\"type\":\"invoke\",\"process\":0,\"workload\":\"object\",\"f\":\"{f}\",\"value\":{input}}}\n\
             {{\"type\":\"ok\",\"process\":0,\"value\":{reply}}}\n"
        )
    };
    calls.iter().map(line).collect()
}

fn only_finding(model: &str, calls: &str) -> Finding {
    let verdict = judge(model, &in_turn(calls));
    assert_eq!(verdict.validity, Validity::Invalid, "{model}: {}", verdict.summary);
    assert_eq!(verdict.findings.len(), 1);
    verdict.findings.into_iter().next().expect("one finding")
}

#[test]
fn containers_name_what_went_wrong() {
    let stories = [
        (
            "fifo-queue",
            r#"[["enqueue",1,null],["enqueue",2,null],["dequeue",null,2],["dequeue",null,1]]"#,
            "fifo-violation",
            4,
        ),
        ("fifo-queue", r#"[["enqueue",1,null],["enqueue",2,null],["dequeue",null,2]]"#, "lost-value", 3),
        (
            "fifo-queue",
            r#"[["enqueue",1,null],["dequeue",null,1],["enqueue",2,null],["dequeue",null,1]]"#,
            "duplicate-value",
            3,
        ),
        ("fifo-queue", r#"[["enqueue",1,null],["dequeue",null,7]]"#, "phantom-value", 1),
        ("fifo-queue", r#"[["enqueue",1,null],["dequeue",null,null]]"#, "false-empty", 2),
        ("stack", r#"[["push",1,null],["push",2,null],["pop",null,1],["pop",null,2]]"#, "lifo-violation", 4),
        ("priority-queue", r#"[["insert",1,null],["insert",2,null],["extract",null,2]]"#, "priority-violation", 3),
        ("unordered-queue", r#"[["dequeue",null,1],["enqueue",1,null]]"#, "future-value", 2),
    ];
    for (model, calls, kind, size) in stories {
        let finding = only_finding(model, calls);
        assert_eq!((finding.kind.as_str(), finding.ops.len()), (kind, size), "{finding:?}");
        assert!(finding.certificate.is_some());
    }
}

#[test]
fn other_models_say_what_state_was_possible() {
    let stories = [
        ("mutex", r#"[["acquire",null,true],["acquire",null,true]]"#, "held", 2),
        ("semaphore", r#"[["acquire",null,true],["acquire",null,true]]"#, "1 of 1 permits out", 2),
        ("fenced-lock", r#"[["acquire",null,5],["release",5,true],["acquire",null,5]]"#, "token 5", 3),
        ("lease", r#"[["acquire",null,1],["acquire",null,2],["renew",1,true]]"#, "grant 2", 3),
        ("leader-election", r#"[["campaign","a",1],["leader",null,[1,"b"]]]"#, "a", 2),
        ("log", r#"[["append","x",0],["append","y",1],["read",0,"y"]]"#, "2 entries", 3),
        ("counter", r#"[["add",2,null],["read",null,2],["read",null,3]]"#, "is 2", 2),
        ("set", r#"[["add",1,null],["add",2,null],["contains",1,false]]"#, "[1]", 2),
        ("kv", r#"[["append","a",null],["append","b",null],["get",null,"ba"]]"#, "\"ab\"", 3),
        ("multi-register", r#"[["write",{"x":1,"y":1},null],["read",["x","y"],{"x":1}]]"#, "\"x\": 1", 2),
        ("owner-mutex", r#"[["acquire",1,true],["release",2,true]]"#, "free", 1),
        (
            "reentrant-mutex",
            r#"[["acquire",1,true],["acquire",1,true],["release",1,true],["acquire",2,true]]"#,
            "held by 1",
            4,
        ),
    ];
    for (model, calls, state, size) in stories {
        let finding = only_finding(model, calls);
        let text = finding.sentences.join("\n");
        assert!(text.contains(state) && text.contains("a contradiction"), "{model}: {text}");
        assert_eq!(finding.ops.len(), size, "{model}: {text}");
    }
}

#[test]
fn reads_of_growing_sets_name_the_element() {
    let stories = [
        (r#"[["add",1,null],["add",2,null],["read",null,[2]]]"#, "stale-read", 2, "lacks 1"),
        (r#"[["add",1,null],["read",null,[1,7]]]"#, "phantom-read", 1, "never added"),
        (r#"[["add",1,null],["read",null,[1,1]]]"#, "duplicate-element", 1, "twice"),
        (r#"[["add",1,null],["read",null,[1]],["read",null,[]]]"#, "stale-read", 2, "lacks 1"),
        (r#"[["read",null,[1]],["add",1,null],["read",null,[1]]]"#, "future-read", 2, "before it was added"),
    ];
    for (calls, kind, size, words) in stories {
        let finding = only_finding("set", calls);
        assert_eq!((finding.kind.as_str(), finding.ops.len()), (kind, size), "{finding:?}");
        assert!(finding.title.contains(words), "{finding:?}");
        assert!(finding.sentences.iter().any(|sentence| sentence.contains("a contradiction")), "{finding:?}");
    }
}

#[test]
fn a_long_queue_with_one_lost_value_gives_three_operations() {
    let mut calls = Vec::new();
    for value in 0..300 {
        calls.push(format!("[\"enqueue\",{value},null]"));
        if value > 5 && value - 5 != 150 {
            calls.push(format!("[\"dequeue\",null,{}]", value - 5));
        }
    }
    calls.insert(0, "[\"dequeue\",null,null]".to_owned());
    let text = format!("[{}]", calls.join(","));
    // The first six are never taken, either.
    let finding = only_finding("fifo-queue", &text);
    assert_eq!((finding.kind.as_str(), finding.ops.len()), ("lost-value", 3), "{finding:?}");
}

#[test]
fn a_dequeue_of_unknown_outcome_may_have_taken_the_value() {
    let lines = |unknown: &str| {
        in_turn(r#"[["enqueue",1,null],["enqueue",2,null]]"#)
            + unknown
            + &in_turn(r#"[["dequeue",null,2],["dequeue",null,null]]"#)
    };
    let unknown = "{\"type\":\"invoke\",\"process\":5,\"workload\":\"object\",\"f\":\"dequeue\"}\n{\"type\":\"info\",\"process\":5}\n";
    assert_eq!(judge("fifo-queue", &lines(unknown)).validity, Validity::Valid);
    assert_eq!(judge("fifo-queue", &lines("")).validity, Validity::Invalid);
}

/// A call that nobody answered.
fn unknown(process: u64, function: &str, input: &str) -> String {
    format!(
        "{{\"type\":\"invoke\",\"process\":{process},\"workload\":\"object\",\"f\":\"{function}\",\"value\":{input}}}\n\
         {{\"type\":\"info\",\"process\":{process}}}\n"
    )
}

#[test]
fn many_calls_of_unknown_outcome_do_not_hide_a_contradiction() {
    let (mut kv, mut mutex, mut counter) = (String::new(), String::new(), String::new());
    for round in 0..120 {
        if round % 4 == 0 {
            kv += &unknown(100 + round, "put", &format!("\"late {round}\""));
            counter += &unknown(100 + round, "add", "1");
            mutex += &in_turn(r#"[["acquire",null,true]]"#);
            mutex += &unknown(100 + round, "release", "null");
        } else {
            mutex += &in_turn(r#"[["acquire",null,true],["release",null,true]]"#);
        }
        kv += &in_turn(&format!("[[\"put\",\"{round}\",null],[\"get\",null,\"{round}\"]]"));
        counter += &in_turn(&format!("[[\"add\",100,null],[\"read\",null,{}]]", 100 * (round + 1)));
    }
    for (model, lines, last) in [
        ("kv", &kv, r#"[["get",null,"never put"]]"#),
        ("mutex", &mutex, r#"[["acquire",null,true],["acquire",null,true]]"#),
        ("counter", &counter, r#"[["read",null,12031]]"#),
    ] {
        assert_eq!(judge(model, lines).validity, Validity::Valid, "{model}");
        let verdict = judge(model, &(lines.clone() + &in_turn(last)));
        assert_eq!(verdict.validity, Validity::Invalid, "{model}: {}", verdict.summary);
        assert!(verdict.findings[0].ops.len() <= 12, "{model}: {:?}", verdict.findings[0].ops);
    }
}

#[test]
fn an_exhausted_budget_says_what_ran_out_and_how_far_it_came() {
    let mut lines = String::new();
    for round in 0..40 {
        lines += &in_turn(r#"[["acquire",null,true],["release",null,true]]"#);
        lines += &unknown(100 + round, "acquire", "null");
        lines += &in_turn(r#"[["release",null,true]]"#);
    }
    let checker = checker_with("linearizable", &options(&[("model", Value::text("mutex"))])).expect("a model");
    let late = Budget { expired: std::sync::Arc::new(|| true), ..Budget::unlimited() };
    let verdict = checker.check(&history(&lines), &late);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("the time ran out after 0 of 120 replies"), "{}", verdict.summary);
    let small = Budget { memory_bytes: 100, ..Budget::unlimited() };
    let verdict = checker.check(&history(&lines), &small);
    assert!(verdict.summary.contains("the memory ran out"), "{}", verdict.summary);
}

#[test]
fn valid_objects_carry_an_order() {
    let options = options(&[("model", Value::text("stack")), ("witness", Value::Bool(true))]);
    let checker = checker_with("linearizable", &options).expect("a model");
    let verdict = checker.check(
        &history(&in_turn(r#"[["push",1,null],["push",2,null],["pop",null,2],["pop",null,1]]"#)),
        &Budget::unlimited(),
    );
    assert_eq!((verdict.validity, verdict.certificates.len()), (Validity::Valid, 1), "{}", verdict.summary);
}

#[test]
fn an_unknown_model_or_a_call_that_no_model_knows() {
    let error =
        checker_with("linearizable", &options(&[("model", Value::text("deque"))])).err().expect("no such model");
    assert!(error.contains("no model deque (there are: register, cas-register"), "{error}");
    let verdict = judge("mutex", &in_turn(r#"[["acquire",null,true],["upgrade",null,true]]"#));
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("a mutex knows acquire, release"), "{}", verdict.summary);
    let error =
        checker_with("linearizable", &options(&[("model", Value::text("semaphore")), ("permits", Value::Int(0))]));
    assert!(error.err().expect("no permits").contains("from 1 up, not 0"));
}

/// One of Porcupine's key-value logs: lines of EDN with the keys process, type, f, key, value.
fn porcupine(text: &str) -> History {
    let mut builder = HistoryBuilder::new();
    for (at, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let after = |name: &str| {
            let at = line.find(&format!(":{name} ")).expect("a field") + name.len() + 2;
            line[at..].trim_start_matches(':')
        };
        let word = |name: &str| after(name).split([',', '}', ' ']).next().expect("a word").to_owned();
        let text = |name: &str| match after(name).strip_prefix('"') {
            Some(rest) => Value::text(&rest[..rest.find('"').expect("its end")]),
            None => Value::Nil,
        };
        let process = word("process").parse().expect("a number");
        let (index, time) = (at as u64, at as u64 * 1000);
        let record = if word("type") == "invoke" {
            let (node, workload) = ("n1".into(), "kv".into());
            let (f, key, value) = (word("f").into(), text("key"), text("value"));
            let worker = process as u32;
            Record::Invoke(Invoke { index, time, worker, process, node, workload, f, key, value, settle: false })
        } else {
            Record::Ok(Completion { index, time, process, value: text("value"), error: None, node: None })
        };
        builder.push(record).expect("a sound recording");
    }
    builder.finish().expect("a sound recording")
}

#[test]
fn porcupines_key_value_logs() {
    let fallback = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let folder = std::env::var_os("DSFUZZ_CORPORA").map_or(fallback, PathBuf::from).join("porcupine-kv");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("NOT RUN: no histories with known verdicts in {}", folder.display());
        return;
    };
    let checker = checker_with("linearizable", &options(&[("model", Value::text("kv"))])).expect("a model");
    let mut judged = 0;
    for file in files {
        let path = file.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let history = porcupine(&std::fs::read_to_string(&path).expect("a text"));
        let start = std::time::Instant::now();
        let verdict = checker.check(&history, &Budget::unlimited());
        println!("{name}: {} in {:?}", verdict.summary, start.elapsed());
        let expected = if name.contains("ok") { Validity::Valid } else { Validity::Invalid };
        assert_eq!(verdict.validity, expected, "{name}: {}", verdict.summary);
        let largest = verdict.findings.iter().map(|finding| finding.ops.len()).max().unwrap_or(0);
        assert!(largest <= 12, "{name}: {largest} operations are no explanation");
        judged += 1;
    }
    assert!(judged > 0);
}
