//! The recorder and its journal: nothing is lost but what was in flight, and what is broken is refused.
use dsfuzz::run::journal::{self, JournalError};
use dsfuzz::run::recorder::Recorder;
use dsfuzz_checkers::history::{FaultEvent, FaultStep, HistoryError, Record, RoleClaim, read_jsonl};
use dsfuzz_checkers::{History, Outcome, Phase, Value};
use dsfuzz_workloads::{Call, CallResult};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DIR: &str = "DSFUZZ_TEST_JOURNAL";
const SEGMENT_HEAD_BYTES: usize = 64;

fn write(value: i64) -> Call {
    let [workload, f] = ["register", "write"].map(Arc::from);
    Call { workload, f, key: Value::Int(1), value: Value::Int(value) }
}

fn begin(dir: &Path, segment_bytes: usize) -> Arc<Recorder> {
    Recorder::with_segments(dir, &["n1".to_owned()], "2026-01-02T03:04:05Z".to_owned(), segment_bytes)
        .expect("a recorder")
}

fn one_op(recorder: &Recorder, process: u64, value: i64) {
    recorder.invoke(process as u32, process, &Arc::from("n1"), &write(value), false).expect("recorded");
    recorder.complete(process, &CallResult::Ok(Value::Nil).into());
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn records(dir: &Path) -> Vec<Record> {
    let mut all = Vec::new();
    journal::for_each(dir, |record| {
        all.push(record);
        Ok(())
    })
    .expect("a readable journal");
    all
}

/// Runs a test of this file once more as a process of its own, for it to be killed or limited: there, [`as_child`] is so.
fn child(test: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a child")
}

/// The folder that the parent gave, in the process that [`child`] started.
fn as_child() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

#[test]
fn index_is_dense_times_grow_and_the_export_is_the_same_history() {
    let dir = tempfile::tempdir().expect("a folder");
    let recorder = begin(dir.path(), 16 << 10);
    recorder.phase(Phase::Load);
    std::thread::scope(|scope| {
        for process in 0..4 {
            let recorder = &recorder;
            scope.spawn(move || (0..500).for_each(|value| one_op(recorder, process, value)));
        }
    });
    let sent = recorder.mark();
    let claim = RoleClaim {
        leads: None,
        index: 0,
        time: 0,
        sent_index: sent.index,
        sent_time: sent.time,
        node: Arc::from("n1"),
        role: Arc::from("leader"),
        term: Some(3),
        term_with_role: true,
        source: Arc::from("probe"),
        detail: String::new(),
    };
    let came = recorder.role(claim);
    assert_eq!((came.index, came.time >= sent.time), (sent.index + 1, true));
    let begun = recorder.fault(FaultEvent {
        index: 0,
        time: 0,
        fault: 0,
        kind: Arc::from("kill"),
        step: FaultStep::Begun,
        what: "kill n1".to_owned(),
        nodes: vec!["n1".to_owned()],
        cut: Vec::new(),
        detail: Vec::new(),
        ended: None,
        problem: None,
        name: String::new(),
        entry: None,
        damages: false,
    });
    recorder.note("n1", "restarted");
    recorder.end();
    recorder.note("", "after the end");
    assert_eq!(recorder.failure(), None);

    let mut jsonl = Vec::new();
    let exported = journal::export(dir.path(), &mut jsonl).expect("an export");
    let all = records(dir.path());
    assert_eq!((exported as usize, all.len()), (all.len(), 4006));
    let lines: Vec<Record> = jsonl
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a record"))
        .collect();
    assert_eq!(lines, all);
    let stamps: Vec<(u64, u64)> = all
        .iter()
        .map(|record| serde_json::to_value(record).expect("JSON"))
        .map(|json| (json["index"].as_u64().expect("an index"), json["time"].as_u64().expect("a time")))
        .collect();
    assert!(stamps.iter().enumerate().all(|(position, stamp)| stamp.0 == position as u64));
    assert!(stamps.is_sorted_by_key(|stamp| stamp.1));

    let history = journal::read(dir.path()).expect("a history");
    let again = read_jsonl(&jsonl[..]).expect("a history");
    assert_eq!((history.ops().len(), again.ops().len(), history.complete), (2000, 2000, true));
    assert!(history.ops().iter().all(|op| op.outcome == Outcome::Ok));
    assert_eq!(history.faults[0].begun, Some(begun));
    assert_eq!((history.roles[0].index, history.roles[0].sent_index), (came.index, sent.index));
    assert_eq!(history.notes.len(), 1);
    assert!(segments(dir.path()).len() > 3, "small segments are turned over");
}

/// A journal with one operation complete and a last record, cut off without an end; where that record begins and ends.
fn with_last_record(dir: &Path) -> (PathBuf, Vec<u8>, usize, usize) {
    let recorder = begin(dir, 16 << 10);
    one_op(&recorder, 0, 1);
    recorder.invoke(0, 0, &Arc::from("n1"), &write(2), false).expect("recorded");
    recorder.complete(0, &CallResult::info("connection reset by peer while waiting").into());
    drop(recorder);
    let path = segments(dir).remove(0);
    let bytes = fs::read(&path).expect("a segment");
    let (mut at, mut begins) = (SEGMENT_HEAD_BYTES, Vec::new());
    while at < bytes.len() {
        begins.push(at);
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        at += (24 + length).next_multiple_of(8);
    }
    let last = *begins.last().expect("records");
    assert_eq!(begins.len(), 5);
    let length = u32::from_le_bytes(bytes[last..last + 4].try_into().expect("4 bytes")) as usize;
    (path, bytes, last, last + 24 + length)
}

#[test]
fn a_record_torn_at_any_byte_is_all_that_is_lost() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, whole, begins, ends) = with_last_record(dir.path());
    let read = || journal::read(dir.path()).expect("a history");
    assert_eq!(read().ops().at(1).reply, 4);
    for torn_at in begins..ends {
        let zeroed: Vec<u8> = whole[..torn_at].iter().copied().chain(std::iter::repeat_n(0, 4096)).collect();
        let mut uncommitted = zeroed.clone();
        uncommitted[begins..begins + 8].fill(0);
        for (how, bytes) in
            [("zeroed", &zeroed), ("truncated", &whole[..torn_at].to_vec()), ("uncommitted", &uncommitted)]
        {
            fs::write(&path, bytes).expect("written");
            let history = read();
            let open = history.ops().at(1);
            assert_eq!((history.ops().len(), history.complete), (2, false), "{how} at {torn_at}");
            assert_eq!((history.ops().at(0).reply, open.reply), (2, u64::MAX), "{how} at {torn_at}");
            assert_eq!(open.outcome, Outcome::Info);
        }
    }
}

