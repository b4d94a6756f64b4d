//! Recorded histories with known verdicts.
use crate::history::History;
use crate::options::Options;
use crate::registry::checker_with;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Finding, Validity, Verdict};

/// The history of these lines, on three nodes.
fn calls(lines: &str) -> History {
    history(&format!("{{\"type\":\"start\",\"nodes\":[\"n1\",\"n2\",\"n3\"]}}\n{lines}"))
}

fn judged(name: &str, options: &[(&str, Value)], history: &History) -> Verdict {
    let options = Options(options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    let checker = checker_with(name, &options).expect("it is listed");
    checker.check(history, &Budget::unlimited())
}

fn variant(name: &str, history: &History) -> Verdict {
    judged("causal", &[("variant", Value::text(name))], history)
}

fn broken<'v>(verdict: &'v Verdict, kind: &str) -> &'v Finding {
    assert_eq!(verdict.validity, Validity::Invalid, "{verdict:#?}");
    let finding = verdict.findings.first().expect("a finding");
    assert_eq!(finding.kind, kind, "{finding:#?}");
    assert_eq!(finding.certificate.is_some(), !ABOUT_TIMES.contains(&kind));
    finding
}

/// Kinds that rest on times and faults, which the operations of a certificate do not carry.
const ABOUT_TIMES: [&str; 4] = ["diverged-replicas", "lost-write", "not-delta-atomic", "superseded-value"];

const STORE_BUFFER: &str = "
    0 write x 1 -> ok
    n2: 1 write y 1 -> ok
    0 read y -> ok
    n2: 1 read x -> ok";

#[test]
fn a_store_buffer_is_causal_and_not_sequential() {
    let history = calls(STORE_BUFFER);
    let verdict = judged("sequential", &[], &history);
    let finding = broken(&verdict, "nonsequential");
    assert_eq!(finding.ops.len(), 4);
    assert_eq!(finding.cycle.len(), 4);
    for name in ["cc", "ccv", "cm"] {
        assert_eq!(variant(name, &calls(&format!("{STORE_BUFFER}\nn3: 2 read x -> ok 1"))).validity, Validity::Valid);
        assert_eq!(variant(name, &history).validity, Validity::Unknown, "nobody saw what was written");
    }
}

#[test]
fn a_reply_without_its_question_is_not_causal() {
    let history = calls(
        "0 write x 1 -> ok
         n2: 1 read x -> ok 1
         n2: 1 write y 2 -> ok
         n3: 2 read y -> ok 2
         n3: 2 read x -> ok",
    );
    let verdict = variant("cc", &history);
    let finding = broken(&verdict, "write-co-init-read");
    assert_eq!(finding.ops.len(), 5);
    // Two writers, one reader of both: each process alone is believable.
    assert_eq!(judged("pram", &[], &history).validity, Validity::Valid);
}

#[test]
fn an_overwritten_value_is_not_causal() {
    let history = calls(
        "0 write x 1 -> ok
         n2: 1 read x -> ok 1
         n2: 1 write x 2 -> ok
         n3: 2 read x -> ok 2
         n3: 2 read x -> ok 1",
    );
    broken(&variant("cc", &history), "write-co-read");
    broken(&judged("monotonic-reads", &[("order", Value::text("realtime"))], &history), "non-monotonic-read");
    assert_eq!(judged("monotonic-reads", &[], &history).validity, Validity::Valid);
}

#[test]
fn two_processes_may_disagree_unless_they_must_converge() {
    let history = calls(
        "0 write x 1 -> ok
         n2: 1 write x 2 -> ok
         0 read x -> ok 2
         n2: 1 read x -> ok 1",
    );
    assert_eq!(variant("cc", &history).validity, Validity::Valid);
    assert_eq!(variant("cm", &history).validity, Validity::Valid);
    assert_eq!(broken(&variant("ccv", &history), "cyclic-cf").ops.len(), 4);
}

#[test]
fn one_process_must_not_change_its_mind() {
    let history = calls(
        "0 write x 1 -> ok
         n2: 1 write x 2 -> ok
         n2: 1 read x -> ok 1
         n2: 1 read x -> ok 2",
    );
    assert_eq!(variant("cc", &history).validity, Validity::Valid);
    assert_eq!(broken(&variant("cm", &history), "cyclic-hb").ops.len(), 4);
    broken(&judged("pram", &[], &history), "cyclic-hb");
    assert_eq!(judged("read-your-writes", &[], &history).validity, Validity::Valid);
}

#[test]
fn what_nobody_wrote_is_thin_air_for_all() {
    let history = calls("0 write x 1 -> ok\n0 read x -> ok 7");
    for name in ["causal", "pram", "sequential", "read-your-writes"] {
        assert_eq!(broken(&judged(name, &[], &history), "thin-air-read").ops.len(), 1, "{name}");
    }
    // These say nothing about own writes: it may have begun so.
    for name in ["monotonic-reads", "staleness"] {
        let verdict = judged(name, &[], &history);
        assert_eq!(verdict.validity, Validity::Unknown, "{name}");
        assert!(verdict.summary.contains("initial=7 where all keys do"), "{name}: {}", verdict.summary);
    }
}

