//! JSON (RFC 8259) scanned straight into the words of an arena, without a tree in between and without recursion.
use super::window::{DEPTH_MAX, Scan, Stop, TOKEN_BYTES_MAX};
use crate::value::{Arena, Word};

pub(super) use crate::value::whole;

/// Room for the lists and maps that are being read, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) words: Vec<Word>,
    frames: Vec<Frame>,
    pub(super) text: String,
    /// Whether the last value had numbers that are no 64-bit integers.
    pub(super) number_changed: bool,
}

/// A list or a map whose first word on the scratch this is.
#[derive(Clone, Copy, Debug)]
enum Frame {
    List(usize),
    Map(usize),
}

pub(super) fn space(scan: &mut Scan<'_>) -> Result<(), Stop> {
    // Nearly always there is none, or one.
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = scan.bytes.get(scan.at) {
        scan.at += 1;
    }
    Ok(())
}

/// The next value.
pub(super) fn value(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch) -> Result<Word, Stop> {
    scratch.words.clear();
    scratch.frames.clear();
    scratch.number_changed = false;
    loop {
        space(scan)?;
        let mut word = match scan.peek()? {
            Some(b'"') => {
                let text = string(scan, &mut scratch.text)?;
                arena.put_text(text)
            }
            Some(b'-') if scan.bytes.get(scan.at + 1) == Some(&b'I') => literal(scan, arena)?,
            Some(b'-' | b'0'..=b'9') => number(scan, arena, &mut scratch.number_changed)?,
            Some(b'[') => {
                scan.at += 1;
                space(scan)?;
                if scan.peek()? != Some(b']') {
                    deeper(scan, scratch, Frame::List(scratch.words.len()))?;
                    continue;
                }
                scan.at += 1;
                arena.put_list(&[])
            }
            Some(b'{') => {
                scan.at += 1;
                space(scan)?;
                if scan.peek()? != Some(b'}') {
                    deeper(scan, scratch, Frame::Map(scratch.words.len()))?;
                    name(scan, arena, scratch)?;
                    continue;
                }
                scan.at += 1;
                arena.put_map(&[])
            }
            _ => literal(scan, arena)?,
        };
        loop {
            let Some(frame) = scratch.frames.last().copied() else { return Ok(word) };
            scratch.words.push(word);
            space(scan)?;
            match (frame, scan.peek()?) {
                (Frame::List(_), Some(b',')) => {
                    scan.at += 1;
                    break;
                }
                (Frame::Map(_), Some(b',')) => {
                    scan.at += 1;
                    name(scan, arena, scratch)?;
                    break;
                }
                (Frame::List(from), Some(b']')) => {
                    word = arena.put_list(&scratch.words[from..]);
                    scratch.words.truncate(from);
                }
                (Frame::Map(from), Some(b'}')) => {
                    word = arena.put_map(&scratch.words[from..]);
                    scratch.words.truncate(from);
                }
                (Frame::List(_), _) => return scan.expected("a comma or ]"),
                (Frame::Map(_), _) => return scan.expected("a comma or }"),
            }
            scan.at += 1;
            scratch.frames.pop();
        }
    }
}

fn deeper(scan: &Scan<'_>, scratch: &mut Scratch, frame: Frame) -> Result<(), Stop> {
    if scratch.frames.len() == DEPTH_MAX {
        return Err(Stop::Wrong(scan.at, format!("values lie within each other more than {DEPTH_MAX} deep")));
    }
    scratch.frames.push(frame);
    Ok(())
}

/// A name of an object with its colon, put on the scratch.
fn name(scan: &mut Scan<'_>, arena: &mut Arena, scratch: &mut Scratch) -> Result<(), Stop> {
    space(scan)?;
    if scan.peek()? != Some(b'"') {
        return scan.expected("a name in quotes");
    }
    let text = string(scan, &mut scratch.text)?;
    scratch.words.push(arena.put_text(text));
    colon(scan)
}

pub(super) fn colon(scan: &mut Scan<'_>) -> Result<(), Stop> {
    space(scan)?;
    if scan.peek()? != Some(b':') {
        return scan.expected("a colon");
    }
    scan.at += 1;
    Ok(())
}

fn literal(scan: &mut Scan<'_>, arena: &mut Arena) -> Result<Word, Stop> {
    for (text, word) in [(&b"null"[..], None), (b"true", Some(true)), (b"false", Some(false))] {
        if scan.eat(text) {
            return Ok(word.map_or(Word::NIL, |flag| arena.put_bool(flag)));
        }
    }
    // No JSON, but what Python and JavaScript write for such numbers.
    for text in ["NaN", "Infinity", "-Infinity"] {
        if scan.eat(text.as_bytes()) {
            return Ok(arena.put_text(text));
        }
    }
    let rest = &scan.bytes[scan.at..];
    let begins = |text: &&str| text.as_bytes().starts_with(rest);
    if !scan.last && ["null", "true", "false", "NaN", "Infinity", "-Infinity"].iter().any(begins) {
        return Err(Stop::Cut);
    }
    scan.expected("a value")
}

