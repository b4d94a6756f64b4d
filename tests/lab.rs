//! The lab, brought up for real. These tests need root, and say so.
use dsfuzz::lab::{self, Lab, Owner};
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn use_program() {
    assert!(nix::unistd::geteuid().is_root(), "the tests of the lab need root");
    lab::use_program(env!("CARGO_BIN_EXE_dsfuzz"));
}

/// A lab's name that no other test process has.
fn name(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn output(mut command: Command) -> String {
    let done = command.output().expect("started");
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)).trim().to_owned()
}

fn in_node(lab: &Lab, node: &str, script: &str) -> String {
    output(lab.node_command(node, &["sh", "-c", script]).expect("a command"))
}

fn loops_of(dir: &Path) -> usize {
    let files = fs::read_dir("/sys/block").expect("/sys/block").flatten();
    let backing = files.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    backing.filter(|file| Path::new(file.trim()).starts_with(dir)).count()
}

fn is_gone(dir: &Path, cgroup: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    !dir.exists() && !cgroup.exists() && loops_of(dir) == 0 && !mounts.contains(&*dir.to_string_lossy())
}

#[test]
fn a_node_is_a_machine_of_its_own_and_cannot_reach_beyond_itself() {
    use_program();
    let lab = Lab::up(&name("machine"), 2, Owner::ThisProcess).expect("up");
    assert_eq!(lab.nodes().len(), 2);
    assert_eq!(in_node(&lab, "n1", "hostname; cat /proc/sys/kernel/hostname"), "n1\nn1");
    assert_eq!(in_node(&lab, "n2", "cat /proc/1/comm"), "dsfuzz-lab-node");
    assert!(in_node(&lab, "n1", "ping -c1 -W2 n2 2>&1 || getent hosts n2 control").contains("10.77.0."));
    // Only its own processes, its own interface, its own cgroups.
    assert!(in_node(&lab, "n1", "ls -d /proc/[0-9]* | wc -l").parse::<u32>().expect("a number") < 12);
    assert_eq!(in_node(&lab, "n1", "ls /sys/class/net"), "eth0\nlo");
    assert_eq!(in_node(&lab, "n1", "grep ^0:: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs"), "0::/init");
    let leaf = "mkdir /sys/fs/cgroup/x && echo 1 > /sys/fs/cgroup/x/cgroup.freeze && grep frozen /sys/fs/cgroup/x/cgroup.events";
    assert!(in_node(&lab, "n1", leaf).starts_with("frozen"), "{}", in_node(&lab, "n1", leaf));
    // What is written in one node is neither in the other nor on the host.
    in_node(&lab, "n1", "echo x > /etc/only-n1; echo x > /tmp/only-n1; echo x > /var/lib/dsfuzz/only-n1");
    assert_eq!(in_node(&lab, "n2", "ls /etc/only-n1 /tmp/only-n1 /var/lib/dsfuzz/only-n1 2>/dev/null"), "");
    assert!(!Path::new("/etc/only-n1").exists() && !Path::new("/tmp/only-n1").exists());
    assert_eq!(in_node(&lab, "n1", "ls -A /root; cat /var/lib/dsfuzz/only-n1"), ".ssh\nx");
    assert!(
        in_node(&lab, "n1", "df --output=fstype /var/lib/dsfuzz | tail -1").trim()
            == lab.data().split(' ').next().expect("a word")
    );
    // Distinct host keys.
    let key = |node: &str| in_node(&lab, node, "ssh-keygen -yf /etc/dsfuzz-lab/hostkey | cut -d' ' -f2");
    assert_ne!(key("n1"), key("n2"));
    // Nothing reaches the machine: no capability, no writable sysctl, no sysrq, no device nodes.
    let bounding = in_node(&lab, "n1", "grep CapBnd /proc/self/status | cut -f2");
    let bounding = u64::from_str_radix(&bounding, 16).expect("hexadecimal");
    assert!([16, 17, 22, 25, 27].iter().all(|cap| bounding & (1 << cap) == 0), "{bounding:x}");
    assert!(in_node(&lab, "n1", "echo 1 > /proc/sys/vm/swappiness").contains("Read-only"));
    if Path::new("/proc/sysrq-trigger").exists() {
        assert_eq!(in_node(&lab, "n1", "stat -c %t:%T /proc/sysrq-trigger"), "1:3");
    }
    assert!(in_node(&lab, "n1", "mknod /tmp/m c 1 3").contains("not permitted"));
    // The same holds for what comes in by ssh.
    let target = &lab.nodes()[0].1;
    let mut ssh = lab.command("ssh").expect("a command");
    ssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=yes", "-o"]);
    ssh.arg(format!("UserKnownHostsFile={}", target.known_hosts.display()))
        .arg("-i")
        .arg(target.key.as_ref().expect("a key"));
    ssh.arg(format!("root@{}", target.host)).arg("hostname; grep CapBnd /proc/self/status | cut -f2");
    assert_eq!(output(ssh), format!("n1\n{bounding:016x}"));
    assert_eq!(lab.exec("n1", &["sh", "-c", "exit 7"]).expect("ran").code(), Some(7));
    assert_eq!(lab.ssh("n1", &["exit 9"]).expect("ran").code(), Some(9));
    assert!(lab.exec("n9", &["true"]).expect_err("none").to_string().contains("no node n9"));
    let (dir, cgroup) = (lab.dir().to_owned(), lab.cgroup().expect("a cgroup").to_path_buf());
    lab.down().expect("down");
    eventually("everything is gone", || is_gone(&dir, &cgroup));
}

