//! [`Program`]: a child in a process group of its own, lines in and out, standard error kept. Dropping it kills the
//! whole group.
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// So much of what a program writes to standard error is kept; the rest is read and forgotten.
const STDERR_BYTES_MAX: u64 = 1 << 20;
/// So much of it is shown in errors.
const TAIL_BYTES: u64 = 600;

/// A running program.
pub(super) struct Program {
    child: Child,
    group: Option<Pid>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// Bytes of a line that has not ended yet; kept here so that a reading that was given up loses nothing.
    partial: Vec<u8>,
    line_bytes_max: usize,
    stderr: PathBuf,
}

/// What was read.
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// Nothing more will come. A line without its end is nothing: the program died within it.
    End,
    /// A line that is longer than allowed.
    TooLong,
}

impl Drop for Program {
    fn drop(&mut self) {
        // The child has not been waited for, so its number, which is that of the group, cannot have been given to
        // anybody else.
        if let (Some(group), Some(_)) = (self.group, self.child.id()) {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Program {
    /// Starts it in `folder`. Its standard error is appended to the file `stderr`.
    pub(super) fn start(
        argv: &[String],
        folder: &Path,
        env: &BTreeMap<String, String>,
        stderr: PathBuf,
        line_bytes_max: usize,
    ) -> std::io::Result<Program> {
        let mut command = match argv {
            [script] => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(script);
                shell
            }
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            [] => return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program is named")),
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        command.current_dir(folder).envs(env).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let missing = || std::io::Error::other("a pipe to the program is missing");
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(missing)?);
        let errors = child.stderr.take().ok_or_else(missing)?;
        tokio::spawn(keep(errors, stderr.clone()));
        Ok(Program { child, group, input, output: BufReader::new(output), partial: Vec::new(), line_bytes_max, stderr })
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
    pub(super) async fn line(&mut self) -> std::io::Result<Line> {
        loop {
            let buffer = self.output.fill_buf().await?;
            if buffer.is_empty() {
                return Ok(Line::End);
            }
            let newline = buffer.iter().position(|byte| *byte == b'\n');
            let taken = newline.unwrap_or(buffer.len());
            if self.partial.len() + taken > self.line_bytes_max {
                return Ok(Line::TooLong);
            }
            self.partial.extend_from_slice(&buffer[..taken]);
            self.output.consume(taken + usize::from(newline.is_some()));
            if newline.is_some() {
                let line = std::mem::take(&mut self.partial);
                return Ok(Line::Text(String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    /// What it wrote to standard error last, as the end of a sentence.
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

/// Appends what a program writes to standard error to its file, up to a limit; goes on reading after it, so that the
/// program never waits. The file is made only when there is something to keep.
async fn keep(mut errors: ChildStderr, path: PathBuf) {
    let mut file: Option<tokio::fs::File> = None;
    let mut kept = 0;
    let mut buffer = vec![0u8; 8192];
    while let Ok(count @ 1..) = errors.read(&mut buffer).await {
        if file.is_none() {
            if let Some(folder) = path.parent() {
                let _ = tokio::fs::create_dir_all(folder).await;
            }
            file = tokio::fs::OpenOptions::new().create(true).append(true).open(&path).await.ok();
        }
        let Some(open) = &mut file else { continue };
        let wanted = usize::try_from(STDERR_BYTES_MAX.saturating_sub(kept)).unwrap_or(0).min(count);
        if wanted > 0 && open.write_all(&buffer[..wanted]).await.is_ok() && open.flush().await.is_ok() {
            kept += wanted as u64;
        }
    }
}
