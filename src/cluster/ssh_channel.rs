//! [`SshChannel`]: a command on one channel of an SSH session.
use super::channel::{LOOK_AGAIN, NodeChannel};
use super::connect::{Deadline, SshLink};
use super::connect_error::NodeConnectError;
use nix::sys::socket::{Shutdown, shutdown};
use ssh2::{Channel, ErrorCode};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(30);
/// How long opening a channel is retried: an sshd with `MaxSessions 1` frees the last session only after a moment.
const OPEN_AGAIN: Duration = Duration::from_secs(5);
/// LIBSSH2_ERROR_CHANNEL_FAILURE: the host refused to open it.
const REFUSED: ErrorCode = ErrorCode::Session(-21);
/// How long closing may take.
const CLOSE_MS: u32 = 200;

/// A command of the login's shell.
pub(super) struct SshChannel {
    link: Arc<SshLink>,
    channel: Channel,
}

impl SshChannel {
    /// Starts the command.
    pub(super) fn open(
        link: &Arc<SshLink>,
        command: &str,
        deadline: &Deadline,
    ) -> Result<SshChannel, NodeConnectError> {
        link.session.set_blocking(true);
        deadline.limit(&link.session, STEP);
        let end = Instant::now() + OPEN_AGAIN.min(deadline.left());
        let mut pause = LOOK_AGAIN;
        let mut channel = loop {
            match link.session.channel_session() {
                Ok(channel) => break channel,
                Err(error) if error.code() == REFUSED && Instant::now() + pause < end => std::thread::sleep(pause),
                Err(error) => return Err(deadline.failed(error)),
            }
            pause = (pause * 2).min(Duration::from_millis(500));
        };
        channel.exec(command).map_err(|error| deadline.failed(error))?;
        link.session.set_blocking(false);
        Ok(SshChannel { link: Arc::clone(link), channel })
    }
}

impl NodeChannel for SshChannel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn end_input(&mut self) -> io::Result<()> {
        self.channel.send_eof().map_err(io::Error::from)
    }

    fn read_stdout(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.stream(0).read(into)
    }

    fn read_stderr(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.stderr().read(into)
    }

    fn has_ended(&mut self) -> bool {
        self.channel.eof()
    }

    fn wait(&self, other: Option<&dyn AsFd>, timeout: Duration) -> io::Result<()> {
        self.link.wait(other, timeout)
    }

    fn status(&mut self, deadline: &Deadline) -> Result<i32, NodeConnectError> {
        self.link.session.set_blocking(true);
        deadline.limit(&self.link.session, STEP);
        let closed = self.channel.close().and_then(|()| self.channel.wait_close());
        closed.map_err(|error| deadline.failed(error))?;
        Ok(self.channel.exit_status().unwrap_or(-1))
    }

    fn close(&mut self) {
        self.link.session.set_blocking(true);
        self.link.session.set_timeout(CLOSE_MS);
        let _ = self.channel.close();
        let _ = shutdown(self.link.socket.as_raw_fd(), Shutdown::Both);
    }
}