#[test]
fn own_writes() {
    let history = calls(
        "0 write x 1 -> ok
         0 write x 2 -> ok
         n2: 0 read x -> ok 1",
    );
    assert_eq!(broken(&judged("read-your-writes", &[], &history), "stale-own-write").ops.len(), 3);
    assert_eq!(judged("monotonic-reads", &[], &history).validity, Validity::Unknown, "one read goes nowhere");
    let history = calls("0 write x 1 -> ok\nn2: 0 read x -> ok");
    assert_eq!(broken(&judged("read-your-writes", &[], &history), "stale-own-write").ops.len(), 2);
}

#[test]
fn a_reversal_seen_by_a_reader_is_not_proof() {
    let history = calls(
        "0 write x 1 -> ok
         0 write x 2 -> ok
         n2: 1 read x -> ok 2
         n2: 1 read x -> ok 1",
    );
    let verdict = judged("monotonic-writes", &[], &history);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert_eq!(verdict.findings[0].kind, "writes-seen-reversed");
    broken(&judged("monotonic-reads", &[], &history), "non-monotonic-read");
}

#[test]
fn versions_settle_it() {
    let history = calls(
        "0 write x 1 -> ok 8
         0 write x 2 -> ok 7
         n2: 1 read x -> ok [8,1]
         n2: 1 write x 3 -> ok 5",
    );
    let versions = [("versions", Value::Bool(true))];
    broken(&judged("monotonic-writes", &versions, &history), "non-monotonic-write");
    let history = calls("0 write x 1 -> ok 8\nn2: 1 read x -> ok [8,1]\nn2: 1 write x 3 -> ok 5");
    broken(&judged("writes-follow-reads", &versions, &history), "write-before-read");
}

#[test]
fn replicas_that_differ_long_after_have_diverged() {
    let finals = "+20s\nsettle 1 read x -> ok 1\nsettle n2: 2 read x -> ok 2\nsettle n3: 3 read x -> ok 2";
    let history = calls(&format!("0 write x 1 -> ok\n0 write x 2 -> ok\n{finals}"));
    let promised = [("wait_ms", Value::Int(10_000))];
    assert_eq!(broken(&judged("eventual-convergence", &promised, &history), "diverged-replicas").ops.len(), 2);
    let wait = [("wait_ms", Value::Int(60_000))];
    assert_eq!(judged("eventual-convergence", &wait, &history).validity, Validity::Unknown);
    // Without a promised time a node may only be behind, unless it is known to have converged, or all stand still.
    let verdict = judged("eventual-convergence", &[], &history);
    assert_eq!(verdict.validity, Validity::Unknown, "{}", verdict.summary);
    assert!(verdict.summary.contains("does not know that its replicas had converged"), "{}", verdict.summary);
    let mut noted = history.clone();
    let last_write = noted.ops().iter().filter(|op| !op.settle).map(|op| op.reply_time).max().expect("a write");
    noted.notes.push((last_write, String::new(), "the replicas converged".into()));
    broken(&judged("eventual-convergence", &[], &noted), "diverged-replicas");
    noted.notes.push((last_write, String::new(), "the replicas did not converge: n1 differs".into()));
    assert_eq!(judged("eventual-convergence", &[], &noted).validity, Validity::Unknown);
    let again = "+10s\nsettle 1 read x -> ok 1\nsettle n2: 2 read x -> ok 2\nsettle n3: 3 read x -> ok 2";
    let writes = "0 write x 1 -> ok\n0 write x 2 -> ok";
    broken(&judged("eventual-convergence", &[], &calls(&format!("{writes}\n{finals}\n{again}"))), "diverged-replicas");
    let moved = "+10s\nsettle 1 read x -> ok 1\nsettle n2: 2 read x -> ok 2\nsettle n3: 3 read x -> ok 1";
    let moved = judged("eventual-convergence", &[], &calls(&format!("{writes}\n{finals}\n{moved}")));
    assert_eq!(moved.validity, Validity::Unknown, "n3 still changed: {}", moved.summary);
    // What was never acknowledged may have arrived between the two reads.
    let history = calls(&format!("0 write x 1 -> ok\n0 write x 2 -> info\n{finals}"));
    assert_eq!(judged("eventual-convergence", &[], &history).validity, Validity::Unknown);
}

#[test]
fn the_common_value_must_be_able_to_be_the_last() {
    let finals = |value: &str| {
        format!(
            "+20s\nsettle 1 read x -> ok {value}\nsettle n2: 2 read x -> ok {value}\nsettle n3: 3 read x -> ok {value}"
        )
    };
    let writes = "0 write x 1 -> ok\n0 write x 2 -> ok";
    let kind = |value: &str, options: &[(&str, Value)]| {
        judged("eventual-convergence", options, &calls(&format!("{writes}\n{}", finals(value))))
    };
    assert_eq!(kind("2", &[]).validity, Validity::Valid);
    assert_eq!(broken(&kind("1", &[]), "superseded-value").ops.len(), 3);
    assert_eq!(kind("1", &[("any_written", Value::Bool(true))]).validity, Validity::Valid);
    broken(&kind("null", &[]), "lost-write");
    broken(&kind("9", &[]), "thin-air-read");
    let silent = calls(&format!("{writes}\n+20s\nsettle 1 read x -> ok 2\nsettle n2: 2 read x -> ok 2"));
    assert_eq!(judged("eventual-convergence", &[], &silent).validity, Validity::Unknown);
}

