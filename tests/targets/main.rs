//! Deployment against nodes that only write down what they are asked: the transcripts are the test.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod language;
mod stage;

use dsfuzz::cluster::Node;
use dsfuzz::targets::{Convergence, Target, TargetError, load};
use dsfuzz_nemesis::protocol::ServiceState;
use stage::{Stage, fine};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn recipe(yaml: &str) -> Target {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("r.yaml"), yaml).unwrap();
    load("r.yaml", folder.path(), &BTreeMap::new()).unwrap()
}

fn redis() -> Target {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/redis-sentinel");
    load(".", &example, &BTreeMap::new()).unwrap()
}

const TWO: &str = r#"
schema: 1
name: two
doc: Two processes on each node.
packages: [{name: two-server, provides: [two]}]
start_order: first-then-others
files: [{path: "{{ dir }}/two.conf", content: "join {{ first.address }}\n", mode: "0600"}]
install: [{run: [fetch, two]}]
prepare: [{run: [initdb], on: first}, {run: [basebackup, "{{ first.address }}"], on: others}]
form: [{run: [join], on: first, deadline: 5s}]
recovery: [{run: [pick, highest]}]
wipe: {paths: ["{{ dir }}", /tmp/two/x], commands: [[forget, "{{ node.name }}"]]}
processes:
  - name: data
    start: [two, --data]
    restart: [two, --data, --rejoin]
    ready: {ask: {command: [two, status]}, where: [{is: {of: {line: 1}, value: up}}]}
  - name: watch
    start: exec two --watch
    stop: {signal: INT, grace: 1s}
    ready: {ask: {command: [two, status]}}
role:
  ask: {command: [two, role]}
  roles: [{name: leader, where: [{is: {of: {line: 1}, value: primary}}]}, {name: follower}]
  term: {after: "epoch "}
  term_with_role: true
converged:
  ask: {command: [two, position]}
  where: [{contains: streaming}]
  one: [{contains: primary}]
  agree: [{after: "at "}]
authority: {role: leader}
logs: [{path: "{{ dir }}/data.log", patterns: [{text: "leads epoch {term}", role: leader}]}]
version: [two, --version]
clients: []
"#;

#[tokio::test]
async fn a_whole_life() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1", "10.0.0.2"], |_, words| match words {
        "two status" => (0, "up\n".into(), String::new()),
        "two --version" => (0, "two 1.2\nbuilt today\n".into(), String::new()),
        _ => fine("", ""),
    });
    let deployment = &stage.deployment;
    deployment.install().await.unwrap();
    let asked = stage.asked("n1");
    assert!(asked[0].contains("command -v 'two'") && asked.len() == 2, "{asked:?}");
    assert_eq!(asked[1], "run fetch two");

    deployment.wipe().await.unwrap();
    let expected = [
        "define data two --data",
        "stop data 9",
        "define watch exec two --watch",
        "stop watch 9",
        "run rm -rf -- /var/lib/dsfuzz/two /tmp/two/x",
        "run forget n2",
        "run install -d -m 0755 /var/lib/dsfuzz/two /var/lib/dsfuzz/services/two.target",
        "write /var/lib/dsfuzz/two/two.conf 600 14 bytes",
        "define data two --data",
        "define watch exec two --watch",
    ];
    assert_eq!(stage.asked("n2"), expected);
    assert_eq!(stage.nodes[1].files.lock().unwrap()["/var/lib/dsfuzz/two/two.conf"], b"join 10.0.0.1\n");

    let plan = deployment.layout().nodes[1].sentences();
    assert_eq!(plan.first().map(String::as_str), Some("install: fetch two"));
    assert_eq!(
        plan.last().map(String::as_str),
        Some("start watch: exec two --watch (output to /var/lib/dsfuzz/two/watch.log)")
    );

    deployment.start(Duration::from_secs(5)).await.unwrap();
    let all = stage.transcript.lock().unwrap().clone();
    let expected = [
        "n1 run initdb",
        "n1 start data",
        "n1 start watch",
        "n1 run two status",
        "n1 run two status",
        "n2 run basebackup 10.0.0.1",
        "n2 start data",
        "n2 start watch",
        "n1 run join",
    ];
    assert_eq!(all, expected);
    deployment.await_ready(Duration::from_secs(5)).await.unwrap();
    let versions = deployment.versions().await.unwrap();
    assert_eq!(versions[1], (Arc::from("n2"), "two 1.2".to_owned()));
    stage.asked("n1");

    deployment.stop().await.unwrap();
    assert_eq!(stage.asked("n1"), ["stop watch 2", "stop data 15"]);
    let services = deployment.services("n1");
    assert_eq!(
        (services[0].restart.join(" "), services[0].log.as_str()),
        ("two --data --rejoin".into(), "/var/lib/dsfuzz/two/data.log")
    );
}

