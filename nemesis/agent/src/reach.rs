//! TCP handshakes with peers, for network paths that block the agents' datagrams.
use crate::{addresses, sys};
use dsfuzz_nemesis::protocol::PingTarget;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Connects to all and waits. Returns the positions with a completed handshake, which are closed at once, and those that were
/// refused.
pub(crate) fn reach(to: &[PingTarget], wait: Duration) -> (Vec<usize>, Vec<usize>) {
    let end = Instant::now() + wait;
    let begin = |target: &PingTarget| {
        let (from, to) = addresses::sockets(target.source, target.address, target.port);
        sys::begin_connect(from, to)
    };
    let (mut reached, mut refused, mut open) = (Vec::new(), Vec::new(), Vec::new());
    for (index, target) in to.iter().enumerate() {
        match begin(target) {
            Ok(stream) => open.push((index, stream)),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => refused.push(index),
            Err(_) => {}
        }
    }
    while !open.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        let descriptors: Vec<_> = open.iter().map(|(_, stream)| stream.as_raw_fd()).collect();
        let ended = sys::wait_written(&descriptors, left);
        if !ended.contains(&true) && end <= Instant::now() {
            break;
        }
        let mut ended = ended.into_iter();
        open.retain(|(index, stream): &(usize, TcpStream)| {
            let over = ended.next().unwrap_or(false);
            match stream.take_error() {
                Ok(None) if over && stream.peer_addr().is_ok() => reached.push(*index),
                Ok(Some(error)) if over && error.kind() == ErrorKind::ConnectionRefused => refused.push(*index),
                _ => {}
            }
            !over
        });
    }
    reached.sort_unstable();
    refused.sort_unstable();
    (reached, refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_handshake_is_told_from_a_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let gone = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("address");
        let target =
            |port, source: &str| PingTarget { source: source.parse().ok(), address: [127, 0, 0, 1].into(), port };
        let port = listener.local_addr().expect("address").port();
        let to = [target(gone.port(), ""), target(port, "127.0.0.9"), target(port, ""), target(port, "192.0.2.7")];
        assert_eq!(reach(&to, Duration::from_secs(5)), (vec![1, 2], vec![0]));
        let (_, peer) = listener.accept().expect("accepted");
        assert!(["127.0.0.9", "127.0.0.1"].contains(&peer.ip().to_string().as_str()), "{peer}");
    }
}
