//! The lab: a cluster of real nodes on this machine, made of namespaces, with a real sshd on each. A user without root has it
//! in a user namespace.
//!
//! A supervisor owns the lab: its death ends every process, namespace and mount. Nothing is made in the host's network
//! namespace, and no node can set the real clock, reboot, load modules or make device nodes.
mod base;
mod cgroup;
mod filter;
mod mounts;
mod needs;
mod node;
mod state;
mod supervisor;
pub(crate) mod sys;
mod used;
mod users;

use crate::cluster::{Node, SshTarget};
use crate::folders::is_root;
use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use state::{LabRecord, ProcessIdentity};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use users::Users;

/// The default lab of commands.
pub const DEFAULT_NAME: &str = "default";
/// Most nodes of a lab.
pub const NODES_MAX: u16 = 200;
/// The folder of a node with its own file system, so that a full disk affects one node only.
pub const DATA_DIR: &str = "/var/lib/dsfuzz";

/// A file in each lab's folder; a folder without it is not a lab's and is never removed.
const MARK: &str = "DSFUZZ-LAB";
const UP_DEADLINE: Duration = Duration::from_secs(60);
const DOWN_DEADLINE: Duration = Duration::from_secs(20);

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
/// The network in which this program was before it entered a lab's, which reaches nothing outside.
static OUTSIDE: OnceLock<OwnedFd> = OnceLock::new();

/// Names the program whose `main` calls [`dispatch`] first. Without it: the running program. Only the first call counts.
pub fn use_program(path: impl Into<PathBuf>) {
    let _ = PROGRAM.set(path.into());
}

/// Lets a command start in the network in which this program was before it entered a lab's.
pub(crate) fn start_outside(command: &mut Command) -> std::io::Result<()> {
    if let Some(network) = OUTSIDE.get() {
        if !is_root() {
            return Err(std::io::Error::other(
                "a run in a lab without root has no way out of the lab's network, so it can download nothing",
            ));
        }
        sys::start_in_network(command, None, network.try_clone()?);
    }
    Ok(())
}

/// Runs the hidden commands of the lab; the answer is the exit code. `main` calls this before anything else, because
/// these commands fork and change namespaces, which takes a process of one thread.
pub fn dispatch(args: &[OsString]) -> Option<i32> {
    let rest = args.get(2..).unwrap_or_default();
    let done = match args.get(1)?.to_str()? {
        supervisor::COMMAND => supervisor::main(rest),
        node::COMMAND => node::main(rest),
        node::EXEC_COMMAND => node::exec_main(rest),
        node::PROBE_COMMAND => Ok(i32::from(sys::could_set_clock())),
        users::PROBE_COMMAND => users::probe_main(),
        users::MAP_COMMAND => users::map_main(rest),
        users::REMOVE_COMMAND => users::remove_main(Path::new(rest.first().map_or(OsStr::new(""), |path| path))),
        _ => return None,
    };
    Some(done.unwrap_or_else(|error| {
        eprintln!("dsfuzz: {error:#}");
        255
    }))
}

/// The lifetime of a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Until it is taken down.
    Detached,
    /// Ends with this process, however it ends. A process that calls exec has ended.
    ThisProcess,
}

/// A lab that is up. Dropping it takes down only what [`Owner::ThisProcess`] owns, and does not wait for the end.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    record: LabRecord,
    /// The other end is watched by the supervisor.
    owner: Option<PipeWriter>,
    child: Option<Child>,
}

impl Lab {
    /// Makes a lab; every node answers on its SSH port when this returns. Blocks.
    pub fn up(name: &str, nodes: u16, owner: Owner) -> Result<Lab> {
        state::check_name(name)?;
        if !(1..=NODES_MAX).contains(&nodes) {
            bail!("a lab has 1 to {NODES_MAX} nodes, not {nodes}");
        }
        needs::check(is_root())?;
        if !is_root() {
            users::check(&own_program()?)?;
        }
        let mut lab = Lab::begin(name, nodes, owner)?;
        let report =
            lab.child.as_mut().and_then(|child| child.stdout.take()).context("the supervisor has no output")?;
        match lab.finish(PipeReader::from(OwnedFd::from(report))) {
            Ok(()) => Ok(lab),
            Err(error) => {
                let log = fs::read_to_string(lab.dir.join("log")).unwrap_or_default();
                let last =
                    log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
                lab.down().context("taking down the unfinished lab")?;
                Err(if last.is_empty() { error } else { error.context(last) })
                    .context(format!("lab {name} did not come up"))
            }
        }
    }

