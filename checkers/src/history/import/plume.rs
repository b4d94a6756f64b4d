//! Transactions of sessions, as the testers of weak isolation write them: Plume's lines, and the text of AWDIT's tests.
//!
//! Two forms. Lines `r(key,value,session,transaction)` and `w(...)`: operations of one transaction carry its number,
//! transaction -1 was aborted, and a value of 0 that no call writes is the initial one (read here as nil). Or sessions
//! apart by `=====`, transactions apart by `-----`, one `r key value` or `w key value` (also `R(key, value)`) on a
//! line; there every value is what it says.
//!
//! Each transaction becomes one call of `txn` with `["w",k,v]` and `["r",k,v]`. **No order between sessions is known**:
//! the sessions lie one behind the other, and [`History::realtime`] is false. Index 0 is left for a start.
use super::foreign::{Caller, Foreign, ForeignRecord};
use super::json;
use super::window::{Scan, Stop, Window};
use crate::history::{History, HistoryError, Outcome, ReadOptions};
use crate::value::{Arena, Word};
use std::collections::{HashMap, HashSet};
use std::io::Read;

#[derive(Clone, Copy, Debug)]
struct Event {
    write: bool,
    key: Word,
    value: Word,
    /// Line of the file.
    line: u64,
}

#[derive(Debug)]
struct Transaction {
    session: u64,
    aborted: bool,
    events: Vec<Event>,
}

/// What a line says.
enum Said {
    Nothing,
    Session,
    Transaction,
    /// Of the session and the transaction with these numbers, where the line tells them.
    Event(Event, Option<(u64, i64)>),
}

/// Reads a whole history.
pub(super) fn read(reader: impl Read, options: &ReadOptions) -> Result<History, HistoryError> {
    let mut lines = Window::new(reader);
    let mut foreign = Foreign::new(&options.plainly(), 1);
    foreign.no_realtime();
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut numbered: HashMap<(u64, i64), usize> = HashMap::new();
    let (mut session, mut open) = (0, false);
    for line in 1.. {
        let Some(text) = lines.line()? else { break };
        let mut scan = Scan::of(text);
        let said = said(&mut scan, line, foreign.arena()).map_err(|stop| malformed(stop, line, text))?;
        match said {
            Said::Nothing => {}
            Said::Session => (session, open) = (session + 1, false),
            Said::Transaction => open = false,
            Said::Event(event, None) => {
                if !open {
                    transactions.push(Transaction { session, aborted: false, events: Vec::new() });
                }
                open = true;
                if let Some(transaction) = transactions.last_mut() {
                    transaction.events.push(event);
                }
            }
            Said::Event(event, Some((session, -1))) => {
                transactions.push(Transaction { session, aborted: true, events: vec![event] });
            }
            Said::Event(event, Some((session, number))) => {
                let at = *numbered.entry((session, number)).or_insert_with(|| {
                    transactions.push(Transaction { session, aborted: false, events: Vec::new() });
                    transactions.len() - 1
                });
                transactions[at].events.push(event);
            }
        }
    }
    if !numbered.is_empty() {
        initially_nil(&mut transactions, foreign.arena());
    }
    let (read, write) = (foreign.arena().put_text("r"), foreign.arena().put_text("w"));
    let mut parts = Vec::new();
    for Transaction { session, aborted, events } in transactions {
        let line = events.first().map_or(1, |event| event.line);
        let mut list = |known: bool, arena: &mut Arena| {
            parts.clear();
            for event in &events {
                let (head, value) = if event.write { (write, event.value) } else { (read, event.value) };
                let value = if known || event.write { value } else { Word::NIL };
                let part = arena.put_list(&[head, event.key, value]);
                parts.push(part);
            }
            arena.put_list(&parts)
        };
        let caller = Caller::Client(session);
        let function = Some(foreign.name(2, "txn")?);
        let value = list(false, foreign.arena());
        let call = ForeignRecord { caller: caller.clone(), function, value, ..ForeignRecord::default() };
        foreign.take(call).map_err(|error| error.at((line, 1)))?;
        let (outcome, value) = match aborted {
            true => (Some(Outcome::Fail), Word::NIL),
            false => (Some(Outcome::Ok), list(true, foreign.arena())),
        };
        let reply = ForeignRecord { outcome, caller, function, value, ..ForeignRecord::default() };
        foreign.take(reply).map_err(|error| error.at((line, 1)))?;
    }
    foreign.finish()
}

