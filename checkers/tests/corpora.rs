//! Histories with known verdicts, from public test suites and from a generator: each must come out as is written beside
//! it. One process for each, so that its memory can be told; the last lines are a table of all.
//!
//! The folder is named by `DSFUZZ_CORPORA`, or stands beside the project. Without it nothing is shown, and that is said.
use dsfuzz_checkers::history::{Format, ReadOptions, read_any};
use dsfuzz_checkers::{Budget, Options, Severity, Validity, Value, checker_with, judge_one};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One question and its answer.
type Question = (&'static str, &'static [(&'static str, &'static str)], Validity);

/// Files whose label says less than ours, with the reason.
const ARGUED: &[(&str, Validity, &str)] = &[
    (
        "mongodb-v0-ack-rollback-9.edn",
        Validity::Unknown,
        "nothing was acknowledged, so valid would say more than was seen",
    ),
    (
        "mongodb-v0-ack-rollback-10.edn",
        Validity::Unknown,
        "nothing was acknowledged, so valid would say more than was seen",
    ),
    ("counter.edn", Validity::Unknown, "no read was made, so valid would say more than was seen"),
    ("counter.json", Validity::Unknown, "no read was made, so valid would say more than was seen"),
    ("elle/rw-register.json", Validity::Invalid, "a read returned 3, which nobody ever wrote"),
];

/// A child is told by this what it has to judge.
const ROW: &str = "--row";
/// No file may take longer.
const TIME_MAX: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder, file, kind, expected] = &arguments[..]
        && flag == ROW
    {
        println!("{}", judge(Path::new(folder).join(file), file, kind, expected));
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let folder = std::env::var_os("DSFUZZ_CORPORA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora"));
    let Ok(expected) = std::fs::read_to_string(folder.join("expected.tsv")) else {
        println!("NOT RUN: there are no histories in {} (DSFUZZ_CORPORA names another folder)", folder.display());
        return ExitCode::SUCCESS;
    };
    let filter: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (mut differences, mut argued) = (0, 0);
    let mut rows = 0;
    println!("{:46} {:>8} {:>9} {:>9} {:>7}  verdict", "file", "ops", "read ms", "check ms", "MiB");
    for line in expected.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(file), Some(kind), Some(expected)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if !filter.is_empty() && !filter.iter().any(|wanted| file.contains(wanted.as_str())) {
            continue;
        }
        rows += 1;
        let row = child(&folder, file, kind, expected);
        argued += usize::from(row.contains("ARGUED"));
        differences += usize::from(!row.contains("as expected") && !row.contains("ARGUED"));
        println!("{file:46} {row}");
    }
    println!("{rows} files, {differences} differences, {argued} argued");
    if differences == 0 && rows > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn child(folder: &Path, file: &str, kind: &str, expected: &str) -> String {
    let program = std::env::current_exe().expect("the program itself");
    let output =
        Command::new(program).arg(ROW).arg(folder).args([file, kind, expected]).output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    if output.status.success() && !told.is_empty() {
        return told;
    }
    format!("DIFFERENT: it died: {}", String::from_utf8_lossy(&output.stderr).trim_end())
}

