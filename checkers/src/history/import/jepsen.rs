//! Jepsen's histories, as EDN and as JSON: operation maps one after the other, or in one vector.
//!
//! Fields read: `type` (invoke, ok, fail, info), `process`, `f` (absent: `txn`, as in Elle's examples), `value`, `time`
//! (nanoseconds), `error`, `key`, `node`, `workload`, `final?` (or `settle`), `seek-to-beginning?` (with the value
//! as an entry of a map, `keys`). The place in the file is the order; an
//! `index` that goes back is an error. Every other field is passed over by its brackets and quotes alone, so that nothing
//! in it refuses the file. Records (`#jepsen.history.Op{...}`) are maps. A record of another type (`log`, `sleep`) is
//! passed over and counted in a remark. A map with a field `history` holds the records there.
//! What the process `:nemesis` does becomes notes (that of `:roles`, `:phases` and `:target`, which our export writes, too);
//! processes with other names are clients, numbered as they come.
//!
//! Of `ok` the value is the reply; functions that answer nothing (write, cas, add, ...) repeat their argument there,
//! which is dropped. `fail` means no effect, `info` means that the effect is unknown, a call without a completion is open; a value of
//! theirs other than the argument is kept ([`Op::completion_value`](crate::history::Op::completion_value)). A value
//! that is a key with its value (`jepsen.independent`) is told by the caller ([`ReadOptions::independent`]) or by its
//! tag (`MapEntry`, `Tuple`); where values look so and the file does not say, the history is refused.
use super::clients::named;
use super::edn;
use super::foreign::{Caller, Foreign, ForeignRecord};
use super::json;
use super::window::{Scan, Stop, Window};
use crate::history::{History, HistoryError, Outcome, ReadOptions};
use crate::value::{Arena, Kind, Word};
use std::io::Read;

/// In which notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Edn,
}

/// Reads a whole history.
pub(super) fn read(reader: impl Read, syntax: Syntax, options: &ReadOptions) -> Result<History, HistoryError> {
    let mut window = Window::new(reader);
    let mut records = Records {
        syntax,
        foreign: Foreign::new(options, 0),
        json: json::Scratch::default(),
        edn: edn::Scratch::default(),
        scrap: Arena::default(),
        scraps: 0,
        word: String::new(),
        other: String::new(),
        unread: None,
        passed: 0,
    };
    let wrapped = window.scan(|scan| records.wrapping(scan))?;
    let closing = window.scan(|scan| records.begin(scan))?;
    let mut first = true;
    while window.scan(|scan| records.record(scan, closing, first))? {
        first = false;
        if let Some(place) = records.foreign.unplaced() {
            *place = window.place_before(records.passed);
        }
    }
    if wrapped {
        window.scan(|scan| records.unwrap(scan))?;
    }
    window.scan(|scan| records.end(scan))?;
    records.foreign.finish()
}

/// What a record's field is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Type,
    Function,
    Process,
    Value,
    Key,
    Time,
    Index,
    Error,
    Node,
    Workload,
    Settle,
    History,
    ToBeginning,
    Other,
}

impl Field {
    fn of(name: &[u8]) -> Field {
        match name {
            b"type" => Field::Type,
            b"f" => Field::Function,
            b"process" => Field::Process,
            b"value" => Field::Value,
            b"key" => Field::Key,
            b"time" => Field::Time,
            b"index" => Field::Index,
            b"error" => Field::Error,
            b"node" => Field::Node,
            b"workload" => Field::Workload,
            b"final?" | b"settle" => Field::Settle,
            b"history" => Field::History,
            b"seek-to-beginning?" => Field::ToBeginning,
            _ => Field::Other,
        }
    }
}

/// What a record is.
enum Typed {
    /// A call, or how one ended.
    Call(ForeignRecord),
    /// Something else, whose type is remembered.
    Other,
}

struct Records {
    syntax: Syntax,
    foreign: Foreign,
    json: json::Scratch,
    edn: edn::Scratch,
    /// For values that are not kept.
    scrap: Arena,
    scraps: u32,
    word: String,
    /// The type of a record that is none of the four.
    other: String,
    /// A value of the record that could not be read, and why.
    unread: Option<(usize, String)>,
    /// How many bytes of the last record were passed.
    passed: usize,
}

