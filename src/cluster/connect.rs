//! From a target to an SSH session that is encrypted and logged in, with a checked host key.
//!
//! Never without a deadline, never without the host's key being judged.
use super::connect_error::NodeConnectError;
use super::host_key::HostKeys;
use super::target::SshTarget;
use super::{auth, offers, relay};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, ErrorCode, MethodType, Session};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Offered algorithms, best first. libssh2 leaves out those that its OpenSSL lacks (ML-KEM needs OpenSSL 3.5).
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,\
                       aes256-ctr,aes192-ctr,aes128-ctr";
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";
const KEX: &str = "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,\
                   ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
                   diffie-hellman-group14-sha256,diffie-hellman-group-exchange-sha256";
const HOST_KEYS: [&str; 6] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

/// The deadline of a connection in the making, and its current step.
#[derive(Debug)]
pub(super) struct Deadline {
    pub(super) node: Arc<str>,
    until: Instant,
    total: Duration,
    phase: Mutex<String>,
}

impl Deadline {
    pub(super) fn new(node: Arc<str>, total: Duration) -> Deadline {
        Deadline { node, until: Instant::now() + total, total, phase: Mutex::new("connecting".into()) }
    }

    /// Begins a step.
    pub(super) fn begin(&self, phase: &str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase.into();
    }

