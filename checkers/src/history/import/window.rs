//! [`Window`]: a text read piece by piece, of which one record at a time is in memory, and [`Scan`], the place within
//! it from which a hand-written scanner reads. It knows lines and columns, and nothing of any format.
use crate::history::HistoryError;
use std::io::Read;

/// Values lie within each other at most this deep.
pub(super) const DEPTH_MAX: usize = 128;
/// One record, with all its values, is at most this long.
const RECORD_BYTES_MAX: usize = 256 << 20;
/// One text or number is at most this long.
pub(super) const TOKEN_BYTES_MAX: usize = 16 << 20;
const FIRST_STEP_BYTES: usize = 1 << 13;
const STEP_BYTES: usize = 1 << 18;

/// Why a scanner stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The record goes on behind the window.
    Cut,
    /// The text is wrong at this place of the window.
    Wrong(usize, String),
    /// The record, which began at this place of the window, contradicts another.
    Broken(usize, HistoryError),
}

/// Bytes of the text from a record on, as far as they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Nothing comes behind these bytes.
    pub(super) last: bool,
}

impl<'a> Scan<'a> {
    /// The whole text at once.
    pub(super) fn of(bytes: &'a [u8]) -> Scan<'a> {
        Scan { bytes, at: 0, last: true }
    }

    /// The next byte, `None` at the end of the text.
    #[inline]
    pub(super) fn peek(&self) -> Result<Option<u8>, Stop> {
        match self.bytes.get(self.at) {
            Some(byte) => Ok(Some(*byte)),
            None if self.last => Ok(None),
            None => Err(Stop::Cut),
        }
    }

    /// Goes behind these bytes, if they come next.
    #[inline]
    pub(super) fn eat(&mut self, expected: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// The bytes from this place to the next one that the predicate does not hold for, behind which it goes.
    #[inline]
    pub(super) fn run(&mut self, holds: impl Fn(u8) -> bool) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        match rest.iter().position(|byte| !holds(*byte)) {
            Some(length) => {
                self.at += length;
                Ok(&rest[..length])
            }
            None if self.last => {
                self.at = self.bytes.len();
                Ok(rest)
            }
            None => Err(Stop::Cut),
        }
    }

    /// "This was expected here."
    #[cold]
    pub(super) fn expected<T>(&self, what: &str) -> Result<T, Stop> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let found = match rest.first() {
            None => "the end".to_owned(),
            Some(b'\n') => "the end of the line".to_owned(),
            Some(_) => {
                let shown = String::from_utf8_lossy(&rest[..rest.len().min(24)]);
                let shown: String = shown.chars().take_while(|letter| *letter != '\n').take(12).collect();
                format!("{shown:?}")
            }
        };
        Err(Stop::Wrong(self.at, format!("expected {what}, found {found}")))
    }
}

