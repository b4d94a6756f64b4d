//! The user namespace of a lab without root: which users its nodes have, and how it is made.
//!
//! Never: a process with several threads, which cannot enter a user namespace.
use super::filter::Groups;
use super::needs;
use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Pid, Uid, User};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) const PROBE_COMMAND: &str = "__lab-probe-users";
pub(super) const MAP_COMMAND: &str = "__lab-map-users";
pub(super) const REMOVE_COMMAND: &str = "__lab-remove";
/// The mapper's exit code if there is no map yet.
const NOTHING_MAPPED: i32 = 3;
/// Fewer subordinate users would leave out accounts of packages.
const RANGE_MIN: u32 = 1000;
/// Subordinate users beyond these would be of no use.
const RANGE_MAX: u32 = 65_535;

/// The users that a lab's nodes have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Users {
    /// Those of this machine: root made the lab.
    #[default]
    Machine,
    /// Root of the node is this user; all others are subordinate users (`/etc/subuid`).
    Range,
    /// Root of the node is this user, and there is no other; with the reason.
    Single(String),
}

impl Users {
    /// Whether the lab has a user namespace.
    pub(super) fn rootless(&self) -> bool {
        *self != Users::Machine
    }

    /// Whether processes in its nodes can change their groups.
    pub(super) fn groups(&self) -> Groups {
        if matches!(self, Users::Single(_)) { Groups::Fixed } else { Groups::Real }
    }

    /// In words, for the line of a lab.
    pub(super) fn describe(&self) -> String {
        match self {
            Users::Machine => "root".to_owned(),
            Users::Range => "no root, all users".to_owned(),
            Users::Single(reason) => format!("no root, one user ({reason})"),
        }
    }
}

/// First number and count of subordinate users, and of subordinate groups.
struct Ranges {
    users: (u32, u32),
    groups: (u32, u32),
}

/// Moves this process into a user namespace of its own, in which it is root.
pub(super) fn enter_new() -> Result<Users> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let ranges = ranges(uid);
    // Only a process outside of the namespace may map other users than its own. It waits for the end of its input.
    let mapper = ranges.as_ref().ok().map(|ranges| {
        let mut command = Command::new("/proc/self/exe");
        command.args([MAP_COMMAND.to_owned(), Pid::this().to_string(), uid.to_string(), gid.to_string()]);
        let numbers = [ranges.users.0, ranges.users.1, ranges.groups.0, ranges.groups.1];
        command.args(numbers.map(|number| number.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    });
    let mapper = mapper.transpose().context("starting the mapper of users")?;
    unshare(CloneFlags::CLONE_NEWUSER).context("making a user namespace")?;
    let reason = match (mapper, ranges) {
        (Some(mapper), _) => {
            let done = mapper.wait_with_output().context("waiting for the mapper of users")?;
            let why = String::from_utf8_lossy(&done.stderr).trim().trim_start_matches("dsfuzz: ").replace('\n', " / ");
            match done.status.code() {
                Some(0) => {
                    // The groups of the user are none of the nodes'.
                    nix::unistd::setgroups(&[]).context("leaving the user's groups")?;
                    return Ok(Users::Range);
                }
                Some(NOTHING_MAPPED) => why,
                _ => bail!("mapping the users of the lab: {why}"),
            }
        }
        (None, ranges) => ranges.err().unwrap_or_default(),
    };
    map_single((uid, gid))?;
    Ok(Users::Single(reason))
}

/// Maps users and groups of a process's namespace once the input ends. Arguments: the process, its user and group, first and count
/// of subordinate users, first and count of subordinate groups.
pub(super) fn map_main(args: &[OsString]) -> Result<i32> {
    let text = |index: usize| args.get(index).and_then(|arg| arg.to_str()).context("a number is missing");
    let map = |program: &str, own: usize, first: usize| -> Result<()> {
        let mut command = Command::new(needs::program(program)?);
        command.args([text(0)?, "0", text(own)?, "1", "1", text(first)?, text(first + 1)?]);
        let done = command.stdin(Stdio::null()).output().with_context(|| format!("running {program}"))?;
        if !done.status.success() {
            bail!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(())
    };
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    if let Err(error) = map("newgidmap", 2, 5) {
        eprintln!("dsfuzz: {error:#}");
        return Ok(NOTHING_MAPPED);
    }
    map("newuidmap", 1, 3)?;
    Ok(0)
}

fn map_single((uid, gid): (Uid, Gid)) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = format!("/proc/self/{name}");
        fs::write(&path, text).with_context(|| format!("writing {path}"))
    };
    write("setgroups", "deny".into())?;
    write("uid_map", format!("0 {uid} 1"))?;
    write("gid_map", format!("0 {gid} 1"))
}