#[tokio::test]
async fn room_is_made_on_the_full_node_only_and_each_path_that_goes_is_named() {
    let looks = Arc::new(Mutex::new(0));
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1", "10.0.0.2"], move |_, words| {
        if words.starts_with("/bin/sh -c device=") {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            // Somebody starts the target b before it would be removed.
            let idle = ["a", "b", "two", "agent"].into_iter().filter(|name| *looks == 1 || *name != "b");
            return (0, idle.map(|name| format!("/var/lib/dsfuzz/{name}\n")).collect(), String::new());
        }
        let paths = "/var/lib/dsfuzz/two\n/var/lib/dsfuzz/a\n/var/lib/dsfuzz/b\n";
        (0, if words.contains("df -Pk") { format!("1\n2\n\n{paths}") } else { String::new() }, String::new())
    });
    let rooms = stage.deployment.make_room(&[Arc::from("n1")]).await.unwrap();
    let all = stage.transcript.lock().unwrap().clone();
    assert!(all.iter().all(|line| line.starts_with("n1 ")), "{all:#?}");
    let removed: Vec<&String> = all.iter().filter(|line| line.contains(" run rm ")).collect();
    let expected = [
        "n1 run rm -rf -- /var/lib/dsfuzz/two /tmp/two/x",
        "n1 run rm -rf --one-file-system -- /var/lib/dsfuzz/services/a.target /var/lib/dsfuzz/a",
    ];
    assert_eq!(removed, expected);
    assert_eq!(rooms.len(), 1);
    assert_eq!(rooms[0].left, ["/var/lib/dsfuzz/two", "/var/lib/dsfuzz/a"]);
}

#[tokio::test]
async fn the_dead_are_started_again_and_recovery_comes_only_after_all_died() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1", "10.0.0.2"], fine);
    let state = |name: &str, pids: &[u32]| ServiceState {
        name: name.into(),
        pids: pids.to_vec(),
        paused: false,
        ended: "signal 9".into(),
    };
    *stage.nodes[0].services.lock().unwrap() = vec![state("data", &[]), state("watch", &[5])];
    *stage.nodes[1].services.lock().unwrap() = vec![state("data", &[4]), state("watch", &[5])];
    assert_eq!(
        stage.deployment.restart_dead().await.unwrap().iter().map(|(node, _)| &**node).collect::<Vec<_>>(),
        ["n1"]
    );
    assert_eq!(*stage.transcript.lock().unwrap(), ["n1 start data again"]);
    stage.asked("n1");
    for node in &stage.nodes {
        *node.services.lock().unwrap() = vec![state("data", &[]), state("watch", &[])];
    }
    let started = stage.deployment.restart_dead().await.unwrap();
    assert_eq!(started.len(), 4, "two processes on each of two nodes: {started:?}");
    let all = stage.asked("n2");
    assert_eq!(all, ["run pick highest", "start data again", "start watch again"]);
}

#[tokio::test]
async fn roles_authority_and_convergence() {
    let answers = Arc::new(Mutex::new(BTreeMap::from([
        ("n1 two role", "primary\nepoch 7\n"),
        ("n2 two role", "standby\nepoch 6\n"),
        ("n1 two position", "primary streaming\nat 9\n"),
        ("n2 two position", "standby streaming\nat 8\n"),
    ])));
    let shell = answers.clone();
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1", "10.0.0.2"], move |node, words| {
        let answers = shell.lock().unwrap();
        let answer = answers.get(format!("{node} {words}").as_str()).unwrap_or(&"");
        (0, (*answer).to_owned(), String::new())
    });
    let (deployment, deadline) = (&stage.deployment, Duration::from_secs(1));
    let role = deployment.role("n1", deadline).await;
    assert_eq!((role.role.as_str(), role.term, role.term_with_role), ("leader", Some(7), true));
    assert_eq!(deployment.role("n2", deadline).await.role, "follower");
    assert_eq!(deployment.authority(deadline).await, Some(Arc::from("n1")));

    let Convergence::NotYet(reasons) = deployment.converged().await else { panic!("8 is not 9") };
    assert_eq!(reasons, ["what follows \"at \" differs: n1: 9, n2: 8"]);
    answers.lock().unwrap().insert("n2 two position", "standby streaming\nat 9\n");
    assert_eq!(deployment.await_converged(deadline).await, Convergence::Converged);
    answers.lock().unwrap().insert("n2 two position", "primary streaming\nat 9\n");
    assert!(matches!(deployment.converged().await, Convergence::NotYet(reasons) if reasons[0].contains("exactly one")));
    answers.lock().unwrap().insert("n2 two role", "primary\nepoch 8\n");
    assert_eq!(deployment.authority(deadline).await, None, "two claim it");
}

