//! [`NodeClaim`]: one run at a time holds a node. The run's agent holds the lock as long as it lives, and it lives no longer than
//! its lease. A file beside the lock names the holder, its begin and the time of its last message.
//!
//! The claim is per network namespace, not per folder: agents of two folders share the table of nftables and the pings.
use crate::state_dir::{remove_fresh, write_whole};
use crate::{process, sys};
use dsfuzz_nemesis::protocol::{
    CLAIMS_DIR, Claim, ClaimEntry, ClaimFile, Claimant, ENDING_MAX, SILENT_MAX, claim_file_name,
};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long the clients of a run may take to end their calls after it learned that it was evicted or that its lease lapsed. It
/// asks for its node all the time.
const CLIENTS: Duration = Duration::from_secs(20);
/// A run that has been silent for this time has ended by itself, with its clients.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The runs whose clients may still be alive when this run takes the node.
fn with_clients(held: &ClaimFile, by: &Claimant, now_ns: i64) -> Vec<Claim> {
    let last = (!held.over && !held.claim.by.token.is_empty()).then_some(&held.claim);
    let may_live = |claim: &&Claim| {
        let silent_ns = now_ns.saturating_sub(claim.renewed_ns);
        claim.by != *by && !u128::try_from(silent_ns).is_ok_and(|silent| silent > FORGOTTEN.as_nanos())
    };
    held.earlier.iter().chain(last).filter(may_live).cloned().collect()
}

/// The right of a run to this node. Ends with the process.
pub(crate) struct NodeClaim {
    files: Files,
    held: Mutex<ClaimFile>,
    _lock: File,
}

/// The reason for a refused claim.
#[derive(Debug)]
pub(crate) enum ClaimRefusal {
    /// Another run holds the node, or held it since.
    Taken(Box<Claim>),
    /// The holder is unknown.
    Failed(String),
}

#[derive(Clone)]
struct Files {
    lock: PathBuf,
    held: PathBuf,
    next: PathBuf,
    gone: PathBuf,
}

impl Files {
    /// The files for this network namespace: in `/run`, or in the agent's folder if `/run` is not writable.
    fn find(own: &Path) -> Result<Files, String> {
        let shared = Path::new(CLAIMS_DIR);
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(shared);
        let folder = if made.is_ok() && sys::writable(shared) { shared } else { own };
        let network = fs::metadata("/proc/self/ns/net").map_or(0, |about| about.ino());
        let file = |ending: &str| folder.join(claim_file_name(network, ending));
        Ok(Files { lock: file("lock"), held: file("json"), next: file("next"), gone: file("gone") })
    }

    /// Removes what processes that were killed have left beside these files.
    fn remove_fresh(&self) {
        let of_node = |path: &PathBuf, name: &str| path.file_name().is_some_and(|own| own == name);
        if let Some(folder) = self.lock.parent() {
            let files = [&self.held, &self.next, &self.gone];
            remove_fresh(folder, |name| files.into_iter().any(|path| of_node(path, name)));
        }
    }

    fn open(&self) -> Result<File, String> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&self.lock).map_err(|error| format!("{}: {error}", self.lock.display()))
    }

    fn is_gone(&self, by: &Claimant) -> bool {
        fs::read(&self.gone).ok().and_then(|json| serde_json::from_slice::<Claimant>(&json).ok()).as_ref() == Some(by)
    }

    fn held(&self) -> Option<ClaimFile> {
        serde_json::from_slice(&fs::read(&self.held).ok()?).ok()
    }
}

