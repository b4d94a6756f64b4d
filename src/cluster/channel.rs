//! [`NodeChannel`]: a script that runs on a node as root, with its three streams. Either SSH carries them, or a command of this
//! machine. Also runs a script to its end ([`Link::run`]).
use super::child::ChildChannel;
use super::connect::{Deadline, SshLink};
use super::connect_error::NodeConnectError;
use super::exec::ExecTarget;
use super::ssh_channel::SshChannel;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

/// Time after which both outputs are read again. Over SSH, reading one takes the other's data from the socket, where no poll
/// sees it any more.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Characters of a script's output in an error.
const WORDS_MAX: usize = 2000;

/// A running script. Nothing blocks but `wait`, `status` and `close`. Dropped unclosed, it is ended.
pub(super) trait NodeChannel: Send {
    /// Writes to its standard input. 0: it reads no more; its outputs say why.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Ends its standard input. `WouldBlock`: to be called again.
    fn end_input(&mut self) -> io::Result<()>;
    /// Reads from its standard output; 0 at the end.
    fn read_stdout(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Reads from its standard error; 0 at the end.
    fn read_stderr(&mut self, into: &mut [u8]) -> io::Result<usize>;
    /// Whether no more output will come.
    fn has_ended(&mut self) -> bool;
    /// Waits until a stream is ready, or the other descriptor is, or time is up.
    fn wait(&self, other: Option<&dyn AsFd>, timeout: Duration) -> io::Result<()>;
    /// Waits for the exit status of a script that has ended; -1 if a signal ended it.
    fn status(&mut self, deadline: &Deadline) -> Result<i32, NodeConnectError>;
    /// Closes the streams. Never: waits for the script, whose node may be dead. An agent sees the end of its input and heals.
    fn close(&mut self);
}

/// What starts scripts on one node.
pub(super) enum Link {
    /// An SSH session. Scripts become root with `sudo -n` if asked to.
    Ssh { link: Arc<SshLink>, sudo: bool },
    /// A command of this machine.
    Exec(ExecTarget),
}

impl Link {
    /// Starts a script for `sh` on the node.
    pub(super) fn open(&self, script: &str, deadline: &Deadline) -> Result<Box<dyn NodeChannel>, NodeConnectError> {
        match self {
            Link::Ssh { link, sudo } => {
                let sudo = if *sudo { "sudo -n " } else { "" };
                // A form for every login shell.
                let command = format!("{sudo}sh -c {}", quoted(script));
                Ok(Box::new(SshChannel::open(link, &command, deadline)?))
            }
            Link::Exec(target) => Ok(Box::new(ChildChannel::start(target, script, deadline)?)),
        }
    }

    /// Runs a script to its end, feeding it and reading both of its outputs at once.
    pub(super) fn run(
        &self,
        script: &str,
        input: &[u8],
        deadline: &Deadline,
    ) -> Result<ScriptOutput, NodeConnectError> {
        let mut channel = self.open(script, deadline)?;
        let mut done = ScriptOutput { status: -1, stdout: Vec::new(), stderr: Vec::new() };
        let (mut sent, mut closed) = (0, false);
        loop {
            let mut moved = false;
            if sent < input.len() {
                match channel.write(&input[sent..]) {
                    Ok(more) => (sent, moved) = (sent + more, more > 0),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // It ended before it read all; its output says why.
                    Err(_) => (sent, closed) = (input.len(), true),
                }
            } else if !closed {
                let done = channel.end_input();
                closed = !matches!(done, Err(error) if error.kind() == ErrorKind::WouldBlock);
            }
            moved |=
                read_both(&mut *channel, &mut done.stdout, &mut done.stderr).map_err(|error| deadline.failed(error))?;
            if !moved && channel.has_ended() {
                break;
            }
            if deadline.left().is_zero() {
                return Err(deadline.timed_out());
            }
            if !moved {
                channel.wait(None, deadline.left().min(LOOK_AGAIN)).map_err(|error| deadline.failed(error))?;
            }
        }
        done.status = channel.status(deadline)?;
        Ok(done)
    }
}

/// Reads what both outputs hold now. Whether any byte was read.
pub(super) fn read_both(channel: &mut dyn NodeChannel, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0u8; 16 << 10];
    let read = channel.read_stdout(&mut chunk);
    let moved = keep(read, &chunk, stdout)?;
    let read = channel.read_stderr(&mut chunk);
    Ok(keep(read, &chunk, stderr)? | moved)
}

fn keep(read: io::Result<usize>, chunk: &[u8], into: &mut Vec<u8>) -> io::Result<bool> {
    match read {
        Ok(more) => {
            into.extend_from_slice(&chunk[..more]);
            Ok(more > 0)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// The outputs and the exit status of a script.
pub(super) struct ScriptOutput {
    pub(super) status: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

impl ScriptOutput {
    /// Its standard error, else its exit status.
    pub(super) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr).trim().replace('\n', " / ");
        if text.is_empty() { format!("exit status {}", self.status) } else { text }
    }

    /// Its standard output and standard error.
    pub(super) fn words(&self) -> String {
        let (stderr, stdout) = (String::from_utf8_lossy(&self.stderr), String::from_utf8_lossy(&self.stdout));
        let lines = stderr.lines().chain(stdout.lines()).map(str::trim).filter(|line| !line.is_empty());
        let text = lines.collect::<Vec<_>>().join(" / ");
        if text.is_empty() {
            return format!("nothing (exit status {})", self.status);
        }
        text.chars().take(WORDS_MAX).collect()
    }
}

/// In single quotes for any Bourne shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive_a_shell() {
        let odd = "it's $HOME; `x`";
        let echoed = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(odd))).output();
        assert_eq!(echoed.expect("sh").stdout, odd.as_bytes());
    }
}
