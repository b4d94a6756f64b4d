//! Stores of texts under 10 to 60 clients, judged by us and by Porcupine in one run: time and memory side by side, one
//! process for each figure, the fastest of several. Figures, not tests.
//!
//! `DSFUZZ_PORCUPINE` names a checkout of Porcupine (github.com/anishathalye/porcupine); Go builds it here. Where either is
//! missing, each row says so. Histories are made here, by seed; files of Porcupine's own tests and those of
//! `DSFUZZ_CORPORA` are rows too. `-- --file FILE` judges one file, `-- --write FOLDER` keeps the histories.
mod rng;

use dsfuzz_checkers::history::{Format, ReadOptions, read};
use dsfuzz_checkers::{Budget, Options, Value, checker_with, judge_one};
use rng::Rng;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No check may take longer.
const LIMIT: Duration = Duration::from_secs(60);
/// Processes of which the fastest counts.
const REPEATS: usize = 5;
/// The program that asks Porcupine.
const PEER: &str = include_str!("porcupine/main.go");
const MODULE: &str = "github.com/anishathalye/porcupine";

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// One get, after two thirds of the calls, lacks a change that had been acknowledged before it was called.
    Stale,
    /// Every 500th get does.
    OftenStale,
    /// One append, after two thirds of the calls, is acknowledged without effect.
    Lost,
}

/// What a generated history is like. Each text is written once; each client waits little between two calls.
#[derive(Clone, Copy)]
struct Shape {
    clients: usize,
    calls: usize,
    keys: usize,
    /// Puts among 100 calls. Half of the calls are gets, and the others are appends.
    puts: u64,
    bug: Bug,
    seed: u64,
}

fn shapes() -> Vec<(String, Shape)> {
    let mut rows = Vec::new();
    let mut row = |clients, calls, puts, bug, seed| {
        let words = match bug {
            Bug::None => "valid",
            Bug::Stale => "a stale get",
            Bug::OftenStale => "stale gets",
            Bug::Lost => "a lost append",
        };
        let with = if puts == 0 { "" } else { ", puts" };
        let name = format!("{clients} clients, {calls} calls{with}, {words} ({seed})");
        rows.push((name, Shape { clients, calls, keys: 10, puts, bug, seed }));
    };
    for clients in [40, 50, 60] {
        // A put could hide it.
        row(clients, 2_000, 0, Bug::Lost, 3);
        for puts in [0, 5] {
            row(clients, 2_000, puts, Bug::None, 1);
            row(clients, 2_000, puts, Bug::Stale, 2);
        }
    }
    for seed in [4, 5] {
        row(50, 4_000, 5, Bug::OftenStale, seed);
        row(60, 4_000, 0, Bug::OftenStale, seed);
    }
    row(50, 20_000, 5, Bug::None, 6);
    row(50, 20_000, 5, Bug::Stale, 7);
    rows
}

/// What a key holds.
#[derive(Clone, Default)]
struct Key {
    now: String,
    /// What it held before the latest change that was acknowledged.
    before: Option<String>,
}

/// A call under way.
struct Call {
    function: &'static str,
    key: usize,
    value: String,
    /// What a stale get returns.
    old: Option<String>,
    /// What it held before, once it took effect; for a get, what it returned.
    held: Option<String>,
}

