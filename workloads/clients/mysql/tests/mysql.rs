//! The client for MySQL's family against a real MariaDB on loopback.
//!
//! Needs MariaDB (Debian: mariadb-server). Each server is a child of the test, in a folder of its own, on a free port.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use dsfuzz_client::Client;
use dsfuzz_client::testing::free_port;
use dsfuzz_client_mysql::Mysql;
use dsfuzz_client_sql::{Address, Driver, SqlClient};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use suite::Server;

#[path = "../../sql/suite/mod.rs"]
mod suite;

/// The kernel has room for the asynchronous I/O of few servers at a time.
const NO_AIO: &str = "--innodb-use-native-aio=0";

/// One MariaDB on loopback.
struct Running {
    child: Child,
    port: u16,
    folder: Option<tempfile::TempDir>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
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

/// Who the server runs as, if the test is root.
fn as_user(command: &mut Command) {
    if Command::new("id").arg("-u").output().unwrap().stdout == b"0\n" {
        command.arg("--user=mysql");
    }
}

/// The option that gives a server a folder for temporary files, which this makes. Never: shares it, since a server that starts
/// removes all temporary tables that it finds there.
fn own_temporary_files(folder: &Path) -> String {
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::set_permissions(&temporary, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    format!("--tmpdir={}", temporary.display())
}

impl Running {
    async fn start(extra: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let data = folder.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", NO_AIO]);
        install.arg(format!("--datadir={}", data.display())).arg(own_temporary_files(folder.path()));
        as_user(&mut install);
        let output = install.output().expect("MariaDB (Debian: mariadb-server)");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        let users = folder.path().join("users.sql");
        let statements = "create user dsfuzz@'%' identified by 'dsfuzz';\ngrant all on *.* to dsfuzz@'%' with grant option;\n\
            create user secured@'%' identified by 'right';\ncreate database if not exists dsfuzz;\n";
        std::fs::write(&users, statements).unwrap();
        for _ in 0..5 {
            if let Some(mut running) = Running::try_start(folder.path(), &data, &users, extra).await {
                running.folder = Some(folder);
                return running;
            }
        }
        panic!(
            "MariaDB ended five times right after its start: {}",
            std::fs::read_to_string(folder.path().join("log")).unwrap()
        );
    }

    /// None: it ended at once, because another program had taken the port.
    async fn try_start(folder: &Path, data: &Path, users: &Path, extra: &[&str]) -> Option<Running> {
        let port = free_port();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut server = Command::new("mariadbd");
        server.args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-buffer-pool-size=32M",
        ]);
        server.args(["--innodb-flush-log-at-trx-commit=0", NO_AIO]);
        for (name, value) in
            [("datadir", data), ("init-file", users), ("socket", &folder.join("s")), ("pid-file", &folder.join("p"))]
        {
            server.arg(format!("--{name}={}", value.display()));
        }
        server.arg(format!("--port={port}")).arg(own_temporary_files(folder)).args(extra);
        as_user(&mut server);
        let child = server.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut running = Running { child, port, folder: None };
        let end = Instant::now() + Duration::from_secs(60);
        while Mysql::connect(&running.address()).await.is_err() {
            if running.child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < end, "MariaDB does not serve within 60 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(running)
    }

    fn address(&self) -> Address {
        Address {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: "dsfuzz".to_owned(),
            password: "dsfuzz".to_owned(),
            database: "dsfuzz".to_owned(),
            patience: Duration::from_secs(5),
        }
    }

    async fn connect(&self) -> Mysql {
        Mysql::connect(&self.address()).await.unwrap()
    }
}

#[tokio::test]
async fn each_object_on_a_real_server() {
    let server = Running::start(&[]).await;
    suite::values::<Mysql>(&server).await;
    suite::transactions::<Mysql>(&server).await;
    suite::queues::<Mysql>(&server).await;
    suite::locks::<Mysql>(&server).await;
    suite::decisions::<Mysql>(&server).await;
    suite::setups::<Mysql>(&server).await;
    suite::settings::<Mysql>(&server).await;
    suite::conflicts::<Mysql>(&server, json!({"isolation": "serializable"})).await;
    suite::final_reads::<Mysql>(&server, "select @@session.tx_isolation = 'SERIALIZABLE'").await;
}

#[tokio::test]
async fn a_snapshot_that_is_no_longer_true_is_a_conflict() {
    let server = Running::start(&["--innodb-snapshot-isolation=ON"]).await;
    suite::conflicts::<Mysql>(&server, json!({"isolation": "repeatable read"})).await;
}

#[tokio::test]
async fn a_broken_connection_leaves_no_doubt_where_there_is_none() {
    let server = Running::start(&[]).await;
    suite::broken_connections::<Mysql>(&server).await;
}

/// A way to the server on which no question for warnings arrives as it was asked. Returns its port.
fn without_warnings_shown(server: u16) -> u16 {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut answers, mut answered) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut answered));
            let mut buffer = vec![0; 1 << 16];
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                let asked = &mut buffer[..count];
                if let Some(at) = asked.windows(13).position(|part| part == b"show warnings") {
                    asked[at..at + 4].copy_from_slice(b"shoe");
                }
                server.write_all(asked).unwrap();
            }
        }
    });
    port
}

