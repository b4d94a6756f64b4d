//! The algorithms that a host offers in its first message (RFC 4253, section 7.1), which is sent in clear. Read only after a
//! handshake without a common algorithm, for the error message.
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

const MESSAGE_BYTES_MAX: usize = 35_000;
/// Message number of SSH_MSG_KEXINIT.
const KEXINIT: u8 = 20;
/// The relevant lists, by their position in the message.
const LISTS: [(usize, &str); 4] = [(0, "key exchange"), (1, "host keys"), (3, "ciphers"), (5, "MACs")];

/// `key exchange a,b; host keys c; ciphers d; MACs e`.
pub(super) fn of(socket: OwnedFd, patience: Duration) -> io::Result<String> {
    let mut patient = Patient { socket: std::fs::File::from(socket), end: Instant::now() + patience };
    patient.socket.write_all(b"SSH-2.0-dsfuzz\r\n")?;
    banner(&mut patient)?;
    let mut head = [0u8; 4];
    patient.read_exact(&mut head)?;
    let length = u32::from_be_bytes(head) as usize;
    if !(2..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0u8; length];
    patient.read_exact(&mut message)?;
    // The first byte is the length of the padding.
    words(message.get(1..).unwrap_or_default()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Skips lines up to the host's version.
fn banner(reader: &mut impl Read) -> io::Result<()> {
    let mut line = Vec::new();
    for _ in 0..MESSAGE_BYTES_MAX {
        let mut byte = [0u8];
        reader.read_exact(&mut byte)?;
        line.push(byte[0]);
        if byte[0] == b'\n' {
            if line.starts_with(b"SSH-") {
                return Ok(());
            }
            line.clear();
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn words(payload: &[u8]) -> Option<String> {
    let (kind, rest) = payload.split_first()?;
    let mut rest = rest.get(16..).filter(|_| *kind == KEXINIT)?;
    let mut lists = Vec::new();
    for _ in 0..8 {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let (list, more) = more.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        lists.push(String::from_utf8_lossy(list).into_owned());
        rest = more;
    }
    Some(LISTS.map(|(at, what)| format!("{what} {}", lists[at])).join("; "))
}

/// A socket that is read with a deadline.
struct Patient {
    socket: std::fs::File,
    end: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left =
            PollTimeout::try_from(self.end.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], left) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => self.socket.read(buffer),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_a_first_message_are_read_and_others_are_not() {
        let mut payload = vec![KEXINIT];
        payload.extend_from_slice(&[7; 16]);
        for list in ["k1,k2", "h1", "c1", "c2", "m1", "m2", "none", "none", "", ""] {
            payload.extend_from_slice(&(list.len() as u32).to_be_bytes());
            payload.extend_from_slice(list.as_bytes());
        }
        assert_eq!(words(&payload).as_deref(), Some("key exchange k1,k2; host keys h1; ciphers c2; MACs m2"));
        for cut in 0..60 {
            assert_eq!(words(&payload[..cut.min(payload.len() - 20)]).filter(|_| cut < 40), None);
        }
        payload[0] = 21;
        assert_eq!(words(&payload), None);
    }
}
