//! The table of error codes: Fail and Info calls by the code of their error. Pure.
use crate::store::{ErrorRow, RunInfo};
use crate::targets::exec::UNBELIEVED;
use dsfuzz_checkers::history::NameId;
use dsfuzz_checkers::{History, Op, Outcome};
use dsfuzz_workloads::codes::{CRASH, MALFORMED};
use std::collections::BTreeMap;

/// Longest code; a longer text without a colon is no code.
const CODE_CHARS_MAX: usize = 40;
/// Longest example.
const EXAMPLE_CHARS_MAX: usize = 300;
/// The codes of an open call, of an end without an error, and of an error without a code.
const NO_REPLY: &str = "no reply";
const NO_ERROR: &str = "no error given";
const OTHER: &str = "other";

/// The code of an error: its text up to the first colon. A short error without a colon is its own code.
pub fn code_of(error: &str) -> &str {
    let head = error.split([':', ';']).next().unwrap_or_default().trim();
    if head.is_empty() || head.chars().count() > CODE_CHARS_MAX { OTHER } else { head }
}

/// The number of calls, the first call, its error, the nodes.
type ErrorCount = (u64, u64, String, Vec<NameId>);

/// Every code with its number of calls, Fail and Info apart; the most frequent first.
pub(super) fn table(history: &History) -> Vec<ErrorRow> {
    let mut rows: BTreeMap<(String, bool, bool), ErrorCount> = BTreeMap::new();
    for op in history.ops().iter().filter(|op| op.outcome != Outcome::Ok) {
        let unsaid = if op.reply == Op::OPEN { NO_REPLY } else { NO_ERROR };
        let text = op.error.map_or(unsaid, |error| history.name(error));
        let key = (code_of(text).to_owned(), op.outcome == Outcome::Fail, op.settle);
        let row = rows.entry(key).or_insert_with(|| {
            let example: String = text.chars().take(EXAMPLE_CHARS_MAX).collect();
            (0, op.call, example, Vec::new())
        });
        row.0 += 1;
        if !row.3.contains(&op.node) {
            row.3.push(op.node);
        }
    }
    let mut rows: Vec<ErrorRow> = rows
        .into_iter()
        .map(|((code, fail, final_read), (count, first, example, nodes))| {
            let mut nodes: Vec<String> = nodes.into_iter().map(|node| history.name(node).to_owned()).collect();
            nodes.sort();
            let outcome = if fail { "fail" } else { "info" }.to_owned();
            ErrorRow { code, outcome, final_read, count, first, example, nodes }
        })
        .collect();
    rows.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.code.cmp(&other.code)));
    rows
}

/// Faults of the client in its own answers. No verdict may rest on such a run.
pub(super) fn client_faults(history: &History, info: &RunInfo) -> Option<String> {
    let unbelieved = |op: &Op<'_>| {
        op.outcome == Outcome::Info && op.error.is_some_and(|error| history.name(error).starts_with(UNBELIEVED))
    };
    let mut faulty = history.ops().iter().filter(unbelieved);
    let first = faulty.next()?;
    let count = 1 + faulty.count();
    let text = first.error.map_or("", |error| history.name(error)).trim_start_matches(UNBELIEVED);
    let answers = if count == 1 { "1 answer".to_owned() } else { format!("{count} answers") };
    Some(format!("the client of {} gave {answers} that cannot be true, first #{}: {text}", info.target, first.call))
}

/// Notes about calls that are in doubt by a fault of the client alone.
pub(super) fn client_notes(rows: &[ErrorRow]) -> Vec<String> {
    let in_doubt =
        |row: &&ErrorRow| row.outcome == "info" && (row.code == CRASH.code || row.code.starts_with(MALFORMED.code));
    let note = |row: &ErrorRow| {
        let calls = if row.count == 1 { "1 call is".to_owned() } else { format!("{} calls are", row.count) };
        let (first, example) = (row.first, &row.example);
        format!("{calls} in doubt because the client broke the protocol or ended, first #{first}: {example}")
    };
    rows.iter().filter(in_doubt).map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_a_broken_client_left_in_doubt_are_noted() {
        let row = |code: &str, outcome: &str| ErrorRow {
            code: code.to_owned(),
            outcome: outcome.to_owned(),
            final_read: false,
            count: 139,
            first: 7,
            example: format!("{code}: reconnecting..."),
            nodes: Vec::new(),
        };
        let rows = [row("malformed", "info"), row("malformed", "fail"), row("timeout", "info"), row("crash", "info")];
        let notes = client_notes(&rows);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(
            notes[0],
            "139 calls are in doubt because the client broke the protocol or ended, first #7: malformed: reconnecting..."
        );
    }

    #[test]
    fn codes_are_what_stands_before_the_colon() {
        let long = "a text without any code that is much longer than codes are";
        let cases = [
            ("timeout", "timeout"),
            ("js10059: stream not found", "js10059"),
            ("not connected: refused: 10.0.0.1:6379", "not connected"),
            ("absent: js10059: stream not found", "absent"),
            ("", OTHER),
            (long, OTHER),
        ];
        for (error, code) in cases {
            assert_eq!(code_of(error), code, "{error}");
        }
    }

    #[test]
    fn the_table_counts_by_code_and_names_the_nodes() {
        let lines = [
            r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1","n2"],"wall":"2026-01-01T00:00:00Z"}"#,
            r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n2","workload":"set","f":"add","value":1}"#,
            r#"{"type":"fail","index":2,"time":2,"process":0,"error":"refused: 10.0.0.2"}"#,
            r#"{"type":"invoke","index":3,"time":3,"worker":0,"process":0,"node":"n2","workload":"set","f":"add","value":2}"#,
            r#"{"type":"fail","index":4,"time":4,"process":0,"error":"refused: 10.0.0.2 again"}"#,
            r#"{"type":"invoke","index":5,"time":5,"worker":1,"process":1,"node":"n1","workload":"set","f":"add","value":3}"#,
            r#"{"type":"info","index":6,"time":6,"process":1,"error":"timeout"}"#,
            r#"{"type":"invoke","index":7,"time":7,"worker":2,"process":2,"node":"n1","workload":"set","f":"read","settle":true}"#,
        ];
        let history = dsfuzz_checkers::history::read_jsonl(lines.join("\n").as_bytes()).unwrap();
        let rows = table(&history);
        let codes: Vec<_> =
            rows.iter().map(|row| (&*row.code, &*row.outcome, row.count, row.first, row.final_read)).collect();
        let expected =
            [("refused", "fail", 2, 1, false), ("no reply", "info", 1, 7, true), ("timeout", "info", 1, 5, false)];
        assert_eq!(codes, expected);
        assert_eq!((&rows[0].nodes[..], &*rows[0].example), (&["n2".to_owned()][..], "refused: 10.0.0.2"));
        // An end without an error is still an answer.
        let unsaid =
            lines.join("\n").replace(r#","error":"timeout""#, "").replace(r#","error":"refused: 10.0.0.2 again""#, "");
        let history = dsfuzz_checkers::history::read_jsonl(unsaid.as_bytes()).unwrap();
        let codes: Vec<_> = table(&history).into_iter().map(|row| (row.code, row.outcome, row.first)).collect();
        let row = |code: &str, outcome: &str, first: u64| (code.to_owned(), outcome.to_owned(), first);
        for row in [row(NO_ERROR, "fail", 3), row(NO_ERROR, "info", 5), row(NO_REPLY, "info", 7)] {
            assert!(codes.contains(&row), "{codes:?}");
        }
    }
}
