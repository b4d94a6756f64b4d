//! The requests of a deployment to one node's agent: run, write, start, stop. Errors name the node, the command and the end of
//! its output.
use super::error::TargetError;
use crate::cluster::{Remote, RemoteError};
use dsfuzz_nemesis::protocol::{BLOB_BYTES_MAX, Command, DiskFolder, Request, Response, Service, ServiceState};
use std::time::Duration;

/// Time that the agent gets beyond the deadline of the command.
pub(super) const AGENT_SLACK: Duration = Duration::from_secs(5);
/// Deadline of quick requests.
const QUICK: Duration = Duration::from_secs(10);
/// Deadline of mounting or unmounting layers.
const LAYERS: Duration = Duration::from_secs(30);

/// Sends a request.
async fn ask(
    remote: &dyn Remote,
    what: &str,
    ask: Request,
    blob: Vec<u8>,
    deadline: Duration,
) -> Result<(Response, Vec<u8>), TargetError> {
    remote.ask(ask, blob, deadline).await.map_err(|source| failed(what, source))
}

fn failed(what: &str, source: RemoteError) -> TargetError {
    TargetError::Remote { what: what.to_owned(), source }
}

fn unexpected(remote: &dyn Remote, what: &str, response: &Response) -> TargetError {
    let response = head(&format!("{response:?}"));
    TargetError::Protocol { node: remote.node().name.clone(), what: what.to_owned(), response }
}

/// Runs a command that must end with status 0. Returns its standard output.
pub(super) async fn run(remote: &dyn Remote, what: &str, command: Command) -> Result<String, TargetError> {
    let deadline = Duration::from_millis(command.deadline_ms);
    let words = command.argv.join(" ");
    let (response, _) = ask(remote, what, Request::Run(command), Vec::new(), deadline + AGENT_SLACK).await?;
    let Response::Ran { status, stdout, stderr, late } = response else {
        return Err(unexpected(remote, what, &response));
    };
    if status == Some(0) && !late {
        return Ok(stdout);
    }
    let ended = match status {
        _ if late => format!("its deadline of {}", humantime::format_duration(deadline)),
        Some(code) => format!("exit {code}"),
        None => "a signal".to_owned(),
    };
    let said = tail(if stderr.trim().is_empty() { &stdout } else { &stderr }, 8);
    let output = if said.is_empty() { "; it said nothing".to_owned() } else { format!("; it said:\n{said}") };
    Err(TargetError::Command {
        node: remote.node().name.clone(),
        what: what.to_owned(),
        command: head(&words),
        ended,
        output,
    })
}

/// Sends a request whose response is Done.
pub(super) async fn done(
    remote: &dyn Remote,
    what: &str,
    asked: Request,
    deadline: Duration,
) -> Result<(), TargetError> {
    match ask(remote, what, asked, Vec::new(), deadline).await? {
        (Response::Done, _) => Ok(()),
        (response, _) => Err(unexpected(remote, what, &response)),
    }
}

/// Writes a file, in chunks.
pub(super) async fn write(
    remote: &dyn Remote,
    path: &str,
    content: &[u8],
    mode: u32,
    owner: Option<&str>,
) -> Result<(), TargetError> {
    let what = format!("write {path}");
    let chunks: Vec<&[u8]> = if content.is_empty() { vec![&[]] } else { content.chunks(BLOB_BYTES_MAX).collect() };
    let mut offset = 0;
    for chunk in chunks {
        let asked = Request::Write { path: path.to_owned(), offset, mode, owner: owner.map(str::to_owned) };
        match ask(remote, &what, asked, chunk.to_vec(), QUICK).await? {
            (Response::Done, _) => offset += chunk.len() as u64,
            (response, _) => return Err(unexpected(remote, &what, &response)),
        }
    }
    Ok(())
}

/// Defines a service.
pub(super) async fn define(remote: &dyn Remote, service: &Service) -> Result<(), TargetError> {
    done(remote, &format!("define {}", service.name), Request::Define(service.clone()), QUICK).await
}

/// Starts a service.
pub(super) async fn start(remote: &dyn Remote, service: &str, again: bool) -> Result<(), TargetError> {
    let what = format!("start {service}");
    match ask(remote, &what, Request::Start { service: service.to_owned(), again }, Vec::new(), QUICK).await? {
        (Response::Started { .. } | Response::Done, _) => Ok(()),
        (response, _) => Err(unexpected(remote, &what, &response)),
    }
}

/// Stops a service.
pub(super) async fn stop(remote: &dyn Remote, service: &str, signal: i32, grace: Duration) -> Result<(), TargetError> {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let asked = Request::Stop { service: service.to_owned(), signal, grace_ms };
    done(remote, &format!("stop {service}"), asked, grace + QUICK).await
}

/// Lays layers over these folders, and takes all others away.
pub(super) async fn disk_layers(remote: &dyn Remote, folders: Vec<DiskFolder>) -> Result<(), TargetError> {
    let what = if folders.is_empty() { "take layers away" } else { "lay a layer over the target's folder" };
    done(remote, what, Request::DiskLayers { folders }, LAYERS).await
}

/// The services and their processes.
pub(super) async fn services(remote: &dyn Remote) -> Result<Vec<ServiceState>, TargetError> {
    match ask(remote, "list services", Request::Services, Vec::new(), QUICK).await? {
        (Response::Services(states), _) => Ok(states),
        (response, _) => Err(unexpected(remote, "list services", &response)),
    }
}

/// Files that match a pattern, with their sizes.
pub(super) async fn list(remote: &dyn Remote, pattern: &str) -> Result<Vec<(String, u64)>, TargetError> {
    let what = format!("list {pattern}");
    match ask(remote, &what, Request::List { pattern: pattern.to_owned() }, Vec::new(), QUICK).await? {
        (Response::Files(files), _) => Ok(files),
        (response, _) => Err(unexpected(remote, &what, &response)),
    }
}

/// A chunk of a file; empty at its end.
pub(super) async fn read(remote: &dyn Remote, path: &str, offset: u64) -> Result<Vec<u8>, TargetError> {
    let what = format!("read {path}");
    let bytes = u32::try_from(BLOB_BYTES_MAX).unwrap_or(u32::MAX);
    match ask(remote, &what, Request::Read { path: path.to_owned(), offset, bytes }, Vec::new(), QUICK).await? {
        (Response::Chunk { .. }, blob) => Ok(blob),
        (response, _) => Err(unexpected(remote, &what, &response)),
    }
}

/// The last lines of a text, each shortened.
pub(super) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last: Vec<String> =
        all[all.len().saturating_sub(lines)..].iter().map(|line| format!("  {}", head(line))).collect();
    last.join("\n")
}

/// The beginning of a text, for messages.
pub(super) fn head(text: &str) -> String {
    const CHARS: usize = 300;
    let text = text.trim();
    match text.char_indices().nth(CHARS) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}