#[test]
fn damage_in_the_middle_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, whole, begins, _) = with_last_record(dir.path());
    for byte in SEGMENT_HEAD_BYTES..begins {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0x40;
        fs::write(&path, damaged).expect("written");
        match journal::read(dir.path()) {
            Err(JournalError::Broken { .. }) => {}
            // Bytes that only fill up a frame carry nothing.
            Ok(history) => assert_eq!(history.ops().at(1).reply, 4, "a flipped bit at {byte} changed the history"),
            Err(other) => panic!("a flipped bit at {byte}: {other}"),
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let recorder = begin(dir.path(), 4096);
    (0..200).for_each(|value| one_op(&recorder, 0, value));
    recorder.end();
    let all = segments(dir.path());
    assert!(all.len() > 3);
    fs::remove_file(&all[1]).expect("removed");
    let error = journal::read(dir.path()).expect_err("a hole");
    assert!(error.to_string().contains("segment-000001"), "{error}");
    all[2..all.len() - 1].iter().for_each(|path| fs::remove_file(path).expect("removed"));
    fs::rename(&all[all.len() - 1], &all[1]).expect("renamed");
    assert!(matches!(journal::read(dir.path()), Err(JournalError::Foreign { .. })));
}

#[test]
fn a_recording_that_contradicts_itself_is_refused() {
    let broken = |record: &dyn Fn(&Recorder)| {
        let dir = tempfile::tempdir().expect("a folder");
        let recorder = begin(dir.path(), 4096);
        record(&recorder);
        recorder.end();
        matches!(journal::read(dir.path()), Err(JournalError::History(HistoryError::Broken { .. })))
    };
    let node: Arc<str> = Arc::from("n1");
    assert!(broken(&|recorder| {
        recorder.invoke(0, 0, &node, &write(1), false);
        recorder.invoke(0, 0, &node, &write(2), false);
    }));
    assert!(broken(&|recorder| {
        recorder.complete(0, &CallResult::Ok(Value::Nil).into());
    }));
    assert!(broken(&|recorder| {
        recorder.invoke(0, 0, &node, &write(1), false);
        recorder.complete(0, &CallResult::info("timeout").into());
        recorder.invoke(0, 0, &node, &write(2), false);
    }));
    assert!(!broken(&|recorder| one_op(recorder, 0, 1)));
}

#[test]
fn a_record_larger_than_a_segment_gets_one_of_its_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let recorder = begin(dir.path(), 4096);
    let large = Value::list((0..20_000).map(Value::Int));
    for process in 0..3 {
        recorder.invoke(0, process, &Arc::from("n1"), &write(1), true).expect("recorded");
        recorder.complete(process, &CallResult::Ok(large.clone()).into());
    }
    recorder.end();
    let history = journal::read(dir.path()).expect("a history");
    assert_eq!(history.ops().len(), 3);
    assert!(history.ops().iter().all(|op| op.output == large && op.settle));
}