#[test]
fn a_full_disk_is_one_nodes() {
    use_program();
    let lab = Lab::up(&name("full"), 2, Owner::ThisProcess).expect("up");
    let free = "df --output=avail -k /var/lib/dsfuzz | tail -1";
    let before: u64 = in_node(&lab, "n2", free).trim().parse().expect("a number");
    in_node(&lab, "n1", "fallocate -l $(df --output=avail -B1 /var/lib/dsfuzz | tail -1) /var/lib/dsfuzz/fill");
    assert!(in_node(&lab, "n1", "dd if=/dev/zero of=/var/lib/dsfuzz/more bs=1M count=64").contains("No space left"));
    let after: u64 = in_node(&lab, "n2", free).trim().parse().expect("a number");
    assert!(before > 1 << 20 && after > before / 2, "{before} {after}");
    lab.down().expect("down");
}

#[test]
fn labs_live_side_by_side_and_are_listed() {
    use_program();
    let (one, two) = (name("one"), name("two"));
    let first = Lab::up(&one, 1, Owner::Detached).expect("up");
    let second = Lab::up(&two, 2, Owner::ThisProcess).expect("up");
    let refused = Lab::up(&one, 1, Owner::Detached).expect_err("twice");
    assert!(refused.to_string().contains("already up"), "{refused:#}");
    let names: Vec<String> = Lab::list().expect("listed").iter().map(|lab| lab.name().to_owned()).collect();
    assert!(names.contains(&one) && names.contains(&two), "{names:?}");
    in_node(&first, "n1", "echo first > /etc/which");
    in_node(&second, "n1", "echo second > /etc/which");
    // The same address means another machine in each.
    let which = |lab: &Lab| {
        let mut command = lab.command("ssh-keyscan").expect("a command");
        command.args(["-t", "ed25519", "10.77.0.1"]).stderr(std::process::Stdio::null());
        output(command)
    };
    assert_ne!(which(&first), which(&second));
    // A dropped handle of a detached lab does nothing; one of its owner ends it.
    drop(first);
    let first = Lab::find(&one).expect("still up");
    assert_eq!(in_node(&first, "n1", "cat /etc/which"), "first");
    let (dir, cgroup) = (second.dir().to_owned(), second.cgroup().expect("a cgroup").to_path_buf());
    drop(second);
    eventually("the owned lab ends with its owner", || is_gone(&dir, &cgroup));
    first.down().expect("down");
    assert!(Lab::find(&one).expect_err("down").to_string().contains("no lab named"));
}

