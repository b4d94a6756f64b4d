//! [`Node`]: a file or folder below the layer, and what of its data is not synced.
//!
//! Writes go to the file below at once. What they overwrite of the synced data is kept in memory until the next sync, so that a
//! power loss can put it back. The end of the layer's process therefore loses nothing.
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Unit of kept data.
const PAGE_BYTES: u64 = 4096;
/// Unit that a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// Kept data of all files. Beyond it a file is synced, as a kernel writes back when its memory runs short.
const KEPT_BYTES_MAX: u64 = 512 << 20;

/// Bytes of kept data, of all files of a layer.
pub(super) type KeptBytes = Arc<AtomicU64>;

/// A file, folder or other object below the layer.
pub(super) struct Node {
    /// Its inode number below.
    pub(super) ino: u64,
    /// Opened with O_PATH, so that it stays this object whatever its name becomes.
    pub(super) path: OwnedFd,
    /// Its type bits.
    pub(super) kind: u32,
    /// Its name when it was last looked up, relative to the layer's folder.
    pub(super) name: Mutex<PathBuf>,
    /// A log of the harness: nothing of it is ever lost, and no fault reaches it.
    pub(super) exempt: bool,
    /// References of the kernel.
    pub(super) lookups: AtomicU64,
    /// Links that only a power loss needs.
    pub(super) hidden_links: AtomicU32,
    opened: OnceLock<File>,
    unsynced: Mutex<Unsynced>,
    kept_bytes: KeptBytes,
}

/// What a power loss takes from a file.
#[derive(Default)]
struct Unsynced {
    /// The size at the last sync, if anything changed since.
    size: Option<u64>,
    /// Overwritten pages as they were at the last sync; none stands for zeros.
    pages: Pages,
    /// Such pages of a sync that failed. Linux takes them for clean, so that no later sync makes them safe.
    failed: Pages,
}

/// The old content of pages, by their number.
type Pages = BTreeMap<u64, Option<Box<[u8]>>>;

/// What a power loss took from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LostData {
    /// Bytes that were written and are gone.
    pub(super) lost_bytes: u64,
    /// Bytes that were not synced and are on the disk all the same.
    pub(super) kept_bytes: u64,
}

impl Node {
    pub(super) fn new(
        (ino, kind): (u64, u32),
        path: OwnedFd,
        name: PathBuf,
        exempt: bool,
        kept_bytes: KeptBytes,
    ) -> Node {
        Node {
            ino,
            path,
            kind,
            name: Mutex::new(name),
            exempt,
            lookups: AtomicU64::new(0),
            hidden_links: AtomicU32::new(0),
            opened: OnceLock::new(),
            unsynced: Mutex::default(),
            kept_bytes,
        }
    }