#[test]
fn a_second_recorder_is_refused_the_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let recorder = begin(dir.path(), 4096);
    let error = Recorder::create(dir.path(), &[], String::new()).expect_err("the folder is in use");
    assert!(error.to_string().contains("cannot begin the journal"), "{error}");
    one_op(&recorder, 0, 1);
    recorder.end();
    assert_eq!(journal::read(dir.path()).expect("a history").ops().len(), 1);
}

fn record_until_killed(dir: &Path) {
    let recorder = begin(dir, 64 << 10);
    let value = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for process in 0..3 {
            let (recorder, value) = (&recorder, &value);
            scope.spawn(move || {
                loop {
                    let value = value.fetch_add(1, Ordering::Relaxed) as i64;
                    one_op(recorder, process, value);
                    // One write call for each line, so that lines of threads do not mix.
                    let _ = std::io::stderr().flush();
                    let _ = std::io::stdout().lock().write_all(format!("\n+{value}\n").as_bytes());
                }
            });
        }
    });
}

#[test]
fn kill_9_loses_only_calls_in_flight() {
    if let Some(dir) = as_child() {
        return record_until_killed(&dir);
    }
    for round in 0..5 {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = child("kill_9_loses_only_calls_in_flight", dir.path());
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let number = |line: String| line.strip_prefix('+').and_then(|text| text.parse::<i64>().ok());
        let mut acknowledged: Vec<i64> = lines.by_ref().filter_map(number).take(500 + round * 777).collect();
        child.kill().expect("killed");
        // What it had said before it died counts too; its last line may be cut in two.
        let mut rest: Vec<String> = lines.collect();
        rest.pop();
        acknowledged.extend(rest.into_iter().filter_map(number));
        assert_eq!(child.wait().expect("a status").signal(), Some(9));

        let history: History = journal::read(dir.path()).expect("a history");
        assert!(!history.complete);
        let mut ok: Vec<i64> = Vec::new();
        ok.extend(history.ops().iter().filter(|op| op.outcome == Outcome::Ok).filter_map(|op| op.input.as_int()));
        ok.sort_unstable();
        let lost: Vec<_> = acknowledged.iter().filter(|value| ok.binary_search(value).is_err()).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
        assert!(history.ops().len() - ok.len() <= 3, "one call in flight for each thread");
    }
}

fn run_out_of_space(dir: &Path) {
    use nix::sys::resource::{Resource, setrlimit};
    let recorder = begin(dir, 64 << 10);
    let spare_made = Instant::now() + Duration::from_secs(20);
    while segments(dir).len() < 2 && Instant::now() < spare_made {
        std::thread::yield_now();
    }
    // No file may grow from here: as on a full disk, but for this process alone.
    #[expect(unsafe_code, reason = "ignoring the signal makes a too large file an error and not a death")]
    // SAFETY: no handler is installed.
    unsafe {
        nix::sys::signal::signal(nix::sys::signal::Signal::SIGXFSZ, nix::sys::signal::SigHandler::SigIgn)
            .expect("ignored");
    }
    setrlimit(Resource::RLIMIT_FSIZE, 4096, 4096).expect("limited");
    run_out(&recorder);
}