#[tokio::test]
async fn a_missing_package_is_installed_and_no_daemon_starts() {
    let installed = Arc::new(Mutex::new(false));
    let seen = installed.clone();
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1"], move |_, words| {
        let mut installed = seen.lock().unwrap();
        if words.contains("apt-get install") {
            assert!(words.contains("exit 101") && words.contains("--no-install-recommends"));
            *installed = true;
        }
        let missing = words.contains("command -v") && !*installed;
        (0, if missing { "two-server\n".into() } else { String::new() }, String::new())
    });
    let missing = stage.deployment.missing_packages().await.unwrap();
    assert_eq!((&*missing[0].node, missing[0].missing.as_slice()), ("n1", ["two-server".to_owned()].as_slice()));
    assert_eq!(missing[0].by_hand, None, "a run installs it");
    stage.deployment.install().await.unwrap();
    let asked = stage.asked("n1");
    let last: Vec<&String> = asked.iter().filter(|line| line.contains("rm -f $policy")).collect();
    assert_eq!(last.len(), 1, "policy-rc.d goes again: {asked:?}");
}

#[tokio::test]
async fn a_package_that_apt_does_not_know_is_named() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1"], |_, words| match words {
        _ if words.contains("command -v") => (0, "two-server\n".into(), String::new()),
        _ if words.contains("apt-get install") => {
            (100, String::new(), "E: Unable to locate package two-server\n".into())
        }
        _ => fine("", ""),
    });
    let error = stage.deployment.install().await.unwrap_err();
    let TargetError::Package { node, package, message } = &error else { panic!("{error}") };
    assert_eq!((&**node, package.as_str()), ("n1", "two-server"));
    assert!(message.contains("add a source for it") && message.contains("Unable to locate"), "{message}");
    let asked = stage.asked("n1");
    assert_eq!(asked.iter().filter(|line| line.contains("apt-get install")).count(), 2, "once more after an update");
    assert!(asked.iter().any(|line| line.contains("apt-get update")));
}

#[tokio::test]
async fn a_process_that_does_not_come_up_is_shown_with_its_log() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1"], |_, words| match words {
        "two status" => (0, "starting\n".into(), String::new()),
        _ if words.starts_with("tail") => (0, "first\ncannot bind 10.0.0.1\n".into(), String::new()),
        _ => fine("", ""),
    });
    let error = stage.deployment.await_ready(Duration::from_millis(250)).await.unwrap_err().to_string();
    for expected in [
        "n1: data is not ready",
        "line 1 is \"up\"",
        "starting",
        "cannot bind 10.0.0.1",
        "/var/lib/dsfuzz/two/data.log",
    ] {
        assert!(error.contains(expected), "{expected} in {error}");
    }
    *stage.nodes[0].services.lock().unwrap() =
        vec![ServiceState { name: "data".into(), pids: vec![], paused: false, ended: "exit 1".into() }];
    let error = stage.deployment.await_ready(Duration::from_secs(3600)).await.unwrap_err().to_string();
    assert!(error.contains("it has ended (exit 1)"), "{error}");
}

#[tokio::test]
async fn a_failing_step_names_the_node_the_command_and_what_it_said() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1", "10.0.0.2"], |node, words| match (node, words) {
        ("n2", "fetch two") => (7, String::new(), "one\ntwo: disk full\n".into()),
        _ => fine("", ""),
    });
    let error = stage.deployment.install().await.unwrap_err().to_string();
    assert_eq!(error, "n2: install: `fetch two` ended with exit 7; it said:\n  one\n  two: disk full");
}

