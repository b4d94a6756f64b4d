//! The client against a real ZooKeeper on loopback.
//!
//! Needs `java` and ZooKeeper's classes (Debian: zookeeper, default-jre-headless). Each server is a child of the test, in a folder of
//! its own, on a free port, and is killed by its process id.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz_client::testing::{Program, Proxy, ServerProcess, await_closed, free_port, init, kind, shown, started};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-zookeeper");
const CLASSES: &str = "/usr/share/java/zookeeper.jar";

struct Server {
    process: ServerProcess,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        started("ZooKeeper", Server::try_start)
    }

    fn try_start() -> Option<Server> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let data = folder.path().join("data");
        let configuration = format!(
            "tickTime=100\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             maxClientCnxns=0\n4lw.commands.whitelist=srvr\nmaxSessionTimeout=20000\n",
            data.display()
        );
        std::fs::write(folder.path().join("zoo.cfg"), configuration).unwrap();
        let mut server = Server { process: Server::spawn(&folder), port, folder };
        server.is_up().then_some(server)
    }

    fn spawn(folder: &tempfile::TempDir) -> ServerProcess {
        let mut command = Command::new("java");
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", CLASSES]);
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(folder.path().join("zoo.cfg"));
        ServerProcess::spawn("ZooKeeper (Debian: default-jre-headless, zookeeper)", &mut command)
    }

    /// Whether it serves; false once it has ended.
    fn is_up(&mut self) -> bool {
        let port = self.port;
        self.process.is_up(|| serves(port))
    }

    fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    fn open(&self, object: &str, settings: Value, params: Value) -> Program {
        Program::open(PROGRAM, init(object, self.port, settings, params)).unwrap()
    }

    /// A client that has prepared its object.
    fn client(&self, object: &str, params: Value) -> Program {
        let mut client = self.open(object, json!({"sync": true}), params);
        client.ok("setup", ());
        client.ok("setup", ());
        client
    }
}

fn serves(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut said = String::new();
    // A server that is still starting may never answer.
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let asked = stream.write_all(b"srvr").and_then(|()| stream.shutdown(Shutdown::Write));
    asked.is_ok() && stream.read_to_string(&mut said).is_ok() && said.contains("Mode: standalone")
}

#[test]
fn registers_sets_counters_and_ids() {
    let server = Server::start();
    let mut client = server.client("register", json!(null));
    for (f, value, expected) in [
        ("read", json!(null), ("ok", "", json!(null))),
        ("cas", json!([1, 2]), ("fail", "precondition", json!(null))),
        ("cas", json!([null, 1]), ("ok", "", json!(null))),
        ("cas", json!([null, 9]), ("fail", "precondition", json!(null))),
        ("read", json!(null), ("ok", "", json!(1))),
        ("cas", json!([1, 2]), ("ok", "", json!(null))),
        ("cas", json!([1, 3]), ("fail", "precondition", json!(null))),
        ("write", json!(7), ("ok", "", json!(null))),
        ("read", json!(null), ("ok", "", json!(7))),
    ] {
        assert_eq!(shown(&client.call(f, 5, value.clone())), expected, "{f} {value}");
    }
    let mut versions = server.open("register", json!({"versions": "true", "sync": "write"}), json!(null));
    assert_eq!(shown(&versions.call("read", 5, ())).2, json!([3, 7]));
    assert_eq!(shown(&versions.call("write", 6, 4)).2, json!([1, 4]));
    assert_eq!(shown(&versions.call("read", 9, ())).2, json!([0, null]));
    // The workload asks for versions of writes alone.
    let mut versions = server.open("register", json!({}), json!({"versions": true}));
    assert_eq!(shown(&versions.call("write", 6, 5)).2, json!(2));
    assert_eq!(shown(&versions.call("read", 6, ())).2, json!([2, 5]));
    let mut set = server.client("set", json!(null));
    assert_eq!(set.ok("read", ()), json!([]));
    for element in [3, 10, 1] {
        set.ok("add", element);
    }
    assert_eq!(kind(&set.call("add", (), 3)), ("fail", "exists"));
    assert_eq!(set.ok("read", ()), json!([1, 3, 10]));
    let mut counter = server.client("counter", json!(null));
    assert_eq!(counter.ok("read", ()), json!(0));
    counter.ok("add", 2);
    counter.ok("add", 5);
    assert_eq!(counter.ok("read", ()), json!(7));
    let (mut first, mut second) = (server.client("ids", json!(null)), server.client("ids", json!(null)));
    let ids: Vec<i64> = (0..4)
        .flat_map(|_| [first.ok("generate", ()), second.ok("generate", ())])
        .map(|id| id.as_i64().unwrap())
        .collect();
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "{ids:?}");
    first.close();
}

