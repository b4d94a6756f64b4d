//! Labs of a user without root: with subordinate users (`newuidmap`), and with one user alone. Each test becomes such a user, who
//! exists only in a mount namespace of its own. That takes root, and the packages of `.ci/setup lab test`.
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Users of this test process, each with a number of its own.
static USERS: AtomicU32 = AtomicU32::new(0);
const RANGE_LENGTH: u32 = 65_536;
const NAME: &str = "labber";

/// The users that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    Range,
    Single,
}

/// A user without root, with a home and the programs.
struct PlainUser {
    folder: tempfile::TempDir,
    uid: u32,
    /// The first of its subordinate users.
    first: u32,
    map: Map,
}

struct Said {
    code: Option<i32>,
    text: String,
}

impl PlainUser {
    fn new(map: Map) -> PlainUser {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root, to become a user without it");
        let folder = tempfile::Builder::new().prefix("rootless").tempdir_in("/tmp").expect("a folder");
        let own = |path: &str| folder.path().join(path);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        let program = Path::new(env!("CARGO_BIN_EXE_dsfuzz"));
        fs::create_dir(own("bin")).expect("made");
        for name in ["dsfuzz", "dsfuzz-agent"] {
            fs::copy(program.with_file_name(name), own("bin").join(name)).expect("cargo build --workspace");
        }
        let number = std::process::id() % 1000 * 20 + USERS.fetch_add(1, Ordering::Relaxed);
        let (uid, first) = (30_000 + number, 1_200_000_000 + number * RANGE_LENGTH);
        fs::create_dir(own("home")).expect("made");
        chown(own("home"), Some(uid), Some(uid)).expect("given away");
        let add = |file: &str, line: String| {
            let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
            fs::write(own(file), format!("{text}{line}\n")).expect("written");
        };
        add("passwd", format!("{NAME}:x:{uid}:{uid}::{}:/bin/sh", own("home").display()));
        add("group", format!("{NAME}:x:{uid}:"));
        let range = if map == Map::Range { format!("{NAME}:{first}:{RANGE_LENGTH}\n") } else { String::new() };
        fs::write(own("subids"), range).expect("written");
        PlainUser { folder, uid, first, map }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program as this user. `before` is a script of root in the user's own mount namespace.
    fn command(&self, before: &str, arguments: &[&str]) -> Command {
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

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_after("", arguments)
    }

    fn run_after(&self, before: &str, arguments: &[&str]) -> Said {
        let done = self.command(before, arguments).output().expect("started");
        let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        Said { code: done.status.code(), text: text.trim().to_owned() }
    }

    /// What the program says when it ends well.
    fn says(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.text);
        said.text
    }

    fn in_node(&self, node: &str, script: &str) -> String {
        self.says(&["lab", "exec", node, "--", "sh", "-c", script])
    }

    fn labs(&self) -> PathBuf {
        self.path("home/.local/state/dsfuzz/labs")
    }

    /// What is left of labs: folders, processes.
    fn left(&self) -> Vec<String> {
        let folders = fs::read_dir(self.labs()).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders = folders.filter(|path| path.is_dir()).map(|path| path.display().to_string());
        let ours = |uid: u32| uid == self.uid || (self.first..self.first + RANGE_LENGTH).contains(&uid);
        let processes = fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
            let _: u32 = entry.file_name().to_str()?.parse().ok()?;
            let uid = fs::metadata(entry.path()).ok()?.uid();
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            ours(uid).then(|| format!("process {}", name.trim()))
        });
        folders.chain(processes).collect()
    }

    fn leaves_nothing(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.left().is_empty() {
            assert!(Instant::now() < deadline, "{:?}: left: {:?}", self.map, self.left());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PlainUser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.run(&["lab", "down", "--all", "--take-over"]);
        }
    }
}

