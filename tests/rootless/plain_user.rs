//! [`PlainUser`]: a user without root, who exists only in a mount namespace of its own. That takes root, and the packages of
//! `.ci/setup lab test`.
use std::fs;
use std::ops::Range;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Users of this test process, each with a number of its own.
static USERS: AtomicU32 = AtomicU32::new(0);
const FIRST_USER: u32 = 30_000;
const RANGE_LENGTH: u32 = 65_536;
const NAME: &str = "labber";

/// The users that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Map {
    /// Subordinate users (`newuidmap`).
    Range,
    /// The user alone.
    Single,
}

/// The subordinate users of such a user, if it has any.
pub(crate) fn subordinates(uid: u32) -> Range<u32> {
    let first = 1_200_000_000 + (uid - FIRST_USER) * RANGE_LENGTH;
    first..first + RANGE_LENGTH
}

/// A user without root, with a home and the programs.
pub(crate) struct PlainUser {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) uid: u32,
}

impl PlainUser {
    /// A user who has these programs of a folder.
    pub(crate) fn new(map: Map, programs: &Path, names: &[&str]) -> PlainUser {
        assert!(nix::unistd::geteuid().is_root(), "root is needed, to become a user without it");
        let folder = tempfile::Builder::new().prefix("rootless").tempdir_in("/tmp").expect("a folder");
        let own = |path: &str| folder.path().join(path);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        fs::create_dir(own("bin")).expect("made");
        for name in names {
            fs::copy(programs.join(name), own("bin").join(name)).expect("cargo build --workspace");
        }
        let number = std::process::id() % 1000 * 20 + USERS.fetch_add(1, Ordering::Relaxed);
        let uid = FIRST_USER + number;
        fs::create_dir(own("home")).expect("made");
        chown(own("home"), Some(uid), Some(uid)).expect("given away");
        let add = |file: &str, line: String| {
            let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
            fs::write(own(file), format!("{text}{line}\n")).expect("written");
        };
        add("passwd", format!("{NAME}:x:{uid}:{uid}::{}:/bin/sh", own("home").display()));
        add("group", format!("{NAME}:x:{uid}:"));
        let first = subordinates(uid).start;
        let range = if map == Map::Range { format!("{NAME}:{first}:{RANGE_LENGTH}\n") } else { String::new() };
        fs::write(own("subids"), range).expect("written");
        PlainUser { folder, uid }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program as this user. `before` is a script of root in the user's own mount namespace.
    pub(crate) fn command(&self, before: &str, arguments: &[&str]) -> Command {
        let (at, uid) = (self.folder.path().display(), self.uid);
        let script = format!(
            "set -e; enter=; mount --bind {at}/passwd /etc/passwd; mount --bind {at}/group /etc/group
             for file in subuid subgid; do [ -e /etc/$file ] || continue; mount --bind {at}/subids /etc/$file; done
             {before}
             cd {at}/home; exec $enter setpriv --reuid={uid} --regid={uid} --clear-groups --inh-caps=-all \
             env -i PATH={at}/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME={at}/home NO_COLOR=1 dsfuzz \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-c", &script, "bash"]).args(arguments);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for PlainUser {
    fn drop(&mut self) {
        // Labs that a failed test left.
        if std::thread::panicking() {
            let _ = self.command("", &["lab", "down", "--all", "--take-over"]).output();
        }
    }
}