/// A text in quotes, from its opening quote: a part of the scanned bytes where nothing is escaped.
pub(super) fn string<'a: 'r, 'r>(scan: &mut Scan<'a>, room: &'r mut String) -> Result<&'r str, Stop> {
    let from = scan.at + 1;
    let rest = &scan.bytes[from.min(scan.bytes.len())..];
    let plain = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    match plain {
        Some(length) if rest[length] == b'"' && length <= TOKEN_BYTES_MAX => {
            scan.at = from + length + 1;
            utf8(&rest[..length], from)
        }
        Some(_) => escaped(scan, room),
        None if rest.len() > TOKEN_BYTES_MAX => Err(too_long(scan.at)),
        None if scan.last => Err(Stop::Wrong(scan.at, "expected a closing quote, found the end".to_owned())),
        None => Err(Stop::Cut),
    }
}

fn too_long(at: usize) -> Stop {
    Stop::Wrong(at, format!("a text is longer than {} MiB", TOKEN_BYTES_MAX >> 20))
}

pub(super) fn utf8(bytes: &[u8], at: usize) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|error| Stop::Wrong(at + error.valid_up_to(), "expected UTF-8".to_owned()))
}

fn escaped<'r>(scan: &mut Scan<'_>, room: &'r mut String) -> Result<&'r str, Stop> {
    let opening = scan.at;
    scan.at += 1;
    room.clear();
    loop {
        let from = scan.at;
        let plain = scan.run(|byte| byte != b'"' && byte != b'\\' && byte >= 0x20)?;
        room.push_str(utf8(plain, from)?);
        if room.len() > TOKEN_BYTES_MAX {
            return Err(too_long(opening));
        }
        match scan.peek()? {
            Some(b'"') => {
                scan.at += 1;
                return Ok(room);
            }
            Some(b'\\') => {
                scan.at += 1;
                room.push(escape(scan)?);
            }
            Some(_) => return scan.expected("no control character in a text"),
            None => return Err(Stop::Wrong(opening, "this text has no closing quote".to_owned())),
        }
    }
}

fn escape(scan: &mut Scan<'_>) -> Result<char, Stop> {
    let letter = scan.peek()?;
    let plain = match letter {
        Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            scan.at += 1;
            return unicode(scan);
        }
        _ => return scan.expected("one of \" \\ / b f n r t u behind a backslash"),
    };
    scan.at += 1;
    Ok(plain)
}

fn unicode(scan: &mut Scan<'_>) -> Result<char, Stop> {
    let at = scan.at;
    let wrong = || Stop::Wrong(at, "half of a surrogate pair is no character".to_owned());
    let first = hex(scan)?;
    if let Some(letter) = char::from_u32(first) {
        return Ok(letter);
    }
    if scan.bytes.len() < scan.at + 6 && !scan.last {
        return Err(Stop::Cut);
    }
    if first >= 0xDC00 || !scan.eat(b"\\u") {
        return Err(wrong());
    }
    let second = hex(scan)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(wrong());
    }
    char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or_else(wrong)
}

/// Four hexadecimal digits.
pub(super) fn hex(scan: &mut Scan<'_>) -> Result<u32, Stop> {
    let mut number = 0;
    for _ in 0..4 {
        let digit = scan.peek()?.and_then(|byte| char::from(byte).to_digit(16));
        let Some(digit) = digit else { return scan.expected("four hexadecimal digits") };
        number = number << 4 | digit;
        scan.at += 1;
    }
    Ok(number)
}

/// A whole number that fits, if one stands here; otherwise nothing is passed.
#[inline]
pub(super) fn integer(scan: &mut Scan<'_>) -> Option<i64> {
    let bytes = scan.bytes;
    let negative = bytes.get(scan.at) == Some(&b'-');
    let from = scan.at + usize::from(negative);
    let (mut at, mut number) = (from, 0i64);
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        if at - from == 18 {
            return None;
        }
        number = number * 10 + i64::from(digit - b'0');
        at += 1;
    }
    // No digits, a leading zero, the end of the window, or more than a whole number.
    let leading_zero = at - from > 1 && bytes[from] == b'0';
    let ends = matches!(bytes.get(at), Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b')'));
    if at == from || leading_zero || !ends {
        return None;
    }
    scan.at = at;
    Some(if negative { -number } else { number })
}

