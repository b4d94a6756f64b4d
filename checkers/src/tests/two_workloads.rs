//! Two workloads of one kind in a history, one right and one wrong: every checker judges each by itself, and says which is
//! wrong.
use super::stories::{judge_lines, lines};
use crate::registry::CHECKERS;
use crate::value::Value;
use crate::verdict::{Severity, Validity};

/// Checkers of the run as a whole.
const RUN_LEVEL: &[&str] = &["split-brain", "availability", "leadership", "liveness", "crashes"];

/// A right history and a wrong one.
type Pair = (&'static str, &'static str);

const REGISTERS: Pair = (
    "1 write 0 1 -> ok\n 1 read 0 null -> ok 1\n 1 write 0 2 -> ok\n 2 read 0 null -> ok 1\n 2 read 0 null -> ok 2
     2 write 0 3 -> ok\n 2 read 0 null -> ok 3\n 1 read 0 null -> ok 2\n 1 read 0 null -> ok 3",
    "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 1 read 0 null -> ok 2\n 1 read 0 null -> ok 1\n 2 read 0 null -> ok 2
     2 write 0 3 -> ok\n 3 read 0 null -> ok 3\n 3 read 0 null -> ok 2\n 3 read 0 null -> ok 1",
);

const ATOMIC: Pair =
    ("1 write 0 1 -> ok\n 2 read 0 null -> ok 1", "1 write 0 1 -> ok\n 1 write 0 2 -> ok\n 2 read 0 null -> ok 1");

const TXNS: Pair = (
    r#"1 txn null [["w",1,7]] -> ok [["w",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
    r#"1 txn null [["w",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
);

const MINI: Pair = (
    r#"1 txn null [["r",1,null],["w",1,7]] -> ok [["r",1,null],["w",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
    r#"1 txn null [["r",1,null],["w",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,7]]"#,
);

const LISTS: Pair = (
    r#"1 txn null [["append",1,7]] -> ok [["append",1,7]]
       2 txn null [["r",1,null]] -> ok [["r",1,[7]]]"#,
    r#"1 txn null [["append",1,7]] -> fail
       2 txn null [["r",1,null]] -> ok [["r",1,[7]]]"#,
);

const SETS: Pair = (
    "n1: 1 add 0 5 -> ok\n settle n1: 8 read 0 null -> ok [5]\n settle n2: 9 read 0 null -> ok [5]",
    "n1: 1 add 0 5 -> ok\n settle n1: 8 read 0 null -> ok []\n settle n2: 9 read 0 null -> ok []",
);

const QUEUES: Pair = (
    "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 2 drain 0 null -> ok []",
    "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 3 dequeue 0 null -> ok 5\n 2 drain 0 null -> ok []",
);

/// A checker with options, and the histories.
type Case = (&'static str, &'static [(&'static str, &'static str)], Pair);

