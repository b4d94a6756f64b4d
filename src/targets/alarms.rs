//! Alarms: lines of a target's log that only a bug causes (panics, failed assertions, corruption, reports of sanitizers and race
//! detectors), and lines that its recipe names.
//!
//! A word such as `fatal` or `corrupt` alone is no alarm, because healthy systems write it. PostgreSQL's `FATAL:` ends one
//! session (`the database system is starting up`), and is no alarm.
use super::logs;
use chrono::{DateTime, NaiveDateTime, Utc};

/// Equal lines of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The first of them, shortened.
    pub line: String,
    /// Its number, counted from 1.
    pub line_number: u64,
    /// Their number.
    pub times: u64,
    /// The wall-clock times of the first and the last, if they have one.
    pub between: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// A few lines around the first.
    pub around: Vec<String>,
    /// The line reports corrupt data. Recovery after a kill also reports the torn end of a file so.
    pub corruption: bool,
}

impl Alarm {
    /// Whether a line of the same kind joins this alarm: no long pause between them is known.
    fn joins(&self, time: Option<DateTime<Utc>>) -> bool {
        let pause = self.between.zip(time).map(|((_, last), time)| (time - last).abs());
        pause.map_or(self.between.is_none() && time.is_none(), |pause| pause.num_seconds() < PAUSE_SECONDS)
    }
}

/// A line is an alarm if it has all of these texts, in this order; `^` stands for its beginning.
const PATTERNS: &[&[&str]] = &[
    // Go: the runtime, its race detector, the highest levels of zap and logrus. glog's are in `is_glog_fatal`.
    &["^panic: "],
    &["^fatal error: "],
    &["WARNING: DATA RACE"],
    &["\"level\":\"panic\""],
    &["\"level\":\"dpanic\""],
    &["\"level\":\"fatal\""],
    &["level=fatal "],
    &["level=panic "],
    // Rust.
    &["thread '", " panicked at "],
    // C and C++: the C library, the compiler, the kernel.
    &["Assertion `", "' failed"],
    &["terminate called after throwing an instance of"],
    &["terminate called without an active exception"],
    &["*** stack smashing detected ***"],
    &["double free or corruption"],
    &["free(): invalid "],
    &["malloc(): "],
    &["corrupted size vs. prev_size"],
    &["corrupted double-linked list"],
    // Sanitizers and valgrind.
    &["ERROR: AddressSanitizer"],
    &["ERROR: HWAddressSanitizer"],
    &["ERROR: LeakSanitizer"],
    &["WARNING: ThreadSanitizer"],
    &["WARNING: MemorySanitizer"],
    &[": runtime error: "],
    &["==", "== Invalid read of size "],
    &["==", "== Invalid write of size "],
    // The Java machine, Python, Erlang (a node that only fails to start is in `IGNORED`).
    &["# A fatal error has been detected by the Java Runtime Environment"],
    &["java.lang.AssertionError"],
    &["java.lang.OutOfMemoryError"],
    &["^Fatal Python error: "],
    &["Kernel pid terminated"],
    // Databases.
    &["PANIC:  "],
    &["TRAP: ", "failed Assert"],
    &["TRAP: FailedAssertion"],
    &["was terminated by signal 6"],
    &["was terminated by signal 7"],
    &["was terminated by signal 8"],
    &["was terminated by signal 11"],
    &["invalid page in block "],
    &["page verification failed"],
    &["mysqld got signal "],
    &["mariadbd got signal "],
    &["InnoDB: Assertion failure"],
    &["=== REDIS BUG REPORT START"],
    &["=== ASSERTION FAILED ==="],
    &["Invariant failure"],
    &["Fatal assertion"],
    &["found data inconsistency with peers"],
];

/// Lines that report corrupt data. After a kill they may be about a half-written file.
const CORRUPTION: &[&[&str]] = &[
    &["Corruption: "],
    &["data corruption detected"],
    &["InnoDB: Database page corruption"],
    &["checksum mismatch"],
    &["crc mismatch"],
];

/// A line with one of these is no alarm: broken data are skipped as they must be after a kill, nothing was found, or an Erlang
/// node did not start because the others were away.
const IGNORED: &[&str] = &[
    "Ignoring error Corruption: ",
    "truncated record body",
    "no corruption",
    "without corruption",
    "corruption check",
    "corruption checking",
    "application_start_failure",
];

