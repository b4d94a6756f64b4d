//! The host's key against every record of it: dsfuzz's own file, and the files of the user's ssh configuration, which are
//! only read.
//!
//! As in OpenSSH the user's and the system's files count as one list. A contradiction or a revocation in any file refuses.
use super::connect_error::NodeConnectError;
use super::known_hosts::{CertificateAuthority, Judgement, KnownHosts, key_type, name_of};
use super::target::SshTarget;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// First bytes of a binary list of revoked keys (OpenSSH's PROTOCOL.krl).
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// All records of a host.
#[derive(Debug)]
pub(super) struct HostKeys {
    /// dsfuzz's own file, or the plan's.
    own: KnownHosts,
    /// The user's and the system's.
    users: Vec<KnownHosts>,
    host: String,
    port: u16,
}

impl HostKeys {
    /// Reads the records.
    pub(super) fn read(target: &SshTarget, node: &Arc<str>) -> Result<HostKeys, NodeConnectError> {
        let read = |file: &Path| KnownHosts::read(file).map_err(|error| unreadable(node, file, &error));
        let users = target.users_known_hosts.iter().filter(|file| **file != target.known_hosts);
        Ok(HostKeys {
            own: read(&target.known_hosts)?,
            users: users.map(|file| read(file)).collect::<Result<_, _>>()?,
            host: target.known_as.clone().unwrap_or_else(|| target.host.clone()),
            // An alias stands alone, whatever the port, as in OpenSSH.
            port: if target.known_as.is_some() { 22 } else { target.port },
        })
    }

    /// Types of the host's known keys. They are asked for first, so that a host with several keys shows the one on record.
    pub(super) fn types(&self) -> Vec<&str> {
        let all = std::iter::once(&self.own).chain(&self.users);
        all.flat_map(|known| known.key_types(&self.host, self.port)).collect()
    }

    /// Judges the key that the host shows, and records a new one if the target allows that.
    pub(super) fn check(&self, target: &SshTarget, node: &Arc<str>, key: &[u8]) -> Result<(), NodeConnectError> {
        revoked(target, node, &self.host, key)?;
        let mut own = self.own.judge(&self.host, self.port, key);
        if let Judgement::Revoked { line } = own {
            return Err(self.refused_as_revoked(node, &target.known_hosts, line));
        }
        let users = self.judge_users(node, key)?;
        match (&own, &users) {
            (Judgement::Changed { line }, _) => return Err(self.changed(node, &target.known_hosts, *line, key)),
            // A key of another type than on record: new to these files, but not to the other one.
            (Judgement::Known, Some((_, _, false))) | (_, None) => {}
            (_, Some((file, line, _))) => return Err(self.changed(node, file, *line, key)),
        }
        if own == Judgement::Known || self.users.iter().any(|known| self.knows(known, key)) {
            return Ok(());
        }
        let authority =
            std::iter::once(&self.own).chain(&self.users).find_map(|known| known.authority(&self.host, self.port));
        if let Some(CertificateAuthority { file, line }) = authority {
            let (node, host) = (Arc::clone(node), self.name());
            return Err(NodeConnectError::HostKeyAuthority { node, host, file, line, fingerprint: fingerprint(key) });
        }
        if !target.strict {
            own = KnownHosts::accept(&target.known_hosts, &self.host, self.port, key)
                .map_err(|error| unreadable(node, &target.known_hosts, &error))?;
            tracing::info!("{node}: the host key {} of {} is new and kept", fingerprint(key), self.host);
        }
        match own {
            Judgement::Known => Ok(()),
            Judgement::Unknown => Err(NodeConnectError::HostKeyUnknown {
                node: Arc::clone(node),
                host: self.name(),
                file: target.known_hosts.clone(),
                fingerprint: fingerprint(key),
            }),
            Judgement::Changed { line, .. } => Err(self.changed(node, &target.known_hosts, line, key)),
            Judgement::Revoked { line } => Err(self.refused_as_revoked(node, &target.known_hosts, line)),
        }
    }

