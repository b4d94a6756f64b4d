//! The lab's supervisor: two processes. The outer one lives on the host, waits for the owner's end and cleans up; the
//! inner one is process 1 of the lab's PID namespace, owns the control network and starts the nodes.
//!
//! If the outer dies, the kernel kills the inner, and with it every process of the lab.
use super::users::{self, Users};
use super::{base, cgroup, control_address, needs, node, node_address, node_name, remove_work, sys};
use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setsid};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const COMMAND: &str = "__lab-supervisor";
const SSH_DEADLINE: Duration = Duration::from_secs(30);

struct SupervisorArguments {
    dir: PathBuf,
    nodes: u16,
    owned: bool,
    cgroup: Option<PathBuf>,
    users: Users,
}

/// The outer process. Arguments: the lab's folder, its name, the number of nodes, `owned` or `detached`, `root` or `rootless`.
pub(super) fn main(args: &[OsString]) -> Result<i32> {
    let text = |index: usize| args.get(index).and_then(|arg| arg.to_str()).unwrap_or_default();
    let root = text(4) == "root";
    let mut order = SupervisorArguments {
        dir: PathBuf::from(args.first().context("no folder")?),
        nodes: text(2).parse().context("not a number of nodes")?,
        owned: text(3) == "owned",
        cgroup: cgroup::of_lab(text(1), std::process::id(), root)?,
        users: Users::Machine,
    };
    // A separate session: Ctrl-C in the owner's terminal must not end the lab before the owner has healed it.
    let _ = setsid();
    let mut signals = SigSet::empty();
    [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().for_each(|s| signals.add(s));
    signals.thread_block()?;
    if !root {
        order.users = users::enter_new()?;
    }
    say(&format!("users {}", serde_json::to_string(&order.users)?));
    unshare(CloneFlags::CLONE_NEWPID).context("making a PID namespace")?;
    let (watched, life) = std::io::pipe()?;
    let Some(inner) = sys::fork()? else {
        drop(life);
        signals.thread_unblock()?;
        return inner_main(&order, &watched);
    };
    drop(watched);
    say(&format!("init {inner}"));
    let ended = wait_for_end(inner, &order, &signals);
    let _ = kill(inner, Signal::SIGKILL);
    // The parent's wait returns only after the last process of the namespace has ended.
    let _ = waitpid(inner, None);
    drop(life);
    ended?;
    order.cgroup.as_deref().map_or(Ok(()), cgroup::remove)?;
    remove_work(&order.dir)?;
    Ok(0)
}

fn wait_for_end(inner: Pid, order: &SupervisorArguments, signals: &SigSet) -> Result<()> {
    let arrived = SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let owner = std::io::stdin();
    // The inner process owns the reporting end now.
    quiet_stdout()?;
    loop {
        let mut waiting = vec![PollFd::new(arrived.as_fd(), PollFlags::POLLIN)];
        if order.owned {
            waiting.push(PollFd::new(owner.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let owner_gone = waiting.get(1).is_some_and(|fd| fd.any().unwrap_or(false));
        if owner_gone {
            return Ok(());
        }
        while let Some(signal) = arrived.read_signal()? {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                return Ok(());
            }
        }
        if !matches!(waitpid(inner, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            return Ok(());
        }
    }
}

/// A line to the command that waits for the lab.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn quiet_stdout() -> Result<()> {
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    Ok(())
}

fn inner_main(order: &SupervisorArguments, life: &impl AsFd) -> Result<i32> {
    match make_lab(order, life) {
        Ok(data) => say(&format!("ready {data}")),
        Err(error) => {
            say(&format!("failed {}", format!("{error:#}").replace('\n', " / ")));
            return Ok(1);
        }
    }
    quiet_stdout()?;
    // Ended nodes are reported; the lab goes on with the others.
    loop {
        match waitpid(None, None) {
            Ok(status) => eprintln!("a node's process ended: {status:?}"),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return Ok(0),
        }
    }
}

fn make_lab(order: &SupervisorArguments, life: &impl AsFd) -> Result<String> {
    set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_name(c"dsfuzz-lab")?;
    let mut waiting = [PollFd::new(life.as_fd(), PollFlags::POLLIN)];
    if poll(&mut waiting, PollTimeout::ZERO)? > 0 {
        bail!("the supervisor died while the lab came up");
    }
    let spaces =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    unshare(spaces).context("making the lab's namespaces")?;
    let nothing: Option<&str> = None;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).context("making mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), nothing).context("mounting /proc")?;
    nix::unistd::sethostname("control")?;
    if order.users.rootless() {
        base::make(&order.dir.join("base"), order.users != Users::Range).context("making the base of the nodes")?;
    }
    let mut nodes = (1..=order.nodes).map(|index| StartingNode::begin(order, index)).collect::<Result<Vec<_>>>()?;
    let control = control_address();
    ip_batch(&format!("link set lo up\nlink add br0 type bridge\naddr add {control}/24 dev br0\nlink set br0 up\n"))
        .context("making the lab's bridge")?;
    nodes.iter_mut().try_for_each(|node| node.expect("net").map(drop))?;
    let cables: String = nodes.iter().map(StartingNode::cable).collect();
    ip_batch(&cables).context("connecting the nodes")?;
    nodes.iter_mut().try_for_each(|node| writeln!(node.to, "go").context("telling a node to go on"))?;
    let data = nodes.iter_mut().map(|node| node.expect("up")).collect::<Result<Vec<_>>>()?;
    let deadline = Instant::now() + SSH_DEADLINE;
    nodes.iter().try_for_each(|node| ssh_answers(node.index, deadline))?;
    // The worst of them: one node on tmpfs is reported.
    Ok(data.into_iter().find(|data| data != "ext4").unwrap_or_else(|| "ext4".into()))
}

/// A starting node.
struct StartingNode {
    index: u16,
    log: PathBuf,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl StartingNode {
    fn begin(order: &SupervisorArguments, index: u16) -> Result<StartingNode> {
        let dir = order.dir.join(node_name(index));
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        let log = dir.join("log");
        let mut command = Command::new("/proc/self/exe");
        command.arg(node::COMMAND).arg(&order.dir).arg(order.cgroup.as_deref().unwrap_or(Path::new("")));
        command.args([index.to_string(), order.nodes.to_string(), serde_json::to_string(&order.users)?]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = command.spawn().context("starting a node")?;
        let to = child.stdin.take().context("a node without input")?;
        let from = BufReader::new(child.stdout.take().context("a node without output")?);
        Ok(StartingNode { index, log, child, to, from })
    }

    fn cable(&self) -> String {
        let (index, pid) = (self.index, self.child.id());
        format!("link add v{index} type veth peer name eth0 netns {pid}\nlink set v{index} master br0 up\n")
    }

    /// The text after this word at the begin of a line.
    fn expect(&mut self, word: &str) -> Result<String> {
        let name = node_name(self.index);
        let mut line = String::new();
        self.from.read_line(&mut line).with_context(|| format!("listening to {name}"))?;
        let line = line.trim_end();
        match line.strip_prefix(word) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None if line.is_empty() => bail!("{name} ended early: {}", tail(&self.log)),
            None => bail!("{name}: {line}"),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" / ")
}

/// Runs `ip` once for many commands.
pub(super) fn ip_batch(lines: &str) -> Result<()> {
    let mut command = Command::new(needs::program("ip")?);
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting ip")?;
    child.stdin.take().context("ip without input")?.write_all(lines.as_bytes())?;
    let done = child.wait_with_output()?;
    if !done.status.success() {
        bail!("ip: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// Waits until a node's sshd shows its host key.
fn ssh_answers(index: u16, deadline: Instant) -> Result<()> {
    let address = SocketAddr::new(node_address(index), 22);
    let banner = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut head = [0u8; 4];
        stream.read_exact(&mut head)?;
        Ok(&head == b"SSH-")
    };
    while !banner().unwrap_or(false) {
        if Instant::now() > deadline {
            bail!("{}: sshd does not answer on {address}", node_name(index));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
