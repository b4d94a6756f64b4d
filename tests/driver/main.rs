//! The driver and the settle phase against clients that hang, panic, refuse, lie and answer at once.
mod closing;
mod confirm;
mod final_reads;
mod joining;
mod on_leader;
mod workloads;

use dsfuzz::run::driver::{Driver, DriverOptions, DriverSummary, NodeEndpoint, OnLeader, StopReason};
use dsfuzz::run::journal;
use dsfuzz::run::recorder::Recorder;
use dsfuzz::run::roles::Leadership;
use dsfuzz::run::settle::{SettleOptions, SettleSummary, settle};
use dsfuzz_checkers::{FinalReads, History, Op, Outcome, Phase, Value};
use dsfuzz_workloads::log::LogOptions;
use dsfuzz_workloads::memory::{Memory, StoreFaults};
use dsfuzz_workloads::register::RegisterOptions;
use dsfuzz_workloads::sessions::SessionsOptions;
use dsfuzz_workloads::set::SetOptions;
use dsfuzz_workloads::{
    BoxFuture, Call, CallResponse, CallResult, Client, Connect, ConnectError, Endpoint, Terms, Workload,
    WorkloadOptions,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

const LONG: Duration = Duration::from_secs(120);

fn nodes(count: usize) -> Vec<NodeEndpoint> {
    let node = |number: usize| NodeEndpoint {
        name: Arc::from(format!("n{number}")),
        address: "127.0.0.1".to_owned(),
        ports: BTreeMap::from([("client".to_owned(), 2379)]),
    };
    (1..=count).map(node).collect()
}

/// Without end, but for what a test sets.
fn options(clients: u32) -> DriverOptions {
    DriverOptions {
        seed: 7,
        nodes: nodes(3),
        clients,
        on_leader: OnLeader::default(),
        rate: None,
        time: LONG,
        goes_on: None,
        deadline: LONG,
        ops_max: None,
        joining: 0,
        asked_per_node: 0.0,
        client_options: BTreeMap::new(),
    }
}

fn register() -> Arc<dyn Workload> {
    Arc::from(WorkloadOptions::Register(RegisterOptions::default()).build())
}

struct Bench {
    dir: TempDir,
    recorder: Arc<Recorder>,
    stop: watch::Sender<bool>,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a folder");
        let names = ["n1", "n2", "n3"].map(str::to_owned);
        let recorder =
            Recorder::with_segments(&dir.path().join("journal"), &names, String::new(), 1 << 20).expect("a recorder");
        Bench { dir, recorder, stop: watch::Sender::new(false) }
    }

    async fn load(
        &self,
        connect: impl Connect + 'static,
        workloads: Vec<Arc<dyn Workload>>,
        options: DriverOptions,
    ) -> DriverSummary {
        let connect: Arc<dyn Connect> = Arc::new(connect);
        let driver = Driver { recorder: self.recorder.clone(), connect, workloads, options };
        driver.run(self.stop.subscribe()).await
    }

    fn history(&self) -> History {
        self.recorder.end();
        journal::read(&self.dir.path().join("journal")).expect("a sound recording")
    }
}

/// What a client made by a test does with its n-th call of all clients.
type Behaviour = dyn Fn(u64, &Call) -> BoxFuture<'static, CallResult> + Send + Sync;

/// Clients with scripted answers, and who was opened for which process.
#[derive(Clone)]
struct Scripted {
    behaviour: Arc<Behaviour>,
    calls: Arc<AtomicU64>,
    opened: Arc<Mutex<Vec<Endpoint>>>,
    dropped: Arc<AtomicU64>,
}