#[tokio::test]
async fn logs_come_home_and_their_claims_are_read() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1"], fine);
    let log = "starting\nnow leads epoch 3\nnow leads epoch 5\n";
    stage.nodes[0].files.lock().unwrap().insert("/var/lib/dsfuzz/two/data.log".into(), log.into());
    let folder = tempfile::tempdir().unwrap();
    let fetched = stage.deployment.fetch_logs("n1", folder.path(), 1 << 20).await.unwrap().0;
    assert_eq!(std::fs::read_to_string(folder.path().join("data.log")).unwrap(), log);
    let claims = stage.deployment.claims(&fetched[0]).unwrap();
    let seen: Vec<_> = claims.iter().map(|claim| (&*claim.node, &*claim.role, claim.term)).collect();
    assert_eq!(seen, [("n1", "leader", Some(3)), ("n1", "leader", Some(5))]);
    let old = "starting\nnow leads epoch 3\n".len() as u64;
    let later = stage.deployment.claims_after(&fetched[0], old).unwrap();
    let seen: Vec<_> = later.iter().map(|claim| (claim.term, claim.line_number)).collect();
    assert_eq!(seen, [(Some(5), 3)], "what stood there before the run was claimed in an earlier life");
    let begun_anew = stage.deployment.claims_after(&fetched[0], 1 << 20).unwrap();
    assert_eq!(begun_anew.len(), 2, "a file that is shorter than it was has been begun anew");
    let tail = stage.deployment.fetch_logs("n1", folder.path(), 18).await.unwrap().0;
    assert_eq!(tail[0].skipped_bytes, log.len() as u64 - 18);
    assert_eq!(std::fs::read_to_string(folder.path().join("data.log")).unwrap(), "now leads epoch 5\n");
}

#[tokio::test]
async fn texts_of_convergence_are_those_of_each_node() {
    let one = TWO.replace("one: [{contains: primary}]", "one: [{contains: \"led by {{ node.name }}\"}]");
    let one = one.replace("agree: [{after: \"at \"}]", "agree: [{after: \"{{ node.name }} at \"}]");
    let answers = Arc::new(Mutex::new(BTreeMap::from([
        ("n1 two position", "streaming, led by n2\nn1 at 9\n"),
        ("n2 two position", "streaming, led by n2\nn2 at 9\n"),
    ])));
    let shell = answers.clone();
    let stage = Stage::new(&recipe(&one), &["10.0.0.1", "10.0.0.2"], move |node, words| {
        let answers = shell.lock().unwrap();
        (0, (*answers.get(format!("{node} {words}").as_str()).unwrap_or(&"")).to_owned(), String::new())
    });
    assert_eq!(stage.deployment.converged().await, Convergence::Converged, "n2 alone says that it leads");
    answers.lock().unwrap().insert("n1 two position", "streaming, led by n1\nn1 at 9\n");
    let Convergence::NotYet(reasons) = stage.deployment.converged().await else { panic!("two lead") };
    assert!(reasons[0].contains("there are 2 (n1, n2)") && reasons[0].contains("led by n1"), "{reasons:?}");
}

/// A lab's nodes have this machine's programs and no source of packages: the command is named, and apt is not asked.
#[tokio::test]
async fn in_a_lab_missing_packages_are_this_machines_affair() {
    let stage = Stage::new(&recipe(TWO), &["10.0.0.1"], |_, words| match words {
        words if words.contains("command -v 'two'") => (0, "two-server\n".into(), String::new()),
        words if words.contains("/etc/dsfuzz-lab") => (0, "lab\n".into(), String::new()),
        words if words.contains("apt-get") => panic!("a lab's node has no source of packages"),
        _ => fine("", ""),
    });
    let command = "apt-get install -y --no-install-recommends two-server";
    let missing = stage.deployment.missing_packages().await.unwrap();
    assert!(missing[0].by_hand.as_ref().is_some_and(|by_hand| by_hand.contains(command)), "{missing:?}");
    let error = stage.deployment.install().await.unwrap_err().to_string();
    assert!(error.contains(command) && error.contains("on this machine"), "{error}");
}

/// A server on loopback that gives the same JSON to everybody.
fn http_server(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0u8; 4096];
            let _ = stream.read(&mut buffer);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

