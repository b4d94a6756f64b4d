//! Real servers on loopback, alone and as a cluster.
use dsfuzz_client::testing::free_port;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A nats-server with JetStream. It is killed when it goes.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What differs between servers.
struct Config {
    name: String,
    port: u16,
    more: String,
}

impl Config {
    fn spawn(&self, folder: &Path) -> Child {
        let Config { name, port, more } = self;
        let store = folder.join("js");
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\njetstream {{ store_dir: {store:?}, max_mem: 64M, max_file: 256M }}\n{more}\n"
        );
        let file = folder.join("nats.conf");
        std::fs::write(&file, text).unwrap();
        Command::new("nats-server")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the nats-server program (Debian: nats-server)")
    }
}

impl Server {
    /// A server alone, with this in its configuration too.
    pub(crate) fn start(more: &str) -> Server {
        // A port that was free may be another's a moment later: then others are tried.
        (0..5)
            .find_map(|_| {
                let server = Server::spawn(&Config { name: "n1".to_owned(), port: free_port(), more: more.to_owned() });
                server.serves()
            })
            .expect("nats-server ended five times at its start")
    }

    fn spawn(config: &Config) -> Server {
        let folder = tempfile::tempdir().unwrap();
        Server { child: config.spawn(folder.path()), port: config.port, _folder: folder }
    }

    /// Itself once it greets; none if it ended.
    fn serves(mut self) -> Option<Server> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Some(self);
            }
            assert!(Instant::now() < end, "nats-server does not listen within 30 s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        // A stop takes hold of each thread when it gets to it.
        let threads = format!("/proc/{}/task", self.child.id());
        let stopped = |thread: std::fs::DirEntry| {
            let state = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            state.rsplit(") ").next().is_some_and(|state| state.starts_with('T'))
        };
        while signal == "-STOP" && !std::fs::read_dir(&threads).unwrap().flatten().all(stopped) {
            std::thread::sleep(Duration::from_millis(5));
        }
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
    (0..5).find_map(|_| try_cluster()).expect("no cluster in five attempts")
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
