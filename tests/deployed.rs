//! Recipes carried out for real: three nodes on 127.0.0.x, each a folder of its own, with etcd and with Redis and
//! Sentinel from Debian's packages. The stand-in for an agent runs everything as children of the test and kills them,
//! by their process groups, when it is dropped.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz::cluster::{Node, Remote, RemoteError};
use dsfuzz::targets::{Convergence, Deployment, Target, load};
use dsfuzz_checkers::Value;
use dsfuzz_nemesis::protocol::{Request, Response, Service, ServiceState};
use dsfuzz_workloads::{BoxFuture, Call, CallResult, ClientWorkload, Terms};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The base folder as the layout knows it; each node has its own in its place.
const BASE: &str = "/dsfuzz-test-base";
const LONG: Duration = Duration::from_secs(90);
const TERMS: Terms = Terms { deadline: Duration::from_secs(5), settle: false };

/// A node that is a folder.
struct FolderNode {
    node: Node,
    folder: PathBuf,
    services: Mutex<BTreeMap<String, (Service, Option<Child>)>>,
}

impl Drop for FolderNode {
    fn drop(&mut self) {
        for (service, child) in self.services.lock().unwrap().values_mut() {
            end(child);
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.own(&service.log)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(40)..].join("\n");
                eprintln!("--- the end of {} of {}:\n{last}", service.name, self.node.name);
            }
        }
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
        let _ = child.wait();
    }
}

impl Remote for FolderNode {
    fn node(&self) -> &Node {
        &self.node
    }

    fn ask(
        &self,
        ask: Request,
        blob: Vec<u8>,
        _deadline: Duration,
    ) -> BoxFuture<'_, Result<(Response, Vec<u8>), RemoteError>> {
        Box::pin(async move { Ok(self.answer(ask, &blob)) })
    }
}

impl FolderNode {
    fn own(&self, text: &str) -> String {
        text.replace(BASE, &self.folder.display().to_string())
    }

    fn command(&self, argv: &[String]) -> Command {
        let words: Vec<String> = argv.iter().map(|word| self.own(word)).collect();
        let mut command = match words.as_slice() {
            [script] => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(script);
                shell
            }
            _ => Command::new(&words[0]),
        };
        if words.len() > 1 {
            command.args(&words[1..]);
        }
        command.stdin(Stdio::null());
        command
    }

    fn answer(&self, ask: Request, blob: &[u8]) -> (Response, Vec<u8>) {
        let mut services = self.services.lock().unwrap();
        let output = match ask {
            Request::Run(command) => {
                let output = self.command(&command.argv).output().unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Response::Ran {
                    status: output.status.code(),
                    stdout: text(&output.stdout),
                    stderr: text(&output.stderr),
                    late: false,
                }
            }
            Request::Write { path, mode, .. } => {
                let path = self.own(&path);
                let text = String::from_utf8(blob.to_vec()).unwrap();
                std::fs::write(&path, self.own(&text)).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
                Response::Done
            }
            Request::Define(service) => {
                let child = services.remove(&service.name).and_then(|(_, child)| child);
                services.insert(service.name.clone(), (service, child));
                Response::Done
            }
            Request::Start { service, .. } => {
                let (service, child) = services.get_mut(&service).unwrap();
                let log = std::fs::OpenOptions::new().create(true).append(true).open(self.own(&service.log)).unwrap();
                let mut command = self.command(&service.argv);
                command.process_group(0).stdout(log.try_clone().unwrap()).stderr(log);
                *child = Some(command.spawn().unwrap());
                Response::Started { pid: 1 }
            }
            Request::Stop { service, .. } => {
                end(&mut services.get_mut(&service).unwrap().1);
                Response::Done
            }
            Request::Services => Response::Services(
                services
                    .values_mut()
                    .map(|(service, child)| {
                        let running =
                            child.as_mut().and_then(|child| child.try_wait().unwrap().is_none().then(|| child.id()));
                        let pids: Vec<u32> = running.into_iter().collect();
                        let ended = if pids.is_empty() { "ended".to_owned() } else { String::new() };
                        ServiceState { name: service.name.clone(), pids, paused: false, ended }
                    })
                    .collect(),
            ),
            Request::DiskLayers { folders } if folders.is_empty() => Response::Done,
            Request::List { pattern } => {
                let size = std::fs::metadata(self.own(&pattern)).map(|data| data.len());
                Response::Files(size.map(|size| (pattern, size)).into_iter().collect())
            }
            Request::Read { path, offset, bytes } => {
                let whole = std::fs::read(self.own(&path)).unwrap();
                let from = usize::try_from(offset).unwrap().min(whole.len());
                let to = (from + bytes as usize).min(whole.len());
                return (Response::Chunk { size: whole.len() as u64 }, whole[from..to].to_vec());
            }
            other => panic!("not expected: {other:?}"),
        };
        (output, Vec::new())
    }
}