    fn begin(name: &str, nodes: u16, owner: Owner) -> Result<Lab> {
        let _lock = state::lock()?;
        sweep_locked();
        let dir = state::labs_dir().join(name);
        if let Err(error) = fs::create_dir(&dir) {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                bail!("a lab named {name} is already up; take it down (dsfuzz lab down {name}) or choose another name");
            }
            return Err(error).with_context(|| format!("making {}", dir.display()));
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        fs::write(dir.join(MARK), "A dsfuzz lab keeps its files here and removes them when it ends.\n")?;
        make_key(&dir.join("key"), "dsfuzz-lab")?;
        let log = File::create(dir.join("log"))?;
        let detached = owner == Owner::Detached;
        let (watched, ours) = std::io::pipe()?;
        let mut command = Command::new(own_program()?);
        command.args([OsStr::new(supervisor::COMMAND), dir.as_os_str(), OsStr::new(name)]);
        command.args([nodes.to_string().as_str(), if detached { "detached" } else { "owned" }]);
        command.arg(if is_root() { "root" } else { "rootless" });
        command.stdin(if detached { Stdio::null() } else { watched.into() }).stdout(Stdio::piped()).stderr(log);
        let child = command.current_dir("/").spawn().context("starting the lab's supervisor")?;
        let supervisor = ProcessIdentity::now(child.id()).context("the lab's supervisor ended at once")?;
        let cgroup = cgroup::of_lab(name, child.id(), is_root())?;
        let (data, users) = (String::new(), Users::default());
        let record = LabRecord { name: name.into(), nodes, supervisor, init: None, cgroup, detached, data, users };
        record.write(&dir)?;
        Ok(Lab { dir, record, owner: (!detached).then_some(ours), child: Some(child) })
    }

    fn finish(&mut self, mut report: PipeReader) -> Result<()> {
        let lines = read_report(&mut report, Instant::now() + UP_DEADLINE)?;
        let find = |word: &str| lines.iter().find_map(|line| line.strip_prefix(word));
        if let Some(problem) = find("failed ") {
            bail!("{problem}");
        }
        let init = find("init ").and_then(|pid| pid.parse().ok()).and_then(ProcessIdentity::now);
        self.record.init = Some(init.context("the lab ended while it came up")?);
        let users = find("users ").context("the lab's supervisor did not say which users its nodes have")?;
        self.record.users = serde_json::from_str(users)?;
        self.record.data = find("ready ").context("the lab's supervisor did not report")?.to_owned();
        let known: Result<Vec<String>> = (1..=self.record.nodes).map(|index| self.known_host(index)).collect();
        fs::write(self.dir.join("known_hosts"), known?.concat())?;
        self.record.write(&self.dir)
    }

    fn known_host(&self, index: u16) -> Result<String> {
        let path = self.dir.join(node_name(index)).join("hostkey.pub");
        let key = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut words = key.split_whitespace();
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(format!("{},{} {kind} {blob}\n", node_address(index), node_name(index)))
    }

    /// A lab that is up, by name.
    pub fn find(name: &str) -> Result<Lab> {
        state::check_name(name)?;
        let dir = state::labs_dir().join(name);
        let up = LabRecord::read(&dir).ok().filter(|record| record.init.is_some() && record.supervisor.alive());
        match up {
            Some(record) => Ok(Lab { dir, record, owner: None, child: None }),
            None => bail!("no lab named {name} is up; see: dsfuzz lab list"),
        }
    }

    /// The labs that are up, by name. Remains of dead labs are removed first.
    pub fn list() -> Result<Vec<Lab>> {
        if is_root() || state::labs_dir().is_dir() {
            Lab::sweep()?;
        }
        let mut names: Vec<String> =
            lab_dirs().iter().filter_map(|dir| Some(dir.file_name()?.to_str()?.into())).collect();
        names.sort();
        Ok(names.iter().filter_map(|name| Lab::find(name).ok()).collect())
    }

    /// Removes the remains of labs whose supervisor is dead: cgroup folders and work folders. A folder that cannot be removed
    /// is reported, and stops neither the others nor the command.
    pub fn sweep() -> Result<()> {
        let _lock = state::lock()?;
        sweep_locked();
        Ok(())
    }

