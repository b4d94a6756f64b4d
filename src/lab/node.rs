//! A node's first process: makes its namespaces, its root, its network; then reaps orphans and keeps sshd running.
//!
//! Never: gives a process in the node a way to change the machine: its clock, modules, devices, mounts, sysctls, or the
//! superblock of a shared file system.
use super::state::parent_and_arguments;
use super::users::{self, Users};
use super::{
    DATA_DIR, base, cgroup, control_address, make_key, mounts, needs, node_address, node_name, supervisor, sys,
};
use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, pivot_root, sethostname};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const COMMAND: &str = "__lab-node";
pub(super) const EXEC_COMMAND: &str = "__lab-exec";
pub(super) const PROBE_COMMAND: &str = "__lab-probe-clock";

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Folders of the host that a node must not see: data of other runs, of the host's databases and of its users.
const HIDDEN: [&str; 17] = [
    "tmp",
    "var/tmp",
    "root",
    "var/lib/dsfuzz",
    "var/lib/etcd",
    "var/lib/redis",
    "var/lib/zookeeper",
    "var/lib/postgresql",
    "var/lib/mysql",
    "var/lib/mongodb",
    "var/lib/rabbitmq",
    "var/lib/cassandra",
    "var/lib/consul",
    "var/lib/kafka",
    "var/lib/nats",
    "var/lib/valkey",
    "var/lib/cockroach",
];
const SSHD_CONFIG: &str = "\
Port 22
HostKey /etc/dsfuzz-lab/hostkey
PidFile /run/sshd.pid
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys
StrictModes no
UseDNS no
PrintMotd no
MaxStartups 100:30:200
MaxSessions 100
Subsystem sftp internal-sftp
";

struct NodePlan {
    lab: PathBuf,
    /// The cgroup of the lab, if it has one.
    cgroup: Option<PathBuf>,
    index: u16,
    nodes: u16,
    users: Users,
}

impl NodePlan {
    fn name(&self) -> String {
        node_name(self.index)
    }

    fn dir(&self) -> PathBuf {
        self.lab.join(self.name())
    }
}

