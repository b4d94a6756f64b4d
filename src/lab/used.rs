//! Whether a run uses a lab, by the claims on its nodes.
use super::{Lab, node_name};
use anyhow::{Context as _, Result};
use dsfuzz_nemesis::protocol::{CLAIMS_DIR, ClaimFile, ENDING_MAX, SILENT_MAX, claim_file_name};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);
/// Bytes read of a claim; its file is far smaller.
const CLAIM_BYTES_MAX: u64 = 64 << 10;

impl Lab {
    /// The first node that a run uses, in a sentence; none if no run uses the lab. A run whose control node is dead releases its
    /// nodes within a lease, which is waited for. An unreadable claim counts as a use. Blocks.
    ///
    /// Never: changes a node, or asks an agent. A node without SSH is seen all the same.
    pub fn used(&self) -> Result<Option<String>> {
        for index in 1..=self.record.nodes {
            let node = node_name(index);
            // A stopped node has no agent.
            let Ok(init) = self.node_init(&node) else { continue };
            let network = fs::metadata(format!("/proc/{init}/ns/net")).context("reading a node's network namespace")?;
            let claims = Claims { root: PathBuf::from(format!("/proc/{init}/root")), network: network.ino() };
            match claims.held() {
                Ok(None) => {}
                Ok(Some(held)) => return Ok(Some(crate::cluster::used(&node, &held.claim))),
                Err(error) => {
                    return Ok(Some(format!(
                        "whether a run uses {node} is not known: its claim cannot be read: {error}"
                    )));
                }
            }
        }
        Ok(None)
    }
}

/// The files of a node's claims, as root of this machine opens them.
///
/// Never: follows a link that root of the node made, opens anything but a regular file there, or reads it without a limit.
struct Claims {
    /// The node's root.
    root: PathBuf,
    /// The inode of its network namespace.
    network: u64,
}

impl Claims {
    /// The claim whose lock a living agent holds.
    fn held(&self) -> io::Result<Option<ClaimFile>> {
        let (begun, mut before) = (Instant::now(), None);
        loop {
            if !self.is_locked()? {
                return Ok(None);
            }
            let now = self.claim()?;
            let before_ns = *before.get_or_insert(now.claim.renewed_ns);
            let renewed = !now.ending && now.claim.renewed_ns > before_ns;
            if renewed || begun.elapsed() > if now.ending { ENDING_MAX } else { SILENT_MAX } {
                return Ok(Some(now));
            }
            std::thread::sleep(LOOK);
        }
    }

    fn is_locked(&self) -> io::Result<bool> {
        let Some(file) = self.open("lock")? else { return Ok(false) };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The claim in the file; none if the file is absent or empty.
    fn claim(&self) -> io::Result<ClaimFile> {
        let Some(file) = self.open("json")? else { return Ok(ClaimFile::default()) };
        let mut text = Vec::new();
        file.take(CLAIM_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > CLAIM_BYTES_MAX {
            return Err(io::Error::other(format!("it is larger than {CLAIM_BYTES_MAX} bytes")));
        }
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// Opens the file with this ending, step by step; none where there is no such file.
    fn open(&self, ending: &str) -> io::Result<Option<File>> {
        let name = claim_file_name(self.network, ending);
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => Ok(None),
            kind => Err(io::Error::new(kind, format!("{CLAIMS_DIR}/{name}: {error}"))),
        };
        match self.regular(&name) {
            Ok(file) => Ok(Some(file)),
            Err(error) => failed(error),
        }
    }

    fn regular(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut folder: OwnedFd = File::open(&self.root)?.into();
        for part in CLAIMS_DIR.split('/').filter(|part| !part.is_empty()) {
            folder = openat(&folder, part, flags | OFlag::O_DIRECTORY, Mode::empty())?;
        }
        let file = File::from(openat(&folder, name, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no regular file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::protocol::{Claim, Claimant};

    /// The claims of a node whose root is this folder, and the paths of the lock and of the claim.
    fn claims(root: &std::path::Path) -> (Claims, PathBuf, PathBuf) {
        let folder = root.join(CLAIMS_DIR.trim_start_matches('/'));
        fs::create_dir_all(&folder).expect("made");
        let file = |ending| folder.join(claim_file_name(7, ending));
        (Claims { root: root.into(), network: 7 }, file("lock"), file("json"))
    }

    #[test]
    fn what_root_of_a_node_puts_in_the_place_of_a_claim_is_not_followed_and_counts_as_a_use() {
        use nix::unistd::mkfifo;
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let (node, lock, json) = claims(folder.path());
        mkfifo(&lock, Mode::S_IRWXU).expect("a FIFO");
        assert!(node.held().expect_err("a FIFO").to_string().contains("no regular file"));
        fs::remove_file(&lock).expect("removed");
        // A process of this machine, not of the node.
        let outside = tempfile::NamedTempFile::new().expect("a file");
        symlink(outside.path(), &lock).expect("a link");
        assert!(node.held().is_err(), "a link");
        fs::remove_file(&lock).expect("removed");
        let agent = File::create(&lock).expect("a lock");
        agent.lock().expect("locked");
        symlink("/dev/zero", &json).expect("a link");
        assert!(node.held().is_err(), "a link to a device");
        fs::remove_file(&json).expect("removed");
        File::create(&json).and_then(|file| file.set_len(1 << 40)).expect("a large file");
        assert!(node.held().expect_err("large").to_string().contains("larger than 65536 bytes"));
        fs::remove_dir_all(lock.parent().expect("a folder")).expect("removed");
        symlink(outside.path().parent().expect("a folder"), lock.parent().expect("a folder")).expect("a link");
        assert!(node.held().is_err(), "the folder is a link");
    }

    #[test]
    fn a_claim_is_in_force_while_its_lock_is_held_and_its_control_node_is_heard_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let (node, lock, json) = claims(folder.path());
        assert_eq!(node.held().expect("looked"), None, "no claim was ever made");
        let keep = |renewed_ns| {
            let by = Claimant { run: "a".into(), ..Claimant::default() };
            let file =
                ClaimFile { claim: Claim { by, since_ns: 1, renewed_ns, ..Claim::default() }, ..ClaimFile::default() };
            crate::store::write_whole(&json, &serde_json::to_vec(&file).expect("JSON")).expect("written");
        };
        keep(1);
        assert_eq!(node.held().expect("looked"), None, "the file of a run that ended stays");
        let agent = File::create(&lock).expect("a lock");
        agent.lock().expect("locked");
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| node.held().expect("looked"));
            for renewed_ns in 2..2000 {
                if looking.is_finished() {
                    break;
                }
                keep(renewed_ns);
                std::thread::sleep(LOOK);
            }
            assert_eq!(looking.join().expect("joined").expect("a claim").claim.by.run, "a");
            // Its control node is dead: the agent ends within its lease.
            let looking = scope.spawn(|| node.held().expect("looked"));
            std::thread::sleep(LOOK * 3);
            drop(agent);
            assert_eq!(looking.join().expect("joined"), None);
        });
    }
}
