//! The table holds what checkers, models and Jepsen's suites call, and what it says keeps split brains from being valid.
use super::*;
use crate::inference;
use crate::registry::checker;
use crate::testing::history;
use crate::verdict::{Budget, Severity, Validity, Verdict};

/// What clients of Jepsen's suites and of Maelstrom's workloads call.
const JEPSEN: &[&str] = &[
    "acquire",
    "add",
    "add-and-get",
    "append",
    "assign",
    "begin",
    "broadcast",
    "campaign",
    "cas",
    "commit",
    "contains",
    "crash",
    "create-accounts",
    "create-transfers",
    "debug-topic-partitions",
    "dec",
    "decrement",
    "delete",
    "dequeue",
    "drain",
    "echo",
    "elect",
    "enqueue",
    "extract",
    "fetch",
    "generate",
    "get",
    "inc",
    "increment",
    "init",
    "insert",
    "leader",
    "lock",
    "log",
    "lookup-accounts",
    "lookup-transfers",
    "observe",
    "poll",
    "pop",
    "publish",
    "push",
    "put",
    "r",
    "read",
    "read-at",
    "rebalance",
    "receive",
    "refresh",
    "release",
    "remove",
    "renew",
    "resign",
    "seek",
    "send",
    "size",
    "start",
    "status",
    "strong-read",
    "subscribe",
    "transfer",
    "txn",
    "unlock",
    "update",
    "upsert",
    "w",
    "watch",
    "write",
];

/// Functions that no table can know: those of a database's own client.
const UNKNOWN_NAMES: &[&str] = &["", "frobnicate", "Read", "reads", "sadd", "swap", "write!"];

#[test]
fn each_function_stands_in_the_table_once_and_others_may_do_anything() {
    assert!(FUNCTIONS.is_sorted_by(|one, other| one.name < other.name));
    for (at, (name, _)) in PARTS.iter().enumerate() {
        assert!(PARTS[..at].iter().all(|(other, _)| other != name), "{name}");
    }
    for known in FUNCTIONS {
        assert_eq!(function(known.name), known);
        assert_ne!(known.kind, FunctionKind::Unknown, "{}", known.name);
    }
    for name in UNKNOWN_NAMES {
        assert_eq!(function(name).kind, FunctionKind::Unknown, "{name}");
    }
    assert!(is_read_only("count") && !is_read_only("poll") && !is_read_only("read") && !is_read_only("swap"));
}

#[test]
fn what_checkers_and_models_and_jepsens_suites_call_stands_in_the_table() {
    for name in inference::known_functions().into_iter().chain(JEPSEN.iter().copied()) {
        assert_ne!(function(name).kind, FunctionKind::Unknown, "{name}");
    }
    // The micro-operations of the checkers of transactions, of predicates, of logs and of watches.
    for name in ["append", "w", "write", "r", "read", ":r", "insert", "delete", "rp", "send", "poll", "put"] {
        assert_ne!(part_kind(name), FunctionKind::Unknown, "{name}");
    }
}

/// The argument and the reply of a call that changes key 1 where its function can.
fn changing(function: &Function) -> (&'static str, &'static str) {
    match function.argument {
        Argument::MicroOperations => (r#"[["w",1,5],["append",1,5]]"#, r#"[["w",1,5],["append",1,5]]"#),
        Argument::Swap => ("[3,5]", "true"),
        Argument::Objects => (r#"{"from":"a","to":"b","amount":5}"#, "null"),
        Argument::Optional | Argument::Nothing => ("null", "null"),
        _ => ("5", "null"),
    }
}

/// Both nodes acknowledge this call while they are certainly cut off from each other; n1 again after the heal.
fn cut(name: &str) -> History {
    cut_with(name, changing(function(name)))
}

/// The same with this argument and this reply.
fn cut_with(name: &str, (input, output): (&str, &str)) -> History {
    let call = |process: u64, node: &str| format!("{node}: {process} {name} 1 {input} -> ok {output}");
    history(&format!(
        r#"
        {{"type":"start","nodes":["n1","n2"]}}
        {{"type":"fault","fault":7,"kind":"partition","step":"begun","what":"n1 | n2","cut":[["n1","n2"],["n2","n1"]]}}
        {{"type":"fault","fault":7,"kind":"partition","step":"proven"}}
        {}
        {}
        {{"type":"fault","fault":7,"kind":"partition","step":"reproven"}}
        {{"type":"fault","fault":7,"kind":"partition","step":"healed"}}
        {}
        {{"type":"role","node":"n1","role":"leader","term":1,"term_with_role":true}}
        "#,
        call(1, "n1"),
        call(2, "n2"),
        call(3, "n1")
    ))
}

fn judge(name: &str, history: &History) -> Verdict {
    checker(name).expect("in the list").check(history, &Budget::unlimited())
}

/// Every name that the tests of this file know.
fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name).chain(UNKNOWN_NAMES.iter().copied())
}

/// Functions that change nothing that another client sees: both sides of a cut may answer them, by stale data or by what a
/// client itself did. Whether such answers are right is judged by the checkers of their workloads.
fn changes_nothing(name: &str) -> bool {
    let kind = function(name).kind;
    kind.is_read_only() || kind == FunctionKind::Follow
}