#[test]
fn queues_and_transactions() {
    let server = Server::start();
    let mut queue = server.client("queue", json!(null));
    assert_eq!(queue.ok("dequeue", ()), json!(null));
    for element in 1..=4 {
        queue.ok("enqueue", element);
    }
    assert_eq!(queue.ok("dequeue", ()), json!(1));
    assert_eq!(server.client("queue", json!(null)).ok("drain", ()), json!([2, 3, 4]));
    assert_eq!(queue.ok("drain", ()), json!([]));

    let mut txn = server.client("transactions", json!(null));
    let appended = txn.ok("txn", json!([["r", 1, null], ["append", 1, 10], ["append", 2, 20], ["r", 1, null]]));
    assert_eq!(appended, json!([["r", 1, null], ["append", 1, 10], ["append", 2, 20], ["r", 1, [10]]]));
    assert_eq!(
        txn.ok("txn", json!([["append", 1, 11], ["r", 1, null]])),
        json!([["append", 1, 11], ["r", 1, [10, 11]]])
    );
    assert_eq!(txn.ok("txn", json!([["r", 1, null], ["r", 2, null], ["r", 3, null]]))[1], json!(["r", 2, [20]]));
    assert_eq!(txn.ok("txn", json!([["r", 3, null]])), json!([["r", 3, null]]), "a read of nothing leaves nothing");
    txn.ok("txn", json!([["w", 4, 1], ["w", 4, 2]]));
    assert_eq!(txn.ok("txn", json!([["r", 4, null]])), json!([["r", 4, 2]]));
    assert_eq!(kind(&txn.call("txn", (), json!([["rp", 4, null]]))), ("fail", "not-supported"));

    let params = json!({"accounts": [0, 1], "balances": {"0": 50, "1": 50}, "total": 100, "negative_balances": false});
    let early = server.open("bank", json!({}), params.clone()).call("read", (), ());
    assert_eq!(kind(&early), ("fail", "not-found"), "nobody has made the accounts");
    let mut bank = server.client("bank", params);
    bank.ok("transfer", json!({"from": 0, "to": 1, "amount": 30}));
    let poor = bank.call("transfer", (), json!({"from": 0, "to": 1, "amount": 30}));
    assert_eq!(kind(&poor), ("fail", "precondition"));
    assert_eq!(bank.ok("read", ()), json!({"0": 20, "1": 80}));

    let mut predicate = server.client("predicate", json!(null));
    assert_eq!(kind(&predicate.call("insert", 1, json!([7, null]))).0, "ok");
    assert_eq!(kind(&predicate.call("insert", 1, json!([null, 8]))), ("fail", "exists"));
    assert_eq!(kind(&predicate.call("insert", 2, json!([null, 9]))).0, "ok");
}

/// Transactions of several clients at once: the ones that meet are refused, and nothing is lost.
#[test]
fn transactions_that_meet_conflict() {
    let server = Server::start();
    server.client("transactions", json!(null));
    let appended = std::thread::scope(|scope| {
        let client = |number: u64| {
            let mut client = server.open("transactions", json!({}), json!(null));
            let own = move || {
                let mut done = Vec::new();
                for element in (number * 1_000)..(number * 1_000 + 60) {
                    match kind(&client.call("txn", (), json!([["append", 1, element], ["r", 2, null]]))) {
                        ("ok", _) => done.push(element),
                        other => assert_eq!(other, ("fail", "conflict")),
                    }
                }
                done
            };
            scope.spawn(own)
        };
        let threads: Vec<_> = (0..4).map(client).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<u64>>()
    });
    let read = server.open("transactions", json!({}), json!(null)).ok("txn", json!([["r", 1, null]]));
    let mut found: Vec<u64> = serde_json::from_value(read[0][2].clone()).unwrap();
    found.sort_unstable();
    let mut expected = appended;
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(found.len() < 240, "no two of them met");
}

