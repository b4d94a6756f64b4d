//! [`Programs`]: programs that serve several logical clients each; the field `client` of every line tells them apart.
//!
//! One task writes to a program and another reads from it, so that no client waits for another. A program that ends, or prints
//! a line that is no client's, ends all its clients. Never: puts a new client into a program in which one was given up, because
//! its call may hang there for ever; such a program is killed when its last client has left.
use super::ExecConnect;
use super::process::{OutputLine, Program};
use super::protocol;
use crate::targets::node_commands::head;
use dsfuzz_client::lines::ClientField;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, watch};

/// The programs of one workload, each with seats for this number of clients.
#[derive(Debug)]
pub struct Programs {
    seats: u32,
    /// Whether they are known to serve several, so that no client waits for the first answer.
    known: bool,
    running: Mutex<Vec<Arc<SharedProgram>>>,
    /// Programs started, for the names of their standard errors.
    started: AtomicU32,
}

/// A program that serves several clients.
#[derive(Debug)]
struct SharedProgram {
    state: Mutex<SharedState>,
    /// Lines to it. None: it is to end in order.
    lines: mpsc::UnboundedSender<Option<String>>,
    /// Whether it has printed a line that names its client, so that it can serve several.
    names_clients: watch::Sender<bool>,
    end: watch::Sender<EndOfProgram>,
}

#[derive(Debug, Default)]
struct SharedState {
    clients: HashMap<u64, mpsc::UnboundedSender<OutputLine>>,
    /// The number of the next client.
    next: u64,
    /// Whether it takes no further clients.
    full: bool,
}

/// What becomes of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EndOfProgram {
    Runs,
    /// Its last client was closed.
    InOrder,
    /// Its last client was given up, or it broke the protocol.
    Killed,
    Ended,
}

/// A client's place in a program.
pub(super) struct Seat {
    program: Arc<SharedProgram>,
    pub(super) client: u64,
    lines: mpsc::UnboundedReceiver<OutputLine>,
    /// Whether a call has no answer yet.
    calls: bool,
    closed: bool,
}

impl Programs {
    /// No program yet; each will have seats for this number of clients.
    pub fn with_seats(seats: u32) -> Programs {
        Programs { seats, known: false, running: Mutex::default(), started: AtomicU32::new(0) }
    }

    /// The same, of a program that is known to serve several clients.
    pub fn of_built_in(seats: u32) -> Programs {
        Programs { known: true, ..Programs::with_seats(seats) }
    }

    /// A place in a running program, else in a new one. A program whose first client is not yet answered is waited for: it may
    /// be one that serves one client only.
    pub(super) async fn seat(&self, connect: &ExecConnect) -> Result<Seat, String> {
        let (seat, first) = self.reserve(connect)?;
        if first || self.known || seat.program.names_clients().await {
            return Ok(seat);
        }
        Err("its program ended before it answered the `init` of its first client".to_owned())
    }

    fn reserve(&self, connect: &ExecConnect) -> Result<(Seat, bool), String> {
        let mut running = lock(&self.running);
        running.retain(|program| !lock(&program.state).full);
        if let Some(seat) = running.iter().find_map(|program| Seat::take(program, self.seats)) {
            return Ok((seat, false));
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let program = SharedProgram::start(connect, number)?;
        let seat = Seat::take(&program, self.seats).ok_or("a new program has no seat")?;
        running.push(program);
        Ok((seat, true))
    }
}

impl SharedProgram {
    fn start(connect: &ExecConnect, number: u32) -> Result<Arc<SharedProgram>, String> {
        let stderr = connect.stderr_dir.join(format!("client-{}-program-{number}.stderr", connect.workload.name));
        let mut program = connect.start_program(stderr)?;
        let input = program.take_input().ok_or("a pipe to the program is missing")?;
        let (lines, to_write) = mpsc::unbounded_channel();
        let shared = Arc::new(SharedProgram {
            state: Mutex::default(),
            lines,
            names_clients: watch::Sender::new(false),
            end: watch::Sender::new(EndOfProgram::Runs),
        });
        tokio::spawn(write(input, to_write));
        tokio::spawn(read(program, shared.clone()));
        Ok(shared)
    }

    /// Waits until it has named its client in an answer; false if it ended before.
    async fn names_clients(&self) -> bool {
        let (mut names, mut end) = (self.names_clients.subscribe(), self.end.subscribe());
        let ended = async { end.wait_for(|end| *end != EndOfProgram::Runs).await.is_ok() };
        let named = async { names.wait_for(|names| *names).await.is_ok() };
        tokio::select! {
            named = named => named,
            _ = ended => false,
        }
    }

    /// Passes a line on to its client. An error says why it is no client's.
    fn pass(&self, line: String) -> Result<(), String> {
        let client = serde_json::from_str::<ClientField>(&line).ok().and_then(|field| field.client);
        let state = lock(&self.state);
        let Some(client) = client.filter(|client| *client < state.next) else {
            let names = *self.names_clients.borrow();
            let why =
                if names { "" } else { "; a program that names none serves one client (`clients_per_program: 1`)" };
            return Err(format!(
                "the client answered {}; expected \"client\":N of a client in every line{why}",
                head(&line)
            ));
        };
        self.names_clients.send_replace(true);
        if let Some(sender) = state.clients.get(&client) {
            // A receiver that is gone has left.
            let _ = sender.send(OutputLine::Text(line));
        }
        Ok(())
    }

