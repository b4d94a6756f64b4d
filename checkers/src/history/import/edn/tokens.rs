//! The atoms of EDN: numbers, texts, characters, keywords and symbols.
use crate::history::import::json;
use crate::history::import::window::{Scan, Stop, TOKEN_BYTES_MAX};
use crate::value::{Arena, Word};

/// Whether the byte may stand within a number, keyword or symbol.
#[inline]
pub(in crate::history) fn in_symbol(byte: u8) -> bool {
    IN_SYMBOL[usize::from(byte)]
}

static IN_SYMBOL: [bool; 256] = {
    let mut table = [true; 256];
    let others = b" ,\n\r\t\x0b\x0c()[]{}\";\\^`~@";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = false;
        at += 1;
    }
    table
};

/// The atom that stands here.
pub(super) fn atom(scan: &mut Scan<'_>, arena: &mut Arena, room: &mut String) -> Result<Word, Stop> {
    let at = scan.at;
    let first = scan.peek()?;
    match first {
        Some(b'"') => return text(scan, arena, room),
        Some(b'\\') => return character(scan, arena),
        Some(b'0'..=b'9' | b'-') => {
            if let Some(number) = json::integer(scan) {
                return Ok(arena.put_int(number));
            }
        }
        Some(b':') => {
            let name = keyword(scan)?;
            return Ok(arena.put_text(name));
        }
        _ => {}
    }
    let token = scan.run(in_symbol)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Stop::Wrong(at, format!("a name is longer than {} MiB", TOKEN_BYTES_MAX >> 20)));
    }
    let token = json::utf8(token, at)?;
    let numeric = |text: &str| text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    match token {
        "" => {
            scan.at = at;
            scan.expected("a form")
        }
        "nil" => Ok(Word::NIL),
        "true" => Ok(arena.put_bool(true)),
        "false" => Ok(arena.put_bool(false)),
        // What begins like a number and is none that is known (`0x4f2a1`, `36rZ`) is a text, as symbols are.
        _ if numeric(token.trim_start_matches(['+', '-'])) => {
            Ok(number(token, arena).unwrap_or_else(|| arena.put_text(token)))
        }
        _ => Ok(arena.put_text(token)),
    }
}

/// A keyword without its colon, or the two of Clojure's `::name`.
pub(in crate::history) fn keyword<'a>(scan: &mut Scan<'a>) -> Result<&'a str, Stop> {
    let at = scan.at;
    let token = scan.run(in_symbol)?;
    let colons = if token.starts_with(b"::") { 2 } else { 1 };
    match token.get(colons..) {
        Some(name @ [_, ..]) if token.len() <= TOKEN_BYTES_MAX => json::utf8(name, at + colons),
        _ => Err(Stop::Wrong(at, "expected a name behind the colon".to_owned())),
    }
}

/// Whole numbers (with N), fractions (with M), ratios. `None` for anything else.
fn number(token: &str, arena: &mut Arena) -> Option<Word> {
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    let signed = token.strip_prefix('+').unwrap_or(token);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = |text: &str| digits(text) && (text.len() == 1 || !text.starts_with('0'));
    if whole(unsigned.strip_suffix('N').unwrap_or(unsigned)) {
        let signed = signed.strip_suffix('N').unwrap_or(signed);
        return Some(match signed.parse() {
            Ok(number) => arena.put_int(number),
            Err(_) => arena.put_text(signed),
        });
    }
    if let Some((over, under)) = unsigned.split_once('/') {
        return (whole(over) && whole(under) && under != "0").then(|| arena.put_text(signed));
    }
    let exact = unsigned.strip_suffix('M');
    let (mantissa, exponent) = match exact.unwrap_or(unsigned).split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (exact.unwrap_or(unsigned), None),
    };
    let exponent_fits = exponent.is_none_or(|part| digits(part.strip_prefix(['+', '-']).unwrap_or(part)));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !whole(before) || !(after.is_empty() || digits(after)) || !exponent_fits {
        return None;
    }
    // An exact number keeps its digits, unless it is whole.
    Some(match exact {
        Some(_) => match json::whole(signed[..signed.len() - 1].parse().unwrap_or(f64::NAN)) {
            Some(number) => arena.put_int(number),
            None => arena.put_text(&signed[..signed.len() - 1]),
        },
        None => json::fraction(signed, arena),
    })
}

/// Behind `##`: the numbers that are none.
pub(super) fn symbolic(scan: &mut Scan<'_>, arena: &mut Arena) -> Result<Word, Stop> {
    let at = scan.at;
    let text = match scan.run(in_symbol)? {
        b"NaN" => "NaN",
        b"Inf" => "Infinity",
        b"-Inf" => "-Infinity",
        _ => return Err(Stop::Wrong(at, "expected NaN, Inf or -Inf behind ##".to_owned())),
    };
    Ok(arena.put_text(text))
}

