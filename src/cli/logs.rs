//! The program's own log: stderr, and the file of the run once there is one.
//!
//! Never: stdout, which is the result.
use crate::harmless::plain_lines;
use crate::secrets;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// The run's log, once [`to_file`] has opened it.
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Starts logging on stderr: warnings; with `-v` also actions; with `-vv` everything. `DSFUZZ_LOG` replaces this by a filter.
pub fn init(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "warn,dsfuzz=info",
        _ => "info,dsfuzz=trace",
    };
    let wanted = std::env::var("DSFUZZ_LOG").ok().filter(|filter| !filter.is_empty());
    let (filter, refused) = match wanted.map(|filter| EnvFilter::try_new(&filter).map_err(|error| (filter, error))) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(refused)) => (EnvFilter::new(level), Some(refused)),
        None => (EnvFilter::new(level), None),
    };
    let stderr = tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
    let stderr = stderr.with_writer(StderrEvent::default).with_filter(filter);
    let file = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| RunLog).with_filter(LevelFilter::DEBUG);
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry().with(stderr).with(file).try_init();
    if let Some((filter, error)) = refused {
        tracing::warn!("DSFUZZ_LOG={filter} is not a filter: {error}");
    }
}

/// From now on the log also goes to this file (`dsfuzz.log` of a run), added at its end.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    *FILE.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
    Ok(())
}

/// One event for stderr, written above the live progress.
#[derive(Default)]
struct StderrEvent {
    text: Vec<u8>,
}

impl Write for StderrEvent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for StderrEvent {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        if !text.trim().is_empty() {
            super::progress::aside(text.trim_end());
        }
    }
}

/// One event for the run's log.
struct RunLog;

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            let text = plain_lines(&secrets::redact(&String::from_utf8_lossy(bytes)));
            file.write_all(format!("{text}\n").as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
