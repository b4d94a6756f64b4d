//! The text log of Jepsen's etcd test, as Porcupine's test data has it: one register, initially nil, one record a line
//! (`INFO  jepsen.util - 4 :invoke :cas [2 3]`). Every other line of the log is passed over.
//!
//! `:fail :cas` is a compare-and-set that was answered with a mismatch (so Porcupine reads it): Ok with the reply
//! `false`, which says what the register did not hold. `:timed-out` stands for the value where a reply never came.
use super::foreign::{Caller, Foreign, ForeignRecord};
use super::window::{Scan, Stop, Window};
use super::{edn, json};
use crate::history::{History, HistoryError, Outcome, ReadOptions};
use std::io::Read;

/// Reads a whole log.
pub(super) fn read_log(reader: impl Read, options: &ReadOptions) -> Result<History, HistoryError> {
    let mut lines = Window::new(reader);
    // There is one register, unless somebody says otherwise.
    let mut foreign = Foreign::new(&options.plainly(), 0);
    let mut scratch = edn::Scratch::default();
    for line in 1.. {
        let Some(text) = lines.line()? else { break };
        let mut scan = Scan::of(text);
        let Some(process) = process(&mut scan) else { continue };
        let wrong = |stop: Stop| match stop {
            Stop::Wrong(at, message) => HistoryError::Malformed { line, column: at as u64 + 1, message },
            Stop::Cut => HistoryError::Malformed { line, column: 1, message: "the line ends too early".to_owned() },
            Stop::Broken(_, error) => error,
        };
        foreign.forget();
        let act = act(&mut scan, process, &mut foreign, &mut scratch).map_err(wrong)?;
        foreign.take(act).map_err(|error| error.at((line, 1)))?;
    }
    foreign.finish()
}

/// The process of a line that is a record.
fn process(scan: &mut Scan<'_>) -> Option<u64> {
    for word in [b"INFO".as_slice(), b"jepsen.util", b"-"] {
        json::space(scan).ok()?;
        if !scan.eat(word) {
            return None;
        }
    }
    json::space(scan).ok()?;
    let number = scan.run(|byte| byte.is_ascii_digit()).ok()?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

fn act(
    scan: &mut Scan<'_>,
    process: u64,
    foreign: &mut Foreign,
    scratch: &mut edn::Scratch,
) -> Result<ForeignRecord, Stop> {
    let kind_at = after_space(scan)?;
    let kind = keyword(scan)?;
    let f_at = after_space(scan)?;
    let f = keyword(scan)?;
    let mut outcome = match kind {
        "invoke" => None,
        "ok" => Some(Outcome::Ok),
        "fail" => Some(Outcome::Fail),
        "info" => Some(Outcome::Info),
        _ => return Err(Stop::Wrong(kind_at, "expected :invoke, :ok, :fail or :info".to_owned())),
    };
    if !matches!(f, "read" | "write" | "cas") {
        return Err(Stop::Wrong(f_at, "expected :read, :write or :cas".to_owned()));
    }
    let value_at = after_space(scan)?;
    let Some(mut value) = edn::form(scan, foreign.arena(), scratch)? else {
        return Err(Stop::Wrong(value_at, "expected a value".to_owned()));
    };
    if foreign.arena().get(value).as_text() == Some("timed-out") {
        value = Default::default();
    } else if f == "cas" && foreign.arena().get(value).as_list().is_none_or(|list| list.len() != 2) {
        return Err(Stop::Wrong(value_at, "expected [from to]".to_owned()));
    } else if f == "cas" && outcome == Some(Outcome::Fail) {
        outcome = Some(Outcome::Ok);
        value = foreign.arena().put_bool(false);
    }
    json::space(scan)?;
    if scan.peek()?.is_some() {
        return scan.expected("the end of the line");
    }
    let function = Some(foreign.name(2, f).map_err(|error| Stop::Broken(0, error))?);
    Ok(ForeignRecord { outcome, caller: Caller::Client(process), function, value, ..ForeignRecord::default() })
}

fn after_space(scan: &mut Scan<'_>) -> Result<usize, Stop> {
    json::space(scan)?;
    Ok(scan.at)
}

fn keyword<'a>(scan: &mut Scan<'a>) -> Result<&'a str, Stop> {
    if !scan.eat(b":") {
        return scan.expected("a keyword");
    }
    let at = scan.at;
    json::utf8(scan.run(edn::in_symbol)?, at)
}
