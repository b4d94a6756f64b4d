//! How time and memory of judging grow with the history: every default workload with its own generator against a store
//! in memory, from a thousand to a million operations, one process for each row, and the exponent that fits them.
mod table;

use dsfuzz_checkers::history::{Completion, HISTORY_VERSION, HistoryBuilder, HistoryError, Invoke, Record};
use dsfuzz_checkers::{Budget, History, Validity, Value, checker, judge_one};
use dsfuzz_workloads::memory::{Memory, StoreFaults};
use dsfuzz_workloads::{Call, CallResult, Client, FinalCall, Next, Terms, Workload, WorkloadOptions};
use std::error::Error;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const CLIENTS: usize = 10;
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Doubling the history may cost so much more than double: 2 to the power of this.
const EXPONENT_AIM: f64 = 1.25;
/// Sizes below this say more about the machine than about the checker.
const FITTED_FROM: usize = 10_000;

/// Operations, seconds, MiB.
type Row = (f64, f64, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--row") {
        return row(&arguments[at + 1], arguments[at + 2].parse()?);
    }
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(()); // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let mut table = Table::new("judging, by workload, checker and size");
    for doc in dsfuzz_workloads::WORKLOADS {
        let mut by_checker: Vec<(String, Vec<Row>)> = Vec::new();
        for size in SIZES {
            let output =
                Command::new(std::env::current_exe()?).args(["--row", doc.name, &size.to_string()]).output()?;
            let told = String::from_utf8(output.stdout)?;
            if !output.status.success() {
                return Err(format!("{} at {size}: {}", doc.name, String::from_utf8_lossy(&output.stderr)).into());
            }
            for line in told.lines() {
                let fields: Vec<&str> = line.split('\t').collect();
                let [checker, seconds, history, beside] = fields[..] else { return Err(told.clone().into()) };
                let (seconds, history, beside) =
                    (seconds.parse::<f64>()?, history.parse::<f64>()?, beside.parse::<f64>()?);
                let figure = format!("{seconds:.4} s, history {history:.1} MiB, beside it {beside:.1} MiB");
                table.row(format!("{} of {}, {size} operations", checker, doc.name), figure);
                match by_checker.iter_mut().find(|(name, _)| name == checker) {
                    Some((_, rows)) => rows.push((size as f64, seconds, history + beside)),
                    None => by_checker.push((checker.to_owned(), vec![(size as f64, seconds, history + beside)])),
                }
            }
        }
        for (checker, rows) in by_checker {
            let fitted: Vec<_> = rows.into_iter().filter(|(size, ..)| *size >= FITTED_FROM as f64).collect();
            let time = exponent(fitted.iter().map(|(size, seconds, _)| (*size, *seconds)));
            let memory = exponent(fitted.iter().map(|(size, _, mib)| (*size, *mib)));
            let aim = format!("< {EXPONENT_AIM}");
            table.aimed(
                format!("{checker} of {}: exponent of time / memory", doc.name),
                format!("{time:.2} / {memory:.2}"),
                &aim,
                time < EXPONENT_AIM && memory < EXPONENT_AIM,
            );
        }
    }
    table.print();
    Ok(())
}

/// The slope of the line through the logarithms.
fn exponent(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let logs: Vec<(f64, f64)> = points.map(|(x, y)| (x.ln(), y.max(1e-9).ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    let (x, y) = (x / count, y / count);
    let (up, down) = logs
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + (point.0 - x) * (point.1 - y), sum.1 + (point.0 - x) * (point.0 - x)));
    up / down
}

/// Judges one size of one workload, and prints a line for each of its checkers.
fn row(workload: &str, size: usize) -> Result<(), Box<dyn Error>> {
    let options: WorkloadOptions = serde_json::from_value(serde_json::json!({ workload: {} }))?;
    let workload = options.build();
    let before = resident_mib();
    let history = history(&*workload, size)?;
    let held = history.bytes() as f64 / f64::from(1 << 20);
    for name in workload.checkers() {
        let Some(checker) = checker(name) else { return Err(format!("no checker {name}").into()) };
        let started = Instant::now();
        let verdict = judge_one(&*checker, &history, &Budget::unlimited());
        let seconds = started.elapsed().as_secs_f64();
        // Without faults there is nothing to judge for some; what is valid or unknown takes its time all the same.
        if verdict.validity == Validity::Invalid {
            return Err(format!("{name}: {:?}: {}", verdict.validity, verdict.summary).into());
        }
        println!("{name}\t{seconds}\t{held}\t{}", (resident_mib() - before - held).max(0.0));
    }
    Ok(())
}

