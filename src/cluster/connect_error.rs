//! [`NodeConnectError`]: why a node cannot be reached, by SSH or by a command of this machine. Its messages say what was tried and what to do.
use dsfuzz_nemesis::protocol::{Claim, Claimant};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why there is no connection to a node's agent. `node` names the node, or the jump host if that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NodeConnectError {
    /// The name cannot be resolved here.
    #[error("{node}: the name {host} cannot be resolved ({message}); check the spelling, or write an address{}", port_hint(.host))]
    Unresolvable {
        /// The node.
        node: Arc<str>,
        /// The name.
        host: String,
        /// The resolver's error.
        message: String,
    },
    /// Nothing answers there.
    #[error("{node}: cannot reach {address} after {attempts} attempts in {} s ({message}); is the machine up, sshd running, and the port not filtered?", .after.as_secs())]
    Unreachable {
        /// The node.
        node: Arc<str>,
        /// Host and port.
        address: String,
        /// The last error.
        message: String,
        /// Number of attempts.
        attempts: u32,
        /// Time of all attempts.
        after: Duration,
    },
    /// The host answers, but no encrypted connection comes about.
    #[error(
        "{node}: no SSH connection with {address}: {message}; dsfuzz offers curve25519, ecdh, dh-group14/16/18 and group-exchange-sha256 key exchange (mlkem768x25519 where its OpenSSL is 3.5 or newer), chacha20-poly1305, aes-gcm and aes-ctr, hmac-sha2 with and without etm, and ed25519, ecdsa and rsa-sha2 host keys"
    )]
    Handshake {
        /// The node.
        node: Arc<str>,
        /// Host and port.
        address: String,
        /// The cause.
        message: String,
    },
    /// The host has another key than the one on record.
    #[error("{node}: the host key of {host} has CHANGED: it shows {fingerprint}, and line {line} of {} says otherwise. Either the machine was set up anew, or someone is in between. If it was set up anew: ssh-keygen -f {} -R '{host}'", .file.display(), .file.display())]
    HostKeyChanged {
        /// The node.
        node: Arc<str>,
        /// The host as known_hosts names it.
        host: String,
        /// The known_hosts file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key that the host shows now.
        fingerprint: String,
    },
    /// The host is not on record, and the plan accepts only hosts on record.
    #[error("{node}: the host key of {host} ({fingerprint}) is not in {}, and the plan (ssh.strict) or your ssh configuration (StrictHostKeyChecking) takes no others; compare it with the machine's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and add it (ssh-keyscan)", .file.display())]
    HostKeyUnknown {
        /// The node.
        node: Arc<str>,
        /// The host as known_hosts names it.
        host: String,
        /// The known_hosts file.
        file: PathBuf,
        /// The key that the host shows.
        fingerprint: String,
    },
    /// For this host only a certificate authority is trusted.
    #[error("{node}: line {line} of {} trusts a certificate authority for {host}, and dsfuzz does not read host certificates; compare the host's key ({fingerprint}) with the machine's own and add it (ssh-keyscan)", .file.display())]
    HostKeyAuthority {
        /// The node.
        node: Arc<str>,
        /// The host as known_hosts names it.
        host: String,
        /// The known_hosts file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key that the host shows.
        fingerprint: String,
    },
    /// The host's key is marked as revoked.
    #[error("{node}: the host key of {host} is revoked on line {line} of {}; give the machine a new host key", .file.display())]
    HostKeyRevoked {
        /// The node.
        node: Arc<str>,
        /// The host as known_hosts names it.
        host: String,
        /// The known_hosts file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// known_hosts cannot be read or written.
    #[error("{node}: known_hosts {}: {message}", .file.display())]
    KnownHosts {
        /// The node.
        node: Arc<str>,
        /// The known_hosts file.
        file: PathBuf,
        /// The cause.
        message: String,
    },
    /// The host accepts none of the keys and passwords.
    #[error("{node}: cannot log in as {user}; the host takes {allowed}; tried: {}; check ssh.user, and ssh.key or ssh.password_env", tried_list(.tried))]
    AuthFailed {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// Each method that was tried, with its outcome.
        tried: Vec<String>,
        /// The methods that the host accepts.
        allowed: String,
    },
    /// The host wants a second factor, which no key gives.
    #[error(
        "{node}: {user}'s login wants a second factor: {} was accepted, and the host also takes {allowed}{}; dsfuzz answers its \
         questions with the password of ssh.password_env and can give no code of a device; tried: {}; give dsfuzz a login that a key \
         alone opens (AuthenticationMethods publickey in a Match block of sshd_config)", .accepted.join(" and "),
        questions(.asked), tried_list(.tried)
    )]
    SecondFactor {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// The accepted methods.
        accepted: Box<[String]>,
        /// The methods that the host accepts after them.
        allowed: String,
        /// Its questions, if any was answered.
        asked: Box<[String]>,
        /// Each method that was tried, with its outcome.
        tried: Vec<String>,
    },
    /// sudo wants a password.
    #[error(
        "{node}: {user} cannot become root: sudo asks for a password ({message}); allow it without one (NOPASSWD in sudoers), or log in as root"
    )]
    SudoNeedsPassword {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// sudo's message.
        message: String,
    },
    /// sudo does not work, for another reason than a password.
    #[error("{node}: {user} cannot become root: {message}{}", sudo_hint(.message))]
    SudoFailed {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// The message of sudo or of the shell.
        message: String,
    },
    /// The login does not lead to a shell: nologin, a forced command, a cloud image's advice.
    #[error(
        "{node}: {user}'s login runs no commands; it says: {message}; dsfuzz needs a login with a shell (nologin, ForceCommand and command= in authorized_keys prevent it)"
    )]
    NoShell {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// Its standard error and standard output.
        message: String,
    },
    /// A start-up file of the login shell reads the agent's input.
    #[error(
        "{node}: a start-up file of {user}'s login shell (such as ~/.bashrc) reads standard input, which belongs to the agent; let it do so only in interactive shells: case $- in *i*) ;; *) return;; esac"
    )]
    InputEaten {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
    },
    /// The program that enters the node cannot be started.
    #[error("{node}: `{program}` (cluster.exec.command) cannot be started on this machine: {message}")]
    CommandMissing {
        /// The node.
        node: Arc<str>,
        /// The first word of the command.
        program: String,
        /// The cause.
        message: String,
    },
    /// The command that enters the node fails.
    #[error(
        "{node}: `{command}` runs no script in the node (exit status {status}); it says: {message}; is the node up, and does \
         cluster.exec.command lead to a program in it?"
    )]
    CommandFailed {
        /// The node.
        node: Arc<str>,
        /// The command, without the script.
        command: String,
        /// Its exit status; -1 if a signal ended it.
        status: i32,
        /// Its standard error and standard output.
        message: String,
    },
    /// The node has no shell.
    #[error(
        "{node}: there is no shell in the node: `{command}` says: {message}; dsfuzz needs sh and a few tools there (busybox has \
         them): take an image that has them"
    )]
    NoShellInNode {
        /// The node.
        node: Arc<str>,
        /// The command, without the script.
        command: String,
        /// Its standard error and standard output.
        message: String,
    },
    /// The command keeps its standard input from the node.
    #[error(
        "{node}: `{command}` does not pass its standard input on to the node; docker, podman and kubectl exec do so with -i"
    )]
    InputNotPassed {
        /// The node.
        node: Arc<str>,
        /// The command, without the script.
        command: String,
    },
    /// The command enters the node as another user than root.
    #[error(
        "{node}: `{command}` enters the node as {}, and dsfuzz needs root there: docker and podman exec take `-u 0`; else begin \
         what runs in the node with `sudo -n`, or give the container the user 0 (securityContext.runAsUser)", by_number(.user)
    )]
    NotRoot {
        /// The node.
        node: Arc<str>,
        /// The command, without the script.
        command: String,
        /// The number of the user; empty if it is not known.
        user: String,
    },
    /// The node lacks tools that putting the agent there takes.
    #[error(
        "{node}: the node lacks {tools}, without which the agent cannot be put there; coreutils and busybox have them"
    )]
    ToolsMissing {
        /// The node.
        node: Arc<str>,
        /// Their names.
        tools: String,
    },
    /// There is no agent for the node's kind of machine.
    #[error("{node}: there is no agent for {arch}; looked for {}; build it (cargo build --release -p dsfuzz-agent) or name it in DSFUZZ_AGENT", paths_list(.looked))]
    AgentMissing {
        /// The node.
        node: Arc<str>,
        /// Its architecture (`uname -m`).
        arch: String,
        /// The places that were searched.
        looked: Vec<PathBuf>,
    },
    /// The agent could not be put on the node.
    #[error("{node}: cannot put the agent into {path}: {message}; is there room, and may {user} write there?")]
    AgentUpload {
        /// The node.
        node: Arc<str>,
        /// The user.
        user: String,
        /// The path on the node.
        path: String,
        /// The cause.
        message: String,
    },
    /// The agent does not run on the node.
    #[error("{node}: the agent {path} does not run on this {arch} machine: {stderr}{}", agent_hint(.stderr))]
    AgentCannotRun {
        /// The node.
        node: Arc<str>,
        /// Its path.
        path: String,
        /// The node's architecture.
        arch: String,
        /// Its output instead of the greeting.
        stderr: String,
    },
    /// The agent refuses or misunderstands the first request.
    #[error("{node}: the agent does not fit this dsfuzz: {message}; put both from the same build side by side")]
    AgentMismatch {
        /// The node.
        node: Arc<str>,
        /// Its message.
        message: String,
    },
    /// Another run holds the node, or held it since the connection was lost.
    #[error("{}", taken(.node, .claim, *.again))]
    NodeTaken {
        /// The node.
        node: Arc<str>,
        /// The last holder.
        claim: Box<Claim>,
        /// This run held it before.
        again: bool,
    },
    /// A step took too long.
    #[error("{node}: {phase} was not done within {} s", .after.as_secs())]
    Timeout {
        /// The node.
        node: Arc<str>,
        /// The step.
        phase: String,
        /// Its deadline.
        after: Duration,
    },
    /// The connection ended while it was being made.
    #[error("{node}: the connection ended during {phase}: {message}")]
    Lost {
        /// The node.
        node: Arc<str>,
        /// The step.
        phase: String,
        /// The cause.
        message: String,
    },
    /// The jump host is a node of the cluster: its death would take the connection along.
    #[error(
        "{node}: the jump host {jump} is a node of the cluster itself; a fault on it would cut dsfuzz off from {node}. Use a host outside the cluster"
    )]
    JumpIsNode {
        /// The node.
        node: Arc<str>,
        /// The jump host.
        jump: String,
    },
}