impl NodeClaim {
    /// Claims the node. `own`: the agent's folder.
    pub(crate) fn take(own: &Path, by: &Claimant, entry: ClaimEntry) -> Result<NodeClaim, ClaimRefusal> {
        let files = Files::find(own).map_err(ClaimRefusal::Failed)?;
        if entry == ClaimEntry::Gone {
            let json = serde_json::to_vec(by).map_err(|error| ClaimRefusal::Failed(error.to_string()))?;
            write_whole(&files.gone, &json).map_err(ClaimRefusal::Failed)?;
            return Err(ClaimRefusal::Taken(Box::new(files.held().unwrap_or_default().claim)));
        }
        let lock = files.open().map_err(ClaimRefusal::Failed)?;
        let locked =
            || sys::try_lock(&lock).map_err(|error| ClaimRefusal::Failed(format!("{}: {error}", files.lock.display())));
        if !locked()? {
            let held = files.held().unwrap_or_default();
            let mine = held.claim.by == *by;
            if entry == ClaimEntry::Again && !mine {
                return Err(ClaimRefusal::Taken(Box::new(held.claim)));
            }
            if entry == ClaimEntry::TakeOver && !mine {
                drop(fs::remove_file(&files.gone));
            }
            if mine || entry == ClaimEntry::TakeOver {
                evict(&files, &held, by);
            }
            // A holder that is being evicted is not asked twice.
            if !wait_for(&files, &held, mine || entry == ClaimEntry::TakeOver, locked)? {
                let claim = files.held().unwrap_or(held).claim;
                return Err(ClaimRefusal::Taken(Box::new(claim)));
            }
        }
        let last = files.held();
        if let (ClaimEntry::Again, Some(last)) = (entry, &last)
            && last.claim.by != *by
        {
            return Err(ClaimRefusal::Taken(Box::new(last.claim.clone())));
        }
        let now_ns = sys::realtime_ns();
        let earlier = last.as_ref().map(|last| with_clients(last, by, now_ns)).unwrap_or_default();
        let since_ns = last.map(|last| last.claim).filter(|last| last.by == *by).map_or(now_ns, |last| last.since_ns);
        let me = std::process::id();
        let held = ClaimFile {
            claim: Claim { by: by.clone(), since_ns, renewed_ns: now_ns, undoing: Vec::new() },
            agent: (me, process::stat(me).map_or(0, |stat| stat.start)),
            ending: false,
            over: false,
            earlier,
        };
        drop(fs::remove_file(&files.next));
        files.remove_fresh();
        let claim = NodeClaim { files, held: Mutex::new(held.clone()), _lock: lock };
        claim.write(&held).map_err(ClaimRefusal::Failed)?;
        Ok(claim)
    }

    /// Waits until the previous runs of the node have reported that their clients are gone: late clients would write into the
    /// next deployment. Returns a run that has not; its control node is dead, with its clients, or unreachable.
    pub(crate) fn await_clients(&self) -> Option<Claimant> {
        let earlier = self.held.lock().unwrap_or_else(PoisonError::into_inner).earlier.clone();
        let left = || earlier.iter().find(|claim| !self.files.is_gone(&claim.by));
        sys::await_true(CLIENTS, || left().is_none());
        let left = left().map(|claim| claim.by.clone());
        self.change(|held| held.earlier.clear());
        left
    }

    /// The run ends properly: no later run has to wait for its clients.
    pub(crate) fn over(&self) {
        self.change(|held| held.over = true);
    }

    /// Notes a message of the control node. A failed write leaves the old time; the lock counts.
    pub(crate) fn renew(&self) {
        self.change(|held| held.claim.renewed_ns = sys::realtime_ns());
    }

    /// The agent heals and will end.
    pub(crate) fn end(&self) {
        self.change(|held| held.ending = true);
    }

    /// The agent, which ends, undoes these faults.
    pub(crate) fn undoes(&self, faults: Vec<String>) {
        self.change(|held| held.claim.undoing = faults);
    }

    /// The run that asked for the end of this agent, if any.
    pub(crate) fn evicted_by(&self) -> Option<String> {
        let next: Claimant = serde_json::from_slice(&fs::read(&self.files.next).ok()?).ok()?;
        let mine = self.held.lock().unwrap_or_else(PoisonError::into_inner).claim.by.clone();
        (next != mine).then(|| format!("evicted by {} from host {}", next.run, next.host))
    }

    fn change(&self, change: impl FnOnce(&mut ClaimFile)) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut held);
        drop(self.write(&held));
    }

    fn write(&self, held: &ClaimFile) -> Result<(), String> {
        let json = serde_json::to_vec(held).map_err(|error| error.to_string())?;
        write_whole(&self.files.held, &json)
    }
}

/// Removes what an agent that was killed has left of files of the claim that it was replacing. `own`: the agent's folder.
pub(crate) fn tidy(own: &Path) {
    if let Ok(files) = Files::find(own) {
        files.remove_fresh();
    }
}

