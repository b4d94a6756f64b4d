//! The journal of a run: a folder of mapped segment files, one frame for each record.
//!
//! kill -9 at any instant loses at most the record being written. A full disk is an error, never a SIGBUS. Never: decides what
//! is recorded ([`super::recorder`]) or what it means (the checkers).
//!
//! A segment begins with 64 bytes (magic, version, number, length) and holds frames at multiples of 8 bytes:
//! `length and checksum (u64) | index (u64) | time (u64) | body`, little-endian. The first word is stored last, as one
//! atomic store: it is the commit mark. The checksum (CRC-32) covers body, index and time, in this order.
mod codec;
mod reader;
mod segment;
mod writer;

pub(super) use codec::{encode_completion, encode_invoke, encode_json};
pub use reader::{export, for_each, read};
pub(super) use writer::Journal;

use dsfuzz_checkers::history::HistoryError;
use std::io;
use std::path::PathBuf;

/// Bytes of a segment: about half a million operations.
pub const SEGMENT_BYTES: usize = 32 << 20;

const MAGIC: [u8; 8] = *b"dsfzjrnl";
const FORMAT_VERSION: u32 = 1;
const SEGMENT_HEAD_BYTES: usize = 64;
const FRAME_HEAD_BYTES: usize = 24;

/// An error of reading a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read.
    #[error("cannot read the journal {path}: {error}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// A file is no segment of a known version.
    #[error("{path} is not a journal segment that this program can read: {message}", path = .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The problem.
        message: String,
    },
    /// Records are missing or damaged in the middle, so that nothing may be judged.
    #[error("the recording is broken: {path} at byte {offset}: {message}", path = .path.display())]
    Broken {
        /// The segment.
        path: PathBuf,
        /// The offset in it.
        offset: usize,
        /// The problem.
        message: String,
    },
    /// The records contradict each other.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The export cannot be written.
    #[error("cannot write the history: {0}")]
    Write(io::Error),
}

fn segment_name(number: u32) -> String {
    format!("segment-{number:06}")
}

fn frame_bytes(body: usize) -> usize {
    (FRAME_HEAD_BYTES + body).next_multiple_of(8)
}

/// The checksum of a body; [`with_stamp`] completes it once index and time are known.
fn body_checksum(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}

fn with_stamp(body_checksum: u32, index: u64, time: u64) -> u32 {
    let mut stamp = [0u8; 16];
    stamp[..8].copy_from_slice(&index.to_le_bytes());
    stamp[8..].copy_from_slice(&time.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(body_checksum);
    hasher.update(&stamp);
    hasher.finalize()
}
