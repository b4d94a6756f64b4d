//! [`serve`]: a mode as a process: TCP to the other nodes and to clients, one thread that decides.
//!
//! Each node dials every other one and sends on that connection only. A message to a node that cannot be reached is dropped.
use crate::call::{Call, Outcome, Ticket};
use crate::disk::Disk;
use crate::node::{Clock, Mode, Node, Output, Settings, Source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

/// How often a mode's `tick` is called.
const TICK: Duration = Duration::from_millis(10);
/// Events that are handled before what they wrote is synced and what they sent leaves.
const BATCH: usize = 64;
/// Messages that wait for a connection; more are dropped.
const QUEUE: usize = 4096;
/// A connection on which nothing is acknowledged for so long is given up.
const SILENCE: Duration = Duration::from_secs(1);
/// The pause between two attempts to connect.
const RETRY: Duration = Duration::from_millis(50);

/// Where a process listens and what it knows of the others.
#[derive(Debug)]
pub struct Addresses {
    /// For clients.
    pub clients: SocketAddr,
    /// For nodes.
    pub peers: Vec<SocketAddr>,
}

/// What the deciding thread hears.
enum Event<M> {
    Call(Ticket, Box<Call>),
    Message(usize, M),
    Opened(u64, TcpStream),
    Closed(u64),
    Status(u64),
    Line(Option<String>),
}

/// A line between two nodes.
#[derive(Serialize, Deserialize)]
struct Envelope<M> {
    from: usize,
    message: M,
}

/// Serves until the process is killed, or the mode ends it.
pub fn serve<M: Mode>(settings: Settings, addresses: &Addresses, data: PathBuf) -> io::Result<()>
where
    M::Message: Send + 'static,
{
    let (events, heard) = channel();
    let me = settings.me;
    let clients = TcpListener::bind(addresses.clients)?;
    let peers = TcpListener::bind(addresses.peers[me])?;
    let (for_peers, for_clients) = (events.clone(), events.clone());
    let objects = M::objects(&settings);
    std::thread::spawn(move || accept_peers(&peers, &for_peers));
    std::thread::spawn(move || accept_clients(&clients, &for_clients, objects));
    let mut links = BTreeMap::new();
    for (node, address) in addresses.peers.iter().copied().enumerate().filter(|(node, _)| *node != me) {
        let (queue, messages) = sync_channel(QUEUE);
        std::thread::spawn(move || send_all(address, &messages));
        links.insert(node, queue);
    }
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let mut node = Node::new(settings, Disk::new(data), Clock::Machine(Instant::now()), u64::from(seed));
    let mode = M::start(&mut node);
    for source in std::mem::take(&mut node.sources) {
        let events = events.clone();
        std::thread::spawn(move || hear(source, &events));
    }
    Err(io::Error::other(decide::<M>(mode, node, &heard, &links)))
}

/// Hears a source until it ends.
fn hear<M>(source: Source, events: &Sender<Event<M>>) {
    for line in source.lines().map_while(Result::ok) {
        if events.send(Event::Line(Some(line))).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Line(None));
}

/// The thread that decides, until the mode ends it: why.
fn decide<M: Mode>(
    mut mode: M,
    mut node: Node<M::Message>,
    heard: &Receiver<Event<M::Message>>,
    links: &BTreeMap<usize, SyncSender<Vec<u8>>>,
) -> String {
    let mut connections: BTreeMap<u64, TcpStream> = BTreeMap::new();
    let mut due = Instant::now() + TICK;
    loop {
        let mut next = match heard.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return "nothing is heard any more".to_owned(),
        };
        let mut handled = 0;
        while let Some(event) = next {
            match event {
                Event::Call(ticket, call) => mode.call(&mut node, ticket, *call),
                Event::Message(from, message) => mode.message(&mut node, from, message),
                Event::Opened(number, stream) => drop(connections.insert(number, stream)),
                Event::Closed(number) => drop(connections.remove(&number)),
                Event::Line(line) => mode.line(&mut node, line),
                Event::Status(number) => {
                    let mut status = json!(mode.status(&node));
                    let members = mode.members(&node).into_iter();
                    status["members"] = members.map(|member| node.name(member)).collect();
                    write_line(&mut connections, number, &status);
                }
            }
            handled += 1;
            next = if handled < BATCH { heard.try_recv().ok() } else { None };
        }
        if Instant::now() >= due {
            mode.tick(&mut node);
            due = Instant::now() + TICK;
        }
        node.disk.sync();
        for output in std::mem::take(&mut node.outputs) {
            match output {
                Output::Send(to, message) => {
                    let mut line = serde_json::to_vec(&Envelope { from: node.me(), message }).expect("JSON");
                    line.push(b'\n');
                    // A full queue: the message is lost.
                    let _ = links.get(&to).map(|queue| queue.try_send(line));
                }
                Output::Reply(ticket, outcome) => {
                    write_line(&mut connections, ticket.connection, &outcome.line(ticket.id))
                }
            }
        }
        if let Some(why) = node.end.take() {
            return why;
        }
    }
}