/// The fault of a host that holds its port.
pub(super) fn port_hint(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => {
            format!("; a port is written as ssh://{name}:{port}, or as ssh.port for all nodes")
        }
        _ => String::new(),
    }
}

fn sudo_hint(message: &str) -> &'static str {
    if message.contains("tty") {
        "; its sudoers asks for a terminal: Defaults !requiretty"
    } else if message.contains("not found") && message.contains("sudo:") && message.contains("sh") {
        "; is sudo installed, and sh in its secure_path? Else log in as root"
    } else {
        ""
    }
}

fn questions(asked: &[String]) -> String {
    if asked.is_empty() { String::new() } else { format!(" (it asks: {})", asked.join(" / ")) }
}

fn tried_list(tried: &[String]) -> String {
    if tried.is_empty() { "nothing (no key, no agent, no password is given)".into() } else { tried.join("; ") }
}

fn by_number(number: &str) -> String {
    if number.is_empty() { "an unknown user (is /proc mounted?)".into() } else { format!("user {number}") }
}

fn paths_list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn agent_hint(stderr: &str) -> &'static str {
    if stderr.contains("GLIBC_") {
        " (its C library is older; build a static agent: cargo build --release -p dsfuzz-agent --target x86_64-unknown-linux-musl)"
    } else if stderr.contains("Exec format") || stderr.contains("cannot execute") {
        " (it was built for another kind of machine; put dsfuzz-agent-ARCH beside dsfuzz)"
    } else if stderr.contains("Permission denied") {
        " (is the folder mounted noexec? choose another with ssh.dir or exec.dir)"
    } else if stderr.contains("No space left") {
        " (the disk is full: make room, or choose another folder with ssh.dir or exec.dir)"
    } else if stderr.contains("not found") || stderr.contains("No such file") {
        " (the file is there; its loader or C library is not: build a static agent: cargo build --release -p dsfuzz-agent --target \
         x86_64-unknown-linux-musl)"
    } else {
        ""
    }
}

