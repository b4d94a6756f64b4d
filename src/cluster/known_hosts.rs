//! known_hosts: the keys of hosts. Read line by line, so that a bad line costs only itself; written in one step.
//!
//! libssh2's own check ignores `@revoked`, knows no patterns, and takes a key of another type for a changed one. Here it only
//! matches hashed names.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ssh2::{CheckResult, KnownHostFileKind};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's judgement of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is the host's key.
    Known,
    /// The file does not name the host.
    Unknown,
    /// The host has another key on this line.
    Changed {
        /// The line, from 1.
        line: usize,
    },
    /// The key is revoked on this line.
    Revoked {
        /// The line, from 1.
        line: usize,
    },
}

#[derive(Debug)]
struct KnownHostLine {
    line: usize,
    text: String,
    revoked: bool,
    authority: bool,
    names: String,
    key_type: String,
    key: Vec<u8>,
}

/// A file of known hosts.
#[derive(Debug)]
pub(super) struct KnownHosts {
    path: PathBuf,
    entries: Vec<KnownHostLine>,
    /// Lines that trust the signer of the host's key.
    authorities: Vec<KnownHostLine>,
}

/// Where a certificate authority is trusted for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertificateAuthority {
    /// The file.
    pub(super) file: PathBuf,
    /// The line, from 1.
    pub(super) line: usize,
}

impl KnownHosts {
    /// Reads the file; one that is not there is empty.
    pub(super) fn read(path: &Path) -> io::Result<KnownHosts> {
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let (mut entries, mut authorities) = (Vec::new(), Vec::new());
        for (index, text) in text.lines().enumerate() {
            match entry(index + 1, text) {
                Ok(Some(entry)) if entry.authority => authorities.push(entry),
                Ok(entry) => entries.extend(entry),
                Err(problem) => tracing::warn!("{} line {} is skipped: {problem}", path.display(), index + 1),
            }
        }
        Ok(KnownHosts { path: path.into(), entries, authorities })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate authority that is trusted for a host.
    pub(super) fn authority(&self, host: &str, port: u16) -> Option<CertificateAuthority> {
        let name = name_of(host, port);
        let entry = self.authorities.iter().find(|entry| entry.is_for(&name))?;
        Some(CertificateAuthority { file: self.path.clone(), line: entry.line })
    }

    /// Judges a key that a host shows.
    pub(super) fn judge(&self, host: &str, port: u16, key: &[u8]) -> Judgement {
        let name = name_of(host, port);
        let matching: Vec<&KnownHostLine> = self.entries.iter().filter(|entry| entry.is_for(&name)).collect();
        if let Some(entry) = matching.iter().find(|entry| entry.revoked && entry.key == key) {
            return Judgement::Revoked { line: entry.line };
        }
        let mut keys = matching.iter().filter(|entry| !entry.revoked).peekable();
        match keys.peek().map(|entry| entry.line) {
            None => Judgement::Unknown,
            Some(_) if keys.clone().any(|entry| entry.key == key) => Judgement::Known,
            Some(first) => {
                let shown = key_type(key).unwrap_or_default();
                let line = keys.find(|entry| entry.key_type == shown).map_or(first, |entry| entry.line);
                Judgement::Changed { line }
            }
        }
    }

    /// Types of the host's known keys: to be asked for first, so that a host with several keys shows the one on record.
    pub(super) fn key_types(&self, host: &str, port: u16) -> Vec<&str> {
        let name = name_of(host, port);
        let matching = self.entries.iter().filter(|entry| !entry.revoked && entry.is_for(&name));
        matching.map(|entry| entry.key_type.as_str()).collect()
    }

    /// Adds a new host. Several processes may do so at once.
    pub(super) fn accept(path: &Path, host: &str, port: u16, key: &[u8]) -> io::Result<Judgement> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let lock = fs::File::create(beside(".lock"))?;
        lock.lock()?;
        // Another process may have recorded this host, or an impostor, in the meantime.
        let known = KnownHosts::read(path)?;
        let judgement = known.judge(host, port, key);
        if judgement != Judgement::Unknown {
            return Ok(judgement);
        }
        let mut text = match fs::read(&known.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        let kind = key_type(key).ok_or_else(|| io::Error::other("the host's key has no type"))?;
        text.extend_from_slice(format!("{} {kind} {}\n", name_of(host, port), BASE64.encode(key)).as_bytes());
        let fresh = beside(&format!(".{}", std::process::id()));
        fs::write(&fresh, text)?;
        fs::rename(&fresh, path)?;
        Ok(Judgement::Known)
    }
}

/// A host's name in known_hosts: bare on port 22, else `[host]:port`.
pub(super) fn name_of(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == 22 { host } else { format!("[{host}]:{port}") }
}

/// The type that a public key names itself (RFC 4253, section 6.6).
pub(super) fn key_type(key: &[u8]) -> Option<&str> {
    let length = u32::from_be_bytes(key.get(..4)?.try_into().ok()?) as usize;
    std::str::from_utf8(key.get(4..4 + length)?).ok()
}

/// One line (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT); none for blanks, comments and lines skipped on purpose.
fn entry(line: usize, text: &str) -> Result<Option<KnownHostLine>, String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let mut words = text.split_whitespace();
    let mut next = || words.next().ok_or("it is too short");
    let mut names = next()?;
    let marker = names.starts_with('@').then_some(names);
    if marker.is_some() {
        names = next()?;
    }
    let (named_type, blob) = (next()?, next()?);
    match marker {
        None | Some("@revoked" | "@cert-authority") => {}
        Some(other) => return Err(format!("unknown marker {other}")),
    }
    let key = BASE64.decode(blob).map_err(|error| format!("its key is not base64 ({error})"))?;
    match key_type(&key) {
        Some(kind) if kind == named_type => {}
        _ => return Err(format!("its key is not of the type {named_type}")),
    }
    let text = marker.and_then(|marker| text.strip_prefix(marker)).unwrap_or(text).trim().to_owned();
    let (names, key_type) = (names.to_owned(), named_type.to_owned());
    let (revoked, authority) = (marker == Some("@revoked"), marker == Some("@cert-authority"));
    Ok(Some(KnownHostLine { line, text, revoked, authority, names, key_type, key }))
}

