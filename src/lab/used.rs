//! Whether a run uses a lab, as the claims on its nodes have it.
use super::{Lab, cgroup, node_name};
use anyhow::{Context, Result};
use dsfuzz_nemesis::protocol::{CLAIMS_DIR, ClaimFile, ENDING_MAX, SILENT_MAX, claim_file_name};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);

impl Lab {
    /// The first node that a run uses, in a sentence; none where no run uses the lab. A run whose control node is dead
    /// gives its nodes up within a lease: that is waited for. Blocks.
    ///
    /// Never: changes anything on a node, or asks an agent; a node that cannot be reached by SSH is seen all the same.
    pub fn used(&self) -> Result<Option<String>> {
        for index in 1..=self.record.nodes {
            let node = node_name(index);
            // A node that is not running has no agent.
            let Ok(init) = cgroup::node_init(&self.record.cgroup, &node) else { continue };
            let network = fs::metadata(format!("/proc/{init}/ns/net")).context("reading a node's network namespace")?;
            let folder = PathBuf::from(format!("/proc/{init}/root{CLAIMS_DIR}"));
            let file = |ending: &str| folder.join(claim_file_name(network.ino(), ending));
            if let Some(held) = held(&file("lock"), &file("json"))? {
                return Ok(Some(crate::cluster::used(&node, &held.claim)));
            }
        }
        Ok(None)
    }
}

/// The claim whose lock is held by an agent that lives on.
fn held(lock: &Path, json: &Path) -> Result<Option<ClaimFile>> {
    let read = || fs::read(json).ok().and_then(|text| serde_json::from_slice::<ClaimFile>(&text).ok());
    let (begun, before) = (Instant::now(), read().unwrap_or_default());
    loop {
        if !is_locked(lock)? {
            return Ok(None);
        }
        let now = read().unwrap_or_default();
        let renewed = !now.ending && now.claim.renewed_ns > before.claim.renewed_ns;
        if renewed || begun.elapsed() > if now.ending { ENDING_MAX } else { SILENT_MAX } {
            return Ok(Some(now));
        }
        std::thread::sleep(LOOK);
    }
}

fn is_locked(lock: &Path) -> Result<bool> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("opening {}", lock.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("looking at {}", lock.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dsfuzz_nemesis::protocol::{Claim, Claimant};

    #[test]
    fn a_claim_is_in_force_while_its_lock_is_held_and_its_control_node_is_heard_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let (lock, json) = (folder.path().join("lock"), folder.path().join("json"));
        assert_eq!(held(&lock, &json).expect("looked"), None, "no claim was ever made");
        let keep = |renewed_ns| {
            let by = Claimant { run: "a".into(), ..Claimant::default() };
            let file = ClaimFile { claim: Claim { by, since_ns: 1, renewed_ns }, ..ClaimFile::default() };
            crate::store::write_whole(&json, &serde_json::to_vec(&file).expect("JSON")).expect("written");
        };
        keep(1);
        assert_eq!(held(&lock, &json).expect("looked"), None, "the file of a run that ended stays");
        let agent = File::create(&lock).expect("a lock");
        agent.lock().expect("locked");
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| held(&lock, &json).expect("looked"));
            for renewed_ns in 2..2000 {
                if looking.is_finished() {
                    break;
                }
                keep(renewed_ns);
                std::thread::sleep(LOOK);
            }
            assert_eq!(looking.join().expect("joined").expect("a claim").claim.by.run, "a");
            // Its control node is dead: the agent ends within its lease.
            let looking = scope.spawn(|| held(&lock, &json).expect("looked"));
            std::thread::sleep(LOOK * 3);
            drop(agent);
            assert_eq!(looking.join().expect("joined"), None);
        });
    }
}
