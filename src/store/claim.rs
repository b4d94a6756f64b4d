//! The claim of a process on the folder of its run: other processes see that the run goes on, and which process it is.
//!
//! A record lock (fcntl) ends with its process, however that ends, and is not inherited by the processes of a lab.
use super::RunDir;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

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

/// Held while a run goes on. Never: opens the lock file a second time in this process, since closing any handle of a file
/// ends its record locks.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A file that stays says that the run was killed.
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

impl RunDir {
    fn lock(&self) -> PathBuf {
        self.path().join("run.lock")
    }

    /// Claims the folder for the run of this process.
    pub fn claim(&self) -> io::Result<Claim> {
        let path = self.lock();
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        fcntl(&file, FcntlArg::F_SETLK(&lock(libc::F_WRLCK)))?;
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        file.write_all(&serde_json::to_vec(&RunProcess { pid: std::process::id(), host })?)?;
        Ok(Claim { path, _file: file })
    }

    /// The process whose run goes on in this folder. None: it has ended, or this process is the one.
    pub fn under_way(&self) -> Option<RunProcess> {
        let file = File::open(self.lock()).ok()?;
        let mut held = lock(libc::F_RDLCK);
        fcntl(&file, FcntlArg::F_GETLK(&mut held)).ok()?;
        if i32::from(held.l_type) == libc::F_UNLCK {
            return None;
        }
        Some(serde_json::from_reader(&file).unwrap_or_default())
    }

    /// Whether a run ended without removing its claim: it was killed, or its machine was lost.
    pub fn was_killed(&self) -> bool {
        self.lock().exists() && self.under_way().is_none()
    }

    /// Whether something was recorded.
    pub fn has_history(&self) -> bool {
        self.journal().is_dir() || self.history().is_file()
    }
}
