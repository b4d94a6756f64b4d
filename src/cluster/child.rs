//! [`ChildChannel`]: a command of this machine that enters a node and runs a script there. Its streams are the script's.
use super::channel::NodeChannel;
use super::connect::Deadline;
use super::connect_error::NodeConnectError;
use super::exec::ExecTarget;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a command may go on after its streams are closed: an agent heals its node meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// How long a command may take to end after SIGTERM.
const TERMINATING: Duration = Duration::from_millis(200);
/// Time between two looks at a command that is to end.
const LOOK: Duration = Duration::from_millis(5);

/// A running command. It is a process group of its own, so that Ctrl-C at the terminal does not end it before its node is healed.
pub(super) struct ChildChannel {
    /// None once its end is somebody else's to await.
    child: Option<Child>,
    input: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Its input took no more bytes.
    full: bool,
}

impl ChildChannel {
    /// Starts the target's command with `sh -c SCRIPT` behind it.
    pub(super) fn start(
        target: &ExecTarget,
        script: &str,
        deadline: &Deadline,
    ) -> Result<ChildChannel, NodeConnectError> {
        let (program, arguments) = target.argv.split_first().ok_or_else(|| deadline.failed("an empty command"))?;
        let mut command = Command::new(program);
        command.args(arguments).args(["sh", "-c", script]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| NodeConnectError::CommandMissing {
            node: Arc::clone(&deadline.node),
            program: program.clone(),
            message: error.to_string(),
        })?;
        let (input, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let channel = ChildChannel { child: Some(child), input, stdout, stderr, full: false };
        let set = |fd: Option<&dyn AsFd>| fd.map_or(Ok(()), |fd| set_nonblocking(&fd));
        set(channel.input.as_ref().map(|fd| fd as &dyn AsFd))
            .and_then(|()| set(channel.stdout.as_ref().map(|fd| fd as &dyn AsFd)))
            .and_then(|()| set(channel.stderr.as_ref().map(|fd| fd as &dyn AsFd)))
            .map_err(|error| deadline.failed(error))?;
        Ok(channel)
    }

    fn has_exited(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()))
    }
}

fn set_nonblocking(fd: &dyn AsFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Reads from a pipe, and lets go of it at its end.
fn read_from(pipe: &mut Option<impl Read>, into: &mut [u8]) -> io::Result<usize> {
    let Some(reader) = pipe else { return Ok(0) };
    match reader.read(into) {
        Ok(0) => *pipe = None,
        Err(error) if error.kind() == ErrorKind::Interrupted => return Err(ErrorKind::WouldBlock.into()),
        other => return other,
    }
    Ok(0)
}

impl NodeChannel for ChildChannel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(input) = &mut self.input else { return Ok(0) };
        let written = input.write(bytes);
        self.full = matches!(&written, Err(error) if error.kind() == ErrorKind::WouldBlock);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.input = None;
                Ok(0)
            }
            other => other,
        }
    }

    fn end_input(&mut self) -> io::Result<()> {
        self.input = None;
        Ok(())
    }

    fn read_stdout(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_from(&mut self.stdout, into)
    }

    fn read_stderr(&mut self, into: &mut [u8]) -> io::Result<usize> {
        read_from(&mut self.stderr, into)
    }

    /// Other processes may hold its standard error beyond its end.
    fn has_ended(&mut self) -> bool {
        self.stdout.is_none() && (self.stderr.is_none() || self.has_exited())
    }

    fn wait(&self, other: Option<&dyn AsFd>, timeout: Duration) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let input = self.input.as_ref().filter(|_| self.full);
        fds.extend(input.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLOUT)));
        fds.extend(self.stdout.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.stderr.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(other.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up, so that a wait of half a millisecond does not spin.
        let timeout = PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn status(&mut self, deadline: &Deadline) -> Result<i32, NodeConnectError> {
        let Some(child) = &mut self.child else { return Ok(-1) };
        match await_end(child, deadline.left()) {
            Some(status) => Ok(status),
            None => Err(deadline.timed_out()),
        }
    }

    fn close(&mut self) {
        (self.input, self.stdout, self.stderr) = (None, None, None);
        let Some(mut child) = self.child.take() else { return };
        // The agent heals first. A command that goes on for long is ended.
        std::thread::spawn(move || {
            if await_end(&mut child, LAST_WORDS).is_none() {
                end(&mut child);
            }
        });
    }
}

impl Drop for ChildChannel {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            end(child);
        }
    }
}

/// Waits for the exit status; -1 if a signal ended it, none if it still runs.
fn await_end(child: &mut Child, within: Duration) -> Option<i32> {
    let until = Instant::now() + within;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.code().unwrap_or(-1)),
            Ok(None) if Instant::now() < until => std::thread::sleep(LOOK),
            Ok(None) => return None,
            Err(_) => return Some(-1),
        }
    }
}

/// Ends the command's process group, unless the command has ended.
fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else { return };
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // Not yet waited for, so its number belongs to no other process.
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        let _ = killpg(group, signal);
        if await_end(child, TERMINATING).is_some() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::channel::Link;

    /// `env`, which runs the script on this machine.
    fn here() -> ExecTarget {
        ExecTarget { argv: vec!["env".into()], dir: "/nowhere".into(), ping_port: 0, any_user: false }
    }

    fn deadline(seconds: u64) -> Deadline {
        Deadline::new("n1".into(), Duration::from_secs(seconds))
    }

    #[test]
    fn input_larger_than_a_pipe_comes_back_whole_with_both_outputs_and_the_status() {
        let input: Vec<u8> = (0..700_001u32).flat_map(u32::to_le_bytes).collect();
        let done = Link::Exec(here()).run("echo begun >&2; cat; echo done >&2; exit 7", &input, &deadline(30));
        let done = done.expect("ran");
        assert!(done.stdout == input, "{} of {} bytes", done.stdout.len(), input.len());
        assert_eq!((done.status, done.complaint().as_str()), (7, "begun / done"));
        let early = Link::Exec(here()).run("echo no >&2; exit 3", &input, &deadline(30)).expect("ran");
        assert_eq!((early.status, early.complaint().as_str()), (3, "no"), "it read nothing of its input");
    }

    #[test]
    fn a_background_process_that_holds_standard_error_delays_nothing() {
        let begun = Instant::now();
        let done = Link::Exec(here()).run("sleep 30 > /dev/null & echo $!", &[], &deadline(20)).expect("ran");
        assert!(begun.elapsed() < Duration::from_secs(10) && done.status == 0);
        let pid = String::from_utf8(done.stdout).expect("text").trim().parse().expect("a number");
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_its_group_at_the_deadline() {
        let mut channel =
            ChildChannel::start(&here(), "trap '' TERM; sleep 60 & echo $!; wait", &deadline(20)).expect("started");
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            channel.wait(None, Duration::from_secs(5)).expect("waited");
            let mut chunk = [0; 64];
            if let Ok(more) = channel.read_stdout(&mut chunk) {
                line.extend_from_slice(&chunk[..more]);
            }
        }
        let background: i32 = String::from_utf8(line).expect("text").trim().parse().expect("a number");
        let NodeConnectError::Timeout { .. } = channel.status(&deadline(0)).expect_err("it hangs") else { panic!() };
        drop(channel);
        let end = std::time::Instant::now() + Duration::from_secs(60);
        let stat = || std::fs::read_to_string(format!("/proc/{background}/stat")).unwrap_or_default();
        while !(stat().is_empty() || stat().contains(") Z ")) {
            assert!(std::time::Instant::now() < end, "{}", stat());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
