//! The lines of the nodes' logs around a moment of the run. A line without a readable time is skipped. Never: judges.
//!
//! A node stamps lines by its own clock, which a clock fault shifts by a known offset. A line that lies in the fault's interval
//! only after subtracting the offset is shown at the corrected time and marked.
use super::input::ReportInput;
use super::words;
use chrono::{DateTime, NaiveDateTime, Utc};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

/// Greatest distance of a line from a moment.
const NEAR: u64 = 2_000_000_000;
const LINES_MAX: usize = 24;
/// Bytes searched in each log.
const BYTES_MAX: u64 = 64 << 20;
const LINE_BYTES_MAX: usize = 4000;

/// One line of a log.
pub(super) struct LogLine {
    /// Nanoseconds of the run.
    pub(super) time: u64,
    pub(super) node: String,
    /// The file, from the run's folder.
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: String,
    /// The subtracted offset, in milliseconds.
    pub(super) corrected: Option<f64>,
}

impl LogLine {
    /// Whether the line stands out: an error or a change of leader.
    pub(super) fn stands_out(&self) -> bool {
        let text = self.text.to_lowercase();
        let words = ["error", "warn", "fatal", "panic", "leader", "elect", "term", "lost", "fail", "promot", "demot"];
        words.iter().any(|word| text.contains(word))
    }
}

/// Lines of these nodes within two seconds of the moments, in order of time; if they are too many, those that stand out.
pub(super) fn around(input: &ReportInput<'_>, nodes: &[&str], moments: &[u64]) -> Vec<LogLine> {
    let Some(wall) = words::wall_start(input.history) else { return Vec::new() };
    let mut found = Vec::new();
    for node in nodes {
        let offsets = offsets(input, node);
        for path in files(&input.dir.node(node)) {
            let file = path.strip_prefix(input.dir.path()).unwrap_or(&path).to_path_buf();
            let near = |time: &u64| moments.iter().any(|moment| moment.abs_diff(*time) <= NEAR);
            for (number, text) in lines(&path) {
                let Some(stamp) = stamp(&text) else { continue };
                let Some((time, corrected)) = run_time(stamp, wall, &offsets) else { continue };
                if near(&time) {
                    found.push(LogLine { time, node: (*node).into(), file: file.clone(), number, text, corrected });
                }
            }
        }
    }
    found.sort_by_key(|line| line.time);
    if found.len() > LINES_MAX {
        let nearest = |line: &LogLine| moments.iter().map(|moment| moment.abs_diff(line.time)).min();
        found.sort_by_key(|line| (!line.stands_out(), nearest(line)));
        found.truncate(LINES_MAX);
        found.sort_by_key(|line| line.time);
    }
    found
}

/// The clock faults of a node: from, to, and the offset in milliseconds.
fn offsets(input: &ReportInput<'_>, node: &str) -> Vec<(u64, u64, f64)> {
    let row = input.summary.node_row(node);
    let steps = input.summary.clock_steps(input.history).into_iter().filter(|step| Some(step.2) == row);
    let possible = |since: u64| {
        let mut faults = input.history.faults.iter().filter_map(dsfuzz_checkers::Fault::possible);
        faults.rfind(|(from, to)| (*from..=*to).contains(&since))
    };
    steps
        .map(|(since, until, _, offset)| {
            possible(since).map_or((since, until, offset), |(from, to)| (from, to, offset))
        })
        .collect()
}

/// The moment of the run for a stamp.
fn run_time(stamp: DateTime<Utc>, wall: DateTime<Utc>, offsets: &[(u64, u64, f64)]) -> Option<(u64, Option<f64>)> {
    let nanos = (stamp - wall).num_nanoseconds()?;
    let plain = u64::try_from(nanos).ok();
    for (from, to, offset) in offsets {
        let shifted = u64::try_from(nanos - (offset * 1e6) as i64).ok();
        if let Some(time) = shifted.filter(|time| (*from..=*to).contains(time)) {
            return Some((time, Some(*offset)));
        }
    }
    plain.map(|time| (time, None))
}

/// The logs below a folder, without following links.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// Lines with their numbers; bytes that are not UTF-8 are replaced.
fn lines(path: &Path) -> impl Iterator<Item = (usize, String)> {
    let file = File::open(path).ok().map(|file| BufReader::new(std::io::Read::take(file, BYTES_MAX)));
    let read = file.into_iter().flat_map(|reader| reader.split(b'\n').map_while(Result::ok));
    read.enumerate().map(|(place, mut bytes)| {
        bytes.truncate(LINE_BYTES_MAX);
        (place + 1, String::from_utf8_lossy(&bytes).trim_end().to_owned())
    })
}

