//! Labs of a user without root: with subordinate users (`newuidmap`), and with one user alone. Each test becomes such a user.
#[path = "rootless/plain_user.rs"]
mod plain_user;

use plain_user::{Map, PlainUser, subordinates};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A user who has the programs of this build.
fn new_user(map: Map) -> PlainUser {
    let programs = Path::new(env!("CARGO_BIN_EXE_dsfuzz")).parent().expect("a folder");
    PlainUser::new(map, programs, &["dsfuzz", "dsfuzz-agent"])
}

struct Said {
    code: Option<i32>,
    text: String,
}

impl PlainUser {
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
        let ours = |uid: u32| uid == self.uid || subordinates(self.uid).contains(&uid);
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
            assert!(Instant::now() < deadline, "left of user {}: {:?}", self.uid, self.left());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn a_lab_is_whole(map: Map) {
    let user = new_user(map);
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
        let user = new_user(map);
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
        let user = new_user(map);
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
    let user = new_user(Map::Single);
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
        let user = new_user(map);
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