/// Most kinds of alarms in a log.
const KINDS_MAX: usize = 20;
/// Most records of lines about corrupt data, which hide no other alarm.
const CORRUPTION_MAX: usize = 1_000;
/// Lines about corrupt data with a longer pause between them get separate records, since only some may belong to a recovery.
const PAUSE_SECONDS: i64 = 10;
const LINE_CHARS: usize = 500;
const BEFORE: usize = 2;
const AFTER: usize = 6;

/// A recipe's rules beside the defaults, as texts with `{name}` holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmRules {
    /// Further alarms.
    pub alarms: Vec<String>,
    /// Lines that are never alarms.
    pub ignore: Vec<String>,
}

impl AlarmRules {
    /// Whether a line is an alarm.
    pub fn is_alarm(&self, line: &str) -> bool {
        let named = |patterns: &[String]| patterns.iter().any(|pattern| logs::matches(pattern, line).is_some());
        if named(&self.ignore) {
            return false;
        }
        let ignored = IGNORED.iter().any(|text| line.contains(text));
        let by_default = || is_bug(line) || CORRUPTION.iter().any(|pattern| has(line, pattern));
        named(&self.alarms) || (!ignored && by_default())
    }

    /// Whether an alarm reports only corrupt data. An alarm that the recipe names reports more.
    fn is_corruption(&self, line: &str) -> bool {
        let named = self.alarms.iter().any(|pattern| logs::matches(pattern, line).is_some());
        !named && !is_bug(line)
    }

    /// The alarms in a log, equal lines together, in the order of their first lines.
    pub fn find(&self, text: &str) -> Vec<Alarm> {
        let lines: Vec<&str> = text.lines().collect();
        let mut found: Vec<(String, Alarm)> = Vec::new();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| self.is_alarm(line)) {
            let (template, time) = (template(line), time_of(line));
            let moment = time.map(|time| (time, time));
            let corruption = self.is_corruption(line);
            let count = found.iter().filter(|(_, alarm)| alarm.corruption == corruption).count();
            let full = count >= if corruption { CORRUPTION_MAX } else { KINDS_MAX };
            // The last of its kind. Beyond the limit it stands for all further ones.
            let same = found
                .iter_mut()
                .rev()
                .find(|(known, alarm)| *known == template && (full || !corruption || alarm.joins(time)));
            if let Some((_, alarm)) = same {
                alarm.times += 1;
                alarm.between = alarm.between.zip(time).map(|((first, last), time)| (first.min(time), last.max(time)));
            } else if !full {
                let around = &lines[at.saturating_sub(BEFORE)..lines.len().min(at + AFTER + 1)];
                let around = around.iter().filter(|line| !line.trim().is_empty()).map(|line| cut(line)).collect();
                let (line, line_number) = (cut(line), at as u64 + 1);
                found.push((template, Alarm { line, line_number, times: 1, between: moment, around, corruption }));
            }
        }
        found.into_iter().map(|(_, alarm)| alarm).collect()
    }
}

/// Whether only a bug causes such a line, even after a kill.
fn is_bug(line: &str) -> bool {
    PATTERNS.iter().any(|pattern| has(line, pattern)) || is_fatal_level(line)
}

fn cut(line: &str) -> String {
    line.trim().chars().take(LINE_CHARS).collect()
}

fn has(line: &str, pattern: &[&str]) -> bool {
    let mut rest = line;
    pattern.iter().all(|part| match part.strip_prefix('^') {
        Some(start) => line.starts_with(start),
        None => match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        },
    })
}

/// `[FATAL]`, ` FATAL ` of log4j and similar libraries, and glog's `F1129 16:04:05.1`. Not `FATAL:`.
fn is_fatal_level(line: &str) -> bool {
    let level = line.split([' ', '\t', '[', ']', '|']).take(8).any(|word| word == "FATAL");
    let glog = || {
        let rest = line.strip_prefix('F')?;
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let clock = rest[digits..].strip_prefix(' ')?.as_bytes();
        let shape = b"dd:dd:dd.d";
        let fits = |(byte, shape): (&u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
        Some((digits == 4 || digits == 6) && clock.len() >= shape.len() && clock.iter().zip(shape).all(fits))
    };
    level || glog().unwrap_or(false)
}

/// The line with every number replaced, so that lines that differ in numbers only are equal.
fn template(line: &str) -> String {
    let mut template: Vec<&str> = Vec::new();
    for word in line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        match word.bytes().any(|byte| byte.is_ascii_digit()) {
            // A time with its zone has more parts than one without.
            true if template.last() == Some(&"#") => {}
            true => template.push("#"),
            false => template.push(word),
        }
    }
    template.join(" ")
}