/// A history in Porcupine's text format: each call takes effect at some moment between its call and its reply.
fn generate(shape: Shape) -> String {
    let mut rng = Rng(shape.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut text = String::new();
    let mut keys = vec![Key::default(); shape.keys];
    let mut open: Vec<Option<Call>> = (0..shape.clients).map(|_| None).collect();
    let mut made = vec![0usize; shape.clients];
    let (mut calls, mut gets, mut broken) = (0, 0, false);
    while calls < shape.calls || open.iter().any(Option::is_some) {
        let at = rng.below(shape.clients as u64) as usize;
        let due = !broken && calls > shape.calls * 2 / 3;
        let Some(call) = &mut open[at] else {
            if calls < shape.calls {
                let key = rng.below(shape.keys as u64) as usize;
                let function = match rng.below(100) {
                    0..50 => "get",
                    kind if kind < 50 + shape.puts => "put",
                    _ => "append",
                };
                let value = if function == "get" { String::new() } else { format!("x {at} {} y", made[at]) };
                let shown = if function == "get" { "nil".to_owned() } else { format!("\"{value}\"") };
                let _ =
                    writeln!(text, "{{:process {at}, :type :invoke, :f :{function}, :key \"{key}\", :value {shown}}}");
                made[at] += 1;
                calls += 1;
                open[at] = Some(Call { function, key, value, old: keys[key].before.clone(), held: None });
            }
            continue;
        };
        let key = &mut keys[call.key];
        if call.held.is_none() {
            call.held = Some(key.now.clone());
            match call.function {
                "get" => {
                    gets += 1;
                    let stale = shape.bug == Bug::Stale && due || shape.bug == Bug::OftenStale && gets % 500 == 0;
                    if let (true, Some(old)) = (stale, call.old.take()) {
                        (call.held, broken) = (Some(old), true);
                    }
                }
                "put" => key.now = call.value.clone(),
                _ if shape.bug == Bug::Lost && due => broken = true,
                _ => key.now += &call.value,
            }
            continue;
        }
        let shown = if call.function == "get" { call.held.clone().unwrap_or_default() } else { call.value.clone() };
        let _ = writeln!(
            text,
            "{{:process {at}, :type :ok, :f :{}, :key \"{}\", :value \"{shown}\"}}",
            call.function, call.key
        );
        if call.function != "get" {
            key.before = call.held.take();
        }
        open[at] = None;
    }
    text
}

/// What one process found: the verdict, seconds, seconds of the processors, MiB.
#[derive(Clone)]
struct Figures {
    verdict: String,
    seconds: f64,
    worked: f64,
    mib: f64,
}

impl Figures {
    /// From a line of either program.
    fn of(line: &str) -> Option<Figures> {
        let mut fields = line.split_whitespace();
        let verdict = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Figures { verdict, seconds: number()?, worked: number()?, mib: number()? })
    }

    /// The fastest of several processes.
    fn fastest(mut run: impl FnMut() -> Command) -> Figures {
        let one = |_| {
            let output = run().output().expect("it can be run");
            let line = String::from_utf8_lossy(&output.stdout).into_owned();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{error}");
            Figures::of(&line).unwrap_or_else(|| panic!("not understood: {line} {error}"))
        };
        let all: Vec<Figures> = (0..REPEATS).map(one).collect();
        let least = |figure: fn(&Figures) -> f64| all.iter().map(figure).fold(f64::MAX, f64::min);
        Figures {
            verdict: all[0].verdict.clone(),
            seconds: least(|one| one.seconds),
            worked: least(|one| one.worked),
            mib: least(|one| one.mib),
        }
    }
}

/// What a line of `/proc/self/status` says, MiB; 0 where there is none.
fn status_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Seconds that the processors worked for this process, to a hundredth; 0 where nobody tells.
fn worked() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may contain anything. Ticks are hundredths of a second everywhere.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Judges one file and prints the figures.
fn judge(path: &Path) {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let history = read(Format::PorcupineKv, &text[..], &ReadOptions::default());
    let history = history.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    drop(text);
    let options = Options([("model".to_owned(), Value::text("kv"))].into());
    let checker = checker_with("linearizable", &options).expect("it is listed");
    let (before, start) = (worked(), Instant::now());
    let deadline = start + LIMIT;
    let budget = Budget { expired: Arc::new(move || Instant::now() > deadline), ..Budget::unlimited() };
    let verdict = judge_one(&*checker, &history, &budget);
    let (took, cpu) = (start.elapsed().as_secs_f64(), worked() - before);
    println!("{:?} {took:.6} {cpu:.6} {:.1}", verdict.validity, status_mib("VmHWM:"));
    eprintln!("{}", verdict.summary);
}

