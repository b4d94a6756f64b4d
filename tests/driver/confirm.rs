//! Final reads of nodes that answer differently.
use super::final_reads::read_in_mode;
use super::*;
use dsfuzz_checkers::{Budget, Options, Validity, Verdict, checker_with};

const STANDSTILL_MS: u64 = 200;

/// The set with these elements.
fn set(elements: &[i64]) -> CallResult {
    CallResult::Ok(Value::list(elements.iter().copied().map(Value::Int)))
}

fn reads_of(history: &History, node: &str) -> usize {
    history.ops().iter().filter(|op| history.name(op.node) == node).count()
}

/// How `replicas-agree` judges the answered ones of these final reads, after acknowledged adds of 1, 2 and 3.
fn judge(history: &History) -> Verdict {
    let mut lines =
        vec![serde_json::json!({"type": "start", "time": 0, "version": 1, "wall": "", "nodes": ["n1", "n2", "n3"]})];
    for element in 1..=3 {
        lines.push(
            serde_json::json!({"type": "invoke", "time": 0, "worker": 0, "process": 0, "node": "n1", "workload": "set",
            "f": "add", "value": element}),
        );
        lines.push(serde_json::json!({"type": "ok", "time": 0, "process": 0}));
    }
    let mut reads = Vec::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        let (process, node, value) = (op.process, history.name(op.node), op.output.to_value());
        let call = serde_json::json!({"type": "invoke", "time": op.call_time, "worker": 0, "process": process, "node": node,
            "workload": "set", "f": "read", "settle": true});
        let reply = serde_json::json!({"type": "ok", "time": op.reply_time, "process": process, "value": value});
        reads.extend([(op.call, call), (op.reply, reply)]);
    }
    reads.sort_by_key(|(index, _)| *index);
    lines.extend(reads.into_iter().map(|(_, line)| line));
    let numbered = |(index, mut line): (usize, serde_json::Value)| {
        line["index"] = index.into();
        line.to_string()
    };
    let lines: Vec<String> = lines.into_iter().enumerate().map(numbered).collect();
    let history = dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).expect("a history");
    let options = Options([("standstill".to_owned(), Value::text(&format!("{STANDSTILL_MS}ms")))].into());
    checker_with("replicas-agree", &options).expect("an option").check(&history, &Budget::unlimited())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_agree_are_read_once() {
    let answer = |node: &str, _| if node == "n2" { set(&[3, 1, 2]) } else { set(&[1, 2, 3]) };
    let (settled, history) = read_in_mode(FinalReads::EachNode, None, LONG, answer).await;
    assert_eq!((settled.ok, history.ops().len()), (3, 3));
    assert_eq!(judge(&history).validity, Validity::Valid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_behind_is_read_until_it_has_caught_up() {
    let answer = |node: &str, number| if node == "n2" && number < 3 { set(&[1, 3]) } else { set(&[1, 2, 3]) };
    let (settled, history) = read_in_mode(FinalReads::EachNode, None, LONG, answer).await;
    assert!(settled.missed.is_empty(), "{:?}", settled.missed);
    assert_eq!(reads_of(&history, "n2"), 4);
    let verdict = judge(&history);
    assert_eq!(verdict.validity, Validity::Valid, "{}", verdict.summary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_differ_for_good_are_read_until_they_stand_still() {
    // n2 goes on changing for a while; from then on nothing does. A read that fails changes nothing.
    let answer = |node: &str, number| match (node, number) {
        ("n2", 0 | 1) => set(&[1]),
        ("n2", _) => set(&[1, 3]),
        ("n3", 2) => CallResult::fail("timeout"),
        _ => set(&[1, 2, 3]),
    };
    let (settled, history) = read_in_mode(FinalReads::EachNode, None, LONG, answer).await;
    assert!(settled.missed.is_empty(), "{:?}", settled.missed);
    let of_n2 = || history.ops().iter().filter(|op| history.name(op.node) == "n2");
    let changed = of_n2().nth(2).expect("a third read").reply_time;
    let last = of_n2().next_back().expect("a last read").call_time;
    assert!(last - changed >= STANDSTILL_MS * 1_000_000, "{} ns", last - changed);
    let verdict = judge(&history);
    assert_eq!(verdict.validity, Validity::Unknown, "n2 was seen to catch up: {}", verdict.summary);
    let answer = |node: &str, _| if node == "n2" { set(&[1, 3]) } else { set(&[1, 2, 3]) };
    let (_, history) = read_in_mode(FinalReads::EachNode, None, LONG, answer).await;
    let verdict = judge(&history);
    assert_eq!(verdict.validity, Validity::Invalid, "{}", verdict.summary);
    // Where one node answers for all, the others need not hold the same.
    let (_, history) = read_in_mode(FinalReads::AnyNode, None, LONG, answer).await;
    assert_eq!(history.ops().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn confirming_ends_with_the_time_of_the_phase() {
    let answer = |node: &str, number| if node == "n2" { set(&[number as i64]) } else { set(&[1, 2, 3]) };
    let (settled, history) = read_in_mode(FinalReads::EachNode, None, Duration::from_millis(500), answer).await;
    assert!(settled.missed.is_empty(), "each was answered once: {:?}", settled.missed);
    assert!(reads_of(&history, "n2") >= 2);
}
