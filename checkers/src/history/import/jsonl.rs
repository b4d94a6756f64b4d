//! Reading and writing `history.jsonl`.
//!
//! Calls and replies as [`write_record`] writes them go straight from the text into the history's columns; every other
//! line takes the longer way through [`Record`], with the same result.
use super::json::{self, Scratch};
use super::window::{Scan, Stop, Window};
use crate::history::builder::{Call, Reply};
use crate::history::{Completion, History, HistoryBuilder, HistoryError, Invoke, Outcome, Record};
use crate::value::Word;
use serde::Deserialize;
use std::io::{self, BufRead, Write};

/// Reads JSON lines as written by [`write_record`]. A last line without its newline that does not parse is dropped: the
/// writer was killed in the middle of it.
pub fn read_jsonl(reader: impl BufRead) -> Result<History, HistoryError> {
    let mut lines = Window::new(reader);
    let mut history = HistoryBuilder::new();
    let mut scratch = Scratch::default();
    let mut unknown = Unknown::default();
    let mut number = 0;
    while let Some(line) = lines.line()? {
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let mark = history.arena().mark();
        if let Some(taken) = quickly(line, &mut history, &mut scratch) {
            taken.map_err(|error| error.at((number, 1)))?;
            continue;
        }
        history.arena().forget(mark);
        match record(line) {
            Ok((record, realtime)) => {
                unknown.take(line, number)?;
                history.push(record).map_err(|error| error.at((number, 1)))?;
                if !realtime {
                    history.no_realtime();
                }
            }
            Err(_) if line.last() != Some(&b'\n') => break,
            Err(error) => {
                // A field that is missing may be there under a misspelt name.
                unknown.take(line, number)?;
                let column = error.column() as u64;
                return Err(HistoryError::Malformed { line: number, column, message: without_position(&error) });
            }
        }
    }
    let mut history = history.finish()?;
    history.remarks.extend(unknown.told());
    Ok(history)
}

/// Writes one record as a line.
pub fn write_record(writer: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, record)?;
    writer.write_all(b"\n")
}

/// The record of a line, and whether it leaves the order between processes its meaning.
fn record(line: &[u8]) -> serde_json::Result<(Record, bool)> {
    /// What a history of sessions says in its first record.
    #[derive(Deserialize)]
    struct Order {
        #[serde(default = "yes")]
        realtime: bool,
    }
    fn yes() -> bool {
        true
    }
    // Lines as we write them say first what they are: so calls and replies are not looked at twice.
    let reply = |kind: fn(Completion) -> Record| serde_json::from_slice(line).map(|reply| (kind(reply), true));
    let begins = |start: &str| line.starts_with(start.as_bytes());
    if begins("{\"type\":\"invoke\"") {
        return serde_json::from_slice::<Invoke>(line).map(|call| (Record::Invoke(call), true));
    } else if begins("{\"type\":\"ok\"") {
        return reply(Record::Ok);
    } else if begins("{\"type\":\"fail\"") {
        return reply(Record::Fail);
    } else if begins("{\"type\":\"info\"") {
        return reply(Record::Info);
    }
    let record = serde_json::from_slice(line)?;
    let realtime = !matches!(record, Record::Start { .. }) || serde_json::from_slice::<Order>(line)?.realtime;
    Ok((record, realtime))
}

/// The fields of records, of whatever type.
const FIELDS: &[&str] = &[
    "type",
    "index",
    "time",
    "version",
    "nodes",
    "wall",
    "realtime",
    "worker",
    "process",
    "node",
    "workload",
    "f",
    "key",
    "value",
    "settle",
    "error",
    "fault",
    "kind",
    "step",
    "what",
    "cut",
    "detail",
    "ended",
    "problem",
    "role",
    "term",
    "sent_index",
    "sent_time",
    "term_with_role",
    "source",
    "phase",
    "text",
    "leads",
    "between",
    "how",
    "again",
    "ran_ms",
    "times",
];

/// Fields that no record has: those of a later release, which are passed over and named in a remark.
#[derive(Default)]
struct Unknown {
    count: u64,
    /// The first few names, with the line of each.
    names: Vec<(String, u64)>,
}

