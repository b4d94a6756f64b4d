//! The guardian: a second process that heals when the agent dies before it reported that all is clean. It holds the other end of
//! a socket to the agent and sleeps while the agent lives. Also the `heal` command, which heals on demand.
use crate::claim::{self, ClaimRefusal, NodeClaim};
use crate::injector::Injector;
use crate::service::Services;
use crate::state_dir::StateDir;
use crate::{process, sys};
use dsfuzz_nemesis::protocol::{ClaimEntry, Claimant};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Time beyond its lease after which a silent agent counts as hung.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for the lock once the agent is dead.
const LOCK: Duration = Duration::from_secs(10);
/// How long `heal` and a guardian wait for a heal in progress.
const HEALER: Duration = Duration::from_secs(30);

/// A message of the agent to its guardian: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GuardianMessage {
    /// The lease now.
    pub(crate) lease_ms: u64,
    /// Expiring injections were renewed until then, boot-time clock.
    pub(crate) held_until_ns: u64,
    /// Everything is undone; the agent ends properly.
    pub(crate) clean: bool,
}

impl GuardianMessage {
    fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.lease_ms.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.held_until_ns.to_le_bytes());
        bytes[16] = u8::from(self.clean);
        bytes
    }

    fn parse(bytes: [u8; 24]) -> GuardianMessage {
        let number = |from: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[from..from + 8]);
            u64::from_le_bytes(part)
        };
        GuardianMessage { lease_ms: number(0), held_until_ns: number(8), clean: bytes[16] == 1 }
    }
}

/// The agent's end.
pub(crate) struct GuardianPipe {
    socket: UnixStream,
}

impl GuardianPipe {
    /// Sends a message to the guardian. A dead or stuck guardian must not block the agent.
    pub(crate) fn tell(&mut self, sign: GuardianMessage) {
        drop(self.socket.write(&sign.bytes()));
    }
}

/// Starts a guardian for this process.
pub(crate) fn spawn(state_dir: &StateDir) -> Result<(Child, GuardianPipe), String> {
    let say = |error: std::io::Error| format!("guardian: {error}");
    let (mine, theirs) = UnixStream::pair().map_err(say)?;
    mine.set_nonblocking(true).map_err(say)?;
    let me = std::process::id();
    let start = process::stat(me).map_or(0, |stat| stat.start);
    let mut command = Command::new("/proc/self/exe");
    command.arg("guard").arg("--dir").arg(state_dir.dir()).arg("--agent").arg(format!("{me}:{start}"));
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    sys::set_up(&mut command, sys::ChildSetup { session: true, ..sys::ChildSetup::default() });
    Ok((command.spawn().map_err(say)?, GuardianPipe { socket: mine }))
}

/// The guardian itself: its input is the socket. `agent` is the agent's process id and start.
pub(crate) fn guard(state_dir: &StateDir, agent: &str) -> Result<u8, String> {
    let (pid, start) = agent
        .split_once(':')
        .and_then(|(pid, start)| Some((pid.parse::<u32>().ok()?, start.parse::<u64>().ok()?)))
        .ok_or_else(|| format!("--agent {agent}: not PID:START"))?;
    // Not through standard input's buffer: buffered bytes would not wake the poll.
    let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| format!("guardian's socket: {error}"))?;
    let mut input = File::from(input);
    let mut last = GuardianMessage { lease_ms: 30_000, ..GuardianMessage::default() };
    let mut why = "agent died";
    loop {
        let patience = Duration::from_millis(last.lease_ms.saturating_mul(2)) + PATIENCE;
        let before = sys::boottime_ns();
        sys::wait_readable(&[input.as_raw_fd()], patience);
        if sys::boottime_ns() - before >= u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX) {
            // A long silence: the agent is stopped or stuck and cannot keep its lease.
            state_dir.log(&format!("guardian: agent {pid} is silent; killing it"));
            why = "agent hung";
            if process::lives(pid, start) {
                drop(sys::kill(pid, libc::SIGKILL));
            }
            break;
        }
        let mut bytes = [0; 24];
        match input.read_exact(&mut bytes) {
            Ok(()) => last = GuardianMessage::parse(bytes),
            Err(_) => break,
        }
        if last.clean {
            return Ok(0);
        }
    }
    sys::await_true(LOCK, || !process::lives(pid, start));
    claim::tidy(state_dir.dir());
    let Some(lock) = state_dir.lock(LOCK)? else {
        // A newer agent holds it, and has healed before it greeted.
        state_dir.log("guardian: another process holds the lock and heals");
        return Ok(0);
    };
    let mut injector = Injector::open(state_dir, Arc::new(Services::open(state_dir)))?;
    let clean = injector.heal(why, Some(last.held_until_ns));
    drop(lock);
    Ok(u8::from(!clean))
}

/// The `heal` command: undoes what is left and prints it. While a run holds the node it is refused, or ends that run if asked
/// to.
pub(crate) fn heal(state_dir: &StateDir, take_over: bool) -> Result<u8, String> {
    let me = format!("heal/{}", std::process::id());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let by = Claimant { run: me.clone(), host, token: me };
    let entry = if take_over { ClaimEntry::TakeOver } else { ClaimEntry::First };
    let claim = NodeClaim::take(state_dir.dir(), &by, entry).map_err(|refusal| match refusal {
        ClaimRefusal::Failed(reason) => reason,
        ClaimRefusal::Taken(claim) => format!(
            "this node is used by run {} from host {}; wait for its end, or end it with --take-over",
            claim.by.run, claim.by.host
        ),
    })?;
    // A heal has no clients.
    claim.over();
    let _lock = match state_dir.lock(Duration::ZERO)? {
        Some(lock) => lock,
        None => match state_dir.take_over() {
            Ok(lock) => lock,
            Err(_) => state_dir.lock(HEALER)?.ok_or_else(|| format!("{} stays locked", state_dir.dir().display()))?,
        },
    };
    let services = Arc::new(Services::open(state_dir));
    let mut injector = Injector::open(state_dir, Arc::clone(&services))?;
    injector.greet(&by.run, 30_000);
    let mut clean = injector.heal("heal was asked for", None);
    if let Err(reason) = services.disks().take_all_away() {
        eprintln!("dsfuzz-agent: {reason}");
        clean = false;
    }
    services.sweep();
    let json = serde_json::to_string(&injector.undone()).map_err(|error| error.to_string())?;
    println!("{json}");
    Ok(u8::from(!clean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_survive_the_wire() {
        let sign = GuardianMessage { lease_ms: 3000, held_until_ns: 77, clean: true };
        assert_eq!(GuardianMessage::parse(sign.bytes()), sign);
    }
}