fn number(scan: &mut Scan<'_>, arena: &mut Arena, changed: &mut bool) -> Result<Word, Stop> {
    if let Some(number) = integer(scan) {
        return Ok(arena.put_int(number));
    }
    let at = scan.at;
    let text = scan.run(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))?;
    if text.len() > TOKEN_BYTES_MAX {
        return Err(too_long(at));
    }
    let text = utf8(text, at)?;
    match grammar(text.as_bytes()) {
        Grammar::Wrong => Err(Stop::Wrong(at, format!("expected a number, found {:?}", clipped(text)))),
        Grammar::Whole => Ok(match text.parse() {
            Ok(number) => arena.put_int(number),
            Err(_) => {
                *changed = true;
                arena.put_text(text)
            }
        }),
        Grammar::Fraction => {
            *changed = true;
            Ok(fraction(text, arena))
        }
    }
}

/// A number with a point or an exponent: the integer that it is, if it is one (JSON has one kind of number, and
/// recorders write `1` or `1.0`), otherwise a text. What is too large or too small for a double keeps its digits.
pub(super) fn fraction(text: &str, arena: &mut Arena) -> Word {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => match whole(number) {
            Some(number) => arena.put_int(number),
            None => arena.put_text(&number.to_string()),
        },
        _ => arena.put_text(text),
    }
}

/// Passes one value by its brackets and quotes alone, whatever stands between them.
pub(super) fn skip(scan: &mut Scan<'_>) -> Result<(), Stop> {
    let mut missing: Vec<u8> = Vec::new();
    loop {
        space(scan)?;
        match scan.peek()? {
            None => return scan.expected("a value"),
            Some(b'"') => skip_text(scan)?,
            Some(opening @ (b'[' | b'{')) => {
                scan.at += 1;
                missing.push(if opening == b'[' { b']' } else { b'}' });
                continue;
            }
            Some(closing @ (b']' | b'}')) => {
                if missing.pop() != Some(closing) {
                    return scan.expected("a value");
                }
                scan.at += 1;
            }
            Some(b',' | b':') if !missing.is_empty() => {
                scan.at += 1;
                continue;
            }
            Some(b',' | b':') => return scan.expected("a value"),
            Some(_) => {
                scan.run(|byte| {
                    !matches!(byte, b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"') && !byte.is_ascii_whitespace()
                })?;
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
    }
}

fn skip_text(scan: &mut Scan<'_>) -> Result<(), Stop> {
    let opening = scan.at;
    scan.at += 1;
    loop {
        scan.run(|byte| byte != b'"' && byte != b'\\')?;
        match scan.peek()? {
            Some(b'"') => {
                scan.at += 1;
                return Ok(());
            }
            Some(_) if scan.at + 1 < scan.bytes.len() => scan.at += 2,
            Some(_) if !scan.last => return Err(Stop::Cut),
            _ => return Err(Stop::Wrong(opening, "this text has no closing quote".to_owned())),
        }
    }
}

/// The beginning of a text, for messages.
pub(super) fn clipped(text: &str) -> String {
    text.chars().take(24).collect()
}

enum Grammar {
    Whole,
    Fraction,
    Wrong,
}

fn grammar(text: &[u8]) -> Grammar {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return Grammar::Wrong;
    }
    rest = &rest[whole..];
    if rest.is_empty() {
        return Grammar::Whole;
    }
    if let Some(part) = rest.strip_prefix(b".") {
        let count = digits(part);
        if count == 0 {
            return Grammar::Wrong;
        }
        rest = &part[count..];
    }
    if let [b'e' | b'E', part @ ..] = rest {
        let part = part.strip_prefix(b"-").or_else(|| part.strip_prefix(b"+")).unwrap_or(part);
        let count = digits(part);
        if count == 0 {
            return Grammar::Wrong;
        }
        rest = &part[count..];
    }
    if rest.is_empty() { Grammar::Fraction } else { Grammar::Wrong }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn read(text: &str) -> Result<Value, Stop> {
        let (mut arena, mut scratch) = (Arena::default(), Scratch::default());
        let word = value(&mut Scan::of(text.as_bytes()), &mut arena, &mut scratch)?;
        Ok(arena.get(word).to_value())
    }

    #[test]
    fn values_are_those_of_the_general_parser() {
        let texts = [
            "null",
            "true",
            "false",
            "0",
            "-1",
            "12345678901234567",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "[]",
            "{}",
            "[[],{}]",
            "\"\"",
            "\"a\\n\\u00e9\\ud83d\\ude00\\\\\"",
            "1.5",
            "-2e3",
            "{\"a\":[1,{\"b\":null}],\"a\":2}",
            " [ 1 , 2 ] ",
            "\"é\"",
        ];
        for text in texts {
            let wanted: Value = serde_json::from_str(text).expect("valid JSON");
            assert_eq!(read(text).expect("readable"), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "[",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\u{1}\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(read(&deep).is_err());
    }
}
