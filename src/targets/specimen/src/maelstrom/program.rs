//! [`Program`]: the node program, a child of this process: lines to it and from it.
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// How long a program takes to end after its output has ended.
const END: Duration = Duration::from_secs(1);

/// A node program.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    lines: Sender<String>,
}

impl Program {
    /// Starts the program, and gives what it writes. Its standard error is that of this process.
    pub(super) fn start(path: &str, arguments: &[&str]) -> Result<(Program, BufReader<ChildStdout>), String> {
        let child = Command::new(path).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| format!("the program {path} cannot be started: {error}"))?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("the program {path} has no pipes"));
        };
        let (lines, queued) = channel::<String>();
        // A program that does not read must not hold up the node's answers to others.
        std::thread::spawn(move || {
            for line in queued {
                if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                    return;
                }
            }
        });
        Ok((Program { child, lines }, BufReader::new(stdout)))
    }

    /// Writes a line to the program. It is lost if the program has ended.
    pub(super) fn write(&self, line: impl ToString) {
        let _ = self.lines.send(format!("{}\n", line.to_string()));
    }

    /// How the program ended, whose output has ended.
    pub(super) fn ended(&mut self) -> String {
        let by = Instant::now() + END;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if Instant::now() < by => std::thread::sleep(END / 100),
                // Nothing can be heard of it any more.
                _ => return "it closed its standard output and goes on".to_owned(),
            }
        }
    }
}