#[test]
fn after_kill_9_of_the_supervisor_the_next_command_leaves_nothing() {
    use_program();
    let lab = Lab::up(&name("killed"), 3, Owner::Detached).expect("up");
    in_node(&lab, "n1", "mkdir -p /sys/fs/cgroup/db/deep; setsid sleep 1000 >/dev/null 2>&1 &");
    let (dir, cgroup) = (lab.dir().to_owned(), lab.cgroup().expect("a cgroup").to_path_buf());
    let (supervisor, init) = (lab.supervisor_pid(), in_node(&lab, "n1", "readlink /proc/self/ns/pid"));
    assert!(init.starts_with("pid:"));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(supervisor).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    eventually("its processes are gone", || {
        fs::read_to_string(cgroup.join("cgroup.events")).is_ok_and(|events| events.contains("populated 0"))
    });
    assert!(dir.exists() && cgroup.exists());
    drop(lab);
    Lab::list().expect("listed");
    eventually("nothing is left", || is_gone(&dir, &cgroup));
}

/// The other half of the next test, as a process of its own.
fn own(name: &str) {
    let _lab = Lab::up(name, 2, Owner::ThisProcess).expect("up");
    // Until it is killed, or its parent closes its input.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn an_owner_killed_with_9_takes_its_lab_along() {
    use_program();
    if let Ok(name) = std::env::var("DSFUZZ_TEST_LAB") {
        return own(&name);
    }
    let name = name("orphan");
    let mut owner = Command::new(std::env::current_exe().expect("this file"));
    owner.args(["--exact", "an_owner_killed_with_9_takes_its_lab_along"]).env("DSFUZZ_TEST_LAB", &name);
    let mut owner =
        owner.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().expect("started");
    eventually("the owner's lab is up", || Lab::find(&name).is_ok());
    let lab = Lab::find(&name).expect("up");
    let (dir, cgroup) = (lab.dir().to_owned(), lab.cgroup().expect("a cgroup").to_path_buf());
    in_node(&lab, "n1", "setsid sleep 1000 >/dev/null 2>&1 &");
    owner.kill().and_then(|()| owner.wait()).expect("killed");
    // Without any further command: the supervisor itself cleans up.
    eventually("everything is gone", || is_gone(&dir, &cgroup));
}

#[test]
fn only_a_process_of_one_thread_may_enter_a_lab() {
    use_program();
    let lab = Lab::up(&name("enter"), 1, Owner::ThisProcess).expect("up");
    // The test harness has threads.
    assert!(lab.enter().expect_err("threads").to_string().contains("threads"));
    let before = fs::read_link("/proc/thread-self/ns/net").expect("a link");
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            lab.enter_thread().expect("entered");
            std::net::TcpStream::connect("10.77.0.1:22").expect("its sshd");
            // What is started there is born there.
            let child = std::thread::spawn(|| fs::read_link("/proc/thread-self/ns/net").expect("a link"));
            assert_eq!(child.join().expect("joined"), fs::read_link("/proc/thread-self/ns/net").expect("a link"));
            fs::read_link("/proc/thread-self/ns/net").expect("a link")
        });
        assert_ne!(inside.join().expect("joined"), before);
    });
    assert_eq!(fs::read_link("/proc/thread-self/ns/net").expect("a link"), before);
    lab.down().expect("down");
}

#[test]
fn a_node_whose_sshd_cannot_start_at_once_after_a_kill_goes_on() {
    use_program();
    let lab = Lab::up(&name("sshd"), 1, Owner::ThisProcess).expect("up");
    let ends = || fs::read_to_string(lab.dir().join("n1/log")).unwrap_or_default().matches("sshd ended").count();
    // It refuses to start without its folder.
    in_node(&lab, "n1", "mv /run/sshd /run/away && kill -9 $(cat /run/sshd.pid)");
    eventually("it was started again, in vain", || ends() >= 4);
    in_node(&lab, "n1", "mv /run/away /run/sshd");
    let greeting = "exec 3<>/dev/tcp/10.77.0.1/22 && read -r line <&3 && echo \"$line\"";
    let greeting =
        || output(lab.node_command("n1", &["bash", "-c", &format!("{greeting} || true")]).expect("a command"));
    eventually("it answers", || greeting().starts_with("SSH-"));
    lab.down().expect("down");
}

