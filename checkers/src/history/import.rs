//! [`read`]: histories of every format that is known, and [`Format::detect`], which tells them apart. A text that is
//! compressed with gzip is read as well; other files that a run of Jepsen leaves, or that are compressed in another way,
//! are named in the error.
mod clients;
pub(crate) mod edn;
pub(super) mod foreign;
mod gzip;
mod jepsen;
mod json;
pub(crate) mod jsonl;
mod pairs;
mod plume;
mod porcupine;
mod window;

use super::{History, HistoryError, read_jsonl};
use gzip::{GZIP_MAGIC, Unzipped};
use jepsen::Syntax;
use jsonl::near;
use std::fmt;
use std::io::{BufReader, Read};
use std::str::FromStr;
use window::{Scan, Window};

/// How a history is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Ours: `history.jsonl`.
    Jsonl,
    /// Jepsen's `history.edn`: operation maps, one after the other or in one vector.
    JepsenEdn,
    /// The same fields as JSON: objects one after the other, or in one array.
    JepsenJson,
    /// The text log of Jepsen's etcd test in Porcupine's test data.
    PorcupineEtcd,
    /// Porcupine's key-value histories: Jepsen's EDN with get, put and append on keys.
    PorcupineKv,
    /// Transactions of sessions without an order between them: Plume, PolySI, AWDIT.
    Plume,
}

/// What a file of another program does not say by itself.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The workload's name. By default one that the functions suggest: `register`, `set`, `counter`, `list-append`, ...
    pub workload: Option<String>,
    /// Whether the value of every call is a key with its value, as `jepsen.independent` makes them, where no tag
    /// (`MapEntry`, `Tuple`) says so. By default a history whose values look so is refused ([`HistoryError::AmbiguousKeys`]).
    pub independent: Option<bool>,
    /// Whether a process that calls again after an info is an error. Otherwise it counts as a new one.
    pub strict: bool,
}

impl ReadOptions {
    /// The same for a format whose values are what they are.
    pub(super) fn plainly(&self) -> ReadOptions {
        ReadOptions { independent: self.independent.or(Some(false)), ..self.clone() }
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] = [
        Format::Jsonl,
        Format::JepsenEdn,
        Format::JepsenJson,
        Format::PorcupineEtcd,
        Format::PorcupineKv,
        Format::Plume,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::JepsenEdn => "jepsen-edn",
            Format::JepsenJson => "jepsen-json",
            Format::PorcupineEtcd => "porcupine-etcd",
            Format::PorcupineKv => "porcupine-kv",
            Format::Plume => "plume",
        }
    }

    /// What the first bytes of a text (some hundred are enough) look like. An empty text is an empty history of ours.
    pub fn detect(beginning: &[u8]) -> Option<Format> {
        let beginning = beginning.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(beginning);
        let scan = &mut Scan::of(beginning);
        json::space(scan).ok()?;
        let rest = &beginning[scan.at..];
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
        match rest {
            [] => return Some(Format::Jsonl),
            [b'=' | b'-', ..] if line.iter().all(|byte| *byte == rest[0]) => return Some(Format::Plume),
            [b'r' | b'w' | b'R' | b'W', b' ' | b'(' | b'\t', ..] => return Some(Format::Plume),
            [b'I' | b'W' | b'E' | b'D', ..] => {
                return contains(rest, b"jepsen").then_some(Format::PorcupineEtcd);
            }
            _ => {}
        }
        edn::space(scan).ok()?;
        let rest = &beginning[scan.at..];
        // Behind the brackets in front of the first name.
        let inner = rest.iter().position(|byte| !matches!(byte, b'[' | b'(' | b'{' | b' ' | b'\n' | b'\r' | b'\t'));
        let Some(inner) = inner else { return rest.contains(&b'(').then_some(Format::JepsenEdn) };
        let opened = !rest[..inner].is_empty();
        match rest[inner] {
            b'"' if opened => {
                if edn_names(&rest[inner..]) {
                    return Some(Format::JepsenEdn);
                }
                // In whatever order, and with whatever space between them, the fields stand.
                let tight: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                let wrapped = tight.starts_with(b"{\"history\":");
                let ours = tight.starts_with(b"{")
                    && !wrapped
                    && (has_own_fields(&tight) || OURS.iter().any(|kind| contains(&tight, kind)));
                Some(if ours { Format::Jsonl } else { Format::JepsenJson })
            }
            b']' | b'}' | b')' if opened => Some(Format::JepsenEdn),
            b':' | b';' | b'#' | b'^' | b',' => {
                let kv =
                    contains(rest, b":key") && [&b":get"[..], b":put", b":append"].iter().any(|f| contains(rest, f));
                // Transactions of Elle append too, within their values.
                let txn = contains(rest, b"[:append") || contains(rest, b":txn");
                Some(if kv && !txn { Format::PorcupineKv } else { Format::JepsenEdn })
            }
            _ => None,
        }
    }
}

