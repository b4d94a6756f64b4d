//! Final reads: which nodes are asked, how often, and what counts as an answer.
use super::*;
use dsfuzz_workloads::{FinalCall, Generator};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workloads_share_the_workers_and_final_reads_see_every_element() {
    let bench = Bench::new();
    let set: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Set(SetOptions { keys: Some(2), ..SetOptions::default() }).build());
    let workloads = vec![register(), set];
    let memory = Memory::new();
    let limits = DriverOptions { ops_max: Some(2000), ..options(6) };
    let loaded = bench.load(memory.clone(), workloads.clone(), limits).await;
    let settled = final_reads(&bench, memory, &workloads, &loaded, LONG).await;
    assert_eq!((settled.missed.len(), settled.ok % 3), (0, 0));

    let history = bench.history();
    assert_eq!(history.phases.last().map(|(phase, _)| *phase), Some(Phase::Settle));
    let of = |name: &str| history.find_name(name).expect("it occurs");
    let (set, add, read) = (of("set"), of("add"), of("read"));
    let adds: Vec<Op<'_>> = history.ops().iter().filter(|op| op.function == add).collect();
    assert!((800..1200).contains(&adds.len()), "{} of 2000 calls are the set's", adds.len());
    for key in 0..2 {
        let expected = adds.iter().filter(|op| op.key == Value::Int(key)).count();
        let reads: Vec<Op<'_>> = history.ops().iter().filter(|op| op.workload == set && op.function == read).collect();
        let mine: Vec<&Op<'_>> = reads.iter().filter(|op| op.key == Value::Int(key)).collect();
        assert_eq!(mine.len(), 3, "one from each node");
        for op in mine {
            assert!(op.settle && op.process >= loaded.next_process);
            assert_eq!(op.output.as_list().map(|items| items.len()), Some(expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn final_reads_are_repeated_and_what_is_missed_is_named() {
    let bench = Bench::new();
    let set: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Set(SetOptions { keys: Some(2), ..SetOptions::default() }).build());
    let none =
        DriverSummary { calls: 0, not_connected: 0, next_process: 6, stopped: StopReason::Done, harness: Vec::new() };
    // Key 1 is never read; key 0 is, after troubles of each kind.
    let scripted = Scripted::new(|number, call| match (&call.key, number) {
        (Value::Int(1), _) => at_once(CallResult::fail("no quorum")),
        (_, 0..3) => at_once(CallResult::info("reset")),
        (_, 3..6) => panic!("a defect of the client"),
        _ => at_once(CallResult::Ok(Value::list([]))),
    });
    let settled = final_reads(&bench, scripted, &[set], &none, Duration::from_secs(3)).await;
    assert_eq!(settled.ok, 3);
    let missed: HashSet<(&str, &Value, &str)> =
        settled.missed.iter().map(|missed| (&*missed.node, &missed.call.key, &*missed.error)).collect();
    let key = Value::Int(1);
    assert_eq!(missed, HashSet::from(["n1", "n2", "n3"].map(|node| (node, &key, "no quorum"))));
    let history = bench.history();
    assert!(history.ops().iter().all(|op| op.settle && op.process >= 6));
    assert!(count(&history, Outcome::Fail) >= 3 && count(&history, Outcome::Info) >= 3);
}

/// Final reads of one set, in a mode, through clients whose answer follows from their node and the number of its calls.
pub(super) async fn read_in_mode(
    mode: FinalReads,
    leader: Option<&str>,
    time: Duration,
    answer: impl Fn(&str, u64) -> CallResult + Send + Sync + 'static,
) -> (SettleSummary, History) {
    type Answers = dyn Fn(&str, u64) -> CallResult + Send + Sync;
    struct ByNode(Arc<Answers>, Arc<Mutex<HashMap<Arc<str>, u64>>>);
    struct OfNode(Arc<str>, ByNode);
    impl Connect for ByNode {
        fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
            assert!(endpoint.terms.settle, "a client of final reads gets its terms");
            let client: Box<dyn Client> = Box::new(OfNode(endpoint.node, ByNode(self.0.clone(), self.1.clone())));
            Box::pin(async { Ok(client) })
        }
    }
    impl Client for OfNode {
        fn call<'a>(&'a mut self, _: &'a Call, terms: Terms) -> BoxFuture<'a, CallResponse> {
            assert!(terms.settle);
            let mut calls = self.1.1.lock().expect("no panic inside");
            let number = calls.entry(self.0.clone()).or_default();
            *number += 1;
            let answer = (self.1.0)(&self.0, *number - 1);
            Box::pin(async { answer.into() })
        }
        fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }
    let bench = Bench::new();
    let leads = watch::Sender::new(Leadership::from(leader.map(str::to_owned).into_iter().collect::<Vec<_>>()));
    let options = SettleOptions { mode, leaders: leads.subscribe(), time, ..settle_options(6) };
    let set: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Set(SetOptions { keys: Some(1), ..SetOptions::default() }).build());
    let connect = Arc::new(ByNode(Arc::new(answer), Arc::default()));
    let settled = settle(bench.recorder.clone(), connect, &[set], options, bench.stop.subscribe()).await;
    (settled, bench.history())
}

fn elements(count: i64) -> CallResult {
    CallResult::Ok(Value::list((0..count).map(Value::Int)))
}

fn asked(history: &History) -> Vec<&str> {
    history.ops().iter().map(|op| history.name(op.node)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_is_enough_where_the_others_refuse_or_fail() {
    let answer = |node: &str, _| match node {
        "n1" => CallResult::fail("read-only: a replica"),
        "n2" => CallResult::fail("wrong shard"),
        _ => elements(2),
    };
    let (settled, history) = read_in_mode(FinalReads::AnyNode, None, LONG, answer).await;
    assert_eq!((settled.ok, settled.missed.len()), (1, 0));
    assert_eq!(asked(&history).iter().filter(|node| **node == "n1").count(), 1, "not asked again");
    let none = |_: &str, _| CallResult::fail("read-only: all are replicas");
    let (settled, history) = read_in_mode(FinalReads::AnyNode, None, LONG, none).await;
    assert_eq!((settled.ok, settled.missed.len(), history.ops().len()), (0, 3, 3), "at once, not at the deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_alone_is_asked_until_it_answers() {
    let answer = |_: &str, number| if number < 2 { CallResult::fail("not-leader: n3") } else { elements(1) };
    let (settled, history) = read_in_mode(FinalReads::Leader, Some("n2"), LONG, answer).await;
    assert_eq!((settled.ok, settled.missed.len()), (1, 0));
    assert_eq!(asked(&history), ["n2", "n2", "n2"]);
    let short = Duration::from_millis(300);
    let (settled, history) = read_in_mode(FinalReads::Leader, None, short, |_: &str, _| elements(1)).await;
    assert_eq!((settled.missed.len(), &*settled.missed[0].error, history.ops().len()), (1, "no node led", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_with_an_effect_is_made_once_and_not_repeated_after_an_unknown_end() {
    let (settled, history) = read_in_mode(FinalReads::Once, None, LONG, |_: &str, _| elements(3)).await;
    assert_eq!((settled.ok, settled.missed.len(), asked(&history)), (1, 0, vec!["n1"]));
    // A certain failure took nothing: the next node is asked.
    let refused = |node: &str, _| if node == "n1" { CallResult::fail("refused") } else { elements(3) };
    let (settled, history) = read_in_mode(FinalReads::Once, None, LONG, refused).await;
    assert_eq!((settled.missed.len(), asked(&history)), (0, vec!["n1", "n2"]));
    for mode in [FinalReads::Once, FinalReads::UntilEmpty] {
        let (settled, history) = read_in_mode(mode, None, LONG, |_: &str, _| CallResult::info("timeout")).await;
        assert_eq!((settled.missed.len(), asked(&history)), (1, vec!["n1"]), "{mode:?}");
        assert_eq!(settled.failed().as_deref(), Some("1 final read failed: 1 x timeout on n1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_goes_on_until_nothing_is_left() {
    let answer = |node: &str, number| if node == "n1" && number < 2 { elements(2) } else { elements(0) };
    let (settled, history) = read_in_mode(FinalReads::UntilEmpty, None, LONG, answer).await;
    assert_eq!((settled.ok, settled.missed.len()), (5, 0));
    assert_eq!(asked(&history), ["n1", "n1", "n1", "n2", "n3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_certainly_absent_is_an_answer() {
    let absent = |_: &str, _| CallResult::fail("absent: js10059: stream not found");
    let (settled, history) = read_in_mode(FinalReads::EachNode, None, LONG, absent).await;
    assert_eq!((settled.absent, settled.missed.len(), settled.failed()), (3, 0, None));
    assert_eq!(errors(&history), HashSet::from(["absent: js10059: stream not found"]));
    assert_eq!(count(&history, Outcome::Fail), 3);
}

#[tokio::test(start_paused = true)]
async fn where_a_leader_has_authority_a_replica_may_refuse() {
    let answer = |_: &str, _| CallResult::fail("read-only: a replica");
    // Each node refuses, and n1 leads: it alone is asked again until the end.
    let short = Duration::from_millis(500);
    let (settled, _) = read_with_authority(short, answer).await;
    let missed: Vec<&str> = settled.missed.iter().map(|missed| &*missed.node).collect();
    assert_eq!(missed, ["n1"]);
}

async fn read_with_authority(
    time: Duration,
    answer: impl Fn(&str, u64) -> CallResult + Send + Sync + 'static,
) -> (SettleSummary, History) {
    let bench = Bench::new();
    let leads = watch::Sender::new(Leadership::from(vec!["n1".to_owned()]));
    let options = SettleOptions { authority: true, leaders: leads.subscribe(), time, ..settle_options(6) };
    let set: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Set(SetOptions { keys: Some(1), ..SetOptions::default() }).build());
    let scripted = Scripted::new(move |number, _| at_once(answer("", number)));
    let settled = settle(bench.recorder.clone(), Arc::new(scripted), &[set], options, bench.stop.subscribe()).await;
    (settled, bench.history())
}

/// Drains until nothing is left, beside the set that is read on each node.
struct Drained;

impl Workload for Drained {
    fn name(&self) -> Arc<str> {
        "drained".into()
    }

    fn object(&self) -> Arc<str> {
        "queue".into()
    }

    fn functions(&self) -> Vec<Arc<str>> {
        vec!["drain".into()]
    }

    fn generator(&self, _: u64, _: u32, _: u32) -> Box<dyn Generator> {
        unreachable!("there is no load")
    }

    fn settle(&self) -> Vec<FinalCall> {
        let call = Call { workload: self.name(), f: "drain".into(), key: Value::Nil, value: Value::Nil };
        vec![FinalCall { mode: Some(FinalReads::UntilEmpty), ..call.into() }]
    }

    fn checkers(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workload_may_demand_its_own_mode_of_final_reads() {
    let bench = Bench::new();
    let set: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Set(SetOptions { keys: Some(1), ..SetOptions::default() }).build());
    // Each drain takes one of two elements; reads of the set find nothing.
    let left = Arc::new(Mutex::new(2));
    let connect = Answering(Arc::new(move |call: &Call| {
        let mut left = left.lock().expect("no panic inside");
        let taken = if &*call.f == "drain" { std::cmp::min(*left, 1) } else { 0 };
        *left -= taken;
        elements(taken)
    }));
    let options = settle_options(6);
    let workloads: [Arc<dyn Workload>; 2] = [set, Arc::new(Drained)];
    let settled = settle(bench.recorder.clone(), Arc::new(connect), &workloads, options, bench.stop.subscribe()).await;
    assert_eq!(settled.missed, []);
    let history = bench.history();
    let of = |function: &str| -> Vec<(u64, &str)> {
        let ops = history.ops().iter().filter(|op| history.name(op.function) == function);
        ops.map(|op| (op.process, history.name(op.node))).collect()
    };
    let mut reads: Vec<&str> = of("read").into_iter().map(|(_, node)| node).collect();
    reads.sort_unstable();
    assert_eq!(reads, ["n1", "n2", "n3"]);
    let drains: Vec<&str> = of("drain").into_iter().map(|(_, node)| node).collect();
    assert_eq!(drains, ["n1", "n1", "n1", "n2", "n3"], "until nothing is left, then each other node");
    let of_reads: Vec<u64> = of("read").into_iter().map(|(process, _)| process).collect();
    assert!(of("drain").iter().all(|(process, _)| !of_reads.contains(process)), "each phase has its own processes");
}

/// A consumer is put at the beginning before its first poll, again after a poll that failed, and on each node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_makes_the_call_that_a_final_read_needs_before_it() {
    let bench = Bench::new();
    let log: Arc<dyn Workload> =
        Arc::from(WorkloadOptions::Log(LogOptions { keys: 1, ..LogOptions::default() }).build());
    let polls = Arc::new(Mutex::new(0));
    let connect = Answering(Arc::new(move |call: &Call| {
        if &*call.f == "assign" {
            return CallResult::Ok(Value::Nil);
        }
        let mut polls = polls.lock().expect("no panic inside");
        *polls += 1;
        let message = |offset| Value::list([Value::Int(offset), Value::Int(7)]);
        match *polls {
            1 => polled([message(0)].into()),
            2 => CallResult::fail("not-leader"),
            _ => polled(Vec::new()),
        }
    }));
    let options = settle_options(6);
    let settled = settle(bench.recorder.clone(), Arc::new(connect), &[log], options, bench.stop.subscribe()).await;
    assert_eq!(settled.missed, []);
    let history = bench.history();
    let made = |node: &str| -> Vec<&str> {
        let ops = history.ops().iter().filter(|op| history.name(op.node) == node);
        ops.map(|op| history.name(op.function)).collect()
    };
    assert_eq!(made("n1"), ["assign", "poll", "poll"], "refused, so the next node gets its turn");
    assert_eq!((made("n2"), made("n3")), (vec!["assign", "poll"], vec!["assign", "poll"]));
}

fn polled(messages: Vec<Value>) -> CallResult {
    let logs = Value::Map([(Arc::from("0"), Value::list(messages))].into());
    CallResult::Ok(Value::list([Value::list([Value::text("poll"), logs])]))
}

/// Answers each call by what it is.
struct Answering(Arc<dyn Fn(&Call) -> CallResult + Send + Sync>);

impl Connect for Answering {
    fn open(&self, _: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        let client: Box<dyn Client> = Box::new(Answering(self.0.clone()));
        Box::pin(async { Ok(client) })
    }
}

impl Client for Answering {
    fn call<'a>(&'a mut self, call: &'a Call, _: Terms) -> BoxFuture<'a, CallResponse> {
        let answer = (self.0)(call);
        Box::pin(async { answer.into() })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

pub(super) fn settle_options(first_process: u64) -> SettleOptions {
    SettleOptions {
        seed: 7,
        nodes: nodes(3),
        mode: FinalReads::EachNode,
        authority: false,
        leaders: watch::Sender::new(Leadership::default()).subscribe(),
        refusals: vec!["not-leader".to_owned(), "read-only".to_owned()],
        time: LONG,
        deadline: LONG,
        standstill: Duration::from_millis(200),
        first_worker: 6,
        first_process,
        client_options: BTreeMap::new(),
    }
}

async fn final_reads(
    bench: &Bench,
    connect: impl Connect + 'static,
    workloads: &[Arc<dyn Workload>],
    loaded: &DriverSummary,
    time: Duration,
) -> SettleSummary {
    let options = SettleOptions { time, ..settle_options(loaded.next_process) };
    settle(bench.recorder.clone(), Arc::new(connect), workloads, options, bench.stop.subscribe()).await
}

#[tokio::test(start_paused = true)]
async fn a_read_whose_error_is_permanent_is_given_up_after_a_time() {
    let modes = [FinalReads::EachNode, FinalReads::AnyNode, FinalReads::Once, FinalReads::UntilEmpty];
    for mode in modes {
        for malformed in [CallResult::fail, CallResult::info] {
            let began = tokio::time::Instant::now();
            let answer = move |_: &str, _| malformed("malformed: 42601: syntax error");
            let (settled, _) = read_in_mode(mode, Some("n1"), LONG, answer).await;
            assert!(began.elapsed() < LONG, "{mode:?}: {:?}", began.elapsed());
            assert!(!settled.missed.is_empty(), "{mode:?}");
            assert!(settled.missed.iter().all(|missed| missed.error.starts_with("malformed: 42601")), "{settled:?}");
        }
    }
    // What is malformed for some seconds, and what another reason refuses for long, is waited for.
    for (error, seconds) in [("malformed: a page of the proxy", 10), ("denied: users are not loaded yet", 60)] {
        let began = tokio::time::Instant::now();
        let answer = move |_: &str, _| match began.elapsed() < Duration::from_secs(seconds) {
            true => CallResult::fail(error),
            false => elements(1),
        };
        let (settled, _) = read_in_mode(FinalReads::EachNode, None, LONG, answer).await;
        assert_eq!((settled.ok, settled.missed.len()), (3, 0), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_drained_leaves_it_to_the_others() {
    for mode in [FinalReads::Once, FinalReads::UntilEmpty] {
        let answer = |node: &str, _| match node {
            "n1" => CallResult::fail("malformed: 42601: syntax error"),
            _ => elements(0),
        };
        let (settled, history) = read_in_mode(mode, None, LONG, answer).await;
        assert!(settled.ok > 0 && settled.missed.is_empty(), "{mode:?}: {settled:?}");
        assert!(history.ops().iter().any(|op| history.name(op.node) != "n1"), "{mode:?}");
    }
}
