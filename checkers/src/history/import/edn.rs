//! EDN (the data notation of Clojure, github.com/edn-format/edn) scanned straight into values: what Jepsen, Knossos and
//! Elle write. Whatever lies within each other is kept on a stack of our own, never on the program's.
//!
//! What has no [`Value`] of its own becomes one: keywords, symbols and characters are texts (`:a/b` is `"a/b"`),
//! ratios, big numbers and fractions too (`1/3`, `NaN`, `Infinity`), but a fraction that is whole is the integer (`1.0`
//! is `1`); sets and sequences are lists in the order in which
//! they were written; a name of a map that is no text becomes the text that shows it. A tag is dropped and its value
//! kept (`#inst "2026"` is `"2026"`, a record is a map); metadata (`^x`) and discarded forms (`#_ x`) are passed over.
//! Atoms that EDN does not know (`0x4f2a1`, `#'user/foo`) are texts.
mod skip;
mod tokens;

pub(super) use skip::skip;
pub(super) use tokens::{in_symbol, keyword};

use super::window::{DEPTH_MAX, Scan, Stop};
use crate::value::{Arena, Kind, Word};

/// Room for the forms that are being read, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    words: Vec<Word>,
    frames: Vec<Frame>,
    text: String,
}

/// What is open. The number is the first word on the scratch that belongs to it.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// `(`, `[` or `#{`, with its closing bracket.
    List(usize, u8),
    Map(usize),
    /// `#_` or `^`: the next form is passed over.
    Over,
    /// `#name`: the next form is the value.
    Tag,
}

/// Passes what says nothing: white space, commas, comments.
pub(super) fn space(scan: &mut Scan<'_>) -> Result<(), Stop> {
    loop {
        match scan.peek()? {
            Some(b' ' | b',' | b'\n' | b'\r' | b'\t' | 0x0c | 0x0b) => scan.at += 1,
            Some(b';') => {
                scan.run(|byte| byte != b'\n')?;
            }
            _ => return Ok(()),
        }
    }
}

/// The next form, `None` at the end of the text.
pub(super) fn form(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch) -> Result<Option<Word>, Stop> {
    scratch.words.clear();
    scratch.frames.clear();
    loop {
        space(scan)?;
        let Some(first) = scan.peek()? else {
            return if scratch.frames.is_empty() { Ok(None) } else { scan.expected("the rest of a form") };
        };
        let mut word = match first {
            b'[' | b'(' => {
                scan.at += 1;
                let closing = if first == b'[' { b']' } else { b')' };
                open(scan, scratch, Frame::List(scratch.words.len(), closing))?;
                continue;
            }
            b'{' => {
                scan.at += 1;
                open(scan, scratch, Frame::Map(scratch.words.len()))?;
                continue;
            }
            b'^' => {
                scan.at += 1;
                open(scan, scratch, Frame::Over)?;
                continue;
            }
            // Marks of Clojure's reader: the form behind them.
            b'`' | b'~' | b'@' => {
                scan.at += 1;
                open(scan, scratch, Frame::Tag)?;
                continue;
            }
            b']' | b')' | b'}' => close(scan, arena, scratch, first)?,
            b'#' => match dispatch(scan, arena, scratch)? {
                Some(word) => word,
                None => continue,
            },
            _ => tokens::atom(scan, arena, &mut scratch.text)?,
        };
        loop {
            match scratch.frames.last().copied() {
                None => return Ok(Some(word)),
                Some(Frame::Over) => {
                    scratch.frames.pop();
                    break;
                }
                Some(Frame::Tag) => {
                    scratch.frames.pop();
                }
                Some(Frame::List(..)) => {
                    scratch.words.push(word);
                    break;
                }
                Some(Frame::Map(from)) => {
                    if (scratch.words.len() - from).is_multiple_of(2) {
                        word = name(word, arena);
                    }
                    scratch.words.push(word);
                    break;
                }
            }
        }
    }
}

