//! Real instances on loopback.
use crate::PROGRAM;
use dsfuzz_client::testing::{Program, ServerProcess, free_port, init, is_listening, started};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// A tarantool in a folder of its own. It is killed when it goes.
pub(crate) struct Server {
    process: ServerProcess,
    pub(crate) port: u16,
    console: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    /// An instance with these options of `box.cfg` beside those that every one has. `guest` may do everything, and so may `dsfuzz`
    /// with the password `right`.
    pub(crate) fn start(options: &str) -> Server {
        started("tarantool", || Server::try_start(options))
    }

    fn try_start(options: &str) -> Option<Server> {
        let (folder, port, console) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let script = format!(
            "box.cfg{{listen = '127.0.0.1:{port}', work_dir = '{folder}', log = '{folder}/log', memtx_memory = 33554432, {options}}}
             if not box.info.ro then
                 box.schema.user.grant('guest', 'super', nil, nil, {{if_not_exists = true}})
                 box.schema.user.create('dsfuzz', {{password = 'right', if_not_exists = true}})
                 box.schema.user.grant('dsfuzz', 'super', nil, nil, {{if_not_exists = true}})
                 box.schema.user.create('bare', {{password = 'right', if_not_exists = true}})
             end
             require('console').listen('127.0.0.1:{console}')",
            folder = folder.path().display()
        );
        let file = folder.path().join("init.lua");
        std::fs::write(&file, script).unwrap();
        let mut process = ServerProcess::spawn("tarantool (Debian: tarantool)", Command::new("tarantool").arg(file));
        let up = process.is_up(|| is_listening(console));
        up.then_some(Server { process, port, console, _folder: folder })
    }

    /// What an expression is on the instance, as its console writes it.
    pub(crate) fn lua(&self, expression: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.console)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        writeln!(stream, "{expression}").unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        // Two lines greet; `...` ends the answer.
        lines.skip(2).take_while(|line| line != "...").collect::<Vec<String>>().join("\n")
    }

    /// Waits until an expression is true on the instance.
    pub(crate) fn until(&self, expression: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let says = self.lua(&format!("return ({expression}) and true"));
            if says.contains("- true") {
                return;
            }
            assert!(Instant::now() < end, "{expression} did not hold within 30 s: {says}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    pub(crate) fn open(&self, object: &str, settings: Value, params: Value) -> Program {
        Program::open(PROGRAM, init(object, self.port, settings, params)).unwrap()
    }

    /// A client that has prepared its object, twice.
    pub(crate) fn client(&self, object: &str, settings: Value, params: Value) -> Program {
        let mut client = self.open(object, settings, params);
        assert_eq!((client.ok("setup", ()), client.ok("setup", ())), (json!(null), json!(null)));
        client
    }
}

/// A leader and an instance that replicates from it and is read-only.
pub(crate) fn pair(options: &str) -> (Server, Server) {
    let leader = Server::start(options);
    let replica = Server::start(&format!(
        "replication = '127.0.0.1:{}', read_only = true, replication_timeout = 0.5, {options}",
        leader.port
    ));
    leader.until("box.info.replication[2] and box.info.replication[2].downstream.status == 'follow'");
    (leader, replica)
}
