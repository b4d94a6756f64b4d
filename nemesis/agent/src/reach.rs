//! TCP handshakes with peers: what a network path lets through where it lets no datagrams of the agents through.
use crate::{addresses, sys};
use dsfuzz_nemesis::protocol::PingTarget;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Begins a connection to each and waits; positions of those whose handshake ended. They are closed at once.
pub(crate) fn reach(to: &[PingTarget], wait: Duration) -> Vec<usize> {
    let end = Instant::now() + wait;
    let begin = |target: &PingTarget| {
        let (from, to) = addresses::sockets(target.source, target.address, target.port);
        sys::begin_connect(from, to).ok()
    };
    let mut open: Vec<(usize, TcpStream)> =
        to.iter().enumerate().filter_map(|(index, target)| Some((index, begin(target)?))).collect();
    let mut reached = Vec::new();
    while !open.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        let descriptors: Vec<_> = open.iter().map(|(_, stream)| stream.as_raw_fd()).collect();
        let ended = sys::wait_written(&descriptors, left);
        if !ended.contains(&true) && end <= Instant::now() {
            break;
        }
        let mut ended = ended.into_iter();
        open.retain(|(index, stream)| {
            let over = ended.next().unwrap_or(false);
            if over && matches!(stream.take_error(), Ok(None)) && stream.peer_addr().is_ok() {
                reached.push(*index);
            }
            !over
        });
    }
    reached.sort_unstable();
    reached
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
        assert_eq!(reach(&to, Duration::from_secs(5)), [1, 2]);
        let (_, peer) = listener.accept().expect("accepted");
        assert!(["127.0.0.9", "127.0.0.1"].contains(&peer.ip().to_string().as_str()), "{peer}");
    }
}
