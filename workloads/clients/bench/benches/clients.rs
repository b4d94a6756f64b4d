//! Calls a second through a client program, on the way that a run takes, beside a bare loop on the same library; and what the
//! line protocol costs. Servers are real, on loopback. Two threads, as in a run.
#[path = "../../../../benches/table/mod.rs"]
mod table;

use dsfuzz::cluster::Node;
use dsfuzz::targets::exec::{ExecConnect, LINE_BYTES_MAX, Programs, STDERR_ROOM_BYTES};
use dsfuzz_client::{CallError, Client as Program, Init, ObjectFunctions, Reply};
use dsfuzz_client_bench::bare::Bare;
use dsfuzz_client_bench::servers::{Server, System};
use dsfuzz_workloads::memory::Memory;
use dsfuzz_workloads::register::{Mix, RegisterOptions};
use dsfuzz_workloads::{
    Call, CallResponse, CallResult, Client, ClientWorkload, Connect, Endpoint, Next, Terms, Workload, WorkloadOptions,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use table::Table;

type Failure = Box<dyn Error + Send + Sync>;

/// Each round is one of the bare loop and one of the programs.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1_500);
const CLIENTS: [u32; 2] = [1, 10];
const AIM_PERCENT: f64 = 80.0;
const DEADLINE: Duration = Duration::from_secs(10);
/// Set: this program is the client that answers at once.
const ECHO: &str = "DSFUZZ_BENCH_ECHO";

fn main() -> ExitCode {
    if std::env::var_os(ECHO).is_some() {
        return dsfuzz_client::run::<Echo>();
    }
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS; // Not `cargo bench`: `cargo test --all-targets` only asks whether it runs at all.
    }
    match measured() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "client programs: {error}\nNothing is said of their speed. Run it again when the machine has nothing else to do."
            );
            ExitCode::FAILURE
        }
    }
}

fn measured() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut table = Table::new("client programs, 2 threads");
    runtime.block_on(async {
        for system in [System::Postgres, System::Redis, System::Nats] {
            through_a_program(system, &mut table).await?;
        }
        line_protocol(&mut table).await
    })?;
    table.print();
    Ok(())
}

/// A client program that answers at once.
struct Echo;

impl Program for Echo {
    const OBJECTS: &'static [ObjectFunctions] = &[("register", &["read", "write", "cas"])];

    async fn open(_: Init) -> Result<Echo, CallError> {
        Ok(Echo)
    }

    async fn call(&mut self, call: &dsfuzz_client::Call) -> Result<Reply, CallError> {
        Ok(Reply::value(call.value.clone()))
    }
}

fn register() -> Arc<dyn Workload> {
    let mix = Mix { read: 1, write: 1, cas: 0 };
    Arc::from(WorkloadOptions::Register(RegisterOptions { mix, ..RegisterOptions::default() }).build())
}

/// What makes calls: a bare connection, or a client of dsfuzz.
trait Caller: Send + 'static {
    fn call(&mut self, call: &Call) -> impl Future<Output = Result<CallResponse, Failure>> + Send;
}

impl Caller for Bare {
    async fn call(&mut self, call: &Call) -> Result<CallResponse, Failure> {
        Ok(CallResult::Ok(Bare::call(self, call).await?).into())
    }
}

impl Caller for Box<dyn Client> {
    async fn call(&mut self, call: &Call) -> Result<CallResponse, Failure> {
        Ok(Client::call(&mut **self, call, Terms::load(DEADLINE)).await)
    }
}

/// Calls a second of these callers, each in a task of its own.
async fn per_second(callers: Vec<impl Caller>) -> Result<f64, Failure> {
    let workload = register();
    let workers = callers.len() as u32;
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for (worker, mut caller) in (0..).zip(callers) {
        let mut generator = workload.generator(7, worker, workers);
        let (stop, total) = (stop.clone(), total.clone());
        tasks.push(tokio::spawn(async move {
            let mut calls = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let Next::Call(call) = generator.next() else { break };
                generator.taken();
                let what = || format!("call {} of client {worker}, {} of key {}", calls + 1, call.f, call.key);
                let response = at(what, caller.call(&call).await)?;
                let CallResult::Ok(_) = &response.result else {
                    return Err(format!("{}: {response:?}", what()).into());
                };
                generator.observe(&call, &response.result);
                calls += 1;
                if calls.is_multiple_of(64) {
                    tokio::task::yield_now().await;
                }
            }
            total.fetch_add(calls, Ordering::Relaxed);
            Ok::<_, Failure>(caller)
        }));
    }
    tokio::time::sleep(ROUND).await;
    stop.store(true, Ordering::Relaxed);
    let mut callers = Vec::new();
    for task in tasks {
        callers.push(task.await??);
    }
    let rate = total.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    drop(callers);
    Ok(rate)
}

/// The result with the step in front of its error.
fn at<T>(step: impl FnOnce() -> String, result: Result<T, Failure>) -> Result<T, Failure> {
    result.map_err(|error| format!("{}: {error}", step()).into())
}

/// Calls a second of clients that are opened for it.
async fn load(connect: &ExecConnect, port: u16, clients: u32) -> Result<f64, Failure> {
    let callers = at(|| "opening".to_owned(), opened(connect, port, clients).await)?;
    per_second(callers).await
}