fn a_lab_is_whole(map: Map) {
    let user = PlainUser::new(map);
    let passwd = fs::read("/etc/passwd").expect("read");
    user.says(&["lab", "up", "2"]);
    let listed = user.says(&["lab", "list"]);
    let users = if map == Map::Range { "no root, all users" } else { "no root, one user (/etc/subuid has no range" };
    assert!(listed.contains(users) && listed.contains("tmpfs (a lab without root"), "{listed}");
    assert_eq!(user.in_node("n1", "hostname; id -u; cat /proc/1/comm"), "n1\n0\ndsfuzz-lab-node");
    assert_eq!(user.says(&["lab", "ssh", "n2", "--", "hostname; id -un; id -G"]), "n2\nroot\n0");
    assert_eq!(user.in_node("n1", "ls /sys/class/net; getent hosts n2 | cut -d' ' -f1"), "eth0\nlo\n10.77.0.2");
    let maps = user.in_node("n1", "cat /proc/self/uid_map | wc -l").parse::<u32>().expect("a number");
    assert_eq!(maps, if map == Map::Range { 2 } else { 1 });
    // What needs root elsewhere.
    user.in_node(
        "n1",
        "nft add table inet own && ip link add d0 type dummy; echo x >> /etc/passwd; touch /usr/local/bin/x",
    );
    let other =
        user.run(&["lab", "exec", "n1", "--", "setpriv", "--reuid=1", "--regid=1", "--clear-groups", "id", "-u"]);
    assert_eq!(other.code == Some(0), map == Map::Range, "{}", other.text);
    // What must stay out of reach.
    for refused in [
        "date -s @0",
        "mount -t tmpfs t /mnt",
        "mknod /tmp/m c 1 3",
        "echo 1 > /proc/sys/vm/swappiness",
        "rm /usr/bin/env",
    ] {
        let said = user.run(&["lab", "exec", "n1", "--", "sh", "-c", refused]);
        assert_ne!(said.code, Some(0), "{refused}: {}", said.text);
    }
    let labs = user.labs();
    assert_ne!(
        user.run(&["lab", "exec", "n1", "--", "ls", &labs.join("default/key").display().to_string()]).code,
        Some(0)
    );
    assert_eq!(fs::read("/etc/passwd").expect("read"), passwd);
    assert!(!Path::new("/usr/local/bin/x").exists());
    user.says(&["lab", "down"]);
    user.leaves_nothing();
}

#[test]
fn a_lab_with_subordinate_users_is_whole_and_confined() {
    a_lab_is_whole(Map::Range);
}

#[test]
fn a_lab_with_one_user_is_whole_and_confined() {
    a_lab_is_whole(Map::Single);
}

#[test]
fn what_a_killed_supervisor_leaves_goes_with_the_next_command() {
    for map in [Map::Range, Map::Single] {
        let user = PlainUser::new(map);
        user.says(&["lab", "up", "2"]);
        let owner = if map == Map::Range { "chown 7:7 /var/log/f; " } else { "" };
        user.in_node("n1", &format!("mkdir -p /var/log/d; touch /var/log/f /var/log/d/f; {owner}chmod 0 /var/log/d"));
        let lab: serde_json::Value = serde_json::from_str(&user.says(&["lab", "list", "--json"])).expect("JSON");
        let supervisor = lab[0]["supervisor"].as_i64().expect("a process");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(supervisor).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
        assert!(user.labs().join("default").exists());
        assert!(!user.says(&["lab", "list"]).contains("default"));
        user.leaves_nothing();
    }
}

#[test]
fn a_lab_that_does_not_come_up_says_why_and_leaves_nothing() {
    for map in [Map::Range, Map::Single] {
        let user = PlainUser::new(map);
        fs::write(user.path("broken"), "#!/bin/false\n").expect("written");
        fs::set_permissions(user.path("broken"), fs::Permissions::from_mode(0o755)).expect("a program");
        let broken = format!("mount --bind {} $(command -v ip)", user.path("broken").display());
        let said = user.run_after(&broken, &["lab", "up", "2"]);
        assert_eq!(said.code, Some(255), "{}", said.text);
        assert!(said.text.contains("lab default did not come up"), "{}", said.text);
        user.leaves_nothing();
    }
}

#[test]
fn a_machine_without_user_namespaces_is_named_as_the_cause() {
    let user = PlainUser::new(Map::Single);
    // The kernel makes none for a process whose root is not that of its mount namespace.
    fs::create_dir(user.path("root")).expect("made");
    let chroot = format!("mount --rbind / {at}; enter='chroot {at}'", at = user.path("root").display());
    let said = user.run_after(&chroot, &["lab", "up", "1"]);
    assert_eq!(said.code, Some(255), "{}", said.text);
    assert!(said.text.contains("a lab without root needs a user namespace"), "{}", said.text);
    assert!(said.text.contains("run dsfuzz as root"), "{}", said.text);
    user.leaves_nothing();
}

#[test]
fn a_run_without_root_has_every_fault_proven_and_healed() {
    for map in [Map::Range, Map::Single] {
        let user = PlainUser::new(map);
        fs::write(user.path("plan.yaml"), include_str!("end_to_end/right.yaml")).expect("written");
        let plan = user.path("plan.yaml").display().to_string();
        let said = user.run(&["run", &plan, "--seed", "5", "--set", "load.rate=100/s"]);
        assert_eq!(said.code, Some(0), "{map:?}: {}", said.text);
        assert!(said.text.contains("4 proven faults"), "{map:?}: {}", said.text);
        let results = fs::metadata(user.path("home/results")).expect("results");
        assert_eq!(results.uid(), user.uid, "results belong to the user");
        user.leaves_nothing();
    }
}