/// Whether a record has fields as only ours have them, also where one of them is misspelt: the reader then names it.
fn has_own_fields(record: &[u8]) -> bool {
    let texts = record.split(|byte| *byte == b'"').collect::<Vec<_>>();
    // Every other part is a text; a name has a colon behind it.
    let pairs = texts.windows(2).skip(1).step_by(2);
    let names = pairs.filter(|pair| pair[1].starts_with(b":")).map(|pair| String::from_utf8_lossy(pair[0]));
    let names: Vec<_> = names.collect();
    let has = |own: &str| names.iter().any(|name| name == own || near(own, name));
    OWN_FIELDS.iter().any(|own| own.iter().all(|own| has(own)))
}

/// Fields of a call, and of the first record, that stand together in ours alone.
const OWN_FIELDS: [[&str; 2]; 2] = [["worker", "workload"], ["nodes", "wall"]];

/// Whether the first name of a map, which is a text, belongs to EDN: JSON has a colon and a value behind it.
fn edn_names(map: &[u8]) -> bool {
    let Some(closing) = map.iter().skip(1).position(|byte| *byte == b'"') else { return false };
    let behind = map[closing + 2..].trim_ascii_start();
    match behind {
        [b':', value @ ..] => {
            value.first().is_some_and(u8::is_ascii_alphabetic)
                && ![&b"true"[..], b"false", b"null", b"NaN", b"Infinity"].iter().any(|word| value.starts_with(word))
        }
        [] => false,
        // A list or set of texts is no map of names.
        [other, ..] => !matches!(other, b',' | b']' | b'}'),
    }
}

/// What a file is that is no text of a history, by its first bytes, and what to do.
fn named(beginning: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 9] = [
        (b"\x28\xB5\x2F\xFD", "it is compressed with zstd: decompress it first (zstd -d), or use gzip"),
        (b"\xFD7zXZ\0", "it is compressed with xz: decompress it first (xz -d), or use gzip"),
        (b"BZh", "it is compressed with bzip2: decompress it first (bzip2 -d), or use gzip"),
        (b"\x04\x22\x4D\x18", "it is compressed with lz4: decompress it first (lz4 -d), or use gzip"),
        (b"PK\x03\x04", "it is a zip archive: unpack it first and name the history in it"),
        (b"JEPSEN", "it is Jepsen's own store (test.jepsen): name the history.edn beside it"),
        (b"PAR1", "it is a Parquet file, which is only written: name the history it was made from"),
        (b"\xFF\xFE", UTF16),
        (b"\xFE\xFF", UTF16),
    ];
    let magic = MAGICS.iter().find(|(magic, _)| beginning.starts_with(magic)).map(|(_, what)| *what);
    let text = beginning.trim_ascii_start();
    let utf16 = || matches!(beginning, [first, 0, _, 0, ..] | [0, first, 0, _, ..] if first.is_ascii_graphic());
    let tar = || beginning.get(257..262) == Some(b"ustar");
    magic
        .or_else(|| utf16().then_some(UTF16))
        .or_else(|| tar().then_some("it is a tar archive: unpack it first and name the history in it"))
        .or_else(|| printed(text).then_some("it looks like Jepsen's history.txt: name the history.edn beside it"))
        .or_else(|| logged(text).then_some("it looks like Jepsen's jepsen.log: name the history.edn beside it"))
}

