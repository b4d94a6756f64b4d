//! [`SshTarget`]: the address and login of a node, from the plan and from the user's ssh configuration.
//!
//! `ssh -G` reads the configuration with Match, tokens and includes. Without an ssh program only the plan counts.
use super::Node;
use super::SshOptions;
use super::connect_error::port_hint;
use anyhow::{Context, Result, bail};
use dsfuzz_nemesis::protocol::PING_PORT;
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder on a node for the agent and the target's data, unless the plan names one.
pub const DIR: &str = "/var/lib/dsfuzz";
const JUMPS_MAX: usize = 4;

/// A password or passphrase. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a secret.
    pub fn new(text: impl Into<String>) -> Secret {
        let text = text.into();
        crate::secrets::learn(&text);
        Secret(text)
    }

    /// The secret itself.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The address and login of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct SshTarget {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Key that the plan names; tried first.
    pub key: Option<PathBuf>,
    /// Keys of the user's ssh configuration; those that exist are tried.
    pub identities: Vec<PathBuf>,
    /// Socket of the ssh agent to be asked.
    pub ssh_agent: Option<PathBuf>,
    /// Take only those keys of the agent that are named here by file (`IdentitiesOnly`).
    pub named_only: bool,
    /// Passphrase of the keys.
    pub passphrase: Option<Secret>,
    /// Password, tried last.
    pub password: Option<Secret>,
    /// Host to jump through.
    pub jump: Option<Box<SshTarget>>,
    /// known_hosts file.
    pub known_hosts: PathBuf,
    /// known_hosts files of the user's and the system's ssh configuration. They are read and never written.
    pub users_known_hosts: Vec<PathBuf>,
    /// List of revoked keys (`RevokedHostKeys`).
    pub revoked_keys: Option<PathBuf>,
    /// Name in known_hosts if it differs from the host's (`HostKeyAlias`).
    pub known_as: Option<String>,
    /// Refuse hosts that are not in it.
    pub strict: bool,
    /// Become root with `sudo -n`.
    pub sudo: bool,
    /// The agent's folder on the node.
    pub dir: String,
    /// The agent's port for its peers' pings.
    pub ping_port: u16,
}

impl SshTarget {
    /// A host on port 22, without credentials.
    pub fn new(host: impl Into<String>, user: impl Into<String>, known_hosts: PathBuf) -> SshTarget {
        let user = user.into();
        SshTarget {
            host: host.into(),
            port: 22,
            sudo: user != "root",
            user,
            key: None,
            identities: Vec::new(),
            ssh_agent: None,
            named_only: false,
            passphrase: None,
            password: None,
            jump: None,
            known_hosts,
            users_known_hosts: Vec::new(),
            revoked_keys: None,
            known_as: None,
            strict: false,
            dir: DIR.into(),
            ping_port: PING_PORT,
        }
    }