#[test]
fn locks_semaphores_offices_and_what_they_guard() {
    let server = Server::start();
    let (mut first, mut second) = (server.client("lock", json!(null)), server.client("lock", json!(null)));
    let token = first.ok("acquire", ()).as_i64().unwrap();
    assert_eq!(second.ok("acquire", ()), json!(false));
    assert_eq!(kind(&second.call("release", (), ())), ("fail", "not-held"));
    first.ok("release", ());
    assert!(second.ok("acquire", ()).as_i64().unwrap() > token, "tokens grow");
    second.close();
    assert!(first.ok("acquire", ()).is_i64(), "who closes its session lets go");

    let mut clients: Vec<Program> = (0..3).map(|_| server.client("semaphore", json!({"permits": 2}))).collect();
    let acquired: Vec<bool> = clients.iter_mut().map(|client| client.ok("acquire", ()).is_i64()).collect();
    assert_eq!(acquired, [true, true, false]);

    let (mut holder, mut other) = (server.client("guarded", json!(null)), server.client("guarded", json!(null)));
    assert_eq!(kind(&holder.call("add", (), 1)), ("fail", "not-held"));
    let old = holder.ok("acquire", ()).as_i64().unwrap();
    holder.ok("add", 1);
    holder.ok("add", 2);
    holder.ok("write", json!({"token": old, "value": 5}));
    holder.ok("release", ());
    let new = other.ok("acquire", ()).as_i64().unwrap();
    other.ok("add", 3);
    assert_eq!(holder.ok("read", ()), json!([1, 2, 3]));
    other.ok("write", json!({"token": new, "value": 6}));
    assert_eq!(kind(&holder.call("write", (), json!({"token": old, "value": 7}))), ("fail", "fenced"));
    assert_eq!(other.ok("log", ()), json!([[old, 5], [new, 6]]));

    let (mut one, mut two) = (server.client("election", json!(null)), server.client("election", json!(null)));
    assert_eq!(one.ok("leader", ()), json!(null));
    let led = one.ok("elect", 11);
    assert_eq!(led["leader"], json!(11));
    assert_eq!(two.ok("elect", 22), led, "who lost is told who leads");
    assert_eq!(two.ok("leader", ()), led);
    one.ok("write", json!({"token": led["term"], "value": 1}));
    one.ok("resign", ());
    let next = two.ok("elect", 22);
    assert!(next["term"].as_i64() > led["term"].as_i64() && next["leader"] == json!(22));
    assert_eq!(kind(&one.call("resign", (), ())), ("fail", "not-held"));
}

#[test]
fn what_is_not_ones_own_is_refused() {
    let server = Server::start();
    server.client("set", json!(null));
    let mut foreign = init("set", server.port, json!({}), json!(null));
    foreign.run = "another-run".to_owned();
    let answer = Program::open(PROGRAM, foreign).unwrap().call("setup", (), ());
    assert_eq!(kind(&answer), ("fail", "exists"), "{answer:?}");
    let own = json!({"root": "/deep/below", "auth": {"scheme": "digest", "credential": "ann:secret"}});
    server.open("register", own.clone(), json!(null)).ok("setup", ());
    let mut ann = server.open("register", own, json!(null));
    ann.ok("write", 1);
    assert_eq!(ann.ok("read", ()), json!(1));
    let wrong = json!({"root": "/deep/below", "auth": {"scheme": "digest", "credential": "ann:guess"}});
    let mut other = server.open("register", wrong, json!(null));
    assert_eq!(kind(&other.call("write", (), 2)), ("fail", "denied"));
    assert_eq!(kind(&other.call("read", (), ())), ("fail", "denied"));
    for settings in [json!({"syncs": true}), json!({"sync": "perhaps"})] {
        let answer = Program::open(PROGRAM, init("register", server.port, settings, json!(null))).unwrap_err();
        assert_eq!(kind(&answer), ("error", "malformed"), "{answer:?}");
    }
    let answer = Program::open(PROGRAM, init("register", free_port(), json!({}), json!(null))).unwrap_err();
    assert_eq!(kind(&answer), ("error", "refused"), "{answer:?}");
}

