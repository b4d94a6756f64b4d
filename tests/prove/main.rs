//! Shows on real clusters what the project claims. Resumable: each result is kept under `results/prove/` and not run again.
//!
//! ```text
//! make prove ARGS="--lines valid,serializable,redis,kill,cut,agent,interrupt --seeds 1-10 --repeat 5 --again"
//! make prove ARGS="--lines galera,patroni,rabbitmq,sentinel --seeds 1-3"
//! ```
mod leftovers;
mod results;
mod runs;
mod twins;

use results::StoredResults;
use std::process::ExitCode;

const USAGE: &str = "options: --lines valid,serializable,redis,kill,cut,agent,interrupt,galera,patroni,rabbitmq,sentinel (default: all) | --seeds 1-10 | --repeat 5 | --again";

/// Every line, in the order in which they are shown.
const ALL: [&str; 11] = [
    "valid",
    "serializable",
    "redis",
    "kill",
    "cut",
    "agent",
    "interrupt",
    "galera",
    "patroni",
    "rabbitmq",
    "sentinel",
];

/// What to show.
struct Options {
    lines: Vec<String>,
    seeds: Vec<u64>,
    repeat: u64,
    again: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("prove: {message}\n{USAGE}");
            return ExitCode::from(254);
        }
    };
    let mut kept = StoredResults::open("results/prove", options.again);
    for line in &options.lines {
        let cases = match line.as_str() {
            "valid" | "serializable" | "redis" => runs::cases(line, &options.seeds),
            "galera" | "patroni" | "rabbitmq" | "sentinel" => twins::cases(line, &options.seeds),
            "kill" | "cut" | "agent" => leftovers::cases(line, options.repeat),
            "interrupt" => runs::interrupts(options.repeat),
            other => {
                eprintln!("prove: no line called '{other}'\n{USAGE}");
                return ExitCode::from(254);
            }
        };
        for case in cases {
            kept.show(line, case);
        }
    }
    println!("{}", kept.table());
    if kept.all_as_claimed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options =
        Options { lines: ALL.map(String::from).to_vec(), seeds: (1..=10).collect(), repeat: 5, again: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--lines" => options.lines = value()?.split(',').map(String::from).collect(),
            "--seeds" => options.seeds = seeds(&value()?)?,
            "--repeat" => options.repeat = value()?.parse().map_err(|_| "--repeat needs a number")?,
            "--again" => options.again = true,
            other => return Err(format!("unknown option '{other}'")),
        }
    }
    Ok(options)
}

fn seeds(text: &str) -> Result<Vec<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("not a seed: {text}"));
    let mut seeds = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((from, to)) => seeds.extend(number(from)?..=number(to)?),
            None => seeds.push(number(part)?),
        }
    }
    Ok(seeds)
}