    /// A host in the form of `ssh`'s argument. The plan goes before the user's configuration.
    pub fn resolve(host: &str, plan: &SshOptions) -> Result<SshTarget> {
        resolve(host, plan, None, 0)
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Nodes as a plan lists them, with their addresses.
pub fn resolve_nodes(hosts: &[String], plan: &SshOptions) -> Result<Vec<(Node, SshTarget)>> {
    let mut nodes: Vec<(Node, SshTarget)> = Vec::new();
    for host in hosts {
        let target = SshTarget::resolve(host, plan)?;
        let address = address_of(&target.host, target.port).with_context(|| {
            let hint = port_hint(&target.host);
            format!(
                "{host}: the name {} cannot be resolved; check the spelling, or write an address{hint}",
                target.host
            )
        })?;
        let name = node_name(host);
        if nodes.iter().any(|(node, _)| &*node.name == name) {
            bail!("the node {name} is listed twice");
        }
        if let Some((twin, _)) =
            nodes.iter().find(|(node, target_)| node.address == address && target_.port == target.port)
        {
            bail!("the nodes {} and {name} have the same address {address}", twin.name);
        }
        nodes.push((Node { name: name.into(), address }, target));
    }
    Ok(nodes)
}

/// The host alone: without `ssh://`, user and port.
fn node_name(host: &str) -> &str {
    let bare = host.strip_prefix("ssh://");
    let name = bare.unwrap_or(host);
    let name = name.rsplit_once('@').map_or(name, |(_, name)| name);
    match name.rsplit_once(':') {
        Some((name, port)) if bare.is_some() && port.parse::<u16>().is_ok() => name,
        _ => name,
    }
}

/// The first address of a name, IPv4 before IPv6.
pub(super) fn address_of(host: &str, port: u16) -> Result<IpAddr> {
    let all: Vec<IpAddr> = (host, port).to_socket_addrs()?.map(|address| address.ip()).collect();
    all.iter().find(|ip| ip.is_ipv4()).or(all.first()).copied().context("no address")
}

fn resolve(host: &str, plan: &SshOptions, config: Option<&Path>, depth: usize) -> Result<SshTarget> {
    if depth > JUMPS_MAX {
        bail!("{host}: more than {JUMPS_MAX} jump hosts in a row; does one jump through itself?");
    }
    let known_hosts = plan.known_hosts.clone().unwrap_or_else(|| crate::folders::state_dir().join("known_hosts"));
    let mut target = SshTarget::new("", "", known_hosts);
    let said = match ssh_says(host, plan, config)? {
        Some(said) => said,
        None => without_ssh(host, &mut target),
    };
    let (mut jump, mut asks_strictly) = (None, false);
    target.ssh_agent = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
    for (word, value) in &said {
        match word.as_str() {
            "hostname" => target.host = value.clone(),
            "user" => target.user = value.clone(),
            "port" => target.port = value.parse().with_context(|| format!("{host}: not a port: {value}"))?,
            "identityfile" => target.identities.push(from_home(value)),
            "identitiesonly" => target.named_only = value == "yes",
            "identityagent" if value == "none" => target.ssh_agent = None,
            "identityagent" if value != "SSH_AUTH_SOCK" => target.ssh_agent = Some(from_home(value)),
            "userknownhostsfile" | "globalknownhostsfile" => {
                target.users_known_hosts.extend(value.split_whitespace().map(from_home));
            }
            "revokedhostkeys" if value != "none" => target.revoked_keys = Some(from_home(value)),
            "stricthostkeychecking" => asks_strictly = matches!(value.as_str(), "yes" | "true"),
            "hostkeyalias" => target.known_as = Some(value.clone()),
            "proxyjump" if value != "none" => jump = Some(value.clone()),
            "proxycommand" if value != "none" && plan.jump.is_none() => bail!(
                "{host}: your ssh configuration reaches it through a ProxyCommand, which dsfuzz does not run; use ProxyJump, or ssh.jump in the plan"
            ),
            _ => {}
        }
    }
    target.user = plan.user.clone().unwrap_or(target.user);
    target.port = plan.port.unwrap_or(target.port);
    target.key = plan.key.as_deref().map(|key| from_home(&key.to_string_lossy()));
    target.passphrase = secret(plan.passphrase_env.as_deref(), "passphrase_env")?;
    target.password = secret(plan.password_env.as_deref(), "password_env")?;
    target.strict = plan.strict || asks_strictly;
    target.sudo = plan.sudo.unwrap_or(target.user != "root");
    target.ping_port = plan.ping_port.unwrap_or(PING_PORT);
    target.dir = plan.dir.clone().unwrap_or_else(|| DIR.into());
    if let Some(jumps) = plan.jump.clone().or(jump) {
        target.jump = Some(Box::new(jump_target(&jumps, plan, config, depth)?));
    }
    Ok(target)
}

/// `a,b`: first to `a`, through it to `b`. Keys are the plan's; user and port are not.
fn jump_target(jumps: &str, plan: &SshOptions, config: Option<&Path>, depth: usize) -> Result<SshTarget> {
    let (before, last) = match jumps.rsplit_once(',') {
        Some((before, last)) => (Some(before.to_owned()), last),
        None => (None, jumps),
    };
    let last = if last.starts_with("ssh://") { last.to_owned() } else { format!("ssh://{last}") };
    let plan = SshOptions { user: None, port: None, sudo: Some(false), jump: before, ..plan.clone() };
    resolve(&last, &plan, config, depth + 1)
}

fn secret(variable: Option<&str>, key: &str) -> Result<Option<Secret>> {
    let Some(variable) = variable else {
        return Ok(None);
    };
    match std::env::var(variable) {
        Ok(text) => Ok(Some(Secret(text))),
        Err(_) => bail!("ssh.{key} names the environment variable {variable}, which is not set"),
    }
}

fn from_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// The output of `ssh -G`; none without an ssh program.
fn ssh_says(host: &str, plan: &SshOptions, config: Option<&Path>) -> Result<Option<Vec<(String, String)>>> {
    if host.starts_with('-') || host.is_empty() {
        bail!("not a host: {host:?}");
    }
    let mut command = Command::new("ssh");
    if let Some(config) = config {
        command.arg("-F").arg(config);
    }
    if let Some(user) = &plan.user {
        command.args(["-l", user]);
    }
    if let Some(port) = plan.port {
        command.args(["-p", &port.to_string()]);
    }
    let done = match command.args(["-G", "--", host]).stdin(Stdio::null()).output() {
        Ok(done) => done,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("running ssh -G"),
    };
    if !done.status.success() {
        bail!("{host}: ssh -G does not understand it: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let text = String::from_utf8_lossy(&done.stdout);
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    Ok(Some(pairs.map(|(word, value)| (word.to_owned(), value.to_owned())).collect()))
}

/// `[ssh://][user@]host[:port]` without the help of an ssh program.
fn without_ssh(host: &str, target: &mut SshTarget) -> Vec<(String, String)> {
    tracing::warn!("no ssh program here, so ~/.ssh/config is not read; only the plan says how to reach {host}");
    let bare = host.strip_prefix("ssh://");
    let (user, rest) = match bare.unwrap_or(host).rsplit_once('@') {
        Some((user, rest)) => (user.to_owned(), rest),
        None => (std::env::var("USER").unwrap_or_else(|_| "root".into()), bare.unwrap_or(host)),
    };
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if bare.is_some() && !port.contains(']') => (name, port),
        _ => (rest, "22"),
    };
    target.users_known_hosts = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"].map(from_home).into();
    target.users_known_hosts.extend(["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"].map(PathBuf::from));
    target.identities = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|key| from_home(&format!("~/.ssh/{key}"))).into();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    [("hostname", name), ("user", &user), ("port", port)].map(|(word, value)| (word.into(), value.into())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    #[test]
    fn the_users_configuration_is_respected_and_the_plan_goes_before_it() {
        let file = config(
            "Host db1\n HostName 10.1.2.3\n User admin\n Port 2201\n IdentityFile /keys/db\n ProxyJump ops@gate:2222\n\
             Host gate\n HostName 10.9.9.9\n",
        );
        let target = resolve("db1", &SshOptions::default(), Some(file.path()), 0).expect("resolved");
        assert_eq!((target.host.as_str(), target.port, target.user.as_str()), ("10.1.2.3", 2201, "admin"));
        assert!(target.sudo && target.identities.contains(&PathBuf::from("/keys/db")), "{target:?}");
        let jump = target.jump.expect("a jump host");
        assert_eq!((jump.host.as_str(), jump.port, jump.user.as_str()), ("10.9.9.9", 2222, "ops"));
        let plan =
            SshOptions { user: Some("root".into()), port: Some(22), jump: Some("a,b".into()), ..SshOptions::default() };
        let target = resolve("db1", &plan, Some(file.path()), 0).expect("resolved");
        assert_eq!((target.port, target.user.as_str(), target.sudo), (22, "root", false));
        let last = target.jump.expect("b");
        assert_eq!((last.host.as_str(), last.jump.expect("a").host.as_str()), ("b", "a"));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let file = config("Host x\n ProxyCommand nc %h %p\nHost loop\n ProxyJump loop\n");
        let error = |host: &str| resolve(host, &SshOptions::default(), Some(file.path()), 0).unwrap_err().to_string();
        assert!(error("x").contains("ProxyCommand"));
        assert!(error("loop").contains("jump"));
        assert!(error("-oProxyCommand=x").contains("not a host"));
        let plan = SshOptions { password_env: Some("DSFUZZ_NO_SUCH_VARIABLE".into()), ..SshOptions::default() };
        let message = resolve("h", &plan, Some(file.path()), 0).unwrap_err().to_string();
        assert!(message.contains("DSFUZZ_NO_SUCH_VARIABLE"), "{message}");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", Secret::new("hush")).contains("hush"));
    }
}