/// The most memory that this process ever held, of the kernel.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().split(' ').next()).and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// What `CLIENTS` clients, which call at the same time, see of an honest store; each call takes effect when it is answered.
struct HistoryLines {
    builder: HistoryBuilder,
    index: u64,
}

impl HistoryLines {
    fn next(&mut self) -> u64 {
        self.index += 1;
        self.index - 1
    }

    fn call(&mut self, worker: usize, process: u64, call: &Call, settle: bool) -> Result<(), HistoryError> {
        let index = self.next();
        self.builder.push(Record::Invoke(Invoke {
            index,
            time: index * 100_000,
            worker: worker as u32,
            process,
            node: NODES[worker % NODES.len()].into(),
            workload: call.workload.clone(),
            f: call.f.clone(),
            key: call.key.clone(),
            value: call.value.clone(),
            settle,
        }))
    }

    fn reply(&mut self, process: u64, answer: &CallResult) -> Result<(), HistoryError> {
        let index = self.next();
        let completion = |value: Value, error: Option<Arc<str>>| Completion {
            index,
            time: index * 100_000,
            process,
            value,
            error,
            node: None,
        };
        self.builder.push(match answer {
            CallResult::Ok(value) => Record::Ok(completion(value.clone(), None)),
            CallResult::Fail(why) => Record::Fail(completion(Value::Nil, Some(why.clone()))),
            CallResult::Info(why) => Record::Info(completion(Value::Nil, Some(why.clone()))),
        })
    }
}

/// The answer of a client that answers at once.
fn answer(client: &mut dyn Client, call: &Call) -> CallResult {
    let mut future = client.call(call, Terms::load(Duration::from_secs(1)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(response) => response.result,
        std::task::Poll::Pending => unreachable!("a store in memory never waits"),
    }
}

fn history(workload: &dyn Workload, size: usize) -> Result<History, HistoryError> {
    let memory = Memory::faulty(StoreFaults { info_done_every: 200, info_undone_every: 211, ..StoreFaults::default() });
    memory.set_up(workload);
    let mut client = memory.client();
    let mut tape = HistoryLines { builder: HistoryBuilder::new(), index: 0 };
    tape.next();
    tape.builder.push(Record::Start {
        index: 0,
        time: 0,
        version: HISTORY_VERSION,
        nodes: NODES.map(String::from).to_vec(),
        wall: String::new(),
    })?;
    let generators = (0..CLIENTS).map(|worker| workload.generator(7, worker as u32, CLIENTS as u32));
    let mut workers: Vec<_> = generators.enumerate().map(|(at, one)| (one, at as u64, None::<Call>)).collect();
    let (mut made, mut turn, mut next_process) = (0, 0usize, CLIENTS as u64);
    while made < size || workers.iter().any(|(_, _, open)| open.is_some()) {
        // A walk over the workers that is not in step with itself: calls overlap in changing ways.
        turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (turn >> 33) % CLIENTS;
        let (generator, process, open) = &mut workers[at];
        match open.take() {
            None if made < size => {
                let Next::Call(call) = generator.next() else { continue };
                generator.taken();
                tape.call(at, *process, &call, false)?;
                made += 1;
                *open = Some(call);
            }
            None => {}
            Some(call) => {
                let answer = answer(&mut *client, &call);
                generator.observe(&call, &answer);
                tape.reply(*process, &answer)?;
                if matches!(answer, CallResult::Info(_)) {
                    *process = next_process;
                    next_process += 1;
                }
            }
        }
    }
    for FinalCall { call, .. } in workload.settle() {
        for (worker, _) in NODES.iter().enumerate() {
            tape.call(worker, next_process, &call, true)?;
            let answer = answer(&mut *client, &call);
            tape.reply(next_process, &answer)?;
            next_process += 1;
        }
    }
    let index = tape.next();
    tape.builder.push(Record::End { index, time: index * 100_000 })?;
    tape.builder.finish()
}
