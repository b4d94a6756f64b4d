//! [`Program`]: a child under a guard ([`super::guard`]), with lines in and out and standard error kept. Dropping it kills the
//! child with all its descendants.
use super::guard;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use nix::unistd::{AccessFlags, access};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

/// Bytes kept of a program's standard error; further bytes are read and dropped.
const STDERR_BYTES_MAX: u64 = 1 << 20;
/// Least size that a file counts for, so that clients which are reopened for each call do not fill a folder with files.
const FILE_BYTES_MIN: u64 = 4096;
/// How long to wait for the status and the last output of a program that has closed its output.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes of it in errors.
const TAIL_BYTES: u64 = 600;

/// A running program.
pub(super) struct Program {
    child: Child,
    guard: Option<Pid>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Bytes of an unfinished line, kept here so that a cancelled read loses nothing.
    partial: Vec<u8>,
    line_bytes_max: usize,
    stderr: PathBuf,
    keeper: Option<JoinHandle<()>>,
}

/// The result of reading a line.
#[derive(Clone, Debug)]
pub(super) enum OutputLine {
    /// A line, without its end.
    Text(String),
    /// The end of the output. An unfinished line is dropped: the program died within it.
    End,
    /// A line above the limit.
    TooLong,
    /// To a client of a shared program: the program ended, with these last words as the end of a sentence.
    Ended(String),
    /// To a client of a shared program: some line of the program was no client's. Holds the mistake.
    Malformed(String),
}

impl Drop for Program {
    fn drop(&mut self) {
        // The guard has not been waited for, so its number, which is that of the group, cannot belong to another
        // process.
        let (Some(guard), Some(_)) = (self.guard, self.child.id()) else { return };
        let stat = std::fs::read_to_string(format!("/proc/{guard}/stat")).unwrap_or_default();
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
            // It ended: properly, or by a kill.
            let _ = killpg(guard, Signal::SIGKILL);
        } else {
            let _ = kill(guard, Signal::SIGTERM);
        }
    }
}

/// The command of a program: program and arguments; one element alone is a script for `/bin/sh`.
fn command(argv: &[String]) -> std::io::Result<Vec<&str>> {
    match argv {
        [] => Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program is named")),
        [script] => Ok(vec!["/bin/sh", "-c", script]),
        words => Ok(words.iter().map(String::as_str).collect()),
    }
}

/// The words of a script that is one plain command without shell syntax; a leading `exec` is left out.
pub(in crate::targets) fn plain_words(script: &str) -> Option<Vec<&str>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | ',' | ':' | '@' | ' ');
    let script = script.trim();
    let script = script.strip_prefix("exec ").unwrap_or(script);
    script.chars().all(plain).then(|| script.split_whitespace().collect())
}

/// The first program of a script, if it is plain.
fn first_word(script: &str) -> Option<&str> {
    let assigns =
        |word: &&str| word.split('=').next().is_some_and(|name| name.len() < word.len() && !name.contains('/'));
    let mut words = script.split_whitespace().skip_while(|word| *word == "exec" || assigns(word));
    let word = words.next()?;
    plain_words(word).filter(|words| !words.is_empty() && !word.starts_with('-')).map(|_| word)
}

/// The reason why the program of a client cannot be started in this folder with this environment: it is missing or not
/// executable. For a script the shell looks up the first word, which may be a built-in.
pub(super) fn missing(argv: &[String], folder: &Path, path: Option<&str>) -> Option<std::io::Error> {
    let words = match command(argv) {
        Ok(words) => words,
        Err(error) => return Some(error),
    };
    let folder = folder_of(folder);
    let not_found = |message: String| Some(std::io::Error::new(std::io::ErrorKind::NotFound, message));
    if !folder.is_dir() {
        return not_found(format!("there is no folder {}", folder.display()));
    }
    let path = path.map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let program = match argv {
        [script] => {
            let word = first_word(script)?;
            // Only for names without a folder: some shells do not check the file of a path.
            let known = std::process::Command::new(words[0])
                .args(["-c", "command -v \"$1\"", "sh", word])
                .current_dir(folder)
                .env("PATH", &path)
                .stdin(std::process::Stdio::null())
                .output();
            if !word.contains('/') && known.is_ok_and(|known| known.status.success()) {
                return None;
            }
            word
        }
        _ => words[0],
    };
    let executable = |file: &Path| file.is_file() && access(file, AccessFlags::X_OK).is_ok();
    if program.contains('/') {
        let file = folder.join(program);
        return match (executable(&file), file.exists()) {
            (true, _) => None,
            (false, true) => Some(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                format!("{} is not an executable file", file.display()),
            )),
            (false, false) => not_found(format!("there is no {}", file.display())),
        };
    }
    if std::env::split_paths(&path).any(|place| executable(&folder.join(place).join(program))) {
        return None;
    }
    not_found(format!("no program `{program}` is in PATH ({})", path.to_string_lossy()))
}

