//! Reads a journal back: every committed record, in order. A torn last record is left out; any other gap is an error.
use super::codec::Decoder;
use super::{
    FORMAT_VERSION, FRAME_HEAD_BYTES, JournalError, MAGIC, SEGMENT_HEAD_BYTES, body_checksum, frame_bytes,
    segment_name, with_stamp,
};
use dsfuzz_checkers::History;
use dsfuzz_checkers::history::{HistoryBuilder, Record, write_record};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The validated history of a journal folder. Calls without a reply were in flight and are Info. [`History::complete`] says
/// whether the record has a proper end.
pub fn read(dir: &Path) -> Result<History, JournalError> {
    let mut history = HistoryBuilder::new();
    for_each(dir, |record| Ok(history.push(record)?))?;
    Ok(history.finish()?)
}

/// Writes the journal as JSON lines, with the same indexes, and returns their number.
pub fn export(dir: &Path, writer: &mut impl Write) -> Result<u64, JournalError> {
    let mut records = 0;
    for_each(dir, |record| {
        records += 1;
        write_record(writer, &record).map_err(JournalError::Write)
    })?;
    writer.flush().map_err(JournalError::Write)?;
    Ok(records)
}

/// Calls `take` with each record of a journal folder, in order.
pub fn for_each(dir: &Path, mut take: impl FnMut(Record) -> Result<(), JournalError>) -> Result<(), JournalError> {
    let mut reading = Reading { decoder: Decoder::default(), next_index: 0, torn: None, ended: false };
    for (number, path) in segments(dir)?.into_iter().enumerate() {
        let bytes = fs::read(&path).map_err(|error| JournalError::Io { path: path.clone(), error })?;
        check_head(&path, &bytes, number)?;
        reading.segment(&path, &bytes, &mut take)?;
    }
    Ok(())
}

fn segments(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let failed = |error| JournalError::Io { path: dir.to_owned(), error };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.starts_with("segment-") && !name.ends_with(".new") {
            names.push(name);
        }
    }
    names.sort();
    for (number, name) in names.iter().enumerate() {
        let expected = segment_name(u32::try_from(number).unwrap_or(u32::MAX));
        if *name != expected {
            let path = dir.join(expected);
            return Err(JournalError::Broken { path, offset: 0, message: format!("it is missing, {name} is there") });
        }
    }
    if names.is_empty() {
        return Err(failed(io::Error::new(io::ErrorKind::NotFound, "no segments in it")));
    }
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

fn check_head(path: &Path, bytes: &[u8], number: usize) -> Result<(), JournalError> {
    let foreign = |message: String| Err(JournalError::Foreign { path: path.to_owned(), message });
    if bytes.len() < SEGMENT_HEAD_BYTES || bytes[..8] != MAGIC {
        return foreign("it does not begin as one".to_owned());
    }
    let version = u32_at(bytes, 8);
    if version > FORMAT_VERSION {
        return foreign(format!("its version {version} is newer than {FORMAT_VERSION}"));
    }
    if u32_at(bytes, 12) as usize != number {
        return foreign(format!("it calls itself number {}", u32_at(bytes, 12)));
    }
    Ok(())
}

struct Reading {
    decoder: Decoder,
    next_index: u64,
    /// The position of a damaged frame: nothing may follow it.
    torn: Option<(PathBuf, usize)>,
    ended: bool,
}

impl Reading {
    fn segment(
        &mut self,
        path: &Path,
        bytes: &[u8],
        take: &mut impl FnMut(Record) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let broken = |offset, message: String| JournalError::Broken { path: path.to_owned(), offset, message };
        let mut at = SEGMENT_HEAD_BYTES;
        while let Some(frame) = frame(bytes, at) {
            if let Some((path, offset)) = self.torn.take() {
                let message = format!("a damaged record with others behind it (record {})", frame.index);
                return Err(JournalError::Broken { path, offset, message });
            }
            if frame.index != self.next_index {
                return Err(broken(at, format!("record {} where {} should be", frame.index, self.next_index)));
            }
            if self.ended {
                return Err(broken(at, format!("record {} after the end", frame.index)));
            }
            let record = self.decoder.record(frame.index, frame.time, frame.body);
            let record = record.map_err(|message| broken(at, format!("record {}: {message}", frame.index)))?;
            self.ended = matches!(record, Record::End { .. });
            take(record)?;
            self.next_index += 1;
            at += frame_bytes(frame.body.len());
        }
        // The record being written when the process died is the last one. A whole record behind it means that the file
        // was damaged otherwise.
        if let Some(later) = (at + 8..bytes.len()).step_by(8).find_map(|later| frame(bytes, later)) {
            return Err(broken(at, format!("a damaged record with others behind it (record {})", later.index)));
        }
        if bytes.get(at..at + 8).is_some_and(|word| word != [0; 8]) {
            self.torn = Some((path.to_owned(), at));
        }
        Ok(())
    }
}

struct Frame<'a> {
    index: u64,
    time: u64,
    body: &'a [u8],
}

/// The frame at `at`, if it is committed and undamaged.
fn frame(bytes: &[u8], at: usize) -> Option<Frame<'_>> {
    let head = bytes.get(at..at.checked_add(FRAME_HEAD_BYTES)?)?;
    let length = u32_at(head, 0) as usize;
    if length == 0 {
        return None;
    }
    let start = at + FRAME_HEAD_BYTES;
    let body = bytes.get(start..start.checked_add(length)?)?;
    let (index, time) = (u64_at(head, 8), u64_at(head, 16));
    (with_stamp(body_checksum(body), index, time) == u32_at(head, 4)).then_some(Frame { index, time, body })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
