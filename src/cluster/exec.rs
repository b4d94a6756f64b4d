//! [`ExecTarget`]: a node that a command of this machine enters (`docker exec`, `kubectl exec`, `lxc exec`, `nsenter`).
//!
//! The command is the plan's, with the node's name and address filled in. A node whose address the plan does not name is asked.
use super::channel::{Link, ScriptOutput};
use super::connect::Deadline;
use super::connect_error::NodeConnectError;
use super::options::{ExecNode, ExecOptions};
use super::{Node, NodeAccess, target};
use anyhow::{Context as _, Result, anyhow, bail};
use dsfuzz_nemesis::protocol::PING_PORT;
use minijinja::{Environment, UndefinedBehavior};
use nix::unistd::{AccessFlags, access};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Deadline of asking a node for its address.
const ASK: Duration = Duration::from_secs(30);
/// Exit statuses of shells and container engines for a program that is missing or cannot run.
const NO_PROGRAM: [i32; 2] = [126, 127];

/// The command that enters one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecTarget {
    /// Its words; `sh -c SCRIPT` is put behind them.
    pub argv: Vec<String>,
    /// The agent's folder on the node.
    pub dir: String,
    /// The agent's port for its peers' pings.
    pub ping_port: u16,
    /// Scripts may run as another user than root.
    pub any_user: bool,
}

/// A folder of a plan on one of its nodes.
pub fn dir_on(dir: &str, node: &str) -> String {
    dir.replace("{{ node }}", node)
}

impl ExecTarget {
    /// The command in one line, for messages.
    pub fn command(&self) -> String {
        self.argv.join(" ")
    }

    /// The error of a command that did not run its script.
    pub(super) fn failed(&self, node: Arc<str>, seen: &ScriptOutput) -> NodeConnectError {
        let (command, message) = (self.command(), seen.words());
        if lacks_shell(seen.status, &message) {
            return NodeConnectError::NoShellInNode { node, command, message };
        }
        NodeConnectError::CommandFailed { node, command, status: seen.status, message }
    }
}

/// Whether a container engine or nsenter says that the node has no `sh`.
fn lacks_shell(status: i32, message: &str) -> bool {
    let names_it = message.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).any(|word| word == "sh");
    let lower = message.to_lowercase();
    let missing = ["not found", "no such file", "failed to exec"].iter().any(|words| lower.contains(words));
    names_it && missing && NO_PROGRAM.contains(&status)
}

impl ExecOptions {
    /// The words of the command for one node. The error names the word that cannot be filled in.
    pub fn argv(&self, node: &ExecNode) -> Result<Vec<String>, String> {
        let mut engine = Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Strict);
        let address = node.address().map(|address| ("address", address));
        let names: BTreeMap<&str, &str> = [("node", node.name())].into_iter().chain(address).collect();
        let fill = |word: &String| {
            engine.render_named_str("command", word, &names).map_err(|error| match node.address() {
                None if word.contains("address") => {
                    format!("`{word}` needs an address, and {} has none in the plan", node.name())
                }
                _ => format!("`{word}` cannot be filled in: {error}"),
            })
        };
        self.command.iter().map(fill).collect()
    }

    /// The agent's folder on one node.
    pub fn dir(&self, node: &ExecNode) -> String {
        dir_on(self.dir.as_deref().unwrap_or(target::DIR), node.name())
    }

    /// The sentence about a program of the command that is not on this machine.
    pub fn missing_program(&self) -> Option<String> {
        let program = self.argv(self.nodes.first()?).ok()?.into_iter().next()?;
        let executable = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = match program.contains('/') {
            true => executable(Path::new(&program)),
            false => std::env::split_paths(&path).any(|folder| executable(&folder.join(&program))),
        };
        let place = if program.contains('/') { "no executable file" } else { "not in PATH" };
        (!found).then(|| {
            format!(
                "cluster.exec.command: the program `{program}` is {place} on this machine, from which the nodes are entered"
            )
        })
    }
}

/// The nodes of a plan, with their addresses. Those without one are asked, all at once. Blocks.
pub fn resolve_exec_nodes(options: &ExecOptions) -> Result<Vec<(Node, NodeAccess)>> {
    let resolve = |node: &ExecNode| -> Result<(Node, NodeAccess)> {
        let target = ExecTarget {
            argv: options.argv(node).map_err(|message| anyhow!(message))?,
            dir: options.dir(node),
            ping_port: options.ping_port.unwrap_or(PING_PORT),
            any_user: options.any_user,
        };
        let name: Arc<str> = node.name().into();
        let address = match node.address() {
            Some(address) => target::address_of(address, 0).with_context(|| {
                format!("{name}: its address {address} is no IP address, and this machine does not resolve it")
            })?,
            None => ask_address(&name, &target)?,
        };
        Ok((Node { name, address }, target.into()))
    };
    let resolved: Vec<Result<(Node, NodeAccess)>> = std::thread::scope(|scope| {
        let asking: Vec<_> = options.nodes.iter().map(|node| scope.spawn(move || resolve(node))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("asking for an address panicked")))
        };
        asking.into_iter().map(join).collect()
    });
    let errors: Vec<String> = resolved.iter().filter_map(|node| Some(format!("{:#}", node.as_ref().err()?))).collect();
    if !errors.is_empty() {
        bail!("{}", errors.join("\n"));
    }
    let nodes: Vec<(Node, NodeAccess)> = resolved.into_iter().flatten().collect();
    for (index, (node, _)) in nodes.iter().enumerate() {
        if let Some((twin, _)) = nodes[..index].iter().find(|(other, _)| other.address == node.address) {
            bail!("the nodes {} and {} have the same address {}", twin.name, node.name, node.address);
        }
    }
    Ok(nodes)
}

