//! The agent's program: finds the binary for a node, puts it there and starts it.
use super::connect::{Deadline, SshLink};
use super::connect_error::SshConnectError;
use super::target::SshTarget;
use dsfuzz_nemesis::protocol::GREETING;
use sha2::{Digest, Sha256};
use ssh2::{Channel, ErrorCode};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Start-up noise of a shell is skipped up to here.
const NOISE_BYTES_MAX: usize = 256 << 10;
const STEP: Duration = Duration::from_secs(30);
/// Time after which both streams are read again. Reading one stream also takes the other's data from the socket, where no
/// poll sees it any more.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const MARK: &str = "<<dsfuzz>>";
const INPUT: &str = "<<dsfuzz input>>";
/// Characters of a failed login's output in an error.
const WORDS_MAX: usize = 2000;
/// How long opening a channel is retried: an sshd with `MaxSessions 1` frees the last session only after a moment.
const OPEN_AGAIN: Duration = Duration::from_secs(5);
/// LIBSSH2_ERROR_CHANNEL_FAILURE: the host refused to open it.
const REFUSED: ErrorCode = ErrorCode::Session(-21);

/// The places to look for agents.
#[derive(Debug, Default)]
pub struct AgentBinaries {
    /// For any kind of machine, if given.
    given: Option<PathBuf>,
    folders: Vec<PathBuf>,
    loaded: Mutex<HashMap<String, Arc<AgentBinary>>>,
}

/// An agent's program.
#[derive(Debug)]
pub struct AgentBinary {
    /// Its file here.
    pub path: PathBuf,
    /// SHA-256 in hexadecimal.
    pub hash: String,
    bytes: Vec<u8>,
}

impl AgentBinaries {
    /// The file that `DSFUZZ_AGENT` names, else `dsfuzz-agent-<arch>` or `dsfuzz-agent` beside this program.
    pub fn find() -> AgentBinaries {
        let given = std::env::var_os("DSFUZZ_AGENT").filter(|path| !path.is_empty()).map(PathBuf::from);
        AgentBinaries { given, folders: crate::folders::program_folders(), loaded: Mutex::default() }
    }

    /// This file, for every kind of machine.
    pub fn at(path: impl Into<PathBuf>) -> AgentBinaries {
        AgentBinaries { given: Some(path.into()), ..AgentBinaries::default() }
    }

    /// The agent for a kind of machine (`uname -m`), or the places that were searched.
    pub fn for_arch(&self, arch: &str) -> Result<Arc<AgentBinary>, Vec<PathBuf>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = loaded.get(arch) {
            return Ok(Arc::clone(agent));
        }
        let mut places: Vec<PathBuf> = self.given.iter().cloned().collect();
        if places.is_empty() {
            places.extend(self.folders.iter().map(|folder| folder.join(format!("dsfuzz-agent-{arch}"))));
            if arch == std::env::consts::ARCH {
                places.extend(self.folders.iter().map(|folder| folder.join("dsfuzz-agent")));
            }
        }
        let found = places.iter().find_map(|path| Some((path.clone(), std::fs::read(path).ok()?)));
        let (path, bytes) = found.ok_or(places)?;
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let agent = Arc::new(AgentBinary { path, hash, bytes });
        loaded.insert(arch.to_owned(), Arc::clone(&agent));
        Ok(agent)
    }
}

/// An agent after its greeting: its channel, and the bytes that followed the greeting.
pub(super) struct StartedAgent {
    pub(super) channel: Channel,
    pub(super) rest: Vec<u8>,
}