const UTF16: &str = "it is UTF-16: write it as UTF-8 (iconv -f UTF-16 -t UTF-8 FILE)";

/// Lines of a process, a type, a function and a value, as Jepsen prints a history for people.
fn printed(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut fields = line.split(|byte| *byte == b'\t');
    let process = fields.next().unwrap_or_default().trim_ascii();
    let kind = fields.next().unwrap_or_default().trim_ascii();
    let names = !process.is_empty()
        && process.iter().all(|byte| byte.is_ascii_digit() || *byte == b':' || byte.is_ascii_alphabetic());
    names && [&b":invoke"[..], b":ok", b":fail", b":info"].contains(&kind)
}

/// Lines of a log with their date, level and origin, as Jepsen writes them today.
fn logged(text: &[u8]) -> bool {
    let dated = text.len() > 10 && text[..4].iter().all(u8::is_ascii_digit) && text[4] == b'-' && text[7] == b'-';
    dated
        && contains(text, b"jepsen")
        && [&b"INFO"[..], b"WARN", b"DEBUG", b"ERROR"].iter().any(|level| contains(text, level))
}

/// Types of records that only ours has.
const OURS: [&[u8]; 5] =
    [b"\"type\":\"start\"", b"\"type\":\"phase\"", b"\"type\":\"note\"", b"\"type\":\"fault\"", b"\"type\":\"role\""];

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// By its name. The error names all of them.
impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        Format::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
            format!("there is no format {text} (there are: {})", names.join(", "))
        })
    }
}

/// Reads a history. Beside the history itself, one record at a time is in memory.
pub fn read(format: Format, reader: impl Read, options: &ReadOptions) -> Result<History, HistoryError> {
    let mut window = Window::new(reader);
    if window.peek(GZIP_MAGIC.len())?.starts_with(&GZIP_MAGIC) {
        return plainly(format, Unzipped::new(window), options);
    }
    plainly(format, window, options)
}

/// Reads a history whose format its first bytes tell, and says which it was.
pub fn read_any(reader: impl Read, options: &ReadOptions) -> Result<(Format, History), HistoryError> {
    let mut window = Window::new(reader);
    if window.peek(GZIP_MAGIC.len())?.starts_with(&GZIP_MAGIC) {
        return told(Window::new(Unzipped::new(window)), options);
    }
    told(window, options)
}

/// What a text of this format that is not compressed says.
fn plainly(format: Format, reader: impl Read, options: &ReadOptions) -> Result<History, HistoryError> {
    match format {
        Format::Jsonl => read_jsonl(BufReader::new(reader)),
        Format::JepsenEdn | Format::PorcupineKv => jepsen::read(reader, Syntax::Edn, options),
        Format::JepsenJson => jepsen::read(reader, Syntax::Json, options),
        Format::PorcupineEtcd => porcupine::read_log(reader, options),
        Format::Plume => plume::read(reader, options),
    }
}

fn told<R: Read>(mut window: Window<R>, options: &ReadOptions) -> Result<(Format, History), HistoryError> {
    let beginning = window.peek(4096)?;
    let beginning = &beginning[..beginning.len().min(4096)];
    let malformed = |message: &str| HistoryError::Malformed { line: 1, column: 1, message: message.to_owned() };
    if let Some(what) = named(beginning) {
        return Err(malformed(what));
    }
    let Some(format) = Format::detect(beginning) else {
        let formats: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
        return Err(malformed(&format!("no format begins so: name the format, one of {}", formats.join(", "))));
    };
    plainly(format, window, options).map(|history| (format, history))
}
