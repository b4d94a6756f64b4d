//! Carries bytes between one end of a socket pair and a channel through a jump host, on a thread of its own.
use super::connect::SshLink;
use ssh2::Channel;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const BUFFER_BYTES: usize = 64 << 10;

/// Starts the relay and returns the near end. Closing it, or losing the jump host, ends both directions.
pub(super) fn start(link: SshLink, mut channel: Channel) -> io::Result<OwnedFd> {
    let (near, far) = UnixStream::pair()?;
    far.set_nonblocking(true)?;
    link.session.set_blocking(false);
    std::thread::Builder::new().name("ssh-jump".into()).spawn(move || {
        if let Err(error) = carry(&link, &mut channel, &far) {
            tracing::debug!("a jump host's connection ended: {error}");
        }
        // A session that must not block would not free what it cannot send at once.
        link.session.set_blocking(true);
        link.session.set_timeout(200);
        drop(channel);
        let _ = far.shutdown(std::net::Shutdown::Both);
    })?;
    Ok(near.into())
}

/// One direction: bytes read and not yet written.
struct Flow {
    buffer: Vec<u8>,
    from: usize,
}

impl Flow {
    fn new() -> Flow {
        Flow { buffer: Vec::new(), from: 0 }
    }

    /// Moves bytes once. Returns whether any moved; none at the end of the stream.
    fn step(&mut self, reader: &mut impl Read, writer: &mut impl Write) -> io::Result<Option<bool>> {
        if self.from == self.buffer.len() {
            self.buffer.resize(BUFFER_BYTES, 0);
            self.from = 0;
            match reader.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(more) => self.buffer.truncate(more),
                Err(error) => {
                    self.buffer.clear();
                    return if error.kind() == ErrorKind::WouldBlock { Ok(Some(false)) } else { Err(error) };
                }
            }
        }
        match writer.write(&self.buffer[self.from..]) {
            Ok(more) => {
                self.from += more;
                Ok(Some(more > 0))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Some(false)),
            Err(error) => Err(error),
        }
    }

    fn is_empty(&self) -> bool {
        self.from == self.buffer.len()
    }
}

fn carry(link: &SshLink, channel: &mut Channel, far: &UnixStream) -> io::Result<()> {
    let (mut out, mut back) = (Flow::new(), Flow::new());
    let mut remote = channel.stream(0);
    loop {
        let sent = out.step(&mut &*far, channel)?;
        let received = back.step(&mut remote, &mut &*far)?;
        let (Some(sent), Some(received)) = (sent, received) else {
            return Ok(());
        };
        if sent || received {
            continue;
        }
        // A full near end is tried again soon; an idle one wakes the poll itself.
        let patience = if back.is_empty() { Duration::from_secs(1) } else { Duration::from_millis(2) };
        if out.is_empty() { link.wait(Some(far), patience)? } else { link.wait(None, patience)? }
    }
}