impl Records {
    /// Passes the beginning of a map that holds the records in its field `history`, if that is what stands here.
    fn wrapping(&mut self, scan: &mut Scan<'_>) -> Result<bool, Stop> {
        scan.eat(b"\xEF\xBB\xBF");
        let found = self.wrapped(scan);
        match found {
            Ok(true) => Ok(true),
            Err(Stop::Cut) => Err(Stop::Cut),
            // Whatever it is, it is read (or refused) from its beginning.
            Ok(false) | Err(Stop::Wrong(..) | Stop::Broken(..)) => {
                scan.at = 0;
                Ok(false)
            }
        }
    }

    fn wrapped(&mut self, scan: &mut Scan<'_>) -> Result<bool, Stop> {
        self.space(scan)?;
        if !scan.eat(b"{") {
            return Ok(false);
        }
        let mut first = true;
        loop {
            match self.field(scan, first)? {
                None | Some(Field::Type) => return Ok(false),
                Some(Field::History) => {
                    self.space(scan)?;
                    return Ok(matches!(scan.peek()?, Some(b'[' | b'(' | b'#')));
                }
                Some(_) => self.skip(scan)?,
            }
            first = false;
        }
    }

    /// Passes what stands behind the records in the map that holds them.
    fn unwrap(&mut self, scan: &mut Scan<'_>) -> Result<(), Stop> {
        while self.field(scan, false)?.is_some() {
            self.skip(scan)?;
        }
        Ok(())
    }

    /// Passes a value that no checker reads.
    fn skip(&mut self, scan: &mut Scan<'_>) -> Result<(), Stop> {
        match self.syntax {
            Syntax::Json => json::skip(scan),
            Syntax::Edn => edn::skip(scan),
        }
    }

    /// Passes the bracket in front of the first record, if there is one. Its counterpart.
    fn begin(&mut self, scan: &mut Scan<'_>) -> Result<Option<u8>, Stop> {
        if scan.eat(b"\xEF\xBB\xBF") {
            // A mark of the byte order, as some editors write it.
        }
        self.space(scan)?;
        if self.syntax == Syntax::Edn {
            edn::tag(scan)?;
            self.space(scan)?;
        }
        let closing = match (self.syntax, scan.peek()?) {
            (_, Some(b'[')) => b']',
            (Syntax::Edn, Some(b'(')) => b')',
            // A tag of the first record is read again with it.
            _ => {
                scan.at = 0;
                return Ok(None);
            }
        };
        scan.at += 1;
        Ok(Some(closing))
    }

    fn end(&mut self, scan: &mut Scan<'_>) -> Result<(), Stop> {
        if self.space(scan)? { scan.expected("the end") } else { Ok(()) }
    }

    /// Passes what says nothing. Whether something follows.
    fn space(&mut self, scan: &mut Scan<'_>) -> Result<bool, Stop> {
        match self.syntax {
            Syntax::Json => {
                json::space(scan)?;
                Ok(scan.peek()?.is_some())
            }
            Syntax::Edn => edn::approach(scan, &mut self.scrap, &mut self.edn),
        }
    }

    /// Takes the next record; false when there is none.
    fn record(&mut self, scan: &mut Scan<'_>, closing: Option<u8>, first: bool) -> Result<bool, Stop> {
        self.foreign.forget();
        scan.eat(b"\xEF\xBB\xBF");
        if !self.space(scan)? {
            return if closing.is_some() { scan.expected("the rest of the list") } else { Ok(false) };
        }
        if closing.is_some() && scan.peek()? == closing {
            scan.at += 1;
            return Ok(false);
        }
        if self.syntax == Syntax::Json && closing.is_some() && !first {
            if scan.peek()? != Some(b',') {
                return scan.expected("a comma or ]");
            }
            scan.at += 1;
            self.space(scan)?;
        }
        if self.syntax == Syntax::Edn {
            edn::tag(scan)?;
            self.space(scan)?;
        }
        let from = scan.at;
        if scan.peek()? != Some(b'{') {
            return scan.expected("an operation: a map with type, process, f and value");
        }
        scan.at += 1;
        self.unread = None;
        match self.fields(scan, from)? {
            Typed::Call(act) => {
                // Who is no client may say what it likes.
                if let (Some((at, message)), false) = (self.unread.take(), matches!(act.caller, Caller::Other(_))) {
                    return Err(Stop::Wrong(at, message));
                }
                self.foreign.take(act).map_err(|error| Stop::Broken(from, error))?;
            }
            Typed::Other => self.foreign.passed(&self.other),
        }
        self.passed = scan.at - from;
        Ok(true)
    }