impl Unknown {
    /// Looks at the fields of a record.
    ///
    /// # Errors
    /// When a field differs from a known one in a letter or two: its value would silently be the default.
    fn take(&mut self, line: &[u8], number: u64) -> Result<(), HistoryError> {
        let mut room = String::new();
        let scan = &mut Scan::of(line);
        let mut separator = b'{';
        loop {
            let at = scan.at;
            // The line was read as a record before: whatever this loop cannot follow says nothing.
            let (Ok(()), true) = (json::space(scan), scan.bytes.get(scan.at) == Some(&separator)) else {
                return Ok(());
            };
            scan.at += 1;
            let _ = json::space(scan);
            if scan.bytes.get(scan.at) != Some(&b'"') {
                return Ok(());
            }
            let Ok(name) = json::string(scan, &mut room) else { return Ok(()) };
            if !FIELDS.contains(&name) {
                if let Some(meant) = FIELDS.iter().find(|field| near(field, name)) {
                    let (line, column) = (number, at as u64 + 1);
                    let message = format!("no record has a field {}; did you mean {meant}?", json::clipped(name));
                    return Err(HistoryError::Malformed { line, column, message });
                }
                self.count += 1;
                if self.names.len() < NAMES_MAX && self.names.iter().all(|(known, _)| known != name) {
                    self.names.push((json::clipped(name), number));
                }
            }
            if json::colon(scan).and_then(|()| json::skip(scan)).is_err() {
                return Ok(());
            }
            separator = b',';
        }
    }

    fn told(&self) -> Option<String> {
        let names: Vec<String> = self.names.iter().map(|(name, line)| format!("{name} (line {line})")).collect();
        let fields = if self.count == 1 { "field" } else { "fields" };
        (self.count > 0)
            .then(|| format!("{} {fields} that no record has passed over: {}", self.count, names.join(", ")))
    }
}

/// Unknown fields that a note names, at most.
const NAMES_MAX: usize = 8;

/// Whether one name becomes the other by one letter more, less or another, or by two neighbours that change places.
pub(super) fn near(known: &str, name: &str) -> bool {
    let (one, two) = (known.as_bytes(), name.as_bytes());
    // Of short names everything is near.
    if one.len() < 4 {
        return false;
    }
    let front = one.iter().zip(two).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let back =
        one[front..].iter().rev().zip(two[front..].iter().rev()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let (one, two) = (&one[front..one.len() - back], &two[front..two.len() - back]);
    match (one, two) {
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => one.len() <= 1 && two.len() <= 1,
    }
}

/// Takes a call or reply written as [`write_record`] writes it; `None` where the line is anything else.
fn quickly(line: &[u8], history: &mut HistoryBuilder, scratch: &mut Scratch) -> Option<Result<(), HistoryError>> {
    let scan = &mut Scan::of(line);
    if !scan.eat(b"{\"type\":\"") {
        return None;
    }
    if scan.eat(b"invoke\"") {
        let call = call(scan, history, scratch)?;
        return Some(history.call(&call));
    }
    let outcomes: [(&[u8], Outcome); 3] =
        [(b"ok\"", Outcome::Ok), (b"fail\"", Outcome::Fail), (b"info\"", Outcome::Info)];
    let (_, outcome) = outcomes.into_iter().find(|(name, _)| scan.eat(name))?;
    let reply = reply(scan, history, scratch)?;
    Some(history.reply(&reply, outcome))
}

fn call<'a>(scan: &mut Scan<'a>, history: &mut HistoryBuilder, scratch: &mut Scratch) -> Option<Call<'a>> {
    let index = number(scan, b",\"index\":")?;
    let time = number(scan, b",\"time\":")?;
    let worker = u32::try_from(number(scan, b",\"worker\":")?).ok()?;
    let process = number(scan, b",\"process\":")?;
    let node = plain(scan, b",\"node\":\"")?;
    let workload = plain(scan, b",\"workload\":\"")?;
    let f = plain(scan, b",\"f\":\"")?;
    let key = value(scan, b",\"key\":", history, scratch)?;
    let input = value(scan, b",\"value\":", history, scratch)?;
    let settle = scan.eat(b",\"settle\":true");
    ends(scan)?;
    Some(Call { index, time, worker, process, node, workload, f, key, input, settle })
}

