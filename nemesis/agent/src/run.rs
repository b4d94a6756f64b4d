//! Runs a command to its end or its deadline. Output beyond the first mebibyte of each pipe is read and dropped, so that the
//! command never blocks.
use crate::{launch, sys};
use dsfuzz_nemesis::protocol::{self, Response};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes kept of each pipe. Two of them fit into a frame unless most bytes are control characters.
const KEPT_BYTES: usize = 1 << 20;
/// How long to wait for the pipes' end after the command's end: background processes may hold them for ever.
const LINGER: Duration = Duration::from_millis(300);

/// Leaders of the groups that run now.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The output and end of a command.
pub(crate) struct CommandOutput {
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) late: bool,
}

/// Runs a command of the control node.
pub(crate) fn run(asked: &protocol::Command) -> Response {
    let (mut command, ids) = match launch::command(&asked.argv, &asked.env, &asked.cwd, &asked.user) {
        Ok(ready) => ready,
        Err(reason) => return Response::Failed(reason),
    };
    sys::set_up(&mut command, sys::ChildSetup { ids, ..sys::ChildSetup::default() });
    match finish(command, &[], Duration::from_millis(asked.deadline_ms)) {
        Err(error) => Response::Failed(format!("{}: {error}", launch::name(&asked.argv))),
        Ok(finished) => Response::Ran {
            status: finished.status.and_then(|status| status.code()).filter(|_| !finished.late),
            stdout: text(&finished.stdout),
            stderr: text(&finished.stderr),
            late: finished.late,
        },
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asks every running group to end: the agent ends and nothing would hold their deadlines.
pub(crate) fn end_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.iter().for_each(|leader| drop(sys::kill_group(*leader, libc::SIGTERM)));
}

/// Runs a command in its own process group, with this input, to its end or the deadline.
pub(crate) fn finish(mut command: Command, input: &[u8], deadline: Duration) -> std::io::Result<CommandOutput> {
    let end = Instant::now() + deadline;
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let leader = child.id();
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(leader);
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read its input reports its own error.
        drop(pipe.write_all(input));
    }
    let finished = collect(&mut child, end);
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&leader);
    finished
}

fn collect(child: &mut Child, end: Instant) -> std::io::Result<CommandOutput> {
    let mut stdout = Pipe::new(child.stdout.take())?;
    let mut stderr = Pipe::new(child.stderr.take())?;
    let (mut status, mut ended, mut late) = (None, None, false);
    loop {
        let open = stdout.drain() | stderr.drain();
        if status.is_none() {
            status = child.try_wait()?;
            ended = status.map(|_| Instant::now());
        }
        let now = Instant::now();
        match ended {
            Some(_) if !open => break,
            Some(at) if now >= at + LINGER || now >= end => break,
            None if now >= end => {
                late = true;
                drop(sys::kill_group(child.id(), libc::SIGKILL));
                status = Some(child.wait()?);
                stdout.drain();
                stderr.drain();
                break;
            }
            _ => {}
        }
        // The pipes' end wakes us; a command that closed them early is looked at again soon.
        let pause = end.saturating_duration_since(now).min(Duration::from_millis(if open { 10 } else { 1 }));
        let open: Vec<i32> = [stdout.descriptor(), stderr.descriptor()].into_iter().flatten().collect();
        sys::wait_readable(&open, pause.max(Duration::from_millis(1)));
    }
    // A kill by another signal gives no status either.
    let status = status.filter(|status| status.signal().is_none());
    Ok(CommandOutput { status, stdout: stdout.kept, stderr: stderr.kept, late })
}

/// One pipe, read without waiting.
struct Pipe<R> {
    source: Option<R>,
    kept: Vec<u8>,
}

impl<R: Read + AsRawFd> Pipe<R> {
    fn new(source: Option<R>) -> std::io::Result<Pipe<R>> {
        if let Some(source) = &source {
            sys::set_nonblocking(source.as_raw_fd())?;
        }
        Ok(Pipe { source, kept: Vec::new() })
    }

    fn descriptor(&self) -> Option<i32> {
        self.source.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Reads what is there; false at the end.
    fn drain(&mut self) -> bool {
        let Some(source) = &mut self.source else { return false };
        let mut chunk = [0; 64 << 10];
        // Bounded, so that endless output cannot delay the deadline.
        for _ in 0..64 {
            match source.read(&mut chunk) {
                Ok(0) => {
                    self.source = None;
                    return false;
                }
                Ok(bytes) => {
                    let room = KEPT_BYTES.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(&chunk[..bytes.min(room)]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.source = None;
                    return false;
                }
            }
        }
        true
    }
}