    fn fields(&mut self, scan: &mut Scan<'_>, from: usize) -> Result<Typed, Stop> {
        let mut act = ForeignRecord::default();
        let mut typed = None;
        let mut first = true;
        while let Some(field) = self.field(scan, first)? {
            first = false;
            if field == Field::Type {
                let known = self.outcome(scan)?;
                act.outcome = known.unwrap_or_default();
                typed = Some(known.is_some());
                if known.is_none() {
                    self.other.clone_from(&self.word);
                }
            } else if typed == Some(false) {
                self.skip(scan)?;
            } else {
                self.content(scan, field, from, &mut act)?;
            }
        }
        match typed {
            Some(true) => Ok(Typed::Call(act)),
            Some(false) => Ok(Typed::Other),
            None => Err(Stop::Wrong(from, "expected an operation: this map has no type".to_owned())),
        }
    }

    /// The next field's name, `None` behind the last.
    fn field(&mut self, scan: &mut Scan<'_>, first: bool) -> Result<Option<Field>, Stop> {
        if !self.space(scan)? {
            return scan.expected("the rest of the map");
        }
        if scan.peek()? == Some(b'}') {
            scan.at += 1;
            return Ok(None);
        }
        match self.syntax {
            Syntax::Json => {
                if !first {
                    if scan.peek()? != Some(b',') {
                        return scan.expected("a comma or }");
                    }
                    scan.at += 1;
                    json::space(scan)?;
                }
                if scan.peek()? != Some(b'"') {
                    return scan.expected("a name in quotes");
                }
                let field = Field::of(json::string(scan, &mut self.json.text)?.as_bytes());
                json::colon(scan)?;
                Ok(Some(field))
            }
            Syntax::Edn => {
                self.text(scan)?;
                let field = Field::of(self.word.as_bytes());
                if !self.space(scan)? {
                    return scan.expected("a value");
                }
                Ok(Some(field))
            }
        }
    }

    /// What the type says; none where it is none of the four.
    fn outcome(&mut self, scan: &mut Scan<'_>) -> Result<Option<Option<Outcome>>, Stop> {
        let at = scan.at;
        if !self.text(scan)? {
            return Err(Stop::Wrong(at, "expected one of the types invoke, ok, fail and info, found nil".to_owned()));
        }
        // JSON made from EDN may have kept the colon of a keyword.
        Ok(match self.word.strip_prefix(':').unwrap_or(&self.word) {
            "invoke" => Some(None),
            "ok" => Some(Some(Outcome::Ok)),
            "fail" => Some(Some(Outcome::Fail)),
            "info" => Some(Some(Outcome::Info)),
            _ => None,
        })
    }

    fn content(&mut self, scan: &mut Scan<'_>, field: Field, from: usize, act: &mut ForeignRecord) -> Result<(), Stop> {
        let broken = |error| Stop::Broken(from, error);
        match field {
            Field::Value => {
                if self.syntax == Syntax::Edn {
                    self.space(scan)?;
                    let from = scan.at;
                    let tag = edn::tag(scan)?.unwrap_or_default();
                    act.pair = ["MapEntry", "Tuple", "tuple"].iter().any(|name| tag.ends_with(name));
                    if !act.pair {
                        scan.at = from;
                    }
                }
                act.value = self.kept(scan)?;
            }
            Field::Key => act.key = self.kept(scan)?,
            Field::Process => act.caller = self.caller(scan)?,
            // Anything but a small number says nothing about the order.
            Field::Index => match self.quick_integer(scan)? {
                Some(index) => act.index = u64::try_from(index).ok(),
                None => drop(self.scrap(scan)?),
            },
            Field::Time => {
                let quick = self.quick_integer(scan)?;
                let time = match quick {
                    Some(time) => Some(time),
                    None => {
                        let word = self.scrap(scan)?;
                        self.scrap.get(word).as_int()
                    }
                };
                act.time = time.map(|time| time.max(0) as u64);
            }
            Field::Settle => {
                let word = self.scrap(scan)?;
                act.settle = self.scrap.get(word).as_bool() == Some(true);
            }
            Field::ToBeginning => {
                let word = self.scrap(scan)?;
                act.to_beginning = self.scrap.get(word).as_bool() == Some(true);
            }
            Field::Function => {
                if self.text(scan)? {
                    act.function = Some(self.foreign.name(2, &self.word).map_err(broken)?);
                }
            }
            Field::Node => {
                if self.text(scan)? {
                    act.node = Some(self.foreign.name(0, &self.word).map_err(broken)?);
                }
            }
            Field::Workload => {
                if self.text(scan)? {
                    act.workload = Some(self.foreign.name(1, &self.word).map_err(broken)?);
                }
            }
            Field::Error => {
                // Exceptions are printed here, which are not always EDN: then as they stand.
                let from = scan.at;
                match self.text(scan) {
                    Ok(true) => act.error = Some(self.foreign.error(&self.word)),
                    Ok(false) => {}
                    Err(Stop::Wrong(..)) => {
                        scan.at = from;
                        self.skip(scan)?;
                        let raw = String::from_utf8_lossy(&scan.bytes[from..scan.at]).into_owned();
                        act.error = Some(self.foreign.error(raw.trim()));
                    }
                    Err(stop) => return Err(stop),
                }
            }
            Field::Type | Field::History | Field::Other => {
                if self.quick_integer(scan)?.is_none() {
                    self.skip(scan)?;
                }
            }
        }
        Ok(())
    }