impl Scripted {
    fn new(behaviour: impl Fn(u64, &Call) -> BoxFuture<'static, CallResult> + Send + Sync + 'static) -> Scripted {
        Scripted {
            behaviour: Arc::new(behaviour),
            calls: Arc::default(),
            opened: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn opened(&self) -> Vec<Endpoint> {
        self.opened.lock().expect("no panic inside").clone()
    }
}

impl Connect for Scripted {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        self.opened.lock().expect("no panic inside").push(endpoint);
        let client: Box<dyn Client> = Box::new(ScriptedClient(self.clone()));
        Box::pin(async { Ok(client) })
    }
}

struct ScriptedClient(Scripted);

impl Client for ScriptedClient {
    fn call<'a>(&'a mut self, call: &'a Call, _terms: Terms) -> BoxFuture<'a, CallResponse> {
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst);
        let answer = (self.0.behaviour)(number, call);
        Box::pin(async { answer.await.into() })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

impl Drop for ScriptedClient {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn at_once(answer: CallResult) -> BoxFuture<'static, CallResult> {
    Box::pin(async { answer })
}

fn count(history: &History, outcome: Outcome) -> usize {
    history.ops().iter().filter(|op| op.outcome == outcome).count()
}

fn errors(history: &History) -> HashSet<&str> {
    history.ops().iter().filter_map(|op| op.error).map(|id| history.name(id)).collect()
}

/// Processes belong to the workers they come from, and none acts after its Info.
fn assert_processes(history: &History, clients: u32) {
    let mut retired = HashSet::new();
    for op in history.ops().iter() {
        assert_eq!(op.process % u64::from(clients), u64::from(op.worker));
        assert_eq!(history.name(op.node), format!("n{}", op.worker % 3 + 1));
        assert!(!retired.contains(&op.process), "process {} acts after its Info", op.process);
        if op.outcome == Outcome::Info {
            retired.insert(op.process);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ops_max_is_kept_to_the_call_and_every_call_is_recorded_with_its_end() {
    let bench = Bench::new();
    let summary =
        bench.load(Memory::new(), vec![register()], DriverOptions { ops_max: Some(5000), ..options(6) }).await;
    assert_eq!((summary.calls, summary.stopped, summary.next_process), (5000, StopReason::OpsMax, 6));
    assert_eq!(summary.harness, Vec::<String>::new());
    let counters = bench.recorder.counters();
    assert_eq!((counters.ok + counters.fail, counters.info, counters.open), (5000, 0, 0));
    let history = bench.history();
    assert_eq!((history.ops().len(), history.complete), (5000, true));
    assert_processes(&history, 6);
    let phases: Vec<Phase> = history.phases.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(phases, [Phase::Load, Phase::Drain]);
    let workers: HashSet<u32> = history.ops().iter().map(|op| op.worker).collect();
    assert_eq!(workers.len(), 6, "no instant client starves another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_is_info_by_the_drivers_own_deadline() {
    let bench = Bench::new();
    let scripted = Scripted::new(|number, _| match number % 10 {
        9 => Box::pin(std::future::pending()),
        _ => at_once(CallResult::Ok(Value::Nil)),
    });
    let limits = DriverOptions { ops_max: Some(60), deadline: Duration::from_millis(20), ..options(3) };
    let summary = bench.load(scripted.clone(), vec![register()], limits).await;
    let history = bench.history();
    assert_eq!((count(&history, Outcome::Info), count(&history, Outcome::Ok)), (6, 54));
    assert_eq!(errors(&history), HashSet::from(["timeout"]));
    assert_processes(&history, 3);
    assert!(history.ops().iter().all(|op| op.reply != Op::OPEN), "recorded, not left open");
    assert!(summary.next_process > 3);

    let opened = scripted.opened();
    let processes: HashSet<u64> = opened.iter().map(|endpoint| endpoint.process).collect();
    assert_eq!(processes.len(), opened.len(), "each process gets a client of its own");
    let acted: HashSet<u64> = history.ops().iter().map(|op| op.process).collect();
    assert!(acted.is_subset(&processes));
    assert_eq!(scripted.dropped.load(Ordering::SeqCst), opened.len() as u64, "no client is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_moves_from_node_to_node_with_its_process() {
    let bench = Bench::new();
    let sessions = SessionsOptions { move_every: Some(4), ..SessionsOptions::default() };
    let sessions: Arc<dyn Workload> = Arc::from(WorkloadOptions::Sessions(sessions).build());
    let scripted = Scripted::new(|_, _| at_once(CallResult::Ok(Value::Nil)));
    bench.load(scripted.clone(), vec![sessions], DriverOptions { ops_max: Some(240), ..options(3) }).await;
    let history = bench.history();
    let (mut made, mut clients) = ([0; 3], 0);
    for op in history.ops().iter() {
        let call = &mut made[op.worker as usize];
        assert_eq!(op.process, u64::from(op.worker), "a session that moves stays one process");
        assert_eq!(history.name(op.node), format!("n{}", (op.worker + *call / 4) % 3 + 1), "call {call}");
        clients += u64::from((*call).is_multiple_of(4));
        *call += 1;
    }
    assert!(made.iter().any(|calls| *calls > 12), "one of them comes back to its own node: {made:?}");
    let opened = scripted.opened().len() as u64;
    assert!((clients..=clients + 3).contains(&opened), "a client for each stay: {opened} opened, {clients} stays");
    assert_eq!(scripted.dropped.load(Ordering::SeqCst), opened, "no client is kept");
}

/// A client that is sent on to n3 by the node that it asks.
struct Redirected;

impl Connect for Redirected {
    fn open(&self, _: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async { Ok(Box::new(Redirected) as Box<dyn Client>) })
    }
}

impl Client for Redirected {
    fn call<'a>(&'a mut self, _: &'a Call, _: Terms) -> BoxFuture<'a, CallResponse> {
        let node = Some(Arc::from("n3"));
        Box::pin(async { CallResponse { node, ..CallResult::Ok(Value::Nil).into() } })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_takes_the_node_that_answered() {
    let bench = Bench::new();
    bench.load(Redirected, vec![register()], DriverOptions { ops_max: Some(5000), ..options(3) }).await;
    let history = bench.history();
    let answered: HashSet<&str> = history.ops().iter().map(|op| history.name(op.node)).collect();
    let asked: HashSet<&str> = history.ops().iter().map(|op| history.name(history.bound_node(&op))).collect();
    assert_eq!((answered, asked), (HashSet::from(["n3"]), HashSet::from(["n1", "n2", "n3"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_keeps_its_process_and_client() {
    let bench = Bench::new();
    let answer = |number| if number % 3 == 0 { CallResult::Ok(Value::Nil) } else { CallResult::fail("precondition") };
    let scripted = Scripted::new(move |number, _| at_once(answer(number)));
    let summary =
        bench.load(scripted.clone(), vec![register()], DriverOptions { ops_max: Some(300), ..options(1) }).await;
    assert_eq!((summary.next_process, scripted.opened().len()), (1, 1));
    assert_eq!(count(&bench.history(), Outcome::Fail), 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_fails_is_opened_anew_and_no_hot_loop() {
    let bench = Bench::new();
    let scripted = Scripted::new(|_, _| at_once(CallResult::fail("connection is closed")));
    let limits = DriverOptions { time: Duration::from_secs(1), ..options(1) };
    let summary = bench.load(scripted.clone(), vec![register()], limits).await;
    let opened = scripted.opened();
    assert!(opened.len() > 1 && opened.iter().all(|endpoint| endpoint.process == 0));
    // Sixteen calls for each client; the pauses between them grow from 25 ms.
    assert!(summary.calls <= 16 * 7, "{} calls", summary.calls);
}

#[tokio::test(start_paused = true)]
async fn a_load_goes_on_after_its_time_until_a_time_that_changes() {
    // By the seconds of the load: the time until which it goes on. Then its end.
    type Change = (u64, Option<u64>);
    let cases: [(&[Change], u64); 3] =
        [(&[(1, Some(5)), (4, Some(8))], 8), (&[(1, Some(9)), (4, None)], 4), (&[(1, Some(2))], 3)];
    for (changes, end) in cases {
        let bench = Bench::new();
        let scripted = Scripted::new(|_, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                CallResult::Ok(Value::Nil)
            })
        });
        let begun = tokio::time::Instant::now();
        let (ends, goes_on) = watch::channel(None);
        let limits = DriverOptions { time: Duration::from_secs(3), goes_on: Some(goes_on), ..options(3) };
        let changing = async {
            for (at, until) in changes {
                tokio::time::sleep_until(begun + Duration::from_secs(*at)).await;
                ends.send_replace(until.map(|until| begun + Duration::from_secs(until)));
            }
        };
        let (summary, ()) = tokio::join!(bench.load(scripted, vec![register()], limits), changing);
        assert_eq!((summary.stopped, begun.elapsed().as_secs()), (StopReason::TimeUp, end), "{changes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_a_fail_and_no_hot_loop() {
    struct Refuses;
    impl Connect for Refuses {
        fn open(&self, _: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            Box::pin(async { Err(ConnectError("connection refused".to_owned())) })
        }
    }
    let bench = Bench::new();
    let limits = DriverOptions { time: Duration::from_secs(1), ..options(3) };
    let summary = bench.load(Refuses, vec![register()], limits).await;
    let history = bench.history();
    assert_eq!((summary.stopped, summary.next_process), (StopReason::TimeUp, 3));
    assert_eq!(summary.not_connected, summary.calls);
    assert_eq!(errors(&history), HashSet::from(["not connected: connection refused"]));
    assert_eq!(count(&history, Outcome::Fail), history.ops().len());
    // A pause is at least 25 ms, then 50, 100, 200, 400, and one worker is on each node.
    assert!((3..=3 * 6).contains(&history.ops().len()), "{} calls", history.ops().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_or_panics_is_a_fail() {
    struct Hangs(AtomicU64);
    impl Connect for Hangs {
        fn open(&self, _: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("at once"),
                1 => Box::pin(async { panic!("later") }),
                _ => Box::pin(std::future::pending()),
            }
        }
    }
    let bench = Bench::new();
    let limits = DriverOptions { ops_max: Some(4), deadline: Duration::from_millis(20), ..options(1) };
    bench.load(Hangs(AtomicU64::new(0)), vec![register()], limits).await;
    let history = bench.history();
    assert_eq!(count(&history, Outcome::Fail), 4);
    let expected = ["the client panicked: at once", "the client panicked: later", "no connection within 20 ms"];
    assert_eq!(errors(&history), expected.map(|text| format!("not connected: {text}")).iter().map(|s| &**s).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_client_is_info_with_a_note_and_never_lost() {
    let bench = Bench::new();
    let scripted = Scripted::new(|number, _| match number {
        3 => panic!("before it began"),
        7 => Box::pin(async { panic!("in the middle") }),
        _ => at_once(CallResult::Ok(Value::Nil)),
    });
    let summary = bench.load(scripted, vec![register()], DriverOptions { ops_max: Some(20), ..options(2) }).await;
    let history = bench.history();
    assert_eq!((history.ops().len(), count(&history, Outcome::Info), count(&history, Outcome::Ok)), (20, 2, 18));
    assert_eq!(errors(&history), HashSet::from(["client panicked"]));
    assert_processes(&history, 2);
    assert_eq!(summary.harness.len(), 2);
    let notes: Vec<&str> = history.notes.iter().map(|(_, _, text)| &**text).collect();
    assert!(notes.iter().any(|text| text.contains("before it began")), "{notes:?}");
    assert!(notes.iter().any(|text| text.contains("in the middle")), "{notes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_stop_calls_in_flight_come_home_and_none_leaves() {
    let bench = Bench::new();
    let gate = Arc::new(Semaphore::new(0));
    let held = Scripted::new({
        let gate = gate.clone();
        move |_, _| {
            let gate = gate.clone();
            Box::pin(async move {
                let _pass = gate.acquire_owned().await;
                CallResult::Ok(Value::Nil)
            })
        }
    });
    let open_the_gate = async {
        await_that("all workers are in flight", || bench.recorder.counters().open == 4).await;
        bench.stop.send_replace(true);
        let drained = || bench.recorder.mark().index >= 6; // start, load, four calls, drain
        await_that("the drain begins", drained).await;
        gate.add_permits(4);
    };
    let (summary, ()) = tokio::join!(bench.load(held, vec![register()], options(4)), open_the_gate);
    assert_eq!((summary.calls, summary.stopped), (4, StopReason::Signal));
    let history = bench.history();
    assert_eq!(count(&history, Outcome::Ok), 4);
    let drain = history.phases[1].1.index;
    assert!(history.ops().iter().all(|op| op.call < drain && op.reply > drain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_still_in_flight_at_the_deadline_are_info() {
    let bench = Bench::new();
    let hangs = Scripted::new(|_, _| Box::pin(std::future::pending()));
    let limits = DriverOptions { deadline: Duration::from_secs(2), ..options(4) };
    let stop = async {
        await_that("all workers are in flight", || bench.recorder.counters().open == 4).await;
        bench.stop.send_replace(true);
    };
    let (summary, ()) = tokio::join!(bench.load(hangs, vec![register()], limits), stop);
    assert_eq!((summary.calls, summary.stopped, summary.next_process), (4, StopReason::Signal, 8));
    assert_eq!(count(&bench.history(), Outcome::Info), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_recording_fails_the_run_stops() {
    let bench = Bench::new();
    let folder = bench.dir.path().join("journal");
    let gone = async {
        await_that("operations are recorded", || bench.recorder.counters().ok > 100).await;
        std::fs::remove_dir_all(&folder).expect("removed");
    };
    let (summary, ()) = tokio::join!(bench.load(Memory::new(), vec![register()], options(2)), gone);
    let StopReason::Recorder(why) = summary.stopped else { panic!("{:?}", summary.stopped) };
    assert!(why.contains("cannot reserve") && why.contains("journal"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_is_kept_and_instant_clients_leave_room_for_others() {
    let bench = Bench::new();
    let limits = DriverOptions { ops_max: Some(300), rate: Some(300.0), ..options(6) };
    let summary = bench.load(Memory::new(), vec![register()], limits).await;
    // Never faster; how much slower depends on how busy this machine is.
    let took = bench.recorder.now() as f64 / 1e9;
    let most = (300.0 * took * 1.3) as u64 + 30;
    assert!(summary.calls == 300 && summary.calls <= most, "{} calls in {took} s at 300/s", summary.calls);

    let turns = Arc::new(AtomicU64::new(0));
    let other = tokio::spawn({
        let turns = turns.clone();
        async move {
            while turns.fetch_add(1, Ordering::SeqCst) < 100 {
                tokio::task::yield_now().await;
            }
        }
    });
    let fast = async { bench.load(Memory::new(), vec![register()], options(6)).await };
    let stop = async {
        other.await.expect("it ends although every thread is busy with instant clients");
        bench.stop.send_replace(true);
    };
    tokio::join!(fast, stop);
}

/// For each worker: function, slot and written value of its calls.
fn choices(history: &History) -> HashMap<u32, Vec<(String, i64, Option<i64>)>> {
    let mut all: HashMap<u32, Vec<_>> = HashMap::new();
    for op in history.ops().iter() {
        let written = op.input.as_list().map_or(op.input, |pair| pair.at(1)).as_int();
        let slot = op.key.as_int().expect("an integer") % 8;
        all.entry(op.worker).or_default().push((history.name(op.function).to_owned(), slot, written));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_seed_gives_each_worker_the_same_choices_whatever_is_answered() {
    let (calm, troubled) = (Bench::new(), Bench::new());
    let limits = |ops_max| DriverOptions { ops_max: Some(ops_max), ..options(4) };
    calm.load(Memory::new(), vec![register()], limits(3000)).await;
    let faults = StoreFaults {
        info_done_every: 61,
        info_undone_every: 37,
        refuse_every: 3,
        stale_every: 5,
        ..StoreFaults::default()
    };
    let summary = troubled.load(Memory::faulty(faults), vec![register()], limits(400)).await;
    assert!(summary.not_connected > 0);
    let (calm, troubled) = (calm.history(), troubled.history());
    assert_processes(&troubled, 4);
    let (calm, troubled) = (choices(&calm), choices(&troubled));
    let mut compared = 0;
    for (worker, second) in &troubled {
        let first = &calm[worker];
        let both = first.len().min(second.len());
        assert_eq!(first[..both], second[..both], "worker {worker}");
        compared += both;
    }
    assert!(compared > 100, "{compared} choices are too few to tell");
}

/// A client whose opening takes longer than a call may, and says so.
struct Slow;

impl Connect for Slow {
    fn open(&self, _: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok(Box::new(Redirected) as Box<dyn Client>)
        })
    }

    fn open_deadline(&self) -> Option<Duration> {
        Some(LONG)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_a_client_has_the_clients_own_deadline() {
    let bench = Bench::new();
    let limits = DriverOptions { ops_max: Some(30), deadline: Duration::from_millis(20), ..options(3) };
    let summary = bench.load(Slow, vec![register()], limits).await;
    assert_eq!((summary.calls, summary.not_connected), (30, 0));
}

/// Waits until something is so.
async fn await_that(what: &str, so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(tokio::time::Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_of_which_no_call_can_succeed_ends_early() {
    let bench = Bench::new();
    let scripted = Scripted::new(|_, _| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            CallResult::fail("malformed: 42601: syntax error")
        })
    });
    let summary = bench.load(scripted, vec![register()], options(3)).await;
    let StopReason::PermanentErrors(why) = &summary.stopped else { panic!("{:?}", summary.stopped) };
    assert!(why.contains("the plan, the recipe or the client is wrong") && why.contains("42601"), "{why}");
    assert!(bench.history().end_time < 20_000_000_000);
    // One function that works is enough to go on.
    let bench = Bench::new();
    let scripted = Scripted::new(|_, call| {
        let answer = match &*call.f {
            "read" => CallResult::Ok(Value::Nil),
            _ => CallResult::fail("malformed: 42601: syntax error"),
        };
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer
        })
    });
    let short = DriverOptions { time: Duration::from_secs(7), ..options(3) };
    assert_eq!(bench.load(scripted, vec![register()], short).await.stopped, StopReason::TimeUp);
}