async fn through_a_program(system: System, table: &mut Table) -> Result<(), Failure> {
    let name = format!("dsfuzz-client-{}", system.name());
    let program = beside(&name)?;
    let server = Server::start(system)?;
    let folder = tempfile::tempdir()?;
    let connect = connect(&program, folder.path(), BTreeMap::new())?;
    let step = |clients: u32, what: &str| format!("{}, {clients} clients, {what}", system.name());
    at(|| step(1, "setup through the program"), prepare(&connect, server.port).await)?;
    for clients in CLIENTS {
        let (mut bare, mut own, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // The second of a round may find the server warmer: so they take turns.
            for which in 0..3 {
                match (round + which) % 3 {
                    0 => {
                        let mut callers = Vec::new();
                        for _ in 0..clients {
                            let connected = Bare::connect(system, server.port).await;
                            callers.push(at(|| step(clients, "connecting the bare loop"), connected)?);
                        }
                        bare.push(at(|| step(clients, "the bare loop"), per_second(callers).await)?);
                    }
                    1 => {
                        let rate = load(&connect, server.port, clients).await;
                        own.push(at(|| step(clients, "a program for each"), rate)?);
                    }
                    _ => {
                        let rate = load(&with_seats(&connect, clients), server.port, clients).await;
                        shared.push(at(|| step(clients, "one program for all"), rate)?);
                    }
                }
            }
        }
        let bare = median(bare);
        let what = format!("{}, {clients} client{}", system.name(), if clients == 1 { "" } else { "s" });
        table.row(format!("{what}: bare loop, median of {ROUNDS}"), format!("{bare:.0}/s"));
        let figure = |driven: f64| format!("{driven:.0}/s, {:.0} %", 100.0 * driven / bare);
        let (own, shared) = (median(own), median(shared));
        table.row(format!("{what}: a program for each"), figure(own));
        if clients > 1 {
            let met = 100.0 * shared >= AIM_PERCENT * bare;
            table.aimed(format!("{what}: one program for all"), figure(shared), "> 80 %", met);
        }
    }
    Ok(())
}

/// What a call costs through a program that answers at once, beside a call within this process.
async fn line_protocol(table: &mut Table) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let environment = BTreeMap::from([(ECHO.to_owned(), "1".to_owned())]);
    let connect = connect(&std::env::current_exe()?, folder.path(), environment)?;
    for clients in CLIENTS {
        let (mut within, mut lines, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let memory = Memory::new();
            within.push(per_second((0..clients).map(|_| memory.client()).collect()).await?);
            let step = |what: &str| format!("line protocol, {clients} clients, {what}");
            lines.push(at(|| step("a program for each"), load(&connect, 1, clients).await)?);
            let rate = load(&with_seats(&connect, clients), 1, clients).await;
            shared.push(at(|| step("one program for all"), rate)?);
        }
        let micros = |rates: Vec<f64>| 1e6 / median(rates);
        let (within, lines, shared) = (micros(within), micros(lines), micros(shared));
        let what = format!("line protocol, {clients} client{}", if clients == 1 { "" } else { "s" });
        table.row(format!("{what}: a call within the process"), format!("{within:.1} µs"));
        table.row(format!("{what}: through a program that answers at once"), format!("{lines:.1} µs"));
        table.row(format!("{what}: overhead of a call"), format!("{:.1} µs", lines - within));
        if clients > 1 {
            table.row(format!("{what}: overhead of a call, one program for all"), format!("{:.1} µs", shared - within));
        }
    }
    Ok(())
}

/// The file of a program of this build.
fn beside(name: &str) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} is not beside {}: `make build` builds it", own.display()).into())
}

fn connect(program: &Path, folder: &Path, env: BTreeMap<String, String>) -> Result<ExecConnect, Failure> {
    Ok(ExecConnect {
        // One word alone would be a script for the shell.
        argv: vec!["/usr/bin/env".to_owned(), program.display().to_string()],
        called: None,
        folder: PathBuf::from("/"),
        env,
        errors: BTreeMap::new(),
        init_deadline: DEADLINE,
        workload: ClientWorkload::of(&*register()),
        settings: BTreeMap::from([(node().name, serde_json::json!({}))]),
        run: "bench".to_owned(),
        nodes: vec![node()],
        stderr_dir: folder.to_owned(),
        stderr_room: Arc::new(AtomicU64::new(STDERR_ROOM_BYTES)),
        line_bytes_max: LINE_BYTES_MAX,
        programs: None,
    })
}

/// The same, with this number of clients in each program.
fn with_seats(connect: &ExecConnect, seats: u32) -> ExecConnect {
    ExecConnect { programs: Some(Arc::new(Programs::with_seats(seats))), ..connect.clone() }
}

fn node() -> Node {
    Node { name: Arc::from("n1"), address: std::net::Ipv4Addr::LOCALHOST.into() }
}

fn endpoint(port: u16, process: u64) -> Endpoint {
    Endpoint {
        node: node().name,
        address: "127.0.0.1".to_owned(),
        ports: BTreeMap::from([("client".to_owned(), port)]),
        process,
        options: BTreeMap::new(),
        terms: Terms::load(DEADLINE),
    }
}

/// Opens clients, each a program of its own.
async fn opened(connect: &ExecConnect, port: u16, clients: u32) -> Result<Vec<Box<dyn Client>>, Failure> {
    let mut callers = Vec::new();
    for process in 0..u64::from(clients) {
        callers.push(connect.open(endpoint(port, process)).await.map_err(|error| error.to_string())?);
    }
    Ok(callers)
}

/// Asks for setup until the server is ready for it.
async fn prepare(connect: &ExecConnect, port: u16) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let why = match connect.open(endpoint(port, 0)).await {
            Ok(mut client) => match client.setup(Terms::load(DEADLINE)).await {
                None | Some(CallResult::Ok(_)) => return Ok(()),
                Some(other) => format!("setup: {other:?}"),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() > end {
            return Err(format!("not ready within 30 s: {why}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
