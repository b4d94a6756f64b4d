//! Every fast checker against brute force on random small histories. A short run is part of the tests; as many as one
//! likes are `make fuzz-checkers COUNT=1000000 ONLY=queue SEED=1`.
use dsfuzz_checkers::oracles::{Difference, Stats, differences};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Histories of each comparison in a short run.
const SHORT: u64 = 1_000;
/// Histories from one seed; the next thousand have the next seed, so that a difference is found again quickly.
const CHUNK: u64 = 1_000;
/// Histories for each invalid one, at most: with fewer invalid ones the comparison proves nothing.
const INVALID_LEAST: u64 = 200;

struct Row {
    of: Difference,
    chunks: u64,
    stats: Stats,
    spent: Duration,
    difference: Option<String>,
}

fn option<T: std::str::FromStr>(arguments: &[String], name: &str) -> Option<T> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).and_then(|value| value.parse().ok())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let count = option(&arguments, "--count").unwrap_or(SHORT);
    let seed: u64 = option(&arguments, "--seed").unwrap_or(1);
    let only: Option<String> = option(&arguments, "--only");
    let without: Option<String> = option(&arguments, "--without");
    // Parts of names, with semicolons between them.
    let named = |list: &str, name: &str| list.split(';').any(|part| name.contains(part));
    let wanted = |name: &str| {
        only.as_ref().is_none_or(|only| named(only, name)) && !without.as_ref().is_some_and(|list| named(list, name))
    };
    let rows: Vec<Mutex<Row>> = differences()
        .into_iter()
        .filter(|of| wanted(&of.name))
        .map(|of| {
            let chunks = count.div_ceil(CHUNK);
            Mutex::new(Row { of, chunks, stats: Stats::default(), spent: Duration::ZERO, difference: None })
        })
        .collect();
    let next = AtomicUsize::new(0);
    println!("{:32} {:>10} {:>10} {:>8}", "checker", "histories", "invalid", "s");
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // No one else has this row: each is taken once.
                    if let Ok(mut row) = row.lock() {
                        run(&mut row, seed);
                    }
                }
            });
        }
    });
    let failed = rows.iter().filter(|row| row.lock().map_or(true, |row| row.difference.is_some())).count();
    println!("{} comparisons, {failed} with a difference", rows.len());
    if failed == 0 && !rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(row: &mut Row, seed: u64) {
    let started = Instant::now();
    for chunk in 0..row.chunks {
        match (row.of.differ)(seed + chunk, CHUNK) {
            Ok(stats) => {
                row.stats.histories += stats.histories;
                row.stats.invalid += stats.invalid;
            }
            Err(difference) => {
                row.difference = Some(format!("seed {}: {difference}", seed + chunk));
                break;
            }
        }
    }
    row.spent = started.elapsed();
    if row.difference.is_none() && row.stats.invalid * INVALID_LEAST < row.stats.histories {
        row.difference = Some("hardly any history is invalid: this shows nothing".to_owned());
    }
    let Stats { histories, invalid } = row.stats;
    println!("{:32} {histories:>10} {invalid:>10} {:>8.1}", row.of.name, row.spent.as_secs_f64());
    if let Some(difference) = &row.difference {
        println!("DIFFERENT: {}: {difference}", row.of.name);
    }
}