    fn caller(&mut self, scan: &mut Scan<'_>) -> Result<Caller, Stop> {
        json::space(scan)?;
        let at = scan.at;
        if let Some(number) = json::integer(scan) {
            return match u64::try_from(number) {
                Ok(number) => Ok(Caller::Client(number)),
                Err(_) => Err(Stop::Wrong(at, format!("a process is 0 or more, not {number}"))),
            };
        }
        let word = self.scrap(scan)?;
        match self.scrap.get(word).kind() {
            Kind::Nil => Ok(Caller::Unnamed),
            Kind::Int(number) if number >= 0 => Ok(Caller::Client(number as u64)),
            Kind::Text(name) => Ok(named(name)),
            _ => Err(Stop::Wrong(at, "expected a process: a number, or a name such as nemesis".to_owned())),
        }
    }

    /// A whole number, if one stands here: nearly every time and index.
    fn quick_integer(&mut self, scan: &mut Scan<'_>) -> Result<Option<i64>, Stop> {
        json::space(scan)?;
        Ok(json::integer(scan))
    }

    /// A value that is kept with the history. What cannot be read is passed over, and remembered: only of a client's
    /// call it is an error.
    fn kept(&mut self, scan: &mut Scan<'_>) -> Result<Word, Stop> {
        let from = scan.at;
        let arena = self.foreign.arena();
        let word = match self.syntax {
            Syntax::Json => json::value(scan, arena, &mut self.json),
            Syntax::Edn => match edn::form(scan, arena, &mut self.edn) {
                Ok(None) => scan.expected("a value"),
                Ok(Some(word)) => Ok(word),
                Err(stop) => Err(stop),
            },
        };
        match word {
            Err(Stop::Wrong(at, message)) => {
                scan.at = from;
                if self.skip(scan).is_err() {
                    return Err(Stop::Wrong(at, message));
                }
                self.unread.get_or_insert((at, message));
                Ok(Word::NIL)
            }
            other => other,
        }
    }

    /// A value that is looked at and forgotten.
    fn scrap(&mut self, scan: &mut Scan<'_>) -> Result<Word, Stop> {
        self.scraps += 1;
        if self.scraps.is_multiple_of(1024) {
            self.scrap = Arena::default();
        }
        self.scrap.forget(0);
        match self.syntax {
            Syntax::Json => json::value(scan, &mut self.scrap, &mut self.json),
            Syntax::Edn => match edn::form(scan, &mut self.scrap, &mut self.edn)? {
                Some(word) => Ok(word),
                None => scan.expected("a value"),
            },
        }
    }

    /// A value as a text, in `word`; false where it is nil. Names are texts nearly always, and without escapes.
    fn text(&mut self, scan: &mut Scan<'_>) -> Result<bool, Stop> {
        self.word.clear();
        json::space(scan)?;
        match (self.syntax, scan.peek()?) {
            (Syntax::Json, Some(b'"')) => {
                let text = json::string(scan, &mut self.json.text)?;
                self.word.push_str(text);
                return Ok(true);
            }
            (Syntax::Edn, Some(b':')) => {
                self.word.push_str(edn::keyword(scan)?);
                return Ok(true);
            }
            _ => {}
        }
        let word = self.scrap(scan)?;
        let value = self.scrap.get(word);
        match value.kind() {
            Kind::Nil => return Ok(false),
            Kind::Text(text) => self.word.push_str(text),
            _ => self.word.push_str(&value.to_string()),
        }
        Ok(true)
    }
}