/// The node's outer process. Arguments: the lab's folder, its cgroup or nothing, the node's number, the number of nodes, its users.
pub(super) fn main(args: &[OsString]) -> Result<i32> {
    let number = |index: usize| args.get(index).and_then(|arg| arg.to_str()).and_then(|arg| arg.parse().ok());
    let path = |index: usize| args.get(index).map(PathBuf::from).context("a folder is missing");
    let plan = NodePlan {
        lab: path(0)?,
        cgroup: path(1).ok().filter(|path| !path.as_os_str().is_empty()),
        index: number(2).context("not a node's number")?,
        nodes: number(3).context("not a number of nodes")?,
        users: serde_json::from_str(args.get(4).and_then(|arg| arg.to_str()).unwrap_or_default())?,
    };
    let done = outer(&plan);
    if let Err(error) = &done {
        say(&format!("failed: {error:#}").replace('\n', " / "));
    }
    done
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn outer(plan: &NodePlan) -> Result<i32> {
    set_pdeathsig(Signal::SIGKILL)?;
    prepare(plan)?;
    match &plan.cgroup {
        Some(cgroup) => enter_cgroup(&cgroup.join(plan.name()))?,
        None => unshare(CloneFlags::CLONE_NEWCGROUP).context("making a cgroup namespace")?,
    }
    let spaces = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID;
    unshare(spaces).context("making the node's namespaces")?;
    say("net");
    // In the node's network, and before the fork, so that it is there when the node is.
    let helper = mounts::listen().context("the helper for mounts")?;
    let Some(init) = sys::fork()? else {
        drop(helper);
        return init_main(plan);
    };
    // A process that has unshared its PID namespace can start no thread.
    mounts::serve_until_end(&helper, &sys::pidfd(u32::try_from(init.as_raw())?)?)?;
    match waitpid(init, None)? {
        WaitStatus::Exited(_, code) => Ok(code),
        other => {
            eprintln!("{} ended: {other:?}", plan.name());
            Ok(255)
        }
    }
}

/// The node's files, made before its namespaces.
fn prepare(plan: &NodePlan) -> Result<()> {
    let dir = plan.dir();
    let upper = dir.join("upper");
    for folder in ["upper", "work", "root"] {
        fs::create_dir(dir.join(folder)).with_context(|| format!("making {folder} in {}", dir.display()))?;
    }
    let rootless = plan.users.rootless();
    let image = if rootless { None } else { Some(make_image(&dir.join("data.img"))?) };
    make_key(&dir.join("hostkey"), &plan.name())?;
    for folder in HIDDEN.into_iter().filter(|_| !rootless) {
        hide(&upper, folder)?;
    }
    fs::create_dir_all(upper.join("etc/dsfuzz-lab"))?;
    fs::create_dir_all(upper.join("root/.ssh"))?;
    fs::set_permissions(upper.join("root"), fs::Permissions::from_mode(0o700))?;
    let others: String = (1..=plan.nodes).map(|n| format!("{} {}\n", node_address(n), node_name(n))).collect();
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{others}{} control\n", control_address());
    let machine_id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
    let write = |path: &str, text: &[u8], mode: u32| -> Result<()> {
        let path = upper.join(path);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    };
    write("etc/hosts", hosts.as_bytes(), 0o644)?;
    write("etc/hostname", format!("{}\n", plan.name()).as_bytes(), 0o644)?;
    write("etc/machine-id", machine_id.as_bytes(), 0o444)?;
    // Debian's bash reads this file for every remote command; a node starts without the host's settings.
    write("etc/bash.bashrc", b"", 0o644)?;
    write("etc/environment", b"", 0o644)?;
    write("etc/shadow", shadow().as_bytes(), 0o640)?;
    write("etc/dsfuzz-lab/sshd_config", SSHD_CONFIG.as_bytes(), 0o644)?;
    write("etc/dsfuzz-lab/hostkey", &fs::read(dir.join("hostkey"))?, 0o600)?;
    write("root/.ssh/authorized_keys", &fs::read(plan.lab.join("key.pub"))?, 0o600)?;
    let made = image.map(|image| image.wait_with_output().context("waiting for mkfs.ext4")).transpose()?;
    if let Some(made) = made.filter(|made| !made.status.success()) {
        bail!("mkfs.ext4: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

/// Starts making a sparse file with a file system in it.
fn make_image(path: &Path) -> Result<std::process::Child> {
    const IMAGE_BYTES: u64 = 2 << 30;
    File::create(path)
        .and_then(|file| file.set_len(IMAGE_BYTES))
        .with_context(|| format!("making {}", path.display()))?;
    let mut command = Command::new(needs::program("mkfs.ext4")?);
    command.args(["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("starting mkfs.ext4")
}

/// Mounts an empty folder over a host's folder, with its owner and mode.
fn hide(upper: &Path, folder: &str) -> Result<()> {
    let below = fs::metadata(Path::new("/").join(folder)).ok();
    if below.is_none() && folder != "var/lib/dsfuzz" {
        return Ok(());
    }
    let above = upper.join(folder);
    fs::create_dir_all(&above).with_context(|| format!("making {}", above.display()))?;
    sys::set_opaque(&above, c"trusted.overlay.opaque").with_context(|| {
        format!("hiding /{folder}: the file system of {} does not take overlay attributes", upper.display())
    })?;
    if let Some(below) = below.filter(|_| folder != "var/lib/dsfuzz") {
        chown(&above, Some(below.uid()), Some(below.gid()))?;
        fs::set_permissions(&above, fs::Permissions::from_mode(below.mode() & 0o7777))?;
    }
    Ok(())
}

/// The host's accounts with an unlocked root. sshd without PAM refuses a locked account, with or without a key.
fn shadow() -> String {
    let others = match fs::read_to_string("/etc/shadow") {
        Ok(shadow) => {
            shadow.lines().filter(|line| !line.starts_with("root:")).map(|line| format!("{line}\n")).collect()
        }
        // Only root can read it.
        Err(_) => {
            let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
            let names = passwd.lines().filter_map(|line| line.split(':').next()).filter(|name| *name != "root");
            names.map(|name| format!("{name}:*:20000:0:99999:7:::\n")).collect::<String>()
        }
    };
    format!("root:*:20000:0:99999:7:::\n{others}")
}

fn enter_cgroup(root: &Path) -> Result<()> {
    let leaf = root.join(cgroup::INIT_LEAF);
    fs::create_dir_all(&leaf).with_context(|| format!("making the cgroup {}", leaf.display()))?;
    let move_to = |cgroup: &Path| {
        fs::write(cgroup.join("cgroup.procs"), "0")
            .with_context(|| format!("moving into the cgroup {}", cgroup.display()))
    };
    // The namespace's root is the cgroup of its maker. It must be empty so that leaves may have controllers.
    move_to(root)?;
    unshare(CloneFlags::CLONE_NEWCGROUP).context("making a cgroup namespace")?;
    move_to(&leaf)
}

fn init_main(plan: &NodePlan) -> Result<i32> {
    let sshd = match become_node(plan) {
        Ok((sshd, data)) => {
            say(&format!("up {data}"));
            sshd
        }
        Err(error) => {
            say(&format!("failed: {error:#}").replace('\n', " / "));
            return Ok(1);
        }
    };
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    keep(sshd)
}

fn become_node(plan: &NodePlan) -> Result<(Sshd, String)> {
    set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_name(c"dsfuzz-lab-node")?;
    sethostname(plan.name())?;
    let sshd = Sshd { program: needs::program("sshd")? };
    let data = mounts(plan)?;
    let mut go = String::new();
    std::io::stdin().lock().read_line(&mut go)?;
    if go.trim() != "go" {
        bail!("the supervisor ended while the node came up");
    }
    let address = node_address(plan.index);
    supervisor::ip_batch(&format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"))
        .context("setting up the node's network")?;
    sys::drop_capabilities(plan.users.groups()).context("giving up capabilities")?;
    // Asked by a freshly started program, because every program in the node will be one.
    let probe =
        Command::new("/proc/self/exe").arg(PROBE_COMMAND).status().context("asking whether the clock is safe")?;
    if !probe.success() || sys::could_set_clock() {
        bail!("a process in the node could set this machine's real clock; the lab must not run");
    }
    Ok((sshd, data))
}

/// The node's root and its mounts. Returns the file system of the data.
fn mounts(plan: &NodePlan) -> Result<String> {
    let dir = plan.dir();
    let root = dir.join("root");
    let nothing: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).context("making mounts private")?;
    let data_dir = root.join(DATA_DIR.trim_start_matches('/'));
    let data = if plan.users.rootless() {
        let labs = plan.lab.parent().context("a lab without a folder above it")?;
        base::mount_root(&plan.lab, &dir, labs)?;
        mount_memory(&data_dir)?;
        "tmpfs (a lab without root has no file system in a file)".to_owned()
    } else {
        let layers =
            format!("lowerdir=/,upperdir={},workdir={}", dir.join("upper").display(), dir.join("work").display());
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
            .with_context(|| format!("laying the node's root over / (is {} on an overlay itself?)", dir.display()))?;
        mount_data(&dir.join("data.img"), &data_dir)?
    };
    let fresh = |kind: &str, at: &str, flags: MsFlags, options: &str| {
        mount(Some(kind), &root.join(at), Some(kind), flags, Some(options)).with_context(|| format!("mounting /{at}"))
    };
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    fresh("proc", "proc", safe | MsFlags::MS_NOEXEC, "")?;
    fresh("sysfs", "sys", safe | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY, "")?;
    if plan.cgroup.is_some() {
        fresh("cgroup2", "sys/fs/cgroup", safe | MsFlags::MS_NOEXEC, "")?;
    }
    fresh("tmpfs", "dev", MsFlags::MS_NOSUID, "mode=755")?;
    // A machine without FUSE has no layers over folders, and `doctor` says so.
    let fuse = ["fuse"].into_iter().filter(|device| Path::new("/dev").join(device).exists());
    for device in ["null", "zero", "full", "random", "urandom", "tty"].into_iter().chain(fuse) {
        File::create(root.join("dev").join(device))?;
        let at = root.join("dev").join(device);
        bind(&Path::new("/dev").join(device), &at)?;
        // The file belongs to the host: its mode and owner must not change, while the device stays writable.
        read_only(&at)?;
    }
    fs::create_dir(root.join("dev/pts"))?;
    fs::create_dir(root.join("dev/shm"))?;
    fresh("devpts", "dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")?;
    fresh("tmpfs", "dev/shm", safe, "mode=1777")?;
    fresh("tmpfs", "run", safe, "mode=755")?;
    let links = [("pts/ptmx", "ptmx"), ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin")];
    let links = links.into_iter().chain([("/proc/self/fd/1", "stdout"), ("/proc/self/fd/2", "stderr")]);
    links.into_iter().try_for_each(|(to, name)| symlink(to, root.join("dev").join(name)))?;
    fs::create_dir(root.join("run/sshd"))?;
    fs::create_dir(root.join("run/lock"))?;
    let sysrq = root.join("proc/sysrq-trigger");
    if sysrq.exists() {
        bind(Path::new("/dev/null"), &sysrq)?;
        read_only(&sysrq)?;
    }
    // The parts of /proc that belong to the whole machine.
    for shared in ["sys", "bus", "fs", "irq", "acpi", "scsi", "mtrr", "latency_stats", "timer_list", "sched_debug"] {
        let at = root.join("proc").join(shared);
        if at.exists() {
            bind(&at, &at)?;
            read_only(&at)?;
        }
    }
    let memory = root.join("proc/kcore");
    if memory.exists() {
        bind(Path::new("/dev/null"), &memory)?;
        read_only(&memory)?;
    }
    chdir(&root)?;
    // The old root ends up on top of the new one and is unmounted there (pivot_root(2), NOTES).
    pivot_root(".", ".").context("changing the root")?;
    umount2(".", MntFlags::MNT_DETACH).context("letting go of the old root")?;
    chdir("/")?;
    Ok(data)
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    let nothing: Option<&str> = None;
    mount(Some(from), to, nothing, MsFlags::MS_BIND, nothing).with_context(|| format!("binding {}", to.display()))
}

/// Makes a bind mount read-only. Without CAP_SYS_ADMIN no process in the node can undo that.
fn read_only(at: &Path) -> Result<()> {
    let nothing: Option<&str> = None;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(nothing, at, nothing, flags, nothing).with_context(|| format!("making {} read-only", at.display()))
}

fn mount_memory(at: &Path) -> Result<()> {
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=2g,mode=755")).context("mounting the data")
}

fn mount_data(image: &Path, at: &Path) -> Result<String> {
    let mut command = Command::new(needs::program("mount")?);
    let tried = command.args(["-o", "loop,noinit_itable"]).args([image, at]).output().context("running mount")?;
    if tried.status.success() {
        fs::set_permissions(at, fs::Permissions::from_mode(0o755))?;
        return Ok("ext4".into());
    }
    mount_memory(at)?;
    let why = String::from_utf8_lossy(&tried.stderr).trim().replace('\n', " / ");
    Ok(format!("tmpfs (no file system in a file: {why})"))
}

/// The node's sshd.
struct Sshd {
    program: PathBuf,
}

impl Sshd {
    fn start(&self) -> Result<Pid> {
        let mut command = Command::new(&self.program);
        command.args(["-D", "-e", "-f", "/etc/dsfuzz-lab/sshd_config"]).env_clear().env("PATH", PATH);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting sshd")?;
        Ok(Pid::from_raw(i32::try_from(child.id())?))
    }
}

/// An sshd that ends earlier has not come up: a process of its predecessor that is still being killed may hold the port.
const SSHD_UP: Duration = Duration::from_millis(500);
/// Time between two attempts to start it, and the most of them.
const SSHD_AGAIN: Duration = Duration::from_millis(100);
const SSHD_ATTEMPTS: u32 = 50;

/// Reaps ended processes of the node; restarts sshd after a kill.
fn keep(sshd: Sshd) -> Result<i32> {
    let (mut pid, mut started, mut attempts) = (sshd.start()?, Instant::now(), 1);
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(pid) => {
                eprintln!("sshd ended: {status:?}");
                attempts = if started.elapsed() < SSHD_UP { attempts + 1 } else { 1 };
                if attempts > SSHD_ATTEMPTS {
                    bail!("sshd does not stay up");
                }
                if attempts > 1 {
                    std::thread::sleep(SSHD_AGAIN);
                }
                (pid, started) = (sshd.start()?, Instant::now());
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs a command in a node. Arguments: its first process, its cgroup leaf or nothing, its users, then the command.
pub(super) fn exec_main(args: &[OsString]) -> Result<i32> {
    let pid = args.first().and_then(|arg| arg.to_str()).and_then(|arg| arg.parse().ok()).context("not a process")?;
    let leaf = args.get(1).map(PathBuf::from).filter(|leaf| !leaf.as_os_str().is_empty());
    let users: Users = serde_json::from_str(args.get(2).and_then(|arg| arg.to_str()).unwrap_or_default())?;
    let argv = args.get(3..).unwrap_or_default();
    let program = argv.first().map(OsString::as_os_str).unwrap_or(OsStr::new("/bin/bash"));
    let init = sys::pidfd(pid).context("the node is not running")?;
    if let Some(leaf) = leaf {
        fs::write(leaf.join("cgroup.procs"), "0").with_context(|| format!("entering {}", leaf.display()))?;
    }
    if let Some(owner) = users::other_namespace(pid)? {
        setns(&owner, CloneFlags::CLONE_NEWUSER).context("entering the lab's user namespace")?;
    }
    let spaces = CloneFlags::CLONE_NEWCGROUP
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS;
    setns(&init, spaces).context("entering the node's namespaces")?;
    chdir("/")?;
    sys::drop_capabilities(users.groups()).context("giving up capabilities")?;
    if sys::could_set_clock() {
        bail!("the command could set this machine's real clock; refused");
    }
    let mut command = Command::new(program);
    command.args(argv.get(1..).unwrap_or_default()).env_clear().env("PATH", PATH).env("HOME", "/root");
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    let status = command.status().with_context(|| format!("running {}", program.display()))?;
    Ok(std::os::unix::process::ExitStatusExt::signal(&status)
        .map_or(status.code().unwrap_or(255), |signal| 128 + signal))
}

/// The process on this host that is process 1 of a node, below process 1 of its lab.
pub(super) fn init_below(lab: u32, index: u16) -> Result<u32> {
    let entries = fs::read_dir("/proc").context("reading /proc")?.flatten();
    let pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let below = |parent: u32| {
        pids.iter().copied().filter(move |pid| parent_and_arguments(*pid).is_some_and(|(of, _)| of == parent))
    };
    let of_node = |pid: &u32| {
        let arguments = parent_and_arguments(*pid).map(|(_, arguments)| arguments).unwrap_or_default();
        arguments.get(1).is_some_and(|word| word == COMMAND) && arguments.get(4) == Some(&index.to_string())
    };
    let outer = below(lab).find(of_node);
    let init = outer.and_then(|outer| below(outer).next());
    init.with_context(|| format!("{} is not running", node_name(index)))
}