/// Puts the agent on the node, unless it is there, and starts it.
pub(super) fn start(
    link: &SshLink,
    node: &Arc<str>,
    target: &SshTarget,
    agents: &AgentBinaries,
    deadline: &Deadline,
) -> Result<StartedAgent, SshConnectError> {
    deadline.begin("looking for the agent on the node");
    let folder = format!("{}/agent", target.dir.trim_end_matches('/'));
    let (arch, sums) = look_around(link, node, target, &folder, deadline)?;
    let missing = |looked| SshConnectError::AgentMissing { node: Arc::clone(node), arch: arch.clone(), looked };
    let agent = agents.for_arch(&arch).map_err(missing)?;
    let path = format!("{folder}/dsfuzz-agent-{}", &agent.hash[..16]);
    if !sums.lines().any(|line| line.starts_with(&agent.hash) && line.ends_with(&path)) {
        deadline.begin("putting the agent on the node");
        let put = put_script(&folder, &path, &agent.hash, agent.bytes.len());
        let done = exec(link, target, &put, &agent.bytes, deadline)?;
        if done.status != 0 {
            let (node, user) = (Arc::clone(node), target.user.clone());
            return Err(SshConnectError::AgentUpload { node, user, path: folder, message: done.complaint() });
        }
    }
    deadline.begin("starting the agent");
    let command =
        format!("exec {} serve --dir {} --ping-port {}", quoted(&path), quoted(&target.dir), target.ping_port);
    greeted(link, node, target, &command, &path, &arch, deadline)
}

fn put_script(folder: &str, path: &str, hash: &str, bytes: usize) -> String {
    let kib = bytes / 1024 + 1;
    let base = quoted(folder.rsplit_once('/').map_or("/", |(base, _)| base));
    let (folder, path, fresh) = (quoted(folder), quoted(path), quoted(&format!("{path}.new")));
    // Users of targets pass through the base to their own folders; the agent's folder is private. On a full disk the agents of
    // other versions are removed, except a running one and one that its shell still receives.
    format!(
        "umask 022; mkdir -p {base} || exit 1; umask 077; mkdir -p {folder} && chmod 700 {folder} || exit 1; \
         set -- $(df -Pk {folder} | tail -n 1); [ \"${{4:-0}}\" -gt {kib} ] || {{ running=$(ls -l /proc/[0-9]*/exe 2>/dev/null); \
         for old in {folder}/dsfuzz-agent-*; do case \"$running\" in *\"/${{old##*/}}\"*) continue;; esac; \
         case \"$old\" in *.new*) [ -d \"/proc/${{old##*.new}}\" ] && continue;; esac; rm -f \"$old\"; done; }}; cat > {fresh}$$ && chmod 700 {fresh}$$ || {{ rm -f {fresh}$$; exit 1; }}; \
         seen=$(sha256sum < {fresh}$$ | cut -c1-64); \
         if [ \"$seen\" = {hash} ]; then mv -f {fresh}$$ {path}; else rm -f {fresh}$$; \
         echo 'what arrived is not what was sent' >&2; exit 1; fi"
    )
}

/// The node's architecture, and the sums of the agents that are there already.
fn look_around(
    link: &SshLink,
    node: &Arc<str>,
    target: &SshTarget,
    folder: &str,
    deadline: &Deadline,
) -> Result<(String, String), SshConnectError> {
    // This line is for the script. A start-up file that reads standard input would take it, and later the agent's requests.
    let script = format!(
        "IFS= read -r line; printf '\\n{MARK}\\n%s\\n' \"$line\"; uname -m; sha256sum {}/dsfuzz-agent-* 2>/dev/null",
        quoted(folder)
    );
    let seen = exec(link, target, &script, format!("{INPUT}\n").as_bytes(), deadline)?;
    let (node, user) = (Arc::clone(node), target.user.clone());
    if let Some((line, rest)) = after_mark(&seen.stdout).split_once('\n') {
        if line != INPUT {
            return Err(SshConnectError::InputEaten { node, user });
        }
        if let Some((arch, sums)) = rest.split_once('\n') {
            return Ok((arch.trim().to_owned(), sums.to_owned()));
        }
    }
    let message = seen.words();
    let by_sudo = message.contains("sudo") || message.contains("Sorry, ");
    match target.sudo && by_sudo {
        true if asks_for_password(&message) => Err(SshConnectError::SudoNeedsPassword { node, user, message }),
        true => Err(SshConnectError::SudoFailed { node, user, message }),
        false => Err(SshConnectError::NoShell { node, user, message }),
    }
}

