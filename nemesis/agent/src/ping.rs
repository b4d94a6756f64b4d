//! Datagrams between agents: the proof that a network path is open or cut. Counts what arrives, by round, sender and the
//! pair of addresses, in bounded memory; never answers. The same TCP port takes connections and closes them.
use crate::volley::{self, Volleys};
use crate::{addresses, sys};
use dsfuzz_nemesis::protocol::{HeardPing, HeardVolley, PingTarget, Volley};
use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

const MAGIC: &[u8; 8] = b"DSFPING1";
const ROUNDS_MAX: usize = 256;
/// Senders times pairs of addresses.
const PATHS_MAX: usize = 16_384;
/// Room for datagrams that arrive at once.
const ROOM_BYTES: usize = 8 << 20;
const NAME_BYTES_MAX: usize = 255;

/// The sender's name, its address if it named one, and the receiver's address.
type PingPath = (String, Option<IpAddr>, IpAddr);
/// The number of datagrams by round and path.
type Counts = BTreeMap<u64, BTreeMap<PingPath, u32>>;

/// The sockets and their counts.
pub(crate) struct Pings {
    four: UdpSocket,
    six: Option<UdpSocket>,
    port: u16,
    heard: Arc<Mutex<Counts>>,
    volleys: Arc<Volleys>,
    run: Arc<Mutex<String>>,
}

impl Pings {
    /// Binds one port for IPv4 and, if the node has it, IPv6, and listens: this port, or any port if it is taken.
    pub(crate) fn open(wanted: u16) -> Result<Pings, String> {
        let say = |error: std::io::Error| format!("ping socket: {error}");
        let four = UdpSocket::bind(("0.0.0.0", wanted)).or_else(|_| UdpSocket::bind("0.0.0.0:0")).map_err(say)?;
        let port = four.local_addr().map_err(say)?.port();
        let six = sys::udp6(port).ok();
        let (heard, run, volleys): (_, _, Arc<Volleys>) = (Arc::default(), Arc::default(), Arc::default());
        for socket in [Some(&four), six.as_ref()].into_iter().flatten() {
            let socket = socket.try_clone().map_err(say)?;
            sys::widen(std::os::fd::AsRawFd::as_raw_fd(&socket), ROOM_BYTES);
            let (heard, run, volleys) = (Arc::clone(&heard), Arc::clone(&run), Arc::clone(&volleys));
            std::thread::spawn(move || listen(&socket, &heard, &volleys, &run));
        }
        // An IPv6 socket of Linux also accepts IPv4 by default.
        for listener in [TcpListener::bind(("::", port)), TcpListener::bind(("0.0.0.0", port))].into_iter().flatten() {
            std::thread::spawn(move || listener.incoming().for_each(drop));
        }
        Ok(Pings { four, six, port, heard, volleys, run })
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on only datagrams of this run count.
    pub(crate) fn greet(&self, run: &str) {
        run.clone_into(&mut self.run.lock().unwrap_or_else(PoisonError::into_inner));
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.volleys.clear();
    }

    /// Sends `count` datagrams to each target. Returns the positions of failed targets, with the error.
    pub(crate) fn send(
        &self,
        round: u64,
        from: &str,
        to: &[PingTarget],
        count: u32,
    ) -> Result<Vec<(usize, String)>, String> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut own: BTreeMap<IpAddr, Result<UdpSocket, String>> = BTreeMap::new();
        let mut unsent = Vec::new();
        for (position, target) in to.iter().enumerate() {
            let message = encode(round, &run, from, target)?;
            let (source, address) = addresses::sockets(target.source, target.address, target.port);
            let socket = match source {
                Some(source) => {
                    let bind = || UdpSocket::bind(source).map_err(|error| error.to_string());
                    own.entry(source.ip()).or_insert_with(bind).as_ref().map_err(Clone::clone)
                }
                None if address.is_ipv4() => Ok(&self.four),
                None => self.six.as_ref().ok_or("this node has no IPv6".to_owned()),
            };
            let socket = match socket {
                Ok(socket) => socket,
                Err(reason) => {
                    unsent.push((position, reason));
                    continue;
                }
            };
            // A refusal caused by an earlier datagram is reported to a later one and says nothing about it.
            let mut other = None;
            for _ in 0..count {
                let error = socket.send_to(&message, address).err();
                other = error.filter(|error| error.kind() != std::io::ErrorKind::ConnectionRefused).or(other);
            }
            unsent.extend(other.map(|error| (position, error.to_string())));
        }
        Ok(unsent)
    }