    /// Ends the lab and waits until all of it is gone. Blocks.
    pub fn down(mut self) -> Result<()> {
        drop(self.owner.take());
        stop(self.record.supervisor, nix::libc::SIGTERM)?;
        if let Some(mut child) = self.child.take() {
            child.wait().context("waiting for the lab's supervisor")?;
        }
        {
            let _lock = state::lock()?;
            remove_dead(&self.dir)?;
        }
        Lab::sweep()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// Its folder, with a log and a folder for each node.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its cgroup folder on this host, if it has one.
    pub fn cgroup(&self) -> Option<&Path> {
        self.record.cgroup.as_deref()
    }

    /// Whether a user without root made it.
    pub fn rootless(&self) -> bool {
        self.record.users.rootless()
    }

    /// The users of its nodes, in words: `root`, or `no root` with the users and the reason.
    pub fn users(&self) -> String {
        self.record.users.describe()
    }

    /// The process whose death ends the lab.
    pub fn supervisor_pid(&self) -> u32 {
        self.record.supervisor.pid
    }

    /// The file system of each node's data: `ext4`, or `tmpfs` with the reason why there is no file system in a file.
    pub fn data(&self) -> &str {
        &self.record.data
    }

    /// Whether it outlives the command that made it.
    pub fn detached(&self) -> bool {
        self.record.detached
    }

    /// The nodes and how to reach them from inside the lab's control network.
    pub fn nodes(&self) -> Vec<(Node, SshTarget)> {
        (1..=self.record.nodes).map(|index| (self.node(index), self.target(index))).collect()
    }

    fn node(&self, index: u16) -> Node {
        Node { name: node_name(index).into(), address: node_address(index) }
    }

    fn target(&self, index: u16) -> SshTarget {
        let mut target = SshTarget::new(node_address(index).to_string(), "root", self.dir.join("known_hosts"));
        target.key = Some(self.dir.join("key"));
        target.strict = true;
        target
    }

    /// Moves this process into the lab's control network for good: every socket from now on, also of child processes,
    /// starts there. To be called before threads exist.
    pub fn enter(&self) -> Result<()> {
        let threads = sys::threads().context("reading /proc/self/task")?;
        if threads != 1 {
            bail!("cannot enter the lab's network: the process has {threads} threads already (a defect in dsfuzz)");
        }
        // Its own files stay those of its user.
        let _ = is_root();
        let owner = users::other_namespace(self.init()?.pid)?;
        self.enter_network(owner.as_ref())
    }

    /// Moves the calling thread into the lab's control network, and with it every thread and process that it starts
    /// from now on. Other threads stay where they are. A lab without root takes a process of one thread ([`Lab::enter`]).
    pub fn enter_thread(&self) -> Result<()> {
        self.enter_network(None)
    }

    fn enter_network(&self, owner: Option<&OwnedFd>) -> Result<()> {
        let own = "/proc/thread-self/ns/net";
        let before = File::open(own).with_context(|| format!("opening {own}"))?;
        // Only the first is outside of every lab.
        let _ = OUTSIDE.set(before.into());
        sys::enter(owner, &self.control_network()?)
            .with_context(|| format!("entering the network of lab {}", self.name()))
    }

    fn init(&self) -> Result<ProcessIdentity> {
        let init = self.record.init.filter(|init| init.alive());
        init.with_context(|| format!("lab {} is not up any more", self.name()))
    }

    /// The process on this host that is process 1 of a node.
    fn node_init(&self, node: &str) -> Result<u32> {
        match &self.record.cgroup {
            Some(cgroup) => cgroup::node_init(cgroup, node),
            None => node::init_below(self.init()?.pid, self.index_of(node)?),
        }
    }

    fn control_network(&self) -> Result<OwnedFd> {
        let path = format!("/proc/{}/ns/net", self.init()?.pid);
        Ok(File::open(&path).with_context(|| format!("opening {path}"))?.into())
    }

    /// A command that runs on this host and starts in the lab's control network.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Command::new(program);
        let owner = users::other_namespace(self.init()?.pid)?;
        sys::start_in_network(&mut command, owner, self.control_network()?);
        Ok(command)
    }

    /// A command that runs in a node as root, without SSH, under the node's restrictions.
    pub fn node_command<S: AsRef<OsStr>>(&self, node: &str, argv: &[S]) -> Result<Command> {
        self.index_of(node)?;
        let init = self.node_init(node)?;
        let leaf = self.record.cgroup.as_ref().map(|cgroup| cgroup.join(node).join(cgroup::INIT_LEAF));
        let mut command = Command::new(own_program()?);
        command.arg(node::EXEC_COMMAND).arg(init.to_string()).arg(leaf.unwrap_or_default());
        command.arg(serde_json::to_string(&self.record.users)?).args(argv);
        Ok(command)
    }

    /// Runs a command in a node with this process's input and output.
    pub fn exec<S: AsRef<OsStr>>(&self, node: &str, argv: &[S]) -> Result<ExitStatus> {
        self.node_command(node, argv)?.status().with_context(|| format!("running a command in {node}"))
    }

