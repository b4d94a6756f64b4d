//! A form that is passed over: by its brackets and quotes alone, whatever stands between them. So a field that no checker
//! reads never refuses a history: what Clojure's printer writes there (`#object[..]`, patterns, vars, `#<..>`) is not
//! always EDN.
use super::space;
use super::tokens::{in_symbol, pattern_end};
use crate::history::import::window::{Scan, Stop};

/// Passes one form.
pub(in crate::history) fn skip(scan: &mut Scan<'_>) -> Result<(), Stop> {
    // Closing brackets that are still missing, and the forms: one, and those that a prefix discards.
    let mut missing: Vec<u8> = Vec::new();
    let mut forms = 1usize;
    while forms > 0 {
        space(scan)?;
        let Some(first) = scan.peek()? else { return scan.expected("the rest of a form") };
        let whole = match first {
            b'[' | b'(' | b'{' => {
                scan.at += 1;
                missing.push(match first {
                    b'[' => b']',
                    b'(' => b')',
                    _ => b'}',
                });
                false
            }
            b']' | b')' | b'}' => {
                if missing.last() != Some(&first) {
                    let wanted = missing.last().map_or("a form".to_owned(), |closing| char::from(*closing).to_string());
                    return scan.expected(&wanted);
                }
                scan.at += 1;
                missing.pop();
                true
            }
            b'"' => {
                quoted(scan)?;
                true
            }
            b'\\' => {
                scan.at += 1;
                if scan.peek()?.is_none() {
                    return scan.expected("a character");
                }
                scan.at += 1;
                scan.run(in_symbol)?;
                true
            }
            b'^' => {
                scan.at += 1;
                forms += usize::from(missing.is_empty());
                false
            }
            b'\'' | b'`' | b'~' | b'@' => {
                scan.at += 1;
                false
            }
            b'#' => hash(scan, &mut forms, missing.is_empty())?,
            _ => {
                scan.run(in_symbol)?;
                true
            }
        };
        if whole && missing.is_empty() {
            forms -= 1;
        }
    }
    Ok(())
}

/// Passes what stands behind `#` up to its own form. Whether that was all of it.
fn hash(scan: &mut Scan<'_>, forms: &mut usize, outside: bool) -> Result<bool, Stop> {
    scan.at += 1;
    match scan.peek()? {
        // `#{`, `#(`, `#[`: the bracket is next.
        Some(b'{' | b'(' | b'[') => Ok(false),
        Some(b'"') => {
            quoted(scan)?;
            Ok(true)
        }
        Some(b'_' | b'^') => {
            scan.at += 1;
            *forms += usize::from(outside);
            Ok(false)
        }
        Some(b'\'' | b'?' | b'@' | b'=') => {
            scan.at += 1;
            Ok(false)
        }
        Some(b'#') => {
            scan.run(in_symbol)?;
            Ok(true)
        }
        Some(b'<') => {
            let mut open = 0usize;
            let inside = |byte: u8| byte != b'<' && byte != b'>';
            loop {
                match scan.peek()? {
                    Some(b'<') => open += 1,
                    Some(_) => open -= 1,
                    None => return scan.expected("a closing >"),
                }
                scan.at += 1;
                if open == 0 {
                    return Ok(true);
                }
                scan.run(inside)?;
            }
        }
        // A tag: its value is next.
        _ => {
            scan.run(in_symbol)?;
            Ok(false)
        }
    }
}

/// Passes a text or a pattern, from its opening quote.
fn quoted(scan: &mut Scan<'_>) -> Result<(), Stop> {
    let opening = scan.at;
    scan.at += 1;
    pattern_end(scan, opening).map(drop)
}
