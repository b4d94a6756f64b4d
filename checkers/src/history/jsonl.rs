//! Reading and writing `history.jsonl`.
//!
//! Calls and replies as [`write_record`] writes them go straight from the text into the history's columns; every other
//! line takes the longer way through [`Record`], with the same result.
use super::builder::{Call, Reply};
use super::json::{self, Shelf};
use super::window::{Scan, Stop, Window};
use super::{Completion, History, HistoryBuilder, HistoryError, Invoke, Outcome, Record};
use crate::value::Word;
use serde::Deserialize;
use std::io::{self, BufRead, Write};

/// Reads JSON lines as written by [`write_record`]. A last line without its newline that does not parse is dropped: the
/// writer was killed in the middle of it.
pub fn read_jsonl(reader: impl BufRead) -> Result<History, HistoryError> {
    let mut lines = Window::new(reader);
    let mut history = HistoryBuilder::new();
    let mut shelf = Shelf::default();
    let mut number = 0;
    while let Some(line) = lines.line()? {
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let mark = history.arena().mark();
        if let Some(taken) = quickly(line, &mut history, &mut shelf) {
            taken.map_err(|error| error.at((number, 1)))?;
            continue;
        }
        history.arena().forget(mark);
        match record(line) {
            Ok((record, realtime)) => {
                history.push(record).map_err(|error| error.at((number, 1)))?;
                if !realtime {
                    history.no_realtime();
                }
            }
            Err(_) if line.last() != Some(&b'\n') => break,
            Err(error) => {
                let column = error.column() as u64;
                return Err(HistoryError::Malformed { line: number, column, message: error.to_string() });
            }
        }
    }
    history.finish()
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

/// Takes a call or reply written as [`write_record`] writes it; `None` where the line is anything else.
fn quickly(line: &[u8], history: &mut HistoryBuilder, shelf: &mut Shelf) -> Option<Result<(), HistoryError>> {
    let scan = &mut Scan::of(line);
    if !scan.eat(b"{\"type\":\"") {
        return None;
    }
    if scan.eat(b"invoke\"") {
        let call = call(scan, history, shelf)?;
        return Some(history.call(&call));
    }
    let outcomes: [(&[u8], Outcome); 3] =
        [(b"ok\"", Outcome::Ok), (b"fail\"", Outcome::Fail), (b"info\"", Outcome::Info)];
    let (_, outcome) = outcomes.into_iter().find(|(name, _)| scan.eat(name))?;
    let reply = reply(scan, history, shelf)?;
    Some(history.reply(&reply, outcome))
}

fn call<'a>(scan: &mut Scan<'a>, history: &mut HistoryBuilder, shelf: &mut Shelf) -> Option<Call<'a>> {
    let index = number(scan, b",\"index\":")?;
    let time = number(scan, b",\"time\":")?;
    let worker = u32::try_from(number(scan, b",\"worker\":")?).ok()?;
    let process = number(scan, b",\"process\":")?;
    let node = plain(scan, b",\"node\":\"")?;
    let workload = plain(scan, b",\"workload\":\"")?;
    let f = plain(scan, b",\"f\":\"")?;
    let key = value(scan, b",\"key\":", history, shelf)?;
    let input = value(scan, b",\"value\":", history, shelf)?;
    let settle = scan.eat(b",\"settle\":true");
    ends(scan)?;
    Some(Call { index, time, worker, process, node, workload, f, key, input, settle })
}

fn reply<'a>(scan: &mut Scan<'a>, history: &mut HistoryBuilder, shelf: &mut Shelf) -> Option<Reply<'a>> {
    let index = number(scan, b",\"index\":")?;
    let time = number(scan, b",\"time\":")?;
    let process = number(scan, b",\"process\":")?;
    let output = value(scan, b",\"value\":", history, shelf)?;
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
fn value(scan: &mut Scan<'_>, name: &[u8], history: &mut HistoryBuilder, shelf: &mut Shelf) -> Option<Word> {
    if !scan.eat(name) {
        return Some(Word::NIL);
    }
    match json::value(scan, history.arena(), shelf) {
        // The longer way reads fractions and large numbers in its own manner.
        Ok(word) if !shelf.odd => Some(word),
        Ok(_) | Err(Stop::Cut | Stop::Wrong(..) | Stop::Broken(..)) => None,
    }
}

fn ends(scan: &mut Scan<'_>) -> Option<()> {
    (scan.eat(b"}") && scan.bytes[scan.at..].iter().all(u8::is_ascii_whitespace)).then_some(())
}