/// Three nodes. `third` tells tests apart: 127.0.<third>.1 to 3.
fn deploy(target: &Target, third: u8, folder: &Path) -> (Deployment, Vec<Arc<FolderNode>>) {
    let here = |number: u8| {
        let folder = folder.join(format!("n{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        let node = Node { name: Arc::from(format!("n{number}")), address: [127, 0, third, number].into() };
        Arc::new(FolderNode { node, folder, services: Mutex::default() })
    };
    let nodes: Vec<Arc<FolderNode>> = (1..=3).map(here).collect();
    let remotes = nodes.iter().map(|node| node.clone() as Arc<dyn Remote>).collect();
    (target.deployment(remotes, BASE).unwrap(), nodes)
}

async fn leader(deployment: &Deployment) -> Option<Arc<str>> {
    deployment.authority(Duration::from_secs(5)).await
}

async fn await_leader_other_than(deployment: &Deployment, old: &str) -> Arc<str> {
    let end = Instant::now() + LONG;
    loop {
        match leader(deployment).await {
            Some(new) if *new != *old => return new,
            _ => assert!(Instant::now() < end, "no other leader than {old}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn call(workload: &str, f: &str, value: Value) -> Call {
    Call { workload: workload.into(), f: f.into(), key: Value::Int(1), value }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_lives_loses_its_leader_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let target = load("etcd", Path::new("."), &BTreeMap::new()).unwrap();
    let (deployment, nodes) = deploy(&target, 71, folder.path());
    deployment.wipe().await.unwrap();
    deployment.start(LONG).await.unwrap();
    deployment.await_ready(LONG).await.unwrap();
    assert!(deployment.versions().await.unwrap()[0].1.starts_with("etcd Version"));

    let connect =
        target.connect(&ClientWorkload::new("register", &["read", "write", "cas"]), &[], folder.path(), "r").unwrap();
    let old = leader(&deployment).await.expect("one leader");
    let at = |name: &str| nodes.iter().find(|node| &*node.node.name == name).unwrap();
    let mut client = connect.open(target.endpoint(&at(&old).node, 1, TERMS)).await.unwrap();
    assert_eq!(client.call(&call("register", "write", Value::Int(4)), TERMS).await.result, CallResult::Ok(Value::Nil));
    drop(client);

    end(&mut at(&old).services.lock().unwrap().get_mut("etcd").unwrap().1);
    let new = await_leader_other_than(&deployment, &old).await;
    assert_eq!(deployment.role(&old, Duration::from_secs(2)).await.role, "", "a dead node says nothing");
    assert_eq!(deployment.restart_dead().await.unwrap(), [(old.clone(), "etcd".to_owned())]);
    deployment.await_ready(LONG).await.unwrap();
    assert_eq!(deployment.await_converged(LONG).await, Convergence::Converged);
    let mut client = connect.open(target.endpoint(&at(&old).node, 2, TERMS)).await.unwrap();
    assert_eq!(client.call(&call("register", "read", Value::Nil), TERMS).await.result, CallResult::Ok(Value::Int(4)));

    let mut terms = BTreeMap::new();
    for node in ["n1", "n2", "n3"] {
        for log in deployment.fetch_logs(node, &folder.path().join("logs").join(node), 1 << 26).await.unwrap().0 {
            for claim in deployment.claims(&log).unwrap() {
                assert!(claim.at.is_some(), "{claim:?}");
                assert_eq!(terms.insert(claim.term.expect("a term"), claim.node.clone()), None, "one leader a term");
            }
        }
    }
    let leaders: Vec<&Arc<str>> = terms.values().collect();
    assert!(leaders.contains(&&old) && leaders.contains(&&new), "{terms:?}");

    deployment.stop().await.unwrap();
    assert_eq!(deployment.restart_dead().await.unwrap().len(), 3, "all had ended");
    deployment.await_ready(LONG).await.unwrap();
    deployment.wipe().await.unwrap();
    assert!(!folder.path().join("n1/etcd/data").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_with_sentinel_fails_over_and_a_client_in_python_is_bound_to_its_node() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/redis-sentinel");
    let target = load(".", &example, &BTreeMap::new()).unwrap();
    let (deployment, nodes) = deploy(&target, 72, folder.path());
    deployment.wipe().await.unwrap();
    deployment.start(LONG).await.unwrap();
    deployment.await_ready(LONG).await.unwrap();
    assert_eq!(leader(&deployment).await.as_deref(), Some("n1"));

    let connect =
        target.connect(&ClientWorkload::new("set", &["add", "read"]), &[], &folder.path().join("stderr"), "r").unwrap();
    let mut first = connect.open(target.endpoint(&nodes[0].node, 1, TERMS)).await.unwrap();
    for element in 0..20 {
        assert_eq!(
            first.call(&call("set", "add", Value::Int(element)), TERMS).await.result,
            CallResult::Ok(Value::Nil)
        );
    }
    let mut second = connect.open(target.endpoint(&nodes[1].node, 2, TERMS)).await.unwrap();
    let refused = second.call(&call("set", "add", Value::Int(99)), TERMS).await.result;
    assert!(matches!(&refused, CallResult::Fail(why) if why.starts_with("READONLY")), "{refused:?}");
    assert_eq!(deployment.await_converged(LONG).await, Convergence::Converged);

    end(&mut nodes[0].services.lock().unwrap().get_mut("redis").unwrap().1);
    let gone = first.call(&call("set", "add", Value::Int(20)), TERMS).await.result;
    assert!(matches!(gone, CallResult::Info(_)), "{gone:?}");
    let again =
        connect.open(target.endpoint(&nodes[0].node, 3, TERMS)).await.err().expect("no process listens").to_string();
    assert!(again.contains("refused"), "{again}");

    let new = await_leader_other_than(&deployment, "n1").await;
    let primary = nodes.iter().find(|node| node.node.name == new).unwrap();
    let mut client = connect.open(target.endpoint(&primary.node, 4, TERMS)).await.unwrap();
    assert_eq!(client.call(&call("set", "add", Value::Int(21)), TERMS).await.result, CallResult::Ok(Value::Nil));
    assert_eq!(deployment.restart_dead().await.unwrap(), [(Arc::from("n1"), "redis".to_owned())]);
    deployment.await_ready(LONG).await.unwrap();
    assert_eq!(deployment.await_converged(LONG).await, Convergence::Converged);
    let mut last = connect.open(target.endpoint(&nodes[0].node, 5, TERMS)).await.unwrap();
    let CallResult::Ok(read) = last.call(&call("set", "read", Value::Nil), TERMS).await.result else {
        panic!("a read on a replica")
    };
    let mut elements: Vec<i64> = read.as_list().unwrap().iter().filter_map(Value::as_int).collect();
    elements.sort_unstable();
    assert_eq!(elements, (0..20).chain([21]).collect::<Vec<i64>>());
    last.close().await;

    deployment.wipe().await.unwrap();
    let conf = std::fs::read_to_string(folder.path().join("n1/redis-sentinel/redis.conf")).unwrap();
    assert!(!conf.contains("replicaof"), "the files are as new after a wipe: {conf}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_listens_on_loopback_only_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = "\
schema: 1
name: local
doc: Listens on loopback only.
processes:
  - name: local
    start: [python3, -c, \"import socket, time; s = socket.create_server(('127.0.0.1', 6399), reuse_port=True); time.sleep(600)\"]
    ports: {client: 6399}
    ready: {ask: {tcp: client}}
converged: {ask: {http: {port: client, path: /}}}
clients: [{interface: http, workloads: [register], builtin: etcd}]
";
    std::fs::write(folder.path().join("recipe.yaml"), recipe).unwrap();
    let target = load(".", folder.path(), &BTreeMap::new()).unwrap();
    let (deployment, _nodes) = deploy(&target, 73, folder.path());
    deployment.wipe().await.unwrap();
    let nobody = "nothing on the node listens on TCP port 6399";
    let Convergence::NotYet(reasons) = deployment.await_converged(Duration::ZERO).await else { panic!("it is down") };
    assert!(reasons.iter().all(|reason| reason.contains(nobody)), "{reasons:?}");
    deployment.start(LONG).await.unwrap();
    let hint = "TCP port 6399 listens on 127.0.0.1 only: let the target listen on {{ node.address }}";
    let end = Instant::now() + LONG;
    loop {
        let error = deployment.await_ready(Duration::from_millis(200)).await.unwrap_err().to_string();
        if error.contains(hint) && error.contains("refused") {
            break;
        }
        assert!(error.contains(nobody) && Instant::now() < end, "{error}");
    }
    let Convergence::NotYet(reasons) = deployment.await_converged(Duration::ZERO).await else { panic!("not reached") };
    assert!(reasons.len() == 3 && reasons.iter().all(|reason| reason.contains(hint)), "{reasons:?}");
    deployment.stop().await.unwrap();
}
