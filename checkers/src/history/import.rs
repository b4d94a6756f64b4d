//! [`read`]: histories of every format that is known, and [`Format::detect`], which tells them apart.
use super::jepsen::{self, Syntax};
use super::window::{Scan, Window};
use super::{History, HistoryError, edn, json, plume, porcupine, read_jsonl};
use std::fmt;
use std::io::{BufReader, Read};
use std::str::FromStr;

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
    /// (`MapEntry`, `Tuple`) says so. By default a history whose values look so is refused ([`HistoryError::Keys`]).
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
                // In whatever order, and with whatever space between them, the fields stand.
                let tight: Vec<u8> = line.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                let call = contains(&tight, b"\"worker\":") && contains(&tight, b"\"workload\":");
                let ours = tight.starts_with(b"{") && (call || OURS.iter().any(|kind| contains(&tight, kind)));
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
    match format {
        Format::Jsonl => read_jsonl(BufReader::new(reader)),
        Format::JepsenEdn | Format::PorcupineKv => jepsen::read(reader, Syntax::Edn, options),
        Format::JepsenJson => jepsen::read(reader, Syntax::Json, options),
        Format::PorcupineEtcd => porcupine::read_log(reader, options),
        Format::Plume => plume::read(reader, options),
    }
}

/// Reads a history whose format its first bytes tell, and says which it was.
pub fn read_any(reader: impl Read, options: &ReadOptions) -> Result<(Format, History), HistoryError> {
    let mut window = Window::new(reader);
    let beginning = window.peek(4096)?;
    let Some(format) = Format::detect(&beginning[..beginning.len().min(4096)]) else {
        let message = "the format cannot be told from the first bytes; name it".to_owned();
        return Err(HistoryError::Malformed { line: 1, column: 1, message });
    };
    read(format, window, options).map(|history| (format, history))
}