impl KnownHostLine {
    fn is_for(&self, name: &str) -> bool {
        if self.names.starts_with("|1|") { self.hashed_for(name) } else { listed(&self.names, name) }
    }

    /// Asks libssh2 whether this line's own key matches under the name.
    fn hashed_for(&self, name: &str) -> bool {
        let asked = || -> Result<bool, ssh2::Error> {
            let mut known = ssh2::Session::new()?.known_hosts()?;
            known.read_str(&self.text, KnownHostFileKind::OpenSSH)?;
            // The name is already in its final form, without a port to add.
            Ok(matches!(known.check(name, &self.key), CheckResult::Match))
        };
        asked().unwrap_or(false)
    }
}

/// Whether a comma-separated list of patterns has the name; `!pattern` excludes.
fn listed(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) => return false,
            None if fits(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) => found = true,
            _ => {}
        }
    }
    found
}

/// `*` and `?`, as in a shell.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    (p, n) = (at + 1, from + 1);
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, body: u8) -> Vec<u8> {
        let mut key = u32::try_from(kind.len()).expect("short").to_be_bytes().to_vec();
        key.extend_from_slice(kind.as_bytes());
        key.extend_from_slice(&[0, 0, 0, 32]);
        key.extend_from_slice(&[body; 32]);
        key
    }

    fn known(text: &str) -> KnownHosts {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_hosts");
        fs::write(&path, text).expect("written");
        KnownHosts::read(&path).expect("read")
    }

    #[test]
    fn bad_lines_cost_only_themselves() {
        let (a, b) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let text = format!(
            "# comment\nnonsense\nh1 ssh-ed25519 !!!\nh1 ssh-rsa {0}\n@cert-authority * ssh-ed25519 {0}\nh1,10.0.0.1 ssh-ed25519 {0}\n",
            BASE64.encode(&a)
        );
        let known = known(&text);
        assert_eq!(known.judge("h1", 22, &a), Judgement::Known);
        assert_eq!(known.judge("10.0.0.1", 22, &a), Judgement::Known);
        assert_eq!(known.judge("h1", 22, &b), Judgement::Changed { line: 6 });
        assert_eq!(known.judge("h1", 2222, &a), Judgement::Unknown);
        assert_eq!(known.authority("h9", 22).map(|authority| authority.line), Some(5));
        assert_eq!(known.judge("h2", 22, &a), Judgement::Unknown);
    }

    #[test]
    fn revoked_keys_ports_patterns_and_other_types() {
        let (a, b) = (key("ssh-ed25519", 1), key("ssh-rsa", 2));
        let text = format!(
            "@revoked * ssh-ed25519 {}\n[h2]:2222 ssh-rsa {}\n*.example.com,!bad.example.com ssh-rsa {1}\n",
            BASE64.encode(&a),
            BASE64.encode(&b)
        );
        let known = known(&text);
        assert_eq!(known.judge("h1", 22, &a), Judgement::Revoked { line: 1 });
        assert_eq!(known.judge("h2", 2222, &b), Judgement::Known);
        // A host known by one type that suddenly shows another is not new.
        assert_eq!(known.judge("h2", 2222, &key("ssh-ed25519", 9)), Judgement::Changed { line: 2 });
        assert_eq!(known.key_types("h2", 2222), ["ssh-rsa"]);
        assert_eq!(known.judge("Db.Example.com", 22, &b), Judgement::Known);
        assert_eq!(known.judge("bad.example.com", 22, &b), Judgement::Unknown);
    }

    #[test]
    fn hashed_names_work() {
        // `ssh-keygen -H` of a line for `h1`, and of one for `[h1]:2222`: HMAC-SHA1 of the name under the salt.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_hosts");
        let a = key("ssh-ed25519", 1);
        fs::write(&path, format!("h1 ssh-ed25519 {0}\n[h2]:2222 ssh-ed25519 {0}\n", BASE64.encode(&a)))
            .expect("written");
        let done =
            std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&path).output().expect("ssh-keygen");
        assert!(done.status.success(), "{done:?}");
        assert!(fs::read_to_string(&path).expect("read").starts_with("|1|"));
        let known = KnownHosts::read(&path).expect("read");
        assert_eq!(known.judge("h1", 22, &a), Judgement::Known);
        assert_eq!(known.judge("h2", 2222, &a), Judgement::Known);
        assert_eq!(known.judge("h2", 22, &a), Judgement::Unknown);
        assert_eq!(known.judge("h1", 22, &key("ssh-ed25519", 2)), Judgement::Changed { line: 1 });
    }

    #[test]
    fn new_hosts_are_added_once_and_never_over_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/known_hosts");
        let (a, b) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        assert_eq!(KnownHosts::accept(&path, "h1", 22, &a).expect("added"), Judgement::Known);
        assert_eq!(KnownHosts::accept(&path, "h2", 2222, &b).expect("added"), Judgement::Known);
        assert_eq!(KnownHosts::accept(&path, "h1", 22, &a).expect("there"), Judgement::Known);
        assert_eq!(KnownHosts::accept(&path, "h1", 22, &b).expect("refused"), Judgement::Changed { line: 1 });
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("\n[h2]:2222 ssh-ed25519 "), "{text}");
    }
}