    pub(super) fn phase(&self) -> String {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Limits each blocking call of a session to the time left.
    pub(super) fn limit(&self, session: &Session, most: Duration) {
        let millis = self.left().min(most).as_millis().max(1);
        session.set_timeout(u32::try_from(millis).unwrap_or(u32::MAX));
    }

    pub(super) fn timed_out(&self) -> NodeConnectError {
        NodeConnectError::Timeout { node: Arc::clone(&self.node), phase: self.phase(), after: self.total }
    }

    /// An error of the session while this phase lasted.
    pub(super) fn failed(&self, message: impl ToString) -> NodeConnectError {
        if self.left().is_zero() {
            return self.timed_out();
        }
        NodeConnectError::Lost { node: Arc::clone(&self.node), phase: self.phase(), message: message.to_string() }
    }
}

/// A logged-in session, and the socket below it for polling.
pub(super) struct SshLink {
    pub(super) session: Session,
    pub(super) socket: OwnedFd,
}

impl SshLink {
    /// Waits until the session's socket is ready, or the other descriptor is, or time is up.
    pub(super) fn wait(&self, other: Option<&dyn AsFd>, timeout: Duration) -> io::Result<()> {
        let flags = match self.session.block_directions() {
            BlockDirections::Outbound | BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            BlockDirections::Inbound | BlockDirections::None => PollFlags::POLLIN,
        };
        let mut fds = vec![PollFd::new(self.socket.as_fd(), flags)];
        fds.extend(other.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up, so that a wait of half a millisecond does not spin.
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A failed attempt, by what to do about it.
enum AttemptFailure {
    /// A retry cannot help.
    Final(NodeConnectError),
    /// Nothing answers; the host may be starting.
    Silent(String),
    /// The host answers and breaks off, as a busy sshd does (MaxStartups).
    Broken(String),
}

impl From<NodeConnectError> for AttemptFailure {
    fn from(error: NodeConnectError) -> AttemptFailure {
        AttemptFailure::Final(error)
    }
}

/// Connects with back-off for as long as `patience` and the deadline allow.
pub(super) fn connect(
    target: &SshTarget,
    patience: Duration,
    deadline: &Deadline,
) -> Result<SshLink, NodeConnectError> {
    let started = Instant::now();
    let (mut attempts, mut back_off) = (0, BACK_OFF_FIRST);
    loop {
        attempts += 1;
        let failure = match attempt(target, patience, deadline) {
            Ok(link) => return Ok(link),
            Err(AttemptFailure::Final(error)) => return Err(error),
            Err(failure) => failure,
        };
        if deadline.left().is_zero() {
            return Err(deadline.timed_out());
        }
        if started.elapsed() + back_off > patience || deadline.left() < back_off {
            let (node, address) = (Arc::clone(&deadline.node), target.address());
            return Err(match failure {
                AttemptFailure::Final(error) => error,
                AttemptFailure::Silent(message) => {
                    NodeConnectError::Unreachable { node, address, message, attempts, after: started.elapsed() }
                }
                AttemptFailure::Broken(message) => NodeConnectError::Handshake { node, address, message },
            });
        }
        std::thread::sleep(back_off);
        back_off = (back_off * 2).min(BACK_OFF_MAX);
    }
}

fn attempt(target: &SshTarget, patience: Duration, deadline: &Deadline) -> Result<SshLink, AttemptFailure> {
    let socket = socket(target, patience, deadline)?;
    deadline.begin("the key exchange");
    let broken = |error: &dyn std::fmt::Display| AttemptFailure::Broken(error.to_string());
    let mut session = Session::new().map_err(|error| broken(&error))?;
    let known = HostKeys::read(target, &deadline.node)?;
    prefer_modern(&session, &known).map_err(|error| broken(&error))?;
    session.set_tcp_stream(socket.try_clone().map_err(|error| broken(&error))?);
    session.set_blocking(true);
    deadline.limit(&session, HANDSHAKE_TIMEOUT);
    session.handshake().map_err(|error| match error.code() {
        // LIBSSH2_ERROR_TIMEOUT: its clock may run out a moment before ours.
        ErrorCode::Session(-9) if deadline.left() < Duration::from_millis(100) => {
            AttemptFailure::Final(deadline.timed_out())
        }
        // LIBSSH2_ERROR_KEX_FAILURE: no algorithm in common.
        ErrorCode::Session(-5) => AttemptFailure::Final(NodeConnectError::Handshake {
            node: Arc::clone(&deadline.node),
            address: target.address(),
            message: format!("{error}{}", offers(target, patience, deadline)),
        }),
        _ => broken(&error),
    })?;
    let (key, _) = session.host_key().ok_or_else(|| deadline.failed("the host shows no key"))?;
    known.check(target, &deadline.node, key)?;
    deadline.begin("the login");
    auth::log_in(&session, target, &deadline.node, deadline)?;
    Ok(SshLink { session, socket })
}

fn socket(target: &SshTarget, patience: Duration, deadline: &Deadline) -> Result<OwnedFd, AttemptFailure> {
    match &target.jump {
        None => tcp(target, patience, deadline),
        Some(jump) => through(jump, target, patience, deadline),
    }
}

/// The host's algorithms, as the end of a sentence.
fn offers(target: &SshTarget, patience: Duration, deadline: &Deadline) -> String {
    let asked = match socket(target, patience, deadline) {
        Ok(socket) => offers::of(socket, deadline.left().min(TCP_TIMEOUT)).ok(),
        Err(_) => None,
    };
    asked.map(|offers| format!("; the host offers {offers}")).unwrap_or_default()
}

fn tcp(target: &SshTarget, patience: Duration, deadline: &Deadline) -> Result<OwnedFd, AttemptFailure> {
    deadline.begin("resolving the name");
    let resolved = (target.host.as_str(), target.port).to_socket_addrs();
    let mut addresses: Vec<SocketAddr> = resolved
        .map_err(|error| NodeConnectError::Unresolvable {
            node: Arc::clone(&deadline.node),
            host: target.host.clone(),
            message: error.to_string(),
        })?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    deadline.begin("connecting");
    let mut last = String::from("the name has no address");
    for address in addresses {
        let timeout = TCP_TIMEOUT.min(patience).min(deadline.left()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| AttemptFailure::Silent(error.to_string()))?;
                return Ok(stream.into());
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(AttemptFailure::Silent(last))
}

/// A socket whose other end is carried through a jump host.
fn through(
    jump: &SshTarget,
    target: &SshTarget,
    patience: Duration,
    deadline: &Deadline,
) -> Result<OwnedFd, AttemptFailure> {
    let label = format!("{} through {}", deadline.node, jump.host);
    let via = Deadline::new(label.into(), deadline.left());
    deadline.begin("connecting to the jump host");
    let link = connect(jump, patience, &via)?;
    deadline.begin("connecting through the jump host");
    deadline.limit(&link.session, TCP_TIMEOUT);
    let opened = link.session.channel_direct_tcpip(&target.host, target.port, None);
    let channel = opened
        .map_err(|error| AttemptFailure::Silent(format!("the jump host {} cannot reach it: {error}", jump.host)))?;
    relay::start(link, channel).map_err(|error| AttemptFailure::Silent(error.to_string()))
}

fn prefer_modern(session: &Session, known: &HostKeys) -> Result<(), ssh2::Error> {
    for (method, list) in [
        (MethodType::Kex, KEX),
        (MethodType::CryptCs, CIPHERS),
        (MethodType::CryptSc, CIPHERS),
        (MethodType::MacCs, MACS),
        (MethodType::MacSc, MACS),
    ] {
        session.method_pref(method, list)?;
    }
    let types = known.types();
    let on_record = |algorithm: &&str| {
        types.iter().any(|kind| kind == algorithm || (*kind == "ssh-rsa" && algorithm.starts_with("rsa-sha2")))
    };
    let (first, rest): (Vec<&str>, Vec<&str>) = HOST_KEYS.iter().partition(|algorithm| on_record(algorithm));
    session.method_pref(MethodType::HostKey, &[first, rest].concat().join(","))
}
