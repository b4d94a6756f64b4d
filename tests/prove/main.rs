//! Shows on real clusters what the project claims. Resumable: each result is kept under `results/prove/` and not run again.
//!
//! ```text
//! make prove ARGS="--lines valid,serializable,redis,interrupt --seeds 1-10 --repeat 5 --again"
//! make prove ARGS="--lines catalogue --seeds 1 --jobs 2 --write docs/catalogue.md"
//! make prove ARGS="--lines catalogue --seeds 1 --jobs 2 --as rootless --write docs/catalogue.md"
//! make prove ARGS="--lines survival --repeat 20 --jobs 12 --write docs/survival.md"
//! make prove ARGS="--lines galera,patroni,rabbitmq,sentinel --seeds 1-3"
//! make prove ARGS="--lines findings --seeds 1-5 --write docs/findings.md"
//! ```
mod catalogue;
mod findings;
mod labs;
#[path = "../rootless/plain_user.rs"]
mod plain_user;
mod results;
mod runs;
mod survival;
mod twins;
mod variants;

use results::{Only, StoredResults};
use std::process::ExitCode;

const USAGE: &str = "options: --lines valid,serializable,redis,interrupt,galera,patroni,rabbitmq,sentinel,findings,catalogue,survival (default: all) | --only TEXT,TEXT (rows of findings, forms of faults, cases of survival, whose names contain one of them) | --as rootless|one-user, --cluster YAML --as NAME (other nodes for catalogue) | --faults 6 --every 4 (faults of a run of catalogue, seconds from one to the next) | --seeds 1-10 | --repeat 5 | --jobs 1 (cases at a time) | --again | --write FILE (findings, catalogue or survival as a page)";

/// Every line, in the order in which they are shown.
const ALL: [&str; 11] = [
    "valid",
    "serializable",
    "redis",
    "interrupt",
    "galera",
    "patroni",
    "rabbitmq",
    "sentinel",
    "findings",
    "catalogue",
    "survival",
];

/// What to show.
struct Options {
    lines: Vec<String>,
    seeds: Vec<u64>,
    repeat: u64,
    jobs: usize,
    cluster: String,
    nodes: String,
    /// Faults of a run of the catalogue, and seconds from one to the next.
    faults: u64,
    every: u64,
    again: bool,
    only: Only,
    write: Option<String>,
}

impl Options {
    /// The nodes of the catalogue.
    fn nodes(&self) -> catalogue::Nodes {
        let rootless = catalogue::Nodes::rootless(&self.nodes, &runs::program());
        let nodes = rootless.unwrap_or_else(|| {
            let program = |arguments: &[&str]| {
                let mut command = runs::dsfuzz();
                command.args(arguments);
                command
            };
            catalogue::Nodes::new(&self.nodes, self.cluster.clone(), std::sync::Arc::new(program))
        });
        catalogue::Nodes { faults: self.faults, every: self.every, ..nodes }
    }
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("prove: {message}\n{USAGE}");
            return ExitCode::from(254);
        }
    };
    let missing = variants::missing();
    if !missing.is_empty() {
        eprintln!("prove: tests/prove/variants.rs has no row for {}", missing.join(", "));
        return ExitCode::from(254);
    }
    let mut kept = StoredResults::open("results/prove", options.again);
    for line in &options.lines {
        let cases = match line.as_str() {
            "valid" | "serializable" | "redis" => runs::cases(line, &options.seeds),
            "galera" | "patroni" | "rabbitmq" | "sentinel" => twins::cases(line, &options.seeds),
            "findings" => findings::cases(&options.seeds, &options.only),
            "catalogue" => catalogue::cases(&options.seeds, &options.only, &options.nodes()),
            "survival" => survival::cases(options.repeat, &options.only),
            "interrupt" => runs::interrupts(options.repeat),
            other => {
                eprintln!("prove: no line called '{other}'\n{USAGE}");
                return ExitCode::from(254);
            }
        };
        kept.show(line, cases, options.jobs);
    }
    labs::take_down();
    println!("{}", kept.table());
    if let Some(path) = &options.write {
        let page = match options.lines.first().map(String::as_str) {
            Some("catalogue") => catalogue::page(&kept),
            Some("survival") => survival::page(&kept),
            _ => findings::page(&kept),
        };
        if let Err(error) = std::fs::write(path, page) {
            eprintln!("prove: {path}: {error}");
            return ExitCode::from(255);
        }
    }
    if kept.all_as_claimed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        lines: ALL.map(String::from).to_vec(),
        seeds: (1..=10).collect(),
        repeat: 5,
        jobs: 1,
        cluster: "{lab: 3}".to_owned(),
        nodes: "lab".to_owned(),
        faults: 6,
        every: 4,
        again: false,
        only: Only::parse(""),
        write: None,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--lines" => options.lines = value()?.split(',').map(String::from).collect(),
            "--seeds" => options.seeds = seeds(&value()?)?,
            "--repeat" => options.repeat = value()?.parse().map_err(|_| "--repeat needs a number")?,
            "--jobs" => options.jobs = value()?.parse().map_err(|_| "--jobs needs a number")?,
            "--cluster" => options.cluster = value()?,
            "--as" => options.nodes = value()?,
            "--faults" => options.faults = value()?.parse().map_err(|_| "--faults needs a number")?,
            "--every" => options.every = value()?.parse().map_err(|_| "--every needs a number of seconds")?,
            "--again" => options.again = true,
            "--only" => options.only = Only::parse(&value()?),
            "--write" => options.write = Some(value()?),
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