    /// Runs the system's ssh to a node, with the lab's key and known hosts; no arguments means a login.
    pub fn ssh<S: AsRef<OsStr>>(&self, node: &str, argv: &[S]) -> Result<ExitStatus> {
        let address = node_address(self.index_of(node)?);
        let mut command = self.command(needs::program("ssh")?)?;
        // The user's ssh configuration is for other hosts and must not affect the lab.
        command.args(["-F", "/dev/null", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes", "-i"]);
        command.arg(self.dir.join("key")).arg("-o");
        command.arg(format!("UserKnownHostsFile={}", self.dir.join("known_hosts").display()));
        command.arg(format!("root@{address}")).args(argv);
        command.status().with_context(|| format!("running ssh to {node}"))
    }

    fn index_of(&self, node: &str) -> Result<u16> {
        (1..=self.record.nodes)
            .find(|index| node_name(*index) == node)
            .with_context(|| format!("lab {} has no node {node}; it has n1 to n{}", self.name(), self.record.nodes))
    }
}

fn node_name(index: u16) -> String {
    format!("n{index}")
}

fn node_address(index: u16) -> IpAddr {
    // At most NODES_MAX, so it fits the last byte.
    Ipv4Addr::new(10, 77, 0, u8::try_from(index).unwrap_or(u8::MAX)).into()
}

fn control_address() -> IpAddr {
    Ipv4Addr::new(10, 77, 0, 254).into()
}

fn own_program() -> Result<PathBuf> {
    match PROGRAM.get() {
        Some(path) => Ok(path.clone()),
        None => std::env::current_exe().context("finding this program's own file"),
    }
}

fn make_key(path: &Path, comment: &str) -> Result<()> {
    let mut command = Command::new(needs::program("ssh-keygen")?);
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path).stdin(Stdio::null());
    let made = command.output().context("running ssh-keygen")?;
    if !made.status.success() {
        bail!("ssh-keygen could not make {}: {}", path.display(), String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}

/// Lines of the supervisor until it says `ready` or `failed`.
fn read_report(report: &mut PipeReader, deadline: Instant) -> Result<Vec<String>> {
    let mut text = Vec::new();
    loop {
        let lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        let whole = text.ends_with(b"\n");
        if whole && lines.iter().any(|line| line.starts_with("ready ") || line.starts_with("failed ")) {
            return Ok(lines);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut waiting = [PollFd::new(report.as_fd(), PollFlags::POLLIN)];
        if left.is_zero() || poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))? == 0 {
            bail!("it was not ready within {} s", UP_DEADLINE.as_secs());
        }
        let mut chunk = [0u8; 4096];
        match report.read(&mut chunk)? {
            0 => return Ok(lines),
            more => text.extend_from_slice(&chunk[..more]),
        }
    }
}

fn lab_dirs() -> Vec<PathBuf> {
    let entries = fs::read_dir(state::labs_dir()).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.join(MARK).is_file()).collect()
}

fn sweep_locked() {
    let dead = lab_dirs().into_iter().map(|dir| (remove_dead(&dir), dir)).collect::<Vec<_>>();
    let leftovers = if is_root() { cgroup::leftovers() } else { Vec::new() };
    let leftovers = leftovers.into_iter().map(|path| (cgroup::remove(&path), path));
    for (removed, path) in dead.into_iter().chain(leftovers) {
        if let Err(error) = removed {
            tracing::warn!("what an earlier lab left at {} could not be removed: {error:#}", path.display());
        }
    }
}

/// Removes the remains of the lab in this folder, unless the lab lives.
fn remove_dead(dir: &Path) -> Result<()> {
    if let Ok(record) = LabRecord::read(dir) {
        if record.supervisor.alive() {
            return Ok(());
        }
        if let Some(init) = record.init {
            stop(init, nix::libc::SIGKILL)?;
        }
        record.cgroup.as_deref().map_or(Ok(()), cgroup::remove)?;
    }
    remove_work(dir)
}

/// Removes a lab's folder. Its last mounts may still be ending.
fn remove_work(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let removed = match fs::remove_dir_all(dir) {
            // Files of the nodes' other users.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && !nix::unistd::geteuid().is_root() => {
                users::remove(&own_program()?, dir)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Into::into),
        };
        match removed {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("removing {}", dir.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Signals a process and waits for its end; kills it if the signal does not end it.
fn stop(process: ProcessIdentity, signal: i32) -> Result<()> {
    let Ok(pidfd) = sys::pidfd(process.pid) else {
        return Ok(());
    };
    let mut signal = signal;
    loop {
        // Asked after the descriptor is open, so the number cannot belong to another process.
        if !process.alive() {
            return Ok(());
        }
        let _ = sys::pidfd_signal(&pidfd, signal);
        let mut waiting = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waiting, PollTimeout::try_from(DOWN_DEADLINE).unwrap_or(PollTimeout::MAX))? > 0 {
            return Ok(());
        }
        if signal == nix::libc::SIGKILL {
            bail!("process {} does not end", process.pid);
        }
        signal = nix::libc::SIGKILL;
    }
}
