//! The client for PostgreSQL against a real server on loopback.
//!
//! Needs PostgreSQL's programs (Debian: postgresql). Each server is a child of the test, in a folder of its own, on a free port.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz_client::Client;
use dsfuzz_client::testing::free_port;
use dsfuzz_client_postgres::Postgres;
use dsfuzz_client_sql::{Driver, SqlClient};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use suite::Server;

#[path = "../../sql/suite/mod.rs"]
mod suite;

/// One PostgreSQL on loopback.
struct Running {
    child: Child,
    port: u16,
    programs: PathBuf,
    folder: Option<tempfile::TempDir>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // An immediate shutdown: the postmaster ends its children.
        let _ = self.signal("QUIT");
        let _ = self.child.wait();
        drop(self.folder.take());
    }
}

impl Server for Running {
    fn port(&self) -> u16 {
        self.port
    }

    fn settings(&self) -> Value {
        json!({})
    }
}

/// The programs of the newest PostgreSQL that is installed.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL (Debian: postgresql)");
    let mut versions: Vec<PathBuf> = installed.map(|entry| entry.unwrap().path().join("bin")).collect();
    versions.sort();
    versions.pop().expect("PostgreSQL (Debian: postgresql)")
}

/// A command as the user who may run a server: root may not.
fn command(program: &Path) -> Command {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Running {
    async fn start(extra: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let programs = programs();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        run(command(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-N", "--locale=C", "-E", "UTF8", "-D"])
            .arg(&data));
        let rules = "host all secured all scram-sha-256\nhost all all all trust\nhost replication all all trust\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        for _ in 0..5 {
            if let Some(mut server) = Running::try_start(folder.path(), &data, extra).await {
                server.folder = Some(folder);
                let mut postgres = server.connect().await;
                postgres.run("create role secured login password 'right'").await.unwrap();
                return server;
            }
        }
        panic!("PostgreSQL ended five times right after its start");
    }

    /// A server on the data in this folder. None: it ended at once, because another program had taken the port.
    async fn try_start(folder: &Path, data: &Path, extra: &[&str]) -> Option<Running> {
        let (port, programs) = (free_port(), programs());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = command(&programs.join("postgres"))
            .arg("-D")
            .arg(data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={port}"), "-c", "shared_buffers=16MB", "-c", "fsync=off"])
            .args(extra.iter().flat_map(|setting| ["-c", setting]))
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Running { child, port, programs, folder: None };
        let end = Instant::now() + Duration::from_secs(60);
        while Postgres::connect(&running.address()).await.is_err() {
            if running.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < end, "PostgreSQL does not serve within 60 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(running)
    }

    fn address(&self) -> dsfuzz_client_sql::Address {
        dsfuzz_client_sql::Address {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: "postgres".to_owned(),
            password: String::new(),
            database: "postgres".to_owned(),
            patience: Duration::from_secs(5),
        }
    }

    async fn connect(&self) -> Postgres {
        Postgres::connect(&self.address()).await.unwrap()
    }

    fn signal(&self, signal: &str) -> std::io::Result<std::process::ExitStatus> {
        Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status()
    }

    /// A standby of this server.
    async fn standby(&self) -> Running {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let source = format!("host=127.0.0.1 port={} user=postgres application_name=standby", self.port);
        run(command(&self.programs.join("pg_basebackup"))
            .args(["-d", &source, "-R", "-X", "stream", "-c", "fast", "-D"])
            .arg(&data));
        let mut running = Running::try_start(folder.path(), &data, &[]).await.expect("a standby");
        running.folder = Some(folder);
        running
    }
}

#[tokio::test]
async fn each_object_on_a_real_server() {
    let server = Running::start(&[]).await;
    suite::values::<Postgres>(&server).await;
    suite::transactions::<Postgres>(&server).await;
    suite::queues::<Postgres>(&server).await;
    suite::locks::<Postgres>(&server).await;
    suite::decisions::<Postgres>(&server).await;
    suite::setups::<Postgres>(&server).await;
    suite::settings::<Postgres>(&server).await;
    suite::conflicts::<Postgres>(&server, json!({"isolation": "serializable"})).await;
    let level = "select (current_setting('transaction_isolation') = 'serializable')::int";
    suite::final_reads::<Postgres>(&server, level).await;
    let mut schema = suite::open::<Postgres>(suite::init(&server, "ids", "ids", json!({"schema": "other"}))).await;
    server.connect().await.run("create schema other").await.unwrap();
    for expected in [Value::Null, json!(1), json!(2)] {
        let f = if expected.is_null() { "setup" } else { "generate" };
        assert_eq!(suite::call(&mut schema, f, Value::Null, Value::Null).await, Ok(expected));
    }
}

#[tokio::test]
async fn a_broken_connection_leaves_no_doubt_where_there_is_none() {
    let server = Running::start(&[]).await;
    suite::broken_connections::<Postgres>(&server).await;
}

#[tokio::test]
async fn a_standby_refuses_changes_and_a_cancelled_wait_for_it_is_a_warning() {
    let server = Running::start(&["synchronous_standby_names=nobody", "synchronous_commit=local"]).await;
    let mut set = suite::prepared::<Postgres>(&server, "set", "set").await;
    let standby = server.standby().await;
    let mut reader = suite::open::<Postgres>(suite::init(&standby, "set", "set", json!({}))).await;
    for (f, value) in [("add", json!(1)), ("setup", Value::Null)] {
        let mut other = suite::open::<Postgres>(suite::init(&standby, "set", &format!("x{f}"), json!({}))).await;
        let client = if f == "add" { &mut reader } else { &mut other };
        let refused = suite::call(client, f, Value::Null, value).await.unwrap_err();
        assert!(refused.certain && refused.code == "read-only", "{refused:?}");
    }
    // A standby knows no serializable transactions; final reads do without.
    let strict = suite::init(&standby, "set", "set", json!({"isolation": "serializable"}));
    let mut strict = suite::open::<Postgres>(strict).await;
    assert_eq!(suite::call(&mut strict, "read", Value::Null, Value::Null).await.unwrap_err().code, "read-only");
    let last = dsfuzz_client::Call {
        id: 1,
        f: "read".into(),
        key: Value::Null,
        value: Value::Null,
        deadline_ms: dsfuzz_client::testing::DEADLINE_MS,
        is_final: true,
    };
    assert_eq!(strict.call(&last).await.unwrap().value, json!([]));

    // Nobody acknowledges; the wait is cancelled.
    let sync = suite::init(&server, "set", "set", json!({"each": ["set synchronous_commit = on"]}));
    let mut sync = suite::open::<Postgres>(sync).await;
    let canceller = async {
        let mut admin = server.connect().await;
        let waits = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
        while admin.run(waits).await.unwrap().rows.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (end, ()) = tokio::join!(suite::call(&mut sync, "add", Value::Null, json!(5)), canceller);
    let warned = end.unwrap_err();
    assert!(!warned.certain && warned.code == "warning", "{warned:?}");
    assert!(warned.text.contains("canceling wait for synchronous replication"), "{warned:?}");
    assert_eq!(suite::call(&mut set, "read", Value::Null, Value::Null).await.unwrap(), json!([5]));
}

#[tokio::test]
async fn a_server_that_is_gone_is_refused_and_found_again() {
    let server = Running::start(&[]).await;
    let mut register = suite::prepared::<Postgres>(&server, "register", "register").await;
    // The server ends the session between two calls: a new one is opened.
    let mut admin = server.connect().await;
    admin.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dsfuzz' and pid <> pg_backend_pid()").await.unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while suite::call(&mut register, "write", json!(1), json!(5)).await.is_err() {
        assert!(Instant::now() < end);
    }
    // It ends the session within a call: unknown for a change by itself.
    let mut slow = suite::open::<Postgres>(suite::init(
        &server,
        "register",
        "register",
        json!({"sql": {"write": "select pg_sleep(60)"}}),
    ))
    .await;
    let ends = async {
        let sleeps = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'";
        while admin.run(sleeps).await.unwrap().rows.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (end, ()) = tokio::join!(suite::call(&mut slow, "write", json!(1), json!(6)), ends);
    let lost = end.unwrap_err();
    assert!(!lost.certain && lost.code == "lost" && lost.text.contains("57P01"), "{lost:?}");
    drop(server);
    // The client may see the end of its connection with the first call only.
    let _ = suite::call(&mut register, "read", json!(1), Value::Null).await;
    let refused = suite::call(&mut register, "write", json!(1), json!(7)).await.unwrap_err();
    assert!(refused.certain && refused.code == "refused", "{refused:?}");
}

#[test]
fn the_program_lists_what_it_carries_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_dsfuzz-client-postgres")).arg("--objects").output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["transactions"], json!(["txn", "setup"]));
    assert_eq!(listed.as_object().unwrap().len(), SqlClient::<Postgres>::OBJECTS.len());
}