#[tokio::test]
async fn etcd_is_asked_for_its_role_from_the_control_node() {
    let leader = r#"{"header":{"member_id":"12"},"leader":"12","raftTerm":"4"}"#;
    let lost = r#"{"header":{"member_id":"12"},"raftTerm":"4","errors":["etcdserver: no leader"]}"#;
    let follower = r#"{"header":{"member_id":"12"},"leader":"13","raftTerm":"4"}"#;
    for (body, expected) in [(leader, "leader"), (lost, "no-leader"), (follower, "follower")] {
        let yaml = dsfuzz::targets::builtin_yaml("etcd").unwrap();
        let yaml = yaml.replace("{client: 2379,", &format!("{{client: {},", http_server(body)));
        let stage = Stage::new(&recipe(&yaml), &["127.0.0.1"], fine);
        let answer = stage.deployment.role("n1", Duration::from_secs(30)).await;
        assert_eq!(
            (answer.role.as_str(), answer.term, answer.term_with_role),
            (expected, Some(4), false),
            "{answer:?}"
        );
    }
    let yaml = dsfuzz::targets::builtin_yaml("etcd").unwrap().replace("{client: 2379,", "{client: 1,");
    let stage = Stage::new(&recipe(&yaml), &["127.0.0.1"], fine);
    let answer = stage.deployment.role("n1", Duration::from_secs(30)).await;
    assert!(answer.role.is_empty() && answer.detail.contains("not sent"), "{answer:?}");
}

#[test]
fn etcd_is_started_with_all_its_members() {
    let target = load("etcd", Path::new("."), &BTreeMap::new()).unwrap();
    let nodes = ["10.0.0.1", "10.0.0.2"]
        .map(|address| Node { name: Arc::from(format!("n{}", &address[7..])), address: address.parse().unwrap() });
    let layout = target.layout(&nodes, "/var/lib/dsfuzz").unwrap();
    let expected = [
        "etcd",
        "--name=n2",
        "--data-dir=/var/lib/dsfuzz/etcd/data",
        "--listen-peer-urls=http://10.0.0.2:2380",
        "--initial-advertise-peer-urls=http://10.0.0.2:2380",
        "--listen-client-urls=http://10.0.0.2:2379",
        "--advertise-client-urls=http://10.0.0.2:2379",
        "--initial-cluster=n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380",
        "--initial-cluster-state=new",
        "--initial-cluster-token=dsfuzz",
        "--heartbeat-interval=100",
        "--election-timeout=1000",
        "--snapshot-count=1000",
        "--logger=zap",
        "--log-outputs=stderr",
    ];
    assert_eq!(layout.nodes[1].processes[0].service.argv, expected);
}

#[test]
fn no_nodes_are_no_panic() {
    let target = load("etcd", Path::new("."), &BTreeMap::new()).unwrap();
    assert!(target.layout(&[], "/var/lib/dsfuzz").unwrap().nodes.is_empty());
}

#[test]
fn the_redis_example_fills_in() {
    let nodes = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        .map(|address| Node { name: Arc::from(format!("n{}", &address[7..])), address: address.parse().unwrap() });
    let layout = redis().layout(&nodes, "/var/lib/dsfuzz").unwrap();
    let file = |node: usize, name: &str| {
        let files = &layout.nodes[node].files;
        files.iter().find(|file| file.path.ends_with(name)).map(|file| file.content.clone()).unwrap()
    };
    assert!(!file(0, "redis.conf").contains("replicaof"));
    assert!(file(1, "redis.conf").contains("replicaof 10.0.0.1 6379\n"));
    assert!(file(2, "sentinel.conf").contains("sentinel monitor m 10.0.0.1 6379 2\n"));
    assert_eq!(layout.nodes[0].processes.len(), 2);
}

#[test]
fn a_recipe_that_would_remove_too_much_is_refused() {
    for path in ["/", "/var", "/var/..", "relative/path", "/var/./"] {
        let target = recipe(&TWO.replace("/tmp/two/x", path));
        let node = Node { name: Arc::from("n1"), address: [10, 0, 0, 1].into() };
        let error = target.layout(&[node], "/var/lib/dsfuzz").unwrap_err().to_string();
        assert!(error.contains("wipe.paths[1]"), "{path}: {error}");
    }
}