const CASES: &[Case] = &[
    ("linearizable", &[], ATOMIC),
    (
        "linearizable",
        &[("model", "fifo-queue")],
        (
            "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5",
            "1 enqueue 0 5 -> ok\n 2 dequeue 0 null -> ok 5\n 3 dequeue 0 null -> ok 5",
        ),
    ),
    ("set", &[], SETS),
    (
        "replicas-agree",
        &[],
        (
            SETS.0,
            "n1: 1 add 0 5 -> ok
             {\"type\":\"note\",\"text\":\"the replicas converged\"}
             settle n1: 8 read 0 null -> ok [5]\n settle n2: 9 read 0 null -> ok []",
        ),
    ),
    ("list-append", &[("model", "read-committed")], LISTS),
    ("rw-register", &[("model", "read-committed")], TXNS),
    ("mini-transactions", &[("model", "serializable")], MINI),
    (
        "g2",
        &[],
        (
            "1 insert 1 [1,null] -> ok\n 2 insert 1 [null,2] -> fail",
            "1 insert 1 [1,null] -> ok\n 2 insert 1 [null,2] -> ok",
        ),
    ),
    (
        "closed-predicate",
        &[],
        (
            r#"1 init null {"1":1} -> ok
               1 txn null [["w",1,2]] -> ok [["w",1,2]]
               2 txn null [["rp",true,null]] -> ok [["rp",true,{"1":2}]]"#,
            r#"1 init null {"1":1,"2":1} -> ok
               1 txn null [["rp",true,null],["w",1,2]] -> ok [["rp",true,{"1":1,"2":1}],["w",1,2]]
               2 txn null [["rp",true,null],["w",2,2]] -> ok [["rp",true,{"1":1,"2":1}],["w",2,2]]"#,
        ),
    ),
    ("read-committed", &[], TXNS),
    ("read-committed", &[], LISTS),
    ("read-atomic", &[], TXNS),
    ("causal-transactions", &[], LISTS),
    (
        "set-full",
        &[],
        (
            "1 add 0 5 -> ok\n 2 read 0 null -> ok [5]\n 3 read 0 null -> ok [5]",
            "1 add 0 5 -> ok\n 2 read 0 null -> ok [5]\n 3 read 0 null -> ok []",
        ),
    ),
    ("queue", &[], QUEUES),
    (
        "total-queue",
        &[],
        (QUEUES.0, "1 enqueue 0 5 -> ok\n 1 enqueue 0 6 -> ok\n 2 dequeue 0 null -> ok 6\n 2 drain 0 null -> ok []"),
    ),
    (
        "counter",
        &[("initial", "0")],
        ("1 add 0 2 -> ok\n 2 read 0 null -> ok 2", "1 add 0 2 -> ok\n 2 read 0 null -> ok 3"),
    ),
    (
        "unique-ids",
        &[],
        (
            "1 generate 0 null -> ok 1\n 2 generate 0 null -> ok 2",
            "1 generate 0 null -> ok 1\n 2 generate 0 null -> ok 1",
        ),
    ),
    (
        "monotonic",
        &[],
        (
            "1 add 0 1 -> ok 10\n 2 add 0 2 -> ok 11\n settle 3 read 0 null -> ok [[1,10],[2,11]]",
            "1 add 0 1 -> ok 11\n 2 add 0 2 -> ok 10\n settle 3 read 0 null -> ok [[1,11],[2,10]]",
        ),
    ),
    (
        "bank",
        &[],
        (
            r#"1 read null null -> ok {"a":10,"b":0}
               2 transfer null {"from":"a","to":"b","amount":3} -> ok
               1 read null null -> ok {"a":7,"b":3}"#,
            r#"1 read null null -> ok {"a":10,"b":0}
               2 transfer null {"from":"a","to":"b","amount":3} -> ok
               1 read null null -> ok {"a":7,"b":0}"#,
        ),
    ),
    (
        "long-fork",
        &[],
        (
            r#"3 write 1 1 -> ok
               1 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,null]]
               4 write 2 1 -> ok
               2 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,1]]"#,
            r#"3 write 1 1 -> ok
               4 write 2 1 -> ok
               1 read null [["r",1,null],["r",2,null]] -> ok [["r",1,1],["r",2,null]]
               2 read null [["r",2,null],["r",1,null]] -> ok [["r",2,1],["r",1,null]]"#,
        ),
    ),
    (
        "causal-reverse",
        &[],
        (
            "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok [2,1]",
            "1 write 0 1 -> ok\n 2 write 0 2 -> ok\n 3 read 0 null -> ok [2]",
        ),
    ),
    (
        "lock",
        &[],
        (
            "1 acquire 0 null -> ok\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
            "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
        ),
    ),
    (
        "semaphore",
        &[("permits", "1")],
        (
            "1 acquire 0 null -> ok\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
            "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
        ),
    ),
    (
        "lease",
        &[("ttl_ms", "10000")],
        (
            "1 acquire 0 null -> ok\n 1 release 0 null -> ok\n 2 acquire 0 null -> ok",
            "1 acquire 0 null -> ok\n 2 acquire 0 null -> ok",
        ),
    ),
    (
        "fencing",
        &[],
        ("1 acquire 0 null -> ok 5\n 2 acquire 0 null -> ok 6", "1 acquire 0 null -> ok 5\n 2 acquire 0 null -> ok 5"),
    ),
    (
        "kafka",
        &[],
        (
            r#"1 send null [["send","a",1]] -> ok [["send","a",[0,1]]]
               2 poll null [["poll"]] -> ok [["poll",{"a":[[0,1]]}]]"#,
            r#"1 send null [["send","a",1]] -> ok [["send","a",[0,1]]]
               1 send null [["send","a",2]] -> ok [["send","a",[0,2]]]
               2 poll null [["poll"]] -> ok [["poll",{"a":[[0,1]]}]]"#,
        ),
    ),
    (
        "watch",
        &[],
        (
            r#"1 put "a" 1 -> ok 2
               2 watch null {"key":"a","revision":1} -> ok [{"type":"put","key":"a","value":1,"revision":2}]"#,
            r#"1 put "a" 1 -> ok 2
               1 put "a" 2 -> ok 3
               2 watch null {"key":"a","revision":1} -> ok [{"type":"put","key":"a","value":2,"revision":3}]"#,
        ),
    ),
    (
        "atomic-commit",
        &[],
        (
            r#"1 commit 7 null -> ok
               2 status 7 "p" -> ok "committed"
               settle 3 status 7 "q" -> ok "committed""#,
            r#"1 commit 7 null -> ok
               2 status 7 "p" -> ok "committed"
               settle 3 status 7 "q" -> ok "aborted""#,
        ),
    ),
    (
        "saga",
        &[],
        (
            r#"1 start 0 ["a","b"] -> ok
               settle 2 log 0 null -> ok [["step","a"],["step","b"],"completed"]"#,
            r#"1 start 0 ["a","b"] -> ok
               settle 2 log 0 null -> ok [["step","a"],"completed"]"#,
        ),
    ),
    (
        "crdt",
        &[("quiesce_ms", "0")],
        (
            "n1: 1 add 0 2 -> ok\n settle n1: 8 read 0 null -> ok 2\n settle n2: 9 read 0 null -> ok 2",
            "n1: 1 add 0 2 -> ok\n settle n1: 8 read 0 null -> ok 2\n settle n2: 9 read 0 null -> ok 4",
        ),
    ),
    ("sequential", &[], REGISTERS),
    ("causal", &[], REGISTERS),
    ("pram", &[], REGISTERS),
    ("read-your-writes", &[("order", "realtime")], REGISTERS),
    ("monotonic-reads", &[], REGISTERS),
    (
        "monotonic-writes",
        &[("versions", "true")],
        ("1 write 0 1 -> ok 1\n 1 write 0 2 -> ok 2", "1 write 0 1 -> ok 2\n 1 write 0 2 -> ok 1"),
    ),
    (
        "writes-follow-reads",
        &[("versions", "true")],
        (
            "1 write 0 1 -> ok 5\n 2 read 0 null -> ok [5,1]\n 2 write 0 2 -> ok 6",
            "1 write 0 1 -> ok 5\n 2 read 0 null -> ok [5,1]\n 2 write 0 2 -> ok 3",
        ),
    ),
    (
        "eventual-convergence",
        &[("wait_ms", "0")],
        (
            "n1: 1 write 0 1 -> ok\n settle n1: 2 read 0 null -> ok 1\n settle n2: 3 read 0 null -> ok 1",
            "n1: 1 write 0 1 -> ok\n settle n1: 2 read 0 null -> ok\n settle n2: 3 read 0 null -> ok",
        ),
    ),
    ("staleness", &[("k_max", "1")], ATOMIC),
];