#[test]
fn no_call_that_may_write_is_valid_on_both_sides_of_a_cut() {
    let mut excepted: Vec<&str> = Vec::new();
    for name in names() {
        let verdict = judge("split-brain", &cut(name));
        if changes_nothing(name) {
            excepted.push(name);
            assert_eq!((verdict.validity, verdict.findings.len()), (Validity::Valid, 0), "{name}: {}", verdict.summary);
            continue;
        }
        assert_ne!(verdict.validity, Validity::Valid, "{name}: {}", verdict.summary);
        let finding = verdict.findings.iter().find(|finding| finding.kind == "both-sides-acknowledged").expect(name);
        assert_eq!(finding.severity == Severity::Violation, verdict.validity == Validity::Invalid, "{name}");
        let certain =
            matches!(function(name).kind, FunctionKind::Write | FunctionKind::Acquire | FunctionKind::Transaction);
        assert_eq!(verdict.validity == Validity::Invalid, certain, "{name}: {}", verdict.summary);
    }
    let reads = [
        "assign",
        "contains",
        "count",
        "crash",
        "debug-topic-partitions",
        "echo",
        "get",
        "holder",
        "leader",
        "length",
        "log",
        "lookup-accounts",
        "lookup-transfers",
        "members",
        "observe",
        "poll",
        "r",
        "read",
        "read-at",
        "rebalance",
        "seek",
        "size",
        "status",
        "strong-read",
        "subscribe",
        "watch",
    ];
    assert_eq!(excepted, reads, "these alone may be valid: they change nothing");
}

#[test]
fn a_function_that_takes_no_argument_may_change_anything_where_it_has_one() {
    for name in ["log", "observe"] {
        assert_eq!(judge("split-brain", &cut_with(name, ("null", "[1]"))).validity, Validity::Valid, "{name}");
        assert_eq!(judge("split-brain", &cut_with(name, ("5", "null"))).validity, Validity::Unknown, "{name}");
    }
}

#[test]
fn a_node_that_acknowledges_a_possible_write_has_recovered() {
    for name in names() {
        let verdict = judge("availability", &cut(name));
        let recovered = verdict.numbers["faults"][0]["recovery_ms"]["n1"].is_u64();
        assert_eq!(recovered, !changes_nothing(name), "{name}: {}", verdict.numbers["faults"]);
    }
}

#[test]
fn polls_change_nothing_and_unknown_micro_operations_may() {
    let changes = |input: &str| {
        let history = history(&format!(r#"{{"type":"invoke","process":1,"f":"txn","value":{input}}}"#));
        may_change(&history, &history.ops().at(0))
    };
    assert!(!changes(r#"[["poll"]]"#) && !changes(r#"[["r",1,null],["rp",true,null]]"#));
    for input in [r#"[["poll"],["send","k",1]]"#, r#"[["r",1,null],["frobnicate",1]]"#, r#"[["w"]]"#, "null", "5"] {
        assert!(changes(input), "{input}");
    }
}

#[test]
fn every_call_is_described_in_one_grammar() {
    for (f, input, outcome, reply, expected) in [
        ("read", "null", "ok", "5", "read 5"),
        ("read", "null", "info", "null", "tried to read"),
        ("write", "5", "ok", "null", "wrote 5"),
        ("add", "5", "info", "null", "tried to add 5"),
        ("cas", "[1,2]", "ok", "true", "replaced 1 by 2"),
        ("cas", "[1,2]", "ok", "false", "saw another value than 1"),
        ("cas", "[1,2]", "info", "null", "tried to replace 1 by 2"),
        ("cas", "1", "ok", "true", "replaced 1"),
        ("write", "5", "fail", "null", "tried to write 5"),
        ("enqueue", "5", "ok", "7", "enqueued 5 (reply 7)"),
        ("dequeue", "null", "ok", "5", "dequeued 5"),
        ("dequeue", "null", "ok", "null", "found nothing to dequeue"),
        ("dequeue", "null", "info", "null", "tried to dequeue"),
        ("increment", "null", "ok", "null", "incremented by 1"),
        ("acquire", "null", "ok", "true", "acquired"),
        ("acquire", "2", "ok", "false", "tried to acquire 2 (reply false)"),
        ("acquire", "null", "ok", "7", "acquired (reply 7)"),
        ("contains", "5", "ok", "false", "looked up 5 (reply false)"),
        ("holder", "null", "ok", "null", "asked for the holder (reply nil)"),
        ("read", "[\"x\"]", "ok", "{\"x\":1}", "read [\"x\"]: {x: 1}"),
        ("txn", "[[\"r\",1,null]]", "ok", "[[\"r\",1,7]]", "committed [[\"r\", 1, 7]]"),
        ("txn", "[[\"w\",1,7]]", "info", "null", "tried to commit [[\"w\", 1, 7]]"),
        ("frobnicate", "5", "ok", "7", "called frobnicate 5 (reply 7)"),
    ] {
        let history = history(&format!("1 {f} null {input} -> {outcome} {reply}"));
        assert_eq!(describe(&history, &history.ops().at(0)), expected);
    }
}
