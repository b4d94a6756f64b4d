//! What the kernel says of connections over loopback: conditions that no server and no client tells.
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);
/// States of `/proc/net/tcp`.
const ESTABLISHED: &str = "01";
const CLOSE_WAIT: &str = "08";

/// One end of a connection.
struct Socket {
    local: u16,
    remote: u16,
    state: String,
    unread: bool,
}

/// The connections of this network namespace.
fn sockets() -> Vec<Socket> {
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let socket = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (port(words.next()?)?, port(words.next()?)?);
        let (state, queues) = (words.next()?.to_owned(), words.next()?);
        Some(Socket { local, remote, state, unread: !queues.ends_with(":00000000") })
    };
    let files = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    files.iter().flat_map(|text| text.lines().skip(1).filter_map(socket)).collect()
}

fn until(what: &str, holds: impl Fn(&[Socket]) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds(&sockets()) {
        assert!(Instant::now() < end, "{what} within {} s", PATIENCE.as_secs());
        std::thread::sleep(PAUSE);
    }
}

/// Waits until the server on this port, which is stopped, has something to read.
///
/// # Panics
/// If nothing comes.
pub fn await_unread(port: u16) {
    let waits = |socket: &Socket| socket.local == port && socket.state == ESTABLISHED && socket.unread;
    until(&format!("nothing was sent to port {port}"), |sockets| sockets.iter().any(waits));
}

/// Waits until no client of this port has a connection that its server has not closed.
///
/// # Panics
/// If the server keeps one open.
pub fn await_cut(port: u16) {
    let is_open = |socket: &Socket| socket.remote == port && socket.state == ESTABLISHED;
    until(&format!("a connection to port {port} was not cut"), |sockets| !sockets.iter().any(is_open));
}

/// Waits until the clients of this port have noticed that its server has closed their connections, and have closed them too.
///
/// # Panics
/// If one keeps its connection.
pub fn await_closed(port: u16) {
    await_cut(port);
    let is_held = |socket: &Socket| socket.remote == port && socket.state == CLOSE_WAIT;
    until(&format!("a client kept its connection to port {port}"), |sockets| !sockets.iter().any(is_held));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn each_condition_holds_when_it_is_said_to() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        let (mut server, _) = listener.accept().expect("accepted");
        let waits = |sockets: &[Socket]| sockets.iter().any(|socket| socket.local == port && socket.unread);
        assert!(!waits(&sockets()));
        client.write_all(b"x").expect("sent");
        await_unread(port);
        // What is read is waiting no more.
        server.read_exact(&mut [0]).expect("read");
        assert!(!waits(&sockets()));
        drop(server);
        await_cut(port);
        let held = sockets().iter().any(|socket| socket.remote == port && socket.state == CLOSE_WAIT);
        assert!(held, "the client still has its end");
        drop(client);
        await_closed(port);
    }
}