/// What is asked of a file of this kind.
fn questions(kind: &str, expected: &str) -> Vec<Question> {
    use Validity::{Invalid, Valid};
    let plain = if expected.starts_with("valid") { Valid } else { Invalid };
    match kind {
        "cas-register" | "cas-register, keys independent" => {
            vec![("linearizable", &[("model", "cas-register")], plain)]
        }
        "mutex" => vec![("linearizable", &[("model", "mutex")], plain)],
        "bank" => vec![("bank", &[], plain)],
        // One read: only with the total can it be judged at all.
        "bank (negative balances allowed)" => vec![("bank", &[("negative_balances", "true"), ("total", "30")], plain)],
        "counter" => vec![("counter", &[], plain)],
        "set" => vec![("set", &[], plain)],
        "set-full" => vec![("set-full", &[], plain)],
        "long-fork, group size 3" => vec![("long-fork", &[], plain)],
        "rw-register" => vec![("rw-register", &[], plain)],
        kind if kind.starts_with("kv") => vec![("linearizable", &[("model", "kv")], plain)],
        "list-append" => match expected {
            "strict-serializable" => vec![("list-append", &[], Valid)],
            _ if expected.starts_with("snapshot isolation holds") => vec![
                ("list-append", &[("model", "snapshot-isolation")], Valid),
                ("list-append", &[("model", "serializable")], Invalid),
                ("list-append", &[], Invalid),
            ],
            _ => vec![("list-append", &[], Invalid), ("list-append", &[("model", "serializable")], Invalid)],
        },
        "transactions on registers (RC, RA, causal)" => {
            let levels = ["read-committed", "read-atomic", "causal-transactions"];
            let holds = match expected {
                "causal holds" => 3,
                "strongest level that holds: read-atomic" => 2,
                "strongest level that holds: read-committed" => 1,
                _ => 0,
            };
            let answer = |place: usize| if place < holds { Valid } else { Invalid };
            levels.iter().enumerate().map(|(place, level)| (*level, &[][..], answer(place))).collect()
        }
        _ => Vec::new(),
    }
}

/// Anomalies that the label names.
fn named(kind: &str, expected: &str) -> Vec<String> {
    if kind != "list-append" {
        return Vec::new();
    }
    let list =
        expected.strip_prefix("invalid: ").or(expected.split_once('(').map(|(_, list)| list.trim_end_matches(')')));
    list.into_iter().flat_map(|list| list.split(", ")).filter(|name| !name.contains(' ')).map(str::to_owned).collect()
}

fn judge(path: PathBuf, file: &str, kind: &str, expected: &str) -> String {
    let started = Instant::now();
    let opened = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let independent = kind.contains("keys independent") && !file.ends_with(".jsonl") && !kind.starts_with("kv");
    let options = ReadOptions { independent: Some(independent), ..ReadOptions::default() };
    let (_, history): (Format, _) = read_any(opened, &options).unwrap_or_else(|error| panic!("{file}: {error}"));
    let read = started.elapsed();
    let started = Instant::now();
    let deadline = started + TIME_MAX;
    let budget = Budget { expired: Arc::new(move || Instant::now() > deadline), ..Budget::unlimited() };
    let questions = questions(kind, expected);
    let mut wrong = Vec::new();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for (name, given, answer) in &questions {
        let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::text(text));
        let options = Options(given.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect());
        let checker = checker_with(name, &options).unwrap_or_else(|error| panic!("{file}: {error}"));
        let verdict = judge_one(&*checker, &history, &budget);
        let argued = ARGUED.iter().find(|(argued, _, _)| file.ends_with(argued)).map(|(_, argued, _)| argued);
        if verdict.validity != *argued.unwrap_or(answer) {
            wrong.push(format!("{name} {given:?}: {:?} instead of {answer:?}: {}", verdict.validity, verdict.summary));
        }
        found.extend(verdict.findings.iter().map(|finding| finding.kind.clone()));
        if verdict.validity == Validity::Invalid
            && !verdict.findings.iter().any(|one| one.severity == Severity::Violation)
        {
            wrong.push(format!("{name}: invalid without a finding"));
        }
    }
    wrong.extend(
        named(kind, expected).into_iter().filter(|name| !found.contains(name)).map(|name| format!("no {name}")),
    );
    if questions.is_empty() {
        wrong.push(format!("nobody judges {kind}"));
    }
    let argued = ARGUED.iter().find(|(argued, _, _)| file.ends_with(argued));
    let answer = match (wrong.is_empty(), argued) {
        (true, None) => format!("{expected}, as expected"),
        (true, Some((_, ours, why))) => format!("{ours:?}, ARGUED, where the label says {expected}: {why}"),
        (false, _) => format!("DIFFERENT from {expected}: {}", wrong.join("; ")),
    };
    format!(
        "{:>8} {:>9.2} {:>9.2} {:>7.1}  {answer}",
        history.ops().len(),
        read.as_secs_f64() * 1e3,
        started.elapsed().as_secs_f64() * 1e3,
        resident_mib()
    )
}

/// The most memory that this process ever held, of the kernel.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().split(' ').next()).and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}
