//! The lock of a process on the folder of its run, which shows other processes that the run is in progress, and in which process.
//!
//! A record lock (fcntl) ends with its process in any case, and processes of a lab do not inherit it.
use super::RunDir;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The process of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProcess {
    /// Its id.
    pub pid: u32,
    /// The machine.
    pub host: String,
}

impl fmt::Display for RunProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// Held while a run is in progress. Never: opens the lock file a second time in this process, since closing any handle of a
/// file ends its record locks.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A file that stays means that the run was killed.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn lock(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Whether the error means that the file system has no record locks.
fn unsupported(error: Errno) -> bool {
    // EOPNOTSUPP is the same number as ENOTSUP.
    matches!(error, Errno::ENOLCK | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS)
}

impl RunDir {
    fn lock(&self) -> PathBuf {
        self.path().join("run.lock")
    }

    /// Locks the folder for the run of this process. None: the file system has no record locks.
    pub fn claim(&self) -> io::Result<Option<RunLock>> {
        let path = self.lock();
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        match fcntl(&file, FcntlArg::F_SETLK(&lock(libc::F_WRLCK))) {
            Err(error) if unsupported(error) => {
                // A file that stays would mean that the run was killed.
                let _ = std::fs::remove_file(&path);
                return Ok(None);
            }
            locked => locked?,
        };
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        file.write_all(&serde_json::to_vec(&RunProcess { pid: std::process::id(), host })?)?;
        Ok(Some(RunLock { path, _file: file }))
    }

    /// The process of the run in progress in this folder. None: the run has ended, or this process is the one.
    pub fn under_way(&self) -> Option<RunProcess> {
        let file = File::open(self.lock()).ok()?;
        let mut held = lock(libc::F_RDLCK);
        fcntl(&file, FcntlArg::F_GETLK(&mut held)).ok()?;
        if i32::from(held.l_type) == libc::F_UNLCK {
            return None;
        }
        Some(serde_json::from_reader(&file).unwrap_or_default())
    }

    /// Whether a run ended without removing its lock file: it was killed, or its machine was lost.
    pub fn was_killed(&self) -> bool {
        self.lock().exists() && self.under_way().is_none()
    }

    /// Whether a load or a call was recorded. An unreadable record counts; its reader reports the error.
    pub fn has_history(&self) -> bool {
        if self.journal().is_dir() {
            return journal_has_load(&self.journal().join("segment-000000")).unwrap_or(true);
        }
        self.history().is_file() && export_has_load(&self.history()).unwrap_or(true)
    }
}

/// Whether the first segment of a journal holds the begin of a load, which comes before every call.
fn journal_has_load(segment: &Path) -> io::Result<bool> {
    let mut file = File::open(segment)?;
    let (mut window, mut chunk, mut first) = (Vec::new(), vec![0; 1 << 16], true);
    loop {
        let read = file.read(&mut chunk)?;
        if first && !chunk[..read].starts_with(SEGMENT_BEGIN) {
            return Ok(true);
        }
        // The unwritten part of a segment is zeros.
        if chunk[..read].iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        first = false;
        window.extend_from_slice(&chunk[..read]);
        if window.windows(LOAD_BEGINS.len()).any(|bytes| bytes == LOAD_BEGINS) {
            return Ok(true);
        }
        // The pattern may lie across two chunks.
        window.drain(..window.len().saturating_sub(LOAD_BEGINS.len()));
    }
}

fn export_has_load(export: &Path) -> io::Result<bool> {
    for line in BufReader::new(File::open(export)?).lines() {
        let line = line?;
        if line.contains("\"invoke\"") || (line.contains("\"phase\"") && line.contains("\"load\"")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first bytes of a journal's segment.
const SEGMENT_BEGIN: &[u8] = b"dsfzjrnl";
/// The bytes of the phase record in a journal.
const LOAD_BEGINS: &[u8] = b"\"phase\":\"load\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::recorder::Recorder;
    use dsfuzz_checkers::Phase;

    #[test]
    fn a_file_system_without_record_locks_is_told_from_a_lock_that_is_held() {
        for error in [Errno::ENOLCK, Errno::EINVAL, Errno::EOPNOTSUPP, Errno::ENOTSUP, Errno::ENOSYS] {
            assert!(unsupported(error), "{error}");
        }
        for error in [Errno::EAGAIN, Errno::EACCES, Errno::EIO] {
            assert!(!unsupported(error), "{error}");
        }
    }

    #[test]
    fn a_record_without_a_load_is_no_history() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = RunDir::at(folder.path());
        assert!(!dir.has_history());
        let recorder = Recorder::create(&dir.journal(), &["n1".into()], "w".into()).expect("a journal");
        recorder.note("", "clients open");
        assert!(!dir.has_history(), "its clients never opened");
        recorder.phase(Phase::Load);
        assert!(dir.has_history());
        recorder.end();
        assert!(dir.has_history());
        let exported = tempfile::tempdir().expect("a folder");
        let dir = RunDir::at(exported.path());
        std::fs::write(dir.history(), "{\"type\":\"start\"}\n{\"type\":\"note\"}\n").expect("an export");
        assert!(!dir.has_history());
        std::fs::write(dir.history(), "{\"type\": \"invoke\"}\n").expect("an export");
        assert!(dir.has_history());
    }
}