/// The only address of the node that others can reach.
fn ask_address(name: &Arc<str>, target: &ExecTarget) -> Result<IpAddr> {
    let deadline = Deadline::new(Arc::clone(name), ASK);
    deadline.begin("asking the node for its address");
    let script = "echo; echo addresses; cat /proc/net/fib_trie /proc/net/if_inet6 2>/dev/null; echo end";
    let seen = Link::Exec(target.clone()).run(script, &[], &deadline)?;
    let text = String::from_utf8_lossy(&seen.stdout);
    let Some((_, text)) = text.split_once("\naddresses\n").filter(|_| text.trim_end().ends_with("end")) else {
        bail!(target.failed(Arc::clone(name), &seen));
    };
    let addresses = addresses(text);
    let help = format!("name one in the plan: `{{name: {name}, address: ..}}`");
    match addresses.as_slice() {
        [one] => Ok(*one),
        [] => bail!("{name}: it has no address beside its loopback's; {help}"),
        several => {
            let list: Vec<String> = several.iter().map(IpAddr::to_string).collect();
            bail!("{name}: it has several addresses ({}); {help}", list.join(", "))
        }
    }
}

/// The addresses in the kernel's tables of local routes and of IPv6 addresses, without loopback and link-local ones. IPv6 ones
/// count only where there is no IPv4.
fn addresses(tables: &str) -> Vec<IpAddr> {
    let (mut four, mut six) = (BTreeSet::new(), BTreeSet::new());
    let mut last: Option<Ipv4Addr> = None;
    for line in tables.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            last = address.trim().parse().ok();
        } else if line.contains("/32 host LOCAL") {
            four.extend(last.filter(|address| !address.is_loopback() && !address.is_link_local()));
        } else if let Some(digits) = line.split_whitespace().next().filter(|word| word.len() == 32) {
            let address = u128::from_str_radix(digits, 16).map(Ipv6Addr::from_bits).ok();
            six.extend(address.filter(|address| !address.is_loopback() && !address.is_unicast_link_local()));
        }
    }
    if four.is_empty() { six.into_iter().map(IpAddr::V6).collect() } else { four.into_iter().map(IpAddr::V4).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.77.0.0\n        /24 link UNICAST\nLocal:\n  +-- 10.77.0.0/24 2 0 1\n     \
        |-- 10.77.0.1\n        /32 host LOCAL\n     |-- 10.77.0.255\n        /32 link BROADCAST\n  +-- 127.0.0.0/8 2 0 2\n     \
        |-- 127.0.0.1\n        /32 host LOCAL\n00000000000000000000000000000001 01 80 10 80       lo\n\
        fe80000000000000b8fd1cfffe1b9c52 02 40 20 80     eth0\n";

    #[test]
    fn a_nodes_address_is_read_from_the_kernels_tables() {
        let text = |tables: &str| addresses(tables).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(text(TABLES), ["10.77.0.1"]);
        let only_six = "fd000000000000000000000000000007 02 40 00 80     eth0\n";
        assert_eq!(text(only_six), ["fd00::7"]);
        assert_eq!(text(&format!("{TABLES}{only_six}")), ["10.77.0.1"]);
        assert_eq!(
            text(&format!("{TABLES}     |-- 172.17.0.1\n        /32 host LOCAL\n")),
            ["10.77.0.1", "172.17.0.1"]
        );
        assert!(text("").is_empty());
    }

    #[test]
    fn a_missing_shell_is_told_from_a_missing_container() {
        for (status, message) in [
            (127, "nsenter: failed to execute sh: No such file or directory"),
            (
                126,
                "OCI runtime exec failed: exec failed: unable to start container process: exec: \"sh\": executable file not found in $PATH: unknown",
            ),
            (
                127,
                "Error: crun: executable file `sh` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
            ),
        ] {
            assert!(lacks_shell(status, message), "{message}");
        }
        for (status, message) in [
            (1, "Error response from daemon: No such container: n1"),
            (1, "Error from server (NotFound): pods \"sh-0\" not found"),
            (127, "env: 'kubectl': No such file or directory"),
        ] {
            assert!(!lacks_shell(status, message), "{message}");
        }
    }

    #[test]
    fn the_command_takes_the_nodes_name_and_address() {
        let words = |command: &[&str]| command.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let options = |command: &[&str]| ExecOptions { command: words(command), ..ExecOptions::default() };
        let named = ExecNode::Name("n1".into());
        let at = ExecNode::At { name: "n1".into(), address: "10.0.0.1".into() };
        let docker = options(&["docker", "exec", "-i", "db-{{ node }}"]);
        assert_eq!(docker.argv(&named).expect("filled in"), ["docker", "exec", "-i", "db-n1"]);
        let by_address = options(&["enter", "{{ address }}"]);
        assert_eq!(by_address.argv(&at).expect("filled in"), ["enter", "10.0.0.1"]);
        let error = by_address.argv(&named).expect_err("no address");
        assert_eq!(error, "`{{ address }}` needs an address, and n1 has none in the plan");
        let error = options(&["enter", "{{ pod }}"]).argv(&at).expect_err("an unknown name");
        assert!(error.starts_with("`{{ pod }}` cannot be filled in"), "{error}");
    }
}