fn reply<'a>(scan: &mut Scan<'a>, history: &mut HistoryBuilder, scratch: &mut Scratch) -> Option<Reply<'a>> {
    let index = number(scan, b",\"index\":")?;
    let time = number(scan, b",\"time\":")?;
    let process = number(scan, b",\"process\":")?;
    let output = value(scan, b",\"value\":", history, scratch)?;
    let error = if scan.eat(b",\"error\":\"") { Some(text(scan)?) } else { None };
    let node = if scan.eat(b",\"node\":\"") { Some(text(scan)?) } else { None };
    ends(scan)?;
    Some(Reply { index, time, process, output, error, node })
}

fn number(scan: &mut Scan<'_>, name: &[u8]) -> Option<u64> {
    if scan.eat(name) { json::integer(scan).and_then(|number| u64::try_from(number).ok()) } else { None }
}

fn plain<'a>(scan: &mut Scan<'a>, name: &[u8]) -> Option<&'a str> {
    if scan.eat(name) { text(scan) } else { None }
}

/// A text without escapes, and its closing quote.
fn text<'a>(scan: &mut Scan<'a>) -> Option<&'a str> {
    let rest = &scan.bytes[scan.at..];
    let length = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
    let text = std::str::from_utf8(&rest[..length]).ok()?;
    scan.at += length + 1;
    (rest[length] == b'"').then_some(text)
}

/// The value of this name, nil where it is absent.
fn value(scan: &mut Scan<'_>, name: &[u8], history: &mut HistoryBuilder, scratch: &mut Scratch) -> Option<Word> {
    if !scan.eat(name) {
        return Some(Word::NIL);
    }
    match json::value(scan, history.arena(), scratch) {
        // The longer way reads fractions and large numbers in its own manner.
        Ok(word) if !scratch.number_changed => Some(word),
        Ok(_) | Err(Stop::Cut | Stop::Wrong(..) | Stop::Broken(..)) => None,
    }
}

fn ends(scan: &mut Scan<'_>) -> Option<()> {
    (scan.eat(b"}") && scan.bytes[scan.at..].iter().all(u8::is_ascii_whitespace)).then_some(())
}

/// What the parser says, without its own position: that is one within the line.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).map_or(message.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"start","index":0,"time":0,"version":1,"nodes":["n1"],"wall":""}"#;

    fn read(call: &str) -> Result<History, HistoryError> {
        read_jsonl(format!("{START}\n{call}\n").as_bytes())
    }

    #[test]
    fn a_misspelt_field_is_an_error_and_an_unknown_one_a_remark() {
        let call = r#"{"type":"invoke","index":1,"time":1,"worker":0,"process":0,"node":"n1","workload":"register","f":"write","value":1}"#;
        assert_eq!(read(call).expect("readable").remarks, [""; 0]);
        for wrong in ["valeu", "vaue", "vallue", "velue", "Value"] {
            let error = read(&call.replace("\"value\"", &format!("\"{wrong}\""))).expect_err(wrong).to_string();
            assert!(error.contains("line 2") && error.contains("did you mean value?"), "{error}");
        }
        for wrong in ["wroker", "worklaod", "proces", "noed"] {
            let right =
                ["worker", "workload", "process", "node"].into_iter().find(|right| near(right, wrong)).expect(wrong);
            let error =
                read(&call.replace(&format!("\"{right}\""), &format!("\"{wrong}\""))).expect_err(wrong).to_string();
            assert!(error.contains(&format!("no record has a field {wrong}; did you mean {right}?")), "{error}");
        }
        let later = read(&call.replace("\"value\"", "\"trace\":{\"id\":[1]},\"value\"")).expect("a later release's");
        assert_eq!(later.remarks, ["1 field that no record has passed over: trace (line 2)"]);
        assert_eq!(later.ops().at(0).input.as_int(), Some(1));
    }
}