/// sudo's message if it needs a password.
fn asks_for_password(message: &str) -> bool {
    ["a password is required", "a terminal is required to read the password", "no askpass program"]
        .iter()
        .any(|words| message.contains(words))
}

fn after_mark(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    text.rsplit_once(&format!("{MARK}\n")).map(|(_, after)| after.to_owned()).unwrap_or_default()
}

/// In single quotes for any Bourne shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A script in a form for every login shell.
fn as_root(target: &SshTarget, script: &str) -> String {
    let sudo = if target.sudo { "sudo -n " } else { "" };
    format!("{sudo}sh -c {}", quoted(script))
}

struct ScriptOutput {
    status: i32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl ScriptOutput {
    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr).trim().replace('\n', " / ");
        if text.is_empty() { format!("exit status {}", self.status) } else { text }
    }

    /// Its standard output and standard error.
    fn words(&self) -> String {
        let (stderr, stdout) = (String::from_utf8_lossy(&self.stderr), String::from_utf8_lossy(&self.stdout));
        let lines = stderr.lines().chain(stdout.lines()).map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join(" / ");
        if text.is_empty() {
            return format!("nothing (exit status {})", self.status);
        }
        text.chars().take(WORDS_MAX).collect()
    }
}

fn open(link: &SshLink, command: &str, deadline: &Deadline) -> Result<Channel, SshConnectError> {
    link.session.set_blocking(true);
    deadline.limit(&link.session, STEP);
    let end = Instant::now() + OPEN_AGAIN.min(deadline.left());
    let mut pause = LOOK_AGAIN;
    let mut channel = loop {
        match link.session.channel_session() {
            Ok(channel) => break channel,
            Err(error) if error.code() == REFUSED && Instant::now() + pause < end => std::thread::sleep(pause),
            Err(error) => return Err(deadline.failed(error)),
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    };
    channel.exec(command).map_err(|error| deadline.failed(error))?;
    link.session.set_blocking(false);
    Ok(channel)
}

/// Runs a script to its end, feeding it and reading both of its outputs at once.
fn exec(
    link: &SshLink,
    target: &SshTarget,
    script: &str,
    input: &[u8],
    deadline: &Deadline,
) -> Result<ScriptOutput, SshConnectError> {
    let mut channel = open(link, &as_root(target, script), deadline)?;
    let mut done = ScriptOutput { status: -1, stdout: Vec::new(), stderr: Vec::new() };
    let (mut sent, mut closed) = (0, false);
    loop {
        let mut moved = false;
        if sent < input.len() {
            match channel.write(&input[sent..]) {
                Ok(more) => (sent, moved) = (sent + more, more > 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // It ended before it read all; its output says why.
                Err(_) => (sent, closed) = (input.len(), true),
            }
        } else if !closed {
            let done = channel.send_eof().map_err(io::Error::from);
            closed = !matches!(done, Err(error) if error.kind() == ErrorKind::WouldBlock);
        }
        moved |= read_some(&mut channel.stream(0), &mut done.stdout).map_err(|error| deadline.failed(error))?;
        moved |= read_some(&mut channel.stderr(), &mut done.stderr).map_err(|error| deadline.failed(error))?;
        if channel.eof() && !moved {
            break;
        }
        if deadline.left().is_zero() {
            return Err(deadline.timed_out());
        }
        if !moved {
            link.wait(None, deadline.left().min(LOOK_AGAIN)).map_err(|error| deadline.failed(error))?;
        }
    }
    link.session.set_blocking(true);
    deadline.limit(&link.session, STEP);
    channel.close().and_then(|()| channel.wait_close()).map_err(|error| deadline.failed(error))?;
    done.status = channel.exit_status().unwrap_or(-1);
    Ok(done)
}

/// Whether any byte was read.
fn read_some(stream: &mut impl Read, into: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0u8; 16 << 10];
    match stream.read(&mut chunk) {
        Ok(more) => {
            into.extend_from_slice(&chunk[..more]);
            Ok(more > 0)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn greeted(
    link: &SshLink,
    node: &Arc<str>,
    target: &SshTarget,
    command: &str,
    path: &str,
    arch: &str,
    deadline: &Deadline,
) -> Result<StartedAgent, SshConnectError> {
    let channel = open(link, &as_root(target, command), deadline)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let mut moved = read_some(&mut channel.stream(0), &mut stdout).map_err(|error| deadline.failed(error))?;
        moved |= read_some(&mut channel.stderr(), &mut stderr).map_err(|error| deadline.failed(error))?;
        if let Some(at) = stdout.windows(GREETING.len()).position(|window| window == GREETING) {
            let rest = stdout.split_off(at + GREETING.len());
            return Ok(StartedAgent { channel, rest });
        }
        let ended = channel.eof() && !moved;
        if ended || stdout.len() > NOISE_BYTES_MAX {
            let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
            let said = said.trim().chars().take(2000).collect::<String>().replace('\n', " / ");
            let stderr = if said.is_empty() { "it ends without a word".into() } else { said };
            let (node, path, arch) = (Arc::clone(node), path.to_owned(), arch.to_owned());
            return Err(SshConnectError::AgentCannotRun { node, path, arch, stderr });
        }
        if deadline.left().is_zero() {
            return Err(deadline.timed_out());
        }
        if !moved {
            link.wait(None, deadline.left().min(LOOK_AGAIN)).map_err(|error| deadline.failed(error))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_for_another_kind_of_machine_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("dsfuzz-agent"), b"here").expect("written");
        std::fs::write(folder.path().join("dsfuzz-agent-riscv64"), b"there").expect("written");
        let agents = AgentBinaries { folders: vec![folder.path().into()], ..AgentBinaries::default() };
        assert_eq!(agents.for_arch(std::env::consts::ARCH).expect("own").bytes, b"here");
        assert_eq!(agents.for_arch("riscv64").expect("other").bytes, b"there");
        let looked = agents.for_arch("s390x").expect_err("none");
        assert!(looked.iter().all(|path| path.ends_with("dsfuzz-agent-s390x")), "{looked:?}");
    }

    #[test]
    fn on_a_full_disk_an_agent_that_runs_or_arrives_is_spared() {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(format!("agent/dsfuzz-agent-{name}"));
        std::fs::create_dir(folder.path().join("agent")).expect("made");
        let arriving = format!("bb.new{}", std::process::id());
        // No process has this number.
        for name in ["aa", &arriving, "cc.new4194305", "dd"] {
            std::fs::write(file(name), "old").expect("written");
        }
        // Not by this process: a child that another test forks meanwhile would hold the file open for writing, and the kernel
        // starts no such file ("Text file busy").
        let copied = Command::new("cp").arg("-p").arg("/bin/sleep").arg(file("aa")).status().expect("cp");
        assert!(copied.success());
        let mut running = Command::new(file("aa")).arg("60").spawn().expect("a process");
        let hash: String = Sha256::digest(b"new").iter().map(|byte| format!("{byte:02x}")).collect();
        let (agents, path) = (folder.path().join("agent"), file("ee"));
        // No disk has that much room.
        let script = put_script(&agents.to_string_lossy(), &path.to_string_lossy(), &hash, usize::MAX >> 2);
        let mut shell = Command::new("sh").arg("-c").arg(script).stdin(Stdio::piped()).spawn().expect("sh");
        shell.stdin.take().expect("piped").write_all(b"new").expect("sent");
        let put = shell.wait().expect("ended");
        running.kill().and_then(|()| running.wait()).expect("ended");
        let left: Vec<bool> = ["aa", &arriving, "cc.new4194305", "dd", "ee"].map(|name| file(name).exists()).to_vec();
        assert_eq!((put.success(), left), (true, vec![true, true, false, false, true]));
    }

    #[test]
    fn quotes_survive_a_shell() {
        let odd = "it's $HOME; `x`";
        let echoed = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(odd))).output();
        assert_eq!(echoed.expect("sh").stdout, odd.as_bytes());
    }
}