#[test]
fn a_strangers_folder_is_never_swept() {
    use_program();
    let folder = dsfuzz::folders::state_dir().join("labs").join(name("stranger"));
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("precious"), "data").expect("written");
    Lab::sweep().expect("swept");
    assert!(folder.join("precious").exists());
    fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn an_unfit_name_or_number_is_refused() {
    use_program();
    assert!(Lab::up("../x", 1, Owner::Detached).expect_err("name").to_string().contains("not a name"));
    assert!(Lab::up("none", 0, Owner::Detached).expect_err("number").to_string().contains("1 to 200"));
    assert!(Lab::find("no-such-lab").expect_err("none").to_string().contains("no lab named no-such-lab"));
}

/// What a node shares with its host, as the host sees it.
fn of_the_machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mounts: String = read("/proc/self/mountinfo").lines().filter(|line| line.contains("cgroup")).collect();
    let devices: Vec<u32> = ["/dev/null", "/dev/urandom"]
        .iter()
        .map(|path| std::os::unix::fs::MetadataExt::mode(&fs::metadata(path).expect("a device")))
        .collect();
    let sysctls = ["vm/swappiness", "kernel/core_pattern", "kernel/hostname", "kernel/printk"];
    let sysctls: String = sysctls.iter().map(|name| read(&format!("/proc/sys/{name}"))).collect();
    let modules = read("/proc/modules").lines().count();
    format!("{mounts}\n{devices:?}\n{sysctls}\n{modules} modules\n{}", read("/proc/swaps"))
}

#[test]
fn no_way_out_of_a_node_changes_its_machine() {
    use_program();
    let lab = Lab::up(&name("escape"), 1, Owner::ThisProcess).expect("up");
    let before = of_the_machine();
    let script = include_str!("lab/escape.py");
    let listening = format!("dsfuzz-escape-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&listening).expect("an address");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("a socket");
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace").display().to_string();
    let namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "uts"].map(own);
    let mut command = vec!["python3", "-c", script, &listening];
    command.extend(namespaces.iter().map(String::as_str));
    let output = output(lab.node_command("n1", &command).expect("a command"));
    println!("{output}");
    let tries: Vec<&str> = output.lines().collect();
    assert!(tries.len() >= 45, "{output}");
    let allowed: Vec<&&str> = tries.iter().filter(|line| !line.contains(": refused")).collect();
    assert!(allowed.is_empty(), "{allowed:#?}");
    // As a login over SSH, and as what a target starts, are: by sshd, which lost the same.
    let over_ssh = lab.ssh("n1", &["mount", "-o", "remount,rw", "/sys/fs/cgroup"]).expect("ssh");
    assert!(!over_ssh.success(), "a login can remount the machine's cgroup file system");
    assert_eq!(of_the_machine(), before);
    lab.down().expect("down");
}

#[test]
fn a_lab_that_cannot_be_removed_stops_no_other() {
    use_program();
    let lab = Lab::up(&name("broken"), 1, Owner::Detached).expect("up");
    let (dir, cgroup) = (lab.dir().to_path_buf(), lab.cgroup().expect("a cgroup").to_path_buf());
    let supervisor = nix::unistd::Pid::from_raw(i32::try_from(lab.supervisor_pid()).expect("a pid"));
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).expect("killed");
    // A mount below its folder keeps it from being removed.
    let held = dir.join("held");
    eventually("the lab's nodes are gone", || {
        !fs::read_to_string("/proc/self/mountinfo").expect("mountinfo").contains(&*dir.to_string_lossy())
    });
    fs::create_dir_all(&held).expect("a folder");
    let nothing: Option<&str> = None;
    nix::mount::mount(Some("tmpfs"), &held, Some("tmpfs"), nix::mount::MsFlags::empty(), nothing).expect("mounted");
    let listed = Lab::list().map(|labs| labs.len());
    let other = Lab::up(&name("beside"), 1, Owner::ThisProcess);
    nix::mount::umount(&held).expect("unmounted");
    assert!(listed.is_ok(), "{listed:?}");
    other.expect("another lab comes up").down().expect("down");
    Lab::sweep().expect("swept");
    eventually("nothing of it is left", || is_gone(&dir, &cgroup));
}
