//! Reading histories: what is torn may be torn, what is broken is named.
use crate::history::{HistoryError, Outcome, Record, read_jsonl, write_record};
use crate::testing::{complete, history, try_history};
use crate::value::Value;

fn broken(lines: &str) -> String {
    match try_history(lines) {
        Err(error @ HistoryError::Broken { .. }) => error.to_string(),
        other => panic!("not broken: {other:?}"),
    }
}

const CALL: &str = r#"{"type":"invoke","process":0,"f":"write","key":"k","value":[1,{"a":null}]}"#;

#[test]
fn a_torn_last_line_is_dropped_and_its_call_stays_open() {
    let whole = complete(&format!("{CALL}\n{{\"type\":\"ok\",\"process\":0}}"));
    for cut in 1..30 {
        let history = read_jsonl(&whole.as_bytes()[..whole.len() - 1 - cut]).expect("torn, not broken");
        assert_eq!((history.ops().len(), history.ops().at(0).outcome), (1, Outcome::Info));
        assert!(!history.complete);
    }
    let history = read_jsonl(&whole.as_bytes()[..whole.len() - 1]).expect("only the newline is missing");
    assert_eq!(history.ops().at(0).outcome, Outcome::Ok);
}

#[test]
fn a_bad_line_is_named_by_line_and_column() {
    let text = format!("{}{{\"type\":\"ok\",\"index\":1,\"time\":x}}\n", complete(CALL));
    match read_jsonl(text.as_bytes()) {
        Err(HistoryError::Malformed { line: 2, column, .. }) => assert!(column > 20),
        other => panic!("{other:?}"),
    }
}

#[test]
fn broken_recordings_are_named() {
    let double = broken(&format!("{CALL}\n{CALL}"));
    assert!(double.contains("record 1: process 0 calls while its last call is open"), "{double}");
    let nothing = broken(r#"{"type":"ok","process":5}"#);
    assert!(nothing.contains("process 5 completes a call it never made"), "{nothing}");
    let retired = broken(&format!("{CALL}\n{{\"type\":\"info\",\"process\":0}}\n{CALL}"));
    assert!(retired.contains("process 0 was retired by the info at 1"), "{retired}");
    let twice = broken(&format!("{CALL}\n{{\"type\":\"ok\",\"process\":0}}\n{{\"type\":\"ok\",\"process\":0}}"));
    assert!(twice.contains("record 2: process 0 completes"), "{twice}");
    let gap = broken(&format!("{CALL}\n{{\"type\":\"ok\",\"process\":0,\"index\":2}}"));
    assert!(gap.contains("its index should be 1"), "{gap}");
    let back = broken(&format!(
        "{{\"type\":\"note\",\"time\":9,\"text\":\"\"}}\n{}",
        CALL.replace("\"f\"", "\"time\":8,\"f\"")
    ));
    assert!(back.contains("before the record in front of it"), "{back}");
    let mover = format!("{CALL}\n{{\"type\":\"ok\",\"process\":0}}\n{}", CALL.replace("\"f\"", "\"worker\":9,\"f\""));
    assert!(broken(&mover).contains("process 0 belongs to worker 0"));
    let after = broken("{\"type\":\"end\"}\n{\"type\":\"note\",\"text\":\"\"}");
    assert!(after.contains("after the end"), "{after}");
    let late_start = broken("{\"type\":\"note\",\"text\":\"\"}\n{\"type\":\"start\",\"nodes\":[]}");
    assert!(late_start.contains("start"), "{late_start}");
    let newer = broken(r#"{"type":"start","nodes":[],"version":99}"#);
    assert!(newer.contains("version 99"), "{newer}");
    let early = broken(r#"{"type":"role","node":"n1","sent_index":4}"#);
    assert!(early.contains("probe"), "{early}");
}

#[test]
fn equal_times_are_fine_and_values_survive() {
    let lines = format!("{}\n{{\"type\":\"ok\",\"process\":0,\"time\":0,\"value\":\"\\u00e9\"}}", CALL);
    let history = history(&lines);
    let op = history.ops().at(0);
    assert_eq!((op.call_time, op.reply_time), (0, 0));
    assert_eq!(op.key, Value::text("k"));
    assert_eq!(op.output, Value::text("\u{e9}"));
    assert_eq!(op.input.to_string(), "[1, {a: nil}]");
}

#[test]
fn what_is_written_is_read_whatever_the_order_of_the_fields() {
    let text = complete(&format!("{CALL}\n{{\"type\":\"fail\",\"process\":0,\"error\":\"refused: \\\"no\\\"\"}}"));
    let mut written = Vec::new();
    for line in text.lines() {
        let record: Record = serde_json::from_str(line).expect("a record");
        write_record(&mut written, &record).expect("written");
    }
    assert!(written.starts_with(b"{\"type\":\"invoke\""));
    let (one, other) = (read_jsonl(text.as_bytes()).expect("read"), read_jsonl(&written[..]).expect("read"));
    assert_eq!(
        format!("{:?}", one.ops().iter().collect::<Vec<_>>()),
        format!("{:?}", other.ops().iter().collect::<Vec<_>>())
    );
    assert_eq!(one.ops().at(0).error.map(|error| one.name(error)), Some("refused: \"no\""));
}