/// Names the successor, and asks the agent that holds the lock to heal and end.
fn evict(files: &Files, held: &ClaimFile, by: &Claimant) {
    if let Ok(json) = serde_json::to_vec(by) {
        drop(write_whole(&files.next, &json));
    }
    let (pid, start) = held.agent;
    if process::lives(pid, start) {
        drop(sys::kill(pid, libc::SIGTERM));
    }
}

/// Waits for the lock as long as its holder may be ending; false if the holder lives on.
fn wait_for(
    files: &Files,
    before: &ClaimFile,
    asked: bool,
    mut locked: impl FnMut() -> Result<bool, ClaimRefusal>,
) -> Result<bool, ClaimRefusal> {
    let begun = sys::boottime_ns();
    loop {
        std::thread::sleep(LOOK);
        if locked()? {
            return Ok(true);
        }
        let waited = Duration::from_nanos(sys::boottime_ns().saturating_sub(begun));
        let now = files.held().unwrap_or_default();
        let lives_on = !asked && !now.ending && now.claim.renewed_ns > before.claim.renewed_ns;
        let patience = if asked || now.ending { ENDING_MAX } else { SILENT_MAX };
        if lives_on || waited > patience {
            if !(asked && waited > patience) {
                return Ok(false);
            }
            // It does not end; its guardian heals after the kill.
            let (pid, start) = before.agent;
            if process::lives(pid, start) {
                drop(sys::kill(pid, libc::SIGKILL));
            }
            return if sys::await_true(LOOK * 40, || matches!(locked(), Ok(true))) { Ok(true) } else { Ok(false) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(run: &str) -> Claimant {
        Claimant { run: run.to_owned(), host: "h".to_owned(), token: run.to_owned() }
    }

    fn files(folder: &Path) -> Files {
        let file = |ending: &str| folder.join(format!("node-1.{ending}"));
        Files { lock: file("lock"), held: file("json"), next: file("next"), gone: file("gone") }
    }

    #[test]
    fn only_a_run_that_did_not_end_in_order_may_have_clients() {
        let held = |over, renewed_ns| {
            let claim = Claim { by: claimant("a"), renewed_ns, ..Claim::default() };
            ClaimFile { claim, over, ..ClaimFile::default() }
        };
        let now_ns = 1_000_000_000_000;
        let runs = |held: &ClaimFile, by: &str| -> Vec<String> {
            with_clients(held, &claimant(by), now_ns).into_iter().map(|claim| claim.by.run).collect()
        };
        assert_eq!(runs(&held(false, now_ns - 5), "b"), ["a"]);
        assert_eq!(runs(&held(false, now_ns + 5), "b"), ["a"], "a clock that went back");
        assert!(runs(&held(false, now_ns - 5), "a").is_empty(), "its own");
        assert!(runs(&held(true, now_ns - 5), "b").is_empty() && runs(&held(false, 5), "b").is_empty());
        // A heal in between waits for no clients and hides no run.
        let heal = ClaimFile {
            over: true,
            earlier: with_clients(&held(false, now_ns - 5), &claimant("h"), now_ns),
            ..ClaimFile::default()
        };
        assert_eq!(runs(&heal, "b"), ["a"]);
    }

    #[test]
    fn a_holder_that_is_heard_of_keeps_the_node_and_one_that_ends_gives_it_up() {
        let folder = std::env::temp_dir().join(format!("dsfuzz-claim-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let files = files(&folder);
        let keep = |renewed_ns, ending| {
            let claim = Claim { by: claimant("a"), since_ns: 1, renewed_ns, ..Claim::default() };
            let held = ClaimFile { claim, agent: (0, 0), ending, ..ClaimFile::default() };
            write_whole(&files.held, &serde_json::to_vec(&held).expect("JSON")).expect("written");
            held
        };
        let before = keep(5, false);
        keep(6, false);
        assert!(!wait_for(&files, &before, false, || Ok(false)).expect("looked"), "it was renewed meanwhile");
        keep(6, true);
        let mut looks = 0;
        let freed = wait_for(&files, &before, false, || {
            looks += 1;
            Ok(looks > 3)
        });
        assert!(freed.expect("looked"), "it ends, so it is waited for");
        fs::remove_dir_all(folder).expect("removed");
    }
}
