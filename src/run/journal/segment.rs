//! One mapped segment file: its space is reserved before it is mapped, so that writing cannot fault on a full disk.
//! (On file systems that copy on write, such as btrfs, a reservation is a promise only for the first write of a page.)
#![expect(unsafe_code, reason = "a mapped file shared with the sync thread is written through its raw pointer")]
use super::{FORMAT_VERSION, MAGIC, SEGMENT_HEAD_BYTES, segment_name};
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A mapped segment. Only the holder of the journal's lock writes; any thread may sync.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    map: MmapRaw,
}

impl Segment {
    /// Makes segment `number` of `bytes` bytes in `dir`. It gets its name only after its head is written.
    pub(super) fn create(dir: &Path, number: u32, bytes: usize) -> io::Result<Segment> {
        let path = dir.join(segment_name(number));
        let unfinished = path.with_extension("new");
        let made = Segment::make(&unfinished, &path, number, bytes);
        if made.is_err() {
            // The reserved space is released, so that a full disk does not stay full.
            let _ = fs::remove_file(&unfinished);
        }
        let segment = made?;
        File::open(dir)?.sync_all()?;
        Ok(segment)
    }

    fn make(unfinished: &Path, path: &Path, number: u32, bytes: usize) -> io::Result<Segment> {
        if path.try_exists()? {
            let message = "a journal is there already; give each run a folder of its own";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(unfinished)?;
        let length = i64::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        nix::fcntl::posix_fallocate(&file, 0, length)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        let segment = Segment { path: path.to_owned(), file, map };
        let mut head = [0u8; SEGMENT_HEAD_BYTES];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        head[12..16].copy_from_slice(&number.to_le_bytes());
        head[16..24].copy_from_slice(&(bytes as u64).to_le_bytes());
        segment.put(0, &head);
        fs::rename(unfinished, path)?;
        Ok(segment)
    }

    /// Its length in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// Copies bytes to an offset.
    pub(super) fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.map.len() && bytes.len() <= self.map.len() - offset, "a frame must fit its segment");
        // SAFETY: the range lies inside the mapping (asserted above), no reference into the mapping exists, and
        // the journal's lock makes this thread the only writer.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(offset), bytes.len()) }
    }

    /// Stores a word at a multiple of 8, after everything put before it.
    pub(super) fn commit(&self, offset: usize, word: u64) {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.map.len(), "a commit mark must lie in its segment");
        // SAFETY: the address is inside the mapping and aligned (mappings begin at a page), and every access to this
        // word by this process is atomic.
        let mark = unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast::<u64>()) };
        mark.store(word.to_le(), Ordering::Release);
    }

    /// Syncs a range to the disk.
    pub(super) fn sync(&self, from: usize, to: usize) -> io::Result<()> {
        if from < to { self.map.flush_range(from, to - from) } else { Ok(()) }
    }

    /// Releases the space behind `bytes`. Nothing may be put there afterwards.
    pub(super) fn trim(&self, bytes: usize) -> io::Result<()> {
        self.file.set_len(bytes as u64)?;
        self.file.sync_all()
    }

    /// Deletes the file.
    pub(super) fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}
