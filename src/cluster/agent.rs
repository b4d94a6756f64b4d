//! The agent's program: finds the binary for a node, puts it there and starts it.
use super::access::NodeAccess;
use super::channel::{LOOK_AGAIN, Link, NodeChannel, quoted, read_both};
use super::connect::Deadline;
use super::connect_error::NodeConnectError;
use dsfuzz_nemesis::protocol::GREETING;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Start-up noise of a shell is skipped up to here.
const NOISE_BYTES_MAX: usize = 256 << 10;
const MARK: &str = "<<dsfuzz>>";
const INPUT: &str = "<<dsfuzz input>>";
/// The tools that putting the agent on a node takes.
const TOOLS: &str = "uname mkdir chmod df tail cut sha256sum cat mv rm";

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

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
        let hash = sha256(&bytes);
        let agent = Arc::new(AgentBinary { path, hash, bytes });
        loaded.insert(arch.to_owned(), Arc::clone(&agent));
        Ok(agent)
    }
}

/// An agent after its greeting: its channel, and the bytes that followed the greeting.
pub(super) struct StartedAgent {
    pub(super) channel: Box<dyn NodeChannel>,
    pub(super) rest: Vec<u8>,
}

/// Puts the agent on the node, unless it is there, and starts it.
pub(super) fn start(
    link: &Link,
    access: &NodeAccess,
    agents: &AgentBinaries,
    deadline: &Deadline,
) -> Result<StartedAgent, NodeConnectError> {
    let (node, dir) = (&deadline.node, access.dir());
    deadline.begin("looking for the agent on the node");
    let folder = format!("{}/agent", dir.trim_end_matches('/'));
    let (arch, sums) = look_around(link, access, &folder, deadline)?;
    let missing = |looked| NodeConnectError::AgentMissing { node: Arc::clone(node), arch: arch.clone(), looked };
    let agent = agents.for_arch(&arch).map_err(missing)?;
    let path = format!("{folder}/dsfuzz-agent-{}", &agent.hash[..16]);
    if !sums.lines().any(|line| line.starts_with(&agent.hash) && line.ends_with(&path)) {
        deadline.begin("putting the agent on the node");
        let put = put_script(&folder, &path, &agent.hash, agent.bytes.len());
        let done = link.run(&put, &agent.bytes, deadline)?;
        if done.status != 0 {
            let (node, user) = (Arc::clone(node), access.user().to_owned());
            return Err(NodeConnectError::AgentUpload { node, user, path: folder, message: done.complaint() });
        }
    }
    deadline.begin("starting the agent");
    let command = format!("exec {} serve --dir {} --ping-port {}", quoted(&path), quoted(dir), access.ping_port());
    greeted(link, &command, &path, &arch, deadline)
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
    link: &Link,
    access: &NodeAccess,
    folder: &str,
    deadline: &Deadline,
) -> Result<(String, String), NodeConnectError> {
    // The first line is for the script. What else reads standard input, such as a start-up file, would take it, and later the
    // agent's requests. The user is that of this process; without /proc there is none.
    let script = format!(
        "IFS= read -r line; printf '\\n{MARK}\\n%s\\n' \"$line\"; arch=$(uname -m 2>/dev/null); echo \"$arch\"; \
         user=; while read -r key real user rest; do [ \"$key\" = Uid: ] && break; done 2>/dev/null < /proc/self/status; \
         echo \"$user\"; missing=; for tool in {TOOLS}; do command -v $tool >/dev/null 2>&1 || missing=\"$missing $tool\"; done; \
         echo $missing; sha256sum {}/dsfuzz-agent-* 2>/dev/null",
        quoted(folder)
    );
    let seen = link.run(&script, format!("{INPUT}\n").as_bytes(), deadline)?;
    let node = Arc::clone(&deadline.node);
    let after = after_mark(&seen.stdout);
    let mut lines = after.iter().flat_map(|after| after.splitn(5, '\n'));
    let [line, arch, user, missing, sums] = std::array::from_fn(|_| lines.next());
    if line.is_some_and(|line| line != INPUT) {
        return Err(access.input_eaten(node));
    }
    let (Some(arch), Some(user), Some(missing), Some(sums)) = (arch, user, missing, sums) else {
        return Err(access.runs_no_commands(node, &seen));
    };
    if !missing.is_empty() {
        return Err(NodeConnectError::ToolsMissing { node, tools: missing.replace(' ', ", ") });
    }
    access.root(node, user)?;
    Ok((arch.trim().to_owned(), sums.to_owned()))
}

/// What follows the mark; none if the script did not run.
fn after_mark(stdout: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stdout);
    text.rsplit_once(&format!("{MARK}\n")).map(|(_, after)| after.to_owned())
}

fn greeted(
    link: &Link,
    command: &str,
    path: &str,
    arch: &str,
    deadline: &Deadline,
) -> Result<StartedAgent, NodeConnectError> {
    let mut channel = link.open(command, deadline)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        let moved = read_both(&mut *channel, &mut stdout, &mut stderr).map_err(|error| deadline.failed(error))?;
        if let Some(at) = stdout.windows(GREETING.len()).position(|window| window == GREETING) {
            let rest = stdout.split_off(at + GREETING.len());
            return Ok(StartedAgent { channel, rest });
        }
        let ended = !moved && channel.has_ended();
        if ended || stdout.len() > NOISE_BYTES_MAX {
            let said = String::from_utf8_lossy(if stderr.is_empty() { &stdout } else { &stderr }).into_owned();
            let said = said.trim().chars().take(2000).collect::<String>().replace('\n', " / ");
            let stderr = if said.is_empty() { "it ends without a word".into() } else { said };
            let (node, path, arch) = (Arc::clone(&deadline.node), path.to_owned(), arch.to_owned());
            return Err(NodeConnectError::AgentCannotRun { node, path, arch, stderr });
        }
        if deadline.left().is_zero() {
            return Err(deadline.timed_out());
        }
        if !moved {
            channel.wait(None, deadline.left().min(LOOK_AGAIN)).map_err(|error| deadline.failed(error))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

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
        let hash = sha256(b"new");
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
}
