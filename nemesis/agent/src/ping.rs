//! Datagrams between agents: the proof that a network path is open or cut. Counts what arrives, by round and sender, in
//! bounded memory; never answers.
use crate::sys;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

const MAGIC: &[u8; 8] = b"DSFPING1";
const ROUNDS_MAX: usize = 256;
const SENDERS_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 255;

/// Rounds, and in each how many datagrams came from whom.
type Counts = BTreeMap<u64, BTreeMap<String, u32>>;

/// The sockets and what they heard.
pub(crate) struct Pings {
    four: UdpSocket,
    six: Option<UdpSocket>,
    port: u16,
    heard: Arc<Mutex<Counts>>,
    run: Arc<Mutex<String>>,
}

impl Pings {
    /// Binds one port for IPv4 and, where the node has it, IPv6, and listens.
    pub(crate) fn open() -> Result<Pings, String> {
        let say = |error: std::io::Error| format!("ping socket: {error}");
        let four = UdpSocket::bind("0.0.0.0:0").map_err(say)?;
        let port = four.local_addr().map_err(say)?.port();
        let six = sys::udp6(port).ok();
        let (heard, run) = (Arc::default(), Arc::default());
        for socket in [Some(&four), six.as_ref()].into_iter().flatten() {
            let socket = socket.try_clone().map_err(say)?;
            let (heard, run) = (Arc::clone(&heard), Arc::clone(&run));
            std::thread::spawn(move || listen(&socket, &heard, &run));
        }
        Ok(Pings { four, six, port, heard, run })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Datagrams of other runs no longer count.
    pub(crate) fn greet(&self, run: &str) {
        run.clone_into(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner));
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Sends so many to each; says which could not be sent.
    pub(crate) fn send(&self, round: u64, from: &str, to: &[(IpAddr, u16)], count: u32) -> Result<(), String> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let message = encode(round, &run, from)?;
        let mut failed = Vec::new();
        for (address, port) in to {
            let socket = if address.is_ipv4() { Some(&self.four) } else { self.six.as_ref() };
            let Some(socket) = socket else {
                failed.push(format!("{address}: this node has no IPv6"));
                continue;
            };
            // A refusal that an earlier datagram provoked is reported to a later one; it says nothing about this one.
            let mut other = None;
            for _ in 0..count {
                let error = socket.send_to(&message, SocketAddr::new(*address, *port)).err();
                other = error.filter(|error| error.kind() != std::io::ErrorKind::ConnectionRefused).or(other);
            }
            failed.extend(other.map(|error| format!("{address}: {error}")));
        }
        if failed.is_empty() { Ok(()) } else { Err(format!("pings could not be sent to {}", failed.join(", "))) }
    }

    /// What arrived in a round.
    pub(crate) fn heard(&self, round: u64) -> BTreeMap<String, u32> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&round).cloned().unwrap_or_default()
    }
}

fn listen(socket: &UdpSocket, heard: &Mutex<Counts>, run: &Mutex<String>) {
    let mut bytes = [0; 1024];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut bytes) else { continue };
        let Some((round, theirs, from)) = decode(&bytes[..length]) else { continue };
        if *run.lock().unwrap_or_else(PoisonError::into_inner) == theirs {
            count(&mut heard.lock().unwrap_or_else(PoisonError::into_inner), round, from);
        }
    }
}

/// Counts one; the lowest round gives way when there are too many.
fn count(heard: &mut Counts, round: u64, from: String) {
    let senders = heard.entry(round).or_default();
    if senders.len() < SENDERS_MAX || senders.contains_key(&from) {
        let known = senders.entry(from).or_default();
        *known = known.saturating_add(1);
    }
    if heard.len() > ROUNDS_MAX {
        heard.pop_first();
    }
}

fn encode(round: u64, run: &str, from: &str) -> Result<Vec<u8>, String> {
    let mut message = MAGIC.to_vec();
    message.extend_from_slice(&round.to_be_bytes());
    for name in [run, from] {
        let length = u8::try_from(name.len())
            .map_err(|_| format!("ping: a name of {} bytes; at most {NAME_BYTES_MAX}", name.len()))?;
        message.push(length);
        message.extend_from_slice(name.as_bytes());
    }
    Ok(message)
}

fn decode(message: &[u8]) -> Option<(u64, String, String)> {
    let (round, rest) = message.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let (run, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, from) = rest.split_first()?;
    let from = from.get(..usize::from(*length))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((u64::from_be_bytes(*round), text(run)?, text(from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_survive_the_wire_and_others_are_ignored() {
        let message = encode(9, "run", "n1").expect("encoded");
        assert_eq!(decode(&message), Some((9, "run".to_owned(), "n1".to_owned())));
        assert_eq!(decode(&message[..message.len() - 1]), None);
        assert_eq!(decode(b"GET / HTTP/1.1"), None);
        assert!(encode(9, "run", &"x".repeat(256)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let mut heard = Counts::new();
        for round in 0..1000 {
            count(&mut heard, round, "n1".to_owned());
        }
        for sender in 0..2000 {
            count(&mut heard, 999, format!("n{sender}"));
        }
        assert_eq!(heard.len(), ROUNDS_MAX);
        assert_eq!(heard[&999].len(), SENDERS_MAX);
    }
}
