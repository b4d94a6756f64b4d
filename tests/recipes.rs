//! The life of each built-in target on three real nodes of a lab: installed, started, asked, robbed of its leader, killed
//! whole, started again, wiped. These tests need root, and the packages of `.ci/setup lab test`.
use dsfuzz::cluster::{AgentBinaries, Cluster, ConnectOptions};
use dsfuzz::lab::{self, Lab, Owner};
use dsfuzz::targets::{Convergence, Deployment, Target, load};
use dsfuzz_nemesis::protocol::{Command, Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const NODES: u16 = 3;
const BASE: &str = "/var/lib/dsfuzz";
/// The longest wait of any condition.
const LONG: Duration = Duration::from_secs(120);
const ASK: Duration = Duration::from_secs(10);
/// One lab at a time: elections fail on a busy machine.
static TURN: Mutex<()> = Mutex::new(());

/// A target on the nodes of a lab.
struct Stage {
    cluster: Cluster,
    target: Target,
    deployment: Deployment,
    begun: Instant,
}

impl Stage {
    /// Runs a test on a lab of its own, on a thread in the lab's network.
    fn run<F: Future<Output = ()>>(target: &str, options: Value, test: impl FnOnce(Stage) -> F + Send) {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root, for labs");
        let program = Path::new(env!("CARGO_BIN_EXE_dsfuzz"));
        lab::use_program(program);
        let agent = program.with_file_name("dsfuzz-agent");
        assert!(agent.is_file(), "{} is missing: cargo build -p dsfuzz-agent", agent.display());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let lab = Lab::up(&format!("recipe-{target}-{}", std::process::id()), NODES, Owner::ThisProcess).expect("up");
        let inside = || {
            lab.enter_thread().expect("entered");
            let agents = Arc::new(AgentBinaries::at(agent));
            let options_of_plan = BTreeMap::from([(target.to_owned(), map(options))]);
            let target = load(target, Path::new("."), &options_of_plan).expect("a recipe");
            let connecting = ConnectOptions { run: "recipes".into(), ..ConnectOptions::default() };
            let cluster = Cluster::connect(&lab.nodes(), &agents, &connecting).expect("connected");
            let deployment = target.deployment(cluster.remotes(), BASE).expect("a layout");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(test(Stage { cluster, target, deployment, begun: Instant::now() }));
        };
        std::thread::scope(|scope| {
            let joined = scope.spawn(inside).join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        lab.down().expect("down");
    }

    fn say(&self, what: &str) {
        eprintln!("{} {:5.1} s: {what}", self.target.name(), self.begun.elapsed().as_secs_f64());
    }

    /// Installed, started, serving.
    async fn up(&self) {
        let missing = self.deployment.missing_packages().await.expect("looked");
        let lacks: Vec<&String> = missing.iter().filter_map(|node| node.by_hand.as_ref()).collect();
        assert!(lacks.is_empty(), "{lacks:?}");
        self.deployment.install().await.expect("installed");
        self.deployment.wipe().await.expect("wiped");
        self.say("wiped");
        self.deployment.start(LONG).await.expect("started");
        self.say("started");
        self.deployment.await_ready(LONG).await.expect("ready");
        let versions = self.deployment.versions().await.expect("versions");
        assert!(versions.iter().all(|(_, version)| !version.is_empty()), "{versions:?}");
        self.say(&format!("ready, {}", versions[0].1));
        if self.target.name() == "nats" {
            self.stream("s", 3);
        }
        self.converged().await;
    }

    /// Makes a stream of NATS that keeps one message of each subject, as a bucket does, and fills it.
    fn stream(&self, name: &str, replicas: u8) {
        let address = self.deployment.layout().nodes[0].node.address.to_string();
        let answer = |subject: &str, body: &str| {
            let mut stream = std::net::TcpStream::connect((&*address, 4222)).ok()?;
            stream.set_read_timeout(Some(ASK)).expect("a time-out");
            let asked =
                format!("CONNECT {{\"verbose\":false}}\r\nSUB in 1\r\nPUB {subject} in {}\r\n{body}\r\n", body.len());
            stream.write_all(asked.as_bytes()).ok()?;
            let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
            lines.by_ref().find(|line| line.starts_with("MSG"))?;
            lines.next().filter(|answer| !answer.contains("\"error\""))
        };
        // Servers that elect a leader drop what they are asked; both requests may be asked again.
        let ask = |subject: &str, body: &str| {
            let end = Instant::now() + LONG;
            while answer(subject, body).is_none() {
                assert!(Instant::now() < end, "{subject}: no answer without an error within {LONG:?}");
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        let config = json!({"name": name, "subjects": [format!("{name}.>")], "num_replicas": replicas, "max_msgs_per_subject": 1});
        ask(&format!("$JS.API.STREAM.CREATE.{name}"), &config.to_string());
        for number in 0..50 {
            ask(&format!("{name}.{}", number % 5), &number.to_string());
        }
        self.say(&format!("stream {name}"));
    }

    async fn converged(&self) {
        assert_eq!(self.deployment.await_converged(LONG).await, Convergence::Converged);
        self.say("converged");
    }

    /// The nodes with a role that leads.
    async fn leaders(&self) -> Vec<String> {
        let mut leaders = Vec::new();
        for node in ["n1", "n2", "n3"] {
            let answer = self.deployment.role(node, ASK).await;
            if answer.leads {
                leaders.push(node.to_owned());
            }
        }
        leaders
    }

    /// Waits until this number of nodes leads, none of them `but`.
    async fn leaders_other_than(&self, but: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + LONG;
        loop {
            let leaders = self.leaders().await;
            if leaders.len() == count && leaders.iter().all(|leader| leader != but) {
                self.say(&format!("led by {}", leaders.join(", ")));
                return leaders;
            }
            assert!(Instant::now() < end, "{count} leaders, none of them {but}: there are {leaders:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills every process of a node, as a fault does.
    async fn kill(&self, node: &str) {
        for service in self.deployment.services(node) {
            let asked = Request::Stop { service: service.name, signal: 9, grace_ms: 0 };
            let remote = self.cluster.remotes().into_iter().find(|remote| &*remote.node().name == node);
            let (response, _) = remote.expect("a node").ask(asked, Vec::new(), ASK).await.expect("asked");
            assert_eq!(response, Response::Done);
        }
        self.say(&format!("{node} is killed"));
    }

    /// Starts the dead again, and waits until all serve and agree.
    async fn again(&self, dead: usize) {
        let started = self.deployment.restart_dead().await.expect("started again");
        let nodes: std::collections::BTreeSet<&Arc<str>> = started.iter().map(|(node, _)| node).collect();
        assert_eq!(nodes.len(), dead, "{started:?}");
        self.deployment.await_ready(LONG).await.expect("ready again");
        self.say("ready again");
        self.converged().await;
    }

    /// A node's output of a command with status 0.
    async fn output(&self, node: &str, script: &str) -> String {
        let remote = self.cluster.remotes().into_iter().find(|remote| &*remote.node().name == node);
        let env = self.deployment.layout().nodes[0].env.clone();
        let command = Command { argv: vec![script.to_owned()], env, deadline_ms: 20_000, ..Command::default() };
        let (response, _) = remote.expect("a node").ask(Request::Run(command), Vec::new(), LONG).await.expect("asked");
        let Response::Ran { status, stdout, stderr, .. } = response else { panic!("{response:?}") };
        assert_eq!(status, Some(0), "{node}: {script}: {stdout}{stderr}");
        stdout.trim().to_owned()
    }

    /// Wiped: no data is left.
    async fn wiped(&self) {
        self.deployment.wipe().await.expect("wiped");
        let folder = &self.deployment.layout().nodes[0].dir;
        let left = self.output("n1", &format!("du -sk {folder} | cut -f1")).await;
        assert!(left.parse::<u64>().expect("a number") < 100, "{left} KiB are left in {folder}");
        self.say("wiped");
    }
}

fn map(options: Value) -> BTreeMap<String, Value> {
    options.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The life of a target with one leader that others replace.
async fn led(stage: Stage) {
    stage.up().await;
    let old = stage.leaders_other_than("", 1).await.remove(0);
    stage.kill(&old).await;
    stage.leaders_other_than(&old, 1).await;
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    stage.again(3).await;
    stage.leaders_other_than("", 1).await;
    stage.wiped().await;
}

#[test]
fn zookeeper() {
    Stage::run("zookeeper", json!({}), led);
}

/// The life of a target whose first node leads for good.
async fn led_by_the_first(stage: Stage) {
    stage.up().await;
    assert_eq!(stage.leaders().await, ["n1"]);
    stage.kill("n1").await;
    assert_eq!(stage.leaders().await, [""; 0]);
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    stage.again(3).await;
    assert_eq!(stage.leaders().await, ["n1"]);
    stage.wiped().await;
}

/// The life of a target without a leader.
async fn without_leader(stage: Stage) {
    stage.up().await;
    stage.kill("n1").await;
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    stage.again(3).await;
    stage.wiped().await;
}

/// The life of a target that one of its nodes founds.
async fn founded(stage: Stage) {
    stage.up().await;
    let mark = format!("ls {}/founds 2>/dev/null; true", stage.deployment.layout().nodes[0].dir);
    for node in ["n1", "n2", "n3"] {
        assert_eq!(stage.output(node, &mark).await, "", "{node} would found the cluster again");
    }
    stage.kill("n1").await;
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    // The founder dies before another has joined it.
    stage.deployment.restart_dead().await.expect("started again");
    let mut founder = "";
    for node in ["n1", "n2", "n3"] {
        if !stage.output(node, &mark).await.is_empty() {
            founder = node;
        }
    }
    stage.say(&format!("founded again by {founder}"));
    stage.kill(founder).await;
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        assert_eq!(stage.output(node, &mark).await, "", "{node} would found the cluster again");
    }
    stage.wiped().await;
}

#[test]
fn postgres() {
    Stage::run("postgres", json!({"sync": true}), led_by_the_first);
}

#[test]
fn patroni() {
    Stage::run("patroni", json!({"synchronous_mode": true}), led);
}

#[test]
fn galera() {
    Stage::run("galera", json!({}), founded);
}

/// The life of a target in which every node leads a part of the data.
async fn sharded(stage: Stage) {
    stage.up().await;
    assert_eq!(stage.leaders().await, ["n1", "n2", "n3"]);
    stage.kill("n1").await;
    // Replicas on the other nodes take over: three primaries with keys, and none of them failed.
    let n2 = &stage.deployment.layout().nodes[1].node.address;
    let primaries =
        format!("redis-cli -h {n2} CLUSTER NODES | grep -v fail | grep -c 'master - .* [0-9]*-[0-9]*$'; true");
    let end = Instant::now() + LONG;
    while stage.output("n2", &primaries).await != "3" {
        assert!(Instant::now() < end, "nothing takes over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.say("taken over");
    stage.again(1).await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    stage.again(3).await;
    stage.wiped().await;
}

#[test]
fn rabbitmq() {
    Stage::run("rabbitmq", json!({"queue": "mirrored", "partition": "pause_minority"}), without_leader);
}

#[test]
fn nats() {
    Stage::run("nats", json!({}), led);
}

/// Servers that hold no copy of a stream are not compared.
async fn copies(stage: Stage) {
    stage.up().await;
    stage.stream("two", 2);
    stage.stream("one", 1);
    stage.converged().await;
    for node in ["n1", "n2", "n3"] {
        stage.kill(node).await;
    }
    stage.again(3).await;
    stage.wiped().await;
}

#[test]
fn nats_with_servers_that_hold_no_copy() {
    Stage::run("nats", json!({}), copies);
}

#[test]
fn redis_sentinel() {
    Stage::run("redis-sentinel", json!({"min_replicas": 1}), led);
}

#[test]
fn tarantool() {
    Stage::run("tarantool", json!({"failover": "majority"}), led);
}

#[test]
fn tarantool_without_failover() {
    Stage::run("tarantool", json!({"wal_mode": "fsync", "synchronous": false}), led_by_the_first);
}

#[test]
fn redis_cluster() {
    Stage::run("redis-cluster", json!({}), sharded);
}

#[test]
fn etcd() {
    Stage::run("etcd", json!({}), led);
}
