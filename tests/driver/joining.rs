//! Clients that join those that hang.
use super::*;

/// Clients of one node of which some calls hang until they are let go; all others answer at once.
#[derive(Clone)]
struct HangsOn {
    node: &'static str,
    hangs: fn(&Call) -> bool,
    begun: Arc<Mutex<Vec<Arc<str>>>>,
    release: Arc<Semaphore>,
}

impl HangsOn {
    fn new(node: &'static str, hangs: fn(&Call) -> bool) -> HangsOn {
        HangsOn { node, hangs, begun: Arc::default(), release: Arc::new(Semaphore::new(0)) }
    }

    /// Calls of this node that began, by function.
    fn begun(&self, function: &str) -> usize {
        self.begun.lock().expect("no panic inside").iter().filter(|f| &***f == function).count()
    }

    async fn until(&self, holds: impl Fn(&HangsOn) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LONG, waiting).await.expect("the calls come before the deadline");
    }
}

struct HangingClient(HangsOn, bool);

impl Connect for HangsOn {
    fn open(&self, endpoint: Endpoint) -> BoxFuture<'_, Result<Box<dyn Client>, ConnectError>> {
        let client: Box<dyn Client> = Box::new(HangingClient(self.clone(), &*endpoint.node == self.node));
        Box::pin(async { Ok(client) })
    }
}

impl Client for HangingClient {
    fn call<'a>(&'a mut self, call: &'a Call, _terms: Terms) -> BoxFuture<'a, CallResponse> {
        Box::pin(async move {
            if !self.1 {
                // A breath, so that the other nodes do not fill the record.
                tokio::time::sleep(Duration::from_millis(5)).await;
            } else {
                self.0.begun.lock().expect("no panic inside").push(call.f.clone());
                if (self.0.hangs)(call) {
                    let _released = self.0.release.acquire().await;
                    return CallResult::info("hung").into();
                }
            }
            CallResult::Ok(Value::Nil).into()
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_join_those_that_hang_up_to_the_maximum_of_the_node() {
    let bench = Bench::new();
    let hanging = HangsOn::new("n1", |_| true);
    let limits = DriverOptions { joining: 12, asked_per_node: 50.0, ..options(6) };
    let load = bench.load(hanging.clone(), vec![register()], limits);
    let all = |hanging: &HangsOn| hanging.begun.lock().expect("no panic inside").len();
    let watch = async {
        // Two clients of the plan hang on n1; six more join for the reads and six for everything else.
        hanging.until(|hanging| all(hanging) == 14).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(all(&hanging), 14, "never more than the maximum");
        bench.stop.send_replace(true);
        hanging.release.add_permits(100);
    };
    let (summary, ()) = tokio::join!(load, watch);
    assert_eq!((summary.stopped, summary.harness), (StopReason::Signal, Vec::<String>::new()));
    let history = bench.history();
    // A stalled machine may look like a node that hangs, so that other nodes say nothing here.
    let joined: Vec<Op<'_>> =
        history.ops().iter().filter(|op| op.worker >= 6 && history.name(op.node) == "n1").collect();
    assert_eq!(joined.len(), 12);
    assert_eq!(joined.iter().filter(|op| history.name(op.function) == "read").count(), 6);
    let processes: HashSet<u64> =
        history.ops().iter().filter(|op| op.outcome == Outcome::Info).map(|op| op.process).collect();
    assert_eq!(processes.len(), 14, "each that hung has a process of its own");
    assert!(processes.iter().all(|process| *process < summary.next_process), "{processes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_hang_do_not_stop_the_reads() {
    let bench = Bench::new();
    let hanging = HangsOn::new("n1", |call| &*call.f != "read");
    let limits = DriverOptions { joining: 4, asked_per_node: 50.0, ..options(6) };
    let load = bench.load(hanging.clone(), vec![register()], limits);
    let watch = async {
        hanging.until(|hanging| hanging.begun("write") + hanging.begun("cas") >= 4).await;
        let before = hanging.begun("read");
        hanging.until(|hanging| hanging.begun("read") >= before + 20).await;
        bench.stop.send_replace(true);
        hanging.release.add_permits(100);
    };
    let (_, ()) = tokio::join!(load, watch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_leaves_the_streams_of_the_plans_clients_as_they_are() {
    let limits = DriverOptions { joining: 8, asked_per_node: 50.0, ..options(3) };
    let mut streams = Vec::new();
    for hangs in [(|_| false) as fn(&Call) -> bool, |call| &*call.f == "cas"] {
        let bench = Bench::new();
        let hanging = HangsOn::new("n1", hangs);
        let load = bench.load(hanging.clone(), vec![register()], limits.clone());
        let watch = async {
            hanging.until(|hanging| hanging.begun("read") >= 30).await;
            bench.stop.send_replace(true);
            hanging.release.add_permits(1000);
        };
        let (_, ()) = tokio::join!(load, watch);
        let history = bench.history();
        let mut by_worker: BTreeMap<u32, Vec<(String, i64, Option<i64>)>> = BTreeMap::new();
        for op in history.ops().iter() {
            let (input, key) = (op.input.to_value(), op.key.to_value());
            let written = input.as_list().map_or(input.clone(), |pair| pair[1].clone());
            let slot = key.as_int().expect("a key") % 8;
            by_worker.entry(op.worker).or_default().push((
                history.name(op.function).to_owned(),
                slot,
                written.as_int(),
            ));
        }
        streams.push(by_worker);
    }
    assert!(streams[1].keys().any(|worker| *worker >= 3), "somebody joined where the only client hung");
    let mut compared = 0;
    for worker in 0..3 {
        // On a busy machine a client may not have had its first turn when the others were done.
        let (Some(one), Some(other)) = (streams[0].get(&worker), streams[1].get(&worker)) else { continue };
        let both = one.len().min(other.len());
        assert_eq!(one[..both], other[..both], "worker {worker}");
        compared += both;
    }
    assert!(compared > 0, "the plan's clients made calls in both runs");
    type Choice = (String, i64, Option<i64>);
    let written = |streams: &BTreeMap<u32, Vec<Choice>>| {
        let values: Vec<i64> = streams.values().flatten().filter_map(|(_, _, value)| *value).collect();
        let different: HashSet<i64> = values.iter().copied().collect();
        (values.len(), different.len())
    };
    let (values, different) = written(&streams[1]);
    assert_eq!(values, different, "no value is written twice");
}