#[test]
fn without_names_of_nodes_processes_are_compared_and_nothing_is_valid() {
    let told = |first: u64, second: u64| {
        let read = |process: u64, value: u64, time: u64| {
            format!(
                r#"{{"type":"invoke","time":{time},"process":{process},"node":"","f":"read","settle":true}}
                {{"type":"ok","time":{time},"process":{process},"value":{value}}}"#
            )
        };
        let write = |value: u64| {
            format!(
                r#"{{"type":"invoke","time":{value},"process":0,"node":"","f":"write","value":{value}}}
                {{"type":"ok","time":{value},"process":0}}"#
            )
        };
        let (reads, late) = ([read(1, first, 30_000_000_000), read(2, second, 30_000_000_001)].join("\n"), 1);
        let wait = [("wait_ms", Value::Int(10_000))];
        judged("eventual-convergence", &wait, &history(&[write(late), write(late + 1), reads].join("\n")))
    };
    for (first, second) in [(1, 2), (2, 1)] {
        let verdict = told(first, second);
        assert!(
            broken(&verdict, "diverged-replicas")
                .title
                .starts_with("Diverged replicas: process 1 and process 2 differ")
        );
    }
    let verdict = told(2, 2);
    assert!(verdict.validity == Validity::Unknown && verdict.summary.contains("two nodes"), "{}", verdict.summary);
}

#[test]
fn staleness_is_measured_and_limited() {
    let history = calls(
        "0 write x 1 -> ok
         0 write x 2 -> ok
         0 write x 3 -> ok
         n2: 1 read x -> ok 1
         n3: 2 read x -> ok 3",
    );
    let verdict = judged("staleness", &[], &history);
    assert_eq!(verdict.validity, Validity::Valid);
    assert_eq!(verdict.numbers["by_node"]["n2"]["k"]["max"], 2.0);
    // Written 2 at 1.004 s, read at 1.007 s.
    assert_eq!(verdict.numbers["by_node"]["n2"]["delta_ms"]["max"], 3.0);
    assert_eq!(verdict.numbers["by_node"]["n3"]["stale_reads"], 0);
    assert_eq!(verdict.numbers["delta_ms_min"], 3.0);
    let limit = |name: &'static str, limit: i64| judged("staleness", &[(name, Value::Int(limit))], &history);
    assert_eq!(broken(&limit("k_max", 2), "not-k-atomic").ops.len(), 4);
    assert_eq!(limit("k_max", 3).validity, Validity::Unknown);
    assert_eq!(broken(&limit("delta_ms_max", 2), "not-delta-atomic").ops.len(), 3);
    assert_eq!(limit("delta_ms_max", 3).validity, Validity::Valid);
}

#[test]
fn nothing_is_said_without_evidence() {
    let names = ["causal", "pram", "sequential", "read-your-writes", "eventual-convergence", "staleness"];
    let nothing = calls("0 write x 1 -> info");
    let mut timeless = calls(STORE_BUFFER);
    timeless.realtime = false;
    for name in names {
        assert_eq!(judged(name, &[], &nothing).validity, Validity::Unknown, "{name}");
    }
    for (name, options) in [
        ("staleness", &[][..]),
        ("eventual-convergence", &[]),
        ("monotonic-reads", &[("order", Value::text("realtime"))]),
    ] {
        assert_eq!(judged(name, options, &timeless).validity, Validity::Unknown, "{name}");
    }
    let repeated = calls("0 write x 1 -> ok\n1 write x 1 -> ok\n1 read x -> ok 1");
    assert_eq!(judged("causal", &[], &repeated).validity, Validity::Unknown);
    assert_eq!(judged("sequential", &[], &repeated).validity, Validity::Valid);
}

#[test]
fn old_sessions_and_many_keys_are_no_burden() {
    // Every fourth write ends its process: thousands of sessions.
    let mut text = String::new();
    let mut process = 0;
    for round in 0..1600 {
        let key = round % 7;
        let end = if round % 4 == 3 { "info" } else { "ok" };
        text.push_str(&format!("{process} write k{key} {} -> {end}\n", round + 1));
        process += u64::from(round % 4 == 3);
        text.push_str(&format!("{process} read k{key} -> ok {}\n", round + 1));
    }
    let history = calls(&text);
    for name in ["cc", "ccv", "cm"] {
        assert_eq!(variant(name, &history).validity, Validity::Valid);
    }
    assert_eq!(judged("sequential", &[], &history).validity, Validity::Valid);
    assert_eq!(judged("staleness", &[("k_max", Value::Int(2))], &history).validity, Validity::Valid);
}
