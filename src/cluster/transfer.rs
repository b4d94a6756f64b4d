//! Files to and from a node, and commands on it, over any [`Remote`].
use super::{Remote, RemoteError};
use dsfuzz_nemesis::protocol::{BLOB_BYTES_MAX, Command, Request, Response};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Deadline of one chunk.
const CHUNK_DEADLINE: Duration = Duration::from_secs(30);
/// The agent kills a command at its deadline; its answer takes a moment more.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// The output and end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit status; none if a signal or the deadline ended it.
    pub status: Option<i32>,
    /// Standard output, its first mebibyte.
    pub stdout: String,
    /// Standard error, its first mebibyte.
    pub stderr: String,
    /// It was killed at its deadline.
    pub late: bool,
}

impl CommandOutput {
    /// It ended by itself with status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }
}

/// Writes a file, in chunks. An existing file is overwritten from its begin.
pub async fn upload(remote: &dyn Remote, path: &str, bytes: &[u8], mode: u32) -> Result<(), RemoteError> {
    let mut offset = 0;
    loop {
        let end = bytes.len().min(offset + BLOB_BYTES_MAX);
        let ask = Request::Write { path: path.into(), offset: offset as u64, mode, owner: None };
        remote.ask(ask, bytes[offset..end].to_vec(), CHUNK_DEADLINE).await?;
        offset = end;
        if offset == bytes.len() {
            return Ok(());
        }
    }
}

/// Fetches a file, in chunks, up to its present length; bytes appended meanwhile stay behind. Returns the length.
pub async fn download(remote: &dyn Remote, path: &str, to: &Path) -> Result<u64, RemoteError> {
    let here = |error: std::io::Error| refused(remote, format!("writing {}: {error}", to.display()));
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(here)?;
    }
    let mut file = std::fs::File::create(to).map_err(here)?;
    let (mut offset, mut end) = (0u64, None);
    loop {
        let left = end.map_or(BLOB_BYTES_MAX as u64, |end: u64| end.saturating_sub(offset).min(BLOB_BYTES_MAX as u64));
        let ask = Request::Read { path: path.into(), offset, bytes: u32::try_from(left).unwrap_or(u32::MAX) };
        let (response, blob) = remote.ask(ask, Vec::new(), CHUNK_DEADLINE).await?;
        let Response::Chunk { size } = response else {
            return Err(unexpected(remote, "read", &response));
        };
        file.write_all(&blob).map_err(here)?;
        offset += blob.len() as u64;
        let end = *end.get_or_insert(size);
        // The file may have been truncated meanwhile.
        if blob.is_empty() || offset >= end {
            return Ok(offset);
        }
    }
}

/// Runs a program to its end; one element alone is a script for `/bin/sh`.
pub async fn run<S: AsRef<str>>(
    remote: &dyn Remote,
    argv: &[S],
    deadline: Duration,
) -> Result<CommandOutput, RemoteError> {
    let argv = argv.iter().map(|arg| arg.as_ref().to_owned()).collect();
    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    run_command(remote, Command { argv, deadline_ms, ..Command::default() }).await
}

/// Runs a command to its end.
pub async fn run_command(remote: &dyn Remote, command: Command) -> Result<CommandOutput, RemoteError> {
    let deadline = Duration::from_millis(command.deadline_ms).saturating_add(ANSWER_MARGIN);
    let (response, _) = remote.ask(Request::Run(command), Vec::new(), deadline).await?;
    match response {
        Response::Ran { status, stdout, stderr, late } => Ok(CommandOutput { status, stdout, stderr, late }),
        other => Err(unexpected(remote, "run", &other)),
    }
}

fn refused(remote: &dyn Remote, message: String) -> RemoteError {
    RemoteError::Refused { node: Arc::clone(&remote.node().name), message }
}

fn unexpected(remote: &dyn Remote, what: &str, response: &Response) -> RemoteError {
    refused(remote, format!("an unexpected answer to {what}: {response:?}"))
}
