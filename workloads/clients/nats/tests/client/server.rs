//! Real servers on loopback, alone and as a cluster.
use dsfuzz_client::testing::{ServerProcess, free_port, is_listening, started};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A nats-server with JetStream. It is killed when it goes.
pub(crate) struct Server {
    process: ServerProcess,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

/// What differs between servers.
struct Config {
    name: String,
    port: u16,
    more: String,
}

impl Config {
    fn spawn(&self, folder: &Path) -> ServerProcess {
        let Config { name, port, more } = self;
        let store = folder.join("js");
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, max_mem: 64M, max_file: 256M }}\n{more}\n"
        );
        let file = folder.join("nats.conf");
        std::fs::write(&file, text).unwrap();
        ServerProcess::spawn("nats-server (Debian: nats-server)", Command::new("nats-server").arg("-c").arg(&file))
    }
}

impl Server {
    /// A server alone, with this in its configuration too.
    pub(crate) fn start(more: &str) -> Server {
        started("nats-server", || {
            let config = Config { name: "n1".to_owned(), port: free_port(), more: more.to_owned() };
            Server::spawn(&config).serves()
        })
    }

    fn spawn(config: &Config) -> Server {
        let folder = tempfile::tempdir().unwrap();
        Server { process: config.spawn(folder.path()), port: config.port, _folder: folder }
    }

    /// Itself once it listens; none if it ended.
    fn serves(mut self) -> Option<Server> {
        let port = self.port;
        self.process.is_up(|| is_listening(port)).then_some(self)
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// The reply to a request of JetStream, with nothing but the text protocol; none if none came in time.
    pub(crate) fn ask(&self, subject: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let request =
            format!("CONNECT {{\"verbose\":false}}\r\nSUB in 1\r\nPUB {subject} in {}\r\n{body}\r\n", body.len());
        stream.write_all(request.as_bytes()).ok()?;
        let mut lines = BufReader::new(stream).lines();
        while !lines.next()?.ok()?.starts_with("MSG") {}
        lines.next()?.ok()
    }
}

/// Three servers of one cluster, n1 to n3, whose JetStream has a leader.
pub(crate) fn cluster() -> Vec<Server> {
    started("a cluster", try_cluster)
}

fn try_cluster() -> Option<Vec<Server>> {
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let routes: Vec<String> = ports.iter().map(|(_, peer)| format!("nats://127.0.0.1:{peer}")).collect();
    let server = |(number, (port, peer)): (usize, &(u16, u16))| {
        let routes = routes.join(", ");
        let more = format!("cluster {{ name: t, listen: \"127.0.0.1:{peer}\", routes: [ {routes} ] }}");
        Server::spawn(&Config { name: format!("n{}", number + 1), port: *port, more }).serves()
    };
    let servers = ports.iter().enumerate().map(server).collect::<Option<Vec<Server>>>()?;
    let end = Instant::now() + Duration::from_secs(60);
    // Only a leader answers this.
    while servers.iter().any(|server| !server.ask("$JS.API.STREAM.NAMES", "").unwrap_or_default().contains("total")) {
        assert!(Instant::now() < end, "JetStream has no leader within 60 s");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(servers)
}
