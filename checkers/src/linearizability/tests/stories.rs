//! Small histories through the checker: the verdict, the kind of anomaly, its operations and its words.
use crate::linearizability::Linearizable;
use crate::models::Model;
use crate::testing::history;
use crate::value::Value;
use crate::verdict::{Budget, Checker, Finding, Validity, Verdict};
use std::sync::Arc;

fn judge(lines: &str) -> Verdict {
    Linearizable::registers().check(&history(lines), &Budget::unlimited())
}

fn only_finding(lines: &str) -> Finding {
    let verdict = judge(lines);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    assert_eq!(verdict.findings.len(), 1);
    verdict.findings.into_iter().next().expect("one finding")
}

#[test]
fn a_stale_read_names_three_operations_and_the_fault() {
    let finding = only_finding(
        r#"
        {"type":"start","nodes":["n1","n2","n3"]}
        {"type":"invoke","process":0,"node":"n1","f":"write","key":"x","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"node":"n2","f":"read","key":"x"}
        {"type":"ok","process":1,"value":1}
        {"type":"fault","fault":4,"kind":"partition","step":"begun","what":"partition: n3 | n1 n2"}
        {"type":"invoke","process":0,"node":"n1","f":"write","key":"x","value":2}
        {"type":"ok","process":0}
        {"type":"invoke","process":2,"node":"n3","f":"read","key":"x"}
        {"type":"ok","process":2,"value":1}
        {"type":"fault","fault":4,"kind":"partition","step":"healed"}
        "#,
    );
    assert_eq!(finding.kind, "stale-read");
    assert_eq!(finding.ops, [1, 6, 8]);
    assert_eq!(finding.faults, [4]);
    assert_eq!(finding.nodes, ["n1", "n3"]);
    let text = finding.sentences.join("\n");
    assert!(text.contains("#6: process 0 on n1 wrote 2; called at 0.006 s, answered at 0.007 s."), "{text}");
    assert!(text.contains("#8: process 2 on n3 read 1;"), "{text}");
    assert!(text.contains("fault 4 (partition: n3 | n1 n2)"), "{text}");
}

#[test]
fn a_value_nobody_wrote_is_a_phantom() {
    let finding = only_finding(
        r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":7}
        {"type":"fail","process":0,"error":"refused"}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":7}
        "#,
    );
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("phantom-read", &[2][..]));
    assert!(finding.sentences.iter().any(|sentence| sentence.contains("certainly failed")), "{finding:?}");
}

#[test]
fn two_compare_and_sets_of_one_value_lose_an_update() {
    let finding = only_finding(
        r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"cas","key":1,"value":[1,2]}
        {"type":"invoke","process":1,"f":"cas","key":1,"value":[1,3]}
        {"type":"ok","process":0}
        {"type":"ok","process":1}
        "#,
    );
    assert_eq!((finding.kind.as_str(), &finding.ops[..]), ("lost-update", &[0, 2, 3][..]));
}

/// Found by chance: of two compare-and-sets that need the same value, one certainly happened.
#[test]
fn a_counterexample_shows_that_its_indeterminate_operations_happened() {
    let finding = only_finding(
        r#"
        {"type":"invoke","process":0,"f":"cas","key":1,"value":[null,1]}
        {"type":"ok","process":0}
        {"type":"invoke","process":1,"f":"cas","key":1,"value":[null,3]}
        {"type":"invoke","process":2,"f":"cas","key":1,"value":[3,4]}
        {"type":"invoke","process":3,"f":"cas","key":1,"value":[3,5]}
        {"type":"invoke","process":4,"f":"read","key":1}
        {"type":"ok","process":4,"value":5}
        "#,
    );
    assert_eq!(finding.ops, [0, 2, 4, 5]);
}

#[test]
fn a_long_chain_of_compare_and_sets_gives_a_short_counterexample() {
    for length in [40, 5_000] {
        let mut lines = String::new();
        for value in 0..length {
            let from = if value == 0 { "null".to_owned() } else { value.to_string() };
            lines += &format!(
                "{{\"type\":\"invoke\",\"process\":0,\"f\":\"cas\",\"key\":1,\"value\":[{from},{}]}}\n",
                value + 1
            );
            lines += "{\"type\":\"ok\",\"process\":0}\n";
        }
        lines += "{\"type\":\"invoke\",\"process\":1,\"node\":\"n2\",\"f\":\"read\",\"key\":1}\n";
        lines += "{\"type\":\"ok\",\"process\":1,\"value\":20}\n";
        let finding = only_finding(&lines);
        assert_eq!(finding.kind, "stale-read");
        assert!(finding.ops.len() <= 4, "{finding:?}");
    }
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_but_not_before_its_call() {
    let fine = r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"info","process":0,"error":"timeout"}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":null}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":1}
        "#;
    assert_eq!(judge(fine).validity, Validity::Valid);
    let early = r#"
        {"type":"invoke","process":1,"f":"write","key":1,"value":2}
        {"type":"ok","process":1}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":1}
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"info","process":0,"error":"timeout"}
        "#;
    assert_eq!(only_finding(early).kind, "future-read");
}