fn folder_of(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

impl Program {
    /// Starts it in `folder`. Its standard error is appended to the file `stderr` while there is room.
    pub(super) fn start(
        argv: &[String],
        folder: &Path,
        env: &BTreeMap<String, String>,
        stderr: PathBuf,
        stderr_room: Arc<AtomicU64>,
        line_bytes_max: usize,
    ) -> std::io::Result<Program> {
        if let Some(error) = missing(argv, folder, env.get("PATH").map(String::as_str)) {
            return Err(error);
        }
        let mut command = guard::guarded(&command(argv)?)?;
        command.current_dir(folder_of(folder)).envs(env).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let guard = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let missing = || std::io::Error::other("a pipe to the program is missing");
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(missing)?);
        let errors = child.stderr.take().ok_or_else(missing)?;
        let keeper = Some(tokio::spawn(keep(errors, stderr.clone(), stderr_room)));
        let output = BufReader::new(output);
        Ok(Program { child, guard, input, output, partial: Vec::new(), line_bytes_max, stderr, keeper })
    }

    /// The status and last standard error of a program that has closed its output, as the end of a sentence.
    pub(super) async fn end(&mut self) -> String {
        let status = tokio::time::timeout(LAST_WORDS, self.child.wait()).await;
        if let Some(keeper) = self.keeper.take() {
            let _ = tokio::time::timeout(LAST_WORDS, keeper).await;
        }
        let status = match status {
            Ok(Ok(status)) => match (status.code(), status.signal()) {
                // The guard ends like a shell: with 128 plus the number of the signal.
                (Some(code), _) => match Signal::try_from(code - 128) {
                    Ok(signal) => format!(" (exit status {code}: {signal})"),
                    Err(_) => format!(" (exit status {code})"),
                },
                (None, Some(number)) => format!(" (its guard was killed by signal {number})"),
                (None, None) => String::new(),
            },
            _ => " (it closed its standard output and runs on)".to_owned(),
        };
        format!("{status}{}", self.stderr_tail())
    }

    /// Its standard input, for a task that writes; [`Program::send`] then fails.
    pub(super) fn take_input(&mut self) -> Option<ChildStdin> {
        self.input.take()
    }

    /// Writes a line.
    pub(super) async fn send(&mut self, line: &str) -> std::io::Result<()> {
        let Some(input) = &mut self.input else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        input.write_all(&bytes).await?;
        input.flush().await
    }

    /// Ends its standard input.
    pub(super) fn end_input(&mut self) {
        self.input = None;
    }

    /// Reads a line.
    pub(super) async fn line(&mut self) -> std::io::Result<OutputLine> {
        loop {
            let buffer = self.output.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(OutputLine::End);
            }
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(buffer.len());
            if self.partial.len() + taken > self.line_bytes_max {
                return Ok(OutputLine::TooLong);
            }
            self.partial.extend_from_slice(&buffer[..taken]);
            self.output.consume(taken + usize::from(newline.is_some()));
            if newline.is_some() {
                let line = std::mem::take(&mut self.partial);
                return Ok(OutputLine::Text(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    /// The end of its standard error, as the end of a sentence.
    pub(super) fn stderr_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = std::fs::File::open(&self.stderr)?;
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        match read() {
            Ok(text) if !text.is_empty() => {
                format!("; its standard error ({}) ends with: {text}", self.stderr.display())
            }
            _ => String::new(),
        }
    }
}

/// Appends a program's standard error to its file, up to its own limit and that of all programs. Goes on reading beyond, so
/// that the program never blocks. The file is made with its first byte.
async fn keep(mut errors: ChildStderr, path: PathBuf, room: Arc<AtomicU64>) {
    let mut file: Option<tokio::fs::File> = None;
    let (mut kept, mut full) = (0, false);
    let mut buffer = vec![0u8; 8192];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        if full {
            continue;
        }
        if file.is_none() {
            full = !take(&room, FILE_BYTES_MIN);
            if full {
                continue;
            }
            if let Some(folder) = path.parent() {
                let _ = tokio::fs::create_dir_all(folder).await;
            }
            file = tokio::fs::OpenOptions::new().create(true).append(true).open(&path).await.ok();
        }
        let Some(open) = &mut file else { continue };
        let wanted = usize::try_from(STDERR_BYTES_MAX.saturating_sub(kept)).unwrap_or(0).min(count);
        full = wanted == 0 || !take(&room, wanted as u64);
        if !full && open.write_all(&buffer[..wanted]).await.is_ok() && open.flush().await.is_ok() {
            kept += wanted as u64;
        }
    }
}

/// Takes these bytes of the room, if it has as many.
fn take(room: &AtomicU64, bytes: u64) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
}