    /// Ends all clients.
    fn end(&self, last: &OutputLine) {
        let mut state = lock(&self.state);
        state.full = true;
        for (_, sender) in state.clients.drain() {
            let _ = sender.send(last.clone());
        }
        self.end.send_replace(EndOfProgram::Ended);
    }

    /// A client leaves. The program ends with its last client.
    fn leave(&self, client: u64, given_up: bool, closed: bool) {
        let mut state = lock(&self.state);
        if state.clients.remove(&client).is_none() {
            return;
        }
        state.full |= given_up;
        let _ = self.lines.send(Some(protocol::close_line(Some(client))));
        if state.clients.is_empty() {
            // In order also where a call hangs: other clients may still be closing their connections.
            let end = if closed { EndOfProgram::InOrder } else { EndOfProgram::Killed };
            state.full = true;
            self.end.send_if_modified(|now| {
                let changed = *now < end;
                *now = end.max(*now);
                changed
            });
        }
    }
}

impl Seat {
    /// A place in this program, if one is free.
    fn take(program: &Arc<SharedProgram>, seats: u32) -> Option<Seat> {
        let mut state = lock(&program.state);
        if state.full || state.clients.len() >= seats as usize {
            return None;
        }
        let (sender, lines) = mpsc::unbounded_channel();
        let client = state.next;
        state.next += 1;
        state.clients.insert(client, sender);
        Some(Seat { program: program.clone(), client, lines, calls: false, closed: false })
    }

    /// Sends a line.
    pub(super) fn send(&mut self, line: &str) -> std::io::Result<()> {
        let ended = *self.program.end.borrow() != EndOfProgram::Runs;
        if ended || self.program.lines.send(Some(line.to_owned())).is_err() {
            return Err(std::io::Error::new(std::io::ErrorKind::BrokenPipe, "its program has ended"));
        }
        self.calls = true;
        Ok(())
    }

    /// The next line to this client.
    pub(super) async fn line(&mut self) -> OutputLine {
        let line = self.lines.recv().await.unwrap_or(OutputLine::Ended(String::new()));
        self.calls = false;
        line
    }

    /// Leaves the program in order; if it was the last client, waits for the program's end.
    pub(super) async fn close(mut self) {
        self.closed = true;
        let program = self.program.clone();
        drop(self);
        let mut end = program.end.subscribe();
        if *end.borrow_and_update() != EndOfProgram::Runs {
            let _ = end.wait_for(|end| *end == EndOfProgram::Ended).await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.program.leave(self.client, self.calls, self.closed);
    }
}

/// Most lines of one write: those that came while the last one went on.
const LINES_AT_ONCE: usize = 64;

async fn write(mut input: ChildStdin, mut lines: mpsc::UnboundedReceiver<Option<String>>) {
    let mut waiting = Vec::new();
    while lines.recv_many(&mut waiting, LINES_AT_ONCE).await > 0 {
        let ends = waiting.iter().any(Option::is_none);
        let mut text = String::new();
        for line in waiting.drain(..).map_while(|line| line) {
            text.push_str(&line);
            text.push('\n');
        }
        // An error: the reader sees its end.
        if input.write_all(text.as_bytes()).await.is_err() || input.flush().await.is_err() || ends {
            return;
        }
    }
}

/// Reads until the program ends or is to end, and kills it with all that it started.
async fn read(mut program: Program, shared: Arc<SharedProgram>) {
    let mut end = shared.end.subscribe();
    let last = loop {
        let over =
            async { end.wait_for(|end| *end != EndOfProgram::Runs).await.map_or(EndOfProgram::Killed, |end| *end) };
        let line = tokio::select! {
            line = program.line() => line,
            over = over => {
                if over == EndOfProgram::InOrder {
                    let _ = shared.lines.send(Some(protocol::close_line(None)));
                    let _ = shared.lines.send(None);
                    let _ = tokio::time::timeout(CLOSE, to_the_end(&mut program)).await;
                }
                break OutputLine::Ended(String::new());
            }
        };
        match line {
            Ok(OutputLine::Text(line)) => {
                if let Err(why) = shared.pass(line) {
                    break OutputLine::Malformed(why);
                }
            }
            Ok(OutputLine::End) => break OutputLine::Ended(program.end().await),
            Ok(other) => break other,
            Err(error) => break OutputLine::Ended(format!(": {error}")),
        }
    };
    drop(program);
    shared.end(&last);
}

/// How long a program may take to end after its last client.
const CLOSE: Duration = Duration::from_secs(1);

async fn to_the_end(program: &mut Program) {
    while matches!(program.line().await, Ok(OutputLine::Text(_))) {}
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