/// Passes discarded forms and metadata in front of the next form; false at the end of the text.
pub(super) fn approach(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch) -> Result<bool, Stop> {
    loop {
        space(scan)?;
        match scan.peek()? {
            None => return Ok(false),
            Some(b'^') => scan.at += 1,
            Some(b'#') => {
                if scan.bytes.len() < scan.at + 2 && !scan.last {
                    return Err(Stop::Cut);
                }
                if !scan.eat(b"#_") {
                    return Ok(true);
                }
            }
            Some(_) => return Ok(true),
        }
        if form(scan, arena, scratch)?.is_none() {
            return scan.expected("a form");
        }
    }
}

/// The tag that stands here, if one does: `jepsen.history.Op` of `#jepsen.history.Op{...}`.
pub(super) fn tag<'a>(scan: &mut Scan<'a>) -> Result<Option<&'a str>, Stop> {
    let from = scan.at;
    if scan.peek()? != Some(b'#') {
        return Ok(None);
    }
    scan.at += 1;
    match scan.peek()? {
        Some(byte) if byte.is_ascii_alphabetic() || byte == b':' => {
            let at = scan.at;
            let name = scan.run(tokens::in_symbol)?;
            super::json::utf8(name, at).map(Some)
        }
        _ => {
            scan.at = from;
            Ok(None)
        }
    }
}

/// What stands behind `#`: a value, or something that has to be read first.
fn dispatch(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch) -> Result<Option<Word>, Stop> {
    if scan.bytes.len() < scan.at + 2 && !scan.last {
        return Err(Stop::Cut);
    }
    if scan.eat(b"#{") {
        open(scan, scratch, Frame::List(scratch.words.len(), b'}'))?;
    } else if scan.eat(b"#_") || scan.eat(b"#^") {
        open(scan, scratch, Frame::Over)?;
    } else if scan.eat(b"##") {
        return tokens::symbolic(scan, arena).map(Some);
    } else if scan.bytes[scan.at..].starts_with(b"#\"") {
        scan.at += 1;
        return tokens::pattern(scan, arena).map(Some);
    } else if scan.eat(b"#'") {
        // The name of a var: a symbol.
    } else if scan.eat(b"#(") {
        open(scan, scratch, Frame::List(scratch.words.len(), b')'))?;
    } else if tag(scan)?.is_some() {
        open(scan, scratch, Frame::Tag)?;
    } else {
        return scan.expected("a tag, a set or a discarded form");
    }
    Ok(None)
}

fn open(scan: &Scan<'_>, scratch: &mut Scratch, frame: Frame) -> Result<(), Stop> {
    if scratch.frames.len() == DEPTH_MAX {
        return Err(Stop::Wrong(scan.at, format!("forms lie within each other more than {DEPTH_MAX} deep")));
    }
    scratch.frames.push(frame);
    Ok(())
}

/// What this closing bracket closes.
fn close(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch, bracket: u8) -> Result<Word, Stop> {
    let word = match scratch.frames.last() {
        Some(Frame::List(from, closing)) if *closing == bracket => {
            if bracket == b'}' {
                // The order in which a set is written says nothing.
                scratch.words[*from..].sort_by(|one, two| arena.get(*one).cmp(&arena.get(*two)));
            }
            let word = arena.put_list(&scratch.words[*from..]);
            scratch.words.truncate(*from);
            word
        }
        Some(Frame::Map(from)) if bracket == b'}' => {
            if !(scratch.words.len() - from).is_multiple_of(2) {
                return scan.expected("a value for the last name of the map");
            }
            let word = arena.put_map(&scratch.words[*from..]);
            scratch.words.truncate(*from);
            word
        }
        Some(Frame::List(_, closing)) => return scan.expected(&format!("a form or {}", char::from(*closing))),
        Some(Frame::Map(_)) => return scan.expected("a form or }"),
        Some(Frame::Over | Frame::Tag) | None => return scan.expected("a form"),
    };
    scan.at += 1;
    scratch.frames.pop();
    Ok(word)
}

/// The name of a map's entry as a text.
fn name(word: Word, arena: &mut Arena) -> Word {
    let shown = match arena.get(word).kind() {
        Kind::Text(_) => return word,
        Kind::Int(number) => number.to_string(),
        _ => arena.get(word).to_string(),
    };
    arena.put_text(&shown)
}

#[cfg(test)]
mod tests;
