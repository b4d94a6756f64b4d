//! The client against a real RabbitMQ on loopback.
//!
//! Needs `rabbitmq-server` and `epmd` (Debian: rabbitmq-server). The server and its name service are children of the test, in a folder
//! of their own, on free ports, and are killed by their process group.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz_client::lines::Answer;
use dsfuzz_client::testing::{Program, Proxy, await_closed, free_port, init, is_listening, kind, shown, started};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dsfuzz-client-amqp");

/// One server at a time: each takes two cores to start.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct RabbitMq {
    names: Child,
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
    turn: Option<MutexGuard<'static, ()>>,
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        // The server's programs are one process group, whose number is that of the first.
        let group = format!("-{}", self.server.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.server.wait();
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

/// The scripts of the newest installed version, which take everything from the environment.
fn scripts() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/rabbitmq/lib").expect("RabbitMQ (Debian: rabbitmq-server)");
    versions.map(|version| version.unwrap().path().join("sbin")).filter(|scripts| scripts.is_dir()).max().unwrap()
}

impl RabbitMq {
    fn start() -> RabbitMq {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut broker = started("RabbitMQ", RabbitMq::try_start);
        broker.turn = Some(turn);
        broker
    }

    fn try_start() -> Option<RabbitMq> {
        let folder = tempfile::tempdir().unwrap();
        let (port, names_port, nodes_port) = (free_port(), free_port(), free_port());
        let names = Command::new("epmd").args(["-port", &names_port.to_string()]).stdout(Stdio::null()).spawn();
        let names = names.expect("epmd (Debian: rabbitmq-server)");
        let server = RabbitMq::command(folder.path(), port, names_port, nodes_port).spawn().unwrap();
        let mut started = RabbitMq { names, server, port, _folder: folder, turn: None };
        let end = Instant::now() + Duration::from_secs(120);
        while started.server.try_wait().unwrap().is_none() {
            if is_listening(port) {
                return Some(started);
            }
            assert!(Instant::now() < end, "RabbitMQ does not serve within 120 s");
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    fn command(folder: &Path, port: u16, names_port: u16, nodes_port: u16) -> Command {
        let configuration = format!("listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n");
        std::fs::write(folder.join("rabbitmq.conf"), configuration).unwrap();
        std::fs::write(folder.join("enabled_plugins"), "[].").unwrap();
        let scripts = scripts();
        let mut command = Command::new(scripts.join("rabbitmq-server"));
        command
            .env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", scripts.display()))
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("RABBITMQ_NODENAME", "test@localhost")
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
            .env("RABBITMQ_DIST_PORT", nodes_port.to_string())
            .env("ERL_EPMD_PORT", names_port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        command
    }

    fn client(&self, object: &str, settings: Value, params: Value) -> Program {
        Program::open(PROGRAM, init(object, self.port, settings, params)).unwrap()
    }
}

fn classic(prefix: &str) -> Value {
    json!({"queue": prefix, "queue_type": "classic"})
}

#[test]
fn queues() {
    let server = RabbitMq::start();
    for queue_type in ["quorum", "classic"] {
        let settings = json!({"queue": queue_type, "queue_type": queue_type});
        let mut client = server.client("queue", settings.clone(), json!({"queues": [0, 1]}));
        assert_eq!(shown(&client.call("setup", (), ())).0, "ok");
        assert_eq!(shown(&client.call("setup", (), ())).0, "ok", "a second setup finds the first one's work");
        assert_eq!(shown(&client.call("dequeue", 0, ())), ("ok", "", json!(null)));
        for element in [1, 2, 3] {
            assert_eq!(shown(&client.call("enqueue", 0, element)).0, "ok");
        }
        assert_eq!(shown(&client.call("enqueue", 1, 9)).0, "ok");
        assert_eq!(shown(&client.call("dequeue", 0, ())), ("ok", "", json!(1)));
        let mut other = server.client("queue", settings.clone(), json!({"queues": [0, 1]}));
        assert_eq!(shown(&other.call("drain", 0, ())), ("ok", "", json!([2, 3])));
        assert_eq!(shown(&other.call("drain", 0, ())), ("ok", "", json!([])));
        assert_eq!(shown(&other.call("dequeue", 1, ())), ("ok", "", json!(9)));
        // Nothing is there that somebody acknowledged.
        drop(other);
        client.close();
        let mut again = server.client("queue", settings, json!({"queues": [0, 1]}));
        assert_eq!(shown(&again.call("drain", 0, ())), ("ok", "", json!([])));
    }
    refusals(&server);
    cut_connections(&server);
}

/// Each certain refusal, with its code.
fn refusals(server: &RabbitMq) {
    let mut client = server.client("queue", classic("refusals"), json!(null));
    let returned = client.call("enqueue", (), 1);
    assert_eq!(shown(&returned).0, "fail", "a message that no queue takes is returned: {returned:?}");
    assert_eq!(shown(&returned).1, "not-found");
    assert_eq!(shown(&client.call("dequeue", (), ())).0, "fail", "the queue does not exist");
    // The channel was closed by the error; the next call has another one.
    client.ok("setup", ());
    client.ok("enqueue", 1);
    let holds = client.call("setup", (), ());
    assert_eq!(kind(&holds), ("fail", "exists"), "a queue that holds something is not this run's");
    let quorum = json!({"queue": "refusals", "queue_type": "quorum"});
    let other = server.client("queue", quorum, json!(null)).call("setup", (), ());
    assert_eq!(kind(&other), ("fail", "exists"), "{other:?}");
    let bounded = json!({"queue": "bounded", "queue_type": "classic",
        "arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}});
    let mut client = server.client("queue", bounded, json!(null));
    client.ok("setup", ());
    client.ok("enqueue", 1);
    let refused = client.call("enqueue", (), 2);
    assert_eq!(kind(&refused), ("info", "unavailable"), "basic.nack: {refused:?}");
    for (settings, code) in [
        (json!({"password": "wrong"}), "denied"),
        (json!({"vhost": "nowhere"}), "denied"),
        (json!({"confirms": true}), "malformed"),
    ] {
        let refused = Program::open(PROGRAM, init("queue", server.port, settings, json!(null))).unwrap_err();
        assert_eq!(shown(&refused).1, code, "{refused:?}");
    }
    let refused = Program::open(PROGRAM, init("queue", free_port(), json!({}), json!(null))).unwrap_err();
    assert_eq!(shown(&refused).1, "refused", "{refused:?}");
}

/// A cut connection: what was published may be there, what was taken goes back, and nothing is sent twice.
fn cut_connections(server: &RabbitMq) {
    let proxy = Proxy::before(server.port, b"12345");
    let mut client = Program::open(PROGRAM, init("queue", proxy.port, classic("cuts"), json!(null))).unwrap();
    client.ok("setup", ());
    proxy.cut_after_next();
    let cut = client.call("enqueue", (), 12345);
    assert_eq!(kind(&cut), ("info", "lost"), "{cut:?}");
    let mut other = server.client("queue", classic("cuts"), json!(null));
    assert_eq!(other.ok("drain", ()), json!([12345]), "the broker had it, once");
    assert_eq!(other.ok("drain", ()), json!([]));
    // The next call has a connection of its own.
    client.ok("enqueue", 7);
    assert_eq!((proxy.seen(), proxy.connections()), (1, 2), "the library neither sends again nor connects again");
    proxy.cut();
    await_closed(proxy.port);
    assert_eq!(client.ok("dequeue", ()), json!(7), "nothing was sent on the broken connection");
    // `basic.get` (class 60, method 70) of this queue.
    let proxy = Proxy::before(server.port, &[0, 60, 0, 70]);
    let mut client = Program::open(PROGRAM, init("queue", proxy.port, classic("cuts"), json!(null))).unwrap();
    client.ok("enqueue", 8);
    proxy.cut_after_next();
    let cut = client.call("dequeue", (), ());
    assert_eq!(kind(&cut), ("fail", "aborted"), "nothing was acknowledged: {cut:?}");
    assert_eq!(other.ok("drain", ()), json!([8]), "so it goes back");
    // `basic.ack` (class 60, method 80).
    let proxy = Proxy::before(server.port, &[0, 60, 0, 80]);
    let mut client = Program::open(PROGRAM, init("queue", proxy.port, classic("cuts"), json!(null))).unwrap();
    client.ok("enqueue", 9);
    proxy.cut_after_next();
    let cut = client.call("dequeue", (), ());
    assert_eq!(shown(&cut), ("info", "lost", json!(9)), "the acknowledgement may have been read");
    assert_eq!((proxy.seen(), proxy.connections()), (1, 1));
}

#[test]
fn locks_and_semaphores() {
    let server = RabbitMq::start();
    for queue_type in ["quorum", "classic"] {
        let settings = json!({"queue": queue_type, "queue_type": queue_type});
        let (mut first, mut second) = (
            server.client("lock", settings.clone(), json!(null)),
            server.client("lock", settings.clone(), json!(null)),
        );
        first.ok("setup", ());
        second.ok("setup", ());
        assert_eq!(first.ok("acquire", ()), json!(null));
        assert_eq!(second.ok("acquire", ()), json!(false));
        let refused = second.call("release", (), ());
        assert_eq!(kind(&refused), ("fail", "not-held"));
        first.ok("release", ());
        assert_eq!(second.ok("acquire", ()), json!(null));
        // A client that is killed lets go.
        drop(second);
        until(|| first.ok("acquire", ()) == json!(null));
    }
    let permits = json!({"permits": 2, "semaphores": [0]});
    let mut clients: Vec<Program> = (0..3).map(|_| server.client("semaphore", classic("s"), permits.clone())).collect();
    clients[0].ok("setup", ());
    clients[1].ok("setup", ());
    let acquired: Vec<Value> = clients.iter_mut().map(|client| shown(&client.call("acquire", 0, ())).2).collect();
    assert_eq!(acquired, [json!(null), json!(null), json!(false)]);
    let mut foreign = init("lock", server.port, classic("s"), json!(null));
    foreign.run = "another-run".to_owned();
    let mut other = Program::open(PROGRAM, foreign.clone()).unwrap();
    other.ok("setup", ());
    foreign.run = "this-run".to_owned();
    let refused = Program::open(PROGRAM, foreign).unwrap().call("setup", (), ());
    assert_eq!(kind(&refused), ("fail", "exists"), "{refused:?}");
    lost_lock(&server);
}

/// The broker takes a lock back when the connection of its holder breaks, whatever the holder believes.
fn lost_lock(server: &RabbitMq) {
    let proxy = Proxy::before(server.port, b"never sent");
    let mut holder = Program::open(PROGRAM, init("lock", proxy.port, classic("lost"), json!(null))).unwrap();
    let mut other = server.client("lock", classic("lost"), json!(null));
    holder.ok("setup", ());
    assert_eq!(holder.ok("acquire", ()), json!(null));
    assert_eq!(other.ok("acquire", ()), json!(false));
    proxy.cut();
    await_closed(proxy.port);
    until(|| other.ok("acquire", ()) == json!(null));
    let refused = holder.call("release", (), ());
    assert_eq!(kind(&refused), ("fail", "not-held"), "{refused:?}");
    assert_eq!(holder.ok("acquire", ()), json!(false));
}

fn until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "not within 60 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_lacks_a_function_says_so() {
    let refused = Program::open(PROGRAM, init("bank", free_port(), json!({}), json!(null))).unwrap_err();
    assert!(matches!(&refused, Answer::Error(error) if error.error.code == "not-supported"), "{refused:?}");
}