fn options(case: &Case) -> Vec<(&'static str, Value)> {
    let value = |text: &str| match text {
        "true" => Value::Bool(true),
        _ => text.parse().map_or_else(|_| Value::text(text), Value::Int),
    };
    case.1.iter().map(|(name, text)| (*name, value(text))).collect()
}

#[test]
fn each_is_judged_by_itself_and_the_wrong_one_is_named() {
    let mut amiss: Vec<String> = Vec::new();
    for case @ (checker, _, (right, wrong)) in CASES {
        let options = options(case);
        let judge = |text: &str| judge_lines(checker, &options, text);
        let (kept, broken) = (judge(&lines("right", 0, right)), judge(&lines("wrong", 10, wrong)));
        let mut expect = |holds: bool, what: &str, summary: &str| {
            if !holds {
                amiss.push(format!("{checker} {:?}: {what}: {summary}", case.1));
            }
        };
        expect(kept.validity == Validity::Valid && kept.workload == "right", "the right one alone", &kept.summary);
        expect(
            broken.validity == Validity::Invalid && broken.workload == "wrong",
            "the wrong one alone",
            &broken.summary,
        );
        for order in [
            [lines("right", 0, right), lines("wrong", 10, wrong)].concat(),
            [lines("wrong", 10, wrong), lines("right", 0, right)].concat(),
        ] {
            let both = judge(&order);
            expect(both.validity == Validity::Invalid, "both", &both.summary);
            expect(both.summary.contains("right: ") && both.summary.contains("wrong: "), "names", &both.summary);
            let violations: Vec<_> =
                both.findings.iter().filter(|finding| finding.severity == Severity::Violation).collect();
            let named = |workload: &str, title: &str| workload == "wrong" && title.starts_with("wrong: ");
            expect(
                !violations.is_empty() && violations.iter().all(|one| named(&one.workload, &one.title)),
                "the findings name the wrong one",
                &both.summary,
            );
            let kinds = |findings: &[crate::Finding]| -> Vec<String> {
                let about = findings.iter().filter(|finding| finding.severity == Severity::Violation);
                about.map(|finding| finding.kind.clone()).collect()
            };
            expect(kinds(&both.findings) == kinds(&broken.findings), "the same findings as alone", &both.summary);
            let numbers = both.numbers.keys().all(|name| name.starts_with("right_") || name.starts_with("wrong_"));
            expect(numbers, "numbers by workload", &both.summary);
        }
        let twice = judge(&[lines("right", 0, right), lines("another", 10, right)].concat());
        expect(twice.validity == Validity::Valid, "two right ones", &twice.summary);
        expect(twice.workload.split(", ").count() == 2, "both are named", &twice.workload);
    }
    assert!(amiss.is_empty(), "{}", amiss.join("\n"));
}

#[test]
fn every_checker_has_a_case_or_judges_the_run_as_a_whole() {
    for doc in CHECKERS {
        let cases = CASES.iter().any(|(checker, ..)| *checker == doc.name);
        assert_ne!(cases, RUN_LEVEL.contains(&doc.name), "{}", doc.name);
    }
}