/// The program that asks Porcupine, or what is missing for it.
fn peer(folder: &Path) -> Result<PathBuf, String> {
    let checkout = std::env::var_os("DSFUZZ_PORCUPINE")
        .ok_or(format!("Porcupine is missing: DSFUZZ_PORCUPINE does not name a checkout of {MODULE}"))?;
    let checkout = std::fs::canonicalize(&checkout).map_err(|error| format!("DSFUZZ_PORCUPINE: {error}"))?;
    let module =
        format!("module peer\n\ngo 1.16\n\nrequire {MODULE} v0.0.0\n\nreplace {MODULE} => {}\n", checkout.display());
    let written = |name: &str, text: &str| std::fs::write(folder.join(name), text).map_err(|error| error.to_string());
    written("go.mod", &module)?;
    written("main.go", PEER)?;
    let build = Command::new("go").args(["build", "-o", "peer", "."]).current_dir(folder).output();
    let build = build.map_err(|error| format!("Porcupine is missing: go cannot be run: {error}"))?;
    if !build.status.success() {
        return Err(format!("Porcupine cannot be built: {}", String::from_utf8_lossy(&build.stderr).trim()));
    }
    Ok(folder.join("peer"))
}

/// Files of Porcupine's own tests and of the corpora, each name once.
fn files() -> Vec<(String, PathBuf)> {
    let corpora = std::env::var_os("DSFUZZ_CORPORA").map(PathBuf::from);
    let corpora = corpora.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"));
    let own = std::env::var_os("DSFUZZ_PORCUPINE").map(|folder| PathBuf::from(folder).join("test_data/kv"));
    let folders = own.into_iter().chain([corpora.join("porcupine-kv"), corpora.join("../cases")]);
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for entry in folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kv = name.ends_with(".txt") && (name.starts_with('c') || name.starts_with("kv-"));
        if kv && files.iter().all(|(known, _)| *known != name) {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    files
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| arguments.iter().position(|one| one == flag).and_then(|at| arguments.get(at + 1));
    if let Some(file) = after("--file") {
        return judge(Path::new(file));
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let scratch = std::env::temp_dir().join(format!("dsfuzz-kv-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a folder for the histories");
    let kept = after("--write").map(PathBuf::from);
    let peer = peer(&scratch);
    let mut rows = files();
    for (at, (name, shape)) in shapes().into_iter().enumerate() {
        let path = kept.as_ref().unwrap_or(&scratch).join(format!("row-{at}.txt"));
        std::fs::write(&path, generate(shape)).expect("the history can be written");
        rows.push((name, path));
    }
    let program = std::env::current_exe().expect("this program's path");
    println!(
        "{:<46} {:<8} {:>9} {:>9} {:>8} {:>8} {:>7} {:>7}  aim: as fast and as small",
        "store of texts", "verdict", "check s", "peer s", "cpu s", "peer cpu", "MiB", "peer"
    );
    let mut missed = 0;
    for (name, path) in rows {
        let ours = Figures::fastest(|| {
            let mut command = Command::new(&program);
            command.arg("--file").arg(&path);
            command
        });
        let begin = format!("{name:<46} {:<8} {:>9.4}", ours.verdict, ours.seconds);
        let peer = match &peer {
            Err(why) => {
                println!(
                    "{begin} {:>9} {:>8.3} {:>8} {:>7.1} {:>7}  not compared: {why}",
                    "", ours.worked, "", ours.mib, ""
                );
                continue;
            }
            Ok(program) => Figures::fastest(|| {
                let mut command = Command::new(program);
                command.arg(&path).arg(format!("{}s", LIMIT.as_secs()));
                command
            }),
        };
        let met = ours.verdict == peer.verdict && ours.seconds <= peer.seconds && ours.mib <= peer.mib;
        missed += usize::from(!met);
        println!(
            "{begin} {:>9.4} {:>8.4} {:>8.4} {:>7.1} {:>7.1}  {}{}",
            peer.seconds,
            ours.worked,
            peer.worked,
            ours.mib,
            peer.mib,
            if met { "met" } else { "missed" },
            if ours.verdict == peer.verdict { "" } else { ": another verdict" }
        );
    }
    println!("{missed} missed");
    let _ = std::fs::remove_dir_all(&scratch);
}