    /// A path to the object itself.
    pub(super) fn proc_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.path.as_raw_fd()))
    }

    pub(super) fn name(&self) -> PathBuf {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unsynced(&self) -> MutexGuard<'_, Unsynced> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        let path = self.proc_path();
        let opened = File::options().read(true).write(true).open(&path).or_else(|_| File::open(&path))?;
        Ok(self.opened.get_or_init(|| opened))
    }

    pub(super) fn is_folder(&self) -> bool {
        self.kind == libc::S_IFDIR
    }

    pub(super) fn is_file(&self) -> bool {
        self.kind == libc::S_IFREG
    }

    /// Its size now.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    /// Bytes that a power loss would take now; none if all is synced.
    pub(super) fn unsynced_bytes(&self) -> Option<u64> {
        let unsynced = self.unsynced();
        let pages = unsynced.pages.len().saturating_add(unsynced.failed.len()) as u64;
        if unsynced.size.is_none() && pages == 0 {
            return None;
        }
        let now = self.size().unwrap_or(0);
        Some(pages * PAGE_BYTES + now.saturating_sub(unsynced.size.unwrap_or(now)))
    }

    pub(super) fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        read_at(self.file()?, offset, bytes)
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let file = self.file()?;
        self.keep(&mut unsynced, file, offset, offset.saturating_add(data.len() as u64))?;
        file.write_all_at(data, offset)
    }

    pub(super) fn set_size(&self, size: u64) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let file = self.file()?;
        let now = file.metadata()?.len();
        self.keep(&mut unsynced, file, size, now.max(size))?;
        file.set_len(size)
    }

    /// Allocates, punches or zeroes a range, by the kernel's mode.
    pub(super) fn allocate(&self, offset: u64, bytes: u64, mode: i32) -> io::Result<()> {
        let known = libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE;
        if mode & !known != 0 {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        let mut unsynced = self.unsynced();
        let file = self.file()?;
        let erases = mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0;
        let end = if erases { offset.saturating_add(bytes) } else { offset };
        self.keep(&mut unsynced, file, offset, end)?;
        let wrong = |_| io::Error::from_raw_os_error(libc::EFBIG);
        let (offset, bytes) = (i64::try_from(offset).map_err(wrong)?, i64::try_from(bytes).map_err(wrong)?);
        let flags = nix::fcntl::FallocateFlags::from_bits_retain(mode);
        Ok(nix::fcntl::fallocate(file, flags, offset, bytes)?)
    }

    /// Keeps the synced data of a range that is about to change.
    fn keep(&self, unsynced: &mut Unsynced, file: &File, from: u64, to: u64) -> io::Result<()> {
        if self.exempt {
            return Ok(());
        }
        let size = match unsynced.size {
            Some(size) => size,
            None => file.metadata()?.len(),
        };
        if self.kept_bytes.load(SeqCst) > KEPT_BYTES_MAX {
            self.forget_kept(unsynced);
        }
        unsynced.size.get_or_insert(size);
        let to = to.min(size);
        let mut page = from / PAGE_BYTES;
        while page * PAGE_BYTES < to {
            // One that failed to be synced is written again with this.
            if let Some(failed) = unsynced.failed.remove(&page) {
                unsynced.pages.insert(page, failed);
            } else if let std::collections::btree_map::Entry::Vacant(vacant) = unsynced.pages.entry(page) {
                let start = page * PAGE_BYTES;
                let old = read_at(file, start, PAGE_BYTES.min(size - start) as usize)?;
                let zeros = old.iter().all(|byte| *byte == 0);
                self.kept_bytes.fetch_add(if zeros { 0 } else { old.len() as u64 }, SeqCst);
                vacant.insert((!zeros).then(|| old.into_boxed_slice()));
            }
            page += 1;
        }
        Ok(())
    }

    fn forget_kept(&self, unsynced: &mut Unsynced) {
        let bytes: u64 = unsynced.pages.values().flatten().map(|page| page.len() as u64).sum();
        self.kept_bytes.fetch_sub(bytes, SeqCst);
        (unsynced.size, unsynced.pages) = (None, Pages::new());
    }

    /// A sync has failed: what it should have made safe is lost with the power, unless it is written again.
    pub(super) fn fail_sync(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced();
        let Some(size) = unsynced.size.take() else { return Ok(()) };
        let file = self.file()?;
        let now = file.metadata()?.len();
        // Behind the old size the file has zeros on the disk. The page with the old end has its old data before them.
        let mut page = size / PAGE_BYTES;
        while page * PAGE_BYTES < now {
            let start = page * PAGE_BYTES;
            let mut old = match unsynced.pages.remove(&page) {
                Some(kept) => kept.map_or_else(Vec::new, |kept| kept.into_vec()),
                None => read_at(file, start, size.saturating_sub(start) as usize)?,
            };
            self.kept_bytes.fetch_add(PAGE_BYTES - old.len() as u64, SeqCst);
            old.resize(PAGE_BYTES as usize, 0);
            unsynced.failed.insert(page, Some(old.into_boxed_slice()));
            page += 1;
        }
        let pages = std::mem::take(&mut unsynced.pages);
        for (page, old) in pages {
            unsynced.failed.entry(page).or_insert(old);
        }
        Ok(())
    }

    /// All data are safe from now on.
    pub(super) fn sync(&self) {
        let mut unsynced = self.unsynced();
        if unsynced.size.is_some() {
            self.forget_kept(&mut unsynced);
        }
    }

    /// Loses what is not synced. `survives` is asked for each changed sector of the synced size; behind it a file ends at the first
    /// sector that does not survive, since file systems move the end of a file only behind written data.
    pub(super) fn lose(&self, survives: &mut impl FnMut() -> bool) -> io::Result<Option<LostData>> {
        let mut unsynced = self.unsynced();
        let failed = std::mem::take(&mut unsynced.failed);
        let file = self.file()?;
        let now = file.metadata()?.len();
        let size = match unsynced.size {
            Some(size) => size,
            None if failed.is_empty() => return Ok(None),
            None => now,
        };
        for (page, old) in failed {
            unsynced.pages.entry(page).or_insert(old);
        }
        let mut lost = LostData::default();
        for (page, old) in &unsynced.pages {
            let start = page * PAGE_BYTES;
            let bytes = PAGE_BYTES.min(size.saturating_sub(start)) as usize;
            let zeros = vec![0; bytes];
            let old = old.as_deref().unwrap_or(&zeros);
            restore(file, start, &old[..bytes.min(old.len())], survives, &mut lost)?;
        }
        let mut end = size;
        while end < now && survives() {
            end = (end / SECTOR_BYTES + 1).saturating_mul(SECTOR_BYTES).min(now);
        }
        lost.lost_bytes += now.saturating_sub(end);
        lost.kept_bytes += end - size;
        file.set_len(end)?;
        self.forget_kept(&mut unsynced);
        Ok(Some(lost))
    }
}

/// Puts the old content of a page back, sector by sector.
fn restore(
    file: &File,
    start: u64,
    old: &[u8],
    survives: &mut impl FnMut() -> bool,
    lost: &mut LostData,
) -> io::Result<()> {
    let now = read_at(file, start, old.len())?;
    for at in (0..old.len()).step_by(SECTOR_BYTES as usize) {
        let sector = at..(at + SECTOR_BYTES as usize).min(old.len());
        let bytes = sector.len() as u64;
        match now.get(sector.clone()) {
            Some(same) if same == &old[sector.clone()] => {}
            Some(_) if survives() => lost.kept_bytes += bytes,
            _ => {
                lost.lost_bytes += bytes;
                file.write_all_at(&old[sector], start + at as u64)?;
            }
        }
    }
    Ok(())
}

fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; bytes];
    let mut got = 0;
    while got < bytes {
        match file.read_at(&mut data[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(got);
    Ok(data)
}