/// A text in quotes. Clojure's has the escapes of Java, and lines may end within it.
fn text(scan: &mut Scan<'_>, arena: &mut Arena, room: &mut String) -> Result<Word, Stop> {
    let opening = scan.at;
    scan.at += 1;
    room.clear();
    loop {
        let from = scan.at;
        let plain = match scan.run(|byte| byte != b'"' && byte != b'\\') {
            Err(Stop::Cut) if scan.bytes.len() - opening > TOKEN_BYTES_MAX => return Err(too_long(opening)),
            other => other?,
        };
        let plain = json::utf8(plain, from)?;
        if room.len() + plain.len() > TOKEN_BYTES_MAX {
            return Err(too_long(opening));
        }
        match scan.peek()? {
            Some(b'"') => {
                scan.at += 1;
                if room.is_empty() {
                    return Ok(arena.put_text(plain));
                }
                room.push_str(plain);
                return Ok(arena.put_text(room));
            }
            Some(_) => {
                room.push_str(plain);
                scan.at += 1;
                room.push(escape(scan)?);
            }
            None => return Err(Stop::Wrong(opening, "this text has no closing quote".to_owned())),
        }
    }
}

/// A pattern of Clojure's (`#"a.*\\d"`), from its quote: the text between the quotes as it stands, backslashes too.
pub(super) fn pattern(scan: &mut Scan<'_>, arena: &mut Arena) -> Result<Word, Stop> {
    let opening = scan.at;
    scan.at += 1;
    let text = pattern_end(scan, opening)?;
    Ok(arena.put_text(json::utf8(text, opening + 1)?))
}

/// Passes everything up to the closing quote, in which a backslash takes the meaning of the byte behind it. What stood
/// before the quote.
pub(super) fn pattern_end<'a>(scan: &mut Scan<'a>, opening: usize) -> Result<&'a [u8], Stop> {
    let from = scan.at;
    loop {
        match scan.run(|byte| byte != b'"' && byte != b'\\') {
            Err(Stop::Cut) if scan.bytes.len() - opening > TOKEN_BYTES_MAX => return Err(too_long(opening)),
            other => other?,
        };
        if scan.at - from > TOKEN_BYTES_MAX {
            return Err(too_long(opening));
        }
        match scan.peek()? {
            Some(b'"') => {
                let text = &scan.bytes[from..scan.at];
                scan.at += 1;
                return Ok(text);
            }
            Some(_) if scan.at + 1 < scan.bytes.len() => scan.at += 2,
            Some(_) if !scan.last => return Err(Stop::Cut),
            _ => return Err(Stop::Wrong(opening, "this text has no closing quote".to_owned())),
        }
    }
}

fn too_long(at: usize) -> Stop {
    Stop::Wrong(at, format!("a text is longer than {} MiB", TOKEN_BYTES_MAX >> 20))
}

fn escape(scan: &mut Scan<'_>) -> Result<char, Stop> {
    let letter = match scan.peek()? {
        Some(letter @ (b'"' | b'\\' | b'\'')) => char::from(letter),
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => {
            scan.at += 1;
            // Half of a pair (Java writes large characters as two) is shown as what it is: no character.
            return Ok(char::from_u32(json::hex(scan)?).unwrap_or('\u{FFFD}'));
        }
        Some(b'0'..=b'7') => {
            let mut number = 0;
            for _ in 0..3 {
                let Some(digit @ b'0'..=b'7') = scan.peek()? else { break };
                number = number * 8 + u32::from(digit - b'0');
                scan.at += 1;
            }
            return Ok(char::from_u32(number).unwrap_or('\u{FFFD}'));
        }
        _ => return scan.expected("one of \" \\ n t r b f u behind a backslash"),
    };
    scan.at += 1;
    Ok(letter)
}

/// `\a`, `\newline`, `\u00e9`: a text of that one character.
fn character(scan: &mut Scan<'_>, arena: &mut Arena) -> Result<Word, Stop> {
    let at = scan.at;
    scan.at += 1;
    // The character itself may be a bracket; whatever follows may not.
    let from = scan.at;
    if scan.peek()?.is_none() {
        return scan.expected("a character");
    }
    scan.at += 1;
    scan.run(in_symbol)?;
    let name = json::utf8(&scan.bytes[from..scan.at], from)?;
    let mut letters = name.chars();
    let letter = match (name, letters.next(), letters.next()) {
        ("newline", ..) => '\n',
        ("space", ..) => ' ',
        ("tab", ..) => '\t',
        ("return", ..) => '\r',
        ("backspace", ..) => '\u{8}',
        ("formfeed", ..) => '\u{c}',
        (_, Some(letter), None) => letter,
        (_, Some('u'), _) if name.len() == 5 => match u32::from_str_radix(&name[1..], 16).map(char::from_u32) {
            Ok(letter) => letter.unwrap_or('\u{FFFD}'),
            Err(_) => return Err(Stop::Wrong(at, "expected four hexadecimal digits".to_owned())),
        },
        // A name of no character that is known.
        _ => return Ok(arena.put_text(name)),
    };
    Ok(arena.put_text(letter.encode_utf8(&mut [0; 4])))
}