/// A cut connection: the request was sent once, and its effect is unknown; the session lives on with the same server.
#[test]
fn a_cut_connection_is_in_doubt_and_nothing_is_sent_twice() {
    let server = Server::start();
    server.client("set", json!(null));
    server.client("lock", json!(null));
    let proxy = Proxy::before(server.port, b"/one/12345");
    let mut client = Program::open(PROGRAM, init("set", proxy.port, json!({}), json!(null))).unwrap();
    client.ok("add", 1);
    proxy.cut_after_next();
    assert_eq!(kind(&client.call("add", (), 12345)), ("info", "lost"));
    // What the library sends again comes before the next call on the session's new connection.
    let end = Instant::now() + Duration::from_secs(60);
    while kind(&client.call("read", (), ())).0 != "ok" {
        assert!(Instant::now() < end, "the session has no new connection");
    }
    assert_eq!(proxy.seen(), 1, "the request was sent once");
    assert_eq!(server.open("set", json!({}), json!(null)).ok("read", ()), json!([1, 12345]), "the server had it");

    let proxy = Proxy::before(server.port, b"never sent");
    let settings = json!({"session_timeout_ms": 20000});
    let mut holder = Program::open(PROGRAM, init("lock", proxy.port, settings, json!(null))).unwrap();
    let mut other = server.open("lock", json!({}), json!(null));
    assert!(holder.ok("acquire", ()).is_i64());
    proxy.cut();
    assert_eq!(other.ok("acquire", ()), json!(false), "the session outlives its connection");
    proxy.await_connections(2);
    holder.ok("release", ());
    assert!(other.ok("acquire", ()).is_i64());
}

/// The server takes a lock back when the session of its holder expires; the holder learns it from its next call.
#[test]
fn an_expired_session_has_lost_its_locks() {
    let server = Server::start();
    server.client("lock", json!(null));
    let mut holder = server.open("lock", json!({"session_timeout_ms": 1000}), json!(null));
    let mut other = server.open("lock", json!({"session_timeout_ms": 20000}), json!(null));
    assert!(holder.ok("acquire", ()).is_i64());
    holder.stop();
    let end = Instant::now() + Duration::from_secs(60);
    while !other.ok("acquire", ()).is_i64() {
        assert!(Instant::now() < end, "the session does not expire");
        std::thread::sleep(Duration::from_millis(100));
    }
    holder.go_on();
    let mut release = holder.call("release", (), ());
    if kind(&release) == ("info", "lost") {
        // The call was sent on the old connection before the client saw its end.
        release = holder.call("release", (), ());
    }
    assert_eq!(kind(&release), ("fail", "not-held"));
    assert_eq!(holder.ok("acquire", ()), json!(false), "a new session was opened");
    other.ok("release", ());
    assert!(holder.ok("acquire", ()).is_i64());
}

#[test]
fn a_server_that_does_not_answer_is_in_doubt_and_one_that_is_gone_refuses() {
    let mut server = Server::start();
    let settings = json!({"session_timeout_ms": 20000});
    let mut client = server.client("register", json!(null));
    client.ok("write", 1);
    let mut slow = server.open("register", settings, json!(null));
    (client.deadline_ms, slow.deadline_ms) = (2_000, 1_500);
    server.signal("-STOP");
    assert_eq!(kind(&slow.call("write", (), 2)), ("info", "timeout"));
    server.signal("-CONT");
    drop(slow);
    server.process.end();
    await_closed(server.port);
    assert_eq!(kind(&client.call("write", (), 3)), ("fail", "refused"));
    server.process = Server::spawn(&server.folder);
    assert!(server.is_up());
    let read = server.open("register", json!({}), json!(null)).ok("read", ());
    assert!(read == json!(1) || read == json!(2), "{read}");
}