/// All errors of connecting a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConnectErrors(pub Vec<NodeConnectError>);

impl fmt::Display for NodeConnectErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [one] = self.0.as_slice() {
            return write!(f, "{one}");
        }
        write!(f, "{} nodes cannot be had:", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for NodeConnectErrors {}

/// The run that holds a node, since when, and what to do.
fn taken(node: &str, claim: &Claim, again: bool) -> String {
    if again {
        let Claim { by, since_ns, .. } = claim;
        let since = time(*since_ns);
        return format!("{node}: evicted by run {} from host {}, which took the node over at {since}", by.run, by.host);
    }
    let advice = if claim.undoing.is_empty() {
        "wait for its end, or end it with --take-over"
    } else {
        "wait until that is done"
    };
    format!("{}; {advice}", used(node, claim))
}

/// Which run uses a node, and since when.
pub fn used(node: &str, claim: &Claim) -> String {
    let Claim { by, since_ns, renewed_ns, undoing } = claim;
    let (since, renewed) = (time(*since_ns), time(*renewed_ns));
    if !undoing.is_empty() {
        let (Claimant { run, host, .. }, undoing) = (by, undoing.join(", "));
        return format!(
            "{node}: run {run} from host {host} has ended (last heard of at {renewed}), and the node is still undoing {undoing}"
        );
    }
    format!("{node} is used by run {} from host {} since {since} (last heard of at {renewed})", by.run, by.host)
}

fn time(ns: i64) -> String {
    chrono::DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_ended_is_not_said_to_use_its_node() {
        let by = Claimant { run: "j/1".to_owned(), host: "h".to_owned(), token: String::new() };
        let running = Claim { by, ..Claim::default() };
        assert!(taken("n2", &running, false).contains("n2 is used by run j/1"));
        let said = taken("n2", &Claim { undoing: vec!["fault 1 (leave)".to_owned()], ..running }, false);
        assert!(said.contains("run j/1 from host h has ended"), "{said}");
        assert!(said.ends_with("still undoing fault 1 (leave); wait until that is done"), "{said}");
    }
}