    fn knows(&self, known: &KnownHosts, key: &[u8]) -> bool {
        known.judge(&self.host, self.port, key) == Judgement::Known
    }

    /// The contradiction in the user's and the system's files, and whether the key on record is of the same type.
    fn judge_users(&self, node: &Arc<str>, key: &[u8]) -> Result<Option<(PathBuf, usize, bool)>, NodeConnectError> {
        let mut changed = None;
        for known in &self.users {
            match known.judge(&self.host, self.port, key) {
                Judgement::Revoked { line } => return Err(self.refused_as_revoked(node, known.path(), line)),
                Judgement::Changed { line } => {
                    let same = known.key_types(&self.host, self.port).contains(&key_type(key).unwrap_or_default());
                    let place = (known.path().to_owned(), line, same);
                    changed = Some(changed.filter(|(_, _, same)| *same).unwrap_or(place));
                }
                Judgement::Known | Judgement::Unknown => {}
            }
        }
        Ok(changed.filter(|_| !self.users.iter().any(|known| self.knows(known, key))))
    }

    fn name(&self) -> String {
        name_of(&self.host, self.port)
    }

    fn changed(&self, node: &Arc<str>, file: &Path, line: usize, key: &[u8]) -> NodeConnectError {
        let (node, host, file) = (Arc::clone(node), self.name(), file.to_owned());
        NodeConnectError::HostKeyChanged { node, host, file, line, fingerprint: fingerprint(key) }
    }

    fn refused_as_revoked(&self, node: &Arc<str>, file: &Path, line: usize) -> NodeConnectError {
        NodeConnectError::HostKeyRevoked { node: Arc::clone(node), host: self.name(), file: file.to_owned(), line }
    }
}

fn unreadable(node: &Arc<str>, file: &Path, error: &io::Error) -> NodeConnectError {
    NodeConnectError::KnownHosts { node: Arc::clone(node), file: file.to_owned(), message: error.to_string() }
}

/// `RevokedHostKeys`: public keys, a line each, or a binary list that `ssh-keygen` can read. As in OpenSSH, a list that
/// cannot be read revokes every key.
fn revoked(target: &SshTarget, node: &Arc<str>, host: &str, key: &[u8]) -> Result<(), NodeConnectError> {
    let Some(file) = &target.revoked_keys else { return Ok(()) };
    let bytes = std::fs::read(file).map_err(|error| unreadable(node, file, &error))?;
    let line = if bytes.starts_with(KRL_MAGIC) {
        in_krl(file, key).map_err(|error| unreadable(node, file, &error))?.then_some(1)
    } else {
        let encoded = BASE64.encode(key);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let at = text.lines().position(|line| line.split_whitespace().any(|word| word == encoded));
        at.map(|at| at + 1)
    };
    match line {
        Some(line) => {
            let (node, host, file) = (Arc::clone(node), host.to_owned(), file.clone());
            Err(NodeConnectError::HostKeyRevoked { node, host, file, line })
        }
        None => Ok(()),
    }
}

/// Whether a binary list has the key. `ssh-keygen -Q` ends with 1 if it has, else with 0.
fn in_krl(file: &Path, key: &[u8]) -> io::Result<bool> {
    let kind = key_type(key).ok_or_else(|| io::Error::other("the host's key has no type"))?;
    let mut command = Command::new("ssh-keygen");
    command.args(["-Q", "-f"]).arg(file).arg("/dev/stdin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let needed = |error: io::Error| io::Error::other(format!("ssh-keygen is needed to read it: {error}"));
    let mut asked = command.spawn().map_err(needed)?;
    if let Some(mut input) = asked.stdin.take() {
        writeln!(input, "{kind} {}", BASE64.encode(key))?;
    }
    let done = asked.wait_with_output()?;
    match done.status.code() {
        Some(0) => Ok(false),
        Some(1) if String::from_utf8_lossy(&done.stdout).contains("REVOKED") => Ok(true),
        _ => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
    }
}

/// In the form of `ssh-keygen -l`.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}
