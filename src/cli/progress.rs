//! [`TerminalProgress`]: the progress of a run on stderr: a live status area on a terminal, else one line every 10 s.
//!
//! Never: stdout, decisions.
use crate::harmless::{plain_line, plain_lines};
use crate::run::progress::{Progress, Snapshot};
use crate::secrets;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The live area, if there is one. Other output on stderr goes above it.
static LIVE: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn live() -> MutexGuard<'static, Option<ProgressBar>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines on stderr, above the live area if there is one. The text may come from a node: no escape sequence, no mark
/// that turns the direction of text and no secret in it reaches the terminal.
pub fn aside(text: &str) {
    aside_marked("", text);
}

/// As [`aside`], behind a mark of dsfuzz's own that may have a colour.
pub(super) fn aside_marked(mark: &str, text: &str) {
    let text = plain_lines(&secrets::redact(text));
    let bar = live().clone();
    let write = || {
        // Without stderr nothing can be reported.
        let _ = writeln!(std::io::stderr().lock(), "{mark}{text}");
    };
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows the progress of a run. Shared by reference; every method may be called from any thread.
#[derive(Debug)]
pub struct TerminalProgress {
    bar: Option<ProgressBar>,
    state: Mutex<ProgressState>,
}

#[derive(Debug)]
struct ProgressState {
    phase: String,
    since: Instant,
    deadline: Option<Duration>,
    last_line: Instant,
}

impl TerminalProgress {
    /// On stderr: live if it is a terminal that can.
    pub fn on_stderr() -> TerminalProgress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let bar = (std::io::stderr().is_terminal() && !dumb).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        live().clone_from(&bar);
        TerminalProgress::with(bar)
    }

    /// No live area; lines go to stderr (tests, `--json` scripts).
    pub fn in_lines() -> TerminalProgress {
        TerminalProgress::with(None)
    }

    fn with(bar: Option<ProgressBar>) -> TerminalProgress {
        let now = Instant::now();
        let state = ProgressState { phase: String::new(), since: now, deadline: None, last_line: now };
        TerminalProgress { bar, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for TerminalProgress {
    fn phase(&self, name: &str, deadline: Option<Duration>) {
        let now = Instant::now();
        let text = status(name, Duration::ZERO, deadline, None);
        *self.state() = ProgressState { phase: name.into(), since: now, deadline, last_line: now };
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => aside(&text),
        }
    }

    fn tick(&self, snapshot: &Snapshot) {
        let now = Instant::now();
        let text = {
            let mut state = self.state();
            if self.bar.is_none() && now.duration_since(state.last_line) < LINE_EVERY {
                return;
            }
            state.last_line = now;
            status(&state.phase, now.duration_since(state.since), state.deadline, Some(snapshot))
        };
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => aside(&text),
        }
    }

    fn line(&self, text: &str) {
        aside(text);
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            *live() = None;
        }
    }
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// One line: the phase, the time in it and left, the numbers, the faults.
fn status(phase: &str, spent: Duration, deadline: Option<Duration>, snapshot: Option<&Snapshot>) -> String {
    let mut text = format!("{phase:<9} {}", seconds(spent));
    if let Some(deadline) = deadline {
        text.push_str(&format!(" of {}", seconds(deadline)));
    }
    if let Some(Snapshot { ops_per_s, ok, fail, info, faults }) = snapshot {
        text.push_str(&format!("  {ops_per_s:.0} ops/s  ok {ok}  fail {fail}  info {info}"));
        if !faults.is_empty() {
            text.push_str(&format!("  faults: {}", faults.join("; ")));
        }
    }
    plain_line(&text)
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 120 { format!("{seconds} s") } else { format!("{}:{:02} min", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_says_where_the_run_is() {
        let snapshot =
            Snapshot { ops_per_s: 401.6, ok: 9, fail: 2, info: 1, faults: vec!["kill n1".into(), "pause n2".into()] };
        let line = status("load", Duration::from_secs(5), Some(Duration::from_secs(150)), Some(&snapshot));
        assert_eq!(line, "load      5 s of 2:30 min  402 ops/s  ok 9  fail 2  info 1  faults: kill n1; pause n2");
        assert_eq!(status("connect", Duration::ZERO, None, None), "connect   0 s");
    }

    #[test]
    fn without_a_terminal_ticks_are_rare() {
        let progress = TerminalProgress::in_lines();
        progress.phase("load", None);
        let before = progress.state().last_line;
        for _ in 0..1000 {
            progress.tick(&Snapshot::default());
        }
        assert_eq!(progress.state().last_line, before);
        progress.state().last_line -= LINE_EVERY;
        progress.tick(&Snapshot::default());
        assert!(progress.state().last_line >= before);
    }
}