fn malformed(stop: Stop, line: u64, text: &[u8]) -> HistoryError {
    let (at, message) = match stop {
        Stop::Wrong(at, message) => (at, message),
        Stop::Cut => (text.len(), "the line ends too early".to_owned()),
        Stop::Broken(_, error) => return error,
    };
    let before = &text[..at.min(text.len())];
    let column = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64 + 1;
    HistoryError::Malformed { line, column, message }
}

/// Reads of a 0 that no call wrote saw the initial state.
fn initially_nil(transactions: &mut [Transaction], arena: &mut Arena) {
    let zero = arena.put_int(0);
    let writes = transactions.iter().flat_map(|transaction| &transaction.events);
    let written: HashSet<Word> =
        writes.filter(|event| event.write && event.value == zero).map(|event| event.key).collect();
    for event in transactions.iter_mut().flat_map(|transaction| &mut transaction.events) {
        if !event.write && event.value == zero && !written.contains(&event.key) {
            event.value = Word::NIL;
        }
    }
}

fn said(scan: &mut Scan<'_>, line: u64, arena: &mut Arena) -> Result<Said, Stop> {
    json::space(scan)?;
    let write = match scan.peek()? {
        None => return Ok(Said::Nothing),
        Some(rule @ (b'=' | b'-')) => {
            scan.run(|byte| byte == rule)?;
            ends(scan)?;
            return Ok(if rule == b'=' { Said::Session } else { Said::Transaction });
        }
        Some(b'w' | b'W') => true,
        Some(b'r' | b'R') => false,
        Some(_) => return scan.expected("r, w, ===== or -----"),
    };
    scan.at += 1;
    json::space(scan)?;
    let bracket = scan.eat(b"(");
    let key = item(scan, arena)?;
    comma(scan, bracket)?;
    let value = item(scan, arena)?;
    json::space(scan)?;
    let event = Event { write, key, value, line };
    if !bracket {
        ends(scan)?;
        return Ok(Said::Event(event, None));
    }
    let mut owner = None;
    if scan.eat(b",") {
        let session = number(scan, "the number of a session")?;
        let session = u64::try_from(session);
        let Ok(session) = session else { return scan.expected("a session that is 0 or more") };
        comma(scan, true)?;
        owner = Some((session, number(scan, "the number of a transaction")?));
        json::space(scan)?;
    }
    if !scan.eat(b")") {
        return scan.expected("a closing bracket");
    }
    ends(scan)?;
    Ok(Said::Event(event, owner))
}

fn comma(scan: &mut Scan<'_>, needed: bool) -> Result<(), Stop> {
    json::space(scan)?;
    if !scan.eat(b",") && needed { scan.expected("a comma") } else { Ok(()) }
}

fn ends(scan: &mut Scan<'_>) -> Result<(), Stop> {
    json::space(scan)?;
    if scan.peek()?.is_some() { scan.expected("the end of the line") } else { Ok(()) }
}

/// A key or value: a number, nil or a plain word.
fn item(scan: &mut Scan<'_>, arena: &mut Arena) -> Result<Word, Stop> {
    json::space(scan)?;
    let at = scan.at;
    let text = scan.run(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b'(' | b')'))?;
    match json::utf8(text, at)? {
        "" => scan.expected("a key or a value"),
        "nil" | "null" => Ok(Word::NIL),
        text => Ok(match text.parse() {
            Ok(number) => arena.put_int(number),
            Err(_) => arena.put_text(text),
        }),
    }
}

fn number(scan: &mut Scan<'_>, what: &str) -> Result<i64, Stop> {
    json::space(scan)?;
    let at = scan.at;
    let text = scan.run(|byte| byte == b'-' || byte.is_ascii_digit())?;
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    scan.at = if number.is_some() { scan.at } else { at };
    number.map_or_else(|| scan.expected(what), Ok)
}