    /// Sends a volley to each target. Returns the positions of failed targets, with the error.
    pub(crate) fn send_volley(&self, volley: &Volley, to: &[PingTarget]) -> Result<Vec<(usize, String)>, String> {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut own: BTreeMap<IpAddr, Result<UdpSocket, String>> = BTreeMap::new();
        volley::send(&run, volley, to, |target, message| {
            let (source, address) = addresses::sockets(target.source, target.address, target.port);
            let socket = match source {
                Some(source) => {
                    let bind = || UdpSocket::bind(source).map_err(|error| error.to_string());
                    own.entry(source.ip()).or_insert_with(bind).as_ref().map_err(Clone::clone)?
                }
                None if address.is_ipv4() => &self.four,
                None => self.six.as_ref().ok_or("this node has no IPv6")?,
            };
            match socket.send_to(message, address) {
                // A refusal is the answer to an earlier datagram.
                Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => Err(error.to_string()),
                _ => Ok(()),
            }
        })
    }

    /// The volleys of a round.
    pub(crate) fn heard_volleys(&self, round: u64) -> Vec<HeardVolley> {
        self.volleys.heard(round)
    }

    /// The datagrams of a round.
    pub(crate) fn heard(&self, round: u64) -> Vec<HeardPing> {
        let counts = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = counts.get(&round).into_iter().flatten();
        paths
            .map(|((from, source, address), count)| HeardPing {
                from: from.clone(),
                source: *source,
                address: *address,
                count: *count,
            })
            .collect()
    }
}

fn listen(socket: &UdpSocket, heard: &Mutex<Counts>, volleys: &Volleys, run: &Mutex<String>) {
    let mut bytes = [0; 2048];
    loop {
        let Ok((length, _)) = socket.recv_from(&mut bytes) else { continue };
        let Some((round, theirs, path)) = decode(&bytes[..length]) else {
            volleys.take(&bytes[..length], &run.lock().unwrap_or_else(PoisonError::into_inner));
            continue;
        };
        if *run.lock().unwrap_or_else(PoisonError::into_inner) == theirs {
            count(&mut heard.lock().unwrap_or_else(PoisonError::into_inner), round, path);
        }
    }
}

/// Counts one datagram; the lowest round is dropped if there are too many.
fn count(heard: &mut Counts, round: u64, path: PingPath) {
    let paths = heard.entry(round).or_default();
    if paths.len() < PATHS_MAX || paths.contains_key(&path) {
        let known = paths.entry(path).or_default();
        *known = known.saturating_add(1);
    }
    if heard.len() > ROUNDS_MAX {
        heard.pop_first();
    }
}

fn encode(round: u64, run: &str, from: &str, to: &PingTarget) -> Result<Vec<u8>, String> {
    let mut message = MAGIC.to_vec();
    message.extend_from_slice(&round.to_be_bytes());
    let source = to.source.map(|source| source.to_string()).unwrap_or_default();
    for text in [run, from, &source, &to.address.to_string()] {
        let length = u8::try_from(text.len())
            .map_err(|_| format!("ping: a name of {} bytes; at most {NAME_BYTES_MAX}", text.len()))?;
        message.push(length);
        message.extend_from_slice(text.as_bytes());
    }
    Ok(message)
}

fn decode(message: &[u8]) -> Option<(u64, String, PingPath)> {
    let (round, mut rest) = message.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    let mut text = || {
        let (length, more) = rest.split_first()?;
        let (text, more) = more.split_at_checked(usize::from(*length))?;
        rest = more;
        String::from_utf8(text.to_vec()).ok()
    };
    let (run, from, source, address) = (text()?, text()?, text()?, text()?);
    let source = if source.is_empty() { None } else { Some(source.parse().ok()?) };
    Some((u64::from_be_bytes(*round), run, (from, source, address.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(source: Option<&str>) -> PingTarget {
        PingTarget {
            source: source.map(|source| source.parse().expect("address")),
            address: [10, 0, 0, 2].into(),
            port: 9,
        }
    }

    #[test]
    fn datagrams_survive_the_wire_and_others_are_ignored() {
        for source in [None, Some("fd00::1")] {
            let target = target(source);
            let message = encode(9, "run", "n1", &target).expect("encoded");
            let path = ("n1".to_owned(), target.source, target.address);
            assert_eq!(decode(&message), Some((9, "run".to_owned(), path)));
            assert_eq!(decode(&message[..message.len() - 1]), None);
        }
        assert_eq!(decode(b"GET / HTTP/1.1"), None);
        assert!(encode(9, "run", &"x".repeat(256), &target(None)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let path = |sender: usize| (format!("n{sender}"), None, [10, 0, 0, 2].into());
        let mut heard = Counts::new();
        for round in 0..1000 {
            count(&mut heard, round, path(1));
        }
        for sender in 0..PATHS_MAX + 10 {
            count(&mut heard, 999, path(sender));
        }
        assert_eq!(heard.len(), ROUNDS_MAX);
        assert_eq!(heard[&999].len(), PATHS_MAX);
    }
}