/// A text of which a stretch is in memory.
#[derive(Debug)]
pub(super) struct Window<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    last: bool,
    /// Line and column of the first byte in memory, from 0.
    line: u64,
    column: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Window<R> {
        Window { reader, buffer: Vec::new(), at: 0, end: 0, last: false, line: 0, column: 0 }
    }

    /// Hands the text from here on to a scanner, again with more of it when it was cut off. What the scanner has passed
    /// is behind us afterwards. `Ok(None)` of the scanner is handed through.
    pub(super) fn scan<T>(
        &mut self,
        mut scanner: impl FnMut(&mut Scan<'_>) -> Result<T, Stop>,
    ) -> Result<T, HistoryError> {
        loop {
            let mut scan = Scan { bytes: &self.buffer[self.at..self.end], at: 0, last: self.last };
            match scanner(&mut scan) {
                Ok(result) => {
                    self.at += scan.at;
                    return Ok(result);
                }
                Err(Stop::Cut) if self.last => {
                    let at = scan.at;
                    return Err(self.malformed(at, "the text ends within a record".to_owned()));
                }
                Err(Stop::Cut) if self.end - self.at > RECORD_BYTES_MAX => {
                    return Err(self.malformed(0, format!("a record is longer than {} MiB", RECORD_BYTES_MAX >> 20)));
                }
                Err(Stop::Cut) => self.more()?,
                Err(Stop::Wrong(at, message)) => return Err(self.malformed(at, message)),
                Err(Stop::Broken(at, error)) => return Err(error.at(self.place(at))),
            }
        }
    }

    /// The next line with its newline, if it has one; `None` at the end.
    pub(super) fn line(&mut self) -> Result<Option<&[u8]>, HistoryError> {
        let mut searched = self.at;
        loop {
            let found = self.buffer[searched..self.end].iter().position(|byte| *byte == b'\n');
            let end = found.map(|position| searched + position + 1);
            if let Some(end) = end.or((self.last && self.at < self.end).then_some(self.end)) {
                let from = std::mem::replace(&mut self.at, end);
                return Ok(Some(&self.buffer[from..end]));
            }
            if self.last {
                return Ok(None);
            }
            if self.end - self.at > RECORD_BYTES_MAX {
                return Err(self.malformed(0, format!("a line is longer than {} MiB", RECORD_BYTES_MAX >> 20)));
            }
            let seen = self.end - self.at;
            self.more()?;
            searched = self.at + seen;
        }
    }

    /// The bytes at hand, at least this many if the text has them. None of them is passed.
    pub(super) fn peek(&mut self, at_least: usize) -> Result<&[u8], HistoryError> {
        while self.end - self.at < at_least && !self.last {
            self.more()?;
        }
        Ok(&self.buffer[self.at..self.end])
    }

    /// Line and column of the place this many bytes behind here, from 1.
    pub(super) fn place(&self, ahead: usize) -> (u64, u64) {
        let before = &self.buffer[..(self.at + ahead).min(self.end)];
        let (line, column) = passed(self.line, self.column, before);
        (line + 1, column + 1)
    }

    /// Line and column of the place this many bytes before here, from 1. Only what was passed by the last scan is known.
    pub(super) fn place_before(&self, behind: usize) -> (u64, u64) {
        let before = &self.buffer[..self.at.saturating_sub(behind)];
        let (line, column) = passed(self.line, self.column, before);
        (line + 1, column + 1)
    }

    pub(super) fn malformed(&self, ahead: usize, message: String) -> HistoryError {
        let (line, column) = self.place(ahead);
        HistoryError::Malformed { line, column, message }
    }

    /// Reads on. What is behind us is let go.
    fn more(&mut self) -> Result<(), HistoryError> {
        (self.line, self.column) = passed(self.line, self.column, &self.buffer[..self.at]);
        self.buffer.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        // Small texts take a small window.
        let step = if self.buffer.is_empty() { FIRST_STEP_BYTES } else { STEP_BYTES };
        let wanted = self.end + step.max(self.end);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        // As much as fits: a record that is cut off is scanned again, so it has to grow in large steps.
        while self.end < wanted && !self.last {
            match self.reader.read(&mut self.buffer[self.end..wanted]) {
                Ok(0) => self.last = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What is at hand first, then the rest.
impl<R: Read> Read for Window<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.end && !self.last {
            return self.reader.read(into);
        }
        let count = into.len().min(self.end - self.at);
        into[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The place behind these bytes.
fn passed(line: u64, column: u64, bytes: &[u8]) -> (u64, u64) {
    // In stretches whose count fits a byte, so that the compiler compares many bytes at once.
    let newlines = |stretch: &[u8]| u64::from(stretch.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>());
    let lines: u64 = bytes.chunks(192).map(newlines).sum();
    let from = bytes.iter().rposition(|byte| *byte == b'\n').map(|position| position + 1);
    // Bytes that continue a character are no column of their own.
    let columns = bytes[from.unwrap_or(0)..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64;
    (line + lines, if from.is_some() { columns } else { column + columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            into[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn a_record_in_pieces_is_one_record() {
        let mut window = Window::new(Slow(b"ab cd\nef gh"));
        let mut words = Vec::new();
        loop {
            let word = window.scan(|scan| {
                scan.run(|byte| byte.is_ascii_whitespace())?;
                Ok(scan.run(|byte| !byte.is_ascii_whitespace())?.to_vec())
            });
            let word = word.expect("readable");
            if word.is_empty() {
                break;
            }
            words.push((String::from_utf8(word).expect("text"), window.place(0)));
        }
        let expected = [("ab", (1, 3)), ("cd", (1, 6)), ("ef", (2, 3)), ("gh", (2, 6))];
        assert_eq!(words, expected.map(|(word, place)| (word.to_owned(), place)));
    }

    #[test]
    fn lines_come_with_their_newline() {
        let mut window = Window::new(Slow(b"a\n\nb"));
        let mut lines = Vec::new();
        while let Some(line) = window.line().expect("readable") {
            lines.push(line.to_vec());
        }
        assert_eq!(lines, [b"a\n".to_vec(), b"\n".to_vec(), b"b".to_vec()]);
    }
}
