//! Follows logs of this node: waits for new lines in which a regular expression is found. The wait is here and not on the control
//! node, so that a line is known a few milliseconds after it was written.
use crate::files;
use crate::sys;
use dsfuzz_nemesis::protocol::{FollowedLine, Response};
use regex_lite::Regex;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Time between two looks at the files' lengths.
const LOOK: Duration = Duration::from_millis(2);
/// Time between two looks for new files.
const LIST: Duration = Duration::from_millis(200);
/// Bytes that are read of a file at once.
const CHUNK: usize = 64 << 10;
/// Characters of a line that are reported.
const LINE_CHARACTERS_MAX: usize = 500;
/// Lines of one response.
const LINES_MAX: usize = 100;
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Waits for new lines. `positions`: where the earlier response ended; without them, the present ends of the files.
pub(crate) fn follow(
    logs: &[String],
    patterns: &[String],
    positions: Option<BTreeMap<String, u64>>,
    wait: Duration,
) -> Result<Response, String> {
    let patterns = patterns
        .iter()
        .map(|pattern| Regex::new(pattern).map_err(|error| format!("{pattern} is no regular expression: {error}")))
        .collect::<Result<Vec<Regex>, String>>()?;
    let first = positions.is_none();
    let mut positions = positions.unwrap_or_default();
    let mut names = listed(logs)?;
    if first {
        positions.extend(names.iter().map(|name| (name.clone(), length(name))));
        return Ok(Response::Followed { lines: Vec::new(), positions });
    }
    let (end_ns, mut listed_ns) = (sys::boottime_ns() + nanos(wait.min(WAIT_MAX)), sys::boottime_ns());
    loop {
        let mut lines = Vec::new();
        for name in &names {
            let position = positions.entry(name.clone()).or_default();
            read_new(name, position, &patterns, &mut lines);
        }
        if !lines.is_empty() || sys::boottime_ns() >= end_ns {
            return Ok(Response::Followed { lines, positions });
        }
        std::thread::sleep(LOOK);
        if sys::boottime_ns().saturating_sub(listed_ns) > nanos(LIST) {
            names = listed(logs)?;
            listed_ns = sys::boottime_ns();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn listed(logs: &[String]) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for log in logs {
        if let Response::Files(files) = files::list(log)? {
            names.extend(files.into_iter().map(|(name, _)| name));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn length(name: &str) -> u64 {
    std::fs::metadata(name).map_or(0, |about| about.len())
}

/// Adds the new whole lines of a file in which a pattern is found. A file that became shorter was begun anew.
fn read_new(name: &str, position: &mut u64, patterns: &[Regex], lines: &mut Vec<FollowedLine>) {
    let length = length(name);
    if length < *position {
        *position = 0;
    }
    if length == *position {
        return;
    }
    let Ok(file) = File::open(name) else { return };
    let mut chunk = vec![0u8; CHUNK];
    while lines.len() < LINES_MAX {
        let Ok(got) = file.read_at(&mut chunk, *position) else { return };
        // The end of an unfinished line may still come; one that is longer than a chunk is cut.
        let whole = chunk[..got].iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let Some(whole) = whole.or((got == CHUNK).then_some(CHUNK)) else { return };
        for line in String::from_utf8_lossy(&chunk[..whole]).lines() {
            for (pattern, _) in patterns.iter().enumerate().filter(|(_, pattern)| pattern.is_match(line)) {
                let line = line.trim().chars().take(LINE_CHARACTERS_MAX).collect();
                lines.push(FollowedLine { log: name.to_owned(), pattern, line });
            }
        }
        *position += whole as u64;
    }
}
