//! [`StateDir`]: the agent's folder on the node, its lock and the lock's holder. Only the holder may inject or undo.
use crate::{process, sys};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// How long an old agent has to heal and end before it is killed.
const ENDING: Duration = Duration::from_secs(12);
/// How long to wait for the lock after that: the guardian may be healing.
const HEALING: Duration = Duration::from_secs(20);

/// The agent's folder.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    dir: PathBuf,
}

/// The right to inject and to undo. Ends with the process in any case.
pub(crate) struct Lock {
    _file: File,
}

impl StateDir {
    /// Makes the folder if needed and checks that it is writable. Users of targets pass through it to their own folders; the
    /// agent's records of services are private.
    pub(crate) fn open(dir: PathBuf) -> Result<StateDir, String> {
        let say = |error| format!("folder {}: {error}; name one that can be written with --dir", dir.display());
        let services = dir.join("services");
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(say)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&services).map_err(say)?;
        fs::set_permissions(&services, fs::Permissions::from_mode(0o700)).map_err(say)?;
        let mode = fs::metadata(&dir).map_err(say)?.permissions().mode();
        if mode & 0o011 != 0o011 {
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode | 0o011)).map_err(say)?;
        }
        OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join("agent.log")).map_err(say)?;
        Ok(StateDir { dir })
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Adds a line to `agent.log`. Errors are ignored: logging must never stop a heal.
    pub(crate) fn log(&self, line: &str) {
        let stamp = sys::realtime_ns() / 1_000_000;
        let text = format!("{}.{:03} [{}] {line}\n", stamp / 1000, stamp % 1000, std::process::id());
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(self.file("agent.log")) {
            drop(file.write_all(text.as_bytes()));
        }
    }

    /// A short name for this folder, which distinguishes objects of agents of several folders on one kernel.
    pub(crate) fn tag(&self) -> String {
        short_name(&self.dir)
    }

    /// Takes the lock, waiting up to the deadline. Its earlier holder may have been killed while it replaced a file.
    pub(crate) fn lock(&self, wait: Duration) -> Result<Option<Lock>, String> {
        let path = self.file("lock");
        let say = |error| format!("{}: {error}", path.display());
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(say)?;
        let mut failed = None;
        let taken = sys::await_true(wait, || match sys::try_lock(&file) {
            Ok(taken) => taken,
            Err(error) => {
                failed = Some(say(error));
                true
            }
        });
        match failed {
            Some(reason) => Err(reason),
            None if taken => {
                for folder in ["", "services", "disk"] {
                    remove_fresh(&self.file(folder), |_| true);
                }
                Ok(Some(Lock { _file: file }))
            }
            None => Ok(None),
        }
    }

    /// Takes the lock from an older agent: asks it to heal and end, waits, and kills it if it does not.
    pub(crate) fn take_over(&self) -> Result<Lock, String> {
        if let Some(lock) = self.lock(Duration::ZERO)? {
            return Ok(lock);
        }
        for (signal, patience) in [(libc::SIGTERM, ENDING), (libc::SIGKILL, HEALING)] {
            if let Some((pid, start)) = self.holder()
                && process::lives(pid, start)
            {
                self.log(&format!("agent {pid} holds {}: signal {signal}", self.dir.display()));
                drop(sys::kill(pid, signal));
            }
            if let Some(lock) = self.lock(patience)? {
                return Ok(lock);
            }
        }
        Err(format!("another agent or a heal holds {} and does not end", self.dir.display()))
    }

    /// Writes the holder of the lock. A full disk does not stop a heal: the claim names the holder of the node, too.
    pub(crate) fn sign(&self) {
        let me = std::process::id();
        let start = process::stat(me).map_or(0, |stat| stat.start);
        if let Err(reason) = write_whole(&self.file("agent.pid"), format!("{me} {start}\n").as_bytes()) {
            self.log(&reason);
        }
    }

    /// The last holder: process id and start.
    pub(crate) fn holder(&self) -> Option<(u32, u64)> {
        let text = fs::read_to_string(self.file("agent.pid")).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        Some((pid.parse().ok()?, start.parse().ok()?))
    }
}

/// A short name for a folder.
pub(crate) fn short_name(folder: &Path) -> String {
    // FNV-1a, 32 bits.
    let bytes = folder.as_os_str().as_encoded_bytes().iter();
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}

/// Read while a file is replaced.
static REPLACING: RwLock<()> = RwLock::new(());

/// Waits for the threads that replace files, and lets no other begin: for the end of this process, which would leave a part of a file.
pub(crate) fn end_of_writes() {
    std::mem::forget(REPLACING.write().unwrap_or_else(PoisonError::into_inner));
}

/// The end of the name of a file that takes another one's place.
const FRESH: &str = ".fresh";
/// Attempts to replace a file whose fresh one was removed meanwhile.
const ATTEMPTS: usize = 3;

/// Removes what processes that were killed have left of files that they were replacing in a folder. `chosen` takes the file's name.
pub(crate) fn remove_fresh(folder: &Path, chosen: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(|name| name.strip_suffix(FRESH)).is_some_and(&chosen) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Replaces a file atomically, also across a crash.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), String> {
    let _replacing = REPLACING.read().unwrap_or_else(PoisonError::into_inner);
    let say = |error| format!("{}: {error}", path.display());
    for _ in 1..ATTEMPTS {
        match replace(path, content) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            done => return done.map_err(say),
        }
    }
    replace(path, content).map_err(say)
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(FRESH);
    let fresh = PathBuf::from(fresh);
    // Records of services contain their environment, so no other user may read them.
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let written = options.open(&fresh).and_then(|mut file| {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_data()
    });
    if let Err(error) = written {
        drop(fs::remove_file(&fresh));
        return Err(error);
    }
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