/// The first time in the line's first characters: a date and a time of day, with a zone or in UTC.
fn time_of(line: &str) -> Option<DateTime<Utc>> {
    let head: String = line.chars().take(200).collect();
    let shape = b"dddd-dd-dd?dd:dd:dd";
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'?' => matches!(byte, b'T' | b' '),
        other => byte == other,
    };
    let bytes = head.as_bytes();
    let at = bytes.windows(shape.len()).position(|window| window.iter().zip(shape).all(fits))?;
    let (stamp, rest) = (head.get(at..at + shape.len())?, head.get(at + shape.len()..)?);
    let fraction: String =
        rest.strip_prefix(['.', ',']).unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
    let after = if fraction.is_empty() { rest } else { &rest[fraction.len() + 1..] };
    let stamp = format!("{}.{:0<1}", stamp.replace(' ', "T"), fraction);
    let naive = NaiveDateTime::parse_from_str(&stamp, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    let zone = after.get(..6).filter(|zone| zone.starts_with(['+', '-']) && zone.as_bytes()[3] == b':');
    let minutes = zone.and_then(|zone| {
        let number = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
        Some(if zone.starts_with('-') { -number } else { number })
    });
    Some(naive.and_utc() - chrono::TimeDelta::minutes(minutes.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrupt_data_is_told_apart_from_panics_and_from_what_the_recipe_names() {
        let text = "rocksdb: Corruption: block checksum mismatch\npanic: crc mismatch\nalarm CORRUPT: crc mismatch\n";
        let rules = AlarmRules { alarms: vec!["alarm CORRUPT".into()], ..AlarmRules::default() };
        let found: Vec<bool> = rules.find(text).iter().map(|alarm| alarm.corruption).collect();
        assert_eq!(found, [true, false, false]);
    }

    #[test]
    fn corrupt_data_at_two_times_has_two_records_and_hides_no_panic() {
        let line = |second: u32| format!("2026-11-29T16:00:{second:02}Z page 7: checksum mismatch\n");
        let log = [line(1), line(9), line(20), "page 7: checksum mismatch\n".to_owned()].concat();
        let times =
            |log: &str| -> Vec<u64> { AlarmRules::default().find(log).iter().map(|alarm| alarm.times).collect() };
        assert_eq!(times(&log), [2, 1, 1]);
        // They differ in their numbers.
        let many: String = ('a'..='z').map(|letter| format!("{letter}: crc mismatch\n")).collect();
        let found = AlarmRules::default().find(&format!("{many}panic: gone\n"));
        assert_eq!(found.last().map(|alarm| (&*alarm.line, alarm.corruption)), Some(("panic: gone", false)));
    }

    #[test]
    fn what_only_a_bug_writes_is_an_alarm() {
        let rules = AlarmRules::default();
        for line in [
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "fatal error: concurrent map writes",
            r#"{"level":"panic","ts":"2026-11-29T16:00:00.000Z","caller":"raft/raft.go:1","msg":"tocommit is out of range"}"#,
            r#"{"level":"fatal","ts":"2026-11-29T16:00:00Z","msg":"failed to purge snap file"}"#,
            "thread 'main' panicked at src/lib.rs:7:5:",
            "thread 'raft' (77) panicked at src/lib.rs:7:5: index out of bounds",
            "db: pager.c:12: flush: Assertion `page->dirty' failed.",
            "==77==ERROR: AddressSanitizer: heap-use-after-free on address 0x1",
            "WARNING: ThreadSanitizer: data race (pid=7)",
            "WARNING: DATA RACE",
            "store.cc:12:3: runtime error: signed integer overflow",
            "2026-11-29 16:00:00.123 UTC [77] PANIC:  could not locate a valid checkpoint record",
            "2026-11-29 16:00:00 UTC [7] LOG:  server process (PID 77) was terminated by signal 6: Aborted",
            "TRAP: failed Assert(\"x\"), File: \"a.c\", Line: 7, PID: 77",
            "251129 16:00:00 [ERROR] mysqld got signal 11 ;",
            "=== REDIS BUG REPORT START: Cut & paste starting from here ===",
            "F251129 16:00:00.123456 77 server/node.go:1  [n1] clock synchronization error",
            "F1129 16:00:00.123456 77 raft.cc:9] Check failed: a == b",
            "2026-11-29 16:00:00,123 FATAL [main] kafka.Kafka: Exiting",
            "[2026-11-29 16:00:00] [FATAL] raft: log is not continuous",
            "rocksdb: Corruption: block checksum mismatch: expected 1, got 2",
            "java.lang.OutOfMemoryError: Java heap space",
            "Kernel pid terminated (application_controller) ({application_terminated,rabbit,shutdown})",
            r#"{"Kernel pid terminated",application_controller,"{application_terminated,ra,shutdown}"}"#,
        ] {
            assert!(rules.is_alarm(line), "{line}");
        }
    }

    #[test]
    fn what_healthy_systems_write_is_none() {
        let rules = AlarmRules::default();
        for line in [
            "2026-11-29 16:00:00 UTC [77] FATAL:  the database system is starting up",
            "2026-11-29 16:00:00 UTC [77] FATAL:  the database system is shutting down",
            "2026-11-29 16:00:00 UTC [77] FATAL:  terminating connection due to administrator command",
            "2026-11-29 16:00:00 UTC [77] FATAL:  could not connect to the primary server: timeout",
            "psycopg2.OperationalError: FATAL:  the database system is starting up",
            "2026-11-29 16:00:00 UTC [7] LOG:  server process (PID 77) was terminated by signal 9: Killed",
            "2026-11-29 16:00:00 UTC [7] LOG:  invalid record length at 0/1573C68: expected at least 24, got 0",
            r#"{"level":"info","msg":"starting initial corruption check","local-member-id":"1"}"#,
            r#"{"level":"info","msg":"initial corruption checking passed; no corruption"}"#,
            r#"{"level":"warn","msg":"prober detected unhealthy status","error":"dial tcp: connection refused"}"#,
            r#"{"level":"warn","msg":"lost TCP streaming connection with remote peer","error":"EOF"}"#,
            r#"{"level":"info","msg":"Fatal errors are logged at this level","fatal":false}"#,
            "# WARNING: The TCP backlog setting of 511 cannot be enforced",
            "17:M 29 Nov 2026 16:00:00.000 # Connection with master lost.",
            "2026-11-29 16:00:00 [warning] <0.7.0> closing AMQP connection (client unexpectedly closed)",
            "2026/11/29 16:00:00 don't panic: this is a drill",
            "[Warning] WSREP: gcs: Ignoring error Corruption: dropping partial write set",
            "I20261129 recovered from panic in handler, see counter panics_total",
            "Traceback (most recent call last):",
            r#"Kernel pid terminated (application_controller) ("{application_start_failure,rabbit,{timeout_waiting_for_tables}}")"#,
        ] {
            assert!(!rules.is_alarm(line), "{line}");
        }
    }

    #[test]
    fn a_recipe_adds_and_takes_away() {
        let rules =
            AlarmRules { alarms: vec!["lost quorum of {any}".into()], ignore: vec!["panic: drill {any}".into()] };
        assert!(rules.is_alarm("12:00 lost quorum of shard-7"));
        assert!(!rules.is_alarm("panic: drill 7") && rules.is_alarm("panic: no drill"));
    }

    #[test]
    fn lines_that_say_the_same_are_one_alarm_with_its_times() {
        let log = "starting\n2026-11-29T16:00:00.5Z page 7: checksum mismatch\nok\n\
                   2026-11-29T17:00:02+01:00 page 8: checksum mismatch\npanic: gone\n";
        let found = AlarmRules::default().find(log);
        assert_eq!(found.iter().map(|alarm| (alarm.line_number, alarm.times)).collect::<Vec<_>>(), [(2, 2), (5, 1)]);
        let (first, last) = found[0].between.expect("times");
        assert_eq!((last - first).num_milliseconds(), 1500);
        assert_eq!((found[0].around[0].as_str(), found[1].between), ("starting", None));
    }
}