#[tokio::test]
async fn a_change_with_warnings_was_made_and_leaves_doubt() {
    let server = Running::start(&[]).await;
    let mut honest = suite::prepared::<Mysql>(&server, "set", "warned").await;
    // A text that is no number is cut where it stops being one, with a warning.
    let add = "insert into :table (k, v) values (:key, concat(:value, 'x'))";
    let more = json!({"each": ["set sql_mode = ''"], "sql": {"add": add}});
    for (element, port, expected) in [
        (1, server.port, "Warning 1265"),
        (2, without_warnings_shown(server.port), "1 warnings, which the server does not show: 1064"),
    ] {
        let mut init = suite::init(&server, "set", "warned", more.clone());
        init.ports.insert("client".to_owned(), port);
        let mut client = suite::open::<Mysql>(init).await;
        let doubtful = suite::call(&mut client, "add", Value::Null, json!(element)).await.unwrap_err();
        assert!(!doubtful.certain && doubtful.code == "warning", "{doubtful:?}");
        assert!(doubtful.text.contains(expected), "{doubtful:?}");
        let all: Vec<i32> = (1..=element).collect();
        assert_eq!(suite::call(&mut client, "read", Value::Null, Value::Null).await.unwrap(), json!(all));
        assert_eq!(suite::call(&mut honest, "read", Value::Null, Value::Null).await.unwrap(), json!(all));
    }
}

#[tokio::test]
async fn a_lock_wait_that_is_too_long_rolls_the_whole_transaction_back() {
    let server = Running::start(&["--innodb-lock-wait-timeout=1"]).await;
    let mut bank = suite::prepared::<Mysql>(&server, "bank", "bank").await;
    let mut holder = server.connect().await;
    for statement in ["start transaction", "update dsfuzz_bank set v = v where k = 1"] {
        holder.run(statement).await.unwrap();
    }
    // The first update succeeds, the second one waits for the holder.
    let transfer = json!({"from": 0, "to": 1, "amount": 1});
    let late = suite::call(&mut bank, "transfer", Value::Null, transfer.clone()).await.unwrap_err();
    assert!(late.certain && late.code == "conflict" && late.text.contains("1205"), "{late:?}");
    holder.run("rollback").await.unwrap();
    let balances = suite::call(&mut bank, "read", Value::Null, Value::Null).await.unwrap();
    assert_eq!(balances, json!({"0": 10, "1": 5, "2": 0}));
    suite::call(&mut bank, "transfer", Value::Null, transfer).await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_refuses_changes() {
    let server = Running::start(&[]).await;
    let mut set = suite::prepared::<Mysql>(&server, "set", "set").await;
    let mut admin = server.connect().await;
    // Users with the privilege READ_ONLY ADMIN may still write.
    for statement in
        ["create user plain@'%'", "grant select, insert, create on dsfuzz.* to plain@'%'", "set global read_only = 1"]
    {
        admin.run(statement).await.unwrap();
    }
    suite::call(&mut set, "add", Value::Null, json!(1)).await.unwrap();
    let mut plain = suite::open::<Mysql>(suite::init(&server, "set", "set", json!({"user": "plain"}))).await;
    let refused = suite::call(&mut plain, "add", Value::Null, json!(2)).await.unwrap_err();
    assert!(refused.certain && refused.code == "read-only", "{refused:?}");
    assert_eq!(suite::call(&mut plain, "read", Value::Null, Value::Null).await.unwrap(), json!([1]));
    let mut fresh = suite::open::<Mysql>(suite::init(&server, "set", "fresh", json!({"user": "plain"}))).await;
    assert_eq!(suite::call(&mut fresh, "setup", Value::Null, Value::Null).await.unwrap_err().code, "read-only");
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let server = Running::start(&["--version=10.5.29-MariaDB"]).await;
    suite::prepared::<Mysql>(&server, "set", "set").await;
    let refused = SqlClient::<Mysql>::open(suite::init(&server, "queue", "queue", json!({}))).await.err().unwrap();
    assert_eq!(refused.code, "not-supported");
    assert_eq!(refused.text, "the server is mariadb 10.5; queue needs 10.6 or newer");
}

#[tokio::test]
async fn a_server_that_is_gone_is_refused() {
    let server = Running::start(&[]).await;
    let mut register = suite::prepared::<Mysql>(&server, "register", "register").await;
    let mut slow = suite::open::<Mysql>(suite::init(
        &server,
        "register",
        "register",
        json!({"sql": {"write": "select sleep(60)"}}),
    ))
    .await;
    let ends = async {
        let mut admin = server.connect().await;
        loop {
            let sleeping = admin
                .run("select id from information_schema.processlist where info = 'select sleep(60)'")
                .await
                .unwrap();
            if let Some(Some(id)) = sleeping.rows.into_iter().flatten().next() {
                admin.run(&format!("kill {id}")).await.unwrap();
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (end, ()) = tokio::join!(suite::call(&mut slow, "write", json!(1), json!(6)), ends);
    let lost = end.unwrap_err();
    assert!(!lost.certain && lost.code == "lost", "{lost:?}");
    drop(server);
    let _ = suite::call(&mut register, "read", json!(1), Value::Null).await;
    let refused = suite::call(&mut register, "write", json!(1), json!(7)).await.unwrap_err();
    assert!(refused.certain && refused.code == "refused", "{refused:?}");
}

#[test]
fn the_program_lists_what_it_carries_out() {
    let output = Command::new(env!("CARGO_BIN_EXE_dsfuzz-client-mysql")).arg("--objects").output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed.as_object().unwrap().len(), SqlClient::<Mysql>::OBJECTS.len());
}