#[test]
fn equal_values_written_twice_still_give_a_small_counterexample() {
    let mut lines = String::new();
    for round in 0..200 {
        let value = round % 2 + 1;
        lines += &format!("{{\"type\":\"invoke\",\"process\":0,\"f\":\"write\",\"key\":1,\"value\":{value}}}\n");
        lines += "{\"type\":\"ok\",\"process\":0}\n";
        lines += "{\"type\":\"invoke\",\"process\":1,\"f\":\"read\",\"key\":1}\n";
        let read = if round == 150 { 3 - value } else { value };
        lines += &format!("{{\"type\":\"ok\",\"process\":1,\"value\":{read}}}\n");
    }
    let finding = only_finding(&lines);
    assert!(finding.ops.len() <= 3, "{finding:?}");
    assert_eq!(finding.kind, "stale-read");
}

#[test]
fn keys_are_judged_one_by_one_and_sets_are_left_alone() {
    let verdict = judge(
        r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"f":"read","key":2}
        {"type":"ok","process":0,"value":null}
        {"type":"invoke","process":1,"f":"read","key":1}
        {"type":"ok","process":1,"value":1}
        {"type":"invoke","process":0,"workload":"set","f":"add","value":1}
        {"type":"ok","process":0}
        {"type":"invoke","process":0,"workload":"set","f":"read"}
        {"type":"ok","process":0,"value":[1]}
        "#,
    );
    assert_eq!(verdict.validity, Validity::Valid);
    assert_eq!((verdict.workload.as_str(), &verdict.numbers["checked_keys"]), ("register", &2.into()));
}

#[test]
fn nothing_acknowledged_is_unknown() {
    let verdict = judge(
        r#"
        {"type":"invoke","process":0,"f":"write","key":1,"value":1}
        {"type":"info","process":0}
        "#,
    );
    assert_eq!(verdict.validity, Validity::Unknown);
    assert_eq!(judge("").validity, Validity::Unknown);
}

#[test]
fn an_exhausted_budget_is_unknown_and_says_what_ran_out() {
    let mut lines = String::new();
    for round in 0..3000 {
        lines += &format!("{{\"type\":\"invoke\",\"process\":0,\"f\":\"write\",\"key\":1,\"value\":{}}}\n", round % 2);
        lines += "{\"type\":\"ok\",\"process\":0}\n";
    }
    let history = history(&lines);
    let late = Budget { expired: Arc::new(|| true), ..Budget::unlimited() };
    let verdict = Linearizable::registers().check(&history, &late);
    assert_eq!(verdict.validity, Validity::Unknown);
    assert!(verdict.summary.contains("the time ran out"), "{}", verdict.summary);
    let small = Budget { memory_bytes: 10, ..Budget::unlimited() };
    let verdict = Linearizable::registers().check(&history, &small);
    assert!(verdict.summary.contains("the memory ran out"), "{}", verdict.summary);
}

/// A counter, as a user would write one: `add` a number, `get` the sum.
struct Counter;

impl Model for Counter {
    type State = i64;
    type Action = (Option<i64>, Option<i64>);

    fn name(&self) -> &'static str {
        "counter"
    }
    fn functions(&self) -> &'static [&'static str] {
        &["add", "get"]
    }
    fn initial(&self) -> i64 {
        0
    }
    fn action(&self, function: &str, input: &Value, reply: Option<&Value>) -> Result<Self::Action, String> {
        match function {
            "add" => input.as_int().map(|by| (Some(by), None)).ok_or_else(|| "add takes a number".to_owned()),
            _ => Ok((None, reply.and_then(Value::as_int))),
        }
    }
    fn step(&self, state: &i64, (by, sum): &Self::Action) -> Option<i64> {
        sum.is_none_or(|sum| sum == *state).then_some(state + by.unwrap_or(0))
    }
    fn observes_only(&self, (by, _): &Self::Action) -> bool {
        by.is_none()
    }
}

#[test]
fn a_model_of_ones_own_is_judged_by_the_search() {
    let lines = |sum: i64| {
        format!(
            r#"
            {{"type":"invoke","process":0,"f":"add","value":1}}
            {{"type":"invoke","process":1,"f":"add","value":2}}
            {{"type":"info","process":1}}
            {{"type":"ok","process":0}}
            {{"type":"invoke","process":2,"f":"get"}}
            {{"type":"ok","process":2,"value":{sum}}}
            "#
        )
    };
    let judge = |sum| Linearizable::new(Counter).check(&history(&lines(sum)), &Budget::unlimited());
    assert_eq!(judge(1).validity, Validity::Valid, "the unknown add may be left out");
    assert_eq!(judge(3).validity, Validity::Valid, "or taken");
    let verdict = judge(2);
    assert_eq!(verdict.validity, Validity::Invalid);
    assert!(verdict.findings[0].title.contains("get #4 on n1 returned 2"), "{:?}", verdict.findings);
}