/// Writes a line to a client, if it is still there.
fn write_line(connections: &mut BTreeMap<u64, TcpStream>, number: u64, line: &Json) {
    let Some(stream) = connections.get_mut(&number) else { return };
    if stream.write_all(format!("{line}\n").as_bytes()).is_err() {
        connections.remove(&number);
    }
}

/// Sends what is queued to a node, over one connection after the other.
fn send_all(address: SocketAddr, messages: &Receiver<Vec<u8>>) {
    let mut stream: Option<TcpStream> = None;
    let mut next_attempt = Instant::now();
    for line in messages {
        if stream.is_none() && Instant::now() >= next_attempt {
            stream = connect(address).ok();
            next_attempt = Instant::now() + RETRY;
        }
        if let Some(open) = &mut stream
            && open.write_all(&line).is_err()
        {
            stream = None;
        }
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SILENCE / 2)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE))?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn accept_peers<M: DeserializeOwned + Send + 'static>(listener: &TcpListener, events: &Sender<Event<M>>) {
    for stream in listener.incoming().flatten() {
        let events = events.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let Ok(Envelope { from, message }) = serde_json::from_str(&line) else { return };
                if events.send(Event::Message(from, message)).is_err() {
                    return;
                }
            }
        });
    }
}

fn accept_clients<M: Send + 'static>(
    listener: &TcpListener,
    events: &Sender<Event<M>>,
    objects: &'static [&'static str],
) {
    for (number, stream) in (0..).zip(listener.incoming().flatten()) {
        let events = events.clone();
        std::thread::spawn(move || {
            // A client that does not read must not hold up the node.
            let prepared =
                stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(Duration::from_millis(100))));
            let Ok(writer) = prepared.and_then(|()| stream.try_clone()) else { return };
            if events.send(Event::Opened(number, writer)).is_ok() {
                hear_client(stream, number, &events, objects);
                let _ = events.send(Event::Closed(number));
            }
        });
    }
}

/// Hears a client until its connection ends.
fn hear_client<M>(stream: TcpStream, number: u64, events: &Sender<Event<M>>, objects: &[&str]) {
    let Ok(mut writer) = stream.try_clone() else { return };
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let request: Json = serde_json::from_str(&line).unwrap_or_default();
        // A call has an object; an object may have a function of this name.
        if request["f"] == "status" && request["object"].is_null() {
            // The asker reads until the connection ends.
            let _ = events.send(Event::Status(number));
            return;
        }
        let answer = match serde_json::from_value::<Call>(request.clone()) {
            Ok(call) if objects.contains(&call.object.as_str()) && call.f == "hello" => Outcome::done(),
            Ok(call) if objects.contains(&call.object.as_str()) => {
                if events.send(Event::Call(Ticket { connection: number, id: call.id }, Box::new(call))).is_err() {
                    return;
                }
                continue;
            }
            Ok(call) => {
                Outcome::fail("not-supported", format!("this mode has {}, not `{}`", objects.join(", "), call.object))
            }
            Err(error) => Outcome::fail("malformed", error),
        };
        let id = request["id"].as_u64().unwrap_or_default();
        if writer.write_all(format!("{}\n", answer.line(id)).as_bytes()).is_err() {
            return;
        }
    }
}
