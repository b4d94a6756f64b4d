//! [`Proxy`]: counts what a client sends, and cuts its connection.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy on loopback before a server. It counts connections and how often the client sent a text, and cuts on demand.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    text: Mutex<Vec<u8>>,
    connections: AtomicUsize,
    seen: AtomicUsize,
    /// How many texts it waits for until it cuts the connection; 0: it does not.
    cut_at: AtomicUsize,
    /// Whether it keeps that last text from the server.
    keeps: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A proxy before the server on this port that looks for `text` in what the client sends.
    ///
    /// # Panics
    /// If no port is free.
    pub fn before(server: u16, text: &[u8]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (connections, seen, cut_at, keeps, open) = Default::default();
        let text = Mutex::new(text.to_vec());
        let shared = Arc::new(Shared { server, text, connections, seen, cut_at, keeps, open });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", accepting.server)) else { continue };
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                accepting.relay(client, server);
            }
        });
        Proxy { port, shared }
    }

    /// Looks for another text from now on, and counts from 0.
    ///
    /// # Panics
    /// If a thread of the proxy panicked.
    pub fn look_for(&self, text: &[u8]) {
        *self.shared.text.lock().expect("no panic") = text.to_vec();
        self.shared.seen.store(0, Ordering::SeqCst);
    }

    /// Cuts the connection as soon as the client has sent the text once more: the server gets it, the client no answer.
    pub fn cut_after_next(&self) {
        self.shared.keeps.store(false, Ordering::SeqCst);
        self.shared.cut_at.store(self.seen() + 1, Ordering::SeqCst);
    }

    /// Cuts the connection as soon as the client sends the text once more: the server does not get it.
    pub fn cut_before_next(&self) {
        self.shared.keeps.store(true, Ordering::SeqCst);
        self.shared.cut_at.store(self.seen() + 1, Ordering::SeqCst);
    }

    /// Cuts all connections now.
    ///
    /// # Panics
    /// If a thread of the proxy panicked.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Waits until there have been this many connections.
    ///
    /// # Panics
    /// If nobody connects.
    pub fn await_connections(&self, count: usize) {
        let end = Instant::now() + PATIENCE;
        while self.connections() < count {
            assert!(Instant::now() < end, "{} connections, and {count} were awaited", self.connections());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How often the client sent the text.
    pub fn seen(&self) -> usize {
        self.shared.seen.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn cut(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn relay(self: &Arc<Shared>, client: TcpStream, server: TcpStream) {
        let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
        self.open.lock().expect("no panic").extend([clone(&client), clone(&server)]);
        let (mut back_from, mut back_to) = (clone(&server), clone(&client));
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(Shutdown::Both);
        });
        let shared = self.clone();
        std::thread::spawn(move || shared.forward(client, server));
    }

    fn forward(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            let text = self.text.lock().expect("no panic").clone();
            let found = buffer[..count].windows(text.len()).filter(|part| *part == text).count();
            let seen = self.seen.fetch_add(found, Ordering::SeqCst) + found;
            let cut_at = self.cut_at.load(Ordering::SeqCst);
            let last = found > 0 && cut_at > 0 && seen >= cut_at;
            let keeps = self.keeps.load(Ordering::SeqCst);
            if last {
                // Before the client sees the cut: what it asks for next must stand.
                self.cut_at.store(0, Ordering::SeqCst);
                let _ = client.shutdown(Shutdown::Both);
                if keeps {
                    break;
                }
            }
            if server.write_all(&buffer[..count]).is_err() {
                break;
            }
            if last {
                // The server reads all of it before it sees the end.
                let _ = server.shutdown(Shutdown::Write);
                return;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }
}
