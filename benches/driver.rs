//! How many operations a second the driver and the recorder carry, journal on, with a client that answers at once;
//! beside it, in the same run, a bare loop of the same client and the same generator. Two threads.
mod table;

use dsfuzz::run::driver::{Driver, DriverOptions, NodeEndpoint, OnLeader};
use dsfuzz::run::journal;
use dsfuzz::run::recorder::Recorder;
use dsfuzz_workloads::memory::Memory;
use dsfuzz_workloads::register::RegisterOptions;
use dsfuzz_workloads::{Next, Terms, Workload, WorkloadOptions};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use table::Table;
use tokio::sync::watch;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CLIENTS: u32 = 10;
const AIM_PER_SECOND: f64 = 500_000.0;

fn main() -> Result<(), Box<dyn Error>> {
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(()); // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut bare, mut driven) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let loop_per_second = runtime.block_on(bare_loop());
        let (per_second, bytes_per_op) = runtime.block_on(with_driver())?;
        println!(
            "round {round}: bare loop {loop_per_second:.0}/s, driver and journal {per_second:.0}/s, \
             {bytes_per_op:.0} journal bytes an operation"
        );
        bare.push(loop_per_second);
        driven.push(per_second);
    }
    let (bare, driven) = (median(bare), median(driven));
    let mut table = Table::new("driver and recorder, 2 threads, a client that answers at once");
    table.row(format!("bare loop, median of {ROUNDS}"), format!("{bare:.0}/s"));
    let met = driven >= AIM_PER_SECOND;
    table.aimed(format!("with driver and journal, median of {ROUNDS}"), format!("{driven:.0}/s"), "> 500000/s", met);
    table.row("of the bare loop", format!("{:.0} %", 100.0 * driven / bare));
    table.print();
    Ok(())
}

fn register() -> Arc<dyn Workload> {
    Arc::from(WorkloadOptions::Register(RegisterOptions::default()).build())
}

async fn bare_loop() -> f64 {
    let (workload, memory) = (register(), Memory::new());
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for worker in 0..CLIENTS {
        let mut generator = workload.generator(7, worker, CLIENTS);
        let mut client = memory.client();
        let (stop, total) = (stop.clone(), total.clone());
        tasks.push(tokio::spawn(async move {
            let mut calls = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let Next::Call(call) = generator.next() else { break };
                generator.taken();
                let response = client.call(&call, Terms::load(ROUND)).await;
                generator.observe(&call, &response.result);
                calls += 1;
                if calls.is_multiple_of(64) {
                    tokio::task::yield_now().await;
                }
            }
            total.fetch_add(calls, Ordering::Relaxed);
        }));
    }
    tokio::time::sleep(ROUND).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        let _ = task.await;
    }
    total.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

async fn with_driver() -> Result<(f64, f64), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let journal_dir = dir.path().join("journal");
    let recorder = Recorder::create(&journal_dir, &["n1".to_owned()], String::new())?;
    let node = NodeEndpoint { name: Arc::from("n1"), address: "127.0.0.1".to_owned(), ports: BTreeMap::new() };
    let options = DriverOptions {
        joining: 40,
        asked_per_node: 10.0,
        seed: 7,
        nodes: vec![node],
        clients: CLIENTS,
        on_leader: OnLeader::default(),
        rate: None,
        time: ROUND,
        goes_on: None,
        deadline: Duration::from_secs(5),
        ops_max: None,
        client_options: BTreeMap::new(),
    };
    let connect = Arc::new(Memory::new());
    let driver = Driver { recorder: recorder.clone(), connect, workloads: vec![register()], options };
    let stop = watch::Sender::new(false);
    let start = Instant::now();
    let summary = driver.run(stop.subscribe()).await;
    let per_second = summary.calls as f64 / start.elapsed().as_secs_f64();
    recorder.end();
    if let Some(why) = recorder.failure() {
        return Err(why.into());
    }
    let mut bytes = 0;
    for segment in std::fs::read_dir(&journal_dir)? {
        bytes += segment?.metadata()?.len();
    }
    let start = Instant::now();
    let history = journal::read(&journal_dir)?;
    if history.ops().len() as u64 != summary.calls || !history.complete {
        return Err(format!("{} operations of {} came back", history.ops().len(), summary.calls).into());
    }
    println!("         read back {} operations in {} ms", history.ops().len(), start.elapsed().as_millis());
    Ok((per_second, bytes as f64 / summary.calls as f64))
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
