//! Real servers on loopback, and servers that answer wrongly.
use dsfuzz_client::testing::{ServerProcess, free_port_of, started};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A redis-server in a folder of its own. It is killed when it goes.
pub(crate) struct Server {
    process: ServerProcess,
    pub(crate) address: String,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Server {
        Server::start_at("127.0.0.1", arguments)
    }

    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Server {
        started("redis-server", || Server::try_start(address, arguments))
    }

    fn try_start(address: &str, arguments: &[&str]) -> Option<Server> {
        let folder = tempfile::tempdir().unwrap();
        // The bus of a cluster has the port plus 10000.
        let port = std::iter::repeat_with(|| free_port_of(address)).find(|port| *port < 55_000)?;
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", address, "--port", &port.to_string(), "--save", "", "--protected-mode", "no"])
            .args(["--repl-diskless-sync-delay", "0", "--dir"])
            .arg(folder.path())
            .args(arguments);
        let mut process = ServerProcess::spawn("redis-server (Debian: redis-server)", &mut command);
        let answers =
            |reply: Option<String>| reply.is_some_and(|reply| reply.starts_with('+') || reply.starts_with("-NOAUTH"));
        let up = process.is_up(|| answers(asked(address, port, &["PING"])));
        up.then(|| Server { process, address: address.to_owned(), port, _folder: folder })
    }

    /// The first bytes of the reply to a command, as they are.
    pub(crate) fn raw(&self, words: &[&str]) -> Option<String> {
        asked(&self.address, self.port, words)
    }

    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Waits until the reply to a command contains a text.
    pub(crate) fn until(&self, words: &[&str], wanted: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let reply = self.raw(words).unwrap_or_default();
            if reply.contains(wanted) {
                return;
            }
            assert!(Instant::now() < end, "{words:?}: `{wanted}` did not come within 30 s: {reply}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The first bytes of the reply to a command.
fn asked(address: &str, port: u16, words: &[&str]) -> Option<String> {
    let mut stream = TcpStream::connect((address, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let count = words.len();
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    stream.write_all(format!("*{count}\r\n{words}").as_bytes()).ok()?;
    let mut buffer = [0u8; 8192];
    let read = stream.read(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..read]).into_owned())
}

/// A server that answers each request with the next of these replies, then closes; it counts the requests.
pub(crate) struct FakeServer {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
}

impl FakeServer {
    /// The connection is cut after the last reply, and none is accepted any more after that.
    pub(crate) fn start(replies: Vec<&'static str>) -> FakeServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        std::thread::spawn(move || {
            let mut replies = replies.into_iter();
            while let Ok((mut stream, _)) = listener.accept() {
                let mut buffer = [0u8; 65536];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let Some(reply) = replies.next() else { break };
                    let _ = stream.write_all(reply.as_bytes());
                }
            }
        });
        FakeServer { port, requests }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}