/// The subordinate users and groups of a user, or why they cannot be used.
fn ranges(uid: Uid) -> Result<Ranges, String> {
    for program in ["newuidmap", "newgidmap"] {
        needs::program(program).map_err(|_| format!("{program} is not installed: apt-get install uidmap"))?;
    }
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = name.ok_or_else(|| format!("user {uid} has no name"))?;
    let range = |file: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        range_of(&text, &name, uid.as_raw())
            .ok_or_else(|| format!("{file} has no range of {RANGE_MIN} or more for {name}: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}"))
    };
    Ok(Ranges { users: range("/etc/subuid")?, groups: range("/etc/subgid")? })
}

/// The longest range of a user in `/etc/subuid` or `/etc/subgid`.
fn range_of(text: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let (first, count): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (owner == name || owner.parse() == Ok(uid)).then_some((first, count.min(RANGE_MAX)))
    });
    ranges.max_by_key(|(_, count)| *count).filter(|(_, count)| *count >= RANGE_MIN)
}

/// The user namespace of a process, if it is not that of this process.
pub(super) fn other_namespace(of: u32) -> Result<Option<OwnedFd>> {
    let path = format!("/proc/{of}/ns/user");
    let theirs = File::open(&path).with_context(|| format!("opening {path}"))?;
    let own = fs::metadata("/proc/thread-self/ns/user").context("reading /proc/thread-self/ns/user")?;
    Ok((theirs.metadata()?.ino() != own.ino()).then(|| theirs.into()))
}

/// Tries in a child what a lab without root needs: a user namespace, and mounts and a network of its own in it.
pub(super) fn probe_main() -> Result<i32> {
    enter_new()?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).context("making namespaces in a user namespace")?;
    let nothing: Option<&str> = None;
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(nothing, "/", nothing, private, nothing).context("mounting in a user namespace")?;
    nix::mount::mount(Some("tmpfs"), "/proc", Some("tmpfs"), nix::mount::MsFlags::empty(), nothing)
        .context("mounting in a user namespace")?;
    Ok(0)
}

/// Whether this machine lets a user without root make a lab; else why not, and what to do.
pub(super) fn check(program: &Path) -> Result<()> {
    let mut command = Command::new(program);
    let tried = command.arg(PROBE_COMMAND).stdin(Stdio::null()).output().context("trying a user namespace")?;
    if tried.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&tried.stderr);
    let said = said.trim().trim_start_matches("dsfuzz: ").to_owned();
    let setting = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cure = if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "AppArmor forbids it: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run dsfuzz as root"
    } else if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "the kernel forbids it: sysctl -w kernel.unprivileged_userns_clone=1, or run dsfuzz as root"
    } else if setting("/proc/sys/user/max_user_namespaces") == "0" {
        "the kernel forbids it: sysctl -w user.max_user_namespaces=10000, or run dsfuzz as root"
    } else {
        "this machine does not let users without root make them (in a container: its seccomp profile); run dsfuzz as root"
    };
    bail!("a lab without root needs a user namespace: {said}; {cure}")
}

/// Removes a folder whose files belong to users of a lab's nodes, in a user namespace with the same users. Argument: the folder.
pub(super) fn remove_main(folder: &Path) -> Result<i32> {
    enter_new()?;
    fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    Ok(0)
}

/// The same, by a child of this process.
pub(super) fn remove(program: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(REMOVE_COMMAND).arg(folder).stdin(Stdio::null());
    let done = command.output().context("removing the files of a lab's nodes")?;
    if !done.status.success() {
        bail!("{}", String::from_utf8_lossy(&done.stderr).trim().trim_start_matches("dsfuzz: ").to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_range_of_a_user_is_taken_by_name_or_number() {
        let text = "root:1:65536\nann:100000:500\nann:200000:65536\n1001:300000:2000\nbad line\n";
        assert_eq!(range_of(text, "ann", 1000), Some((200_000, 65_535)));
        assert_eq!(range_of(text, "bob", 1001), Some((300_000, 2000)));
        assert_eq!(range_of(text, "carl", 1002), None);
        assert_eq!(range_of("ann:100000:500\n", "ann", 1000), None, "too few");
    }
}