/// The first time in a line: RFC 3339 and similar forms, Redis' `29 Nov 2026 13:20:01.123`, or seconds since 1970. A time
/// without a zone counts as UTC, the zone of a lab's nodes.
fn stamp(line: &str) -> Option<DateTime<Utc>> {
    let head = line.char_indices().nth(160).map_or(line, |(cut, _)| &line[..cut]);
    for (at, _) in head.match_indices(|c: char| c.is_ascii_digit()) {
        let before = head[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-') {
            continue;
        }
        let rest = &head[at..];
        if let Some(found) = iso(rest).or_else(|| day_month_year(rest)).or_else(|| epoch(rest)) {
            return Some(found);
        }
    }
    None
}

/// `2026-11-29T13:20:01.123Z`, `2026-11-29 13:20:01,123 UTC`, `2026/11/29 13:20:01.123+0100`.
fn iso(text: &str) -> Option<DateTime<Utc>> {
    let date = text.get(..10)?.replace('/', "-");
    let between = text.get(10..11).filter(|between| ["T", " ", "t"].contains(between))?;
    let after = &text[10 + between.len()..];
    let length = after.find(|c: char| !(c.is_ascii_digit() || ":.,".contains(c))).unwrap_or(after.len());
    let time = after[..length].trim_end_matches([',', '.', ':']).replace(',', ".");
    let moment = NaiveDateTime::parse_from_str(&format!("{date}T{time}"), "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    let zone = &after[length..];
    let sign = match zone.as_bytes().first() {
        Some(b'+') => -1,
        Some(b'-') => 1,
        _ => return Some(moment.and_utc()),
    };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').take_while(char::is_ascii_digit).take(4).collect();
    let (hours, minutes) =
        (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..).and_then(|m| m.parse().ok()).unwrap_or(0i64));
    Some((moment + chrono::Duration::minutes(sign * (hours * 60 + minutes))).and_utc())
}

/// `29 Nov 2026 13:20:01.123`.
fn day_month_year(text: &str) -> Option<DateTime<Utc>> {
    let words: Vec<&str> = text.split_whitespace().take(4).collect();
    let [day, month, year, time] = words[..] else { return None };
    NaiveDateTime::parse_from_str(&format!("{day} {month} {year} {time}"), "%d %b %Y %H:%M:%S%.f")
        .ok()
        .map(|found| found.and_utc())
}

/// Seconds since 1970 with a fraction, or milliseconds.
fn epoch(text: &str) -> Option<DateTime<Utc>> {
    let length = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number = &text[..length];
    match number.split_once('.') {
        Some((seconds, fraction)) if seconds.len() == 10 && !fraction.is_empty() => {
            DateTime::from_timestamp_micros((number.parse::<f64>().ok()? * 1e6) as i64)
        }
        None if number.len() == 13 => DateTime::from_timestamp_millis(number.parse().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_the_usual_logs_are_read() {
        let noon = "2026-11-29T12:00:01.500Z".parse::<DateTime<Utc>>().unwrap();
        for line in [
            r#"{"level":"info","ts":"2026-11-29T12:00:01.500Z","caller":"raft.go:923","msg":"became leader"}"#,
            r#"{"level":"info","ts":1795953601.5,"msg":"x"}"#,
            "2026-11-29 12:00:01.500 UTC [77] LOG:  starting",
            "2026-11-29 12:00:01,500 INFO: no action",
            "2026-11-29T12:00:01.500000Z 0 [Note] WSREP: ready",
            "77:M 29 Nov 2026 12:00:01.500 * Ready",
            "2026/11/29 12:00:01.500 [INF] server",
            "2026-11-29T13:00:01.500+0100 x",
            "2026-11-29 12:00:01.500000+00:00 [info] <0.9.0>",
            "1795953601500 x",
        ] {
            assert_eq!(stamp(line), Some(noon), "{line}");
        }
        for line in ["no time here", "version 3.4.23 of 10.0.0.1:2379", "12345", "2026-11-29"] {
            assert_eq!(stamp(line), None, "{line}");
        }
    }

    #[test]
    fn a_known_clock_fault_is_taken_out_of_a_stamp() {
        let wall = "2026-11-29T12:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let at = |seconds: i64| wall + chrono::Duration::seconds(seconds);
        let minute = [(20_000_000_000, 30_000_000_000, 60_000.0)];
        assert_eq!(run_time(at(85), wall, &minute), Some((25_000_000_000, Some(60_000.0))));
        assert_eq!(run_time(at(10), wall, &minute), Some((10_000_000_000, None)));
        let back = [(20_000_000_000, 30_000_000_000, -60_000.0)];
        assert_eq!(run_time(at(-35), wall, &back), Some((25_000_000_000, Some(-60_000.0))));
        assert_eq!(run_time(at(-35), wall, &[]), None, "before the run");
    }
}