/// Records until there is no room; says how many operations were recorded to their end, and why it failed.
fn run_out(recorder: &Recorder) {
    let (mut recorded, mut early) = (0u64, false);
    while recorder.invoke(0, 0, &Arc::from("n1"), &write(recorded as i64), false).is_some() {
        early |= recorder.failed();
        recorder.complete(0, &CallResult::Ok(Value::Nil).into());
        recorded += 1;
        assert!(recorded < 1_000_000, "the disk never became full");
    }
    recorder.end();
    let why = recorder.failure().expect("a reason");
    let _ = std::io::stdout().lock().write_all(format!("\n+{recorded}\n+{}\n+{why}\n", u8::from(early)).as_bytes());
}

fn judge_run_out(dir: &Path, mut child: Child) {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let output: Vec<String> = lines.filter_map(|line| line.strip_prefix('+').map(str::to_owned)).collect();
    assert!(child.wait().expect("a status").success());
    let [recorded, _, why] = &output[..] else { panic!("{output:?}") };
    assert!(why.contains("cannot reserve") && why.contains("make room"), "{why}");
    let history = journal::read(dir).expect("a history");
    let ok = count_ok(&history) as i64;
    // The last reply may have found no room; everything before it is there.
    let recorded: i64 = recorded.parse().expect("a number");
    assert!(recorded > 100 && (recorded - 1..=recorded).contains(&ok), "{ok} of {recorded}");
}

#[test]
fn a_disk_that_is_full_is_a_clean_failure() {
    if let Some(dir) = as_child() {
        return run_out_of_space(&dir);
    }
    let dir = tempfile::tempdir().expect("a folder");
    let child = child("a_disk_that_is_full_is_a_clean_failure", dir.path());
    judge_run_out(dir.path(), child);
}

#[test]
fn after_a_record_that_found_no_room_nothing_is_written_even_when_there_is_room_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let (folder, aside) = (dir.path().join("journal"), dir.path().join("aside"));
    let recorder = begin(&folder, 4096);
    fs::rename(&folder, &aside).expect("renamed");
    let invoke = |process| recorder.invoke(0, process, &Arc::from("n1"), &write(1), false);
    let recorded = (0..10_000).take_while(|process| invoke(*process).is_some()).count();
    assert!((1..10_000).contains(&recorded) && recorder.failed());
    fs::rename(&aside, &folder).expect("renamed");
    assert_eq!(invoke(10_000), None);
    recorder.complete(0, &CallResult::Ok(Value::Nil).into());
    recorder.end();
    let history = journal::read(&folder).expect("a prefix of what happened");
    assert_eq!((history.ops().len(), count_ok(&history), history.complete), (recorded, 0, false));
}

fn count_ok(history: &History) -> usize {
    history.ops().iter().filter(|op| op.outcome == Outcome::Ok).count()
}

fn fill_a_small_disk(dir: &Path) {
    use nix::mount::{MsFlags, mount};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
    let disk = dir.join("disk");
    fs::create_dir(&disk).expect("a folder");
    mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=640k")).expect("a small disk");
    run_out(&begin(&disk.join("journal"), 128 << 10));
    fs::create_dir(dir.join("journal")).expect("a folder");
    for segment in segments(&disk.join("journal")) {
        let to = dir.join("journal").join(segment.file_name().expect("a name"));
        fs::copy(segment, to).expect("copied off the small disk");
    }
}

#[test]
fn a_small_disk_filled_to_the_brim_is_a_clean_failure() {
    if let Some(dir) = as_child() {
        return fill_a_small_disk(&dir);
    }
    if !nix::unistd::geteuid().is_root() {
        println!("not root: a disk cannot be mounted, the limit on file size stands for it");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let child = child("a_small_disk_filled_to_the_brim_is_a_clean_failure", dir.path());
    judge_run_out(&dir.path().join("journal"), child);
}
